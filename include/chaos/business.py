"""What people do in both systems while integrations run: independent clients, with a note of what they did.

The notes are what the comparison holds both sides to: it trusts neither our code nor our ledger.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import httpx

import sandbox.creatio
from chaos import rows
from chaos.house import House
from sandbox.creatio.seed import list_id
from sandbox.quickbooks_online.options import REALM

LOGIN: Final = "/ServiceModel/AuthService.svc/Login"
QUANTITIES: Final = ("1", "2", "3.5", "10", "0.25")


@dataclass(slots=True)
class Notes:
    """What was done: ids of the CRM and of the books, with what has to be true in the end."""

    phones: dict[str, str] = field(default_factory=dict)  # account -> its phone, wherever it was typed
    won: dict[str, str] = field(default_factory=dict)  # opportunity without any trouble -> account
    payments: set[str] = field(default_factory=set)  # of the books
    seeded: dict[str, frozenset[str]] = field(default_factory=dict)  # entity -> ids that the books had at first
    done: int = 0


class Business:
    """A salesperson and a bookkeeper. Works while nothing is armed; raises httpx errors otherwise."""

    def __init__(self, house: House, dice: random.Random) -> None:
        self.house = house
        self.dice = dice
        self.notes = Notes()
        self._crm = httpx.Client(base_url=house.sandboxes.url("creatio"), timeout=30)
        self._books = httpx.Client(base_url=house.sandboxes.url("quickbooks_online"), timeout=30)
        login = sandbox.creatio.airflow_connection("http://localhost:1")
        self._login = {"UserName": login["login"], "UserPassword": login["password"]}
        self._number = 0
        for name, found in rows.books(
            house.data("quickbooks_online"), "Customer", "Item", "Invoice", "Payment"
        ).items():
            self.notes.seeded[name] = frozenset(found)
        crm = rows.crm(house.data("creatio"), "Product")
        names = Counter(row["Name"] for row in crm["Product"].values())
        self._products = [  # that people sell: not archived, in dollars, with an ordinary name of their own
            (row["Id"], row["Price"])
            for row in crm["Product"].values()
            if not row["IsArchive"]
            and row["CurrencyId"] == list_id("Currency", "USD")
            and _plain(row["Name"])
            and names[row["Name"]] == 1
        ]

    def close(self) -> None:
        """Close both clients."""
        self._crm.close()
        self._books.close()

    def some(self, number: int) -> None:
        """Do some things at random."""
        acts = {self.sell: 4, self.call: 3, self.win: 2, self.pay: 2, self.correct: 2, self.call_in_books: 1}
        for act in self.dice.choices([*acts], [*acts.values()], k=number):
            act()
            self.notes.done += 1

    def sell(self) -> None:
        """A new account with a won opportunity, sometimes over a new product."""
        self._number += 1
        name = f"Chaos {self._number} {uuid.UUID(int=self.dice.getrandbits(128)).hex[:6]}"
        phone = self._phone()
        account = self._post(
            "Account",
            {"Name": name, "Phone": phone, "Code": f"X-{self._number}", "UsrRegion": "East", "UsrActive": True},
        )
        self.notes.phones[account] = phone
        if self.dice.random() < 0.3:
            price = Decimal(self.dice.randint(100, 9000)) / 100
            body = {"Name": f"Part {name}", "Code": f"XP-{self._number}", "Price": str(price), "UsrItemKind": "Service"}
            product = self._post("Product", {**body, "CurrencyId": list_id("Currency", "USD")})
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
        deal = self._post("Opportunity", body)
        total = Decimal(0)
        for product, price in self.dice.sample(self._products, self.dice.randint(1, 4)):
            total += self._line(deal, product, price)
        won = {"StageId": list_id("OpportunityStage", "Closed won"), "Amount": str(total)}
        self._patch("Opportunity", deal, won)
        self.notes.won[deal] = account

    def _line(self, deal: str, product: str, price: Decimal) -> Decimal:
        quantity = Decimal(self.dice.choice(QUANTITIES))
        amount = rounded(quantity * price)
        body = {"OpportunityId": deal, "ProductId": product, "Quantity": str(quantity), "Price": str(price)}
        self._post("OpportunityProductInterest", {**body, "Amount": str(amount)})
        return amount

    def win(self) -> None:
        """One more won opportunity of an account that has one."""
        if self.notes.won:
            account = self.dice.choice(sorted(set(self.notes.won.values())))
            self._opportunity(account, f"Again {uuid.UUID(int=self.dice.getrandbits(128)).hex[:6]}")

    def call(self) -> None:
        """An account gets another telephone number."""
        known = rows.crm(self.house.data("creatio"), "Account")["Account"]
        # Not where the books' own new number is still on its way: two changes would be a conflict for a person.
        free = [each for each, phone in sorted(self.notes.phones.items()) if known[each]["Phone"] == phone]
        if free:
            account = self.dice.choice(free)
            self.notes.phones[account] = phone = self._phone()
            self._patch("Account", account, {"Phone": phone})

    def call_in_books(self) -> None:
        """A customer's telephone number is corrected in the books."""
        known = rows.crm(self.house.data("creatio"), "Account")["Account"]
        bound = [each for each in sorted(self.notes.phones) if known[each]["UsrQBId"] and self._in_step(known[each])]
        if bound:
            account = self.dice.choice(bound)
            customer = rows.books(self.house.data("quickbooks_online"), "Customer")["Customer"][
                known[account]["UsrQBId"]
            ]
            self.notes.phones[account] = phone = self._phone()
            head = {"Id": customer["Id"], "SyncToken": customer["SyncToken"], "sparse": True}
            self._enter("customer", {**head, "PrimaryPhone": {"FreeFormNumber": phone}})

    def _in_step(self, account: rows.Row) -> bool:
        """Whether both sides show the same number: a second change to another one would be a conflict to be held."""
        customer = rows.books(self.house.data("quickbooks_online"), "Customer")["Customer"].get(account["UsrQBId"], {})
        number: Any = (customer.get("PrimaryPhone") or {}).get("FreeFormNumber")
        return bool(number == account["Phone"])

    def correct(self) -> None:
        """A line of a won opportunity gets another quantity."""
        if not self.notes.won:
            return
        deal = self.dice.choice(sorted(self.notes.won))
        lines = rows.crm(self.house.data("creatio"), "OpportunityProductInterest")["OpportunityProductInterest"]
        line = self.dice.choice([row for row in lines.values() if row["OpportunityId"] == deal])
        quantity = Decimal(self.dice.choice(QUANTITIES))
        amount = rounded(quantity * line["Price"])
        self._patch("OpportunityProductInterest", line["Id"], {"Quantity": str(quantity), "Amount": str(amount)})

    def pay(self) -> None:
        """A customer pays a part of an open invoice."""
        found = rows.books(self.house.data("quickbooks_online"), "Invoice")["Invoice"]
        unpaid = [i for i in found.values() if i["Balance"] > 10 and i["CurrencyRef"]["value"] == "USD"]
        if not unpaid:
            return
        invoice = self.dice.choice(sorted(unpaid, key=lambda each: int(each["Id"])))
        part = rounded(Decimal(invoice["Balance"]) / 4)
        line = {"Amount": str(part), "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]}
        body = {"CustomerRef": {"value": invoice["CustomerRef"]["value"]}, "TotalAmt": str(part), "Line": [line]}
        self.notes.payments.add(str(self._enter("payment", body)["Payment"]["Id"]))

    def _phone(self) -> str:
        return f"({self.dice.randint(201, 989)}) 555-01{self.dice.randint(0, 99):02d}"

    def _post(self, entity: str, body: dict[str, Any]) -> str:
        ident = str(uuid.UUID(int=self.dice.getrandbits(128), version=4))
        self._sales("POST", f"/odata/{entity}", {"Id": ident, **body})
        return ident

    def _patch(self, entity: str, ident: str, body: dict[str, Any]) -> None:
        self._sales("PATCH", f"/odata/{entity}({ident})", body)

    def _sales(self, method: str, path: str, body: dict[str, Any]) -> None:
        headers = {"ForceUseSession": "true", "Content-Type": "application/json;IEEE754Compatible=true"}
        for _ in range(2):
            headers["BPMCSRF"] = self._crm.cookies.get("BPMCSRF") or ""
            answer = self._crm.request(method, path, json=body, headers=headers)
            if answer.status_code not in (401, 403):
                break
            self._crm.post(LOGIN, json=self._login)
        if answer.is_error:
            msg = f"{method} {path}: {answer.status_code} {answer.text}"
            raise RuntimeError(msg)

    def _enter(self, entity: str, body: dict[str, Any]) -> dict[str, Any]:
        path = f"/v3/company/{REALM}/{entity}?minorversion=75"
        for _ in range(2):
            answer = self._books.post(path, json=body)
            if answer.status_code != httpx.codes.UNAUTHORIZED:
                break
            self._books.headers["Authorization"] = f"Bearer {self.house.grant()['access_token']}"
            self._books.headers["Accept"] = "application/json"
        if answer.is_error:
            msg = f"POST {path}: {answer.status_code} {answer.text}"
            raise RuntimeError(msg)
        found: dict[str, Any] = answer.json()
        return found


def rounded(value: Decimal) -> Decimal:
    """Round half up to the cent."""
    return value.quantize(Decimal("0.01"), "ROUND_HALF_UP")


def _plain(name: str) -> bool:
    return name.isascii() and name.replace(" ", "").replace(",", "").isalnum() and len(name) < 80
