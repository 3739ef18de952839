"""Records that did not go through: one row each, kept up by the transactions that write the record log (R10).

A record is in exactly one state. `open`: its last attempt was rejected, held, or is in doubt. `fixed`: a later run
brought it, found it in step, or had nothing to do about it any more. `reprocessed`: a run that was about failed
records did so. `given up`: a person has said that it need not go; it stays so until the record changes in its source
or fails for another reason. A record that has never failed has no row.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from iw_operators.engine.model import Action, Await
from iw_operators.ledger.bulk import insert_rows, rows_of
from iw_operators.ledger.codec import decode_awaits, storable
from iw_operators.ledger.corrections import drop_corrections
from iw_operators.ledger.database import Database, among, mentioning
from iw_operators.ledger.deeds import add_deed
from iw_operators.ledger.flow_tables import correction, failure
from iw_operators.ledger.model import Cursor
from iw_operators.ledger.tables import log, run
from iw_operators.ledger.tombstones import next_run
from iw_operators.spec.resolved import Side

_f = failure.c
_l = log.c


class FailureState(StrEnum):
    """In which of four states a record is that has failed once."""

    OPEN = "open"
    FIXED = "fixed"
    REPROCESSED = "reprocessed"
    GIVEN_UP = "given up"


OPEN, GIVEN_UP = FailureState.OPEN.value, FailureState.GIVEN_UP.value
FAILED: Final = (OPEN, GIVEN_UP)
SETTLED: Final = (FailureState.FIXED.value, FailureState.REPROCESSED.value)
FAILING: Final = (Action.REJECT.value, Action.HOLD.value, Action.UNKNOWN.value)
STALE: Final = "stale"

_ROW: Final = (
    *("company", "mapping", "side", "source_id", "state", "action", "flow", "label", "code", "why", "advice", "field"),
    *("awaits", "fingerprint", "version", "run_id"),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A record that failed, as it stands now.

    :param action: how it failed last: rejected, held, unknown (a write of it is in doubt).
    :param awaits: the references that it waits for, where that is all that keeps it; it goes by itself then.
    :param run_id: the run of the last failure or, once it is settled, the run that settled it (None: a person did).
    :param attempts: how often it has failed since `first_at`.
    :param settled_by: the flow that settled it, or the person who gave it up; `settled_why` what became of it, or
        the person's reason.
    :param corrected: a correction by a person waits to be used when it is planned next.
    """

    id: int
    company: str
    mapping: str
    side: Side
    source_id: str
    state: FailureState
    action: Action
    flow: str
    label: str
    code: str
    why: str
    advice: str
    field: str
    awaits: tuple[Await, ...]
    fingerprint: str
    run_id: int
    attempts: int
    first_at: dt.datetime
    last_at: dt.datetime
    settled_at: dt.datetime | None
    settled_by: str
    settled_why: str
    corrected: bool = False

    @property
    def cursor(self) -> Cursor:
        """Where a list goes on after this one."""
        return Cursor(self.last_at, self.id)


@dataclass(frozen=True, slots=True)
class FailureCount:
    """How many records of a mapping and a side are in a state."""

    mapping: str
    side: Side
    state: FailureState
    number: int


