"""The sandbox's own time, and time as QuickBooks Online writes it."""

from __future__ import annotations

import datetime as dt
import re
import time
from zoneinfo import ZoneInfo

PACIFIC = ZoneInfo("America/Los_Angeles")  # the zone in which the vendor's servers write their stamps
_STAMP = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,9}))?\s*(Z|[+-]\d{2}:?\d{2})?)?", re.IGNORECASE
)


class Clock:
    """Real time plus a shift that only grows. Stamps, expiry and quotas all follow it."""

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift

    def now(self) -> float:
        """Return seconds since 1970, UTC."""
        return time.time() + self.shift

    def advance(self, seconds: float) -> None:
        """Move the sandbox's time on."""
        self.shift += seconds

    def today(self) -> dt.date:
        """Return the date at the vendor's servers."""
        return dt.datetime.fromtimestamp(self.now(), PACIFIC).date()


def stamp(epoch: float) -> str:
    """Write a moment as entities do: whole seconds, Pacific offset."""
    return dt.datetime.fromtimestamp(int(epoch), PACIFIC).isoformat()


def answer_time(epoch: float) -> str:
    """Write a moment as the `time` of an answer: milliseconds, Pacific offset."""
    return dt.datetime.fromtimestamp(epoch, PACIFIC).isoformat(timespec="milliseconds")


def parse_stamp(text: str) -> float:
    """Read a date or a date with time; a missing offset means UTC. Raises ValueError for anything else."""
    match = _STAMP.fullmatch(text.strip())
    if match is None:
        msg = f"not a date and time: {text}"
        raise ValueError(msg)
    day, clock, fraction, zone = match.groups()
    zone = "+00:00" if zone in (None, "Z", "z") else zone
    moment = dt.datetime.fromisoformat(f"{day}T{clock or '00:00:00'}{zone}")
    return moment.timestamp() + (float(f"0.{fraction}") if fraction else 0.0)


def parse_date(text: str) -> dt.date:
    """Read a date; a time after it is allowed and dropped, as the vendor does. Raises ValueError."""
    parse_stamp(text)
    return dt.date.fromisoformat(text.strip()[:10])
