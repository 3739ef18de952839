"""Statements that do not end, and files that take their time to open: what waits behind them, and what is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from iw_operators.systems.quickbooks_desktop.connector.backend import BackendError, Kind
from tests.drivers import refused
from tests.systems.quickbooks_desktop.connector.fakes import QUICK, Answer, Connect, Serve, Source
from tests.systems.quickbooks_desktop.connector.test_connector_serving import until

pytestmark = pytest.mark.feature("S3")


class Cached(Source):
    """QODBC's cache: lines lie in the connection until one comes with FQSaveToCache=0.

    SLOW waits for `go`; REFUSED is refused, and lies in the cache all the same. `saved` are the groups that were
    saved, each with its lines' values.
    """

    def __init__(self, *, interleaves: bool = True) -> None:
        super().__init__()
        self.interleaves = interleaves
        self.go = threading.Event()
        self.slow = threading.Event()
        self.saved: list[list[str]] = []
        self._cache: list[str] = []

    def execute(self, statement: str) -> Answer:
        """Cache a line, or save the group."""
        self.said.append(statement)
        if "SLOW" in statement:
            self.slow.set()
            self.go.wait(10)
        if statement.startswith("INSERT"):
            self._cache.append(statement.split("'")[1])
            if "REFUSED" in statement:
                raise BackendError("[QODBC] Operation cancelled", "HY008")
            if statement.endswith("0)"):
                self.saved.append(self._cache)
                self._cache = []
        return Answer(rowcount=1)

    def close(self) -> None:
        """Forget what is in the cache."""
        super().close()
        self._cache = []


def line(what: str, *, more: bool) -> str:
    """Return the INSERT of a line."""
    return f"INSERT INTO InvoiceLine (Memo, FQSaveToCache) VALUES ('{what}', {int(more)})"


def told(cursor: Any, statement: str) -> str:
    """Return what a client is told."""
    try:
        cursor.execute(statement)
    except Exception as error:  # noqa: BLE001  the driver is imported where it is needed
        return str(error)
    return "done"


def later(work: Callable[[], object]) -> threading.Thread:
    """Begin it beside the test."""
    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.parametrize("interleaves", [True, False])
def test_a_line_that_does_not_end_gets_into_nobodys_invoice(serve: Serve, connect: Connect, interleaves: bool) -> None:
    """A writer that waits behind an overdue line begins on a new connection, whose cache holds nothing of it."""
    source = Cached(interleaves=interleaves)
    connector = serve(source, limits=type(QUICK)(statement_seconds=0.6, cancel_seconds=0.1, turn_seconds=5))
    one, other = connect(connector).cursor(), connect(connector).cursor()
    answers: dict[str, str] = {}
    first = later(lambda: answers.update(one=told(one, line("one SLOW", more=True))))
    assert source.slow.wait(5)
    second = later(lambda: answers.update(other=told(other, line("other", more=False))))
    until(lambda: "one" in answers)
    source.go.set()
    first.join(5)
    second.join(5)
    assert "outcome is unknown" in answers["one"]
    assert (answers["other"], source.saved) == ("done", [["other"]])


def test_lines_behind_an_overdue_statement_are_told_to_be_lost(serve: Serve, connect: Connect) -> None:
    """Whoever has a line in the cache of a connection that is given up is told so; its last line saves no half."""
    source = Cached()
    connector = serve(source, limits=type(QUICK)(statement_seconds=0.4, cancel_seconds=0.1, turn_seconds=5))
    one, other, reader = (connect(connector).cursor() for _ in range(3))
    assert told(one, line("one", more=True)) == "done"
    answers: dict[str, str] = {}
    reading = later(lambda: answers.update(reader=told(reader, "SELECT SLOW FROM Invoice")))
    assert source.slow.wait(5)
    until(lambda: "reader" in answers)
    assert "outcome is unknown" in answers["reader"]
    source.go.set()
    reading.join(5)
    assert "the group's lines are gone" in told(one, line("one, the last", more=False))
    assert told(other, line("other", more=False)) == "done"
    assert source.saved == [["other"]]


def test_a_line_that_was_waiting_already_finds_its_group_gone(serve: Serve, connect: Connect) -> None:
    """A group's line that waits in the thread while the connection is given up does not run on the next one."""
    source = Cached()
    limits = type(QUICK)(statement_seconds=0.8, cancel_seconds=0.6, turn_seconds=5)
    connector = serve(source, limits=limits)
    one, reader = connect(connector).cursor(), connect(connector).cursor()
    assert told(one, line("one", more=True)) == "done"
    answers: dict[str, str] = {}
    reading = later(lambda: answers.update(reader=told(reader, "SELECT SLOW FROM Invoice")))
    assert source.slow.wait(5)
    threading.Event().wait(0.4)
    writing = later(lambda: answers.update(one=told(one, line("one, the last", more=False))))
    assert source.cancelled.wait(5)
    source.go.set()
    reading.join(5)
    writing.join(5)
    assert "the group's lines are gone" in answers["one"]
    assert source.saved == []
    assert told(reader, line("other", more=False)) == "done"
    assert source.saved == [["other"]]


