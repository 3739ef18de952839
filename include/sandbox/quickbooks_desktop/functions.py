"""ODBC's functions as the company file's SELECT knows them: what each gives, and how SQLite computes it."""

from __future__ import annotations

import calendar
import datetime as dt
import sqlite3
from collections.abc import Callable, Mapping
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Any, Final

from sandbox.quickbooks_desktop.values import SCALE, scaled, unscaled

AGGREGATES: Final = frozenset({"COUNT", "MAX", "MIN", "SUM", "AVG"})
CLOCKS: Final = {"NOW": "t", "CURDATE": "d"}
NOTHING: Final = {"DATABASE": "s", "USER": "s"}  # that take no argument
SAME: Final = ""  # of the kind of the first argument

# What a function gives (a field's type), and how many arguments it takes.
FUNCTIONS: Final[Mapping[str, tuple[str, tuple[int, ...]]]] = {
    **dict.fromkeys(("UCASE", "UPPER", "LCASE", "LOWER", "LTRIM", "RTRIM", "DAYNAME", "MONTHNAME"), ("s", (1,))),
    **dict.fromkeys(("LEFT", "RIGHT", "CONCAT", "REPEAT"), ("s", (2,))),
    **dict.fromkeys(("SPACE", "CHAR"), ("s", (1,))),
    "SUBSTRING": ("s", (2, 3)),
    "REPLACE": ("s", (3,)),
    **dict.fromkeys(("LENGTH", "ASCII"), ("i", (1,))),
    "LOCATE": ("i", (2, 3)),
    **dict.fromkeys(("YEAR", "MONTH", "DAYOFMONTH", "DAYOFWEEK", "DAYOFYEAR", "QUARTER", "WEEK"), ("i", (1,))),
    **dict.fromkeys(("HOUR", "MINUTE", "SECOND"), ("i", (1,))),
    **dict.fromkeys(("ABS", "FLOOR", "CEILING"), (SAME, (1,))),
    "ROUND": (SAME, (1, 2)),
    "TRUNCATE": (SAME, (2,)),
    "MOD": (SAME, (2,)),
    "IFNULL": (SAME, (2,)),
    "CONVERT": (SAME, (2,)),
}
TARGETS: Final = {
    **dict.fromkeys(("SQL_CHAR", "SQL_VARCHAR", "SQL_LONGVARCHAR"), "s"),
    **dict.fromkeys(("SQL_INTEGER", "SQL_SMALLINT", "SQL_BIGINT"), "i"),
    **dict.fromkeys(("SQL_DECIMAL", "SQL_NUMERIC", "SQL_DOUBLE", "SQL_FLOAT", "SQL_REAL"), "n"),
    **dict.fromkeys(("SQL_DATE", "SQL_TYPE_DATE"), "d"),
    **dict.fromkeys(("SQL_TIMESTAMP", "SQL_TYPE_TIMESTAMP"), "t"),
}


def register(database: sqlite3.Connection) -> None:
    """Make the functions known to SQLite under `iw_` and their name; nothing in gives nothing out."""
    for name, work in _WORK.items():
        database.create_function(f"iw_{name}", -1, _unless_null(work), deterministic=True)


def _unless_null(work: Callable[..., Any]) -> Callable[..., Any]:
    def run(*given: Any) -> Any:
        return None if None in given else work(*given)

    return run


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _times(left: int, right: int) -> int:
    return scaled(unscaled(left) * unscaled(right))


def _over(left: int, right: int) -> int | None:
    return scaled(unscaled(left) / unscaled(right)) if right else None


def _rounded(rounding: str) -> Callable[..., int]:
    def run(value: int, places: int = 0) -> int:
        return scaled(unscaled(value).quantize(Decimal(1).scaleb(-min(max(places, 0), SCALE)), rounding))

    return run


def _located(sought: str, within: str, begin: int = 1) -> int:
    return within.lower().find(sought.lower(), max(begin, 1) - 1) + 1


def _later(text: str, days: int) -> str:
    moved = _moment(text) + dt.timedelta(days=days)
    return moved.isoformat(" ") if len(text) > len("2026-01-31") else moved.date().isoformat()


_WORK: Final[Mapping[str, Callable[..., Any]]] = {
    "UCASE": str.upper,
    "UPPER": str.upper,
    "LCASE": str.lower,
    "LOWER": str.lower,
    "LTRIM": str.lstrip,
    "RTRIM": str.rstrip,
    "LEFT": lambda text, count: text[: max(count, 0)],
    "RIGHT": lambda text, count: text[-count:] if count > 0 else "",
    "CONCAT": lambda left, right: left + right,
    "REPEAT": lambda text, count: text * count,
    "SPACE": lambda count: " " * count,
    "CHAR": chr,
    "SUBSTRING": lambda text, begin, count=None: text[begin - 1 : None if count is None else begin - 1 + count],
    "REPLACE": lambda text, old, new: text.replace(old, new),
    "LENGTH": len,
    "ASCII": lambda text: ord(text[0]) if text else 0,
    "LOCATE": _located,
    "YEAR": lambda text: _moment(text).year,
    "MONTH": lambda text: _moment(text).month,
    "QUARTER": lambda text: (_moment(text).month + 2) // 3,
    "WEEK": lambda text: _moment(text).isocalendar().week,
    "DAYOFMONTH": lambda text: _moment(text).day,
    "DAYOFWEEK": lambda text: _moment(text).isoweekday() % 7 + 1,
    "DAYOFYEAR": lambda text: _moment(text).timetuple().tm_yday,
    "DAYNAME": lambda text: calendar.day_name[_moment(text).weekday()],
    "MONTHNAME": lambda text: calendar.month_name[_moment(text).month],
    "HOUR": lambda text: _moment(text).hour,
    "MINUTE": lambda text: _moment(text).minute,
    "SECOND": lambda text: _moment(text).second,
    "ABS": abs,
    "FLOOR": _rounded("ROUND_FLOOR"),
    "CEILING": _rounded("ROUND_CEILING"),
    "ROUND": _rounded(ROUND_HALF_UP),
    "TRUNCATE": _rounded(ROUND_DOWN),
    "times": _times,
    "over": _over,
    "later": _later,
    "between": lambda last, first: (_moment(last[:10]) - _moment(first[:10])).days,
    "shown": lambda value, places: f"{unscaled(value):.{places}f}",
    "whole": lambda value: int(unscaled(value)),
    "number": lambda text: scaled(Decimal(text.strip() or "0")),
}
