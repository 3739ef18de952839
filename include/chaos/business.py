"""What people do in both systems while integrations run: independent clients, with a note of what they did.

The notes are what the comparison holds both sides to: it trusts neither our code nor our ledger.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from chaos import rows
from chaos.crm import Crm
from chaos.house import House
from chaos.paper import BILLS, INVOICES, ORDERS, SUPPLIER, WON, Paper, rounded
from sandbox.creatio.seed import list_id

QUANTITIES: Final = ("1", "2", "3.5", "10", "0.25")
EXPENSES: Final = ("Advertising", "Office Supplies", "Utilities", "Freight")


@dataclass(slots=True)
class Notes:
    """What was done: ids of the CRM and of the books, with what has to be true in the end."""

    phones: dict[str, str] = field(default_factory=dict)  # account -> its phone, wherever it was typed
    due: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))  # mapping -> paper -> account
    suppliers: set[str] = field(default_factory=set)  # accounts
    payments: set[str] = field(default_factory=set)  # of the books
    seeded: dict[str, frozenset[str]] = field(default_factory=dict)  # mapping -> ids that the books had at first
    done: int = 0


class Business:
    """A salesperson and a bookkeeper. Works while nothing is armed; raises httpx errors or RuntimeError otherwise."""

    def __init__(self, house: House, dice: random.Random) -> None:
        self.house = house
        self.books = house.books
        self.dice = dice
        self.notes = Notes()
        self._crm = Crm(house, dice)
        self._number = 0
        held = self.books.held()
        self.notes.seeded = {name: frozenset(held.of(name)) for name in (*held.lists, *held.documents)}
        self._acts = {self.sell: 4, self.call: 3, self.win: 2, self.pay: 2, self.correct: 2, self.call_in_books: 1}
        if ORDERS.mapping in house.spec.mappings:
            self._acts |= {self.order: 2, self.correct_order: 1}
        if BILLS.mapping in house.spec.mappings:
            self._acts |= {self.bill: 2, self.correct_bill: 1}
        products = self._crm.rows("Product")
        names = Counter(row["Name"].casefold() for row in products.values())
        self._products = [  # that people sell: not archived, in dollars, with an ordinary name of their own
            (row["Id"], row["Price"])
            for row in products.values()
            if not row["IsArchive"]
            and row["CurrencyId"] == list_id("Currency", "USD")
            and _plain(row["Name"])
            and len(row["Name"]) <= self.books.item_name
            and names[row["Name"].casefold()] == 1
        ]
        self._known = [(ident, price) for ident, price in self._products if products[ident]["UsrQBId"]]

    def close(self) -> None:
        """Close the client."""
        self._crm.close()

    def some(self, number: int) -> None:
        """Do some things at random."""
        for act in self.dice.choices([*self._acts], [*self._acts.values()], k=number):
            act()
            self.notes.done += 1

    def something(self) -> None:
        """Do something for each flow to write."""
        self.sell()
        self.sell()
        self.call()
        self.correct()
        for act in (self.order, self.bill):
            if act in self._acts:
                act()

    # --- selling

    def sell(self) -> None:
        """A new account with a won opportunity, sometimes over a new product."""
        name = self._name("Chaos")
        phone = self._phone()
        account = self._crm.post(
            "Account",
            {"Name": name, "Phone": phone, "Code": f"X-{self._number}", "UsrRegion": "East", "UsrActive": True},
        )
        self.notes.phones[account] = phone
        if self.dice.random() < 0.3:
            price = Decimal(self.dice.randint(100, 9000)) / 100
            body = {"Name": f"Part {name}", "Code": f"XP-{self._number}", "Price": str(price), "UsrItemKind": "Service"}
            product = self._crm.post("Product", {**body, "CurrencyId": list_id("Currency", "USD")})
            self._products.append((product, price))
        self._opportunity(account, name)

    def _opportunity(self, account: str, name: str) -> None:
        body = {
            "Title": f"{name}: order",
            "AccountId": account,
            "StageId": list_id("OpportunityStage", "Proposal"),
            "DueDate": "2026-12-31T00:00:00Z",
            "UsrCurrencyId": list_id("Currency", "USD"),
            "UsrExchangeRate": "1.0000",
        }
        deal = self._crm.post(INVOICES.crm, body)
        total = Decimal(0)
        for sold in self.dice.sample(self._products, self.dice.randint(1, 4)):
            total += self._line(INVOICES, deal, *sold)
            if sold not in self._known:
                self._known.append(sold)
        self._crm.patch(INVOICES.crm, deal, {"StageId": WON, "Amount": str(total)})
        self.notes.due[INVOICES.mapping][deal] = account

    def _line(self, paper: Paper, ident: str, product: str, price: Decimal) -> Decimal:
        quantity = Decimal(self.dice.choice(QUANTITIES))
        amount = rounded(quantity * price)
        body = {"ProductId": product, "Quantity": str(quantity), "Price": str(price), "Amount": str(amount)}
        self._crm.post(paper.lines, {paper.link: ident, **{paper.prefix + name: value for name, value in body.items()}})
        return amount

    def win(self) -> None:
        """One more won opportunity of an account that has one."""
        if customers := self._customers():
            account = self.dice.choice(customers)
            self._opportunity(account, f"Again {uuid.UUID(int=self.dice.getrandbits(128)).hex[:6]}")

    def correct(self) -> None:
        """A line of a won opportunity gets another quantity."""
        self._correct(INVOICES)

    def order(self) -> None:
        """An account that has bought confirms an order of what is known already."""
        if not (customers := self._customers()):
            return
        account = self.dice.choice(customers)
        body = {
            "Number": f"XO-{self.dice.getrandbits(40)}",
            "Date": "2026-11-02T00:00:00Z",
            "AccountId": account,
            "StatusId": list_id("OrderStatus", "1. Draft"),
            "CurrencyId": list_id("Currency", "USD"),
            "CurrencyRate": "1.0000",
        }
        ident = self._crm.post(ORDERS.crm, body)
        total = sum(
            (self._line(ORDERS, ident, *sold) for sold in self.dice.sample(self._known, self.dice.randint(1, 4))),
            Decimal(0),
        )
        confirmed = {"StatusId": list_id("OrderStatus", "2. Confirmation"), "Amount": str(total)}
        self._crm.patch(ORDERS.crm, ident, confirmed)
        self.notes.due[ORDERS.mapping][ident] = account

    def correct_order(self) -> None:
        """A line of a confirmed order gets another quantity."""
        self._correct(ORDERS)

    def _correct(self, paper: Paper) -> None:
        if not self.notes.due[paper.mapping]:
            return
        ident = self.dice.choice(sorted(self.notes.due[paper.mapping]))
        lines = [row for row in self._crm.rows(paper.lines).values() if row[paper.link] == ident]
        line = self.dice.choice(lines)
        quantity = Decimal(self.dice.choice(QUANTITIES))
        amount = rounded(quantity * line["Price"])
        self._crm.patch(paper.lines, line["Id"], {"Quantity": str(quantity), "Amount": str(amount)})
        if paper is ORDERS:  # of which Creatio keeps the sum
            rest = sum((row["Amount"] for row in lines if row["Id"] != line["Id"]), Decimal(0))
            self._crm.patch(paper.crm, ident, {"Amount": str(rest + amount)})

    # --- buying

    def bill(self) -> None:
        """A bill of a supplier, new or known, over expenses and over what is sold too."""
        suppliers = sorted(self.notes.suppliers)
        supplier = self.dice.choice(suppliers) if suppliers and self.dice.random() < 0.5 else self._supplier()
        number = f"XB-{self.dice.getrandbits(40)}"
        body = {"Name": f"Bill {number}", "UsrNumber": number, "UsrVendorId": supplier}
        ident = self._crm.post(
            BILLS.crm, {**body, "UsrDate": "2026-11-02T00:00:00Z", "UsrDueDate": "2026-12-02T00:00:00Z"}
        )
        for _ in range(self.dice.randint(1, 2)):
            text = {"UsrBillId": ident, "UsrDescription": "Bought in"}
            expense = {"UsrGLAccount": self.dice.choice(EXPENSES), "UsrAmount": self._amount()}
            self._crm.post(BILLS.lines, {**text, **expense})
        if self.dice.random() < 0.5:
            self._line(BILLS, ident, *self.dice.choice(self._known))
        self.notes.due[BILLS.mapping][ident] = supplier

    def _supplier(self) -> str:
        name = self._name("Chaos supplier")
        body = {"Name": name, "Phone": self._phone(), "Code": f"XV-{self._number}", "TypeId": SUPPLIER}
        account = self._crm.post("Account", {**body, "UsrActive": True})
        self.notes.suppliers.add(account)
        return account

    def correct_bill(self) -> None:
        """An expense of a bill gets another amount."""
        if bills := sorted(self.notes.due[BILLS.mapping]):
            bill = self.dice.choice(bills)
            lines = self._crm.rows(BILLS.lines).values()
            line = self.dice.choice([row for row in lines if row["UsrBillId"] == bill and row["UsrGLAccount"]])
            self._crm.patch(BILLS.lines, line["Id"], {"UsrAmount": self._amount()})

    # --- telephones and payments

    def call(self) -> None:
        """An account gets another telephone number."""
        known = self._crm.rows("Account")
        # Not where the books' own new number is still on its way: two changes would be a conflict for a person.
        free = [each for each, phone in sorted(self.notes.phones.items()) if known[each]["Phone"] == phone]
        if free:
            account = self.dice.choice(free)
            self.notes.phones[account] = phone = self._phone()
            self._crm.patch("Account", account, {"Phone": phone})

    def call_in_books(self) -> None:
        """A customer's telephone number is corrected in the books."""
        known = self._crm.rows("Account")
        bound = [each for each in sorted(self.notes.phones) if known[each]["UsrQBId"] and self._in_step(known[each])]
        if bound:
            account = self.dice.choice(bound)
            self.notes.phones[account] = phone = self._phone()
            self.books.call(known[account]["UsrQBId"], phone)

    def _in_step(self, account: rows.Row) -> bool:
        """Whether both sides show the same number: a second change to another one would be a conflict to be held."""
        customer = self.books.held().lists["customers"].get(account["UsrQBId"])
        return customer is not None and customer.phone == account["Phone"]

    def pay(self) -> None:
        """A customer pays a part of an open invoice."""
        if unpaid := self.books.unpaid():
            invoice = self.dice.choice(unpaid)
            self.notes.payments.add(self.books.pay(invoice, rounded(invoice.balance / 4)))

    # --- small things

    def _customers(self) -> list[str]:
        return sorted(set(self.notes.due[INVOICES.mapping].values()))

    def _name(self, word: str) -> str:
        self._number += 1
        return f"{word} {self._number} {uuid.UUID(int=self.dice.getrandbits(128)).hex[:6]}"

    def _phone(self) -> str:
        return f"({self.dice.randint(201, 989)}) 555-01{self.dice.randint(0, 99):02d}"

    def _amount(self) -> str:
        return str(Decimal(self.dice.randint(500, 90_000)) / 100)


def _plain(name: str) -> bool:
    return name.isascii() and name.replace(" ", "").replace(",", "").isalnum()
