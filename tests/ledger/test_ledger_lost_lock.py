"""What a task may still commit whose lock is gone: outcomes of what it has sent, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from iw_operators.engine.model import Action
from iw_operators.errors import ConnectionFailure
from iw_operators.ledger.model import RunRef
from iw_operators.ledger.store import Ledger
from tests.ledger.kit import applied, begin, create, ended, quiet, sent

pytestmark = [pytest.mark.ledger, pytest.mark.feature("B2")]

HOLDERS = sa.text(
    "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
    " WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database()"
)


def take_away(ledger: Ledger) -> None:
    """End the sessions that hold locks, as a restart of the server does."""
    with ledger.engine.connect() as connection:
        assert connection.execute(HOLDERS).all()


@pytest.fixture
def run(ledger: Ledger) -> RunRef:
    """Return a run of a mapping that has begun."""
    return begin(ledger)


STEPS: dict[str, Callable[[Ledger, RunRef], Any]] = {
    "intents": lambda ledger, run: sent(ledger, run, [create("a2")], key="b2"),
    "rows": lambda ledger, run: ledger.record(run, [quiet(Action.SKIP, "a2")]),
    "a beginning": lambda ledger, run: ledger.begin_mapping(run.run_id, run.mapping, "f1", 2),
    "an end": lambda ledger, run: ledger.end_mapping(run.run_id, run.mapping, 1, 0),
    "the index": lambda ledger, run: ledger.index_put("acme", run.mapping, "books", [("9", "x", ["c:x"])]),
    "an emptied index": lambda ledger, run: ledger.index_clear("acme", run.mapping, "books"),
}


@pytest.mark.parametrize("step", STEPS)
def test_nothing_new_is_committed_without_the_lock(ledger: Ledger, run: RunRef, step: str) -> None:
    """Each step of new work fails as something to retry once the lock's session is gone, also when tried again."""
    with ledger.working("acme", "customers"):
        STEPS[step](ledger, run)
        take_away(ledger)
        for _ in range(2):
            with pytest.raises(ConnectionFailure, match="was lost") as lost:
                STEPS[step](ledger, run)
            assert lost.value.code == "iw.lock_lost"
    STEPS[step](ledger, run)  # without a lock, and under the next one, everything goes on
    with ledger.working("acme", "customers"):
        STEPS[step](ledger, run)


def test_intents_are_not_there_after_a_lost_lock(ledger: Ledger, run: RunRef) -> None:
    """What could not be committed under the lock is not committed beside it either."""
    with ledger.working("acme", "customers"):
        take_away(ledger)
        with pytest.raises(ConnectionFailure):
            sent(ledger, run, [create("a1")])
    assert ledger.open_batches("acme", "customers") == []


def test_outcomes_are_recorded_without_the_lock(ledger: Ledger, run: RunRef) -> None:
    """What was sent under the lock has its outcome and binding recorded, whoever holds the lock by now."""
    with ledger.working("acme", "customers"):
        batch = sent(ledger, run, [create("a1")])
        take_away(ledger)
        ended(ledger, run, [create("a1")], batch, [applied(batch.writes[0])])
    assert ledger.references("acme", "customers", "crm", ["a1"]) == {"a1": "Ta1"}
    assert ledger.open_batches("acme", "customers") == []


def test_a_transaction_that_fails_is_rolled_back_and_keeps_the_lock(ledger: Ledger, run: RunRef) -> None:
    """An error that is not the connection's leaves lock and session as they are; the next step goes on."""
    with ledger.working("acme", "customers"):
        with pytest.raises(ValueError, match="begin_batch"):
            ledger.record(run, [create("a1")])
        foreign = RunRef(run.run_id, "other", "F", "customers", "f", 1, "crm")
        with pytest.raises(Exception, match="company does not have"):
            sent(ledger, foreign, [create("a1")])
        sent(ledger, run, [create("a1")])
        with ledger.lock("sync:acme:customers", wait=False) as taken:
            assert not taken
    assert len(ledger.open_batches("acme", "customers")) == 1


def test_a_commit_outlasts_a_crash_of_the_server(ledger: Ledger) -> None:
    """Whatever the server's default, a commit of the ledger waits for the disk: lost intents would mean duplicates."""
    with ledger.engine.connect() as connection:
        assert (
            connection.scalar(sa.text("SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'")) == "off"
        )
        assert connection.scalar(sa.text("SHOW synchronous_commit")) == "on"
