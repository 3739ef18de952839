"""What the companies of the sandboxes own: one world, told to each vendor's sandbox in its own terms.

Ids are fixed, so that both sides agree without talking: CRM ids are GUIDs, ids of the books small integers as text.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address."""

    street: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True)
class Contact:
    """A person at an account."""

    id: str
    given_name: str
    surname: str
    account_id: str
    email: str = ""
    phone: str = ""
    mobile: str = ""
    job_title: str = ""
    middle_name: str = ""
    modified: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Account:
    """A company in the CRM. `books_id` is set where an earlier integration left the id of the books' customer."""

    id: str
    name: str
    code: str
    phone: str = ""
    fax: str = ""
    web: str = ""
    address: Address = Address()
    primary_contact_id: str | None = None
    region: str = ""
    terms: str = ""
    currency: str = "USD"
    notes: str = ""
    books_id: str | None = None
    modified: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    kind: str = "Customer"  # or Supplier


@dataclass(frozen=True, slots=True)
class BillLine:
    """One line of a bill: of a product, or of an expense account."""

    description: str
    amount: Decimal
    product_id: str | None = None
    account: str = ""
    quantity: Decimal | None = None
    price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Bill:
    """What a supplier asks for, as the CRM has it."""

    id: str
    number: str
    vendor_id: str
    date: dt.date
    due_date: dt.date
    lines: tuple[BillLine, ...]
    modified: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Product:
    """Something that is sold. `kind` is Service, NonInventory or Inventory."""

    id: str
    name: str
    code: str
    price: Decimal
    description: str = ""
    kind: str = "Service"
    currency: str = "USD"
    archived: bool = False
    books_id: str | None = None
    modified: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class OpportunityLine:
    """One line of an opportunity."""

    id: str
    product_id: str
    quantity: Decimal
    price: Decimal
    amount: Decimal
    modified: dt.datetime


@dataclass(frozen=True, slots=True)
class Opportunity:
    """A sale. `stage` is a stage's name as in `STAGES`; `books_id` the invoice that an earlier integration made."""

    id: str
    title: str
    account_id: str
    stage: str
    contact_id: str | None
    amount: Decimal
    due_date: dt.date
    currency: str
    exchange_rate: Decimal
    lines: tuple[OpportunityLine, ...]
    number: str = ""
    books_id: str | None = None
    modified: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class BooksCustomer:
    """A customer in the books."""

    id: str
    display_name: str
    company_name: str = ""
    given_name: str = ""
    family_name: str = ""
    phone: str = ""
    email: str = ""
    address: Address = Address()
    terms: str = ""
    currency: str = "USD"
    active: bool = True
    parent_id: str | None = None
    modified: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class BooksItem:
    """An item in the books."""

    id: str
    name: str
    sku: str = ""
    description: str = ""
    kind: str = "Service"
    price: Decimal = Decimal(0)
    active: bool = True
    modified: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class BooksInvoiceLine:
    """One line of an invoice in the books."""

    item_id: str
    quantity: Decimal
    price: Decimal
    amount: Decimal
    description: str = ""


@dataclass(frozen=True, slots=True)
class BooksInvoice:
    """An invoice in the books; `deleted` ones show only in the change feed."""

    id: str
    number: str
    customer_id: str
    date: dt.date
    due_date: dt.date
    currency: str
    exchange_rate: Decimal
    lines: tuple[BooksInvoiceLine, ...]
    deleted: bool = False
    modified: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class BooksPayment:
    """A payment in the books: total, and what of it is applied to which invoice."""

    id: str
    customer_id: str
    date: dt.date
    reference: str
    total: Decimal
    applied: Mapping[str, Decimal]
    currency: str = "USD"
    exchange_rate: Decimal = Decimal(1)
    modified: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


STAGES = ("Qualification", "Presentation", "Proposal", "Contracting", "Closed won", "Closed lost")
CURRENCIES: Mapping[str, Decimal] = {"USD": Decimal(1), "EUR": Decimal("1.0875")}
TERMS: Mapping[str, int] = {"Due on receipt": 0, "Net 15": 15, "Net 30": 30, "Net 60": 60}


@dataclass(frozen=True, slots=True)
class World:
    """All of one company. Empty by default."""

    accounts: tuple[Account, ...] = ()
    contacts: tuple[Contact, ...] = ()
    products: tuple[Product, ...] = ()
    opportunities: tuple[Opportunity, ...] = ()
    bills: tuple[Bill, ...] = ()
    ordered: tuple[str, ...] = ()  # ids of opportunities for which there is an order in progress
    books_customers: tuple[BooksCustomer, ...] = ()
    books_items: tuple[BooksItem, ...] = ()
    books_invoices: tuple[BooksInvoice, ...] = ()
    books_payments: tuple[BooksPayment, ...] = ()
    stages: tuple[str, ...] = STAGES
    currencies: Mapping[str, Decimal] = field(default_factory=lambda: dict(CURRENCIES))
    terms: Mapping[str, int] = field(default_factory=lambda: dict(TERMS))
