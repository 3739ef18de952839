"""References that a record goes without, and gets when they are there."""

from __future__ import annotations

from typing import Any

import pytest

from iw_operators.engine.model import Action, Await
from tests.flows.conftest import PAYMENTS, Company, guid

pytestmark = [pytest.mark.sandbox, pytest.mark.ledger, pytest.mark.feature("O14")]

OPEN = guid(3, 99)
NONE = "00000000-0000-0000-0000-000000000000"


def line(company: Company) -> dict[str, Any]:
    """Return a line of an invoice over 50."""
    item = {"ItemRef": {"value": company.partner("items", guid(2, 1))}}
    return {"Amount": 50, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": item}


def paid(company: Company) -> tuple[str, str]:
    """Make an invoice that never came from the CRM, and a payment of it; return both ids."""
    customer = {"value": company.partner("customers", guid(1, 1))}
    invoice = company.book("Invoice", "create", {"CustomerRef": customer, "Line": [line(company)]})["Id"]
    applied = [{"Amount": 50, "LinkedTxn": [{"TxnId": invoice, "TxnType": "Invoice"}]}]
    payment = company.book("Payment", "create", {"CustomerRef": customer, "TotalAmt": 50, "Line": applied})["Id"]
    return invoice, payment


def only_payment(company: Company) -> dict[str, Any]:
    """Return the one payment of the CRM."""
    (row,) = company.rows("UsrPaymentQB")
    return row


def test_a_payment_goes_without_its_invoice_and_is_linked_when_that_is_bound(company: Company) -> None:
    """The money shows in the CRM at once; the link fills itself when the invoice finds its opportunity."""
    invoice, payment = paid(company)
    assert company.moved(PAYMENTS, "payments") == {"created": 1}
    row = company.newest(payment)
    assert (row.action, row.awaits) == (Action.CREATE, (Await("invoices", invoice),))
    assert only_payment(company)["UsrTotalAmount"] == 50
    assert only_payment(company)["UsrOpportunityId"] == NONE
    assert company.moved(PAYMENTS, "payments") == {}
    company.stage.ledger.bind("acme", "invoices", crm_id=OPEN, books_id=invoice)
    assert company.moved(PAYMENTS, "payments") == {"updated": 1}
    assert only_payment(company)["UsrOpportunityId"] == OPEN
    assert [c.field for c in company.newest(payment).changes] == ["invoice"]
    assert company.run(PAYMENTS)["payments"].read == 0


def test_looking_at_a_payment_again_does_not_forget_what_it_waits_for(company: Company) -> None:
    """A payment that changes, or is merely read again, before its invoice is bound still gets the link."""
    invoice, payment = paid(company)
    company.run(PAYMENTS)
    company.book("Payment", "update", {**company.head("Payment", payment), "sparse": True, "PaymentRefNum": "77"})
    assert company.moved(PAYMENTS, "payments") == {"updated": 1}
    assert only_payment(company)["UsrRefNumber"] == "77"
    company.stage.run(PAYMENTS, window=(None, company.stage.open("books").now()))
    company.stage.ledger.bind("acme", "invoices", crm_id=OPEN, books_id=invoice)
    assert company.moved(PAYMENTS, "payments") == {"updated": 1}
    assert only_payment(company)["UsrOpportunityId"] == OPEN


def test_a_link_that_a_payment_no_longer_has_is_taken_out(company: Company) -> None:
    """Applied to an invoice that the CRM does not have instead, a payment shows no link rather than the wrong one."""
    known = company.partner("invoices", guid(3, 1))
    customer = {"value": company.partner("customers", guid(1, 1))}
    other = company.book("Invoice", "create", {"CustomerRef": customer, "Line": [line(company)]})["Id"]

    def applied(invoice: str) -> list[dict[str, Any]]:
        return [{"Amount": 10, "LinkedTxn": [{"TxnId": invoice, "TxnType": "Invoice"}]}]

    body = {"CustomerRef": customer, "TotalAmt": 10}
    payment = company.book("Payment", "create", {**body, "Line": applied(known)})["Id"]
    assert company.moved(PAYMENTS, "payments") == {"created": 1}
    assert only_payment(company)["UsrOpportunityId"] == guid(3, 1)
    head = company.head("Payment", payment)
    company.book("Payment", "update", {**body, **head, "sparse": True, "Line": applied(other)})
    assert company.moved(PAYMENTS, "payments") == {"updated": 1}
    assert only_payment(company)["UsrOpportunityId"] == NONE
    company.stage.ledger.bind("acme", "invoices", crm_id=OPEN, books_id=other)
    assert company.moved(PAYMENTS, "payments") == {"updated": 1}
    assert only_payment(company)["UsrOpportunityId"] == OPEN
