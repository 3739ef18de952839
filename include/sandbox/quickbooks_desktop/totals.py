"""Amounts: of lines, of transactions with their tax, and the balances of whoever they belong to."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from sandbox.quickbooks_desktop import errors
from sandbox.quickbooks_desktop.schema import Table
from sandbox.quickbooks_desktop.store import Row
from sandbox.quickbooks_desktop.values import cents, scaled, unscaled

if TYPE_CHECKING:
    from sandbox.quickbooks_desktop.company import CompanyFile

SALES: Final = frozenset({"Invoice", "SalesOrder", "Estimate", "SalesReceipt", "CreditMemo"})
PURCHASES: Final = {
    "Bill": "AmountDue",
    "VendorCredit": "CreditAmount",
    "Check": "Amount",
    "PurchaseOrder": "TotalAmount",
}
NUMBERED: Final = frozenset(
    {"Invoice", "SalesOrder", "Estimate", "SalesReceipt", "CreditMemo", "PurchaseOrder", "JournalEntry"}
)
_DURATION: Final = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:\d+S)?\Z|(\d+):(\d\d)\Z")


def defaults(table: Table, row: Row) -> None:
    """Fill in what QuickBooks fills in for a new record: yes-and-no columns and computed amounts."""
    for field in table.fields.values():
        if row.get(field.name) is None:
            if field.type == "b":
                row[field.name] = int(field.name == "IsActive")
            elif field.type == "m" and field.computed:
                row[field.name] = 0
    if "openbalance" in table.fields and row.get("OpenBalance"):
        row["Balance"] = row["TotalBalance" if "totalbalance" in table.fields else "Balance"] = row["OpenBalance"]


def price_lines(file: CompanyFile, head: Table, header: Row, lines: Sequence[tuple[Table, Row]]) -> None:
    """Compute rate and amount of each line, in place. Raises `BackendError` for a line without sense."""
    section = previous = Decimal(0)
    for table, line in lines:
        name = table.prefix
        if f"{name}ItemRefListID".lower() not in table.fields:
            if f"{name}Amount".lower() in table.fields and table.name != "ReceivePaymentLine":
                line[f"{name}Amount"] = line.get(f"{name}Amount") or 0
            continue
        item = _item(file, line.get(f"{name}ItemRefListID"))
        if item is None and (line.get(f"{name}Amount") is not None or line.get(f"{name}Quantity") is not None):
            raise errors.refusal(3150, f"{name}ItemRef")
        kind = item["Type"] if item else ""
        if item and not line.get(f"{name}Desc"):
            line[f"{name}Desc"] = item["Description"]
        if kind == "ItemSubtotal":
            line[f"{name}Amount"] = scaled(section)
            previous, section = section, Decimal(0)
            continue
        if item:
            _price(table, line, item, previous, purchase=head.name not in SALES)
            _tax_code(file, table, line, item, header)
        previous = unscaled(line.get(f"{name}Amount"))
        section += previous


def _item(file: CompanyFile, list_id: str | None) -> Row | None:
    return file.store.one("Item", "ListID = ?", [list_id]) if list_id else None


def _price(table: Table, line: Row, item: Row, previous: Decimal, *, purchase: bool) -> None:
    name = table.prefix
    rate_name = f"{name}Cost" if f"{name}cost".lower() in table.fields else f"{name}Rate"
    quantity, rate, amount = (line.get(key) for key in (f"{name}Quantity", rate_name, f"{name}Amount"))
    percent = line.get(f"{name}RatePercent")
    if percent is None and item["Type"] == "ItemDiscount":
        percent = item["PricePercent"]
    if percent is not None and amount is None and rate is None:
        sign = -1 if item["Type"] == "ItemDiscount" else 1
        line[f"{name}RatePercent"] = percent
        line[f"{name}Amount"] = scaled(cents(sign * previous * unscaled(percent) / 100))
        return
    if rate is None and amount is None and not purchase:
        rate = item["Price"]
        if item["Type"] == "ItemDiscount" and rate is not None:
            rate = -rate
    number = Decimal(1) if quantity is None else unscaled(quantity)
    if amount is None:
        amount = scaled(cents(number * unscaled(rate)))
        if abs(amount) >= 10**16:
            raise errors.refusal(3210, f"{name}Amount", str(unscaled(amount)))
    elif rate is None and number:
        rate = scaled(unscaled(amount) / number)
    line[rate_name], line[f"{name}Amount"] = rate, amount


def _tax_code(file: CompanyFile, table: Table, line: Row, item: Row, header: Row) -> None:
    by_id = f"{table.prefix}{file.tax_code}RefListID"
    if by_id.lower() not in table.fields or line.get(by_id):
        return
    code = item[f"{file.tax_code}RefListID"] or header.get(f"Customer{file.tax_code}RefListID")
    found = file.store.one(file.tax_code, "ListID = ?", [code]) if code else None
    if found:
        line[by_id], line[f"{table.prefix}{file.tax_code}RefFullName"] = found["ListID"], found["Name"]


def complete_header(file: CompanyFile, table: Table, row: Row) -> None:
    """Fill in date, number, terms, due date and tax item of a new transaction, from its customer or vendor."""
    row["TxnDate"] = row.get("TxnDate") or file.stamp()[:10]
    file.open_period(table.name, row["TxnDate"])
    customer = file.store.one("Customer", "ListID = ?", [row.get("CustomerRefListID")])
    vendor = file.store.one("Vendor", "ListID = ?", [row.get("VendorRefListID")])
    for ref in ("TermsRef", "SalesRepRef", "ItemSalesTaxRef", "CurrencyRef"):
        for half in ("ListID", "FullName"):
            if (
                f"{ref}{half}".lower() in table.fields
                and row.get(f"{ref}ListID" if half == "ListID" else f"{ref}{half}") is None
            ):
                row[f"{ref}{half}"] = (customer or vendor or {}).get(f"{ref}{half}")
    code = f"Customer{file.tax_code}Ref"
    if customer and table.find(f"{code}ListID") and not row.get(f"{code}ListID"):
        for half in ("ListID", "FullName"):
            row[code + half] = customer[f"{file.tax_code}Ref{half}"]
    if "duedate" in table.fields and not row.get("DueDate"):
        terms = file.store.one("StandardTerms", "ListID = ?", [row.get("TermsRefListID")])
        days = terms["StdDueDays"] or 0 if terms else 0
        row["DueDate"] = (dt.date.fromisoformat(row["TxnDate"]) + dt.timedelta(days=days)).isoformat()
    if table.name in NUMBERED and row.get("RefNumber") is None:
        found = file.store.query(
            f"SELECT MAX(CAST(RefNumber AS INTEGER)) FROM \"{table.name}\" WHERE RefNumber GLOB '[0-9]*'"
        ).fetchone()
        row["RefNumber"] = str((found[0] or 0) + 1)
    for account, kind in (("ARAccountRef", "AccountsReceivable"), ("APAccountRef", "AccountsPayable")):
        if f"{account}listid".lower() in table.fields and not row.get(f"{account}ListID"):
            default = file.store.one("Account", "AccountType = ?", [kind])
            if default:
                row[f"{account}ListID"], row[f"{account}FullName"] = default["ListID"], default["FullName"]
    if "exchangerate" in table.fields and row.get("ExchangeRate") is None:
        row["ExchangeRate"] = scaled(Decimal(1))
    row["TxnNumber"] = file.store.count("number")
    if table.name == "TimeTracking":
        row["DurationMinutes"] = _minutes(str(row.get("Duration") or ""))


def _minutes(text: str) -> int:
    match = _DURATION.match(text)
    if match is None:
        raise errors.refusal(3210, "Duration", text)
    hours, minutes = match[1] or match[3] or 0, match[2] or match[4] or 0
    return int(hours) * 60 + int(minutes)


# --- totals and balances


def settle(file: CompanyFile, table: Table, txn_id: str, before: Row | None = None) -> None:
    """Compute a saved transaction's totals, and the balances that depend on it."""
    row = file.store.one(table.name, "TxnID = ?", [txn_id])
    assert row is not None  # noqa: S101  saved a moment ago
    changes: Row = {}
    if table.name in SALES:
        changes = _sales(file, table, row)
    elif total := PURCHASES.get(table.name):
        changes = {total: line_sum(file, table, txn_id)}
        if table.name in ("Bill", "VendorCredit"):
            changes |= {"OpenAmount": changes[total]}
        if table.name == "Bill":
            changes |= {"IsPaid": int(changes[total] == 0)}
    elif table.name == "Deposit":
        changes = {"DepositTotal": line_sum(file, table, txn_id)}
    elif table.name == "ReceivePayment":
        changes = {"UnusedPayment": (row["TotalAmount"] or 0) - applied_of(file, txn_id)}
    if changes:
        file.store.change(table.name, "TxnID", txn_id, changes)
    for one in (row, before or {}):
        for ref, name in (("CustomerRefListID", "Customer"), ("VendorRefListID", "Vendor")):
            if one.get(ref):
                balance(file, name, one[ref])


