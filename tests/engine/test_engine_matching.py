"""Finding the partner of a record that is not bound (M1, M2)."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from cleanco import basename
from hypothesis import given
from hypothesis import strategies as st

from iw_operators.engine import Action, Binding, Candidate, DefaultNormaliser, Known, Record
from iw_operators.engine.matching import normal_name, normal_phone
from iw_operators.spec.catalogue import FieldDef
from iw_operators.spec.models import Operations, Owner
from tests.engine.make import BOOKS, CRM, NAME, PHONE, field_def, mapped, mapping, plan_one, record, to_books, to_crm

CONTACT = (NAME, mapped("phone", field_def(PHONE), field_def(PHONE)))
ADDRESS = tuple(
    mapped(f"billing.{each}", field_def(), field_def())
    for each in ("street", "city", "region", "postal_code", "country")
)


@pytest.mark.feature("M1")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Acme, Inc.", "ACME"),
        ("Acme Incorporated", "acme inc"),
        ("Acme Co., Ltd.", "Acme"),
        ("Acme L.L.C.", "Acme LLC"),
        ("Müller GmbH & Co. KG", "MÜLLER"),
        ("Łódź Sp. z o.o.", "łódź"),
        ("Smith & Sons", "Smith and Sons"),
        ("O'Brien", "O’Brien"),
        ("Bright-Harbour  Systems", "bright harbour systems"),
        ("Ａｃｍｅ", "Acme"),
        ("Straße", "STRASSE"),
        ("Acme & Co", "Acme"),
        ("Maersk A/S", "Maersk AS"),
        ("Acme, S.A. de C.V.", "Acme"),
        ("Acme\u200b Foods", "Acme Foods"),
        ("S.A.", "SA"),
        ("GmbH & Co", "GmbH and Co."),
    ],
)
def test_names_that_are_the_same(one: str, other: str) -> None:
    """Case, punctuation, width and legal form do not make another name."""
    assert normal_name(one) == normal_name(other) != ""


@pytest.mark.feature("M1")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Acme UK", "Acme"),
        ("Acme UK", "Acme NL"),
        ("SA", "AG"),
        ("Team 🔴", "Team 🔵"),
        ("C++ Consulting", "C Consulting"),
        ("Muller", "Müller"),
        ("株式会社トヨタ", "トヨタ"),
        ("Limited Brands", "Brands"),
        ("Charleston SC", "Charleston"),
        ("!!!", "???"),
    ],
)
def test_names_that_differ(one: str, other: str) -> None:
    """A country, a symbol, an accent or a legal form in front makes another name; a mere legal form stays one."""
    assert normal_name(one) != normal_name(other)
    assert normal_name(one)
    assert normal_name(other)


@pytest.mark.parametrize(
    "name", ["Acme Inc", "Acme Limited", "Acme Pty Ltd", "Acme GmbH", "Acme Corporation", "Acme SpA", "Acme Oy", "Acme"]
)
def test_legal_forms_are_those_of_cleanco(name: str) -> None:
    """Where the library takes a legal form off, so do we."""
    assert normal_name(name) == basename(name).casefold()


@given(st.text(max_size=40))
def test_normal_name_is_stable(name: str) -> None:
    """A normalised name has no capitals, no double blanks and stays as it is when normalised in other capitals."""
    made = normal_name(name)
    assert made == " ".join(made.split())
    assert normal_name(f"  {name}\t") == made
    assert bool(made) == bool(name.split())


@pytest.mark.feature("M1")
@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("(617) 555-0100", "+1 617.555.0100", True),
        ("617-555-0100 x12", "+16175550100 ext. 12", True),
        ("617-555-0100 x12", "617-555-0100", False),
        ("617-555-0100", "617-555-0101", False),
        ("+44 20 7946 0958", "+442079460958", True),
        ("ask for 12", "12", True),
        ("call me", "", True),
    ],
)
def test_phones(one: str, other: str, equal: bool) -> None:
    """Phones are compared by what is dialled; what is no number has only its digits."""
    assert (normal_phone(one, "US") == normal_phone(other, "US")) is equal


def test_phones_are_read_in_the_company_country() -> None:
    """A number without country code belongs to the company's country."""
    made = mapping(CONTACT, bind={"by": "criteria", "else": ["phone"]}, company={"country": "GB"})
    compiled = to_books(made)
    assert compiled.match_key({"phone": "020 7946 0958"}) == compiled.match_key({"phone": "+44 20 7946 0958"})


