"""The record log (laws 3 and 7, R9) and the list of records that wait for a reference."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from iw_operators.engine.model import Action, Decision
from iw_operators.errors.catalogue import advice_for
from iw_operators.ledger import failures
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
    encode_awaits,
    encode_candidates,
    encode_changes,
    identifier,
    storable,
)
from iw_operators.ledger.database import among
from iw_operators.ledger.flow_tables import failure, turn_history
from iw_operators.ledger.model import RunRef
from iw_operators.ledger.search import LogSearch
from iw_operators.ledger.tables import batch, binding, log, waiting
from iw_operators.ledger.tombstones import take_away
from iw_operators.spec.resolved import Side

_l = log.c

A_PERSON = "a person"  # no mapping is called so: names of mappings have no blanks
PRUNED_AT_ONCE = 10_000
_WRITTEN = (Action.CREATE, Action.UPDATE)


class RecordLog(Bindings, LogSearch):
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
        `held_for` has passed, so that what was decided on the other side is noticed. Records that a person has given
        up are not, unless somebody asked for it since.
        """
        w = waiting.c
        mine = binding.c.crm_id if side == "crm" else binding.c.books_id
        bound = sa.exists().where(
            binding.c.company == company, binding.c.mapping == w.await_mapping, mine == w.await_id
        )
        same = (failure.c[name] == w[name] for name in ("company", "mapping", "side", "source_id"))
        given_up = sa.exists().where(*same, failure.c.state == failures.GIVEN_UP)
        due = sa.and_(w.await_mapping == A_PERSON, w.noted_at <= sa.func.now() - held_for)
        query = (
            sa.select(w.source_id)
            .where(w.company == company, w.mapping == mapping, w.side == side)
            .where(sa.or_(w.await_mapping == "", ~given_up))
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

    def oldest_row(self, company: str) -> dt.datetime | None:
        """Return the time of the oldest log row of a company; None when there is none."""
        query = sa.select(_l.at).where(_l.company == company).order_by(_l.at, _l.id).limit(1)
        return self._read(lambda c: c.scalar(query))

    def prune_turns(self, company: str, before: dt.datetime) -> int:
        """Delete turns of a company that ended before a time; return how many."""
        old = sa.delete(turn_history).where(turn_history.c.company == company, turn_history.c.ended_at < before)
        return self._write(lambda c: c.execute(old).rowcount)


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
        "version": decision.source_version,  # for the failures; the log does not keep it
    }


def add_rows(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write log rows. Earlier rows of the same attempt that they overtake no longer count.

    Overtaken are rows that were in doubt, rows of a partner that had changed, and earlier rows of the same write.
    A row with a code and no advice gets what the error catalogue says of the code. Records that fail, and those that
    had failed and do no longer, are noted with them.
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
        failures.note(connection, told)
        kept = [name for name in told[0] if name != "version"]
        connection.execute(insert_rows(log, told, kept))


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
            base, version = decision.target, decision.target_version
            pair = pair_of(decision, base_target=base, target_version=version, answer=decision.send)
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
