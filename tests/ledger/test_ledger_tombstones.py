"""What is left of bindings that were taken away, and until when deletions are known."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from iw_operators.engine.model import Action, Await, Decision, Removal, Unbind, Unbound
from iw_operators.ledger.codec import decode_decision, encode_decision
from iw_operators.ledger.store import Ledger
from tests.ledger.kit import applied, begin, create, ended, made, quiet, refused, sent, unknown, update

pytestmark = [pytest.mark.ledger, pytest.mark.feature("B6")]

WHERE = ("acme", "customers")


def unbinding(source_id: str, *, hold: bool = True, kind: str = "deleted") -> Decision:
    """Return a decision that takes a binding away because its source is gone."""
    return quiet(Action.HOLD, source_id, target_id=f"T{source_id}", unbind=Unbind("source", kind, hold=hold))


def test_an_unbound_pair_keeps_its_generation_and_waits(ledger: Ledger) -> None:
    """Both records are known to have been bound, with the generation then, and wait for a person if that is said."""
    run = begin(ledger)
    made(ledger, run, "a", "b")
    ledger.record(run, [unbinding("a"), unbinding("b", hold=False)])
    assert not ledger.bindings(*WHERE, "crm", ["a", "b"])
    assert ledger.unbound(*WHERE, "crm", ["a", "b", "c"]) == {
        "a": Unbound("Ta", 1, held=True, kind="deleted"),
        "b": Unbound("Tb", 1, held=False, kind="deleted"),
    }
    assert ledger.unbound(*WHERE, "books", ["Ta"]) == {"Ta": Unbound("a", 1, held=True, kind="deleted")}
    assert not ledger.unbound("other", "customers", "crm", ["a"])


def test_a_release_lets_both_be_planned_again(ledger: Ledger) -> None:
    """Released from either side, both records are due in the next run, and nobody waits any more."""
    run = begin(ledger)
    made(ledger, run, "a")
    ledger.record(run, [unbinding("a")])
    assert not ledger.waiting(*WHERE, "crm")
    assert ledger.release(*WHERE, "books", "Ta")
    assert not ledger.release(*WHERE, "books", "Ta")
    assert not ledger.unbound(*WHERE, "crm", ["a"])["a"].held
    assert ledger.waiting(*WHERE, "crm") == ["a"]
    assert ledger.waiting(*WHERE, "books") == ["Ta"]


def test_a_new_binding_ends_the_wait(ledger: Ledger) -> None:
    """A record that is bound again, by hand or by a flow, waits for nobody; by hand its generation goes on."""
    run = begin(ledger)
    made(ledger, run, "a", "b")
    ledger.record(run, [unbinding("a"), unbinding("b")])
    ledger.bind(*WHERE, crm_id="a", books_id="new")
    assert ledger.bindings(*WHERE, "crm", ["a"])["a"].generation == 2
    made(ledger, run, "b", key="b2", generation=2)
    left = ledger.unbound(*WHERE, "crm", ["a", "b"])
    assert [left[each].held for each in ("a", "b")] == [False, False]


def test_generations_only_grow(ledger: Ledger) -> None:
    """Unbound twice, a record has the larger of both generations; unbinding by hand counts too."""
    run = begin(ledger)
    made(ledger, run, "a")
    assert ledger.unbind(*WHERE, "books", "Ta")
    assert not ledger.unbind(*WHERE, "books", "Ta")
    assert ledger.unbound(*WHERE, "crm", ["a"]) == {"a": Unbound("Ta", 1, held=False, kind="by hand")}
    made(ledger, run, "a", key="b2", generation=2)
    ledger.record(run, [unbinding("a")])
    assert ledger.unbound(*WHERE, "crm", ["a"])["a"].generation == 3


def test_what_is_deleted_leaves_the_match_index(ledger: Ledger) -> None:
    """The record that is gone is found under no key any more; its partner stays where it is."""
    run = begin(ledger)
    made(ledger, run, "a")
    for side, record_id in (("crm", "a"), ("books", "Ta")):
        ledger.index_put(*WHERE, side, [(record_id, "A", ["c:a"])])  # type: ignore[arg-type]  # a side
    ledger.record(run, [unbinding("a")])
    assert not ledger.candidates(*WHERE, "crm", ["c:a"])
    assert ledger.candidates(*WHERE, "books", ["c:a"])


@pytest.mark.parametrize("removal", list(Removal))
def test_a_removal_is_recorded_with_its_outcome(ledger: Ledger, removal: Removal) -> None:
    """A deleted partner ends the binding; one made inactive or voided keeps it, and the binding knows by whom."""
    run = begin(ledger)
    made(ledger, run, "a")
    unbind = Unbind("source", "deleted", hold=False) if removal is Removal.DELETE else None
    decision = update("a", "Ta", send={}, changes=(), removal=removal, unbind=unbind)
    batch = sent(ledger, run, [decision], key="b2")
    ended(ledger, run, [decision], batch, [applied(batch.writes[0])])
    bound = ledger.bindings(*WHERE, "crm", ["a"])
    if removal is Removal.DELETE:
        assert not bound
        assert ledger.unbound(*WHERE, "crm", ["a"])["a"].generation == 1
    else:
        assert bound["a"].removed == removal.value
        again = update("a", "Ta", generation=2)
        batch = sent(ledger, run, [again], key="b3")
        ended(ledger, run, [again], batch, [applied(batch.writes[0])])
        assert ledger.bindings(*WHERE, "crm", ["a"])["a"].removed == removal.value


@pytest.mark.parametrize("outcome", [refused, unknown])
def test_a_removal_that_did_not_happen_changes_no_binding(ledger: Ledger, outcome: object) -> None:
    """Refused or in doubt, the two records stay bound."""
    run = begin(ledger)
    made(ledger, run, "a")
    decision = update("a", "Ta", removal=Removal.DELETE, unbind=Unbind("source", "deleted", hold=False))
    batch = sent(ledger, run, [decision], key="b2")
    ended(ledger, run, [decision], batch, [outcome(batch.writes[0])])  # type: ignore[operator]  # makes an outcome
    assert ledger.bindings(*WHERE, "crm", ["a"])["a"].removed == ""
    assert not ledger.unbound(*WHERE, "crm", ["a"])


def test_an_intent_keeps_what_a_removal_is_about() -> None:
    """What a restart finishes has its removal, its unbinding and what it waits for."""
    decision = update(
        "a", "Ta", removal=Removal.VOID, unbind=Unbind("target", "voided", hold=True), awaits=(Await("items", "7"),)
    )
    assert decode_decision(encode_decision(decision)) == decision
    old = {k: v for k, v in encode_decision(decision).items() if k not in ("removal", "unbind", "awaits")}
    assert decode_decision(old) == replace(decision, removal=None, unbind=None, awaits=())


def test_a_record_that_went_without_references_is_due_when_one_of_them_is_there(ledger: Ledger) -> None:
    """Held records wait for all their references, those that went without some for any."""
    run = begin(ledger, mapping="payments")
    items = begin(ledger, mapping="items", dag_run_id="r2")
    awaits = (Await("items", "i1"), Await("items", "i2"))
    ledger.record(run, [quiet(Action.HOLD, "held", awaits=awaits)])
    decision = create("gone", awaits=awaits)
    batch = sent(ledger, run, [decision])
    ended(ledger, run, [decision], batch, [applied(batch.writes[0])])
    ledger.record(run, [quiet(Action.UNCHANGED, "same", target_id="Tsame", awaits=awaits)])
    assert ledger.waiting("acme", "payments", "crm") == []
    made(ledger, items, "i1", key="b9")
    assert sorted(ledger.waiting("acme", "payments", "crm")) == ["gone", "same"]
    made(ledger, items, "i2", key="b10")
    assert sorted(ledger.waiting("acme", "payments", "crm")) == ["gone", "held", "same"]
    ledger.record(run, [quiet(Action.UNCHANGED, "gone", target_id="Tgone")])
    assert sorted(ledger.waiting("acme", "payments", "crm")) == ["held", "same"]


def test_until_when_deletions_are_known(ledger: Ledger) -> None:
    """Nothing bound, nothing missed; then since the first binding; then what was noted, which never moves back."""
    assert ledger.deletions_known(*WHERE, "crm") is None
    run = begin(ledger)
    made(ledger, run, "b", "a", "c")
    first = ledger.deletions_known(*WHERE, "crm")
    assert first is not None
    noted = first + dt.timedelta(days=3)
    ledger.note_deletions(*WHERE, "crm", noted, swept=True)
    ledger.note_deletions(*WHERE, "crm", noted - dt.timedelta(days=1))
    assert ledger.deletions_known(*WHERE, "crm") == noted
    assert ledger.deletions_known(*WHERE, "books") == first
    assert ledger.bound_ids(*WHERE, "crm", "", 2) == ["a", "b"]
    assert ledger.bound_ids(*WHERE, "crm", "b", 2) == ["c"]
    assert ledger.bound_ids(*WHERE, "books", "Ta", 5) == ["Tb", "Tc"]


def test_a_sweep_has_a_row_that_counts_for_no_balance(ledger: Ledger) -> None:
    """The run's log says that a sweep was made, beside its records."""
    run = begin(ledger)
    ledger.note_sweep(run, "A sweep for deletions: 3 looked for", "iw.swept")
    (row,) = ledger.log(company="acme", run_id=run.run_id)
    assert (row.operation, row.source_id, row.code) == ("sweep", "", "iw.swept")
    assert ledger.end_mapping(run.run_id, run.mapping, run.attempt, 0) == {}
    assert ledger.summary(run.run_id)[0].read == 0