@pytest.mark.feature("M1")
def test_names_as_they_are() -> None:
    """With normalize_names: false a name has to agree in every character; phones are still numbers."""
    compiled = to_books(mapping(CONTACT, bind={"by": "criteria", "else": ["name", "phone"], "normalize_names": False}))
    key = compiled.match_key({"name": " Acme ", "phone": "617 555 0100"})
    assert key == compiled.match_key({"name": "Acme", "phone": "(617) 555-0100"})
    assert key != compiled.match_key({"name": "ACME", "phone": "617 555 0100"})
    assert key != compiled.match_key({"name": "Acme, Inc.", "phone": "617 555 0100"})


@pytest.mark.feature("M1")
@pytest.mark.parametrize("criteria", [["name"], ["name", "phone"], ["name", "address"], ["name", "phone", "address"]])
def test_criteria_leave_the_street_out(criteria: list[str]) -> None:
    """Every criterion has to agree; the address counts without its street."""
    compiled = to_books(mapping((*CONTACT, *ADDRESS), bind={"by": "criteria", "else": criteria}))
    values = {"name": "Acme", "phone": "6175550100", "billing.city": "Boston", "billing.postal_code": "02110"}
    key = compiled.match_key({**values, "billing.street": "1 Main St"})
    assert key is not None
    assert key == compiled.match_key({**values, "name": "ACME Inc.", "billing.street": "2 Main St"})
    others = {"name": {"name": "Other"}, "phone": {"phone": "6175550199"}, "address": {"billing.city": "Salem"}}
    for word in criteria:
        assert key != compiled.match_key({**values, **others[word]})
    for word in ("name", "phone"):
        if word in criteria:
            assert compiled.match_key({**values, word: None}) is None
    if "address" in criteria:
        assert compiled.match_key({"name": "Acme", "phone": "6175550100", "billing.region": "MA"}) is None


def candidates(key: str | None, *found: Candidate) -> dict[str, list[Candidate]]:
    """Return an index with one key."""
    assert key is not None
    return {key: list(found)}


@pytest.mark.feature("M2")
def test_one_free_candidate_binds() -> None:
    """Exactly one free candidate becomes the partner, and what differs goes there."""
    compiled = to_books(mapping(CONTACT))
    source = record("a", name="Acme, Inc.", phone="1")
    known = candidates(compiled.match_key(source.values), Candidate("7", "Acme"))
    targets = {"7": record("7", "v3", name="Acme", phone="2")}
    decision = plan_one(compiled, source, candidates=known, targets=targets)
    assert decision.action is Action.UPDATE
    assert decision.binds
    assert (decision.target_id, decision.target_version) == ("7", "v3")
    assert {change.field: (change.old, change.new) for change in decision.changes} == {
        "name": ("Acme", "Acme, Inc."),
        "phone": ("2", "1"),
    }
    assert decision.why == "partner found by name; name, phone differ"


@pytest.mark.feature("M2")
def test_one_equal_candidate_binds_unchanged() -> None:
    """A partner that holds the same is bound without being written to."""
    compiled = to_books(mapping(CONTACT))
    source = record("a", name="Acme", phone=None)
    known = candidates(compiled.match_key(source.values), Candidate("7", "Acme"))
    decision = plan_one(compiled, source, candidates=known, targets={"7": record("7", name="Acme")})
    assert (decision.action, decision.binds, decision.send) == (Action.UNCHANGED, True, {})


