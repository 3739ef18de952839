"""Utility flows that are made of mappings without being asked."""

from __future__ import annotations

import pytest

from iw_operators.spec.catalogues import Library, library
from iw_operators.spec.loader import load_all, load_flow
from iw_operators.spec.models import Direction, FlowKind, MappingSpec
from iw_operators.spec.twins import USUAL, twins
from tests.spec.demo import DEMO, Load, Write

pytestmark = pytest.mark.feature("R1")

USUALLY = ("N", "NF", "NFS", "DR", "DRS", "Bind", "Q")
VIPS = """\
mapping: vips
crm: Account
books: Customer
direction: to_books
to_books: {create_when: {field: {phone: "1"}}}
"""


def made(load: Load, changes: dict[str, str | tuple[str, str] | None] | None = None) -> set[str]:
    """Return the ids of the flows that company `demo` gets besides its written ones."""
    spec, errors = load(changes)
    assert errors == []
    assert spec is not None
    return {name for name, flow in spec.flows.items() if flow.generated}


def test_each_direction_of_each_mapping_has_its_utility_flows(load: Load) -> None:
    """A mapping of both directions gets the usual kinds in both, one of one direction in that one."""
    stems = ("PCAccount2PBCustomer", "PBCustomer2PCAccount", "PCThing2PBItem", "PCDeal2PBInvoice", "PBInvoice2PCDeal")
    assert made(load) == {f"{stem}{kind}" for stem in stems for kind in USUALLY}


def test_a_made_flow_is_a_flow_of_its_one_mapping(load: Load) -> None:
    """Kind, direction and mapping follow from the id; its file is the mapping's."""
    spec, _ = load()
    assert spec is not None
    flow = spec.flows["PBCustomer2PCAccountDRS"]
    assert (flow.kind, flow.direction) == (FlowKind.DRS, Direction.TO_CRM)
    assert [mapping.mapping for mapping in flow.mappings] == ["customers"]
    assert flow.file.endswith("customers.yaml")
    assert set(spec.written) == {"PCAcctOpp2PBCustInv", "PBCust2PCAcctNF", "PCProd2PBItemDR"}


@pytest.mark.parametrize(
    ("said", "kinds"),
    [
        ("false", ()),
        ("true", USUALLY),
        ("[]", ()),
        ("[F, BindS]", ("F", "BindS")),
        ("[N, N, DR]", ("N", "DR")),
    ],
)
def test_a_mapping_says_which_flows_are_made_of_it(said: str, kinds: tuple[str, ...], load: Load) -> None:
    """`utilities` is a list of kinds, nothing at all, or the usual ones."""
    found = made(load, {"items.yaml": ("books: Item", f"books: Item\nutilities: {said}")})
    assert {name for name in found if name.startswith("PCThing")} == {f"PCThing2PBItem{kind}" for kind in kinds}


def test_a_written_flow_takes_the_place_of_the_made_one(load: Load) -> None:
    """What flows.yaml says about an id counts, and nothing is made under it, not even when it is wrong."""
    written = "  PCThing2PBItemDR: {mappings: [items], window: 7d, operations: update_only}\n"
    spec, errors = load({"flows.yaml": DEMO["flows.yaml"] + written})
    assert errors == []
    assert spec is not None
    flow = spec.flows["PCThing2PBItemDR"]
    assert (flow.generated, flow.spec.window) == (False, "7d")
    wrong, errors = load({"flows.yaml": DEMO["flows.yaml"] + "  PCThing2PBItemDR: {mappings: [nothing]}\n"})
    assert len(errors) == 1
    assert wrong is not None
    assert "PCThing2PBItemDR" not in wrong.flows
    assert "PCThing2PBItemDRS" in wrong.flows


def test_every_flow_that_can_be_backfilled_has_a_window(load: Load) -> None:
    """DR, DRS and F may say how long the window of each of a backfill's runs is."""
    kinds = ("DR", "DRS", "F")
    written = "".join(f"  PCThing2PBItem{kind}: {{mappings: [items], window: 30d}}\n" for kind in kinds)
    spec, errors = load({"flows.yaml": DEMO["flows.yaml"] + written})
    assert errors == []
    assert spec is not None
    assert {spec.flows[f"PCThing2PBItem{kind}"].spec.window for kind in kinds} == {"30d"}


def test_two_mappings_of_the_same_objects_carry_their_names(load: Load) -> None:
    """Where two mappings would get the same id, both have the mapping's name in it; the other direction keeps its."""
    changes: dict[str, str | tuple[str, str] | None] = {
        "vips.yaml": VIPS,
        "customers.yaml": ("{create_when: {opportunity_stage: [Won]}}", "{create_when: {field: {phone: '2'}}}"),
        "invoices.yaml": None,
        "flows.yaml": "flows: {}\n",
    }
    found = made(load, changes)
    assert "PCAccount2PBCustomerN" not in found
    assert {"PCAccount2PBCustomer_customers_N", "PCAccount2PBCustomer_vips_N", "PBCustomer2PCAccountN"} <= found
    spec, _ = load(changes)
    assert spec is not None
    assert spec.flows["PCAccount2PBCustomer_vips_NFS"].mappings[0].mapping == "vips"


def test_a_direction_in_which_nothing_is_done_has_no_flows(load: Load) -> None:
    """`operations: none` in a direction leaves nothing to run there."""
    found = made(load, {"invoices.yaml": ("{operations: update_only}", "{operations: none}")})
    assert "PCDeal2PBInvoiceN" in found
    assert not any(name.startswith("PBInvoice2") for name in found)


def test_a_worker_finds_a_made_flow(write: Write, plain: Library) -> None:
    """`load_flow` gives a made flow as `load_all` does; a kind that was not asked for is not there."""
    root = write().parent
    whole, _ = load_all(root, using=plain)
    for name, expected in whole["demo"].flows.items():
        assert load_flow(root, "demo", name, using=plain) == (expected, [])
    found, errors = load_flow(root, "demo", "PCThing2PBItemF", using=plain)
    assert found is None
    assert [error.message for error in errors] == ["there is no flow 'PCThing2PBItemF'"]


def test_a_mapping_with_errors_has_no_flows(load: Load) -> None:
    """Flows are made of mappings that can run; a broken one is told of once, and its flows are not there."""
    spec, errors = load({"items.yaml": ("income_account:", "incomme_account:")})
    assert len(errors) == 1
    assert spec is not None
    assert not any(name.startswith("PCThing") for name in spec.flows)


def test_short_names_are_those_of_the_catalogues() -> None:
    """Our systems' short names make the ids that operators know."""
    crm, _ = library().catalogue("creatio")
    books, _ = library().catalogue("quickbooks_online")
    assert crm is not None
    assert books is not None
    pairs = {"customers": ("Account", "Customer"), "sales": ("Opportunity", "Invoice")}
    both = Direction.BOTH
    specs = {
        name: MappingSpec(mapping=name, crm=one, books=other, direction=both) for name, (one, other) in pairs.items()
    }
    found = twins(specs, crm, books)
    assert {"CRAcct2QBCustN", "QBCust2CRAcctNFS", "CROpp2QBInvDRS", "QBInv2CROppQ"} <= set(found)
    assert len(found) == 2 * 2 * len(USUAL)


@pytest.mark.parametrize("flows", [None, "flows: [", "flows: {}\nflows: {}\n", "flows: 5\n"])
def test_none_are_made_while_it_cannot_be_read_which_are_written(load: Load, flows: str | None) -> None:
    """One that is made must not stand in for one of the same id that permits less."""
    spec, errors = load({"flows.yaml": flows})
    assert errors
    assert spec is None or not spec.flows
