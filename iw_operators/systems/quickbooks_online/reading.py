"""Reading: what changed, everything, some by id, some by name.

Order and completeness. Pages of a query are ordered by time of change and start at the last time seen (`>=`), not at
a position: rows that change while paging move to the end and push nobody out of a page. Rows of that last time that
came already are dropped by id. Where more rows than a page share one second, that second is paged by position in
order of Id, each page beginning with the row that ended the one before; if it does not, a row has left the second
meanwhile and the second is read again.

Intuit shows times to the second, cut off. Both bounds are therefore cut off to the second too, so that windows that
follow one another tell of each row once, and the window's filter is applied to what the rows say.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from iw_operators.errors import FixConfiguration
from iw_operators.systems.base import View, Window
from iw_operators.systems.fitting import sendable
from iw_operators.systems.http import is_name
from iw_operators.systems.quickbooks_online.client import FEED_LIMIT, Client
from iw_operators.systems.quickbooks_online.codec import is_deleted, modified_of
from iw_operators.systems.quickbooks_online.query import PAGE, literal, select

log = structlog.get_logger(__name__)

FEED: Final = dt.timedelta(days=29)  # Intuit's change feed reaches back 30 days; a day of margin
SECOND: Final = dt.timedelta(seconds=1)
IDS: Final = 250  # ids in one query
CHANGED: Final = "MetaData.LastUpdatedTime"
MADE: Final = "MetaData.CreateTime"
UNSUPPORTED: Final = "500"  # what the feed answers for a time that is too long ago
FOUND: Final = 10  # rows that a search by name brings at the most
NAME_FIELDS: Final = ("full_name", "name", "number", "reference")  # neutral fields that `find` looks in

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads rows of one company. `now` is the time by which the age of a window is judged, `page` a query's rows."""

    client: Client
    now: Callable[[], dt.datetime]
    page: int = PAGE
    _cut: set[str] = field(default_factory=set)  # objects whose feed may have left something out

    def changes(self, view: View, window: Window) -> Iterator[list[Row]]:
        """Yield rows with since <= changed < until, oldest first, in pages of at most `PAGE`.

        Rows that changed before the window's `after` are left out, deletions are not.

        Through the change feed where the window begins less than 30 days ago (one request, deletions included);
        through queries for older windows and when the feed is full. Deletions then come last, from the feed as far
        as it tells: nothing at Intuit tells of deletions of more than 30 days ago, and a full feed shows all of them
        only if it begins with the oldest.
        """
        since = window.since.replace(microsecond=0) if window.since else None
        until = window.until.replace(microsecond=0) if window.until else None
        after = window.after.replace(microsecond=0) if window.after else None
        recent = since is not None and self.now() - since < FEED
        deleted: list[Row] = []
        if since is not None and (recent or view.definition.deletes):
            begin = since if recent else self.now() - FEED
            feed = self._feed(view, begin)
            if recent and feed is not None and len(feed) < FEED_LIMIT:
                told = (row for row in feed if _inside(row, since, until))
                yield sorted((r for r in told if is_deleted(r) or _inside(r, after, None)), key=_order)
                return
            if feed is not None and len(feed) >= FEED_LIMIT:
                self._cut.add(view.object)
            log.info("reading by query", object=view.object, feed_is_full=recent and feed is not None)
            if feed is not None and view.definition.deletes:
                deleted = [row for row in self._deletions(view, begin, feed) if _inside(row, since, until)]
        begin_at = max(filter(None, (since, after)), default=None)
        for page in self.pages(view, begin_at, until):
            yield [row for row in page if _inside(row, begin_at, until)]
        yield sorted(deleted, key=_order)

    def count(self, view: View, window: Window) -> int:
        """Return how many rows changed in the window, inactive ones included, deleted ones not; one request."""
        since, until = (edge.replace(microsecond=0) if edge else None for edge in (window.since, window.until))
        (found,) = self.client.counts([(view.object, _bounds(view, since, until))])
        return found

    def _feed(self, view: View, since: dt.datetime) -> list[Row] | None:
        """Return what the feed tells, None when it does not reach back that far by Intuit's own clock."""
        try:
            return self.client.changed_since(view.object, since)
        except FixConfiguration as error:
            if error.code != UNSUPPORTED:
                raise
            return None

    def _deletions(self, view: View, since: dt.datetime, feed: list[Row]) -> list[Row]:
        """Return the deletions that the feed tells of, going on after the last change while it is full."""
        deleted: dict[str, Row] = {}
        while True:
            deleted |= {row["Id"]: row for row in feed if is_deleted(row)}
            last = max(map(_changed, feed), default=since)
            if len(feed) < FEED_LIMIT or last <= since:
                return list(deleted.values())
            since = last
            feed = self.client.changed_since(view.object, since)

    def pages(self, view: View, since: dt.datetime | None, until: dt.datetime | None) -> Iterator[list[Row]]:
        """Yield all rows changed in the bounds, inactive ones included, ordered by time of change."""
        seen: set[str] = set()
        bound = since
        while True:
            rows = self._query(view, bound, until, order=CHANGED)
            yield [row for row in rows if row["Id"] not in seen]
            if len(rows) < self.page:
                return
            last = _changed(rows[-1])
            if bound is not None and last <= bound:
                known = seen | {row["Id"] for row in rows}
                for page in self._second(view, bound):
                    yield [row for row in page if row["Id"] not in known]
                bound, seen = bound + SECOND, set()
                continue
            seen = {row["Id"] for row in rows if _changed(row) == last}
            bound = last

    def _second(self, view: View, second: dt.datetime) -> Iterator[list[Row]]:
        """Yield all rows of one second, each once."""
        seen: set[str] = set()
        start, last = 1, ""
        while True:
            rows = self._query(view, second, second + SECOND, order="Id", start=start)
            if last and (not rows or rows[0]["Id"] != last):
                start, last = 1, ""
                continue
            yield [row for row in rows if row["Id"] not in seen]
            seen.update(row["Id"] for row in rows)
            if len(rows) < self.page:
                return
            start, last = start + len(rows) - 1, rows[-1]["Id"]

    def _query(
        self, view: View, since: dt.datetime | None, until: dt.datetime | None, *, order: str, start: int = 1
    ) -> list[Row]:
        conditions = _bounds(view, since, until)
        return self.client.rows(view.object, select(view.object, conditions, order=order, start=start, most=self.page))

    def by_ids(self, view: View, ids: Collection[str]) -> Iterator[list[Row]]:
        """Yield the rows with these ids, inactive ones included. What cannot be an id is left out."""
        for part in _some(ids):
            yield self.client.rows(view.object, select(view.object, _among(view, part)))

    def told_since(self, view: View) -> dt.datetime | None:
        """Return since when the feed has told of every deletion; None for what is never deleted."""
        if not view.definition.deletes:
            return None
        return self.now() if view.object in self._cut else self.now() - FEED

    def existing(self, view: View, ids: Collection[str]) -> set[str]:
        """Return those of the ids that are there, inactive ones included. What cannot be an id is not there.

        Rows are counted, and only where the count is not that of the ids are they read.
        """
        parts = _some(ids)
        counts = self.client.counts([(view.object, _among(view, part)) for part in parts])
        found: set[str] = set()
        for part, count in zip(parts, counts, strict=True):
            if count == len(part):
                found.update(part)
            elif count:
                found.update(row["Id"] for rows in self.by_ids(view, part) for row in rows)
        return found

    def by_name(self, view: View, name: str) -> list[Row]:
        """Return rows whose full name, name, number, reference or id is exactly this; one request."""
        if not sendable(name) or not is_name(name):
            return []
        paths = [view.definition.fields[n].native for n in NAME_FIELDS if n in view.definition.fields]
        selects = [self.select_where(view, path, name) for path in dict.fromkeys(paths) if path != "Id"]
        if name.isascii() and name.isdigit():
            selects.append(self.select_where(view, "Id", name))
        rows = [row for found in self.client.queries([(view.object, s) for s in selects]) for row in found]
        return list({row["Id"]: row for row in rows}.values())[:FOUND]

    @staticmethod
    def select_where(view: View, *terms: str) -> str:
        """Return the query for rows whose attributes have exactly these values: path, value, path, value ..."""
        pairs = zip(terms[::2], terms[1::2], strict=True)
        conditions = [*_with_inactive(view), *(f"{path} = {literal(value)}" for path, value in pairs)]
        return select(view.object, conditions, most=FOUND)

    @staticmethod
    def select_made(view: View, since: dt.datetime, *terms: str) -> str:
        """Return the query for rows that were made since a time and have exactly these values: path, value ..."""
        pairs = zip(terms[::2], terms[1::2], strict=True)
        conditions = [*_with_inactive(view), *(f"{path} = {literal(value)}" for path, value in pairs)]
        return select(view.object, [*conditions, f"{MADE} >= {literal(_iso(since))}"])


