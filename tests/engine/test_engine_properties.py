"""What holds for any records, in any order: plans settle, nothing echoes, nothing is doubled, nothing is raised."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iw_operators.engine import Action, Binding, Candidate, Known, Record, Value, Values, money
from iw_operators.engine.compare import same, text_key
from iw_operators.spec.catalogue import FieldDef, FieldType
from iw_operators.spec.models import Operations, Owner
from iw_operators.spec.resolved import MappedField, ResolvedMapping
from tests.engine.make import (
    DATE,
    DATETIME,
    DECIMAL,
    MEMO,
    MONEY,
    PHONE,
    TERMS,
    Memory,
    Pair,
    Store,
    field_def,
    mapped,
    mapping,
    to_books,
    to_crm,
)

NAMES = st.sampled_from(["Acme", "ACME Inc.", "Acme  ", "Bolt", "bolt llc", "Çelik", "Дом", "x" * 45, "a:b", "😀", ""])
TEXTS = st.one_of(st.none(), st.sampled_from(["1", "2", "3", " 2 ", "two\r\nlines", "two\nlines", "é", "🏳️‍🌈"]))
AMOUNTS = st.one_of(st.none(), st.sampled_from([Decimal(1), Decimal("1.00"), Decimal("2.005"), Decimal(-3)]))
DATES = st.one_of(st.none(), st.sampled_from([dt.date(2026, 1, 1), dt.date(2026, 6, 30)]))
KINDS = st.one_of(st.none(), st.sampled_from(["Hot", "Warm", "Tepid"]))
LINE = st.fixed_dictionaries({"text": TEXTS, "amount": AMOUNTS})
CRM_VALUES = st.fixed_dictionaries(
    {
        "name": NAMES,
        "latest": TEXTS,
        "crms": TEXTS,
        "books": TEXTS,
        "fee": AMOUNTS,
        "day": DATES,
        "kind": KINDS,
        "lines": st.lists(LINE, max_size=2).map(tuple),
    }
)
BOOKS_VALUES = st.fixed_dictionaries(
    {
        "name": NAMES.map(lambda name: name[:41].replace(":", "")),
        "latest": TEXTS,
        "crms": TEXTS,
        "books": TEXTS,
        "fee": AMOUNTS,
        "day": DATES,
        "kind": st.one_of(st.none(), st.sampled_from(["A", "B"])),
        "lines": st.lists(LINE, max_size=2).map(tuple),
        "computed": TEXTS,
    }
)


def made(owner_of_lines: Owner = Owner.LATEST) -> ResolvedMapping:
    """Return a mapping in which every kind of field and owner occurs."""
    return mapping(
        (
            mapped("name", books=field_def(required=True, length=41, forbidden=":"), shorten=True),
            mapped("latest"),
            mapped("crms", owner=Owner.CRM),
            mapped("books", owner=Owner.BOOKS),
            mapped("fee", field_def(MONEY), field_def(MONEY)),
            mapped("day", field_def(DATE), field_def(DATE)),
            mapped("kind", values={"Hot": "A", "Warm": "B", "Tepid": "B"}, default_books="A"),
            mapped("computed", None, True, owner=Owner.CRM, to_books="(name | upper) ~ crms"),
        ),
        lines=(
            mapped("text", field_def(MEMO), field_def(MEMO), owner=owner_of_lines),
            mapped("amount", field_def(MONEY), field_def(MONEY), owner=owner_of_lines),
        ),
    )


def strip(_: str, value: Value) -> Value:
    """Store text as many systems do: without blanks around it, with LF line breaks, empty as nothing."""
    return (value.replace("\r\n", "\n").strip() or None) if isinstance(value, str) else value


def shout(name: str, value: Value) -> Value:
    """Store one field in a form of the system's own."""
    return (
        value.upper() + "!" if name == "latest" and isinstance(value, str) and "!" not in value else strip(name, value)
    )


def pair(crm: Sequence[Values], books: Sequence[Values], manner: Store | None = None) -> Pair:
    """Return two systems with these records."""
    found = Pair(Memory(manner=manner), Memory(manner=manner)) if manner else Pair()
    for number, values in enumerate(crm):
        found.crm.put(f"c{number}", values)
    for number, values in enumerate(books):
        found.books.put(f"b{number}", values)
    return found


