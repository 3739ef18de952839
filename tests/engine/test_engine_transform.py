"""What a value becomes on its way, and what is refused with which words (M8, M25, E3)."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iw_operators.engine import Action, Await, Decision, Known, Record, Value, Values, compile_mapping
from iw_operators.engine.check import shortened
from iw_operators.errors import FixConfiguration
from iw_operators.spec.catalogue import FieldDef, FieldType
from iw_operators.spec.models import Operations, Owner
from iw_operators.spec.resolved import MappedField
from tests.engine.make import (
    BOOKS,
    CRM,
    DATE,
    DATETIME,
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
)

TRICKY = [
    "! @ # $ % ^ & * + { } [ ] ? > < ' \"",
    "{{ 7 * 7 }} {% raw %} ${x} %s \\n",
    "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301 ﷺ",
    "مرحبا بالعالم",
    "שלום עולם",
    "株式会社トヨタ",
    "Зоря & Сини",
    "line one\nline two\r\nline three",
    "a\tb",
    "'; DROP TABLE x; --",
    " leading and trailing ",
    "\ufeffmark",
]


def sent(field: MappedField, value: Value, **known: Any) -> Value:
    """Return what a create sends for one field."""
    decision = create(field, value, **known)
    assert decision.action is Action.CREATE, decision.why
    return decision.send.get(field.name)


def create(field: MappedField, value: Value, **known: Any) -> Decision:
    """Return the decision for a new record with one field besides its name."""
    compiled = to_books(mapping((NAME, field), company={"time_zone": "America/New_York"}))
    return plan_one(compiled, Record("a", {"name": "Acme", field.name: value}), **known)


@pytest.mark.feature("E3")
@pytest.mark.parametrize("text", TRICKY)
@pytest.mark.parametrize("kind", [FieldType.TEXT, MEMO])
def test_characters_arrive_unchanged(text: str, kind: FieldType) -> None:
    """Every character that a target does not refuse arrives as it is, towards either side."""
    field = mapped("memo", field_def(kind), field_def(kind))
    assert sent(field, text) == text
    back = plan_one(to_crm(mapping((NAME, field))), Record("1", {"name": "Acme", "memo": text}))
    assert back.send["memo"] == text


@pytest.mark.feature("E3")
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1))
def test_any_text_round_trips(text: str) -> None:
    """Any text goes through unchanged; text of blanks alone is nothing."""
    assert sent(mapped("memo"), text) == (text if text.strip() else None)


@pytest.mark.feature("M25")
def test_too_long_names_field_length_and_limit() -> None:
    """A value that is too long is rejected with the field, its length, the limit and what to do."""
    decision = plan_one(to_books(mapping((NAME,))), record("a", name="x" * 57))
    assert (decision.action, decision.code, decision.field) == (Action.REJECT, "iw.too_long", "name")
    assert decision.why == f"name is 57 characters long, {BOOKS} takes 41"
    assert decision.advice == f"Shorten it in {CRM}, or say shorten: true for name in the mapping."
    assert plan_one(to_books(mapping((NAME,))), record("a", name="x" * 41)).action is Action.CREATE


@pytest.mark.feature("M25")
def test_shortened_only_where_the_mapping_says_so() -> None:
    """With shorten: true the value is cut to the limit."""
    field = mapped("memo", books=field_def(length=10), shorten=True)
    assert sent(field, "Bright Harbour") == "Bright Har"
    assert sent(field, "Bright Ha rbour") == "Bright Ha"


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("abcdef", 3, "abc"),
        ("abe\u0301f", 3, "ab"),
        ("ab👩‍👧c", 4, "ab"),
        ("ab👩‍👧c", 5, "ab👩‍👧"),
        ("ab🏳️x", 3, "ab"),
        ("ab👍🏽", 3, "ab"),
        ("👩‍👧", 1, "👩"),
    ],
)
def test_shortening_keeps_visible_characters_whole(text: str, limit: int, expected: str) -> None:
    """A cut never leaves half of what is seen as one character."""
    assert shortened(text, limit) == expected


@given(st.text(min_size=1, max_size=30), st.integers(1, 20))
def test_shortened_is_a_beginning_within_the_limit(text: str, limit: int) -> None:
    """What shortening gives is within the limit, a beginning of the text, and not empty unless blank."""
    made = shortened(text, limit)
    assert len(made) <= limit
    assert text.startswith(made)
    assert made or not text[:limit].strip() or len(text) > limit


@pytest.mark.feature("M25")
@pytest.mark.parametrize(
    ("text", "what"),
    [("Acme: East", "':' at position 5"), ("Acme\tEast", "a tab"), ("Acme\nEast", "a line break"), ("é:", "':'")],
)
def test_refused_characters(text: str, what: str) -> None:
    """A character that the target refuses is named with its position; the record is rejected."""
    decision = plan_one(to_books(mapping((NAME,))), record("a", name=text))
    assert (decision.action, decision.code, decision.field) == (Action.REJECT, "iw.characters", "name")
    assert what in decision.why
    assert f"which {BOOKS} does not take" in decision.why
    assert CRM in decision.advice


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b", "\udfff"])
def test_characters_that_nothing_stores(text: str) -> None:
    """NUL and half surrogates are rejected, and appear in no text that has to be stored."""
    decision = create(mapped("memo"), text)
    assert (decision.action, decision.code) == (Action.REJECT, "iw.characters")
    named = plan_one(to_books(mapping((NAME,))), record("a", name=text))
    for each in (decision.why, named.why, named.label):
        each.encode()
        assert "\x00" not in each


@pytest.mark.feature("M25")
@pytest.mark.parametrize("value", [None, "", "   "])
def test_required(value: Value) -> None:
    """A required field without a value rejects a create, blanks included."""
    decision = plan_one(to_books(mapping((NAME,))), record("a", name=value))
    assert (decision.action, decision.code, decision.field) == (Action.REJECT, "iw.required", "name")
    assert decision.why == f"name is empty, {BOOKS} requires it"


@pytest.mark.feature("M25")
def test_all_problems_at_once() -> None:
    """Everything that is wrong with a record is said in one go."""
    fields = (NAME, mapped("code", books=field_def(length=3)), mapped("total", field_def(), field_def(MONEY)))
    decision = plan_one(to_books(mapping(fields)), record("a", name="a:b", code="12345", total="x"))
    assert decision.why.count(";") == 2
    for part in ("name has ':'", "code is 5 characters long", 'total is "x"'):
        assert part in decision.why


@pytest.mark.feature("M8")
@pytest.mark.parametrize(
    ("kind", "options", "value", "expected"),
    [
        (MONEY, {}, Decimal("10.005"), Decimal("10.01")),
        (MONEY, {}, Decimal("-10.005"), Decimal("-10.01")),
        (MONEY, {}, Decimal("2.675"), Decimal("2.68")),
        (MONEY, {"scale": 0}, Decimal("0.5"), Decimal(1)),
        (MONEY, {}, 3, Decimal("3.00")),
        (DECIMAL, {"scale": 4}, Decimal("1.23456"), Decimal("1.2346")),
        (DECIMAL, {}, Decimal("1.23456789"), Decimal("1.23456789")),
        (MONEY, {}, " 12.5 ", Decimal("12.50")),
        (FieldType.INTEGER, {}, Decimal("3.0"), 3),
        (FieldType.BOOLEAN, {}, "Yes", True),
        (FieldType.BOOLEAN, {}, False, False),
        (FieldType.TEXT, {}, Decimal("1E+3"), "1000"),
        (FieldType.TEXT, {}, True, "true"),
        (FieldType.TEXT, {}, dt.date(2026, 1, 31), "2026-01-31"),
        (DATE, {}, utc(2026, 3, 1, 4, 30), dt.date(2026, 2, 28)),
        (DATE, {}, utc(2026, 3, 1, 5, 0), dt.date(2026, 3, 1)),
        (DATE, {}, utc(2026, 7, 1, 3, 59), dt.date(2026, 6, 30)),
        (DATE, {}, "2026-01-31", dt.date(2026, 1, 31)),
        (DATETIME, {}, "2026-01-31T08:00:00Z", utc(2026, 1, 31, 8)),
        (DATETIME, {}, dt.date(2026, 1, 31), utc(2026, 1, 31, 5)),
        (DATE, {}, "", None),
        (MONEY, {}, "", None),
    ],
)
def test_conversions(kind: FieldType, options: dict[str, Any], value: Value, expected: Value) -> None:
    """Numbers round half away from zero to the target's places; moments become the company's dates."""
    result = sent(mapped("x", field_def(), field_def(kind, **options)), value)
    assert result == expected
    assert type(result) is type(expected)
    if isinstance(expected, Decimal) and isinstance(result, Decimal):
        assert result.as_tuple().exponent == expected.as_tuple().exponent


@pytest.mark.feature("M25")
@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        (MONEY, "ten", "iw.type"),
        (MONEY, "1,000.00", "iw.type"),
        (MONEY, "1_000", "iw.type"),
        (MONEY, Decimal("NaN"), "iw.type"),
        (MONEY, Decimal("sNaN"), "iw.type"),
        (MONEY, Decimal("Infinity"), "iw.type"),
        (MONEY, Decimal("1e999999"), "iw.type"),
        (MONEY, True, "iw.type"),
        (FieldType.TEXT, Decimal("1e999999"), "iw.type"),
        (FieldType.INTEGER, Decimal("1.5"), "iw.type"),
        (FieldType.BOOLEAN, "perhaps", "iw.type"),
        (DATE, "31/01/2026", "iw.type"),
        (DATE, "2026-02-30", "iw.type"),
        (DATETIME, dt.datetime(2026, 1, 1), "iw.type"),  # noqa: DTZ001 - a moment without a zone is the point
        (DATE, dt.datetime(1, 1, 1, tzinfo=dt.UTC), "iw.range"),
    ],
)
def test_values_that_cannot_be_converted(kind: FieldType, value: Value, code: str) -> None:
    """A value of another kind rejects its record, with field and value, and stops nothing."""
    decision = create(mapped("x", field_def(), field_def(kind)), value)
    assert (decision.action, decision.code, decision.field) == (Action.REJECT, code, "x")
    assert decision.why.startswith("x is ")


@pytest.mark.feature("M8")
def test_expressions_both_ways() -> None:
    """Each direction has its own expression."""
    field = mapped("code", to_books="'QB-' ~ value", to_crm="value | replace('QB-', '')")
    assert sent(field, "1") == "QB-1"
    assert plan_one(to_crm(mapping((NAME, field))), record("1", name="A", code="QB-1")).send["code"] == "1"


@pytest.mark.feature("M8")
def test_computed_from_other_fields_and_lines() -> None:
    """A field that only the target has is computed from what the source has, lines included."""
    amount = mapped("amount", field_def(MONEY), None)
    fields = (
        NAME,
        mapped("first", books=None),
        mapped("greeting", None, True, to_books="'Dear ' ~ first"),
        mapped("total", None, field_def(MONEY), to_books="lines | sum(attribute='amount')"),
    )
    compiled = to_books(mapping(fields, lines=(amount,)))
    assert set(compiled.source_view_lines) == {"amount"}
    lines = ({"amount": Decimal("1.05")}, {"amount": Decimal("2")})
    decision = plan_one(compiled, record("a", name="A", first="Zoë", lines=lines))
    assert decision.send == {"name": "A", "greeting": "Dear Zoë", "total": Decimal("3.05")}


def test_expression_may_use_fields_that_are_not_mapped() -> None:
    """An expression may name any field of the source's object; the view then reads it."""
    made = mapping(
        (NAME, mapped("memo", None, True, to_books="billing.city ~ '!'")), crm_extra={"billing.city": field_def()}
    )
    compiled = to_books(made)
    assert "billing.city" in compiled.source_view_fields
    assert plan_one(compiled, record("a", name="A", billing__city="Łódź")).send["memo"] == "Łódź!"


