"""How far a load has come, and how many runs a flow has completed."""

from __future__ import annotations

import datetime as dt

import pytest

from iw_operators.errors import StopFlow
from iw_operators.ledger.own import OwnLedger
from iw_operators.ledger.progress import Load
from iw_operators.ledger.store import Ledger
from tests.ledger.kit import begin

pytestmark = pytest.mark.ledger

NOON = dt.datetime(2026, 3, 8, 12, tzinfo=dt.UTC)
HALF = Load(reached=NOON, done=40, total=90, until=NOON + dt.timedelta(hours=1))


@pytest.mark.feature("R3")
def test_a_load_begins_at_nothing(ledger: Ledger) -> None:
    """Before anything is noted, there is nothing to go on from."""
    run = begin(ledger)
    assert ledger.load(run.run_id, "customers", 1) == Load()


@pytest.mark.feature("R3", "R14")
def test_a_later_attempt_goes_on_from_the_one_before(ledger: Ledger) -> None:
    """What the last attempt has noted is there for the next one, also over one that came to nothing in between."""
    run = begin(ledger)
    ledger.note_load(run.run_id, "customers", 1, HALF)
    begin(ledger, attempt=2)
    assert ledger.load(run.run_id, "customers", 2) == HALF
    further = Load(NOON + dt.timedelta(minutes=1), 60, 90, HALF.until)
    ledger.note_load(run.run_id, "customers", 2, further)
    begin(ledger, attempt=3)
    assert ledger.load(run.run_id, "customers", 3) == further
    assert ledger.load(run.run_id, "items", 3) == Load()


@pytest.mark.feature("R3")
def test_an_attempt_that_came_to_nothing_does_not_hide_the_one_before(ledger: Ledger) -> None:
    """An attempt that was killed before it noted anything leaves what its predecessor had come to."""
    run = begin(ledger)
    ledger.note_load(run.run_id, "customers", 1, HALF)
    for attempt in (2, 3, 4):
        begin(ledger, attempt=attempt)
    assert ledger.load(run.run_id, "customers", 4) == HALF


@pytest.mark.feature("R3")
def test_the_same_attempt_begun_again_goes_on_as_well(ledger: Ledger) -> None:
    """A task that is started a second time under the same number keeps its progress."""
    run = begin(ledger)
    ledger.note_load(run.run_id, "customers", 1, HALF)
    begin(ledger)
    assert ledger.load(run.run_id, "customers", 1) == HALF


@pytest.mark.feature("R3")
def test_a_load_that_was_completed_begins_anew(ledger: Ledger) -> None:
    """After a complete attempt another one starts at the beginning."""
    run = begin(ledger)
    ledger.note_load(run.run_id, "customers", 1, HALF)
    ledger.end_mapping(run.run_id, "customers", 1, 0)
    begin(ledger, attempt=2)
    assert ledger.load(run.run_id, "customers", 2) == Load()


@pytest.mark.feature("R3", "M26")
def test_another_fingerprint_begins_anew(ledger: Ledger) -> None:
    """What was recorded under an earlier mapping is not taken for this one's."""
    run = begin(ledger)
    ledger.note_load(run.run_id, "customers", 1, HALF)
    ledger.begin_mapping(run.run_id, "customers", "f2", 2)
    assert ledger.load(run.run_id, "customers", 2) == Load()


@pytest.mark.feature("R1", "R6")
def test_completed_runs_are_counted_once_each(ledger: Ledger) -> None:
    """However often a run is reported, it counts once; flows and companies are counted apart."""
    first, second = begin(ledger), begin(ledger, dag_run_id="r2")
    assert ledger.run_count("acme", "Flow").completed == 0
    assert [ledger.count_run("acme", "Flow", run.run_id) for run in (first, first, second, first)] == [1, 1, 2, 2]
    assert ledger.run_count("acme", "Flow").completed == 2
    assert ledger.run_count("acme", "Other").completed == 0
    assert ledger.run_count("other", "Flow").completed == 0


@pytest.mark.feature("R1", "R6")
def test_the_counter_is_set_to_nothing_by_hand(ledger: Ledger) -> None:
    """After that only new runs count, and when it was set is known."""
    runs = [begin(ledger, dag_run_id=f"r{number}") for number in range(3)]
    ledger.count_run("acme", "Flow", runs[0].run_id)
    before = ledger.run_count("acme", "Flow").since
    ledger.reset_count("acme", "Flow")
    after = ledger.run_count("acme", "Flow")
    assert after.completed == 0
    assert before is not None
    assert after.since is not None
    assert after.since > before
    assert ledger.count_run("acme", "Flow", runs[0].run_id) == 0
    assert ledger.count_run("acme", "Flow", runs[1].run_id) == 1
    ledger.reset_count("acme", "Never")
    assert ledger.run_count("acme", "Never").completed == 0


@pytest.mark.feature("R1", "R6")
def test_a_flow_that_stopped_itself_counts_anew_when_it_is_started(ledger: Ledger) -> None:
    """The run after the last one of as many as there are to be is the first again, whoever started the flow."""
    runs = [begin(ledger, dag_run_id=f"r{number}") for number in range(5)]
    counted = [ledger.count_run("acme", "Flow", run.run_id, limit=2) for run in runs]
    assert counted == [1, 2, 1, 2, 1]


@pytest.mark.feature("S6")
def test_another_companys_progress_and_counter_are_refused(ledger: Ledger) -> None:
    """A company's ledger neither reads nor writes another one's."""
    run = begin(ledger, company="other")
    own = OwnLedger.of(ledger, "acme")
    for call in (
        lambda: own.load(run.run_id, "customers", 1),
        lambda: own.note_load(run.run_id, "customers", 1, HALF),
        lambda: own.count_run("other", "Flow", run.run_id),
        lambda: own.run_count("other", "Flow"),
        lambda: own.reset_count("other", "Flow"),
    ):
        with pytest.raises(StopFlow, match="another company"):
            call()