@pytest.mark.feature("M2")
def test_several_candidates_hold() -> None:
    """Several candidates are listed for a person; nothing is guessed, nothing created."""
    compiled = to_books(mapping(CONTACT))
    source = record("a", name="Acme")
    known = candidates(compiled.match_key(source.values), Candidate("8", "ACME"), Candidate("7", "Acme Inc"))
    decision = plan_one(compiled, source, candidates=known)
    assert (decision.action, decision.code) == (Action.HOLD, "iw.ambiguous")
    assert [each.id for each in decision.candidates] == ["7", "8"]
    assert f'2 records in {BOOKS} agree in name: "Acme Inc" (7), "ACME" (8)' in decision.why


@pytest.mark.feature("M2")
def test_candidate_of_another_record_holds() -> None:
    """A candidate that belongs to another record never gets a second partner, nor a duplicate beside it."""
    compiled = to_books(mapping(CONTACT))
    source = record("a", name="Acme")
    known = candidates(compiled.match_key(source.values), Candidate("7", "Acme", bound_to="b"))
    decision = plan_one(compiled, source, candidates=known)
    assert (decision.action, decision.code) == (Action.HOLD, "iw.bound_elsewhere")
    assert f"belongs to b of {CRM}" in decision.why


@pytest.mark.feature("M2")
def test_candidate_bound_in_this_very_page_is_taken() -> None:
    """Bindings of the page count, even where the index of candidates does not know them yet."""
    compiled = to_books(mapping(CONTACT))
    bound, new = record("b", name="Acme"), record("a", name="Acme")
    prepared, wants = compiled.prepare([bound, new], bound={"b"})
    assert prepared[0].keys == ()
    key = compiled.match_key(new.values)
    assert wants.keys == {key}
    target = record("7", name="Acme")
    known = Known(
        bindings={"b": Binding("b", "7", {}, {})},
        targets={"7": target},
        candidates=candidates(key, Candidate("7", "Acme")),
    )
    assert [each.action for each in compiled.plan(prepared, known)] == [Action.UNCHANGED, Action.HOLD]


@pytest.mark.feature("M2")
def test_free_candidate_beside_a_taken_one_binds() -> None:
    """Where all but one of the candidates belong to others, that one is the partner."""
    compiled = to_books(mapping(CONTACT))
    source = record("a", name="Acme")
    known = candidates(compiled.match_key(source.values), Candidate("7", "A", bound_to="b"), Candidate("8", "A"))
    decision = plan_one(compiled, source, candidates=known, targets={"8": record("8", name="Acme")})
    assert (decision.action, decision.target_id) == (Action.UNCHANGED, "8")


@pytest.mark.feature("M2")
def test_missing_component_is_no_match() -> None:
    """A record without one of the criteria matches nothing, and the reason says so."""
    compiled = to_books(mapping(CONTACT, bind={"by": "criteria", "else": ["name", "phone"]}))
    decision = plan_one(compiled, record("a", name="Acme"))
    assert decision.action is Action.CREATE
    assert "it has no phone to look for one by" in decision.why


@pytest.mark.feature("M1")
def test_by_id_before_criteria() -> None:
    """The id that the CRM's record holds decides before its name."""
    compiled = to_books(mapping(CONTACT, bind={"by": "id", "else": ["name"]}, id_field=True))
    source = replace(record("a"), values={"name": "Acme", "bind.id": "7"})
    prepared, wants = compiled.prepare([source])
    assert wants.ids == {"a": "7"}
    assert prepared[0].keys[0] == "id:7"
    assert "bind.id" in compiled.source_view_fields
    by_name = candidates(compiled.match_key(source.values), Candidate("9", "Acme"))
    targets = {"7": record("7", name="Zenith"), "9": record("9", name="Acme")}
    assert compiled.index_keys({"name": "Zenith"}, "7")[0] == "id:7"
    for known in (by_name, {**by_name, "id:7": [Candidate("7", "Zenith")]}):
        decision = compiled.plan(prepared, Known(candidates=known, targets=targets))[0]
        assert (decision.action, decision.target_id) == (Action.UPDATE, "7")
        assert decision.why.startswith("partner found by id")
    taken = compiled.plan(prepared, Known(candidates=by_name, targets=targets, bound={"7": "z"}))[0]
    assert (taken.action, taken.code) == (Action.HOLD, "iw.bound_elsewhere")


