"""Bindings, references and write-backs."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pytest

from iw_operators.engine.model import Action, Binding, Value
from iw_operators.errors import StopFlow
from iw_operators.ledger.store import Ledger
from iw_operators.systems.base import Result
from tests.ledger.kit import applied, begin, create, ended, made, quiet, refused, sent, unknown, update

pytestmark = pytest.mark.ledger


@pytest.mark.feature("B3")
def test_a_binding_is_seen_from_both_sides(ledger: Ledger) -> None:
    """What one direction has written, the other one finds as its own base and version: no echo."""
    run = begin(ledger)
    decisions = [create("a")]
    batch = sent(ledger, run, decisions)
    source: dict[str, Value] = {"name": "Name a"}
    target: dict[str, Value] = {"name": "Name a", "balance": Decimal("12.5")}
    held: dict[str, Value] = {**target, "number": "1001"}
    as_answered = [replace(decisions[0], target=target, target_version="t9")]
    ended(ledger, run, as_answered, batch, [applied(batch.writes[0], "7", values=held, version="t9")])
    assert ledger.bindings("acme", "customers", "crm", ["a", "b"]) == {
        "a": Binding("a", "7", source, target, source_version="s1", target_version="t9", generation=1)
    }
    assert ledger.bindings("acme", "customers", "books", ["7"]) == {
        "7": Binding("7", "a", target, source, source_version="t9", target_version="s1", generation=1)
    }
    assert ledger.references("acme", "customers", "crm", ["a", "b"]) == {"a": "7"}
    assert ledger.references("acme", "customers", "books", ["7"]) == {"7": "a"}


@pytest.mark.feature("B3")
def test_an_update_renews_bases_and_versions(ledger: Ledger) -> None:
    """After an applied update both sides count as in step as they are now, in a new generation."""
    run = begin(ledger)
    made(ledger, run, "a")
    decisions = [update("a", "Ta")]
    batch = sent(ledger, run, decisions, key="b2")
    as_answered = [replace(decisions[0], target={**decisions[0].target, "name": "NEW"}, target_version="t2")]
    ended(ledger, run, as_answered, batch, [applied(batch.writes[0], version="t2", values={"name": "NEW"})])
    binding = ledger.bindings("acme", "customers", "crm", ["a"])["a"]
    assert binding == Binding("a", "Ta", {"name": "new"}, {"name": "NEW", "balance": Decimal("12.50")}, "s2", "t2", 2)


def test_an_update_planned_before_another_one_leaves_no_version(ledger: Ledger) -> None:
    """Where the binding has moved on meanwhile, neither version is trusted, so that both sides are read again."""
    run = begin(ledger)
    made(ledger, run, "a")
    for key in ("b2", "b3"):
        decisions = [update("a", "Ta", generation=1)]
        batch = sent(ledger, run, decisions, key=key)
        ended(ledger, run, decisions, batch, [applied(batch.writes[0])])
    binding = ledger.bindings("acme", "customers", "crm", ["a"])["a"]
    assert (binding.source_version, binding.target_version, binding.generation) == ("", "", 3)


def test_an_update_that_binds_makes_the_binding(ledger: Ledger) -> None:
    """A record that found its partner and differs from it is bound with the write."""
    run = begin(ledger)
    decisions = [update("a", "7", binds=True, generation=0)]
    batch = sent(ledger, run, decisions)
    ended(ledger, run, decisions, batch, [applied(batch.writes[0])])
    assert ledger.references("acme", "customers", "crm", ["a"]) == {"a": "7"}


def test_equal_records_are_bound_and_kept_up_without_a_write(ledger: Ledger) -> None:
    """An unchanged record binds, and later renews its base and versions, unless the binding has moved on."""
    run = begin(ledger)
    base: dict[str, Value] = {"name": "A"}
    same = {"target_id": "7", "source": base, "target": base, "source_version": "s1", "target_version": "t1"}
    ledger.record(run, [quiet(Action.UNCHANGED, "a", binds=True, **same)])
    assert ledger.bindings("acme", "customers", "crm", ["a"])["a"] == Binding("a", "7", base, base, "s1", "t1", 0)
    new: dict[str, Value] = {"name": "B"}
    later = {**same, "source": new, "target": new, "source_version": "s2", "target_version": ""}
    ledger.record(run, [quiet(Action.UNCHANGED, "a", **later)])
    assert ledger.bindings("acme", "customers", "crm", ["a"])["a"] == Binding("a", "7", new, new, "s2", "t1", 0)
    ledger.record(run, [quiet(Action.UNCHANGED, "a", generation=5, **same)])
    assert ledger.bindings("acme", "customers", "crm", ["a"])["a"].source_version == "s2"
    ledger.record(run, [quiet(Action.UNCHANGED, "a", target_id="7", source_version="s2")])
    assert ledger.bindings("acme", "customers", "crm", ["a"])["a"].base_source == new


@pytest.mark.feature("B2")
@pytest.mark.parametrize(
    ("source_id", "target_id", "message"),
    [
        ("b", "Ta", "books record Ta is already bound to a, so it cannot be bound to b"),
        ("a", "8", "crm record a is already bound to Ta, so it cannot be bound to 8"),
    ],
)
def test_a_second_binding_stops_the_flow(ledger: Ledger, source_id: str, target_id: str, message: str) -> None:
    """Neither side is ever bound twice; the rest of the batch is recorded, and the record says what is wrong."""
    run = begin(ledger)
    made(ledger, run, "a")
    decisions = [create(source_id), create("c")]
    batch = sent(ledger, run, decisions, key="b2")
    outcomes = [applied(batch.writes[0], target_id), applied(batch.writes[1])]
    with pytest.raises(StopFlow, match=message) as caught:
        ended(ledger, run, decisions, batch, outcomes)
    assert caught.value.code == "iw.binding_conflict"
    assert ledger.references("acme", "customers", "crm", ["a", "b", "c"]) == {"a": "Ta", "c": "Tc"}
    (row,) = ledger.log(company="acme", action="rejected")
    assert (row.source_id, row.target_id, row.operation) == (source_id, target_id, "create")
    assert message in row.why
    assert ledger.open_batches("acme", "customers") == []


def test_a_second_binding_without_a_write_stops_the_flow(ledger: Ledger) -> None:
    """The same holds for records that only found each other, and for two of one page that found the same one."""
    run = begin(ledger)
    binds = [quiet(Action.UNCHANGED, each, target_id="7", binds=True) for each in ("a", "b")]
    with pytest.raises(StopFlow, match="books record 7 is already bound to a"):
        ledger.record(run, [*binds, quiet(Action.SKIP, "c")])
    assert ledger.references("acme", "customers", "books", ["7"]) == {"7": "a"}
    assert ledger.end_mapping(run.run_id, "customers", 1, 3) == {"unchanged": 1, "skipped": 1, "rejected": 1}


def test_binding_by_hand(ledger: Ledger) -> None:
    """A person binds and unbinds; binding twice the same is no conflict."""
    for _ in range(2):
        ledger.bind("acme", "customers", crm_id="a", books_id="7")
    with pytest.raises(StopFlow, match="already bound"):
        ledger.bind("acme", "customers", crm_id="b", books_id="7")
    assert ledger.unbind("acme", "customers", "books", "7")
    assert not ledger.unbind("acme", "customers", "books", "7")
    ledger.bind("acme", "customers", crm_id="b", books_id="7")
    assert ledger.references("acme", "customers", "crm", ["a", "b"]) == {"b": "7"}


@pytest.mark.feature("B2")
def test_write_backs_are_due_until_they_are_done(ledger: Ledger) -> None:
    """Sent ones are not due, refused ones come again with the next begin, done ones never."""
    run = begin(ledger)
    made(ledger, run, "a", "b", "c")
    due = [item.crm_id for item in ledger.pending_write_backs("acme", "customers", 10)]
    assert due == ["a", "b", "c"]
    assert len(ledger.pending_write_backs("acme", "customers", 2)) == 2
    decisions = [update(crm_id, crm_id, send={"write_back.id": "T" + crm_id}) for crm_id in due]
    batch = sent(ledger, run, decisions, key="wb", kind="write_back")
    assert ledger.pending_write_backs("acme", "customers", 10) == []
    one, two, three = batch.writes
    ended(ledger, run, decisions, batch, [applied(one), refused(two), unknown(three)])
    assert ledger.pending_write_backs("acme", "customers", 10) == []
    assert ledger.end_mapping(run.run_id, "customers", 1, 3) == {"created": 3}
    rows = ledger.log(company="acme", run_id=run.run_id, limit=3)
    assert [(r.operation, r.action.value, r.source_id, r.side) for r in rows] == [
        ("write_back", "unknown", "c", "crm"),
        ("write_back", "rejected", "b", "crm"),
        ("write_back", "updated", "a", "crm"),
    ]
    assert [(c.field, c.new) for c in rows[-1].changes] == [("id", "Ta")]
    begin(ledger, dag_run_id="r2")
    assert [item.crm_id for item in ledger.pending_write_backs("acme", "customers", 10)] == ["b"]
    (left,) = ledger.open_batches("acme", "customers")
    assert (left.kind, left.side, [w.target_id for w in left.writes]) == ("write_back", "crm", ["c"])
    ended(ledger, left.run, decisions, batch, [refused(three, Result.STALE)])
    assert ledger.open_batches("acme", "customers") == []


def test_a_write_back_says_what_is_known(ledger: Ledger) -> None:
    """Id and time always; number and full name from the books' answer, or from what was in step."""
    run = begin(ledger)
    decisions = [create("a")]
    batch = sent(ledger, run, decisions)
    ended(ledger, run, decisions, batch, [applied(batch.writes[0], "7", values={"number": "1001"})])
    (item,) = ledger.pending_write_backs("acme", "customers", 10)
    now = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    assert item.values(["id", "number", "full_name", "synced_at"], now) == {
        "id": "7",
        "number": "1001",
        "synced_at": now,
    }
    assert item.values(["id"], now) == {"id": "7"}


def test_a_crm_record_made_with_its_id_needs_no_write_back(ledger: Ledger) -> None:
    """What the books' record became in the CRM carries the books' id from the beginning."""
    run = begin(ledger, source="books")
    decisions = [create("7"), create("8")]
    batch = sent(ledger, run, decisions[:1], values={"write_back.id": "7"})
    ended(ledger, run, decisions[:1], batch, [applied(batch.writes[0], "a")])
    batch = sent(ledger, run, decisions[1:], key="b2")
    ended(ledger, run, decisions[1:], batch, [applied(batch.writes[0], "b")])
    assert [item.crm_id for item in ledger.pending_write_backs("acme", "customers", 10)] == ["b"]
    assert ledger.references("acme", "customers", "crm", ["a", "b"]) == {"a": "7", "b": "8"}
