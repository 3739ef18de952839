"""What an entity's description is made of. The descriptions are data, in `sandbox.quickbooks_online.entities`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class T(StrEnum):
    """Type of a property."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    STAMP = "stamp"
    REF = "ref"
    OBJECT = "object"
    LIST = "list"
    ANY = "any"  # taken and given back as it is


NOTHING: Mapping[str, Field] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Field:
    """One property.

    `limit`: characters, 0 for none. `values`: the enumeration. `targets`: entities that a reference may name (empty:
    not looked up). `fields`: properties of an object or of a list's objects. `forbid`: characters that are refused.
    `readonly`: taken and ignored. `column`: which part of an object a query compares.
    """

    name: str
    type: T = T.TEXT
    limit: int = 0
    values: frozenset[str] = frozenset()
    targets: tuple[str, ...] = ()
    fields: Mapping[str, Field] = field(default_factory=lambda: NOTHING)
    forbid: str = ""
    readonly: bool = False
    filterable: bool = False
    sortable: bool = False
    indexed: bool = False
    default: Any = None
    column: str = ""

    def label_of(self) -> str:
        """Return what a reference is to, for telling references apart."""
        return "|".join(self.targets)


class Kind(StrEnum):
    """How an entity lives."""

    NAME = "name"  # Customer, Vendor, Employee: one name space, never deleted
    LIST = "list"  # other lists: never deleted
    TXN = "txn"  # transactions: deleted for good
    SINGLE = "single"  # one a company


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity.

    `ids`: the sequence that its Ids come from. `label`: what a 2500 calls it. `name_field`: which property names it.
    `required`: properties without which it cannot be (`Line` means at least one). `unique`: properties within which a
    DocNumber may not repeat. `numbers`: the sequence of its DocNumbers. `lines`: the DetailTypes it takes; `party`:
    the reference to who it is with. `operations`: of create, update, delete, void.
    """

    name: str
    kind: Kind
    ids: str
    label: str
    fields: Mapping[str, Field]
    name_field: str = ""
    required: tuple[str, ...] = ()
    numbers: str = ""
    unique: tuple[str, ...] | None = None
    lines: frozenset[str] = frozenset()
    party: str = ""
    operations: frozenset[str] = frozenset({"create", "update"})
    cdc: bool = True
    txn_types: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Return its name in an address."""
        return self.name.lower()

    @property
    def has_active(self) -> bool:
        """Say whether rows can be inactive."""
        return "Active" in self.fields


def _queried(item: Field, flags: str) -> Field:
    return dataclasses.replace(item, filterable="f" in flags, sortable="s" in flags, indexed="i" in flags)


def text(name: str, limit: int = 0, flags: str = "", forbid: str = "") -> Field:
    """Text. Flags: f filterable, s sortable, i indexed."""
    return _queried(Field(name, T.TEXT, limit=limit, forbid=forbid), flags)


def enum(name: str, *values: str, flags: str = "", default: str | None = None) -> Field:
    """One of a few words."""
    return _queried(Field(name, T.TEXT, values=frozenset(values), default=default), flags)


def number(name: str, flags: str = "", default: Any = None) -> Field:
    """A number: money, quantity, rate, count."""
    return _queried(Field(name, T.NUMBER, default=default), flags)


def flag(name: str, flags: str = "", default: bool | None = None) -> Field:
    """True or false."""
    return _queried(Field(name, T.BOOLEAN, default=default), flags)


def date(name: str, flags: str = "") -> Field:
    """A date."""
    return _queried(Field(name, T.DATE), flags)


def stamp_field(name: str, flags: str = "") -> Field:
    """A date with time."""
    return _queried(Field(name, T.STAMP), flags)


def ref(name: str, *targets: str, flags: str = "") -> Field:
    """A reference `{value, name, type}`."""
    return _queried(Field(name, T.REF, targets=targets), flags)


def obj(name: str, fields: Iterable[Field], column: str = "", flags: str = "") -> Field:
    """An object; `column` names the part that a query compares."""
    return _queried(Field(name, T.OBJECT, fields=index(fields), column=column), flags)


def many(name: str, fields: Iterable[Field]) -> Field:
    """A list of objects."""
    return Field(name, T.LIST, fields=index(fields))


def anything(name: str) -> Field:
    """What the sandbox keeps as it comes."""
    return Field(name, T.ANY)


def readonly(item: Field) -> Field:
    """The same property, which the server alone sets."""
    return dataclasses.replace(item, readonly=True)


def index(fields: Iterable[Field]) -> Mapping[str, Field]:
    """Return fields by name."""
    return MappingProxyType({item.name: item for item in fields})


def walk_refs(fields: Mapping[str, Field], values: Mapping[str, Any], visit: Callable[[Field, Any], None]) -> None:
    """Call `visit(field, reference)` for each reference in `values`, at any depth."""
    for name, value in values.items():
        item = fields.get(name)
        if item is None or not value:
            continue
        if item.type is T.REF:
            visit(item, value)
        elif item.type is T.OBJECT:
            walk_refs(item.fields, value, visit)
        elif item.type is T.LIST:
            for part in value:
                walk_refs(item.fields, part, visit)
