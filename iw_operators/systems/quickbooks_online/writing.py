"""Writing: one batch a call, one outcome a write, and finding out afterwards how a batch ended.

Intuit keeps the answer to each item of a batch under the batch's requestid and the item's bId, and gives it again
instead of working twice. The bId is therefore made of the write's own key, not of its place: any part of a batch can
be sent again under the batch's key without an item being answered for another.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from iw_operators.engine.model import Value
from iw_operators.errors import ConnectionFailure, FixRecord, InterWeaveError, RetryLater, StaleRecord
from iw_operators.systems.base import Batch, Op, Outcome, Result, View, Write
from iw_operators.systems.fitting import sendable
from iw_operators.systems.quickbooks_online.bodies import Names, body_of, needs_current
from iw_operators.systems.quickbooks_online.client import BATCH, REQUEST_ID, Client, is_row
from iw_operators.systems.quickbooks_online.codec import (
    CUSTOM,
    by_native,
    same,
    sync_token,
    values_of,
    version_of,
)
from iw_operators.systems.quickbooks_online.errors import LABEL, error_of, faults_in, unreadable
from iw_operators.systems.quickbooks_online.lists import Lists
from iw_operators.systems.quickbooks_online.reading import Reader, Row
from iw_operators.systems.quickbooks_online.removing import GONE, item_of, removed

log = structlog.get_logger(__name__)

KEPT: Final = 1000  # rows last read that are remembered, so that updating them needs no second reading
TAKEN: Final = frozenset({"6240", "6140"})  # a name, a document number


class Recent:
    """The rows last read, by object and id."""

    def __init__(self, size: int = KEPT) -> None:
        self._rows: OrderedDict[tuple[str, str], Row] = OrderedDict()
        self._size = size

    def keep(self, entity: str, rows: Collection[Row]) -> None:
        """Remember rows, forgetting the oldest."""
        for row in rows:
            self._rows[entity, row["Id"]] = row
            self._rows.move_to_end((entity, row["Id"]))
        while len(self._rows) > self._size:
            self._rows.popitem(last=False)

    def get(self, entity: str, ident: str | None, token: str) -> Row | None:
        """Return a row if it is remembered at this SyncToken."""
        row = self._rows.get((entity, ident or ""))
        return row if row is not None and str(row.get("SyncToken")) == token else None

    def drop(self, entity: str, ident: str | None) -> None:
        """Forget a row."""
        self._rows.pop((entity, ident or ""), None)


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
        sent = [write for write in batch.writes if write.key in items]
        for outcome in self._send(batch.key, sent, list(items.values())):
            outcomes[outcome.key] = outcome
        return [outcomes[write.key] for write in batch.writes]

    def _send(self, key: str, sent: Sequence[Write], items: Sequence[Mapping[str, Any]]) -> Iterator[Outcome]:
        if not sent:
            return
        try:
            answers = self.client.batch(items, key)
        except ConnectionFailure as error:
            if not error.sent:
                raise
            log.warning("a batch is in doubt", batch=key, writes=len(sent), code=error.code)
            for write in sent:
                self.recent.drop(write.view.object, write.target_id)
                yield Outcome(write.key, Result.UNKNOWN, write.target_id, error=error)
            return
        for write in sent:
            yield self._outcome(write, answers.get(bid(write)))

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
        entity = write.view.object
        self.recent.drop(entity, write.target_id)
        faults = faults_in(answer)
        if faults and write.op is Op.DELETE and faults[0].code == GONE:
            return Outcome(write.key, Result.APPLIED, write.target_id)
        if faults:
            error = self._told(write, error_of(faults), faults[0].element)
            if isinstance(error, RetryLater):
                return Outcome(write.key, Result.UNKNOWN, write.target_id, error=error)
            result = Result.STALE if isinstance(error, StaleRecord) else Result.REJECTED
            return Outcome(write.key, result, write.target_id, error=error)
        row = (answer or {}).get(entity)
        if not is_row(row):
            error = ConnectionFailure(f"{LABEL} left a write of the batch without an answer.", sent=True)
            return Outcome(write.key, Result.UNKNOWN, write.target_id, error=error)
        return self._applied(write, row)

    def _applied(self, write: Write, row: Row) -> Outcome:
        if write.op is Op.DELETE:
            return Outcome(write.key, Result.APPLIED, write.target_id)
        self.recent.keep(write.view.object, [row])
        return Outcome(write.key, Result.APPLIED, str(row["Id"]), version_of(row), self._held(write.view, row))

    def _held(self, view: View, row: Row) -> dict[str, Value]:
        """Return what the record now holds. Reads nothing and raises nothing: the write is done.

        A reference whose text neither the answer nor a list read before tells is left out.
        """
        try:
            values = values_of(view, row, self.lists.loaded_text_of)
        except ValueError:
            log.warning("an answer cannot be read", object=view.object)
            return {}
        unread = [n for n, f in view.fields.items() if f.lookup and values[n] is None and row.get(f.native)]
        return {name: value for name, value in values.items() if name not in unread}

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

    def resolve(self, batch: Batch) -> list[Outcome]:
        """Look up how writes ended; see `System.resolve`.

        A create counts as applied when the one record with its name or number holds what was sent, an update when
        the record does. It counts as not applied when no such record exists, or the record's SyncToken is still the
        one that the update started from. Everything else is UNKNOWN: sending it again under the same keys is safe and
        makes Intuit tell.
        """
        updates = [w for w in batch.writes if w.op is not Op.CREATE]
        creates = [w for w in batch.writes if w.op is Op.CREATE]
        found = self._fetched(updates)
        outcomes = {w.key: self._resolved_update(w, found.get((w.view.object, w.target_id or ""))) for w in updates}
        searches = [(w, self._search(w)) for w in creates]
        answers = iter(self.client.queries([(w.view.object, query) for w, query in searches if query]))
        for write, query in searches:
            outcomes[write.key] = self._resolved_create(write, next(answers) if query else None)
        log.info("looked up", batch=batch.key, **Counter(outcome.result.value for outcome in outcomes.values()))
        return [outcomes[write.key] for write in batch.writes]

    def _fetched(self, writes: Sequence[Write]) -> dict[tuple[str, str], Row]:
        found: dict[tuple[str, str], Row] = {}
        views: dict[str, View] = {w.view.object: w.view for w in writes}
        for entity, view in views.items():
            ids = [w.target_id or "" for w in writes if w.view.object == entity]
            for page in self.reader.by_ids(view, ids):
                found |= {(entity, row["Id"]): row for row in page}
        return found

    def _resolved_update(self, write: Write, row: Row | None) -> Outcome:
        if write.op.removes and removed(write.op, write.view.definition, row):
            return self._applied(write, row or {})
        if row is None:
            error = FixRecord(f"{LABEL}: {write.view.object} {write.target_id} is not there any more.", code="610")
            return Outcome(write.key, Result.REJECTED, write.target_id, error=error)
        if not write.op.removes and self._holds(write, row):
            return self._applied(write, row)
        if str(row["SyncToken"]) == sync_token(write.version):
            return Outcome(write.key, Result.REJECTED, write.target_id, error=_not_arrived(write))
        return Outcome(write.key, Result.UNKNOWN, write.target_id, error=_in_doubt(write))

    def _search(self, write: Write) -> str:
        """Return the query that finds what a create has made, "" when there is nothing to look for."""
        view, values = write.view, write.values
        unique = values.get(view.definition.name)
        native = view.definition.fields[view.definition.name].native
        if unique and native != "Id":
            if not sendable(str(unique)):
                return ""
            return self.reader.select_where(view, native, str(unique))
        terms: list[str] = []
        for name in ("customer", "date", "total"):
            value: Value = values.get(name)
            if value is not None and name in view.fields:
                terms += [view.fields[name].native.removesuffix(".value"), str(value)]
        return self.reader.select_where(view, *terms) if "customer" in values else ""

    def _resolved_create(self, write: Write, rows: list[Row] | None) -> Outcome:
        if rows == []:
            return Outcome(write.key, Result.REJECTED, error=_not_arrived(write))
        named = bool(write.values.get(write.view.definition.name))
        if rows and len(rows) == 1 and named and self._holds(write, rows[0]):
            return self._applied(write, rows[0])
        return Outcome(write.key, Result.UNKNOWN, error=_in_doubt(write))

    def _holds(self, write: Write, row: Row) -> bool:
        try:
            held = values_of(write.view, row, self.lists.text_of)
        except ValueError as error:
            raise unreadable(write.view) from error
        return all(same(value, held.get(name)) for name, value in write.values.items())


def bid(write: Write) -> str:
    """Return a write's name within any batch: 10 characters of its key's hash (Intuit's limit of a bId)."""
    return hashlib.sha256(write.key.encode()).hexdigest()[:10]


def _not_arrived(write: Write) -> FixRecord:
    return FixRecord(f"{LABEL} has not taken the {write.op.value} of this {write.view.object}.", code="iw.not_applied")


def _in_doubt(write: Write) -> ConnectionFailure:
    msg = f"Looking cannot tell whether {LABEL} has taken the {write.op.value} of this {write.view.object}."
    return ConnectionFailure(msg, sent=True, code="iw.in_doubt")
