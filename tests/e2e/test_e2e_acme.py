"""What the flows of acme did, seen from outside: python-quickbooks on one side, OData on the other."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from iw_operators.spec.models import FlowKind
from sandbox.seed import acme
from sandbox.seed.acme_names import PUNCTUATION
from tests.e2e.running import Run, Site

pytestmark = pytest.mark.e2e

BOUND = "UsrQBId ne '' and UsrQBId ne null"
EVERYTHING = f"{PUNCTUATION} 東京 שלום مرحبا 👨‍👩‍👧 Łódź “quoted” – ñ"


@pytest.mark.feature("R1", "R2")
def test_every_scheduled_flow_ran_once_with_a_real_interval(site: Site, first: dict[str, Run]) -> None:
    """The scheduler made a run of each flow when it was unpaused; it moved Query Starts to its window's end."""
    scheduled = [name for name, flow in site.spec.flows.items() if flow.kind is FlowKind.SCHEDULED]
    assert list(first) == scheduled
    for name, run in first.items():
        assert run.state == "success"
        told = site.airflow.get(run.path)
        assert told["run_type"] == "scheduled"
        start, end = (dt.datetime.fromisoformat(told[f"data_interval_{edge}"]) for edge in ("start", "end"))
        assert end - start == dt.timedelta(milliseconds=site.spec.flows[name].spec.interval_ms)
        row = site.row(run)
        assert (row.state, row.since) == ("success", None)
        history = site.stack.ledger.query_starts_history("acme", name)
        assert (history[-1].old, history[-1].new, history[-1].run_id) == (None, row.until, row.id)


@pytest.mark.feature("O1", "S1", "S2")
def test_accounts_with_a_sale_are_customers_and_know_it(site: Site, first: dict[str, Run]) -> None:
    """Each account with an id has that customer, by name and currency; each new customer belongs to one account."""
    customers = {row["Id"]: row for row in site.books.everyone("Customer")}
    accounts = site.crm.rows("Account", filter=BOUND, expand="UsrCurrency($select=ShortName)")
    assert len(accounts) > 60
    ids = Counter(account["UsrQBId"] for account in accounts)
    assert set(ids.values()) == {1}
    for account in accounts:
        customer = customers[account["UsrQBId"]]
        assert customer["CurrencyRef"]["value"] == account["UsrCurrency"]["ShortName"], account["Name"]
        assert account["UsrQBFullName"] == customer["FullyQualifiedName"]
    counts = site.counts(first["CRAcctOpp2QBCustInv"])["customers"]
    assert counts["created"] > 15
    assert counts["read"] == len(acme.build().accounts)
    assert counts["read"] == sum(number for name, number in counts.items() if name != "read")


@pytest.mark.feature("O5")
def test_products_that_were_sold_are_items(site: Site, first: dict[str, Run]) -> None:
    """Each product with an id has that item: same name, and a type from the product's kind."""
    items = {row["Id"]: row for row in site.books.everyone("Item")}
    products = site.crm.rows("Product", filter=BOUND)
    assert len(products) > 30
    for product in products:
        item = items[product["UsrQBId"]]
        assert item["Name"] == product["Name"]
        assert item["Type"] == (product["UsrItemKind"] or "Service")


@pytest.mark.feature("O6")
def test_won_opportunities_are_invoices_line_by_line(site: Site, first: dict[str, Run]) -> None:
    """Customer, lines, total, number and open balance of each invoice agree with its opportunity."""
    invoices = {row["Id"]: row for row in site.books.rows("Invoice")}
    opportunities = site.crm.rows("Opportunity", filter=BOUND, expand="Account($select=UsrQBId),Stage($select=Name)")
    lines: dict[str, list[dict[str, Any]]] = {}
    for line in site.crm.rows("OpportunityProductInterest", expand="Product($select=UsrQBId)"):
        lines.setdefault(line["OpportunityId"], []).append(line)
    compared = 0
    for opportunity in opportunities:
        invoice = invoices.get(opportunity["UsrQBId"])
        if invoice is None or opportunity["Stage"]["Name"] != "Closed won":
            continue  # a deleted invoice, or a sale that fell through
        assert invoice["CustomerRef"]["value"] == opportunity["Account"]["UsrQBId"]
        wanted = Counter(
            (line["Product"]["UsrQBId"], _exact(line["Quantity"]), _exact(line["Price"]))
            for line in lines[opportunity["Id"]]
        )
        assert _sold(invoice) == wanted, opportunity["Title"]
        assert _exact(invoice["TotalAmt"]) == _exact(opportunity["UsrQBTotal"])
        assert _exact(invoice["Balance"]) == _exact(opportunity["UsrQBBalance"])
        assert invoice["DocNumber"] == opportunity["UsrInvoiceNumber"]
        compared += 1
    assert compared > 60
    assert site.counts(first["CRAcctOpp2QBCustInv"])["invoices"]["created"] > 20


