"""Invariants of money: sums to the cent, whatever the amounts, without binary floating point (B5)."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iw_operators.engine import Action, Decision, Record, Values
from iw_operators.engine import money as m
from iw_operators.engine.totals import Totals
from iw_operators.spec.models import Check, Direction, Owner
from iw_operators.spec.resolved import ResolvedMapping
from tests.engine.make import (
    DECIMAL,
    MONEY,
    NAME,
    field_def,
    mapped,
    mapping,
    money,
    plan_one,
    record,
    to_books,
    to_crm,
)

pytestmark = pytest.mark.feature("B5")

CENTS = st.decimals(min_value=-(10**9), max_value=10**9, places=2)
FINE = st.decimals(min_value=-(10**6), max_value=10**6, places=4)
LINES = (
    mapped("quantity", field_def(DECIMAL), field_def(DECIMAL)),
    mapped("price", field_def(DECIMAL), field_def(DECIMAL)),
    mapped("amount", field_def(MONEY), field_def(MONEY)),
)


def invoices(**more: Any) -> ResolvedMapping:
    """Return invoices whose CRM says what they come to: a total, a discount and a tax of their own."""
    fields = [NAME, *(mapped(name, field_def(MONEY), None, Owner.CRM) for name in ("sum", "off", "vat"))]
    made = mapping(fields, lines=LINES, direction=Direction.TO_BOOKS, **more)
    return made.model_copy(update={"check": Check(total="sum", discount="off", tax="vat")})


def sale(total: Decimal | None, *amounts: Decimal, **more: Decimal) -> Record:
    """Return a sale whose lines have these amounts."""
    lines = tuple({"quantity": None, "price": None, "amount": each} for each in amounts)
    made = record("a", name="A", sum=total, lines=lines)
    return replace(made, values={**made.values, **more})


@given(st.lists(CENTS, min_size=1, max_size=20), CENTS, CENTS)
def test_a_right_sum_always_goes_and_a_wrong_one_never_does(amounts: list[Decimal], off: Decimal, vat: Decimal) -> None:
    """Lines less discount plus tax: equal to the cent goes, one cent off is rejected with the difference."""
    compiled = to_books(invoices())
    right = sum(amounts, Decimal(0)) - off + vat
    assert plan_one(compiled, sale(right, *amounts, off=off, vat=vat)).action is Action.CREATE
    for wrong in (right + Decimal("0.01"), right - Decimal("0.01")):
        decision = plan_one(compiled, sale(wrong, *amounts, off=off, vat=vat))
        if not wrong:
            assert decision.action is Action.CREATE
            continue
        assert (decision.action, decision.code) == (Action.REJECT, "iw.total_mismatch")
        assert str(wrong - right) in decision.why


def test_what_is_not_stated_is_not_checked() -> None:
    """A record that does not say its total, or says zero as an empty amount does, or has no lines, goes as it is."""
    compiled = to_books(invoices())
    assert plan_one(compiled, sale(None, money("10.00"))).action is Action.CREATE
    assert plan_one(compiled, sale(money("0.00"), money("10.00"))).action is Action.CREATE
    assert plan_one(compiled, sale(money("99.00"))).action is Action.CREATE


def test_a_total_that_is_sent_is_checked_without_being_asked() -> None:
    """Where the mapping itself sends total, discount and tax to the books, they are checked; not on the way back."""
    names = ("total", "discount", "tax")
    fields = [NAME, *(mapped(name, field_def(MONEY), field_def(MONEY)) for name in names)]
    made = mapping(fields, lines=LINES)
    line = {"quantity": None, "price": None, "amount": money("100.00")}
    good = record("a", name="A", total=money("97.00"), discount=money("5.00"), tax=money("2.00"), lines=(line,))
    bad = record("a", name="A", total=money("100.00"), discount=money("5.00"), tax=money("2.00"), lines=(line,))
    assert plan_one(to_books(made), good).action is Action.CREATE
    assert plan_one(to_books(made), bad).code == "iw.total_mismatch"
    assert plan_one(to_crm(made), bad).action is Action.CREATE


def test_a_payment_may_be_applied_in_part() -> None:
    """A payment's lines may come to less than its total, never to more."""
    made = mapping([NAME, mapped("total", field_def(MONEY), field_def(MONEY))], lines=LINES[2:])
    compiled = to_books(made.model_copy(update={"neutral": "payment"}))
    part = record("a", name="A", total=money("100.00"), lines=({"amount": money("40.00")},))
    more = record("a", name="A", total=money("100.00"), lines=({"amount": money("100.01")},))
    assert plan_one(compiled, part).action is Action.CREATE
    assert plan_one(compiled, more).code == "iw.total_mismatch"


