"""Answers that are not what they should be, and servers that take their time: an error of ours, or the right thing.

A wrong success is the worst: an answer of the wrong shape that is taken for "nothing changed" loses records.
"""

from __future__ import annotations

import datetime as dt
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from iw_operators.apply import settled
from iw_operators.errors import ConnectionFailure, InterWeaveError
from iw_operators.systems.base import Result, System, Window
from iw_operators.systems.http import Timeouts
from sandbox.common.hostile import ANSWERS
from tests.conformance.conftest import NewSite
from tests.conformance.kit import LONG_AGO, SECOND, Site, batch, fetched, ids_of, one, ours, results, seeds

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("B2")]

SPOILED = sorted(set(ANSWERS) - {"bomb"})
FLAT = ("html", "status_500", "status_503", "drop_before", "drop_after", "drop_middle")
Call = Callable[[System], Any]


def calls(site: Site) -> dict[str, Call]:
    """Return every way of reading, over what there is."""
    sale_id = site.vendor.add_sale(site.user, [(Decimal(2), Decimal("1.25"))])
    thing, sale = site.view(site.vendor.thing), site.view(site.vendor.sale, facts=True)
    system = site.system()
    idents = list(ids_of(system.scan(thing, None)))
    headers = [record for page in system.changes(sale, Window(None, None), 50) for record in page]
    term = next(f for f in site.view(site.vendor.thing).definition.fields.values() if f.lookup)
    return {
        "check": lambda s: s.check(),
        "now": lambda s: s.now().replace(second=0, microsecond=0),
        "changes": lambda s: list(s.changes(thing, Window(LONG_AGO, None), 4)),
        "recent changes": lambda s: list(s.changes(sale, Window(s.now() - dt.timedelta(hours=1), None), 4)),
        "first changes": lambda s: list(s.changes(thing, Window(None, None), 4)),
        "complete": lambda s: list(s.complete(sale, headers)),
        "fetch": lambda s: s.fetch(thing, idents),
        "fetch a sale": lambda s: s.fetch(sale, [sale_id]),
        "find": lambda s: list(s.find(thing, "Thing 00001")),
        "scan": lambda s: list(s.scan(thing, None)),
        "lookup": lambda s: s.lookup(term, ["Net 30", "USD", "nothing"]),
    }


@pytest.mark.parametrize("kind", [*SPOILED, *FLAT])
def test_reading_from_spoiled_answers(new_site: NewSite, kind: str) -> None:
    """Whatever comes instead of the answer, once or always: each call fails with an error of ours, or is right.

    Text for a number may come as it is: the engine refuses the one record by it.
    """
    site = new_site(seeds(6))
    site.possible(kind)
    for name, call in calls(site).items():
        right = call(site.system())
        for times in (1, -1):
            system = site.system()
            site.fault(kind, times=times)
            answer, error = ours(partial(call, system))
            site.calm()
            as_text = kind == "texts" and "'?'" in repr(answer)
            assert error is not None or answer == right or as_text, f"{name} takes {kind} for an answer"
        assert call(system) == right, f"{name} does not recover from {kind}"


@pytest.mark.parametrize("kind", [*SPOILED, "drop_after", "drop_middle"])
def test_writing_with_spoiled_answers(site: Site, kind: str) -> None:
    """The batch was done: no write is told as refused, none as done elsewhere; settled, each is there once."""
    site.possible(kind)
    thing = site.vendor.thing
    system = site.system()
    old = fetched(system, site.view(thing), one(system, site.create(thing, name="Old", phone="1")).target_id)
    writes = [site.create(thing, name=f"New {n}", phone=str(n)) for n in range(3)]
    sent = batch(*writes, site.update(thing, old, phone="2"))
    site.fault(kind, match=site.vendor.batch)
    outcomes = system.write(sent)
    site.calm()
    assert [o.key for o in outcomes] == [w.key for w in sent.writes]
    assert set(results(outcomes)) <= {Result.APPLIED, Result.UNKNOWN}, [str(o.error) for o in outcomes]
    reader = site.system()
    for write, outcome in zip(sent.writes, outcomes, strict=True):
        if outcome.result is Result.APPLIED:
            held = fetched(reader, site.view(thing), outcome.target_id)
            assert {n: held.values[n] for n in write.values} == dict(write.values)
            assert {n: v for n, v in outcome.values.items() if held.values.get(n) != v} == {}
            assert outcome.version in ("", held.version)
    *made, changed = results(settled(site.system(), sent))
    assert made == [Result.APPLIED] * 3
    assert changed is Result.APPLIED or (changed is Result.STALE and not site.vendor.one_call)  # it was not sent
    assert site.names() == ["New 0", "New 1", "New 2", "Old"]


