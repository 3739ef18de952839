"""The books of the acme world: what an earlier integration and the bookkeeper have left there."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from decimal import Decimal

from sandbox.seed import acme_names as names
from sandbox.seed.acme_parts import (
    ALIKE,
    AMBIGUOUS,
    BOUND,
    BOUND_PRODUCTS,
    DELETED_INVOICE_ID,
    INVOICED,
    NAMED_PRODUCTS,
    cents,
    phone,
    stamp,
)
from sandbox.seed.world import (
    Account,
    BooksCustomer,
    BooksInvoice,
    BooksInvoiceLine,
    BooksItem,
    BooksPayment,
    Opportunity,
    World,
)

FIRST_PAYMENT_ID = 2001
FULL_PAYMENTS = 15
PARTIAL_PAYMENTS = 7


def _other_notation(number: int, account: Account) -> str:
    """The account's number as somebody else would type it."""
    digits = [notation for notation in range(5) if phone(number, notation) != account.phone]
    return phone(number, digits[number % len(digits)])


def _other_spelling(number: int, name: str) -> str:
    """The account's name as somebody else would type it: case, punctuation and legal form differ."""
    words = name.split()
    bare = " ".join(words[:-1]) if words[-1] in names.LEGAL_FORMS else name
    return (bare.upper(), f"{bare}, Inc.", f"{bare} L.L.C.", f"{bare}  Ltd.", bare.lower())[number % 5]


def _bound_customer(number: int, account: Account, world: World) -> BooksCustomer:
    contact = next((c for c in world.contacts if c.id == account.primary_contact_id), None)
    return BooksCustomer(
        id=str(account.books_id),
        display_name=account.name,
        company_name=account.name,
        given_name=contact.given_name if contact else "",
        family_name=contact.surname if contact else "",
        phone=account.phone,
        email=contact.email if contact else "",
        address=account.address,
        terms=account.terms,
        currency=account.currency,
        modified=stamp(f"customer {number}"),
    )


def _unbound_customer(number: int, account: Account, name: str) -> BooksCustomer:
    return BooksCustomer(
        id="",
        display_name=name,
        company_name=name,
        phone=_other_notation(number, account),
        address=dataclasses.replace(account.address, street=account.address.street.upper()),
        currency=account.currency,
        modified=stamp(f"customer {name}"),
    )


def _strangers() -> list[BooksCustomer]:
    """Customers that no account belongs to; one is inactive and one a job of another."""
    listed = [
        BooksCustomer("", "Walk-in"),
        BooksCustomer("", "Zeta Charity", email="office@example.com"),
        BooksCustomer("", "Müller & Söhne", currency="EUR"),
        BooksCustomer("", "Cash sale {counter #1}"),
        BooksCustomer("", "O'Hara's \"Old\" Shop"),
        BooksCustomer("", "חנות ספרים"),
        BooksCustomer("", "Retired Customer (deleted)", active=False),
        BooksCustomer("", "Kitchen remodel", parent_id="1"),
        BooksCustomer("", "Walk-in 2"),
        BooksCustomer("", "Test customer, do not use"),
    ]
    return [dataclasses.replace(c, company_name=c.display_name, modified=stamp(c.display_name)) for c in listed]


def _customers(world: World) -> tuple[BooksCustomer, ...]:
    accounts = world.accounts
    listed = [_bound_customer(number, accounts[number], world) for number in range(BOUND)]
    for number in range(BOUND, BOUND + ALIKE):
        account = accounts[number]
        listed.append(_unbound_customer(number, account, _other_spelling(number, account.name)))
    for number in range(BOUND + ALIKE, BOUND + ALIKE + AMBIGUOUS):
        account = accounts[number]
        listed += [_unbound_customer(number, account, _other_spelling(spelling, account.name)) for spelling in (0, 1)]
    listed.append(_unbound_customer(77, accounts[BOUND + ALIKE + AMBIGUOUS], "Acme"))
    listed += _strangers()
    return tuple(dataclasses.replace(customer, id=str(at + 1)) for at, customer in enumerate(listed))


