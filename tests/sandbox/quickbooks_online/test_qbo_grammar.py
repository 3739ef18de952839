"""The query language, apart from any data."""

from __future__ import annotations

import pytest

from sandbox.quickbooks_online.errors import Fault
from sandbox.quickbooks_online.grammar import Condition, Order, Select, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT * FROM Customer", Select("Customer")),
        ("select count(*) from invoice", Select("invoice", count=True)),
        ("SELECT *, Sku FROM Item MAXRESULTS 2", Select("Item", extra=("Sku",), limit=2)),
        ("Select * From Item STARTPOSITION 5 MAXRESULTS 7", Select("Item", start=5, limit=7)),
        ("Select * From Item MAXRESULTS 7 STARTPOSITION 5", Select("Item", start=5, limit=7)),
        ("SELECT * FROM Item MAXRESULTS 5000", Select("Item", limit=1000)),
        (
            "SELECT * FROM Item ORDERBY Name DESC, Id",
            Select("Item", order=(Order("Name", descending=True), Order("Id"))),
        ),
        ("SELECT * FROM Item ORDER BY Name ASC", Select("Item", order=(Order("Name"),))),
        (
            "SELECT * FROM Item WHERE Active IN (true, false) AND UnitPrice >= 1.50",
            Select(
                "Item",
                where=(Condition("Active", "IN", ("true", "false")), Condition("UnitPrice", ">=", ("1.50",))),
            ),
        ),
    ],
)
def test_accepted(text: str, expected: Select) -> None:
    """Every form that the vendor's language has is read, keywords in any case, clauses in either order."""
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        (r"'O\'Neil'", "O'Neil"),
        (r"'back\\slash'", "back\\slash"),
        (r"'both \\\' of them'", "both \\' of them"),
        ("'a < b AND c'", "a < b AND c"),
        ("'%שלום 🎉%'", "%שלום 🎉%"),
        ("''", ""),
        ("-5", "-5"),
        ("TRUE", "TRUE"),
    ],
)
def test_literals(literal: str, value: str) -> None:
    """Quotes and backslashes are escaped with a backslash; everything else stands for itself."""
    text = f"SELECT * FROM A WHERE B = {literal}"  # noqa: S608 - not SQL
    assert parse(text).where == (Condition("B", "=", (value,)),)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "end of query"),
        ("SELECT Id FROM Customer", "Projection"),
        ("SELECT Id, Name FROM Customer", "Projection"),
        ("SELECT MAX(Id) FROM Customer", "Projection"),
        ("SELECT * FROM Customer WHERE A = '1' OR B = '2'", "OR is not supported"),
        ("SELECT * FROM Customer JOIN Invoice", "JOIN is not supported"),
        ("SELECT * FROM Customer, Invoice", "JOIN is not supported"),
        ("SELECT * FROM Customer GROUP BY Name", "GROUP is not supported"),
        ("SELECT * FROM Customer WHERE NOT A = '1'", "NOT is not supported"),
        ("SELECT * FROM Customer WHERE A IS NULL", "IS is not supported"),
        ('SELECT * FROM Customer WHERE A = "1"', "Lexical error"),
        ("SELECT * FROM Customer WHERE A = '1", "Lexical error"),
        (r"SELECT * FROM Customer WHERE A = 'ends in \'", "Lexical error"),
        ("SELECT * FROM Customer WHERE A = B", "expected a value"),
        ("SELECT * FROM Customer WHERE A ~ '1'", "Lexical error"),
        ("SELECT * FROM Customer WHERE A IN ()", "expected a value"),
        ("SELECT * FROM Customer WHERE A = '1' B = '2'", "expected the end"),
        ("SELECT * FROM Customer;", "Lexical error"),
        ("SELECT * FROM Customer ORDERBY", "expected a property"),
        ("SELECT * FROM Customer STARTPOSITION 0", "value 0 is too small. Min allowed value is 1"),
        ("SELECT * FROM Customer MAXRESULTS 0", "value 0 is too small. Min allowed value is 1"),
        ("SELECT * FROM Customer MAXRESULTS 1 MAXRESULTS 2", "given twice"),
        ("SELECT * FROM Customer STARTPOSITION 1.5", "whole number"),
        ("UPDATE Customer", "expected SELECT"),
    ],
)
def test_refused(text: str, detail: str) -> None:
    """Whatever the language does not have is a 4001 that says what was met."""
    with pytest.raises(Fault) as caught:
        parse(text)
    (problem,) = caught.value.problems
    assert problem.code == "4001"
    assert problem.detail.startswith("QueryValidationError: ")
    assert detail in problem.detail
