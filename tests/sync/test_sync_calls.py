"""What a call about one record brings: that record, once, by the Q flow or, when that is held up, the scheduled one."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from iw_operators.ledger.flow_tables import inbox
from iw_operators.ledger.inbox import LATE, Item
from iw_operators.ledger.store import Ledger
from iw_operators.spec.models import Direction, FlowKind
from tests.killing import killed_at
from tests.sync.conftest import Bench

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R12", "R1")]

FLOW = "Flow_to_books"  # as the bench calls it


def call(bench: Bench, record_id: str, event: str, *, flow: str = FLOW) -> int:
    """Put a call about an account down; return how many were new."""
    item = Item("crm", "Account", record_id, event, "customers", flow)
    return len(bench.ledger.put_calls("acme", [item]))


def left(bench: Bench) -> int:
    """Return how many calls are not done."""
    with bench.ledger.engine.connect() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).where(inbox.c.done_at.is_(None))) or 0)


def age_all(ledger: Ledger, by: dt.timedelta) -> None:
    """Let all calls have come so long ago."""
    with ledger.engine.begin() as connection:
        connection.execute(sa.update(inbox).values(received_at=sa.func.now() - sa.literal(by, sa.Interval)))


def test_ten_calls_about_one_record_are_one_sync(filled: Bench) -> None:
    """The run takes all open calls at once, and of the whole CRM just the one record."""
    assert sum(call(filled, "a3", f"e{number}") for number in range(10)) == 10
    assert filled.run(kind=FlowKind.Q).counts == {"created": 1}
    assert [r.values["name"] for r in filled.books.records.values()] == ["Account 3"]
    assert left(filled) == 0
    assert filled.run(kind=FlowKind.Q).read == 0


def test_the_same_call_again_is_none(filled: Bench) -> None:
    """A repeated call is passed over, also after the first one is done."""
    assert call(filled, "a3", "e1") == 1
    assert call(filled, "a3", "e1") == 0
    filled.run(kind=FlowKind.Q)
    assert call(filled, "a3", "e1") == 0
    assert filled.run(kind=FlowKind.Q).read == 0


def test_a_deletion_that_is_called_follows_the_policy(filled: Bench) -> None:
    """A record that is gone and was bound is planned as deleted; one that nobody knew is nothing."""
    filled.run()
    filled.crm.delete("a4")
    call(filled, "a4", "e1")
    call(filled, "never-was", "e2")
    assert filled.run(kind=FlowKind.Q).counts == {"held": 1}
    assert left(filled) == 0


def test_killed_in_the_middle_the_next_attempt_takes_the_calls_again(filled: Bench) -> None:
    """Claimed is not done: a repeated attempt has the same calls."""
    call(filled, "a1", "e1")
    with killed_at("after_claim"):
        filled.run(kind=FlowKind.Q)
    assert left(filled) == 1
    assert filled.run(kind=FlowKind.Q, same_run=True, attempt=2).counts == {"created": 1}
    assert left(filled) == 0


def test_calls_of_a_run_that_is_over_are_open_again(filled: Bench) -> None:
    """What a failed run had claimed, the next run takes; what a run at work has claimed, it leaves alone."""
    call(filled, "a1", "e1")
    with killed_at("after_claim"):
        filled.run(kind=FlowKind.Q)
    assert filled.run(kind=FlowKind.Q).read == 0
    first = filled.ledger.find_run("acme", FLOW, "r1")
    assert first is not None
    filled.ledger.end_run(first, "failed")
    assert filled.ledger.open_calls("acme") == {FLOW: {"customers"}}
    assert filled.run(kind=FlowKind.Q).counts == {"created": 1}


def test_a_scheduled_run_takes_late_calls_along_and_no_early_ones(filled: Bench) -> None:
    """A call that waits for a paused Q flow is done by the scheduled flow after a while; each record counts once."""
    filled.run()
    filled.crm.put("a2", phone="555-0199")
    call(filled, "a2", "e1", flow="ItsQ")
    since = filled.crm.now() + dt.timedelta(seconds=1)
    assert filled.run(since=since).read == 0
    assert left(filled) == 1
    age_all(filled.ledger, LATE)
    assert filled.run(since=since).counts == {"updated": 1}
    assert left(filled) == 0
    call(filled, "a2", "e2", flow="ItsQ")
    age_all(filled.ledger, LATE)
    assert filled.run().read == 10


def test_calls_of_the_other_side_are_left_to_its_flow(filled: Bench) -> None:
    """A flow claims calls about records that it reads, and none of the other direction's."""
    filled.run()
    ids = list(filled.books.records)
    filled.ledger.put_calls("acme", [Item("books", "Customer", ids[0], "e1", "customers", "Flow_to_crm")])
    assert filled.run(kind=FlowKind.Q).read == 0
    assert filled.run(Direction.TO_CRM, kind=FlowKind.Q).counts == {"unchanged": 1}
    assert left(filled) == 0