PAIRS = st.tuples(st.lists(CRM_VALUES, max_size=5), st.lists(BOOKS_VALUES, max_size=5))
WRITES = (Action.CREATE, Action.UPDATE)
MORE = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.feature("B3")
@MORE
@given(PAIRS, st.sampled_from([None, strip]), st.booleans())
def test_planning_twice_gives_nothing_the_second_time(records: Any, manner: Any, towards_books: bool) -> None:
    """Once a plan is applied, the same direction finds nothing more to write."""
    systems = pair(records[0], records[1], manner)
    compiled = (to_books if towards_books else to_crm)(made())
    first = systems.run(compiled)
    writes = systems.crm.writes + systems.books.writes
    second = systems.run(compiled)
    assert not [each for each in second if each.action in WRITES]
    assert systems.crm.writes + systems.books.writes == writes
    for before, after in zip(first, second, strict=True):
        assert after.action is (Action.UNCHANGED if before.action in WRITES else before.action)


@pytest.mark.feature("B3")
@MORE
@given(
    PAIRS,
    st.lists(st.booleans(), min_size=2, max_size=5),
    st.sampled_from([None, strip, shout]),
    st.sampled_from(list(Owner)),
)
def test_both_directions_in_any_order_settle(
    records: Any, order: list[bool], manner: Any, owner_of_lines: Owner
) -> None:
    """Whatever ran before, each direction once or twice more brings both sides to rest: no echo goes to and fro."""
    systems = pair(records[0], records[1], manner)
    both = made(owner_of_lines)
    for towards_books in [*order, True, False, True, False]:
        systems.run((to_books if towards_books else to_crm)(both))
    writes = (systems.crm.writes, systems.books.writes)
    for compiled in (to_books(both), to_crm(both), to_crm(both), to_books(both)):
        systems.run(compiled)
    assert (systems.crm.writes, systems.books.writes) == writes


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["crm", "books"]), st.integers(0, 3), st.sampled_from(["latest", "crms", "books", "fee"])
    ).flatmap(lambda at: st.tuples(st.just(at), AMOUNTS if at[2] == "fee" else TEXTS)),
    max_size=6,
)


@pytest.mark.feature("B3")
@MORE
@given(st.lists(CRM_VALUES, min_size=1, max_size=3), CHANGES, st.booleans())
def test_changes_on_both_sides_arrive_or_are_held(records: Any, changes: Any, towards_books_first: bool) -> None:
    """After changes on either side, every bound record ends with the owner's values on both sides, or as a conflict."""
    both = made()
    systems = pair([{**each, "name": f"{number}"} for number, each in enumerate(records)], [])
    systems.run(to_books(both))
    systems.run(to_crm(both))
    for (side, number, field), value in changes:
        memory = systems.side(side)
        ids = sorted(memory.records)
        memory.put(ids[number % len(ids)], {field: value})
    crm_before = {key: dict(each.values) for key, each in systems.crm.records.items()}
    books_before = {key: dict(each.values) for key, each in systems.books.records.items()}
    base = dict(systems.bindings)
    order = [to_books(both), to_crm(both)] if towards_books_first else [to_crm(both), to_books(both)]
    held: set[tuple[str, str]] = set()
    for compiled in (*order, *order):
        for decision in systems.run(compiled):
            if decision.code == "iw.conflict":
                mine, theirs = decision.source_id, str(decision.target_id)
                held.add((mine, theirs) if compiled.source == "crm" else (theirs, mine))
    for (crm_id, books_id), binding in base.items():
        crm, books = systems.crm.records[crm_id].values, systems.books.records[books_id].values
        was_crm, was_books = crm_before[crm_id], books_before[books_id]
        conflict = any(
            not same(was_crm[each], binding.base_source[each])
            and not same(was_books.get(each), binding.base_target[each])
            and not same(rounded(was_crm[each]), rounded(was_books.get(each)))
            for each in ("latest", "fee")
        )
        assert ((crm_id, books_id) in held) is conflict
        if conflict:
            assert (crm["latest"], books.get("latest")) == (was_crm["latest"], was_books.get("latest"))
            continue
        for each in ("latest", "fee"):
            assert same(rounded(crm[each]), rounded(books.get(each)))
            changed = was_crm if not same(was_crm[each], binding.base_source[each]) else was_books
            assert same(rounded(crm[each]), rounded(changed.get(each)))
        if text_key(was_crm["crms"]) is not None:
            assert same(books["crms"], was_crm["crms"])
        assert same(crm["crms"], was_crm["crms"])
        assert same(books.get("books"), was_books.get("books"))


