"""Records that a hand-written DAG brings: deleted in the target, given twice, in doubt."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from iw_operators.ledger.store import Ledger
from iw_operators.systems.base import Result
from iw_operators.upsert import PAGE, upsert_records
from tests.killing import Killed
from tests.ledger.kit import VIEW
from tests.sync.fakes import FakeSystem, kill, names

pytestmark = [pytest.mark.ledger, pytest.mark.feature("B2", "B6")]


def bring(ledger: Ledger, system: FakeSystem, records: list[dict[str, str]], run: str = "r1") -> dict[str, int]:
    """Bring records as a task does."""
    done = upsert_records(
        company="acme",
        dag_run_id=run,
        task_id="bring",
        system=system,
        view=VIEW,
        records=records,
        match="name",
        ledger=ledger,
    )
    return dict(done.counts)


def test_a_record_that_was_deleted_is_made_again_under_a_new_key(ledger: Ledger) -> None:
    """The target remembers its keys: under the old one it would answer for the dead record, and nothing would come."""
    system = FakeSystem("books")

    def upsert(run: str) -> dict[str, int]:
        return bring(ledger, system, [{"name": "A"}, {"name": "B"}], run)

    assert upsert("r1") == {"created": 2}
    for run in ("r2", "r3"):
        system.delete(next(r.id for r in system.records.values() if r.values["name"] == "A"))
        assert upsert(run) == {"created": 1, "unchanged": 1}
        assert names(system) == ["A", "B"]
    assert upsert("r4") == {"unchanged": 2}


def test_a_record_that_comes_twice_is_made_once_however_far_apart(ledger: Ledger) -> None:
    """Two given records that agree are one record of the system, on two pages too."""
    system = FakeSystem("books", batch_size=100)
    given = [{"name": f"N{number}"} for number in range(PAGE)]
    assert bring(ledger, system, [*given, {"name": "N0"}]) == {"created": PAGE, "skipped": 1}
    assert names(system).count("N0") == 1


def test_a_record_in_doubt_is_not_made_under_another_key(ledger: Ledger) -> None:
    """A create that nobody can decide waits, whatever the record holds by now."""
    system = FakeSystem("books", after=[kill])
    with pytest.raises(Killed):
        bring(ledger, system, [{"name": "A", "phone": "1"}])
    with ledger.engine.begin() as connection:
        connection.execute(sa.text("UPDATE iw_batch SET sent_at = sent_at - interval '2 days' WHERE open"))
    (made,) = system.records
    system.records[made] = replace(system.records[made], values={"name": "renamed"})
    system.resolves = [Result.UNKNOWN]
    assert bring(ledger, system, [{"name": "A", "phone": "2"}], "r2") == {"unknown": 1}
    assert names(system) == ["renamed"]
