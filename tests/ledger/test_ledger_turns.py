"""Turns on a real PostgreSQL: who may work, who waits, in which order, and what becomes of the dead."""

from __future__ import annotations

import datetime as dt
import itertools
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iw_operators.errors import RetryLater, StopFlow
from iw_operators.ledger.flow_tables import turn, turn_history
from iw_operators.ledger.own import OwnLedger
from iw_operators.ledger.store import Ledger
from iw_operators.ledger.turns import Role, Turn
from tests.ledger.kit import applied as applied_outcome
from tests.ledger.kit import begin, create, ended, sent

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R4")]

SHORT = 0.2  # seconds: a lease that is soon over


def ask(ledger: Ledger, run: str, role: Role, company: str = "acme", **more: Any) -> Turn:
    """Ask for the turn of a run; its flow is called after it."""
    return ledger.take_turn(company, f"F{run}", run, role, **more)


def back(ledger: Ledger, run: str, company: str = "acme") -> bool:
    """Give the turn of a run back."""
    return ledger.give_turn_back(company, f"F{run}", run)


def age(ledger: Ledger, run: str, seconds: float) -> None:
    """Let a run not have been seen for a while."""
    with ledger.engine.begin() as connection:
        past = turn.c.seen_at - sa.literal(dt.timedelta(seconds=seconds), sa.Interval)
        connection.execute(sa.update(turn).where(turn.c.dag_run_id == run).values(seen_at=past))


def test_scheduled_runs_work_side_by_side(ledger: Ledger) -> None:
    """Any number of scheduled runs have their turn at once."""
    assert all(ask(ledger, run, "scheduled").taken for run in ("a", "b", "c"))


def test_a_utility_run_waits_for_scheduled_work_and_then_works_alone(ledger: Ledger) -> None:
    """It is told who is in the way; meanwhile a scheduled run that comes up is refused; those at work go on."""
    ask(ledger, "a", "scheduled")
    ask(ledger, "b", "scheduled")
    waiting = ask(ledger, "u", "utility")
    assert waiting.state == "waiting"
    assert sorted(other.flow for other in waiting.others) == ["Fa", "Fb"]
    refused = ask(ledger, "c", "scheduled")
    assert refused.state == "refused"
    assert [(other.flow, other.state) for other in refused.others] == [("Fu", "waiting")]
    assert ask(ledger, "a", "scheduled").taken
    back(ledger, "a")
    assert not ask(ledger, "u", "utility").taken
    back(ledger, "b")
    assert ask(ledger, "u", "utility").taken
    assert ask(ledger, "c", "scheduled").state == "refused"
    back(ledger, "u")
    assert ask(ledger, "c", "scheduled").taken


def test_utility_runs_take_turns_in_the_order_of_asking(ledger: Ledger) -> None:
    """Whoever asks again first, the one that has waited longest comes next; runs of one flow are runs like others."""
    assert ask(ledger, "u1", "utility").taken
    for run in ("u2", "u3", "u4"):
        assert not ask(ledger, run, "utility").taken
    for now, following in itertools.pairwise(("u1", "u2", "u3", "u4")):
        back(ledger, now)
        for run in ("u4", "u3", "u2"):
            if run > following:
                assert not ask(ledger, run, "utility").taken
        assert ask(ledger, following, "utility").taken


def test_a_backfill_of_several_runs_is_one_bulk_load_at_a_time(ledger: Ledger) -> None:
    """Two runs of the same flow never work at once."""
    assert ledger.take_turn("acme", "LoadDR", "backfill__1", "utility").taken
    assert ledger.take_turn("acme", "LoadDR", "backfill__2", "utility").state == "waiting"


