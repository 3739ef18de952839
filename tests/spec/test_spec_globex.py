"""The specs of company globex: free of errors, and what they say of QuickBooks Desktop."""

from __future__ import annotations

import pytest

from iw_operators.spec.loader import load_company
from iw_operators.spec.models import FlowKind, Owner
from iw_operators.spec.resolved import CompanySpec, MappedField, ResolvedMapping
from tests.stage import MAPPINGS

pytestmark = pytest.mark.feature("S3")

OBJECTS = {
    "customers": ("Account", "Customer"),
    "items": ("Product", "Item"),
    "invoices": ("Opportunity", "Invoice"),
    "sales_orders": ("Order", "SalesOrder"),
    "vendors": ("Account", "Vendor"),
    "bills": ("UsrBillQB", "Bill"),
    "payments": ("UsrPaymentQB", "ReceivePayment"),
}


@pytest.fixture(scope="module")
def globex() -> CompanySpec:
    """Return the company."""
    spec, errors = load_company(MAPPINGS / "globex")
    assert not errors, "\n".join(map(str, errors))
    assert spec is not None
    return spec


def test_what_maps_to_what(globex: CompanySpec) -> None:
    """Customers, items, invoices and payments as with other books; sales orders, vendors and bills besides."""
    assert {name: (m.crm_object, m.books_object) for name, m in globex.mappings.items()} == OBJECTS
    assert globex.company.books.system == "quickbooks_desktop"


def test_flows_cover_every_mapping(globex: CompanySpec) -> None:
    """Each mapping is in a scheduled flow, after those that it refers to."""
    scheduled = [flow for flow in globex.flows.values() if flow.kind is FlowKind.SCHEDULED]
    assert {m.mapping for flow in scheduled for m in flow.mappings} == set(OBJECTS)
    shifts = [flow.spec.shift_ms for flow in scheduled]
    assert len(shifts) == len(set(shifts)), "one company file: flows do not begin at the same moment"


@pytest.mark.feature("M1")
def test_account_id_binds_customers(globex: CompanySpec) -> None:
    """The account's code is kept in the custom field AccountID, belongs to the CRM, and is what binds."""
    customers = globex.mappings["customers"]
    code = field(customers, "code")
    assert code.books is not None
    assert (code.books.native, code.books.length, code.owner) == ("CustomFieldAccountID", 30, Owner.CRM)
    assert customers.bind.else_ == ("code",)


@pytest.mark.feature("M25")
def test_lengths_are_those_of_quickbooks_desktop(globex: CompanySpec) -> None:
    """41 characters and no colon in a customer's name, 31 in an item's, 20 in a bill's number."""
    limits = {
        name: field(globex.mappings[name], word).books for name, word in (("customers", "name"), ("items", "name"))
    }
    assert [limit and limit.length for limit in limits.values()] == [41, 31]
    assert all(limit and ":" in limit.forbidden for limit in limits.values())
    number = field(globex.mappings["bills"], "number").books
    assert number is not None
    assert number.length == 20


@pytest.mark.feature("M12")
def test_quickbooks_numbers_the_sales(globex: CompanySpec) -> None:
    """Numbers of invoices belong to the books and go into the CRM; those of sales orders are written back."""
    assert field(globex.mappings["invoices"], "number").owner is Owner.BOOKS
    assert set(globex.mappings["sales_orders"].write_back) >= {"id", "number"}


def field(mapping: ResolvedMapping, name: str) -> MappedField:
    """Return one field of a mapping."""
    return next(each for each in mapping.fields if each.name == name)