@pytest.mark.feature("M1")
def test_id_that_names_nothing() -> None:
    """An id that the target does not have falls back to the criteria, and without them holds: no duplicate is made."""
    compiled = to_books(mapping(CONTACT, bind={"by": "id", "else": ["name"]}, id_field=True))
    source = replace(record("a"), values={"name": "Acme", "bind.id": "7"})
    decision = plan_one(compiled, source)
    assert (decision.action, decision.code) == (Action.HOLD, "iw.target_missing")
    assert 'names "7"' in decision.why
    known = candidates(compiled.match_key(source.values), Candidate("9", "Acme"))
    bound = plan_one(compiled, source, candidates=known, targets={"9": record("9", name="Acme")})
    assert (bound.action, bound.target_id) == (Action.UNCHANGED, "9")


@pytest.mark.feature("M1")
def test_by_id_from_the_books() -> None:
    """Towards the CRM the id stands in the CRM's record, and its index is keyed by it."""
    compiled = to_crm(mapping(CONTACT, bind={"by": "id", "else": ["name"]}, id_field=True))
    assert compiled.index_keys({"name": "Acme", "bind.id": "7"}, "guid")[0] == "id:7"
    assert "bind.id" in compiled.target_view_fields
    target = replace(record("guid"), values={"name": "Old", "bind.id": "7"})
    known = {"id:7": [Candidate("guid", "Old")]}
    decision = plan_one(compiled, record("7", name="New"), candidates=known, targets={"guid": target})
    assert (decision.action, decision.target_id) == (Action.UPDATE, "guid")


@pytest.mark.feature("M2")
def test_target_that_names_another_partner_is_not_taken() -> None:
    """A CRM record found by name that names another record of the books is left alone."""
    compiled = to_crm(mapping(CONTACT, bind={"by": "id", "else": ["name"]}, id_field=True))
    target = replace(record("guid"), values={"name": "Acme", "bind.id": "8"})
    source = record("7", name="Acme")
    known = candidates(compiled.match_key(source.values), Candidate("guid", "Acme"))
    decision = plan_one(compiled, source, candidates=known, targets={"guid": target})
    assert (decision.action, decision.code) == (Action.HOLD, "iw.bound_elsewhere")


@pytest.mark.feature("M1")
def test_by_full_name() -> None:
    """Full names are compared level by level."""
    fields = (NAME, mapped("full_name", books=FieldDef(native="F", writable=False), owner=Owner.BOOKS))
    compiled = to_books(mapping(fields, bind={"by": "full_name", "else": []}))
    source = record("a", name="Kitchen", full_name="Acme, Inc.:Kitchen")
    prepared, _ = compiled.prepare([source])
    assert prepared[0].keys == ("f:acme:kitchen",)
    assert compiled.index_keys({"full_name": "ACME:Kitchen"}) == ["f:acme:kitchen"]
    assert compiled.index_keys({"full_name": "Kitchen"}) == ["f:kitchen"]
    known = {"f:acme:kitchen": [Candidate("7", "Acme:Kitchen")]}
    assert plan_one(compiled, source, candidates=known, targets={"7": record("7", name="Kitchen")}).target_id == "7"


@pytest.mark.feature("M2")
def test_same_key_in_one_page_creates_once() -> None:
    """Of records of one page with one key the first that can be created is; the others are held with its name."""
    compiled = to_books(mapping(CONTACT))
    page = [record("a", name="Acme" + "x" * 50), record("b", name="Bolt"), record("c", name="BOLT Inc.")]
    prepared, _ = compiled.prepare(page)
    decisions = compiled.plan(prepared, Known())
    assert [each.action for each in decisions] == [Action.REJECT, Action.CREATE, Action.HOLD]
    assert decisions[2].code == "iw.same_key"
    assert decisions[2].why == 'same name as "Bolt" (b), which is being created'


