"""Writing: once, all that can go, nothing over somebody else's work where the system can tell."""

from __future__ import annotations

from decimal import Decimal

import pytest

from iw_operators.errors import FixRecord, StaleRecord
from iw_operators.spec.catalogue import FieldType
from iw_operators.systems.base import Result
from tests.conformance.conftest import NewSite
from tests.conformance.kit import LONG_AGO, Site, batch, fetched, ids_of, one, read, results, seeds

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("B2")]


def test_the_same_batch_twice_makes_one_record_each(site: Site) -> None:
    """Sent again, at once or by another process, a batch answers as before and makes nothing."""
    sent = batch(*(site.create(site.vendor.thing, name=f"Once {n}", phone=str(n)) for n in range(7)))
    first = site.system().write(sent)
    again = site.system().write(sent)
    assert results(first) == results(again) == [Result.APPLIED] * 7
    assert [o.target_id for o in first] == [o.target_id for o in again]
    assert site.names() == [f"Once {n}" for n in range(7)]


def test_a_part_of_a_batch_sent_again_under_its_key(site: Site) -> None:
    """Any part of a batch can be sent again: none of its writes is answered for another."""
    system = site.system()
    writes = [site.create(site.vendor.thing, name=f"Part {n}") for n in range(6)]
    whole = batch(*writes)
    first = {o.key: o.target_id for o in system.write(whole)}
    part = type(whole)(whole.key, tuple(writes[3:]))
    assert {o.key: o.target_id for o in system.write(part)} == {w.key: first[w.key] for w in writes[3:]}
    assert len(site.names()) == 6


def test_one_bad_write_does_not_stop_the_others(site: Site) -> None:
    """Refused writes are told one by one, by their keys and in their order; the others of the batch are done."""
    thing = site.vendor.thing
    there = one(site.system(), site.create(thing, name="There"))
    record = fetched(site.system(), site.view(thing), there.target_id)
    gone = site.create(thing, "gone", name="Gone")
    lost = type(gone)(gone.key, type(gone.op)("update"), gone.view, {"phone": "1"}, "999999999", record.version)
    writes = [
        site.create(thing, name="Good 1"),
        site.create(thing, name="x" * 501),
        site.update(thing, record, phone="7"),
        lost,
        site.create(thing, name=None),
        site.create(thing, name="Good 2"),
    ]
    outcomes = site.system().write(batch(*writes))
    assert [o.key for o in outcomes] == [w.key for w in writes]
    good, bad = Result.APPLIED, Result.REJECTED
    expected = [good, bad, good, bad, bad, good]
    if outcomes[4].result is good:  # the vendor names it by other fields
        expected[4] = good
    assert results(outcomes) == expected, [str(o.error) for o in outcomes]
    assert all(isinstance(o.error, FixRecord) and o.error.code for o in outcomes if o.result is bad)
    assert {"Good 1", "Good 2", "There"} <= set(site.names())


def test_a_batch_of_the_size_that_the_system_says(site: Site) -> None:
    """`batch_size` writes go in one call; each outcome tells the id under which its record is found."""
    system = site.system()
    writes = [site.create(site.vendor.thing, name=f"Full {n:03d}") for n in range(system.batch_size)]
    system.check()
    before = site.requests
    outcomes = system.write(batch(*writes))
    assert site.requests == before + 1 or not site.vendor.one_call
    assert results(outcomes) == [Result.APPLIED] * system.batch_size
    held = system.fetch(site.view(site.vendor.thing, "name"), [o.target_id or "" for o in outcomes])
    assert [held[o.target_id or ""].values["name"] for o in outcomes] == [w.values["name"] for w in writes]
    updates = [site.update(site.vendor.thing, held[o.target_id or ""], phone="5") for o in outcomes]
    assert results(system.write(batch(*updates))) == [Result.APPLIED] * system.batch_size


def test_what_we_wrote_is_known_again(site: Site) -> None:
    """The version of an outcome is the one that reading shows, or none: never that of somebody else's change."""
    thing = site.vendor.thing
    system = site.system()
    made = one(system, site.create(thing, name="Ours", phone="1"))
    record = {r.id: r for r in read(system, site.view(thing), LONG_AGO, None)}[made.target_id or ""]
    assert made.version in (record.version, "")
    changed = one(system, site.update(thing, record, phone="2"))
    after = fetched(system, site.view(thing), made.target_id)
    assert changed.version in (after.version, "")
    assert after.version != record.version
    site.user.change(thing, record.id, {"phone": "3"})
    theirs = fetched(system, site.view(thing), made.target_id)
    assert theirs.version not in (after.version, changed.version)


