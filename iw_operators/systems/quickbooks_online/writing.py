"""Writing: one batch a call, one outcome a write.

Intuit keeps the answer to each item of a batch under the batch's requestid and the item's bId, and gives it again
instead of working twice. The bId is therefore made of the write's own key, not of its place: any part of a batch can
be sent again under the batch's key without an item being answered for another.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import structlog

from iw_operators.errors import (
    ConnectionFailure,
    FixConfiguration,
    FixRecord,
    InterWeaveError,
    StaleRecord,
    StopFlow,
)
from iw_operators.systems.base import Batch, Op, Outcome, Result, Write
from iw_operators.systems.quickbooks_online.bodies import Names, body_of, needs_current
from iw_operators.systems.quickbooks_online.client import BATCH, REQUEST_ID, Client, is_row
from iw_operators.systems.quickbooks_online.codec import CUSTOM, by_native, sync_token
from iw_operators.systems.quickbooks_online.errors import LABEL, TooLarge, error_of, faults_in
from iw_operators.systems.quickbooks_online.lists import Lists
from iw_operators.systems.quickbooks_online.outcomes import Recent, applied
from iw_operators.systems.quickbooks_online.reading import Reader, Row
from iw_operators.systems.quickbooks_online.removing import GONE, item_of

log = structlog.get_logger(__name__)

TAKEN: Final = frozenset({"6240", "6140"})  # a name, a document number
STOPS: Final = (FixConfiguration, StopFlow)  # about the company, the sign-in or the mapping, not about a record

Part: TypeAlias = tuple[Write, Mapping[str, Any]]


@dataclass(slots=True)
class Writer:
    """Writes to one company. `today` is the company's date."""

    client: Client
    reader: Reader
    lists: Lists
    today: Callable[[], dt.date]
    recent: Recent = field(default_factory=Recent)

    def write(self, batch: Batch) -> list[Outcome]:
        """Send a batch; see `System.write`. Reading that it needs first may raise: then nothing has been sent."""
        if len(batch.writes) > BATCH or len(batch.key) > REQUEST_ID:
            msg = f"a batch of {LABEL} has at most {BATCH} writes and a key of at most {REQUEST_ID} characters"
            raise ValueError(msg)
        outcomes: dict[str, Outcome] = {}
        names = self._names(batch.writes)
        current = self._current([w for w in batch.writes if needs_current(w)])
        items: dict[str, Mapping[str, Any]] = {}
        for write in batch.writes:
            try:
                items[write.key] = self._item(write, current, names)
            except StaleRecord as error:
                outcomes[write.key] = Outcome(write.key, Result.STALE, write.target_id, error=error)
            except FixRecord as error:
                outcomes[write.key] = Outcome(write.key, Result.REJECTED, write.target_id, error=error)
        sent = [(write, items[write.key]) for write in batch.writes if write.key in items]
        outcomes |= {outcome.key: outcome for outcome in self._send(batch.key, sent)}
        return [outcomes[write.key] for write in batch.writes]

    def _send(self, key: str, sent: Sequence[Part]) -> list[Outcome]:
        """Send items; what is refused as a whole for one item's sake goes again in halves, down to that item.

        What stops the flow is raised as long as nothing may have been written; after that it is UNKNOWN, as raising it
        would lose what is known of the rest.
        """
        outcomes: list[Outcome] = []
        waiting = [list(sent)] if sent else []
        while waiting:
            part = waiting.pop()
            try:
                answers = self.client.batch([item for _, item in part], key)
            except (FixRecord, TooLarge) as error:
                half = len(part) // 2
                log.info("refused as a whole", batch=key, writes=len(part), code=error.code)
                if half:
                    waiting += [part[half:], part[:half]]
                else:
                    outcomes.append(self._refused(part[0][0], error))
            except InterWeaveError as error:
                if not (isinstance(error, ConnectionFailure) and error.sent) and not _may_have_written(outcomes):
                    raise
                left = [write for some in [part, *reversed(waiting)] for write, _ in some]
                log.warning("a batch is in doubt", batch=key, writes=len(left), code=error.code)
                outcomes += [self._unknown(write, error) for write in left]
                break
            else:
                outcomes += [self._outcome(write, answers.get(bid(write))) for write, _ in part]
        if not _may_have_written(outcomes):
            for outcome in outcomes:
                if isinstance(outcome.error, STOPS):
                    raise outcome.error
        return outcomes

    def _unknown(self, write: Write, error: InterWeaveError) -> Outcome:
        self.recent.drop(write.view.object, write.target_id)
        return Outcome(write.key, Result.UNKNOWN, write.target_id, error=error)

    def _refused(self, write: Write, error: FixRecord | TooLarge) -> Outcome:
        """Return the outcome of a write that was refused alone."""
        self.recent.drop(write.view.object, write.target_id)
        if isinstance(error, TooLarge):
            error = FixRecord(error.message, code=error.code, advice=error.advice)
        if write.op is Op.DELETE and error.code == GONE:
            return Outcome(write.key, Result.APPLIED, write.target_id)
        result = Result.STALE if isinstance(error, StaleRecord) else Result.REJECTED
        return Outcome(write.key, result, write.target_id, error=error)

    def _item(self, write: Write, current: Mapping[tuple[str, str], Row], names: Names) -> Mapping[str, Any]:
        row = current.get((write.view.object, write.target_id or ""))
        if needs_current(write):
            if row is None:
                msg = f"{LABEL}: {write.view.object} {write.target_id} is not there any more."
                raise FixRecord(
                    msg, code="610", advice="Unbind the record, so that it finds or makes its partner anew."
                )
            if str(row["SyncToken"]) != sync_token(write.version):
                msg = f"{LABEL}: {write.view.object} {write.target_id} has changed since it was read."
                raise StaleRecord(msg, code="5010")
        if write.op.removes:
            return {"bId": bid(write), **item_of(write)}
        body = body_of(write, row, names, self.today())
        return {"bId": bid(write), "operation": write.op.value, write.view.object: body}

    def _names(self, writes: Sequence[Write]) -> Names:
        """Read the lists that these writes need, all of them before anything is sent."""
        ids: dict[tuple[str, str], str] = {}
        custom: Mapping[str, str] = {}
        for write in writes:
            for name, value in write.values.items():
                definition = write.view.fields.get(name)
                if definition is None or value in (None, ""):
                    continue
                if definition.lookup is not None:
                    found = self.lists.find(definition.lookup, [str(value)])
                    ids |= {(definition.lookup.set, text.casefold()): ident for text, ident in found.items()}
                elif definition.native.startswith(CUSTOM):
                    custom = self.lists.custom()
        return Names(ids, custom)

    def _current(self, writes: Sequence[Write]) -> dict[tuple[str, str], Row]:
        """Return the rows that these updates start from, from memory where it is still what they started from."""
        rows: dict[tuple[str, str], Row] = {}
        missing: dict[str, list[Write]] = {}
        for write in writes:
            entity = write.view.object
            row = self.recent.get(entity, write.target_id, sync_token(write.version))
            if row is not None:
                rows[entity, row["Id"]] = row
            else:
                missing.setdefault(entity, []).append(write)
        for entity, some in missing.items():
            for page in self.reader.by_ids(some[0].view, [w.target_id or "" for w in some]):
                rows |= {(entity, row["Id"]): row for row in page}
        return rows

    def _outcome(self, write: Write, answer: Mapping[str, Any] | None) -> Outcome:
        """Return how one item of an answered call ended. Only what is wrong with the record itself rejects it."""
        faults = faults_in(answer)
        if faults:
            error = self._told(write, error_of(faults), faults[0].element)
            return self._refused(write, error) if isinstance(error, FixRecord) else self._unknown(write, error)
        self.recent.drop(write.view.object, write.target_id)
        row = (answer or {}).get(write.view.object)
        if not is_row(row):
            msg = f"{LABEL} left a write of the batch without an answer."
            return self._unknown(write, ConnectionFailure(msg, sent=True))
        return applied(write, row, self.lists, self.recent)

    @staticmethod
    def _told(write: Write, error: InterWeaveError, element: str) -> InterWeaveError:
        """Add the field, and where a name or number is taken, which."""
        error.field = error.field or by_native(write.view, element)
        if error.code in TAKEN:
            name = write.view.definition.name
            error.field = error.field or name
            taken = write.values.get(name)
            if taken:
                error.advice = f"{str(taken)!r} is taken in {LABEL}. {error.advice}"
        return error


def _may_have_written(outcomes: Sequence[Outcome]) -> bool:
    """Tell whether anything was written, or may have been."""
    return any(
        o.result is Result.APPLIED or (o.result is Result.UNKNOWN and not isinstance(o.error, STOPS)) for o in outcomes
    )


def bid(write: Write) -> str:
    """Return a write's name within any batch: 10 characters of its key's hash (Intuit's limit of a bId)."""
    return hashlib.sha256(write.key.encode()).hexdigest()[:10]
