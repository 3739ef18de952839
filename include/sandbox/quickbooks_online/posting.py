"""What a transaction does to balances: of customers, vendors and accounts, and to quantities on hand.

Balances are kept by differences: a transaction's effects are stored, and on each change only what differs is added to
the rows concerned. Those rows get a new LastUpdatedTime and keep their SyncToken, as recorded in Intuit's sandbox.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from sandbox.quickbooks_online.books import Books, cents, entity_of
from sandbox.quickbooks_online.entities import BY_TXN_TYPE
from sandbox.quickbooks_online.refs import WORDS, value_of
from sandbox.quickbooks_online.schema import Entity
from sandbox.quickbooks_online.store import Row
from sandbox.quickbooks_online.totals import home_amount

Effects = dict[tuple[str, str], Decimal]
BALANCE_SHEET = {"Asset": 1, "Liability": -1, "Equity": -1}  # sign of a debit
RECEIVABLE, PAYABLE, UNDEPOSITED = "Accounts Receivable", "Accounts Payable", "UndepositedFunds"


class _Entry:
    """Collects the effects of one transaction. Amounts of accounts are debits, in the home currency."""

    def __init__(self, books: Books, row: Row) -> None:
        self.books = books
        self.row = row
        self.total = Decimal(row.get("TotalAmt", 0))
        self.effects: Effects = defaultdict(Decimal)

    def party(self, entity: str, name: str, amount: Decimal) -> None:
        party_id = value_of(self.row, name)
        if party_id:
            self.effects[entity, party_id] += amount

    def debit(self, account_id: str, amount: Decimal) -> None:
        if not account_id:
            return
        account = self.books.get("Account", account_id)
        sign = BALANCE_SHEET.get(account.get("Classification", ""))
        if sign:
            self.effects["Account", account_id] += sign * home_amount(self.row, amount)

    def receivable(self) -> str:
        own = value_of(self.row, "ARAccountRef")
        return own or self.books.account(RECEIVABLE, currency=value_of(self.row, "CurrencyRef"))

    def payable(self) -> str:
        own = value_of(self.row, "APAccountRef")
        return own or self.books.account(PAYABLE, currency=value_of(self.row, "CurrencyRef"))

    def money(self) -> str:
        own = value_of(self.row, "DepositToAccountRef")
        return own or self.books.account("Other Current Asset", UNDEPOSITED)

    def quantities(self, sign: int) -> None:
        for detail in _details(self.row.get("Line", [])):
            item_id, quantity = value_of(detail, "ItemRef"), detail.get("Qty")
            if not item_id or not quantity or item_id in WORDS["Item"]:
                continue
            if self.books.get("Item", item_id).get("Type") == "Inventory":
                self.effects["Item", item_id] += sign * Decimal(quantity)

    def spent(self, sign: int) -> None:
        for line in self.row.get("Line", []):
            account_id = value_of(line.get("AccountBasedExpenseLineDetail", {}), "AccountRef")
            self.debit(account_id, sign * cents(line.get("Amount", 0)))


def _details(lines: list[Row]) -> Iterator[Row]:
    for line in lines:
        for name in ("SalesItemLineDetail", "ItemBasedExpenseLineDetail"):
            if name in line:
                yield line[name]
        if "GroupLineDetail" in line:
            yield from _details(line["GroupLineDetail"].get("Line", []))


def _invoice(entry: _Entry) -> None:
    deposit = cents(entry.row.get("Deposit", 0))
    entry.party("Customer", "CustomerRef", entry.total - deposit)
    entry.debit(entry.receivable(), entry.total - deposit)
    if deposit:
        entry.debit(entry.money(), deposit)
    entry.quantities(-1)


def _sales_receipt(entry: _Entry) -> None:
    entry.debit(entry.money(), entry.total)
    entry.quantities(-1)


def _credit_memo(entry: _Entry) -> None:
    entry.party("Customer", "CustomerRef", -entry.total)
    entry.debit(entry.receivable(), -entry.total)
    entry.quantities(1)


def _refund_receipt(entry: _Entry) -> None:
    entry.debit(entry.money(), -entry.total)
    entry.quantities(1)


def _payment(entry: _Entry) -> None:
    entry.party("Customer", "CustomerRef", -entry.total)
    entry.debit(entry.receivable(), -entry.total)
    entry.debit(entry.money(), entry.total)


def _bill(entry: _Entry) -> None:
    entry.party("Vendor", "VendorRef", entry.total)
    entry.debit(entry.payable(), -entry.total)
    entry.spent(1)
    entry.quantities(1)


def _vendor_credit(entry: _Entry) -> None:
    entry.party("Vendor", "VendorRef", -entry.total)
    entry.debit(entry.payable(), entry.total)
    entry.spent(-1)
    entry.quantities(-1)


def _bill_payment(entry: _Entry) -> None:
    entry.party("Vendor", "VendorRef", -entry.total)
    entry.debit(entry.payable(), entry.total)
    bank = value_of(entry.row.get("CheckPayment", {}), "BankAccountRef")
    entry.debit(bank or value_of(entry.row.get("CreditCardPayment", {}), "CCAccountRef"), -entry.total)


def _purchase(entry: _Entry) -> None:
    sign = -1 if entry.row.get("Credit") else 1
    entry.debit(value_of(entry.row, "AccountRef"), -sign * entry.total)
    entry.spent(sign)
    entry.quantities(sign)


def _journal_entry(entry: _Entry) -> None:
    for line in entry.row.get("Line", []):
        detail = line.get("JournalEntryLineDetail")
        if not detail:
            continue
        amount = cents(line["Amount"]) * (1 if detail["PostingType"] == "Debit" else -1)
        account_id = value_of(detail, "AccountRef")
        entry.debit(account_id, amount)
        who = detail.get("Entity", {}).get("EntityRef")
        account_type = entry.books.get("Account", account_id).get("AccountType")
        if who and account_type == RECEIVABLE:
            entry.effects["Customer", who["value"]] += amount
        elif who and account_type == PAYABLE:
            entry.effects["Vendor", who["value"]] -= amount


def _deposit(entry: _Entry) -> None:
    entry.debit(value_of(entry.row, "DepositToAccountRef"), entry.total)
    for line in entry.row.get("Line", []):
        amount = cents(line["Amount"])
        for link in line.get("LinkedTxn", []):
            source = entry.books.get(BY_TXN_TYPE[link["TxnType"]].name, str(link["TxnId"]))
            account_id = value_of(source, "DepositToAccountRef")
            entry.debit(account_id or entry.books.account("Other Current Asset", UNDEPOSITED), -amount)
        if not line.get("LinkedTxn"):
            entry.debit(value_of(line["DepositLineDetail"], "AccountRef"), -amount)


def _transfer(entry: _Entry) -> None:
    amount = cents(entry.row["Amount"])
    entry.debit(value_of(entry.row, "ToAccountRef"), amount)
    entry.debit(value_of(entry.row, "FromAccountRef"), -amount)


_POSTINGS: Mapping[str, Callable[[_Entry], None]] = {
    "Invoice": _invoice,
    "SalesReceipt": _sales_receipt,
    "CreditMemo": _credit_memo,
    "RefundReceipt": _refund_receipt,
    "Payment": _payment,
    "Bill": _bill,
    "VendorCredit": _vendor_credit,
    "BillPayment": _bill_payment,
    "Purchase": _purchase,
    "JournalEntry": _journal_entry,
    "Deposit": _deposit,
    "Transfer": _transfer,
}


def effects(books: Books, entity: Entity, row: Row) -> Effects:
    """Return what a transaction does, by entity and Id."""
    entry = _Entry(books, row)
    if entity.name in _POSTINGS:
        _POSTINGS[entity.name](entry)
    return {key: amount for key, amount in entry.effects.items() if amount}


def post(books: Books, entity: Entity, row_id: str, now: Mapping[tuple[str, str], Decimal]) -> None:
    """Replace a transaction's effects by `now`, and move the balances by the difference."""
    found = books.store.rows(
        "SELECT dst, dst_id, amount FROM effect WHERE src = ? AND src_id = ?", (entity.name, int(row_id))
    )
    before = {(str(dst), str(dst_id)): Decimal(amount) for dst, dst_id, amount in found}
    if before == dict(now):
        return
    books.store.write("DELETE FROM effect WHERE src = ? AND src_id = ?", (entity.name, int(row_id)))
    for (dst, dst_id), amount in now.items():
        books.store.write(
            "INSERT INTO effect VALUES (?, ?, ?, ?, ?)", (entity.name, int(row_id), dst, int(dst_id), str(amount))
        )
    for key in sorted({*before, *now}):
        difference = now.get(key, Decimal(0)) - before.get(key, Decimal(0))
        if difference:
            move(books, *key, difference)


_OWN = {"Customer": "Balance", "Vendor": "Balance", "Account": "CurrentBalance", "Item": "QtyOnHand"}
_WITH_CHILDREN = {"Customer": "BalanceWithJobs", "Account": "CurrentBalanceWithSubAccounts"}


def move(books: Books, entity: str, row_id: str, amount: Decimal) -> None:
    """Add `amount` to a row's balance, and to those of the rows above it that count their children."""
    row = books.get(entity, row_id)
    own, total = _OWN[entity], _WITH_CHILDREN.get(entity)
    row[own] = Decimal(row.get(own, 0)) + amount
    if total:
        row[total] = Decimal(row.get(total, 0)) + amount
    books.touch(entity_of(entity), row, bump=False)
    while total:
        above = value_of(row, "ParentRef")
        if not above:
            break
        row = books.get(entity, above)
        row[total] = Decimal(row.get(total, 0)) + amount
        books.touch(entity_of(entity), row, bump=False)