class Failures(Database):
    """The ledger's records that failed."""

    def failures(
        self,
        company: str,
        *,
        state: FailureState | str | None = None,
        mapping: str | None = None,
        side: Side | None = None,
        flow: str | None = None,
        code: str | None = None,
        ids: Collection[str] | None = None,
        text: str | None = None,
        limit: int = 100,
        before: Cursor | None = None,
    ) -> list[Failure]:
        """Return failed records of a company, the latest failure first.

        :param text: looked for in id, name, reason and code, whatever its case.
        :param ids: only these source ids.
        :param before: the `cursor` of the last one of the page before.
        """
        wanted = {_f.state: state and str(state), _f.mapping: mapping, _f.side: side, _f.flow: flow, _f.code: code}
        corrected = sa.exists().where(*(correction.c[name] == failure.c[name] for name in _KEY))
        query = sa.select(failure, corrected.label("corrected")).where(_f.company == company)
        query = query.where(*(column == value for column, value in wanted.items() if value is not None))
        if ids is not None:
            query = query.where(among(_f.source_id, list(ids)))
        if text:
            places = (_f.label, _f.source_id, _f.why, _f.code)
            query = query.where(mentioning(text, places))
        if before is not None:
            query = query.where(sa.tuple_(_f.last_at, _f.id) < sa.tuple_(before.at, before.id))
        query = query.order_by(_f.last_at.desc(), _f.id.desc()).limit(limit)
        return self._read(lambda c: [_failure(row) for row in c.execute(query).mappings()])

    def failure(self, company: str, mapping: str, side: Side, source_id: str) -> Failure | None:
        """Return how one record stands; None when it has never failed."""
        found = self.failures(company, mapping=mapping, side=side, ids=[source_id], limit=1)
        return found[0] if found else None

    def failure_counts(self, company: str) -> list[FailureCount]:
        """Return how many records of each mapping and side are in each state; none are left out that are not zero."""
        group = (_f.mapping, _f.side, _f.state)
        query = sa.select(*group, sa.func.count()).where(_f.company == company).group_by(*group).order_by(*group)
        return self._read(lambda c: [FailureCount(m, s, FailureState(st), n) for m, s, st, n in c.execute(query)])

    def give_up(self, company: str, mapping: str, side: Side, ids: Sequence[str], *, by: str, why: str) -> list[str]:
        """Give failed records up: nothing tries them again by itself until they change or fail for another reason.

        Returns those that were open and are given up now; corrections of theirs are dropped. It is kept who and why.

        :param by: the person's name. :param why: their reason, not empty.
        :raises ValueError: `why` is empty.
        """
        if not why.strip():
            msg = "A record is given up for a reason, which is kept with it."
            raise ValueError(msg)
        given = {"state": GIVEN_UP, "settled_by": storable(by), "settled_why": storable(why)}

        def work(connection: Connection) -> list[str]:
            found = _locked(connection, company, mapping, side, ids, (OPEN,))
            change = sa.update(failure).where(*_these(company, mapping, side, found))
            connection.execute(change.values(**given, settled_at=sa.func.now()))
            drop_corrections(connection, company, mapping, side, found)
            for each in found:
                add_deed(connection, company, by, "gave up", f"{mapping} {side} {each}", {"why": storable(why)})
            return found

        return self._write(work)

    def reopen(self, company: str, mapping: str, side: Side, ids: Sequence[str], *, by: str) -> list[str]:
        """Take giving up back. The next scheduled run looks at the records. Returns those that were given up."""

        def work(connection: Connection) -> list[str]:
            found = _locked(connection, company, mapping, side, ids, (GIVEN_UP,))
            change = sa.update(failure).where(*_these(company, mapping, side, found))
            connection.execute(change.values(state=OPEN, **_UNSETTLED))
            next_run(connection, company, mapping, side, found)
            for each in found:
                add_deed(connection, company, by, "reopened", f"{mapping} {side} {each}")
            return found

        return self._write(work)

    def failing(self, company: str, mapping: str, side: Side, ids: Sequence[str]) -> list[str]:
        """Return those of the ids that are open or given up."""
        if not ids:
            return []
        query = sa.select(_f.source_id).where(*_these(company, mapping, side, ids), _f.state.in_(FAILED))
        return self._read(lambda c: list(c.scalars(query)))

    def open_failures(self, company: str, mapping: str, side: Side) -> list[str]:
        """Return the source ids of all open failures of a mapping, those first that have failed for longest."""
        query = (
            sa.select(_f.source_id)
            .where(_f.company == company, _f.mapping == mapping, _f.side == side, _f.state == OPEN)
            .order_by(_f.first_at, _f.id)
        )
        return self._read(lambda c: list(c.scalars(query)))

    def failed_under_another(self, company: str, mapping: str, side: Side, fingerprint: str) -> list[str]:
        """Return open failures that have not been tried under this fingerprint of the mapping."""
        query = (
            sa.select(_f.source_id)
            .where(_f.company == company, _f.mapping == mapping, _f.side == side)
            .where(_f.state == OPEN, _f.fingerprint != fingerprint)
            .order_by(_f.first_at, _f.id)
        )
        return self._read(lambda c: list(c.scalars(query)))

    def prune_failures(self, company: str, before: dt.datetime) -> int:
        """Delete failures that were settled by a run before a time; return how many. Open and given up ones stay."""
        old = sa.delete(failure).where(_f.company == company, _f.state.in_(SETTLED), _f.settled_at < before)
        return self._write(lambda c: c.execute(old).rowcount)


_KEY: Final = ("company", "mapping", "side", "source_id")
_UNSETTLED: Final[Mapping[str, Any]] = {"settled_at": None, "settled_by": "", "settled_why": ""}