def test_strict_refuses_instead_of_waiting(ledger: Ledger) -> None:
    """A strict utility run leaves no place behind while scheduled work is in flight, but waits for utility runs."""
    ask(ledger, "a", "scheduled")
    refused = ask(ledger, "u", "utility", strict=True)
    assert refused.state == "refused"
    assert [other.flow for other in refused.others] == ["Fa"]
    assert ask(ledger, "b", "scheduled").taken
    back(ledger, "a")
    back(ledger, "b")
    assert ask(ledger, "u", "utility", strict=True).taken
    assert ask(ledger, "v", "utility", strict=True).state == "waiting"


def test_companies_never_wait_for_one_another(ledger: Ledger) -> None:
    """A utility run of one company is nothing to another, not even while its decision is being made."""
    assert ask(ledger, "u", "utility").taken
    assert ask(ledger, "u", "utility", "zeta").taken
    back(ledger, "u", "zeta")
    lock = sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended("iw:turn:acme", 0)))
    with ledger.engine.begin() as connection, ThreadPoolExecutor(2) as pool:
        connection.execute(lock)  # a decision about acme takes for ever
        assert pool.submit(ask, ledger, "v", "utility", "zeta").result(timeout=10).taken
        stuck = pool.submit(ask, ledger, "w", "utility")
        connection.rollback()
        assert stuck.result(timeout=10).state == "waiting"


def test_who_has_its_turn_keeps_it_when_it_asks_again(ledger: Ledger) -> None:
    """Asking again is a sign of life and changes neither place nor beginning."""
    ask(ledger, "a", "scheduled")
    (before,) = ledger.turns("acme")
    ask(ledger, "u", "utility")
    assert ask(ledger, "a", "scheduled").taken
    first, second = ledger.turns("acme")
    assert (first.flow, first.since) == ("Fa", before.since)
    assert first.seen_at > before.seen_at
    assert (second.flow, second.state) == ("Fu", "waiting")


def test_a_run_that_comes_back_goes_before_those_that_wait(ledger: Ledger) -> None:
    """Work in flight whose lease was over between two tasks goes on, unless another one has begun to work."""
    ask(ledger, "a", "scheduled")
    ask(ledger, "u", "utility")
    age(ledger, "a", 60)
    ask(ledger, "other", "utility", strict=False)  # finds the dead
    back(ledger, "other")
    assert ask(ledger, "a", "scheduled", resuming=True).taken
    back(ledger, "a")
    assert ask(ledger, "u", "utility").taken
    assert ask(ledger, "a", "scheduled", resuming=True).state == "refused"


def test_the_dead_are_found_and_their_turn_is_free(ledger: Ledger) -> None:
    """A run not seen for 45 seconds has lost its turn at the next asking, and the history says so."""
    ask(ledger, "a", "scheduled")
    age(ledger, "a", 40)
    assert not ask(ledger, "u", "utility").taken
    age(ledger, "a", 6)
    (dead, _) = ledger.turns("acme")
    assert not dead.alive
    assert ask(ledger, "u", "utility").taken
    (past,) = ledger.turn_history("acme")
    assert (past.flow, past.role, past.how) == ("Fa", "scheduled", "lost")
    assert not ledger.renew_turn("acme", "Fa", "a")
    assert not back(ledger, "a")


def test_a_waiting_run_keeps_its_place_for_an_hour(ledger: Ledger) -> None:
    """A pool that is full may keep a run from asking for long; one that never asks again loses its place in the end."""
    ask(ledger, "a", "scheduled")
    ask(ledger, "u", "utility")
    age(ledger, "u", 3500)
    assert ask(ledger, "b", "scheduled").state == "refused"
    age(ledger, "u", 200)
    assert ask(ledger, "b", "scheduled").taken
    assert ledger.turn_history("acme") == []


def test_places_can_be_taken_away(ledger: Ledger) -> None:
    """Who waits can be sent away by flow, or one run of it; who works cannot."""
    assert ledger.take_turn("acme", "DR", "r1", "utility").taken
    for run in ("r2", "r3", "r4"):
        ledger.take_turn("acme", "DR", run, "utility")
    assert ledger.leave_row("acme", "DR", "r3") == 1
    assert ledger.leave_row("acme", "DR") == 2
    assert [holder.dag_run_id for holder in ledger.turns("acme")] == ["r1"]


