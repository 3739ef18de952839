"""What single entities ask for beyond their description."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from sandbox.quickbooks_online import errors
from sandbox.quickbooks_online.books import Books, currency_ref
from sandbox.quickbooks_online.entities.lists import ACCOUNT_TYPES
from sandbox.quickbooks_online.errors import required
from sandbox.quickbooks_online.lines import ZERO
from sandbox.quickbooks_online.refs import value_of
from sandbox.quickbooks_online.store import Row

Rule = Callable[[Books, Row, Row | None], None]


def check(books: Books, entity: str, row: Row, current: Row | None) -> None:
    """Apply the rules of an entity: defaults, and refusals (`Fault` 2020, 2170 or 6000)."""
    rule = _RULES.get(entity)
    if rule is not None:
        rule(books, row, current)


def _need(row: Mapping[str, Any], *names: str) -> None:
    errors.raise_all([required(name) for name in names if row.get(name) in (None, "")])


def _customer(books: Books, row: Row, current: Row | None) -> None:
    parent_id = value_of(row, "ParentRef")
    if parent_id and current is None and "CurrencyRef" not in row:
        row["CurrencyRef"] = dict(books.get("Customer", parent_id)["CurrencyRef"])
    _keep_currency(books, row, current)
    for name in ("Balance", "BalanceWithJobs"):
        row.setdefault(name, ZERO)
    if parent_id and value_of(books.get("Customer", parent_id), "CurrencyRef") != value_of(row, "CurrencyRef"):
        raise errors.business("A sub-customer has to have the currency of its parent.")


def _vendor(books: Books, row: Row, current: Row | None) -> None:
    _keep_currency(books, row, current)
    row.setdefault("Balance", ZERO)


def _keep_currency(books: Books, row: Row, current: Row | None) -> None:
    code = value_of(row, "CurrencyRef") or (value_of(current, "CurrencyRef") if current else "") or books.home
    if current is not None and code != (value_of(current, "CurrencyRef") or books.home):
        raise errors.business("The currency of a customer or vendor cannot be changed.")
    if not books.options.multicurrency and code != books.home:
        raise errors.business("Multicurrency is not turned on.")
    row["CurrencyRef"] = currency_ref(code)


def _employee(books: Books, row: Row, current: Row | None) -> None:
    del books, current
    if not row.get("GivenName") and not row.get("FamilyName"):
        raise errors.Fault(required("GivenName"))


def _item(books: Books, row: Row, current: Row | None) -> None:
    kind = row["Type"]
    if current is not None and current["Type"] == "Inventory" != kind:
        raise errors.business("The type of an inventory item cannot be changed.")
    if kind == "Category":
        for name in ("UnitPrice", "PurchaseCost", "Taxable", "TrackQtyOnHand", "IncomeAccountRef"):
            row.pop(name, None)
        return
    if kind == "Group":
        if not row.get("ItemGroupDetail", {}).get("ItemGroupLine"):
            raise errors.Fault(required("ItemGroupDetail"))
        return
    if kind == "Inventory":
        _need(row, "QtyOnHand", "InvStartDate", "AssetAccountRef", "IncomeAccountRef")
        row["TrackQtyOnHand"] = True
        if "ExpenseAccountRef" not in row:
            _default_account(books, row, "ExpenseAccountRef", "Cost of Goods Sold")
        return
    for name in ("QtyOnHand", "InvStartDate", "AssetAccountRef"):
        row.pop(name, None)
    row["TrackQtyOnHand"] = False
    if "IncomeAccountRef" not in row and "ExpenseAccountRef" not in row:
        _default_account(books, row, "IncomeAccountRef", "Income")


def _default_account(books: Books, row: Row, name: str, account_type: str) -> None:
    account_id = books.account(account_type)
    if not account_id:
        raise errors.Fault(required(name))
    row[name] = {"value": account_id, "name": books.get("Account", account_id)["FullyQualifiedName"]}


def _account(books: Books, row: Row, current: Row | None) -> None:
    kind, subtype = row.get("AccountType"), row.get("AccountSubType")
    if not kind and subtype:
        kind = next((name for name, (_, first) in ACCOUNT_TYPES.items() if first == subtype), None)
    if not kind:
        raise errors.Fault(required("AccountType"))
    classification, default = ACCOUNT_TYPES[kind]
    if current is not None and kind != current["AccountType"] and kind in ("Accounts Receivable", "Accounts Payable"):
        raise errors.business("The type of this account cannot be changed.")
    row["AccountType"], row["Classification"] = kind, classification
    row["AccountSubType"] = subtype or default
    row["CurrencyRef"] = currency_ref(value_of(row, "CurrencyRef") or books.home)
    opening = row.pop("OpeningBalance", None)
    row.pop("OpeningBalanceDate", None)
    for name in ("CurrentBalance", "CurrentBalanceWithSubAccounts"):
        row.setdefault(name, Decimal(opening) if opening and current is None else ZERO)


def _term(books: Books, row: Row, current: Row | None) -> None:
    del books, current
    if row.get("DayOfMonthDue"):
        row["Type"] = "DATE_DRIVEN"
    else:
        _need(row, "DueDays")
        row["Type"] = "STANDARD"


def _time_activity(books: Books, row: Row, current: Row | None) -> None:
    del books, current
    _need(row, f"{row['NameOf']}Ref")
    if "Hours" in row or "Minutes" in row:
        row.setdefault("Hours", 0)
        row.setdefault("Minutes", 0)
        row.pop("StartTime", None)
        row.pop("EndTime", None)
    else:
        errors.raise_all([required(name) for name in ("StartTime", "EndTime") if name not in row])
    if row.get("BillableStatus") == "HasBeenBilled":
        raise errors.Fault(errors.invalid_enumeration("BillableStatus", "HasBeenBilled"))
    if row.get("BillableStatus") == "Billable" and "CustomerRef" not in row:
        raise errors.Fault(required("CustomerRef"))


def _bill_payment(books: Books, row: Row, current: Row | None) -> None:
    del books, current
    if row["PayType"] == "Check":
        if "BankAccountRef" not in row.get("CheckPayment", {}):
            raise errors.Fault(required("CheckPayment.BankAccountRef"))
        row["CheckPayment"].setdefault("PrintStatus", "NotSet")
        row.pop("CreditCardPayment", None)
    else:
        if "CCAccountRef" not in row.get("CreditCardPayment", {}):
            raise errors.Fault(required("CreditCardPayment.CCAccountRef"))
        row.pop("CheckPayment", None)


def _purchase(books: Books, row: Row, current: Row | None) -> None:
    if current is not None and row["PaymentType"] != current["PaymentType"]:
        raise errors.business("The payment type of a purchase cannot be changed.")
    kind = books.get("Account", row["AccountRef"]["value"])["AccountType"]
    fits = {"Credit Card"} if row["PaymentType"] == "CreditCard" else {"Bank", "Other Current Asset"}
    if kind not in fits and not (row["PaymentType"] == "Cash" and kind == "Credit Card"):
        raise errors.business(f"Select a different account: {kind} does not fit {row['PaymentType']}.")


def _bill(books: Books, row: Row, _current: Row | None) -> None:
    if "APAccountRef" not in row:
        _payable(books, row)


def _payable(books: Books, row: Row) -> None:
    account_id = books.account("Accounts Payable", currency=value_of(row, "CurrencyRef"))
    if account_id:
        row["APAccountRef"] = {"value": account_id, "name": books.get("Account", account_id)["FullyQualifiedName"]}


def _takes_money(books: Books, row: Row, current: Row | None) -> None:
    if "DepositToAccountRef" not in row and current is None:
        account_id = books.account("Other Current Asset", "UndepositedFunds")
        if account_id:
            name = books.get("Account", account_id)["FullyQualifiedName"]
            row["DepositToAccountRef"] = {"value": account_id, "name": name}


def _transfer(books: Books, row: Row, current: Row | None) -> None:
    del books, current
    if row["FromAccountRef"]["value"] == row["ToAccountRef"]["value"]:
        raise errors.business("The two accounts of a transfer cannot be the same.")
    if Decimal(row["Amount"]) <= 0:
        raise errors.business("You must set a transaction amount.")


def _addressed(books: Books, row: Row, current: Row | None) -> None:
    """A new sale takes the customer's addresses where it brings none."""
    customer_id = value_of(row, "CustomerRef")
    if current is not None or not customer_id:
        return
    customer = books.get("Customer", customer_id)
    for name in ("BillAddr", "ShipAddr"):
        if name not in row and name in customer:
            row[name] = {part: value for part, value in customer[name].items() if part != "Id"}


def _receipt(books: Books, row: Row, current: Row | None) -> None:
    _addressed(books, row, current)
    _takes_money(books, row, current)


_RULES: Mapping[str, Rule] = {
    "Customer": _customer,
    "Vendor": _vendor,
    "Employee": _employee,
    "Item": _item,
    "Account": _account,
    "Term": _term,
    "TimeActivity": _time_activity,
    "BillPayment": _bill_payment,
    "Purchase": _purchase,
    "Bill": _bill,
    "VendorCredit": _bill,
    "Payment": _takes_money,
    "Transfer": _transfer,
    "Invoice": _addressed,
    "Estimate": _addressed,
    "CreditMemo": _addressed,
    "RefundReceipt": _addressed,
    "SalesReceipt": _receipt,
}
