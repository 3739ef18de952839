"""What the sync loop needs of a system, whichever it is.

A new system is a new folder beside this file with `catalogue.yaml`, `connection.yaml` and a module `system.py` that
has `connect(conn_id, settings) -> System`. Nothing else changes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Protocol

from iw_operators.engine.model import Record, Value, Values
from iw_operators.errors import InterWeaveError
from iw_operators.spec.catalogue import FieldDef, ObjectDef


@dataclass(frozen=True, slots=True)
class View:
    """Which object and which of its fields a mapping wants, by the names that the record's values will carry."""

    object: str
    definition: ObjectDef
    fields: Mapping[str, FieldDef]
    lines: Mapping[str, FieldDef] = field(default_factory=dict)
    facts: frozenset[str] = frozenset()  # names in `definition.related` that `Record.facts` has to answer


@dataclass(frozen=True, slots=True)
class Window:
    """Changes with since <= modified < until, by the system's own clock. None is open on that side.

    `after`: records whose own last change lies before it have been dealt with and may be left out. What comes for
    another reason (a change of a line or of a neighbour, a deletion) comes in any case.
    """

    since: dt.datetime | None
    until: dt.datetime | None
    after: dt.datetime | None = None


class Op(StrEnum):
    """What a write does. The last three take a record away instead of changing fields; their `values` are empty."""

    CREATE = "create"
    UPDATE = "update"
    DEACTIVATE = "deactivate"
    VOID = "void"
    DELETE = "delete"

    @property
    def removes(self) -> bool:
        """Whether it takes a record away."""
        return self in (Op.DEACTIVATE, Op.VOID, Op.DELETE)


@dataclass(frozen=True, slots=True)
class Write:
    """One write. `key` is the idempotency key: the same key never makes a second record.

    `values` holds typed values by field name, references already translated to the target's ids, lookups still as
    text. An update carries what changes and nothing else; `lines` is then the full new tuple of lines. A removal is
    one that the object's catalogue allows (`ObjectDef.removal`, `ObjectDef.active`).
    """

    key: str
    op: Op
    view: View
    values: Values
    target_id: str | None = None
    version: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """Writes that go out together under one key. Positions are stable: they take part in the idempotency key.

    `sent_at`: when they first went out, by our own clock; what they made in the target was not made before.
    """

    key: str
    writes: tuple[Write, ...]
    sent_at: dt.datetime | None = field(default=None, compare=False)


class Result(StrEnum):
    """How a write ended."""

    APPLIED = "applied"
    REJECTED = "rejected"
    STALE = "stale"  # not applied: the target changed since it was read
    UNKNOWN = "unknown"  # may or may not be applied; has to be looked up


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one write ended. `values` is what the target now holds, where its answer says so.

    A REJECTED update with `values` was done in part, and could not be taken back.
    """

    key: str
    result: Result
    target_id: str | None = None
    version: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)
    error: InterWeaveError | None = None


class System(Protocol):
    """One system, signed in, for the length of a task. Not shared between threads.

    Every method may raise `RetryLater`, `SignInAgain` (when signing in again did not help) or `FixConfiguration`.
    No method retries a write by itself.
    """

    name: str  # the folder
    batch_size: int  # writes that one `write` takes at the most
    keys_last: dt.timedelta  # how long a create whose key it has seen makes no second record, whatever looking finds

    def check(self) -> str:
        """Ask whether the system is reachable, signed in and the company right; return one line about it."""

    def now(self) -> dt.datetime:
        """Return the system's own time (from its last answer; asks if there was none), with a zone."""

    def changes(self, view: View, window: Window, page_size: int) -> Iterator[Sequence[Record]]:
        """Yield pages of records that changed in the window, each record once, oldest change first.

        Rows that change while paging are neither skipped nor repeated. Deleted and inactive records come where the
        system tells of them. Records may come with `complete=False`; then `complete` is asked for those needed.
        """

    def count(self, view: View, window: Window) -> int | None:
        """Return about how many records `changes` yields for a window; None where the system cannot count.

        One request. Changes of lines and neighbours, and deletions, are not counted; `after` is left alone.
        """

    def complete(self, view: View, records: Sequence[Record]) -> Sequence[Record]:
        """Return the same records, in the same order, with lines and facts."""

    def fetch(self, view: View, ids: Collection[str]) -> Mapping[str, Record]:
        """Return the records with these ids, complete; ids that do not exist are absent."""

    def existing(self, view: View, ids: Collection[str]) -> Collection[str]:
        """Return those of the ids that the system still has, inactive and voided ones included, as they were given.

        A few thousand ids a call at the most; costs as few requests as the system allows, and no record is read whole.
        """

    def told_since(self, view: View) -> dt.datetime | None:
        """Return since when `changes` tells of every deletion, by the system's own clock; None where it tells of none.

        Asked after the changes of a task have been read: a feed that turned out to be cut off reaches back to now.
        """

    def find(self, view: View, name: str) -> Sequence[Record]:
        """Return records whose full name or id is exactly `name` (at most a few), complete."""

    def scan(self, view: View, since: dt.datetime | None) -> Iterator[Sequence[Record]]:
        """Yield all records (headers only, inactive ones included) with the view's fields, or those changed since."""

    def lookup(self, field_def: FieldDef, names: Collection[str]) -> Mapping[str, str]:
        """Return name -> id for those of the names that the field's list has (case-insensitive, keys as given)."""

    def write(self, batch: Batch) -> Sequence[Outcome]:
        """Send a batch; one outcome a write, in order. A failure of the call as a whole gives outcomes too:

        UNKNOWN for each write when the batch may have arrived; raises when it certainly did not. A write that failed
        for a reason that passes (`RetryLater`, `SignInAgain`) is UNKNOWN as well, never REJECTED.
        """

    def resolve(self, batch: Batch) -> Sequence[Outcome]:
        """Find out how writes of an earlier batch ended, without sending them.

        APPLIED. REJECTED: certainly not there, though somebody may have changed what was made; safe to send again
        under the same key. STALE: an update whose record has changed since and does not hold it; not to be sent
        again. UNKNOWN: cannot be decided by looking; a create is safe to send again as long as `keys_last`. A removal
        is applied when the record is as the removal leaves it, whoever did it.
        """


class SecretState(Protocol):
    """Where a system keeps what rotates (tokens, session cookies): encrypted, one writer at a time."""

    def read(self) -> Mapping[str, str]:
        """Return what is kept; empty when there is nothing."""

    def write(self, value: Mapping[str, str]) -> None:
        """Replace what is kept, atomically."""

    def lock(self) -> AbstractLock:
        """Return a context manager that holds the one writer's lock."""


class AbstractLock(Protocol):
    """A lock held for the length of a with-block."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """What a system gets from outside its connection."""

    state: SecretState
    time_zone: str = "UTC"
    locale: str = "US"
    base_currency: str = "USD"
