"""From what a client sends to typed values, or one fault with everything that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from sandbox.quickbooks_online import errors
from sandbox.quickbooks_online.clock import parse_date, parse_stamp, stamp
from sandbox.quickbooks_online.errors import Problem
from sandbox.quickbooks_online.schema import Entity, Field, T

REF_KEYS = frozenset({"value", "name", "type"})
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_LARGEST = Decimal("99999999999")


class Blank:
    """What a client sends to empty a property: "" or {} or a reference without a value."""

    def __repr__(self) -> str:
        return "BLANK"

    def __bool__(self) -> bool:
        return False


BLANK: Final = Blank()


def clean(entity: Entity, payload: Any) -> dict[str, Any]:
    """Return typed values of the writable properties that are given, `BLANK` where they are given empty.

    Null counts as not given. Raises `Fault` with 2010, 2040, 2050, 2060, 2080, 2170 or 2210 for all that is wrong.
    """
    if not isinstance(payload, Mapping):
        raise errors.unreadable()
    problems: list[Problem] = []
    values = _object(entity.fields, payload, problems)
    errors.raise_all(problems)
    return values


def identity(payload: Mapping[str, Any]) -> str | None:
    """Return the Id that a write names, None for none. Raises `Fault` 2030."""
    value = payload.get("Id")
    if value is None or value == "":
        return None
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or len(text) > 18:
        raise errors.Fault(errors.invalid_id(value))
    return str(int(text))


def _object(fields: Mapping[str, Field], given: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in given.items():
        item = fields.get(name)
        if item is None:
            problems.append(errors.unsupported_property(name))
        elif value is not None and not item.readonly:
            typed = _READERS[item.type](item, value, problems)
            if typed is not None:
                values[name] = typed
    return values


def _text(item: Field, value: Any, problems: list[Problem]) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        problems.append(errors.unsupported_property(item.name))
        return None
    text = value if isinstance(value, str) else format(value, "f") if isinstance(value, Decimal) else str(value)
    if text == "":
        return BLANK
    if item.limit and len(text) > item.limit:
        problems.append(errors.wrong_length(item.name, item.limit, len(text)))
    elif any(mark in item.forbid for mark in text):
        problems.append(errors.illegal_characters(item.name))
    elif item.values and text not in item.values:
        problems.append(errors.invalid_enumeration(item.name, text))
    elif item.name == "Address" and not _EMAIL.fullmatch(text.strip()):
        problems.append(errors.invalid_value("email", item.name, text))
    return text


def _number(item: Field, value: Any, problems: list[Problem]) -> Any:
    if value == "":
        return BLANK
    try:
        if isinstance(value, bool):
            raise InvalidOperation
        number = Decimal(value) if isinstance(value, str | int | Decimal) else None
        if number is None or not number.is_finite() or abs(number) > _LARGEST:
            raise InvalidOperation
    except InvalidOperation:
        problems.append(errors.invalid_value("number", item.name, value))
        return None
    return int(number) if number == number.to_integral_value() and isinstance(value, int) else number


def _boolean(item: Field, value: Any, problems: list[Problem]) -> Any:
    if isinstance(value, bool):
        return value
    if value == "":
        return BLANK
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    problems.append(errors.invalid_value("boolean", item.name, value))
    return None


def _date(item: Field, value: Any, problems: list[Problem]) -> Any:
    if value == "":
        return BLANK
    try:
        return parse_date(value).isoformat()
    except (ValueError, AttributeError):
        problems.append(errors.invalid_value("date", item.name, value))
        return None


def _stamp(item: Field, value: Any, problems: list[Problem]) -> Any:
    if value == "":
        return BLANK
    try:
        return stamp(parse_stamp(value))
    except (ValueError, AttributeError):
        problems.append(errors.invalid_value("date", item.name, value))
        return None


def _ref(item: Field, value: Any, problems: list[Problem]) -> Any:
    if not isinstance(value, Mapping):
        problems.append(errors.unsupported_property(item.name))
        return None
    for key in value:
        if key not in REF_KEYS:
            problems.append(errors.unsupported_property(key))
    target = value.get("value")
    if target is None or target == "":
        return BLANK
    if isinstance(target, bool) or not isinstance(target, str | int):
        problems.append(errors.unsupported_property(item.name))
        return None
    kept = {"value": str(target)}
    if not item.targets and isinstance(value.get("name"), str) and value["name"]:
        kept["name"] = value["name"]
    if len(item.targets) > 1 and value.get("type"):
        kept["type"] = str(value["type"])
    return kept


def _nested(item: Field, value: Any, problems: list[Problem]) -> Any:
    if not isinstance(value, Mapping):
        problems.append(errors.unsupported_property(item.name))
        return None
    values = {k: v for k, v in _object(item.fields, value, problems).items() if v is not BLANK}
    keeps_empty = item.name.endswith("LineDetail")
    return values if values or keeps_empty else BLANK


def _list(item: Field, value: Any, problems: list[Problem]) -> Any:
    if not isinstance(value, list) or not all(isinstance(part, Mapping) for part in value):
        problems.append(errors.unsupported_property(item.name))
        return None
    rows = [_object(item.fields, part, problems) for part in value]
    return [{k: v for k, v in row.items() if v is not BLANK} for row in rows]


def _any(_item: Field, value: Any, _problems: list[Problem]) -> Any:
    return BLANK if value in ("", [], {}) else value


_READERS: Mapping[T, Callable[[Field, Any, list[Problem]], Any]] = {
    T.TEXT: _text,
    T.NUMBER: _number,
    T.BOOLEAN: _boolean,
    T.DATE: _date,
    T.STAMP: _stamp,
    T.REF: _ref,
    T.OBJECT: _nested,
    T.LIST: _list,
    T.ANY: _any,
}


def check_required(entity: Entity, values: Mapping[str, Any]) -> None:
    """Raise `Fault` 2020 for each property that the entity cannot be without."""
    errors.raise_all([errors.required(name) for name in entity.required if _missing(values.get(name))])


def _missing(value: Any) -> bool:
    return value is None or value == "" or value == []