def test_what_is_over_is_kept(ledger: Ledger) -> None:
    """A turn that was given back is in the history, a place in the row is not."""
    ask(ledger, "a", "scheduled")
    ask(ledger, "u", "utility")
    assert back(ledger, "u")
    assert back(ledger, "a")
    (past,) = ledger.turn_history("acme")
    assert (past.flow, past.dag_run_id, past.how) == ("Fa", "a", "given back")
    assert past.taken_at < past.ended_at
    assert ledger.turn_history("acme", since=past.ended_at + dt.timedelta(seconds=1)) == []


def test_a_task_sees_its_own_company_alone(ledger: Ledger) -> None:
    """A task of one company can ask nothing of another's turns."""
    own = OwnLedger.of(ledger, "acme")
    for call in (lambda: own.turns("zeta"), lambda: own.take_turn("zeta", "F", "r", "utility")):
        with pytest.raises(StopFlow) as refused:
            call()
        assert refused.value.code == "iw.foreign_company"


@pytest.mark.feature("B2")
def test_nothing_is_committed_without_the_turn(ledger: Ledger) -> None:
    """A run that was taken for dead stops before its next step, but what it has sent keeps its outcome."""
    run = begin(ledger)
    assert ledger.take_turn("acme", "Flow", "r1", "scheduled").taken
    with ledger.working("acme", "customers"), ledger.on_turn("acme", "Flow", "r1"):
        batch = sent(ledger, run, [create("a1")])
        ledger.give_turn_back("acme", "Flow", "r1")
        with pytest.raises(RetryLater) as lost:
            sent(ledger, run, [create("a2")], key="b2")
        assert lost.value.code == "iw.turn_lost"
        ended(ledger, run, [create("a1")], batch, [applied_outcome(batch.writes[0])])
        assert ledger.take_turn("acme", "Flow", "r1", "scheduled").taken
        sent(ledger, run, [create("a2")], key="b2")
    assert [left.key for left in ledger.open_batches("acme", "customers")] == ["b2"]


def test_who_drops_a_turn_waits_for_a_commit_under_it(ledger: Ledger) -> None:
    """A turn cannot end between the look at it and the commit of what is done under it."""
    ledger.take_turn("acme", "Flow", "r1", "utility")
    with ThreadPoolExecutor(1) as pool, ledger.working("acme", "customers"), ledger.on_turn("acme", "Flow", "r1"):

        def work(connection: sa.Connection) -> bool:
            other = pool.submit(ledger.give_turn_back, "acme", "Flow", "r1")
            waits = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            deadline = time.monotonic() + 10
            while not connection.scalar(waits):
                assert time.monotonic() < deadline
            return not other.done()

        assert ledger._write(work, fenced=True)
    assert ledger.turns("acme") == []


Step = tuple[str, str]
RUNS: dict[str, Role] = {"s1": "scheduled", "s2": "scheduled", "u1": "utility", "u2": "utility", "u3": "utility"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["ask", "resume", "back", "die", "renew"]), st.sampled_from(sorted(RUNS))),
        max_size=25,
    )
)
def test_whatever_happens_nobody_works_beside_a_utility_run(ledger: Ledger, steps: list[Step]) -> None:
    """After any steps: one utility run alone or scheduled ones; who waits comes in the order of asking; no overlap."""
    with ledger.engine.begin() as connection:
        connection.execute(sa.delete(turn))
        connection.execute(sa.delete(turn_history))
    for what, run in steps:
        before = ledger.turns("acme")
        at_work = {h.dag_run_id for h in before if h.state == "working"}
        row = [h.dag_run_id for h in before if h.state == "waiting"]
        match what:
            case "ask":
                got = ask(ledger, run, RUNS[run])
                if got.taken and RUNS[run] == "utility" and run not in at_work:
                    assert row[:1] in ([], [run])
                assert got.taken or got.others
            case "resume":
                ask(ledger, run, RUNS[run], resuming=True)
            case "back":
                back(ledger, run)
            case "die":
                age(ledger, run, 100)
            case "renew":
                ledger.renew_turn("acme", f"F{run}", run)
        working = [h for h in ledger.turns("acme") if h.state == "working"]
        assert len(working) <= 1 or {h.role for h in working} == {"scheduled"}
    assert_no_overlap(ledger)


