"""A company file's connection that answers by function, and what tests make of the catalogue."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from iw_operators.engine.model import Value
from iw_operators.systems.base import Batch, Op, View, Write
from iw_operators.systems.quickbooks_desktop.client import Client
from iw_operators.systems.quickbooks_desktop.shape import Place
from iw_operators.systems.quickbooks_desktop.system import QuickBooksDesktop
from tests.conformance.kit import catalogue

NEW_YORK = ZoneInfo("America/New_York")


def clock(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> dt.datetime:
    """Return a time as a company file has it: local and without a zone."""
    return dt.datetime(year, month, day, hour, minute, second)  # noqa: DTZ001  see above


Rows = Sequence[Mapping[str, Any]]
Answer = Callable[[str, Sequence[Any]], Rows | int]


class DriverError(Exception):
    """What a driver raises: SQLSTATE and text."""


@dataclass
class FakeCursor:
    """A cursor over what `answer` returns: rows, or how many rows were changed."""

    answer: Answer
    rows: list[Sequence[Any]] = field(default_factory=list)
    description: Sequence[Sequence[Any]] | None = None
    rowcount: int = -1

    def execute(self, sql: str, params: Sequence[Any], /) -> None:
        found = self.answer(sql, params)
        if isinstance(found, int):
            self.rowcount = found
            return
        names = list(found[0]) if found else ["Nothing"]
        self.description = [(name,) for name in names]
        self.rows = [tuple(row.values()) for row in found]

    def fetchmany(self, size: int, /) -> Sequence[Sequence[Any]]:
        some, self.rows = self.rows[:size], self.rows[size:]
        return some

    def close(self) -> None:
        self.rows = []


@dataclass
class FakeConnection:
    """One connection; `closed` tells whether it was given up."""

    answer: Answer
    closed: bool = False

    def cursor(self) -> FakeCursor:
        return FakeCursor(self.answer)

    def close(self) -> None:
        self.closed = True


@dataclass
class Script:
    """Answers statements by the first piece of SQL that fits, and keeps what was asked.

    :param answers: piece of SQL -> rows, a count, an exception to raise, or a function of SQL and parameters.
    """

    answers: dict[str, Any]
    asked: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    connections: list[FakeConnection] = field(default_factory=list)

    def __call__(self, sql: str, params: Sequence[Any]) -> Rows | int:
        self.asked.append((sql, tuple(params)))
        for piece, answer in self.answers.items():
            if piece in sql:
                found = answer(sql, params) if callable(answer) else answer
                if isinstance(found, Exception):
                    raise found
                return found  # type: ignore[no-any-return]  # what the test has given
        return []

    def connect(self) -> FakeConnection:
        self.connections.append(FakeConnection(self))
        return self.connections[-1]

    def client(self) -> Client:
        return Client(self.connect)

    def system(self, zone: dt.tzinfo = NEW_YORK, **place: Any) -> QuickBooksDesktop:
        return QuickBooksDesktop(self.client(), Place(zone, **place))

    @property
    def statements(self) -> list[str]:
        """The SQL that was asked."""
        return [sql for sql, _ in self.asked]


def view(name: str, *fields: str, lines: bool = True) -> View:
    """Return a view of an object: of these fields, or of all; with all lines."""
    definition = catalogue("quickbooks_desktop").objects[name]
    chosen = {each: definition.fields[each] for each in fields or definition.fields}
    listed = dict(definition.lines.fields) if lines and definition.lines else {}
    return View(name, definition, chosen, listed)


def create(name: str, key: str, values: Mapping[str, Value], *fields: str) -> Write:
    """Return a create of an object."""
    return Write(key, Op.CREATE, view(name, *fields), values)


def batch(*writes: Write) -> Batch:
    """Return a batch."""
    return Batch("batch", writes)
