"""What is done with a call, without the web: who it is for, whether it is genuine, putting it down, waking the flow."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import structlog

from iw_operators.calls.doors import AGAIN, Connections, Door, WrongOnes, behind
from iw_operators.errors import InterWeaveError
from iw_operators.ledger.inbox import Item
from iw_operators.systems.calling import UNSIGNED, Call, Calling, Refusal, same
from iw_operators.systems.registry import calling

if TYPE_CHECKING:
    from iw_operators.ledger.store import Ledger

log = structlog.get_logger(__name__)

PAUSE: Final = 2.0  # seconds in which a ledger that was away is not asked again
REPEAT_IN: Final = "30"  # seconds, told to a caller when the ledger is away

Wake = Callable[[str, Mapping[str, set[str]]], None]  # company, flow -> mappings


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller is told."""

    status: int
    content: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


UNKNOWN: Final = Answer(404, {"detail": "Not Found"})


@dataclass
class Desk:
    """Takes calls. For several threads.

    :param known: gives the doors as the specs say now.
    :param ledger: opens the ledger, or returns it.
    :param wake: has the flows run that have got something to do; returns at once.
    """

    known: Callable[[], Iterable[Door]]
    connections: Connections
    ledger: Callable[[], Ledger]
    wake: Wake
    wrong: WrongOnes = field(default_factory=WrongOnes)
    systems: Callable[[str], Calling | None] = calling
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    clock: Callable[[], float] = time.monotonic
    _away_until: float = float("-inf")
    _lock: Lock = field(default_factory=Lock)

    def take(self, where: str, side: str, headers: Mapping[str, str], body: bytes, client: str) -> Answer:
        """Answer one call. 200 is given only after everything in it is in the ledger.

        :param headers: names in small letters.
        :param client: who calls, for counting wrong signatures.
        """
        doors = list(self.known())
        here = behind(doors, where, side)
        system = self.systems(here[0].system) if here else None
        if system is None or not self._secret(here[0], system):
            return UNKNOWN
        who = (client, where)
        if wait := self.wrong.wait(who):
            return Answer(429, {"detail": "Too many wrong signatures."}, {"Retry-After": str(wait)})
        told = self._read(here[0], system, headers, body)
        if isinstance(told, Refusal):
            if told.status == UNSIGNED.status and self.wrong.note(who):
                log.warning("call refused", address=f"{where}/{side}", client=client, why=told.why)
            return Answer(told.status, {"detail": told.why})
        return self._put(self._sorted(told, here, doors, system))

    def _secret(self, door: Door, system: Calling, *, no_older: float | None = None) -> str:
        ages = {} if no_older is None else {"no_older": no_older}
        secret = self.connections.said(door.connection, **ages).get(system.SECRET)
        return secret if isinstance(secret, str) else ""

    def _read(self, door: Door, system: Calling, headers: Mapping[str, str], body: bytes) -> tuple[Call, ...] | Refusal:
        secret = self._secret(door, system)
        told = system.calls(headers, body, secret, self.now())
        if told is UNSIGNED:
            fresh = self._secret(door, system, no_older=AGAIN)
            if fresh != secret:
                return system.calls(headers, body, fresh, self.now())
        return told

    def _sorted(
        self, calls: Iterable[Call], here: list[Door], doors: list[Door], system: Calling
    ) -> dict[str, list[Item]]:
        """Return what is to be put down, by company.

        A system that calls one address for several accounts signs with one secret. A call about another account than
        the address is for goes to the companies whose connection has that account and the same secret, to nobody else.
        """
        items: dict[str, list[Item]] = {}
        secret = self._secret(here[0], system)
        own = system.account(self.connections.said(here[0].connection))
        elsewhere: dict[str, list[Door]] = {}
        for call in calls:
            if call.account == own:
                meant = here
            else:
                if call.account not in elsewhere:
                    elsewhere[call.account] = self._of_account(call.account, secret, here[0], doors, system)
                meant = elsewhere[call.account]
            for door in meant:
                if call.company in ("", door.company):
                    items.setdefault(door.company, []).extend(door.items(call))
        return {company: listed for company, listed in items.items() if listed}

    def _of_account(self, account: str, secret: str, here: Door, doors: Iterable[Door], system: Calling) -> list[Door]:
        return [
            door
            for door in doors
            if (door.system, door.side) == (here.system, here.side)
            and system.account(self.connections.said(door.connection)) == account
            and same(self._secret(door, system), secret)
        ]

    def _put(self, items: Mapping[str, list[Item]]) -> Answer:
        if self.clock() < self._away_until:
            return _away()
        new = 0
        for company, listed in items.items():
            try:
                put = self.ledger().put_calls(company, listed)
            except InterWeaveError as error:
                self._away_until = self.clock() + PAUSE
                log.warning("call not taken", company=company, error=type(error).__name__, code=error.code)
                return _away()
            new += len({(item.object, item.record_id) for item in put})
            wanted: dict[str, set[str]] = {}
            for item in listed:
                wanted.setdefault(item.flow, set()).add(item.mapping)
            log.info("call taken", company=company, records=len(listed), new=len(put), flows=sorted(wanted))
            if put:
                self.wake(company, wanted)
        return Answer(200, {"taken": new})


def _away() -> Answer:
    return Answer(503, {"detail": "Try again later."}, {"Retry-After": REPEAT_IN})
