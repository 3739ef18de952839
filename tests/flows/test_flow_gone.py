"""Deletes, voids and inactivations through whole flows between both sandboxes (B6)."""

from __future__ import annotations

from typing import Any

import pytest

from iw_operators.engine.model import Action
from iw_operators.spec.models import Policy
from iw_operators.spec.resolved import ResolvedMapping, Side
from tests.flows.conftest import PAYMENTS, TO_BOOKS, TO_CRM, Company, guid

pytestmark = [pytest.mark.sandbox, pytest.mark.ledger, pytest.mark.feature("B6")]

SALE, ACCOUNT = guid(3, 1), guid(1, 1)


def replaced(company: Company, mapping: ResolvedMapping) -> None:
    """Put another form of a mapping into all its flows."""
    spec, name = company.stage.spec, mapping.mapping
    flows = {
        key: flow.model_copy(update={"mappings": tuple(mapping if m.mapping == name else m for m in flow.mappings)})
        for key, flow in spec.flows.items()
    }
    company.stage.spec = spec.model_copy(update={"flows": flows, "mappings": {**spec.mappings, name: mapping}})


def restate(company: Company, mapping: str, side: Side, policy: Policy) -> None:
    """Put another policy into a mapping."""
    made = company.stage.spec.mappings[mapping]
    kinds = dict.fromkeys(("deleted", "voided", "inactive"), policy)
    replaced(company, made.model_copy(update={"when_gone": {**made.when_gone, side: kinds}}))


def invoice(company: Company, ident: str) -> dict[str, Any] | None:
    """Return an invoice of the books."""
    return next((row for row in company.native("Invoice") if row["Id"] == ident), None)


def test_a_deleted_invoice_is_unbound_released_and_made_anew(company: Company) -> None:
    """The opportunity waits; released, it gets a new invoice, not the service's answer about the deleted one."""
    first = company.partner("invoices", SALE)
    company.book("Invoice", "delete", company.head("Invoice", first))
    assert company.moved(TO_CRM, "invoices") == {"held": 1}
    assert not company.bound("invoices", SALE)
    company.edit("Opportunity", SALE, UsrMemo="please hurry")
    assert company.moved(TO_BOOKS, "invoices") == {"held": 1}
    assert company.newest(SALE, "invoices").code == "iw.unbound"
    assert company.stage.ledger.release("acme", "invoices", "crm", SALE)
    assert company.moved(TO_BOOKS, "invoices") == {"created": 1}
    second = company.partner("invoices", SALE)
    assert second != first
    made = invoice(company, second)
    assert made is not None
    assert made["TotalAmt"] == 170
    sale = company.row("Opportunity", SALE)
    assert sale is not None
    assert sale["UsrQBId"] == second
    assert company.moved(TO_BOOKS, "invoices") == {}
    assert len(company.native("Invoice")) == 3


def test_without_a_new_generation_the_service_would_answer_for_the_dead_invoice(company: Company) -> None:
    """The sandbox replays a requestid after a delete, as the service does: this is what the generation is for."""
    body = {
        "CustomerRef": {"value": company.partner("customers", ACCOUNT)},
        "Line": [
            {
                "Amount": 1,
                "DetailType": "SalesItemLineDetail",
                "SalesItemLineDetail": {"ItemRef": {"value": company.partner("items", guid(2, 1))}},
            }
        ],
    }
    item = {"bId": "b1", "operation": "create", "Invoice": body}
    first = company.books.batch([item], "same")["b1"]["Invoice"]
    company.book("Invoice", "delete", {"Id": first["Id"], "SyncToken": first["SyncToken"]})
    again = company.books.batch([item], "same")["b1"]["Invoice"]
    assert again["Id"] == first["Id"]
    assert invoice(company, first["Id"]) is None


def test_a_voided_invoice_is_held_and_its_amounts_do_not_travel(company: Company) -> None:
    """A void is seen for what it is: the opportunity keeps its total, and a person is asked."""
    ident = company.partner("invoices", SALE)
    voided = company.book("Invoice", "void", company.head("Invoice", ident))
    assert (voided["TotalAmt"], voided["PrivateNote"]) == (0, "Voided")
    assert company.moved(TO_CRM, "invoices") == {"held": 1}
    row = company.newest(ident, "invoices")
    assert (row.code, row.action) == ("iw.source_voided", Action.HOLD)
    sale = company.row("Opportunity", SALE)
    assert sale is not None
    assert sale["UsrQBTotal"] == 170
    restate(company, "invoices", "books", Policy.IGNORE)
    company.book(
        "Invoice", "update", {**company.head("Invoice", ident), "sparse": True, "CustomerMemo": {"value": "x"}}
    )
    assert company.moved(TO_CRM, "invoices") == {"updated": 1}
    sale = company.row("Opportunity", SALE)
    assert sale is not None
    assert sale["UsrQBTotal"] == 0