def rounded(value: Value) -> Value:
    """Return money as both sides keep it."""
    return money.quantised(value, 2) if isinstance(value, Decimal) else value


@pytest.mark.feature("M2")
@MORE
@given(PAIRS)
def test_no_two_creates_for_one_key(records: Any) -> None:
    """However many records share a key, at most one is created under it, over any number of pages."""
    systems = pair(*records)
    compiled = to_books(made())
    created: Counter[str] = Counter()
    for page in (sorted(systems.crm.records)[:2], sorted(systems.crm.records)[2:]):
        for decision in systems.run(compiled, page):
            if decision.action is Action.CREATE:
                key = compiled.match_key(decision.send)
                assert key is not None
                created[key] += 1
    assert all(count == 1 for count in created.values())
    keys = {compiled.match_key(values) for values in records[1]}
    assert not keys & set(created)


@pytest.mark.feature("M2")
@MORE
@given(PAIRS, st.randoms(use_true_random=False))
def test_order_of_records_does_not_matter(records: Any, random: Any) -> None:
    """Each record gets the same decision in any order of the page; only of new ones with one key the first is made."""
    systems = pair(*records)
    compiled = to_books(made())
    known = systems.known(compiled)
    page = list(systems.crm.records.values())
    shuffled = list(page)
    random.shuffle(shuffled)
    plans = [
        {each.source_id: each for each in compiled.plan(compiled.prepare(order)[0], known)}
        for order in (page, shuffled)
    ]
    for one, other in ((plans[0][each.id], plans[1][each.id]) for each in page):
        if Action.CREATE in (one.action, other.action):
            assert {one.action, other.action} <= {Action.CREATE, Action.HOLD}
        else:
            assert (one.action, one.code, one.target_id, one.send) == (
                other.action,
                other.code,
                other.target_id,
                other.send,
            )
    assert Counter(each.action for each in plans[0].values()) == Counter(each.action for each in plans[1].values())


@pytest.mark.feature("M2")
@MORE
@given(PAIRS)
def test_each_target_gets_one_partner(records: Any) -> None:
    """No plan gives a target to two sources, nor a source two targets."""
    systems = pair(*records)
    both = made()
    for compiled in (to_books(both), to_crm(both), to_books(both)):
        systems.run(compiled)
        assert len({crm for crm, _ in systems.bindings}) == len(systems.bindings)
        assert len({books for _, books in systems.bindings}) == len(systems.bindings)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(),
    st.text(alphabet=st.characters(categories=["Cs", "Cc", "So", "Mn", "Lo"])),
    st.decimals(),
    st.sampled_from([Decimal("sNaN"), Decimal("1e999999999"), Decimal("-1e-999999999"), "1e999999999", "x" * 10_000]),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=14))])),
    st.sampled_from([dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC), dt.date.max]),
    st.just(()),
)
ALIEN = st.one_of(SCALARS, st.sampled_from([b"bytes", [1], {"a": 1}, 1.5, float("nan"), object(), ([1],)]))
WILD_FIELDS: tuple[MappedField, ...] = (
    mapped("name", books=field_def(required=True, length=41, forbidden=":")),
    mapped("phone", field_def(PHONE), field_def(PHONE)),
    mapped("money", field_def(MONEY), field_def(MONEY)),
    mapped("number", field_def(DECIMAL), field_def(DECIMAL, scale=4)),
    mapped("integer", field_def(FieldType.INTEGER), field_def(FieldType.INTEGER)),
    mapped("flag", field_def(FieldType.BOOLEAN), field_def(FieldType.BOOLEAN)),
    mapped("day", field_def(DATE), field_def(DATE)),
    mapped("moment", field_def(DATETIME), field_def(DATETIME)),
    mapped("terms", books=field_def(lookup=TERMS)),
    mapped("kind", values={"Hot": "A"}),
    mapped("exchange_rate", field_def(DECIMAL), field_def(DECIMAL)),
    mapped("currency"),
    mapped("short", books=field_def(length=5), shorten=True),
    mapped("sum", field_def(MONEY), field_def(MONEY), to_books="value * number / integer"),
    mapped("joined", to_books="(name ~ day ~ lines | length)[:40] | replace(name, phone)"),
    mapped("ref", FieldDef(native="R", type=FieldType.REF), FieldDef(native="R", type=FieldType.REF), ref_mapping="m"),
)
WILD_LINES = tuple(mapped(each, field_def(DECIMAL), field_def(MONEY)) for each in ("quantity", "price", "amount"))


