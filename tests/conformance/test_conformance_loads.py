"""What long loads rely on: the oldest change first, going on in the middle, and a count."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

import pytest

from iw_operators.systems.base import Window
from tests.conformance.conftest import NewSite
from tests.conformance.kit import LONG_AGO, SECOND, read, seeds

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("R3", "R14")]

COUNT = 23
END = LONG_AGO + 30 * SECOND


def mixed(seed: int) -> list[int]:
    """Return a second for each of some records, in no order, several of them the same."""
    chance = random.Random(seed)  # noqa: S311 - chance that can be repeated
    return [chance.randrange(9) for _ in range(COUNT)]


@pytest.mark.parametrize("since", [None, LONG_AGO])
def test_the_oldest_change_comes_first(new_site: NewSite, since: object) -> None:
    """Whatever order records were made in, their changes come by time, within pages and from page to page."""
    seconds = mixed(1)
    site = new_site(seeds(COUNT, lambda n: LONG_AGO + seconds[n] * SECOND))
    view = site.view(site.vendor.thing, "name")
    window = Window(since and LONG_AGO, END)  # type: ignore[arg-type]  # a time or None
    stamps = [r.modified for page in site.system(page=5).changes(view, window, 4) for r in page]
    assert len(stamps) == COUNT
    assert stamps == sorted(stamps)  # type: ignore[type-var]  # all of them have one


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("since", [None, LONG_AGO])
def test_a_load_that_goes_on_misses_nothing(new_site: NewSite, since: object, seed: int) -> None:
    """Broken off after any page, and read on after that page's last change, all records come; few come twice."""
    seconds = mixed(seed)
    site = new_site(seeds(COUNT, lambda n: LONG_AGO + seconds[n] * SECOND))
    view = site.view(site.vendor.thing, "name")
    window = Window(since and LONG_AGO, END)  # type: ignore[arg-type]  # a time or None
    pages = list(site.system(page=5).changes(view, window, 4))
    for number in range(1, len(pages)):
        done = [record.id for page in pages[:number] for record in page]
        reached = pages[number - 1][-1].modified
        rest = list(site.system(page=5).changes(view, replace(window, after=reached), 4))
        ids = [record.id for page in rest for record in page]
        assert len(ids) == len(set(ids))
        assert {*done, *ids} == {record.id for page in pages for record in page}
        twice = {record.modified for page in rest for record in page if record.id in done}
        assert twice <= {reached}


def test_what_comes_for_another_reason_comes_in_any_case(new_site: NewSite) -> None:
    """A record whose own change has been dealt with comes nevertheless when a line of it has changed in the window."""
    site = new_site()
    system = site.system()
    edge = system.now()
    sale = site.vendor.add_sale(site.user, [(Decimal(2), Decimal(5))])
    view = site.view(site.vendor.sale, facts=True)
    (made,) = read(system, view, edge, None)
    site.vendor.touch_line(site.user, sale)
    touched = {r.id: r for r in read(site.system(), view, edge, None)}[sale]
    assert touched.version != made.version
    after = Window(edge, None, after=touched.modified)
    found = [r.id for page in site.system().changes(view, after, 10) for r in page]
    assert found == [sale]


@pytest.mark.parametrize(("low", "high"), [(None, None), (None, 5), (2, None), (2, 5), (5, 5)])
def test_what_a_window_holds_is_counted_in_one_request(new_site: NewSite, low: int | None, high: int | None) -> None:
    """A count is that of the records that come, and one request; or the system says that it cannot count."""
    site = new_site(seeds(9))
    view = site.view(site.vendor.thing, "name")
    since, until = (LONG_AGO + edge * SECOND if edge is not None else None for edge in (low, high))
    system = site.system()
    system.check()
    before = site.requests
    counted = system.count(view, Window(since, until))
    asked = site.requests - before
    if counted is None:
        assert asked == 0
        return
    assert asked == 1
    assert counted == len(read(site.system(), view, since, until))
