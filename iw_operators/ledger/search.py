"""Searching the record log (R9): newest rows first, page by page, as fast with a million rows as with a thousand.

Flow, run, record, state, code and time are looked up in indexes. What no index serves (a text, a mapping, rows that
say that nothing was to do) is looked for among the rows that the others leave, newest first and some tens of
thousands at a time, so that the first page comes at once and says how far back it has looked.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from iw_operators.engine.model import Action
from iw_operators.ledger.codec import can_be_stored, decode_awaits, decode_candidates, decode_changes
from iw_operators.ledger.database import Database, mentioning
from iw_operators.ledger.model import Cursor, LogRow
from iw_operators.ledger.tables import log
from iw_operators.spec.resolved import Side

_l = log.c

SLICE: Final = 20_000  # rows that are looked through at a time
BUDGET: Final = 100_000  # rows that one page looks through at the most
_PLAIN = (
    *("id", "at", "sent_at", "company", "flow", "run_id", "mapping", "fingerprint", "attempt", "side"),
    *("source_id", "label", "operation", "why", "code", "advice", "field"),
)
_NEWEST = (_l.at.desc(), _l.id.desc())


@dataclass(frozen=True, slots=True)
class LogPage:
    """A page of the log. `before` is where the next one goes on; None: there is no more.

    A page may hold fewer rows than were asked for, or none, and still have a `before`: that far back was looked.
    """

    rows: tuple[LogRow, ...]
    before: Cursor | None


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which rows of a company's log are wanted; what is None or empty does not count.

    :param source_id: a record of the side that was read. :param action: a state, such as `rejected`.
    :param since: rows at or after; `until`: rows before. :param text: in ids, name, reason or code, whatever its case.
    """

    company: str
    flow: str | None = None
    run_id: int | None = None
    mapping: str | None = None
    side: Side | None = None
    source_id: str | None = None
    action: Action | str | None = None
    code: str | None = None
    text: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None

    def indexed(self, mappings: Iterable[str] | None) -> list[sa.ColumnElement[bool]]:
        """Return the conditions that an index serves; `mappings` are all there are, where a record is looked for."""
        found: list[sa.ColumnElement[bool]] = [_l.company == self.company]
        for column, value in ((_l.flow, self.flow), (_l.run_id, self.run_id), (_l.code, self.code)):
            if value is not None:
                found.append(column == value)
        if self.source_id is not None:
            found.append(_l.source_id == self.source_id)
            found.append(_l.mapping == self.mapping if self.mapping is not None else _l.mapping.in_(mappings or ()))
        if self.action is not None and not self._usual:
            found.append(_l.action == str(self.action))
        found += [_l.at >= self.since] if self.since is not None else []
        found += [_l.at < self.until] if self.until is not None else []
        return found

    def others(self) -> list[sa.ColumnElement[bool]]:
        """Return the conditions that no index serves."""
        found: list[sa.ColumnElement[bool]] = []
        if self.mapping is not None and self.source_id is None:
            found.append(_l.mapping == self.mapping)
        if self.side is not None:
            found.append(_l.side == self.side)
        if self._usual:
            found.append(_l.action == str(self.action))
        if self.text:
            places = (_l.label, _l.source_id, _l.target_id, _l.why, _l.code)
            found.append(mentioning(self.text, places))
        return found

    @property
    def _usual(self) -> bool:
        return self.action is not None and str(self.action) == Action.UNCHANGED.value


