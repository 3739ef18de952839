"""Which tables an object of the catalogue stands in: header, lines, what marks a create as ours. No I/O.

Lists have a ListID, transactions a TxnID. A transaction's lines stand in tables of their own, whose rows carry the
header's columns too; bills, checks and vendor credits have two, for items and for expenses, journal entries one for
debits and one for credits. Items stand in a table a kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

LIST_KEY: Final = "ListID"
TXN_KEY: Final = "TxnID"
EDIT: Final = "EditSequence"
CREATED: Final = "TimeCreated"
MODIFIED: Final = "TimeModified"
ACTIVE: Final = "IsActive"


@dataclass(frozen=True, slots=True)
class Lines:
    """A table of lines. A line's column is the prefix and the catalogue's `native`, unless `own` says otherwise.

    :param own: `native` -> this table's column without its prefix, "" where the table has none.
    :param told: the `native` that a line has to have to stand in this table; "" for the table of all others.
    """

    table: str
    prefix: str
    own: Mapping[str, str] = field(default_factory=dict)
    told: str = ""
    key: str = "TxnLineID"  # "" where a line has no id of its own

    def column(self, native: str) -> str:
        """Return the column of a line's field, "" where the table has none."""
        own = self.own.get(native, native)
        return self.prefix + own if own else ""

    @property
    def line_id(self) -> str:
        """The column with the line's own id, "" where there is none."""
        return self.prefix + self.key if self.key else ""

    @property
    def order(self) -> str:
        """The column that numbers lines within their transaction."""
        return f"{self.prefix}SeqNo"


