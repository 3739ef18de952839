"""A broken spec takes down what depends on it and nothing else."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iw_operators.spec.catalogues import Library
from iw_operators.spec.loader import load_all, load_company
from tests.spec.demo import DEMO, Changes, Load, Write

WHOLE = {"PCAcctOpp2PBCustInv", "PBCust2PCAcctNF", "PCProd2PBItemDR"}
CASES: dict[str, tuple[Changes, set[str], set[str]]] = {
    "a flow with a wrong key": (
        {"flows.yaml": ("window: 12h", "windw: 12h")},
        {"customers", "items", "invoices"},
        WHOLE - {"PCProd2PBItemDR"},
    ),
    "a flow with a wrong id": (
        {"flows.yaml": ("PCProd2PBItemDR:", "PCProd&ItemDR:")},
        {"customers", "items", "invoices"},
        WHOLE - {"PCProd2PBItemDR"},
    ),
    "a mapping with a wrong field": (
        {"items.yaml": ("income_account:", "incomeaccount:")},
        {"customers", "invoices"},
        {"PBCust2PCAcctNF"},
    ),
    "a mapping that is not YAML": (
        {"customers.yaml": "mapping: [customers"},
        {"items"},
        {"PCProd2PBItemDR"},
    ),
    "a mapping that refers to one with a wrong field": (
        {"customers.yaml": ("balance: {crm: X_Balance}", "balance: {crm: Balance}")},
        {"items", "invoices"},
        {"PCProd2PBItemDR"},
    ),
    "a mapping that overlaps with another": (
        {"more.yaml": "mapping: zz_more\ncrm: Thing\nbooks: Item\nfields: {income_account: {default_books: S}}\n"},
        {"customers", "items"},
        {"PBCust2PCAcctNF", "PCProd2PBItemDR"},
    ),
    "a key of flows.yaml": (
        {"flows.yaml": ("flows:\n", "flws: {}\nflows:\n")},
        {"customers", "items", "invoices"},
        WHOLE,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_rest_of_the_company_survives(name: str, load: Load) -> None:
    """Flows that do not name what is broken come back beside the errors."""
    changes, mappings, flows = CASES[name]
    spec, errors = load(changes)
    assert errors
    assert spec is not None
    assert set(spec.mappings) == mappings
    assert set(spec.written) == flows


def test_other_companies_survive_a_broken_company(write: Write, plain: Library) -> None:
    """A company whose own file is wrong has no flows, its neighbours have theirs, and all its errors are told."""
    root = write().parent
    write({"company.yaml": "company: other\n", "items.yaml": "mapping: items\n"}, folder="other")
    specs, errors = load_all(root, using=plain)
    assert set(specs) == {"demo"}
    assert set(specs["demo"].written) == WHOLE
    assert {error.file.split("/")[-1] for error in errors} == {"company.yaml", "items.yaml"}


def test_mappings_in_a_circle_go_down_together(load: Load, plain: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mappings whose references lead back to themselves are errors, each with the circle; others stay."""
    customer = plain.neutral["customer"]
    reference = plain.neutral["payment"]["invoice"]
    crm, books = plain.catalogue("plain_crm")[0], plain.catalogue("plain_books")[0]
    assert crm is not None
    assert books is not None
    words = {**plain.neutral, "customer": {**customer, "last_invoice": reference}}
    monkeypatch.setitem(plain.__dict__, "neutral", words)
    for catalogue, name in ((crm, "Account"), (books, "Customer")):
        fields = catalogue.objects[name].fields
        assert isinstance(fields, dict)
        definition = (
            (crm if catalogue is crm else books).objects["Deal" if catalogue is crm else "Invoice"].fields["customer"]
        )
        monkeypatch.setitem(fields, "last_invoice", definition.model_copy(update={"native": "Last", "ref": "invoice"}))
    spec, errors = load()
    assert [error.split(":")[0] for error in errors] == ["customers.yaml", "invoices.yaml"]
    assert all("in a circle: customers -> invoices -> customers" in error for error in errors)
    assert spec is not None
    assert set(spec.written) == {"PCProd2PBItemDR"}


def test_a_mapping_that_is_switched_off_keeps_what_it_says(load: Load) -> None:
    """`direction: none` needs no other change in the mapping; flows that name it say so, the others stay."""
    spec, errors = load({"customers.yaml": ("direction: both", "direction: none")})
    assert [error.split(":")[0] for error in errors] == ["flows.yaml", "flows.yaml"]
    assert all("the mapping 'customers' has direction: none" in error for error in errors)
    assert spec is not None
    assert set(spec.mappings) == {"customers", "items", "invoices"}
    assert set(spec.written) == {"PCProd2PBItemDR"}


WORDS = st.sampled_from(["", "value |", "name", "X_A", "Own.B", "Name", "crm", "é:"])
JUNK = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | WORDS
    | st.lists(st.sampled_from(["name", "to_crm"]), max_size=2)
    | st.dictionaries(st.sampled_from(["crm", "owner", "field", "x.y", ""]), WORDS, max_size=2)
)


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_content_makes_loading_fail(data: st.DataObject, write: Write, plain: Library) -> None:
    """Whatever stands where in a file, loading gives specs and errors, never an exception."""
    file = data.draw(st.sampled_from(sorted(DEMO)))
    content = yaml.safe_load(DEMO[file])
    place = content
    while True:
        key = data.draw(st.sampled_from([*place, "new"]) if isinstance(place, dict) else st.integers(0, len(place) - 1))
        inner = place.get(key) if isinstance(place, dict) else place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        place = inner
    place[key] = data.draw(JUNK)
    spec, errors = load_company(write({file: yaml.safe_dump(content, allow_unicode=True)}), using=plain)
    assert spec is not None or errors
    for error in errors:
        assert error.line >= 1
        assert error.message
