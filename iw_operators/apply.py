"""The only place that writes to a business system (law 2).

Each batch: intents committed, the call, outcomes committed. What a crash leaves in doubt is settled before anything
new is sent: looked up in the target first, then sent again under the same keys.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import structlog

from iw_operators.engine.model import LINES, Action, Decision, Record, Values, lines_of
from iw_operators.errors import ConnectionFailure, InterWeaveError, RetryLater, SignInAgain
from iw_operators.keys import batch_key, write_key
from iw_operators.ledger.model import Kind, OpenBatch, RunRef
from iw_operators.ledger.store import Ledger
from iw_operators.points import reach
from iw_operators.spec.catalogue import FieldDef
from iw_operators.spec.resolved import Side
from iw_operators.systems.base import Batch, Op, Outcome, Result, System, View, Write

log = structlog.get_logger(__name__)

IN_DOUBT: Final = "iw.in_doubt"
OWN: Final = "write_back."  # before the names of fields that hold what the books call the record
WRITE_BACK_PAGE: Final = 500
CLOCKS_DIFFER: Final = dt.timedelta(hours=1)  # by which a system may be behind ours, at the most

_WRITES = (Action.CREATE, Action.UPDATE)
_ENDED = {Result.REJECTED: Action.REJECT, Result.STALE: Action.HOLD, Result.UNKNOWN: Action.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of a mapping: the systems, and the views under which each is written."""

    systems: Mapping[Side, System]
    views: Callable[[Side], View]
    write_back: View | None = None  # of the CRM's own fields for the books' id and the like


class Rules(Protocol):
    """What follows from a write that was applied; a direction of a mapping (`engine.Compiled`) has it."""

    def base_after(self, decision: Decision, held: Values) -> Values:
        """Return what the target's side of the base becomes; `held` is what the target has answered."""

    def version_after(self, version: str) -> str:
        """Return which version of the target counts as seen, from the one that the target has answered."""

    def verified(self, decision: Decision, held: Values) -> Decision:
        """Return the decision, with a remark where the target's answer is not what was expected."""


