"""The record log (laws 3 and 7, R9) and the list of records that wait for a reference."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from iw_operators.engine.model import Action, Decision
from iw_operators.errors.catalogue import advice_for
from iw_operators.ledger.bindings import (
    CONFLICT,
    CONFLICT_ADVICE,
    Bindings,
    insert_pairs,
    pair_of,
    refresh_pairs,
    stop_at,
)
from iw_operators.ledger.bulk import insert_rows
from iw_operators.ledger.codec import (
    decode_awaits,
    decode_candidates,
    decode_changes,
    encode_awaits,
    encode_candidates,
    encode_changes,
    identifier,
    storable,
)
from iw_operators.ledger.database import among
from iw_operators.ledger.model import LogRow, RunRef
from iw_operators.ledger.tables import batch, binding, log, waiting
from iw_operators.ledger.tombstones import take_away
from iw_operators.spec.resolved import Side

_l = log.c

A_PERSON = "a person"  # no mapping is called so: names of mappings have no blanks
PRUNED_AT_ONCE = 10_000
_WRITTEN = (Action.CREATE, Action.UPDATE)
_PLAIN = (
    *("id", "at", "sent_at", "company", "flow", "run_id", "mapping", "fingerprint", "attempt", "side"),
    *("source_id", "label", "operation", "why", "code", "advice", "field"),
)


class RecordLog(Bindings):
    """The ledger's record log."""

    def record(self, run: RunRef, decisions: Sequence[Decision]) -> None:
        """Write the log rows of decisions that are not sent, and keep up the bindings they speak of.

        A decision that `binds` makes the binding; one that found both sides equal renews bases and versions; one with
        `unbind` takes the binding away.

        :raises ValueError: a decision is one to write; those go through `begin_batch` and `end_batch`.
        :raises StopFlow: a record is bound to another one already. The rows are written all the same, its own as
            rejected.
        """
        if not decisions:
            return
        if any(decision.action in _WRITTEN for decision in decisions):
            msg = "A write is recorded through begin_batch and end_batch, before and after it is sent."
            raise ValueError(msg)

        def work(connection: Connection) -> dict[str, str]:
            conflicts = _bind(connection, run, decisions)
            take_away(connection, run.company, run.mapping, run.source, decisions)
            rows = [_quiet_row(run, decision, conflicts.get(decision.source_id, "")) for decision in decisions]
            add_rows(connection, rows)
            forget(connection, run, run.source, [decision.source_id for decision in decisions])
            wait_for(connection, run, run.source, decisions)
            return conflicts

        stop_at(self._write(work, patience=self.patience, fenced=True), run.mapping)

    def waiting(
        self, company: str, mapping: str, side: Side, *, held_for: dt.timedelta = dt.timedelta(hours=1)
    ) -> list[str]:
        """Return the records of `side` that can be planned again now.

        That is: they were held or rejected for want of references that are all bound by now; or they went without
        some of which one is bound by now; or their partner had changed when they were written; or they were in doubt
        when they were last read; or somebody asked for it; or a person had to decide something about them, and
        `held_for` has passed, so that what was decided on the other side is noticed.
        """
        w = waiting.c
        mine = binding.c.crm_id if side == "crm" else binding.c.books_id
        bound = sa.exists().where(
            binding.c.company == company, binding.c.mapping == w.await_mapping, mine == w.await_id
        )
        due = sa.and_(w.await_mapping == A_PERSON, w.noted_at <= sa.func.now() - held_for)
        query = (
            sa.select(w.source_id)
            .where(w.company == company, w.mapping == mapping, w.side == side)
            .group_by(w.source_id)
            .having(
                sa.or_(
                    sa.func.bool_and(sa.or_(w.await_mapping == "", bound, due)),
                    sa.func.bool_or(sa.and_(w.goes_without, bound)),
                )
            )
            .order_by(sa.func.min(w.noted_at), w.source_id)
        )
        return self._read(lambda c: list(c.scalars(query)))

    def forget_waiting(self, company: str, mapping: str, side: Side, ids: Sequence[str]) -> None:
        """Stop waiting for records, because they no longer exist, for example."""
        w = waiting.c
        gone = sa.delete(waiting).where(
            w.company == company, w.mapping == mapping, w.side == side, among(w.source_id, ids)
        )
        self._write(lambda c: c.execute(gone))

    def log(
        self,
        *,
        company: str,
        flow: str | None = None,
        run_id: int | None = None,
        mapping: str | None = None,
        source_id: str | None = None,
        action: Action | str | None = None,
        text: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[LogRow]:
        """Return log rows of a company, newest first; `text` is looked for in ids, label, reason and code."""
        wanted = {_l.flow: flow, _l.run_id: run_id, _l.mapping: mapping, _l.source_id: source_id}
        query = sa.select(log).where(_l.company == company, *(c == v for c, v in wanted.items() if v is not None))
        if action is not None:
            query = query.where(_l.action == str(action))
        if text:
            places = (_l.label, _l.source_id, _l.target_id, _l.why, _l.code)
            query = query.where(sa.or_(*(place.icontains(storable(text), autoescape=True) for place in places)))
        query = query.order_by(_l.id.desc()).limit(limit).offset(offset)
        return self._read(lambda c: [_log_row(row) for row in c.execute(query).mappings()])

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

    def prune(self, company: str, before: dt.datetime) -> int:
        """Delete log rows and finished batches of a company from before a time; return how many log rows went.

        Bindings, Query Starts, runs, what waits and what is in doubt stay.
        """
        old = sa.select(_l.id).where(_l.company == company, _l.at < before).limit(PRUNED_AT_ONCE)
        gone = 0
        while True:
            number = self._write(lambda c: c.execute(sa.delete(log).where(_l.id.in_(old))).rowcount)
            gone += number
            if number < PRUNED_AT_ONCE:
                break
        b = batch.c
        done = sa.delete(batch).where(b.company == company, sa.not_(b.open), b.ended_at < before)
        self._write(lambda c: c.execute(done))
        return gone


def log_values(run: RunRef, decision: Decision) -> dict[str, Any]:
    """Return a log row of a decision, as far as the decision says."""
    return {
        "company": run.company,
        "flow": run.flow,
        "run_id": run.run_id,
        "mapping": run.mapping,
        "fingerprint": run.fingerprint,
        "attempt": run.attempt,
        "side": run.source,
        "source_id": identifier(decision.source_id),
        "target_id": identifier(decision.target_id or ""),
        "label": storable(decision.label),
        "operation": "bind" if decision.binds else "none",
        "action": decision.action.value,
        "result": "",
        "why": storable(decision.why),
        "changes": encode_changes(decision.changes),
        "code": storable(decision.code),
        "advice": storable(decision.advice),
        "field": storable(decision.field),
        "candidates": encode_candidates(decision.candidates),
        "awaits": encode_awaits(decision.awaits),
        "standing": "counted",
        "batch_key": "",
        "sent_at": None,
    }


def add_rows(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write log rows. Earlier rows of the same attempt that they overtake no longer count.

    Overtaken are rows that were in doubt, rows of a partner that had changed, and earlier rows of the same write.
    A row with a code and no advice gets what the error catalogue says of the code.
    """
    by_attempt: dict[tuple[int, str, int, str], list[str]] = {}
    for row in rows:
        if row["standing"] == "counted":
            key = (row["run_id"], row["mapping"], row["attempt"], row["batch_key"])
            by_attempt.setdefault(key, []).append(row["source_id"])
    for (run_id, mapping, attempt, batch_key), ids in by_attempt.items():
        overtaken = [_l.result == "stale", _l.action == Action.UNKNOWN.value]
        if batch_key:
            overtaken.append(_l.batch_key == batch_key)
        here = (_l.run_id == run_id, _l.mapping == mapping, _l.attempt == attempt, among(_l.source_id, ids))
        connection.execute(
            sa.update(log).where(*here, _l.standing == "counted", sa.or_(*overtaken)).values(standing="superseded")
        )
    if rows:
        told = [{**row, "advice": row["advice"] or storable(advice_for(row["code"]))} for row in rows]
        connection.execute(insert_rows(log, told))


def forget(
    connection: Connection, run: RunRef, side: Side, ids: Sequence[str], noted_before: dt.datetime | None = None
) -> None:
    """Stop waiting for records that have been planned again (before `noted_before`, where it is given)."""
    w = waiting.c
    gone = sa.delete(waiting).where(
        w.company == run.company, w.mapping == run.mapping, w.side == side, among(w.source_id, ids)
    )
    connection.execute(gone.where(w.noted_at <= noted_before) if noted_before else gone)


def wait_for(
    connection: Connection, run: RunRef, side: Side, decisions: Iterable[Decision], again: Iterable[str] = ()
) -> None:
    """Note what records wait for, held or gone without it.

    Those in `again` and those in doubt wait for the next run only, those that a person has to decide for some time.
    """
    base = {"company": run.company, "mapping": run.mapping, "side": side, "goes_without": False}
    rows: list[dict[str, Any]] = [
        {
            **base,
            "source_id": d.source_id,
            "await_mapping": a.mapping,
            "await_id": identifier(a.source_id),
            "goes_without": d.action not in (Action.HOLD, Action.REJECT),
        }
        for d in decisions
        for a in d.awaits
    ]
    next_run = [*again, *(d.source_id for d in decisions if d.action is Action.UNKNOWN)]
    rows += [{**base, "source_id": source_id, "await_mapping": "", "await_id": ""} for source_id in next_run]
    decided = [d.source_id for d in decisions if d.action is Action.HOLD and not d.awaits]
    rows += [{**base, "source_id": source_id, "await_mapping": A_PERSON, "await_id": ""} for source_id in decided]
    if rows:
        connection.execute(insert_rows(waiting, rows).on_conflict_do_nothing())


def _bind(connection: Connection, run: RunRef, decisions: Sequence[Decision]) -> dict[str, str]:
    new, equal = [], []
    for decision in decisions:
        if decision.action is Action.UNCHANGED and decision.target_id:
            pair = pair_of(decision, base_target=decision.target, target_version=decision.target_version, answer={})
            if decision.binds:
                new.append(pair)
            elif decision.source or decision.target:
                equal.append(pair)
    refresh_pairs(connection, run.company, run.mapping, run.source, equal)
    return insert_pairs(connection, run.company, run.mapping, run.source, new)


def _quiet_row(run: RunRef, decision: Decision, conflict: str) -> dict[str, Any]:
    row = log_values(run, decision)
    if conflict:
        row |= {"action": Action.REJECT.value, "why": conflict, "code": CONFLICT, "advice": CONFLICT_ADVICE}
    return row


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
