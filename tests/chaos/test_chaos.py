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

pytestmark = [pytest.mark.chaos, pytest.mark.sandbox, pytest.mark.ledger]

KILLS = 40
SEED = int(os.environ.get("SEED") or 20261120)
LONGEST = 120.0  # seconds until no further run with kills begins


@pytest.fixture
def house() -> Iterator[House]:
    """Return servers and workers of this test's own."""
    folder = Path(tempfile.mkdtemp(prefix="iw-chaos-"))
    try:
        with House(folder) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.feature("B2", "E1")
@pytest.mark.timeout(600)
def test_nothing_twice_nothing_lost(house: House) -> None:
    """Killed at every named point and at random, under faults, both sides end up with what must be there, once."""
    outcome = Campaign(house, kills=KILLS, seed=SEED, until=time.monotonic() + LONGEST).go()
    assert outcome.verdict.findings() == [], outcome.line
    assert set(outcome.killed_at) == set(listed()), "not killed at some points"
    assert outcome.reached >= set(listed())
    assert outcome.kills >= len(listed())
    assert outcome.faults > 0
    assert outcome.verdict.records > 500


@pytest.mark.feature("B2")
def test_the_comparison_is_content_with_a_plain_writer_that_nobody_disturbs(house: House) -> None:
    """Without kills and faults a plain writer does its work well, and the comparison says so."""
    verdict = plain.judged(house, runs=3, seed=SEED, harm=False)
    assert verdict.findings() == []


@pytest.mark.feature("B2")
def test_the_comparison_catches_a_plain_writer(house: House) -> None:
    """Killed and disconnected, a loop over python-quickbooks with retries makes duplicates, and they are found."""
    verdict = plain.judged(house, runs=5, seed=SEED, harm=True)
    assert verdict.duplicates
