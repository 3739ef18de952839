"""What a plan decides for records with and without partner (M3, M4, B3)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from iw_operators.engine import Action, Binding, Candidate, Change, Decision, Known, Record, Value, Values
from iw_operators.engine.model import Scalar
from iw_operators.errors import FixConfiguration
from iw_operators.spec.catalogue import FieldDef, FieldType
from iw_operators.spec.models import Direction, Operations, Owner, Way
from tests.engine.make import (
    BOOKS,
    CRM,
    DECIMAL,
    MEMO,
    MONEY,
    NAME,
    TERMS,
    field_def,
    mapped,
    mapping,
    plan_one,
    plan_update,
    record,
    to_books,
    to_crm,
    utc,
    when,
)


def fields_of(owner: Owner) -> tuple[Any, ...]:
    """Return a name and a phone with an owner."""
    return (NAME, mapped("phone", owner=owner))


def update(
    owner: Owner, now: Value, target: Value, base: tuple[Value, Value] | None, *, direction: str = "to_books"
) -> Decision:
    """Return the decision about a bound record whose phone is as given; `base` is (source's, target's)."""
    compiled = (to_books if direction == "to_books" else to_crm)(mapping(fields_of(owner)))
    base_source: Values = {"name": "Acme"} | ({"phone": base[0]} if base else {})
    base_target: Values = {"name": "Acme"} | ({"phone": base[1]} if base else {})
    source = record("a", "v2", name="Acme", phone=now)
    return plan_update(compiled, source, record("7", "v3", name="Acme", phone=target), base_source, base_target)


OLD, NEW, OTHER = "1-old", "2-new", "3-other"


@pytest.mark.feature("B3")
@pytest.mark.parametrize(
    ("owner", "now", "target", "base", "expected"),
    [
        # the source owns the field
        (Owner.CRM, NEW, OLD, (OLD, OLD), NEW),
        (Owner.CRM, OLD, OTHER, (OLD, OLD), OLD),
        (Owner.CRM, NEW, OTHER, (OLD, OLD), NEW),
        (Owner.CRM, OLD, OLD, (OLD, OLD), "same"),
        (Owner.CRM, NEW, OTHER, None, NEW),
        (Owner.CRM, None, OTHER, None, "left"),
        (Owner.CRM, None, OLD, (OLD, OLD), None),
        (Owner.CRM, None, OTHER, (None, None), "left"),
        # the target owns the field
        (Owner.BOOKS, NEW, OLD, (OLD, OLD), "left"),
        (Owner.BOOKS, NEW, None, None, "left"),
        # whichever changed last
        (Owner.LATEST, NEW, OLD, (OLD, OLD), NEW),
        (Owner.LATEST, OLD, NEW, (OLD, OLD), "left"),
        (Owner.LATEST, NEW, NEW, (OLD, OLD), "same"),
        (Owner.LATEST, NEW, OTHER, (OLD, OLD), "conflict"),
        (Owner.LATEST, None, OLD, (OLD, OLD), None),
        (Owner.LATEST, OLD, None, (OLD, OLD), "left"),
        (Owner.LATEST, NEW, None, (OLD, OLD), "conflict"),
        (Owner.LATEST, None, NEW, (OLD, OLD), "conflict"),
        # first meeting: the flow's source counts, but nothing does not overwrite something
        (Owner.LATEST, NEW, OTHER, None, NEW),
        (Owner.LATEST, NEW, None, None, NEW),
        (Owner.LATEST, None, OTHER, None, "left"),
        (Owner.LATEST, NEW, NEW, None, "same"),
        # in step although written differently on the two sides
        (Owner.LATEST, "long form", "long", ("long form", "long"), "left"),
    ],
)
def test_three_way_comparison(
    owner: Owner, now: Value, target: Value, base: tuple[Value, Value] | None, expected: Value
) -> None:
    """Owner and base decide whether a difference is written, left to the other direction, or a conflict."""
    decision = update(owner, now, target, base)
    if expected == "conflict":
        assert (decision.action, decision.code, decision.field) == (Action.HOLD, "iw.conflict", "phone")
        assert decision.changes == (Change("phone", target, now),)
        for value in (now, target, OLD):
            assert ("nothing" if value is None else str(value)) in decision.why
        assert CRM in decision.why
        assert BOOKS in decision.why
    elif expected in ("same", "left"):
        assert (decision.action, decision.send, decision.changes) == (Action.UNCHANGED, {}, ())
        assert decision.source["phone"] == now
        if expected == "same":
            assert decision.target["phone"] == target
        elif base is None:
            assert "phone" not in decision.target
        else:
            assert decision.target["phone"] == base[1]
    else:
        assert decision.action is Action.UPDATE
        assert decision.send == {"phone": expected}
        assert decision.changes == (Change("phone", target, expected),)
        assert decision.target["phone"] == expected
        assert decision.target_version == "v3"


@pytest.mark.feature("B3")
def test_owners_seen_from_the_other_direction() -> None:
    """Towards the CRM the books' fields are the source's and the CRM's are left alone."""
    assert update(Owner.BOOKS, NEW, OLD, (OLD, OLD), direction="to_crm").send == {"phone": NEW}
    assert update(Owner.CRM, NEW, OLD, (OLD, OLD), direction="to_crm").action is Action.UNCHANGED


