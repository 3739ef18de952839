"""Calls of which nobody knows whether they arrived: never guessed, never twice, never over somebody else's work."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from iw_operators.apply import settled
from iw_operators.errors import ConnectionFailure, RetryLater
from iw_operators.systems.base import Batch, Outcome, Result, System
from iw_operators.systems.http import Timeouts
from tests.conformance.kit import Site, batch, fetched, one, ours, results

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("B2")]

IN_DOUBT = ("drop_before", "drop_after", "drop_middle", "truncated", "empty", "html_body", "status_500", "status_503")
NAMES = [f"Doubt {n}" for n in range(6)]


def creates(site: Site) -> Batch:
    """Return a batch of six creates."""
    return batch(*(site.create(site.vendor.thing, name=name, phone="1") for name in NAMES))


def sent(system: System, doubtful: Batch) -> Sequence[Outcome]:
    """Send a batch that gets lost: all UNKNOWN with why, or raised because it certainly did not arrive."""
    outcomes, error = ours(lambda: system.write(doubtful))
    if error is not None:
        assert isinstance(error, RetryLater)
        assert not isinstance(error, ConnectionFailure) or not error.sent
        return []
    assert all(isinstance(o.error, ConnectionFailure) for o in outcomes if o.result is Result.UNKNOWN)
    found: Sequence[Outcome] = outcomes
    return found


@pytest.mark.parametrize("fault", [*IN_DOUBT, "half"])
def test_creates_that_got_lost(site: Site, fault: str) -> None:
    """Looked up at once, by a process that knows nothing but the batch; settled, each record is there once."""
    doubtful = creates(site)
    site.user  # noqa: B018 - signs in before the fault is armed
    site.fault(site.vendor.half if fault == "half" else fault, match=site.vendor.batch)
    told = sent(site.system(), doubtful)
    assert {o.result for o in told} <= {Result.UNKNOWN}
    site.calm()
    there = set(site.names())
    looked = site.system().resolve(doubtful)
    for write, outcome in zip(doubtful.writes, looked, strict=True):
        arrived = write.values["name"] in there
        assert outcome.key == write.key
        assert outcome.result in ({Result.APPLIED} if arrived else {Result.REJECTED, Result.UNKNOWN})
    assert set(site.names()) == there, "looking writes nothing"
    done = settled(site.system(), doubtful)
    assert results(done) == [Result.APPLIED] * 6
    assert site.names() == NAMES
    held = site.system().fetch(site.view(site.vendor.thing), [o.target_id or "" for o in done])
    assert [held[o.target_id or ""].values["name"] for o in done] == NAMES


@pytest.mark.parametrize("fault", [*IN_DOUBT, "half"])
def test_updates_that_got_lost(site: Site, fault: str) -> None:
    """After looking, each record holds what was sent or is known not to; settled, nothing is in doubt."""
    thing = site.vendor.thing
    system = site.system()
    made = [o.target_id or "" for o in system.write(creates(site))]
    view = site.view(thing)
    before = system.fetch(view, made)
    doubtful = batch(*(site.update(thing, before[ident], phone=f"new {n}") for n, ident in enumerate(made)))
    site.fault(site.vendor.half if fault == "half" else fault, match=site.vendor.batch)
    sent(system, doubtful)
    site.calm()
    looked = site.system().resolve(doubtful)
    held = site.system().fetch(view, made)
    for n, (ident, outcome) in enumerate(zip(made, looked, strict=True)):
        arrived = held[ident].values["phone"] == f"new {n}"
        assert outcome.result is (Result.APPLIED if arrived else Result.REJECTED)
        assert not arrived or outcome.target_id == ident
    assert Result.UNKNOWN not in results(settled(site.system(), doubtful))


@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
def test_updates_that_got_lost_and_then_somebody_changed_the_record(site: Site, fault: str) -> None:
    """Whatever became of ours, theirs is newer: settling never puts ours over it, and never claims to know."""
    thing = site.vendor.thing
    system = site.system()
    made = one(system, site.create(thing, name="Both", phone="1"))
    record = fetched(system, site.view(thing), made.target_id)
    doubtful = batch(site.update(thing, record, phone="ours"))
    site.fault(fault, match=site.vendor.batch)
    sent(system, doubtful)
    site.calm()
    site.user.change(thing, record.id, {"phone": "theirs"})
    (looked,) = site.system().resolve(doubtful)
    assert looked.result not in (Result.APPLIED, Result.REJECTED), "it cannot be told by looking"
    settled(site.system(), doubtful)
    assert fetched(site.system(), site.view(thing), made.target_id).values["phone"] == "theirs"


@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
def test_updates_that_got_lost_and_then_somebody_changed_another_field(site: Site, fault: str) -> None:
    """A change of theirs beside ours is kept, and ours is not lost without a word."""
    thing = site.vendor.thing
    system = site.system()
    made = one(system, site.create(thing, name="Beside", phone="1", fax="1"))
    record = fetched(system, site.view(thing), made.target_id)
    doubtful = batch(site.update(thing, record, phone="ours"))
    site.fault(fault, match=site.vendor.batch)
    sent(system, doubtful)
    site.calm()
    site.user.change(thing, record.id, {"fax": "theirs"})
    (done,) = settled(site.system(), doubtful)
    held = fetched(site.system(), site.view(thing), made.target_id).values
    assert held["fax"] == "theirs"
    if fault == "drop_after":
        assert held["phone"] == "ours"
    assert (done.result is Result.APPLIED) == (held["phone"] == "ours")


@pytest.mark.parametrize("field", ["name", "phone"])
def test_creates_that_got_lost_and_then_somebody_changed_the_record(site: Site, field: str) -> None:
    """A record that was made, and renamed or changed before anybody looked, is not made again, nor changed back."""
    thing = site.vendor.thing
    doubtful = batch(site.create(thing, name="Made", phone="1"))
    site.fault("drop_after", match=site.vendor.batch)
    assert results(sent(site.system(), doubtful)) == [Result.UNKNOWN]
    site.calm()
    (ident,) = [r.id for p in site.system().scan(site.view(thing, "name"), None) for r in p]
    site.user.change(thing, ident, {field: "theirs"})
    (done,) = settled(site.system(), doubtful)
    assert (done.result, done.target_id) == (Result.APPLIED, ident)
    assert len(site.names()) == 1
    assert fetched(site.system(), site.view(thing), ident).values[field] == "theirs"


def test_a_call_that_arrives_late(site: Site) -> None:
    """Given up waiting, looked up (not there) and sent again; when the first one arrives after all, nothing doubles."""
    doubtful = creates(site)
    site.fault("slow", match=site.vendor.batch, seconds=1.0)
    site.system().check()
    assert set(results(sent(site.system(timeouts=Timeouts(5, 0.3)), doubtful))) <= {Result.UNKNOWN}
    assert results(settled(site.system(), doubtful)) == [Result.APPLIED] * 6
    time.sleep(1.2)
    assert site.names() == NAMES


def test_looking_while_the_vendor_is_away_decides_nothing(site: Site) -> None:
    """A look-up that fails is an error of ours, not an answer; later it decides."""
    doubtful = creates(site)
    site.fault("drop_after", match=site.vendor.batch)
    sent(site.system(), doubtful)
    site.calm()
    system = site.system()
    for fault in site.kinds("status_503", "html", "drop_before", "truncated"):
        site.fault(fault, times=-1)
        with pytest.raises(RetryLater):
            system.resolve(doubtful)
        site.calm()
    there = set(site.names())
    assert there
    for write, outcome in zip(doubtful.writes, system.resolve(doubtful), strict=True):
        assert (outcome.result is Result.APPLIED) == (write.values["name"] in there)
