"""Data in a file, several threads at once, many rows, the acme world."""

from __future__ import annotations

import threading
from decimal import Decimal
from pathlib import Path

import pytest

from sandbox.common.serve import serve
from sandbox.quickbooks_online import airflow_connection, make
from sandbox.quickbooks_online.options import REALM
from sandbox.seed.acme import build
from sandbox.seed.world import BooksCustomer, World
from tests.sandbox.quickbooks_online.qbo_api import Api, small_world

pytestmark = pytest.mark.sandbox


def test_a_file_is_kept(tmp_path: Path) -> None:
    """A sandbox with a file goes on where it ended, tokens and request ids included, until it is reset."""
    path = tmp_path / "books.sqlite"
    first = make(small_world(), path=path, throttle=False)
    with serve(first) as served:
        api = Api(served.url)
        made = api.write("Customer", {"DisplayName": "Kept"}, requestid="k").text
        token, refresh_token = api.token, api.refresh_token
        api.close()
    first.store.close()
    second = make(World(), path=path, throttle=False)
    with serve(second) as served:
        api = Api(served.url)
        api.token = token
        assert api.write("Customer", {"DisplayName": "Kept"}, requestid="k").text == made
        assert api.refresh(refresh_token).status_code == 200
        assert api.customer("Next")["Id"] == "6"
        assert api.control("reset", {})["rows"]["Customer"] == 0
        api.close()
    second.store.close()


def test_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a path nothing is written to disk."""
    monkeypatch.chdir(tmp_path)
    make(small_world(), path=None).store.close()
    assert list(tmp_path.iterdir()) == []


def test_many_clients_at_once() -> None:
    """Clients that write at the same time neither lose nor double anything."""
    with serve(make(small_world(), throttle=False)) as served:
        clients = [Api(served.url) for _ in range(4)]

        def work(number: int) -> None:
            for step in range(10):
                clients[number].customer(f"Client {number} step {step}")
                clients[number].write("Customer", {"DisplayName": "Contended"}, requestid="same")
                clients[number].payment("1", "1", {"11": "1"})

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        api = clients[0]
        assert api.query("SELECT COUNT(*) FROM Customer")["totalCount"] == 3 + 40 + 1
        assert api.get("Invoice", "11")["Balance"] == Decimal("20.05")
        assert api.get("Invoice", "11")["SyncToken"] == "40"
        for client in clients:
            client.close()


def test_many_rows() -> None:
    """Twenty thousand customers are seeded and read, page by page, each once."""
    world = World(books_customers=tuple(BooksCustomer(str(n), f"Row {n}") for n in range(1, 20_001)))
    with serve(make(world, throttle=False)) as served:
        api = Api(served.url)
        seen: list[str] = []
        while True:
            text = f"SELECT * FROM Customer STARTPOSITION {len(seen) + 1} MAXRESULTS 1000"  # noqa: S608 - not SQL
            page = api.query(text).get("Customer", [])
            if not page:
                break
            seen += [row["Id"] for row in page]
        assert len(seen) == len(set(seen)) == 20_000
        api.close()


def test_the_acme_world() -> None:
    """The acme world is told whole: ids, inactive rows, both currencies, balances, the deleted invoice."""
    world = build()
    with serve(make(world, throttle=False)) as served:
        api = Api(served.url)
        for entity, rows in (("Customer", world.books_customers), ("Item", world.books_items)):
            text = f"SELECT * FROM {entity} WHERE Active IN (true, false) MAXRESULTS 1000"  # noqa: S608 - not SQL
            assert {row["Id"] for row in api.query(text)[entity]} == {row.id for row in rows}
            hidden = sum(not row.active for row in rows)
            assert api.query(f"SELECT COUNT(*) FROM {entity}")["totalCount"] == len(rows) - hidden  # noqa: S608 - not SQL
        invoices = {row["Id"]: row for row in api.query("SELECT * FROM Invoice MAXRESULTS 1000")["Invoice"]}
        assert set(invoices) == {invoice.id for invoice in world.books_invoices if not invoice.deleted}
        assert {invoice.currency for invoice in world.books_invoices} >= {"USD"}
        for invoice in world.books_invoices:
            if invoice.deleted:
                continue
            applied = sum((p.applied.get(invoice.id, Decimal(0)) for p in world.books_payments), Decimal(0))
            total = sum((line.amount for line in invoice.lines), Decimal(0))
            row = invoices[invoice.id]
            assert (row["TotalAmt"], row["Balance"], row["DocNumber"]) == (total, total - applied, invoice.number)
        for payment in world.books_payments:
            row = api.get("Payment", payment.id)
            assert row["UnappliedAmt"] == payment.total - sum(payment.applied.values(), Decimal(0))
        for kind in ("Income", "Bank", "Accounts Receivable", "Cost of Goods Sold"):
            assert api.account(kind)
        api.close()


def test_connection() -> None:
    """The connection of acme names realm, client, first refresh token and the addresses of the sandbox."""
    connection = airflow_connection("http://127.0.0.1:8102")
    assert connection["conn_type"] == "quickbooks_online"
    assert connection["extra"]["realm_id"] == REALM
    assert connection["extra"]["base_url"] == "http://127.0.0.1:8102"
    assert connection["extra"]["oauth_url"] == "http://127.0.0.1:8102/oauth2/v1/tokens/bearer"
