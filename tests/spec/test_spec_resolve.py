"""What a mapping becomes: fields that map by themselves, owners, references, custom fields, conditions."""

from __future__ import annotations

import pytest

from iw_operators.spec.catalogue import FieldType
from iw_operators.spec.models import Direction, Operations, Owner
from iw_operators.spec.resolved import CompanySpec, MappedField, ResolvedMapping
from tests.spec.demo import Changes, Load

TEN_LINES = """\
mapping: customers
crm: Account
books: Customer
direction: both
bind: {by: id, id_field: X_BooksId, else: [name, phone]}
to_books: {create_when: {opportunity_stage: [Won]}}
to_crm: {operations: update_only}
write_back: {id: X_BooksId}
fields:
  balance: {crm: X_Balance}
"""


def mapping_of(load: Load, name: str, changes: Changes | None = None) -> ResolvedMapping:
    """Load the company with changes and return one mapping of it, which has to be free of errors."""
    spec, errors = load(changes)
    assert errors == []
    assert isinstance(spec, CompanySpec)
    return spec.mappings[name]


def field_of(load: Load, name: str, line: str) -> MappedField:
    """Add a line to the customers' fields and return the field of that name."""
    change: Changes = {"customers.yaml": ("length: 31}\n", f"length: 31}}\n  {line}\n")}
    return next(field for field in mapping_of(load, "customers", change).fields if field.name == name)


def owners(fields: tuple[MappedField, ...]) -> dict[str, str]:
    """Return the owner of each field."""
    return {field.name: field.owner.value for field in fields}


@pytest.mark.feature("M8")
def test_ten_lines_sync_customers_both_ways(load: Load) -> None:
    """What both catalogues know maps by itself; each field has the owner that follows from who can be written."""
    mapping = mapping_of(load, "customers", {"customers.yaml": TEN_LINES})
    assert owners(mapping.fields) == {
        "name": "latest",
        "phone": "latest",
        "email": "latest",
        "notes": "latest",
        "active": "latest",
        "terms": "latest",
        "currency": "latest",
        "balance": "books",
        "billing.city": "latest",
        "billing.postal_code": "latest",
    }
    assert mapping.direction is Direction.BOTH
    assert mapping.to_crm.operations is Operations.UPDATE_ONLY
    assert mapping.id_field is not None
    assert mapping.id_field.native == mapping.write_back["id"].native == "X_BooksId"


@pytest.mark.feature("M8")
def test_owners_of_one_way_mappings(load: Load) -> None:
    """In a one-way mapping the source owns everything, and what the target cannot take is left out."""
    one_way = TEN_LINES.replace("direction: both", "direction: to_books").replace(
        "to_crm: {operations: update_only}\n", ""
    )
    text = one_way.replace("fields:\n  balance: {crm: X_Balance}\n", "")
    mapping = mapping_of(load, "customers", {"customers.yaml": text, "flows.yaml": "flows: {}\n"})
    assert set(owners(mapping.fields).values()) == {"crm"}
    assert "full_name" not in owners(mapping.fields)


@pytest.mark.feature("M8")
def test_lines_map_by_themselves_and_belong_to_the_side_that_cannot_be_written(load: Load) -> None:
    """Lines follow the rules of fields; a CRM whose lines cannot be written owns them."""
    mapping = mapping_of(load, "invoices")
    assert owners(mapping.lines) == {"item": "crm", "quantity": "crm", "price": "crm", "amount": "crm"}
    assert owners(mapping.fields) == {
        "number": "books",
        "customer": "latest",
        "due_date": "latest",
        "memo": "latest",
        "total": "books",
    }


def test_references_go_through_the_mapping_of_their_object(load: Load) -> None:
    """A reference names the mapping whose bindings translate it, and the mapping depends on that one."""
    mapping = mapping_of(load, "invoices")
    references = {
        field.name: (field.ref, field.ref_mapping) for field in (*mapping.fields, *mapping.lines) if field.ref
    }
    assert references == {"customer": ("customer", "customers"), "item": ("item", "items")}
    assert mapping.depends == ("customers", "items")


@pytest.mark.feature("M8")
@pytest.mark.parametrize(
    ("text", "crm", "books", "kind"),
    [
        ("crm: X_A, books: Own.A, length: 31", 31, 31, FieldType.TEXT),
        ("crm: X_A, books: Own.A, owner: books", 120, 31, FieldType.TEXT),
        ("crm: X_A, books: Own.A, shorten: true", 120, 31, FieldType.TEXT),
        ("crm: X_A, books: Ship.City, owner: books", 120, 100, FieldType.TEXT),
        ("crm: X_A, books: Own.A, type: memo", None, None, FieldType.MEMO),
        ("crm: X_A, books: Own.A, type: date", None, None, FieldType.DATE),
        ("crm: X_A, books: Balance", None, None, FieldType.MONEY),
    ],
)
def test_custom_fields(text: str, crm: int | None, books: int | None, kind: FieldType, load: Load) -> None:
    """A custom field has the type stated, or its partner's, or is text of the usual or the stated length."""
    field = field_of(load, "extra", f"extra: {{{text}}}")
    assert field.crm is not None
    assert field.books is not None
    assert (field.crm.length, field.books.length, field.crm.type) == (crm, books, kind)