def test_a_first_line_that_is_refused_gets_into_nobodys_invoice(serve: Serve, connect: Connect) -> None:
    """What an error (a client's own cancel among them) has left in the cache is given up, though no group had begun."""
    source = Cached()
    connector = serve(source)
    one, other = connect(connector).cursor(), connect(connector).cursor()
    assert "cancelled" in told(one, line("REFUSED", more=True))
    assert told(other, line("other", more=False)) == "done"
    assert source.saved == [["other"]]


def test_a_group_that_is_left_behind_a_long_statement_is_forgotten(serve: Serve, connect: Connect) -> None:
    """A client that leaves its group while a statement is running leaves nothing to who writes next."""
    source = Cached()
    connector = serve(source, limits=type(QUICK)(statement_seconds=0.4, cancel_seconds=0.1, turn_seconds=5))
    one, other, reader = (connect(connector) for _ in range(3))
    assert told(one.cursor(), line("one", more=True)) == "done"
    reading = later(lambda: told(reader.cursor(), "SELECT SLOW FROM Invoice"))
    assert source.slow.wait(5)
    one.close()
    reading.join(5)
    until(lambda: connector.sessions == 2)
    writing = later(lambda: told(other.cursor(), line("other", more=False)))
    source.go.set()
    writing.join(5)
    assert source.saved == [["other"]]


def test_a_busy_host_is_not_one_that_is_away(serve: Serve, connect: Connect) -> None:
    """Who comes while a long statement runs is signed in, and told at once that the company file is busy."""
    source = Cached()
    connector = serve(source, limits=type(QUICK)(statement_seconds=20, health_seconds=0.2))
    assert told(connect(connector).cursor(), "SELECT a FROM Company") == "done"
    reader = connect(connector).cursor()
    reading = later(lambda: told(reader, "SELECT SLOW FROM Invoice"))
    assert source.slow.wait(5)
    begun = time.monotonic()
    assert connect(connector).cursor().execute("sp_health").fetchone().state == "busy"
    assert time.monotonic() - begun < 2
    source.go.set()
    reading.join(5)


class Starting(Source):
    """QuickBooks, which has to be started: open once `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def open(self) -> None:
        """Start it."""
        if not self._open:
            self.go.wait(10)
        super().open()


def test_who_waits_for_quickbooks_to_start_is_told_so(serve: Serve, connect: Connect) -> None:
    """Signing in opens nothing; `sp_health` says `opening`, and the first statement runs when the file is open."""
    source = Starting()
    connector = serve(source, limits=type(QUICK)(login_seconds=0.2, statement_seconds=20, health_seconds=0.1))
    one, other = connect(connector).cursor(), connect(connector).cursor()
    assert (source.opened, other.execute("sp_health").fetchone().state) == (0, "opening")
    answers: list[str] = []
    waiting = later(lambda: answers.append(told(one, "UPDATE t SET a = 1 WHERE b = 1")))
    assert other.execute("sp_health").fetchone().state == "opening"
    assert answers == []
    source.go.set()
    waiting.join(5)
    assert (answers, source.opened, source.closed) == (["done"], 1, 0)
    assert other.execute("sp_health").fetchone().state == "open"


def test_a_file_that_does_not_open_in_time_has_seen_nothing(serve: Serve, connect: Connect) -> None:
    """A write that waits for the file longer than it may is surely not begun, and does not begin later."""
    source = Starting()
    connector = serve(source, limits=type(QUICK)(open_seconds=0.2))
    cursor = connect(connector).cursor()
    state, text = refused(lambda: cursor.execute("UPDATE t SET a = 1 WHERE b = 1"))
    assert (state, "Not begun: the company file has not been opened within 0.2 s" in text) == ("HYT00", True)
    source.go.set()
    assert cursor.execute("UPDATE t SET a = 2 WHERE b = 1").rowcount == 1
    assert source.said == ["UPDATE t SET a = 2 WHERE b = 1"]


def test_a_table_is_asked_for_by_its_name_as_written(serve: Serve, connect: Connect) -> None:
    """The data source is asked for a table's columns under the name that the statement has, and once."""
    asked: list[str] = []

    class Named(Source):
        def columns(self, table: str) -> Any:
            asked.append(table)
            return super().columns(table)

    source = Named()
    source.kinds = {"amount": Kind.NUMERIC}
    cursor = connect(serve(source)).cursor()
    for table in ("InvoiceLine", "INVOICELINE"):
        cursor.execute(f"UPDATE {table} SET Amount = '5' WHERE TxnID = 'x'")
    assert asked == ["InvoiceLine"]
    assert source.said[0] == "UPDATE InvoiceLine SET Amount = 5 WHERE TxnID = 'x'"