def assert_no_overlap(ledger: Ledger) -> None:
    """The history has no utility turn that shares a moment with another turn."""
    past = ledger.turn_history("acme")
    for one, other in itertools.combinations(past, 2):
        if "utility" in (one.role, other.role):
            assert one.ended_at <= other.taken_at or other.ended_at <= one.taken_at


def _workers(url: str, number: int, problems: Any) -> None:
    """Take turns for a while, in threads; an advisory lock of PostgreSQL's own, shared or not, is the judge."""
    ledger = Ledger.connect(url)
    dice = random.Random(number)  # noqa: S311  nothing secret

    def one(index: int) -> None:
        role: Role = "utility" if dice.random() < 0.3 else "scheduled"
        run, suffix = f"p{number}-{index}", "_shared" if role == "scheduled" else ""
        while not (got := ask(ledger, run, role)).taken:
            if got.state == "refused":
                return
            time.sleep(0.005)
        with ledger.engine.connect() as judge:
            if not judge.scalar(sa.text(f"SELECT pg_try_advisory_lock{suffix}(42)")):
                problems.put(run)
            time.sleep(dice.random() * 0.01)
            judge.execute(sa.text(f"SELECT pg_advisory_unlock{suffix}(42)"))
        back(ledger, run)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(one, range(25)))
    ledger.close()


def test_several_processes_never_overlap(ledger: Ledger, ledger_url: str) -> None:
    """Nine workers in three processes take 75 turns of both kinds, and a lock of the server's own sees no overlap."""
    spawn = multiprocessing.get_context("spawn")
    problems = spawn.Queue()
    processes = [spawn.Process(target=_workers, args=(ledger_url, number, problems)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert problems.empty()
    assert ledger.turns("acme") == []
    past = ledger.turn_history("acme")
    assert {each.role for each in past} == {"scheduled", "utility"}
    assert_no_overlap(ledger)


def _holder(url: str, ready: Any) -> None:
    """Take the turn and give signs of life until killed."""
    ledger = Ledger.connect(url)
    assert ask(ledger, "killed", "utility").taken
    ready.set()
    while ledger.renew_turn("acme", "Fkilled", "killed"):
        time.sleep(0.05)


@pytest.fixture
def holder(ledger: Ledger, ledger_url: str) -> Iterator[Callable[[], None]]:
    """A process that has the turn; the function kills it."""
    assert ledger.turns("acme") == []
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    process = spawn.Process(target=_holder, args=(ledger_url, ready))
    process.start()
    assert ready.wait(60)

    def kill() -> None:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join(10)

    yield kill
    if process.is_alive():
        kill()


def test_a_killed_holder_is_released(ledger: Ledger, holder: Callable[[], None]) -> None:
    """While it lives nobody comes in, however short the lease; killed, it is found dead when its lease is over."""
    lease = 2.5
    until = time.monotonic() + 2 * lease
    while time.monotonic() < until:
        assert not ask(ledger, "next", "utility", lease=lease).taken
        time.sleep(0.1)
    holder()
    killed = time.monotonic()
    while not ask(ledger, "next", "utility", lease=lease).taken:
        assert time.monotonic() - killed < 2 * lease
        time.sleep(0.05)
    (past,) = ledger.turn_history("acme")
    assert (past.flow, past.how) == ("Fkilled", "lost")
