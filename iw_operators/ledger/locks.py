"""Locks between processes and hosts: PostgreSQL's advisory locks, by name."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from iw_operators.ledger.database import Database, Fence

log = structlog.get_logger(__name__)

FIRST_WAIT, LONGEST_WAIT = 0.02, 0.5  # seconds
_SPACE = "iw:"  # keeps our names apart from other users of advisory locks in the same database


class Locks(Database):
    """The ledger's locks."""

    @contextlib.contextmanager
    def lock(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold the lock `name` for the length of a with-block, on a connection of its own.

        The lock ends with the block, and with the process: the server frees it as soon as the connection is gone.
        Not re-entrant. Asked for in short intervals, so that a task can be stopped while it waits; who waits
        longest does not necessarily come first. Needs session pooling where a pooler stands in between. Not promised:
        that the lock outlasts the server; a server that restarts forgets who holds what.

        :param wait: wait until the lock is free; otherwise the block runs at once with False when it is taken.
        :raises ConnectionFailure: the ledger does not answer.
        """
        with self._locked(name, wait=wait) as (held, _):
            yield held

    @contextlib.contextmanager
    def working(self, company: str, mapping: str) -> Iterator[None]:
        """Hold the lock under which one task at a time works on a mapping of a company; wait until it is free.

        Until the block ends, this thread's intents, log rows of what is not sent, match index and beginnings and ends
        of mappings are committed in the very session that holds the lock. A task whose lock is gone (the ledger's
        server was restarted) therefore commits none of them beside the task that holds it now; it gets
        ConnectionFailure with code `iw.lock_lost`. Outcomes of what was sent are recorded all the same.
        """
        name = f"sync:{company}:{mapping}"
        with self._locked(name, wait=True) as (_, connection):
            before = getattr(self._here, "fence", None)
            self._here.fence = Fence(connection, connection.connection.dbapi_connection, name)
            try:
                yield
            finally:
                self._here.fence = before

    @contextlib.contextmanager
    def _locked(self, name: str, *, wait: bool) -> Iterator[tuple[bool, Connection]]:
        connection = self._patiently(self._own_connection, self.patience)
        try:
            held = self._try(connection, name)
            pause, since = FIRST_WAIT, time.monotonic()
            while wait and not held:
                time.sleep(pause)
                pause = min(pause * 1.5, LONGEST_WAIT)
                held = self._try(connection, name)
            if wait and (waited := time.monotonic() - since) > 1:
                log.info("waited for a lock", lock=name, seconds=round(waited, 1))
            yield held, connection
        finally:
            self._free(connection)
            # Closing the connection for good frees the lock, also when the unlock cannot be sent any more.
            with contextlib.suppress(DBAPIError):
                connection.invalidate()
            connection.close()

    @staticmethod
    def _free(connection: Connection) -> None:
        """Unlock at once: a server notices only after a while that a connection was closed."""
        if connection.invalidated:
            return
        with contextlib.suppress(SQLAlchemyError):
            if connection.in_transaction():
                connection.rollback()
            with connection.begin():
                connection.execute(sa.text("SELECT pg_advisory_unlock_all()"))

    def _own_connection(self) -> Connection:
        connection = self.engine.connect()
        try:
            with connection.begin():
                for name, value in (("idle", 30), ("interval", 10), ("count", 6)):
                    connection.execute(sa.text(f"SET tcp_keepalives_{name} = {value}"))
        except BaseException:
            connection.close()
            raise
        return connection

    def _try(self, connection: Connection, name: str) -> bool:
        query = sa.text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
        try:
            with connection.begin():  # the lock belongs to the session and outlasts the transaction
                return bool(connection.scalar(query, {"name": _SPACE + name}))
        except DBAPIError as error:
            raise self._error(error) from None