@pytest.mark.feature("B3")
def test_expression_changes_with_what_it_uses() -> None:
    """A computed field of `latest` counts as changed when any field that it uses has changed, mapped or not."""
    fields = (NAME, mapped("greeting", to_books="'Dear ' ~ first", to_crm="value"))
    compiled = to_books(mapping(fields, crm_extra={"first": field_def()}))
    assert plan_one(compiled, record("a", name="A", first="Zoë")).source["first"] == "Zoë"
    base_source, base_target = {"name": "A", "first": "Zoë", "greeting": None}, {"name": "A", "greeting": "Dear Zoë"}
    target = record("7", name="A", greeting="Hi Zoë")
    kept = plan_update(compiled, record("a", name="A", first="Zoë"), target, base_source, base_target)
    assert kept.action is Action.UNCHANGED
    held = plan_update(compiled, record("a", name="A", first="Zoe"), target, base_source, base_target)
    assert held.code == "iw.conflict"
    in_step = record("7", name="A", greeting="Dear Zoë")
    written = plan_update(compiled, record("a", name="A", first="Zoe"), in_step, base_source, base_target)
    assert written.send == {"greeting": "Dear Zoe"}


@pytest.mark.feature("B3")
@pytest.mark.parametrize(
    ("direction", "back", "action"),
    [
        (Direction.BOTH, Operations.CREATE_AND_UPDATE, Action.UNCHANGED),
        (Direction.BOTH, Operations.UPDATE_ONLY, Action.UNCHANGED),
        (Direction.BOTH, Operations.CREATE_ONLY, Action.UPDATE),
        (Direction.BOTH, Operations.NONE, Action.UPDATE),
        (Direction.TO_BOOKS, Operations.CREATE_AND_UPDATE, Action.UPDATE),
    ],
)
def test_latest_without_a_way_back_is_the_source(direction: Direction, back: Operations, action: Action) -> None:
    """Where nothing ever comes back, a field of `latest` follows the source."""
    compiled = to_books(mapping(fields_of(Owner.LATEST), direction=direction, to_crm=Way(operations=back)))
    base = {"name": "Acme", "phone": OLD}
    decision = plan_update(compiled, record("a", **base), record("7", name="Acme", phone=NEW), base, base)
    assert decision.action is action


