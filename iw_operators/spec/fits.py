"""Whether what one field holds can stand in another: by type and declared length, defaults and translations too."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping

from iw_operators.spec.catalogue import FieldDef, FieldType
from iw_operators.spec.catalogues import KINDS

_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,10})?")
_BOOLEANS = frozenset({"true", "yes", "1", "false", "no", "0"})
_INTEGER = re.compile(r"-?\d{1,15}")


def types(source: FieldDef, target: FieldDef) -> str:
    """Return why a value cannot go from source to target by its type, or "".

    Within numbers and within times everything can go, but a number with decimals into an integer; into text
    everything but a reference. References only go to references to the same neutral object. What the value itself
    makes impossible is found record by record.
    """
    from_kind, to_kind = KINDS[source.type], KINDS[target.type]
    if from_kind != to_kind and not (to_kind == "text" and from_kind != "ref"):
        return f"{source.type.value} cannot become {target.type.value}"
    if target.type is FieldType.INTEGER and source.type is not FieldType.INTEGER:
        return f"{source.type.value} cannot become integer without losing its decimals"
    if source.ref != target.ref:
        return f"a reference to {source.ref} cannot become one to {target.ref}"
    return ""


def lengths(source: FieldDef, target: FieldDef) -> str:
    """Return why a source's longest text cannot stand in the target, or ""."""
    if KINDS[source.type] != "text" or target.length is None or source.length is None:
        return ""
    if source.length <= target.length:
        return ""
    return f"holds up to {source.length} characters, {target.native} takes {target.length}"


def default(value: str | int | bool, target: FieldDef) -> str:
    """Return what a default, or a word of a value map, has to be where it cannot stand in the target; else ""."""
    kind = KINDS[target.type]
    text = str(value).strip()
    if kind == "boolean":
        return "" if text.casefold() in _BOOLEANS else "true or false"
    if isinstance(value, bool):
        return f"{target.type.value}, not true or false"
    if target.type is FieldType.INTEGER:
        return "" if _INTEGER.fullmatch(text) else "a whole number"
    if kind == "number":
        return "" if _NUMBER.fullmatch(text) else "a number with a decimal point"
    if kind == "time":
        return _time(text, target.type)
    if target.length is not None and len(text) > target.length:
        return f"at most {target.length} characters"
    bad = [character for character in target.forbidden if character in text]
    return f"none of the characters {', '.join(map(repr, bad))}" if bad else ""


def values(table: Mapping[str, str], *, crm: FieldDef | None, books: FieldDef | None) -> Iterator[tuple[str, str, str]]:
    """Yield key, message and expected for the entries of a value map that cannot stand in the fields."""
    seen: dict[str, str] = {}
    for left, right in table.items():
        for text, field in ((left, crm), (right, books)):
            if field is not None and (expected := default(text, field)):
                yield left, f"{text!r} does not fit {field.native}", expected
        folded = left.strip().casefold()
        if folded in seen:
            yield left, f"{left!r} and {seen[folded]!r} are the same word, capitals do not count", "one of them"
        seen.setdefault(folded, left)


def _time(text: str, kind: FieldType) -> str:
    try:
        if kind is FieldType.DATE:
            dt.date.fromisoformat(text)
            return ""
        stamp = dt.datetime.fromisoformat(text)
    except ValueError:
        return "a date such as 2026-01-31" if kind is FieldType.DATE else "a time such as 2026-01-31T08:00:00+00:00"
    return "" if stamp.tzinfo is not None else "a time with its zone, such as 2026-01-31T08:00:00+00:00"
