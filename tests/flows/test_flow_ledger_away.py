"""The ledger's server stops in the middle of a flow, and comes back."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from iw_operators import points
from iw_operators.errors import ConnectionFailure, RetryLater
from iw_operators.ledger.store import Ledger
from local.airflow import free_port
from local.postgres import Postgres
from tests.flows.conftest import TO_BOOKS, TO_CRM, Company, world
from tests.flows.test_flow_doubt import SALES, whole
from tests.stage import stage, without_overlap

pytestmark = [pytest.mark.sandbox, pytest.mark.ledger, pytest.mark.feature("B2")]

AWAY = 1.0  # seconds
PATIENCE = 15.0  # of the ledger; a minute in production


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Return a PostgreSQL of these tests' own, at a port that stays."""
    folder = Path(tempfile.mkdtemp(prefix="iw-away-"))
    folder.chmod(0o711)  # as root the server runs as somebody else
    try:
        with Postgres(folder, port=free_port(), durable=False) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def company(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    """Return a company before its first run, over a ledger in that server."""
    ledger = Ledger.connect(server.url(f"ledger_{uuid.uuid4().hex}"), patience=PATIENCE)
    ledger.upgrade()
    with stage(world(SALES), ledger, monkeypatch.setenv, books={"throttle": False}) as made:
        made.spec = without_overlap(made.spec)
        yield Company(made)
    points.install(None)
    ledger.close()


def restart(server: Postgres) -> threading.Thread:
    """Stop the server at once, and start it again after a while."""
    server.stop()

    def later() -> None:
        time.sleep(AWAY)
        server.start()

    thread = threading.Thread(target=later)
    thread.start()
    return thread


@pytest.mark.parametrize(
    "point",
    [
        "after_begin_mapping",
        "after_record",
        "before_intents",
        "after_intents",
        "after_call",
        "after_outcomes",
        "after_write_back_intents",
        "after_write_back_call",
        "before_end_mapping",
    ],
)
def test_the_ledger_goes_away_at(company: Company, server: Postgres, point: str) -> None:
    """Wherever its server stops, outcomes wait for it, the task is one to try again, and each record ends up once."""
    threads: list[threading.Thread] = []

    def hook(reached: str) -> None:
        if reached == point and not threads:
            threads.append(restart(server))

    points.install(hook)
    with pytest.raises(ConnectionFailure, match=r"ledger"):
        company.run(TO_BOOKS)
    threads[0].join()
    points.install(None)
    for flow in (TO_BOOKS, TO_BOOKS, TO_CRM):
        company.run(flow)
    whole(company)


def test_an_outcome_is_not_lost_with_the_ledger(company: Company, server: Postgres) -> None:
    """What the books had answered is recorded as soon as the ledger is back: no look-up is needed afterwards."""
    threads: list[threading.Thread] = []

    def hook(reached: str) -> None:
        if reached == "after_call" and not threads:
            threads.append(restart(server))

    points.install(hook)
    with pytest.raises(RetryLater):
        company.run(TO_BOOKS)
    threads[0].join()
    points.install(None)
    assert company.stage.ledger.open_batches("acme", "customers") == []
    assert company.bound("customers", company.rows("Opportunity")[0]["AccountId"])