@pytest.mark.feature("M3")
@pytest.mark.parametrize(
    ("operations", "bound", "new"),
    [
        (Operations.CREATE_AND_UPDATE, Action.UPDATE, Action.CREATE),
        (Operations.CREATE_ONLY, Action.SKIP, Action.CREATE),
        (Operations.UPDATE_ONLY, Action.UPDATE, Action.SKIP),
        (Operations.NONE, Action.SKIP, Action.SKIP),
    ],
)
def test_operations(operations: Operations, bound: Action, new: Action) -> None:
    """Only the permitted operations are planned; the reason says what is not."""
    compiled = to_books(mapping((NAME,)), operations)
    changed = plan_update(compiled, record("a", name="New"), record("7", name="Old"), {"name": "Old"}, {"name": "Old"})
    fresh = plan_one(compiled, record("b", name="Bolt"))
    assert (changed.action, fresh.action) == (bound, new)
    for decision in (changed, fresh):
        assert decision.why
        if decision.action is Action.SKIP:
            assert decision.send == {}


@pytest.mark.feature("M3")
def test_create_only_binds_without_writing() -> None:
    """A way that only creates binds what it finds, leaves its values, and does not call them in step."""
    from iw_operators.engine import Candidate

    compiled = to_books(mapping(fields_of(Owner.LATEST)), Operations.CREATE_ONLY)
    source = record("a", name="Acme", phone=NEW)
    decision = plan_one(
        compiled,
        source,
        candidates={str(compiled.match_key(source.values)): [Candidate("7", "Acme")]},
        targets={"7": record("7", name="Acme", phone=OLD)},
    )
    assert (decision.action, decision.binds, decision.send) == (Action.UNCHANGED, True, {})
    assert decision.target == {"name": "Acme"}


@pytest.mark.feature("M4")
@pytest.mark.parametrize(
    ("conditions", "facts", "values", "created"),
    [
        ({}, (), {}, True),
        ({"opportunity": "created"}, ("created", "Proposal"), {}, True),
        ({"opportunity": "created"}, (), {}, False),
        ({"opportunity": "won"}, ("created", "Proposal"), {}, False),
        ({"opportunity": "won"}, ("created", "won", "Closed won"), {}, True),
        ({"opportunity_stage": ["Closed won", "Contracting"]}, ("created", "closed WON"), {}, True),
        ({"opportunity_stage": ["Closed won"]}, ("created", "Proposal"), {}, False),
        ({"field": {"kind": "Customer"}}, (), {"kind": "customer"}, True),
        ({"field": {"kind": ["Customer", "Partner"]}}, (), {"kind": "Partner"}, True),
        ({"field": {"kind": "Customer"}}, (), {"kind": None}, False),
        ({"field": {"approved": True}}, (), {"approved": True}, True),
        ({"field": {"approved": True}}, (), {"approved": False}, False),
        ({"field": {"level": 3}}, (), {"level": Decimal("3.0")}, True),
        ({"field": {"kind": "Customer"}, "opportunity": "won"}, (), {"kind": "Customer"}, False),
        ({"field": {"kind": "Customer"}, "opportunity": "won"}, ("won",), {"kind": "Customer"}, True),
    ],
)
def test_create_when(
    conditions: dict[str, Any], facts: tuple[str, ...], values: dict[str, Scalar], created: bool
) -> None:
    """A record without partner is created when all that the mapping states holds, else skipped with the reason."""
    extra = {"kind": field_def(), "approved": field_def(FieldType.BOOLEAN), "level": field_def(DECIMAL)}
    compiled = to_books(mapping((NAME,), to_books=when(**conditions), crm_extra=extra))
    assert compiled.facts == (frozenset({"opportunity"}) if "opportunity" in str(conditions) else frozenset())
    for name in conditions.get("field", {}):
        assert name in compiled.source_view_fields
    decision = plan_one(compiled, Record("a", {"name": "Acme", **values}, facts=frozenset(facts)))
    assert decision.action is (Action.CREATE if created else Action.SKIP)
    if not created:
        assert "not created, for" in decision.why


@pytest.mark.feature("M4")
def test_create_when_field_has_to_exist() -> None:
    """A condition on a field that the source does not have is found when the mapping is compiled."""
    with pytest.raises(FixConfiguration, match="create_when needs kind"):
        to_books(mapping((NAME,), to_books=when(field={"kind": "x"})))


