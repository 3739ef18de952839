"""The loop on two systems in memory and a real ledger."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from iw_operators.engine.model import Action
from iw_operators.errors import FixRecord
from iw_operators.ledger.tables import waiting
from iw_operators.spec.models import Direction, FlowKind
from iw_operators.systems.base import Batch
from tests.sync.conftest import Bench
from tests.sync.fakes import START, names

pytestmark = pytest.mark.ledger


@pytest.mark.feature("O1")
def test_new_records_are_created_once_and_the_second_run_finds_nothing_to_do(filled: Bench) -> None:
    """Everything is created in the first run; the second one writes nothing and reports all as unchanged."""
    assert filled.run().counts == {"created": 10}
    writes = filled.books.calls.count("write")
    again = filled.run()
    assert again.counts == {"unchanged": 10}
    assert filled.books.calls.count("write") == writes
    assert names(filled.books) == names(filled.crm)


@pytest.mark.feature("B3")
def test_what_a_flow_has_written_comes_back_as_unchanged(filled: Bench) -> None:
    """The other direction sees our own writes as changes of the books and leaves both sides alone."""
    filled.run()
    crm_writes = filled.crm.calls.count("write")
    assert filled.run(Direction.TO_CRM).counts == {"unchanged": 10}
    assert filled.crm.calls.count("write") == crm_writes


def test_ids_are_written_back_in_batches(filled: Bench) -> None:
    """Each bound CRM record gets the id of its partner, in as few calls as the CRM's batch size allows."""
    filled.run(page_size=10)
    held = {r.id: r.values["write_back.id"] for r in filled.crm.records.values()}
    assert sorted(held.values(), key=str) == sorted(filled.books.records)
    assert filled.crm.calls.count("write") == 4


def test_a_refused_record_does_not_stop_the_others(filled: Bench) -> None:
    """A record that the target refuses is a row with code and advice; the rest goes on, and it is not lost."""
    filled.books.refuse = lambda write: "Nonsense" if write.values.get("name") == "Account 3" else None
    assert filled.run().counts == {"created": 9, "rejected": 1}
    row = filled.ledger.log(company="acme", action=Action.REJECT)[0]
    assert (row.code, row.advice, row.source_id) == ("6000", "Mend it.", "a3")
    filled.books.refuse = lambda _: None
    filled.crm.put("a3", name="Account 3 mended")
    assert filled.run().counts == {"created": 1, "unchanged": 9}


def test_an_update_sends_only_what_changed(filled: Bench) -> None:
    """One changed field makes one update that carries that field and nothing else."""
    filled.run()
    filled.crm.put("a5", phone="555-0199")
    assert filled.run().counts == {"updated": 1, "unchanged": 9}
    row = filled.ledger.log(company="acme", action=Action.UPDATE)[0]
    assert [(c.field, c.old, c.new) for c in row.changes] == [("phone", "555-0105", "555-0199")]


@pytest.mark.feature("B3")
def test_both_sides_changed_to_different_values_is_held_with_both(filled: Bench) -> None:
    """A field owned by the latest change, changed on both sides, is a conflict that neither direction overwrites."""
    filled.run()
    bound = filled.ledger.bindings("acme", "customers", "crm", ["a1"])["a1"].target_id
    filled.crm.put("a1", note="from the CRM")
    filled.books.put(bound, note="from the books")
    assert filled.run().counts["held"] == 1
    assert filled.run(Direction.TO_CRM).counts["held"] == 1
    assert filled.crm.records["a1"].values["note"] == "from the CRM"
    assert filled.books.records[bound].values["note"] == "from the books"


def test_a_partner_that_changes_between_reading_and_writing_is_read_again(filled: Bench) -> None:
    """A stale update is planned again from the partner as it is now, and nothing of the other change is lost."""
    filled.run()
    bound = filled.ledger.bindings("acme", "customers", "crm", ["a2"])["a2"].target_id
    filled.crm.put("a2", phone="555-0777")

    def meanwhile(_: Batch) -> None:
        filled.books.put(bound, note="meanwhile")

    filled.books.before = [meanwhile]
    assert filled.run().counts == {"updated": 1, "unchanged": 9}
    held = filled.books.records[bound].values
    assert (held["phone"], held["note"]) == ("555-0777", "meanwhile")


@pytest.mark.feature("R1")
def test_one_record_by_its_name(filled: Bench) -> None:
    """A run for one record reads, writes and counts that record alone."""
    done = filled.run(kind=FlowKind.NF, only="Account 7")
    assert (done.read, done.counts) == (1, {"created": 1})
    assert names(filled.books) == ["Account 7"]


@pytest.mark.feature("R1")
def test_one_record_that_is_not_there_or_not_one_is_a_clear_error(filled: Bench) -> None:
    """No such name and a name that several records have are told apart, with what to do."""
    with pytest.raises(FixRecord, match=r"no Account with the full name") as none:
        filled.run(kind=FlowKind.NF, only="Nobody")
    assert "spelling" in none.value.advice
    filled.crm.put("b1", name="Account 7")
    with pytest.raises(FixRecord, match=r"has 2 of Account .* a7, b1"):
        filled.run(kind=FlowKind.NF, only="Account 7")


@pytest.mark.feature("M2")
def test_a_look_alike_in_the_books_is_bound_not_created_again(filled: Bench) -> None:
    """A record of the books under a normalised equal name becomes the partner; two of them hold the record."""
    filled.books.put("old", name="ACCOUNT 1, Inc.", phone=None, note=None)
    filled.books.put("x1", name="Account 2", phone=None, note=None)
    filled.books.put("x2", name="account 2 LLC", phone=None, note=None)
    counts = filled.run().counts
    assert counts["created"] == 8
    assert counts["held"] == 1
    assert filled.ledger.references("acme", "customers", "crm", ["a1"]) == {"a1": "old"}
    row = filled.ledger.log(company="acme", action=Action.HOLD)[0]
    assert {c.id for c in row.candidates} == {"x1", "x2"}


@pytest.mark.feature("R9")
def test_every_record_read_has_a_row_with_why(filled: Bench) -> None:
    """The log has one counted row a record, each with a reason, its mapping's fingerprint and its attempt."""
    filled.run()
    rows = [r for r in filled.ledger.log(company="acme") if r.operation != "write_back"]
    assert {r.source_id for r in rows} == set(filled.crm.records)
    assert all(r.why and r.fingerprint == "f1" and r.attempt == 1 for r in rows)


@pytest.mark.feature("M2")
def test_a_held_record_is_looked_at_again_after_a_while(filled: Bench) -> None:
    """What a person decided on the other side is noticed without a change in the source, but not in every run."""
    for ident in ("x1", "x2"):
        filled.books.put(ident, name="Account 2", phone=None, note=None)
    assert filled.run().counts["held"] == 1
    del filled.books.records["x2"]
    filled.ledger.index_put("acme", "customers", "books", [("x2", "", [])])
    later = START + dt.timedelta(days=1)
    assert filled.run(since=later).read == 0
    minutes = filled.mapping.company.held_minutes
    assert filled.ledger.waiting("acme", "customers", "crm", held_for=dt.timedelta(minutes=minutes)) == []
    with filled.ledger.engine.begin() as connection:
        connection.execute(sa.update(waiting).values(noted_at=START))
    assert filled.run(since=later).read == 1
    assert filled.ledger.references("acme", "customers", "crm", ["a2"]) == {"a2": "x1"}