@dataclass(slots=True)
class Writer:
    """Writes for one mapping in one task.

    :param side: which end is written to.
    :param rules: of the direction that writes to a side; what is in doubt may be of the other direction.
    :param in_doubt: source ids of records whose earlier write could not be decided; they must not be planned.
    :param strangers_since: since when the source may hold records that creates of the other direction have made
        without anybody knowing of which; None where no such create is in doubt.
    """

    run: RunRef
    ledger: Ledger
    side: Side
    ends: Ends
    rules: Callable[[Side], Rules]
    in_doubt: set[str] = field(default_factory=set)
    strangers_since: dt.datetime | None = None

    def apply(self, plan: Sequence[Decision], *, last: bool) -> tuple[list[Decision], set[str]]:
        """Carry out a plan.

        :param last: whether records whose partner changed meanwhile end as held rather than being given back.
        :returns: the decisions as they ended (created ones with their target's id), and the source ids to be planned
            again because their partner changed meanwhile.
        :raises RetryLater: the target went away; what was sent is known, or in doubt and settled by the next attempt.
        """
        done = [decision for decision in plan if decision.action not in _WRITES]
        self.ledger.record(self.run, done)
        reach("after_record")
        stale: set[str] = set()
        writes = [(self._write(decision), decision) for decision in plan if decision.action in _WRITES]
        for number, (batch, decisions) in enumerate(_batches(writes, self.ends.systems[self.side].batch_size)):
            if number:
                reach("between_batches")
            outcomes = self._send(batch, decisions, self.side, "record")
            again = {decisions[o.key].source_id for o in outcomes if o.result is Result.STALE and not last}
            ended = self._end(self.run, self.side, batch, outcomes, decisions)
            reach("after_outcomes")
            done += [decision for decision in ended if decision.source_id not in again]
            stale |= again
        for decision in done:
            trace(decision)
        return done, stale

    def _write(self, decision: Decision) -> Write:
        op = Op.CREATE if decision.action is Action.CREATE else Op.UPDATE
        if decision.removal is not None:
            op = Op(decision.removal.value)
        values = dict(decision.send)
        view = self.ends.views(self.side)
        if op is Op.CREATE and f"{OWN}id" in view.fields:
            values[f"{OWN}id"] = decision.source_id  # a CRM record made from the books knows its partner at once
        key = write_key(self.run.company, self.run.mapping, op, decision, values)
        return Write(key, op, view, values, decision.target_id, decision.target_version)

    def _send(self, batch: Batch, decisions: Mapping[str, Decision], side: Side, kind: Kind) -> Sequence[Outcome]:
        system, back = self.ends.systems[side], kind == "write_back"
        batch = replace(batch, sent_at=dt.datetime.now(dt.UTC))
        reach("before_write_back_intents" if back else "before_intents")
        self.ledger.begin_batch(self.run, side=side, kind=kind, batch=batch, decisions=decisions)
        reach("after_write_back_intents" if back else "after_intents")
        outcomes = {outcome.key: outcome for outcome in system.write(batch)}
        reach("after_write_back_call" if back else "after_call")
        unknown = tuple(w for w in batch.writes if outcomes[w.key].result is Result.UNKNOWN)
        if unknown:
            outcomes |= {outcome.key: outcome for outcome in settled(system, replace(batch, writes=unknown))}
        left = [outcome for outcome in outcomes.values() if outcome.result is Result.UNKNOWN]
        if len(left) == len(batch.writes):
            # The other side is away. The intents stay open, and the next attempt settles them before anything else.
            raise left[0].error or ConnectionFailure("It is not known whether a batch has arrived.")
        return [outcomes[write.key] for write in batch.writes]

    def _end(
        self, run: RunRef, side: Side, batch: Batch, outcomes: Sequence[Outcome], decisions: Mapping[str, Decision]
    ) -> list[Decision]:
        rules = self.rules(side)
        ended = {o.key: _ended(rules, decisions[o.key], o) for o in outcomes}
        self.ledger.end_batch(run, batch, outcomes, ended)
        unknown = {o.key for o in outcomes if o.result is Result.UNKNOWN}
        if side == self.side:
            self.in_doubt |= {decisions[key].source_id for key in unknown}
        elif batch.sent_at is not None and any(w.op is Op.CREATE for w in batch.writes if w.key in unknown):
            self.strangers_since = min(self.strangers_since or batch.sent_at, batch.sent_at)
        return list(ended.values())

    def settle(self) -> None:
        """Settle what earlier attempts and runs of this mapping left in doubt, in either direction."""
        for open_batch in self.ledger.open_batches(self.run.company, self.run.mapping):
            self._settle(open_batch)

    def _settle(self, open_batch: OpenBatch) -> None:
        back = open_batch.kind == "write_back"
        view = self.ends.write_back if back else self.ends.views(open_batch.side)
        if view is None:
            return  # the mapping has given up writing back since
        batch = _in_view(open_batch.batch(view))
        reach("before_settling")
        outcomes = settled(self.ends.systems[open_batch.side], batch)
        if back:
            self.ledger.end_batch(open_batch.run, batch, outcomes, open_batch.decisions)
        else:
            outcomes = self._decided_by_hand(open_batch, outcomes)
            self._end(open_batch.run, open_batch.side, batch, outcomes, open_batch.decisions)
        reach("after_settling")
        log.info("settled what was in doubt", mapping=self.run.mapping, writes=len(batch.writes))

    def _decided_by_hand(self, open_batch: OpenBatch, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Let creates in doubt whose record is bound by now end: somebody has found the partner and said so."""
        source, decisions = open_batch.run.source, open_batch.decisions
        creates = {w.key for w in open_batch.writes if w.op is Op.CREATE}
        open_ = [o for o in outcomes if o.result is Result.UNKNOWN and o.key in creates]
        bound = self.ledger.references(
            self.run.company, self.run.mapping, source, [decisions[o.key].source_id for o in open_]
        )
        ended = {o.key for o in open_ if decisions[o.key].source_id in bound}
        return [replace(o, result=Result.STALE, error=None) if o.key in ended else o for o in outcomes]

    def write_back(self) -> None:
        """Write the books' ids into bound CRM records that do not have them yet."""
        view = self.ends.write_back
        if view is None:
            return
        crm = self.ends.systems["crm"]
        names = {name.removeprefix(OWN) for name in view.fields}
        while pending := self.ledger.pending_write_backs(self.run.company, self.run.mapping, WRITE_BACK_PAGE):
            now = crm.now()
            writes = []
            for item in pending:
                values = {OWN + name: value for name, value in item.values(names, now).items()}
                decision = Decision(Action.UPDATE, item.crm_id, "write back", target_id=item.crm_id, send=values)
                key = write_key(self.run.company, f"{self.run.mapping}.write_back", Op.UPDATE, decision, values)
                writes.append((Write(key, Op.UPDATE, view, values, item.crm_id), decision))
            for batch, decisions in _batches(writes, crm.batch_size):
                outcomes = self._send(batch, decisions, "crm", "write_back")
                self.ledger.end_batch(self.run, batch, outcomes, decisions)
                reach("after_write_back_outcomes")

    @staticmethod
    def doubt(record: Record) -> Decision:
        """Return the decision for a record whose earlier write is still in doubt: it waits."""
        return Decision(
            action=Action.UNKNOWN,
            source_id=record.id,
            label=record.label,
            why="An earlier write of this record is in doubt, and looking could not decide it.",
            code=IN_DOUBT,
        )

    def wary(self, decision: Decision, record: Record) -> Decision:
        """Return the decision, held if it would create a partner for what the other direction may have made itself."""
        if decision.action is not Action.CREATE or self.strangers_since is None:
            return decision
        if record.modified is not None and record.modified < self.strangers_since - CLOCKS_DIFFER:
            return decision
        why = "A create by the flow of the other direction is in doubt, and this record may be what it has made."
        return replace(decision, action=Action.HOLD, why=why, code=IN_DOUBT, send={}, changes=())


def _ended(rules: Rules, decision: Decision, outcome: Outcome) -> Decision:
    if outcome.result is Result.APPLIED:
        verified = rules.verified(decision, outcome.values)
        if verified.code and not decision.code:
            log.warning("applied, but not as expected", source_id=decision.source_id, code=verified.code)
        return replace(
            verified,
            target_id=outcome.target_id or decision.target_id,
            target_version=rules.version_after(outcome.version),
            target=rules.base_after(decision, outcome.values),
        )
    error, action = outcome.error, _ENDED[outcome.result]
    if outcome.result is Result.REJECTED and outcome.values:  # refused in part: the half that was done is no news
        decision = replace(decision, target=rules.base_after(decision, outcome.values))
    if error is None:
        return replace(decision, action=action)
    return replace(decision, action=action, why=error.message, code=error.code, advice=error.advice, field=error.field)


def settled(system: System, batch: Batch) -> Sequence[Outcome]:
    """Look a batch up, and send again what did not arrive, or may not have, under its own keys.

    An update or removal that certainly did not arrive is not sent again: its record is planned again from what both
    sides hold by now, so that nothing newer is overwritten. So is what did not arrive and is now refused as a whole
    (by its size, or for one record in it). A create of which looking cannot tell whether it arrived is sent again
    while the target knows its key (`System.keys_last`); later it stays unknown, for a person to decide.
    """
    ops = {write.key: write.op for write in batch.writes}
    found = {outcome.key: outcome for outcome in system.resolve(batch)}
    for key, outcome in found.items():
        if outcome.result is Result.REJECTED and ops[key] is not Op.CREATE:
            found[key] = replace(outcome, result=Result.STALE)
    age = dt.datetime.now(dt.UTC) - batch.sent_at if batch.sent_at else dt.timedelta()
    keyed = age < system.keys_last
    again = {
        key
        for key, outcome in found.items()
        if outcome.result is Result.REJECTED
        or (outcome.result is Result.UNKNOWN and (keyed or ops[key] is not Op.CREATE))
    }
    reach("after_looking")
    if again:
        try:
            sent = system.write(replace(batch, writes=tuple(w for w in batch.writes if w.key in again)))
        except (RetryLater, SignInAgain):
            raise
        except InterWeaveError as error:
            log.warning("what did not arrive is refused as a whole; it is planned again", code=error.code)
            absent = [found[key] for key in again if found[key].result is Result.REJECTED]
            sent = [replace(outcome, result=Result.STALE, error=error) for outcome in absent]
        reach("after_sending_again")
        found |= {outcome.key: outcome for outcome in sent}
    return [found[write.key] for write in batch.writes]


def _in_view(batch: Batch) -> Batch:
    """Return a batch that was planned under an earlier spec, so that it can be looked up and sent under this one.

    Fields that the mapping has given up since are taken from the catalogue; what that does not know is left out.
    """
    return replace(batch, writes=tuple(map(_write_in_view, batch.writes)))


def _write_in_view(write: Write) -> Write:
    view, rows = write.view, lines_of(write.values)
    catalogue = view.definition
    names = write.values.keys() - view.fields.keys() - {LINES}
    of_lines = {name for row in rows for name in row} - view.lines.keys()
    if not (names or of_lines):
        return write
    listed = catalogue.lines.fields if catalogue.lines is not None else {}
    view = replace(
        view,
        fields={**view.fields, **{name: catalogue.fields[name] for name in names if name in catalogue.fields}},
        lines={**view.lines, **{name: listed[name] for name in of_lines if name in listed}},
    )
    values = {name: value for name, value in write.values.items() if name in view.fields or name == LINES}
    if of_lines:
        values[LINES] = tuple({name: value for name, value in row.items() if name in view.lines} for row in rows)
    return replace(write, view=view, values=values)


def own_fields(fields: Mapping[str, FieldDef]) -> dict[str, FieldDef]:
    """Return a mapping's `write_back` under the names that writes use."""
    return {OWN + name: definition for name, definition in fields.items()}


def trace(decision: Decision) -> None:
    """Log one record at DEBUG; ids and field names only."""
    log.debug(
        "record",
        source_id=decision.source_id,
        target_id=decision.target_id,
        action=decision.action.value,
        code=decision.code,
        fields=[change.field for change in decision.changes],
    )


def _batches(writes: Sequence[tuple[Write, Decision]], size: int) -> list[tuple[Batch, dict[str, Decision]]]:
    parts = [writes[start : start + size] for start in range(0, len(writes), size)]
    return [
        (Batch(batch_key([w.key for w, _ in part]), tuple(w for w, _ in part)), {w.key: d for w, d in part})
        for part in parts
    ]
