"""What changed between two versions of a mapping (M26). Plain data in, plain data out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from iw_operators.spec import report
from iw_operators.spec.fingerprint import meaning
from iw_operators.spec.resolved import ResolvedMapping

Kind = Literal["added", "removed", "changed"]

_SHOWN: Final = ("crm", "books", "type", "owner", "transform", "reference")
# What the fingerprint writes as lists, by place: a field's definition, and the two ways.
_FIELD: Final = (
    "field",
    "type",
    "length",
    "scale",
    "required",
    "writable",
    "create_only",
    "forbidden",
    "ref",
    "lookup",
)
_WAYS: Final = ("to_books", "to_crm")
_OF_FIELDS: Final = ("fields", "lines", "write_back")  # parts of the meaning that rows of the report are about


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same.

    :param field: the field as the mapping report names it; empty for the mapping as a whole.
    :param what: which part of it: a column of the report, or a setting's path; empty for a whole field.
    :param old: and `new`: as text; empty where there was, or is, nothing.
    """

    kind: Kind
    field: str
    what: str
    old: str
    new: str

    def __str__(self) -> str:
        subject = " ".join(part for part in (self.field or "mapping", self.what) if part)
        if self.kind == "changed":
            return f"{subject}: {self.old or '-'} -> {self.new or '-'}"
        return f"{subject} {self.kind}: {self.new if self.kind == 'added' else self.old}"


def snapshot(mapping: ResolvedMapping) -> dict[str, Any]:
    """Return a mapping as JSON data from which `between` can tell what changed."""
    shown = []
    for row in report.rows(mapping):
        cells = asdict(row)
        shown.append({name: cells[name] for name in ("field", *_SHOWN)})
    return {"title": report.title(mapping), "notes": list(report.notes(mapping)), "rows": shown, **_meaning(mapping)}


def between(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Return what changed from one snapshot to another: fields first, then the rest; nothing where nothing did.

    A field is compared as the report shows it; what the report does not show of it (a length, whether it is required)
    and the mapping's own settings are compared by what the fingerprint is made of. Hence two versions with different
    fingerprints always differ here.
    """
    before, after = _rows(old), _rows(new)
    found = [Difference("removed", name, "", _line(before[name]), "") for name in before if name not in after]
    found += [Difference("added", name, "", "", _line(after[name])) for name in after if name not in before]
    seen = {each.field for each in found}
    for name in before:
        if name not in after:
            continue
        for what in _SHOWN:
            if before[name][what] != after[name][what]:
                found.append(Difference("changed", name, what, before[name][what], after[name][what]))
                seen.add(name)
    then, now = old.get("meaning", {}), new.get("meaning", {})
    for field, path, left, right in _deep(then, now):
        if field not in seen:
            kind: Kind = "changed" if left and right else "added" if right else "removed"
            found.append(Difference(kind, field, path, left, right))
    return found


def _meaning(mapping: ResolvedMapping) -> dict[str, Any]:
    # Through JSON, so that a snapshot just made equals the one that a database gives back.
    told: dict[str, Any] = json.loads(json.dumps({"meaning": meaning(mapping)}))
    return told


def _rows(snapshot_: Mapping[str, Any]) -> dict[str, Mapping[str, str]]:
    return {row["field"]: row for row in snapshot_.get("rows", ())}


def _line(row: Mapping[str, str]) -> str:
    ends = f"{row['crm'] or '-'} / {row['books'] or '-'}"
    return f"{ends}, {row['type']}, owner {row['owner']}" + (f", {row['transform']}" if row["transform"] else "")


def _deep(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield field, path, old and new text of everything that differs in two meanings."""
    for part in dict.fromkeys((*old, *new)):
        for path, left, right in _differing((part,), old.get(part), new.get(part)):
            if part in _OF_FIELDS and len(path) > 1:
                prefix = {"fields": "", "lines": "lines[].", "write_back": "write_back."}[part]
                yield f"{prefix}{path[1].removeprefix('lines[].')}", ".".join(path[2:]), left, right
            else:
                yield "", ".".join(path), left, right


def _differing(path: tuple[str, ...], old: Any, new: Any) -> Iterator[tuple[tuple[str, ...], str, str]]:
    if old == new:
        return
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for names in (_FIELD, _WAYS):
            if len(names) == len(old) and (names is _FIELD or path == ("ways",)):
                old, new = dict(zip(names, old, strict=True)), dict(zip(names, new, strict=True))
                break
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in dict.fromkeys((*old, *new)):
            yield from _differing((*path, str(name)), old.get(name), new.get(name))
    else:
        yield path, _text(old), _text(new)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