def in_pages(pages: Iterator[list[Row]], size: int) -> Iterator[Sequence[Row]]:
    """Yield the same rows in pages of at most `size`; no empty pages."""
    for page in pages:
        for start in range(0, len(page), size):
            yield page[start : start + size]


def _bounds(view: View, since: dt.datetime | None, until: dt.datetime | None) -> list[str]:
    conditions = _with_inactive(view)
    if since is not None:
        conditions.append(f"{CHANGED} >= {literal(_iso(since))}")
    if until is not None:
        conditions.append(f"{CHANGED} < {literal(_iso(until))}")
    return conditions


def _some(ids: Collection[str]) -> list[list[str]]:
    """Return what can be an id, in parts of which a query takes one."""
    wanted = sorted(ident for ident in set(ids) if ident.isascii() and ident.isdigit())
    return [wanted[start : start + IDS] for start in range(0, len(wanted), IDS)]


def _among(view: View, ids: Sequence[str]) -> list[str]:
    return [*_with_inactive(view), f"Id IN ({', '.join(map(literal, ids))})"]


def _with_inactive(view: View) -> list[str]:
    return [f"{view.definition.active} IN (true, false)"] if view.definition.active else []


def _iso(stamp: dt.datetime) -> str:
    return stamp.astimezone(dt.UTC).isoformat(timespec="seconds")


def _changed(row: Row) -> dt.datetime:
    return modified_of(row) or dt.datetime.min.replace(tzinfo=dt.UTC)


def _inside(row: Row, since: dt.datetime | None, until: dt.datetime | None) -> bool:
    changed = _changed(row)
    return (since is None or since <= changed) and (until is None or changed < until)


def _order(row: Row) -> tuple[dt.datetime, str]:
    return _changed(row), row["Id"]
