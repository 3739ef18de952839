"""Writing records, and finding out how an earlier write ended.

Creatio has no idempotency key and no version check. A create carries an Id made from its key, so that sending it
twice cannot make two records; an update sets fields, so that repeating it changes nothing. Not promised: an edit by
a user between our reading and our writing of the same field is overwritten; and an update of a killed task that was
still on its way when the next one had looked and written newer values overwrites these when it arrives.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from iw_operators.engine.model import Record, Value
from iw_operators.errors import (
    ConnectionFailure,
    FixConfiguration,
    FixRecord,
    InterWeaveError,
    RetryLater,
    Throttled,
)
from iw_operators.spec.catalogue import LookupDef
from iw_operators.systems.base import Batch, Op, Outcome, Result, View, Write
from iw_operators.systems.creatio import ending
from iw_operators.systems.creatio.batch import LIMIT, Part, PartAnswer
from iw_operators.systems.creatio.client import Client
from iw_operators.systems.creatio.codec import column_of, encode
from iw_operators.systems.creatio.confirming import reads_around, rows_of
from iw_operators.systems.creatio.errors import TOO_LARGE
from iw_operators.systems.creatio.lookups import Lookups
from iw_operators.systems.creatio.reading import Reading
from iw_operators.systems.creatio.removing import address_of, done, part_of
from iw_operators.systems.fitting import check_text

log = structlog.get_logger(__name__)

BATCH: Final = 94  # writes of one call: 100 parts, less three reads before and three after
PATIENCE: Final = dt.timedelta(hours=1)  # how long a create at which Creatio fails is sent again in each run
NAMESPACE: Final = uuid.UUID("6f0f3f0e-5d0a-4c55-9d2b-6d6f5b1f7c21")


def new_id(write: Write) -> str:
    """Return the Id that a create makes its record with: the same for the same key and object."""
    return str(uuid.uuid5(NAMESPACE, f"{write.view.object}\n{write.key}"))


def target_of(write: Write) -> str:
    """Return the Id of the record that a write is about."""
    return new_id(write) if write.op is Op.CREATE else (write.target_id or "").lower()


@dataclass(frozen=True, slots=True)
class _Sent:
    """One write that goes out: where in the batch it stands, and what is sent."""

    position: int
    write: Write
    part: Part


class Writing:
    """Writes to one Creatio."""

    def __init__(self, client: Client, reading: Reading, lookups: Lookups) -> None:
        self._client = client
        self._reading = reading
        self._lookups = lookups
        self._known: dict[str, InterWeaveError] = {}  # why writes in doubt were not carried out, by key
        self._since: dict[str, dt.datetime] = {}  # when creates that were looked up first went out, by key

    def write(self, batch: Batch) -> list[Outcome]:
        """Send a batch in one HTTP call (more, where one is too large); one outcome a write, in order.

        Raises when nothing was carried out. What Creatio answered with a failure of its own (status 5xx) may have
        been carried out all the same, and is looked at once before it is told as rejected. What failed for a reason
        that passes is UNKNOWN. Only a create at which Creatio itself has failed for longer than `PATIENCE` ends as
        rejected, so that a record that can never go does not stay in doubt for ever.
        """
        found = self._found(batch.writes)
        outcomes: dict[int, Outcome] = {}
        sent: list[_Sent] = []
        for position, write in enumerate(batch.writes):
            try:
                part = _part(write, found)
            except (FixRecord, FixConfiguration) as error:
                outcomes[position] = Outcome(write.key, Result.REJECTED, write.target_id, error=error)
                continue
            if batch.sent_at is not None and write.op is Op.CREATE:
                self._since[write.key] = batch.sent_at
            if part is None:
                outcomes[position] = Outcome(write.key, Result.APPLIED, write.target_id, write.version)
            else:
                sent.append(_Sent(position, write, part))
        if sent:
            outcomes.update(self._send(sent))
        return [outcomes[position] for position in range(len(batch.writes))]

    def resolve(self, batch: Batch) -> list[Outcome]:
        """Find out how an earlier batch ended.

        A create was applied when its record is there; an update when the record holds what was sent. An update is
        REJECTED, not applied and safe to send again, when the record still has the version that it started from. If it
        has another, ours may have been applied and then overwritten by somebody: STALE, to be planned anew.
        """
        records = self._look(batch.writes)
        if batch.sent_at is not None:
            self._since.update((write.key, batch.sent_at) for write in batch.writes if write.op is Op.CREATE)
        return [
            ending.looked_up(write, records.get(target_of(write)), self._known.get(write.key)) for write in batch.writes
        ]

    def _send(self, sent: Sequence[_Sent]) -> dict[int, Outcome]:
        """Send in one call; in halves what the site finds too large, down to a single write, which is then rejected."""
        try:
            return self._call(sent)
        except FixConfiguration as error:
            if error.code != TOO_LARGE:
                raise
            if len(sent) == 1:
                write = sent[0].write
                return {sent[0].position: Outcome(write.key, Result.REJECTED, write.target_id, error=error)}
        middle = (len(sent) + 1) // 2
        log.warning("creatio.too_large", writes=len(sent))
        outcomes = self._send(sent[:middle])
        try:
            return outcomes | self._send(sent[middle:])
        except InterWeaveError as error:  # the first half has gone, so that this is not a failure of the whole batch
            return outcomes | {one.position: self._unknown(one.write, error) for one in sent[middle:]}

    def _call(self, sent: Sequence[_Sent]) -> dict[int, Outcome]:
        reads = reads_around(one.write for one in sent)
        if len(sent) + 2 * len(reads) > LIMIT:
            reads = ()
        try:
            answers = self._client.write([*reads, *(one.part for one in sent), *reads])
        except RetryLater as error:
            if isinstance(error, Throttled) or (isinstance(error, ConnectionFailure) and not error.sent):
                raise
            log.warning("creatio.write_unknown", writes=len(sent), code=error.code)
            return {one.position: ending.unknown(one.write, target_of(one.write), error) for one in sent}
        before, after = rows_of(answers[: len(reads)]), rows_of(answers[len(reads) + len(sent) :])
        outcomes: dict[int, Outcome] = {}
        doubtful: list[tuple[_Sent, InterWeaveError]] = []
        for one, answer in zip(sent, answers[len(reads) : len(reads) + len(sent)], strict=True):
            if done(one.write, answer.status):
                outcomes[one.position] = Outcome(one.write.key, Result.APPLIED, target_of(one.write))
                continue
            if 200 <= answer.status < 300:
                target = target_of(one.write)
                around = before.get(target), after.get(target)
                outcomes[one.position] = ending.applied(one.write, target, one.part.body or {}, answer, around)
                continue
            refusal = ending.refusal(one.write, answer)
            if ending.passes(refusal) and not self._too_long(one.write, answer, refusal):
                outcomes[one.position] = self._unknown(one.write, refusal)
                continue
            if ending.passes(refusal):
                refusal = ending.at_last(refusal)
            if answer.status >= 500 or answer.status == 409:
                doubtful.append((one, refusal))
            else:
                outcomes[one.position] = Outcome(one.write.key, Result.REJECTED, one.write.target_id, error=refusal)
        if doubtful:
            outcomes.update(self._doubtful(doubtful))
        return outcomes

    def _doubtful(self, doubtful: Sequence[tuple[_Sent, InterWeaveError]]) -> dict[int, Outcome]:
        try:
            records = self._look([one.write for one, _ in doubtful])
        except InterWeaveError as error:
            return {one.position: ending.unknown(one.write, target_of(one.write), error) for one, _ in doubtful}
        return {
            one.position: ending.refused_or_done(one.write, records.get(target_of(one.write)), error)
            for one, error in doubtful
        }

    def _unknown(self, write: Write, error: InterWeaveError) -> Outcome:
        """Return the outcome of a write that Creatio has not carried out for now, and keep why."""
        self._known[write.key] = error
        return ending.unknown(write, target_of(write), error)

    def _too_long(self, write: Write, answer: PartAnswer, error: InterWeaveError) -> bool:
        since = self._since.get(write.key)
        if since is None or not ending.may_be_the_records(answer, error):
            return False
        return dt.datetime.now(dt.UTC) - since > PATIENCE

    def _look(self, writes: Iterable[Write]) -> dict[str, Record]:
        """Return what there is of the writes' targets, headers only."""
        views: list[tuple[View, list[str]]] = []
        for write in writes:
            for view, ids in views:
                if view is write.view or view == write.view:
                    ids.append(target_of(write))
                    break
            else:
                views.append((write.view, [target_of(write)]))
        found: dict[str, Record] = {}
        for view, ids in views:
            found.update(self._reading.fetch(replace(view, lines={}, facts=frozenset()), ids))
        return found

    def _found(self, writes: Iterable[Write]) -> dict[LookupDef, Mapping[str, str]]:
        """Return the ids of all texts that the batch writes to lookups."""
        names: dict[LookupDef, set[str]] = {}
        for write in writes:
            for name, value in write.values.items():
                field = write.view.fields.get(name)
                if field is not None and field.lookup is not None and value is not None:
                    names.setdefault(field.lookup, set()).add(str(value))
        return {lookup: self._lookups.find(lookup, texts) for lookup, texts in names.items()}


