"""A fingerprint of what a mapping means.

It covers everything that decides what is written where: both systems with locale, the objects, fields and lines with
their owners, expressions, value maps, types and limits, matching, conditions, write-backs, what happens to what is
gone, checks, and the company's country, base currency and time zone. It does not cover what changes nothing of that:
comments, the order of keys, labels, connections, flows, and fields of the catalogues that the mapping does not use.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from iw_operators.spec import expressions
from iw_operators.spec.catalogue import FieldDef, ObjectDef
from iw_operators.spec.models import Policy
from iw_operators.spec.resolved import Kind, MappedField, ResolvedMapping, Side

LENGTH = 16
BIND_FIELDS: Mapping[str, tuple[str, ...]] = {
    "name": ("name",),
    "full_name": ("full_name",),
    "phone": ("phone",),
    "address": ("billing.city", "billing.region", "billing.postal_code", "billing.country"),
    "number": ("number",),
    "code": ("code",),
    "email": ("email",),
}


def fingerprint(mapping: ResolvedMapping) -> str:
    """Return 16 hexadecimal digits. `mapping.fingerprint` itself does not count."""
    text = json.dumps(meaning(mapping), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:LENGTH]


def meaning(mapping: ResolvedMapping) -> dict[str, Any]:
    """Return what the fingerprint is made of, as JSON data."""
    company = mapping.company
    return {
        "systems": [[end.system, end.locale] for end in (company.crm, company.books)],
        "company": [company.country, company.base_currency, company.time_zone],
        "neutral": mapping.neutral,
        "objects": [mapping.crm_object, mapping.books_object],
        "definitions": [_object(mapping, "crm"), _object(mapping, "books")],
        "direction": mapping.direction.value,
        "bind": {**mapping.bind.model_dump(mode="json"), "else_": sorted(mapping.bind.else_)},
        "ways": [_way(mapping.to_books), _way(mapping.to_crm)],
        "write_back": {name: _field(field) for name, field in mapping.write_back.items()},
        "id_field": _field(mapping.id_field),
        "fields": {field.name: _mapped(field) for field in mapping.fields},
        "lines": {field.name: _mapped(field) for field in mapping.lines},
        # What says nothing is left out, so that mappings from before these keys keep their fingerprints.
        **({"when_gone": stated} if (stated := _gone(mapping)) else {}),
        **({"check": mapping.check.stated} if mapping.check.stated else {}),
    }


def _gone(mapping: ResolvedMapping) -> dict[Side, dict[Kind, str]]:
    """Return the policies other than hold, which is what happens where nothing is stated."""
    sides = {
        side: {kind: policy.value for kind, policy in kinds.items() if policy is not Policy.HOLD}
        for side, kinds in mapping.when_gone.items()
    }
    return {side: kinds for side, kinds in sides.items() if kinds}


def _way(way: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = way.model_dump(mode="json")
    when = dumped["create_when"]
    when["opportunity_stage"] = sorted(when["opportunity_stage"])
    when["field"] = {
        name: sorted(value, key=repr) if isinstance(value, list) else [value] for name, value in when["field"].items()
    }
    return dumped


def _mapped(field: MappedField) -> dict[str, Any]:
    return {
        "crm": _field(field.crm),
        "books": _field(field.books),
        "owner": field.owner,
        "expressions": [field.to_books, field.to_crm],
        "values": _words(field.values),
        "defaults": [field.default_books, field.default_crm],
        "shorten": field.shorten,
        "ref": [field.ref, field.ref_mapping],
        **({"optional": True} if field.optional else {}),
    }


def _words(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a value map there and back; of several words of the CRM for one of the books the first comes back."""
    back: dict[str, str] = {}
    for left, right in values.items():
        back.setdefault(right.strip().casefold(), left)
    return [dict(values), back]


def _field(field: FieldDef | None) -> list[Any] | None:
    if field is None:
        return None
    lookup = field.lookup
    return [
        field.native,
        field.type,  # as text: `value` of an enumeration is slow, and this is asked for each field of each mapping
        field.length,
        field.scale,
        field.required,
        field.writable,
        field.create_only,
        "".join(sorted(field.forbidden)),
        field.ref,
        [lookup.set, lookup.by, lookup.key] if lookup else None,
    ]


def _object(mapping: ResolvedMapping, side: Side) -> dict[str, Any]:
    """Return what a mapping takes from one object, apart from the fields it maps: those it only reads as well."""
    definition: ObjectDef = mapping.definition(side)
    way = mapping.to_books if side == "crm" else mapping.to_crm
    key = "to_books" if side == "crm" else "to_crm"
    expressed = expressions.reads(
        (getattr(field, key) for field in mapping.fields), (getattr(field, key) for field in mapping.lines)
    )
    criteria = (*mapping.bind.else_, *(("full_name",) if mapping.bind.by == "full_name" else ()))
    read = {name for word in criteria for name in BIND_FIELDS[word]} | {definition.name, *way.create_when.field}
    read |= {expressions.longest(name, definition.fields) for name in expressed[0]}
    read -= {field.name for field in mapping.fields if field.on(side) is not None}
    lines = definition.lines
    line_read: set[str] = set()
    if lines is not None:
        found = {expressions.longest(name, lines.fields) for name in expressed[1]}
        line_read = {*lines.fields} if expressed[2] else found & {*lines.fields}
    when = way.create_when
    facts = bool(when.opportunity or when.opportunity_stage)
    return {
        "key": definition.key,
        "modified": definition.modified,
        "active": definition.active,
        "deletes": definition.deletes,
        "creatable": definition.creatable,
        "name": definition.name,
        "reads": {name: _field(definition.fields[name]) for name in read if name in definition.fields},
        "lines": [lines.native, lines.link, lines.required] if lines and (mapping.lines or line_read) else None,
        "line_reads": {name: _field(lines.fields[name]) for name in line_read} if lines else {},
        "related": {name: each.model_dump(mode="json") for name, each in definition.related.items()} if facts else {},
    }
