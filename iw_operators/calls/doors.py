"""Which companies and flows are behind an address: `/<company or connection>/<crm or books>`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from iw_operators.errors import FixConfiguration
from iw_operators.ledger.inbox import Item
from iw_operators.spec.models import FlowKind
from iw_operators.spec.resolved import SIDES, CompanySpec, Side
from iw_operators.systems.calling import Call

KEPT: Final = 30.0  # seconds that what a connection says is used
AGAIN: Final = 2.0  # seconds after which a wrong signature has it looked up anew: somebody may just have changed it

Extra = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """A flow that takes calls about one object. `object` is in small letters."""

    flow: str
    mapping: str
    object: str


@dataclass(frozen=True, slots=True)
class Door:
    """One side of one company."""

    company: str
    side: Side
    system: str
    connection: str
    targets: tuple[Target, ...]

    def items(self, call: Call) -> list[Item]:
        """Return what is to be put down for a call: one for each flow that is about its object."""
        event = f"{self.side}:{call.event}"
        return [
            Item(self.side, call.object, call.record_id, event, target.mapping, target.flow)
            for target in self.targets
            if target.object == call.object.casefold()
        ]


def doors(specs: Iterable[CompanySpec]) -> list[Door]:
    """Return both sides of each company, with the flows of the kind Q that read them."""
    return [_door(spec, side) for spec in specs for side in SIDES]


def behind(known: Iterable[Door], where: str, side: str) -> list[Door]:
    """Return what an address names: a company, or else everything on a connection; nothing where it names neither."""
    here = [door for door in known if door.side == side]
    return [door for door in here if door.company == where] or [door for door in here if door.connection == where]


def _door(spec: CompanySpec, side: Side) -> Door:
    end = spec.company.endpoint(side)
    targets = tuple(
        Target(flow.flow, mapping.mapping, mapping.object_of(side).casefold())
        for flow in spec.flows.values()
        if flow.kind is FlowKind.Q and flow.source == side
        for mapping in flow.mappings
    )
    return Door(spec.company.company, side, end.system, end.connection, targets)


class Connections:
    """What connections say, kept for half a minute so that a call costs no lookup. For several threads."""

    def __init__(self, find: Callable[[str], Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._find = find
        self._clock = clock
        self._kept: dict[str, tuple[float, Extra]] = {}
        self._lock = Lock()

    def said(self, conn_id: str, *, no_older: float = KEPT) -> Extra:
        """Return the extra of a connection, looked up no longer ago than so many seconds; empty where there is none."""
        now = self._clock()
        with self._lock:
            at, kept = self._kept.get(conn_id, (float("-inf"), {}))
        if now - at <= no_older:
            return kept
        try:
            found: Extra = self._find(conn_id).extra_dejson
        except FixConfiguration:
            found = {}
        with self._lock:
            self._kept[conn_id] = (now, found)
        return found


class WrongOnes:
    """Counts wrong signatures by who sent them. For several threads; forgets the oldest when there are too many."""

    def __init__(
        self,
        most: int = 20,
        seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        remembered: int = 10_000,
    ) -> None:
        self.most = most
        self.seconds = seconds
        self._clock = clock
        self._remembered = remembered
        self._counts: dict[tuple[str, str], tuple[float, int]] = {}
        self._lock = Lock()

    def wait(self, who: tuple[str, str]) -> int:
        """Return for how many seconds somebody is not listened to; 0 when they are."""
        with self._lock:
            since, count = self._counts.get(who, (0.0, 0))
        left = since + self.seconds - self._clock()
        return max(1, round(left)) if count >= self.most and left > 0 else 0

    def note(self, who: tuple[str, str]) -> bool:
        """Count one more; return whether it is worth a line in the log: the first, and the one too many."""
        now = self._clock()
        with self._lock:
            since, count = self._counts.pop(who, (now, 0))
            if now - since >= self.seconds:
                since, count = now, 0
            self._counts[who] = (since, count + 1)
            while len(self._counts) > self._remembered:
                del self._counts[next(iter(self._counts))]
        return count in (0, self.most - 1)
