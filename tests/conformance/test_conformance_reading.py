"""Reading by id, by name, everything, and lists: exactly what is there, whatever is asked for."""

from __future__ import annotations

from decimal import Decimal

import pytest

from iw_operators.systems.base import Window
from tests.conformance.conftest import NewSite
from tests.conformance.kit import LONG_AGO, SECOND, Site, catalogue, fetched, ids_of, read, seeds

pytestmark = pytest.mark.sandbox

STRANGE = ("", " ", "0", "-1", "no such id", "'; DROP", "x" * 300, "ü", "\ud800", "%00", "../..", "1 or 1=1", "None")


def test_fetch_brings_what_is_there(new_site: NewSite) -> None:
    """Ids that do not exist, or cannot exist, are absent; the others come complete, each once."""
    site = new_site(seeds(5))
    view = site.view(site.vendor.thing)
    system = site.system()
    there = ids_of(system.scan(view, None))
    found = system.fetch(view, [*there, *STRANGE, *list(there)[:2], "00000000-0000-0000-0000-0000000000ff", "999999"])
    assert found.keys() == there.keys()
    assert all(record.complete for record in found.values())
    assert system.fetch(view, []) == {}
    assert system.fetch(view, STRANGE) == {}


def test_fetch_of_many(new_site: NewSite) -> None:
    """More ids than fit into one question of the vendor's come all the same."""
    site = new_site(seeds(700))
    view = site.view(site.vendor.thing, "name")
    system = site.system()
    idents = list(ids_of(system.scan(view, None)))
    assert system.fetch(view, idents).keys() == set(idents)


def test_find_by_exact_name_or_id(new_site: NewSite) -> None:
    """A record is found by its whole name and by its id; a part, or what nobody is called, finds nothing."""
    site = new_site(seeds(12))
    view = site.view(site.vendor.thing)
    system = site.system()
    (record,) = system.find(view, "Thing 00007")
    assert record.complete
    assert record == fetched(system, view, record.id)
    assert [r.id for r in system.find(view, record.id)] == [record.id]
    for name in ("Thing 0000", "Thing", "hing 00007", "%", "*", "Thing 0000_", *STRANGE):
        if name not in record.id:
            assert system.find(view, name) == [], name


def test_scan_brings_all_and_what_changed_since(new_site: NewSite) -> None:
    """Everything once without a time; with one, what changed from then on."""
    site = new_site(seeds(9))
    view = site.view(site.vendor.thing, "name")
    system = site.system()
    everything = ids_of(system.scan(view, None))
    assert sorted(str(r.values["name"]) for r in everything.values()) == [f"Thing {n:05d}" for n in range(9)]
    assert all(r.version for r in everything.values())
    late = ids_of(system.scan(view, LONG_AGO + 4 * SECOND))
    assert sorted(str(r.values["name"]) for r in late.values()) == [f"Thing {n:05d}" for n in range(4, 9)]


def test_lookup_takes_any_case_and_gives_keys_as_asked(site: Site) -> None:
    """Texts of a list are found without regard to case, under the key that was asked; others are absent."""
    system = site.system()
    objects = catalogue(site.vendor.system).objects
    tried = 0
    for definition in objects.values():
        for field in definition.fields.values():
            for name in ("Net 30", "USD", "Closed won", "Services"):
                asked = [name, name.upper(), name.lower(), *STRANGE]
                found = system.lookup(field, asked)
                assert found.keys() in (set(), {name, name.upper(), name.lower()})
                assert len(set(found.values())) <= 1
                tried += bool(found)
                assert field.lookup or not found
            assert system.lookup(field, []) == {}
    assert tried


def test_the_same_record_whichever_way_it_is_read(site: Site) -> None:
    """changes with complete, fetch and find tell the same record: values, version, lines."""
    sale = site.vendor.add_sale(site.user, [(Decimal(2), Decimal("1.25"))])
    view = site.view(site.vendor.sale, facts=True)
    system = site.system()
    (changed,) = [r for p in system.changes(view, Window(None, None), 50) for r in p if r.id == sale]
    (completed,) = system.complete(view, [changed])
    assert completed.complete
    assert (completed.id, completed.values, completed.facts) == (
        sale,
        fetched(system, view, sale).values,
        fetched(system, view, sale).facts,
    )
    assert [r.values for r in system.find(view, sale)] == [completed.values]
    assert system.complete(view, []) in ([], ())


def test_a_window_without_changes_brings_nothing(new_site: NewSite) -> None:
    """No empty pages and no failure where nothing changed, and as little asked as can be."""
    site = new_site(seeds(3))
    view = site.view(site.vendor.thing, "name")
    system = site.system()
    edge = system.now() + SECOND
    before = site.requests
    assert read(system, view, edge, None) == []
    assert site.requests == before + site.vendor.quiet
