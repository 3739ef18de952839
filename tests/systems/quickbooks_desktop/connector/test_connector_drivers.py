"""The connector in front of a second real ODBC driver, SQLite's; and as a program of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog

from iw_operators.systems.quickbooks_desktop.connector.__main__ import main
from iw_operators.systems.quickbooks_desktop.connector.backend import BackendError, Kind
from iw_operators.systems.quickbooks_desktop.connector.health import state_of
from iw_operators.systems.quickbooks_desktop.connector.odbc import OdbcBackend, refusal
from iw_operators.systems.quickbooks_desktop.connector.source import Source
from tests.drivers import driver, need_odbc
from tests.systems.quickbooks_desktop.connector.fakes import PASSWORD, QUICK, Connect, Serve
from tests.systems.quickbooks_desktop.connector.fakes import Source as Fake

pytestmark = pytest.mark.feature("S3")


@pytest.fixture
def data_source(tmp_path: Path) -> str:
    """A SQLite file with a table of two thousand rows, as an ODBC data source."""
    need_odbc()
    path = tmp_path / "books.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as made, made:
        made.execute("CREATE TABLE Customer (ListID VARCHAR(36), Name VARCHAR(41), Rank INTEGER, Seen DATE)")
        rows = [(f"8000{n:04X}-1", f"Name {n} é", n, "2026-01-31") for n in range(2000)]
        made.executemany("INSERT INTO Customer VALUES (?, ?, ?, ?)", rows)
        made.execute("CREATE VIEW Ranked AS SELECT Name FROM Customer ORDER BY Rank")
    return f"Driver=SQLite3;Database={path};"


@pytest.fixture
def backend(data_source: str) -> Iterator[OdbcBackend]:
    """The data source, for use without a server."""
    made = OdbcBackend(data_source)
    yield made
    made.close()


def test_rows_come_as_from_the_driver_itself(data_source: str, serve: Serve, connect: Connect) -> None:
    """A large result through the connector equals what pyodbc reads from the data source directly."""
    connector = serve(OdbcBackend(data_source))
    direct = driver().connect(data_source, autocommit=True)
    query = "SELECT ListID, Name, Rank, Seen FROM Customer ORDER BY Rank"
    expected = [tuple(row) for row in direct.cursor().execute(query).fetchall()]
    direct.close()
    found = [tuple(row) for row in connect(connector).cursor().execute(query).fetchall()]
    assert len(found) == 2000
    assert found == expected


def test_writes_pass_with_their_parameters(data_source: str, serve: Serve, connect: Connect) -> None:
    """INSERT, UPDATE and DELETE with parameters do what they say, and count their rows."""
    cursor = connect(serve(OdbcBackend(data_source))).cursor()
    cursor.execute("INSERT INTO Customer (ListID, Name, Rank) VALUES (?, ?, ?)", "new", "O'Brien \\ é", Decimal(5000))
    assert cursor.rowcount == 1
    assert tuple(cursor.execute("SELECT Name, Rank FROM Customer WHERE Rank = ?", Decimal(5000)).fetchone()) == (
        "O'Brien \\ é",
        5000,
    )
    assert cursor.execute("UPDATE Customer SET Name = ? WHERE Rank < ?", "x", 10).rowcount == 10
    assert cursor.execute("DELETE FROM Customer WHERE Name = ?", "x").rowcount == 10
    assert cursor.execute("SELECT COUNT(*) FROM Customer").fetchval() == 1991


def test_the_catalogue_is_the_drivers(data_source: str, serve: Serve, connect: Connect) -> None:
    """cursor.tables() and cursor.columns() tell what the data source's driver tells."""
    cursor = connect(serve(OdbcBackend(data_source))).cursor()
    assert {(row.table_name, row.table_type) for row in cursor.tables().fetchall()} == {
        ("Customer", "TABLE"),
        ("Ranked", "VIEW"),
    }
    found = {row.column_name: (row.type_name, row.column_size) for row in cursor.columns(table="Customer").fetchall()}
    assert found["Name"] == ("varchar", 41)
    assert found["Rank"][0] == "int4"


def test_the_drivers_own_text_passes(backend: OdbcBackend) -> None:
    """A refusal has the driver's words without pyodbc's frame, and the connection goes on."""
    with pytest.raises(BackendError) as raised:
        backend.execute("SELECT Nothing FROM Customer")
    assert raised.value.text.startswith("[SQLite]")
    assert "Nothing" in raised.value.text
    assert "SQLExecDirect" not in raised.value.text
    assert not raised.value.lost
    rows = backend.execute("SELECT COUNT(*) AS n FROM Customer")
    assert (list(rows.fetch(5)[0]), rows.columns[0].kind) == ([2000], Kind.INTEGER)
    rows.close()
    backend.close()
    assert backend.execute("DELETE FROM Customer WHERE Rank = 1").rowcount == 1


def test_rows_of_a_closed_connection_are_lost(backend: OdbcBackend) -> None:
    """A result whose connection was closed under it is told as a lost connection, so that its reader begins again."""
    rows = backend.execute("SELECT Name FROM Customer")
    rows.fetch(1)
    backend.close()
    with pytest.raises(BackendError) as raised:
        rows.fetch(1)
    assert (raised.value.sqlstate, raised.value.lost) == ("08003", True)
    rows.close()


