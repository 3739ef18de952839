"""Taking records away, as far as the catalogue says that it can be done, and telling what is still there."""

from __future__ import annotations

import pytest

from iw_operators.apply import settled
from iw_operators.engine.model import Record
from iw_operators.keys import digest
from iw_operators.systems.base import Op, Result, Write
from tests.conformance.conftest import NewSite
from tests.conformance.kit import Role, Site, batch, fetched, ids_of, one, results, seeds

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("B6")]

STRANGE = ("", "no such id", "'; DROP", "x" * 300, "00000000-0000-0000-0000-0000000000ff", "999999")


def removals(site: Site) -> list[tuple[Role, Op]]:
    """Return what the catalogue allows for the roles of a thing and of a sale."""
    found = []
    for role in (site.vendor.thing, site.vendor.sale):
        definition = site.view(role).definition
        found += [(role, Op(name)) for name in definition.removal]
        found += [(role, Op.DEACTIVATE)] if definition.active else []
    return found


def made(site: Site, role: Role, name: str) -> Record:
    """Return a new record of a role."""
    ident = site.user.add(role, {role.name: name, **site.vendor.needs(role, site.user)})
    return fetched(site.system(), site.view(role), ident)


def removal(site: Site, role: Role, op: Op, record: Record) -> Write:
    """Return the removal of a record."""
    return Write(digest(op.value, role.object, record.id), op, site.view(role), {}, record.id, record.version)


def is_gone(site: Site, role: Role, op: Op, ident: str) -> bool:
    """Tell whether a record is as the removal leaves it, by reading it."""
    found = site.system().fetch(site.view(role), [ident])
    if op is Op.DELETE:
        return ident not in found
    return found[ident].voided if op is Op.VOID else not found[ident].active


def test_a_removal_takes_away_that_record_alone(site: Site) -> None:
    """Done once, done twice: the same end, and the record beside it stays."""
    for role, op in removals(site):
        victim, other = (made(site, role, f"{op.value} {n}") for n in range(2))
        sent = batch(removal(site, role, op, victim))
        assert results(site.system().write(sent)) == [Result.APPLIED], (role.object, op)
        assert is_gone(site, role, op, victim.id)
        assert not is_gone(site, role, op, other.id)
        assert results(site.system().write(sent)) == [Result.APPLIED]
        assert results(site.system().resolve(sent)) == [Result.APPLIED]


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "half"])
def test_a_removal_that_got_lost(site: Site, fault: str) -> None:
    """Looked up, it is told as done if the record is gone, and else not; done again, both are gone."""
    for role, op in removals(site):
        victims = [made(site, role, f"{op.value} {n}") for n in range(2)]
        sent = batch(*(removal(site, role, op, victim) for victim in victims))
        site.fault(site.vendor.half if fault == "half" else fault, match=site.vendor.batch)
        told = results(site.system().write(sent))
        assert Result.UNKNOWN in told
        assert set(told) == {Result.UNKNOWN} or not site.vendor.one_call
        site.calm()
        looked = site.system().resolve(sent)
        for victim, outcome in zip(victims, looked, strict=True):
            assert (outcome.result is Result.APPLIED) == is_gone(site, role, op, victim.id)
        done = settled(site.system(), sent)
        for victim, outcome in zip(victims, done, strict=True):  # what did not arrive is planned anew
            assert outcome.result is (Result.APPLIED if is_gone(site, role, op, victim.id) else Result.STALE)
        assert results(site.system().write(sent)) == [Result.APPLIED] * 2
        assert all(is_gone(site, role, op, victim.id) for victim in victims)


def test_what_is_still_there(new_site: NewSite) -> None:
    """`existing` returns the ids that are there, inactive ones included, as they were given; no strange ones."""
    site = new_site(seeds(320))
    thing = site.vendor.thing
    view = site.view(thing, "name")
    system = site.system()
    idents = list(ids_of(system.scan(view, None)))
    site.user.deactivate(thing, idents[0])
    assert set(system.existing(view, [*idents, *STRANGE])) == set(idents)
    assert not system.existing(view, STRANGE)
    assert not system.existing(view, [])
    sale = made(site, site.vendor.sale, "Kept")
    for op in (Op(name) for name in site.view(site.vendor.sale).definition.removal):
        victim = made(site, site.vendor.sale, op.value)
        one(site.system(), removal(site, site.vendor.sale, op, victim))
        there = set(site.system().existing(site.view(site.vendor.sale), [sale.id, victim.id]))
        assert there == ({sale.id} if op is Op.DELETE else {sale.id, victim.id})


def test_since_when_deletions_are_told(site: Site) -> None:
    """A time in the past by their clock where the catalogue says that deletions are told, None elsewhere."""
    system = site.system()
    for role in (site.vendor.thing, site.vendor.sale):
        view = site.view(role)
        since = system.told_since(view)
        assert (since is not None) == view.definition.deletes
        assert since is None or since <= system.now()
