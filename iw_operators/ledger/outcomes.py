"""What a transaction that ends a batch does: outcomes, bindings and log rows at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from iw_operators.engine.model import Action, Change, Decision
from iw_operators.errors import StopFlow
from iw_operators.ledger.bindings import (
    CONFLICT,
    CONFLICT_ADVICE,
    Pair,
    insert_pairs,
    mark_write_backs,
    note_target,
    pair_of,
    update_pairs,
)
from iw_operators.ledger.bulk import rows_of
from iw_operators.ledger.codec import encode_changes, identifier, storable
from iw_operators.ledger.log import add_rows, forget, log_values, wait_for
from iw_operators.ledger.model import RunRef
from iw_operators.ledger.tables import batch as batches
from iw_operators.ledger.tables import intent as intents
from iw_operators.ledger.tombstones import take_away
from iw_operators.spec.resolved import Side
from iw_operators.systems.base import Batch, Op, Outcome, Result

SENT = "sent"
OPEN = (SENT, Result.UNKNOWN.value)
OWN_ID = "write_back.id"  # a CRM record that is created with its partner's id needs no write-back
ANSWERED = ("full_name", "number")  # what a write-back may need of the books' answer; the rest is not kept
NO_INTENT = "iw.no_intent"

_ACTIONS = {Result.REJECTED: Action.REJECT, Result.STALE: Action.HOLD, Result.UNKNOWN: Action.UNKNOWN}

Row = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class _Ended:
    """A write that has got a new state. `decision` names the target, if the outcome or the plan knows it."""

    outcome: Outcome
    result: Result
    op: Op
    decision: Decision
    has_own_id: bool
    why: str
    code: str
    advice: str
    field: str


def end(
    connection: Connection,
    run: RunRef,
    batch: Batch,
    outcomes: Sequence[Outcome],
    decisions: Mapping[str, Decision],
) -> dict[str, str]:
    """Record outcomes; return bindings that could not be made, by source id, with the reason.

    Outcomes that say nothing new are passed over, so that this may be repeated.

    :raises StopFlow: there is no intent for an outcome.
    """
    head = _head(connection, run, batch.key)
    own = intents.c["values"][OWN_ID].is_not(None).label("has_own_id")
    query = (
        sa.select(intents.c.key, intents.c.op, intents.c.state, own)
        .where(intents.c.batch_id == head["id"], intents.c.company == run.company)
        .with_for_update()
    )
    sent = {row["key"]: row for row in connection.execute(query).mappings()}
    ended = []
    for outcome in outcomes:
        if outcome.key not in sent:
            msg = f"An outcome has come for a write that batch {batch.key} does not hold."
            raise StopFlow(msg, code=NO_INTENT)
        row = sent[outcome.key]
        each = _ended(outcome, row, decisions[outcome.key])
        if row["state"] not in (Result.APPLIED.value, each.result.value):
            ended.append(each)
    if not ended:
        return {}
    begun_by = run_of(head)
    conflicts: dict[str, str] = {}
    if head["kind"] == "write_back":
        _end_write_backs(connection, head, begun_by, ended)
    else:
        conflicts = _end_records(connection, head, begun_by, ended)
    _close(connection, head, ended)
    return conflicts


def run_of(head: Row) -> RunRef:
    """Return by which attempt of which run a batch was begun."""
    names = ("run_id", "company", "flow", "mapping", "fingerprint", "attempt", "source")
    return RunRef(**{name: head[name] for name in names})


def _head(connection: Connection, run: RunRef, key: str) -> Row:
    """Return the open batch with this key, else the last one that had it; nobody else can end it meanwhile."""
    query = (
        sa.select(batches)
        .where(batches.c.company == run.company, batches.c.mapping == run.mapping, batches.c.key == key)
        .order_by(batches.c.open.desc(), batches.c.id.desc())
        .limit(1)
        .with_for_update()
    )
    head = connection.execute(query).mappings().one_or_none()
    if head is None:
        msg = f"An outcome has come for batch {key}, of which no intent was recorded."
        raise StopFlow(msg, code=NO_INTENT)
    return head


def _ended(outcome: Outcome, row: Row, decision: Decision) -> _Ended:
    error, result = outcome.error, outcome.result
    why, code = (error.message, error.code) if error else (decision.why, decision.code)
    target_id = outcome.target_id or decision.target_id
    if result is Result.APPLIED and not target_id:
        result, why, code = Result.UNKNOWN, "The answer does not say under which id the record is.", "iw.no_id"
    return _Ended(
        outcome=outcome,
        result=result,
        op=Op(row["op"]),
        decision=replace(decision, target_id=target_id),
        has_own_id=row["has_own_id"],
        why=why,
        code=code,
        advice=error.advice if error else decision.advice,
        field=error.field if error else decision.field,
    )


def _end_records(connection: Connection, head: Row, run: RunRef, ended: Sequence[_Ended]) -> dict[str, str]:
    applied = [each for each in ended if each.result is Result.APPLIED]
    new = [_pair(each, head["side"]) for each in applied if _binds(each)]
    kept = [_pair(each, head["side"]) for each in applied if not _binds(each)]
    take_away(connection, run.company, run.mapping, run.source, [each.decision for each in applied])
    update_pairs(connection, run.company, run.mapping, run.source, kept)
    partly = [_pair(each, head["side"]) for each in ended if each.result is Result.REJECTED and each.outcome.values]
    note_target(connection, run.company, run.mapping, run.source, partly)
    conflicts = insert_pairs(connection, run.company, run.mapping, run.source, new)
    rows = []
    for each in ended:
        row = _row(head, run, each)
        if conflict := conflicts.get(each.decision.source_id):
            row |= {"action": Action.REJECT.value, "why": conflict, "code": CONFLICT, "advice": CONFLICT_ADVICE}
        rows.append(row)
    add_rows(connection, rows)
    forget(connection, run, run.source, [each.decision.source_id for each in ended], noted_before=head["sent_at"])
    stale = [each.decision.source_id for each in ended if each.result is Result.STALE]
    wait_for(connection, run, run.source, [each.decision for each in applied], again=stale)
    return conflicts


def _end_write_backs(connection: Connection, head: Row, run: RunRef, ended: Sequence[_Ended]) -> None:
    for state, results in (("done", (Result.APPLIED,)), ("failed", (Result.REJECTED, Result.STALE))):
        crm_ids = [each.decision.target_id or "" for each in ended if each.result in results]
        mark_write_backs(connection, run.company, run.mapping, crm_ids, state)
    rows = []
    for each in ended:
        row = _row(head, run, each)
        changes = tuple(Change(name.removeprefix("write_back."), None, v) for name, v in each.decision.send.items())
        row |= {
            "side": head["side"],
            "operation": "write_back",
            "standing": "aside",
            "changes": encode_changes(changes),
        }
        rows.append(row)
    add_rows(connection, rows)


_CLOSED = ("key", "state", "result_id", "result_version", "code", "message")


def _close(connection: Connection, head: Row, ended: Sequence[_Ended]) -> None:
    rows = [
        {
            "key": each.outcome.key,
            "state": each.result.value,
            "result_id": identifier(each.decision.target_id or ""),
            "result_version": each.outcome.version,
            "code": storable(each.code),
            "message": storable(each.why),
        }
        for each in ended
    ]
    new, now = rows_of(intents, rows, _CLOSED).c, sa.func.now()
    connection.execute(
        sa.update(intents)
        .where(intents.c.batch_id == head["id"], intents.c.company == head["company"], intents.c.key == new.key)
        .values({name: new[name] for name in _CLOSED if name != "key"} | {"ended_at": now})
    )
    doubt = sa.exists().where(intents.c.batch_id == head["id"], intents.c.state.in_(OPEN))
    connection.execute(sa.update(batches).where(batches.c.id == head["id"]).values(open=doubt, ended_at=now))


def _binds(each: _Ended) -> bool:
    return each.op is Op.CREATE or each.decision.binds


def _pair(each: _Ended, side: Side) -> Pair:
    """Return what both sides hold now. The caller has put the target's answer into the decision as far as it counts."""
    decision, outcome = each.decision, each.outcome
    pair = pair_of(
        decision,
        base_target=decision.target,
        target_version=decision.target_version,
        answer={name: outcome.values[name] for name in ANSWERED if name in outcome.values} if side == "books" else {},
        made=int(_binds(each)),
    )
    return replace(pair, write_back="done") if each.op is Op.CREATE and each.has_own_id else pair


def _row(head: Row, run: RunRef, each: _Ended) -> dict[str, Any]:
    applied = Action.CREATE if each.op is Op.CREATE else Action.UPDATE
    return log_values(run, each.decision) | {
        "operation": each.op.value,
        "action": _ACTIONS.get(each.result, applied).value,
        "result": each.result.value,
        "why": storable(each.why),
        "code": storable(each.code),
        "advice": storable(each.advice),
        "field": storable(each.field),
        "batch_key": head["key"],
        "sent_at": head["sent_at"],
    }
