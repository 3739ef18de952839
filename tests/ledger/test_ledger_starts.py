"""Query Starts set by hand: it outlasts the run that is at work, lies in no future, and is kept with who did it."""

from __future__ import annotations

import datetime as dt

import pytest

from iw_operators.errors import FixConfiguration
from iw_operators.ledger.store import Ledger
from tests.ledger.kit import begin

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R2")]

NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def at_work(ledger: Ledger, dag_run_id: str = "r2") -> int:
    """Return a run that has its window, from noon to an hour later."""
    ledger.move_query_starts("acme", "F", NOON, by="run r1")
    run = begin(ledger, flow="F", dag_run_id=dag_run_id).run_id
    since = ledger.query_starts_for("acme", "F", run)
    assert since == NOON
    ledger.set_window(run, since, NOON + HOUR)
    return run


def ended(ledger: Ledger, run: int) -> dt.datetime:
    """End the run; return where Query Starts stands."""
    return ledger.move_query_starts("acme", "F", NOON + HOUR, by="run r2", run_id=run)


@pytest.mark.parametrize("to", [NOON - 5 * HOUR, NOON, NOON + HOUR / 2])
def test_a_move_by_hand_outlasts_the_run_at_work(ledger: Ledger, to: dt.datetime) -> None:
    """Backwards, forwards or said once more as it is: the run leaves it there, which the history says once."""
    run = at_work(ledger)
    assert ledger.move_query_starts("acme", "F", to, by="ada", back=True) == to
    assert ended(ledger, run) == ended(ledger, run) == ledger.query_starts("acme", "F") == to
    left, hand, _ = ledger.query_starts_history("acme", "F")
    assert (hand.old, hand.new, hand.by) == (NOON, to, "ada")
    assert (left.old, left.new, left.by, left.run_id) == (to, to, "run r2: left as ada has set it", run)


def test_a_retry_of_ready_does_not_forget_the_move(ledger: Ledger) -> None:
    """The window is that of the first try, and so is what the run has seen."""
    run = at_work(ledger)
    ledger.move_query_starts("acme", "F", NOON - HOUR, by="ada", back=True)
    assert ledger.query_starts_for("acme", "F", run) == NOON - HOUR
    assert ended(ledger, run) == NOON - HOUR


def test_a_move_that_the_run_has_seen_is_gone_beyond(ledger: Ledger) -> None:
    """The run that begins after it has read from there on, and moves Query Starts to its end."""
    ledger.move_query_starts("acme", "F", NOON + 5 * HOUR, by="run r0")
    ledger.move_query_starts("acme", "F", NOON, by="ada", back=True)
    assert ended(ledger, at_work(ledger)) == NOON + HOUR


def test_runs_leave_each_other_nothing(ledger: Ledger) -> None:
    """Another run's move in between is no person's: whoever comes further moves it."""
    run = at_work(ledger)
    other = begin(ledger, flow="F", dag_run_id="r3").run_id
    ledger.move_query_starts("acme", "F", NOON + HOUR / 2, by="run r3", run_id=other)
    assert ended(ledger, run) == NOON + HOUR


def test_a_run_of_before_has_seen_nothing_and_moves_on(ledger: Ledger) -> None:
    """One whose window was set before the ledger kept that goes on as it began."""
    run = begin(ledger, flow="F", dag_run_id="r2").run_id
    ledger.set_window(run, None, NOON + HOUR)
    ledger.move_query_starts("acme", "F", NOON, by="ada", back=True)
    assert ended(ledger, run) == NOON + HOUR


def test_the_future_is_refused_by_hand(ledger: Ledger) -> None:
    """A mistyped year is an error that says so; a clock that is a little ahead is none; runs go by the source's."""
    now = dt.datetime.now(dt.UTC)
    with pytest.raises(FixConfiguration, match="cannot lie in the future: 2062-03-04") as caught:
        ledger.move_query_starts("acme", "F", dt.datetime(2062, 3, 4, tzinfo=dt.UTC), by="ada", back=True)
    assert "the year" in caught.value.advice
    with pytest.raises(FixConfiguration):
        ledger.move_query_starts("acme", "F", now + HOUR / 4, by="ada", back=True)
    assert ledger.query_starts("acme", "F") is None
    assert ledger.deeds("acme") == []
    assert ledger.move_query_starts("acme", "F", now + HOUR / 30, by="ada", back=True) == now + HOUR / 30
    run = begin(ledger, flow="F", dag_run_id="r2").run_id
    assert ledger.move_query_starts("acme", "F", now + HOUR, by="run r2", run_id=run) == now + HOUR


def test_who_sets_it_has_done_a_deed(ledger: Ledger) -> None:
    """Whatever they set it with; a run's move is none."""
    at_work(ledger)
    ledger.move_query_starts("acme", "F", NOON - HOUR, by="ada", back=True)
    (deed,) = ledger.deeds("acme")
    assert (deed.by, deed.what, deed.subject) == ("ada", "query starts set", "F")
    assert deed.detail == {"old": NOON.isoformat(), "new": (NOON - HOUR).isoformat()}
