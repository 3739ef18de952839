"""From data to models: pydantic checks the form, this module says what is wrong in a consultant's words."""

from __future__ import annotations

import enum
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from iw_operators.spec.errors import Path, Problem, listing, suggest

M = TypeVar("M", bound=BaseModel)

# What a pattern means to people.
_PATTERNS = {
    r"^[A-Za-z][A-Za-z0-9_]*$": "a letter first, then letters, digits and _ only",
    r"^[a-z][a-z0-9_]*$": "a small letter first, then small letters, digits and _ only",
    r"^[A-Za-z0-9_.-]+$": "letters, digits, _, . and - only",
    "^[A-Z]{2}$": "two capital letters, such as US",
    "^[A-Z]{3}$": "three capital letters, such as USD",
    r"^[1-9]\d*[hd]$": "a number of hours or days, such as 12h or 1d",
    "^(crm|books)$": "crm or books",
}

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "keys and values",
    "mapping_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
}


def check(model: type[M], data: Any, at: Path = ()) -> tuple[M | None, list[Problem]]:
    """Return the model, or None and every problem of form. `at` leads to the data within its file."""
    if data is None:
        return None, [Problem(at, "is empty", f"the keys {_keys(model)}")]
    if not isinstance(data, dict):
        return None, [Problem(at, f"is {describe(data)}", f"the keys {_keys(model)}")]
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, list(_problems(model, data, at, error))


def describe(value: Any) -> str:
    """Say what a value is, with its beginning where that is short."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"the number {value}"
    if isinstance(value, str):
        return f"{value!r}" if len(value) <= 60 else f"{value[:57]!r}..."
    return "a list" if isinstance(value, list) else "a group of keys"


def _problems(model: type[BaseModel], data: Any, at: Path, error: ValidationError) -> Iterable[Problem]:
    by_path: dict[Path, list[Any]] = {}
    for detail in error.errors(include_url=False):
        path, _ = _walk(data, detail["loc"])
        if detail["type"] in ("missing", "extra_forbidden"):
            path = (*path[: len(detail["loc"]) - 1], detail["loc"][-1])
        by_path.setdefault(path, []).append(detail)
    for path, details in by_path.items():
        if details[0]["type"] == "too_short" and any(each[: len(path)] == path for each in by_path if each != path):
            continue  # what stands in the list is wrong, and told
        yield _problem(model, data, at, path, details)


def _problem(model: type[BaseModel], data: Any, at: Path, path: Path, details: Sequence[Any]) -> Problem:
    detail, where = details[0], (*at, *path)
    kind, context = detail["type"], detail.get("ctx", {})
    _, value = _walk(data, path)
    if kind == "missing":
        return Problem(where[:-1], f"the key {path[-1]!r} is missing")
    if kind == "extra_forbidden":
        known = _known_keys(model, path[:-1])
        return Problem(where, f"unknown key {path[-1]!r}", f"one of {listing(known)}", suggest(str(path[-1]), known))
    if detail["loc"] and detail["loc"][-1] == "[key]":
        known = _quoted(context.get("expected", ""))
        expected = f"one of {listing(known)}" if known else _pattern(context)
        return Problem(where, f"the key {path[-1]!r} is not possible here", expected, suggest(str(path[-1]), known))
    if kind in ("enum", "literal_error"):
        known = _quoted(context["expected"])
        hint = suggest(value, known) if isinstance(value, str) else ""
        return Problem(where, f"is {describe(value)}", f"one of {listing(known)}", hint)
    if len(details) > 1:  # a union: none of its members fits
        expected = " or ".join(dict.fromkeys(_EXPECTED.get(each["type"], each["msg"]) for each in details))
        return Problem(where, f"is {describe(value)}", expected)
    return Problem(where, *_plain(kind, context, value, detail["msg"]))


def _plain(kind: str, context: Mapping[str, Any], value: Any, message: str) -> tuple[str, str]:
    if kind in _EXPECTED:
        quotes = kind == "string_type" and isinstance(value, (bool, int))
        return f"is {describe(value)}", _EXPECTED[kind] + (" (put it in quotation marks)" if quotes else "")
    if kind == "string_pattern_mismatch":
        return f"is {describe(value)}", _pattern(context)
    if kind == "string_too_long":
        return f"is {len(value)} characters long", f"at most {context['max_length']}"
    if kind == "greater_than_equal":
        return f"is {value}", f"at least {context['ge']}"
    if kind == "less_than_equal":
        return f"is {value}", f"at most {context['le']}"
    if kind == "too_short":
        return "is an empty list", f"at least {context['min_length']} entry"
    if kind == "value_error":
        return str(context["error"]), ""
    return f"is {describe(value)}: {message[0].lower()}{message[1:]}", ""


def _pattern(context: Mapping[str, Any]) -> str:
    pattern = context.get("pattern", "")
    return _PATTERNS.get(pattern, f"text of the form {pattern}")


def _quoted(expected: str) -> list[str]:
    return re.findall(r"'([^']*)'", expected)


def _walk(data: Any, path: Sequence[str | int]) -> tuple[Path, Any]:
    """Follow a path as far as the data goes; pydantic's own marks (names of union members) lead nowhere."""
    done: list[str | int] = []
    for part in path:
        in_list = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if not in_list and not (isinstance(data, dict) and part in data):
            break
        data = data[part]
        done.append(part)
    return tuple(done), data


def _keys(model: type[BaseModel]) -> str:
    return listing(_aliases(model))


def _aliases(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _known_keys(model: type[BaseModel], path: Path) -> list[str]:
    """Return the keys that are possible where a path leads to."""
    place: Any = model
    for part in path:
        members = _members(place)
        model_here = next((m for m in members if isinstance(m, type) and issubclass(m, BaseModel)), None)
        if model_here is not None:
            fields = {field.alias or name: field for name, field in model_here.model_fields.items()}
            if part not in fields:
                return []
            place = fields[str(part)].annotation
        else:
            inner = [typing.get_args(m)[-1] for m in members if typing.get_args(m)]
            place = inner[0] if inner else None
    found = next((m for m in _members(place) if isinstance(m, type) and issubclass(m, BaseModel)), None)
    return _aliases(found) if found else []


def _members(annotation: Any) -> list[Any]:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return [inner for member in typing.get_args(annotation) for inner in _members(member)]
    if origin is typing.Annotated:
        return _members(typing.get_args(annotation)[0])
    if annotation is None or annotation is type(None):
        return []
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return []
    return [annotation]
