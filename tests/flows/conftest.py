"""A small company between both sandboxes, with what users do in either system."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest

from iw_operators.ledger.model import LogRow
from iw_operators.ledger.store import Ledger
from iw_operators.sync import Summary
from iw_operators.systems.creatio.batch import Part
from iw_operators.systems.creatio.client import Client as Creatio
from iw_operators.systems.quickbooks_online.client import Client as QuickBooks
from sandbox.seed.world import Account, Opportunity, OpportunityLine, Product, World
from tests.stage import Stage, stage, without_overlap

OLD = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
TO_BOOKS, TO_CRM = "CRAcctOpp2QBCustInv", "QBCustInvoices2CRAcctOpp"
PAYMENTS, ITEMS = "QBPmt2CRPmt", "QBItem2CRProd"


def guid(kind: int, number: int) -> str:
    """Return a fixed Id."""
    return f"{kind:08x}-0000-4000-8000-{number:012x}"


def world(sales: int = 3) -> World:
    """Return accounts with one won opportunity each, of two products, and one more opportunity that is open."""
    products = (
        Product(guid(2, 1), "Hour of work", "HOUR", Decimal("90.00"), modified=OLD),
        Product(guid(2, 2), "Bolt", "BOLT", Decimal("0.35"), kind="NonInventory", modified=OLD),
    )
    accounts = tuple(Account(guid(1, n), f"Customer {n}", f"C{n}", modified=OLD) for n in range(sales))
    lines = (("1.5", "90.00", "135.00"), ("100", "0.35", "35.00"))
    opportunities = tuple(
        Opportunity(
            id=guid(3, n),
            title=f"Sale {n}",
            account_id=guid(1, n),
            stage="Closed won",
            contact_id=None,
            amount=Decimal("170.00"),
            due_date=dt.date(2026, 12, 31),
            currency="USD",
            exchange_rate=Decimal(1),
            lines=tuple(
                OpportunityLine(
                    guid(4, 10 * n + at), products[at].id, Decimal(quantity), Decimal(price), Decimal(amount), OLD
                )
                for at, (quantity, price, amount) in enumerate(lines)
            ),
            modified=OLD,
        )
        for n in range(sales)
    )
    open_sale = replace(opportunities[0], id=guid(3, 99), title="Open sale", stage="Proposal", lines=())
    return World(accounts=accounts, products=products, opportunities=(*opportunities, open_sale))


@dataclass
class Company:
    """The company, and what its people do by hand in both systems."""

    stage: Stage

    @property
    def crm(self) -> Creatio:
        """Creatio, as a user has it."""
        client: Creatio = self.stage.open("crm")._client  # type: ignore[attr-defined]  # its client is what users do
        return client

    @property
    def books(self) -> QuickBooks:
        """QuickBooks Online, as a user has it."""
        client: QuickBooks = self.stage.open("books").client  # type: ignore[attr-defined]  # likewise
        return client

    def wait(self, **time: float) -> None:
        """Let time pass in both systems."""
        passed = dt.timedelta(**time)
        self.stage.books_sandbox.clock.advance(passed.total_seconds())
        clock = self.stage.crm_sandbox.clock
        clock.set(clock.now() + passed)

    def run(self, flow: str) -> dict[str, Summary]:
        """Run a flow once everything that was done is over, for the systems' stamps go by seconds."""
        self.wait(seconds=2)
        return self.stage.run(flow)

    def moved(self, flow: str, mapping: str) -> dict[str, int]:
        """Run a flow; return how many records of one mapping ended how, but for those of which nothing was to do."""
        counts = self.run(flow)[mapping].counts
        return {action: number for action, number in counts.items() if action != "unchanged"}

    def edit(self, entity: str, ident: str, **columns: Any) -> None:
        """Change a record of the CRM."""
        (answer,) = self.crm.write([Part("PATCH", f"{entity}({ident})", columns)])
        assert answer.status == 204, answer

    def drop(self, entity: str, ident: str) -> None:
        """Delete a record of the CRM, lines of a sale first."""
        if entity == "Opportunity":
            for row in self.rows("OpportunityProductInterest"):
                if row["OpportunityId"] == ident:
                    self.drop("OpportunityProductInterest", row["Id"])
        (answer,) = self.crm.write([Part("DELETE", f"{entity}({ident})")])
        assert answer.status == 204, answer

    def rows(self, entity: str) -> list[dict[str, Any]]:
        """Return all rows of a set of the CRM."""
        from iw_operators.systems.creatio.query import Expand, Query

        found: list[dict[str, Any]] = self.crm.read(Query(entity, Expand()))["value"]
        return found

    def row(self, entity: str, ident: str) -> dict[str, Any] | None:
        """Return a row of the CRM."""
        return next((row for row in self.rows(entity) if row["Id"] == ident), None)

    def native(self, entity: str) -> list[dict[str, Any]]:
        """Return all rows of an entity of the books."""
        hidden = ["Active IN (true, false)"] if entity in ("Customer", "Item") else []
        return list(self.books.all_rows(entity, hidden))

    def book(self, entity: str, operation: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Do something in the books."""
        item = {"bId": "x", "operation": operation, entity: body, **more}
        answer = self.books.batch([item])["x"]
        assert "Fault" not in answer, answer
        found: dict[str, Any] = answer[entity]
        return found

    def partner(self, mapping: str, crm_id: str) -> str:
        """Return the id in the books of a record of the CRM."""
        return self.stage.ledger.references("acme", mapping, "crm", [crm_id])[crm_id]

    def bound(self, mapping: str, crm_id: str) -> bool:
        """Tell whether a record of the CRM is bound."""
        return crm_id in self.stage.ledger.references("acme", mapping, "crm", [crm_id])

    def newest(self, source_id: str, mapping: str | None = None) -> LogRow:
        """Return a record's newest row of its own."""
        rows = self.stage.ledger.log(company="acme", source_id=source_id, mapping=mapping)
        return next(row for row in rows if row.operation != "write_back")

    def head(self, entity: str, ident: str) -> dict[str, Any]:
        """Return Id and SyncToken of a record of the books."""
        row = next(row for row in self.native(entity) if row["Id"] == ident)
        return {"Id": ident, "SyncToken": row["SyncToken"]}


@pytest.fixture
def company(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    """Return the small company after its first runs: everything is in step."""
    with stage(world(), ledger, monkeypatch.setenv) as made:
        made.spec = without_overlap(made.spec)
        company = Company(made)
        for flow in (TO_BOOKS, TO_CRM, PAYMENTS):
            company.run(flow)
        company.run(TO_CRM)
        yield company
