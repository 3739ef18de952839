"""From a parsed query to SQL, and its answer."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, InvalidOperation
from typing import Any

from sandbox.quickbooks_online.clock import parse_stamp
from sandbox.quickbooks_online.columns import Column, columns, fold, scaled
from sandbox.quickbooks_online.entities import entity_named
from sandbox.quickbooks_online.errors import invalid_query
from sandbox.quickbooks_online.grammar import Condition, Select, parse
from sandbox.quickbooks_online.schema import Entity, T
from sandbox.quickbooks_online.store import Store
from sandbox.quickbooks_online.wire import Raw


def run(store: Store, text: str) -> dict[str, Any]:
    """Answer a query: the value of `QueryResponse`. Raises `Fault` 4001."""
    select = parse(text)
    entity = entity_named(select.entity)
    if entity is None:
        raise invalid_query(f"Metadata not found for Entity: {select.entity}")
    for name in select.extra:
        if name not in entity.fields:
            raise _no_property(name, entity)
    where, parameters = _where(entity, select)
    if select.count:
        count = store.rows(f'SELECT count(*) FROM "{entity.name}"{where}', parameters)[0][0]
        return {"totalCount": int(count)}
    sql = f'SELECT body FROM "{entity.name}"{where}{_order(entity, select)} LIMIT ? OFFSET ?'
    bodies = store.rows(sql, [*parameters, select.limit, select.start - 1])
    if not bodies:
        return {}
    found = [Raw(body) for (body,) in bodies]
    return {entity.name: found, "startPosition": select.start, "maxResults": len(found)}


def _no_property(name: str, entity: Entity) -> Exception:
    return invalid_query(f"Property {name} not found for Entity {entity.name}")


def _column(entity: Entity, name: str) -> Column:
    found = columns(entity.name).get(name.lower())
    if found is not None:
        return found
    if name.split(".")[0].lower() in {item.lower() for item in entity.fields}:
        raise invalid_query(f"property '{name}' is not queryable")
    raise _no_property(name, entity)


def _where(entity: Entity, select: Select) -> tuple[str, list[Any]]:
    parts: list[str] = []
    parameters: list[Any] = []
    names_active = False
    for condition in select.where:
        column = _column(entity, condition.property)
        names_active = names_active or column.path == "Active"
        sql, given = _condition(column, condition)
        parts.append(sql)
        parameters.extend(given)
    if entity.has_active and not names_active:
        parts.append("active = 1")
    return (" WHERE " + " AND ".join(parts) if parts else ""), parameters


def _condition(column: Column, condition: Condition) -> tuple[str, list[Any]]:
    if condition.operator == "LIKE":
        if column.sql != "TEXT" or column.field.type not in (T.TEXT, T.OBJECT):
            raise invalid_query(f"LIKE is not supported for property {column.path}")
        pattern = fold(condition.values[0]).replace("\\", "\\\\").replace("_", "\\_")
        return f"{column.name} LIKE ? ESCAPE '\\'", [pattern]
    given = [_literal(column, value) for value in condition.values]
    if condition.operator == "IN":
        return f"{column.name} IN ({', '.join('?' * len(given))})", given
    if condition.operator == "!=":
        return f"{column.name} IS NOT ?", given
    return f"{column.name} {condition.operator} ?", given


def _literal(column: Column, value: str) -> Any:
    kind = column.field.type
    try:
        if column.path == "Id":
            return int(value)
        if kind is T.NUMBER:
            return scaled(Decimal(value))
        if kind is T.BOOLEAN:
            return {"true": 1, "false": 0}[value.lower()]
        if kind is T.DATE:
            return dt.date.fromisoformat(value[:10]).isoformat() if len(value) > 10 else _day(value)
        if kind is T.STAMP:
            return int(parse_stamp(value))  # stamps are kept to the second
    except (ValueError, KeyError, InvalidOperation, OverflowError):
        raise invalid_query(f"value {value} is not valid for property {column.path}") from None
    if kind is T.REF:
        return value
    return fold(value)


def _day(value: str) -> str:
    return dt.date.fromisoformat(value).isoformat()


def _order(entity: Entity, select: Select) -> str:
    terms: list[str] = []
    for order in select.order:
        column = _column(entity, order.property)
        if not (column.field.sortable or column.field.type is T.STAMP):
            raise invalid_query(f"property '{order.property}' is not sortable")
        terms.append(f"{column.name}{' DESC' if order.descending else ''}")
    return " ORDER BY " + ", ".join([*terms, "id"])
