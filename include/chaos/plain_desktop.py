"""The plain writer of QuickBooks Desktop: INSERTs over pyodbc."""

from __future__ import annotations

from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pyodbc

from chaos.plain import PlainWriter, tried
from sandbox.quickbooks_desktop import odbc_string


class DesktopWriter(PlainWriter):
    """See `PlainWriter`. Each try has a connection of its own, so that it begins with an empty cache."""

    def __init__(self, crm: str, books: str, only: tuple[str, ...]) -> None:
        super().__init__(crm, only)
        pyodbc.pooling = False
        self.text = odbc_string(urlsplit(books).port or 0)

    def ask(self, table: str, name: str) -> str:
        """Return the id of who has a name, "" where nobody has."""
        with closing(pyodbc.connect(self.text, autocommit=True)) as connection:
            row = connection.execute(f"SELECT ListID FROM {table} WHERE Name = ?", name).fetchone()  # noqa: S608  ours
            return row[0] if row else ""

    def made(self, table: str, *rows: dict[str, Any]) -> str:
        """Insert rows as one record; return its id."""
        with closing(pyodbc.connect(self.text, autocommit=True)) as connection:
            for row in rows:
                marks = ", ".join("?" * len(row))
                sql = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"  # noqa: S608  names of ours
                connection.execute(sql, *row.values())
            return str(connection.execute(f"sp_lastinsertid {table}").fetchone()[0])

    def customer(self, account: Any) -> str:
        """Find or make an account's customer."""
        found = tried(lambda: self.ask("Customer", account["Name"]))
        return found or tried(lambda: self.made("Customer", {"Name": account["Name"]}))

    def item(self, product: Any) -> str:
        """Find or make a product's item."""
        found = tried(lambda: self.ask("Item", product["Name"]))
        row = {"Name": product["Name"], "SalesOrPurchaseAccountRefFullName": "Services"}
        return found or tried(lambda: self.made("ItemService", row))

    def invoice(self, customer: str, lines: list[tuple[str, Any]]) -> str:
        """Make an invoice; return its id."""
        rows = [
            {
                "CustomerRefListID": customer,
                "InvoiceLineItemRefListID": item,
                "InvoiceLineQuantity": row["Quantity"],
                "InvoiceLineRate": row["Price"],
                "FQSaveToCache": int(number < len(lines)),
            }
            for number, (item, row) in enumerate(lines, start=1)
        ]
        return tried(lambda: self.made("InvoiceLine", *rows))


def sync(crm: str, books: str, only: list[str]) -> None:
    """Do one run; what goes wrong for good ends it."""
    DesktopWriter(crm, books, tuple(only)).run()
