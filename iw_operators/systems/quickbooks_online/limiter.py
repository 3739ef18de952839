"""Keeps just under Intuit's quotas, so that being throttled stays the exception.

Intuit allows 500 requests a minute for a company, 10 a second for a company and app, and 40 batches a minute for a
company and app (developer.intuit.com, "Limits and throttles"). A request counts at Intuit when it arrives, not when
it is sent; the small distance kept from each number covers that. A connection may set other numbers: for a plan with
more, or to leave room for other programs.

The windows are counted on a monotonic clock that tests can replace. The `limits` library counts on the wall clock
and starts a timer thread for each store, which rules it out here.

Not promised: several processes do not see each other's requests. What they overrun together is caught by Intuit's
answer 429, which `hold` passes on to every user of the same limiter.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from iw_operators.errors import FixConfiguration

log = structlog.get_logger(__name__)

TELL_FROM_SECONDS = 5.0
SHORTEST_SECONDS = 0.001  # below, the clock's own rounding could make the wait endless


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `number` requests in any `seconds`; only batches count where `batches` is true."""

    number: int
    seconds: float
    batches: bool = False


QUOTAS = {  # by the keys of a connection's extra
    "requests_per_minute": Quota(480, 60.0),
    "requests_per_second": Quota(9, 1.0),
    "batches_per_minute": Quota(38, 60.0, batches=True),
}


def quotas_from(extra: Mapping[str, Any]) -> tuple[Quota, ...]:
    """Return the quotas that a connection's extra asks for, Intuit's usual ones where it says nothing.

    :raises FixConfiguration: a number is not a whole one above 0.
    """
    found = []
    for name, usual in QUOTAS.items():
        given = extra.get(name)
        number = usual.number if given in (None, "") else int(given) if str(given).isdecimal() else 0
        if number < 1:
            msg = f"The connection's {name} is {given!r}, not a whole number above 0."
            raise FixConfiguration(msg, code="iw.connection", advice="Leave it empty for what Intuit usually allows.")
        found.append(replace(usual, number=number))
    return tuple(found)


@dataclass(slots=True)
class _Window:
    quota: Quota
    hits: deque[float] = field(default_factory=deque)

    def delay(self, now: float) -> float:
        """Return how long the next request has to wait."""
        while self.hits and self.hits[0] <= now - self.quota.seconds:
            self.hits.popleft()
        if len(self.hits) < self.quota.number:
            return 0.0
        return self.hits[0] + self.quota.seconds - now


class Limiter:
    """Lets requests of one company through at the pace that its quotas allow. Safe to share between threads.

    :param clock: a monotonic clock in seconds.
    :param sleep: waits that many seconds.
    """

    def __init__(
        self,
        quotas: tuple[Quota, ...] = tuple(QUOTAS.values()),
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._windows = [_Window(quota) for quota in quotas]
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._held_until = -math.inf

    def acquire(self, *, batch: bool = False) -> float:
        """Wait until one more request is allowed and count it; return the seconds waited."""
        waited = 0.0
        while True:
            with self._lock:
                now = self._clock()
                windows = [w for w in self._windows if batch or not w.quota.batches]
                delay = max([self._held_until - now, *(w.delay(now) for w in windows)])
                if delay <= 0:
                    for window in windows:
                        window.hits.append(now)
                    return waited
            if delay >= TELL_FROM_SECONDS:
                log.info("waiting for the quota", seconds=round(delay, 1))
            self._sleep(max(delay, SHORTEST_SECONDS))
            waited += delay

    def hold(self, seconds: float) -> None:
        """Let nothing through for that long: the other side has answered that it was too much."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + seconds)


_shared: dict[tuple[str, tuple[Quota, ...]], Limiter] = {}
_shared_lock = threading.Lock()


def shared(company: str, quotas: tuple[Quota, ...] = tuple(QUOTAS.values())) -> Limiter:
    """Return the one limiter that this process uses for a company (base URL and realm) under these quotas."""
    with _shared_lock:
        return _shared.setdefault((company, quotas), Limiter(quotas))
