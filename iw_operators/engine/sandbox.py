"""The Jinja environment of computed fields: what an expression may use, and nothing else.

Nothing can be called, there are no globals, text has no methods, and what a filter or operator makes is bounded. So an
expression can neither reach into Python nor ask for a large piece of memory or time.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

from jinja2 import StrictUndefined, Undefined, pass_context
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS

from iw_operators.engine import money

LARGEST: Final = 100_000  # characters of one result

_NUMBER = (int, Decimal)
_DATE_PARTS = frozenset({"year", "month", "day", "hour", "minute", "second"})
_TEXT_FILTERS = ("capitalize", "length", "lower", "string", "title", "trim", "truncate", "upper")
_LIST_FILTERS = ("first", "last", "list", "map", "max", "min", "reject", "rejectattr", "select", "selectattr", "sort")
_FILTERS = (*_TEXT_FILTERS, *_LIST_FILTERS, "unique", "abs")
_KINDS = ("boolean", "defined", "false", "integer", "lower", "number", "string", "true", "undefined", "upper")
_RELATIONS = (
    "divisibleby",
    "eq",
    "equalto",
    "even",
    "ge",
    "gt",
    "greaterthan",
    "in",
    "le",
    "lessthan",
    "lt",
    "ne",
    "odd",
)
_TESTS = (*_KINDS, *_RELATIONS, "==", "!=", "<", "<=", ">", ">=")


class Empty:
    """A field without a value, inside expressions. Exists once, as `EMPTY`."""

    __slots__ = ()

    def __str__(self) -> str:
        return ""

    def __repr__(self) -> str:
        return "an empty value"

    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __eq__(self, other: object) -> bool:
        return other is None or other == "" or isinstance(other, Empty)

    def __hash__(self) -> int:
        return hash(None)


EMPTY: Final = Empty()


class EmptyOperand(TypeError):
    """An empty value where a number is needed."""


def _blank(value: object) -> bool:
    return value is None or isinstance(value, Empty | Undefined) or value == ""


def _default(value: object, fallback: object = EMPTY) -> object:
    return fallback if _blank(value) else value


def _decimal(value: object) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, Empty):
        msg = "an empty value is not a number"
        raise EmptyOperand(msg)
    if isinstance(value, bool) or not isinstance(value, int | str):
        msg = f"{value!r} is not a number"
        raise TypeError(msg)
    return money.number(value)


def _round(value: object, places: int = 0) -> Decimal:
    return money.quantised(_decimal(value), places)


def _int(value: object) -> int:
    return int(money.bounded(_decimal(value)))


def _sum(lines: Iterable[Any], attribute: str | None = None) -> Decimal:
    total = Decimal(0)
    for line in lines:
        each = line.get(attribute, EMPTY) if attribute is not None and isinstance(line, dict) else line
        total += _decimal(each)
    return total


@pass_context
def _map(context: Context, values: Iterable[Any], *args: Any, **kwargs: Any) -> Iterator[Any]:
    """Do as Jinja's `map`; all that it gives together is bounded as one result is."""
    size = 0
    for each in FILTERS["map"](context, values, *args, **kwargs):
        size += len(each) if isinstance(each, str | list) else 1
        if size > LARGEST:
            msg = f"map gives more than {LARGEST} characters"
            raise SecurityError(msg)
        yield each


def _replace(value: object, old: str, new: str) -> str:
    text, old, new = str(value), str(old), str(new)
    if not old:
        return text
    if len(text) + text.count(old) * len(new) > LARGEST:
        msg = f"replace gives more than {LARGEST} characters"
        raise SecurityError(msg)
    return text.replace(old, new)


def _join(values: Iterable[Any], between: str = "", attribute: str | None = None) -> str:
    items = [
        each.get(attribute, EMPTY) if attribute is not None and isinstance(each, dict) else each for each in values
    ]
    texts, between = [str(each) for each in items], str(between)
    if sum(map(len, texts)) + len(between) * len(texts) > LARGEST:
        msg = f"join gives more than {LARGEST} characters"
        raise SecurityError(msg)
    return between.join(texts)


def _split(value: object, separator: str | None = None) -> list[str]:
    return str(value).split(separator)


def _startswith(value: object, start: str) -> bool:
    return str(value).startswith(str(start))


def _endswith(value: object, end: str) -> bool:
    return str(value).endswith(str(end))


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of all expressions. Has no globals; knows only the filters and tests listed above."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, cache_size=0)
        self.globals.clear()
        self.filters.clear()
        self.filters.update({name: FILTERS[name] for name in _FILTERS})
        self.filters.update(
            {"default": _default, "d": _default, "decimal": _decimal, "int": _int, "round": _round, "sum": _sum}
        )
        self.filters.update({"join": _join, "map": _map, "replace": _replace, "split": _split})
        tests = {name: TESTS[name] for name in _TESTS}
        self.tests.clear()
        self.tests.update(tests)
        self.tests.update({"none": _blank, "empty": _blank, "startswith": _startswith, "endswith": _endswith})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a field of a record or line, or a part of a date; nothing else has attributes."""
        if isinstance(obj, dict):
            if attribute in obj:
                return obj[attribute]
        elif isinstance(obj, dt.date) and attribute in _DATE_PARTS and hasattr(obj, attribute):
            return getattr(obj, attribute)
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return an item or slice of text, lines or a record."""
        if isinstance(obj, dict | list | tuple | str):
            try:
                return obj[argument]
            except (KeyError, IndexError, TypeError):
                pass
        if isinstance(obj, Empty) and isinstance(argument, slice):
            return obj
        return self.undefined(obj=obj, name=argument)

    def call(self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG002 - refuses all
        """Refuse: there is nothing to call."""
        msg = "nothing can be called in an expression; use filters"
        raise SecurityError(msg)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002 - Jinja's
        """Compute with Decimals; `+` also joins two texts."""
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            return left + right
        a, b = _operand(operator, left), _operand(operator, right)
        if operator == "**":
            msg = "** is not available in expressions"
            raise SecurityError(msg)
        if isinstance(a, int) and isinstance(b, int) and operator == "/":
            a = Decimal(a)
        return money.bounded(self.binop_table[operator](a, b))


def _operand(operator: str, value: Any) -> int | Decimal:
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, _NUMBER) and not isinstance(value, bool):
        return value
    if isinstance(value, Undefined):
        str(value)  # a strict undefined says best itself what is missing
    if isinstance(value, Empty):
        msg = f"{operator} needs numbers, not an empty value"
        raise EmptyOperand(msg)
    msg = f"{operator} needs numbers, not {type(value).__name__}"
    raise TypeError(msg)


@functools.cache
def environment() -> Sandbox:
    """Return the one environment of all expressions."""
    return Sandbox()
