"""When flows run: every so many milliseconds, or only when a date range is asked for.

Both timetables cut time into windows that lie side by side and give each run one of them as its data interval. They
are registered with Airflow by the plugin and stored with the DAG as the few values that `serialize` returns.
"""

from __future__ import annotations

import datetime as dt
import re
from abc import abstractmethod
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pendulum
from airflow.exceptions import AirflowTimetableInvalid
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable

from iw_operators.sleep import period
from iw_operators.spec.models import SleepWindow

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MILLISECOND = dt.timedelta(milliseconds=1)
HOUR = dt.timedelta(hours=1)
GRACE = dt.timedelta(minutes=1)  # how late a run may be and still be the one that is due
WINDOW = re.compile(r"^([1-9]\d*)([hd])$")


class _Windows(Timetable):
    """Windows side by side: `_floor` finds the start of the one that holds a moment, `_next` and `_previous` step."""

    @abstractmethod
    def _floor(self, moment: dt.datetime) -> dt.datetime: ...

    @abstractmethod
    def _next(self, start: dt.datetime) -> dt.datetime: ...

    def _previous(self, start: dt.datetime) -> dt.datetime:
        return self._floor(start - MILLISECOND)

    def _ceil(self, moment: dt.datetime) -> dt.datetime:
        start = self._floor(moment)
        return start if start == moment else self._next(start)

    def _run(self, start: dt.datetime) -> DagRunInfo:
        return DagRunInfo.interval(start=pendulum.instance(start, tz="UTC"), end=pendulum.instance(self._next(start)))

    def infer_manual_data_interval(self, *, run_after: pendulum.DateTime) -> DataInterval:
        """Return the last window that has ended by `run_after`."""
        end = self._floor(run_after)
        return DataInterval(start=pendulum.instance(self._previous(end)), end=pendulum.instance(end))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.serialize() == self.serialize()

    def __hash__(self) -> int:
        return hash((type(self).__name__, *self.serialize().values()))


