"""QODBC's SQL, values and errors, without any driver."""

from __future__ import annotations

import datetime as dt
import itertools
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from iw_operators.spec.catalogue import FieldDef, FieldType
from iw_operators.systems.quickbooks_desktop import dialect
from iw_operators.systems.quickbooks_desktop.dialect import Statement, fault
from tests.systems.quickbooks_desktop.fakes import clock

pytestmark = pytest.mark.feature("S3")

NEW_YORK = ZoneInfo("America/New_York")


def test_a_select_has_its_table_tag_and_its_values_as_parameters() -> None:
    """TOP, UNOPTIMIZED, IN and ORDER BY stand where QODBC wants them; no value is in the text."""
    statement = dialect.select(
        ["ListID", "Name"],
        "Customer",
        [("TimeModified", ">=", [clock(2026, 1, 31)]), ("Name", "IN", ["O'Neil", "B"])],
        order=["TimeModified", "ListID"],
        top=5,
    )
    assert statement.sql == (
        "SELECT TOP 5 ListID, Name FROM Customer UNOPTIMIZED WHERE TimeModified >= ? AND Name IN (?, ?) "
        "ORDER BY TimeModified, ListID"
    )
    assert statement.params == (clock(2026, 1, 31), "O'Neil", "B")


@pytest.mark.parametrize("name", ["Customer; DROP", "a b", "", "1st", "x'--", "Größe"])
def test_names_that_are_none_never_become_sql(name: str) -> None:
    """A name that could not be a table's or column's is refused before anything is made of it."""
    with pytest.raises(ValueError, match="cannot be the name"):
        dialect.select([name], "Customer")
    with pytest.raises(ValueError, match="cannot be the name"):
        dialect.insert("Customer", {name: 1})
    with pytest.raises(ValueError, match="cannot be the name"):
        dialect.last_id(name)


def test_lines_are_kept_in_the_cache_until_the_last() -> None:
    """FQSaveToCache is 1 while lines follow and 0 with the last; a record without lines has no such column."""
    assert dialect.insert("InvoiceLine", {"Memo": "x"}, more=True) == Statement(
        "INSERT INTO InvoiceLine (Memo, FQSaveToCache) VALUES (?, ?)", ("x", 1)
    )
    assert dialect.insert("InvoiceLine", {"Memo": "x"}, more=False).params == ("x", 0)
    assert "FQSaveToCache" not in dialect.insert("Customer", {"Name": "x"}).sql


def test_a_column_that_is_a_word_of_sql_is_quoted() -> None:
    """An account's description stands in a column called Desc."""
    assert dialect.insert("Account", {"Desc": "x"}).sql == 'INSERT INTO Account ("Desc") VALUES (?)'


def test_changes_and_deletions_name_their_row() -> None:
    """UPDATE and DELETE carry their condition as parameters; a DELETE of everything is refused."""
    assert dialect.update("Customer", {"Phone": None}, {"ListID": "1-2", "EditSequence": "7"}) == Statement(
        "UPDATE Customer SET Phone = ? WHERE ListID = ? AND EditSequence = ?", (None, "1-2", "7")
    )
    assert dialect.delete("Invoice", {"TxnID": "1-2"}).sql == "DELETE FROM Invoice WHERE TxnID = ?"
    with pytest.raises(ValueError, match="without a condition"):
        dialect.delete("Invoice", {})


@pytest.mark.feature("E1")
@pytest.mark.parametrize(
    ("message", "code", "text"),
    [
        (
            '[QODBC] Error: 3100 - The name "abc" of the list element is already in use.',
            "3100",
            'The name "abc" of the list element is already in use.',
        ),
        (
            "[42000] [QODBC] Error: 3140 - There is an invalid reference.\nQuickBooks error message: Invalid argument."
            "\n;\nError while executing the query (1) (SQLExecDirectW)",
            "3140",
            "There is an invalid reference. Invalid argument.",
        ),
        ("first line\n[QODBC] Error: 80040414 - A modal dialog box is showing.", "80040414", None),
        ("[QODBC] Error: 8004040a - Another company file is open", "8004040A", "Another company file is open"),
        ("server closed the connection unexpectedly", "", "server closed the connection unexpectedly"),
        ("[QODBC] Error: 0x80040408 Could not start QuickBooks.", "80040408", "Could not start QuickBooks."),
        ("[QODBC] Error: -2147220472 - Could not start QuickBooks.", "80040408", "Could not start QuickBooks."),
        ("[QODBC] Error: -1 - Unexpected error", "-1", "Unexpected error"),
        ("[QODBC] Error: Driver is not registered", "", "[QODBC] Error: Driver is not registered"),
        ("[QODBC] Error: Beginning session failed", "", "[QODBC] Error: Beginning session failed"),
        ("[QODBC] Error: Access denied", "", None),
    ],
)
def test_errors_are_read_over_all_lines(message: str, code: str, text: str | None) -> None:
    """Code and text come from wherever they stand; QuickBooks' second line is kept, the driver's tail is not."""
    found = fault(message, "42000")
    assert found.code == code
    assert text is None or found.text == text
    assert "executing the query" not in found.text


