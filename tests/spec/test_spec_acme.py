"""The company of the demo: its specs are right and say what they are meant to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from iw_operators.spec.loader import load_all, load_company
from iw_operators.spec.models import Direction, FlowKind, Operations
from iw_operators.spec.resolved import CompanySpec

MAPPINGS = Path(__file__).resolve().parents[2] / "mappings"


@pytest.fixture(scope="module")
def acme() -> CompanySpec:
    """Company acme, free of errors."""
    spec, errors = load_company(MAPPINGS / "acme")
    assert [str(error) for error in errors] == []
    assert spec is not None
    return spec


def test_all_specs_of_the_repository_are_free_of_errors() -> None:
    """Every company in `mappings/` loads without an error."""
    specs, errors = load_all(MAPPINGS)
    assert [str(error) for error in errors] == []
    assert "acme" in specs


@pytest.mark.feature("R1")
@pytest.mark.parametrize(
    ("flow", "kind", "direction", "mappings"),
    [
        ("CRAcctOpp2QBCustInv", FlowKind.SCHEDULED, Direction.TO_BOOKS, ("customers", "items", "invoices")),
        ("QBCustInvoices2CRAcctOpp", FlowKind.SCHEDULED, Direction.TO_CRM, ("customers", "invoices")),
        ("QBItem2CRProd", FlowKind.SCHEDULED, Direction.TO_CRM, ("items",)),
        ("QBPmt2CRPmt", FlowKind.SCHEDULED, Direction.TO_CRM, ("payments",)),
        ("QBCust2CRAcctNF", FlowKind.NF, Direction.TO_CRM, ("customers",)),
        ("CRAcct2QBCustDR", FlowKind.DR, Direction.TO_BOOKS, ("customers",)),
    ],
)
def test_flows(flow: str, kind: FlowKind, direction: Direction, mappings: tuple[str, ...], acme: CompanySpec) -> None:
    """The six flows have their kinds, directions and mappings in order."""
    found = acme.flows[flow]
    assert (found.kind, found.direction) == (kind, direction)
    assert tuple(mapping.mapping for mapping in found.mappings) == mappings
    assert found.dag_id == f"acme.{flow}"
    assert set(acme.flows) >= {flow}


@pytest.mark.feature("M3", "M4")
def test_what_may_be_created_where(acme: CompanySpec) -> None:
    """Customers, items and invoices are made for won opportunities; the scheduled way back only updates."""
    back = acme.flows["QBCustInvoices2CRAcctOpp"]
    assert {back.operations(mapping) for mapping in back.mappings} == {Operations.UPDATE_ONLY}
    one = acme.flows["QBCust2CRAcctNF"]
    assert one.operations(acme.mappings["customers"]) is Operations.CREATE_AND_UPDATE
    for name in ("customers", "items", "invoices"):
        assert acme.mappings[name].to_books.create_when.opportunity_stage == ("Closed won",)
    assert acme.mappings["invoices"].to_crm.operations is Operations.UPDATE_ONLY


@pytest.mark.feature("M8")
def test_owners_of_invoices(acme: CompanySpec) -> None:
    """Number, total and balance come from the books, everything else of an invoice from the CRM."""
    owners = {field.name: field.owner.value for field in acme.mappings["invoices"].fields}
    assert {name for name, owner in owners.items() if owner == "books"} == {"number", "total", "balance"}
    assert set(owners.values()) == {"crm", "books"}
    assert {field.owner.value for field in acme.mappings["invoices"].lines} == {"crm"}


def test_references(acme: CompanySpec) -> None:
    """Invoices refer to customers and items, payments to customers and invoices."""
    assert acme.mappings["invoices"].depends == ("customers", "items")
    assert acme.mappings["payments"].depends == ("customers", "invoices")


@pytest.mark.feature("M8")
def test_a_customer_sync_is_about_ten_lines() -> None:
    """The customers' mapping is short: what both systems know needs no line."""
    lines = (MAPPINGS / "acme" / "customers.yaml").read_text().splitlines()
    assert len([line for line in lines if line.strip() and not line.lstrip().startswith("#")]) <= 11
