"""Reading: what changed, everything, some by id, some by name.

One statement tells of a whole window: QuickBooks answers it in one go, and a statement a page would make it read all of
it again for each. What changes while pages are planned does not disturb what has been answered, and comes in the next
window. Rows are fetched from the driver as they are needed.

TimeModified is local time of the company file, to the second. Both bounds are cut off to the second, and the window's
filter is applied once more to what the rows say; windows that follow one another tell of each row once. Where one table
of lines holds all that a transaction is (invoices and the like always have lines), that table alone is read: its rows
carry the header too. Elsewhere headers come first and lines are read by id when they are wanted.
"""

from __future__ import annotations

import datetime as dt
import heapq
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import structlog

from iw_operators.engine.model import Line, Record
from iw_operators.systems.base import View, Window
from iw_operators.systems.fitting import sendable
from iw_operators.systems.http import is_name
from iw_operators.systems.quickbooks_desktop.client import Client, Columns, Row
from iw_operators.systems.quickbooks_desktop.dialect import (
    IN_MOST,
    Parameter,
    as_moment,
    earliest,
    local,
    select,
)
from iw_operators.systems.quickbooks_desktop.shape import (
    Place,
    Reader,
    Shape,
    TextOf,
    lined,
    needs_lines,
    rows_of,
    with_lines,
)
from iw_operators.systems.quickbooks_desktop.tables import MODIFIED, TABLES, Lines

log = structlog.get_logger(__name__)

FOUND: Final = 10  # records that a search by name brings at the most
NAMES: Final = ("full_name", "name", "number", "reference")  # neutral fields that `find` looks in
DELETED: Final = "TimeDeleted"
KEPT: Final = dt.timedelta(days=89)  # QuickBooks keeps what was deleted for 90 days; a day of margin

_ID: Final = re.compile(r"[0-9A-Fa-f]{1,16}-[0-9]{1,16}")

Where = Sequence[tuple[str, str, Sequence[Parameter]]]


