"""What the ledger gives and takes, beside the engine's own types."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from iw_operators.engine.model import Action, Await, Candidate, Change, Decision, Value, Values
from iw_operators.spec.resolved import Side
from iw_operators.systems.base import Batch, Op, Result, View, Write

Kind = Literal["record", "write_back"]


@dataclass(frozen=True, slots=True)
class RunRef:
    """Who writes: one attempt of one mapping in one run. `source` is the side that records are read from."""

    run_id: int
    company: str
    flow: str
    mapping: str
    fingerprint: str
    attempt: int
    source: Side


@dataclass(frozen=True, slots=True)
class MappingSummary:
    """One mapping of a run over all its attempts: each source record counts once, with its most telling row."""

    mapping: str
    read: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class OpenWrite:
    """A write whose outcome is not known: it was about to be sent (`result` is None) or could not be decided."""

    key: str
    op: Op
    values: Values
    target_id: str | None
    version: str
    result: Result | None


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch with writes in doubt, as an earlier attempt or run left it."""

    run: RunRef
    side: Side
    kind: Kind
    key: str
    writes: tuple[OpenWrite, ...]
    decisions: Mapping[str, Decision]
    sent_at: dt.datetime

    def batch(self, view: View) -> Batch:
        """Return the writes in doubt, under the keys and in the order that they were first sent with.

        Writes of the batch that have ended are not in it: sending those again would be a second intention.
        """
        writes = (Write(w.key, w.op, view, w.values, w.target_id, w.version) for w in self.writes)
        return Batch(self.key, tuple(writes), self.sent_at)


@dataclass(frozen=True, slots=True)
class PendingWriteBack:
    """A bound CRM record that does not know its partner in the books yet."""

    crm_id: str
    books_id: str
    books: Values  # what is known of the partner: the books' answer over what was last in step

    def values(self, names: Collection[str], now: dt.datetime) -> dict[str, Value]:
        """Return what to write, for those of `id`, `full_name`, `number`, `synced_at` asked for and known."""
        known: dict[str, Value] = {"id": self.books_id, "synced_at": now}
        for name in ("full_name", "number"):
            if (value := self.books.get(name)) is not None:
                known[name] = value
        return {name: known[name] for name in names if name in known}


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """Where a list, newest first, goes on: before this time and, at the same time, before this id. `str` and back."""

    at: dt.datetime
    id: int

    def __str__(self) -> str:
        return f"{self.at.isoformat()}_{self.id}"

    @classmethod
    def of(cls, text: str) -> Cursor:
        """Return the cursor that `str` made a text of. Raises ValueError for any other text."""
        at, _, number = text.rpartition("_")
        moment = dt.datetime.fromisoformat(at)
        if moment.tzinfo is None:
            msg = "the time of a cursor has a zone"
            raise ValueError(msg)
        return cls(moment, int(number))


@dataclass(frozen=True, slots=True)
class LogRow:
    """One row of the record log (law 7). `count` is how many records a row stands for where rows are grouped."""

    id: int
    at: dt.datetime
    sent_at: dt.datetime | None
    company: str
    flow: str
    run_id: int
    mapping: str
    fingerprint: str
    attempt: int
    side: Side
    source_id: str
    target_id: str | None
    label: str
    operation: str
    action: Action
    why: str
    changes: tuple[Change, ...]
    code: str
    advice: str
    field: str
    candidates: tuple[Candidate, ...]
    awaits: tuple[Await, ...]
    count: int = 1

    @property
    def cursor(self) -> Cursor:
        """Where a list goes on after this one."""
        return Cursor(self.at, self.id)


@dataclass(frozen=True, slots=True)
class QueryStartMove:
    """One move of a flow's Query Starts: from where to where, when, by whom, by which run."""

    old: dt.datetime | None
    new: dt.datetime
    at: dt.datetime
    by: str
    run_id: int | None