def line_sum(file: CompanyFile, table: Table, txn_id: str) -> int:
    """Return the sum of a transaction's lines."""
    total = 0
    for line in file.schema.values():
        if line.kind == "line" and line.head == table.name:
            for row in file.store.all(f"_{line.name}", "_Key = ?", [txn_id]):
                item = _item(file, row.get(f"{line.prefix}ItemRefListID"))
                if item is None or item["Type"] != "ItemSubtotal":
                    total += row.get(f"{line.prefix}Amount") or 0
    return total


def _sales(file: CompanyFile, table: Table, row: Row) -> Row:
    subtotal = line_sum(file, table, row["TxnID"])
    if file.options.country != "US":
        tax = scaled(cents(_tax_by_code(file, f"{table.name}Line", row["TxnID"])))
        changes: Row = {"Subtotal": subtotal, file.tax_total: tax}
        return changes | _rest(file, table, row, subtotal + tax)
    taxable = 0
    codes = {code["ListID"] for code in file.store.all(file.tax_code, "IsTaxable = 1")}
    prefix = f"{table.name}Line"
    for line in file.store.all(f"_{prefix}", "_Key = ?", [row["TxnID"]]):
        if line[f"{prefix}{file.tax_code}RefListID"] in codes:
            taxable += line[f"{prefix}Amount"] or 0
    rate = tax_rate(file, row.get("ItemSalesTaxRefListID"))
    tax = scaled(cents(unscaled(taxable) * rate / 100))
    changes = {"Subtotal": subtotal, "SalesTaxPercentage": scaled(rate), file.tax_total: tax}
    return changes | _rest(file, table, row, subtotal + tax)


