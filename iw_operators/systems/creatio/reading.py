"""Reading records: what changed, lines and facts, by id, by name, all.

What counts as a change of a record, besides its own stamp: a change of a record that it shows fields of (an account's
primary contact), of its lines, and of the records that its facts are about (an account's opportunities). All of these
are asked for in one HTTP call, so that finding nothing costs one call. Not seen: a line that is deleted (Creatio
keeps no trace of it; the deletion shows at the next change of the record), and records without a stamp.
"""

from __future__ import annotations

import collections
import datetime as dt
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import structlog

from iw_operators.engine.model import Line, Record, Value
from iw_operators.spec.catalogue import RelatedDef
from iw_operators.systems.base import View, Window
from iw_operators.systems.creatio.client import Client
from iw_operators.systems.creatio.codec import KEY, NO_ID, Reader, column_of_link, dig, facts_of, path_of, reader
from iw_operators.systems.creatio.paging import Pages, Row
from iw_operators.systems.creatio.query import Expand, Query, any_of, chains, chunks, guid, text
from iw_operators.systems.fitting import sendable
from iw_operators.systems.http import format_stamp, is_name

log = structlog.get_logger(__name__)

PART_ROWS: Final = 5_000  # rows asked of one part; below Creatio's MaxEntityRowCount of 20,000
FIND: Final = 5
LINE_ORDER: Final = ("CreatedOn", KEY)


@dataclass(slots=True)
class _Touched:
    """A set whose changed rows bring their parents: the pages of it, and where a row names its parent and stamp."""

    pages: Pages
    parent: tuple[str, ...]
    stamp: tuple[str, ...]
    versioned: bool  # whether the row's stamp becomes part of the parent's version

    def parents(self, rows: Iterable[Row]) -> dict[str, str]:
        """Return parent id -> latest stamp."""
        found: dict[str, str] = {}
        for row in rows:
            parent = str(dig(row, self.parent) or NO_ID).lower()
            if parent != NO_ID:
                found[parent] = str(dig(row, self.stamp) or "") if self.versioned else ""
        return found