def field(kind: FieldType) -> FieldDef:
    """Return a field of a type."""
    return FieldDef(native="X", type=kind)


@pytest.mark.parametrize(
    ("kind", "given", "meant"),
    [
        (FieldType.MONEY, Decimal("19.90"), Decimal("19.90")),
        (FieldType.MONEY, "19.90", Decimal("19.90")),
        (FieldType.MONEY, 0.1, Decimal("0.1")),
        (FieldType.DECIMAL, 3, Decimal(3)),
        (FieldType.INTEGER, Decimal("7.0"), 7),
        (FieldType.BOOLEAN, 1, True),
        (FieldType.BOOLEAN, "0", False),
        (FieldType.BOOLEAN, "True", True),
        (FieldType.DATE, clock(2026, 1, 31, 0, 0), dt.date(2026, 1, 31)),
        (FieldType.DATE, "2026-01-31 00:00:00", dt.date(2026, 1, 31)),
        (FieldType.DATETIME, clock(2026, 1, 31, 14, 24, 18), dt.datetime(2026, 1, 31, 19, 24, 18, tzinfo=dt.UTC)),
        (FieldType.DATETIME, "2026-07-31 14:24:18.000", dt.datetime(2026, 7, 31, 18, 24, 18, tzinfo=dt.UTC)),
        (FieldType.TEXT, 1042, "1042"),
        *[(kind, empty, None) for kind in FieldType for empty in (None, "")],
    ],
)
def test_values_of_any_driver_are_the_same(kind: FieldType, given: Any, meant: Any) -> None:
    """Bits, decimals, dates and times come in several shapes; nothing and empty text are None."""
    made = dialect.converter(field(kind), NEW_YORK)(given)
    assert made == meant
    assert type(made) is type(meant)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (FieldType.MONEY, "ten"),
        (FieldType.MONEY, True),
        (FieldType.INTEGER, "1.5"),
        (FieldType.BOOLEAN, "maybe"),
        (FieldType.DATE, "yesterday"),
        (FieldType.TEXT, b"bytes"),
    ],
)
def test_a_value_of_another_type_is_an_error(kind: FieldType, given: Any) -> None:
    """What is not of its type is never guessed."""
    with pytest.raises(ValueError):  # noqa: PT011  the words differ by type
        dialect.converter(field(kind), NEW_YORK)(given)


@pytest.mark.feature("S7")
@pytest.mark.parametrize(
    ("locale", "day"), [("US", dt.date(2026, 4, 3)), ("CA", dt.date(2026, 4, 3)), ("UK", dt.date(2026, 3, 4))]
)
def test_written_dates_are_read_in_the_order_of_the_country(locale: str, day: dt.date) -> None:
    """04/03/2026 is the third of April in the US and the fourth of March in the UK; ISO dates are what they are."""
    assert dialect.as_date("04/03/2026", locale) == day
    assert dialect.as_date("2026-03-04", locale) == dt.date(2026, 3, 4)


def test_the_hour_that_comes_twice_is_told_once() -> None:
    """At the end of summer time each stamp of the doubled hour lies in exactly one of windows that follow one another.

    In New York 2026-11-01 01:30 is 05:30 UTC and again 06:30 UTC; the stamp does not say which.
    """
    stamp = clock(2026, 11, 1, 1, 30)
    moment = dialect.as_moment(stamp, NEW_YORK)
    edges = [dt.datetime(2026, 11, 1, 4, tzinfo=dt.UTC) + n * dt.timedelta(minutes=20) for n in range(12)]
    inside = [(low, high) for low, high in itertools.pairwise(edges) if moment and low <= moment < high]
    assert len(inside) == 1
    assert all(dialect.earliest(low, NEW_YORK) <= stamp <= dialect.local(high, NEW_YORK) for low, high in inside)
    assert inside[0][0] >= dt.datetime(2026, 11, 1, 6, tzinfo=dt.UTC), "never before it could have happened"
    for low, _ in inside:
        assert stamp >= dialect.earliest(low, NEW_YORK), "the statement brings it"


@pytest.mark.parametrize("month", range(1, 13))
def test_bounds_are_the_same_moment_outside_of_that_hour(month: int) -> None:
    """Local time and back again is the same second all year."""
    moment = dt.datetime(2026, month, 15, 12, 30, 59, tzinfo=dt.UTC)
    here = dialect.local(moment, NEW_YORK)
    assert dialect.as_moment(here, NEW_YORK) == moment
    assert dialect.earliest(moment, NEW_YORK) == here