@pytest.mark.feature("M25")
def test_failing_expression_is_the_record_problem() -> None:
    """An expression that fails names the field, the expression and the reason; the next record goes on."""
    field = mapped("x", field_def(), field_def(), to_books="100 / (value | decimal)")
    compiled = to_books(mapping((NAME, field)))
    prepared, _ = compiled.prepare([record("a", name="A", x="0"), record("b", name="B", x="4")])
    bad, good = compiled.plan(prepared, Known())
    assert (bad.action, bad.code, bad.field) == (Action.REJECT, "iw.expression", "x")
    assert "`100 / (value | decimal)` fails" in bad.why
    assert good.send["x"] == "25"


def test_wrong_expression_is_the_mapping_problem() -> None:
    """A name that does not exist is found when the mapping is compiled."""
    with pytest.raises(FixConfiguration, match="`nmae`"):
        to_books(mapping((NAME, mapped("x", to_books="nmae"))))


@pytest.mark.feature("M8")
def test_value_maps_both_ways() -> None:
    """Values translate from left to right and back, whatever the capitals; the first word comes back for several."""
    field = mapped("kind", values={"Hot": "A", "Warm": "B", "Tepid": "B"})
    assert sent(field, " hot") == "A"
    assert sent(field, "Tepid") == "B"
    back = to_crm(mapping((NAME, field)))
    assert plan_one(back, record("1", name="A", kind="b")).send["kind"] == "Warm"


