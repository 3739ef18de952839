"""The embedded server of the demo and the tests."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import psycopg2
import pytest

from iw_operators.ledger.store import Ledger
from local.postgres import Postgres, PostgresError

pytestmark = pytest.mark.ledger

OWNER = """
import sys, threading, time
from pathlib import Path
from local.postgres import Postgres
server = Postgres(Path(sys.argv[1]), durable=False)
if sys.argv[2] == "thread":  # a server started outside the main thread outlives a killed owner
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
else:
    server.start()
print(server._process.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder with a name longer than a socket's may be."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name) / ("deep" * 20) / ("er" * 30)


def _owner(folder: Path, where: str) -> tuple[subprocess.Popen[str], psutil.Process]:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder), where],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": "include"},
    )
    assert owner.stdout is not None
    while not (said := owner.stdout.readline()).strip().isdigit():
        assert said, "the owner has ended"
    return owner, psutil.Process(int(said))


def _gone(process: psutil.Process) -> bool:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_it_serves_both_drivers_and_keeps_its_data(folder: Path) -> None:
    """Several databases over TCP for psycopg2 and asyncpg; what was written is there after a restart."""
    with Postgres(folder) as server:
        ledger = Ledger.connect(server.url("one"))
        ledger.upgrade()
        ledger.close()

        async def ask() -> object:
            connection = await asyncpg.connect(server.url("two", driver=""))
            try:
                return await connection.fetchval("SHOW max_connections")
            finally:
                await connection.close()

        assert asyncio.run(ask()) == "200"
        pid = psutil.Process(int((folder / "data" / "postmaster.pid").read_text().split()[0]))
        family = [pid, *pid.children(recursive=True)]
        with pytest.raises(psycopg2.OperationalError, match="password"):
            psycopg2.connect(host="127.0.0.1", port=server.port, user="postgres", password="guess", dbname="one")
    assert all(_gone(process) for process in family)
    assert stat.S_IMODE((folder / "password").stat().st_mode) == 0o600
    with Postgres(folder, port=server.port) as again:
        assert again.port == server.port
        ledger = Ledger.connect(again.url("one"))
        assert ledger.check()
        ledger.close()
        again.drop("one")
        again.drop("one")


def test_it_ends_with_a_killed_owner(folder: Path) -> None:
    """SIGKILL of the owner leaves no server behind, and the next owner starts from the same data."""
    owner, server = _owner(folder, "main")
    owner.kill()
    owner.communicate()
    assert _gone(server)
    with Postgres(folder) as again:
        assert again.url("x")


def test_a_server_that_was_left_behind_is_stopped(folder: Path) -> None:
    """Where the server outlives its owner, the next owner stops it before it starts its own."""
    owner, server = _owner(folder, "thread")
    server_is_alive = server.is_running()
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    assert server_is_alive
    with Postgres(folder) as again:
        assert _gone(server)
        assert again.url("x")


def test_a_folder_has_one_owner(folder: Path) -> None:
    """A second owner is told who the first one is, and does it no harm."""
    with Postgres(folder, durable=False) as first:
        with pytest.raises(PostgresError, match=f"in use by process {os.getpid()}"):
            Postgres(folder).start()
        assert first.url("still_there")


def test_a_port_that_is_taken_is_said(folder: Path) -> None:
    """With a given port that another program has, the server's own message says so."""
    with (
        Postgres(folder / "a", durable=False) as first,
        pytest.raises(PostgresError, match="could not bind"),
    ):
        Postgres(folder / "b", durable=False, port=first.port).start()
