"""The vendor's quotas, counted over sliding windows of the sandbox's time.

500 requests a minute for a realm, 10 a second for a realm and application, 40 batches a minute. A refused request
does not count.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from sandbox.quickbooks_online.clock import Clock


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `limit` requests in `seconds`."""

    limit: int
    seconds: float


REQUESTS_A_MINUTE = Quota(500, 60.0)
REQUESTS_A_SECOND = Quota(10, 1.0)
BATCHES_A_MINUTE = Quota(40, 60.0)


class Throttle:
    """Says whether a request may pass."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[Quota, deque[float]] = {
            quota: deque() for quota in (REQUESTS_A_MINUTE, REQUESTS_A_SECOND, BATCHES_A_MINUTE)
        }

    def admit(self, *, batch: bool) -> bool:
        """Count a request and return True, or return False when a quota is used up."""
        now = self._clock.now()
        asked = [REQUESTS_A_MINUTE, REQUESTS_A_SECOND, *([BATCHES_A_MINUTE] if batch else [])]
        for quota in asked:
            seen = self._seen[quota]
            while seen and seen[0] <= now - quota.seconds:
                seen.popleft()
        if any(len(self._seen[quota]) >= quota.limit for quota in asked):
            return False
        for quota in asked:
            self._seen[quota].append(now)
        return True
