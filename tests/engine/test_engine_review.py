"""What a person is shown before anything is bound, and what may be bound afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iw_operators.engine import Action, Binding, Candidate, Compiled, Known, Record, matching
from iw_operators.engine.model import Unbound
from iw_operators.engine.problems import Names
from iw_operators.engine.review import Approved, Claim, Found, Present, binding_decisions, shared
from tests.engine.make import BOOKS, CRM, NAME, mapped, mapping, record, to_books, to_crm

pytestmark = pytest.mark.feature("P4", "M1", "M2")

NAMES = Names(CRM, BOOKS)


def compiled(by: str = "id", **options: Any) -> Compiled:
    """Return a mapping that matches by id, then by name and phone."""
    bind = {"by": by, "else": ["name", "phone"]} | ({"id_field": "BooksId"} if by == "id" else {})
    return to_books(mapping([NAME, mapped("phone")], bind=bind, id_field=by == "id", **options))


def looked(made: Compiled, sources: Sequence[Record], targets: Sequence[Record], **known: Any) -> list[Found]:
    """Return the sheet's rows for sources, with all targets in the index."""
    candidates: dict[str, list[Candidate]] = {}
    owners: Mapping[str, str] = known.pop("owners", {})
    for target in targets:
        for key in made.index_keys(target.values, target.id):
            label = str(target.values.get("name"))
            candidates.setdefault(key, []).append(Candidate(target.id, label, owners.get(target.id)))
    prepared, _ = made.prepare(sources)
    return made.review(prepared, Known(targets={t.id: t for t in targets}, candidates=candidates, **known))


def test_the_same_name_and_criteria_are_exact_and_another_spelling_is_not() -> None:
    """All criteria have to agree in any case; whether the name does letter by letter tells the two apart."""
    target = record("b1", name="Acme, Inc.", phone="617 555 0100")
    (same,) = looked(compiled(), [record("a", name="Acme, Inc.", phone="(617) 555-0100")], [target])
    assert (same.finding, same.target_id, same.by) == ("exact", "b1", "name and phone")
    (other,) = looked(compiled(), [record("a", name="ACME", phone="(617) 555-0100")], [target])
    assert (other.finding, other.target_id) == ("candidate", "b1")
    (none,) = looked(compiled(), [record("a", name="Acme, Inc.", phone="617 555 0199")], [target])
    assert (none.finding, none.target_id) == ("none", "")


def test_a_record_without_a_phone_has_nothing_to_be_looked_for_by() -> None:
    """The reason names what is missing."""
    (row,) = looked(compiled(), [record("a", name="Acme")], [])
    assert (row.finding, row.why) == ("none", "it has no phone to look for a partner by")


def test_by_id_goes_before_everything() -> None:
    """A record that names its partner has found it, whatever both are called; one that is not there is said."""
    named = record("a", name="Acme", phone="1", **{"bind.id": "b7"})
    (row,) = looked(compiled(), [named], [record("b7", name="Other"), record("b1", name="Acme", phone="1")])
    assert (row.finding, row.target_id, row.by) == ("exact", "b7", "id")
    (gone,) = looked(compiled(), [record("a", name="Acme", phone="1", **{"bind.id": "b9"})], [])
    assert (gone.finding, gone.why) == ("none", f'names "b9" as its partner, which {BOOKS} does not have')


def test_by_full_name_is_exact_also_when_written_otherwise() -> None:
    """Where the mapping binds by full name, the normalised one is what counts."""
    made = compiled("full_name")
    (row,) = looked(made, [record("a", name="Acme Inc")], [record("b1", name="ACME")])
    assert (row.finding, row.by) == ("exact", "full name")


def test_several_partners_and_those_of_others() -> None:
    """Several free ones are ambiguous; one that belongs to another record is told, and cannot be had."""
    two = [record("b1", name="Acme", phone="1"), record("b2", name="ACME", phone="1")]
    (row,) = looked(compiled(), [record("a", name="Acme", phone="1")], two)
    assert (row.finding, row.target_id, {each.id for each in row.candidates}) == ("ambiguous", "", {"b1", "b2"})
    (taken,) = looked(compiled(), [record("a", name="Acme", phone="1")], two[:1], owners={"b1": "z"})
    assert taken.finding == "none"
    assert "belongs to z" in taken.why