@pytest.mark.feature("M25")
def test_value_without_translation() -> None:
    """A value that the mapping does not translate is rejected with those that it does."""
    decision = create(mapped("kind", values={"Hot": "A", "Warm": "B"}), "Cold")
    assert (decision.action, decision.code) == (Action.REJECT, "iw.value_unmapped")
    assert decision.why == 'kind is "Cold", which the mapping\'s values do not translate'
    assert "Known are Hot, Warm" in decision.advice


@pytest.mark.feature("M8")
def test_booleans_translate() -> None:
    """A value map can turn a boolean into words and back."""
    field = mapped("active", field_def(FieldType.BOOLEAN), True, values={"true": "Open", "false": "Closed"})
    assert sent(field, True) == "Open"
    back = to_crm(mapping((NAME, field)))
    assert plan_one(back, record("1", name="A", active="closed")).send["active"] is False


@pytest.mark.feature("M8")
def test_defaults() -> None:
    """A default is sent where the source has nothing, and alone where there is no source."""
    assert sent(mapped("kind", default_books="Service"), None) == "Service"
    assert sent(mapped("kind", default_books="Service"), "Other") == "Other"
    assert sent(mapped("kind", None, True, owner=Owner.CRM, default_books="Service"), None) == "Service"
    assert sent(mapped("count", field_def(), field_def(DECIMAL), default_books=2), None) == Decimal(2)
    assert sent(mapped("kind", default_crm="Service"), None) is None


