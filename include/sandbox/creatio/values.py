"""One value of a column: from a request's JSON to SQLite and back.

SQLite holds a GUID as lower-case text, a text as text (never null), a decimal as an integer of its smallest unit, a
moment as 100-nanosecond ticks since 1970, and an empty lookup or moment as null.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import ROUND_HALF_UP, Decimal
from typing import TypeAlias

import orjson

from sandbox.creatio import errors
from sandbox.creatio.model import Column, Kind

ZERO_GUID = "00000000-0000-0000-0000-000000000000"
NO_MOMENT = "0001-01-01T00:00:00Z"
GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,12}))?)?(Z|z|[+-]\d\d:\d\d)")
INT32 = range(-(2**31), 2**31)
DIGITS_BEFORE_THE_POINT = 16

Stored: TypeAlias = str | int | None

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_YEAR_ONE = -62_135_596_800 * 10_000_000


def ticks(moment: dt.datetime) -> int:
    """Return an aware moment as ticks."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 10_000_000 + delta.microseconds * 10


def parse_moment(text: str) -> int | None:
    """Return an ISO 8601 moment as ticks (fractions beyond the seventh digit are cut); None if it is not one."""
    match = MOMENT.fullmatch(text)
    if not match:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        offset = dt.timedelta()
        if zone not in "Zz":
            offset = dt.timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6])) * (-1 if zone[0] == "-" else 1)
        local = dt.datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=dt.UTC)
    except ValueError:
        return None
    # Subtracting afterwards, in ticks, keeps the first and the last day of the calendar from overflowing.
    return ticks(local) - int(offset.total_seconds()) * 10_000_000 + int((fraction or "0").ljust(7, "0")[:7])


def format_moment(value: int) -> str:
    """Return ticks as Creatio writes a moment."""
    seconds, rest = divmod(value, 10_000_000)
    text = (_EPOCH + dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return f"{text}.{rest:07d}".rstrip("0") + "Z" if rest else f"{text}Z"


def format_decimal(value: int, scale: int) -> str:
    """Return a count of smallest units as a number with all its places."""
    if not scale:
        return str(value)
    digits = str(abs(value)).rjust(scale + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


def default(column: Column) -> Stored:
    """Return what a column holds that nobody has filled."""
    match column.kind:
        case Kind.TEXT:
            return ""
        case Kind.INT | Kind.DECIMAL | Kind.BOOL:
            return 0
        case _:
            return None


def _mismatch(value: object, column: Column) -> errors.Refused:
    shown = orjson.dumps(value, default=str).decode() if not isinstance(value, str) else value
    return errors.bad_body(f"Cannot convert the literal '{shown}' to the expected type '{column.kind}'.")


def to_stored(column: Column, value: object, *, numbers_as_text: bool = False) -> Stored:
    """Return a JSON value as SQLite holds it; the zero GUID and year one are empty.

    `numbers_as_text` is what `IEEE754Compatible=true` in the request's content type means. Raises `Refused`: 400 for
    a value of the wrong type, 500 with the database's text for one that does not fit.
    """
    if value is None:
        return default(column)
    match column.kind, value:
        case Kind.TEXT, str():
            if column.size and len(value) > column.size:
                msg = f"22001: value too long for type character varying({column.size})"
                raise errors.database(msg)
            return value
        case Kind.GUID, str() if GUID.fullmatch(value):
            return None if value == ZERO_GUID else value.lower()
        case Kind.BOOL, bool():
            return int(value)
        case Kind.INT, int() if not isinstance(value, bool) and value in INT32:
            return value
        case Kind.DECIMAL, int() | Decimal() if not isinstance(value, bool):
            return _decimal(column, Decimal(value))
        case Kind.DECIMAL, str() if numbers_as_text and re.fullmatch(r"-?\d+(\.\d+)?", value):
            return _decimal(column, Decimal(value))
        case Kind.DATETIME, str():
            moment = parse_moment(value)
            if moment is not None:
                return _moment(column, moment)
    raise _mismatch(value, column)


def _decimal(column: Column, value: Decimal) -> int:
    if not value.is_finite() or value.adjusted() >= DIGITS_BEFORE_THE_POINT:
        msg = "22003: numeric field overflow"
        raise errors.database(msg)
    return int(value.scaleb(column.scale).to_integral_value(ROUND_HALF_UP))


def _moment(column: Column, value: int) -> int | None:
    value -= value % (864_000_000_000 if column.day else 10)
    return None if value <= _YEAR_ONE else value


def to_json(column: Column, value: Stored, *, numbers_as_text: bool = False) -> object:
    """Return what SQLite holds as orjson is to write it."""
    if value is None:
        return ZERO_GUID if column.kind is Kind.GUID else NO_MOMENT
    if isinstance(value, str):
        return value
    match column.kind:
        case Kind.DECIMAL:
            text = format_decimal(value, column.scale)
            return text if numbers_as_text else orjson.Fragment(text)
        case Kind.BOOL:
            return bool(value)
        case Kind.DATETIME:
            return format_moment(value)
        case _:
            return value
