"""What is decided about a bound pair of which one is gone, whatever the states and policies (B6)."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from iw_operators.engine import Action, Await, Binding, Candidate, Decision, Record, Values, compile_mapping
from iw_operators.engine.model import Removal, Unbound
from iw_operators.spec.catalogue import FieldType
from iw_operators.spec.models import Operations, Owner, Policy
from iw_operators.spec.resolved import Kind, ResolvedMapping
from tests.engine.make import NAME, field_def, mapped, mapping, plan_one, record, to_books

pytestmark = pytest.mark.feature("B6")

KINDS: tuple[Kind, ...] = ("deleted", "voided", "inactive")
STATES: tuple[Kind | None, ...] = (None, *KINDS)
POLICIES = [each for each in Policy if each is not Policy.PROPAGATE]
REMOVALS = {Policy.DEACTIVATE: Removal.DEACTIVATE, Policy.VOID: Removal.VOID, Policy.DELETE: Removal.DELETE}
BINDING = Binding("a", "7", {"name": "A"}, {"name": "A"}, generation=4)


def in_state(made: Record, state: Kind | None) -> Record:
    """Return a record that is gone in this way."""
    flags: dict[str, Any] = {"deleted": {"deleted": True}, "voided": {"voided": True}, "inactive": {"active": False}}
    return replace(made, **flags.get(str(state), {}))


def stated(made: ResolvedMapping, crm: Policy = Policy.HOLD, books: Policy = Policy.HOLD) -> ResolvedMapping:
    """Return a mapping with a policy for each side."""
    gone = {"crm": dict.fromkeys(KINDS, crm), "books": dict.fromkeys(KINDS, books)}
    return made.model_copy(update={"when_gone": gone})


def decided(
    made: ResolvedMapping, here: Kind | None, there: Kind | None, binding: Binding = BINDING, name: str = "A"
) -> Decision:
    """Return the decision for a pair in these states."""
    partner = in_state(record("7", name="A"), there)
    targets = {} if there == "deleted" else {"7": partner}
    source = in_state(record("a", version="2", name=name), here)
    return plan_one(to_books(made), source, bindings={"a": binding}, targets=targets)


@pytest.mark.parametrize(("crm", "books"), [*itertools.product(POLICIES, POLICIES)])
def test_every_state_under_every_policy(crm: Policy, books: Policy) -> None:
    """Nothing is created for a bound record; what is removed is what is stated; a binding goes only where it should."""
    made = stated(mapping((NAME,)), crm, books)
    for here, there in itertools.product(STATES, STATES):
        decision = decided(made, here, there)
        assert decision.action is not Action.CREATE
        assert decision.why
        if decision.removal is not None:
            assert here is not None
            assert decision.removal is REMOVALS[crm]
            assert there not in ("deleted", here)
            assert (decision.action, decision.target_version) == (Action.UPDATE, "1")
        if decision.unbind is not None and decision.unbind.hold:
            assert decision.action is Action.HOLD
            assert (crm if decision.unbind.gone == "source" else books) is Policy.UNBIND
        if here is None and there is None:
            assert decision.action is Action.UNCHANGED
        if here == there == "deleted":
            assert decision.unbind is not None
            assert not decision.unbind.hold


def test_hold_is_what_happens_where_nothing_is_stated() -> None:
    """A mapping that says nothing holds whatever is gone on either side, with what to do about it."""
    for here, there in (("deleted", None), ("voided", None), ("inactive", None), (None, "deleted"), (None, "voided")):
        decision = decided(mapping((NAME,)), here, there)  # type: ignore[arg-type]  # mypy widens the words of a tuple
        assert decision.action is Action.HOLD
        assert decision.advice


def test_a_removal_remembers_what_both_held_before() -> None:
    """The base stays as it was, so that what changes while a record is inactive goes when it is active again."""
    active = mapped("active", field_def(FieldType.BOOLEAN), field_def(FieldType.BOOLEAN))
    binding = replace(BINDING, base_source={"name": "A", "active": True}, base_target={"name": "A", "active": True})
    decision = decided(stated(mapping((NAME, active)), crm=Policy.DEACTIVATE), "inactive", None, binding, name="B")
    assert decision.source == {"name": "A", "active": False}
    assert decision.target == {"name": "A", "active": False}
    assert decision.send == {}
    assert decision.generation == 4


def test_a_flow_that_only_creates_removes_nothing() -> None:
    """Removing counts as updating: a direction that may only create skips it and says so."""
    compiled = compile_mapping(stated(mapping((NAME,)), crm=Policy.DELETE), "crm", Operations.CREATE_ONLY)
    source = in_state(record("a"), "deleted")
    decision = plan_one(compiled, source, bindings={"a": BINDING}, targets={"7": record("7", name="A")})
    assert (decision.action, decision.removal) == (Action.SKIP, None)
    assert "only creates" in decision.why


def test_what_we_made_inactive_is_made_active_with_its_source() -> None:
    """Where the mapping brings the field, a record that is active again takes its partner along; else a person does."""
    active = mapped("active", field_def(FieldType.BOOLEAN), field_def(FieldType.BOOLEAN))
    base: Values = {"name": "A", "active": False}
    binding = replace(BINDING, base_source=base, base_target=base, removed="deactivate")
    partner = replace(record("7", name="A", active=False), active=False)
    source = record("a", version="2", name="A", active=True)
    compiled = to_books(mapping((NAME, active)))
    decision = plan_one(compiled, source, bindings={"a": binding}, targets={"7": partner})
    assert decision.send == {"active": True}
    without = decided(mapping((NAME,)), None, "inactive", replace(BINDING, removed="deactivate"))
    assert (without.action, without.code) == (Action.HOLD, "iw.target_inactive")


def test_a_record_that_was_unbound_waits_and_is_then_made_in_a_new_generation() -> None:
    """Held it is neither matched nor created; released it is, beyond the generation of any earlier binding."""
    compiled = to_books(mapping((NAME,)))
    source = record("a", name="A")
    held = plan_one(compiled, source, unbound={"a": Unbound("7", 4, held=True)})
    assert (held.action, held.code) == (Action.HOLD, "iw.unbound")
    made = plan_one(compiled, source, unbound={"a": Unbound("7", 4)})
    assert (made.action, made.generation) == (Action.CREATE, 5)
    key = next(iter(compiled.prepare([source])[1].keys))
    known: dict[str, Any] = {"candidates": {key: [Candidate("8", "A")]}, "targets": {"8": record("8", name="A")}}
    found = plan_one(compiled, source, unbound={"a": Unbound("7", 4)}, **known)
    assert (found.binds, found.generation) == (True, 5)
    kept = plan_one(compiled, source, held_targets={"8"}, **known)
    assert (kept.action, kept.code) == (Action.HOLD, "iw.unbound")


def test_an_id_of_a_partner_that_is_known_to_be_gone_holds_nobody_up() -> None:
    """A released record whose own field still names the deleted partner is created; any other unknown id is held."""
    made = mapping((NAME,), bind={"by": "id", "id_field": "X"}, id_field=True)
    source = record("a", name="A", **{"bind.id": "7"})
    assert plan_one(to_books(made), source).code == "iw.target_missing"
    assert plan_one(to_books(made), source, unbound={"a": Unbound("7", 0)}).action is Action.CREATE
    assert plan_one(to_books(made), source, unbound={"a": Unbound("6", 0)}).code == "iw.target_missing"


CUSTOMER = mapped(
    "customer",
    field_def(FieldType.REF, ref="customer"),
    field_def(FieldType.REF, ref="customer"),
    Owner.LATEST,
    ref="customer",
    ref_mapping="customers",
    optional=True,
)


def test_an_optional_reference_is_left_out_and_waited_for() -> None:
    """A create goes without the reference, remembers no version and no base of it, and says what it waits for."""
    compiled = to_books(mapping((NAME, CUSTOMER)))
    made = plan_one(compiled, record("a", name="A", customer="c9"))
    assert (made.action, dict(made.send)) == (Action.CREATE, {"name": "A"})
    assert made.awaits == (Await("customers", "c9"),)
    assert made.source_version == ""
    assert "customer" not in made.source


def test_an_optional_reference_goes_when_it_is_there_although_nothing_else_changed() -> None:
    """Once the partner is bound the field is sent, for either owner, and nothing is waited for any more."""
    source = record("a", name="A", customer="c9")
    partner = record("7", name="A", customer=None)
    binding = Binding("a", "7", {"name": "A"}, {"name": "A", "customer": None})
    compiled = to_books(mapping((NAME, CUSTOMER)))
    known: dict[str, Any] = {"bindings": {"a": binding}, "targets": {"7": partner}}
    waiting = plan_one(compiled, source, **known)
    assert (waiting.action, waiting.awaits) == (Action.UNCHANGED, (Await("customers", "c9"),))
    done = plan_one(compiled, source, references={"customers": {"c9": "77"}}, **known)
    assert (done.action, dict(done.send), done.awaits) == (Action.UPDATE, {"customer": "77"}, ())
    assert done.source_version == "1"
    assert compiled.echo(source, replace(binding, base_source=waiting.source)) is None
