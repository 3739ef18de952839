"""All that is QODBC's own: how its SQL is spelt, what its values look like, and what its errors say. No I/O.

Sources: QODBC's and FlexQuarters' pages on table tags, `sp_lastinsertid`, `FQSaveToCache` and line tables. What this
module promises: every value goes as a parameter, names come from the catalogue and are checked, and nothing relies on a
transaction being rolled back, which QuickBooks does not know.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeAlias

from iw_operators.engine.model import Scalar
from iw_operators.errors.entries import canonical
from iw_operators.spec.catalogue import FieldDef, FieldType

Parameter: TypeAlias = str | int | bool | Decimal | dt.date | dt.datetime | None
Typed: TypeAlias = Callable[[Any], Scalar]

SAVE_TO_CACHE: Final = "FQSaveToCache"
TAG: Final = "UNOPTIMIZED"  # past QODBC's own copy of the company file: what QuickBooks holds now
CLOCK: Final = "SELECT {fn NOW()} AS HostTime FROM Company UNOPTIMIZED"
IN_MOST: Final = 100  # values of one IN; a statement of a few thousand characters passes every driver

_RESERVED: Final = frozenset({"DESC"})  # columns (an account's description) that are words of SQL too
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_ERROR: Final = re.compile(r"\[QODBC\][^\n]*?Error:?\s*((?:0x)?8004[0-9A-Fa-f]{4}|-?\d+)(?!\w)\s*[-:]?\s*([^\n]*)")
_MORE: Final = re.compile(r"QuickBooks error message:\s*([^\n]*)")
_TAIL: Final = re.compile(r";?\s*(?:\n\s*)?Error while executing the query\b.*|\s*\(\d+\)\s*\(SQL\w+\)\s*$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement and its parameters."""

    sql: str
    params: tuple[Parameter, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """What a driver's error says. `code` is QODBC's or QuickBooks' own, "" where there is none."""

    code: str
    text: str
    state: str = ""


def name(text: str) -> str:
    """Return a table's or column's name as it stands in a statement; ValueError for what cannot be one."""
    if _NAME.fullmatch(text) is None:
        msg = f"{text!r} cannot be the name of a table or column"
        raise ValueError(msg)
    return f'"{text}"' if text.upper() in _RESERVED else text


def select(
    columns: Sequence[str],
    table: str,
    where: Iterable[tuple[str, str, Sequence[Parameter]]] = (),
    *,
    order: Sequence[str] = (),
    top: int | None = None,
) -> Statement:
    """Return a SELECT of everything that meets all conditions.

    :param where: column, operator (`=`, `>=`, `<=`, `IN`) and its values.
    :param order: columns to order by, ascending.
    :param top: rows at the most.
    """
    parts, params = ["SELECT"], list[Parameter]()
    if top is not None:
        parts.append(f"TOP {int(top)}")
    parts += [", ".join(map(name, columns)), "FROM", name(table), TAG]
    conditions = []
    for column, operator, values in where:
        marks = ", ".join("?" * len(values))
        conditions.append(f"{name(column)} IN ({marks})" if operator == "IN" else f"{name(column)} {operator} ?")
        params += values
    if conditions:
        parts.append(f"WHERE {' AND '.join(conditions)}")
    if order:
        parts.append(f"ORDER BY {', '.join(map(name, order))}")
    return Statement(" ".join(parts), tuple(params))


def insert(table: str, values: Mapping[str, Parameter], *, more: bool | None = None) -> Statement:
    """Return an INSERT. :param more: of a line: whether the rest of its group follows on the same connection."""
    row = dict(values) if more is None else {**values, SAVE_TO_CACHE: int(more)}
    columns, marks = ", ".join(map(name, row)), ", ".join("?" * len(row))
    return Statement(f"INSERT INTO {name(table)} ({columns}) VALUES ({marks})", tuple(row.values()))  # noqa: S608  names are checked, values are parameters


def update(table: str, values: Mapping[str, Parameter], where: Mapping[str, Parameter]) -> Statement:
    """Return an UPDATE of the rows that have all of `where`."""
    sets = ", ".join(f"{name(column)} = ?" for column in values)
    sql = f"UPDATE {name(table)} SET {sets} WHERE {_all(where)}"  # noqa: S608  as in `insert`
    return Statement(sql, (*values.values(), *where.values()))


def delete(table: str, where: Mapping[str, Parameter]) -> Statement:
    """Return a DELETE of the rows that have all of `where`, of which there has to be something."""
    if not where:
        msg = "a DELETE without a condition"
        raise ValueError(msg)
    return Statement(f"DELETE FROM {name(table)} WHERE {_all(where)}", tuple(where.values()))  # noqa: S608  as in `insert`


def _all(where: Mapping[str, Parameter]) -> str:
    return " AND ".join(f"{name(column)} = ?" for column in where)


def last_id(table: str) -> Statement:
    """Return the call for the id of what this connection has inserted last into a table."""
    return Statement(f"sp_lastinsertid {name(table)}")


def columns_of(table: str) -> Statement:
    """Return the call for a table's columns; custom fields are among them."""
    return Statement(f"sp_columns {name(table)}")


def fault(message: str, state: str = "") -> Fault:
    """Return what an error says: QODBC's code and text, over all of its lines, and QuickBooks' own second line."""
    text = _TAIL.sub("", message)
    found = _ERROR.search(text)
    more = _MORE.search(text)
    code = _code(found[1]) if found else ""
    said = (found[2] if found else " ".join(text.split())).strip()
    if more and more[1].strip() and more[1].strip() not in said:
        said = f"{said.rstrip('.')}. {more[1].strip()}"
    return Fault(code, said, state)


def _code(said: str) -> str:
    """Return a code as the catalogue writes it: 800404xx of Windows also stands in decimals, or with `0x`."""
    told = canonical(said)
    return told.upper() if told.startswith("8004") else said


# Values as drivers give them -------------------------------------------------------------------------------------

DAY_FIRST: Final = frozenset({"UK", "AU", "NZ", "SEA"})  # locales whose written dates begin with the day
_TRUE: Final = frozenset({"1", "true", "t", "y", "yes", "-1"})
_FALSE: Final = frozenset({"0", "false", "f", "n", "no"})
_SLASHED: Final = re.compile(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})")


