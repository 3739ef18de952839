"""One client's connection: sign-in, then one query after the other."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import structlog

from iw_operators.systems.quickbooks_desktop.connector import fixed, wire
from iw_operators.systems.quickbooks_desktop.connector.backend import BackendError, Column, Kind, Rows
from iw_operators.systems.quickbooks_desktop.connector.health import State, state_of
from iw_operators.systems.quickbooks_desktop.connector.signin import Ended, Line, SignIn
from iw_operators.systems.quickbooks_desktop.connector.source import CANCELLED
from iw_operators.systems.quickbooks_desktop.connector.sql import (
    Shape,
    leading,
    restore,
    several,
    shape,
    transaction,
    without_comments,
)
from iw_operators.systems.quickbooks_desktop.connector.thread import NotBegun

if TYPE_CHECKING:
    from iw_operators.systems.quickbooks_desktop.connector.server import Connector

log = structlog.get_logger(__name__)

HEALTH: Final = tuple(
    Column(name, kind)
    for name, kind in (
        ("state", Kind.VARCHAR),
        ("text", Kind.VARCHAR),
        ("advice", Kind.VARCHAR),
        ("read_only", Kind.BOOL),
        ("sessions", Kind.INTEGER),
        ("writing", Kind.BOOL),
        ("up_seconds", Kind.INTEGER),
    )
)
LINES_GONE: Final = "[IW connector] The company file was reopened; the group's lines are gone"
ID_GONE: Final = "[IW connector] The company file was reopened; it does not know this connection's last id any more"
Other = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Reopened(BackendError):
    """The connection that a statement needs is gone; it has not begun."""


class Session:
    """One client. `run` ends when it leaves, is refused, or the connector stops."""

    def __init__(
        self, connector: Connector, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        self.number = number
        self._connector = connector
        self._config = connector.config
        self._source = connector.source
        self._line = Line(reader, writer)
        self._in_transaction = False
        self._group = ""
        self._group_at = 0
        self._ran_at = 0  # the generation of the connection that the last statement has run on
        self.signed_in = False
        self.idle = False
        self.key = 0
        self._cancelled = False
        self._executing = False
        self._waiting: asyncio.Future[None] | None = None

    @property
    def in_group(self) -> bool:
        """Whether lines of this client lie in the connection's cache."""
        return bool(self._group)

    async def run(self) -> None:
        """Serve the client until it leaves."""
        try:
            async with asyncio.timeout(self._config.limits.login_seconds):
                database = await SignIn(self._connector, self._line, self.number).run()
            if database is not None:
                self.signed_in = True
                await self._welcome(database)
                await self._queries()
        except (Ended, ConnectionError, asyncio.IncompleteReadError, TimeoutError, ssl.SSLError):
            pass
        finally:
            await self._leave()

    async def farewell(self) -> None:
        """Tell a client that waits that the connector stops."""
        self._line.writer.write(wire.error("57P01", "[IW connector] The connector is being stopped", fatal=True))
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(1):
                await self._line.writer.drain()

    async def _leave(self) -> None:
        if self._group and self._group_at == self._source.generation:
            log.warning("connector.group_given_up", session=self.number, table=self._group)
            self._source.give_up()
        self._group = ""
        self._source.gone(self)

    async def _welcome(self, database: str) -> None:
        if database not in (self._config.database, ""):
            log.warning("connector.refused", session=self.number, peer=self._line.peer, why="company")
            await self._line.refuse("3D000", f"This port serves the company file {self._config.database!r}")
        if self._connector.stopping:
            await self._line.refuse("57P03", "[IW connector] The connector is being stopped")
        # The company file is opened by the first statement: it may take minutes, which no driver waits for here.
        self._source.arrived(self)
        for name, value in fixed.SETTINGS.items():
            self._line.writer.write(wire.parameter_status(name, value))
        self.key = self._connector.key()
        self._line.writer.write(wire.key_data(self.number, self.key))
        if self._config.log_statements:
            log.info("connector.session", session=self.number, peer=self._line.peer)

    # --- queries

    async def _queries(self) -> None:
        while True:
            self._line.writer.write(wire.ready(b"T" if self._in_transaction else b"I"))
            await self._drain()
            await self._stop_if_asked()
            self.idle = True
            wait = self._config.limits.group_seconds if self._group else None
            try:
                async with asyncio.timeout(wait):
                    kind, body = await self._line.message(self._config.limits.query_bytes)
            finally:
                self.idle = False
            if kind == b"X":
                return
            if kind == b"Q":
                await self._query(body.rstrip(b"\0").decode("utf-8", "replace"))
            else:
                await self._unspoken(kind)

    async def _unspoken(self, kind: bytes) -> None:
        """Refuse the extended protocol, and skip what belongs to it."""
        while kind not in (b"S", b"F"):
            kind, _ = await self._line.message(self._config.limits.query_bytes)
        text = "Only the simple query protocol is spoken: UseServerSidePrepare=0 in the data source"
        self._line.writer.write(wire.error("0A000", text))

    async def _stop_if_asked(self) -> None:
        if self._connector.stopping and not self._group:
            await self._line.refuse("57P01", "[IW connector] The connector is being stopped")

    async def _drain(self) -> None:
        async with asyncio.timeout(self._config.limits.send_seconds):
            await self._line.writer.drain()

    async def _query(self, text: str) -> None:
        words, statement = leading(without_comments(text))
        for word in words:
            self._in_transaction = self._in_transaction or word == "BEGIN"
            self._line.writer.write(wire.complete(word))
        if not statement:
            if not words:
                self._line.writer.write(wire.empty())
            return
        if ended := transaction(statement):
            await self._end_transaction(ended)
            return
        if fixed.is_cursor(statement):
            text = "Cursors of PostgreSQL are not spoken: UseDeclareFetch=0 in the data source"
            self._line.writer.write(wire.error("0A000", text))
            return
        try:
            if fixed.is_catalogue(statement):
                self._answer(await self._catalogue(statement))
            elif fixed.is_fixed(statement):
                for answer in fixed.answer(statement):
                    self._answer(answer)
            else:
                await self._statement(restore(statement))
        except BackendError as error:
            self._line.writer.write(wire.error(error.sqlstate, error.text))
        except (ArithmeticError, LookupError, TypeError, UnicodeError, ValueError) as error:
            # What a driver gives that it should not: the client is told, and the log has the kind, not the value.
            log.error("connector.unexpected", session=self.number, error=type(error).__name__)
            text = f"[IW connector] {type(error).__name__} in the connector; the statement's outcome is unknown"
            self._line.writer.write(wire.error("XX000", text))

    async def _catalogue(self, statement: str) -> fixed.Answer:
        source = self._source
        if not fixed.asks_data_source(statement):  # psqlodbc asks such things while it connects
            return fixed.catalogue(statement, source.backend)
        await self._open()
        async with source.statement():
            return await source.call(lambda: fixed.catalogue(statement, source.backend))

    def _answer(self, answer: fixed.Answer) -> None:
        if answer.columns:
            self._line.writer.write(wire.row_description(answer.columns))
            for row in answer.rows:
                self._line.writer.write(wire.data_row(row))
        self._line.writer.write(wire.complete(answer.tag))

    async def _end_transaction(self, word: str) -> None:
        """Nothing can be rolled back but a group whose lines are still in the cache."""
        if word == "ROLLBACK" and self._group:
            self._give_up_group()
        if word in ("COMMIT", "ROLLBACK"):
            self._in_transaction = False
        elif word == "BEGIN":
            self._in_transaction = True
        self._line.writer.write(wire.complete(word))

    def _give_up_group(self) -> None:
        current = self._group_at == self._source.generation
        self._group = ""
        if current:
            self._source.give_up()
        self._source.give_turn(self)

    async def _statement(self, statement: str) -> None:
        if several(statement):
            msg = "[IW connector] Refused: one statement is taken at a time, and something stands behind a semicolon"
            raise BackendError(msg, "42601")
        asked = shape(statement)
        self._cancelled = False
        begun = time.monotonic()
        outcome, count = "failed", 0
        try:
            if asked.verb == "SP_HEALTH":
                await self._health()
            elif asked.verb == "SP_LASTINSERTID":
                count = await self._last_id(statement, asked)
            elif asked.writes:
                count = await self._write(statement, asked)
            else:
                count = await self._run(statement, asked)
            outcome = "done"
        finally:
            seconds = round(time.monotonic() - begun, 3)
            if self._config.log_statements:
                shown = {"session": self.number, "statement": asked.label, "outcome": outcome, "rows": count}
                log.info("connector.statement", **shown, seconds=seconds)

    async def _last_id(self, statement: str, asked: Shape) -> int:
        found = self._source.last_id(self, asked.table)
        if isinstance(found, str):
            same = found.lower() == asked.table.lower()
            statement = statement if same else f"sp_lastinsertid {found}"
            return await self._run(statement, asked, at=self._source.generation)
        columns, rows = found
        self._answer(fixed.Answer(f"SELECT {len(rows)}", columns, rows))
        return len(rows)

    async def _write(self, statement: str, asked: Shape) -> int:
        if self._config.read_only:
            msg = "[IW connector] This connector is set to read only"
            raise BackendError(msg, "25006")
        if self._group and self._group_at != self._source.generation:
            await self._line.refuse("08S01", LINES_GONE)
        await self._open()  # while others may write
        await self._take_turn()
        at = self._group_at if self._group else None
        try:
            if asked.verb == "INSERT":
                await self._source.keep_last_id(self, asked.table)
            count = await self._run(statement, asked, at=at)
        except BaseException as error:
            if self._group:
                self._give_up_group()
            elif asked.groups and not isinstance(error, NotBegun):  # the line may be in the cache, or get there
                self._source.give_up()
            self._source.give_turn(self)
            if isinstance(error, Reopened):
                await self._line.refuse(error.sqlstate, error.text)
            raise
        if asked.groups:
            self._group, self._group_at = asked.table, self._ran_at
            return count
        if asked.verb == "INSERT":
            if self._ran_at == self._source.generation:
                self._source.inserted(self, asked.table)
            self._group = ""
        if not self._group:
            self._source.give_turn(self)
        return count

    async def _take_turn(self) -> None:
        self._waiting = asyncio.ensure_future(self._source.take_turn(self))
        try:
            await self._waiting
        except asyncio.CancelledError:
            if not self._cancelled:
                raise
            self._check_wanted()
        finally:
            self._waiting = None

    def cancel(self) -> None:
        """Do not begin what waits; ask the driver to end what is running."""
        if self.idle:
            return
        self._cancelled = True
        if self._waiting is not None:
            self._waiting.cancel()
        elif self._executing:
            self._source.backend.cancel()

    def _check_wanted(self) -> None:
        """Raise `NotBegun` if nobody waits for the statement any more: whoever sent it looks up how it ended.

        A write that began after its client has looked would be there twice.
        """
        if self._cancelled or self._line.gone:
            msg = "[IW connector] Not begun: it was cancelled"
            raise NotBegun(msg, CANCELLED)

    async def _open(self) -> None:
        """Have the company file open. Raises `BackendError` that says why it is not."""
        try:
            await self._source.open()
        except NotBegun:
            raise
        except BackendError as error:
            log.warning("connector.not_open", session=self.number, state=state_of(error.text).value)
            raise _not_open(error) from None

    async def _run(self, statement: str, asked: Shape, *, at: int | None = None) -> int:
        """Run a statement and send what it gives, in batches no larger than the client takes. Return the rows.

        :param at: the generation of the one connection that it may run on. Raises `Reopened` where that is gone.
        """
        source, backend = self._source, self._source.backend
        await self._open()
        statement = await source.retyped(statement)

        def execute() -> Rows:
            self._check_wanted()
            if at not in (None, source.current):
                raise Reopened(LINES_GONE if asked.writes else ID_GONE, "08S01")
            self._ran_at = source.current
            self._executing = True
            try:
                try:
                    source.ensure_open()
                except BackendError as error:
                    raise _not_open(error) from None
                return backend.execute(statement)
            finally:
                self._executing = False

        async with source.statement():
            try:
                rows = await source.call(execute)
                return await self._send(rows, asked)
            except BackendError as error:
                if error.lost and self._ran_at == source.generation:
                    source.give_up()
                raise

    async def _send(self, rows: Rows, asked: Shape) -> int:
        if not rows.columns:
            self._line.writer.write(wire.complete(_tag(asked.verb, rows.rowcount)))
            return max(rows.rowcount, 0)
        self._line.writer.write(wire.row_description(rows.columns))
        sent = 0

        def batch() -> tuple[int, bytes]:
            fetched = rows.fetch(self._config.limits.fetch_rows)
            return len(fetched), b"".join(map(wire.data_row, fetched))

        try:
            while True:
                count, encoded = await self._source.call(batch)
                if not count:
                    break
                sent += count
                self._line.writer.write(encoded)
                await self._drain()
        finally:
            await self._source.call(rows.close)
        self._line.writer.write(wire.complete(f"SELECT {sent}"))
        return sent

    async def _health(self) -> None:
        health = await self._source.health()
        state = State.STOPPING if self._connector.stopping else health.state
        row: tuple[Any, ...] = (
            *(state.value, health.text, health.advice, self._config.read_only),
            *(self._connector.sessions, self._source.writer() is not None, self._connector.up_seconds),
        )
        self._answer(fixed.Answer("SELECT 1", HEALTH, (row,)))


def _not_open(error: BackendError) -> BackendError:
    """Return why the company file cannot be opened. What has no code of QuickBooks' is told with the state of health,
    so that a client can tell a host without a driver from one that does not answer.
    """
    if state_of(error.text, connecting=False) is not State.UNKNOWN or error.text.startswith("[IW connector]"):
        return error
    text = f"[IW connector] The company file cannot be opened ({state_of(error.text).value}): {error.text}"
    return BackendError(text, error.sqlstate, lost=error.lost)


def _tag(verb: str, count: int) -> str:
    if verb == "INSERT":
        return f"INSERT 0 {1 if count < 0 else count}"
    if verb in ("UPDATE", "DELETE"):
        return verb if count < 0 else f"{verb} {count}"
    return verb