@pytest.mark.parametrize("kind", [*SPOILED, "html", "status_500", "status_429", "drop_before", "drop_after"])
def test_signing_in_with_spoiled_answers(site: Site, kind: str) -> None:
    """A sign-in that is answered with nonsense is an error of ours that sent nothing; the next one works."""
    site.possible(kind)
    system = site.system()
    write = batch(site.create(site.vendor.thing, name="After"))
    site.access.state.write({})
    site.fault(kind, match=site.vendor.sign_in)
    outcomes, error = ours(lambda: system.write(write))
    if error is None:
        assert Result.REJECTED not in results(outcomes)
    else:
        assert not isinstance(error, ConnectionFailure) or not error.sent
    site.calm()
    assert results(settled(site.system(), write)) == [Result.APPLIED]
    assert "After" in site.names()


def test_an_answer_without_end_is_cut_off(site: Site) -> None:
    """An answer that unpacks to more than any of ours, and one that comes byte by byte, end as errors in time."""
    site.system().check()
    site.fault("bomb", times=-1)
    with pytest.raises(InterWeaveError):
        site.system().check()
    site.calm()
    site.fault("drip", times=-1, seconds=0.05)
    before = time.monotonic()
    with pytest.raises(ConnectionFailure) as caught:
        site.system(timeouts=replace(Timeouts(2, 2), whole=0.4)).check()
    assert caught.value.code == site.vendor.codes["time"]
    assert time.monotonic() - before < 5


def test_an_answer_that_does_not_come(site: Site) -> None:
    """Reading gives up after the time allowed; a write that timed out is unknown and turns out to be done."""
    system = site.system(timeouts=Timeouts(2, 0.4))
    system.check()
    site.fault("slow", seconds=1.5)
    with pytest.raises(ConnectionFailure) as caught:
        system.check()
    assert (caught.value.code, caught.value.sent) == (site.vendor.codes["time"], True)
    time.sleep(1.2)
    site.calm()
    write = batch(site.create(site.vendor.thing, name="Slow"))
    site.fault("slow_after", match=site.vendor.batch, seconds=1.0)
    assert results(system.write(write)) == [Result.UNKNOWN]
    assert results(site.system().resolve(write)) == [Result.APPLIED]
    assert site.names() == ["Slow"]


def test_a_host_that_does_not_answer(site: Site) -> None:
    """A port where nobody listens, and one that lets nobody in: not sent, soon, with what to check."""
    with socket.socket() as nobody, socket.socket() as full, ExitStack() as waiting:
        nobody.bind(("127.0.0.1", 0))
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            guest = waiting.enter_context(socket.socket())
            guest.setblocking(False)
            guest.connect_ex(full.getsockname())
        for port in (nobody.getsockname()[1], full.getsockname()[1]):
            access = replace(site.access, timeouts=Timeouts(0.5, 0.5))
            system = site.vendor.open(f"http://127.0.0.1:{port}", access)
            before = time.monotonic()
            with pytest.raises(ConnectionFailure) as caught:
                system.check()
            assert not caught.value.sent
            assert caught.value.code == site.vendor.codes["reachable"]
            assert caught.value.advice
            assert time.monotonic() - before < 5


@pytest.mark.parametrize("where", ["data", "sign_in"])
def test_a_redirect_takes_no_credentials_elsewhere(new_site: NewSite, where: str) -> None:
    """Sent on to another host, nothing at all is asked there; the error says what happened."""
    site, elsewhere = new_site(), new_site()
    write = batch(site.create(site.vendor.thing, name="Nowhere"))
    if where == "data":
        site.system().check()
    else:
        site.access.state.write({})
    site.fault("redirect", times=-1, match=getattr(site.vendor, where), to=elsewhere.url)
    with pytest.raises(InterWeaveError) as caught:
        site.system().check()
    assert caught.value.code
    outcomes, error = ours(lambda: site.system().write(write))
    assert error is not None or results(outcomes) == [Result.UNKNOWN]
    assert elsewhere.running.control.requests == 0


def test_a_vendor_in_the_wrong_century(new_site: NewSite) -> None:
    """A clock that is years off is taken as it is; nothing breaks on it."""
    site = new_site(seeds(2), dt.timedelta(days=-365 * 3))
    system = site.system()
    edge = system.now()
    made = one(system, site.create(site.vendor.thing, name="Then"))
    found = [
        r.id for p in system.changes(site.view(site.vendor.thing, "name"), Window(edge - SECOND, None), 9) for r in p
    ]
    assert made.target_id in found