REF = mapped(
    "customer",
    FieldDef(native="A", type=FieldType.REF),
    FieldDef(native="C", type=FieldType.REF),
    ref_mapping="accounts",
)


@pytest.mark.feature("M8")
def test_references_go_through_bindings() -> None:
    """A reference arrives as the id of the partner; what is wanted is asked for per mapping."""
    compiled = to_books(mapping((NAME, REF)))
    prepared, wants = compiled.prepare([record("a", name="A", customer="guid-1"), record("b", name="B")])
    assert wants.references == {"accounts": {"guid-1"}}
    one, other = compiled.plan(prepared, Known(references={"accounts": {"guid-1": "42"}}))
    assert one.send["customer"] == "42"
    assert one.source["customer"] == "guid-1"
    assert one.target["customer"] == "42"
    assert "customer" not in other.send


@pytest.mark.feature("M8")
def test_reference_without_partner_waits() -> None:
    """A reference that has no partner yet holds its record, and says what it waits for."""
    decision = create(REF, "guid-1")
    assert (decision.action, decision.code, decision.field) == (Action.HOLD, "iw.reference_missing", "customer")
    assert decision.awaits == (Await("accounts", "guid-1"),)
    assert "guid-1 of accounts" in decision.why


def test_rejection_comes_before_waiting() -> None:
    """A record that waits for another and is wrong besides is rejected: waiting would not help."""
    decision = plan_one(to_books(mapping((NAME, REF))), record("a", name="x" * 50, customer="guid-1"))
    assert (decision.action, decision.code, decision.awaits) == (Action.REJECT, "iw.too_long", ())


