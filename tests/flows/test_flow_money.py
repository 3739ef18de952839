"""Money on its way through whole flows: refused before it is sent, compared after (B5)."""

from __future__ import annotations

import pytest

from iw_operators.engine.model import Action
from iw_operators.spec.models import Check
from tests.flows.conftest import TO_BOOKS, Company, guid
from tests.flows.test_flow_gone import replaced

pytestmark = [pytest.mark.sandbox, pytest.mark.ledger, pytest.mark.feature("B5")]

SALE = guid(3, 1)


def line_of(company: Company) -> str:
    """Return the Id of a line of the sale."""
    return next(str(row["Id"]) for row in company.rows("OpportunityProductInterest") if row["OpportunityId"] == SALE)


def check_amount(company: Company) -> None:
    """Have the lines checked against the opportunity's own amount."""
    mapping = company.stage.spec.mappings["invoices"]
    replaced(company, mapping.model_copy(update={"check": Check(total="stated_total")}))


def test_lines_that_do_not_come_to_the_stated_total_are_refused(company: Company) -> None:
    """The record is rejected with both amounts and the difference; the books keep what they have."""
    check_amount(company)
    company.edit("Opportunity", SALE, Amount=171.5)
    assert company.moved(TO_BOOKS, "invoices") == {"rejected": 1}
    row = company.newest(SALE, "invoices")
    assert row.code == "iw.total_mismatch"
    assert "stated_total is 171.5" in row.why
    assert "the difference is 1.50" in row.why
    company.edit("Opportunity", SALE, Amount=170, UsrMemo="mended")
    assert company.moved(TO_BOOKS, "invoices") == {"updated": 1}


def test_price_times_quantity_is_checked_line_by_line(company: Company) -> None:
    """A line whose amount is not quantity x price is refused with what it should be."""
    company.edit("OpportunityProductInterest", line_of(company), Amount=140)
    assert company.moved(TO_BOOKS, "invoices") == {"rejected": 1}
    row = company.newest(SALE, "invoices")
    assert row.code == "iw.amount_mismatch"
    assert "is 135.00" in row.why


def test_a_total_that_the_books_compute_differently_is_shown(company: Company) -> None:
    """The write stands; its row carries a code, both totals and the difference, and the task's log a warning."""
    ident = company.partner("invoices", SALE)
    head = company.head("Invoice", ident)
    invoice = next(row for row in company.native("Invoice") if row["Id"] == ident)
    discount = {
        "Amount": 17,
        "DetailType": "DiscountLineDetail",
        "DiscountLineDetail": {"PercentBased": True, "DiscountPercent": 10},
    }
    company.book("Invoice", "update", {**head, "sparse": True, "Line": [*invoice["Line"][:2], discount]})
    company.edit("OpportunityProductInterest", line_of(company), Quantity=2, Amount=180)
    assert company.moved(TO_BOOKS, "invoices") == {"updated": 1}
    row = company.newest(SALE, "invoices")
    assert (row.action, row.code, row.field) == (Action.UPDATE, "iw.total_differs", "total")
    assert "makes the total 193.5" in row.why
    assert "expected was 215.00" in row.why
    assert "-21.50" in row.why
    assert row.advice
