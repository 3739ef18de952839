"""How the properties that a query may compare lie in SQLite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Any

from sandbox.quickbooks_online.clock import parse_stamp
from sandbox.quickbooks_online.entities import ENTITIES
from sandbox.quickbooks_online.schema import Entity, Field, T

NUMBER_DIGITS = 7  # digits after the point that a comparison sees


@dataclass(frozen=True, slots=True)
class Column:
    """One comparable property: `path` as a query writes it, `name` the SQL column, `sql` its type."""

    path: str
    name: str
    sql: str
    field: Field


def fold(text: str) -> str:
    """Return text as comparisons see it: they do not mind case."""
    return text.casefold()


def scaled(number: Decimal | int) -> int:
    """Return a number as comparisons see it: exact to `NUMBER_DIGITS`."""
    return int(Decimal(number).scaleb(NUMBER_DIGITS).to_integral_value(ROUND_HALF_UP))


def encoder(item: Field) -> Callable[[Any], Any]:
    """Return the function from a property's value to its column's value."""
    if item.type is T.REF:
        return lambda value: value["value"]
    if item.type is T.NUMBER:
        return scaled
    if item.type is T.BOOLEAN:
        return int
    if item.type is T.DATE:
        return str
    if item.type is T.OBJECT:
        return lambda value: fold(str(value[item.column])) if value.get(item.column) else None
    return lambda value: fold(str(value))


@cache
def columns(entity: str) -> Mapping[str, Column]:
    """Return the comparable properties of an entity, by their path in lower case."""
    found = {
        "id": Column("Id", "id", "INTEGER", ENTITIES[entity].fields["Id"]),
        "metadata.createtime": Column("MetaData.CreateTime", "created", "INTEGER", Field("CreateTime", T.STAMP)),
        "metadata.lastupdatedtime": Column(
            "MetaData.LastUpdatedTime", "updated", "INTEGER", Field("LastUpdatedTime", T.STAMP)
        ),
    }
    for item in ENTITIES[entity].fields.values():
        if item.filterable and item.name != "Id":
            sql = "INTEGER" if item.type in (T.NUMBER, T.BOOLEAN) else "TEXT"
            found[item.name.lower()] = Column(item.name, f'"p_{item.name}"', sql, item)
    return found


@cache
def _writers(entity: str) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    plain = (c for c in columns(entity).values() if c.name.startswith('"'))
    return tuple((c.field.name, encoder(c.field)) for c in plain)


def statement(entity: Entity) -> str:
    """Return the SQL that stores a row (see `values`)."""
    names = [c.name for c in columns(entity.name).values() if c.name.startswith('"')]
    head = ["id", "active", "created", "updated", "label", "body", *names]
    return f'INSERT OR REPLACE INTO "{entity.name}" ({", ".join(head)}) VALUES ({", ".join("?" * len(head))})'


def create_table(entity: Entity) -> list[str]:
    """Return the SQL that makes an entity's table and its indexes."""
    plain = [c for c in columns(entity.name).values() if c.name.startswith('"')]
    parts = ["id INTEGER PRIMARY KEY", "active INTEGER", "created INTEGER", "updated INTEGER"]
    parts += [f"{c.name} {c.sql}" for c in plain] + ["label TEXT", "body TEXT"]
    made = [f'CREATE TABLE "{entity.name}" ({", ".join(parts)})']
    made.append(f'CREATE INDEX "{entity.name}_updated" ON "{entity.name}" (updated, id)')
    for column in plain:
        if column.field.indexed:
            index = f'"{entity.name}_{column.field.name}"'
            made.append(f'CREATE INDEX {index} ON "{entity.name}" ({column.name})')
    return made


def values(entity: Entity, row: Mapping[str, Any], body: str) -> list[Any]:
    """Return the column values of a row, in the order of `statement`."""
    meta = row["MetaData"]
    label = row.get("FullyQualifiedName") or row.get(entity.name_field) or ""
    found: list[Any] = [
        int(row["Id"]),
        int(row.get("Active", True)),
        int(parse_stamp(meta["CreateTime"])),
        int(parse_stamp(meta["LastUpdatedTime"])),
        label,
        body,
    ]
    for name, encode in _writers(entity.name):
        value = row.get(name)
        found.append(None if value is None else encode(value))
    return found