@pytest.mark.feature("M8")
def test_lookups_are_made_sure_of() -> None:
    """A text of a list stays text; one that the list lacks is named before anything is sent, and waited for."""
    field = mapped("terms", books=field_def(lookup=TERMS))
    compiled = to_books(mapping((NAME, field)))
    prepared, wants = compiled.prepare([record("a", name="A", terms="Net 30")])
    assert wants.lookups == {"terms": {"Net 30"}}
    assert set(compiled.lookup_fields) == {"terms"}
    good = compiled.plan(prepared, Known(lookups={"terms": {"Net 30": "3"}}))[0]
    assert good.send["terms"] == "Net 30"
    bad = compiled.plan(prepared, Known())[0]
    assert (bad.action, bad.code, bad.field, bad.awaits) == (Action.HOLD, "iw.lookup_missing", "terms", ())
    assert bad.why == f'terms is "Net 30", which {BOOKS} does not have in its list'


LINES = (
    mapped(
        "item", FieldDef(native="P", type=FieldType.REF), FieldDef(native="I", type=FieldType.REF), ref_mapping="items"
    ),
    mapped("description", field_def(MEMO), field_def(MEMO, length=20)),
    mapped("quantity", field_def(DECIMAL), field_def(DECIMAL)),
    mapped("price", field_def(DECIMAL), field_def(DECIMAL)),
    mapped("amount", field_def(MONEY), field_def(MONEY, required=True)),
)


def line(**values: Value) -> dict[str, Any]:
    """Return a line of two at five, with some values changed."""
    return {"item": "p1", "quantity": Decimal(2), "price": Decimal(5), "amount": Decimal(10), **values}


def create_lines(*lines: dict[str, Any], required: bool = True) -> Decision:
    """Return the decision for a new record with lines."""
    compiled = to_books(mapping((NAME,), lines=LINES, lines_required=required))
    return plan_one(compiled, record("a", name="A", lines=lines), references={"items": {"p1": "I1"}})


@pytest.mark.feature("M8")
def test_lines_are_sent_whole_without_empty_fields() -> None:
    """Lines keep their order, their references become the target's ids, and empty fields are left out."""
    decision = create_lines(line(), line(description="Zoë", amount=Decimal("10.004")))
    assert decision.send["lines"] == (
        {"item": "I1", "quantity": Decimal(2), "price": Decimal(5), "amount": Decimal("10.00")},
        {"item": "I1", "description": "Zoë", "quantity": Decimal(2), "price": Decimal(5), "amount": Decimal("10.00")},
    )


@pytest.mark.feature("M25")
@pytest.mark.parametrize(
    ("bad", "code", "field"),
    [
        (line(description="x" * 21), "iw.too_long", "lines[2].description"),
        (line(amount=None), "iw.required", "lines[2].amount"),
        (line(amount=Decimal("10.02")), "iw.amount_mismatch", "lines[2].amount"),
        (line(quantity="two"), "iw.type", "lines[2].quantity"),
        (line(item="p9"), "iw.reference_missing", "lines[2].item"),
    ],
)
def test_problems_of_lines_name_the_line(bad: dict[str, Any], code: str, field: str) -> None:
    """What is wrong with a line names it by its position, counted from one."""
    decision = create_lines(line(), bad)
    assert (decision.code, decision.field) == (code, field)
    assert field in decision.why
    assert decision.action is (Action.HOLD if code == "iw.reference_missing" else Action.REJECT)


