"""Values arrive as they were sent, in every field and both ways, or are refused by name; nothing is changed quietly."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from iw_operators.engine.model import Value
from iw_operators.errors import FixRecord
from iw_operators.spec.catalogue import FieldType
from iw_operators.systems.base import Result
from tests.conformance.kit import Role, Site, batch, fetched, one

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("E3")]

CHARACTERS = {
    "old platform": "! @ # $ % ^ & * + { } [ ] ? > < ' \" x",
    "query languages": "a' or 'a'='a\\' -- %_$() ; /* */ {{ 7*7 }} ${x}",
    "markup": "<b>&amp;&#233;</b> ]]> <!-- \\u0041 %41 +",
    "emoji": "🚀 👩‍🚀 👨‍👩‍👧 🇪🇺 ❤️",
    "scripts": "株式会社 ООО «Ромашка» Αθήνα ไทย हिन्दी 한국",
    "right to left": "שלום עולם مرحبا x",
    "combining": "cafe\u0301 n\u0303 A\u030a \u1e9b\u0323 Z\u0351\u036b",
    "composed": "café ñ Å ß ﬁ Ⅻ ½",
    "spaces": "a\u00a0b\u2003c\u200bd  two",
    "numbers": "007 1e5 -0 1,000.00",
}


def roles(site: Site) -> list[Role]:
    """Return the roles whose texts are tried, each once."""
    vendor = site.vendor
    return [vendor.thing, vendor.priced, vendor.dated]


def fitting(site: Site, role: Role, name: str, text: str) -> str:
    """Return a text without what the catalogue says a field does not take, and no longer than that."""
    field = site.field(role, name)
    kept = "".join(mark for mark in text if mark not in field.forbidden)
    limit = field.length // 5 if field.length and field.native.endswith("*") else field.length  # of a line of five
    return kept[:limit].strip()


@pytest.mark.parametrize("kind", CHARACTERS)
def test_every_character_in_every_text_field_both_ways(site: Site, kind: str) -> None:
    """What we write is what their user sees; what their user writes is what we read; and found by it."""
    system = site.system()
    for role in roles(site):
        values: dict[str, Value] = {n: fitting(site, role, n, CHARACTERS[kind]) for n in (role.name, *role.texts)}
        outcome = one(system, site.create(role, **values))
        for name, sent in values.items():
            assert site.user.read(role, outcome.target_id or "", name) == sent, f"{role.object}.{name}"
        view = site.view(role)
        record = fetched(system, view, outcome.target_id)
        assert {name: record.values[name] for name in values} == values
        assert [found.id for found in system.find(view, str(values[role.name]))] == [outcome.target_id]
        theirs = {name: fitting(site, role, name, "~" + CHARACTERS[kind]) for name in values}
        site.user.change(role, record.id, theirs)
        again = fetched(site.system(), view, record.id)
        assert {name: again.values[name] for name in values} == theirs


@pytest.mark.parametrize("breaks", ["one\ntwo", "one\n\nthree", "\tindented\n- a\n- b"])
def test_line_breaks_in_memos(site: Site, breaks: str) -> None:
    """A memo keeps its lines, empty ones and tabs included."""
    system = site.system()
    for role in roles(site):
        memos = [name for name in role.texts if site.field(role, name).type is FieldType.MEMO]
        values: dict[str, Value] = {role.name: "Memo", **dict.fromkeys(memos, breaks)}
        outcome = one(system, site.create(role, **values))
        for name in memos:
            assert site.user.read(role, outcome.target_id or "", name) == breaks, name
            assert fetched(system, site.view(role), outcome.target_id).values[name] == breaks, name


def test_the_longest_text_goes_and_one_more_is_refused_by_name(site: Site) -> None:
    """A text of exactly the limit arrives whole; one more is a FixRecord with field and limit, and writes nothing."""
    for role in roles(site):
        system = site.system()
        names = [name for name in dict.fromkeys((role.name, *role.texts)) if site.field(role, name).length]
        sound = site.create(role, **{role.name: "Sound"})
        known = one(system, sound)
        record = fetched(system, site.view(role), known.target_id)
        for mark in ("é", "€"):
            full: dict[str, Value] = {}
            for name in names:
                field = site.field(role, name)
                lines = 5 if field.native.endswith("*") else 1
                full[name] = "\n".join([mark * ((field.length or 0) // lines)] * lines)[: field.length]
            made = one(system, site.create(role, f"full {mark} {role.object}", **full))
            held = fetched(system, site.view(role), made.target_id)
            assert {name: held.values[name] for name in full} == full
            site.user.change(role, made.target_id or "", {role.name: f"Away {mark}"})
        for name in names:
            limit = site.field(role, name).length or 0
            long = "x" * (limit + 1)
            bad: dict[str, Value] = {role.name: "Sound", name: long}
            for write in (site.create(role, **bad), site.update(role, record, **{name: long})):
                (outcome,) = system.write(batch(write))
                assert outcome.result is Result.REJECTED, f"{role.object}.{name}"
                assert isinstance(outcome.error, FixRecord)
                assert outcome.error.field == name
                assert any(str(n) in str(outcome.error) for n in (limit, limit // 5)), str(outcome.error)
        assert fetched(system, site.view(role), known.target_id) == record


@pytest.mark.parametrize("mark", ["\ud800", "a\udfffb"])
def test_half_a_character_is_refused_not_raised(site: Site, mark: str) -> None:
    """What is no text at all (half a surrogate pair) is one record's fault; the others of its batch go."""
    thing = site.vendor.thing
    good = site.create(thing, name="Whole")
    bad = site.create(thing, "half", name="Half", phone=mark)
    outcomes = site.system().write(batch(bad, good))
    assert [outcome.result for outcome in outcomes] == [Result.REJECTED, Result.APPLIED]
    assert isinstance(outcomes[0].error, FixRecord)
    assert outcomes[0].error.field == "phone"


