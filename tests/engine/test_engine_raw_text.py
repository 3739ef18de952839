"""A value that is not of its field's type comes as the text that it is: one record is refused, not the flow."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pytest

from iw_operators.engine import Action, Value, compare
from iw_operators.spec.models import Check, Direction, Owner
from tests.engine.make import (
    DATE,
    DATETIME,
    DECIMAL,
    MONEY,
    NAME,
    field_def,
    mapped,
    mapping,
    plan_update,
    record,
    to_books,
    to_crm,
)

DAY = dt.date(2026, 1, 31)
VALUES = (DAY, dt.datetime(2026, 1, 31, tzinfo=dt.UTC), Decimal(3), 3, True)


@pytest.mark.parametrize("value", VALUES)
def test_text_is_compared_with_anything(value: Value) -> None:
    """Text is never the same as a date, a number or a yes, by whatever field they are compared."""
    for kind in (DATE, DATETIME, MONEY, DECIMAL):
        same = compare.comparer(field_def(kind))
        assert not same("next week", value)
        assert not same(value, "next week")


def test_text_in_a_field_of_dates_is_refused_with_field_and_value() -> None:
    """The record from the books is rejected by name; where the field's text is old, other changes still go."""
    compiled = to_crm(mapping((NAME, mapped("due", field_def(DATE), field_def(DATE)), mapped("note"))))
    partner = record("a", name="A", due=DAY, note="old")
    base: dict[str, Value] = {"name": "A", "due": DAY, "note": "old"}
    typo = record("7", name="A", due="next week", note="new")
    refused = plan_update(compiled, typo, partner, base, base)
    assert (refused.action, refused.code, refused.field) == (Action.REJECT, "iw.type", "due")
    assert 'due is "next week"' in refused.why
    settled = plan_update(compiled, typo, partner, {**base, "due": "next week"}, base)
    assert (settled.action, settled.send) == (Action.UPDATE, {"note": "new"})


def test_text_in_the_books_is_corrected_by_a_crm_that_owns_the_field() -> None:
    """What the target holds may be anything: it differs from what is to be there."""
    compiled = to_books(mapping((NAME, mapped("due", field_def(DATE), field_def(DATE), Owner.CRM))))
    base: dict[str, Value] = {"name": "A", "due": DAY}
    mended = plan_update(compiled, record("a", name="A", due=DAY), record("7", name="A", due="next week"), base, base)
    assert mended.send == {"due": DAY}


@pytest.mark.feature("B5")
@pytest.mark.parametrize("name", ["sum", "off"])
def test_an_amount_to_check_by_that_is_none_is_refused(name: str) -> None:
    """A total or a discount that cannot be read does not switch the check off."""
    fields = [NAME, *(mapped(each, field_def(MONEY), None, Owner.CRM) for each in ("sum", "off"))]
    lines = (mapped("amount", field_def(MONEY), field_def(MONEY)),)
    made = mapping(fields, lines=lines, direction=Direction.TO_BOOKS)
    compiled = to_books(made.model_copy(update={"check": Check(total="sum", discount="off")}))
    source = record("a", name="A", sum=Decimal(5), lines=({"amount": Decimal(5)},))
    source = replace(source, values={**source.values, name: "x"})
    refused = plan_update(compiled, source, record("7", name="A"), {}, {})
    assert (refused.action, refused.code, refused.field) == (Action.REJECT, "iw.type", name)
    assert f'{name} is "x"' in refused.why