@pytest.mark.feature("M4")
def test_conditions_come_before_problems() -> None:
    """A record that is not to be created yet is not rejected for what it holds."""
    compiled = to_books(mapping((NAME,), to_books=when(opportunity="won")))
    assert plan_one(compiled, record("a", name="x" * 99)).action is Action.SKIP


@pytest.mark.feature("M4")
def test_conditions_do_not_concern_partners() -> None:
    """A record that has a partner is updated whether or not it would be created."""
    compiled = to_books(mapping((NAME,), to_books=when(opportunity="won")))
    assert plan_update(compiled, record("a", name="New"), record("7", name="Old"), {}, {}).action is Action.UPDATE


def test_object_that_cannot_be_created() -> None:
    """Where the target's catalogue says that an object is not made there, nothing is created."""
    decision = plan_one(to_books(mapping((NAME,), creatable=False)), record("a", name="A"))
    assert decision.action is Action.SKIP


def test_create_sends_what_there_is() -> None:
    """A create sends every value that it may, and remembers what both sides then have."""
    fields = (
        NAME,
        mapped("phone"),
        mapped("email"),
        mapped("balance", field_def(MONEY), field_def(MONEY, writable=False), owner=Owner.BOOKS),
        mapped("terms", owner=Owner.BOOKS),
        mapped("kind", books=field_def(required=True), owner=Owner.BOOKS),
        mapped("currency", books=field_def(create_only=True), owner=Owner.CRM),
    )
    source = record("a", "v9", name="Acme", phone="1", balance=Decimal(5), terms="Net 30", kind="K", currency="USD")
    decision = plan_one(to_books(mapping(fields)), source)
    assert decision.action is Action.CREATE
    assert decision.send == {"name": "Acme", "phone": "1", "kind": "K", "currency": "USD"}
    assert decision.source == {**dict.fromkeys(each.name for each in fields), **source.values}
    assert decision.target == {"name": "Acme", "phone": "1", "email": None, "currency": "USD"}
    assert decision.changes[0] == Change("name", None, "Acme")
    assert (decision.source_version, decision.generation, decision.label) == ("v9", 0, "Acme")
    assert f"no partner found in {BOOKS} by name" in decision.why


def test_create_only_fields_are_not_updated() -> None:
    """A field that can be set at creation alone is left in an update, and so are its problems."""
    compiled = to_books(mapping((NAME, mapped("currency", books=field_def(create_only=True, length=3)))))
    target = record("7", name="Acme", currency="USD")
    for currency in ("EUR", "EURO"):
        decision = plan_update(compiled, record("a", name="Acme", currency=currency), target, {}, {})
        assert decision.action is Action.UNCHANGED
    assert plan_one(compiled, record("a", name="Acme", currency="EURO")).action is Action.REJECT


def test_update_sends_only_what_changed() -> None:
    """An update carries the changed fields and nothing else."""
    compiled = to_books(mapping((NAME, mapped("phone"), mapped("email"))))
    base = {"name": "Acme", "phone": "1", "email": "e"}
    decision = plan_update(compiled, record("a", **{**base, "phone": "2"}), record("7", "v3", **base), base, base)
    assert decision.send == {"phone": "2"}
    assert decision.changes == (Change("phone", "1", "2"),)
    assert decision.why == "bound; phone differs"


def test_clearing_a_required_field() -> None:
    """Emptying what the target requires rejects the record rather than the target's value."""
    base = {"name": "Acme"}
    decision = plan_update(to_books(mapping((NAME,))), record("a", name=None), record("7", **base), base, base)
    assert (decision.action, decision.code) == (Action.REJECT, "iw.required")


def test_default_does_not_overwrite() -> None:
    """A default fills what is empty in the target; what stands there stays."""
    compiled = to_books(mapping((NAME, mapped("kind", default_books="Service"))))
    source = record("a", name="Acme")
    assert plan_update(compiled, source, record("7", name="Acme", kind="Other"), {}, {}).action is Action.UNCHANGED
    assert plan_update(compiled, source, record("7", name="Acme"), {}, {}).send == {"kind": "Service"}


