"""Change data capture: what changed or was deleted since a moment, 30 days back, at most 1,000 objects an answer."""

from __future__ import annotations

from typing import Any

from sandbox.quickbooks_online import errors
from sandbox.quickbooks_online.books import Books
from sandbox.quickbooks_online.clock import parse_stamp, stamp
from sandbox.quickbooks_online.entities import entity_named
from sandbox.quickbooks_online.schema import Entity
from sandbox.quickbooks_online.wire import Raw, dumps

DAYS_BACK = 30
MOST_OBJECTS = 1_000


def run(books: Books, entities: str, changed_since: str) -> list[dict[str, Any]]:
    """Answer a call: the value of `CDCResponse`. Oldest changes first, entity by entity in the order asked.

    Raises `Fault` 2020 without parameters, 2060 for a bad date, 500 for entities that are not tracked and for a date
    too far back.
    """
    names = [name.strip() for name in entities.split(",") if name.strip()]
    missing = [
        errors.required(name) for name, value in (("entities", names), ("changedSince", changed_since)) if not value
    ]
    errors.raise_all(missing)
    try:
        since = parse_stamp(changed_since)
    except ValueError:
        raise errors.Fault(errors.invalid_value("date", "changedSince", changed_since)) from None
    if since < books.clock.now() - DAYS_BACK * 86_400:
        raise errors.unsupported_operation(f"cdc with changedSince date {changed_since} which is older than fixed days")
    asked: list[Entity] = []
    for name in names:
        entity = entity_named(name)
        if entity is None or not entity.cdc:
            raise errors.unsupported_operation(f"cdc on {name}")
        asked.append(entity)
    left = MOST_OBJECTS
    answers: list[dict[str, Any]] = []
    for entity in asked:
        found = _changes(books, entity, since, left)
        left -= len(found)
        answers.append({entity.name: found, "startPosition": 1, "maxResults": len(found)} if found else {})
    return [{"QueryResponse": answers}]


def _changes(books: Books, entity: Entity, since: float, limit: int) -> list[Raw]:
    rows = books.store.rows(
        f'SELECT updated, id, body FROM "{entity.name}" WHERE updated >= ?'
        " UNION ALL SELECT deleted, id, NULL FROM tombstone WHERE entity = ? AND deleted >= ?"
        " ORDER BY 1, 2 LIMIT ?",
        (int(since), entity.name, int(since), limit),  # stamps are kept to the second
    )
    return [Raw(body if body is not None else _deleted(row_id, moment)) for moment, row_id, body in rows]


def _deleted(row_id: int, moment: int) -> str:
    meta = {"LastUpdatedTime": stamp(moment)}
    return dumps({"domain": "QBO", "status": "Deleted", "Id": str(row_id), "MetaData": meta})
