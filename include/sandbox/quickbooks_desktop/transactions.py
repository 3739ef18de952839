"""Transactions: a header with its lines saved as one, lines added, changed and taken away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sandbox.quickbooks_desktop import errors, totals
from sandbox.quickbooks_desktop.company import CompanyFile
from sandbox.quickbooks_desktop.schema import Table
from sandbox.quickbooks_desktop.store import Row
from sandbox.quickbooks_desktop.values import unscaled

MAY_BE_EMPTY: Final = frozenset({"ReceivePayment", "TimeTracking", "Check"})
Lines = Sequence[tuple[Table, Row]]


def save(file: CompanyFile, table: Table, header: Row, lines: Lines, txn_id: str = "") -> str:
    """Save a new transaction; return its TxnID. Raises `BackendError`; nothing is saved then.

    :param txn_id: an id that it has to have.
    """
    file.locked(table)
    header = {name: value for name, value in header.items() if value is not None}
    given = [field for field in table.fields.values() if field.name != "EditSequence"]
    file.require(table, header, given)
    file.resolve(table, header)
    if not lines and table.name not in MAY_BE_EMPTY:
        text = "Transactions must have at least one line."
        raise errors.refusal(3180, table.name, header.get("RefNumber", ""), quickbooks=text)
    for line_table, line in lines:
        _resolve_line(file, line_table, line)
    totals.complete_header(file, table, header)
    if table.name == "ReceivePayment":
        lines = _applications(file, header, lines)
    totals.price_lines(file, table, header, lines)
    _balanced(table, lines)
    txn_id = file.put(table, header, txn_id)
    for number, (line_table, line) in enumerate(lines, start=1):
        _put_line(file, line_table, txn_id, number, line)
    totals.settle(file, table, txn_id)
    _positive(file, table, txn_id)
    _settle_paid(file, table, lines)
    return txn_id


def _resolve_line(file: CompanyFile, table: Table, line: Row) -> None:
    own = {name.lower(): table.fields[name.lower()] for name in table.own}
    file.require(table, line, list(own.values()))
    file.resolve(Table(table.name, "line", own), line)


def _put_line(file: CompanyFile, table: Table, key: str, number: int, line: Row) -> str:
    line_id = file.new_id("txn")
    names = {name.lower() for name in table.own}
    for column, value in ((f"{table.prefix}TxnLineID", line_id), (f"{table.prefix}SeqNo", number)):
        if column.lower() in names:
            line[column] = value
    for column in table.own:
        if table.fields[column.lower()].type == "b" and line.get(column) is None:
            line[column] = 0
    shown = {name: value for name, value in line.items() if name.lower() in names}
    file.store.add(f"_{table.name}", {"_Key": key, "_Id": line_id, **shown})
    return line_id


def _balanced(table: Table, lines: Lines) -> None:
    if table.name != "JournalEntry":
        return
    total = 0
    for line_table, line in lines:
        sign = 1 if line_table.name == "JournalEntryDebitLine" else -1
        total += sign * (line.get(f"{line_table.prefix}Amount") or 0)
    if total:
        text = "Transaction is not in balance.  Make sure the amounts in the debit column equal the credits."
        raise errors.refusal(3180, "JournalEntry", "", quickbooks=text)


def _still_sound(file: CompanyFile, table: Table, txn_id: str) -> None:
    """Refuse a change of one line after which a journal entry does not add up, or an invoice is below zero."""
    _positive(file, table, txn_id)
    if table.name != "JournalEntry":
        return
    kept = [line for line in file.schema.values() if line.kind == "line" and line.head == table.name]
    lines = [(line, row) for line in kept for row in file.store.all(f"_{line.name}", "_Key = ?", [txn_id])]
    _balanced(table, lines)


def _positive(file: CompanyFile, table: Table, txn_id: str) -> None:
    row = file.store.one(table.name, "TxnID = ?", [txn_id]) if table.name == "Invoice" else None
    if row and (row["Subtotal"] or 0) + (row[file.tax_total] or 0) < 0:
        text = "The transaction amount must be positive."
        raise errors.refusal(3180, table.name, row.get("RefNumber") or "", quickbooks=text)


def _applications(file: CompanyFile, header: Row, lines: Lines) -> Lines:
    """Check what a payment is applied to; without lines apply it to the oldest invoices if it asks for that."""
    table = file.schema["receivepaymentline"]
    if not lines and header.get("IsAutoApply"):
        rest = header.get("TotalAmount") or 0
        made: list[tuple[Table, Row]] = []
        open_ones = file.store.all(
            "Invoice", "CustomerRefListID = ? AND BalanceRemaining > 0 ORDER BY TxnDate", [header["CustomerRefListID"]]
        )
        for invoice in open_ones:
            part = min(rest, invoice["BalanceRemaining"])
            if part > 0:
                made.append((table, {"AppliedToTxnTxnID": invoice["TxnID"], "AppliedToTxnPaymentAmount": part}))
                rest -= part
        lines = made
    total = 0
    asked = header.setdefault("TotalAmount", sum(line.get("AppliedToTxnPaymentAmount") or 0 for _, line in lines))
    for _, line in lines:
        total = _check_applied(file, {**header, "TotalAmount": asked}, line, total)
    return lines


def _check_applied(file: CompanyFile, header: Row, line: Row, total: int) -> int:
    """Check one application of a payment and fill in what it shows; return the sum of all so far."""
    invoice = file.store.one("Invoice", "TxnID = ?", [line.get("AppliedToTxnTxnID")])
    if invoice is None:
        raise errors.refusal(3120, line.get("AppliedToTxnTxnID"), quickbooks=errors.NO_RECORD)
    if invoice["CustomerRefListID"] != header["CustomerRefListID"]:
        text = "The transaction belongs to another customer."
        raise errors.refusal(3210, "AppliedToTxnAdd TxnID", invoice["TxnID"], quickbooks=text)
    amount = line.get("AppliedToTxnPaymentAmount") or 0
    if amount > invoice["BalanceRemaining"]:
        text = "You cannot pay more than the amount due."
        shown = f"{unscaled(amount):.2f}"
        raise errors.refusal(3210, "AppliedToTxnAdd payment amount", shown, quickbooks=text)
    total += amount
    line |= {"AppliedToTxnTxnType": "Invoice", "AppliedToTxnTxnDate": invoice["TxnDate"]}
    line |= {"AppliedToTxnRefNumber": invoice["RefNumber"], "AppliedToTxnAmount": -amount}
    line |= {"AppliedToTxnBalanceRemaining": invoice["BalanceRemaining"] - amount}
    if total > (header["TotalAmount"] or 0):
        text = "The total of the payments applied is more than the amount of the payment."
        raise errors.refusal(3210, "TotalAmount", f"{unscaled(header['TotalAmount']):.2f}", quickbooks=text)
    return total


def _settle_paid(file: CompanyFile, table: Table, lines: Lines) -> None:
    """A payment changes the invoices it is applied to, their times included."""
    if table.name != "ReceivePayment":
        return
    invoices = file.schema["invoice"]
    for _, line in lines:
        paid = file.store.one("Invoice", "TxnID = ?", [line["AppliedToTxnTxnID"]])
        if paid:
            file.touch(invoices, paid)
            totals.settle(file, invoices, paid["TxnID"])


def add_line(file: CompanyFile, table: Table, txn_id: str, line: Row, header: Row) -> str:
    """Add a line to a transaction; return the transaction's id. Raises `BackendError`."""
    head = file.schema[table.head.lower()]
    row = file.store.one(head.name, f"{head.key} = ?", [txn_id])
    if row is None:
        raise errors.refusal(3120, txn_id, quickbooks=errors.NO_RECORD)
    file.locked(head)
    file.open_period(head.name, row.get("TxnDate"))
    _resolve_line(file, table, line)
    file.resolve(head, header)
    row |= header
    if head.name == "ReceivePayment":
        _check_applied(file, row, line, totals.applied_of(file, txn_id))
    totals.price_lines(file, head, row, [(table, line)])
    found = file.store.query(f'SELECT COUNT(*) FROM "_{table.name}" WHERE _Key = ?', [txn_id]).fetchone()
    _put_line(file, table, txn_id, int(found[0]) + 1, line)
    file.touch(head, row)
    if head.kind == "txn":
        totals.settle(file, head, txn_id)
        _still_sound(file, head, txn_id)
    _settle_paid(file, head, [(table, line)])
    file.counts[f"modify {head.name}"] += 1
    return txn_id