def note(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Keep the failures up with rows of the log that are about to be written.

    Rows that do not count for their record (written back, made beside others) and rows of a record whose partner has
    just changed, which is planned again, say nothing. Of two rows of one record the failing one counts.

    :param rows: as the log has them, with `version`: the source's version of the record.
    """
    by_mapping: dict[tuple[str, str, Side], dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        if row["standing"] != "counted" or row["result"] == STALE:
            continue
        of_mapping = by_mapping.setdefault((row["company"], row["mapping"], row["side"]), {})
        before = of_mapping.get(row["source_id"])
        if before is None or row["action"] in FAILING:
            of_mapping[row["source_id"]] = row
    for here, found in by_mapping.items():
        fails = [row for row in found.values() if row["action"] in FAILING]
        _settle(connection, *here, [row for row in found.values() if row["action"] not in FAILING])
        if fails:
            _fail(connection, [{**row, "state": OPEN} for row in fails])


def note_left_stale(connection: Connection, run_id: int, mapping: str, attempt: int) -> None:
    """Note records that an attempt has left because their partner kept changing. The next run plans them again."""
    left = sa.select(log).where(
        _l.run_id == run_id, _l.mapping == mapping, _l.attempt == attempt, _l.standing == "counted", _l.result == STALE
    )
    rows = [{**row, "state": OPEN, "version": ""} for row in connection.execute(left).mappings()]
    if rows:
        _fail(connection, rows)


def _settle(connection: Connection, company: str, mapping: str, side: Side, rows: Sequence[Mapping[str, Any]]) -> None:
    ids = [row["source_id"] for row in rows]
    if not ids:
        return
    found = _locked(connection, company, mapping, side, ids, FAILED)
    if not found:
        return
    those = set(found)
    settled = [{**row, "settled_why": f"{row['action']}: {row['why']}"} for row in rows if row["source_id"] in those]
    new = rows_of(failure, settled, ("source_id", "settled_why", "flow", "run_id")).c
    again = sa.select(run.c.reprocess).where(run.c.id == new.run_id).scalar_subquery()
    state = sa.case((again, FailureState.REPROCESSED.value), else_=FailureState.FIXED.value)
    connection.execute(
        sa.update(failure)
        .where(*_these(company, mapping, side, found), _f.source_id == new.source_id)
        .values(
            state=state,
            run_id=new.run_id,
            settled_at=sa.func.now(),
            settled_by=new.flow,
            settled_why=new.settled_why,
        )
    )
    drop_corrections(connection, company, mapping, side, found)


def _fail(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    ordered = sorted(rows, key=lambda row: str(row["source_id"]))
    made = insert_rows(failure, [{name: row[name] for name in _ROW} for row in ordered])
    new = made.excluded
    reason = sa.and_(_f.code == new.code, _f.field == new.field, sa.or_(_f.code != "", _f.why == new.why))
    stays = sa.and_(_f.state == GIVEN_UP, reason, _f.version == new.version)
    anew = _f.state.in_(SETTLED)
    told = [name for name in _ROW if name not in (*_KEY, "state")]
    connection.execute(
        made.on_conflict_do_update(
            index_elements=list(_KEY),
            set_={
                **{name: new[name] for name in told},
                "label": sa.case((new.label == "", _f.label), else_=new.label),
                "state": sa.case((stays, GIVEN_UP), else_=OPEN),
                "attempts": sa.case((anew, 1), else_=_f.attempts + 1),
                "first_at": sa.case((anew, sa.func.now()), else_=_f.first_at),
                "last_at": sa.func.now(),
                **{name: sa.case((stays, failure.c[name]), else_=value) for name, value in _UNSETTLED.items()},
            },
        )
    )


def _locked(
    connection: Connection, company: str, mapping: str, side: Side, ids: Sequence[str], states: Sequence[str]
) -> list[str]:
    """Return those of the ids that are in one of the states, which nobody can change until the transaction ends.

    Always in the same order, so that two who want the same ones never wait for each other.
    """
    here = (*_these(company, mapping, side, ids), _f.state.in_(states))
    return list(connection.scalars(sa.select(_f.source_id).where(*here).order_by(_f.source_id).with_for_update()))


def _these(company: str, mapping: str, side: Side, ids: Sequence[str]) -> tuple[sa.ColumnElement[bool], ...]:
    return (_f.company == company, _f.mapping == mapping, _f.side == side, among(_f.source_id, ids))


def _failure(row: Mapping[Any, Any]) -> Failure:
    plain = {name: row[name] for name in Failure.__slots__ if name not in ("state", "action", "awaits")}
    return Failure(
        **plain,
        state=FailureState(row["state"]),
        action=Action(row["action"]),
        awaits=decode_awaits(row["awaits"]),
    )
