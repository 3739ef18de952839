"""The check of expressions says the same as the engine that compiles them, and says it better."""

from __future__ import annotations

import pytest

from iw_operators.engine.expressions import Expression
from iw_operators.errors import FixConfiguration
from iw_operators.spec.expressions import Scope, faults, names

OWN = ("name", "billing.city", "billing.region", "total", "date")
LINE = ("item", "quantity", "price")

GOOD = [
    "value",
    "value | upper",
    "name ~ ', ' ~ billing.city",
    "billing.city if billing.region == 'NY' else 'elsewhere'",
    "lines | map(attribute='quantity') | join(', ')",
    "lines | length",
    "lines | sum(attribute='quantity')",
    "total * 1.2 | round(2)",
    "(name | default('x'))[:10]",
    "date.year",
    "'a' if name is none else 'b'",
    "value.anything",
    "name in ['a', 'b']",
    "not total",
]
BAD = [
    "",
    "value |",
    "{{ value }}",
    "value)",
    "nme",
    "billing",
    "billing.cty",
    "lines.quantity",
    "header.name",
    "value | uppr",
    "value is empti",
    "value.upper()",
    "name.__class__()",
    "range(10)",
    "2 ** 8",
    "x" * 2_001,
    "self",
    "config.items",
    "'a' 'b' c",
    "value | upper | shout",
]


def engine_accepts(text: str) -> bool:
    """Tell whether the engine compiles the expression for a header field."""
    try:
        Expression(text, OWN, line_names=LINE)
    except FixConfiguration:
        return False
    return True


@pytest.mark.feature("M8")
@pytest.mark.parametrize("text", GOOD)
def test_good_expressions_have_no_faults(text: str) -> None:
    """What the engine compiles is accepted."""
    assert engine_accepts(text)
    assert list(faults(text, Scope(OWN, lines=True))) == []


@pytest.mark.feature("M8")
@pytest.mark.parametrize("text", BAD)
def test_bad_expressions_have_faults(text: str) -> None:
    """What the engine refuses is found before."""
    assert not engine_accepts(text)
    assert list(faults(text, Scope(OWN, lines=True)))


@pytest.mark.parametrize(
    "text", ["header.name ~ item", "header.billing.city", "quantity * price", "header.nme", "lines"]
)
def test_lines_see_their_header(text: str) -> None:
    """In a line the header's fields are under `header`, in the check as in the engine."""
    try:
        Expression(text, LINE, header=OWN)
        accepted = True
    except FixConfiguration:
        accepted = False
    assert accepted is not bool(list(faults(text, Scope(LINE, header=OWN))))


def test_every_mistake_is_named_at_once() -> None:
    """An unknown filter and unknown names are told together, each with what was probably meant."""
    found = [(message, hint) for message, _, hint in faults("nam | uper ~ billing.ctiy", Scope(OWN))]
    assert found == [
        ("unknown filter 'uper'", "upper"),
        ("unknown name 'billing.ctiy'", "billing.city"),
        ("unknown name 'nam'", "name"),
    ]


def test_names_are_dotted() -> None:
    """The names that an expression uses come with their dots, and nothing of a wrong one."""
    assert names("billing.city ~ name if lines else value") == {"billing.city", "name", "lines", "value"}
    assert names("name |") == frozenset()
