"""What changed between two versions of a mapping."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from iw_operators.spec.differences import between, snapshot
from iw_operators.spec.fingerprint import fingerprint
from iw_operators.spec.models import Operations, Owner, Way
from iw_operators.spec.resolved import ResolvedMapping
from tests.engine.make import NAME, field_def, mapped, mapping

pytestmark = pytest.mark.feature("M26")


def made() -> ResolvedMapping:
    """Return a mapping of a few fields and lines."""
    fields = [NAME, mapped("phone", owner=Owner.CRM), mapped("note")]
    return mapping(fields, lines=[mapped("item"), mapped("amount")])


def field(name: str, **changes: object) -> Callable[[ResolvedMapping], ResolvedMapping]:
    """Return a change of one field."""

    def change(old: ResolvedMapping) -> ResolvedMapping:
        fields = tuple(each.model_copy(update=changes) if each.name == name else each for each in old.fields)
        return old.model_copy(update={"fields": fields})

    return change


def without(name: str) -> Callable[[ResolvedMapping], ResolvedMapping]:
    """Return the change that takes a field away."""
    return lambda old: old.model_copy(update={"fields": tuple(each for each in old.fields if each.name != name)})


def told(change: Callable[[ResolvedMapping], ResolvedMapping]) -> list[str]:
    """Return what is told of a change, through JSON as the ledger keeps it."""
    old, new = made(), change(made())
    assert fingerprint(old) != fingerprint(new)
    return [str(each) for each in between(json.loads(json.dumps(snapshot(old))), snapshot(new))]


def test_nothing_changed_is_nothing() -> None:
    """The same mapping, kept in the ledger and read again."""
    assert between(json.loads(json.dumps(snapshot(made()))), snapshot(made())) == []


def test_a_field_that_is_taken_away_or_added_is_told_once() -> None:
    """With what it was, or is."""
    assert told(without("phone")) == ["phone removed: X / X, text, owner crm"]
    (added,) = between(snapshot(without("phone")(made())), snapshot(made()))
    assert (added.kind, added.field, str(added)) == ("added", "phone", "phone added: X / X, text, owner crm")


def test_a_changed_field_is_told_as_the_report_shows_it() -> None:
    """Owner, transformation, native field: old and new."""
    assert told(field("note", owner=Owner.CRM)) == ["note owner: latest -> crm"]
    assert told(field("note", to_books="value | upper")) == ["note transform: - -> to_books: value | upper"]
    assert told(field("note", crm=field_def(native="Y"))) == ["note crm: X -> Y"]


def test_what_the_report_does_not_show_of_a_field_is_told_too() -> None:
    """Whether it is required, its default: whatever makes another fingerprint makes a difference."""
    assert told(field("note", books=field_def(required=True))) == ["note books.required: false -> true"]
    assert told(field("note", optional=True)) == ["note optional added: true"]


def test_settings_of_the_mapping_are_told() -> None:
    """How partners are found, what a direction may do."""
    way = Way(operations=Operations.UPDATE_ONLY)
    assert told(lambda old: old.model_copy(update={"to_crm": way})) == [
        "mapping ways.to_crm.operations: create_and_update -> update_only"
    ]
    assert told(lambda old: old.model_copy(update={"crm_object": "Contact"})) == [
        'mapping objects: ["Account", "Customer"] -> ["Contact", "Customer"]'
    ]


def test_a_changed_line_field_is_told_under_lines() -> None:
    """As the report names it."""

    def change(old: ResolvedMapping) -> ResolvedMapping:
        return old.model_copy(update={"lines": old.lines[:1]})

    assert told(change)[0] == "lines[].amount removed: X / X, text, owner latest"
