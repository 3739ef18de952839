"""JSON in and out without a float in between: numbers are int or Decimal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

Raw = orjson.Fragment  # JSON text that is already written


def _refuse(word: str) -> Any:
    msg = f"{word} is not JSON"
    raise ValueError(msg)


def _whole(digits: str) -> int | Decimal:
    return int(digits) if len(digits) < 19 else Decimal(digits)


def loads(text: str | bytes) -> Any:
    """Read JSON; numbers with a fraction become Decimal. Raises ValueError, also for half a surrogate pair."""
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    try:
        value = json.loads(text, parse_float=Decimal, parse_int=_whole, parse_constant=_refuse)
        if "\\u" in text:
            dumps(value)
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return value


def _default(value: Any) -> Any:
    if isinstance(value, Decimal):
        return Raw(format(value, "f").encode())
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


def dumps(value: Any) -> str:
    """Write JSON; a Decimal is written digit by digit."""
    return orjson.dumps(value, default=_default).decode()
