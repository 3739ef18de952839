"""Names and values that people write in their own DAGs."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from iw_operators.errors import FixConfiguration, FixRecord
from iw_operators.operators.runtime import moment
from iw_operators.operators.views import typed, view_of

CRM, BOOKS = "creatio", "quickbooks_online"


def test_an_object_is_known_by_its_native_and_its_neutral_name() -> None:
    """`Customer` and `customer` are the same object of the books."""
    assert view_of(BOOKS, "Customer") == view_of(BOOKS, "customer")
    assert view_of(CRM, "item").object == "Product"


def test_a_neutral_name_of_several_objects_is_not_guessed() -> None:
    """The CRM has two objects that are customers; the message lists them."""
    with pytest.raises(FixConfiguration, match="Known: Account, Contact"):
        view_of(CRM, "customer")


def test_fields_are_known_by_neutral_native_and_custom_names() -> None:
    """All three kinds of names may be mixed; the values come under the names that were asked for."""
    view = view_of(CRM, "Account", ["name", "PrimaryContact/Email", "UsrRegion"])
    assert list(view.fields) == ["name", "PrimaryContact/Email", "UsrRegion"]
    assert view.fields["PrimaryContact/Email"] == view_of(CRM, "Account").fields["email"]
    assert view.fields["UsrRegion"].native == "UsrRegion"


def test_lines_come_when_asked_for() -> None:
    """`lines` stands for all fields of the lines; without it there are none."""
    assert not view_of(BOOKS, "Invoice").lines
    assert "amount" in view_of(BOOKS, "Invoice", ["number", "lines"]).lines


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((CRM, "Akkount"), "Did you mean 'Account'?"),
        ((BOOKS, "Customer", ["nmae"]), "Did you mean 'name'?"),
        ((BOOKS, "Customer", ["qqqq"]), "Known: "),
        (("nosuch", "Customer"), "cannot be read"),
    ],
)
def test_an_unknown_name_is_named(arguments: tuple[Any, ...], says: str) -> None:
    """A misspelled object or field is an error that helps."""
    with pytest.raises(FixConfiguration, match="iw\\.") as caught:
        view_of(*arguments)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("total", "448.39", Decimal("448.39")),
        ("total", 448, Decimal(448)),
        ("total", Decimal("0.10"), Decimal("0.10")),
        ("date", "2026-03-08", dt.date(2026, 3, 8)),
        ("date", dt.date(2026, 3, 8), dt.date(2026, 3, 8)),
        ("number", "1001", "1001"),
        ("number", "", None),
        ("number", None, None),
    ],
)
def test_values_get_their_fields_types(field: str, value: object, expected: object) -> None:
    """Text from JSON becomes Decimal and date, exactly."""
    assert typed(view_of(BOOKS, "Invoice", [field]), {field: value}) == {field: expected}


@pytest.mark.parametrize(
    ("field", "value"),
    [("total", 448.39), ("total", "a lot"), ("total", True), ("date", "8 March"), ("date", 7), ("number", 1001)],
)
def test_a_value_of_another_type_is_refused(field: str, value: object) -> None:
    """A float amount, or text that is no date, names the field and not the value."""
    with pytest.raises(FixRecord) as caught:
        typed(view_of(BOOKS, "Invoice", [field]), {field: value})
    assert caught.value.field == field
    assert str(value) not in caught.value.message


def test_lines_are_typed_too() -> None:
    """Amounts of lines are Decimal as well."""
    view = view_of(BOOKS, "Invoice", ["lines"])
    assert typed(view, {"lines": [{"amount": "1.50"}, {"amount": None}]}) == {
        "lines": ({"amount": Decimal("1.50")}, {"amount": None})
    }


@pytest.mark.parametrize("value", [None, ""])
def test_no_moment_is_open(value: str | None) -> None:
    """Nothing, or a template that rendered to nothing, leaves a window open."""
    assert moment(value, "since") is None


def test_a_moment_has_a_zone() -> None:
    """Text and datetimes with a zone are moments; without one they are refused."""
    assert moment("2026-03-08T00:00:00+01:00", "since") == dt.datetime(2026, 3, 7, 23, tzinfo=dt.UTC)
    for wrong in ("2026-03-08T00:00:00", "yesterday", dt.datetime(2026, 3, 8)):  # noqa: DTZ001  what is refused
        with pytest.raises(FixConfiguration, match="since"):
            moment(wrong, "since")
