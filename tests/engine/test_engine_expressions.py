"""Computed fields."""

from __future__ import annotations

import datetime as dt
import time
from decimal import Decimal

import pytest

from iw_operators.engine.expressions import Expression, ExpressionError, environment
from iw_operators.engine.model import Value
from iw_operators.errors import FixConfiguration

NAMES = ("name", "given_name", "family_name", "billing.city", "billing.country", "total", "date", "active", "code")
VALUES: dict[str, Value] = {
    "name": "Zoë & Co",
    "given_name": "Zoë",
    "family_name": None,
    "billing.city": "Łódź",
    "billing.country": None,
    "total": Decimal("10.05"),
    "date": dt.date(2026, 3, 31),
    "active": True,
    "code": "C-1",
    "lines": ({"amount": Decimal("1.10"), "item": "a"}, {"amount": Decimal("2.20"), "item": None}),
}


def evaluate(source: str, own: Value = None) -> Value:
    """Compute an expression over VALUES."""
    return Expression(source, NAMES, line_names=("amount", "item")).evaluate(VALUES, own)


@pytest.mark.feature("M8")
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("value | upper", "X"),
        ("name", "Zoë & Co"),
        ("billing.city ~ ', ' ~ billing.country", "Łódź, "),
        ("given_name ~ ' ' ~ family_name | trim", "Zoë "),
        ("(given_name ~ ' ' ~ family_name) | trim", "Zoë"),
        ("family_name or given_name", "Zoë"),
        ("family_name | default('none')", "none"),
        ("'yes' if active else 'no'", "yes"),
        ("family_name is none", True),
        ("family_name == none", True),
        ("family_name", None),
        ("total * 2", Decimal("20.10")),
        ("total * 0.1", Decimal("1.005")),
        ("(total * 0.1) | round(2)", Decimal("1.01")),
        ("total == 10.05", True),
        ("1 / 4", Decimal("0.25")),
        ("total // 3", Decimal(3)),
        ("lines | sum(attribute='amount')", Decimal("3.30")),
        ("lines | length", 2),
        ("lines | map(attribute='item') | join('|')", "a|"),
        ("lines[0].amount", Decimal("1.10")),
        ("date.year ~ '-' ~ date.month", "2026-3"),
        ("name[:3]", "Zoë"),
        ("name[-2:]", "Co"),
        ("name | replace('&', 'and')", "Zoë and Co"),
        ("(code | split('-'))[1] | int", 1),
        ("'Co' in name", True),
        ("name is startswith('Zo')", True),
        ("'12.50' | decimal", Decimal("12.50")),
    ],
)
def test_computes(source: str, expected: Value) -> None:
    """An expression sees fields by their dotted names, joins empty ones as nothing and computes in Decimal."""
    result = evaluate(source, "x")
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("nmae", "names `nmae`, which is not a field here"),
        ("billing.town", "names `billing.town`"),
        ("billing", "names `billing`"),
        ("name.upper()", "calls something"),
        ("range(10 ** 9)", "calls something"),
        ("''.join(lines)", "calls something"),
        ("name.__class__.__mro__()", "calls something"),
        ("total ** 9", r"uses \*\*"),
        ("name | format('x')", "unknown filter 'format'"),
        ("name | center(1000000000)", "unknown filter 'center'"),
        ("name | tojson", "unknown filter"),
        ("lines | random", "unknown filter"),
        ("name is sameas 1", "unknown test"),
        ("name |", "is not an expression"),
        ("name name", "is not an expression"),
        ("{{ name }}", "has braces"),
        ("1 + " * 900 + "1", "longer than"),
    ],
)
def test_refuses_when_compiled(source: str, problem: str) -> None:
    """What is wrong with an expression itself is said when the mapping is compiled, with the known names."""
    with pytest.raises(FixConfiguration, match=problem) as caught:
        evaluate(source)
    if "names" in problem:
        assert "billing.city" in caught.value.advice


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("name * 1000000000", r"\* needs numbers"),
        ("'%1000000000d' % 5", "% needs numbers"),
        ("[1] * 1000000000", r"\* needs numbers"),
        ("lines + lines", r"\+ needs numbers"),
        ("family_name + 1", "not an empty value"),
        ("total / 0", "divides by zero|DivisionByZero"),
        ("lines[7].amount", "."),
        ("name.__class__", "."),
        ("name['__class__']", "."),
        ("lines", "gives a list"),
        ("'9' * 1", "needs numbers"),
        ("name | int", "is not a number"),
        ("lines | sum(attribute='item')", "not a number"),
        ("'1e999999999' | int", "digits"),
        ("999999999999999 * 999999999999999", "digits"),
        ("'" + "x" * 900 + "' | list | join('" + "y" * 900 + "')", "join gives more"),
        ("name | replace('o', '" + "x" * 1900 + "') | replace('x', '" + "y" * 50 + "')", "replace gives more"),
    ],
)
def test_fails_for_the_record_alone(source: str, problem: str) -> None:
    """What cannot be computed, reached or afforded is an error of the record, quickly and without large memory."""
    started = time.monotonic()
    with pytest.raises((ExpressionError, FixConfiguration), match=problem):
        evaluate(source)
    assert time.monotonic() - started < 2


def test_arithmetic_over_nothing_gives_nothing() -> None:
    """Where the field itself is empty there is nothing to compute; where another one is, that is an error."""
    assert evaluate("value * total", None) is None
    assert evaluate("value | round(2)", None) is None
    with pytest.raises(ExpressionError, match="an empty value"):
        evaluate("value * family_name", Decimal(1))


def test_environment_has_nothing_to_hold_on_to() -> None:
    """The sandbox has no globals, and lists or dicts of a record cannot be changed from within."""
    assert environment().globals == {}
    assert environment() is environment()
    with pytest.raises(FixConfiguration):
        evaluate("lines.append(1)")


def test_line_expression_sees_its_header() -> None:
    """A line's expression has the line's fields by name and the header's under `header`."""
    made = Expression("item ~ '/' ~ header.code ~ '/' ~ value", ("item", "amount"), header=("code",))
    assert made.evaluate({"item": "i"}, "v", {"code": "c"}) == "i/c/v"
    assert made.fields == ("item",)
    assert made.header_fields == ("code",)
    with pytest.raises(FixConfiguration, match=r"header\.town"):
        Expression("header.town", ("item",), header=("code",))


def test_dict_methods_do_not_shadow_fields() -> None:
    """A field called like a method of a dictionary is still the field."""
    made = Expression("stock.items ~ stock.get", ("stock.items", "stock.get"))
    assert made.evaluate({"stock.items": "a", "stock.get": "b"}, None) == "ab"
