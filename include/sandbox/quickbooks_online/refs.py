"""References: they have to name something that exists and is active, and come back with its name."""

from __future__ import annotations

from typing import Any

from sandbox.quickbooks_online import errors
from sandbox.quickbooks_online.books import Books, currency_ref
from sandbox.quickbooks_online.entities import ENTITIES
from sandbox.quickbooks_online.errors import Problem
from sandbox.quickbooks_online.schema import Entity, Field, walk_refs
from sandbox.quickbooks_online.store import Row

WORDS = {  # references that are words instead of Ids
    "TaxCode": frozenset({"TAX", "NON", "CustomSalesTax"}),
    "Item": frozenset({"SHIPPING_ITEM_ID", "GRATUITY_ITEM_ID", "SALES_TAX_ITEM_ID"}),
}


def settle(books: Books, entity: Entity, row: Row, current: Row | None) -> None:
    """Check the references of `row` and write the names of what they name beside them.

    Raises `Fault` 2500 for what does not exist and 610 for what is inactive; a reference that the current version
    has already may stay inactive.
    """
    known: set[tuple[str, str]] = set()
    if current is not None:
        walk_refs(entity.fields, current, lambda item, ref: known.add((item.label_of(), ref["value"])))
    problems: list[Problem] = []
    inactive: list[str] = []
    seen: dict[tuple[tuple[str, ...], str], tuple[bool, str, str] | None] = {}

    def visit(item: Field, ref: dict[str, str]) -> None:
        if not item.targets:
            return
        value = ref["value"]
        key = (item.targets, value)
        if key not in seen:
            seen[key] = _look(books, item.targets, value)
        found = seen[key]
        if found is None:
            problems.append(errors.invalid_reference(ENTITIES[item.targets[0]].label, value, item.name))
            return
        active, label, target = found
        if not active and (item.label_of(), value) not in known:
            inactive.append(item.name)
        if label:
            ref["name"] = label
        if len(item.targets) > 1:
            ref["type"] = target

    walk_refs(entity.fields, row, visit)
    errors.raise_all(problems)
    if inactive:
        raise errors.not_found()


def _look(books: Books, targets: tuple[str, ...], value: str) -> tuple[bool, str, str] | None:
    target = targets[0]
    if target == "CompanyCurrency":
        if value == books.home:
            return True, currency_ref(value)["name"], target
        ids = books.store.find("CompanyCurrency", "Code", value) if value.isupper() else []
        return (bool(books.get(target, ids[0])["Active"]), currency_ref(value)["name"], target) if ids else None
    if value in WORDS.get(target, ()):
        return True, "", target
    for target in targets:
        found = books.store.peek(target, value)
        if found is not None:
            return found[0], found[1], target
    return None


def value_of(row: Row, name: str) -> str:
    """Return what a reference names, "" when it is not set."""
    ref: Any = row.get(name)
    return str(ref["value"]) if ref else ""
