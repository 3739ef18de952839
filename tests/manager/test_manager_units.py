"""What the page is put together from: progress, lengths, moments, live parts."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from iw_operators.engine.model import Value
from iw_operators.manager import live
from iw_operators.manager.app import LazyApp
from iw_operators.manager.reading import Mapped
from iw_operators.manager.rows import length, progress_of, tally

NOW = dt.datetime(2026, 3, 8, 12, 0, tzinfo=dt.UTC)


def mapped(**values: object) -> Mapped:
    """Return a mapping at work."""
    common = {"mapping": "m", "attempt": 1, "read": None, "counts": {}, "done": 0, "total": None, "started_at": NOW}
    return Mapped(**{**common, "progress_at": None, "ended_at": None, **values})  # type: ignore[arg-type]  # by name


@pytest.mark.feature("R14")
class TestProgress:
    """Done, left, rate and time to go, as far as they are known."""

    def test_with_a_total(self) -> None:
        """A source that can count gives all four."""
        after = NOW + dt.timedelta(seconds=50)
        told = progress_of(mapped(done=500, total=2_000, progress_at=after))
        assert (told.left, told.rate, told.seconds) == (1_500, 10.0, 150)

    def test_without_a_total(self) -> None:
        """A source that cannot count gives the rate."""
        told = progress_of(mapped(done=500, progress_at=NOW + dt.timedelta(seconds=50)))
        assert (told.left, told.rate, told.seconds) == (None, 10.0, None)

    def test_at_the_beginning(self) -> None:
        """Nothing is guessed before the first page."""
        told = progress_of(mapped(total=2_000))
        assert (told.left, told.rate, told.seconds) == (2_000, None, None)

    def test_more_than_was_counted(self) -> None:
        """Records that came in meanwhile leave nothing negative."""
        assert progress_of(mapped(done=2_001, total=2_000, progress_at=NOW)).left == 0


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(600_000, "10 min"), (61_500, "1 min 1 s 500 ms"), (86_400_000, "1 d"), (0, "0")],
)
def test_lengths(milliseconds: int, text: str) -> None:
    """Intervals are written exactly, as people say them."""
    assert length(milliseconds) == text


def test_telling_counts_come_first() -> None:
    """What was done and what went wrong stands before what was left alone; zeros are left out."""
    counts = {"unchanged": 9, "rejected": 1, "created": 2, "held": 0}
    assert list(tally(counts)) == [("created", 2), ("rejected", 1), ("unchanged", 9)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "yes"),
        (Decimal("12.50"), "12.50"),
        (dt.date(2026, 1, 31), "2026-01-31"),
        (({"item": "Hour", "amount": Decimal("3.00"), "tax": None},), "item: Hour, amount: 3.00"),
        ("<b>", "<b>"),
    ],
)
def test_values(value: Value, text: str) -> None:
    """A record's values are written as they are, to the last digit."""
    from iw_operators.manager import render

    assert render.shown(value) == text


def test_moments() -> None:
    """A moment is written in the company's zone and carries the exact one."""
    from iw_operators.manager import render

    html = str(render.moment(NOW, ZoneInfo("America/New_York")))
    assert ">2026-03-08 08:00:00<" in html
    assert 'datetime="2026-03-08T12:00:00+00:00"' in html
    assert "EDT" in html
    assert render.local(NOW, ZoneInfo("America/New_York")) == "2026-03-08T08:00:00"


class TestLive:
    """Only what has changed."""

    def test_changed_parts(self) -> None:
        """A part that is the same is left out."""
        before = live.version({"a": "1", "b": "1"})
        news = live.changed({"a": "1", "b": "2"}, before)
        assert news["parts"] == {"b": "2"}
        assert not news["reload"]

    def test_parts_that_come_or_go(self) -> None:
        """A new part has no place on the page that is open: it has to load itself anew."""
        before = live.version({"a": "1"})
        assert live.changed({"a": "1", "b": "2"}, before)["reload"]

    def test_old_versions_are_forgotten(self) -> None:
        """The memory of what pages were given is bounded."""
        first = live.version({"a": "first"})
        for number in range(live.REMEMBERED):
            live.version({"a": str(number)})
        assert live.changed({"a": "x"}, first)["parts"] == {"a": "x"}
        assert len(live._given) == live.REMEMBERED


def test_the_app_is_made_once_and_late() -> None:
    """Airflow's other processes, which load the plugin too, do not make the app."""
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    lazy = LazyApp(make)  # type: ignore[arg-type]  # any app will do
    assert made == []
    assert lazy.made is lazy.made
    assert len(made) == 1


def test_the_plugin_costs_nothing_at_import() -> None:
    """Reading the page's name into the plugin imports neither FastAPI nor the API server."""
    import subprocess
    import sys

    script = (
        "import sys; before = set(sys.modules); import iw_operators.manager.app;"
        "print([m for m in set(sys.modules) - before if m.split('.')[0] in ('airflow', 'fastapi', 'jinja2')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
