"""Company `globex`: Creatio and QuickBooks Desktop over ODBC, its real specs, a real ledger; whole flows."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest

from iw_operators.errors import ConnectionFailure, RetryLater
from iw_operators.ledger.store import Ledger
from iw_operators.systems.creatio.batch import Part
from iw_operators.systems.quickbooks_desktop.client import Client
from iw_operators.systems.quickbooks_desktop.dialect import Statement
from sandbox.seed import globex
from sandbox.seed.world import World
from tests.drivers import ask, driver, need_odbc
from tests.flows.conftest import guid, world
from tests.killing import Killed
from tests.stage import Stage, stage

pytestmark = [pytest.mark.sandbox, pytest.mark.ledger, pytest.mark.feature("S3")]

TO_BOOKS, TO_CRM = "CRAcctOpp2QBCustInv", "QBCustInvoices2CRAcctOpp"
SALES = 3


@dataclass
class Globex:
    """The company, and what its people do by hand."""

    stage: Stage

    def run(self, *flows: str) -> list[dict[str, dict[str, int]]]:
        """Run flows, each once what was done is over, for stamps go by seconds; return how many records ended how."""
        done = []
        for flow in flows:
            self.wait()
            done.append({name: dict(made.counts) for name, made in self.stage.run(flow).items()})
        return done

    def wait(self) -> None:
        """Let two seconds pass in both systems."""
        file = self.stage.books_sandbox.file
        file.options = replace(file.options, clock_shift=file.options.clock_shift + 2)
        clock = self.stage.crm_sandbox.clock
        clock.set(clock.now() + dt.timedelta(seconds=2))

    def ask(self, sql: str, *params: Any) -> list[Any]:
        """Ask QuickBooks as anybody with pyodbc can."""
        port = int(self.stage.books_url.rsplit(":", 1)[1])
        return [tuple(row) for row in ask(port, sql, *params)]

    def rows(self, entity: str) -> list[dict[str, Any]]:
        """Return all rows of a set of the CRM."""
        from iw_operators.systems.creatio.query import Expand, Query

        client = self.stage.open("crm")._client  # type: ignore[attr-defined]  # its client is what users do
        found: list[dict[str, Any]] = client.read(Query(entity, Expand()))["value"]
        return found


@pytest.fixture(scope="session", autouse=True)
def drivers() -> None:
    """Its books are reached over ODBC."""
    need_odbc()


@pytest.fixture
def small(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Globex]:
    """Three customers with a won opportunity each, before the first run."""
    with stage(world(SALES), ledger, monkeypatch.setenv, company="globex") as made:
        yield Globex(made)


def whole(company: Globex) -> None:
    """Both sides hold every record once, and each knows its partner."""
    names = Counter(name for (name,) in company.ask("SELECT Name FROM Customer"))
    assert names == Counter(f"Customer {number}" for number in range(SALES))
    invoices = company.ask("SELECT TxnID, Subtotal FROM Invoice")
    assert Counter(str(total) for _, total in invoices) == Counter({"170.00": SALES})
    assert company.ask("SELECT COUNT(*) FROM InvoiceLine") == [(2 * SALES,)]
    deals = {row["Id"]: row["UsrQBId"] for row in company.rows("Opportunity")}
    assert sorted(deals[guid(3, n)] for n in range(SALES)) == sorted(ident for ident, _ in invoices)


def test_customers_items_and_invoices_go_through_and_come_back(small: Globex) -> None:
    """Accounts, products and won opportunities are made in QuickBooks; numbers and balances come back; then quiet."""
    (first,) = small.run(TO_BOOKS)
    assert first["customers"]["created"] == SALES
    assert first["invoices"]["created"] == SALES
    whole(small)
    codes = dict(small.ask("SELECT Name, CustomFieldAccountID FROM Customer"))
    assert codes == {f"Customer {n}": f"C{n}" for n in range(SALES)}
    small.run(TO_CRM)
    deal = next(row for row in small.rows("Opportunity") if row["Id"] == guid(3, 0))
    (number,) = small.ask("SELECT RefNumber FROM Invoice WHERE TxnID = ?", deal["UsrQBId"])[0]
    assert deal["UsrInvoiceNumber"] == number
    assert Decimal(str(deal["UsrQBBalance"])) == Decimal("170.00")
    for counts in small.run(TO_BOOKS, TO_CRM, TO_BOOKS):
        assert {action for each in counts.values() for action in each} <= {"unchanged", "skipped"}


def test_what_is_changed_in_quickbooks_comes_to_the_crm(small: Globex) -> None:
    """A telephone number of a customer and a payment of an invoice arrive with the next runs."""
    small.run(TO_BOOKS, TO_CRM)
    small.ask("UPDATE Customer SET Phone = ? WHERE Name = ?", "555-0100", "Customer 1")
    ((invoice, customer),) = small.ask(
        "SELECT TxnID, CustomerRefListID FROM Invoice WHERE CustomerRefFullName = 'Customer 1'"
    )
    small.ask(
        "INSERT INTO ReceivePaymentLine (CustomerRefListID, TotalAmount, RefNumber, AppliedToTxnTxnID,"
        " AppliedToTxnPaymentAmount, FQSaveToCache) VALUES (?, ?, ?, ?, ?, ?)",
        *(customer, Decimal("70.00"), "Check 1", invoice, Decimal("70.00"), 0),
    )
    small.run(TO_CRM, "QBPmt2CRPmt")
    account = next(row for row in small.rows("Account") if row["Name"] == "Customer 1")
    assert account["Phone"] == "555-0100"
    assert Decimal(str(account["UsrQBBalance"])) == Decimal("100.00"), "a payment changes the balance, not the customer"
    deal = next(row for row in small.rows("Opportunity") if row["UsrQBId"] == invoice)
    assert Decimal(str(deal["UsrQBBalance"])) == Decimal("100.00")
    (payment,) = small.rows("UsrPaymentQB")
    assert (Decimal(str(payment["UsrTotalAmount"])), payment["UsrOpportunityId"]) == (Decimal("70.0"), deal["Id"])
    assert payment["UsrAccountId"] == account["Id"]


@pytest.mark.feature("B2")
@pytest.mark.parametrize("place", [1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_that_dies_within_a_group_leaves_one_invoice(
    small: Globex, monkeypatch: pytest.MonkeyPatch, place: int, when: str
) -> None:
    """Killed before or after any statement of a cached group: the next run settles it, and there is one invoice."""
    true, seen = Client.run, [0]

    def run(client: Client, statement: Statement) -> int:
        group = statement.sql.startswith("INSERT INTO InvoiceLine")
        seen[0] += group
        dies = group and seen[0] == place
        if dies and when == "before":
            client.drop()  # the end of a process closes its connections
            raise Killed
        done = true(client, statement)
        if dies:
            client.drop()
            raise Killed
        return done

    monkeypatch.setattr(Client, "run", run)
    with pytest.raises(Killed):
        small.run(TO_BOOKS)
    monkeypatch.setattr(Client, "run", true)
    small.run(TO_BOOKS)
    whole(small)


@pytest.mark.feature("B2")
@pytest.mark.parametrize(
    ("kind", "match"),
    [
        ("drop_in_group", ""),
        ("drop_before", "INSERT"),
        ("drop_after_commit", "INSERT InvoiceLine"),
        ("drop_after_commit", "INSERT Customer"),
        ("drop_before", "SP_LASTINSERTID"),
        ("drop_before", "SELECT"),
    ],
)
def test_connections_that_are_lost_lose_and_double_nothing(small: Globex, kind: str, match: str) -> None:
    """Wherever the connection ends, runs go on until everything is there, once."""
    small.stage.fault("books", kind=kind, match=match, after=1)
    for _ in range(4):
        try:
            small.run(TO_BOOKS)
        except RetryLater:
            continue
    whole(small)


@pytest.mark.feature("B2")
@pytest.mark.parametrize("seed", range(3))
def test_a_bad_day_ends_as_a_good_one(small: Globex, seed: int) -> None:
    """Pop-ups, locked lists, old sequences and lost connections at random places of many runs: all is there once."""
    chance = random.Random(seed)  # noqa: S311 - chance that can be repeated
    kinds = ("drop_before", "drop_in_group", "drop_after_commit", "stale", "locked_list", "modal_dialog", "single_user")
    for _ in range(12):
        for kind in chance.sample(kinds, 3):
            small.stage.fault("books", kind=kind, after=chance.randrange(25))
        for flow in (TO_BOOKS, TO_CRM):
            with contextlib.suppress(RetryLater):
                small.run(flow)
        phone = f"555-01{chance.randrange(100):02d}"
        with contextlib.suppress(driver().Error):
            small.ask("UPDATE Customer SET Phone = ? WHERE Name = ?", phone, f"Customer {chance.randrange(SALES)}")
    small.stage.fault("books", clear=True)
    small.run(TO_CRM, TO_BOOKS, TO_CRM)
    whole(small)
    phones = dict(small.ask("SELECT Name, Phone FROM Customer"))
    told = {row["Name"]: row["Phone"] or None for row in small.rows("Account")}
    assert {name: told[name] for name in phones} == phones
    for counts in small.run(TO_BOOKS, TO_CRM):
        assert {action for each in counts.values() for action in each} <= {"unchanged", "skipped"}


def test_a_change_that_is_refused_halfway_is_in_neither_system(small: Globex) -> None:
    """The second line of two is refused: the invoice is as it was, the CRM keeps its own, and a later run brings it."""
    small.run(TO_BOOKS, TO_CRM)
    small.wait()
    client = small.stage.open("crm")._client  # type: ignore[attr-defined]  # its client is what users do
    deal = next(row for row in small.rows("Opportunity") if row["Id"] == guid(3, 0))
    for row in small.rows("OpportunityProductInterest"):
        if row["OpportunityId"] == deal["Id"]:
            change = {"Quantity": 2 * row["Quantity"], "Amount": 2 * row["Amount"]}
            client.write([Part("PATCH", f"OpportunityProductInterest({row['Id']})", change)])
    client.write([Part("PATCH", f"Opportunity({deal['Id']})", {"Amount": 340.0})])
    small.stage.fault("books", kind="error", match="UPDATE InvoiceLine", after=1)
    (counts,) = small.run(TO_BOOKS)
    assert counts["invoices"]["rejected"] == 1
    sql = "SELECT Subtotal FROM Invoice WHERE TxnID = ?"
    assert small.ask(sql, deal["UsrQBId"]) == [(Decimal("170.00"),)]
    small.run(TO_CRM)
    now = next(row for row in small.rows("Opportunity") if row["Id"] == deal["Id"])
    assert (now["Amount"], Decimal(str(now["UsrQBBalance"]))) == (340.0, Decimal("170.00"))
    small.run(TO_BOOKS)
    assert small.ask(sql, deal["UsrQBId"]) == [(Decimal("340.00"),)]


@pytest.mark.feature("R8", "R15")
def test_a_pop_up_stops_the_flow_with_advice_and_passes(small: Globex) -> None:
    """While a dialog is open in QuickBooks the flow fails as a connection failure that says so; then it goes on."""
    small.stage.fault("books", kind="modal_dialog", times=-1)
    with pytest.raises(ConnectionFailure) as caught:
        small.run(TO_BOOKS)
    assert caught.value.code == "80040414"
    assert "dialog" in f"{caught.value.message} {caught.value.advice}".lower()
    assert small.rows("Account")
    small.stage.fault("books", clear=True)
    small.run(TO_BOOKS)
    whole(small)


@pytest.fixture
def company(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Globex]:
    """The whole company as it is seeded."""
    with stage(globex.build(), ledger, monkeypatch.setenv, company="globex") as made:
        yield Globex(made)


@pytest.mark.feature("O6", "O7", "O11", "O3", "M25")
def test_the_whole_company(company: Globex) -> None:
    """Every flow goes through; orders become sales orders, bills bills; a second round has nothing to do."""
    build: World = globex.build()
    (first,) = company.run(TO_BOOKS)
    assert first["customers"]["created"] > 20
    assert first["invoices"]["created"] > 20
    assert not set(first["customers"]) - {"created", "updated", "unchanged", "skipped", "rejected", "held"}
    (orders,) = company.run("CROrd2QBSO")
    assert orders["sales_orders"]["created"] == len(build.ordered)
    (bills,) = company.run("CRBill2QBVendBill")
    assert bills["vendors"]["created"] == 1, "the books know the other two by name"
    assert bills["bills"]["created"] == len(build.bills)
    lines = company.ask("SELECT COUNT(*) FROM BillItemLine") + company.ask("SELECT COUNT(*) FROM BillExpenseLine")
    assert [n for (n,) in lines] == [
        sum(line.product_id is not None for bill in build.bills for line in bill.lines),
        sum(line.product_id is None for bill in build.bills for line in bill.lines),
    ]
    company.run(TO_CRM, "QBItem2CRProd", "QBPmt2CRPmt")
    assert len(company.rows("UsrPaymentQB")) == len(build.books_payments)
    for flow in (TO_BOOKS, "CROrd2QBSO", "CRBill2QBVendBill", TO_CRM, "QBItem2CRProd", "QBPmt2CRPmt"):
        (again,) = company.run(flow)
        assert {action for each in again.values() for action in each} <= {"unchanged", "skipped", "rejected", "held"}


@pytest.mark.feature("M25")
def test_names_that_quickbooks_does_not_take_are_rejected_with_their_limit(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """41 characters, no colon, and no name twice: each such account has a row that names the field and what to do."""
    build = world(SALES)
    names = ("x" * 42, "Parent:Child", "Taken")
    accounts = tuple(replace(account, name=name) for account, name in zip(build.accounts, names, strict=True))
    with stage(replace(build, accounts=accounts), ledger, monkeypatch.setenv, company="globex") as made:
        company = Globex(made)
        company.ask("INSERT INTO Vendor (Name) VALUES (?)", "Taken")
        (counts,) = company.run(TO_BOOKS)
        assert counts["customers"] == {"rejected": SALES}
        rows = [row for row in made.ledger.log(company="globex", mapping="customers") if row.action == "rejected"]
        assert {row.field for row in rows} == {"name"}
        whys = sorted(f"{row.code}: {row.why}" for row in rows)
        assert "3100" in whys[0], "customers and vendors share their names"
        assert any("41" in why for why in whys)
        assert any("':'" in why for why in whys), whys
        assert all(row.advice for row in rows)
