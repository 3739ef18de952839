"""Fields of which one side or both have no base yet: zeros that say nothing, and values that are newer than ours."""

from __future__ import annotations

from decimal import Decimal

import pytest

from iw_operators.engine import Action, Compiled
from iw_operators.engine.compare import Outcome, Owned, decide
from iw_operators.spec.models import Owner
from tests.engine.make import (
    DECIMAL,
    MONEY,
    NAME,
    Pair,
    field_def,
    mapped,
    mapping,
    plan_one,
    plan_update,
    record,
    to_books,
    to_crm,
)

pytestmark = pytest.mark.feature("B3")

ZERO, FIVE, SIX = Decimal("0.00"), Decimal("5.25"), Decimal("6.00")
RATED = (
    NAME,
    mapped("currency", field_def(length=3), field_def(length=3)),
    mapped("exchange_rate", field_def(DECIMAL, scale=4), field_def(DECIMAL), Owner.CRM),
)


def priced(owner: Owner) -> tuple[Compiled, Compiled]:
    """Return both ways of a mapping with a price."""
    made = mapping((NAME, mapped("price", field_def(MONEY), field_def(MONEY), owner)))
    return to_books(made), to_crm(made)


def met(price: Decimal, other: Decimal) -> Pair:
    """Return an item that both systems have, bound to nothing yet."""
    pair = Pair()
    pair.crm.put("a", {"name": "Nut", "price": price})
    pair.books.put("7", {"name": "Nut", "price": other})
    return pair


def prices(pair: Pair) -> tuple[object, object]:
    """Return the price in the CRM and that in the books."""
    return pair.crm.records["a"].values["price"], pair.books.records["7"].values["price"]


def test_a_zero_overwrites_nothing_when_two_records_meet() -> None:
    """A price of zero, which a CRM has where nobody entered one, leaves that of the books, which then comes back."""
    forward, back = priced(Owner.LATEST)
    pair = met(ZERO, FIVE)
    for _ in range(2):
        assert [each.action for each in pair.run(forward)] == [Action.UNCHANGED]
    assert prices(pair) == (ZERO, FIVE)
    pair.run(back)
    assert prices(pair) == (FIVE, FIVE)
    for compiled in (forward, back):
        assert [each.action for each in pair.run(compiled)] == [Action.UNCHANGED]


def test_a_zero_of_a_crm_that_owns_the_field_overwrites_nothing_either() -> None:
    """As with an empty text; once both were in step, each difference counts, a zero too."""
    forward, _ = priced(Owner.CRM)
    pair = met(ZERO, FIVE)
    for _ in range(2):
        pair.run(forward)
        assert prices(pair) == (ZERO, FIVE)
    for price in (SIX, ZERO):
        pair.crm.put("a", {"price": price})
        pair.run(forward)
        assert prices(pair) == (price, price)
    pair.books.put("7", {"price": FIVE})
    pair.run(forward)
    assert prices(pair) == (ZERO, ZERO)


def test_a_price_that_becomes_zero_goes() -> None:
    """Also where it was never in step: it was something, and somebody has made it zero."""
    forward, _ = priced(Owner.LATEST)
    was = record("a", name="Nut", price=ZERO), record("7", name="Nut", price=FIVE)
    decision = plan_update(forward, *was, {"name": "Nut", "price": SIX}, {"name": "Nut"})
    assert decision.send == {"price": ZERO}


def test_a_zero_of_the_books_counts_where_they_own_the_field() -> None:
    """A balance that is paid takes the place of what an earlier integration left in the CRM."""
    _, back = priced(Owner.BOOKS)
    pair = met(FIVE, ZERO)
    pair.run(back)
    assert prices(pair) == (ZERO, ZERO)


def test_a_zero_is_created_as_it_is() -> None:
    """Where there is no partner yet, there is nothing that it could overwrite."""
    forward, _ = priced(Owner.LATEST)
    assert plan_one(forward, record("a", name="Nut", price=ZERO)).send["price"] == ZERO


def test_a_newer_value_of_the_target_is_not_overwritten_by_one_that_was_never_in_step() -> None:
    """The CRM's site was empty when both met; what a user enters goes to the books, not the books' old one back."""
    made = mapping((NAME, mapped("web")))
    forward, back = to_books(made), to_crm(made)
    pair = Pair()
    pair.crm.put("a", {"name": "A", "web": None})
    pair.books.put("7", {"name": "A", "web": "old"})
    pair.run(forward)
    pair.crm.put("a", {"web": "new"})
    assert [each.action for each in pair.run(back)] == [Action.UNCHANGED]
    assert pair.crm.records["a"].values["web"] == "new"
    pair.run(forward)
    assert pair.books.records["7"].values["web"] == "new"
    assert [each.action for each in (*pair.run(back), *pair.run(forward))] == [Action.UNCHANGED] * 2


def test_only_a_newer_value_of_the_target_stays() -> None:
    """Where the target has not changed, or nobody knows, the side that the flow reads counts; so does an owner."""
    outcomes = {
        (owner, changed): decide(owner, empty=False, source_changed=None, target_changed=changed)
        for owner in (Owned.LATEST, Owned.SOURCE)
        for changed in (True, False, None)
    }
    assert [at for at, outcome in outcomes.items() if outcome is not Outcome.WRITE] == [(Owned.LATEST, True)]
    assert outcomes[Owned.LATEST, True] is Outcome.LEAVE


@pytest.mark.parametrize("currency", [None, " "])
def test_a_rate_of_zero_without_a_currency_is_no_rate(currency: str | None) -> None:
    """A sale without a currency and with a CRM's zero sends no rate, and is in step with what the books make of it."""
    compiled = to_books(mapping(RATED))
    sale = record("a", name="S", currency=currency, exchange_rate=Decimal("0.0000"))
    assert set(plan_one(compiled, sale).send) == {"name"}
    held = record("7", name="S", currency="USD", exchange_rate=Decimal(1))
    for base in ({}, {"name": "S", "currency": None, "exchange_rate": Decimal("0.0000")}):
        assert plan_update(compiled, sale, held, base, {"name": "S"}).action is Action.UNCHANGED


def test_a_rate_without_a_currency_goes() -> None:
    """What somebody entered is sent: the books know the customer's currency."""
    decision = plan_one(to_books(mapping(RATED)), record("a", name="S", exchange_rate=Decimal("1.1")))
    assert decision.send["exchange_rate"] == Decimal("1.1")