@pytest.mark.parametrize(
    ("field", "now", "target"),
    [
        (mapped("x"), " Acme ", "Acme"),
        (mapped("x", field_def(MEMO), field_def(MEMO)), "a\r\nb", "a\nb"),
        (mapped("x", field_def(MONEY), field_def(MONEY)), Decimal("5"), Decimal("5.00")),
        (mapped("x", field_def(DECIMAL), field_def(DECIMAL, scale=2)), Decimal("1.005"), Decimal("1.0051")),
        (mapped("x", books=field_def(lookup=TERMS)), "net 30", "Net 30"),
        (
            mapped("x", field_def(FieldType.DATETIME), field_def(FieldType.DATETIME)),
            utc(2026, 1, 1, 1, 1, 1, 5),
            utc(2026, 1, 1, 1, 1, 1),
        ),
        (mapped("x"), "", None),
    ],
)
def test_same_although_written_differently(field: Any, now: Value, target: Value) -> None:
    """Blanks around text, line breaks, trailing zeros, a list's capitals and fractions of a second are no change."""
    compiled = to_books(mapping((NAME, field)))
    decision = plan_update(
        compiled, Record("a", {"name": "A", "x": now}), Record("7", {"name": "A", "x": target}), {}, {}
    )
    assert decision.action is Action.UNCHANGED


def test_two_words_for_one() -> None:
    """Where two words of the CRM stand for one of the books, either is the same coming back."""
    compiled = to_crm(mapping((NAME, mapped("kind", owner=Owner.BOOKS, values={"Hot": "A", "Boiling": "A"}))))
    source = record("7", name="A", kind="A")
    assert plan_update(compiled, source, record("a", name="A", kind="Boiling"), {}, {}).action is Action.UNCHANGED
    assert plan_update(compiled, source, record("a", name="A", kind="Cold"), {}, {}).send == {"kind": "Hot"}


def test_deleted_and_inactive_sources() -> None:
    """A deleted or inactive source with a partner is held where nothing else is stated, without one skipped."""
    compiled = to_books(mapping((NAME,)))
    binding = Binding("a", "7", {}, {})
    target = record("7", name="Old")
    gone = replace(record("a"), deleted=True)
    held = plan_one(compiled, gone, bindings={"a": binding}, targets={"7": target})
    assert (held.action, held.code, held.target_id) == (Action.HOLD, "iw.source_deleted", "7")
    assert plan_one(compiled, gone).action is Action.SKIP
    inactive = replace(record("a", name="New"), active=False)
    assert plan_one(compiled, inactive).action is Action.SKIP
    held = plan_one(compiled, inactive, bindings={"a": binding}, targets={"7": target})
    assert (held.action, held.code) == (Action.HOLD, "iw.source_inactive")


@pytest.mark.parametrize("targets", [{}, {"7": replace(record("7", name="A"), deleted=True)}])
def test_missing_partner_is_not_created_again(targets: dict[str, Record]) -> None:
    """A bound record whose partner is gone is held, never created silently."""
    bindings = {"a": Binding("a", "7", {}, {})}
    decision = plan_one(to_books(mapping((NAME,))), record("a", name="A"), bindings=bindings, targets=targets)
    assert (decision.action, decision.code, decision.target_id) == (Action.HOLD, "iw.target_missing", "7")


def test_record_that_comes_twice_counts_once() -> None:
    """The second appearance of a record in a page is skipped with the reason."""
    compiled = to_books(mapping((NAME,), bind={"by": "criteria", "else": []}))
    prepared, _ = compiled.prepare([record("a", name="A"), record("a", name="A")])
    assert [each.action for each in compiled.plan(prepared, Known())] == [Action.CREATE, Action.SKIP]


def test_generation_and_versions_are_handed_on() -> None:
    """A decision carries the binding's generation and the version that the target was read at."""
    binding = Binding("a", "7", {}, {}, generation=4)
    compiled = to_books(mapping((NAME,)))
    decision = plan_one(
        compiled,
        record("a", "v2", name="New"),
        bindings={"a": binding},
        targets={"7": record("7", "v3", name="Old")},
    )
    assert (decision.generation, decision.source_version, decision.target_version) == (4, "v2", "v3")


