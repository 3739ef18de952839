"""Writing records, and finding out how an earlier write ended.

Creatio has no idempotency key and no version check. A create carries an Id made from its key, so that sending it
twice cannot make two records; an update sets fields, so that repeating it changes nothing. Not promised: an edit by
a user between our reading and our writing of the same field is overwritten; and an update of a killed task that was
still on its way when the next one had looked and written newer values overwrites these when it arrives.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from iw_operators.engine.model import Record, Value
from iw_operators.errors import ConnectionFailure, FixConfiguration, FixRecord, InterWeaveError, StaleRecord
from iw_operators.spec.catalogue import LookupDef
from iw_operators.systems.base import Batch, Op, Outcome, Result, View, Write
from iw_operators.systems.creatio.batch import LIMIT, Part, PartAnswer
from iw_operators.systems.creatio.client import Client
from iw_operators.systems.creatio.codec import NO_ID, Reader, column_of, decode, encode, path_of, reader
from iw_operators.systems.creatio.comparing import same
from iw_operators.systems.creatio.confirming import reads_around, rows_of, version_after
from iw_operators.systems.creatio.errors import failure
from iw_operators.systems.creatio.lookups import Lookups
from iw_operators.systems.creatio.paging import Row
from iw_operators.systems.creatio.reading import Reading
from iw_operators.systems.creatio.removing import address_of, done, part_of, removed
from iw_operators.systems.fitting import check_text

log = structlog.get_logger(__name__)

BATCH: Final = 94  # writes of one call: 100 parts, less three reads before and three after
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

    def write(self, batch: Batch) -> list[Outcome]:
        """Send a batch in one HTTP call; one outcome a write, in order.

        Raises when nothing was carried out. What Creatio answered with a failure of its own (status 5xx) may have
        been carried out all the same, and is looked at once before its outcome is told.
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
        return [_seen(write, records.get(target_of(write)), None) for write in batch.writes]

    def _send(self, sent: Sequence[_Sent]) -> dict[int, Outcome]:
        reads = reads_around(one.write for one in sent)
        if len(sent) + 2 * len(reads) > LIMIT:
            reads = ()
        try:
            answers = self._client.write([*reads, *(one.part for one in sent), *reads])
        except ConnectionFailure as error:
            if not error.sent:
                raise
            log.warning("creatio.write_unknown", writes=len(sent), code=error.code)
            return {one.position: _unknown(one.write, error) for one in sent}
        before, after = rows_of(answers[: len(reads)]), rows_of(answers[len(reads) + len(sent) :])
        outcomes: dict[int, Outcome] = {}
        doubtful: list[tuple[_Sent, InterWeaveError]] = []
        for one, answer in zip(sent, answers[len(reads) : len(reads) + len(sent)], strict=True):
            if done(one.write, answer.status):
                outcomes[one.position] = Outcome(one.write.key, Result.APPLIED, target_of(one.write))
                continue
            if 200 <= answer.status < 300:
                target = target_of(one.write)
                outcomes[one.position] = _done(one, answer, before.get(target), after.get(target))
                continue
            refusal = _error(one, answer)
            if answer.status == 0 or answer.status >= 500 or answer.status == 409:
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
            return {one.position: _unknown(one.write, error) for one, _ in doubtful}
        return {one.position: _seen(one.write, records.get(target_of(one.write)), error) for one, error in doubtful}

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


def _unknown(write: Write, error: InterWeaveError) -> Outcome:
    return Outcome(write.key, Result.UNKNOWN, target_of(write) or None, error=error)


def _done(one: _Sent, answer: PartAnswer, before: Row | None, after: Row | None) -> Outcome:
    """Return the outcome of a success. A create is answered by the row, with its version; an update by nothing."""
    write = one.write
    if write.op is Op.UPDATE:
        version = version_after(write, one.part.body or {}, before, after)
        return Outcome(write.key, Result.APPLIED, target_of(write), version)
    row = answer.body if isinstance(answer.body, Mapping) else {}
    read = reader(write.view)
    columns = {name: path_of(field.native) for name, field in write.view.fields.items()}
    try:
        values = {
            name: decode(row[path[0]], write.view.fields[name])
            for name, path in columns.items()
            if len(path) == 1 and path[0] in row
        }
    except FixConfiguration:  # of a type that the mapping does not expect; reading it will say so
        return Outcome(write.key, Result.APPLIED, target_of(write))
    version = read.version(row) if _knows_version(read, row) else ""
    return Outcome(write.key, Result.APPLIED, target_of(write), version, values)


def _knows_version(read: Reader, row: Mapping[str, Any]) -> bool:
    """Whether a row without its lookups tells the version: it shows nothing of other records."""
    return read.view.definition.modified in row and all(
        row.get(f"{name}Id", NO_ID) in (NO_ID, None) for name in read.stamped
    )


def _error(one: _Sent, answer: PartAnswer) -> InterWeaveError:
    what = f"to {one.write.op.value} a record of {one.write.view.object}"
    if answer.status == 0:
        msg = f"Creatio stopped before it came {what}."
        return ConnectionFailure(msg, code="creatio.batch")
    return failure(answer.status, answer.body, what, answer.headers)


def _seen(write: Write, record: Record | None, error: InterWeaveError | None) -> Outcome:
    """Return the outcome by what is there now."""
    if write.op.removes:
        result = Result.APPLIED if removed(write.op, record) else Result.REJECTED
        return Outcome(write.key, result, write.target_id, error=error if result is Result.REJECTED else None)
    if record is None:
        return Outcome(write.key, Result.REJECTED, write.target_id, error=error)
    fields = write.view.fields
    equal = all(same(value, record.values.get(name), fields[name]) for name, value in write.values.items())
    if write.op is Op.UPDATE and not equal:
        if error is None and record.version != write.version:
            what = f"{write.view.object} {record.id}"
            stale = StaleRecord(f"Creatio: {what} does not hold what was sent and has changed since.", code="iw.stale")
            return Outcome(write.key, Result.STALE, write.target_id, error=stale)
        return Outcome(write.key, Result.REJECTED, write.target_id, error=error)
    return Outcome(write.key, Result.APPLIED, record.id, record.version if equal else "", record.values)
