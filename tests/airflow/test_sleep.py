"""Hours in which a company's flows sleep."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from zoneinfo import ZoneInfo

import pendulum
import pytest
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables.base import DataInterval, TimeRestriction
from hypothesis import given
from hypothesis import strategies as st

from iw_operators import timetables
from iw_operators.sleep import sleeping
from iw_operators.spec.models import Company, Endpoint, SleepWindow
from iw_operators.timetables import IntervalTimetable

pytestmark = pytest.mark.feature("R1", "R6")

NEW_YORK = "America/New_York"
TEN_MINUTES = 600_000


def company(begin: str, end: str, zone: str = NEW_YORK) -> Company:
    """Return a company that sleeps."""
    crm, books = (Endpoint(system=name, connection=name) for name in ("anycrm", "anybooks"))
    window = SleepWindow.model_validate({"from": begin, "to": end})
    return Company(company="acme", crm=crm, books=books, time_zone=zone, sleep_window=window)


def local(text: str, zone: str = NEW_YORK, fold: int = 0) -> dt.datetime:
    """Return a moment of a company's clock."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


@pytest.mark.parametrize(
    ("begin", "end", "now", "until"),
    [
        ("23:00", "23:45", "2026-01-05T22:59:59", None),
        ("23:00", "23:45", "2026-01-05T23:00:00", "2026-01-05T23:45:00"),
        ("23:00", "23:45", "2026-01-05T23:44:59", "2026-01-05T23:45:00"),
        ("23:00", "23:45", "2026-01-05T23:45:00", None),
        ("23:00", "01:30", "2026-01-05T23:30:00", "2026-01-06T01:30:00"),
        ("23:00", "01:30", "2026-01-06T00:15:00", "2026-01-06T01:30:00"),
        ("23:00", "01:30", "2026-01-06T01:30:00", None),
        ("00:00", "06:00", "2026-01-06T00:00:00", "2026-01-06T06:00:00"),
        ("18:00", "00:00", "2026-01-06T23:59:59", "2026-01-07T00:00:00"),
    ],
)
def test_a_company_sleeps_by_its_own_clock(begin: str, end: str, now: str, until: str | None) -> None:
    """From the beginning, which belongs to it, to the end, which does not; over midnight too."""
    found = sleeping(company(begin, end), local(now).astimezone(dt.UTC))
    assert found == (local(until) if until else None)


def test_a_company_without_hours_of_sleep_never_sleeps() -> None:
    """No sleep window, no sleep."""
    awake = company("01:00", "02:00").model_copy(update={"sleep_window": None})
    assert sleeping(awake, local("2026-01-05T01:30:00")) is None


@pytest.mark.parametrize(
    ("begin", "end", "first", "last"),
    [
        # 1 November: 2:00 comes to be 1:00 once more, and the hour from 1:00 comes twice.
        ("01:30", "02:30", local("2026-11-01T01:30:00"), local("2026-11-01T02:30:00")),
        ("01:15", "01:45", local("2026-11-01T01:15:00"), local("2026-11-01T01:45:00", fold=1)),
        ("00:30", "01:15", local("2026-11-01T00:30:00"), local("2026-11-01T01:15:00", fold=1)),
        # 8 March: 2:00 is 3:00 at once, and what lies between moves on by an hour.
        ("02:15", "02:45", local("2026-03-08T03:15:00"), local("2026-03-08T03:45:00")),
        ("01:30", "02:30", local("2026-03-08T01:30:00"), local("2026-03-08T03:30:00")),
        ("02:30", "04:00", local("2026-03-08T03:30:00"), local("2026-03-08T04:00:00")),
    ],
)
def test_sleep_has_no_gap_where_the_clocks_change(begin: str, end: str, first: dt.datetime, last: dt.datetime) -> None:
    """An hour that comes twice is slept through both times, and a sleep in an hour that is left out moves on."""
    sleeper = company(begin, end)
    first, last = first.astimezone(dt.UTC), last.astimezone(dt.UTC)
    second = dt.timedelta(seconds=1)
    assert sleeping(sleeper, first - second) is None
    moment = first
    while moment < last:
        assert sleeping(sleeper, moment) == last
        moment += dt.timedelta(minutes=7)
    assert sleeping(sleeper, last) is None


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> list[dt.datetime]:
    """The time by which the timetable goes: the one entry of this list."""
    now = [local("2026-01-05T22:55:00").astimezone(dt.UTC)]
    monkeypatch.setattr(timetables, "_now", lambda: now[0])
    return now