AMOUNTS = ("0.30", "19.99", "0.01", "1234567.89", "99999999.99", "1000000.00", "0.07")


def test_decimals_are_exact_both_ways(site: Site) -> None:
    """Amounts that no binary fraction holds, and large ones, are the same digits everywhere."""
    system = site.system()
    for role in (r for r in roles(site) if r.decimals):
        for number, text in enumerate([*AMOUNTS, str(Decimal("0.1") + Decimal("0.2"))]):
            values: dict[str, Value] = dict.fromkeys(role.decimals, Decimal(text))
            outcome = one(system, site.create(role, **{role.name: f"Amount {number}", **values}))
            record = fetched(system, site.view(role), outcome.target_id)
            for name in role.decimals:
                assert record.values[name] == Decimal(text)
                assert isinstance(record.values[name], Decimal)
                assert Decimal(site.user.read(role, record.id, name)) == Decimal(text)
                assert outcome.values.get(name, Decimal(text)) == Decimal(text)


def test_more_places_than_fit_are_never_lost_quietly(site: Site) -> None:
    """An amount of too many places is refused, or kept, or the outcome tells what is held instead."""
    system = site.system()
    for role in (r for r in roles(site) if r.decimals):
        name = role.decimals[0]
        sent = Decimal("1.23456789")
        values: dict[str, Value] = {role.name: "Places", name: sent}
        (outcome,) = system.write(batch(site.create(role, **values)))
        if outcome.result is Result.REJECTED:
            assert isinstance(outcome.error, FixRecord)
            continue
        held = fetched(system, site.view(role), outcome.target_id).values[name]
        assert held == sent or outcome.values[name] == held


def test_dates_are_days(site: Site) -> None:
    """A date is the same day on both sides, at any end of a month or year."""
    role = site.vendor.dated
    system = site.system()
    for day in (dt.date(2024, 2, 29), dt.date(2025, 12, 31), dt.date(2026, 1, 1), dt.date(2026, 3, 29)):
        values: dict[str, Value] = dict.fromkeys(role.dates, day)
        outcome = one(system, site.create(role, **{role.name: f"D{day:%y%m%d}", **values}))
        held = fetched(system, site.view(role), outcome.target_id).values
        for name in role.dates:
            assert held[name] == day
            assert str(site.user.read(role, outcome.target_id or "", name)).startswith(day.isoformat())


def test_emptying_a_field_empties_it(site: Site) -> None:
    """None clears any field that may be empty; it is read as None, never as "" or a vendor's stand-in."""
    system = site.system()
    for role in roles(site):
        names = [n for n in (*role.texts, *role.decimals, *role.dates) if n not in {role.name, *site.vendor.refilled}]
        full: dict[str, Value] = {}
        for name in names:
            kind = site.field(role, name).type
            full[name] = Decimal(7) if kind is FieldType.MONEY else "full" if kind in ("text", "memo", "phone") else DAY
        called = "To be emptied"[: site.field(role, role.name).length]
        outcome = one(system, site.create(role, **{role.name: called, **full}))
        record = fetched(system, site.view(role), outcome.target_id)
        assert {name: record.values[name] for name in names} == full
        emptied: dict[str, Value] = dict.fromkeys(names)
        one(system, site.update(role, record, **emptied))
        again = fetched(site.system(), site.view(role), outcome.target_id)
        expected = {name: site.vendor.cleared.get(name) for name in names}
        assert {name: again.values[name] for name in names} == expected
        assert again.values[role.name] == called


def test_what_was_never_filled_is_none(site: Site) -> None:
    """Fields that nobody has filled are read as None."""
    thing = site.vendor.thing
    made = site.user.add(thing, {"name": "Bare"})
    values = fetched(site.system(), site.view(thing), made).values
    bare = [name for name in thing.texts if name != "name"]
    assert {name: values[name] for name in bare} == dict.fromkeys(bare)


DAY = dt.date(2026, 2, 28)
