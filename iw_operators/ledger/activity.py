"""What a company's flows did in a time, and which records failed anew: what mails tell."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from iw_operators.ledger.database import Database
from iw_operators.ledger.failures import FAILING, GIVEN_UP, SETTLED
from iw_operators.ledger.flow_tables import failure
from iw_operators.ledger.runs import RANK, TELLING
from iw_operators.ledger.tables import log, run

_f, _l, _r = failure.c, log.c, run.c
T = TypeVar("T")

LONGEST_RUN: Final = dt.timedelta(days=60)  # runs that began earlier are not looked for
DONE_WITH: Final = (*SETTLED, GIVEN_UP)  # by a run or by a person
_OF_RECORD: Final = ("mapping", "side", "source_id", "label", "action", "code", "why", "advice", "field", "last_at")


@dataclass(frozen=True, slots=True)
class FailedRecord:
    """A record that failed, as far as people are told: its name, why, and what to do.

    :param waits: it waits for records that it points at, and goes by itself.
    """

    mapping: str
    side: str
    source_id: str
    label: str
    action: str
    code: str
    why: str
    advice: str
    field: str
    last_at: dt.datetime
    waits: bool = False


@dataclass(frozen=True, slots=True)
class SettledRecord:
    """A record that had failed: fixed, reprocessed or given up, by which flow or whom, and why."""

    mapping: str
    source_id: str
    label: str
    state: str
    by: str
    why: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class FlowActivity:
    """What one flow did: its runs that ended in the time (by state), its records (by `Action` value), and why the
    last of its runs that failed did.
    """

    flow: str
    runs: Mapping[str, int]
    counts: Mapping[str, int]
    error: str
    error_run: int | None


class Activity(Database):
    """The ledger's answers to what happened."""

    def new_failures(self, company: str, run_id: int, *, limit: int) -> tuple[list[FailedRecord], int]:
        """Return records that failed in a run and are news, and how many there are.

        No news is a record that failed the last time for the very same reason, and one that waits for references.
        """
        before = (
            sa.select(_l.code + "\n" + _l.why)
            .where(_l.company == _f.company, _l.mapping == _f.mapping, _l.source_id == _f.source_id)
            .where(_l.side == _f.side, _l.run_id < run_id, _l.action.in_(FAILING), _l.standing != "superseded")
            .order_by(_l.id.desc())
            .limit(1)
            .scalar_subquery()
        )
        another = sa.func.coalesce(before, "") != _f.code + "\n" + _f.why
        news = sa.and_(_f.run_id == run_id, _f.state == "open", sa.not_(_waits()), sa.or_(_f.attempts == 1, another))
        query = sa.select(*_record(), sa.func.count().over().label("number")).where(_f.company == company, news)
        query = query.order_by(_f.mapping, _f.id).limit(limit)
        return self._read(lambda c: _with_number(c, query, FailedRecord))

    def still_open(self, company: str, *, limit: int) -> tuple[list[FailedRecord], int]:
        """Return records whose last attempt failed, the latest first, and how many there are."""
        query = sa.select(*_record(), sa.func.count().over().label("number"))
        query = query.where(_f.company == company, _f.state == "open").order_by(_f.last_at.desc(), _f.id.desc())
        return self._read(lambda c: _with_number(c, query.limit(limit), FailedRecord))

    def settled(
        self, company: str, since: dt.datetime, until: dt.datetime, *, limit: int
    ) -> tuple[list[SettledRecord], int]:
        """Return records that had failed and were settled in a time, and how many there are."""
        columns = (_f.mapping, _f.source_id, _f.label, _f.state, _f.settled_by, _f.settled_why, _f.settled_at)
        query = (
            sa.select(*columns, sa.func.count().over())
            .where(_f.company == company, _f.state.in_(DONE_WITH), _f.settled_at >= since, _f.settled_at < until)
            .order_by(_f.settled_at, _f.id)
            .limit(limit)
        )
        return self._read(lambda c: _with_number(c, query, SettledRecord))

    def activity(self, company: str, since: dt.datetime, until: dt.datetime) -> list[FlowActivity]:
        """Return what each flow did whose runs ended in a time, or are at work; by the flow's id."""
        here = (
            _r.company == company,
            _r.started_at >= since - LONGEST_RUN,
            _r.started_at < until,
            sa.or_(sa.and_(_r.ended_at >= since, _r.ended_at < until), _r.state == "running"),
        )
        runs = sa.select(_r.flow, _r.state, sa.func.count()).where(*here).group_by(_r.flow, _r.state)
        telling = (
            sa.select(_l.run_id, sa.func.min(RANK).label("place"))
            .where(_l.company == company, _l.standing.in_(("counted", "earlier")))
            .where(_l.run_id.in_(sa.select(_r.id).where(*here)))
            .group_by(_l.run_id, _l.mapping, _l.source_id)
            .subquery()
        )
        counts = (
            sa.select(_r.flow, telling.c.place, sa.func.count())
            .join(telling, telling.c.run_id == _r.id)
            .group_by(_r.flow, telling.c.place)
        )
        latest = sa.select(sa.func.max(_r.id)).where(*here, _r.state == "failed").group_by(_r.flow)
        failed = sa.select(_r.flow, _r.error, _r.id).where(_r.id.in_(latest))

        def work(connection: Connection) -> list[FlowActivity]:
            by_flow: dict[str, tuple[dict[str, int], dict[str, int]]] = {}
            for flow, state, number in connection.execute(runs):
                by_flow.setdefault(flow, ({}, {}))[0][state] = number
            for flow, place, number in connection.execute(counts):
                by_flow[flow][1][TELLING[place].value] = number
            errors = {flow: (error, run_id) for flow, error, run_id in connection.execute(failed)}
            return [FlowActivity(flow, *by_flow[flow], *errors.get(flow, ("", None))) for flow in sorted(by_flow)]

        return self._read(work)

    def has_run(self, company: str, before: dt.datetime) -> bool:
        """Tell whether any flow of a company had begun a run before a time."""
        query = sa.select(sa.exists().where(_r.company == company, _r.started_at < before))
        return bool(self._read(lambda c: c.scalar(query)))


def _waits() -> sa.ColumnElement[bool]:
    return sa.cast(_f.awaits, sa.Text) != "[]"


def _record() -> list[sa.ColumnElement[Any]]:
    return [*(_f[name] for name in _OF_RECORD), _waits().label("waits")]


def _with_number(connection: Connection, query: sa.Select[Any], make: Callable[..., T]) -> tuple[list[T], int]:
    """Return the rows, each as `make` makes it of all but its last column, and that column: how many there are."""
    rows = connection.execute(query).all()
    return [make(*row[:-1]) for row in rows], rows[0][-1] if rows else 0