PRICE = mapped("price", field_def(DECIMAL), field_def(DECIMAL))
AMOUNT = mapped("amount", field_def(MONEY), field_def(MONEY))


def lines(*values: tuple[str | None, str | None]) -> tuple[dict[str, Scalar], ...]:
    """Return lines of price and amount."""
    return tuple(
        {"price": Decimal(price) if price else None, "amount": Decimal(amount) if amount else None}
        for price, amount in values
    )


@pytest.mark.parametrize(
    ("now", "target", "base", "changed"),
    [
        (lines(("1", "1")), lines(("1.00", "1.0")), None, False),
        (lines(("1", None)), lines(("1", "1")), None, False),
        (lines(("1", "2")), lines(("1", "1")), None, True),
        (lines(("1", "1"), ("2", "2")), lines(("2", "2"), ("1", "1")), None, True),
        (lines(("1", "1"), ("2", "2")), lines(("1", "1")), None, True),
        (lines(("1", None)), lines(("1", "1")), (lines(("1", "1")), lines(("1", "1"))), True),
        (lines(), lines(("1", "1")), None, False),
        (lines(), lines(("1", "1")), (lines(("1", "1")), lines(("1", "1"))), True),
    ],
)
def test_lines_are_compared_and_sent_whole(now: Any, target: Any, base: Any, changed: bool) -> None:
    """Lines count as one value: order matters, and what the source leaves empty says nothing unless it changed."""
    compiled = to_books(mapping((NAME,), lines=(PRICE, AMOUNT), direction=Direction.TO_BOOKS))
    base_source: Values = {"name": "A"} | ({"lines": base[0]} if base else {})
    base_target: Values = {"name": "A"} | ({"lines": base[1]} if base else {})
    source = record("a", name="A", lines=now)
    decision = plan_update(compiled, source, record("7", name="A", lines=target), base_source, base_target)
    assert decision.action is (Action.UPDATE if changed else Action.UNCHANGED)
    if changed:
        (change,) = decision.changes
        assert (change.field, change.old, change.new) == ("lines", target, now)
        assert set(decision.send) == {"lines"}
        assert isinstance(decision.send["lines"], tuple)
        assert len(decision.send["lines"]) == len(now)


@pytest.mark.feature("B3")
def test_lines_of_latest_can_conflict() -> None:
    """Lines that changed on both sides to different values hold the record."""
    compiled = to_books(mapping((NAME,), lines=(PRICE, AMOUNT)))
    base: dict[str, Value] = {"name": "A", "lines": lines(("1", "1"))}
    source, target = record("a", name="A", lines=lines(("2", "2"))), record("7", name="A", lines=lines(("3", "3")))
    decision = plan_update(compiled, source, target, base, base)
    assert (decision.action, decision.code, decision.field) == (Action.HOLD, "iw.conflict", "lines")
    kept = plan_update(compiled, Record("a", base), target, base, base)
    assert kept.action is Action.UNCHANGED
    assert kept.target["lines"] == base["lines"]


def test_reference_of_a_field_that_is_left_is_not_missed() -> None:
    """A `latest` reference that did not change does not hold its record when its partner is unknown."""
    ref = FieldDef(native="R", type=FieldType.REF)
    compiled = to_books(mapping((NAME, mapped("customer", ref, ref, ref_mapping="accounts"))))
    source = record("a", name="New", customer="g1")
    base_source, base_target = {"name": "Old", "customer": "g1"}, {"name": "Old", "customer": "42"}
    decision = plan_update(compiled, source, record("7", name="Old", customer="42"), base_source, base_target)
    assert decision.send == {"name": "New"}


