"""What the page reads of the ledger: few statements a page, however many flows a company has."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Connection

from iw_operators.ledger.database import Database, among
from iw_operators.ledger.flow_tables import alarm, failure, flow_count, maintenance, review, turn
from iw_operators.ledger.store import Ledger
from iw_operators.ledger.tables import query_start, run, run_mapping

SECONDS = 5  # that a statement of a page may take; a search that is too wide says so instead of holding the server up


@dataclass(frozen=True, slots=True)
class Mapped:
    """One mapping of a run, as its latest attempt left it."""

    mapping: str
    attempt: int
    read: int | None
    counts: Mapping[str, int]
    done: int | None
    total: int | None
    started_at: dt.datetime
    progress_at: dt.datetime | None
    ended_at: dt.datetime | None
    reached: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run of a flow as the ledger has it."""

    id: int
    company: str
    flow: str
    dag_run_id: str
    kind: str
    state: str
    error: str
    since: dt.datetime | None
    until: dt.datetime | None
    started_at: dt.datetime
    ended_at: dt.datetime | None
    mappings: tuple[Mapped, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Records by how they ended, over all mappings."""
        total: dict[str, int] = {}
        for mapped in self.mappings:
            for action, number in mapped.counts.items():
                total[action] = total.get(action, 0) + number
        return total

    @property
    def read(self) -> int:
        """How many records were read, or, of a mapping at work, have been done so far."""
        return sum(m.read if m.read is not None else m.done or 0 for m in self.mappings)


@dataclass(frozen=True, slots=True)
class Turn:
    """A run that works or waits for its turn."""

    flow: str
    dag_run_id: str
    role: str
    state: str
    asked_at: dt.datetime
    seen_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A maintenance that goes on."""

    by: str
    why: str
    flows: Sequence[str]
    began_at: dt.datetime


@dataclass(slots=True)
class Sheet:
    """A review sheet of a binding flow: rows by decision, and when the last of them was touched."""

    flow: str
    run_id: int
    decisions: dict[str, int]
    at: dt.datetime


@dataclass(slots=True)
class Standing:
    """How the ledger sees one company now."""

    last: dict[str, RunFacts] = field(default_factory=dict)  # flow -> its latest run
    starts: dict[str, dt.datetime | None] = field(default_factory=dict)
    completed: dict[str, int] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)
    maintenance: Maintenance | None = None
    open_failures: dict[str, int] = field(default_factory=dict)  # flow -> records that failed and are not settled
    alarms: dict[str, tuple[dt.datetime, str]] = field(default_factory=dict)  # what lasts: key -> since when, detail


class Reading(Database):
    """Read-only queries over the ledger's tables, each for companies that are named."""

    @classmethod
    def of(cls, ledger: Ledger) -> Reading:
        """Return one that uses the ledger's connections."""
        return cls(ledger.engine, patience=SECONDS)

    def standing(self, companies: Mapping[str, Collection[str]]) -> dict[str, Standing]:
        """Return how companies stand; `companies` says which flows of each are wanted. Eight statements in all."""
        found = {company: Standing() for company in companies}
        if not found:
            return found
        names = list(found)

        def work(c: Connection) -> None:
            limit_time(c)
            latest = c.execute(_latest(companies)).mappings().all()
            per_run = mapped_of(c, [row["id"] for row in latest])
            for row in latest:
                found[row["company"]].last[row["flow"]] = run_facts(row, per_run.get(row["id"], ()))
            q = query_start.c
            for company, flow, value in c.execute(sa.select(q.company, q.flow, q.value).where(among(q.company, names))):
                found[company].starts[flow] = value
            n = flow_count.c
            counted = sa.select(n.company, n.flow, n.completed).where(among(n.company, names))
            for company, flow, completed in c.execute(counted):
                found[company].completed[flow] = completed
            t = turn.c
            turns = sa.select(t.company, t.flow, t.dag_run_id, t.role, t.state, t.asked_at, t.seen_at)
            for company, *rest in c.execute(turns.where(among(t.company, names)).order_by(t.asked_at)):
                found[company].turns.append(Turn(*rest))
            m = maintenance.c
            going = sa.select(m.company, m.by, m.why, m.flows, m.began_at).where(m.ended_at.is_(None))
            for company, *rest in c.execute(going.where(among(m.company, names))):
                found[company].maintenance = Maintenance(*rest)
            f = failure.c
            failed = sa.select(f.company, f.flow, sa.func.count()).where(among(f.company, names), f.state == "open")
            for company, flow, number in c.execute(failed.group_by(f.company, f.flow)):
                found[company].open_failures[flow] = number
            a = alarm.c
            lasting = sa.select(a.company, a.key, a.began_at, a.detail).where(a.ended_at.is_(None))
            for company, key, began, detail in c.execute(lasting.where(among(a.company, names))):
                found[company].alarms[key] = (began, detail)

        self._read(work)
        return found

    def runs(self, company: str, flow: str, *, limit: int = 25, before: int | None = None) -> list[RunFacts]:
        """Return a flow's runs, newest first; with `before`, those with a smaller id."""
        query = sa.select(*_RUN).where(run.c.company == company, run.c.flow == flow)
        if before is not None:
            query = query.where(run.c.id < before)
        return self._runs(query.order_by(run.c.id.desc()).limit(limit))

    def run(self, company: str, run_id: int) -> RunFacts | None:
        """Return one run of a company."""
        return next(iter(self._runs(sa.select(*_RUN).where(run.c.company == company, run.c.id == run_id))), None)

    def latest_runs(self, flows: Mapping[str, Collection[str]], *, limit: int = 40) -> list[RunFacts]:
        """Return the latest runs of companies, of the flows that are wanted, newest first."""
        if not flows:
            return []
        wanted = sa.or_(
            *(sa.and_(run.c.company == company, among(run.c.flow, list(names))) for company, names in flows.items())
        )
        return self._runs(sa.select(*_RUN).where(wanted).order_by(run.c.started_at.desc()).limit(limit))

    def sheets(self, company: str) -> list[Sheet]:
        """Return the newest review sheet of each binding flow, by the flow's id."""
        r = review.c
        newest = sa.select(sa.func.max(r.run_id)).where(r.company == company).group_by(r.flow)
        query = (
            sa.select(r.flow, r.run_id, r.decision, sa.func.count(), sa.func.max(r.at))
            .where(r.company == company, r.run_id.in_(newest))
            .group_by(r.flow, r.run_id, r.decision)
            .order_by(r.flow)
        )

        def work(c: Connection) -> list[Sheet]:
            limit_time(c)
            found: dict[str, Sheet] = {}
            for flow, run_id, decision, number, at in c.execute(query):
                sheet = found.setdefault(flow, Sheet(flow, run_id, {}, at))
                sheet.decisions[decision] = number
                sheet.at = max(sheet.at, at)
            return list(found.values())

        return self._read(work)

    def _runs(self, query: sa.Select[Any]) -> list[RunFacts]:
        def work(c: Connection) -> list[RunFacts]:
            limit_time(c)
            rows = c.execute(query).mappings().all()
            per_run = mapped_of(c, [row["id"] for row in rows])
            return [run_facts(row, per_run.get(row["id"], ())) for row in rows]

        return self._read(work)


