"""Fills a company file from a world: what a bookkeeper and an earlier integration have left there."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from sandbox.quickbooks_desktop import transactions
from sandbox.quickbooks_desktop.company import CompanyFile
from sandbox.quickbooks_desktop.store import Row
from sandbox.quickbooks_desktop.values import scaled
from sandbox.seed.world import Account, Address, BooksCustomer, BooksInvoice, BooksItem, BooksPayment, World

OPENED: Final = dt.datetime(2026, 1, 2, 9, tzinfo=dt.UTC)
ACCOUNTS: Final = (
    ("Checking", "Bank", "1000"),
    ("Undeposited Funds", "OtherCurrentAsset", "1200"),
    ("Accounts Receivable", "AccountsReceivable", "1300"),
    ("Inventory Asset", "OtherCurrentAsset", "1400"),
    ("Accounts Payable", "AccountsPayable", "2000"),
    ("Sales Tax Payable", "OtherCurrentLiability", "2200"),
    ("Opening Balance Equity", "Equity", "3000"),
    ("Sales", "Income", "4000"),
    ("Services", "Income", "4100"),
    ("Discounts Given", "Income", "4900"),
    ("Cost of Goods Sold", "CostOfGoodsSold", "5000"),
    ("Advertising", "Expense", "6000"),
    ("Office Supplies", "Expense", "6100"),
    ("Utilities", "Expense", "6200"),
    ("Freight", "Expense", "6300"),
)
TERMS_DAYS: Final = {"Due on receipt": 0, "Net 15": 15, "Net 30": 30, "Net 60": 60}
EMPLOYEES: Final = (("Ann", "Lee"), ("Robert", "Ngata"), ("Chitra", "Patel"))
VENDORS: Final = ("Northern Supply Co.", "City Utilities", "Office Depot & Sons", "State Board of Equalization")
CURRENCIES: Final = {"USD": "US Dollar", "EUR": "Euro", "CAD": "Canadian Dollar", "GBP": "British Pound"}
_ID: Final = re.compile(r"[0-9A-F]+-\d+\Z")
TAX: Final = {"US": ("San Jose", "8.25"), "CA": ("GST", "5"), "UK": ("Standard", "20")}


def fill(file: CompanyFile, world: World) -> None:
    """Fill an empty file. The same world gives the same rows, ids and times included."""
    with file.lock:
        file.store.query("BEGIN")
        file.frozen = OPENED
        _Filling(file).run(world)
        file.frozen = None
        file.counts.clear()
        file.store.query("COMMIT")


class _Filling:
    def __init__(self, file: CompanyFile) -> None:
        self.file = file
        self.customers: dict[str, tuple[str, str]] = {}
        self.items: dict[str, tuple[str, str]] = {}
        self.invoices: dict[str, str] = {}

    def run(self, world: World) -> None:
        self._lists()
        for customer in sorted(world.books_customers, key=lambda c: (c.parent_id is not None, c.modified)):
            self._customer(customer, {a.books_id: a for a in world.accounts if a.books_id})
        for item in sorted(world.books_items, key=lambda i: i.modified):
            self._item(item)
        for invoice in sorted(world.books_invoices, key=lambda i: i.modified):
            self._invoice(invoice)
        for payment in sorted(world.books_payments, key=lambda p: p.modified):
            self._payment(payment)

    def add(self, table: str, row_id: str = "", **row: object) -> str:
        """Add a list element; `None` and empty texts are left out. An id that Desktop could have made is kept."""
        given: Row = {name: value for name, value in row.items() if value not in (None, "")}
        return self.file.add_list(self.file.schema[table.lower()], given, _kept(row_id))

    def _lists(self) -> None:
        options = self.file.options
        self.file.store.add("Company", {"CompanyName": options.company_name, "LegalCompanyName": options.company_name})
        self.file.store.add(
            "Host",
            {
                "ProductName": "QuickBooks Enterprise Solutions 24.0",
                "MajorVersion": "34",
                "MinorVersion": "0",
                "Country": options.country,
                "SupportedQBXMLVersion": "16.0",
                "IsAutomaticLogin": 0,
                "QBFileMode": "MultiUser",
            },
        )
        for code, name in CURRENCIES.items():
            self.add("Currency", Name=name, CurrencyCode=code, ExchangeRate=scaled(Decimal(1)))
        for name, kind, number in ACCOUNTS:
            self.add("Account", Name=name, AccountType=kind, AccountNumber=number)
        for name, days in TERMS_DAYS.items():
            self.add("StandardTerms", Name=name, StdDueDays=days, StdDiscountDays=0)
        self.add("DateDrivenTerms", Name="10th of next month", DayOfMonthDue=10, DueNextMonthDays=5)
        for name in ("Cash", "Check", "Visa", "ACH"):
            self.add("PaymentMethod", Name=name)
        for name in ("UPS", "FedEx", "Pickup"):
            self.add("ShipMethod", Name=name)
        for name in ("East", "West"):
            self.add("Class", Name=name)
        for name in ("Commercial", "Residential"):
            self.add("CustomerType", Name=name)
        for kind in ("Invoice", "SalesOrder", "Estimate", "SalesReceipt", "CreditMemo", "PurchaseOrder"):
            self.add("Template", Name=f"Intuit Service {kind}"[:31], TemplateType=kind)
        for given, surname in EMPLOYEES:
            self.add("Employee", FirstName=given, LastName=surname)
            initial = given[0] + surname[0]
            self.add("SalesRep", Initial=initial, SalesRepEntityRefFullName=f"{given} {surname}")
        for name in VENDORS:
            self.add("Vendor", Name=name, CompanyName=name, TermsRefFullName="Net 30")
        tax, rate = TAX.get(options.country, TAX["US"])
        self.add("ItemSalesTax", Name=tax, TaxRate=scaled(Decimal(rate)), TaxVendorRefFullName=VENDORS[-1])
        for name in ("Tax", "Non"):
            item = tax if options.country != "US" and name == "Tax" else None
            row: Row = {"Name": name, "IsTaxable": int(name == "Tax"), "ItemSalesTaxRefFullName": item}
            self.add(self.file.tax_code, **row, Desc=f"{name} sales")
        self.add("ItemSubtotal", Name="Subtotal", ItemDesc="Subtotal")
        self.add(
            "ItemDiscount",
            Name="Discount 10%",
            DiscountRatePercent=scaled(Decimal(10)),
            AccountRefFullName="Discounts Given",
        )

    def _at(self, moment: dt.datetime) -> None:
        self.file.frozen = moment

    def _customer(self, customer: BooksCustomer, bound: Mapping[str | None, Account]) -> None:
        self._at(customer.modified)
        account = bound.get(customer.id)
        name = customer.display_name.replace(":", "-")[:41].strip()
        parent = self.customers.get(customer.parent_id or "")
        row_id = self.add(
            "Customer",
            customer.id,
            Name=name,
            IsActive=int(customer.active),
            ParentRefListID=parent[0] if parent else None,
            CompanyName=customer.company_name[:41],
            FirstName=customer.given_name[:25],
            LastName=customer.family_name[:25],
            Phone=customer.phone[:21],
            Email=customer.email,
            TermsRefFullName=customer.terms,
            **{f"{self.file.tax_code}RefFullName": "Non"},
            CustomFieldAccountID=account.code if account else None,
            **_address("BillAddress", customer.company_name, customer.address),
        )
        found = self.file.store.one("Customer", "ListID = ?", [row_id])
        assert found is not None  # noqa: S101  added a moment ago
        self.customers[customer.id] = row_id, found["FullName"]

    def _item(self, item: BooksItem) -> None:
        self._at(item.modified)
        name = item.name.replace(":", "-").replace("\t", " ")[:31].strip()
        if self.file.find("Item", None, name):
            name = f"{name[:28]} {item.id[-2:]}"
        common: Row = {"Name": name, "IsActive": int(item.active), "CustomFieldItemCode": item.sku[:30]}
        common[f"{self.file.tax_code}RefFullName"] = "Tax" if item.kind != "Service" else "Non"
        price = scaled(item.price)
        if item.kind == "Inventory":
            row_id = self.add(
                "ItemInventory",
                item.id,
                **common,
                SalesDesc=item.description,
                SalesPrice=price,
                IncomeAccountRefFullName="Sales",
                COGSAccountRefFullName="Cost of Goods Sold",
                AssetAccountRefFullName="Inventory Asset",
                QuantityOnHand=scaled(Decimal(100)),
            )
        else:
            table = "ItemService" if item.kind == "Service" else "ItemNonInventory"
            account = "Services" if item.kind == "Service" else "Sales"
            row_id = self.add(
                table,
                item.id,
                **common,
                SalesOrPurchaseDesc=item.description,
                SalesOrPurchasePrice=price,
                SalesOrPurchaseAccountRefFullName=account,
            )
        self.items[item.id] = row_id, name

    def _invoice(self, invoice: BooksInvoice) -> None:
        self._at(invoice.modified)
        table, line = self.file.schema["invoice"], self.file.schema["invoiceline"]
        lines = [
            (
                line,
                {
                    "InvoiceLineItemRefListID": self.items[part.item_id][0],
                    "InvoiceLineQuantity": scaled(part.quantity),
                    "InvoiceLineRate": scaled(part.price),
                    "InvoiceLineAmount": scaled(part.amount),
                    "InvoiceLineDesc": part.description or None,
                },
            )
            for part in invoice.lines
        ]
        header: Row = {
            "CustomerRefListID": self.customers[invoice.customer_id][0],
            "TxnDate": invoice.date.isoformat(),
            "DueDate": invoice.due_date.isoformat(),
            "RefNumber": invoice.number[:11],
        }
        txn_id = transactions.save(self.file, table, header, lines, _kept(invoice.id))
        self.invoices[invoice.id] = txn_id
        if invoice.deleted:
            row = self.file.store.one("Invoice", "TxnID = ?", [txn_id])
            assert row is not None  # noqa: S101  saved a moment ago
            transactions.remove(self.file, table, row)

    def _payment(self, payment: BooksPayment) -> None:
        self._at(payment.modified)
        line = self.file.schema["receivepaymentline"]
        lines = [
            (line, {"AppliedToTxnTxnID": self.invoices[number], "AppliedToTxnPaymentAmount": scaled(amount)})
            for number, amount in payment.applied.items()
        ]
        header: Row = {
            "CustomerRefListID": self.customers[payment.customer_id][0],
            "TxnDate": payment.date.isoformat(),
            "RefNumber": payment.reference[:20] or None,
            "TotalAmount": scaled(payment.total),
            "PaymentMethodRefFullName": "Check",
        }
        transactions.save(self.file, self.file.schema["receivepayment"], header, lines, _kept(payment.id))


def _kept(number: str) -> str:
    return number if _ID.match(number) else ""


def _address(prefix: str, first: str, address: Address) -> Row:
    if not address.street and not address.city:
        return {}
    lines = [first[:41], *(part[:41] for part in address.street.splitlines())]
    row: Row = {f"{prefix}Addr{n}": text for n, text in enumerate(lines[:5], start=1)}
    return row | {
        f"{prefix}City": address.city[:31],
        f"{prefix}State": address.region[:21],
        f"{prefix}PostalCode": address.postal_code[:13],
        f"{prefix}Country": address.country[:31],
    }