class Reading:
    """Reads records of one company file."""

    def __init__(self, client: Client, place: Place, text_of: TextOf) -> None:
        self._client = client
        self._place = place
        self._text_of = text_of

    @property
    def zone(self) -> dt.tzinfo:
        """The zone of the company file's local time."""
        return self._place.zone

    def shapes(self, view: View) -> list[Shape]:
        """Return how a view stands in its tables."""
        return Shape.all_of(lined(view), self._place, self._text_of)

    def changes(self, view: View, window: Window, page_size: int) -> Iterator[list[Record]]:
        """Yield pages of what changed, oldest change first, deletions last; `after` leaves those alone."""
        since, until = _cut(window.since), _cut(window.until)
        own = max(filter(None, (since, _cut(window.after))), default=None)
        seen: set[str] = set()
        streams = [self._stream(shape, own, until, whole=True) for shape in self.shapes(view)]
        chunks = streams[0] if len(streams) == 1 else _merged(streams)
        for page in _paged(chunks, page_size):
            if since is not None:  # a first read is not followed by what else belongs to a window
                seen.update([record.id for record in page])
            yield page
        if since is not None:
            for page in self._posted(view, since, until, page_size):
                fresh = [record for record in page if record.id not in seen]
                seen.update(record.id for record in fresh)
                if fresh:
                    yield fresh
        if since is not None and view.definition.deletes:
            gone = [record for record in self._deleted(view, since, until) if record.id not in seen]
            yield from _paged([gone], page_size)

    def _posted(
        self, view: View, since: dt.datetime, until: dt.datetime | None, page_size: int
    ) -> Iterator[list[Record]]:
        """Yield records whose balance a transaction of the window has changed, where the view has the balance."""
        shape = self.shapes(view)[0]
        if not any(map(shape.tracks, view.fields.values())):
            return
        ids: dict[str, None] = {}
        for table, column in shape.tables.posted.items():
            statement = select([column, MODIFIED], table, self._bounds(since, until))
            for _, rows in self._client.rows(statement):
                told = (row for row in rows if _inside(as_moment(row[1], self._place.zone), since, until))
                ids |= dict.fromkeys(str(row[0]) for row in told if row[0])
        wanted = list(ids)
        for start in range(0, len(wanted), page_size):
            if found := list(self.fetch(view, wanted[start : start + page_size]).values()):
                yield found

    def scan(self, view: View, since: dt.datetime | None, page_size: int) -> Iterator[list[Record]]:
        """Yield headers of all records, or of those changed since."""
        start = _cut(since)
        for shape in self.shapes(view):
            yield from _paged(self._stream(shape, start, None, whole=False), page_size)

    def complete(self, view: View, records: Sequence[Record]) -> list[Record]:
        """Return the records with lines, which are read by id where they are missing."""
        missing = [record.id for record in records if not record.complete]
        if not missing or not needs_lines(view):
            return [with_lines(r, _lines_of(r), view) if not r.complete else r for r in records]
        lines = self.lines(view, missing)
        return [r if r.complete else with_lines(r, lines.get(r.id, ()), view) for r in records]

    def fetch(self, view: View, ids: Collection[str]) -> dict[str, Record]:
        """Return the records with these ids, complete."""
        wanted = _ids(ids)
        found: dict[str, Record] = {}
        for shape in self.shapes(view):
            left = [ident for ident in wanted if ident not in found]
            for some in _chunks(left):
                where = [(shape.tables.key, "IN", some)]
                found |= {record.id: record for chunk in self._headers(shape, where) for record in chunk}
        if needs_lines(view):
            lines = self.lines(view, list(found))
            return {key: with_lines(record, lines.get(key, ()), view) for key, record in found.items()}
        return found

    def existing(self, view: View, ids: Collection[str]) -> list[str]:
        """Return those of the ids that are there; nothing but the id is read of them."""
        there: set[str] = set()
        wanted = _ids(ids)
        for shape in self.shapes(view):
            for some in _chunks([ident for ident in wanted if ident not in there]):
                statement = select([shape.tables.key], shape.kind.table, [(shape.tables.key, "IN", some)])
                there.update(str(row[0]) for _, rows in self._client.rows(statement) for row in rows)
        return [each for each in ids if each in there]

    def find(self, view: View, name: str) -> list[Record]:
        """Return records with exactly this full name, name, number, reference or id, complete; a few at the most."""
        if not sendable(name) or not is_name(name):
            return []
        found: dict[str, Record] = self.fetch(view, [name])
        definition = view.definition
        for shape in self.shapes(view):
            columns = [
                column
                for each in NAMES
                if each in definition.fields
                for column in shape.columns_of(definition.fields[each].native)
            ]
            for column in dict.fromkeys(columns):
                value: Parameter = name
                if column == "TxnNumber":
                    if not (name.isascii() and name.isdigit() and len(name) < 10):
                        continue
                    value = int(name)
                statement = select(
                    _once([*shape.header(), column]), shape.kind.table, [(column, "=", [value])], top=FOUND
                )
                found |= self._exactly(shape, statement_rows(self._client, statement), column, name)
        some = list(found.values())[:FOUND]
        return self.complete(view, some)

    def _exactly(
        self, shape: Shape, rows: Iterable[tuple[Columns, Sequence[Row]]], column: str, name: str
    ) -> dict[str, Record]:
        """Return the records of which a column is just this; drivers compare without regard to case."""
        found: dict[str, Record] = {}
        incomplete = needs_lines(shape.view)
        for names, some in rows:
            read, at = shape.read(names), names.index(column.lower())
            for row in some:
                record = read.record(row, complete=not incomplete) if str(row[at]) == name else None
                if record is not None:
                    found[record.id] = record
        return found

    def matching(self, view: View, where: Where) -> list[Record]:
        """Return the headers of an object that meet all conditions."""
        return [record for shape in self.shapes(view) for chunk in self._headers(shape, where) for record in chunk]

    def lines(self, view: View, ids: Collection[str]) -> Mapping[str, list[Line]]:
        """Return the lines of transactions by id, in the order of their tables and then of their numbers."""
        shape = self.shapes(view)[0]
        found: dict[str, list[Line]] = {}
        for table in shape.tables.lines:
            columns = [shape.tables.key, *shape.line_columns(table)]
            order = [shape.tables.key, table.order]
            for some in _chunks(sorted(ids)):
                statement = select(columns, table.table, [(shape.tables.key, "IN", some)], order=order)
                for names, rows in rows_of(self._client.rows(statement)):
                    read = shape.read_line(table, names)
                    for row in rows:
                        found.setdefault(str(row[0]), []).append(read(row))  # type: ignore[arg-type]  # as in `_whole`
        return found

    def told_since(self, view: View) -> dt.timedelta | None:
        """Return how far back deletions are told, None where they are not."""
        return KEPT if view.definition.deletes else None

    def _stream(
        self, shape: Shape, since: dt.datetime | None, until: dt.datetime | None, *, whole: bool
    ) -> Iterator[list[Record]]:
        """Yield records of a window, as many at a time as the driver gives.

        :param whole: with lines, where one table holds headers and lines.
        """
        where = self._bounds(since, until)
        required = shape.view.definition.lines is not None and shape.view.definition.lines.required
        if whole and needs_lines(shape.view) and required and len(shape.tables.lines) == 1:
            chunks = self._whole(shape, shape.tables.lines[0], where)
        else:
            chunks = self._headers(shape, where)
        if since is None and until is None:
            return chunks
        return ([record for record in chunk if _inside(record.modified, since, until)] for chunk in chunks)

    def _bounds(self, since: dt.datetime | None, until: dt.datetime | None, column: str = MODIFIED) -> Where:
        zone = self._place.zone
        where: list[tuple[str, str, Sequence[Parameter]]] = []
        where += [(column, ">=", [earliest(since, zone)])] if since is not None else []
        where += [(column, "<=", [local(until, zone)])] if until is not None else []
        return where

    def _headers(self, shape: Shape, where: Where) -> Iterator[list[Record]]:
        whole = not needs_lines(shape.view)
        order = [MODIFIED, shape.tables.key]
        read: Reader | None = None
        for names, rows in rows_of(self._client.rows(select(shape.header(), shape.kind.table, where, order=order))):
            read = read or shape.read(names)
            found = [read.record(row, None, whole) for row in rows]
            yield [record for record in found if record is not None]

    def _whole(self, shape: Shape, lines: Lines, where: Where) -> Iterator[list[Record]]:
        """Yield transactions with their lines from the one table of lines."""
        columns = [*shape.header(), *shape.line_columns(lines)]
        order = [MODIFIED, shape.tables.key, lines.order]
        statement = select(_once(columns), lines.table, where, order=order)
        first: Row | None = None
        read: Reader | None = None
        made: list[Line] = []
        key = ""
        for names, rows in rows_of(self._client.rows(statement)):
            if read is None:
                read, line = shape.read(names), shape.read_line(lines, names)
            at = read.key
            found: list[Record | None] = []
            for row in rows:
                if row[at] != key:
                    if first is not None:
                        found.append(read.record(first, tuple(made)))
                    first, made, key = row, [], row[at]
                made.append(line(row))  # type: ignore[arg-type]  # a line has no lines of its own
            yield [record for record in found if record is not None]
        if read is not None and first is not None and (last := read.record(first, tuple(made))) is not None:
            yield [last]

    def _deleted(self, view: View, since: dt.datetime, until: dt.datetime | None) -> Iterator[Record]:
        tables = TABLES[view.object]
        trail, kind = ("ListDeleted", "ListDelType") if tables.is_list else ("TxnDeleted", "TxnDelType")
        zone = self._place.zone
        found: list[Record] = []
        for name in tables.gone:
            where = [(kind, "=", [name]), *self._bounds(since, until, DELETED)]
            for row in self._client.all(select([tables.key, DELETED], trail, where)):
                when = as_moment(row[DELETED.lower()], zone)
                if _inside(when, since, until):
                    found.append(Record(str(row[tables.key.lower()]), {}, "", when, deleted=True, active=False))
        yield from sorted({record.id: record for record in found}.values(), key=_order)


