"""Real workers that are killed between sandboxes that misbehave, and a comparison that trusts nobody."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos import plain
from chaos.campaign import Campaign
from chaos.house import House
from chaos.known_points import listed
from tests.drivers import need_odbc

pytestmark = [pytest.mark.chaos, pytest.mark.sandbox, pytest.mark.ledger]

SEED = int(os.environ.get("SEED") or 20261120)
KILLS = {"acme": 40, "globex": 34}
LONGEST = {"acme": 80.0, "globex": 60.0}  # seconds until no further run with kills begins


def _served(company: str) -> Iterator[House]:
    if company == "globex":
        need_odbc()
    folder = Path(tempfile.mkdtemp(prefix="iw-chaos-"))
    try:
        with House(folder, company) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["acme", "globex"])
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    """Return servers and workers of a company, this test's own."""
    yield from _served(request.param)


@pytest.fixture(scope="module", params=["acme", pytest.param("globex", marks=pytest.mark.long)])
def plainly(request: pytest.FixtureRequest) -> Iterator[House]:
    """Return servers and workers that plain writers share."""
    yield from _served(request.param)


@pytest.mark.feature("B2", "E1")
@pytest.mark.timeout(600)
def test_nothing_twice_nothing_lost(house: House) -> None:
    """Killed at every named point and at random, under faults, both sides end up with what must be there, once."""
    points = set(listed(house.spec))
    until = time.monotonic() + LONGEST[house.company]
    outcome = Campaign(house, kills=KILLS[house.company], seed=SEED, until=until).go()
    assert outcome.verdict.findings() == [], outcome.line
    assert set(outcome.killed_at) == points, "not killed at some points"
    assert outcome.reached >= points
    assert outcome.kills >= len(points)
    assert outcome.faults > 0
    assert outcome.verdict.records > 500


@pytest.mark.feature("B2")
def test_the_comparison_is_content_with_a_plain_writer_that_nobody_disturbs(plainly: House) -> None:
    """Without kills and faults a plain writer does its work well, and the comparison says so."""
    verdict = plain.judged(plainly, runs=3, seed=SEED, harm=False)
    assert verdict.findings() == []


@pytest.mark.feature("B2")
def test_the_comparison_catches_a_plain_writer(plainly: House) -> None:
    """Killed and disconnected, a plain loop with retries makes duplicates, and they are found."""
    verdict = plain.judged(plainly, runs=5, seed=SEED + 1, harm=True)
    assert verdict.duplicates