@given(FINE, FINE)
def test_a_line_is_price_times_quantity(quantity: Decimal, price: Decimal) -> None:
    """The product, rounded half away from zero to the cent, is right; a cent beside it passes, two cents do not."""
    exact = (quantity * price).quantize(Decimal("0.01"), ROUND_HALF_UP)
    line = {"quantity": quantity, "price": price}
    assert m.line_amount(quantity, price) == exact
    for off in (Decimal(0), Decimal("0.01"), Decimal("-0.01")):
        assert m.amount_off({**line, "amount": exact + off}) is None
    for off in (Decimal("0.02"), Decimal("-0.02")):
        assert m.amount_off({**line, "amount": exact + off}) == exact


@given(st.lists(FINE, min_size=1, max_size=30))
def test_sums_are_exact_and_rounded_once(amounts: list[Decimal]) -> None:
    """Lines are added as they are and rounded at the end: the order and the number of lines do not matter."""
    lines = [{"amount": each} for each in amounts]
    exact = sum(amounts, Decimal(0))
    assert m.lines_sum(lines) == exact
    assert m.expected_total(lines) == exact.quantize(Decimal("0.01"), ROUND_HALF_UP)
    assert m.expected_total(lines[::-1]) == m.expected_total(lines)


@given(CENTS, CENTS)
def test_a_difference_is_told_both_ways(one: Decimal, other: Decimal) -> None:
    """What differs differs by the same amount, whichever is asked first; equal amounts do not differ."""
    difference = m.differs(one, other)
    assert difference == (one - other or None)
    assert m.differs(one, one) is None
    assert m.differs(other, one) == (None if difference is None else -difference)


def test_lines_without_amounts_say_nothing_or_their_product() -> None:
    """Quantity and price stand in for an amount; a line with neither makes the sum unknown."""
    product = {"quantity": money("3"), "price": money("0.335"), "amount": None}
    assert m.lines_sum([product, {"amount": money("1.00")}]) == money("2.01")
    assert m.lines_sum([product, {"amount": None}]) is None
    assert m.lines_sum([]) is None


def written(**send: Any) -> Decision:
    """Return the decision of a write."""
    return Decision(Action.CREATE, "a", "new", send=send, source={"sum": money("10.00")})


HELD: list[tuple[Decision, Values, str]] = [
    (written(lines=({"amount": money("9.99")},)), {"total": money("9.99")}, ""),
    (written(lines=({"amount": money("9.99")},)), {"total": money("10.79")}, "0.80"),
    (written(total=money("5.00")), {"total": money("5.01")}, "0.01"),
    (written(lines=({"amount": money("9.99")},)), {}, ""),
    (written(name="A"), {"total": money("7.00")}, ""),
    (written(lines=({"amount": money("9.99")},), vat=money("0.80")), {"total": money("10.79")}, ""),
]


@pytest.mark.parametrize(("decision", "held", "difference"), HELD)
def test_what_the_target_comes_to_is_compared(decision: Decision, held: Values, difference: str) -> None:
    """A total that the target computes differently is a remark on an applied write; what is unknown is no remark."""
    names = to_books(invoices())._preparer.names
    verified = Totals(names, tax="vat").verified(decision, held)
    if not difference:
        assert verified == decision
        return
    assert (verified.code, verified.field, verified.action) == ("iw.total_differs", "total", Action.CREATE)
    assert f"difference of {difference}" in verified.why
    assert "Beta Books" in verified.advice


def test_the_stated_total_counts_for_more_than_the_lines() -> None:
    """Where the source says what it comes to, that is what the target is compared with."""
    names = to_books(invoices())._preparer.names
    decision = written(lines=({"amount": money("9.99")},))
    assert Totals(names, "sum").verified(decision, {"total": money("10.00")}).code == ""
    assert Totals(names, "sum").verified(decision, {"total": money("9.99")}).code == "iw.total_differs"
    held = replace(decision, action=Action.HOLD)
    assert Totals(names, "sum").verified(held, {"total": money("9.99")}).code == ""


def test_the_target_is_asked_for_its_total() -> None:
    """What is read back of the books holds the total that they compute, mapped or not."""
    made = mapping([NAME], lines=LINES, books_extra={"total": field_def(MONEY, writable=False)})
    assert "total" in to_books(made).target_view_fields
    assert "total" not in to_crm(made).source_view_fields
