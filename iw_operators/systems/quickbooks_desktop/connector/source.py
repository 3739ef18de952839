"""One company file: the writer's turn, whose id was made last, who uses the file, and how it is.

A statement runs in the data source's thread (`thread`). Who begins to write takes the turn, and keeps it until the
group in the connection's cache is written or given up; readers go in between, as far as the driver lets two statements
be open at a time.

The file is open while somebody uses it: QuickBooks lets nobody switch to single-user mode while a program has it open.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Hashable, Mapping
from typing import Any, Final

import structlog

from iw_operators.systems.quickbooks_desktop.connector import typed
from iw_operators.systems.quickbooks_desktop.connector.backend import Backend, BackendError, Kind
from iw_operators.systems.quickbooks_desktop.connector.config import Limits
from iw_operators.systems.quickbooks_desktop.connector.health import Health, State, state_of
from iw_operators.systems.quickbooks_desktop.connector.thread import TIMED_OUT, DataSourceThread, NotBegun

log = structlog.get_logger(__name__)

CANCELLED: Final = "57014"
AT_ONCE_SECONDS: Final = 1.0  # of `sp_health`: how long it waits for its turn, or for a file that is being opened

_LINES = re.compile(r"(?:item|expense|(?<=journalentry)debit|(?<=journalentry)credit)?line\Z")


def record_of(table: str) -> str:
    """Return which table holds the header of a table's rows, in lower case: `bill` for Bill, BillItemLine and so on."""
    return _LINES.sub("", table.lower()) or table.lower()


