"""A system in memory that keeps idempotency keys as the real ones do, and can fail at each point of a write."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from iw_operators.engine.model import Record, Value, Values
from iw_operators.errors import ConnectionFailure, FixRecord
from iw_operators.spec.catalogue import FieldDef
from iw_operators.systems.base import Batch, Op, Outcome, Result, View, Window, Write
from tests.killing import Killed

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
Fault = Callable[[Batch], None]


@dataclass
class FakeSystem:
    """Records by id; a clock that moves one second a write. `before` and `after` a batch is committed may fail."""

    name: str
    batch_size: int = 5
    keys_last: dt.timedelta = dt.timedelta(hours=24)
    records: dict[str, Record] = field(default_factory=dict)
    answered: dict[str, Outcome] = field(default_factory=dict)
    before: list[Fault | None] = field(default_factory=list)
    after: list[Fault | None] = field(default_factory=list)
    resolves: list[Result] = field(default_factory=list)
    refuse: Callable[[Write], str | None] = lambda _: None
    forgets_keys: bool = False
    tells_for: dt.timedelta | None = None  # how far back `changes` tells of deletions
    deleted: dict[str, Record] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    counts: bool = True
    ticks: int = 0
    made: int = 0

    def check(self) -> str:
        """Return that all is well."""
        return "ok"

    def now(self) -> dt.datetime:
        """Return the fake's time."""
        return START + dt.timedelta(seconds=self.ticks)

    def put(self, id_: str, **values: Value) -> Record:
        """Change or make a record as a user of the system does."""
        self.ticks += 1
        old = self.records.get(id_)
        version = str(int(old.version) + 1) if old else "1"
        held = {**(old.values if old else {}), **values}
        made = Record(id_, held, version, self.now(), label=str(held.get("name")), active=old is None or old.active)
        self.records[id_] = made
        return made

    def changes(self, view: View, window: Window, page_size: int) -> Iterator[Sequence[Record]]:
        """Yield what changed in the window."""
        self.calls.append("changes")
        since, until = window.since or START, window.until or self.now() + dt.timedelta(days=1)
        after = max(since, window.after or since)
        told = self.deleted.values() if self.tells_for is not None and window.since is not None else ()
        reach = self.now() - (self.tells_for or dt.timedelta())
        found = [r for r in self.records.values() if r.modified is not None and after <= r.modified < until]
        found += [r for r in told if r.modified is not None and max(since, reach) <= r.modified < until]
        found.sort(key=lambda record: record.modified or START)
        for start in range(0, len(found), page_size):
            yield found[start : start + page_size]

    def count(self, view: View, window: Window) -> int | None:
        """Count what changed in the window, where the fake can count."""
        self.calls.append("count")
        return sum(map(len, self.changes(view, replace(window, after=None), 100))) if self.counts else None

    def delete(self, id_: str) -> None:
        """Delete a record as a user of the system does."""
        self.ticks += 1
        del self.records[id_]
        self.deleted[id_] = Record(id_, {}, f"deleted@{self.ticks}", self.now(), deleted=True, active=False)

    def alter(self, id_: str, **state: bool) -> None:
        """Make a record inactive or voided, or active again, as a user of the system does."""
        made = self.put(id_)
        self.records[id_] = replace(made, **state)  # type: ignore[arg-type]  # flags of a record, which are booleans

    def existing(self, view: View, ids: Collection[str]) -> Collection[str]:
        """Return the ids that there are."""
        self.calls.append("existing")
        return [each for each in ids if each in self.records]

    def told_since(self, view: View) -> dt.datetime | None:
        """Return since when deletions are told of."""
        return self.now() - self.tells_for if self.tells_for is not None else None

    def complete(self, view: View, records: Sequence[Record]) -> Sequence[Record]:
        """Return them as they are."""
        return records

    def fetch(self, view: View, ids: Collection[str]) -> Mapping[str, Record]:
        """Return records by id."""
        self.calls.append("fetch")
        return {each: self.records[each] for each in ids if each in self.records}

    def find(self, view: View, name: str) -> Sequence[Record]:
        """Return records by name or id."""
        return [r for r in self.records.values() if name in (r.id, r.values.get("name"))]

    def scan(self, view: View, since: dt.datetime | None) -> Iterator[Sequence[Record]]:
        """Yield everything in one page."""
        self.calls.append("scan")
        yield list(self.records.values())

    def lookup(self, field_def: FieldDef, names: Collection[str]) -> Mapping[str, str]:
        """Know no lists."""
        return {}

    def write(self, batch: Batch) -> Sequence[Outcome]:
        """Write a batch; lost connections give unknown outcomes, as `System.write` says."""
        self.calls.append("write")
        try:
            _next(self.before, batch)
        except ConnectionFailure as error:
            return [Outcome(w.key, Result.UNKNOWN, w.target_id, error=error) for w in batch.writes]
        outcomes = [self._one(write) for write in batch.writes]
        try:
            _next(self.after, batch)
        except ConnectionFailure as error:
            return [Outcome(w.key, Result.UNKNOWN, w.target_id, error=error) for w in batch.writes]
        return outcomes

    def resolve(self, batch: Batch) -> Sequence[Outcome]:
        """Look writes up by their keys, unless told to be in doubt."""
        self.calls.append("resolve")
        return [self._look(write) for write in batch.writes]

    def _look(self, write: Write) -> Outcome:
        if self.resolves:
            return Outcome(write.key, self.resolves.pop(0), write.target_id)
        found = self.answered.get(write.key)
        return found or Outcome(write.key, Result.REJECTED, write.target_id)

    def _one(self, write: Write) -> Outcome:
        if write.key in self.answered and not self.forgets_keys:
            return self.answered[write.key]
        reason = self.refuse(write)
        if reason:
            return Outcome(write.key, Result.REJECTED, error=FixRecord(reason, code="6000", advice="Mend it."))
        if write.op.removes:
            return self._remove(write)
        if write.op is Op.UPDATE:
            old = self.records[write.target_id or ""]
            if write.version and write.version != old.version:
                return Outcome(write.key, Result.STALE, old.id)
            made = self.put(old.id, **dict(write.values))
        else:
            self.made += 1
            made = self.put(f"{self.name}-{self.made}", **dict(write.values))
        outcome = Outcome(write.key, Result.APPLIED, made.id, made.version, made.values)
        self.answered[write.key] = outcome
        return outcome

    def _remove(self, write: Write) -> Outcome:
        old = self.records.get(write.target_id or "")
        if old is None or (write.version and write.version != old.version):
            return Outcome(write.key, Result.STALE if old else Result.APPLIED, write.target_id)
        if write.op is Op.DELETE:
            self.delete(old.id)
        else:
            self.alter(old.id, **({"voided": True} if write.op is Op.VOID else {"active": False}))
        outcome = Outcome(write.key, Result.APPLIED, old.id, getattr(self.records.get(old.id), "version", ""))
        self.answered[write.key] = outcome
        return outcome


def _next(faults: list[Fault | None], batch: Batch) -> None:
    fault = faults.pop(0) if faults else None
    if fault:
        fault(batch)


def kill(_: Batch) -> None:
    """End the process."""
    raise Killed


def disconnect(_: Batch) -> None:
    """Lose the connection."""
    raise ConnectionFailure("gone", sent=True)


def names(system: FakeSystem) -> list[str]:
    """Return the names that a system holds, sorted."""
    return sorted(str(record.values.get("name")) for record in system.records.values())


def renamed(values: Values, name: str) -> Values:
    """Return values with another name."""
    return {**values, "name": name}


__all__ = ["START", "FakeSystem", "disconnect", "kill", "names", "renamed", "replace"]