def wild(scalars: st.SearchStrategy[Any]) -> st.SearchStrategy[Record]:
    """Return records that hold any such values in any field."""
    values = st.dictionaries(st.sampled_from([each.name for each in WILD_FIELDS]), scalars)
    line = st.dictionaries(st.sampled_from(["quantity", "price", "amount"]), scalars)
    return st.builds(
        lambda id_, values, lines, deleted, active: Record(
            id_, {**values, **({} if lines is None else {"lines": lines})}, "v", deleted=deleted, active=active
        ),
        st.text(max_size=3),
        values,
        st.one_of(st.none(), st.lists(line, max_size=3).map(tuple), scalars),
        st.booleans(),
        st.booleans(),
    )


WILD = st.one_of(
    st.tuples(st.just(False), st.lists(wild(SCALARS), min_size=1, max_size=4), wild(SCALARS)),
    st.tuples(st.just(True), st.lists(wild(ALIEN), min_size=1, max_size=4), wild(ALIEN)),
)


@pytest.mark.feature("M25")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(WILD, st.booleans(), st.sampled_from(list(Operations)), st.booleans())
def test_nothing_that_a_record_holds_stops_a_page(
    records_and_target: Any, bound: bool, operations: Operations, towards_books: bool
) -> None:
    """Every record gets exactly one decision whatever it holds, and a good record beside it goes its way."""
    alien, records, target = records_and_target
    compiled = (to_books if towards_books else to_crm)(mapping(WILD_FIELDS, lines=WILD_LINES), operations)
    good = Record("good one", {"name": "Good & Sons", "money": Decimal(1)})
    prepared, wants = compiled.prepare([*records, good])
    assert all(isinstance(key, str) and key.encode() and "\x00" not in key for key in wants.keys)
    base: Values = {"name": "old", "lines": ()}
    known = Known(
        bindings={records[0].id: Binding(records[0].id, target.id, base, base)} if bound else {},
        targets={target.id: target},
        lookups={"terms": dict.fromkeys(wants.lookups.get("terms", ()), "1")},
        candidates={key: [Candidate(target.id, target.label)] for key in list(wants.keys)[:1] if "good" not in key},
    )
    decisions = compiled.plan(prepared, known)
    assert [each.source_id for each in decisions] == [each.id for each in (*records, good)]
    for decision in decisions:
        assert decision.why
        assert alien or decision.code != "iw.unexpected"
        for text in (decision.why, decision.label, decision.advice):
            text.encode()
            assert "\x00" not in text
        if decision.action in (Action.HOLD, Action.REJECT):
            assert decision.code
            assert decision.advice
        assert bool(decision.send) is (decision.action in WRITES)
    permitted = operations in (Operations.CREATE_AND_UPDATE, Operations.CREATE_ONLY)
    assert decisions[-1].action is (Action.CREATE if permitted else Action.SKIP)


@given(st.lists(CRM_VALUES, min_size=1, max_size=4))
def test_echo_agrees_with_the_plan(records: Any) -> None:
    """Where the shortcut says unchanged, so does the plan; after a run of both directions it says so for all."""
    both = made()
    systems = pair([{**each, "name": f"{number}"} for number, each in enumerate(records)], [])
    systems.run(to_books(both))
    systems.run(to_crm(both))
    systems.run(to_books(both))
    for compiled in (to_books(both), to_crm(both)):
        bindings = systems.bindings_of(compiled.source)
        source = systems.side(compiled.source).records
        prepared, _ = compiled.prepare(list(source.values()))
        for decision in compiled.plan(prepared, systems.known(compiled)):
            echo = compiled.echo(source[decision.source_id], bindings[decision.source_id])
            assert decision.action is Action.UNCHANGED
            assert echo is not None
            assert (echo.action, echo.source, echo.target_id) == (
                decision.action,
                decision.source,
                decision.target_id,
            )
            changed = replace(source[decision.source_id], values={**source[decision.source_id].values, "latest": "new"})
            assert compiled.echo(changed, bindings[decision.source_id]) is None
