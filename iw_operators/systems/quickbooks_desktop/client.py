"""One connection to one company file: made when it is needed, given up when it has failed, never shared.

QuickBooks works on one thing at a time, and QODBC's cache of lines belongs to the connection; so there is one, and what
failed in the middle of something is not gone on with. A read whose connection turns out to be gone before any row has
come is begun again once, on a new connection. A write is never repeated here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

import structlog

from iw_operators.errors import ConnectionFailure, InterWeaveError
from iw_operators.systems.quickbooks_desktop.dialect import Statement, columns_of, last_id
from iw_operators.systems.quickbooks_desktop.errors import error_of, of_driver

log = structlog.get_logger(__name__)

FETCH: Final = 500  # rows asked of the driver at a time

Row = Sequence[Any]


class Columns(list[str]):
    """The names of a result's columns in lower case. `types` are what the driver gives them as, where it says so."""

    def __init__(self, description: Sequence[Sequence[Any]]) -> None:
        super().__init__(str(column[0]).lower() for column in description)
        self.types = tuple(column[1] if len(column) > 1 else None for column in description)


class Cursor(Protocol):
    """What is needed of a DB-API cursor."""

    @property
    def description(self) -> Sequence[Sequence[Any]] | None: ...

    @property
    def rowcount(self) -> int: ...

    def execute(self, sql: str, params: Sequence[Any], /) -> Any: ...

    def fetchmany(self, size: int, /) -> Sequence[Row]: ...

    def close(self) -> None: ...


class Connection(Protocol):
    """What is needed of a DB-API connection."""

    def cursor(self) -> Cursor: ...

    def close(self) -> None: ...


class Client:
    """Statements to one company file.

    :param connect: makes a connection; what it raises is the driver's own exception.
    :param company: what the connection calls the company file, for people.
    """

    def __init__(self, connect: Callable[[], Connection], *, company: str = "", fetch: int = FETCH) -> None:
        self._connect = connect
        self._connection: Connection | None = None
        self._columns: dict[str, frozenset[str]] = {}
        self.company = company
        self.fetch = fetch
        self.statements = 0

    def rows(self, statement: Statement) -> Iterator[tuple[Columns, Sequence[Row]]]:
        """Run a query; yield its columns' names in lower case with some of its rows, again and again.

        The first is yielded with no rows where there are none, so that the columns are known.

        :raises ConnectionFailure: the other side cannot be reached, or went away.
        """
        cursor = self._begin(statement)
        try:
            names = Columns(cursor.description or ())
            yield names, ()
            while found := self._fetch(cursor):
                yield names, found
        finally:
            self._close(cursor)

    def all(self, statement: Statement) -> list[dict[str, Any]]:
        """Return all rows of a query by their columns' names in lower case; for answers that are known to be short."""
        return [dict(zip(names, row, strict=True)) for names, rows in self.rows(statement) for row in rows]

    def value(self, statement: Statement) -> Any:
        """Return the first column of the first row, None where there is none."""
        return next((row[0] for _, rows in self.rows(statement) for row in rows), None)

    def run(self, statement: Statement) -> int:
        """Run a statement that changes something; return how many rows, -1 where the driver does not say.

        After an error the connection is given up: what QODBC has cached of a group must not get into the next one.

        :raises InterWeaveError: refused (QODBC gave a code), or `ConnectionFailure` with `sent`: nobody knows.
        """
        cursor = self._cursor()
        self.statements += 1
        try:
            cursor.execute(statement.sql, statement.params)
            return cursor.rowcount
        except Exception as error:  # noqa: BLE001  a driver's exceptions are its own; all become ours
            self.drop()
            raise error_of(of_driver(error), sent=True) from None
        finally:
            self._close(cursor)

    def last_id(self, table: str) -> str:
        """Return the id of what was inserted last. ConnectionFailure with `sent` where that cannot be told."""
        found, cause = None, None
        try:
            found = self.value(last_id(table))
        except InterWeaveError as error:
            cause = error
        if not found:
            self.drop()
            msg = "A record was made, and its id was not told."
            raise ConnectionFailure(msg, sent=True, code="odbc.lost") from cause
        return str(found)

    def columns(self, table: str) -> frozenset[str]:
        """Return a table's columns in lower case, custom fields among them; asked once."""
        if table not in self._columns:
            rows = self.all(columns_of(table))
            found = {str(row.get("columnname") or row.get("column_name") or "").lower() for row in rows}
            self._columns[table] = frozenset(found - {""})
        return self._columns[table]

    def drop(self) -> None:
        """Give the connection up; the next statement makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except Exception as error:  # noqa: BLE001  it is gone either way
                log.debug("closing failed", error=type(error).__name__)

    def _begin(self, statement: Statement) -> Cursor:
        fresh = self._connection is None
        while True:
            cursor = self._cursor()
            self.statements += 1
            try:
                cursor.execute(statement.sql, statement.params)
            except Exception as error:  # noqa: BLE001  as in `run`
                self._close(cursor)
                told = error_of(of_driver(error), sent=True)
                lost = isinstance(told, ConnectionFailure) and told.sent
                if isinstance(told, ConnectionFailure):
                    self.drop()
                if fresh or not lost or told.code == "odbc.timeout":
                    raise told from None
                log.info("connecting anew", company=self.company)
                fresh = True
                continue
            return cursor

    def _fetch(self, cursor: Cursor) -> Sequence[Row]:
        try:
            return cursor.fetchmany(self.fetch)
        except Exception as error:  # noqa: BLE001  as in `run`
            self.drop()
            raise error_of(of_driver(error), sent=True) from None

    def _cursor(self) -> Cursor:
        try:
            if self._connection is None:
                self._connection = self._connect()
            return self._connection.cursor()
        except Exception as error:  # noqa: BLE001  as in `run`
            self.drop()
            raise error_of(of_driver(error), connecting=True) from None

    @staticmethod
    def _close(cursor: Cursor) -> None:
        try:
            cursor.close()
        except Exception as error:  # noqa: BLE001  it is gone either way
            log.debug("closing failed", error=type(error).__name__)
