"""What the conformance suite asks of a system's folder, and what its tests share.

The tests speak only `systems.base.System`. Everything that differs between vendors is said once, by a `Vendor`.
"""

from __future__ import annotations

import datetime as dt
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from typing import Any, Protocol

import pytest
import yaml

from iw_operators.engine.model import Record, Value, Values
from iw_operators.errors import InterWeaveError
from iw_operators.keys import digest
from iw_operators.spec.catalogue import Catalogue, FieldDef, FieldType
from iw_operators.state import MemorySecretState
from iw_operators.systems.base import Batch, Op, Outcome, Result, System, View, Window, Write
from iw_operators.systems.http import Timeouts
from iw_operators.systems.registry import catalogue_path
from sandbox.common.faults import Faults
from sandbox.common.serve import Running, serve
from sandbox.seed.world import World

TEXTS = frozenset({FieldType.TEXT, FieldType.MEMO, FieldType.PHONE})
LONG_AGO = dt.datetime(2025, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Role:
    """Which native object stands for one of the suite's roles.

    :param values: what a create needs besides its name.
    :param name: the neutral field that names a record; texts are written to it and found by it.
    :param texts: writable fields that take any text, the name included.
    :param unique: whether two records of the same name are refused.
    """

    object: str
    name: str
    texts: tuple[str, ...] = ()
    decimals: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    values: Values = field(default_factory=dict)
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Seed:
    """One named thing that is there from the start."""

    name: str
    modified: dt.datetime


@dataclass(slots=True)
class Access:
    """How a system is to be opened. `wrong` is "" or what is wrong with the connection: "password" or "company".

    `waited` takes the seconds that the system would have slept; nothing sleeps in fact. `closing` closes at the end.
    """

    state: MemorySecretState = field(default_factory=MemorySecretState)
    timeouts: Timeouts = field(default_factory=lambda: Timeouts(connect=5, read=20))
    page: int | None = None
    wrong: str = ""
    waited: list[float] = field(default_factory=list)
    closing: ExitStack = field(default_factory=ExitStack)


class User(Protocol):
    """A person who works in the vendor's own program, over the vendor's own protocol, without our code.

    Values are texts, Decimals, dates and None under neutral names; ids are the vendor's.
    """

    def add(self, role: Role, values: Values) -> str:
        """Make a record; return its id."""

    def change(self, role: Role, ident: str, values: Values) -> None:
        """Change fields of a record."""

    def read(self, role: Role, ident: str, name: str) -> Any:
        """Return one field as the vendor's JSON has it (numbers as Decimal), None where it is empty."""

    def delete(self, role: Role, ident: str) -> None:
        """Delete a record."""

    def deactivate(self, role: Role, ident: str) -> None:
        """Make a record inactive."""


class Vendor(Protocol):
    """All that the suite has to know about one system. See README.md beside this file for what each part is for."""

    system: str  # its folder
    codes: Mapping[str, str]  # the codes that tell of a host that is not "reachable" and of one that is not in "time"
    quiet: int  # statements or requests that a window without changes costs
    one_call: bool  # whether a whole batch is one call
    thing: Role  # something with a name and texts: an account, a customer
    priced: Role  # something with a price: a product, an item
    dated: Role  # something with a date
    sale: Role  # a transaction with lines
    line_refs: bool  # whether lines of a sale can be written through the system
    numbered: Role | None  # an object whose name is unique, None if there is none

    data: str  # piece of the request line of calls for data, as faults match it
    batch: str  # piece of the request line of a batch of writes
    sign_in: str  # piece of the request line of signing in
    expiries: tuple[str, ...]  # own faults that end a session
    throttles: tuple[str, ...]  # own faults that throttle
    half: str  # own fault that does half of a batch and drops the connection
    kinds_of_wrong: Mapping[str, str]  # what is wrong with a connection -> the code that tells of it
    never_at_random: frozenset[str]  # own faults from which nobody could recover

    tells_stale: bool  # an update on an old version is refused by the system itself
    tells_deletions: Role | None  # an object whose deletions `changes` tells of
    stamp_step: dt.timedelta  # how fine its stamps are
    cleared: Mapping[str, Value]  # fields that cannot be empty, and what they read once cleared
    refilled: frozenset[str]  # fields that the vendor fills anew once they are cleared

    def world(self, things: Sequence[Seed]) -> World:
        """Return a world that has these things under `thing`."""

    def serve_with(self, world: World, ahead: dt.timedelta) -> Any:
        """Return a sandbox whose clock is ahead of ours by this much (behind, if negative)."""

    def serve(self, sandbox: Any) -> AbstractContextManager[Any]:
        """Serve a sandbox."""

    def knows(self, kind: str) -> bool:
        """Tell whether a fault can happen to what this vendor speaks."""

    def arm(self, faults: Faults, spec: Mapping[str, Any]) -> None:
        """Arm a fault by the suite's word for it."""

    def calls(self, running: Any) -> int:
        """Return how many calls for data there were."""

    def open(self, url: str, access: Access) -> System:
        """Return the system over a sandbox, without Airflow."""

    def user(self, url: str, closing: ExitStack) -> User:
        """Return a person at work."""

    def needs(self, role: Role, user: User) -> Values:
        """Return what a create of this role needs besides `role.values`, making what it refers to."""

    def lines(self, user: User, amounts: Sequence[tuple[Decimal, Decimal]]) -> Values:
        """Return what a create of a sale needs for these (quantity, price), making what they refer to."""

    def add_sale(self, user: User, amounts: Sequence[tuple[Decimal, Decimal]]) -> str:
        """Do, as the user, what makes a sale with these (quantity, price); return its id."""

    def touch_line(self, user: User, sale: str) -> None:
        """Change a line of a sale, as the user."""


class OverHttp:
    """What vendors that speak HTTP have in common."""

    codes: Mapping[str, str] = {"reachable": "http.unreachable", "time": "http.timeout"}
    quiet = 1
    one_call = True
    data: str

    def serve(self, sandbox: Any) -> AbstractContextManager[Any]:
        """Serve a sandbox."""
        return serve(sandbox)

    def knows(self, kind: str) -> bool:
        """Tell whether a fault can happen: all of them can."""
        return bool(kind)

    def arm(self, faults: Faults, spec: Mapping[str, Any]) -> None:
        """Arm a fault, for calls for data unless `match` says otherwise."""
        faults.arm({"match": self.data, **spec})

    def calls(self, running: Any) -> int:
        """Return how many calls for data there were."""
        return sum(n for line, n in running.control.by_line.items() if self.data in line)


@cache
def vendor(system: str) -> Vendor:
    """Return what a system's folder says."""
    found: Vendor = importlib.import_module(f"tests.conformance.{system}.vendor").VENDOR
    return found


@cache
def catalogue(system: str) -> Catalogue:
    """Return a system's catalogue."""
    with catalogue_path(system).open("rb") as stream:
        return Catalogue.model_validate(yaml.load(stream, yaml.CSafeLoader))


@dataclass
class Site:
    """One running sandbox and what tests do with it."""

    vendor: Vendor
    running: Running[Any]
    access: Access = field(default_factory=Access)
    _user: User | None = None

    @property
    def url(self) -> str:
        """The sandbox's address."""
        return self.running.url

    @property
    def user(self) -> User:
        """A person at work."""
        if self._user is None:
            self._user = self.vendor.user(self.url, self.access.closing)
        return self._user

    def system(self, **access: Any) -> System:
        """Open the system; the same session is kept for all, as by the tasks of a run, unless something is wrong."""
        return self.vendor.open(self.url, replace(self.access, **access))

    def fault(self, kind: str, **spec: Any) -> None:
        """Arm a fault, for calls for data unless `match` says otherwise; skip what cannot happen to the vendor."""
        self.possible(kind)
        self.vendor.arm(self.running.sandbox.faults, {"kind": kind, **spec})

    def possible(self, kind: str) -> None:
        """Skip the test if this fault cannot happen to what the vendor speaks."""
        if not self.vendor.knows(kind):
            pytest.skip(f"{kind} cannot happen to what {self.vendor.system} speaks")

    def kinds(self, *kinds: str) -> list[str]:
        """Return those of these faults that can happen to what the vendor speaks."""
        return [kind for kind in kinds if self.vendor.knows(kind)]

    def calm(self) -> None:
        """Disarm all faults."""
        self.running.sandbox.faults.clear()

    @property
    def requests(self) -> int:
        """How many calls for data there were."""
        return self.vendor.calls(self.running)

    def view(self, role: Role, *names: str, facts: bool = False) -> View:
        """Return a view of a role: of these fields, or of all that the suite writes."""
        definition = catalogue(self.vendor.system).objects[role.object]
        every = (role.name, *role.texts, *role.decimals, *role.dates, *role.values)
        wanted = names or tuple(dict.fromkeys(name for name in every if name != "lines"))
        has_lines = definition.lines is not None and role is self.vendor.sale
        return View(
            role.object,
            definition,
            {name: definition.fields[name] for name in wanted},
            dict(definition.lines.fields) if definition.lines and has_lines else {},
            frozenset(definition.related) if facts else frozenset(),
        )

    def field(self, role: Role, name: str) -> FieldDef:
        """Return a field of a role's object."""
        return catalogue(self.vendor.system).objects[role.object].fields[name]

    def create(self, role: Role, key: str = "", /, **values: Value) -> Write:
        """Return a create; `values` by neutral name, `__` for a point. The key is of the values where none is given."""
        needs = self.vendor.needs(role, self.user)
        named = {**role.values, **needs, **{name.replace("__", "."): value for name, value in values.items()}}
        extra = tuple(n for n in named if n != "lines")
        view = self.view(role, *dict.fromkeys((role.name, *role.texts, *role.decimals, *role.dates, *extra)))
        return Write(digest("create", role.object, key or repr(sorted(named.items()))), Op.CREATE, view, named)

    def update(self, role: Role, record: Record, /, **values: Value) -> Write:
        """Return an update of a record as it was read."""
        named = {name.replace("__", "."): value for name, value in values.items()}
        key = digest("update", role.object, record.id, record.version, repr(sorted(named.items())))
        return Write(key, Op.UPDATE, self.view(role), named, record.id, record.version)

    def names(self, role: Role | None = None) -> list[str]:
        """Return the names of all active records of a role as another system of ours reads them, sorted."""
        role = role or self.vendor.thing
        view = self.view(role, role.name)
        records = ids_of(self.system().scan(view, None))
        return sorted(str(r.values[role.name]) for r in records.values() if r.active and not r.deleted)


def batch(*writes: Write) -> Batch:
    """Return a batch of writes."""
    return Batch(digest(*(write.key for write in writes)), writes)


def one(system: System, write: Write) -> Outcome:
    """Send one write; it has to be applied."""
    (outcome,) = system.write(batch(write))
    assert outcome.result is Result.APPLIED, outcome.error
    return outcome


def fetched(system: System, view: View, ident: str | None) -> Record:
    """Return the one record with this id."""
    found = system.fetch(view, [ident or ""])
    assert list(found) == [ident]
    return found[ident or ""]


def ids_of(pages: Iterable[Sequence[Record]]) -> dict[str, Record]:
    """Return records by id; none may come twice."""
    found: dict[str, Record] = {}
    for page in pages:
        assert page, "an empty page"
        for record in page:
            assert record.id not in found, f"{record.id} comes twice"
            found[record.id] = record
    return found


def read(
    system: System, view: View, since: dt.datetime | None, until: dt.datetime | None, size: int = 100
) -> list[Record]:
    """Return what changed in a window, in the order in which it comes; no record may come twice."""
    return list(ids_of(system.changes(view, Window(since, until), size)).values())


def results(outcomes: Iterable[Outcome]) -> list[Result]:
    """Return how writes ended."""
    return [outcome.result for outcome in outcomes]


def seeds(count: int, stamp: Callable[[int], dt.datetime] = lambda n: LONG_AGO + n * SECOND) -> list[Seed]:
    """Return so many things, named by number."""
    return [Seed(f"Thing {number:05d}", stamp(number)) for number in range(count)]


def ours(call: Callable[[], Any]) -> tuple[Any, InterWeaveError | None]:
    """Return what a call returns, or the error of ours that it raises. Any other goes through and fails the test."""
    try:
        answer = call()
        return (list(answer) if isinstance(answer, Iterator) else answer), None
    except InterWeaveError as error:
        return None, error
