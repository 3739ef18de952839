"""Deletions that nobody told of, found by sweeps (B6)."""

from __future__ import annotations

import datetime as dt

import pytest

from iw_operators.engine.model import Action
from iw_operators.ledger.model import LogRow
from iw_operators.ledger.store import Ledger
from iw_operators.spec.models import Direction, Policy
from tests.sync.conftest import Bench
from tests.sync.test_sync_gone import KINDS, newest, partner

pytestmark = [pytest.mark.ledger, pytest.mark.feature("B6")]

DAY = 86_400


def state(bench: Bench, crm: Policy = Policy.DEACTIVATE, **company: int) -> None:
    """State the CRM's policy and what the company says about sweeps."""
    made = bench.mapping.company.model_copy(update=company)
    bench.mapping = bench.mapping.model_copy(update={"company": made, "when_gone": {"crm": dict.fromkeys(KINDS, crm)}})


def sweeps(bench: Bench) -> list[LogRow]:
    """Return the rows that say that a sweep was made, newest first."""
    return [row for row in bench.ledger.log(company="acme") if row.operation == "sweep"]


@pytest.fixture
def quiet(filled: Bench) -> Bench:
    """Return ten accounts in step, in a CRM that tells of no deletions, at the time of the ledger's own clock."""
    filled.crm.ticks = filled.books.ticks = int((dt.datetime.now(dt.UTC) - filled.crm.now()).total_seconds())
    state(filled)
    filled.run()
    return filled


def later(bench: Bench, days: int) -> dt.datetime:
    """Let days pass; return where a run begins that has nothing else to read."""
    bench.crm.ticks += days * DAY
    return bench.crm.now()


def test_a_silent_system_is_swept_at_the_interval(quiet: Bench) -> None:
    """Where no deletions are told of, they are found once the stated days are over, by asking for the bound ids."""
    quiet.crm.delete("a3")
    customer = partner(quiet, "a3")
    assert quiet.run(since=later(quiet, 6)).counts == {}
    assert quiet.books.records[customer].active
    assert "existing" not in quiet.crm.calls
    assert quiet.run(since=later(quiet, 2)).counts == {"updated": 1}
    assert not quiet.books.records[customer].active
    assert "found by a sweep" in newest(quiet, "a3").why
    (row,) = sweeps(quiet)
    assert (row.code, row.source_id) == ("iw.swept", "")
    assert "10 bound records looked for, 1 no longer there" in row.why
    assert quiet.run(since=later(quiet, 6)).counts == {}
    assert len(sweeps(quiet)) == 1


def test_the_interval_is_the_companys(quiet: Bench) -> None:
    """`sweep_days` says how often."""
    state(quiet, sweep_days=30)
    quiet.crm.delete("a3")
    assert quiet.run(since=later(quiet, 29)).counts == {}
    assert quiet.run(since=later(quiet, 2)).counts == {"updated": 1}


def test_a_feed_that_was_down_for_longer_than_it_reaches_is_noticed(quiet: Bench) -> None:
    """A run that begins before the feed does sweeps; one that begins within it believes the feed."""
    quiet.crm.tells_for = dt.timedelta(days=30)
    since = quiet.crm.now()
    quiet.run(since=since)
    assert not sweeps(quiet)
    quiet.crm.delete("a3")
    later(quiet, 40)
    quiet.crm.delete("a4")
    assert quiet.run(since=since).counts["updated"] == 2
    assert "no longer there" in sweeps(quiet)[0].why
    assert "tells of deletions since" in sweeps(quiet)[0].why
    assert "found by a sweep" in newest(quiet, "a3").why
    assert "found by a sweep" not in newest(quiet, "a4").why
    calls, since = quiet.crm.calls.count("existing"), quiet.crm.now()
    later(quiet, 20)
    quiet.run(since=since)
    assert quiet.crm.calls.count("existing") == calls


def test_what_is_held_shows_again_at_the_next_sweep(quiet: Bench) -> None:
    """A deletion that is held is not forgotten: each sweep brings it up again."""
    state(quiet, crm=Policy.HOLD)
    quiet.crm.delete("a3")
    for _ in range(2):
        assert quiet.run(since=later(quiet, 8)).counts == {"held": 1}


@pytest.mark.parametrize(("gone", "limit"), [(4, 3), (10, 100)], ids=["over the limit", "all of them"])
def test_a_sweep_that_misses_too_much_does_nothing(quiet: Bench, gone: int, limit: int) -> None:
    """More deletions than the limit, or everything gone, is taken for a wrong permission: all are held, with advice."""
    state(quiet, sweep_limit=limit)
    for number in range(gone):
        quiet.crm.delete(f"a{number}")
    assert quiet.run(since=later(quiet, 8), page_size=2).counts == {"held": gone}
    assert all(record.active for record in quiet.books.records.values())
    rows = quiet.ledger.log(company="acme", action=Action.HOLD)
    assert {row.code for row in rows} == {"iw.sweep_too_many"}
    assert all("sweep_limit" in row.advice for row in rows)
    assert sweeps(quiet)[0].code == "iw.sweep_too_many"
    state(quiet, sweep_limit=100)
    if gone < 10:
        assert quiet.run(since=later(quiet, 0)).counts == {"updated": gone}


def test_a_sweep_keeps_a_page_of_ids(quiet: Bench, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bound ids are asked for by pages, each once, in the order of the ids."""
    monkeypatch.setattr("iw_operators.sweep.PAGE", 3)
    asked: list[list[str]] = []
    original = quiet.crm.existing

    def existing(view: object, ids: list[str]) -> object:
        asked.append(list(ids))
        return original(view, ids)  # type: ignore[arg-type]  # the fake does not look at the view

    monkeypatch.setattr(quiet.crm, "existing", existing)
    quiet.run(since=later(quiet, 8))
    assert asked == [["a0", "a1", "a2"], ["a3", "a4", "a5"], ["a6", "a7", "a8"], ["a9"]]


def test_flows_that_people_start_do_not_sweep(quiet: Bench) -> None:
    """A date-range run brings its range and looks for nothing else."""
    from iw_operators.spec.models import FlowKind

    quiet.crm.delete("a3")
    quiet.run(since=later(quiet, 30), kind=FlowKind.DR)
    assert "existing" not in quiet.crm.calls


def test_each_side_is_swept_for_itself(quiet: Bench) -> None:
    """That one side's deletions are known says nothing about the other's."""
    quiet.books.ticks = quiet.crm.ticks
    quiet.books.delete(partner(quiet, "a3"))
    quiet.run(since=later(quiet, 8))
    quiet.books.ticks += 8 * DAY
    assert quiet.run(Direction.TO_CRM, since=quiet.books.now()).counts == {"held": 1}
    assert len(sweeps(quiet)) == 2
