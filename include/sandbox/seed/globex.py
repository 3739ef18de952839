"""The globex world: a company whose books are a QuickBooks Desktop company file. Made of the acme world's parts.

A hundred and twenty accounts, their contacts and opportunities, and books that partly match. Ids of the books are those
of Desktop, a hexadecimal number and the second of its making, so that both sides agree without talking.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal

from sandbox.seed import acme
from sandbox.seed.acme_parts import guid
from sandbox.seed.world import Account, Bill, BillLine, BooksCustomer, Opportunity, World

ACCOUNTS = 120
SUPPLIERS = ("Northern Supply Co.", "City Utilities", "Lakeside Office Furniture")  # the books know the first two
BILLS = 9
ORDERS = 8
LONGEST_NUMBER = 11  # of an invoice
FIRST_LIST_ID = 0x80000000
FIRST_TXN_ID = 0x1000


def list_id(number: str, made: dt.datetime) -> str:
    """Return the id of a list element."""
    return f"{FIRST_LIST_ID + int(number):X}-{int(made.timestamp())}"


def txn_id(number: str, made: dt.datetime) -> str:
    """Return the id of a transaction."""
    return f"{FIRST_TXN_ID + int(number):X}-{int(made.timestamp())}"


def _home(currency: str) -> str:
    """A company file of one currency: what the acme world has in euros is in dollars here."""
    del currency
    return "USD"


def _suppliers() -> list[Account]:
    return [
        Account(guid("supplier", n), name, f"S-{n + 1:03d}", phone=f"(202) 555-01{n:02d}", kind="Supplier")
        for n, name in enumerate(SUPPLIERS)
    ]


def _bills(services: list[str]) -> list[Bill]:
    """Bills of an expense account, of a product, and of both."""
    found = []
    for n in range(BILLS):
        day = dt.date(2026, 1, 5) + dt.timedelta(days=4 * n)
        expense = BillLine("Paper and toner", Decimal("48.20") + n, account="Office Supplies")
        work = BillLine(
            "Work bought in", Decimal("150.00"), services[n], quantity=Decimal("1.5"), price=Decimal("100.00")
        )
        lines = ((expense,), (work,), (work, expense))[n % 3]
        supplier = guid("supplier", n % len(SUPPLIERS))
        when = dt.datetime(2026, 1, 5, 12, n, tzinfo=dt.UTC)
        found.append(Bill(guid("bill", n), f"B-{700 + n}", supplier, day, day + dt.timedelta(days=30), lines, when))
    return found


def _ordered(base: World, kept: set[str]) -> tuple[str, ...]:
    """Return won deals that are delivered bit by bit, of accounts that the books know already."""
    known = {account.id for account in base.accounts if account.id in kept and account.books_id}
    deals = [d for d in base.opportunities if d.stage == "Closed won" and d.account_id in known and not d.books_id]
    return tuple(deal.id for deal in deals[:ORDERS])


def build() -> World:
    """Return the globex world; the same each time."""
    base = acme.build()
    kept = {account.id for account in base.accounts[:ACCOUNTS]}
    customers = {c.id: list_id(c.id, c.modified) for c in base.books_customers}
    items = {i.id: list_id(i.id, i.modified) for i in base.books_items}
    invoices = {i.id: txn_id(i.id, i.modified) for i in base.books_invoices}

    def account(one: Account) -> Account:
        books = customers.get(one.books_id or "")
        return dataclasses.replace(one, books_id=books, currency=_home(one.currency))

    def deal(one: Opportunity) -> Opportunity:
        books = invoices.get(one.books_id or "")
        return dataclasses.replace(one, books_id=books, currency="USD", exchange_rate=base.currencies["USD"])

    def customer(one: BooksCustomer) -> BooksCustomer:
        parent = customers.get(one.parent_id or "")
        return dataclasses.replace(one, id=customers[one.id], parent_id=parent, currency="USD")

    return dataclasses.replace(
        base,
        accounts=(*(account(one) for one in base.accounts if one.id in kept), *_suppliers()),
        ordered=_ordered(base, kept),
        bills=tuple(_bills([product.id for product in base.products if product.kind == "Service"])),
        contacts=tuple(contact for contact in base.contacts if contact.account_id in kept),
        products=tuple(
            dataclasses.replace(p, books_id=items.get(p.books_id or ""), currency="USD") for p in base.products
        ),
        opportunities=tuple(deal(one) for one in base.opportunities if one.account_id in kept),
        books_customers=tuple(customer(one) for one in base.books_customers),
        books_items=tuple(dataclasses.replace(i, id=items[i.id]) for i in base.books_items),
        books_invoices=tuple(
            dataclasses.replace(
                invoice,
                id=invoices[invoice.id],
                number=invoice.number[:LONGEST_NUMBER],
                customer_id=customers[invoice.customer_id],
                currency="USD",
                exchange_rate=base.currencies["USD"],
                lines=tuple(dataclasses.replace(line, item_id=items[line.item_id]) for line in invoice.lines),
            )
            for invoice in base.books_invoices
        ),
        books_payments=tuple(
            dataclasses.replace(
                payment,
                id=txn_id(payment.id, payment.modified),
                customer_id=customers[payment.customer_id],
                currency="USD",
                exchange_rate=base.currencies["USD"],
                applied={invoices[number]: amount for number, amount in payment.applied.items()},
            )
            for payment in base.books_payments
        ),
    )