class Reading:
    """Reads records of one Creatio. :param zone: the company's time zone, for dates."""

    def __init__(self, client: Client, zone: dt.tzinfo) -> None:
        self._client = client
        self._zone = zone

    def changes(self, view: View, window: Window, page_size: int) -> Iterator[Sequence[Record]]:
        """Yield pages of headers. Records that changed themselves come first, oldest change first, then the others.

        Kept in memory: one page, and an id and a stamp of each record of which a line changed.

        Records without a stamp of their own come first, and only where neither `since` nor `after` is given.
        """
        read = reader(view, self._zone)
        since = format_stamp(window.since) if window.since else None
        until = format_stamp(window.until) if window.until else None
        modified = view.definition.modified
        own = Pages(Query(view.object, read.columns), modified, _own_since(window), until, page_size)
        if since is None:
            yield from self._records(read, own)
            return
        older = f"{modified} lt {since}"  # what changed later comes, or came, as a change of its own
        near = [
            Pages(Query(view.object, read.columns, (older,)), f"{name}/{modified}", since, until, page_size)
            for name in read.neighbours
        ]
        touched = list(_touched(read, since, until, max(page_size, PART_ROWS)))
        asked = [own, *near, *(one.pages for one in touched)]
        answers = self._client.read_all([pages.query() for pages in asked])
        first = [_take(pages, answer) for pages, answer in zip(asked, answers, strict=True)]
        # A record that changed itself, and then a line of it, has to come with the version that tells of both.
        changed: dict[str, str] = {}
        for one, rows in zip(touched, first[1 + len(near) :], strict=True):
            for page in self._rest(one.pages, rows) if one.versioned else ():
                changed |= one.parents(page)
        yield from self._records(read, own, first[0], changed)
        given: set[bytes] = set()
        for pages, rows in zip(near, first[1:], strict=False):
            for page in self._rest(pages, rows):
                if fresh := _fresh(given, {str(row[KEY]): row for row in page}):
                    yield [read.record(row) for row in fresh.values()]
        for one, rows in zip(touched, first[1 + len(near) :], strict=True):
            found = (changed,) if one.versioned else map(one.parents, self._rest(one.pages, rows))
            for stamps in found:
                for some in chunks(_fresh(given, stamps).items(), page_size):
                    if parents := self._parents(read, dict(some), older):
                        yield parents

    def count(self, view: View, window: Window) -> int:
        """Return how many records themselves changed in the window; one HTTP call."""
        modified = view.definition.modified
        bounds = [f"{modified} ge {format_stamp(window.since)}"] if window.since else []
        bounds += [f"{modified} lt {format_stamp(window.until)}"] if window.until else []
        columns = Expand(frozenset({KEY}))
        answer = self._client.read(Query(view.object, columns, tuple(bounds), (KEY,), top=1, count=True))
        return int(answer.get("@odata.count", len(_rows(answer))))

    def scan(self, view: View, since: dt.datetime | None, page_size: int) -> Iterator[Sequence[Record]]:
        """Yield all records, headers only, or those whose own stamp is not older than `since`."""
        read = reader(view, self._zone)
        low = format_stamp(since) if since else None
        yield from self._records(
            read, Pages(Query(view.object, read.columns), view.definition.modified, low, None, page_size)
        )

    def complete(self, view: View, records: Sequence[Record]) -> list[Record]:
        """Return the records with lines and facts; one HTTP call for up to 4,000 of them."""
        read = reader(view, self._zone)
        if not records or not (view.lines or read.linked):
            return [record if record.complete else replace(record, complete=True) for record in records]
        ids = [record.id for record in records]
        queries = list(_detail_queries(read, ids))
        details = _Details(read)
        for number, rows in self._parts(queries):
            details.add(queries[number], rows)
        return [details.of(record) for record in records]

    def fetch(self, view: View, ids: Collection[str]) -> dict[str, Record]:
        """Return the records with these ids, complete; one HTTP call for up to 4,000 (2,000 with lines or facts)."""
        read = reader(view, self._zone)
        heads = [Query(view.object, read.columns, (chain,), (KEY,), PART_ROWS) for chain in chains(KEY, ids)]
        queries = [*heads, *_detail_queries(read, ids)]
        found: dict[str, Record] = {}
        details = _Details(read)
        for number, rows in self._parts(queries):
            if number < len(heads):
                found.update((record.id, record) for record in map(read.record, rows))
            else:
                details.add(queries[number], rows)
        return {key: details.of(record) for key, record in found.items()}

    def existing(self, view: View, ids: Collection[str]) -> list[str]:
        """Return those of the ids that are there, as they were given; Ids alone are read, 4,000 an HTTP call."""
        columns = Expand(frozenset({KEY}))
        queries = [Query(view.object, columns, (chain,), (KEY,), PART_ROWS) for chain in chains(KEY, ids)]
        there = {str(row[KEY]).lower() for rows in self._every(queries) for row in rows}
        return [each for each in ids if each.lower() in there]

    def find(self, view: View, name: str) -> list[Record]:
        """Return records with this name, full name or id, complete; at most five."""
        if not is_name(name):  # where a record has no full name, Creatio has an empty text
            return []
        if not sendable(name):
            return []
        read = reader(view, self._zone)
        full = view.fields.get("full_name")
        natives = {"/".join(read.label), full.native if full else ""} - {""}
        where = [f"{native} eq {text(name)}" for native in sorted(natives)]
        if literal := guid(name):
            where.append(f"{KEY} eq {literal}")
        query = Query(view.object, read.columns, (any_of(where),), order=(KEY,), top=FIND)
        return self.complete(view, [read.record(row) for row in _rows(self._client.read(query))])

    def _records(
        self, read: Reader, pages: Pages, first: Sequence[Row] = (), changed: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[list[Record]]:
        """:param changed: stamps of the latest change of a line, by the id of its record."""
        size = pages.size
        for page in self._rest(pages, first):
            for rows in chunks(page, size):
                yield [read.record(row, changed.get(str(row[KEY]).lower(), "")) for row in rows]

    def _rest(self, pages: Pages, first: Sequence[Row]) -> Iterator[Sequence[Row]]:
        """Yield the first page, if there is something in it, and all that follow."""
        if first:
            yield first
        while not pages.done:
            if rows := _take(pages, self._client.read(pages.query())):
                yield rows

    def _parents(self, read: Reader, stamps: Mapping[str, str], older: str) -> list[Record]:
        queries = [
            Query(read.view.object, read.columns, (chain, older), (KEY,), PART_ROWS) for chain in chains(KEY, stamps)
        ]
        return [
            read.record(row, stamps.get(str(row[KEY]).lower(), "")) for rows in self._every(queries) for row in rows
        ]

    def _every(self, queries: Sequence[Query]) -> list[list[Row]]:
        """Return the rows of each query, each row once."""
        found: list[dict[str, Row]] = [{} for _ in queries]
        for number, rows in self._parts(queries):
            found[number].update((str(row[KEY]), row) for row in rows)
        return [list(rows.values()) for rows in found]

    def _parts(self, queries: Sequence[Query]) -> Iterator[tuple[int, list[Row]]]:
        """Yield the number of a query and rows of its answer; what does not fit into one is asked for further.

        A row that moves meanwhile may come twice.
        """
        asked = [(number, replace(query, count=True)) for number, query in enumerate(queries)]
        while asked:
            further = []
            answers = self._client.read_all([query for _, query in asked])
            for (number, query), answer in zip(asked, answers, strict=True):
                rows = _rows(answer)
                yield number, rows
                reached = query.skip + len(rows)
                if rows and (reached < answer.get("@odata.count", 0) or "@odata.nextLink" in answer):
                    further.append((number, replace(query, skip=reached)))
            asked = further


def _own_since(window: Window) -> str | None:
    """Return from when on records' own changes are read."""
    stamps = [stamp for stamp in (window.since, window.after) if stamp is not None]
    return format_stamp(max(stamps)) if stamps else None


class _Details:
    """Lines and facts, gathered from the answers to `_detail_queries`.

    Of the records that facts are about only their stages are kept: a product may be on any number of lines.
    """

    def __init__(self, read: Reader) -> None:
        self._read = read
        self._lines: dict[str, dict[str, Line]] = collections.defaultdict(dict)
        self._stages: dict[tuple[str, str], set[Any]] = collections.defaultdict(set)

    def add(self, query: Query, rows: Iterable[Row]) -> None:
        read = self._read
        name = query.about
        if not name:
            for row in rows:
                self._lines[str(row[read.parent_column]).lower()][str(row[KEY])] = read.line(row)
            return
        related = read.linked[name]
        parent, stage = column_of_link(related.link), path_of(related.stage)
        for row in rows:
            self._stages[name, str(dig(row, parent)).lower()].add(dig(row, stage))

    def of(self, record: Record) -> Record:
        values: dict[str, Value] = dict(record.values)
        if self._read.view.lines:
            values["lines"] = tuple(self._lines.get(record.id, {}).values())
        facts = record.facts
        for name, related in self._read.linked.items():
            facts |= facts_of(related, self._stages.get((name, record.id), ()))
        return replace(record, values=values, facts=facts, complete=True)


def _detail_queries(read: Reader, ids: Collection[str]) -> Iterator[Query]:
    """Yield the queries for lines (`about` is empty) and for facts (`about` names the fact)."""
    lines = read.view.definition.lines
    if read.view.lines and lines:
        for chain in chains(read.parent_path, ids):
            yield Query(lines.native, read.line_columns, (chain,), LINE_ORDER, PART_ROWS)
    for name, related in read.linked.items():
        columns = Expand(frozenset({KEY})).with_path(column_of_link(related.link)).with_path(path_of(related.stage))
        for chain in chains(related.link, ids):
            yield Query(related.set, columns, (chain,), (KEY,), PART_ROWS, about=name)


def _touched(read: Reader, since: str, until: str | None, size: int) -> Iterator[_Touched]:
    definition = read.view.definition
    if read.view.lines and definition.lines:
        stamp = definition.modified
        columns = Expand(frozenset({KEY, stamp, read.parent_column}))
        pages = Pages(Query(definition.lines.native, columns), stamp, since, until, size)
        yield _Touched(pages, (read.parent_column,), (stamp,), versioned=True)
    for related in read.linked.values():
        for stamp in _stamps(related, definition.modified):
            parent = column_of_link(related.link)
            columns = Expand(frozenset({KEY})).with_path(path_of(stamp)).with_path(parent)
            pages = Pages(Query(related.set, columns), stamp, since, until, size)
            yield _Touched(pages, parent, path_of(stamp), versioned=False)


def _stamps(related: RelatedDef, modified: str) -> tuple[str, ...]:
    """Return the stamps of a fact: a stage that belongs to a third record changes with that, and with the link."""
    return (related.modified,) if "/" not in related.modified else (related.modified, modified)


def _fresh(given: set[bytes], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what has not been given yet, and note it; ids are kept as 16 bytes each."""
    fresh = {}
    for key, value in found.items():
        packed = uuid.UUID(key).bytes
        if packed not in given:
            given.add(packed)
            fresh[key] = value
    return fresh


def _take(pages: Pages, answer: Mapping[str, Any]) -> list[Row]:
    return pages.take({**answer, "value": _rows(answer)})


def _rows(answer: Mapping[str, Any]) -> list[Row]:
    rows: list[Row] = answer["value"]  # the client has looked
    return rows
