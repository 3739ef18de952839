"""Calls in the ledger: put down once, claimed once, forgotten only when done."""

from __future__ import annotations

import datetime as dt
import threading

import pytest
import sqlalchemy as sa

from iw_operators.errors import StopFlow
from iw_operators.ledger.flow_tables import inbox
from iw_operators.ledger.inbox import KEPT, LOST, Item
from iw_operators.ledger.own import OwnLedger
from iw_operators.ledger.store import Ledger
from tests.ledger.kit import begin

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R12")]


def item(record_id: str = "a1", event: str = "e1", flow: str = "Flow") -> Item:
    """Return a call about an account."""
    return Item("crm", "Account", record_id, event, "customers", flow)


def test_only_new_calls_are_told(ledger: Ledger) -> None:
    """Of repeated ones, also within one request, the first counts; another company's event is another one."""
    assert len(ledger.put_calls("acme", [item(), item(), item("a2")])) == 3
    assert ledger.put_calls("acme", [item()]) == []
    assert [each.event for each in ledger.put_calls("acme", [item(), item(event="e2")])] == ["e2"]
    assert len(ledger.put_calls("globex", [item()])) == 1
    assert ledger.put_calls("acme", []) == []


def test_two_runs_never_claim_the_same_call(ledger: Ledger) -> None:
    """However they overlap, each call is claimed by one of them."""
    ledger.put_calls("acme", [item(f"a{number}", f"e{number}") for number in range(50)])
    claimed: list[list[str]] = []
    gate = threading.Barrier(2)

    def claim(name: str) -> None:
        run = begin(ledger, dag_run_id=name)
        gate.wait(20)
        claimed.append(ledger.claim_calls(run))

    threads = [threading.Thread(target=claim, args=(f"r{number}",)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each for some in claimed for each in some) == sorted(f"a{number}" for number in range(50))


def test_done_calls_are_known_for_a_while_and_then_forgotten(ledger: Ledger) -> None:
    """A repetition is none as long as the call is known; open ones are never forgotten."""
    ledger.put_calls("acme", [item("a1", "e1"), item("a2", "e2")])
    run = begin(ledger)
    assert ledger.claim_calls(run) == ["a1", "a2"]
    ledger.end_calls(run, ["a1"])
    assert ledger.prune_calls("acme") == 0
    with ledger.engine.begin() as connection:
        connection.execute(sa.update(inbox).values(received_at=sa.func.now() - sa.literal(KEPT, sa.Interval)))
        done = sa.update(inbox).where(inbox.c.done_at.is_not(None))
        connection.execute(done.values(done_at=sa.func.now() - sa.literal(KEPT + dt.timedelta(seconds=1), sa.Interval)))
    assert ledger.prune_calls("globex") == 0
    assert ledger.prune_calls("acme") == 1
    assert ledger.claim_calls(run) == ["a2"]


def test_a_claim_of_a_run_that_nobody_ended_is_lost_after_an_hour(ledger: Ledger) -> None:
    """A run that is said to be running for ever does not keep its calls for ever."""
    ledger.put_calls("acme", [item()])
    first, second = begin(ledger), begin(ledger, dag_run_id="r2")
    assert ledger.claim_calls(first) == ["a1"]
    assert ledger.claim_calls(second) == []
    assert ledger.open_calls("acme") == {}
    with ledger.engine.begin() as connection:
        connection.execute(sa.update(inbox).values(taken_at=sa.func.now() - sa.literal(LOST, sa.Interval)))
    assert ledger.open_calls("acme") == {"Flow": {"customers"}}
    assert ledger.claim_calls(second) == ["a1"]


def test_calls_belong_to_their_company(ledger: Ledger) -> None:
    """A task of another company can put down, claim and see none of them."""
    ledger.put_calls("acme", [item()])
    run = begin(ledger)
    other = OwnLedger.of(ledger, "globex")
    with pytest.raises(StopFlow):
        other.claim_calls(run)
    with pytest.raises(StopFlow):
        other.put_calls("acme", [item(event="e9")])
    with pytest.raises(StopFlow):
        other.open_calls("acme")
    assert other.open_calls("globex") == {}
    assert ledger.claim_calls(begin(ledger, company="globex", dag_run_id="r9")) == []
