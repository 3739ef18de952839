"""What the catalogue must know for amounts in another currency."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from iw_operators.engine.model import Line
from iw_operators.spec.catalogue import FieldDef, FieldType
from iw_operators.systems.base import Batch, Op, Outcome, Write
from sandbox.seed.world import BooksCustomer, BooksItem, World
from tests.systems.quickbooks_online.conftest import NewSite
from tests.systems.quickbooks_online.fakes import catalogue, view


@pytest.mark.feature("B5")
def test_whatever_carries_amounts_in_a_currency_carries_its_rate() -> None:
    """An object that is written with a currency and amounts has an exchange rate, so that one without is refused."""
    with_amounts = set()
    for name, definition in catalogue().objects.items():
        lines = definition.lines.fields if definition.lines else {}
        amounts = [f for f in (*definition.fields.values(), *lines.values()) if f.type is FieldType.MONEY]
        if "currency" in definition.fields and any(field.writable for field in amounts):
            with_amounts.add(name)
            assert definition.fields["exchange_rate"] == FieldDef(
                native="ExchangeRate", type=FieldType.DECIMAL, label="Exchange rate"
            )
    assert with_amounts == {"Invoice", "Payment"}


@pytest.mark.sandbox
@pytest.mark.feature("B5", "O14")
def test_the_rate_of_a_foreign_payment_arrives_with_it(new_site: NewSite) -> None:
    """Invoice and payment in euros keep the rates that they were given, digit by digit."""
    world = World(books_customers=(BooksCustomer("1", "C", currency="EUR"),), books_items=(BooksItem("1", "I"),))
    system = new_site(world).system()
    rate = Decimal("1.0873")
    lines: tuple[Line, ...] = ({"item": "1", "quantity": Decimal(1), "price": Decimal(5), "amount": Decimal(5)},)

    def made(entity: str, **values: object) -> Outcome:
        common = {"customer": "1", "currency": "EUR", "exchange_rate": rate, "date": dt.date(2026, 3, 1)}
        (outcome,) = system.write(Batch(entity, (Write(entity, Op.CREATE, view(entity), {**common, **values}),)))  # type: ignore[dict-item]  # values by name
        return outcome

    invoice = made("Invoice", lines=lines)
    assert invoice.values["exchange_rate"] == rate, invoice.error
    payment = made("Payment", total=Decimal(5), lines=({"invoice": invoice.target_id, "amount": Decimal(5)},))
    assert (payment.values["exchange_rate"], payment.values["total"]) == (rate, Decimal(5)), payment.error