def converter(field: FieldDef, zone: dt.tzinfo, locale: str = "US") -> Typed:
    """Return the function that makes a driver's value a neutral one; empty text is None.

    It raises ValueError where the value is not of the type that the catalogue says.
    """
    match field.type:
        case FieldType.MONEY | FieldType.DECIMAL:
            return as_decimal
        case FieldType.INTEGER:
            return _integer
        case FieldType.BOOLEAN:
            return as_bool
        case FieldType.DATE:
            return lambda value: as_date(value, locale)
        case FieldType.DATETIME:
            return lambda value: as_moment(value, zone)
        case _:
            return as_text


def as_text(value: Any) -> str | None:
    """Return a value as text, None where there is none."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return str(value)
    msg = "is no text"
    raise ValueError(msg)


def as_decimal(value: Any) -> Decimal | None:
    """Return a number exactly; drivers that know no decimals give it as text, and some as a double of 15 digits."""
    if value.__class__ is Decimal:
        number: Decimal = value
        return number
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        msg = "is not a number"
        raise ValueError(msg)
    try:
        return Decimal(str(value).strip())  # of a double the shortest text that stands for it, which is what was sent
    except InvalidOperation:
        msg = "is not a number"
        raise ValueError(msg) from None


def _integer(value: Any) -> int | None:
    number = as_decimal(value)
    if number is None:
        return None
    if number != number.to_integral_value():
        msg = "is not a whole number"
        raise ValueError(msg)
    return int(number)


def as_bool(value: Any) -> bool | None:
    """Return a truth value; bits come as 1 and 0, as text, or as what they are."""
    if value is True or value is False:
        return bool(value)
    if value is None or value == "":
        return None
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    msg = "is neither true nor false"
    raise ValueError(msg)


def as_date(value: Any, locale: str = "US") -> dt.date | None:
    """Return a day; text is read as ISO, else in the order in which the locale writes dates."""
    if value is None or value == "":
        return None
    if isinstance(value, dt.datetime):
        return value.date()
    if isinstance(value, dt.date):
        return value
    text = str(value).strip()
    if slashed := _SLASHED.fullmatch(text):
        first, second, year = map(int, slashed.groups())
        day, month = (first, second) if locale in DAY_FIRST else (second, first)
        return dt.date(year, month, day)
    return dt.date.fromisoformat(text[:10])


def as_moment(value: Any, zone: dt.tzinfo) -> dt.datetime | None:
    """Return a moment of the company file's local time.

    The hour that comes twice when summer time ends stands for its second coming: what changed in the first is then
    told an hour late, and nothing is missed or told twice.
    """
    if value is None or value == "":
        return None
    if value.__class__ is dt.datetime and value.tzinfo is None:
        return _utc(value, zone)
    if isinstance(value, dt.datetime):
        moment = value
    else:
        moment = dt.datetime.fromisoformat(str(value).strip().replace("Z", "+00:00"))
    return _utc(moment, zone) if moment.tzinfo is None else moment.astimezone(dt.UTC)


@functools.lru_cache(maxsize=4096)
def _utc(local: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    return local.replace(tzinfo=zone, fold=1).astimezone(dt.UTC)


def local(moment: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    """Return a moment in the company file's local time, without a zone and to the second, as QODBC compares it."""
    return moment.astimezone(zone).replace(tzinfo=None, microsecond=0)


def earliest(moment: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    """Return the earliest local time that may stand for a moment from `moment` on; see `as_moment`."""
    here = moment.astimezone(zone)
    later = here.replace(fold=1)
    doubled = later.utcoffset() != here.replace(fold=0).utcoffset()
    return local(moment, zone) - (dt.timedelta(hours=1) if doubled and here.fold == 0 else dt.timedelta())
