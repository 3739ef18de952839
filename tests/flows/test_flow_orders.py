"""Orders and invoices of Creatio: their rates count the other way round, and their lines do not say a discount."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from iw_operators.engine import Action, Decision, Known, Record, Value, compile_mapping
from iw_operators.engine.model import Line
from iw_operators.spec.catalogue import FieldDef
from iw_operators.spec.catalogues import library
from iw_operators.spec.loader import load_company
from iw_operators.spec.models import Operations, Owner
from iw_operators.spec.resolved import MappedField
from sandbox.creatio.seed import rows
from tests.flows.conftest import guid, world
from tests.stage import MAPPINGS

pytestmark = pytest.mark.feature("B5")


def ordered(total: str) -> Decision:
    """Return what becomes of an order over one line of 100, by the mapping of `globex`."""
    spec, errors = load_company(MAPPINGS / "globex")
    assert not errors
    assert spec is not None
    compiled = compile_mapping(spec.mappings["sales_orders"], "crm", Operations.CREATE_AND_UPDATE)
    line: Line = {"item": "p", "quantity": Decimal(1), "price": Decimal(100), "amount": Decimal(100)}
    values: dict[str, Value] = {
        "customer": "c",
        "stage": "3. In progress",
        "stated_total": Decimal(total),
        "lines": (line,),
    }
    prepared, _ = compiled.prepare([Record(id=guid(6, 1), values=values)])
    return compiled.plan(prepared, Known(references={"customers": {"c": "1"}, "items": {"p": "2"}}))[0]


def test_an_order_with_a_discount_is_refused_by_name() -> None:
    """Creatio's amount of an order is after discounts, and those of its lines are before: the books would say more."""
    refused = ordered("75.00")
    assert (refused.action, refused.code) == (Action.REJECT, "iw.total_mismatch")
    assert "stated_total is 75.00" in refused.why
    assert "difference is -25.00" in refused.why
    assert ordered("100.00").action is Action.CREATE


def test_a_rate_that_counts_the_other_way_round_is_no_exchange_rate() -> None:
    """No object of Creatio gives CurrencyRate for the home units of one foreign unit that the books want."""
    catalogue, _ = library().catalogue("creatio")
    assert catalogue is not None
    natives = {
        name: d.fields["exchange_rate"].native for name, d in catalogue.objects.items() if "exchange_rate" in d.fields
    }
    assert natives == {"Opportunity": "UsrExchangeRate"}


def test_a_mapping_can_turn_the_rate_round() -> None:
    """0.9 euro for a dollar are 1.111111 dollars for a euro; one without a rate is refused."""
    spec, errors = load_company(MAPPINGS / "globex")
    assert not errors
    assert spec is not None
    turned = "(1 / currency_rate) | round(6) if currency_rate else none"
    orders = spec.mappings["sales_orders"]
    rate = MappedField(
        name="exchange_rate",
        crm=None,
        books=orders.books_def.fields["exchange_rate"],
        owner=Owner.CRM,
        to_books=turned,
    )
    currency = MappedField(
        name="currency", crm=orders.crm_def.fields["currency"], books=FieldDef(native="C"), owner=Owner.CRM
    )
    fields = (*(each for each in orders.fields if each.name not in ("currency", "exchange_rate")), currency, rate)
    compiled = compile_mapping(orders.model_copy(update={"fields": fields}), "crm", Operations.CREATE_AND_UPDATE)
    for stated, code, sent in ((Decimal("0.9"), "", Decimal("1.111111")), (Decimal(0), "iw.rate_missing", None)):
        line: Line = {"item": "p", "quantity": Decimal(1), "price": Decimal(100), "amount": Decimal(100)}
        values: dict[str, Value] = {"customer": "c", "stage": "3. In progress", "currency": "EUR", "lines": (line,)}
        prepared, _ = compiled.prepare([Record(id=guid(6, 1), values={**values, "currency_rate": stated})])
        known = Known(references={"customers": {"c": "1"}, "items": {"p": "2"}})
        decision = compiled.plan(prepared, known)[0]
        assert (decision.code, decision.send.get("exchange_rate")) == (code, sent)


def test_the_sandbox_has_rates_as_creatio_has_them() -> None:
    """Units of the currency for one of the base: the amount in the base currency is the amount by the rate."""
    build = world(1)
    sale = replace(build.opportunities[0], books_id="1", currency="EUR", exchange_rate=Decimal("1.25"))
    made = rows(replace(build, opportunities=(sale,)))
    for entity in ("Order", "Invoice"):
        (row,) = made[entity]
        assert (row["CurrencyRate"], row["Amount"], row["PrimaryAmount"]) == (8000, 17000, 21250)
    (deal,) = made["Opportunity"]
    assert deal["UsrExchangeRate"] == 12500