def change_line(file: CompanyFile, table: Table, line_id: str, changes: Row) -> None:
    """Change a line's own columns and, with the others, its transaction's header. Raises `BackendError`."""
    head = file.schema[table.head.lower()]
    old = file.store.one(f"_{table.name}", "_Id = ?", [line_id])
    row = file.store.one(head.name, f"{head.key} = ?", [old["_Key"]]) if old else None
    if old is None or row is None:
        raise errors.refusal(3120, line_id, quickbooks=errors.NO_RECORD)
    own = {name: value for name, value in changes.items() if name in table.own}
    above = {name: value for name, value in changes.items() if name not in table.own}
    if own:
        described = {name.lower(): table.fields[name.lower()] for name in table.own}
        file.resolve(Table(table.name, "line", described), own)
        line = {**old, **own}
        name = table.prefix
        rate = f"{name}Cost" if f"{name}cost".lower() in table.fields else f"{name}Rate"
        if {f"{name}Quantity", rate} & own.keys() and f"{name}Amount" not in own:
            line[f"{name}Amount"] = None
        elif f"{name}Amount" in own and rate not in own and rate in table.own:  # an expense has no rate
            line[rate] = None
        totals.price_lines(file, head, row, [(table, line)])
        line.pop("_Row")
        file.store.change(f"_{table.name}", "_Id", line_id, line)
        _settle_paid(file, head, [(table, old), (table, line)])
    file.modify(head, row, above)
    if head.kind == "txn":
        _still_sound(file, head, row["TxnID"])


