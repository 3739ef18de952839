"""Single values that would stop or spoil more than they are worth: typos, zeros, entries of lists to come."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from iw_operators.engine.model import Action
from iw_operators.ledger.store import Ledger
from iw_operators.ledger.tables import waiting
from iw_operators.spec.loader import load_company
from iw_operators.systems.creatio.batch import Part
from tests.flows.conftest import OLD, TO_BOOKS, TO_CRM, Company, guid, world
from tests.stage import MAPPINGS, stage, without_overlap

pytestmark = [pytest.mark.sandbox, pytest.mark.ledger]

TYPED, OTHER, ACCOUNT = guid(3, 0), guid(3, 1), guid(1, 0)


@pytest.fixture
def customised(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Company]:
    """Return the small company, in step, with the due date in a custom field, which is text to QuickBooks."""
    shutil.copytree(MAPPINGS / "acme", tmp_path / "acme")
    file = tmp_path / "acme" / "invoices.yaml"
    text = file.read_text()
    assert "  due_date: {owner: crm}\n" in text
    file.write_text(text.replace("due_date: {owner: crm}", "due_date: {books: CustomField.Region, owner: latest}"))
    spec, errors = load_company(tmp_path / "acme")
    assert not errors
    assert spec is not None
    with stage(world(), ledger, monkeypatch.setenv) as made:
        made.spec = without_overlap(spec)
        company = Company(made)
        for flow in (TO_BOOKS, TO_CRM, TO_CRM):
            company.run(flow)
        yield company


def enter(company: Company, text: str) -> None:
    """Write something into the custom field of an invoice, as a bookkeeper does."""
    ident = company.partner("invoices", TYPED)
    invoice = next(row for row in company.native("Invoice") if row["Id"] == ident)
    custom = [{**each, "StringValue": text} if each["Name"] == "Region" else each for each in invoice["CustomField"]]
    company.book("Invoice", "update", {**company.head("Invoice", ident), "sparse": True, "CustomField": custom})


@pytest.mark.feature("M25", "R10")
def test_a_typo_in_a_custom_field_stops_one_record_and_neither_way(customised: Company) -> None:
    """The invoice is refused with field and value; a payment of another one arrives, and the CRM's changes go."""
    company = customised
    enter(company, "next week")
    paid = [{"Amount": 170, "LinkedTxn": [{"TxnId": company.partner("invoices", OTHER), "TxnType": "Invoice"}]}]
    customer = {"value": company.partner("customers", guid(1, 1))}
    company.book("Payment", "create", {"CustomerRef": customer, "TotalAmt": 170, "Line": paid})
    assert company.moved(TO_CRM, "invoices") == {"rejected": 1, "updated": 1}
    row = company.newest(company.partner("invoices", TYPED), "invoices")
    assert (row.action, row.code, row.field) == (Action.REJECT, "iw.type", "due_date")
    assert 'due_date is "next week"' in row.why
    sale = company.row("Opportunity", OTHER)
    assert sale is not None
    assert sale["UsrQBBalance"] == 0
    company.edit("Opportunity", TYPED, UsrMemo="three")
    assert company.moved(TO_BOOKS, "invoices") == {"updated": 1}
    enter(company, "2027-01-31")
    assert company.moved(TO_CRM, "invoices") == {"updated": 1}
    mended = company.row("Opportunity", TYPED)
    assert mended is not None
    assert mended["DueDate"].startswith("2027-01-31")


@pytest.mark.feature("B3")
def test_a_price_that_nobody_entered_leaves_that_of_the_books(company: Company) -> None:
    """Creatio has zero where a product has no price; the item that it meets in the books keeps its own."""
    (like,) = (row for row in company.native("Item") if row["Id"] == company.partner("items", guid(2, 1)))
    account = {"IncomeAccountRef": like["IncomeAccountRef"]}
    made = company.book("Item", "create", {"Name": "Nut", "Type": "NonInventory", "UnitPrice": 5.25, **account})
    company.wait(seconds=5)
    product = guid(2, 77)
    wanted = {"Id": guid(4, 777), "OpportunityId": guid(3, 1), "ProductId": product, "Quantity": 1, "Amount": 0}
    for part in (
        Part("POST", "Product", {"Id": product, "Name": "Nut"}),
        Part("POST", "OpportunityProductInterest", wanted),
    ):
        (answer,) = company.crm.write([part])
        assert answer.status == 201, answer
    company.run(TO_BOOKS)
    assert company.partner("items", product) == made["Id"]
    (item,) = (row for row in company.native("Item") if row["Id"] == made["Id"])
    assert float(item["UnitPrice"]) == 5.25


@pytest.mark.feature("M8")
def test_a_record_goes_by_itself_when_the_list_has_its_entry(company: Company) -> None:
    """Terms that the books lack hold the customer; once they are there, it goes without anybody touching it."""
    company.edit("Account", ACCOUNT, UsrPaymentTerms="Net 77")
    assert company.moved(TO_BOOKS, "customers") == {"held": 1}
    row = company.newest(ACCOUNT, "customers")
    assert (row.code, row.field) == ("iw.lookup_missing", "terms")
    assert "goes by itself" in row.advice
    assert company.moved(TO_BOOKS, "customers") == {}
    company.book("Term", "create", {"Name": "Net 77", "DueDays": 77})
    with company.stage.ledger.engine.begin() as connection:
        connection.execute(sa.update(waiting).values(noted_at=OLD))
    assert company.moved(TO_BOOKS, "customers") == {"updated": 1}
    assert company.stage.ledger.open_failures("acme", "customers", "crm") == []
