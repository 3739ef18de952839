"""What pays what: payments and credits applied to invoices and bills, and what is then open on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sandbox.quickbooks_online import errors
from sandbox.quickbooks_online.books import Books, cents, entity_of
from sandbox.quickbooks_online.entities import BY_TXN_TYPE
from sandbox.quickbooks_online.lines import ZERO
from sandbox.quickbooks_online.refs import value_of
from sandbox.quickbooks_online.schema import Entity
from sandbox.quickbooks_online.store import Row
from sandbox.quickbooks_online.totals import home_amount

Target = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Payer:
    """A kind of transaction that pays: what its lines lower (`debts`), and what adds to what it has (`credits`)."""

    debts: frozenset[str]
    credits: frozenset[str]


PAYERS: Mapping[str, Payer] = {
    "Payment": Payer(frozenset({"Invoice", "JournalEntry", "Purchase"}), frozenset({"CreditMemo"})),
    "BillPayment": Payer(frozenset({"Bill", "JournalEntry"}), frozenset({"VendorCredit"})),
}


def linked_target(books: Books, link: Row) -> Target:
    """Return the entity and Id that a LinkedTxn names. Raises `Fault` 2170, 2500, or 610 for a deleted one."""
    txn_type, txn_id = str(link.get("TxnType", "")), str(link.get("TxnId", ""))
    entity = BY_TXN_TYPE.get(txn_type)
    if entity is None:
        raise errors.Fault(errors.invalid_enumeration("TxnType", txn_type))
    if not txn_id.isascii() or not txn_id.isdigit() or len(txn_id) > 18:
        raise errors.Fault(errors.invalid_id(txn_id))
    if books.store.peek(entity.name, txn_id) is None:
        if books.store.was_deleted(entity.name, txn_id):
            raise errors.not_found(errors.DELETED)
        raise errors.Fault(errors.invalid_reference(entity.label, txn_id, "TxnId"))
    return entity.name, str(int(txn_id))


def applied_by(books: Books, entity: Entity, row_id: str) -> dict[Target, Decimal]:
    """Return what a transaction is applied to at present."""
    found = books.store.rows(
        "SELECT dst, dst_id, amount FROM link WHERE src = ? AND src_id = ?", (entity.name, int(row_id))
    )
    return {(str(dst), str(dst_id)): Decimal(amount) for dst, dst_id, amount in found}


def applied_to(books: Books, entity: str, row_id: str) -> list[tuple[str, str, Decimal]]:
    """Return what is applied to a transaction: payer's entity, Id and amount, the oldest first."""
    found = books.store.rows(
        "SELECT src, src_id, amount FROM link WHERE dst = ? AND dst_id = ? ORDER BY src_id", (entity, int(row_id))
    )
    return [(str(src), str(src_id), Decimal(amount)) for src, src_id, amount in found]


def settle_payment(books: Books, entity: Entity, row: Row) -> dict[Target, Decimal]:
    """Check the lines of a payment and fill in what is not applied. Returns what it is to be applied to.

    Raises `Fault` 6000 for more than the payment has, more than is open, another currency or another party.
    """
    payer = PAYERS[entity.name]
    before = applied_by(books, entity, row["Id"]) if "Id" in row else {}
    wanted: dict[Target, Decimal] = {}
    used = ZERO
    for position, line in enumerate(row.get("Line", []), 1):
        if line.get("Amount") is None:
            raise errors.Fault(errors.required("Line.Amount"))
        amount = line["Amount"] = cents(line["Amount"])
        if amount < 0:
            raise errors.business("The amount of a line must be 0 or greater.")
        if not line.get("LinkedTxn"):
            raise errors.Fault(errors.required("Line.LinkedTxn"))
        target = linked_target(books, line["LinkedTxn"][0])
        if target[0] not in payer.debts | payer.credits:
            raise errors.business(f"A {entity.name} cannot be applied to a {target[0]}.")
        wanted[target] = wanted.get(target, ZERO) + amount
        used += amount if target[0] in payer.debts else -amount
        line["LineNum"] = position
    total = row["TotalAmt"] = cents(row["TotalAmt"])
    if total < 0:
        raise errors.business("Transaction amount must be 0 or greater.")
    if used > total:
        raise errors.business("The amount applied to transactions is more than the amount of the payment.")
    for target, amount in wanted.items():
        _check_target(books, entity, row, target, amount - before.get(target, ZERO))
    if entity.name == "Payment":
        row["UnappliedAmt"] = total - used
    return wanted


def _check_target(books: Books, entity: Entity, row: Row, target: Target, more: Decimal) -> None:
    other = books.get(*target)
    if value_of(other, "CurrencyRef") != value_of(row, "CurrencyRef"):
        raise errors.business("The currency of a payment has to be that of what it pays.")
    if "Balance" in other and more > other["Balance"]:
        raise errors.business(
            f"The amount applied is more than the open balance of {target[0]} {other.get('DocNumber') or target[1]}."
        )
    party = entity_of(target[0]).party
    if party == entity.party and _top(books, value_of(other, party), party) != _top(books, value_of(row, party), party):
        raise errors.business(f"{target[0]} {target[1]} belongs to another customer or vendor.")