@pytest.mark.parametrize(("policy", "left"), [(Policy.VOID, "voided"), (Policy.DELETE, "deleted")])
def test_a_deleted_opportunity_takes_its_invoice_with_it_where_that_is_stated(
    company: Company, policy: Policy, left: str
) -> None:
    """Creatio tells of no deletions: the sweep finds it after a week, and the invoice is voided or deleted."""
    restate(company, "invoices", "crm", policy)
    ident = company.partner("invoices", SALE)
    company.drop("Opportunity", SALE)
    assert company.moved(TO_BOOKS, "invoices") == {}
    company.wait(days=8)
    assert company.moved(TO_BOOKS, "invoices") == {"updated": 1}
    row = company.newest(SALE, "invoices")
    assert "found by a sweep" in row.why
    assert row.operation == policy.value
    found = invoice(company, ident)
    assert left == ("deleted" if found is None else "voided" if found["PrivateNote"] == "Voided" else "kept")
    assert company.bound("invoices", SALE) is (policy is Policy.VOID)
    assert company.moved(TO_CRM, "invoices") == {"skipped": 1}
    assert company.moved(TO_BOOKS, "invoices") == {}


def test_names_are_made_inactive_both_ways_and_active_again(company: Company) -> None:
    """An account made inactive takes its customer with it, back again too, and the other way round."""
    customer = company.partner("customers", ACCOUNT)

    def active() -> tuple[bool, bool]:
        account = company.row("Account", ACCOUNT)
        assert account is not None
        return account["UsrActive"], next(c for c in company.native("Customer") if c["Id"] == customer)["Active"]

    company.edit("Account", ACCOUNT, UsrActive=False)
    assert company.moved(TO_BOOKS, "customers") == {"updated": 1}
    assert active() == (False, False)
    company.run(TO_CRM)
    assert company.moved(TO_BOOKS, "customers") == {}
    company.edit("Account", ACCOUNT, UsrActive=True)
    assert company.moved(TO_BOOKS, "customers") == {"updated": 1}
    assert active() == (True, True)
    company.run(TO_CRM)
    company.book("Customer", "update", {**company.head("Customer", customer), "sparse": True, "Active": False})
    assert company.moved(TO_CRM, "customers") == {"updated": 1}
    assert active() == (False, False)
    assert company.moved(TO_BOOKS, "customers") == {}


@pytest.mark.parametrize("how", ["delete", "void"])
def test_a_payment_that_is_taken_back_leaves_the_crm(company: Company, how: str) -> None:
    """With `propagate`, a payment deleted or voided in the books is deleted in the CRM."""
    customer = company.partner("customers", ACCOUNT)
    made = company.book("Payment", "create", {"CustomerRef": {"value": customer}, "TotalAmt": 20})
    assert company.moved(PAYMENTS, "payments") == {"created": 1}
    assert len(company.rows("UsrPaymentQB")) == 1
    head = company.head("Payment", made["Id"])
    if how == "delete":
        company.book("Payment", "delete", head)
    else:
        company.book("Payment", "update", {**head, "sparse": True}, optionsData="void")
    assert company.moved(PAYMENTS, "payments") == {"updated": 1}
    assert company.rows("UsrPaymentQB") == []
    assert company.newest(made["Id"], "payments").operation == "delete"
    assert company.moved(PAYMENTS, "payments") == {}


def test_a_gap_longer_than_the_feed_is_swept(company: Company) -> None:
    """After 40 days without a run, an invoice deleted at their beginning is found, which the feed has forgotten."""
    ident = company.partner("invoices", SALE)
    company.book("Invoice", "delete", company.head("Invoice", ident))
    company.wait(days=40)
    assert company.moved(TO_CRM, "invoices") == {"held": 1}
    row = company.newest(ident, "invoices")
    assert (row.code, "found by a sweep" in row.why) == ("iw.unbound", True)
    swept = [r for r in company.stage.ledger.log(company="acme", mapping="invoices") if r.operation == "sweep"]
    assert "3 bound records looked for, 1 no longer there" in swept[0].why
    assert "tells of deletions since" in swept[0].why


def test_a_target_that_was_deleted_meanwhile_is_not_made_anew(company: Company) -> None:
    """A changed opportunity whose invoice is gone is unbound and held; no second invoice appears by itself."""
    ident = company.partner("invoices", SALE)
    company.book("Invoice", "delete", company.head("Invoice", ident))
    company.edit("Opportunity", SALE, UsrMemo="changed")
    assert company.moved(TO_BOOKS, "invoices") == {"held": 1}
    assert company.newest(SALE, "invoices").code == "iw.unbound"
    assert len(company.native("Invoice")) == 2