class LogSearch(Database):
    """The ledger's record log, to be read."""

    def log(
        self,
        *,
        company: str,
        flow: str | None = None,
        run_id: int | None = None,
        mapping: str | None = None,
        side: Side | None = None,
        source_id: str | None = None,
        action: Action | str | None = None,
        code: str | None = None,
        text: str | None = None,
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
        limit: int = 100,
        before: Cursor | None = None,
    ) -> list[LogRow]:
        """Return log rows of a company, newest first; the parameters are those of `LogQuery`.

        Looks through the whole log if need be: with a rare text in a large log that takes seconds (see `log_page`).

        :param before: the `cursor` of the last row of the page before.
        """
        query = LogQuery(company, flow, run_id, mapping, side, source_id, action, code, text, since, until)
        found: list[LogRow] = []
        while True:
            page = self._page(query, limit - len(found), before)
            found += page.rows
            before = page.before
            if before is None or len(found) >= limit:
                return found

    def log_page(
        self, company: str, query: LogQuery | None = None, *, limit: int = 100, before: Cursor | None = None
    ) -> LogPage:
        """Return a page of a company's log within a fraction of a second, however large the log is.

        :param query: which rows; its company has to be the same one (ValueError).
        :param before: the page before's `before`.
        """
        query = query or LogQuery(company)
        if query.company != company:
            msg = "The query is about another company."
            raise ValueError(msg)
        return self._page(query, limit, before)

    def record_history(
        self,
        company: str,
        mapping: str,
        side: Side,
        source_id: str,
        *,
        limit: int = 100,
        before: Cursor | None = None,
    ) -> list[LogRow]:
        """Return what was done with one record of a mapping, newest first: all its rows, of all flows and runs."""
        return self.log(company=company, mapping=mapping, side=side, source_id=source_id, limit=limit, before=before)

    def log_row(self, company: str, row_id: int) -> LogRow | None:
        """Return one row of a company's log by its id; None when there is none (any more)."""
        query = sa.select(log).where(_l.company == company, _l.id == row_id)

        def work(connection: Connection) -> LogRow | None:
            row = connection.execute(query).mappings().one_or_none()
            return _log_row(row) if row is not None else None

        return self._read(work)

    def rejections(self, run_ids: Iterable[int], limit: int, *, company: str | None = None) -> list[LogRow]:
        """Return the most telling rejections of runs: one example a code and field, with how many records it had."""
        wanted = [_l.run_id.in_(list(run_ids)), _l.action == Action.REJECT.value, _l.standing != "superseded"]
        if company is not None:
            wanted.append(_l.company == company)
        record = [_l.run_id, _l.mapping, _l.source_id]
        newest = sa.func.row_number().over(partition_by=record, order_by=_l.id.desc()).label("newest")
        rows = sa.select(log, newest).where(*wanted).subquery()
        group = [rows.c.code, rows.c.field]
        grouped = (
            sa.select(
                rows,
                sa.func.count().over(partition_by=group).label("number"),
                sa.func.row_number().over(partition_by=group, order_by=rows.c.id).label("place"),
            )
            .where(rows.c.newest == 1)
            .subquery()
        )
        query = sa.select(grouped).where(grouped.c.place == 1).order_by(grouped.c.number.desc(), grouped.c.id)
        query = query.limit(limit)
        return self._read(lambda c: [_log_row(row, row["number"]) for row in c.execute(query).mappings()])

    def _page(self, query: LogQuery, limit: int, before: Cursor | None) -> LogPage:
        if query.source_id is not None and not can_be_stored(query.source_id):
            return LogPage((), None)

        def work(connection: Connection) -> LogPage:
            all_of_them = query.source_id is not None and query.mapping is None
            indexed = query.indexed(_mappings(connection, query.company) if all_of_them else None)
            others = query.others()
            if not others:
                return _first(connection, indexed, limit, before)
            return _looked_through(connection, indexed, others, limit, before)

        return self._read(work)


def _first(connection: Connection, wanted: list[sa.ColumnElement[bool]], limit: int, before: Cursor | None) -> LogPage:
    query = sa.select(log).where(*wanted, *_older(before)).order_by(*_NEWEST).limit(limit)
    rows = tuple(_log_row(row) for row in connection.execute(query).mappings())
    return LogPage(rows, rows[-1].cursor if rows and len(rows) == limit else None)


def _looked_through(
    connection: Connection,
    indexed: list[sa.ColumnElement[bool]],
    others: list[sa.ColumnElement[bool]],
    limit: int,
    before: Cursor | None,
) -> LogPage:
    rows: list[LogRow] = []
    for _ in range(BUDGET // SLICE):
        slice_ = sa.select(_l.at, _l.id).where(*indexed, *_older(before)).order_by(*_NEWEST)
        end = connection.execute(slice_.offset(SLICE - 1).limit(1)).one_or_none()
        bounds = [*_older(before), *([sa.tuple_(_l.at, _l.id) >= sa.tuple_(end.at, end.id)] if end else [])]
        wanted = sa.select(log).where(*indexed, *bounds, *others).order_by(*_NEWEST).limit(limit - len(rows))
        rows += [_log_row(row) for row in connection.execute(wanted).mappings()]
        if len(rows) >= limit:
            return LogPage(tuple(rows), rows[-1].cursor)
        if end is None:
            return LogPage(tuple(rows), None)
        before = Cursor(end.at, end.id)
    return LogPage(tuple(rows), before)


def _older(before: Cursor | None) -> list[sa.ColumnElement[bool]]:
    return [sa.tuple_(_l.at, _l.id) < sa.tuple_(before.at, before.id)] if before is not None else []


def _mappings(connection: Connection, company: str) -> list[str]:
    """Return the mappings that a company's log speaks of, by as many steps in an index as there are mappings."""
    first = sa.select(sa.func.min(_l.mapping).label("mapping")).where(_l.company == company)
    found = first.cte("found", recursive=True)
    later = sa.select(sa.func.min(_l.mapping)).where(_l.company == company, _l.mapping > found.c.mapping)
    found = found.union_all(sa.select(later.scalar_subquery()).where(found.c.mapping.is_not(None)))
    return list(connection.scalars(sa.select(found.c.mapping).where(found.c.mapping.is_not(None))))


def _log_row(row: Mapping[Any, Any], count: int = 1) -> LogRow:
    return LogRow(
        **{name: row[name] for name in _PLAIN},
        target_id=row["target_id"] or None,
        action=Action(row["action"]),
        changes=decode_changes(row["changes"]),
        candidates=decode_candidates(row["candidates"]),
        awaits=decode_awaits(row["awaits"]),
        count=count,
    )
