"""The sandbox's own time, which tests may shift."""

from __future__ import annotations

import datetime as dt


class Clock:
    """Real time plus a shift."""

    def __init__(self, start: dt.datetime | None = None) -> None:
        """`start` is what the clock shows now; None is the real time."""
        self._shift = dt.timedelta()
        if start is not None:
            self.set(start)

    def set(self, moment: dt.datetime) -> None:
        """Show `moment` now and go on from there."""
        self._shift = moment - dt.datetime.now(dt.UTC)

    def now(self) -> dt.datetime:
        """Return the time, in UTC."""
        return dt.datetime.now(dt.UTC) + self._shift
