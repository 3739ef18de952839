"""The sandbox: a simulated company file, behind the connector that serves a real one."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iw_operators.systems.quickbooks_desktop.connector.config import Config, Limits
from iw_operators.systems.quickbooks_desktop.connector.server import Connector, running
from sandbox.common.app import Dropped
from sandbox.common.faults import Faults
from sandbox.quickbooks_desktop import seeding, transactions
from sandbox.quickbooks_desktop.backend import SimulatedBackend
from sandbox.quickbooks_desktop.company import CompanyFile
from sandbox.quickbooks_desktop.control import serve_http
from sandbox.quickbooks_desktop.options import Options
from sandbox.seed.world import World

LIMITS = Limits(stop_seconds=2.0, refusal_seconds=0.05)


class QuickBooksDesktop:
    """A company file and its switches. `file` is for tests in the same process, under `file.lock`.

    :param world: what the file holds at the start, and after a reset that names no other seed.
    :param path: the SQLite file; one that is filled already is kept as it is. None: in memory.
    """

    def __init__(self, world: World, options: Options, path: Path | None = None) -> None:
        self._world = world
        self._path = path
        self._first_options = options
        self.options = options
        self.file = CompanyFile(options, path)
        self.connector: Connector | None = None
        self.backend = SimulatedBackend(lambda: self.file, self.drop)
        if not self.file.store.filled:
            seeding.fill(self.file, world)

    @property
    def faults(self) -> Faults:
        """The armed faults; they outlive a reset of the data."""
        return self.file.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.file.faults = faults

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Close the connection: beside the control endpoint there is nothing to be had over HTTP."""
        del scope, receive, send
        raise Dropped

    def drop(self) -> None:
        """Cut all clients off, as a network that fails does."""
        connector = self.connector
        if connector is not None:
            connector.loop.call_soon_threadsafe(connector.drop_all)

    def reset(self, given: dict[str, Any]) -> dict[str, Any]:
        """Go back to a seed. `given`: `seed` (globex, acme or empty) and options; an unknown one raises ValueError."""
        values = dict(given)
        seed = values.pop("seed", None)
        options = self._first_options.changed(values)
        world = self._world if seed is None else world_of(str(seed))
        with self.file.lock:
            self.file.close()
            for suffix in ("", "-wal", "-shm"):
                if self._path:
                    Path(f"{self._path}{suffix}").unlink(missing_ok=True)
            faults = self.faults
            faults.clear()
            self.options = options
            self.file = CompanyFile(options, self._path)
            self.file.faults = faults
            seeding.fill(self.file, world)
            self.backend.statements.clear()
        self.backend.switch(single_user=False)
        self.drop()
        return {"seed": seed or "as at the start", "rows": self.file.store.counts()}

    def stats(self) -> dict[str, Any]:
        """Return what is counted (statements by verb and table, rows by table, writes, connections), and who is there:
        clients signed in to the connector, and whether it holds the company file open.
        """
        with self.file.lock:
            return {
                "requests": sum(self.backend.statements.values()),
                "by_request": dict(self.backend.statements),
                "faults": [fault.kind for fault in self.faults.armed() if fault.times],
                "rows": self.file.store.counts(),
                "written": dict(self.file.counts),
                "connections": self.backend.connections,
                "sessions": self.connector.sessions if self.connector else 0,
                "open": self.backend.is_open,
            }

    def void(self, table: str, txn_id: str) -> dict[str, Any]:
        """Void a transaction, which QODBC's SQL cannot. Raises LookupError."""
        with self.file.lock:
            described = self.file.schema.get(table.lower())
            found = described and described.kind == "txn" and self.file.store.one(table, "TxnID = ?", [txn_id])
            if not described or not found:
                msg = f"no {table} {txn_id}"
                raise LookupError(msg)
            transactions.void(self.file, described, found)
        return {"voided": txn_id}

    def control(self, method: str, path: str, body: Any) -> Any:
        """Answer the control endpoint, as the other sandboxes do. Raises LookupError, ValueError, TypeError."""
        match method, path.partition("?")[0]:
            case "GET", "/_sandbox/stats":
                return self.stats()
            case "POST", "/_sandbox/reset":
                self.faults.clear()
                if body.get("keep_data"):
                    self.backend.statements.clear()
                    return {}
                return self.reset(body)
            case "POST", "/_sandbox/faults":
                if isinstance(body, dict) and body.get("clear"):
                    self.faults.clear()
                for spec in body if isinstance(body, list) else [] if body.get("clear") else [body]:
                    self.faults.arm(spec)
                return {"armed": [fault.kind for fault in self.faults.armed()]}
            case "POST", "/_sandbox/void":
                return self.void(str(body.get("table", "")), str(body.get("id", "")))
            case "POST", "/_sandbox/single_user":
                self.backend.switch(single_user=body.get("on", True) is True)
                return {}
        msg = "known: GET stats, POST reset, POST faults, POST void, POST single_user"
        raise LookupError(msg)

    async def other(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take over a connection that does not speak the ODBC protocol."""
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            await serve_http(first, reader, writer, self.control)


@dataclass(frozen=True, slots=True)
class Running:
    """A sandbox that is being served. `url` is that of the control endpoint, on the same port as ODBC."""

    host: str
    port: int
    sandbox: QuickBooksDesktop
    connector: Connector

    @property
    def url(self) -> str:
        """Return where the control endpoint listens."""
        return f"http://{self.host}:{self.port}"


def config_of(options: Options, host: str, port: int, **more: Any) -> Config:
    """Return the connector's configuration for a sandbox on the loopback interface."""
    return Config(
        data_source="simulated",
        secret=options.password,
        user=options.user,
        database=options.database,
        host=host,
        port=port,
        read_only=options.read_only,
        **{"plain_text": True, "log_statements": False, **more},
    )


@contextlib.contextmanager
def serve(
    sandbox: QuickBooksDesktop, port: int = 0, host: str = "127.0.0.1", *, limits: Limits | None = None, **more: Any
) -> Iterator[Running]:
    """Serve `sandbox` while the with-block lasts, in a thread of its own; port 0 takes a free one.

    :param limits: the connector's limits. :param more: further settings of the connector (`certificate`, `key` ...).

    Raises OSError when the port is taken.
    """
    config = config_of(sandbox.options, host, port, limits=limits or LIMITS, **more)
    with running(Connector(config, sandbox.backend, sandbox.other)) as connector:
        sandbox.connector = connector
        try:
            yield Running(host, connector.port, sandbox, connector)
        finally:
            sandbox.connector = None


def world_of(name: str) -> World:
    """Return the world of a seed by its name. Raises ValueError."""
    if name == "empty":
        return World()
    if name not in ("acme", "globex"):
        msg = f"unknown seed {name!r}; known: acme, empty, globex"
        raise ValueError(msg)
    world = importlib.import_module(f"sandbox.seed.{name}").build()
    assert isinstance(world, World)  # noqa: S101  a seed module's `build` returns a World
    return world


def make(world: World, *, path: str | Path | None = None, **options: Any) -> QuickBooksDesktop:
    """Return a sandbox that holds `world`. `options` are those of `Options`; an unknown one raises ValueError."""
    chosen = dataclasses.replace(Options().changed(options))
    return QuickBooksDesktop(world, chosen, Path(path) if path else None)
