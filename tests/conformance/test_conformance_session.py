"""Quotas, sessions that end, and what `check` says: waited out or told, gone on with, and told apart."""

from __future__ import annotations

import itertools

import pytest

from iw_operators.errors import ConnectionFailure, FixConfiguration, InterWeaveError, RetryLater, Throttled
from iw_operators.systems.base import Result, Window
from tests.conformance.conftest import NewSite
from tests.conformance.kit import LONG_AGO, Access, Site, batch, fetched, ids_of, one, ours, results, seeds

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("R15")]

LONGEST_WAIT = 600.0


@pytest.mark.parametrize("times", [1, 2, -1])
@pytest.mark.parametrize("seconds", [0.0, 7.0])
def test_too_many_requests(new_site: NewSite, times: int, seconds: float) -> None:
    """A read is waited out within bounds, or ends as Throttled with the time to wait; later it goes on."""
    site = new_site(seeds(4))
    view = site.view(site.vendor.thing, "name")
    right = ids_of(site.system().scan(view, None))
    for kind in site.kinds("status_429", *site.vendor.throttles):
        site.access.waited.clear()
        site.fault(kind, times=times, seconds=seconds)
        answer, error = ours(lambda: ids_of(site.system().scan(view, None)))
        site.calm()
        waited = sum(site.access.waited)
        assert waited <= LONGEST_WAIT
        if error is None:
            assert answer == right
            assert waited >= seconds
        else:
            assert isinstance(error, Throttled)
            assert error.retry_after == seconds if seconds and kind == "status_429" else error.retry_after > 0
        assert ids_of(site.system().scan(view, None)) == right


@pytest.mark.parametrize("times", [1, -1])
def test_writing_while_throttled(site: Site, times: int) -> None:
    """A batch that was throttled was not done: it is raised, or waited out and then done once."""
    sent = batch(*(site.create(site.vendor.thing, name=f"Throttled {n}") for n in range(3)))
    site.system().check()
    for kind in site.kinds("status_429", *site.vendor.throttles):
        site.fault(kind, times=times, match=site.vendor.batch)
        outcomes, error = ours(lambda: site.system().write(sent))
        site.calm()
        assert isinstance(error, Throttled) or results(outcomes) == [Result.APPLIED] * 3
        assert sum(site.access.waited) <= LONGEST_WAIT
    assert results(site.system().write(sent)) == [Result.APPLIED] * 3
    assert len(site.names()) == 3


@pytest.mark.parametrize("after", range(4))
def test_a_session_that_ends_while_reading(new_site: NewSite, after: int) -> None:
    """Wherever between the pages the session ends: signed in again, nothing skipped, nothing repeated."""
    site = new_site(seeds(17))
    view = site.view(site.vendor.thing, "name")
    for kind in site.vendor.expiries:
        system = site.system(page=4)
        system.check()
        site.fault(kind, after=after)
        found = ids_of(system.changes(view, Window(LONG_AGO, system.now()), 4))
        site.calm()
        assert len(found) == 17


@pytest.mark.parametrize("after", range(3))
def test_a_session_that_ends_while_writing(site: Site, after: int) -> None:
    """Whichever of several batches meets an ended session: all are done, each record once."""
    for kind in site.vendor.expiries:
        system = site.system()
        system.check()
        site.fault(kind, after=after)
        for number in range(4):
            writes = [site.create(site.vendor.thing, name=f"{kind} {number}-{n}") for n in range(3)]
            assert results(system.write(batch(*writes))) == [Result.APPLIED] * 3
        site.calm()
    assert len(site.names()) == len(set(site.names())) == 12 * len(site.vendor.expiries)


def test_a_session_that_ends_again_and_again(site: Site) -> None:
    """A vendor that ends each session at once is told, not asked for ever."""
    for kind in site.vendor.expiries:
        site.system().check()
        site.fault(kind, times=-1)
        before = site.requests
        _, error = ours(lambda: site.system().check())
        site.calm()
        assert error is not None
        assert not isinstance(error, RetryLater)
        assert site.requests - before <= 4
        site.system().check()


def test_what_is_wrong_is_told_apart(new_site: NewSite) -> None:
    """Host, sign-in, company and permission: each its own code and advice, in the class that says what to do."""
    site = new_site()
    line = site.system().check()
    assert len(line) > 10
    assert "\n" not in line
    codes: list[InterWeaveError] = []
    for wrong, code in site.vendor.kinds_of_wrong.items():
        _, error = ours(lambda wrong=wrong: site.vendor.open(site.url, _anew(site, wrong)).check())  # type: ignore[misc]  # default binds it
        assert isinstance(error, FixConfiguration), wrong
        assert error.code == code
        codes.append(error)
    site.fault("no_right", times=-1)
    _, error = ours(lambda: site.system().check())
    site.calm()
    assert isinstance(error, FixConfiguration)
    codes.append(error)
    gone = new_site()
    nowhere = gone.url.rsplit(":", 1)[0] + ":9"
    _, error = ours(lambda: site.vendor.open(nowhere, _anew(site, "")).check())
    assert isinstance(error, ConnectionFailure)
    codes.append(error)
    assert all(e.code for e in codes)
    assert all(e.advice for e in codes)
    assert all(a.code != b.code for a, b in itertools.combinations(codes, 2))


def test_an_object_that_the_user_may_not_touch(site: Site) -> None:
    """A missing right is a matter of configuration, when reading and when writing; nothing is lost by it."""
    thing = site.vendor.thing
    record = fetched(site.system(), site.view(thing), one(site.system(), site.create(thing, name="Guarded")).target_id)
    write = batch(site.update(thing, record, phone="1"))
    site.fault("no_right", times=-1)
    _, error = ours(lambda: ids_of(site.system().scan(site.view(thing), None)))
    assert isinstance(error, FixConfiguration)
    outcomes, error = ours(lambda: site.system().write(write))
    assert isinstance(error, FixConfiguration) or results(outcomes) == [Result.REJECTED]
    site.calm()
    assert results(site.system().write(write)) == [Result.APPLIED]


def _anew(site: Site, wrong: str) -> Access:
    return Access(wrong=wrong, closing=site.access.closing)
