"""Records that a hand-written DAG brings, after one of them was deleted in the target."""

from __future__ import annotations

import pytest

from iw_operators.ledger.store import Ledger
from iw_operators.upsert import upsert_records
from tests.ledger.kit import VIEW
from tests.sync.fakes import FakeSystem, names

pytestmark = [pytest.mark.ledger, pytest.mark.feature("B2", "B6")]


def test_a_record_that_was_deleted_is_made_again_under_a_new_key(ledger: Ledger) -> None:
    """The target remembers its keys: under the old one it would answer for the dead record, and nothing would come."""
    system = FakeSystem("books")

    def upsert(run: str) -> dict[str, int]:
        done = upsert_records(
            company="acme",
            dag_run_id=run,
            task_id="bring",
            system=system,
            view=VIEW,
            records=[{"name": "A"}, {"name": "B"}],
            match="name",
            ledger=ledger,
        )
        return dict(done.counts)

    assert upsert("r1") == {"created": 2}
    for run in ("r2", "r3"):
        system.delete(next(r.id for r in system.records.values() if r.values["name"] == "A"))
        assert upsert(run) == {"created": 1, "unchanged": 1}
        assert names(system) == ["A", "B"]
    assert upsert("r4") == {"unchanged": 2}
