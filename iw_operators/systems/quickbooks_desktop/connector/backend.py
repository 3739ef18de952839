"""What the connector asks of a data source: one open connection, statements one after the other, rows in batches.

Two things keep this form: the ODBC data source (`odbc.OdbcBackend`) and whatever stands in for one. All methods are
called from one and the same thread, one after the other; they may block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol


class Kind(Enum):
    """What a column holds; the value is the type's object id on the PostgreSQL wire."""

    BOOL = 16
    BIGINT = 20
    INTEGER = 23
    TEXT = 25
    FLOAT = 701
    VARCHAR = 1043
    DATE = 1082
    TIME = 1083
    TIMESTAMP = 1114
    NUMERIC = 1700
    BINARY = 17


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a result.

    :param size: characters of a VARCHAR, digits of a NUMERIC; 0 is unknown.
    :param scale: digits after the point of a NUMERIC.
    """

    name: str
    kind: Kind
    size: int = 0
    scale: int = 0


class Rows(Protocol):
    """What a statement has given.

    `columns` is empty for a statement without a result set; then `rowcount` says how many rows it has changed (-1:
    the driver does not know).
    """

    columns: Sequence[Column]
    rowcount: int

    def fetch(self, count: int) -> Sequence[Sequence[Any]]:
        """Return up to `count` further rows, none at the end. Raises `BackendError`."""

    def close(self) -> None:
        """Let go of what the statement holds; may be called twice."""


class BackendError(Exception):
    """A data source's refusal, with its own text.

    :param lost: the connection is gone; the next statement needs a new one.
    """

    def __init__(self, text: str, sqlstate: str = "HY000", *, lost: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.sqlstate = sqlstate
        self.lost = lost


class Backend(Protocol):
    """One data source, open or not."""

    @property
    def interleaves(self) -> bool:
        """Whether another statement may run while the rows of one are still being fetched."""

    def open(self) -> None:
        """Connect, unless connected. Raises `BackendError` with the data source's text."""

    def execute(self, statement: str) -> Rows:
        """Run one statement. Raises `BackendError`."""

    def tables(self) -> Sequence[tuple[str, bool]]:
        """Return the tables' names, and whether each is a view. Raises `BackendError`."""

    def columns(self, table: str) -> Sequence[Column]:
        """Return a table's columns, none for an unknown one. Raises `BackendError`."""

    def cancel(self) -> None:
        """Ask for the running statement's end; called from another thread, promises nothing."""

    def close(self) -> None:
        """Disconnect; whatever the connection held (a group that was not ended) is forgotten."""
