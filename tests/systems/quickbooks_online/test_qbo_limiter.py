"""The limiter keeps under each quota and passes a hold on to everybody."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from iw_operators.errors import FixConfiguration
from iw_operators.systems.quickbooks_online.limiter import QUOTAS, Limiter, Quota, quotas_from, shared
from tests.systems.quickbooks_online.fakes import FakeClock

INTUIT = (Quota(500, 60.0), Quota(10, 1.0), Quota(40, 60.0, batches=True))


def _most_in(times: list[float], seconds: float) -> int:
    return max(sum(1 for t in times if start <= t < start + seconds) for start in times)


@pytest.mark.feature("S2", "R15")
@pytest.mark.parametrize("batch", [False, True])
def test_no_window_of_intuits_ever_overflows(batch: bool) -> None:
    """However fast requests come, none of Intuit's windows holds more than Intuit allows."""
    clock = FakeClock()
    limiter = Limiter(clock=clock.monotonic, sleep=clock.sleep)
    times = []
    for _ in range(1200 if not batch else 130):
        limiter.acquire(batch=batch)
        times.append(clock.seconds)
    for quota in INTUIT:
        if batch or not quota.batches:
            assert _most_in(times, quota.seconds) < quota.number
    assert all(a <= b for a, b in pairwise(times))


def test_a_thousand_customers_need_no_waiting_for_the_minute() -> None:
    """34 batches and 20 queries go through within seconds: only the quota of a second slows them."""
    clock = FakeClock()
    limiter = Limiter(clock=clock.monotonic, sleep=clock.sleep)
    for number in range(54):
        limiter.acquire(batch=number < 34)
    assert clock.seconds < 8


def test_a_hold_stops_everybody_for_its_length() -> None:
    """After `hold(60)` the next request waits the whole minute, whoever asks."""
    clock = FakeClock()
    limiter = Limiter(clock=clock.monotonic, sleep=clock.sleep)
    limiter.acquire()
    limiter.hold(60)
    assert limiter.acquire() == pytest.approx(60)


def test_one_limiter_serves_all_users_of_a_company() -> None:
    """`shared` gives the same limiter for the same company, another for another."""
    assert shared("u 1") is shared("u 1")
    assert shared("u 1") is not shared("u 2")


def test_threads_share_one_pace() -> None:
    """Threads together stay under the quota, each request is counted once."""
    limiter = Limiter((Quota(5, 0.2),))
    waited: list[float] = []
    threads = [threading.Thread(target=lambda: waited.append(limiter.acquire())) for _ in range(11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(waited) == 11
    assert sum(1 for w in waited if w == 0) == 5


def test_our_quotas_stay_below_intuits() -> None:
    """Each of our numbers is below Intuit's number of the same window."""
    assert [(q.seconds, q.batches) for q in QUOTAS.values()] == [(q.seconds, q.batches) for q in INTUIT]
    assert all(ours.number < theirs.number for ours, theirs in zip(QUOTAS.values(), INTUIT, strict=True))


def test_a_connection_may_set_other_numbers() -> None:
    """A plan with more, or room for other programs: numbers of the connection's extra count, empty ones are usual."""
    assert quotas_from({"requests_per_minute": "", "batches_per_minute": None}) == tuple(QUOTAS.values())
    quotas = quotas_from({"requests_per_minute": 900, "requests_per_second": "5"})
    assert [quota.number for quota in quotas] == [900, 5, 38]
    assert shared("u 1", quotas) is not shared("u 1")


@pytest.mark.parametrize("wrong", [0, -3, "many", 1.5, True, "²"])
def test_a_quota_that_is_no_number_is_refused(wrong: object) -> None:
    """Zero, negative, broken and written-out numbers are refused with the field's name."""
    with pytest.raises(FixConfiguration, match="batches_per_minute"):
        quotas_from({"batches_per_minute": wrong})
