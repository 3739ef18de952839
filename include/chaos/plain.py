"""A plain writer, as one writes it in an afternoon: a loop with retries over what the vendor offers, and no ledger.

Each won opportunity without an invoice gets one; customers and items are looked up by name and made if they are not
there; what fails is tried three times; ids are written back. It is right as long as nothing goes wrong. The harness
does to it what it does to the product, to show that the comparison catches what then happens.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final, TypeVar

import httpx

import sandbox.creatio
from chaos.business import Business
from chaos.crm import LOGIN, SYSTEM
from chaos.house import House
from chaos.oracle import Oracle, Verdict

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


class PlainWriter(ABC):
    """One company's loop. `only`: titles have to begin so; the seed's troubles are not a plain writer's business."""

    def __init__(self, crm: str, only: tuple[str, ...]) -> None:
        self.only = only
        self.crm = httpx.Client(base_url=crm, timeout=10)
        login = sandbox.creatio.airflow_connection("http://localhost:1")
        tried(lambda: self.crm.post(LOGIN, json={"UserName": login["login"], "UserPassword": login["password"]}))
        self.crm.headers.update({"ForceUseSession": "true", "BPMCSRF": self.crm.cookies.get("BPMCSRF") or ""})

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
                customer = self.known("Account", accounts[deal["AccountId"]])
                parts = [(self.known("Product", products[line["ProductId"]]), line) for line in lines[deal["Id"]]]
                self.note("Opportunity", deal["Id"], self.invoice(customer, parts))

    def known(self, entity: str, row: Any) -> str:
        """Return the id that the books have for an account or a product, made if there is none of its name."""
        if not row["UsrQBId"]:
            row["UsrQBId"] = self.customer(row) if entity == "Account" else self.item(row)
            self.note(entity, row["Id"], row["UsrQBId"])
        return str(row["UsrQBId"])

    @abstractmethod
    def customer(self, account: Any) -> str:
        """Find or make an account's customer; return its id."""

    @abstractmethod
    def item(self, product: Any) -> str:
        """Find or make a product's item; return its id."""

    @abstractmethod
    def invoice(self, customer: str, lines: list[tuple[str, Any]]) -> str:
        """Make an invoice; return its id. :param lines: an item's id, and the CRM's line."""


def judged(house: House, *, runs: int, seed: int, harm: bool) -> Verdict:
    """Let the plain writer of a company's books do some runs, and return what the comparison says of it.

    :param harm: kill it at random and let connections drop; otherwise nothing is done to it.
    """
    dice = random.Random(seed)  # noqa: S311  nothing secret is drawn
    business = Business(house, dice)
    urls = {name: house.sandboxes.url(system) for name, system in (("crm", SYSTEM), ("books", house.books.system))}
    body = {"flow": "plain", "task": "plain", "run_id": "", "crash_at": [], "env": {}}
    usual = 2.0
    for number in range(1, runs + 2):
        house.calm()
        if number <= runs:
            for _ in range(4):
                business.sell()
            if harm:
                house.arm(house.books.system, **house.books.after_sale, after=dice.randint(0, 2))
                house.trouble(dice, 1)
        plain = {"module": house.books.plain, **urls, "only": ["Chaos"]}
        job = house.workers.spawn({**body, "try": number, "plain": plain})
        if harm and number <= runs and dice.random() < 0.5:
            house.workers.wait(job, dice.uniform(0, usual))
            job.kill()
        house.workers.finish(job)
    business.close()
    return Oracle(house, business.notes, 0.0).judge(ledger=False)