def test_an_update_on_an_old_version(site: Site) -> None:
    """Told as STALE where the system can tell, and then nothing is overwritten.

    Where it cannot (the vendor has no version check), other fields are left alone and no version is claimed, so that
    the record is compared field by field when it comes back.
    """
    thing = site.vendor.thing
    system = site.system()
    made = one(system, site.create(thing, name="Shared", phone="1", fax="1"))
    old = fetched(system, site.view(thing), made.target_id)
    site.user.change(thing, old.id, {"phone": "theirs", "fax": "theirs"})
    (outcome,) = system.write(batch(site.update(thing, old, phone="ours")))
    held = fetched(site.system(), site.view(thing), old.id)
    assert held.values["fax"] == "theirs"
    if site.vendor.tells_stale:
        assert outcome.result is Result.STALE
        assert isinstance(outcome.error, StaleRecord)
        assert held.values["phone"] == "theirs"
        done = one(system, site.update(thing, held, phone="ours"))
        assert done.target_id == old.id
    else:
        assert outcome.result is Result.APPLIED
        assert outcome.version == ""


def test_a_name_that_is_taken(site: Site) -> None:
    """A second record of a name that has to be unique is refused with the field; no third state."""
    role = site.vendor.numbered
    if role is None:
        pytest.skip("nothing of this vendor has to be unique")
    system = site.system()
    one(system, site.create(role, "first", **{role.name: "Taken"}))
    (second,) = system.write(batch(site.create(role, "second", **{role.name: "Taken"})))
    assert second.result is Result.REJECTED
    assert isinstance(second.error, FixRecord)
    assert second.error.code
    assert second.error.advice
    assert site.names(role) == ["Taken"]


def test_inactive_records_are_told_of(new_site: NewSite) -> None:
    """A record made inactive comes as a change with `active` false and its own name, and is found by id and scan."""
    site = new_site(seeds(3))
    thing = site.vendor.thing
    view = site.view(thing, "name")
    system = site.system()
    victim = next(iter(ids_of(system.scan(view, None)).values()))
    edge = system.now()
    site.user.deactivate(thing, victim.id)
    (told,) = read(site.system(), view, edge, None)
    assert (told.id, told.active, told.deleted) == (victim.id, False, False)
    assert told.values["name"] == victim.values["name"]
    assert not fetched(site.system(), view, victim.id).active
    assert not ids_of(site.system().scan(view, None))[victim.id].active


def test_deletions_are_told_of_where_the_catalogue_says_so(site: Site) -> None:
    """A deleted record comes as a change with `deleted` true; a catalogue that says otherwise promises nothing."""
    role = site.vendor.tells_deletions
    if role is None:
        assert not any(site.view(r).definition.deletes for r in (site.vendor.thing, site.vendor.sale))
        role = site.vendor.thing
        gone = site.user.add(role, {role.name: "Deleted"})
        site.user.delete(role, gone)
        assert site.system().fetch(site.view(role), [gone]) == {}
        return
    view = site.view(role, role.name)
    assert view.definition.deletes
    system = site.system()
    sale = site.vendor.add_sale(site.user, [(Decimal(1), Decimal(5))])
    kept = site.vendor.add_sale(site.user, [(Decimal(1), Decimal(6))])
    edge = system.now()
    site.user.delete(role, sale)
    told = {r.id: r for r in read(system, view, edge, None)}
    assert told[sale].deleted
    assert not told.get(kept, told[sale]).deleted or kept not in told
    assert system.fetch(view, [sale, kept]).keys() == {kept}


def test_an_update_carries_what_changes_and_nothing_else(site: Site) -> None:
    """Fields that an update does not name keep what somebody else has put there, however it is sent."""
    for role in (site.vendor.thing, site.vendor.priced, site.vendor.dated):
        system = site.system()
        made = one(system, site.create(role, **{role.name: "Mine"}))
        texts = [n for n in role.texts if n != role.name and site.field(role, n).type is not FieldType.PHONE]
        for name in texts[:2]:
            site.user.change(role, made.target_id or "", {name: "kept"})
        now = fetched(system, site.view(role), made.target_id)
        one(system, site.update(role, now, **{role.name: "Yours"}))
        after = fetched(site.system(), site.view(role), made.target_id)
        assert after.values[role.name] == "Yours"
        assert {n: after.values[n] for n in texts[:2]} == dict.fromkeys(texts[:2], "kept")


def test_lines_of_a_sale(site: Site) -> None:
    """Lines are read exactly and in their order; where they can be written, they are replaced as a whole."""
    amounts = [(Decimal("3"), Decimal("0.10")), (Decimal("2.5"), Decimal("19.98")), (Decimal(1), Decimal("100.01"))]
    sale = site.vendor.sale
    system = site.system()
    if site.vendor.line_refs:
        write = site.create(sale, "lines", **site.vendor.lines(site.user, amounts))
        ident = one(system, write).target_id or ""
    else:
        ident = site.vendor.add_sale(site.user, amounts)
    record = fetched(system, site.view(sale), ident)
    lines = record.values["lines"]
    assert isinstance(lines, tuple)
    assert [(line["quantity"], line["price"], line["amount"]) for line in lines] == [(q, p, q * p) for q, p in amounts]
    if site.vendor.line_refs:
        one(system, site.update(sale, record, lines=lines[:1]))
        assert fetched(site.system(), site.view(sale), ident).values["lines"] == lines[:1]
