"""The ODBC data source behind the connector: pyodbc, one connection, no pooling, each statement on its own.

QODBC knows no transactions, so autocommit is on; what an application rolls back stays. pyodbc is imported when the
connection is opened: the module loads where no driver manager is.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from iw_operators.systems.quickbooks_desktop.connector.backend import BackendError, Column, Kind
from iw_operators.systems.quickbooks_desktop.connector.health import LOSING, state_of

KINDS: Final = {
    str: Kind.VARCHAR,
    bool: Kind.BOOL,
    int: Kind.INTEGER,
    float: Kind.FLOAT,
    Decimal: Kind.NUMERIC,
    dt.datetime: Kind.TIMESTAMP,
    dt.date: Kind.DATE,
    dt.time: Kind.TIME,
    bytes: Kind.BINARY,
    bytearray: Kind.BINARY,
}
# SQL data types as SQLColumns tells them (sql.h, sqlext.h), those of ODBC 2 among them.
SQL_TYPES: Final = {
    **dict.fromkeys((2, 3), Kind.NUMERIC),
    **dict.fromkeys((4, 5, -6), Kind.INTEGER),
    **dict.fromkeys((6, 7, 8), Kind.FLOAT),
    **dict.fromkeys((9, 91), Kind.DATE),
    **dict.fromkeys((10, 92), Kind.TIME),
    **dict.fromkeys((11, 93), Kind.TIMESTAMP),
    **dict.fromkeys((-2, -3, -4), Kind.BINARY),
    -5: Kind.BIGINT,
    -7: Kind.BOOL,
}
LONGEST: Final = 8000  # of a VARCHAR; what is longer, or of no stated length, goes as text
INTEGER_DIGITS: Final = 10
SQL_CHAR: Final = 1
CLOSED: Final = "08003"
_PREFIX: Final = re.compile(r"\[[0-9A-Z]{5}\] ")
_SUFFIX: Final = re.compile(r"(?:;?\nError while executing the query)? \(-?\d+\)(?: \(SQL\w+\))?\Z")


class OdbcRows:
    """What a statement has given, over a pyodbc cursor."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self.columns: Sequence[Column] = [_described(one) for one in cursor.description or ()]
        self.rowcount = int(cursor.rowcount)

    def fetch(self, count: int) -> Sequence[Sequence[Any]]:
        """Return up to `count` further rows. Raises `BackendError`."""
        import pyodbc

        try:
            fetched: Sequence[Sequence[Any]] = self._cursor.fetchmany(count)
        except pyodbc.Error as error:
            raise refusal(error) from None
        return fetched

    def close(self) -> None:
        """Free the statement."""
        import pyodbc

        with contextlib.suppress(pyodbc.Error):
            self._cursor.close()


class OdbcBackend:
    """One ODBC data source.

    :param data_source: a connection string (`DSN=...` or `Driver={...};...`).
    :param encoding: how the driver writes text that is not Unicode; empty leaves it to pyodbc.
    :param one_at_a_time: whatever the driver says of itself, let one statement end before the next begins.
    :param login_seconds: how long connecting may take; QODBC may have to start QuickBooks.
    """

    def __init__(
        self, data_source: str, *, encoding: str = "", login_seconds: int = 120, one_at_a_time: bool = False
    ) -> None:
        self._data_source = data_source
        self._encoding = encoding
        self._login_seconds = login_seconds
        self._connection: Any = None
        self._cursor: Any = None
        self._interleaves = False
        self._one_at_a_time = one_at_a_time

    @property
    def interleaves(self) -> bool:
        """What the driver says of itself: whether a connection takes more than one statement at a time."""
        return self._interleaves and not self._one_at_a_time

    def open(self) -> None:
        """Connect, unless connected. Raises `BackendError` with the driver's text."""
        if self._connection is not None:
            return
        try:
            import pyodbc  # the driver manager's library is needed from here on only
        except ImportError as error:
            msg = f"The specified driver could not be loaded: {error}"
            raise BackendError(msg, "IM003") from None

        pyodbc.pooling = False
        try:
            connection = pyodbc.connect(self._data_source, autocommit=True, timeout=self._login_seconds)
            if self._encoding:
                connection.setdecoding(SQL_CHAR, encoding=self._encoding)
            with contextlib.suppress(pyodbc.Error):
                self._interleaves = connection.getinfo(pyodbc.SQL_MAX_CONCURRENT_ACTIVITIES) != 1
        except pyodbc.Error as error:
            raise refusal(error, connecting=True) from None
        self._connection = connection

    def execute(self, statement: str) -> OdbcRows:
        """Run one statement. Raises `BackendError`."""
        import pyodbc

        self.open()
        self._cursor = cursor = self._connection.cursor()
        try:
            cursor.execute(statement)
            return OdbcRows(cursor)
        except pyodbc.Error as error:
            with contextlib.suppress(pyodbc.Error):
                cursor.close()
            raise refusal(error) from None

    def tables(self) -> Sequence[tuple[str, bool]]:
        """Return the tables and views. Raises `BackendError`."""
        return [(str(row[2]), str(row[3]).upper() == "VIEW") for row in self._catalogue("tables", ())]

    def columns(self, table: str) -> Sequence[Column]:
        """Return a table's columns. Raises `BackendError`."""
        found = []
        for row in self._catalogue("columns", (table,)):
            kind = SQL_TYPES.get(int(row[4]), Kind.VARCHAR)
            size = int(row[6] or 0)
            if kind is Kind.VARCHAR and not 0 < size <= LONGEST:
                kind, size = Kind.TEXT, 0
            found.append(Column(str(row[3]), kind, size, int(row[8] or 0) if kind is Kind.NUMERIC else 0))
        return found

    def _catalogue(self, what: str, arguments: tuple[str, ...]) -> list[Any]:
        import pyodbc

        self.open()
        cursor = self._connection.cursor()
        try:
            return list(getattr(cursor, what)(*arguments).fetchall())
        except pyodbc.Error as error:
            raise refusal(error) from None
        finally:
            with contextlib.suppress(pyodbc.Error):
                cursor.close()

    def cancel(self) -> None:
        """Ask the driver to end the running statement."""
        import pyodbc

        cursor = self._cursor
        if cursor is not None:
            with contextlib.suppress(pyodbc.Error):
                cursor.cancel()

    def close(self) -> None:
        """Disconnect."""
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is None:
            return
        import pyodbc

        with contextlib.suppress(pyodbc.Error):
            connection.close()


def refusal(error: Exception, *, connecting: bool = False) -> BackendError:
    """Return a driver's exception with its own text, as it was before pyodbc wrapped it."""
    sqlstate = str(error.args[0]) if len(error.args) > 1 else CLOSED  # pyodbc's own: the connection was closed
    text = _SUFFIX.sub("", _PREFIX.sub("", str(error.args[-1]), count=1))
    lost = not connecting and (sqlstate.startswith("08") or state_of(text, connecting=False) in LOSING)
    return BackendError(text, sqlstate, lost=lost)


def _described(column: Sequence[Any]) -> Column:
    name, of_type, _, size, precision, scale, _ = column
    kind = KINDS.get(of_type, Kind.VARCHAR)
    if kind is Kind.VARCHAR:
        size = int(size or 0)
        return Column(name, kind, size) if 0 < size <= LONGEST else Column(name, Kind.TEXT)
    if kind is Kind.INTEGER and int(precision or 0) > INTEGER_DIGITS:
        return Column(name, Kind.BIGINT)
    if kind is Kind.NUMERIC:
        return Column(name, kind, int(precision or 0), int(scale or 0))
    return Column(name, kind)
