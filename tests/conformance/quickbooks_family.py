"""What the vendors of the QuickBooks family have in common."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from decimal import Decimal

from iw_operators.engine.model import Line, Values
from sandbox.seed.world import BooksCustomer, World
from tests.conformance.kit import Role, Seed, User

TEXTS = (
    *("name", "company_name", "given_name", "middle_name", "family_name", "phone", "mobile", "fax"),
    *("notes", "billing.street", "billing.city", "billing.region", "billing.postal_code", "billing.country"),
    "shipping.street",
)


class QuickBooks:
    """Customers, items and invoices under the same neutral names; see `kit.Vendor`."""

    thing = Role("Customer", "name", texts=TEXTS, unique=True)
    priced = Role(
        "Item",
        "name",
        texts=("name", "code", "description"),
        decimals=("price", "cost"),
        values={"kind": "Service", "income_account": "Services"},
        unique=True,
    )
    dated = Role("Invoice", "number", texts=("number", "memo"), dates=("date", "due_date"))
    sale = dated
    line_refs = True
    numbered: Role | None = thing

    tells_stale = True
    tells_deletions: Role | None = dated
    stamp_step = dt.timedelta(seconds=1)
    refilled = frozenset({"date", "due_date"})

    def world(self, things: Sequence[Seed]) -> World:
        """Return a world that has these customers."""
        return World(
            books_customers=tuple(
                BooksCustomer(str(number), each.name, modified=each.modified) for number, each in enumerate(things, 1)
            )
        )

    def needs(self, role: Role, user: User) -> Values:
        """Return a customer and a line for an invoice."""
        return self.lines(user, [(Decimal(1), Decimal(1))]) if role is self.sale else {}

    def lines(self, user: User, amounts: Sequence[tuple[Decimal, Decimal]]) -> Values:
        """Return a new customer and lines of a new item."""
        number = uuid.uuid4().hex[:20]
        customer = user.add(self.thing, {"name": f"Buyer {number}"})
        item = user.add(self.priced, {"name": f"Sold {number}"})
        made: tuple[Line, ...] = tuple(
            {"item": item, "quantity": quantity, "price": price, "amount": quantity * price}
            for quantity, price in amounts
        )
        return {"customer": customer, "lines": made}

    def add_sale(self, user: User, amounts: Sequence[tuple[Decimal, Decimal]]) -> str:
        """Make an invoice."""
        return user.add(self.sale, self.lines(user, amounts))
