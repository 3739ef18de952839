"""QuickBooks Desktop: a bookkeeper with pyodbc, through the connector, and what the company file holds."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import sandbox.quickbooks_desktop
from chaos.books import Document, Entry, Held, Line, Mischief, Paid

if TYPE_CHECKING:
    from chaos.house import House

STATEMENT_SECONDS: Final = 2.0  # less than the longest that a slow statement takes
CONNECT_SECONDS: Final = 10
PLACES: Final = 5  # decimals of a number in the file
ZONE: Final = ZoneInfo(sandbox.quickbooks_desktop.Options().time_zone)
HOST: Final = ("modal_dialog", "single_user", "company_closed", "licence", "no_permission", "wrong_version")
OPENING: Final = ("", "OPEN", "INSERT", "SELECT")
TABLES: Final = ("InvoiceLine", "SalesOrderLine", "Bill", "Customer")
WRITES: Final = ("", "INSERT", *(f"INSERT {table}" for table in TABLES), "UPDATE")

ITEMS: Final = frozenset(  # the kinds that mappings know; subtotals, payments and taxes are none
    {"ItemService", "ItemNonInventory", "ItemInventory", "ItemOtherCharge", "ItemDiscount", "ItemGroup"}
)
Row = Mapping[str, Any]


class Desktop:
    """See `chaos.books.Books`.

    Refusals of a record that QuickBooks gives for good (the fault `error`) are not armed: they are for a person, who
    corrects the record.
    """

    system = "quickbooks_desktop"
    size = 4
    item_name = 31
    modules: Sequence[str] = ("hook", "odbc", "system")
    mischief = Mischief(
        {
            "modal_dialog": 2.0,
            "single_user": 1.0,
            "company_closed": 1.0,
            "licence": 0.3,
            "no_permission": 0.3,
            "wrong_version": 0.2,
            "drop_before": 2.0,
            "drop_middle": 1.5,
            "drop_in_group": 4.0,
            "drop_after_commit": 4.0,
            "stale": 2.0,
            "locked_list": 2.0,
            "slow": 2.0,
        },
        own={
            **dict.fromkeys(HOST, OPENING),
            "drop_before": (*WRITES, "SELECT", "SP_LASTINSERTID"),
            "drop_after_commit": WRITES,
            "stale": ("UPDATE",),
            "locked_list": ("WRITE",),
            "slow": ("", "INSERT", "SELECT", "UPDATE"),
        },
        most=6,
        most_at=2,
    )
    ended: Sequence[Mapping[str, Any]] = ()  # each task opens its connection anew
    plain = "chaos.plain_desktop"
    after_sale: Mapping[str, Any] = {"kind": "drop_after_commit", "match": "INSERT InvoiceLine"}

    def __init__(self, house: House) -> None:
        self._house = house

    def started(self) -> None:
        """Nothing has to be set up."""

    def connection(self) -> dict[str, Any]:
        """Return the Airflow connection."""
        body = sandbox.quickbooks_desktop.airflow_connection(self._house.sandboxes.ports[self.system])
        limits = {"connect_timeout": CONNECT_SECONDS, "statement_timeout": STATEMENT_SECONDS}
        return {**body, "extra": {**body["extra"], **limits}}

    def heal(self, code: str) -> None:
        """Nothing: what has to be closed or granted again is when its fault is over."""

    # --- the bookkeeper

    def run(self, sql: str, *params: Any) -> list[Any]:
        """Run a statement as anybody with pyodbc can. Raises RuntimeError."""
        import pyodbc  # the driver manager may be missing, and other books need none

        pyodbc.pooling = False
        text = sandbox.quickbooks_desktop.odbc_string(self._house.sandboxes.ports[self.system])
        try:
            with closing(pyodbc.connect(text, autocommit=True, timeout=30)) as connection:
                cursor = connection.execute(sql, params)
                return cursor.fetchall() if cursor.description else []
        except pyodbc.Error as error:
            msg = f"{sql}: {error}"
            raise RuntimeError(msg) from error

    def call(self, customer: str, phone: str) -> None:
        """Correct a customer's telephone number."""
        self.run("UPDATE Customer SET Phone = ? WHERE ListID = ?", phone, customer)

    def unpaid(self) -> list[Document]:
        """Return invoices of which more than ten are still to be paid."""
        return [each for _, each in sorted(self.held().documents["invoices"].items()) if each.balance > 10]

    def pay(self, invoice: Document, amount: Decimal) -> str:
        """Enter a payment; return its id."""
        self.run(
            "INSERT INTO ReceivePaymentLine (CustomerRefListID, TotalAmount, AppliedToTxnTxnID,"
            " AppliedToTxnPaymentAmount, FQSaveToCache) VALUES (?, ?, ?, ?, ?)",
            *(invoice.party, amount, invoice.id, amount, 0),
        )
        made = max(self.held().payments.values(), key=lambda each: int(each.number))
        return made.id

    def close(self) -> None:
        """Nothing is kept open."""

    # --- the file

    def held(self) -> Held:
        """Return everything."""
        file = self._house.data(self.system)
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as database:
            database.row_factory = sqlite3.Row

            def all_of(table: str) -> Iterator[Row]:
                for row in database.execute(f'SELECT * FROM "{table}"'):  # noqa: S608  a constant of the caller
                    yield dict(row)

            return Held(
                {
                    "customers": {e.id: e for e in map(_customer, all_of("Customer"))},
                    "items": {row["ListID"]: _entry(row) for row in all_of("Item") if row["Type"] in ITEMS},
                    "vendors": {e.id: e for e in map(_entry, all_of("Vendor"))},
                },
                {
                    "invoices": _sales("Invoice", all_of("Invoice"), all_of("InvoiceLine")),
                    "sales_orders": _sales("SalesOrder", all_of("SalesOrder"), all_of("SalesOrderLine")),
                    "bills": _bills(all_of("Bill"), all_of("BillItemLine"), all_of("BillExpenseLine")),
                },
                {p.id: p for p in map(_payment, all_of("ReceivePayment"))},
            )


