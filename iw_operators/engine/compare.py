"""When two values are the same, and what follows when they are not: the three-way comparison.

The same, although written differently: line breaks as CR LF or LF, blanks around text (systems strip them), a
number with or without trailing zeros, one moment in two zones or with and without fractions of a second, a text
that a list holds in other capitals, and an empty value in whatever form.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from enum import Enum
from typing import TypeAlias

from iw_operators.engine import money
from iw_operators.engine.model import Line, Value
from iw_operators.spec.catalogue import FieldDef, FieldType

Same: TypeAlias = Callable[[Value, Value], bool]


def same(a: Value, b: Value) -> bool:
    """Tell whether two values of a field of the same side mean the same."""
    if a is b:
        return True
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, tuple) or isinstance(b, tuple):
        return same_lines(_tuple(a), _tuple(b))
    if isinstance(a, str) or isinstance(b, str):
        return a == b or text_key(a) == text_key(b)
    if isinstance(a, dt.datetime) and isinstance(b, dt.datetime):
        return _second(a) == _second(b)
    return _comparable(a) and _comparable(b) and bool(a == b)


def text_key(value: Value) -> Value:
    """Return what is compared of a text: LF line breaks, no blanks around; None for nothing."""
    if isinstance(value, str):
        if "\r" in value:
            value = value.replace("\r\n", "\n").replace("\r", "\n")
        return value.strip() or None
    return value


def _comparable(value: Value) -> bool:
    return not isinstance(value, Decimal) or not value.is_nan()


def _second(stamp: dt.datetime) -> dt.datetime:
    return stamp.replace(microsecond=0)


def _tuple(value: Value) -> tuple[Line, ...]:
    return value if isinstance(value, tuple) else ()


def same_lines(a: tuple[Line, ...], b: tuple[Line, ...]) -> bool:
    """Tell whether two lists of lines mean the same, over all fields that either has; missing is None."""
    return len(a) == len(b) and all(
        same(x.get(name), y.get(name)) for x, y in zip(a, b, strict=True) for name in {**x, **y}
    )


def same_as_base(now: tuple[Line, ...], base: tuple[Line, ...]) -> bool:
    """Tell whether lines are as they were, over the fields that were known then."""
    return len(now) == len(base) and all(
        same(line.get(name), value) for line, then in zip(now, base, strict=True) for name, value in then.items()
    )


def comparer(definition: FieldDef, forward: Mapping[str, str] | None = None) -> Same:
    """Return the comparison of a value to be sent (left) with what the target has (right).

    :param forward: the value map from the target to the source and on to the target again, so that two words of the
        target for one word of the source count as the same.
    """
    if definition.lookup is not None or forward:
        return _listed(forward or {})
    scale = money.places(definition)
    if definition.type in (FieldType.MONEY, FieldType.DECIMAL) and scale is not None:
        return _rounded(scale)
    return same


def _listed(forward: Mapping[str, str]) -> Same:
    def compare(a: Value, b: Value) -> bool:
        if same(a, b):
            return True
        x, y = text_key(a), text_key(b)
        if not isinstance(x, str) or not isinstance(y, str):
            return False
        x, y = x.casefold(), y.casefold()
        return forward.get(x, x) == forward.get(y, y)

    return compare


def _rounded(scale: int) -> Same:
    def compare(a: Value, b: Value) -> bool:
        if same(a, b):
            return True
        if isinstance(a, Decimal) and isinstance(b, Decimal):
            try:
                return money.quantised(a, scale) == money.quantised(b, scale)
            except ValueError:
                return False
        return False

    return compare


class Outcome(Enum):
    """What a direction does with one field in which the two sides differ."""

    WRITE = "write"
    LEAVE = "leave"
    CONFLICT = "conflict"


class Owned(Enum):
    """An owner, seen from a direction."""

    SOURCE = "source"
    TARGET = "target"
    LATEST = "latest"


def decide(owner: Owned, *, empty: bool, source_changed: bool | None, target_changed: bool | None) -> Outcome:
    """Decide about a field whose value to be sent differs from what the target has.

    :param empty: the source has nothing to send (or a mere default).
    :param source_changed: since the base; None where there is no base.
    :param target_changed: likewise.

    Nothing never overwrites something, except where the source has been emptied since both were last in step. Where
    a `latest` field has no base (the first meeting), the flow's source counts; the log row keeps the old value. Where
    the target alone has one and has changed, its value is the newer one, and the other direction brings it.
    """
    if owner is Owned.TARGET:
        return Outcome.LEAVE
    if empty and not source_changed:
        return Outcome.LEAVE
    if owner is Owned.LATEST and source_changed is None and target_changed:
        return Outcome.LEAVE
    if owner is Owned.SOURCE or source_changed is None or target_changed is None:
        return Outcome.WRITE
    if not source_changed:
        return Outcome.LEAVE
    return Outcome.CONFLICT if target_changed else Outcome.WRITE


def projection(values: Mapping[str, Value], names: Collection[str]) -> dict[str, Value]:
    """Return the values of these fields; missing is None."""
    return {name: values.get(name) for name in names}