@pytest.mark.feature("B3")
def test_echo_needs_no_target() -> None:
    """What came back because we wrote it ends as unchanged without reading the target; a real change does not."""
    compiled = to_crm(mapping((NAME, mapped("phone"))))
    binding = Binding("7", "a", {"name": "Acme", "phone": None}, {"name": "Acme", "phone": None}, generation=2)
    decision = compiled.echo(record("7", "v5", name="Acme "), binding)
    assert decision is not None
    assert (decision.action, decision.source_version, decision.target) == (Action.UNCHANGED, "v5", binding.base_target)
    assert (decision.label, decision.generation, decision.target_id) == ("Acme ", 2, "a")
    assert compiled.echo(record("7", name="Bolt"), binding) is None
    assert compiled.echo(record("7", name="Acme"), Binding("7", "a", {"name": "Acme"}, {})) is None
    assert compiled.echo(record("7", name="Acme"), Binding("7", "a", {}, {})) is None
    assert compiled.echo(replace(record("7"), deleted=True), binding) is None


def test_base_after_takes_what_the_target_made_of_it() -> None:
    """What the target answers counts for what was sent; what it filled in by itself stays out of the base."""
    compiled = to_books(mapping((NAME, mapped("terms")), lines=(PRICE, AMOUNT)))
    decision = plan_one(compiled, record("a", name=" Acme ", lines=lines(("1", None))))
    assert decision.target == {"name": " Acme ", "terms": None, "lines": lines(("1", None))}
    held: Values = {"name": "Acme", "terms": "Net 30", "lines": lines(("1.00", "1")), "extra": "x"}
    assert compiled.base_after(decision, held) == {"name": "Acme", "terms": None, "lines": lines(("1.00", None))}
    assert compiled.base_after(decision, {}) == decision.target


@pytest.mark.feature("B3")
@pytest.mark.parametrize(("direction", "kept"), [(Direction.BOTH, ""), (Direction.TO_BOOKS, "5")])
def test_version_after_a_write(direction: Direction, kept: str) -> None:
    """Where the other direction runs too, a write's version is not taken for one that was read as a source."""
    compiled = to_books(mapping((NAME,), direction=direction))
    assert (compiled.version_after("5"), compiled.returns) == (kept, not kept)


def test_views_carry_what_is_needed_and_no_more() -> None:
    """Each side's view has the mapped fields, what matching and messages need, and the id field of the CRM."""
    made = mapping(
        (NAME, mapped("only", books=None), mapped("theirs", None, True)),
        bind={"by": "id", "else": ["name", "phone"]},
        id_field=True,
        crm_extra={"phone": field_def(), "unused": field_def()},
        books_extra={"phone": field_def(), "unused": field_def()},
    )
    forth, back = to_books(made), to_crm(made)
    assert set(forth.source_view_fields) == {"name", "only", "phone", "bind.id"}
    assert set(forth.target_view_fields) == {"name", "theirs", "phone"}
    assert (set(back.source_view_fields), set(back.target_view_fields)) == (
        set(forth.target_view_fields),
        set(forth.source_view_fields),
    )


def test_criteria_have_to_exist_on_both_sides() -> None:
    """A criterion that a side does not have is found when the mapping is compiled."""
    with pytest.raises(FixConfiguration, match=f"bind needs phone, which {BOOKS}'s Customer lacks"):
        to_books(mapping((NAME,), bind={"by": "id", "else": ["phone"]}, crm_extra={"phone": field_def()}))


@pytest.mark.feature("M2")
def test_an_inactive_partner_found_by_name_is_held_not_revived() -> None:
    """A record that agrees in name with an inactive one waits for a person, who knows which of them is meant."""
    compiled = to_books(mapping([NAME]))
    asleep = Record(id="7", values={"name": "Acme"}, active=False)
    found = {key: [Candidate("7", "Acme")] for key in compiled.index_keys(asleep.values, "7")}
    decision = plan_one(compiled, record("a", name="Acme"), candidates=found, targets={"7": asleep})
    assert (decision.action, decision.code) == (Action.HOLD, "iw.target_inactive")
    assert "is inactive in Beta Books" in decision.why
