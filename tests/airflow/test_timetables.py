"""When flows run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import pairwise
from zoneinfo import ZoneInfo

import pendulum
import pytest
from airflow.exceptions import AirflowTimetableInvalid
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables.base import DataInterval, TimeRestriction, Timetable
from hypothesis import given
from hypothesis import strategies as st

from iw_operators import timetables
from iw_operators.timetables import BackfillOnlyTimetable, IntervalTimetable

NOW = pendulum.datetime(2026, 3, 8, 12, 7, 30)
ZONES = ("UTC", "America/New_York", "Australia/Adelaide", "Asia/Kathmandu", "Africa/Cairo", "America/Havana")


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timetables, "_now", lambda: NOW)


def restriction(
    earliest: dt.datetime | None = None, latest: dt.datetime | None = None, *, catchup: bool = False
) -> TimeRestriction:
    """What Airflow allows."""
    return TimeRestriction(
        earliest=pendulum.instance(earliest) if earliest else None,
        latest=pendulum.instance(latest) if latest else None,
        catchup=catchup,
    )


def windows(timetable: Timetable, earliest: dt.datetime, latest: dt.datetime) -> Iterator[DataInterval]:
    """The windows of a backfill, found the way Airflow finds them."""
    last = None
    while info := timetable.next_dagrun_info(
        last_automated_data_interval=last, restriction=restriction(earliest, latest, catchup=True)
    ):
        assert info.data_interval
        assert info.run_after == info.data_interval.end
        yield (last := info.data_interval)


@pytest.mark.feature("R1")
class TestInterval:
    """Flows that run every so many milliseconds."""

    def test_first_run_is_the_latest_window_that_has_ended(self) -> None:
        """A flow that has just been switched on runs at once, for one window."""
        info = IntervalTimetable(600_000).next_dagrun_info(last_automated_data_interval=None, restriction=restriction())
        assert info
        assert info.data_interval == (pendulum.datetime(2026, 3, 8, 11, 50), pendulum.datetime(2026, 3, 8, 12, 0))
        assert info.run_after <= NOW

    def test_next_run_follows_the_last_one_without_a_gap(self) -> None:
        """Windows lie side by side."""
        last = DataInterval(pendulum.datetime(2026, 3, 8, 11, 50), pendulum.datetime(2026, 3, 8, 12, 0))
        info = IntervalTimetable(600_000).next_dagrun_info(last_automated_data_interval=last, restriction=restriction())
        assert info
        assert info.data_interval == (pendulum.datetime(2026, 3, 8, 12, 0), pendulum.datetime(2026, 3, 8, 12, 10))

    def test_missed_windows_are_left_out(self) -> None:
        """After a day off, a flow runs once and not for every window of that day."""
        last = DataInterval(pendulum.datetime(2026, 3, 7, 11, 50), pendulum.datetime(2026, 3, 7, 12, 0))
        info = IntervalTimetable(600_000).next_dagrun_info(last_automated_data_interval=last, restriction=restriction())
        assert info
        assert info.data_interval.end == pendulum.datetime(2026, 3, 8, 12, 0)  # type: ignore[union-attr]  # it has one

    def test_milliseconds_and_shift_are_exact(self) -> None:
        """The shift moves the starts by so many milliseconds after the multiples of the interval since 1970."""
        info = IntervalTimetable(90_500, 1_250).next_dagrun_info(
            last_automated_data_interval=None, restriction=restriction()
        )
        assert info
        assert info.data_interval
        start = round(info.data_interval.start.timestamp() * 1000)
        assert start % 90_500 == 1_250
        assert info.data_interval.end == info.data_interval.start + dt.timedelta(milliseconds=90_500)
        assert info.data_interval.end <= NOW < info.data_interval.end + dt.timedelta(milliseconds=90_500)

    def test_two_shifts_never_start_together(self) -> None:
        """Flows with one interval and different shifts start at different times."""
        ends = [IntervalTimetable(60_000, shift).infer_manual_data_interval(run_after=NOW).end for shift in (0, 20_000)]
        assert ends == [NOW.subtract(seconds=30), NOW.subtract(seconds=10)]

    def test_a_changed_interval_never_overlaps_the_last_run(self) -> None:
        """After 10 minutes became 1 hour, the next window begins where the last one ended, or later."""
        last = DataInterval(pendulum.datetime(2026, 3, 8, 12, 0), pendulum.datetime(2026, 3, 8, 12, 10))
        info = IntervalTimetable(3_600_000).next_dagrun_info(
            last_automated_data_interval=last, restriction=restriction()
        )
        assert info
        assert info.data_interval == (pendulum.datetime(2026, 3, 8, 13, 0), pendulum.datetime(2026, 3, 8, 14, 0))

    def test_start_and_end_of_the_dag_are_kept(self) -> None:
        """Nothing runs before the start date or after the end date; with catchup nothing in between is left out."""
        timetable = IntervalTimetable(3_600_000)
        earliest, latest = pendulum.datetime(2026, 3, 1, 0, 30), pendulum.datetime(2026, 3, 1, 4, 30)
        found = list(windows(timetable, earliest, latest))
        assert [w.start.hour for w in found] == [1, 2, 3, 4]
        assert (
            timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction(latest=latest))
            is None
        )
        assert (
            timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction(catchup=True)) is None
        )

    def test_a_manual_run_gets_the_last_window(self) -> None:
        """Triggering by hand gives the window that ended last."""
        interval = IntervalTimetable(600_000).infer_manual_data_interval(run_after=NOW)
        assert interval == (pendulum.datetime(2026, 3, 8, 11, 50), pendulum.datetime(2026, 3, 8, 12, 0))

    def test_it_tells_people_what_it_is(self) -> None:
        """The list of DAGs shows the interval in words."""
        assert IntervalTimetable(600_000).summary == "Every 10 min"
        assert IntervalTimetable(5_400_000, 1_500).summary == "Every 1 h 30 min, shifted by 1 s 500 ms"

    @pytest.mark.parametrize(("interval", "shift"), [(0, 0), (-5, 0), (10, -1)])
    def test_nonsense_is_refused(self, interval: int, shift: int) -> None:
        """An interval that is not positive or a negative shift never becomes a DAG."""
        with pytest.raises(AirflowTimetableInvalid, match="interval_ms"):
            IntervalTimetable(interval, shift).validate()

    @given(
        interval=st.integers(10_000, 86_400_000),
        shift=st.integers(0, 86_400_000),
        moment=st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2090, 1, 1)),  # noqa: DTZ001  hypothesis adds the zone
    )
    def test_every_moment_is_in_exactly_one_window(self, interval: int, shift: int, moment: dt.datetime) -> None:
        """Windows neither overlap nor leave a gap, whatever the interval and the shift."""
        timetable = IntervalTimetable(interval, shift)
        when = moment.replace(tzinfo=dt.UTC)
        start = timetable._floor(when)
        assert start <= when < timetable._next(start)
        assert timetable._previous(timetable._next(start)) == start


@pytest.mark.feature("R3")
class TestBackfillOnly:
    """Flows for a date range."""

    def test_it_never_runs_by_itself(self) -> None:
        """Nobody but a backfill gets a window."""
        timetable = BackfillOnlyTimetable("1d")
        assert timetable.can_be_scheduled is False
        last = DataInterval(pendulum.datetime(2026, 3, 1), pendulum.datetime(2026, 3, 2))
        for given_ in (restriction(), restriction(NOW, catchup=True), restriction(NOW, NOW)):
            for previous in (None, last):
                assert timetable.next_dagrun_info(last_automated_data_interval=previous, restriction=given_) is None

    def test_days_are_local_and_follow_the_clock_change(self) -> None:
        """A day in New York is 23 hours long when the clocks go forward and 25 when they go back."""
        spring = list(
            windows(
                BackfillOnlyTimetable("1d", "America/New_York"),
                dt.datetime(2026, 3, 7, tzinfo=ZoneInfo("America/New_York")),
                dt.datetime(2026, 3, 9, tzinfo=ZoneInfo("America/New_York")),
            )
        )
        assert [w.start.isoformat() for w in spring] == [
            "2026-03-07T05:00:00+00:00",
            "2026-03-08T05:00:00+00:00",
            "2026-03-09T04:00:00+00:00",
        ]
        autumn = BackfillOnlyTimetable("1d", "America/New_York").infer_manual_data_interval(
            run_after=pendulum.datetime(2026, 11, 2, 12)
        )
        assert autumn.end - autumn.start == dt.timedelta(hours=25)

    @pytest.mark.parametrize("zone", ZONES)
    @pytest.mark.parametrize("window", ["1d", "7d", "6h", "5h"])
    def test_windows_hold_the_whole_range_in_order(self, window: str, zone: str) -> None:
        """A backfill's windows lie side by side and hold every moment between its two dates."""
        earliest, latest = pendulum.datetime(2026, 3, 1, 3), pendulum.datetime(2026, 5, 2, 17)
        found = list(windows(BackfillOnlyTimetable(window, zone), earliest, latest))
        assert found[0].start <= earliest < found[0].end
        assert found[-1].start <= latest < found[-1].end
        assert all(before.end == after.start for before, after in pairwise(found))

    def test_longer_windows_do_not_depend_on_the_dates_asked_for(self) -> None:
        """Two backfills that overlap share their windows, so the same date is never read in two different ones."""
        timetable = BackfillOnlyTimetable("7d", "America/New_York")
        first = set(windows(timetable, pendulum.datetime(2026, 1, 1), pendulum.datetime(2026, 2, 1)))
        second = set(windows(timetable, pendulum.datetime(2026, 1, 11), pendulum.datetime(2026, 2, 11)))
        assert len(first & second) == 4

    def test_hours_are_counted_through_the_clock_change(self) -> None:
        """Windows of hours are equally long all the year."""
        found = list(
            windows(
                BackfillOnlyTimetable("6h", "America/New_York"),
                pendulum.datetime(2026, 3, 8),
                pendulum.datetime(2026, 3, 9),
            )
        )
        assert all(w.end - w.start == dt.timedelta(hours=6) for w in found)
        assert len(found) == 5

    @given(
        zone=st.sampled_from(ZONES),
        days=st.integers(1, 40),
        moment=st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2037, 1, 1)),  # noqa: DTZ001  hypothesis adds the zone
    )
    def test_every_moment_is_in_exactly_one_window(self, zone: str, days: int, moment: dt.datetime) -> None:
        """Windows of days neither overlap nor leave a gap, also where midnight is skipped or comes twice."""
        timetable = BackfillOnlyTimetable(f"{days}d", zone)
        when = moment.replace(tzinfo=dt.UTC)
        start = timetable._floor(when)
        assert start <= when < timetable._next(start)
        assert timetable._floor(start) == start
        assert timetable._previous(timetable._next(start)) == start

    @pytest.mark.parametrize(
        ("window", "zone", "says"), [("1w", "UTC", "1w"), ("0d", "UTC", "0d"), ("1d", "Mars/Olympus", "Mars")]
    )
    def test_nonsense_is_refused(self, window: str, zone: str, says: str) -> None:
        """A window or a zone that cannot be understood never becomes a DAG."""
        with pytest.raises(AirflowTimetableInvalid, match=says):
            BackfillOnlyTimetable(window, zone).validate()

    def test_it_tells_people_what_it_is(self) -> None:
        """The list of DAGs shows that a flow waits for a backfill."""
        timetable = BackfillOnlyTimetable("1d", "America/New_York")
        assert timetable.summary == "Backfill, 1d"
        assert timetable.description == "Only by backfill, one run for each 1 day in America/New_York"


@pytest.mark.parametrize(
    "timetable", [IntervalTimetable(90_500, 1_250), BackfillOnlyTimetable("6h", "America/New_York")]
)
def test_airflow_stores_and_reads_it_back(timetable: Timetable) -> None:
    """The plugin registers the timetables, and what Airflow stores gives an equal one."""
    stored = encode_timetable(timetable)
    again = decode_timetable(stored)
    assert again == timetable
    assert hash(again) == hash(timetable)
    assert again.summary == timetable.summary
