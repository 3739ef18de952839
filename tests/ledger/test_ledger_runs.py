"""Runs, windows, the balance of each mapping, Query Starts."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from iw_operators.engine.model import Action
from iw_operators.errors import StopFlow
from iw_operators.ledger.store import Ledger, MappingSummary
from iw_operators.systems.base import Result
from tests.ledger.kit import applied, begin, create, ended, made, quiet, refused, sent, unknown

pytestmark = pytest.mark.ledger
NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def test_a_run_is_made_once(ledger: Ledger) -> None:
    """Every task of a DAG run gets the same run; another company's run of the same name is another one."""
    names: dict[str, Any] = {"flow": "F", "dag_run_id": "r", "kind": "scheduled", "direction": "to_books"}
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda n: ledger.begin_run(company="acme", attempt=n, **names), range(1, 9)))
    assert len(set(ids)) == 1
    assert ledger.begin_run(company="globex", **names) not in ids
    assert ledger.find_run("acme", "F", "r") == ids[0]
    assert ledger.find_run("acme", "F", "other") is None


@pytest.mark.feature("R3")
def test_the_first_window_wins(ledger: Ledger) -> None:
    """A retry works on the window of the first attempt, in UTC, open sides included."""
    run = begin(ledger)
    assert ledger.window(run.run_id) is None
    berlin = dt.timezone(HOUR)
    assert ledger.set_window(run.run_id, None, NOON.astimezone(berlin)) == (None, NOON)
    assert ledger.set_window(run.run_id, NOON, NOON + HOUR) == (None, NOON)
    assert ledger.window(run.run_id) == (None, NOON)
    with pytest.raises(StopFlow, match="no run 999"):
        ledger.set_window(999, None, None)
    with pytest.raises(ValueError, match="zone"):
        ledger.set_window(run.run_id, dt.datetime(2026, 1, 1), None)  # noqa: DTZ001  the point of the test


@pytest.mark.feature("R9")
def test_a_mapping_balances(ledger: Ledger) -> None:
    """Records read are records created, updated, unchanged, skipped, held, rejected or unknown."""
    run = begin(ledger)
    decisions = [create("a"), create("b"), create("c")]
    batch = sent(ledger, run, decisions)
    outcomes = [applied(batch.writes[0]), refused(batch.writes[1]), unknown(batch.writes[2])]
    ended(ledger, run, decisions, batch, outcomes)
    ledger.record(run, [quiet(Action.UNCHANGED, "d", target_id="Td"), quiet(Action.HOLD, "e"), quiet(Action.SKIP, "f")])
    counts = ledger.end_mapping(run.run_id, "customers", 1, 6)
    assert counts == {"created": 1, "unchanged": 1, "skipped": 1, "held": 1, "rejected": 1, "unknown": 1}


def test_a_mapping_that_does_not_balance_stops_the_flow(ledger: Ledger) -> None:
    """A record that was read and not recorded is named by the numbers, and the attempt is kept as unbalanced."""
    run = begin(ledger)
    made(ledger, run, "a", "b")
    with pytest.raises(StopFlow, match="read 3 records but recorded 2: 2 created") as caught:
        ledger.end_mapping(run.run_id, "customers", 1, 3)
    assert caught.value.code == "iw.balance"
    assert ledger.end_mapping(run.run_id, "customers", 1, 2) == {"created": 2}


def test_a_record_recorded_twice_does_not_balance(ledger: Ledger) -> None:
    """Working on a record twice in one attempt shows in the balance as well."""
    run = begin(ledger)
    for _ in range(2):
        ledger.record(run, [quiet(Action.SKIP, "a")])
    with pytest.raises(StopFlow, match="read 1 records but recorded 2"):
        ledger.end_mapping(run.run_id, "customers", 1, 1)


def test_a_stale_record_counts_by_its_second_round(ledger: Ledger) -> None:
    """A record whose partner had changed and that is planned again in the same attempt counts once."""
    run = begin(ledger)
    first = [create("a")]
    batch = sent(ledger, run, first)
    ended(ledger, run, first, batch, [refused(batch.writes[0], Result.STALE)])
    made(ledger, run, "a", key="b2")
    assert ledger.end_mapping(run.run_id, "customers", 1, 1) == {"created": 1}
    assert [row.action for row in ledger.log(company="acme")] == [Action.CREATE, Action.HOLD]