def test_texts_of_pyodbc_are_unwrapped() -> None:
    """Prefix and suffix of pyodbc come off; lines inside stay; a gone connection is known by code or SQLSTATE."""
    pyodbc = driver()
    text = "[HY000] [QODBC] Error: 3100 - taken.\nQuickBooks error message: no. (3100) (SQLExecDirectW)"
    found = refusal(pyodbc.Error("HY000", text))
    assert (found.text, found.lost) == ("[QODBC] Error: 3100 - taken.\nQuickBooks error message: no.", False)
    assert refusal(pyodbc.Error("08S01", "[08S01] gone (0) (SQLFetch)")).lost
    assert refusal(pyodbc.Error("HY000", "[HY000] [QODBC] Error: 80040416 - closed (0)")).lost
    assert not refusal(pyodbc.Error("HY000", "[HY000] [QODBC] Error: 80040414 - dialog (0)")).lost
    assert refusal(pyodbc.Error("HY000", "[HY000] [QODBC] Error: -2147220458 - closed (0)")).lost
    assert state_of("[QODBC] Error: -2147220460", connecting=False) == "modal_dialog"


def test_a_missing_driver_is_told() -> None:
    """A data source that is not there gives the driver manager's words, which mean that a driver is missing."""
    need_odbc()
    with pytest.raises(BackendError) as raised:
        OdbcBackend("DSN=No such data source").open()
    assert state_of(raised.value.text) == "driver_missing"


def write_config(tmp_path: Path, data_source: str, port: int, **more: str) -> Path:
    """Write a configuration for the program."""
    given = {"data_source": data_source, "password": PASSWORD, "port": str(port), "plain_text": "yes", **more}
    path = tmp_path / "connector.ini"
    path.write_text("[connector]\n" + "".join(f"{name} = {value}\n" for name, value in given.items()))
    return path


@pytest.fixture
def logs_as_before() -> Iterator[None]:
    """The program sets up logging for its process; put it back."""
    root = logging.getLogger()
    handlers, level, known = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**known)


@pytest.mark.usefixtures("logs_as_before")
def test_the_program_checks_a_data_source(tmp_path: Path, data_source: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` says whether the company file opens, and what to do if it does not."""
    probe = {"probe": "SELECT COUNT(*) FROM Customer"}
    assert main(["--config", str(write_config(tmp_path, data_source, 1, **probe)), "--check"]) == 0
    assert "the company file is open" in capsys.readouterr().out
    assert main(["--config", str(write_config(tmp_path, "DSN=Nothing", 1)), "--check"]) == 1
    assert "driver_missing" in capsys.readouterr().out
    assert main(["--config", str(tmp_path / "nothing.ini")]) == 2


def test_the_program_serves_until_it_is_stopped(tmp_path: Path, data_source: str, connect: Connect) -> None:
    """As a process of its own it serves, logs to its file without values, and ends cleanly at a signal."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    log = tmp_path / "connector.log"
    config = write_config(tmp_path, data_source, port, log_file=str(log), probe="SELECT COUNT(*) FROM Customer")
    module = "iw_operators.systems.quickbooks_desktop.connector"
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--config", str(config)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert f"listening on 127.0.0.1:{port}" in process.stdout.readline()

        class At:
            """Where it listens."""

        At.port = port  # type: ignore[attr-defined]  # all that `connect` asks for
        at: Any = At
        cursor = connect(at).cursor()
        assert cursor.execute("SELECT COUNT(*) FROM Customer WHERE Name <> 'Secret'").fetchval() == 2000
        assert cursor.execute("sp_health").fetchone().state == "open"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0
    written = log.read_text()
    assert 'statement="SELECT Customer"' in written
    assert "connector.stopped" in written
    assert "Secret" not in written


def test_it_imports_without_airflow_or_a_driver() -> None:
    """The package needs nothing but Python and structlog until a data source is opened."""
    code = (
        "import sys; sys.modules['pyodbc'] = None; sys.modules['airflow'] = None; sys.modules['fcntl'] = None\n"
        "import iw_operators.systems.quickbooks_desktop.connector.__main__ as m\n"
        "assert 'yaml' not in sys.modules and callable(m.main)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr == ""


def test_closing_says_whether_a_statement_hangs() -> None:
    """Stop does not wait for a driver that never returns, and knows that it has not."""
    go = threading.Event()

    async def play() -> tuple[bool, bool]:
        limits = type(QUICK)(statement_seconds=0.05, cancel_seconds=0.05, stop_seconds=0.05)
        sound, hanging = Source(Fake(), limits, ""), Source(Fake(), limits, "")
        with pytest.raises(BackendError, match="unknown"):
            await hanging.call(lambda: go.wait(10))
        found = await sound.close(), await hanging.close()
        go.set()
        return found

    assert asyncio.run(play()) == (True, False)


def test_the_turn_is_not_lost_when_a_wait_is_cut_off() -> None:
    """A writer that gives up waiting just as its turn comes leaves the turn to the next one."""

    async def play() -> None:
        source = Source(Fake(), QUICK, "")
        for _ in range(50):
            await source.take_turn("a")
            waiting = asyncio.ensure_future(source.take_turn("b"))
            await asyncio.sleep(0)
            source.give_turn("a")
            waiting.cancel()
            await asyncio.wait([waiting])
            source.give_turn("b")
        await asyncio.wait_for(source.take_turn("c"), 1)
        await source.close()

    asyncio.run(play())
