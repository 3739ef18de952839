"""What the conformance suite has to know about QuickBooks Desktop."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import sandbox.quickbooks_desktop
from iw_operators.engine.model import Line, Value, Values
from iw_operators.systems.base import System
from iw_operators.systems.quickbooks_desktop.client import Client
from iw_operators.systems.quickbooks_desktop.odbc import Source, connect
from iw_operators.systems.quickbooks_desktop.shape import Place
from iw_operators.systems.quickbooks_desktop.system import QuickBooksDesktop
from sandbox.common.faults import Faults
from sandbox.seed.world import World
from tests.conformance.kit import Access, Role, User, catalogue
from tests.conformance.quickbooks_family import QuickBooks
from tests.drivers import driver, need_odbc

ZONE: Final = "America/New_York"
WRITES: Final = "WRITES"  # stands for every statement that writes
FAULTS: Final[Mapping[str, str]] = {
    "drop_before": "drop_before",
    "drop_after": "drop_after_commit",
    "half": "drop_before",
    "no_right": "no_permission",
    "slow": "slow",
}
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "description": ("SalesOrPurchaseDesc", "SalesAndPurchaseSalesDesc"),
    "price": ("SalesOrPurchasePrice", "SalesAndPurchaseSalesPrice"),
    "cost": ("SalesAndPurchasePurchaseCost",),
    "income_account": ("SalesOrPurchaseAccountRefFullName",),
}


def ticket(url: str, **changes: str) -> str:
    """Return what pyodbc connects with to a sandbox at a URL."""
    site = urlsplit(url)
    return sandbox.quickbooks_desktop.odbc_string(site.port or 0, site.hostname or "", **changes)


class Person:
    """Somebody at the QuickBooks host: sends QODBC's SQL with plain pyodbc."""

    def __init__(self, url: str, closing: ExitStack) -> None:
        self._url = url
        self._closing = closing
        self._open: Any = None

    def cursor(self) -> Any:
        """Return a cursor of a connection that is there."""
        if self._open is None:
            self._open = driver().connect(ticket(self._url), autocommit=True)
            self._closing.callback(self.close)
        return self._open.cursor()

    def close(self) -> None:
        """Close the connection."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def run(self, sql: str, *params: Any) -> Any:
        """Run a statement, on a new connection if the old one was cut off; return its cursor."""
        try:
            return self.cursor().execute(sql, params)
        except driver().Error as error:
            if not str(error.args[0]).startswith("08"):
                raise
            self._open = None
            return self.cursor().execute(sql, params)

    def add(self, role: Role, values: Values) -> str:
        values = {**role.values, **values}
        lines = values.get("lines")
        table = _table(role)
        row = _row(role, values)
        if isinstance(lines, tuple):
            for number, line in enumerate(lines, 1):
                each = {**row, **_line(table, line), "FQSaveToCache": int(number < len(lines))}
                self._insert(f"{table}Line", each)
            table = f"{table}Line"
        else:
            self._insert(table, row)
        return str(self.run(f"sp_lastinsertid {table}").fetchval())

    def _insert(self, table: str, row: Mapping[str, Any]) -> None:
        self.run(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", *row.values())  # noqa: S608  names are the catalogue's

    def change(self, role: Role, ident: str, values: Values) -> None:
        row = _row(role, values)
        if "SalesOrPurchaseDesc" in row and self._column(role, ident, "SalesOrPurchaseAccountRefFullName") is None:
            row["SalesAndPurchaseSalesDesc"] = row.pop("SalesOrPurchaseDesc")
        sets = ", ".join(f"{column} = ?" for column in row)
        self.run(f"UPDATE {_table(role)} SET {sets} WHERE {_key(role)} = ?", *row.values(), ident)  # noqa: S608  names are the catalogue's

    def _column(self, role: Role, ident: str, column: str) -> Any:
        sql = f"SELECT {column} FROM {_table(role)} WHERE {_key(role)} = ?"  # noqa: S608  names are the catalogue's
        return self.run(sql, ident).fetchval()

    def read(self, role: Role, ident: str, name: str) -> Any:
        found = [self._column(role, ident, column) for column in _columns(role, name)]
        if len(found) > 2:  # an address
            return "\n".join(text or "" for text in found).rstrip("\n") or None
        return next((value for value in found if value not in (None, "")), None)

    def delete(self, role: Role, ident: str) -> None:
        self.run(f"DELETE FROM {_table(role)} WHERE {_key(role)} = ?", ident)  # noqa: S608  names are the catalogue's

    def deactivate(self, role: Role, ident: str) -> None:
        self.run(f"UPDATE {_table(role)} SET IsActive = 0 WHERE {_key(role)} = ?", ident)  # noqa: S608  names are the catalogue's


def _table(role: Role) -> str:
    return "ItemService" if role.object == "Item" else role.object


def _key(role: Role) -> str:
    return catalogue("quickbooks_desktop").objects[role.object].key


def _columns(role: Role, name: str) -> tuple[str, ...]:
    if role.object == "Item" and name in COLUMNS:
        return COLUMNS[name]
    native = catalogue("quickbooks_desktop").objects[role.object].fields[name].native
    if native.endswith("*"):
        return tuple(f"{native[:-1]}{n}" for n in range(1, 6))
    return (native,)


def _row(role: Role, values: Values) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in values.items():
        if name in ("lines", "kind"):
            continue
        columns = _columns(role, name)
        if len(columns) == 5:
            lines = str(value).split("\n") if value else []
            row |= {column: lines[n] if n < len(lines) else None for n, column in enumerate(columns)}
        else:
            row[columns[0]] = value
    return row


def _line(table: str, line: Line) -> dict[str, Any]:
    natives = {"item": "ItemRefListID", "quantity": "Quantity", "price": "Rate", "amount": "Amount"}
    return {f"{table}Line{native}": line[name] for name, native in natives.items()}


class Desktop(QuickBooks):
    """The vendor; see `kit.Vendor`."""

    system = "quickbooks_desktop"
    codes: Final[Mapping[str, str]] = {"reachable": "odbc.unreachable", "time": "odbc.timeout"}
    quiet = 2  # what changed and what was deleted
    one_call = False
    data = ""
    batch = WRITES
    sign_in = "OPEN"
    expiries: tuple[str, ...] = ()
    throttles: tuple[str, ...] = ()
    half = "half"
    kinds_of_wrong: Final[Mapping[str, str]] = {"password": "odbc.sign_in", "company": "odbc.company"}
    never_at_random: frozenset[str] = frozenset()

    cleared: Final[Mapping[str, Value]] = {}

    def serve(self, served: Any) -> AbstractContextManager[Any]:
        """Serve a sandbox; skip the test where nobody could speak to it."""
        need_odbc()
        return sandbox.quickbooks_desktop.serve(served)

    def knows(self, kind: str) -> bool:
        return kind in FAULTS

    def arm(self, faults: Faults, spec: Mapping[str, Any]) -> None:
        """A batch is a row of statements: `half` lets the first write pass."""
        kind, match = FAULTS[spec["kind"]], spec.get("match", "")
        more = {"after": 1} if spec["kind"] == "half" else {}
        for verb in ("INSERT", "UPDATE", "DELETE") if match == WRITES else (match,):
            faults.arm({**spec, **more, "kind": kind, "match": verb})

    def calls(self, running: Any) -> int:
        return int(running.sandbox.stats()["requests"])

    def serve_with(self, world: World, ahead: dt.timedelta) -> Any:
        return sandbox.quickbooks_desktop.make(world, clock_shift=ahead.total_seconds(), time_zone=ZONE)

    def open(self, url: str, access: Access) -> System:
        changes = {"password": {"PWD": "no"}, "company": {"Database": "another"}}.get(access.wrong, {})
        seconds = max(1, math.ceil(access.timeouts.connect))
        text = ticket(url, **changes, pqopt=f"{{connect_timeout={seconds}}}")
        client = Client(partial(connect, Source(text, seconds, access.timeouts.read)))
        if access.page:
            client.fetch = access.page
        access.closing.callback(client.drop)
        return QuickBooksDesktop(client, Place(ZoneInfo(ZONE)))

    def user(self, url: str, closing: ExitStack) -> User:
        return Person(url, closing)

    def touch_line(self, user: User, sale: str) -> None:
        assert isinstance(user, Person)
        line = user.run("SELECT InvoiceLineTxnLineID FROM InvoiceLine WHERE TxnID = ?", sale).fetchval()
        sql = "UPDATE InvoiceLine SET InvoiceLineDesc = ? WHERE TxnID = ? AND InvoiceLineTxnLineID = ?"
        user.run(sql, "looked at", sale, line)


VENDOR = Desktop()