def runs(timetable: IntervalTimetable, now: list[dt.datetime], count: int) -> list[DataInterval]:
    """Return the next runs of a flow that is on all the time, as Airflow finds them."""
    found: list[DataInterval] = []
    while len(found) < count:
        info = timetable.next_dagrun_info(
            last_automated_data_interval=found[-1] if found else None,
            restriction=TimeRestriction(earliest=None, latest=None, catchup=False),
        )
        assert info is not None
        assert info.data_interval is not None
        assert info.run_after == info.data_interval.end
        now[0] = max(now[0], info.run_after)
        found.append(info.data_interval)
    return found


def test_no_run_begins_in_the_sleep_and_the_first_one_after_it_covers_it(at: list[dt.datetime]) -> None:
    """Windows stay side by side: the one that would have ended in the sleep ends after it."""
    found = runs(IntervalTimetable(TEN_MINUTES, sleep="23:00:00/23:45:00", time_zone=NEW_YORK), at, 4)
    ends = [window.end.in_timezone(NEW_YORK).strftime("%H:%M") for window in found]
    assert ends == ["22:50", "23:50", "00:00", "00:10"]
    assert all(before.end == after.start for before, after in pairwise(found))


def test_the_shift_is_kept_after_the_sleep(at: list[dt.datetime]) -> None:
    """Flows that are shifted against one another do not all begin when the sleep ends."""
    ends = []
    for shift in (0, 120_000):
        at[0] = local("2026-01-05T22:55:00").astimezone(dt.UTC)
        ends.append(
            runs(IntervalTimetable(TEN_MINUTES, shift, sleep="23:00:00/23:45:00", time_zone=NEW_YORK), at, 2)[1]
        )
    assert [end.end.minute for end in ends] == [50, 52]


def test_a_rare_run_that_falls_into_the_sleep_begins_at_its_end(at: list[dt.datetime]) -> None:
    """A flow that runs once a day in the middle of the sleep runs when the sleep is over, every day."""
    at[0] = local("2026-01-05T12:00:00").astimezone(dt.UTC)
    day = IntervalTimetable(86_400_000, 15_600_000, sleep="23:00:00/23:45:00", time_zone=NEW_YORK)  # 4:20 UTC
    found = runs(day, at, 3)
    assert [window.end.in_timezone(NEW_YORK).strftime("%d %H:%M") for window in found] == [
        "04 23:45",
        "05 23:45",
        "06 23:45",
    ]


@given(
    interval=st.integers(10_000, 86_400_000),
    shift=st.integers(0, 86_400_000),
    begin=st.times(),
    end=st.times(),
    zone=st.sampled_from(("UTC", NEW_YORK, "Australia/Adelaide", "Asia/Kathmandu", "Africa/Cairo", "America/Havana")),
    moment=st.datetimes(dt.datetime(1995, 1, 1), dt.datetime(2037, 1, 1)),  # noqa: DTZ001  hypothesis adds the zone
)
def test_every_moment_is_in_exactly_one_window_and_none_ends_asleep(
    interval: int, shift: int, begin: dt.time, end: dt.time, zone: str, moment: dt.datetime
) -> None:
    """Whatever interval, shift, sleep and zone: windows have neither gap nor overlap, and no run begins asleep."""
    begin, end = (time.replace(microsecond=0, fold=0) for time in (begin, end))
    if begin == end:
        return
    timetable = IntervalTimetable(interval, shift, sleep=f"{begin}/{end}", time_zone=zone)
    when = moment.replace(tzinfo=dt.UTC)
    start = timetable._floor(when)
    following = timetable._next(start)
    assert start <= when < following
    assert timetable._floor(start) == start
    assert timetable._previous(following) == start
    sleeper = company(str(begin), str(end), zone)
    assert sleeping(sleeper, start) is None
    assert sleeping(sleeper, following) is None


