"""Batches: up to 30 items, each done or refused by itself, HTTP 200 whatever becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.common.app import Dropped
from sandbox.quickbooks_online import errors, replay
from sandbox.quickbooks_online.entities import ENTITIES
from sandbox.quickbooks_online.errors import Fault
from sandbox.quickbooks_online.schema import Entity
from sandbox.quickbooks_online.store import Store
from sandbox.quickbooks_online.wire import Raw, dumps

MOST_ITEMS = 30
_ENVELOPE = frozenset({"bId", "operation", "optionsData"})

Write = Callable[[Entity, Any, str, frozenset[str]], dict[str, Any]]
Query = Callable[[str], dict[str, Any]]


class HalfDone(Dropped):
    """Half of a batch is committed; the connection is to be closed."""


def items_of(content: Any) -> list[Mapping[str, Any]]:
    """Return the items of a request. Raises `Fault` 2010, 2020 or 1040."""
    if not isinstance(content, Mapping):
        raise errors.unreadable()
    for name in content:
        if name != "BatchItemRequest":
            raise Fault(errors.unsupported_property(name))
    items = content.get("BatchItemRequest")
    if not items:
        raise Fault(errors.required("BatchItemRequest"))
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise errors.unreadable()
    if len(items) > MOST_ITEMS:
        raise errors.batch_too_large(MOST_ITEMS)
    return items


def run(
    store: Store,
    items: list[Mapping[str, Any]],
    *,
    request_id: str,
    include: frozenset[str],
    write: Write,
    query: Query,
    halve: bool,
) -> list[Raw]:
    """Do the items, in order, within the transaction of the caller.

    With a `request_id` each item that was done under it before is answered as before, by its bId. `halve`: stop in
    the middle; the caller commits what `HalfDone` comes out of.
    """
    answers: list[Raw] = []
    for position, item in enumerate(items):
        if halve and position >= (len(items) + 1) // 2:
            raise HalfDone
        bid = str(item.get("bId") or "")
        known = replay.remembered(store, request_id, bid) if request_id and bid else None
        if known is not None:
            answers.append(Raw(known))
            continue
        try:
            with store.transaction():
                text = dumps({**_item(item, bid, bool(request_id), include, write, query), "bId": bid})
                if request_id and "Query" not in item:
                    replay.remember(store, request_id, text, bid)
        except Fault as fault:
            text = dumps({"Fault": fault.content(), "bId": bid})
        answers.append(Raw(text))
    if halve and len(items) == 1:
        raise HalfDone
    return answers


def _item(
    item: Mapping[str, Any], bid: str, deduped: bool, include: frozenset[str], write: Write, query: Query
) -> dict[str, Any]:
    if not bid:
        raise Fault(errors.required("bId"))
    if deduped and len(bid) > replay.LONGEST_BATCH_ITEM:
        raise Fault(errors.wrong_length("bId", replay.LONGEST_BATCH_ITEM, len(bid)))
    if "Query" in item:
        return {"QueryResponse": query(str(item["Query"]))}
    names = [name for name in item if name not in _ENVELOPE]
    if len(names) != 1:
        raise Fault(*(errors.unsupported_property(name) for name in names[1:] or ["BatchItemRequest"]))
    entity = ENTITIES.get(names[0])
    if entity is None:
        raise Fault(errors.unsupported_property(names[0]))
    options = frozenset(str(item.get("optionsData") or "").replace(" ", "").split(","))
    return write(entity, item[names[0]], str(item.get("operation") or "create"), include | options)
