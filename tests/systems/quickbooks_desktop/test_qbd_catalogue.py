"""The catalogue against the tables of a company file: each field is a column, and no longer than that takes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from iw_operators.spec.catalogue import FieldDef
from iw_operators.systems.quickbooks_desktop.shape import ADDRESS, ADDRESS_LENGTH, Place, Shape
from sandbox.quickbooks_desktop import schema
from sandbox.quickbooks_desktop.options import Options
from tests.conformance.kit import catalogue
from tests.systems.quickbooks_desktop.fakes import view

pytestmark = pytest.mark.feature("S3")

FIELDS = {**Options().fields_of(), "Employee": ("AccountID",)}
OBJECTS = sorted(catalogue("quickbooks_desktop").objects)


def columns(name: str) -> Iterator[tuple[str, FieldDef, str, str]]:
    """Yield the fields of an object and of its lines, each with a table and one of its columns there."""
    definition = catalogue("quickbooks_desktop").objects[name]
    for shape in Shape.all_of(view(name, *definition.fields), Place(), lambda _table, _ident: None):
        for field, described in definition.fields.items():
            for column in shape.columns_of(described.native):
                yield field, described, shape.kind.table, column
        for lines in shape.tables.lines:
            for field, described in definition.lines.fields.items() if definition.lines else ():
                if column := shape._line_column(lines, described.native):
                    yield f"lines.{field}", described, lines.table, column


@pytest.mark.parametrize("name", OBJECTS)
def test_fields_are_columns_and_not_longer(name: str) -> None:
    """What the catalogue lets through is not refused for its length, and no field is without its column."""
    tables = schema.load(FIELDS)
    wrong = []
    for field, described, table, column in columns(name):
        found = tables[table.lower()].find(column)
        if found is None:
            wrong.append(f"{field}: {table} has no {column}")
            continue
        length = ADDRESS_LENGTH if described.native.endswith(ADDRESS) else described.length
        if described.writable and described.lookup is None and found.type == "s" and (length or 0) > found.size:
            wrong.append(f"{field}: {length} characters, {table}.{column} takes {found.size}")
    assert wrong == []