def _sold(invoice: dict[str, Any]) -> Counter[tuple[str, Decimal, Decimal]]:
    found: Counter[tuple[str, Decimal, Decimal]] = Counter()
    for line in invoice["Line"]:
        if detail := line.get("SalesItemLineDetail"):
            found[(detail["ItemRef"]["value"], _exact(detail["Qty"]), _exact(detail["UnitPrice"]))] += 1
    return found


def _exact(value: Any) -> Decimal:
    return Decimal(str(value)).normalize()


@pytest.mark.feature("O14")
def test_every_payment_is_in_the_crm_once(site: Site, first: dict[str, Run]) -> None:
    """Each payment is a record with its amounts, under the account of its customer."""
    payments = {row["Id"]: row for row in site.books.rows("Payment")}
    records = site.crm.rows("UsrPaymentQB", expand="UsrAccount($select=UsrQBId),UsrOpportunity($select=UsrQBId)")
    numbers = [record["UsrPaymentNumber"] for record in records]
    assert sorted(numbers) == sorted(payments)
    for record in records:
        payment = payments[record["UsrPaymentNumber"]]
        assert _exact(record["UsrTotalAmount"]) == _exact(payment["TotalAmt"])
        assert _exact(record["UsrUnapplied"]) == _exact(payment["UnappliedAmt"])
        assert record["UsrAccount"]["UsrQBId"] == payment["CustomerRef"]["value"]
        applied = {link["TxnId"] for line in payment["Line"] for link in line["LinkedTxn"]}
        if len(applied) == 1 and record["UsrOpportunity"]:
            assert {record["UsrOpportunity"]["UsrQBId"]} == applied


@pytest.mark.feature("E3")
def test_all_characters_arrive_unchanged_in_both_directions(site: Site, first: dict[str, Run]) -> None:
    """Punctuation, other scripts, emoji and line breaks go to the books as they are, and come back as they are."""
    account = site.crm.one("Account", filter="Name eq 'Smith & Sons'")
    there = f"to the books\n{EVERYTHING}"
    site.crm.change("Account", account["Id"], Notes=there)
    assert site.run("CRAcctOpp2QBCustInv").state == "success"
    customer = _customer(site, account["UsrQBId"])
    assert (customer["DisplayName"], customer["Notes"]) == ("Smith & Sons", there)
    back = f"to the CRM\n{EVERYTHING}"
    site.books.change("Customer", customer, Notes=back)
    assert site.run("QBCustInvoices2CRAcctOpp").state == "success"
    assert site.crm.one("Account", filter=f"Id eq {account['Id']}")["Notes"] == back


def _customer(site: Site, key: str) -> dict[str, Any]:
    (found,) = site.books.rows("Customer", f"WHERE Id = '{key}'")
    return found


@pytest.mark.feature("R1", "R2")
def test_when_nothing_changed_nothing_is_written(site: Site, first: dict[str, Run]) -> None:
    """Once both sides have settled, a run of every scheduled flow reads little and writes nothing."""
    for name in first:
        site.run(name)
    before = {name: site.stack.control(name, "stats")["by_request"] for name in ("creatio", "quickbooks_online")}
    for name in first:
        run = site.run(name)
        assert run.state == "success"
        for mapping, counts in site.counts(run).items():
            assert (name, mapping, counts.get("created", 0), counts.get("updated", 0)) == (name, mapping, 0, 0)
    for name, old in before.items():
        new = site.stack.control(name, "stats")["by_request"]
        assert not [line for line in new if line.startswith("PATCH") and new[line] != old.get(line, 0)]
