"""pyodbc: the connection string, and a connection without pooling whose statements end in time.

psqlodbc's fixed parameters make it hand statements on as they are: parameters put into the text, no savepoints, one
statement at a time, results fetched at once (experiments with psqlodbc 13.02).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from iw_operators.systems.quickbooks_desktop.client import Connection, Cursor, Row

CONNECTOR: Final[Mapping[str, str]] = {
    "UseServerSidePrepare": "0",
    "Protocol": "7.4-0",
    "BatchSize": "1",
    "BoolsAsChar": "0",
    "UseDeclareFetch": "0",
    "MaxVarcharSize": "4095",
}
_BRACED: Final = frozenset({"Driver", "pqopt"})
_MEANS: Final = re.compile(r"[\[\]{}(),;?*=!@]")
KEEPALIVE: Final = "keepalives=1 keepalives_idle=30 keepalives_interval=10 keepalives_count=3"


@dataclass(frozen=True, slots=True)
class Source:
    """How to connect. `text` is an ODBC connection string and holds the password."""

    text: str
    connect_timeout: int = 15
    statement_timeout: float = 900.0

    def __repr__(self) -> str:
        """Return nothing of what it holds."""
        return "Source(...)"


def connection_string(parts: Mapping[str, str]) -> str:
    """Return an ODBC connection string; values are quoted where they need it."""
    made = (f"{key}={braced(value) if key in _BRACED else quoted(value)};" for key, value in parts.items() if value)
    return "".join(made)


def quoted(value: str) -> str:
    """Return a value as it stands in a connection string; braces where it has what means something there (ODBC)."""
    if value == value.strip() and not _MEANS.search(value):
        return value
    return braced(value)


def braced(value: str) -> str:
    """Return a value in braces."""
    return "{" + value.replace("}", "}}") + "}"


def connector_string(
    host: str,
    port: int,
    company: str,
    user: str,
    password: str,
    *,
    driver: str,
    sslmode: str,
    ca_file: str,
    seconds: int,
) -> str:
    """Return the connection string for our connector."""
    libpq = f"connect_timeout={max(seconds, 2)} {KEEPALIVE}"
    if ca_file:
        libpq += f" sslrootcert='{ca_file}'"
    parts = {
        "Driver": driver.strip("{}"),
        "Server": host,
        "Port": str(port),
        "Database": company,
        "UID": user,
        "PWD": password,
        "SSLmode": sslmode,
        **CONNECTOR,
        "pqopt": libpq,
    }
    return connection_string(parts)


def connect(source: Source) -> Connection:
    """Connect. Raises what pyodbc raises."""
    import pyodbc  # the ODBC driver manager is loaded with it; parsing a DAG needs neither

    pyodbc.pooling = False  # the driver manager would hand out a connection with somebody else's cached lines
    made = pyodbc.connect(source.text, autocommit=True, timeout=source.connect_timeout)
    return _InTime(made, source.statement_timeout)


class _InTime:
    """A connection whose cursors cancel what takes too long; drivers do not keep to a limit of their own."""

    def __init__(self, connection: Any, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds

    def cursor(self) -> Cursor:
        """Return a cursor."""
        return _Limited(self._connection.cursor(), self._seconds)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class _Limited:
    """A cursor that is cancelled, from a thread of its own, when a call takes longer than allowed."""

    def __init__(self, cursor: Any, seconds: float) -> None:
        self._cursor = cursor
        self._seconds = seconds

    @property
    def description(self) -> Sequence[Sequence[Any]] | None:
        """The columns of the result."""
        found: Sequence[Sequence[Any]] | None = self._cursor.description
        return found

    @property
    def rowcount(self) -> int:
        """How many rows were changed, -1 where the driver does not say."""
        return int(self._cursor.rowcount)

    def execute(self, sql: str, params: Sequence[Any], /) -> Any:
        """Run a statement. TimeoutError when it was cancelled."""
        late = threading.Event()

        def cancel() -> None:
            late.set()
            self._cursor.cancel()

        timer = threading.Timer(self._seconds, cancel)
        timer.daemon = True
        timer.start()
        try:
            return self._cursor.execute(sql, tuple(params))
        except Exception as error:
            if late.is_set():
                msg = "the statement timed out"
                raise TimeoutError(msg) from error
            raise
        finally:
            timer.cancel()

    def fetchmany(self, size: int, /) -> Sequence[Row]:
        """Return the next rows, none at the end. A call that has no result has none."""
        if self._cursor.description is None:
            return ()
        found: Sequence[Row] = self._cursor.fetchmany(size)
        return found

    def close(self) -> None:
        """Close the cursor."""
        self._cursor.close()