def test_an_attempt_that_is_begun_again_counts_from_its_beginning(ledger: Ledger) -> None:
    """Rows of an interrupted beginning stay in the log and the summary and leave the balance."""
    run = begin(ledger)
    made(ledger, run, "a")
    begin(ledger)
    ledger.record(run, [quiet(Action.UNCHANGED, "a", target_id="Ta"), quiet(Action.SKIP, "b")])
    assert ledger.end_mapping(run.run_id, "customers", 1, 2) == {"unchanged": 1, "skipped": 1}
    assert ledger.summary(run.run_id) == [MappingSummary("customers", 2, {"created": 1, "skipped": 1})]


@pytest.mark.feature("R9")
def test_the_summary_takes_the_most_telling_row(ledger: Ledger) -> None:
    """Over all attempts each record counts once, and mappings stand in the order they began."""
    run = begin(ledger, mapping="items")
    ledger.end_mapping(run.run_id, "items", 1, 0)
    run = begin(ledger)
    made(ledger, run, "a")
    ledger.record(run, [quiet(Action.HOLD, "b"), quiet(Action.REJECT, "c")])
    again = begin(ledger, attempt=2)
    ledger.record(again, [quiet(Action.UNCHANGED, "a"), quiet(Action.REJECT, "b"), quiet(Action.SKIP, "c")])
    assert ledger.end_mapping(run.run_id, "customers", 2, 3) == {"unchanged": 1, "skipped": 1, "rejected": 1}
    ledger.end_run(run.run_id, "success")
    assert ledger.summary(run.run_id) == [
        MappingSummary("items", 0, {}),
        MappingSummary("customers", 3, {"created": 1, "rejected": 2}),
    ]


def test_a_runs_error_is_what_it_ended_with(ledger: Ledger) -> None:
    """The words of the end are kept; a run that goes on again has none."""
    run = begin(ledger)
    ledger.end_run(run.run_id, "failed", "ready: no such host")
    assert ledger.error(run.run_id) == "ready: no such host"
    begin(ledger, attempt=2)
    assert ledger.error(run.run_id) == ""


@pytest.mark.feature("R2")
def test_query_starts_never_goes_backwards_by_itself(ledger: Ledger) -> None:
    """Runs that finish in any order leave it at the latest point; by hand it goes back; every move is kept."""
    run = begin(ledger)
    assert ledger.query_starts("acme", "F") is None
    assert ledger.move_query_starts("acme", "F", NOON, by="run", run_id=run.run_id) == NOON
    assert ledger.move_query_starts("acme", "F", NOON - HOUR, by="run") == NOON
    assert ledger.move_query_starts("acme", "F", NOON, by="run") == NOON
    assert ledger.query_starts("acme", "F") == NOON
    assert ledger.move_query_starts("acme", "F", NOON - HOUR, by="maria", back=True) == NOON - HOUR
    assert ledger.query_starts("acme", "F") == NOON - HOUR
    moves = ledger.query_starts_history("acme", "F")
    assert [(m.old, m.new, m.by, m.run_id) for m in moves] == [
        (NOON, NOON - HOUR, "maria", None),
        (None, NOON, "run", run.run_id),
    ]
    assert all(m.at.tzinfo is dt.UTC for m in moves)


@pytest.mark.feature("R2")
def test_query_starts_survives_a_race(ledger: Ledger) -> None:
    """Eight runs that finish at once leave it at the latest point, with a history that only goes on."""
    points = [NOON + n * HOUR for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda to: ledger.move_query_starts("acme", "F", to, by="run"), points))
    assert ledger.query_starts("acme", "F") == points[-1]
    history = ledger.query_starts_history("acme", "F")
    assert [m.old for m in history[:-1]] == [m.new for m in history[1:]]
    assert ledger.query_starts("acme", "other") is None
    assert ledger.query_starts("globex", "F") is None