class IntervalTimetable(_Windows):
    """Run every `interval_ms` milliseconds, `shift_ms` after the multiples of the interval counted from 1970 (UTC).

    Two flows with the same interval and different shifts therefore never start together. Without catchup a flow that
    was off runs once; what lies before is left to Query Starts.

    :param at_once: a flow that is switched on runs at once, unless it has run since the latest of those moments;
        otherwise it runs at the next of them.
    :param sleep: hours of the day in `time_zone`, `HH:MM:SS/HH:MM:SS`, in which no run begins. What would begin in
        them begins at the first moment after them, or at their end where that comes more than an hour later, and its
        window covers them.
    """

    def __init__(
        self, interval_ms: int, shift_ms: int = 0, *, at_once: bool = True, sleep: str = "", time_zone: str = "UTC"
    ) -> None:
        self.interval_ms = interval_ms
        self.shift_ms = shift_ms
        self.at_once = at_once
        self.sleep = sleep
        self.time_zone = time_zone
        begin, _, end = sleep.partition("/")
        self._sleep = SleepWindow.model_validate({"from": begin, "to": end}) if sleep else None
        self._zone = ZoneInfo(time_zone) if sleep else None
        self.description = f"Every {_span(interval_ms)}" + (f", shifted by {_span(shift_ms)}" if shift_ms else "")
        if sleep:
            self.description += f", not from {begin} to {end} ({time_zone})"

    @property
    def summary(self) -> str:
        """What the list of DAGs shows."""
        return self.description

    def validate(self) -> None:
        """Raise AirflowTimetableInvalid when the interval is not positive or the shift is negative."""
        if self.interval_ms <= 0 or self.shift_ms < 0:
            msg = f"interval_ms has to be positive and shift_ms not negative, not {self.interval_ms}, {self.shift_ms}"
            raise AirflowTimetableInvalid(msg)

    def serialize(self) -> dict[str, Any]:
        """Return what Airflow stores."""
        asleep = {"sleep": self.sleep, "time_zone": self.time_zone} if self.sleep else {}
        return {"interval_ms": self.interval_ms, "shift_ms": self.shift_ms, "at_once": self.at_once, **asleep}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """Make the timetable from what `serialize` returned."""
        asleep = {key: data[key] for key in ("sleep", "time_zone") if key in data}
        return cls(data["interval_ms"], data["shift_ms"], at_once=data.get("at_once", True), **asleep)

    def _floor(self, moment: dt.datetime) -> dt.datetime:
        start = self._multiple(moment)
        if (asleep := self._asleep(start)) is None:
            return start
        awake = self._awake(asleep[1])
        return awake if awake <= moment else self._floor(asleep[0] - MILLISECOND)

    def _next(self, start: dt.datetime) -> dt.datetime:
        following = self._multiple(start) + self.interval_ms * MILLISECOND
        asleep = self._asleep(following)
        return following if asleep is None else self._awake(asleep[1])

    def _multiple(self, moment: dt.datetime) -> dt.datetime:
        interval, shift = self.interval_ms * MILLISECOND, self.shift_ms * MILLISECOND
        return EPOCH + (_plain(moment) - EPOCH - shift) // interval * interval + shift

    def _asleep(self, moment: dt.datetime) -> tuple[dt.datetime, dt.datetime] | None:
        return period(self._sleep, self._zone, moment) if self._sleep and self._zone else None

    def _awake(self, end: dt.datetime) -> dt.datetime:
        """Return when the run begins that a sleep has put off."""
        before = self._multiple(end)
        first = before if before == end else before + self.interval_ms * MILLISECOND
        return first if first - end <= HOUR and self._asleep(first) is None else end

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next window and when it may run (at its end).

        A window never overlaps the one before it, not even after the interval was changed.
        """
        starts = []
        if restriction.earliest is not None:
            starts.append(self._ceil(restriction.earliest))
        if not restriction.catchup:
            starts.append(self._due(_plain(_now()), last_automated_data_interval))
        if last_automated_data_interval is not None:
            starts.append(self._ceil(last_automated_data_interval.end))
        start = max(starts, default=None)
        if start is None or (restriction.latest is not None and start > restriction.latest):
            return None
        return self._run(start)

    def _due(self, now: dt.datetime, last: DataInterval | None) -> dt.datetime:
        """Return the start of the window that is to be run now, or next.

        That is the latest one that has ended, when it follows the last run's window or has only just ended: Airflow
        asks again and again, and may do so between the end of a window and the making of its run. A flow that has
        been off since before that waits for the window that is under way, unless it is to run at once.
        """
        end = self._floor(now)
        latest = self._previous(end)
        follows = last is not None and self._next(self._floor(last.end)) >= end
        late = now - end < min(GRACE, self.interval_ms * MILLISECOND / 2)
        return latest if self.at_once or follows or late else end


class BackfillOnlyTimetable(_Windows):
    """Never runs by itself; a backfill of a date range gets one run a window, oldest first.

    :param window: `Nd`, N days from local midnight to local midnight in `time_zone`, so that a day has 23 or 25 hours
        where the clocks change; or `Nh`, N hours of 60 minutes. Windows of more than one day or hour are counted from
        1970-01-01, so that the same date is always in the same window.
    :param time_zone: IANA name of the zone whose midnights count.

    The windows of a backfill hold the whole range that was asked for: the first one holds its beginning, the last one
    its end. Airflow leaves out windows that have not ended yet.
    """

    can_be_scheduled = False
    active_runs_limit = 1

    def __init__(self, window: str, time_zone: str = "UTC") -> None:
        self.window = window
        self.time_zone = time_zone
        match = WINDOW.match(window)
        self._count = int(match[1]) if match else 0
        self._days = bool(match and match[2] == "d")
        name = "day" if self._days else "hour"
        size = f"{self._count} {name}s" if self._count != 1 else f"1 {name}"
        self.description = f"Only by backfill, one run for each {size}" + (f" in {time_zone}" if self._days else "")
        self._zone: ZoneInfo | None
        try:
            self._zone = ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            self._zone = None

    @property
    def summary(self) -> str:
        """What the list of DAGs shows."""
        return f"Backfill, {self.window}"

    def validate(self) -> None:
        """Raise AirflowTimetableInvalid when the window or the zone cannot be understood."""
        if not self._count:
            msg = f"a window is a number followed by h or d (6h, 1d), not {self.window!r}"
            raise AirflowTimetableInvalid(msg)
        if self._zone is None:
            msg = f"{self.time_zone!r} is not the IANA name of a time zone"
            raise AirflowTimetableInvalid(msg)

    def serialize(self) -> dict[str, Any]:
        """Return what Airflow stores."""
        return {"window": self.window, "time_zone": self.time_zone}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """Make the timetable from what `serialize` returned."""
        return cls(data["window"], data["time_zone"])

    def _floor(self, moment: dt.datetime) -> dt.datetime:
        if not self._days:
            hours = dt.timedelta(hours=self._count)
            return EPOCH + (_plain(moment) - EPOCH) // hours * hours
        days = (moment.astimezone(self._zone).date() - EPOCH.date()).days
        return self._midnight(days // self._count * self._count)

    def _next(self, start: dt.datetime) -> dt.datetime:
        if not self._days:
            return start + dt.timedelta(hours=self._count)
        return self._midnight((start.astimezone(self._zone).date() - EPOCH.date()).days + self._count)

    def _midnight(self, days: int) -> dt.datetime:
        date = EPOCH.date() + dt.timedelta(days=days)
        return dt.datetime.combine(date, dt.time(), self._zone).astimezone(dt.UTC)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next window of a backfill, None for anybody else: only a backfill asks with an end and catchup."""
        if restriction.latest is None or not restriction.catchup:
            return None
        if last_automated_data_interval is not None:
            start = self._floor(last_automated_data_interval.end)
        elif restriction.earliest is not None:
            start = self._floor(restriction.earliest)
        else:
            return None
        return self._run(start) if start <= restriction.latest else None


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _plain(moment: dt.datetime) -> dt.datetime:
    """Return the same moment without pendulum, whose differences cannot be divided by a timedelta."""
    utc = moment.astimezone(dt.UTC)
    return dt.datetime.combine(utc.date(), utc.time(), dt.UTC)


def _span(milliseconds: int) -> str:
    """Return a length of time as people say it, exactly."""
    parts = []
    for size, unit in ((3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts) or "0 ms"