def _tax_by_code(file: CompanyFile, prefix: str, txn_id: str) -> Decimal:
    """Return the tax of a transaction outside the US, where each line's code has its rate."""
    total = Decimal(0)
    for line in file.store.all(f"_{prefix}", "_Key = ?", [txn_id]):
        code = file.store.one(file.tax_code, "ListID = ?", [line[f"{prefix}{file.tax_code}RefListID"]])
        if code:
            total += unscaled(line[f"{prefix}Amount"]) * tax_rate(file, code["ItemSalesTaxRefListID"]) / 100
    return total


def _rest(file: CompanyFile, table: Table, row: Row, total: int) -> Row:
    """Return what is still open of a sale."""
    changes: Row = {}
    if table.name == "Invoice":
        paid = paid_on(file, row["TxnID"])
        rest = total - paid
        home = scaled(cents(unscaled(rest) * unscaled(row["ExchangeRate"])))
        changes |= {"AppliedAmount": -paid, "BalanceRemaining": rest, "IsPaid": int(rest == 0)}
        changes |= {"BalanceRemainingInHomeCurrency": home}
    else:
        changes["TotalAmount"] = total
        if table.name == "CreditMemo":
            changes["CreditRemaining"] = total
    return changes


def tax_rate(file: CompanyFile, list_id: str | None) -> Decimal:
    """Return the per cent of a sales tax item or group."""
    item = file.store.one("ItemSalesTax", "ListID = ?", [list_id]) if list_id else None
    if item:
        return unscaled(item["TaxRate"])
    lines = file.store.all("_ItemSalesTaxGroupLine", "_Key = ?", [list_id]) if list_id else []
    return sum((tax_rate(file, line["ItemSalesTaxRefListID"]) for line in lines), Decimal(0))


def paid_on(file: CompanyFile, txn_id: str) -> int:
    """Return what payments have been applied to a transaction."""
    found = file.store.query(
        "SELECT SUM(COALESCE(AppliedToTxnPaymentAmount, 0) + COALESCE(AppliedToTxnDiscountAmount, 0))"
        " FROM _ReceivePaymentLine WHERE AppliedToTxnTxnID = ?",
        [txn_id],
    ).fetchone()
    return int(found[0] or 0)


def applied_of(file: CompanyFile, txn_id: str) -> int:
    """Return what a payment has been applied for."""
    found = file.store.query(
        "SELECT SUM(COALESCE(AppliedToTxnPaymentAmount, 0)) FROM _ReceivePaymentLine WHERE _Key = ?", [txn_id]
    ).fetchone()
    return int(found[0] or 0)


def balance(file: CompanyFile, table: str, list_id: str) -> None:
    """Compute a customer's or vendor's balance anew, and the total ones of those above it."""
    row = file.store.one(table, "ListID = ?", [list_id])
    if row is None:
        return
    total = row["OpenBalance"] or 0
    parts: tuple[tuple[str, str, int], ...]
    if table == "Customer":
        parts = (
            ("Invoice", "BalanceRemaining", 1),
            ("ReceivePayment", "UnusedPayment", -1),
            ("CreditMemo", "CreditRemaining", -1),
        )
    else:
        parts = (("Bill", "OpenAmount", 1), ("VendorCredit", "OpenAmount", -1))
    for name, column, sign in parts:
        found = file.store.query(f'SELECT SUM({column}) FROM "{name}" WHERE {table}RefListID = ?', [list_id]).fetchone()
        total += sign * int(found[0] or 0)
    if total != row["Balance"]:
        # A balance is a part of the record that QuickBooks returns, yet no change of the record's own time.
        file.store.change(table, "ListID", list_id, {"Balance": total})
    while table == "Customer" and row is not None:
        jobs = file.store.query(
            "SELECT SUM(TotalBalance) FROM Customer WHERE ParentRefListID = ?", [row["ListID"]]
        ).fetchone()
        own = file.store.one("Customer", "ListID = ?", [row["ListID"]]) or row
        file.store.change(
            "Customer", "ListID", row["ListID"], {"TotalBalance": (own["Balance"] or 0) + int(jobs[0] or 0)}
        )
        row = file.store.one("Customer", "ListID = ?", [row["ParentRefListID"]])