@dataclass(frozen=True, slots=True)
class Kind:
    """A table of headers. `own` names columns that are called otherwise in this table, "" where it has none.

    Several columns, divided by `|`, stand for whichever of them is filled.
    """

    table: str
    name: str = ""  # the word for this kind where an object has several tables
    own: Mapping[str, str] = field(default_factory=dict)

    def columns(self, native: str) -> tuple[str, ...]:
        """Return the columns of a field, none where the table does not have it."""
        return tuple(filter(None, self.own.get(native, native).split("|")))


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything of one object.

    :param marker: the column that keeps the key of a create which is not otherwise known again; "" where none can.
    :param spare: columns that take the mark where the mapping fills `marker` and what it puts there is not unique.
    :param narrow: columns by which QuickBooks itself can look for what a create has made; whose it is comes first.
    :param numbered: whether a customer or vendor has no two of the same number; of payments `Cash` may be the number.
    :param unique: whether QuickBooks refuses a second record of the same name (3100).
    :param gone: what ListDeleted or TxnDeleted call it.
    :param only: the column that a row has to have to be of this object (a job's parent).
    :param posted: transactions, and their column, that change a record's balance without changing its TimeModified.
    """

    kinds: tuple[Kind, ...]
    key: str = LIST_KEY
    lines: tuple[Lines, ...] = ()
    marker: str = ""
    marker_length: int = 30
    spare: tuple[str, ...] = ()
    narrow: tuple[str, ...] = ()
    unique: bool = False
    numbered: bool = True
    gone: tuple[str, ...] = ()
    only: str = ""
    posted: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_list(self) -> bool:
        """Whether its records are names and not transactions."""
        return self.key == LIST_KEY

    @property
    def party(self) -> str:
        """The column that says whose a transaction is, "" where there is none."""
        return next((column for column in self.narrow[:1] if column.endswith(LIST_KEY)), "")


_EXPENSE: Final = {"ItemRefListID": "", "Desc": "Memo", "Quantity": "", "Cost": ""}
_ITEM: Final = {"AccountRefFullName": ""}


def _sale(table: str, **more: str) -> Tables:
    lines = (Lines(f"{table}Line", f"{table}Line"),)
    marker = more.get("marker", "Other")
    narrow = (more.get("party", "CustomerRefListID"), "TxnDate")
    length = int(more.get("length", "29"))
    return Tables((Kind(table),), TXN_KEY, lines, marker, length, narrow=narrow, gone=(table,))


def _purchase(table: str, party: str, length: int) -> Tables:
    lines = (
        Lines(f"{table}ItemLine", "ItemLine", _ITEM, "ItemRefListID"),
        Lines(f"{table}ExpenseLine", "ExpenseLine", _EXPENSE),
    )
    return Tables((Kind(table),), TXN_KEY, lines, "RefNumber", length, narrow=(party, "TxnDate"), gone=(table,))


def _list(table: str, *, marker: str = "", posted: Mapping[str, str] | None = None) -> Tables:
    return Tables((Kind(table),), marker=marker, unique=True, gone=(table,), posted=posted or {})


# The two shapes of what is bought or sold: with one price, or with one for buying and one for selling.
_BOTH: Final = {
    "Description": "SalesOrPurchaseDesc|SalesAndPurchaseSalesDesc",
    "Price": "SalesOrPurchasePrice|SalesAndPurchaseSalesPrice",
    "Cost": "SalesAndPurchasePurchaseCost",
    "IncomeAccountRefFullName": "SalesOrPurchaseAccountRefFullName|SalesAndPurchaseIncomeAccountRefFullName",
    "ExpenseAccountRefFullName": "SalesAndPurchaseExpenseAccountRefFullName",
    "AssetAccountRefFullName": "",
    "QuantityOnHand": "",
}
_SERVICE: Final = {**_BOTH, "ManufacturerPartNumber": ""}
_STOCK: Final = {
    "Description": "SalesDesc",
    "Price": "SalesPrice",
    "Cost": "PurchaseCost",
    "ExpenseAccountRefFullName": "COGSAccountRefFullName",
}
_NEITHER: Final = {
    "Cost": "",
    "ExpenseAccountRefFullName": "",
    "AssetAccountRefFullName": "",
    "ManufacturerPartNumber": "",
    "QuantityOnHand": "",
}
_DISCOUNT: Final = {
    **_NEITHER,
    "Description": "ItemDesc",
    "Price": "DiscountRate",
    "IncomeAccountRefFullName": "AccountRefFullName",
}
_GROUP: Final = {
    **_NEITHER,
    "Description": "ItemDesc",
    "Price": "",
    "IncomeAccountRefFullName": "",
    "SalesTaxCodeRefFullName": "",
    "FullName": "Name",
    "ParentRefListID": "",
}

_ITEMS: Final = (
    Kind("ItemService", "Service", _SERVICE),
    Kind("ItemNonInventory", "NonInventory", _BOTH),
    Kind("ItemInventory", "Inventory", _STOCK),
    Kind("ItemOtherCharge", "OtherCharge", _SERVICE),
    Kind("ItemDiscount", "Discount", _DISCOUNT),
    Kind("ItemGroup", "Group", _GROUP),
)

_ACCOUNT_ID: Final = "CustomFieldAccountID"

_SOLD: Final = dict.fromkeys(("Invoice", "CreditMemo", "ReceivePayment"), "CustomerRefListID")
_BOUGHT: Final = dict.fromkeys(("Bill", "VendorCredit"), "VendorRefListID")
BALANCES: Final = frozenset({"TotalBalance", "Balance"})

TABLES: Final[Mapping[str, Tables]] = {
    "Customer": _list("Customer", marker=_ACCOUNT_ID, posted=_SOLD),
    "Job": Tables(
        (Kind("Customer"),),
        marker=_ACCOUNT_ID,
        unique=True,
        gone=("Customer",),
        only="ParentRefListID",
        posted=_SOLD,
    ),
    "Vendor": _list("Vendor", marker=_ACCOUNT_ID, posted=_BOUGHT),
    "Employee": Tables(
        (Kind("Employee"),),
        marker=_ACCOUNT_ID,
        narrow=("FirstName", "MiddleName", "LastName"),
        unique=True,
        gone=("Employee",),
    ),
    "Item": Tables(_ITEMS, unique=True, gone=tuple(kind.table for kind in _ITEMS)),
    **{kind.table: Tables((kind,), unique=True, gone=(kind.table,)) for kind in _ITEMS},
    "Invoice": _sale("Invoice"),
    "SalesOrder": _sale("SalesOrder"),
    "SalesReceipt": _sale("SalesReceipt"),
    "Estimate": _sale("Estimate"),
    "CreditMemo": _sale("CreditMemo"),
    "PurchaseOrder": _sale("PurchaseOrder", marker="Other1", party="VendorRefListID", length="25"),
    "Bill": _purchase("Bill", "VendorRefListID", 20),
    "Check": _purchase("Check", "PayeeEntityRefListID", 11),
    "VendorCredit": _purchase("VendorCredit", "VendorRefListID", 20),
    "ReceivePayment": Tables(
        (Kind("ReceivePayment"),),
        TXN_KEY,
        (Lines("ReceivePaymentLine", "AppliedToTxn", key=""),),
        "RefNumber",
        20,
        ("Memo",),
        ("CustomerRefListID", "TxnDate"),
        numbered=False,
        gone=("ReceivePayment",),
    ),
    "Deposit": Tables(
        (Kind("Deposit"),),
        TXN_KEY,
        (Lines("DepositLine", "DepositLine"),),
        "Memo",
        4095,
        narrow=("TxnDate",),
        numbered=False,
        gone=("Deposit",),
    ),
    "JournalEntry": Tables(
        (Kind("JournalEntry"),),
        TXN_KEY,
        (
            Lines("JournalEntryDebitLine", "JournalDebitLine", {"Debit": "Amount", "Credit": ""}, "Debit"),
            Lines("JournalEntryCreditLine", "JournalCreditLine", {"Credit": "Amount", "Debit": ""}),
        ),
        "RefNumber",
        11,
        narrow=("TxnDate",),
        gone=("JournalEntry",),
    ),
    "TimeTracking": Tables(
        (Kind("TimeTracking"),),
        TXN_KEY,
        narrow=("EntityRefListID", "TxnDate"),
        numbered=False,
        gone=("TimeTracking",),
    ),
    "Account": _list("Account"),
    "StandardTerms": _list("StandardTerms"),
    "SalesRep": _list("SalesRep"),
    "Class": _list("Class"),
    "ShipMethod": _list("ShipMethod"),
    "Template": _list("Template"),
    "Currency": _list("Currency"),
}
