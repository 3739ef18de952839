"""The mapping report tells everything about a mapping that a consultant would ask."""

from __future__ import annotations

import csv
import io
import json

import pytest

from iw_operators.spec import report
from iw_operators.spec.resolved import ResolvedMapping
from tests.spec.demo import Load

CUSTOMERS = """\
mapping: customers
crm: Account
books: Customer
direction: both
bind: {by: id, id_field: X_BooksId, else: [name, phone], normalize_names: false}
to_books: {create_when: {opportunity_stage: [Won, Signed], field: {terms: [Net, Cash]}}}
write_back: {id: X_BooksId}
fields:
  balance: {crm: X_Balance}
  notes: {owner: crm, to_books: "value | replace('|', '/')", default_books: none yet}
  terms: {values: {Net: Net 30}, shorten: true}
"""


@pytest.fixture
def mapping(load: Load) -> ResolvedMapping:
    """The mapping that is reported."""
    spec, errors = load({"customers.yaml": CUSTOMERS})
    assert errors == []
    assert spec is not None
    return spec.mappings["customers"]


@pytest.mark.feature("M8")
def test_rows_say_what_becomes_of_each_field(mapping: ResolvedMapping) -> None:
    """A row has both natives, types with lengths, the owner, the transform and where references and lists stand."""
    rows = {row.field: row for row in report.rows(mapping)}
    assert rows["name"] == report.Row(
        "demo", "customers", "name", "Name", "Name", "text 250 / text 100", "latest", "", ""
    )
    assert rows["balance"].owner == "books"
    assert rows["notes"].transform == "to_books: value | replace('|', '/'); default_books: none yet"
    assert rows["terms"].transform == "values: Net = Net 30; shortened"
    assert rows["terms"].reference == "Term.Name"
    assert rows["currency"].transform == "set once in books"
    assert (rows["write_back.id"].crm, rows["write_back.id"].books) == ("X_BooksId", "")


def test_lines_and_references(load: Load) -> None:
    """Fields of lines stand under `lines[]`, references name the mapping that translates them."""
    spec, _ = load()
    assert spec is not None
    rows = {row.field: row for row in report.rows(spec.mappings["invoices"])}
    assert rows["lines[].item"].reference == "items"
    assert rows["customer"].reference == "customers"


@pytest.mark.feature("M1", "M3", "M4")
def test_heading_says_how_partners_are_found_and_what_is_allowed(mapping: ResolvedMapping) -> None:
    """Above the rows stand the two objects, the fingerprint, the matching and each direction's operations."""
    assert report.title(mapping) == (
        f"demo/customers: Plain CRM Account <-> Plain Books Customer, fingerprint {mapping.fingerprint[:12]}"
    )
    assert list(report.notes(mapping)) == [
        "partners are found by id in X_BooksId, else by name + phone (exact)",
        "to_books: create and update, created when an opportunity is at Won or Signed and terms is Net or Cash",
        "to_crm: create and update",
    ]


def test_csv_can_be_read_back(mapping: ResolvedMapping) -> None:
    """The CSV has a heading and a line a row; a cell that looks like a formula is made text."""
    table = list(report.rows(mapping))
    odd = report.Row("demo", "m", "=1+1", "", "", "", "", "", "")
    read = list(csv.reader(io.StringIO(report.as_csv([*table, odd]))))
    assert tuple(read[0]) == report.HEADINGS
    assert len(read) == len(table) + 2
    assert read[-1][2] == "'=1+1"


def test_json_and_markdown(mapping: ResolvedMapping) -> None:
    """JSON has the rows as objects; Markdown has one line a row, whatever a cell contains."""
    table = list(report.rows(mapping))
    assert [row["field"] for row in json.loads(report.as_json(table))] == [row.field for row in table]
    lines = report.as_markdown(table).splitlines()
    assert len(lines) == len(table) + 2
    assert any("replace('\\|', '/')" in line for line in lines)