@pytest.mark.parametrize(
    ("state", "finding", "word"),
    [
        ({"active": False}, "ambiguous", "inactive"),
        ({"voided": True}, "none", "voided"),
        ({"deleted": True}, "none", "no longer"),
    ],
)
def test_a_partner_in_an_unusual_state_is_not_exact(state: dict[str, bool], finding: str, word: str) -> None:
    """Inactive is for a person to decide; voided or gone is no partner."""
    target = replace(record("b1", name="Acme", phone="1"), **state)  # type: ignore[arg-type]  # flags of a record
    (row,) = looked(compiled(), [record("a", name="Acme", phone="1")], [target])
    assert row.finding == finding
    assert word in row.why


def test_what_was_unbound_once_is_for_a_person() -> None:
    """Neither side of a binding that was taken away and waits is matched by itself."""
    sources, targets = [record("a", name="Acme", phone="1")], [record("b1", name="Acme", phone="1")]
    (mine,) = looked(compiled(), sources, targets, unbound={"a": Unbound("b9", 3, held=True)})
    (theirs,) = looked(compiled(), sources, targets, held_targets={"b1"})
    assert (mine.finding, theirs.finding) == ("ambiguous", "ambiguous")
    assert "waits for a person" in mine.why


def test_bound_and_gone_records_are_left_out() -> None:
    """A row is made for each record that is there and has no partner, and for no other."""
    gone = replace(record("g", name="Acme", phone="1"), active=False)
    rows = looked(
        compiled(),
        [record("a", name="A", phone="1"), record("b", name="B", phone="1"), gone],
        [],
        bindings={"a": Binding("a", "b1", {}, {})},
    )
    assert [row.source_id for row in rows] == ["b"]


def test_a_crm_record_that_names_another_partner_is_not_free() -> None:
    """From the books: the CRM's record says whose it is."""
    made = to_crm(mapping([NAME], bind={"by": "id", "id_field": "X", "else": ["name"]}, id_field=True))
    (row,) = looked(made, [record("b1", name="Acme")], [record("a1", name="Acme", **{"bind.id": "b2"})])
    assert row.finding == "none"
    assert "names b2" in row.why


def test_who_shares_a_partner() -> None:
    """All rivals become ambiguous; one alone that names the partner's id keeps it; lone rows are left alone."""
    told = shared([Claim(1, "a", "t1", "name"), Claim(2, "b", "t1", "name"), Claim(3, "c", "t2", "name")])
    assert set(told) == {1, 2}
    told = shared([Claim(1, "a", "t1", "id"), Claim(2, "b", "t1", "name")])
    assert set(told) == {2}
    assert set(shared([Claim(1, "a", "t1", "id"), Claim(2, "b", "t1", "id")])) == {1, 2}


@given(
    pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12),
    bound=st.dictionaries(st.integers(0, 5), st.integers(0, 5), max_size=3),
    there=st.sets(st.integers(0, 5)),
)
def test_no_record_is_ever_bound_twice(pairs: list[tuple[int, int]], bound: dict[int, int], there: set[int]) -> None:
    """Whatever was approved and whatever has happened since, each partner goes to one record at the most."""
    rows = [
        Approved(f"a{mine}", f"b{target}", "", "m")
        for mine, target in {mine: (mine, target) for mine, target in pairs}.values()
    ]
    taken = {f"b{target}": f"a{mine}" for mine, target in bound.items()}
    present = Present(
        sources={f"a{each}": record(f"a{each}") for each in range(6)},
        targets={f"b{each}": record(f"b{each}") for each in there},
        bound={mine: target for target, mine in taken.items()},
        taken=taken,
    )
    decisions = binding_decisions(rows, present, "crm", NAMES)
    assert [decision.source_id for decision in decisions] == [row.source_id for row in rows]
    made = [decision for decision in decisions if decision.binds]
    assert len({decision.target_id for decision in made}) == len(made)
    for decision in made:
        assert decision.target_id not in taken
        assert decision.source_id not in present.bound
        assert decision.target_id in present.targets
    assert all(decision.action in (Action.UNCHANGED, Action.HOLD) for decision in decisions)


def test_a_binding_carries_no_base_and_what_the_crm_is_told() -> None:
    """The next flow compares both as if for the first time; the generation goes on beyond what was before."""
    present = Present(
        sources={"a": record("a", name="Acme")},
        targets={"b": record("b", name="Acme", full_name="Top:Acme", number="7")},
        left={"a": Unbound("b9", 4)},
        left_targets={"b": Unbound("a9", 6)},
    )
    (decision,) = binding_decisions([Approved("a", "b", "Acme", "maria")], present, "crm", NAMES)
    assert (decision.action, decision.binds, decision.generation) == (Action.UNCHANGED, True, 7)
    assert (decision.source, decision.target, decision.source_version) == ({}, {}, "")
    assert decision.send == {"full_name": "Top:Acme", "number": "7"}
    assert matching.ID_FIELD not in decision.send
