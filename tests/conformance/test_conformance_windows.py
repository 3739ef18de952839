"""Windows of time: what is in, whose clock counts, and that contiguous ones make a whole."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from iw_operators.systems.base import Window
from tests.conformance.conftest import NewSite
from tests.conformance.kit import LONG_AGO, SECOND, ids_of, read, seeds

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("R2")]


def test_since_is_in_and_until_is_not(new_site: NewSite) -> None:
    """A record at the lower edge belongs to the window, one at the upper edge to the next."""
    site = new_site(seeds(5))
    view = site.view(site.vendor.thing, "name")
    found = read(site.system(), view, LONG_AGO + SECOND, LONG_AGO + 3 * SECOND)
    assert [record.values["name"] for record in found] == ["Thing 00001", "Thing 00002"]
    assert not read(site.system(), view, LONG_AGO + SECOND, LONG_AGO + SECOND)


@pytest.mark.parametrize("seed", range(4))
def test_contiguous_windows_lose_and_repeat_nothing(new_site: NewSite, seed: int) -> None:
    """Wherever the cuts are, between seconds too, each record is in exactly one of the windows."""
    chance = random.Random(seed)  # noqa: S311 - chance that can be repeated
    step = new_site().vendor.stamp_step
    stamps = [LONG_AGO + chance.randrange(12) * SECOND + chance.choice([0, 1, 2]) * step for _ in range(24)]
    site = new_site(seeds(24, lambda n: stamps[n]))
    view = site.view(site.vendor.thing, "name")
    system = site.system(page=5)
    ticks = dt.timedelta(microseconds=1)
    cuts = sorted(
        {LONG_AGO + chance.randrange(14) * SECOND + chance.choice([0, 1, 499_999, 999_999]) * ticks for _ in range(6)}
    )
    edges = [LONG_AGO - SECOND, *cuts, LONG_AGO + 20 * SECOND]
    found = [r.id for low, high in itertools.pairwise(edges) for r in read(system, view, low, high, 3)]
    assert len(found) == len(set(found)) == 24


def test_any_zone_says_the_same_moment(new_site: NewSite) -> None:
    """Edges given in another zone mean the same window, and stamps come with a zone."""
    site = new_site(seeds(6))
    view = site.view(site.vendor.thing, "name")
    plain = read(site.system(), view, LONG_AGO + SECOND, LONG_AGO + 4 * SECOND)
    for name in ("Asia/Kolkata", "America/St_Johns", "Pacific/Kiritimati"):
        zone = ZoneInfo(name)
        low, high = ((LONG_AGO + n * SECOND).astimezone(zone) for n in (1, 4))
        assert read(site.system(), view, low, high) == plain
    assert [record.modified for record in plain] == [LONG_AGO + n * SECOND for n in (1, 2, 3)]


@pytest.mark.parametrize("hours", [-9, 0, 26])
def test_the_clock_that_counts_is_the_vendors(new_site: NewSite, hours: int) -> None:
    """Whatever our clock says: `now` is theirs, and what happens between two `now` is between them."""
    ahead = dt.timedelta(hours=hours)
    site = new_site(seeds(2), ahead)
    system = site.system()
    view = site.view(site.vendor.thing, "name")
    first = system.now()
    assert abs(first - (dt.datetime.now(dt.UTC) + ahead)) < 5 * SECOND
    made = site.user.add(site.vendor.thing, {"name": "Between"})
    found = {record.id: record for record in read(system, view, first, None)}
    assert list(found) == [made]
    assert abs((found[made].modified or LONG_AGO) - first) < 10 * SECOND
    system.check()
    assert system.now() >= first
    assert made in ids_of(system.scan(view, first))
    assert made not in {record.id for record in read(system, view, None, first)}


def test_windows_that_follow_one_another_tell_of_every_change_once(new_site: NewSite) -> None:
    """A run a window, each from the last one's end: every change is told of, at once and in no second run."""
    site = new_site(seeds(3))
    system = site.system()
    view = site.view(site.vendor.thing)
    idents = list(ids_of(system.scan(view, None)))
    edge = system.now()
    told: list[str] = []
    for round_ in range(5):
        site.user.change(site.vendor.thing, idents[round_ % 3], {"phone": f"call {round_}"})
        system.check()
        until = system.now()
        told += [str(r.values["phone"]) for p in system.changes(view, Window(edge, until), 10) for r in p]
        edge = until
    told += [str(r.values["phone"]) for r in read(system, view, edge, None)]
    assert set(told) >= {"call 2", "call 3", "call 4"}
    assert len(told) == len(set(told))


def test_records_with_lines_come_when_a_line_changes(new_site: NewSite) -> None:
    """A change of a line alone is a change of its transaction, with another version."""
    site = new_site()
    sale = site.vendor.add_sale(site.user, [(Decimal(2), Decimal(5)), (Decimal(1), Decimal(3))])
    view = site.view(site.vendor.sale, facts=True)
    system = site.system()
    before = {r.id: r for r in read(system, view, LONG_AGO, None)}[sale]
    assert len(system.complete(view, [before])[0].values["lines"]) == 2  # type: ignore[arg-type]  # lines are a tuple
    site.vendor.touch_line(site.user, sale)
    after = {r.id: r for r in read(system, view, LONG_AGO, None)}[sale]
    assert after.version != before.version
