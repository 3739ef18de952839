"""Reading page by page while others work: nothing is skipped, nothing is repeated."""

from __future__ import annotations

import datetime as dt
import random

import pytest

from iw_operators.systems.base import Window
from tests.conformance.conftest import NewSite
from tests.conformance.kit import LONG_AGO, SECOND, Site, ids_of, read, seeds

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("B2")]


def shuffle(site: Site, chance: random.Random, idents: list[str], round_: int) -> set[str]:
    """Do, as a user, one to three things to records or make a new one; return the ids of what was touched."""
    thing = site.vendor.thing
    touched = set()
    for place in range(chance.randint(1, 3)):
        if chance.random() < 0.25:
            touched.add(site.user.add(thing, {"name": f"New {round_}-{place}"}))
        else:
            ident = chance.choice(idents)
            site.user.change(thing, ident, {"phone": f"{round_}-{place}"})
            touched.add(ident)
    return touched


@pytest.mark.parametrize("seed", range(6))
def test_changes_between_pages(new_site: NewSite, seed: int) -> None:
    """While pages are read, rows change and come: each is in this window or the next, none twice in one."""
    chance = random.Random(seed)  # noqa: S311 - chance that can be repeated
    shared = chance.choice([1, 3, 30])  # how many rows have the same stamp
    site = new_site(seeds(26, lambda n: LONG_AGO + (n // shared) * SECOND))
    system = site.system(page=chance.choice([3, 5]))
    view = site.view(site.vendor.thing)
    idents = list(ids_of(system.scan(view, None)))
    until = system.now() + SECOND * (seed % 2 == 5)
    since = None if seed % 2 else LONG_AGO
    found: dict[str, str] = {}
    touched: set[str] = set()
    for number, page in enumerate(system.changes(view, Window(since, until), chance.choice([3, 4]))):
        for record in page:
            assert record.id not in found, "the same record twice in one window"
            found[record.id] = record.version
        touched |= shuffle(site, chance, idents, number)
    later = {record.id: record for record in read(system, view, until, None)}
    everything = set(ids_of(system.scan(view, None)))
    assert set(found) | set(later) == everything
    assert touched <= set(later), "what changed while reading comes in the next window"


@pytest.mark.parametrize("size", [2, 7])
def test_equal_stamps_across_the_borders_of_pages(new_site: NewSite, size: int) -> None:
    """Thirty rows of one stamp come once each, also when one of them leaves that stamp meanwhile."""
    site = new_site(seeds(30, lambda _: LONG_AGO))
    system = site.system(page=7)
    view = site.view(site.vendor.thing, "name")
    until = system.now()
    found: list[str] = []
    for page in system.changes(view, Window(LONG_AGO, until), size):
        found += [record.id for record in page]
        if len(found) == size:
            left = [r.id for p in site.system().scan(view, None) for r in p if r.id not in found]
            site.user.change(site.vendor.thing, left[0], {"phone": "1"})
            site.user.change(site.vendor.thing, found[0], {"phone": "2"})
    later = [record.id for record in read(system, view, until, None)]
    assert len(found) == len(set(found))
    assert len(set(found) | set(later)) == 30


def test_rows_that_go_away_push_nobody_out(new_site: NewSite) -> None:
    """Rows deleted or made inactive between pages leave no gap behind."""
    site = new_site(seeds(25))
    system = site.system(page=4)
    view = site.view(site.vendor.thing, "name")
    idents = [record.id for page in system.scan(view, None) for record in page]
    found: list[str] = []
    gone: set[str] = set()
    for page in system.changes(view, Window(None, system.now()), 4):
        found += [record.id for record in page]
        if len(gone) < 4:
            victim = next(i for i in idents if i in found and i not in gone)
            site.user.deactivate(site.vendor.thing, victim)
            gone.add(victim)
    assert len(found) == len(set(found)) == 25


def test_huge_pages(new_site: NewSite) -> None:
    """A page larger than anything that the vendor gives at once brings all rows, each once."""
    site = new_site(seeds(2_345, lambda n: LONG_AGO + dt.timedelta(seconds=n // 1_500)))
    system = site.system()
    view = site.view(site.vendor.thing, "name")
    assert len(read(system, view, None, system.now(), 50_000)) == 2_345
    assert len(ids_of(system.scan(view, None))) == 2_345
    assert len(read(system, view, LONG_AGO, LONG_AGO + SECOND, 50_000)) == 1_500


def test_pages_keep_to_their_size_and_order(new_site: NewSite) -> None:
    """Pages have at most the rows asked for, and the oldest change comes first."""
    site = new_site(seeds(11, lambda n: LONG_AGO - n * SECOND))
    view = site.view(site.vendor.thing, "name")
    system = site.system()
    pages = list(system.changes(view, Window(LONG_AGO - dt.timedelta(days=1), None), 4))
    assert all(0 < len(page) <= 4 for page in pages)
    stamps = [record.modified for page in pages for record in page]
    assert len(stamps) == 11
    assert stamps == sorted(stamp for stamp in stamps if stamp)