class Source(DataSourceThread):
    """The data source of one company file. Use it from one event loop."""

    def __init__(self, backend: Backend, limits: Limits, probe: str) -> None:
        super().__init__(backend, limits)
        self.waiting_writers = 0
        self._probe = probe
        self._turn = asyncio.Lock()
        self._owner: Hashable | None = None
        self._whole = asyncio.Lock()
        self._last: dict[str, tuple[Hashable, str]] = {}
        self._kinds: dict[str, Mapping[str, Kind]] = {}
        self._kept: dict[tuple[Hashable, str], tuple[Any, list[Any]]] = {}
        self._users: set[Hashable] = set()
        self._leaving: asyncio.TimerHandle | None = None

    # --- what is known of the connection

    def give_up(self) -> None:
        """Close the connection before anything else runs: no group, no last id survives it."""
        self._last.clear()
        self._kinds.clear()
        super().give_up()

    async def retyped(self, statement: str) -> str:
        """Return a statement whose numbers stand bare where their columns hold numbers."""
        if not typed.suspects(statement):
            return statement
        kinds: dict[str, Kind] = {}
        for table in typed.tables(statement):
            kinds |= await self._kinds_of(table)
        return typed.retype(statement, kinds.get) if kinds else statement

    async def _kinds_of(self, table: str) -> Mapping[str, Kind]:
        """Return the kinds of a table's columns; its name is asked for as it is written, which some drivers want."""
        known = table.lower()
        if known not in self._kinds:
            try:
                async with self.statement():
                    columns = await self.call(lambda: self.backend.columns(table))
            except BackendError:
                return {}
            if not columns:
                return {}
            self._kinds[known] = {column.name.lower(): column.kind for column in columns}
        return self._kinds[known]

    @contextlib.asynccontextmanager
    async def statement(self) -> AsyncIterator[None]:
        """Hold the connection for a statement and its rows, unless the driver lets statements interleave."""
        if self.backend.interleaves:
            yield
            return
        async with self._whole:
            yield

    # --- the turn

    def writer(self) -> Hashable | None:
        """Return who has the turn."""
        return self._owner

    async def take_turn(self, owner: Hashable) -> None:
        """Wait for the writer's turn, unless `owner` has it. Raises `BackendError` when it does not come in time."""
        if self._owner is owner:
            return
        self.waiting_writers += 1
        try:
            async with asyncio.timeout(self.limits.turn_seconds):
                await self._turn.acquire()
        except TimeoutError:
            msg = f"[IW connector] Not begun: another session has been writing for {self.limits.turn_seconds:g} s"
            raise NotBegun(msg, TIMED_OUT) from None
        finally:
            self.waiting_writers -= 1
        self._owner = owner

    def give_turn(self, owner: Hashable) -> None:
        """Let the next one write; nothing happens if `owner` has not got the turn."""
        if self._owner is owner:
            self._owner = None
            self._turn.release()

    # --- ids: the connection knows one last id a table, its sessions each want their own

    async def keep_last_id(self, owner: Hashable, table: str) -> None:
        """Before `owner` inserts into a table: note the last id for the session that made it, if it may still ask."""
        record = record_of(table)
        other, named = self._last.get(record, (None, ""))
        if other is None or other is owner:
            return

        made_at = self.generation

        def ask() -> tuple[Any, list[Any]]:
            if self.current != made_at:
                msg = "[IW connector] Not begun: the connection that knew the id is gone"
                raise NotBegun(msg, "HY010")
            rows = self.backend.execute(f"sp_lastinsertid {named}")
            try:
                return rows.columns, list(rows.fetch(10))
            finally:
                rows.close()

        with contextlib.suppress(BackendError):
            async with self.statement():
                self._kept[other, record] = await self.call(ask)
        self._last.pop(record, None)

    def inserted(self, owner: Hashable, table: str) -> None:
        """Note who made a table's last id."""
        record = record_of(table)
        self._last[record] = owner, table
        self._kept.pop((owner, record), None)

    def last_id(self, owner: Hashable, table: str) -> tuple[Any, list[Any]] | str:
        """Return the kept answer to `sp_lastinsertid`, or the table to ask the connection for.

        That is the one that `owner` has inserted into: header and lines of a record have one id, and what the
        connection knows of the other tables may be another session's. Raises `BackendError` for a session that has not
        inserted.
        """
        record = record_of(table)
        if kept := self._kept.get((owner, record)):
            return kept
        made, named = self._last.get(record, (None, ""))
        if made is owner:
            return named
        msg = (
            f"[IW connector] This connection has inserted nothing into {table}, or the company file was reopened since"
        )
        raise BackendError(msg, "HY010")

    # --- who uses the file

    def arrived(self, owner: Hashable) -> None:
        """Keep the company file open, once it is open, until `owner` is gone."""
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        self._users.add(owner)

    def gone(self, owner: Hashable) -> None:
        """Forget a session. After the last one the company file is closed: at once, or after `idle_seconds`."""
        self._last = {record: made for record, made in self._last.items() if made[0] is not owner}
        self._kept = {key: kept for key, kept in self._kept.items() if key[0] is not owner}
        self.give_turn(owner)
        if owner not in self._users:
            return
        self._users.remove(owner)
        if self._users:
            return
        if self.limits.idle_seconds:
            self._leaving = asyncio.get_running_loop().call_later(self.limits.idle_seconds, self._let_go)
        else:
            self._let_go()

    def _let_go(self) -> None:
        # Whoever comes meanwhile finds the file closed, not half closed: the thread does one thing after the other.
        self._leaving = None
        was_open = self.in_use
        self.give_up()
        if was_open:
            log.info("connector.let_go")

    # --- health

    async def health(self, *, patient: bool = False) -> Health:
        """Return how the company file is, by a small statement unless another one is running; it answers at once.

        :param patient: wait for as long as opening the file and the small statement may take.
        """
        if not patient and self.opening:
            return Health(State.OPENING)
        if self._whole.locked():
            return Health(State.BUSY)
        seconds = self.limits.health_seconds
        begin = 0.0 if patient else min(AT_ONCE_SECONDS, seconds)

        def ask() -> None:
            self.ensure_open()
            if self._probe:
                rows = self.backend.execute(self._probe)
                try:
                    rows.fetch(1)
                finally:
                    rows.close()

        try:
            async with self.statement():
                await self.open(seconds=begin)
                await self.call(ask, seconds=seconds, begin_seconds=begin)
        except NotBegun as error:
            return Health(State.OPENING) if self.opening else Health(State.BUSY, error.text)
        except BackendError as error:
            if error.lost:
                self.give_up()
            return Health(state_of(error.text), error.text)
        return Health(State.OPEN)
