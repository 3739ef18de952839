"""Values of one neutral type made into another, exactly or not at all.

What is fixed here: text that is empty or only blanks is None; numbers round half away from zero to the places that
the target keeps; a moment becomes the date that the company's time zone has at it, and a date becomes its midnight
there. Text is never trimmed: blanks around it are sent as they are and only ignored when comparing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Final, TypeAlias

from iw_operators.engine import money
from iw_operators.engine.check import checked
from iw_operators.engine.model import Scalar, Value
from iw_operators.engine.problems import RANGE, TYPE, Bad, Names, Problem, show
from iw_operators.spec.catalogue import FieldDef, FieldType

Converter: TypeAlias = Callable[[Value], Scalar]

TEXTS: Final = frozenset({FieldType.TEXT, FieldType.MEMO, FieldType.PHONE, FieldType.EMAIL, FieldType.REF})
_TRUE: Final = frozenset({"true", "yes", "1"})
_FALSE: Final = frozenset({"false", "no", "0"})


def as_text(value: Value) -> str | None:
    """Return a value as text: numbers without exponent, dates in ISO form, booleans as true and false."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(money.bounded(value), "f")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, int):
        return str(money.bounded(value))
    msg = "is a list of lines"
    raise ValueError(msg)


def converter(field: str, definition: FieldDef, names: Names, zone: dt.tzinfo, *, shorten: bool) -> Converter:
    """Return the function that makes any value into one that the target's field takes; it raises `Bad`."""
    if definition.type in TEXTS:
        return _to_text(field, definition, names, shorten)
    make = {
        FieldType.INTEGER: _to_integer,
        FieldType.BOOLEAN: _to_boolean,
        FieldType.DATE: lambda value: _to_date(value, zone),
        FieldType.DATETIME: lambda value: _to_datetime(value, zone),
    }.get(definition.type) or _to_number(money.places(definition))
    kind = definition.type.value
    advice = f"Correct it in {names.source}, or convert it by an expression in the mapping."

    def convert(value: Value) -> Scalar:
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        try:
            return make(value)
        except OverflowError:
            message = f"{field} is {show(value)}, which is out of range for {kind} in {names.target}"
            raise Bad(Problem(field, RANGE, message, advice)) from None
        except (ValueError, TypeError) as error:
            message = f"{field} is {show(value)}, which {names.target} cannot take as {kind}: it {error}"
            raise Bad(Problem(field, TYPE, message, advice)) from None

    return convert


def _to_text(field: str, definition: FieldDef, names: Names, shorten: bool) -> Converter:
    def convert(value: Value) -> Scalar:
        if not isinstance(value, str):
            if value is None:
                return None
            try:
                value = as_text(value) or ""
            except ValueError as error:
                message = f"{field} is {show(value)}, which {names.target} cannot take as text: it {error}"
                raise Bad(Problem(field, TYPE, message, f"Correct it in {names.source}.")) from None
        if not value or value.isspace():
            return None
        return checked(value, field, definition, names, shorten=shorten)

    return convert


def _to_number(places: int | None) -> Callable[[Value], Scalar]:
    def make(value: Value) -> Scalar:
        if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
            msg = "is not a number"
            raise ValueError(msg)
        number = money.number(value)
        return number if places is None else money.quantised(number, places)

    return make


def _to_integer(value: Value) -> Scalar:
    number = _to_number(None)(value)
    if not isinstance(number, Decimal) or number != number.to_integral_value():
        msg = "is not a whole number"
        raise ValueError(msg)
    return int(number)


def _to_boolean(value: Value) -> Scalar:
    if isinstance(value, bool):
        return value
    text = value.strip().casefold() if isinstance(value, str) else str(value) if isinstance(value, int) else ""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    msg = "is neither true nor false"
    raise ValueError(msg)


def _to_date(value: Value, zone: dt.tzinfo) -> Scalar:
    if isinstance(value, str):
        value = _stamp(value.strip())
    if isinstance(value, dt.datetime):
        return _aware(value).astimezone(zone).date()
    if isinstance(value, dt.date):
        return value
    msg = "is not a date"
    raise ValueError(msg)


def _to_datetime(value: Value, zone: dt.tzinfo) -> Scalar:
    if isinstance(value, str):
        value = _stamp(value.strip())
    if isinstance(value, dt.datetime):
        return _aware(value)
    if isinstance(value, dt.date):
        midnight = dt.datetime.combine(value, dt.time(), tzinfo=zone)
        midnight.astimezone(dt.UTC)  # raises OverflowError at the ends of the calendar, as every later use would
        return midnight
    msg = "is not a date and time"
    raise ValueError(msg)


def _stamp(text: str) -> dt.date | dt.datetime:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        pass
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        msg = "is not a date such as 2026-01-31"
        raise ValueError(msg) from None


def _aware(stamp: dt.datetime) -> dt.datetime:
    if stamp.tzinfo is None:
        msg = "has no time zone"
        raise ValueError(msg)
    stamp.astimezone(dt.UTC)  # raises OverflowError at the ends of the calendar, as every later use would
    return stamp
