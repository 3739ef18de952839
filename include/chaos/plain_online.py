"""The plain writer of QuickBooks Online: a loop over python-quickbooks."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Any

from intuitlib.client import AuthClient
from quickbooks import QuickBooks
from quickbooks.objects.base import Ref
from quickbooks.objects.customer import Customer
from quickbooks.objects.detailline import SalesItemLine, SalesItemLineDetail
from quickbooks.objects.invoice import Invoice
from quickbooks.objects.item import Item

from chaos.plain import PlainWriter, tried
from sandbox.quickbooks_online.options import CLIENT_ID, CLIENT_SECRET, REALM, REFRESH_TOKEN


class OnlineWriter(PlainWriter):
    """See `PlainWriter`."""

    def __init__(self, crm: str, books: str, only: tuple[str, ...]) -> None:
        super().__init__(crm, only)
        os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
        auth = AuthClient(CLIENT_ID, CLIENT_SECRET, "http://localhost", environment=f"{books}/discovery")
        self.books = QuickBooks(auth_client=auth, refresh_token=REFRESH_TOKEN, company_id=REALM, minorversion=75)
        self.books.api_url_v3 = f"{books}/v3"

    def invoice(self, customer: str, lines: list[tuple[str, Any]]) -> str:
        """Make an invoice; return its id."""
        invoice = Invoice()
        invoice.CustomerRef = Ref()
        invoice.CustomerRef.value = customer
        for number, (item, row) in enumerate(lines, start=1):
            line = SalesItemLine()
            line.SalesItemLineDetail = SalesItemLineDetail()
            line.SalesItemLineDetail.ItemRef = Ref()
            line.SalesItemLineDetail.ItemRef.value = item
            line.SalesItemLineDetail.Qty = row["Quantity"]
            line.SalesItemLineDetail.UnitPrice = row["Price"]
            amount = Decimal(str(row["Quantity"])) * Decimal(str(row["Price"]))
            line.LineNum, line.Amount = number, float(amount.quantize(Decimal("0.01"), "ROUND_HALF_UP"))
            invoice.Line.append(line)
        return str(tried(lambda: invoice.save(qb=self.books)).Id)

    def customer(self, account: Any) -> str:
        """Find or make an account's customer."""
        found = tried(lambda: Customer.filter(DisplayName=account["Name"], qb=self.books))
        new = Customer()
        new.DisplayName = account["Name"]
        return str(found[0].Id if found else tried(lambda: new.save(qb=self.books)).Id)

    def item(self, product: Any) -> str:
        """Find or make a product's item."""
        found = tried(lambda: Item.filter(Name=product["Name"], qb=self.books))
        new = Item()
        new.Name, new.Type, new.UnitPrice = product["Name"], "Service", product["Price"]
        new.IncomeAccountRef = Ref()
        new.IncomeAccountRef.value = self.income_account()
        return str(found[0].Id if found else tried(lambda: new.save(qb=self.books)).Id)

    def income_account(self) -> str:
        """Return some account that takes income."""
        query = "SELECT * FROM Account WHERE AccountType = 'Income'"
        return str(tried(lambda: self.books.query(query))["QueryResponse"]["Account"][0]["Id"])


def sync(crm: str, books: str, only: list[str]) -> None:
    """Do one run; what goes wrong for good ends it."""
    OnlineWriter(crm, books, tuple(only)).run()
