"""A `World` told in the terms of QuickBooks Online: the same Ids, the seeded stamps, balances that add up."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from sandbox.quickbooks_online import chart, links, posting, totals
from sandbox.quickbooks_online.books import Books, cents, currency_ref, entity_of
from sandbox.quickbooks_online.clock import stamp
from sandbox.quickbooks_online.entities.lists import ACCOUNT_TYPES
from sandbox.quickbooks_online.lines import ZERO
from sandbox.quickbooks_online.naming import DELETED
from sandbox.quickbooks_online.store import Row
from sandbox.seed.world import Address, BooksCustomer, BooksInvoice, BooksItem, BooksPayment, World

FOUNDED = dt.datetime(2024, 1, 1, 8, tzinfo=dt.UTC)
ON_HAND = 100


def seed(books: Books, world: World) -> None:
    """Fill empty tables. The ids of the world are kept; new rows get higher ones."""
    terms = _seed_lists(books, world)
    _seed_company(books, terms)
    customers = {customer.id: _customer(books, customer, terms) for customer in world.books_customers}
    _name_customers(customers)
    books.store.save_all(entity_of("Customer"), iter(customers.values()))
    books.store.save_all(entity_of("Item"), (_item(books, item) for item in world.books_items))
    _raise(books, "names", customers)
    _raise(books, "item", [item.id for item in world.books_items])
    _seed_transactions(books, world, customers)


def _head(row_id: str | int, moment: dt.datetime = FOUNDED) -> Row:
    at = stamp(moment.timestamp())
    meta = {"CreateTime": at, "LastUpdatedTime": at}
    return {"domain": "QBO", "sparse": False, "Id": str(row_id), "SyncToken": "0", "MetaData": meta}


def _save(books: Books, entity: str, rows: Iterator[Row]) -> list[Row]:
    made = list(rows)
    books.store.save_all(entity_of(entity), iter(made))
    _raise(books, entity_of(entity).ids, [row["Id"] for row in made])
    return made


def _raise(books: Books, sequence: str, ids: Any) -> None:
    books.store.raise_sequence(sequence, max((int(row_id) for row_id in ids), default=0))


def _seed_lists(books: Books, world: World) -> Mapping[str, dict[str, str]]:
    """Make accounts, terms, methods, currencies, taxes; return references to the terms by name."""
    foreign = [code for code in world.currencies if code != books.home]
    _save(books, "CompanyCurrency", (_currency(n, code) for n, code in enumerate(foreign, 1)))
    _save(
        books,
        "ExchangeRate",
        (
            _head(n)
            | {"SourceCurrencyCode": code, "TargetCurrencyCode": books.home, "Rate": world.currencies[code]}
            | {"AsOfDate": FOUNDED.date().isoformat()}
            for n, code in enumerate(foreign, 1)
        ),
    )
    accounts = [(name, kind, subtype, Decimal(opening), books.home) for name, kind, subtype, opening in chart.ACCOUNTS]
    for code in foreign:
        accounts.append(
            (f"Accounts Receivable (A/R) - {code}", "Accounts Receivable", "AccountsReceivable", ZERO, code)
        )
        accounts.append((f"Accounts Payable (A/P) - {code}", "Accounts Payable", "AccountsPayable", ZERO, code))
    _save(books, "Account", (_account(n, *account) for n, account in enumerate(accounts, 1)))
    terms = _save(
        books,
        "Term",
        (
            _head(n) | {"Name": name, "Active": True, "Type": "STANDARD", "DiscountPercent": 0, "DueDays": days}
            for n, (name, days) in enumerate(world.terms.items(), 1)
        ),
    )
    _save(
        books,
        "PaymentMethod",
        (
            _head(n) | {"Name": name, "Active": True, "Type": kind}
            for n, (name, kind) in enumerate(chart.PAYMENT_METHODS, 1)
        ),
    )
    _seed_taxes(books)
    return {row["Name"]: {"value": row["Id"], "name": row["Name"]} for row in terms}


def _currency(number: int, code: str) -> Row:
    return _head(number) | {"Code": code, "Name": currency_ref(code)["name"], "Active": True}


def _account(number: int, name: str, kind: str, subtype: str, opening: Decimal, currency: str) -> Row:
    return _head(number) | {
        "Name": name,
        "FullyQualifiedName": name,
        "Active": True,
        "SubAccount": False,
        "AccountType": kind,
        "AccountSubType": subtype,
        "Classification": ACCOUNT_TYPES[kind][0],
        "CurrentBalance": cents(opening),
        "CurrentBalanceWithSubAccounts": cents(opening),
        "CurrencyRef": currency_ref(currency),
    }


def _seed_taxes(books: Books) -> None:
    agency = {"DisplayName": chart.AGENCY, "TaxTrackedOnSales": True, "TaxTrackedOnPurchases": False}
    _save(books, "TaxAgency", iter([_head(1) | agency]))
    numbered = list(enumerate(chart.TAXES, 1))
    rates = (
        _head(n) | {"Name": name, "Description": name, "Active": True, "RateValue": rate, "AgencyRef": {"value": "1"}}
        for n, (name, rate) in numbered
    )
    _save(books, "TaxRate", rates)
    codes = (
        _head(n + 1)
        | {"Name": name, "Description": name, "Active": True, "Taxable": True, "TaxGroup": True}
        | {"SalesTaxRateList": {"TaxRateDetail": [_tax_detail(n, name)]}, "PurchaseTaxRateList": {"TaxRateDetail": []}}
        for n, (name, _) in numbered
    )
    _save(books, "TaxCode", codes)


def _tax_detail(number: int, name: str) -> Row:
    return {"TaxRateRef": {"value": str(number), "name": name}, "TaxTypeApplicable": "TaxOnAmount", "TaxOrder": 0}


def _seed_company(books: Books, terms: Mapping[str, dict[str, str]]) -> None:
    options = books.options
    address = {"Id": "1", "Line1": "1 Main Street", "City": "Springfield", "CountrySubDivisionCode": "IL"}
    company = {
        "CompanyName": "Acme Books",
        "LegalName": "Acme Books Inc.",
        "CompanyAddr": address,
        "CustomerCommunicationAddr": address,
        "LegalAddr": address,
        "Email": {"Address": "books@acme.example"},
        "CompanyStartDate": FOUNDED.date().isoformat(),
        "FiscalYearStartMonth": "January",
        "Country": options.country,
        "SupportedLanguages": "en",
        "DefaultTimeZone": "America/Los_Angeles",
        "NameValue": [
            {"Name": "NeoEnabled", "Value": "true"},
            {"Name": "OfferingSku", "Value": "QuickBooks Online Plus"},
            {"Name": "SubscriptionStatus", "Value": "SUBSCRIBED"},
        ],
    }
    _save(books, "CompanyInfo", iter([_head(1) | company]))
    definitions = [
        {"Name": f"SalesFormsPrefs.SalesCustomName{n}", "Type": "StringType", "StringValue": name}
        for n, name in enumerate(options.custom_fields, 1)
    ]
    uses = [
        {"Name": f"SalesFormsPrefs.UseSalesCustom{n}", "Type": "BooleanType", "BooleanValue": True}
        for n, _ in enumerate(options.custom_fields, 1)
    ]
    sales: Row = {
        "CustomTxnNumbers": False,
        "AllowEstimates": True,
        "AllowDiscount": True,
        "AllowDeposit": True,
        "CustomField": [{"CustomField": uses}, {"CustomField": definitions}],
    }
    if chart.DEFAULT_TERM in terms:
        sales["DefaultTerms"] = {"value": terms[chart.DEFAULT_TERM]["value"]}
    accounting: Row = {"FirstMonthOfFiscalYear": "January", "UseAccountNumbers": False, "ClassTrackingPerTxnLine": True}
    if options.closed_until:
        accounting["BookCloseDate"] = options.closed_until
    preferences = {
        "AccountingInfoPrefs": {**accounting, "TrackDepartments": True, "CustomerTerminology": "Customers"},
        "CurrencyPrefs": {
            "MultiCurrencyEnabled": options.multicurrency,
            "HomeCurrency": {"value": options.home_currency},
        },
        "ProductAndServicesPrefs": {"ForSales": True, "ForPurchase": True, "QuantityOnHand": True},
        "ReportPrefs": {"ReportBasis": "Accrual", "CalcAgingReportFromTxnDate": False},
        "SalesFormsPrefs": sales,
        "TaxPrefs": {"UsingSalesTax": True, "PartnerTaxEnabled": False},
        "TimeTrackingPrefs": {"UseServices": True, "BillCustomers": True},
        "VendorAndPurchasesPrefs": {"BillableExpenseTracking": True, "TrackingByCustomer": True},
        "OtherPrefs": {"NameValue": []},
    }
    _save(books, "Preferences", iter([_head(1) | preferences]))


def _address(books: Books, address: Address) -> Row | None:
    """Return an address, None for an empty one. Streets of several lines fill Line1 to Line5."""
    parts = {f"Line{n}": line for n, line in enumerate(address.street.splitlines()[:5], 1) if line}
    rest = {
        "City": address.city,
        "CountrySubDivisionCode": address.region,
        "PostalCode": address.postal_code,
        "Country": address.country,
    }
    parts |= {name: value for name, value in rest.items() if value}
    return {"Id": str(books.store.next_value("address")), **parts} if parts else None


def _customer(books: Books, customer: BooksCustomer, terms: Mapping[str, dict[str, str]]) -> Row:
    name = customer.display_name
    if not customer.active and not name.endswith(DELETED):
        name += DELETED
    address = _address(books, customer.address)
    optional = {
        "GivenName": customer.given_name,
        "FamilyName": customer.family_name,
        "CompanyName": customer.company_name,
        "PrimaryPhone": {"FreeFormNumber": customer.phone} if customer.phone else None,
        "PrimaryEmailAddr": {"Address": customer.email} if customer.email else None,
        "BillAddr": address,
        "SalesTermRef": dict(terms[customer.terms]) if customer.terms else None,
        "ParentRef": {"value": customer.parent_id} if customer.parent_id else None,
    }
    return _head(customer.id, customer.modified) | {
        "Taxable": True,
        "Job": bool(customer.parent_id),
        "BillWithParent": False,
        "IsProject": False,
        "Balance": ZERO,
        "BalanceWithJobs": ZERO,
        "CurrencyRef": currency_ref(customer.currency),
        "PreferredDeliveryMethod": "Print",
        **{key: value for key, value in optional.items() if value},
        "DisplayName": name,
        "PrintOnCheckName": customer.display_name[:110],
        "Active": customer.active,
    }


def _name_customers(customers: Mapping[str, Row]) -> None:
    """Set full names and levels, parents before their children."""

    def settle(row: Row) -> int:
        if "FullyQualifiedName" in row:
            return int(row.get("Level", 0))
        ref = row.get("ParentRef")
        if ref is None:
            row["FullyQualifiedName"] = row["DisplayName"]
            return 0
        parent = customers[ref["value"]]
        row["Level"] = settle(parent) + 1
        ref["name"] = parent["FullyQualifiedName"]
        row["FullyQualifiedName"] = f"{parent['FullyQualifiedName']}:{row['DisplayName']}"
        return int(row["Level"])

    for row in customers.values():
        settle(row)


def _item(books: Books, item: BooksItem) -> Row:
    def account(name: str, kind: str, subtype: str = "") -> Row:
        account_id = books.account(kind, subtype)
        return {name: {"value": account_id, "name": books.get("Account", account_id)["FullyQualifiedName"]}}

    name = item.name if item.active or item.name.endswith(DELETED) else item.name + DELETED
    row = _head(item.id, item.modified) | {
        "Name": name,
        "FullyQualifiedName": name,
        "Active": item.active,
        "Type": item.kind,
        "SubItem": False,
        "Taxable": False,
        "UnitPrice": item.price,
        "PurchaseCost": 0,
        "TrackQtyOnHand": item.kind == "Inventory",
    }
    row |= {key: value for key, value in (("Sku", item.sku), ("Description", item.description)) if value}
    row |= account("IncomeAccountRef", "Income", "SalesOfProductIncome")
    if item.kind == "Inventory":
        row |= account("ExpenseAccountRef", "Cost of Goods Sold") | account(
            "AssetAccountRef", "Other Current Asset", "Inventory"
        )
        row |= {"QtyOnHand": ON_HAND, "InvStartDate": FOUNDED.date().isoformat()}
    return row


def _seed_transactions(books: Books, world: World, customers: Mapping[str, Row]) -> None:
    """Make invoices and payments, what is applied, and the balances that follow; no stamp moves."""
    invoices = {invoice.id: _invoice(books, invoice, customers) for invoice in world.books_invoices}
    payments = {payment.id: _payment(payment, customers) for payment in world.books_payments}
    deleted = {invoice.id: invoice for invoice in world.books_invoices if invoice.deleted}
    for payment in world.books_payments:
        for invoice_id, amount in payment.applied.items():
            key = ("Payment", int(payment.id), "Invoice", int(invoice_id), str(cents(amount)))
            books.store.write("INSERT INTO link VALUES (?, ?, ?, ?, ?)", key)
    alive = [row for row_id, row in invoices.items() if row_id not in deleted]
    books.store.save_all(entity_of("Payment"), iter(payments.values()))
    for row in alive:
        links.settle_balance(books, entity_of("Invoice"), row)
    books.store.save_all(entity_of("Invoice"), iter(alive))
    for invoice in deleted.values():
        books.store.delete("Invoice", invoice.id, invoice.modified.timestamp())
    _raise(books, "txn", [*invoices, *payments])
    numbers = [int(i.number) for i in world.books_invoices if i.number.isascii() and i.number.isdigit()]
    books.store.raise_sequence("doc:sales", max(numbers, default=1000))
    moves: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for entity, rows in (("Invoice", alive), ("Payment", list(payments.values()))):
        for row in rows:
            for (dst, dst_id), amount in posting.effects(books, entity_of(entity), row).items():
                key = (entity, int(row["Id"]), dst, int(dst_id), str(amount))
                books.store.write("INSERT INTO effect VALUES (?, ?, ?, ?, ?)", key)
                moves[dst, dst_id] += amount
    _move(books, moves)


def _move(books: Books, moves: Mapping[tuple[str, str], Decimal]) -> None:
    for (entity, row_id), amount in moves.items():
        if entity == "Item":
            continue  # quantities on hand are told as they are now
        own, total = {"Customer": ("Balance", "BalanceWithJobs")}.get(
            entity, ("CurrentBalance", "CurrentBalanceWithSubAccounts")
        )
        row = books.get(entity, row_id)
        row[own] += amount
        row[total] += amount
        books.store.save(entity_of(entity), row)
        while "ParentRef" in row:
            row = books.get(entity, row["ParentRef"]["value"])
            row[total] += amount
            books.store.save(entity_of(entity), row)


def _invoice(books: Books, invoice: BooksInvoice, customers: Mapping[str, Row]) -> Row:
    customer = customers[invoice.customer_id]
    row = _head(invoice.id, invoice.modified) | {
        "DocNumber": invoice.number,
        "TxnDate": invoice.date.isoformat(),
        "DueDate": invoice.due_date.isoformat(),
        "CurrencyRef": currency_ref(invoice.currency),
        "ExchangeRate": invoice.exchange_rate,
        "CustomerRef": {"value": invoice.customer_id, "name": customer["FullyQualifiedName"]},
        "GlobalTaxCalculation": "NotApplicable",  # the US does without
        "ApplyTaxAfterDiscount": False,
        "PrintStatus": "NotSet",
        "EmailStatus": "NotSet",
        "LinkedTxn": [],
        "Line": [_line(books, line) for line in invoice.lines],
    }
    if "BillAddr" in customer:
        row["BillAddr"] = customer["BillAddr"]
    totals.settle_custom_fields(books, entity_of("Invoice"), row, None)
    totals.settle_total(books, entity_of("Invoice"), row, new_lines=True, tax_given=False, first_id=1)
    return row


def _line(books: Books, line: Any) -> Row:
    item = books.get("Item", line.item_id)
    row: Row = {"Description": line.description} if line.description else {}
    return row | {
        "Amount": line.amount,
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {
            "ItemRef": {"value": line.item_id, "name": item["FullyQualifiedName"]},
            "UnitPrice": line.price,
            "Qty": line.quantity,
        },
    }


def _payment(payment: BooksPayment, customers: Mapping[str, Row]) -> Row:
    applied = [
        {
            "Id": str(n),
            "Amount": cents(amount),
            "LinkedTxn": [{"TxnId": invoice_id, "TxnType": "Invoice"}],
            "LineNum": n,
        }
        for n, (invoice_id, amount) in enumerate(payment.applied.items(), 1)
    ]
    name = customers[payment.customer_id]["FullyQualifiedName"]
    row = _head(payment.id, payment.modified) | {
        "CustomerRef": {"value": payment.customer_id, "name": name},
        "TxnDate": payment.date.isoformat(),
        "TotalAmt": cents(payment.total),
        "UnappliedAmt": cents(payment.total) - sum((cents(a) for a in payment.applied.values()), ZERO),
        "ProcessPayment": False,
        "CurrencyRef": currency_ref(payment.currency),
        "ExchangeRate": payment.exchange_rate,
        "Line": applied,
    }
    return row | ({"PaymentRefNum": payment.reference} if payment.reference else {})