_RUN = tuple(
    run.c[name]
    for name in (
        *("id", "company", "flow", "dag_run_id", "kind", "state", "error"),
        *("since", "until", "started_at", "ended_at"),
    )
)


def _latest(companies: Mapping[str, Collection[str]]) -> sa.Select[Any]:
    """Return the query for each wanted flow's latest run: one step into an index a flow, whatever has run before."""
    pairs = [(company, flow) for company, flows in companies.items() for flow in flows]
    wanted = (
        sa.func.unnest(
            sa.bindparam("wanted_companies", [company for company, _ in pairs], type_=ARRAY(sa.Text)),
            sa.bindparam("wanted_flows", [flow for _, flow in pairs], type_=ARRAY(sa.Text)),
        )
        .table_valued("company", "flow", name="wanted")
        .render_derived()
    )
    newest = (
        sa.select(*_RUN)
        .where(run.c.company == wanted.c.company, run.c.flow == wanted.c.flow)
        .order_by(run.c.id.desc())
        .limit(1)
        .lateral("newest")
    )
    return sa.select(*newest.c).select_from(wanted.join(newest, sa.true()))


def mapped_of(connection: Connection, run_ids: Sequence[int]) -> dict[int, tuple[Mapped, ...]]:
    """Return the mappings of runs, each by its latest attempt, in the order they began."""
    if not run_ids:
        return {}
    m = run_mapping.c
    columns = (m.mapping, m.attempt, m.read, m.counts, m.done, m.total, m.started_at, m.progress_at, m.ended_at)
    ids = sa.any_(sa.bindparam("run_ids", list(run_ids), type_=ARRAY(sa.BigInteger)))
    query = sa.select(m.run_id, *columns, m.reached).where(m.run_id == ids).order_by(m.run_id, m.mapping, m.attempt)
    latest: dict[int, dict[str, Mapped]] = {}
    for row in connection.execute(query).mappings():
        values = {name: value for name, value in row.items() if name != "run_id"}
        latest.setdefault(row["run_id"], {})[row["mapping"]] = Mapped(**{**values, "counts": row["counts"] or {}})
    return {number: tuple(sorted(each.values(), key=lambda one: one.started_at)) for number, each in latest.items()}


def run_facts(row: Mapping[Any, Any], mappings: Iterable[Mapped] = ()) -> RunFacts:
    """Return a row of the table of runs with its mappings."""
    return RunFacts(**{str(name): value for name, value in row.items()}, mappings=tuple(mappings))


def limit_time(connection: Connection) -> None:
    """Let no statement of this transaction take longer than a page may."""
    connection.execute(sa.text(f"SET LOCAL statement_timeout = '{SECONDS}s'"))