def test_amount_may_be_one_unit_off() -> None:
    """Systems round halves differently; a cent is let through."""
    assert create_lines(line(amount=Decimal("10.01"))).action is Action.CREATE


@pytest.mark.feature("M25")
def test_lines_that_are_required() -> None:
    """A record without lines is rejected where the target needs some, and goes where it does not."""
    decision = create_lines()
    assert (decision.action, decision.code, decision.field) == (Action.REJECT, "iw.required", "lines")
    assert create_lines(required=False).action is Action.CREATE


FOREIGN = (
    NAME,
    mapped("currency", field_def(length=3), field_def(length=3)),
    mapped("exchange_rate", field_def(DECIMAL, scale=4), field_def(DECIMAL)),
)


@pytest.mark.parametrize(
    ("currency", "rate", "action"),
    [
        ("EUR", None, Action.REJECT),
        ("EUR", Decimal(0), Action.REJECT),
        ("EUR", Decimal("1.0842"), Action.CREATE),
        ("USD", None, Action.CREATE),
        ("usd", None, Action.CREATE),
        (None, None, Action.CREATE),
    ],
)
def test_foreign_currency_needs_a_rate(currency: str | None, rate: Decimal | None, action: Action) -> None:
    """A transaction in another currency than the books' goes only with its exchange rate."""
    decision = plan_one(to_books(mapping(FOREIGN)), record("a", name="A", currency=currency, exchange_rate=rate))
    assert decision.action is action
    if action is Action.REJECT:
        assert decision.code == "iw.rate_missing"
        assert "EUR; the books are kept in USD" in decision.why


def test_home_currency_has_no_rate() -> None:
    """A rate of the books' own currency is not sent, and never differs from what the target makes of it."""
    compiled = to_books(mapping(FOREIGN))
    source = record("a", name="A", currency="USD", exchange_rate=Decimal(1))
    assert "exchange_rate" not in plan_one(compiled, source).send
    for rate in (None, Decimal(1)):
        target = record("7", name="A", currency="USD", exchange_rate=rate)
        assert plan_update(compiled, source, target, {}, {}).action is Action.UNCHANGED


def test_rate_is_asked_for_where_the_target_has_one() -> None:
    """Where the mapping leaves out a rate that the target has, a foreign record is rejected as well."""
    made = mapping(FOREIGN[:2], books_extra={"exchange_rate": field_def(DECIMAL)})
    assert plan_one(to_books(made), record("a", name="A", currency="EUR")).code == "iw.rate_missing"
    assert plan_one(to_books(mapping(FOREIGN[:2])), record("a", name="A", currency="EUR")).action is Action.CREATE


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=2),
    st.dates(),
    st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2100, 1, 1), timezones=st.just(dt.UTC)),  # noqa: DTZ001 - bounds
    st.booleans(),
)
def test_values_round_trip(amount: Decimal, day: dt.date, moment: dt.datetime, flag: bool) -> None:
    """What fits goes to the books and comes back as it was."""
    fields = (
        NAME,
        mapped("amount", field_def(MONEY), field_def(MONEY)),
        mapped("day", field_def(DATE), field_def(DATE)),
        mapped("moment", field_def(DATETIME), field_def(DATETIME)),
        mapped("flag", field_def(FieldType.BOOLEAN), field_def(FieldType.BOOLEAN)),
    )
    made = mapping(fields)
    values: Values = {"name": "A", "amount": amount, "day": day, "moment": moment, "flag": flag}
    there = plan_one(to_books(made), Record("a", values)).send
    assert there == values
    assert plan_one(to_crm(made), Record("1", there)).send == values


def test_unknown_time_zone() -> None:
    """A time zone that does not exist is the company's problem, said at once."""
    with pytest.raises(FixConfiguration, match="Mars/Olympus"):
        compile_mapping(mapping((NAME,), company={"time_zone": "Mars/Olympus"}), "crm", Operations.CREATE_AND_UPDATE)
