"""Finding out how writes of an earlier batch ended, without sending them.

A create is looked for among the records made since its batch first went out: where there is none, it has not arrived,
and where there is one, a person may have renamed or changed what it made. A record that nobody has changed since it
was made (Intuit counts changes in its SyncToken, from 0) still has the name or number that it was made with.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import structlog

from iw_operators.engine.model import Value
from iw_operators.errors import FixRecord
from iw_operators.systems.base import Batch, Op, Outcome, Result, View, Write
from iw_operators.systems.fitting import sendable
from iw_operators.systems.quickbooks_online.client import Client
from iw_operators.systems.quickbooks_online.codec import INACTIVE_SUFFIX, at, same, sync_token, values_of
from iw_operators.systems.quickbooks_online.errors import LABEL, unreadable
from iw_operators.systems.quickbooks_online.lists import Lists
from iw_operators.systems.quickbooks_online.outcomes import Recent, applied
from iw_operators.systems.quickbooks_online.query import PAGE
from iw_operators.systems.quickbooks_online.reading import Reader, Row
from iw_operators.systems.quickbooks_online.removing import removed
from iw_operators.systems.told import in_doubt, not_applied

log = structlog.get_logger(__name__)

CLOCKS: Final = dt.timedelta(minutes=15)  # by which Intuit's clock may be behind ours
UNCHANGED: Final = "0"  # the SyncToken of a record that is as it was made

Scope: TypeAlias = tuple[str, str]  # object, customer


@dataclass(slots=True)
class Looker:
    """Looks up writes in one company."""

    client: Client
    reader: Reader
    lists: Lists
    recent: Recent

    def resolve(self, batch: Batch) -> list[Outcome]:
        """Look up how writes ended; see `System.resolve`.

        An update counts as applied when the record holds what was sent, and as not applied when the record's SyncToken
        is still the one that it started from. A create counts as applied when the one record with its name or number
        holds what was sent. It counts as not applied when nothing has been made since it was sent that it may have
        made: no record of the object, of a transaction none of the same customer, but those of other writes of the
        batch and those that bear another name since they were made. Of a batch without a time, when no record with
        its name or number exists. Everything else is UNKNOWN: sending it again under the same keys is safe and makes
        Intuit tell.
        """
        updates = [w for w in batch.writes if w.op is not Op.CREATE]
        creates = [w for w in batch.writes if w.op is Op.CREATE]
        found = self._fetched(updates)
        outcomes = {w.key: self._resolved_update(w, found.get((w.view.object, w.target_id or ""))) for w in updates}
        if batch.sent_at is None:
            outcomes |= self._named(creates, none_is_certain=True)
        else:
            known = {(w.view.object, w.target_id or "") for w in updates}
            outcomes |= self._made_since(batch.sent_at - CLOCKS, creates, known)
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
            return applied(write, row or {}, self.lists, self.recent)
        if row is None:
            error = FixRecord(f"{LABEL}: {write.view.object} {write.target_id} is not there any more.", code="610")
            return Outcome(write.key, Result.REJECTED, write.target_id, error=error)
        if not write.op.removes and self._holds(write, row):
            return applied(write, row, self.lists, self.recent)
        if str(row["SyncToken"]) == sync_token(write.version):
            return not_applied(LABEL, write)
        return in_doubt(LABEL, write)

    def _made_since(
        self, since: dt.datetime, creates: Sequence[Write], known: set[tuple[str, str]]
    ) -> dict[str, Outcome]:
        """Judge creates by all that has been made since, with one query per object or customer.

        :param known: object and id of records that were there before the creates.
        """
        scopes = {write.key: _scope(write) for write in creates}
        queries = {scopes[w.key]: self.reader.select_made(w.view, since, *_of_customer(w)) for w in creates}
        answers = self.client.queries([(scope[0], query) for scope, query in queries.items()])
        made = dict(zip(queries, answers, strict=True))
        unseen = [w for w in creates if len(made[scopes[w.key]]) >= PAGE]  # there may be more than a query brings
        outcomes = self._named(unseen, none_is_certain=False)
        seen = [w for w in creates if w.key not in outcomes]
        taken = known | {(w.view.object, o.target_id or "") for w in unseen if (o := outcomes[w.key]).target_id}
        for write in seen:
            rows = [row for row in made[scopes[write.key]] if (write.view.object, row["Id"]) not in taken]
            named = [row for row in rows if _name_sent(write) and _same_name(write, row)]
            if len(named) == 1 and self._holds(write, named[0]):
                outcomes[write.key] = applied(write, named[0], self.lists, self.recent)
                taken.add((write.view.object, named[0]["Id"]))
        for write in seen:
            if write.key not in outcomes:
                rows = [row for row in made[scopes[write.key]] if (write.view.object, row["Id"]) not in taken]
                maybe = any(_may_have_made(write, row) for row in rows)
                outcomes[write.key] = in_doubt(LABEL, write) if maybe else not_applied(LABEL, write)
        return outcomes

    def _named(self, creates: Sequence[Write], *, none_is_certain: bool) -> dict[str, Outcome]:
        """Judge creates by the records with their names or numbers, whenever these were made."""
        searches = [(w, self._search(w)) for w in creates]
        answers = iter(self.client.queries([(w.view.object, query) for w, query in searches if query]))
        outcomes: dict[str, Outcome] = {}
        for write, query in searches:
            rows = next(answers) if query else None
            if rows == [] and none_is_certain:
                outcomes[write.key] = not_applied(LABEL, write)
            elif rows and len(rows) == 1 and _name_sent(write) and self._holds(write, rows[0]):
                outcomes[write.key] = applied(write, rows[0], self.lists, self.recent)
            else:
                outcomes[write.key] = in_doubt(LABEL, write)
        return outcomes

    def _search(self, write: Write) -> str:
        """Return the query that finds what a create has made, "" when there is nothing to look for."""
        view, values = write.view, write.values
        unique = _name_sent(write)
        if unique:
            native = view.definition.fields[view.definition.name].native
            return self.reader.select_where(view, native, unique) if sendable(unique) else ""
        terms: list[str] = []
        for name in ("customer", "date", "total"):
            value: Value = values.get(name)
            if value is not None and name in view.fields:
                terms += [view.fields[name].native.removesuffix(".value"), str(value)]
        return self.reader.select_where(view, *terms) if "customer" in values else ""

    def _holds(self, write: Write, row: Row) -> bool:
        try:
            held = values_of(write.view, row, self.lists.text_of)
        except ValueError as error:
            raise unreadable(write.view) from error
        return all(same(value, held.get(name)) for name, value in write.values.items())


def _scope(write: Write) -> Scope:
    """Return what the records that this create may have made have in common."""
    return write.view.object, "".join(_of_customer(write)[1:])


def _of_customer(write: Write) -> tuple[str, ...]:
    """Return path and id of a transaction's customer, nothing for a list."""
    customer = write.values.get("customer")
    if not customer:
        return ()
    return write.view.fields["customer"].native.removesuffix(".value"), str(customer)


def _name_sent(write: Write) -> str:
    """Return the name or number that a create gives its record, "" where Intuit gives it."""
    definition = write.view.definition
    own = definition.fields[definition.name].native != "Id"
    return str(write.values.get(definition.name) or "") if own else ""


def _same_name(write: Write, row: Row) -> bool:
    definition = write.view.definition
    name = str(at(row, definition.fields[definition.name].native) or "")
    if definition.active and row.get(definition.active) is False:
        name = name.removesuffix(INACTIVE_SUFFIX)
    return name.strip().casefold() == _name_sent(write).strip().casefold()


def _may_have_made(write: Write, row: Row) -> bool:
    """Tell whether a record may be what this create made, whatever people have done to it since."""
    return not _name_sent(write) or str(row.get("SyncToken")) != UNCHANGED or _same_name(write, row)