@pytest.mark.feature("M2")
def test_one_target_for_two_records_holds_both_in_any_order() -> None:
    """Records of one page that find the same partner are all held; order makes no difference."""
    compiled = to_books(mapping(CONTACT))
    page = [record("a", name="Acme"), record("b", name="ACME Inc."), record("c", name="Other")]
    known = candidates(compiled.match_key({"name": "Acme"}), Candidate("7", "Acme"))
    for order in permutations(page):
        prepared, _ = compiled.prepare(order)
        plan = compiled.plan(prepared, Known(candidates=known, targets={"7": record("7", name="Acme")}))
        found = {each.source_id: each for each in plan}
        assert [found[each].action for each in "abc"] == [Action.HOLD, Action.HOLD, Action.CREATE]
        assert found["a"].code == "iw.ambiguous"
        assert "with b" in found["a"].why


@pytest.mark.feature("M2")
def test_id_wins_over_name_for_one_target() -> None:
    """Of two records that find one partner, the one that names it by id gets it, in any order."""
    compiled = to_books(mapping(CONTACT, bind={"by": "id", "else": ["name"]}, id_field=True))
    target = record("7", name="Acme")
    page = [record("a", name="Acme"), Record("b", {"name": "Bolt", "bind.id": "7"})]
    known = {**candidates(compiled.match_key({"name": "Acme"}), Candidate("7", "Acme")), "id:7": [Candidate("7", "A")]}
    for order in (page, page[::-1]):
        prepared, _ = compiled.prepare(order)
        plan = compiled.plan(prepared, Known(candidates=known, targets={"7": target}))
        found = {each.source_id: each for each in plan}
        assert found["b"].action is Action.UPDATE
        assert (found["a"].action, found["a"].code) == (Action.HOLD, "iw.bound_elsewhere")


def test_candidate_that_is_gone_holds() -> None:
    """A candidate of the index that the target no longer has is not taken for none."""
    compiled = to_books(mapping(CONTACT))
    source = record("a", name="Acme")
    known = candidates(compiled.match_key(source.values), Candidate("7", "Acme"))
    decision = plan_one(compiled, source, candidates=known)
    assert (decision.action, decision.code) == (Action.HOLD, "iw.target_missing")


def test_targets_needed() -> None:
    """The ids to fetch are those of partners, of single candidates, and those that records name."""
    compiled = to_books(mapping(CONTACT, bind={"by": "id", "else": ["name"]}, id_field=True))
    page = [
        record("a", name="A"),
        record("b", name="B"),
        Record("c", {"name": "C", "bind.id": "9"}),
        record("d", name="D"),
    ]
    prepared, _ = compiled.prepare(page)
    found = {
        str(compiled.match_key({"name": "B"})): [Candidate("8", "B")],
        str(compiled.match_key({"name": "D"})): [Candidate("1", "D"), Candidate("2", "D")],
    }
    assert compiled.targets_needed(prepared, {"a": Binding("a", "7", {}, {})}, found) == {"7", "8", "9"}


def test_keys_follow_what_would_be_sent() -> None:
    """Keys of a source are made of what the target would get, so that computed and shortened names match too."""
    fields = (mapped("name", books=field_def(length=10), to_books="value | replace('QQ ', '')", shorten=True),)
    compiled = to_books(mapping(fields))
    prepared, _ = compiled.prepare([record("a", name="QQ Bright Harbour")])
    assert prepared[0].keys == tuple(compiled.index_keys({"name": "Bright Har"}))


def test_custom_normaliser() -> None:
    """What makes names and phones comparable can be given."""

    class Vowels(DefaultNormaliser):
        def name(self, text: str) -> str:
            return "".join(each for each in text if each in "aeiou")

    from iw_operators.engine import compile_mapping

    compiled = compile_mapping(mapping(CONTACT), "crm", Operations.CREATE_AND_UPDATE, Vowels("US"))
    assert compiled.match_key({"name": "hello"}) == "c:eo"