def _items(world: World) -> tuple[BooksItem, ...]:
    listed = [
        BooksItem(
            id=str(at + 1),
            name=product.name,
            sku=product.code if at < BOUND_PRODUCTS else "",
            description=product.description,
            kind=product.kind,
            price=product.price,
            modified=stamp(f"item {at}"),
        )
        for at, product in enumerate(world.products[: BOUND_PRODUCTS + NAMED_PRODUCTS])
    ]
    others = (
        ("Hours", "Service", True),
        ("Sales", "Service", True),
        ("Shipping, flat", "Service", True),
        ("Old modem (deleted)", "NonInventory", False),
        ("Restocking fee 15%", "Service", True),
    )
    for name, kind, active in others:
        listed.append(
            BooksItem(str(len(listed) + 1), name, kind=kind, price=Decimal(25), active=active, modified=stamp(name))
        )
    return tuple(listed)


def _invoice(opportunity: Opportunity, world: World, accounts: Mapping[str, Account]) -> BooksInvoice:
    products = {product.id: product for product in world.products}
    modified = stamp(f"invoice {opportunity.books_id}")
    return BooksInvoice(
        id=str(opportunity.books_id),
        number=f"INV-{opportunity.books_id}",
        customer_id=str(accounts[opportunity.account_id].books_id),
        date=opportunity.modified.date(),
        due_date=opportunity.due_date,
        currency=opportunity.currency,
        exchange_rate=opportunity.exchange_rate,
        lines=tuple(
            BooksInvoiceLine(
                item_id=str(products[line.product_id].books_id),
                quantity=line.quantity,
                price=line.price,
                amount=line.amount,
                description=products[line.product_id].description,
            )
            for line in opportunity.lines
        ),
        deleted=opportunity.books_id == DELETED_INVOICE_ID,
        modified=modified,
    )


def total(invoice: BooksInvoice) -> Decimal:
    """Return the sum of an invoice's lines."""
    return sum((line.amount for line in invoice.lines), Decimal(0))


def _payment(number: int, invoice: BooksInvoice, amount: Decimal, applied: Mapping[str, Decimal]) -> BooksPayment:
    payment_id = str(FIRST_PAYMENT_ID + number)
    return BooksPayment(
        id=payment_id,
        customer_id=invoice.customer_id,
        date=invoice.date + dt.timedelta(days=10 + number % 20),
        reference=f"CHK {4000 + number}" if number % 3 else "",
        total=amount,
        applied=applied,
        currency=invoice.currency,
        exchange_rate=invoice.exchange_rate,
        modified=stamp(f"payment {number}"),
    )


def _payments(invoices: tuple[BooksInvoice, ...]) -> tuple[BooksPayment, ...]:
    """Full ones, partial ones, one over two invoices of a customer, one with a rest, one that pays nothing."""
    listed: list[BooksPayment] = []
    # The first ten customers have two invoices: 0 and 30, 1 and 31 ... Those of customer 0 are paid together.
    first, second = invoices[0], invoices[BOUND]
    both = {first.id: total(first), second.id: total(second)}
    listed.append(_payment(0, first, sum(both.values(), Decimal(0)), both))
    for at in range(1, 1 + FULL_PAYMENTS):
        invoice = invoices[at]
        listed.append(_payment(at, invoice, total(invoice), {invoice.id: total(invoice)}))
    for at in range(1 + FULL_PAYMENTS, 1 + FULL_PAYMENTS + PARTIAL_PAYMENTS):
        invoice = invoices[at]
        part = cents(total(invoice) / 3)
        listed.append(_payment(at, invoice, part, {invoice.id: part}))
    invoice = invoices[1 + FULL_PAYMENTS + PARTIAL_PAYMENTS]
    listed.append(_payment(len(listed), invoice, total(invoice) + 50, {invoice.id: total(invoice)}))
    listed.append(_payment(len(listed), invoices[BOUND - 1], Decimal("250.00"), {}))
    return tuple(listed)


def add_books(world: World) -> World:
    """Return the world with its books filled in."""
    accounts = {account.id: account for account in world.accounts}
    invoices = tuple(_invoice(o, world, accounts) for o in world.opportunities if o.books_id)
    return dataclasses.replace(
        world,
        books_customers=_customers(world),
        books_items=_items(world),
        books_invoices=invoices,
        books_payments=_payments(invoices[:INVOICED]),
    )
