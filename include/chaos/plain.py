"""A plain writer, as one writes it in an afternoon: a loop over python-quickbooks with retries, and no ledger.

Each won opportunity without an invoice gets one; customers and items are looked up by name and made if they are not
there; what fails is tried three times; ids are written back. It is right as long as nothing goes wrong. The harness
does to it what it does to the product, to show that the comparison catches what then happens.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeVar

import httpx
from intuitlib.client import AuthClient
from quickbooks import QuickBooks
from quickbooks.objects.base import Ref
from quickbooks.objects.customer import Customer
from quickbooks.objects.detailline import SalesItemLine, SalesItemLineDetail
from quickbooks.objects.invoice import Invoice
from quickbooks.objects.item import Item

import sandbox.creatio
from chaos.business import LOGIN, Business
from chaos.house import House
from chaos.oracle import Oracle, Verdict
from sandbox.quickbooks_online.options import CLIENT_ID, CLIENT_SECRET, REALM, REFRESH_TOKEN

TRIES: Final = 3
T = TypeVar("T")


def tried(call: Callable[[], T]) -> T:
    """Call until it works, at most three times."""
    for _ in range(TRIES - 1):
        try:
            return call()
        except Exception:  # noqa: BLE001, S112  this is how plain writers do it, and what is wrong with them
            continue
    return call()


class PlainWriter:
    """One company's loop. `only`: titles have to begin so; the seed's troubles are not a plain writer's business."""

    def __init__(self, crm: str, books: str, only: tuple[str, ...]) -> None:
        os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
        self.only = only
        self.crm = httpx.Client(base_url=crm, timeout=10)
        login = sandbox.creatio.airflow_connection("http://localhost:1")
        tried(lambda: self.crm.post(LOGIN, json={"UserName": login["login"], "UserPassword": login["password"]}))
        self.crm.headers.update({"ForceUseSession": "true", "BPMCSRF": self.crm.cookies.get("BPMCSRF") or ""})
        auth = AuthClient(CLIENT_ID, CLIENT_SECRET, "http://localhost", environment=f"{books}/discovery")
        self.books = QuickBooks(auth_client=auth, refresh_token=REFRESH_TOKEN, company_id=REALM, minorversion=75)
        self.books.api_url_v3 = f"{books}/v3"

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Read from the CRM."""
        answer = tried(lambda: self.crm.get(f"/odata/{query}").raise_for_status().json())
        found: list[dict[str, Any]] = answer["value"]
        return found

    def note(self, entity: str, ident: str, books_id: str) -> None:
        """Write an id back."""
        body = {"UsrQBId": str(books_id)}
        tried(lambda: self.crm.patch(f"/odata/{entity}({ident})", json=body).raise_for_status())

    def run(self) -> None:
        """Invoice what is won and has no invoice."""
        accounts = {row["Id"]: row for row in self.rows("Account?$select=Id,Name,Phone,UsrQBId")}
        products = {row["Id"]: row for row in self.rows("Product?$select=Id,Name,Price,UsrQBId")}
        lines: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for line in self.rows("OpportunityProductInterest?$select=OpportunityId,ProductId,Quantity,Price"):
            lines[line["OpportunityId"]].append(line)
        where = "$filter=Stage/Name eq 'Closed won' and UsrQBId eq ''&$select=Id,Title,AccountId"
        for deal in self.rows(f"Opportunity?{where}"):
            if deal["Title"].startswith(self.only):
                self.invoice(deal, accounts[deal["AccountId"]], lines[deal["Id"]], products)

    def invoice(self, deal: Any, account: Any, lines: list[Any], products: dict[str, Any]) -> None:
        """Make one invoice, and what it needs."""
        invoice = Invoice()
        invoice.CustomerRef = Ref()
        invoice.CustomerRef.value = self.customer(account)
        for number, row in enumerate(lines, start=1):
            line = SalesItemLine()
            line.SalesItemLineDetail = SalesItemLineDetail()
            line.SalesItemLineDetail.ItemRef = Ref()
            line.SalesItemLineDetail.ItemRef.value = self.item(products[row["ProductId"]])
            line.SalesItemLineDetail.Qty = row["Quantity"]
            line.SalesItemLineDetail.UnitPrice = row["Price"]
            amount = Decimal(str(row["Quantity"])) * Decimal(str(row["Price"]))
            line.LineNum, line.Amount = number, float(amount.quantize(Decimal("0.01"), "ROUND_HALF_UP"))
            invoice.Line.append(line)
        made = tried(lambda: invoice.save(qb=self.books))
        self.note("Opportunity", deal["Id"], made.Id)

    def customer(self, account: Any) -> str:
        """Return the account's customer, made if there is none of its name."""
        if not account["UsrQBId"]:
            found = tried(lambda: Customer.filter(DisplayName=account["Name"], qb=self.books))
            new = Customer()
            new.DisplayName = account["Name"]
            account["UsrQBId"] = str(found[0].Id if found else tried(lambda: new.save(qb=self.books)).Id)
            self.note("Account", account["Id"], account["UsrQBId"])
        return str(account["UsrQBId"])

    def item(self, product: Any) -> str:
        """Return the product's item, made if there is none of its name."""
        if not product["UsrQBId"]:
            found = tried(lambda: Item.filter(Name=product["Name"], qb=self.books))
            new = Item()
            new.Name, new.Type, new.UnitPrice = product["Name"], "Service", product["Price"]
            new.IncomeAccountRef = Ref()
            new.IncomeAccountRef.value = self.income_account()
            product["UsrQBId"] = str(found[0].Id if found else tried(lambda: new.save(qb=self.books)).Id)
            self.note("Product", product["Id"], product["UsrQBId"])
        return str(product["UsrQBId"])

    def income_account(self) -> str:
        """Return some account that takes income."""
        query = "SELECT * FROM Account WHERE AccountType = 'Income'"
        return str(tried(lambda: self.books.query(query))["QueryResponse"]["Account"][0]["Id"])


def sync(crm: str, books: str, only: list[str]) -> None:
    """Do one run; what goes wrong for good ends it."""
    PlainWriter(crm, books, tuple(only)).run()


def judged(house: House, *, runs: int, seed: int, harm: bool) -> Verdict:
    """Let the plain writer do some runs, and return what the comparison says of it.

    :param harm: kill it at random and let connections drop; otherwise nothing is done to it.
    """
    dice = random.Random(seed)  # noqa: S311  nothing secret is drawn
    business = Business(house, dice)
    urls = {"crm": house.sandboxes.url("creatio"), "books": house.sandboxes.url("quickbooks_online")}
    body = {"flow": "plain", "task": "plain", "run_id": "", "crash_at": [], "env": {}}
    usual = 2.0
    for number in range(1, runs + 2):
        house.calm()
        if number <= runs:
            for _ in range(4):
                business.sell()
            if harm:
                house.arm("quickbooks_online", kind="drop_after", match="/invoice", after=dice.randint(0, 2))
                house.trouble(dice, 1)
        job = house.workers.spawn({**body, "try": number, "plain": {**urls, "only": ["Chaos"]}})
        if harm and number <= runs and dice.random() < 0.5:
            house.workers.wait(job, dice.uniform(0, usual))
            job.kill()
        house.workers.finish(job)
    business.close()
    return Oracle(house, business.notes, 0.0).judge(ledger=False)