def remove_line(file: CompanyFile, table: Table, line_id: str) -> None:
    """Take a line away. Raises `BackendError`."""
    head = file.schema[table.head.lower()]
    old = file.store.one(f"_{table.name}", "_Id = ?", [line_id])
    if old is None:
        return
    row = file.store.one(head.name, f"{head.key} = ?", [old["_Key"]])
    file.locked(head)
    file.store.remove(f"_{table.name}", "_Id", line_id)
    if row:
        file.touch(head, row)
        if head.kind == "txn":
            totals.settle(file, head, row["TxnID"])
            _still_sound(file, head, row["TxnID"])
    _settle_paid(file, head, [(table, old)])


def remove(file: CompanyFile, table: Table, row: Row) -> None:
    """Delete a list element or a transaction; it shows in ListDeleted or TxnDeleted. Raises `BackendError`."""
    file.locked(table)
    key = row[table.key]
    if table.kind == "list":
        if _in_use(file, table, key):
            text = "It is in use by other records.  You can make it inactive instead."
            raise errors.refusal(3160, key, quickbooks=text)
    else:
        file.open_period(table.name, row.get("TxnDate"), delete=True)
    paid = file.store.all("_ReceivePaymentLine", "_Key = ?", [key]) if table.name == "ReceivePayment" else []
    if table.name == "Invoice":
        file.store.remove("_ReceivePaymentLine", "AppliedToTxnTxnID", key)
    for line in file.schema.values():
        if line.kind == "line" and line.head == table.name:
            file.store.remove(f"_{line.name}", "_Key", key)
    file.store.remove(table.name, table.key, key)
    if table.kind == "list":
        trail: Row = {"ListDelType": table.name, "ListID": key, "FullName": row.get(table.named)}
        file.store.add("ListDeleted", {**trail, "TimeCreated": row["TimeCreated"], "TimeDeleted": file.stamp()})
    else:
        trail = {"TxnDelType": table.name, "TxnID": key, "RefNumber": row.get("RefNumber")}
        file.store.add("TxnDeleted", {**trail, "TimeCreated": row["TimeCreated"], "TimeDeleted": file.stamp()})
    _settle_paid(file, table, [(table, line) for line in paid])
    for ref, name in (("CustomerRefListID", "Customer"), ("VendorRefListID", "Vendor")):
        if table.kind == "txn" and row.get(ref):
            totals.balance(file, name, row[ref])
    file.counts[f"delete {table.name}"] += 1


def void(file: CompanyFile, table: Table, row: Row) -> None:
    """Void a transaction as the bookkeeper does in QuickBooks: its amounts become zero, and TxnVoided tells it."""
    key = row["TxnID"]
    file.open_period(table.name, row.get("TxnDate"))
    paid = file.store.all("_ReceivePaymentLine", "_Key = ?", [key]) if table.name == "ReceivePayment" else []
    for line in file.schema.values():
        if line.kind == "line" and line.head == table.name:
            amounts = [name for name in line.own if line.fields[name.lower()].type == "m"]
            for name in amounts:
                file.store.change(f"_{line.name}", "_Key", key, {name: 0})
    changes: Row = {"Memo": f"VOID: {row.get('Memo') or ''}".strip()}
    if table.name == "ReceivePayment":
        changes["TotalAmount"] = 0
    file.touch(table, {**row, **changes})
    totals.settle(file, table, key)
    _settle_paid(file, table, [(file.schema["receivepaymentline"], line) for line in paid])
    trail: Row = {"TxnDelType": table.name, "TxnID": key, "RefNumber": row.get("RefNumber")}
    file.store.add("TxnVoided", {**trail, "TimeCreated": row["TimeCreated"], "TimeVoided": file.stamp()})
    file.counts[f"void {table.name}"] += 1


def _in_use(file: CompanyFile, table: Table, list_id: str) -> bool:
    unions = {u.name for u in file.schema.values() if u.kind == "union" and table.name in u.of}
    for other in file.schema.values():
        if other.kind not in ("list", "txn", "line"):
            continue
        kept = f"_{other.name}" if other.kind == "line" else other.name
        for field in other.fields.values():
            mine = other.kind != "line" or field.name in other.own
            refers = mine and field.name.endswith("ListID") and field.ref_table in {table.name, *unions}
            if refers and file.store.one(kept, f'"{field.name}" = ?', [list_id]):
                return True
    return False