def _part(write: Write, found: Mapping[LookupDef, Mapping[str, str]]) -> Part | None:
    """Return what is sent for a write, None if there is nothing to say."""
    if write.op.removes:
        return part_of(write)
    body: dict[str, Any] = {}
    for name, value in write.values.items():
        field = write.view.fields.get(name)
        if field is None or not field.writable:
            msg = f"{name} of {write.view.object} cannot be written to Creatio."
            raise FixConfiguration(msg, code="creatio.read_only", field=name)
        if value is None and write.op is Op.CREATE:
            continue
        if field.lookup is not None and value is not None:
            value = _lookup_id(name, value, field.lookup, found)
        elif isinstance(value, str):
            check_text(name, field, value, "Creatio")
        try:
            body[column_of(field)] = encode(value, field)
        except InterWeaveError as error:
            error.field = name
            raise
    if write.op is Op.CREATE:
        return Part("POST", write.view.object, {"Id": new_id(write), **body})
    address = address_of(write)
    return Part("PATCH", address, body) if body else None


def _lookup_id(name: str, value: Value, lookup: LookupDef, found: Mapping[LookupDef, Mapping[str, str]]) -> str:
    key = found.get(lookup, {}).get(str(value))
    if key is None:
        msg = f"{value!r} is not in Creatio's list {lookup.set}."
        advice = "Add it to the list (System designer, Lookups), or translate it with `values` in the mapping."
        raise FixRecord(msg, code="creatio.lookup", advice=advice, field=name)
    return key