def test_it_is_stored_and_told() -> None:
    """Airflow stores sleep, zone and start-up, and people read the hours in the list of DAGs."""
    timetable = IntervalTimetable(TEN_MINUTES, at_once=False, sleep="23:00:00/23:45:00", time_zone=NEW_YORK)
    again = decode_timetable(encode_timetable(timetable))
    assert again == timetable
    assert again != IntervalTimetable(TEN_MINUTES, sleep="23:00:00/23:45:00", time_zone=NEW_YORK)
    assert again.summary == "Every 10 min, not from 23:00:00 to 23:45:00 (America/New_York)"


class TestStartUp:
    """When a flow runs that has just been switched on."""

    NOON = pendulum.datetime(2026, 3, 8, 12)
    CASES = (
        # last window's end, now, start-up, expected end of the next window
        (None, NOON.add(minutes=7), True, NOON),
        (None, NOON.add(minutes=7), False, NOON.add(minutes=10)),
        (None, NOON.add(seconds=30), False, NOON),  # only just due
        (NOON.subtract(hours=9), NOON.add(minutes=7), True, NOON),
        (NOON.subtract(hours=9), NOON.add(minutes=7), False, NOON.add(minutes=10)),
        (NOON, NOON.add(minutes=7), True, NOON.add(minutes=10)),
        (NOON, NOON.add(minutes=7), False, NOON.add(minutes=10)),
        (NOON.subtract(minutes=10), NOON.add(minutes=7), True, NOON),
        (NOON.subtract(minutes=10), NOON.add(minutes=7), False, NOON),  # late, and next in the row
        (NOON.subtract(minutes=20), NOON.add(minutes=7), False, NOON.add(minutes=10)),
    )

    @pytest.mark.parametrize(("last", "now", "at_once", "expected"), CASES)
    def test_it_runs_at_once_or_at_the_next_multiple(
        self,
        last: pendulum.DateTime | None,
        now: pendulum.DateTime,
        at_once: bool,
        expected: pendulum.DateTime,
        at: list[dt.datetime],
    ) -> None:
        """With `run_at_start_up` the latest window that has ended is run at once; otherwise the one under way is.

        A run that follows the one before, or whose window has only just ended, is never put off.
        """
        at[0] = now
        info = IntervalTimetable(TEN_MINUTES, at_once=at_once).next_dagrun_info(
            last_automated_data_interval=DataInterval(last.subtract(minutes=10), last) if last else None,
            restriction=TimeRestriction(earliest=None, latest=None, catchup=False),
        )
        assert info is not None
        assert info.run_after == expected

    @given(every=st.lists(st.integers(1, 45), min_size=5, max_size=60))
    def test_a_flow_that_is_on_misses_no_window(self, every: list[int]) -> None:
        """However the questions of Airflow fall, a flow that is on runs each window once, in order."""
        timetable = IntervalTimetable(60_000, at_once=False)
        now = self.NOON.add(seconds=3)
        last: DataInterval | None = None
        made: list[DataInterval] = []
        restriction = TimeRestriction(earliest=None, latest=None, catchup=False)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(timetables, "_now", lambda: now)
            for seconds in every:
                info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
                assert info is not None
                if info.run_after <= now:
                    last = info.data_interval
                    assert last is not None
                    made.append(last)
                now = now.add(seconds=seconds)
        assert all(one.end == two.start for one, two in pairwise(made))