def statement_rows(client: Client, statement: Any) -> Iterable[tuple[Columns, Sequence[Row]]]:
    """Return the rows of a statement in parts, each with the columns' names."""
    return rows_of(client.rows(statement))


def _once(columns: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(columns))


def _lines_of(record: Record) -> tuple[Line, ...]:
    lines = record.values.get("lines")
    return lines if isinstance(lines, tuple) else ()


def _paged(chunks: Iterable[list[Record]], size: int) -> Iterator[list[Record]]:
    """Yield the same records in pages of a size; no empty ones."""
    rest: list[Record] = []
    for chunk in chunks:
        rest = rest + chunk if rest else chunk
        while len(rest) >= size:
            page, rest = rest[:size], rest[size:]
            yield page
    if rest:
        yield rest


def _merged(streams: Sequence[Iterator[list[Record]]]) -> Iterator[list[Record]]:
    """Yield the records of several streams, each in order, as one in order."""
    singles = ((record for chunk in stream for record in chunk) for stream in streams)
    return ([record] for record in heapq.merge(*singles, key=_order))


def _ids(ids: Collection[str]) -> list[str]:
    return sorted({ident for ident in ids if _ID.fullmatch(ident)})


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), IN_MOST):
        yield ids[start : start + IN_MOST]


def _cut(moment: dt.datetime | None) -> dt.datetime | None:
    return moment.replace(microsecond=0) if moment is not None else None


def _inside(moment: dt.datetime | None, since: dt.datetime | None, until: dt.datetime | None) -> bool:
    if moment is None:
        return True
    return (since is None or since <= moment) and (until is None or moment < until)


def _order(record: Record) -> tuple[dt.datetime, str]:
    return record.modified or dt.datetime.min.replace(tzinfo=dt.UTC), record.id