def _top(books: Books, party_id: str, party: str) -> str:
    """Return the Id at the top of a customer's hierarchy."""
    while party == "CustomerRef":
        above = value_of(books.store.get("Customer", party_id) or {}, "ParentRef")
        if not above:
            break
        party_id = above
    return party_id


def apply(books: Books, entity: Entity, row_id: str, wanted: Mapping[Target, Decimal]) -> None:
    """Store what a payment is applied to, and bring what it pays up to date; whatever changed gets a new SyncToken."""
    before = applied_by(books, entity, row_id)
    if before == dict(wanted):
        return
    books.store.write("DELETE FROM link WHERE src = ? AND src_id = ?", (entity.name, int(row_id)))
    for (dst, dst_id), amount in wanted.items():
        books.store.write(
            "INSERT INTO link VALUES (?, ?, ?, ?, ?)", (entity.name, int(row_id), dst, int(dst_id), str(amount))
        )
    for target in sorted({*before, *wanted}):
        if before.get(target) != wanted.get(target):
            other = books.get(*target)
            settle_balance(books, entity_of(target[0]), other)
            books.touch(entity_of(target[0]), other, bump=True)


def settle_balance(books: Books, entity: Entity, row: Row) -> None:
    """Set what is open on a transaction, and its LinkedTxn, from what is applied to it."""
    if "LinkedTxn" not in entity.fields or entity.name in PAYERS:
        return
    payers = applied_to(books, entity.name, row["Id"]) if "Id" in row else []
    kept = [link for link in row.get("LinkedTxn", []) if BY_TXN_TYPE.get(str(link.get("TxnType"))) and not _pays(link)]
    row["LinkedTxn"] = [
        *kept,
        *({"TxnId": src_id, "TxnType": _txn_type(books, src, src_id)} for src, src_id, _ in payers),
    ]
    if "Balance" not in entity.fields:
        return
    applied = sum((amount for _, _, amount in payers), ZERO)
    if entity.name in ("SalesReceipt", "RefundReceipt"):
        row["Balance"] = ZERO
    else:
        row["Balance"] = row["TotalAmt"] - cents(row.get("Deposit", 0)) - applied
    if entity.name == "CreditMemo":
        row["RemainingCredit"] = row["Balance"]
    if books.options.multicurrency:
        row["HomeBalance"] = home_amount(row, row["Balance"])


def _pays(link: Row) -> bool:
    return BY_TXN_TYPE[str(link["TxnType"])].name in (*PAYERS, "Deposit")


def _txn_type(books: Books, entity: str, row_id: str) -> str:
    if entity == "BillPayment":
        return f"BillPayment{books.get(entity, row_id).get('PayType', 'Check')}"
    return entity


def settle_links(books: Books, entity: Entity, row: Row) -> dict[Target, Decimal]:
    """Check the LinkedTxn of a transaction that pays nothing; a deposit holds on to what it deposits."""
    found: dict[Target, Decimal] = {}
    for link in row.get("LinkedTxn", []):
        if link.get("TxnType") in BY_TXN_TYPE and not _pays(link):
            linked_target(books, link)
    if entity.name == "Deposit":
        for line in row.get("Line", []):
            for link in line.get("LinkedTxn", []):
                target = linked_target(books, link)
                found[target] = found.get(target, ZERO) + line["Amount"]
    return found


def refuse_deposited(books: Books, entity: Entity, row_id: str) -> None:
    """Raise `Fault` 6540 for a payment or receipt that lies in a deposit."""
    if any(src == "Deposit" for src, _, _ in applied_to(books, entity.name, row_id)):
        raise errors.deposited()


def release(books: Books, entity: Entity, row_id: str, keep: Decimal = ZERO) -> None:
    """Take payments off a transaction, the newest first, until no more than `keep` is applied to it."""
    payers = applied_to(books, entity.name, row_id)
    excess = sum((amount for _, _, amount in payers), ZERO) - keep
    for src, src_id, amount in reversed(payers):
        if excess <= 0 or src not in PAYERS:
            continue
        cut = min(excess, amount)
        excess -= cut
        _cut(books, src, src_id, (entity.name, row_id), amount - cut)


def _cut(books: Books, src: str, src_id: str, target: Target, left: Decimal) -> None:
    payment = books.get(src, src_id)
    kept: list[Row] = []
    for line in payment.get("Line", []):
        link: Any = line["LinkedTxn"][0]
        if (BY_TXN_TYPE[link["TxnType"]].name, str(link["TxnId"])) == target:
            line["Amount"] = min(cents(line["Amount"]), left)
            left -= line["Amount"]
        if line["Amount"] or not _is(line, target):
            kept.append(line)
    payment["Line"] = kept
    wanted = settle_payment(books, entity_of(src), payment)
    books.store.write("DELETE FROM link WHERE src = ? AND src_id = ?", (src, int(src_id)))
    for (dst, dst_id), amount in wanted.items():
        books.store.write("INSERT INTO link VALUES (?, ?, ?, ?, ?)", (src, int(src_id), dst, int(dst_id), str(amount)))
    books.touch(entity_of(src), payment, bump=True)


def _is(line: Row, target: Target) -> bool:
    link = line["LinkedTxn"][0]
    return (BY_TXN_TYPE[link["TxnType"]].name, str(link["TxnId"])) == target
