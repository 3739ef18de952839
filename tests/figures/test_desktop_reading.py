"""How fast a company file is read: by our system, and by a plain loop over the same statement and driver."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from iw_operators.systems.base import View, Window
from iw_operators.systems.quickbooks_desktop.client import FETCH, Client
from iw_operators.systems.quickbooks_desktop.dialect import Statement
from iw_operators.systems.quickbooks_desktop.odbc import Source, connect
from iw_operators.systems.quickbooks_desktop.shape import Place
from iw_operators.systems.quickbooks_desktop.system import QuickBooksDesktop
from sandbox.quickbooks_desktop import make, odbc_string, serve
from sandbox.seed.world import BooksCustomer, BooksInvoice, BooksInvoiceLine, BooksItem, World
from tests.conformance.kit import catalogue
from tests.drivers import driver, need_odbc
from tests.figures.noting import Figures

pytestmark = [pytest.mark.figures, pytest.mark.long, pytest.mark.sandbox, pytest.mark.feature("S3")]

CUSTOMERS, INVOICES, LINES = 4_000, 1_000, 4
DAY = dt.date(2026, 1, 5)
SLOWEST = 125  # per cent of the plain loop's time: 80% of its rate
PAUSE = 0.1  # seconds for 500 rows
ROUNDS = 4


class Watched(Client):
    """A client that keeps the statements that it runs."""

    asked: list[Statement]

    def rows(self, statement: Statement) -> Iterator[object]:  # type: ignore[override]  # the same, kept on the way
        """Run a query."""
        self.asked.append(statement)
        return super().rows(statement)


def world() -> World:
    """Return customers, an item, and invoices of several lines."""
    line = BooksInvoiceLine("1", Decimal(2), Decimal("9.95"), Decimal("19.90"), "as agreed")
    return World(
        books_customers=tuple(
            BooksCustomer(str(n), f"Customer {n:05d}", "Customer Inc.", "Ada", "King", "(202) 555-0100")
            for n in range(1, CUSTOMERS + 1)
        ),
        books_items=(BooksItem("1", "Widget", price=Decimal("9.95")),),
        books_invoices=tuple(
            BooksInvoice(str(n), str(n), str(n), DAY, DAY, "USD", Decimal(1), (line,) * LINES)
            for n in range(1, INVOICES + 1)
        ),
    )


def seconds(work: Callable[[], int], rows: int) -> float:
    """Return how long one call takes."""
    before = time.perf_counter()
    assert work() == rows
    return time.perf_counter() - before


def plain(connection: Any, statement: Statement) -> int:
    """Read all rows of a statement; return how many."""
    cursor = connection.cursor().execute(statement.sql, statement.params)
    count = 0
    while rows := cursor.fetchmany(FETCH):
        count += len(rows)
    return count


def ours(system: QuickBooksDesktop, view: View) -> int:
    """Read all records; return how many rows they were made of."""
    pages = system.changes(view, Window(None, None), FETCH)
    if not view.lines:
        return sum(map(len, pages))
    held = (record.values["lines"] for page in pages for record in page)
    return sum(len(lines) for lines in held if isinstance(lines, tuple))


@pytest.mark.parametrize(("name", "rows"), [("Customer", CUSTOMERS), ("Invoice", INVOICES * LINES)])
def test_the_rate_of_reading(name: str, rows: int, figures: Figures) -> None:
    """Records, with their lines, come at 80% or more of the rate at which a plain loop gets their bare rows.

    Of a file that gives 500 rows in a tenth of a second, several times as fast as QODBC does at its best. How much of
    the work is ours is noted for one that gives them at once.
    """
    need_odbc()
    definition = catalogue("quickbooks_desktop").objects[name]
    lines = dict(definition.lines.fields) if definition.lines else {}
    fields = {k: f for k, f in definition.fields.items() if f.native not in ("TotalBalance", "CustomerMsgRefFullName")}
    view = View(name, definition, fields, lines)
    with serve(make(world(), time_zone="America/New_York")) as running:
        text = odbc_string(running.port)
        client = Watched(partial(connect, Source(text)))
        client.asked = []
        system = QuickBooksDesktop(client, Place(ZoneInfo("America/New_York")))
        connection = driver().connect(text, autocommit=True)
        try:
            assert ours(system, view) == rows
            (statement,) = [each for each in client.asked if "TimeModified" in each.sql]
            found = {}
            for pause in (0.0, PAUSE):
                file = running.sandbox.file
                file.options = dataclasses.replace(file.options, slow_seconds=pause)
                mine, bare = (
                    min(seconds(work, rows) for _ in range(ROUNDS))
                    for work in (partial(ours, system, view), partial(plain, connection, statement))
                )
                found[pause] = mine, bare
        finally:
            connection.close()
            client.drop()
    mine, bare = found[0.0]
    figures.note(f"desktop.{name}.rows", round(rows / mine), "rows/s", f"{name} read from a file that never waits")
    what = f"time to read {name} from a file that never waits, of what a plain pyodbc loop takes"
    figures.note(f"desktop.{name}.work", round(100 * mine / bare), "%", what)
    mine, bare = found[PAUSE]
    what = f"time to read {name} from a file of 5,000 rows a second, of what a plain pyodbc loop takes"
    figures.note(f"desktop.{name}.time", round(100 * mine / bare), "%", what, at_most=SLOWEST)