def test_a_native_field_of_the_catalogue_keeps_what_the_catalogue_says(load: Load) -> None:
    """A word of the mapping's own over native fields takes their definitions from the catalogues."""
    field = field_of(load, "port", "port: {crm: Zip, books: Ship.City, owner: crm}")
    assert field.crm is not None
    assert field.books is not None
    assert (field.crm.native, field.crm.length, field.books.length) == ("Zip", 20, 100)


def test_a_field_of_one_side_serves_conditions_and_expressions(load: Load) -> None:
    """A field that only the CRM has may be read by a condition and by expressions without going anywhere itself."""
    text = (
        TEN_LINES.replace("opportunity_stage: [Won]", "field: {ready: true}")
        + "  ready: {crm: X_Ready, type: boolean}\n  prefix: {crm: X_Prefix}\n"
        + "  notes: {owner: crm, to_books: \"prefix ~ ': ' ~ value\"}\n"
    )
    mapping = mapping_of(load, "customers", {"customers.yaml": text})
    ready = next(each for each in mapping.fields if each.name == "ready")
    assert (ready.crm is not None, ready.books, ready.owner) == (True, None, Owner.CRM)


def test_skip_is_an_exception_from_what_maps_by_itself(load: Load) -> None:
    """A field that is skipped is not mapped, on the header and on lines."""
    change: Changes = {
        "invoices.yaml": (
            "fields:\n  number: {owner: books}",
            "fields:\n  memo: {skip: true}\n  number: {owner: books}\nlines:\n  price: {skip: true}",
        )
    }
    mapping = mapping_of(load, "invoices", change)
    assert "memo" not in owners(mapping.fields)
    assert "price" not in owners(mapping.lines)


@pytest.mark.feature("M3", "M4")
def test_two_mappings_share_a_target_under_conditions_that_exclude_one_another(load: Load) -> None:
    """Two mappings may create in one target object where a condition tells their records apart."""
    of_terms = TEN_LINES.replace("opportunity_stage: [Won]", "field: {terms: Net 30}")
    other = of_terms.replace("mapping: customers", "mapping: cash").replace("Net 30", "[Cash, CARD]")
    other = other.replace("direction: both", "direction: to_books").replace("to_crm: {operations: update_only}\n", "")
    other = other.replace("fields:\n  balance: {crm: X_Balance}\n", "")
    base: dict[str, str | tuple[str, str] | None] = {
        "customers.yaml": of_terms, "invoices.yaml": None, "flows.yaml": "flows: {}\n"
    }  # fmt: skip
    spec, errors = load({**base, "cash.yaml": other})
    assert errors == []
    assert spec is not None
    assert set(spec.mappings) == {"customers", "items", "cash"}
    _, errors = load({**base, "cash.yaml": other.replace("Cash, CARD", "cash, net 30")})
    assert [error.split(";")[0] for error in errors] == [
        "customers.yaml:3: books: 'customers' and 'cash' both write Customer (to_books)"
    ]


@pytest.mark.feature("M3")
def test_creating_and_updating_may_be_shared_out(load: Load) -> None:
    """One mapping that only creates and one that only updates do not write the same record's target twice."""
    creates = TEN_LINES.replace("to_books: {", "to_books: {operations: create_only, ").replace("both", "to_books")
    creates = creates.replace("to_crm: {operations: update_only}\n", "").replace(
        "fields:\n  balance: {crm: X_Balance}\n", ""
    )
    updates = creates.replace("create_only", "update_only").replace("mapping: customers", "mapping: updates")
    spec, errors = load(
        {"customers.yaml": creates, "updates.yaml": updates, "invoices.yaml": None, "flows.yaml": "flows: {}\n"}
    )
    assert errors == []
    assert spec is not None


def test_two_mappings_for_one_reference_are_an_error(load: Load) -> None:
    """A reference that could go through either of two mappings is refused, with both named."""
    other = TEN_LINES.replace("mapping: customers", "mapping: people").replace(
        "opportunity_stage: [Won]", "field: {terms: B}"
    )
    _, errors = load(
        {"customers.yaml": TEN_LINES.replace("opportunity_stage: [Won]", "field: {terms: A}"), "people.yaml": other,
         "flows.yaml": "flows: {}\n"}
    )  # fmt: skip
    assert any("which several mappings are about: customers, people" in error for error in errors)


def test_flow_has_its_own_operations(load: Load) -> None:
    """A flow's operations override its mappings', for this flow alone."""
    spec, errors = load({"flows.yaml": ("  PBCust2PCAcctNF:\n", "  PBCust2PCAcctNF:\n    operations: update_only\n")})
    assert errors == []
    assert spec is not None
    customers = spec.mappings["customers"]
    assert spec.flows["PBCust2PCAcctNF"].operations(customers) is Operations.UPDATE_ONLY
    assert spec.flows["PCAcctOpp2PBCustInv"].operations(customers) is Operations.CREATE_AND_UPDATE


@pytest.mark.parametrize("word", ["No", "off", "12:30:00", "2026-01-31", "1.50", "007", "~x"])
def test_plain_words_stay_text(word: str, load: Load) -> None:
    """What YAML 1.1 would make a boolean, a time or a number stays the text that was written."""
    text = TEN_LINES + f"  notes: {{default_books: {word}}}\n  terms: {{values: {{{word}: x, Yes: y}}}}\n"
    mapping = mapping_of(load, "customers", {"customers.yaml": text})
    fields = {field.name: field for field in mapping.fields}
    assert fields["notes"].default_books == word
    assert fields["terms"].values == {word: "x", "Yes": "y"}