def _number(value: int | None) -> Decimal:
    return Decimal(value or 0).scaleb(-PLACES)


def _changed(row: Row) -> float:
    return dt.datetime.fromisoformat(row["TimeModified"]).replace(tzinfo=ZONE).timestamp()


def _entry(row: Row) -> Entry:
    code = str(row.get("CustomFieldAccountID") or "")
    return Entry(row["ListID"], row["Name"], str(row.get("Phone") or ""), code, changed=_changed(row))


def _customer(row: Row) -> Entry:
    found = _entry(row)
    return Entry(found.id, found.name, found.phone, found.code, _number(row["TotalBalance"]), found.changed)


def _payment(row: Row) -> Paid:
    return Paid(row["TxnID"], str(row["TxnNumber"]), _number(row["TotalAmount"]), _changed(row))


def _sales(table: str, heads: Iterator[Row], rows: Iterator[Row]) -> dict[str, Document]:
    lines: dict[str, list[Line]] = defaultdict(list)
    for row in rows:
        quantity, rate, amount = (_number(row[f"{table}Line{name}"]) for name in ("Quantity", "Rate", "Amount"))
        lines[row["TxnID"]].append((str(row[f"{table}LineItemRefListID"]), quantity, rate, amount))
    return {
        row["TxnID"]: Document(
            row["TxnID"],
            str(row["RefNumber"] or ""),
            row["CustomerRefListID"],
            tuple(sorted(lines[row["TxnID"]])),
            _number(row["Subtotal"]),
            _number(row["Subtotal"]) + _number(row["SalesTaxTotal"]),
            _number(row.get("BalanceRemaining")),
            _changed(row),
        )
        for row in heads
    }


def _bills(heads: Iterator[Row], items: Iterator[Row], expenses: Iterator[Row]) -> dict[str, Document]:
    lines: dict[str, list[Line]] = defaultdict(list)
    for row in items:
        quantity, cost, amount = (_number(row[f"ItemLine{name}"]) for name in ("Quantity", "Cost", "Amount"))
        lines[row["TxnID"]].append((row["ItemLineItemRefListID"], quantity, cost, amount))
    for row in expenses:
        account = row["ExpenseLineAccountRefFullName"]
        lines[row["TxnID"]].append((account, Decimal(0), Decimal(0), _number(row["ExpenseLineAmount"])))
    return {row["TxnID"]: _bill(row, lines[row["TxnID"]]) for row in heads}


def _bill(row: Row, lines: Sequence[Line]) -> Document:
    total = _number(row["AmountDue"])
    ident, number, party = row["TxnID"], str(row["RefNumber"] or ""), row["VendorRefListID"]
    return Document(ident, number, party, tuple(sorted(lines)), total, total, changed=_changed(row))
