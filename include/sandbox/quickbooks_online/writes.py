"""Create, update, delete, void: each either done as a whole or refused with a `Fault`."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sandbox.quickbooks_online import errors, links, naming, posting, refs, rules, totals
from sandbox.quickbooks_online.books import Books, cents, entity_of
from sandbox.quickbooks_online.lines import ZERO, next_id
from sandbox.quickbooks_online.links import PAYERS, Target
from sandbox.quickbooks_online.refs import value_of
from sandbox.quickbooks_online.schema import Entity, Kind, T
from sandbox.quickbooks_online.store import Row
from sandbox.quickbooks_online.validation import BLANK, REF_KEYS, check_required, clean, identity

KEPT_BY_FULL_UPDATES = frozenset({"Id", "SyncToken", "MetaData", "domain", "sparse", "CurrencyRef", "QtyOnHand"})
HEAD = ("domain", "sparse", "Id", "SyncToken", "MetaData")


@dataclass(frozen=True, slots=True)
class Done:
    """What a write made of a row, and whether it changed anything."""

    row: Row
    operation: str
    changed: bool = True


def write(books: Books, entity: Entity, payload: Any, *, allow_duplicate: bool = False) -> Done:
    """Create what has no Id, update what has one."""
    if not isinstance(payload, Mapping):
        raise errors.unreadable()
    if identity(payload) is None:
        return create(books, entity, payload, allow_duplicate=allow_duplicate)
    return update(books, entity, payload, allow_duplicate=allow_duplicate)


def create(books: Books, entity: Entity, payload: Any, *, allow_duplicate: bool = False) -> Done:
    """Make a new row; an Id that the payload carries is not looked at."""
    if "create" not in entity.operations:
        raise errors.unsupported_operation(f"create on {entity.name}")
    given = clean(entity, payload)
    given.pop("Id", None)
    row = {name: value for name, value in given.items() if value is not BLANK}
    now = books.stamp()
    row["Id"] = str(books.store.next_value(entity.ids))
    row |= {"SyncToken": "0", "MetaData": {"CreateTime": now, "LastUpdatedTime": now}, "domain": "QBO", "sparse": False}
    wanted = _settle(books, entity, row, None, given, allow_duplicate)
    row = _ordered(row)
    books.store.save(entity, row)
    _follow_up(books, entity, row, None, wanted)
    return Done(row, "create")


def update(books: Books, entity: Entity, payload: Any, *, allow_duplicate: bool = False) -> Done:
    """Change a row: `sparse` keeps what is left out, otherwise it is blanked."""
    if "update" not in entity.operations:
        raise errors.unsupported_operation(f"update on {entity.name}")
    if not isinstance(payload, Mapping):
        raise errors.unreadable()
    if entity.kind is Kind.SINGLE:
        payload = {**payload, "Id": "1"}
    given = clean(entity, payload)
    given.pop("Id", None)
    current = current_version(books, entity, payload)
    sparse = payload.get("sparse") in (True, "true")
    row = copy.deepcopy(current if sparse else _blanked(entity, current))
    for name, value in given.items():
        if value is BLANK:
            row.pop(name, None)
        else:
            row[name] = value
    if entity.name == "Preferences":
        row = _merged(current, {name: value for name, value in given.items() if value is not BLANK})
    wanted = _settle(books, entity, row, current, given, allow_duplicate)
    if sparse and _same(row, current):
        return Done(current, "update", changed=False)
    row = _ordered(row)
    books.touch(entity, row, bump=True)
    _follow_up(books, entity, row, current, wanted)
    return Done(row, "update")


def delete(books: Books, entity: Entity, payload: Any) -> Done:
    """Delete a transaction; what it paid is open again, what paid it is free again."""
    if "delete" not in entity.operations:
        raise errors.unsupported_operation(f"delete on {entity.name}")
    current = current_version(books, entity, payload)
    row_id = str(current["Id"])
    _leave(books, entity, row_id, current)
    books.store.delete(entity.name, row_id, books.clock.now())
    return Done({"domain": "QBO", "status": "Deleted", "Id": row_id}, "delete")


def void(books: Books, entity: Entity, payload: Any) -> Done:
    """Void a transaction: all its amounts are 0, and its private note says so."""
    if "void" not in entity.operations:
        raise errors.unsupported_operation(f"void on {entity.name}")
    row = current_version(books, entity, payload)
    _leave(books, entity, row["Id"], row)
    if entity.name in PAYERS:
        row["Line"] = []
    for line in row.get("Line", []):
        _void_line(line)
    if "TxnTaxDetail" in row:
        row["TxnTaxDetail"] = {"TotalTax": ZERO}
    for name in ("TotalAmt", "HomeTotalAmt", "Balance", "HomeBalance", "UnappliedAmt", "Deposit"):
        if name in row:
            row[name] = ZERO
    row["PrivateNote"] = "Voided"
    links.settle_balance(books, entity, row)
    books.touch(entity, row, bump=True)
    return Done(row, "void")


def _void_line(line: Row) -> None:
    if "Amount" in line:
        line["Amount"] = ZERO
    for name in ("SalesItemLineDetail", "ItemBasedExpenseLineDetail"):
        if "Qty" in line.get(name, {}):
            line[name]["Qty"] = 0
    for inner in line.get("GroupLineDetail", {}).get("Line", []):
        _void_line(inner)


def _leave(books: Books, entity: Entity, row_id: str, current: Row) -> None:
    """Take a transaction out of everything that it is part of."""
    totals.refuse_closed(books, entity, current)
    links.refuse_deposited(books, entity, row_id)
    links.apply(books, entity, row_id, {})
    links.release(books, entity, row_id)
    posting.post(books, entity, row_id, {})


def current_version(books: Books, entity: Entity, payload: Any) -> Row:
    """Return the row that a write names. Raises `Fault` 2020, 2030, 610 or 5010."""
    if not isinstance(payload, Mapping):
        raise errors.unreadable()
    row_id = identity(payload)
    if row_id is None:
        raise errors.Fault(errors.required("Id"))
    current = books.store.get(entity.name, row_id)
    if current is None:
        raise errors.not_found(errors.DELETED if books.store.was_deleted(entity.name, row_id) else errors.INACTIVE)
    token = payload.get("SyncToken")
    if token is None or token == "":
        raise errors.Fault(errors.required("SyncToken"))
    if str(token) != current["SyncToken"]:
        raise errors.stale()
    return current


def _blanked(entity: Entity, current: Row) -> Row:
    return {
        name: value
        for name, value in current.items()
        if name in KEPT_BY_FULL_UPDATES or (name in entity.fields and entity.fields[name].readonly)
    }


def _merged(old: Row, new: Mapping[str, Any]) -> Row:
    row = dict(old)
    for name, value in new.items():
        row[name] = _merged(row[name], value) if isinstance(value, dict) and isinstance(row.get(name), dict) else value
    return row


def _settle(
    books: Books, entity: Entity, row: Row, current: Row | None, given: Row, allow_duplicate: bool
) -> dict[Target, Decimal]:
    """Make `row` what the service would store; return what it is applied to."""
    for item in entity.fields.values():
        if item.default is not None and item.name not in row:
            row[item.name] = item.default
    check_required(entity, row)
    refs.settle(books, entity, row, current)
    rules.check(books, entity.name, row, current)
    naming.settle(books, entity, row, current)
    _number_addresses(books, entity, row, current)
    totals.settle_custom_fields(books, entity, row, current)
    if entity.kind is not Kind.TXN:
        return {}
    if current is not None:
        links.refuse_deposited(books, entity, current["Id"])
    totals.settle_dates(books, entity, row, current, given)
    totals.settle_currency(books, entity, row)
    totals.settle_number(books, entity, row, current, allow_duplicate=allow_duplicate)
    if entity.name in PAYERS:
        return links.settle_payment(books, entity, row)
    if "Line" in entity.fields:
        tax = given.get("TxnTaxDetail") or {}
        tax_given = bool(tax.get("TotalTax")) or ("TotalTax" in tax and "TxnTaxCodeRef" not in tax)
        new_lines = "Line" in given or current is None
        first_id = next_id(current)
        totals.settle_total(books, entity, row, new_lines=new_lines, tax_given=tax_given, first_id=first_id)
    if current is not None and "Balance" in entity.fields:
        links.release(books, entity, row["Id"], row["TotalAmt"] - cents(row.get("Deposit", 0)))
    wanted = links.settle_links(books, entity, row)
    links.settle_balance(books, entity, row)
    return wanted


def _number_addresses(books: Books, entity: Entity, row: Row, current: Row | None) -> None:
    for name, value in row.items():
        item = entity.fields.get(name)
        if item is None or item.type is not T.OBJECT or "Line1" not in item.fields:
            continue
        before = (current or {}).get(name, {}).get("Id")
        row[name] = {
            "Id": before or str(books.store.next_value("address")),
            **{k: v for k, v in value.items() if k != "Id"},
        }


def _ordered(row: Row) -> Row:
    return {**{name: row[name] for name in HEAD}, **{n: v for n, v in row.items() if n not in HEAD}}


def _same(row: Any, current: Any) -> bool:
    """Compare two versions; the name beside a reference says nothing."""
    if isinstance(row, dict) and isinstance(current, dict):
        skip = {"name"} if "value" in row and set(row) <= REF_KEYS else set()
        names = (set(row) | set(current)) - skip
        return all(name in row and name in current and _same(row[name], current[name]) for name in names)
    if isinstance(row, list) and isinstance(current, list):
        return len(row) == len(current) and all(_same(a, b) for a, b in zip(row, current, strict=True))
    return bool(row == current)


def _follow_up(books: Books, entity: Entity, row: Row, current: Row | None, wanted: dict[Target, Decimal]) -> None:
    """After the row is stored: what it pays, balances, names below it, what it closes."""
    if entity.kind is not Kind.TXN:
        if current is not None:
            naming.rename_below(books, entity, row, current)
        return
    if entity.name in PAYERS or entity.name == "Deposit":
        links.apply(books, entity, row["Id"], wanted)
    posting.post(books, entity, row["Id"], posting.effects(books, entity, row))
    for link in row.get("LinkedTxn", []):
        if link.get("TxnType") == "Estimate":
            _close_estimate(books, entity, row, str(link["TxnId"]))


def _close_estimate(books: Books, entity: Entity, row: Row, estimate_id: str) -> None:
    estimate = books.get("Estimate", estimate_id)
    back = {"TxnId": row["Id"], "TxnType": entity.name}
    if back in estimate.get("LinkedTxn", []) or not value_of(estimate, "CustomerRef"):
        return
    estimate["TxnStatus"] = "Closed"
    estimate["LinkedTxn"] = [*estimate.get("LinkedTxn", []), back]
    books.touch(entity_of("Estimate"), estimate, bump=True)
