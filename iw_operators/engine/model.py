"""Plain data that the engine works on. No I/O, no clock, no Airflow.

A record's values are flat: a neutral path (`billing.city`) or the mapping's own name, to a typed value. Lines are
under the key `lines`, a tuple of flat mappings. Empty is always None, never "" or a vendor's zero GUID.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal, TypeAlias

Scalar: TypeAlias = bool | int | str | Decimal | dt.date | dt.datetime | None
Line: TypeAlias = Mapping[str, Scalar]
Value: TypeAlias = Scalar | tuple[Line, ...]
Values: TypeAlias = Mapping[str, Value]

LINES: Final = "lines"


def lines_of(values: Values) -> tuple[Line, ...]:
    """Return a record's lines; none where it has none."""
    lines = values.get(LINES)
    return lines if isinstance(lines, tuple) else ()


def scalar(value: Value) -> Scalar:
    """Return what is no list of lines; None for one that is."""
    return None if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True)
class Record:
    """A record as one system has it.

    `version` is what the system calls its version (a SyncToken, a modification stamp); equal versions mean an equal
    record. `facts` answers `create_when`: names of opportunity stages seen, plus the words `created` and `won`.
    `complete` is false while lines and facts have not been read yet. `voided` records are there, with amounts of zero.
    """

    id: str
    values: Values
    version: str = ""
    modified: dt.datetime | None = None
    deleted: bool = False
    voided: bool = False
    active: bool = True
    label: str = ""
    facts: frozenset[str] = frozenset()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Binding:
    """Two records that belong together, with what each side held when they were last in step.

    `generation` counts the writes; it goes on where two records are bound again after their binding was taken away.
    `removed` says what we did to the target when the source was gone, and empty otherwise.
    """

    source_id: str
    target_id: str
    base_source: Values
    base_target: Values
    source_version: str = ""
    target_version: str = ""
    generation: int = 0
    removed: str = ""


@dataclass(frozen=True, slots=True)
class Unbound:
    """What is left of the bindings that a record had once.

    `held` says that it is neither matched nor created anew until a person decides. `partner` is the last one.
    """

    partner: str
    generation: int
    held: bool = False
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A target record that could be the partner. `bound_to` is the source id that it already belongs to."""

    id: str
    label: str
    bound_to: str | None = None


class Action(StrEnum):
    """What is to be done, or was done, with a record. Each record read ends in exactly one of these (law 3)."""

    CREATE = "created"
    UPDATE = "updated"
    UNCHANGED = "unchanged"
    SKIP = "skipped"
    HOLD = "held"
    REJECT = "rejected"
    UNKNOWN = "unknown"


class Removal(StrEnum):
    """What a write does to a target whose source is gone, instead of changing fields. It counts as an update."""

    DEACTIVATE = "deactivate"
    VOID = "void"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Unbind:
    """A binding that is to be taken away.

    :param gone: whose record is gone: the source's or the target's.
    :param kind: how: deleted, voided, inactive.
    :param hold: the record that is left waits for a person.
    """

    gone: Literal["source", "target"]
    kind: str
    hold: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One field: what the target has and what it will have."""

    field: str
    old: Value
    new: Value


@dataclass(frozen=True, slots=True)
class Await:
    """A reference that has no partner yet: planning again makes sense once `mapping` has bound `source_id`."""

    mapping: str
    source_id: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What the plan says about one source record, and why.

    `send` is what the target gets: all fields for a create, only the changed ones for an update. `target` is the
    projection that the target will have afterwards in the mapping's fields; with `source` (the source's own
    projection) it becomes the binding's base. `binds` is true where an unbound record found its partner. `awaits` of
    a record that is not held names references that it went without; it is planned again when they have partners.
    """

    action: Action
    source_id: str
    why: str
    label: str = ""
    target_id: str | None = None
    target_version: str = ""
    source_version: str = ""
    changes: tuple[Change, ...] = ()
    send: Values = field(default_factory=dict)
    source: Values = field(default_factory=dict)
    target: Values = field(default_factory=dict)
    binds: bool = False
    generation: int = 0
    code: str = ""
    advice: str = ""
    field: str = ""
    candidates: tuple[Candidate, ...] = ()
    awaits: tuple[Await, ...] = ()
    removal: Removal | None = None
    unbind: Unbind | None = None
