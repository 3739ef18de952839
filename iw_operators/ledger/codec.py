"""Values as JSON and back without loss.

Text, integers, booleans and None are themselves. Everything else is an object with one short key:

    {"d": "12.50"}      Decimal, with its places
    {"D": "2026-01-31"} date
    {"T": "..."}        datetime in ISO 8601, with its offset
    {"i": "..."}        integer beyond what JSON readers keep exactly
    {"x": "..."}        text that PostgreSQL cannot store (NUL, half a surrogate pair), as base64 of its bytes

Lines are an array of objects. Text that is for people only goes through `storable` instead.
"""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from iw_operators.engine.cards import masked
from iw_operators.engine.model import (
    Action,
    Await,
    Candidate,
    Change,
    Decision,
    Line,
    Removal,
    Scalar,
    Unbind,
    Value,
    Values,
)
from iw_operators.errors import FixRecord

Json = Any

EXACT = 2**53  # integers up to here survive every JSON reader
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def encode_value(value: Value) -> Json:
    """Return a value as JSON data.

    :raises TypeError: the value is of a type that records do not have (a float, for example).
    """
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        # Most text is ASCII, and what cannot be stored of that is found faster than by the expression.
        if value.isascii() and "\x00" not in value:
            return str(value)
        return {"x": _bytes(value)} if _UNSTORABLE.search(value) else str(value)
    if isinstance(value, Decimal):
        return {"d": str(value)}
    if isinstance(value, int):
        return value if -EXACT <= value <= EXACT else {"i": str(value)}
    if isinstance(value, dt.datetime):
        return {"T": value.isoformat()}
    if isinstance(value, dt.date):
        return {"D": value.isoformat()}
    if isinstance(value, tuple):
        return [encode_values(line) for line in value]
    msg = f"A record's value cannot be a {type(value).__name__}."
    raise TypeError(msg)


def decode_value(data: Json) -> Value:
    """Return what `encode_value` was given."""
    if isinstance(data, list):
        return tuple(cast("Line", decode_values(line)) for line in data)
    return _scalar(data)


def encode_values(values: Values) -> dict[str, Json]:
    """Return a record's values as JSON data."""
    return {name: encode_value(value) for name, value in values.items()}


def decode_values(data: Mapping[str, Json]) -> dict[str, Value]:
    """Return what `encode_values` was given."""
    return {name: decode_value(value) for name, value in data.items()}


def encode_changes(changes: tuple[Change, ...]) -> list[Json]:
    """Return changed fields as JSON data."""
    return [{"field": c.field, "old": encode_value(c.old), "new": encode_value(c.new)} for c in changes]


def decode_changes(data: list[Json]) -> tuple[Change, ...]:
    """Return what `encode_changes` was given."""
    return tuple(Change(c["field"], decode_value(c["old"]), decode_value(c["new"])) for c in data)


def encode_candidates(candidates: tuple[Candidate, ...]) -> list[Json]:
    """Return candidates as JSON data."""
    return [{"id": c.id, "label": storable(c.label), "bound_to": c.bound_to} for c in candidates]


def decode_candidates(data: list[Json]) -> tuple[Candidate, ...]:
    """Return what `encode_candidates` was given."""
    return tuple(Candidate(c["id"], c["label"], c["bound_to"]) for c in data)


def encode_awaits(awaits: tuple[Await, ...]) -> list[Json]:
    """Return awaited references as JSON data."""
    return [{"mapping": a.mapping, "source_id": a.source_id} for a in awaits]


def decode_awaits(data: list[Json]) -> tuple[Await, ...]:
    """Return what `encode_awaits` was given."""
    return tuple(Await(a["mapping"], a["source_id"]) for a in data)


def encode_decision(decision: Decision) -> dict[str, Json]:
    """Return a decision as JSON data, so that a later process can finish what it was about."""
    return {
        "action": decision.action.value,
        "source_id": decision.source_id,
        "why": storable(decision.why),
        "label": storable(decision.label),
        "target_id": decision.target_id,
        "target_version": decision.target_version,
        "source_version": decision.source_version,
        "changes": encode_changes(decision.changes),
        "send": encode_values(decision.send),
        "source": encode_values(decision.source),
        "target": encode_values(decision.target),
        "binds": decision.binds,
        "generation": decision.generation,
        "awaits": encode_awaits(decision.awaits),
        "removal": decision.removal.value if decision.removal else None,
        "unbind": [decision.unbind.gone, decision.unbind.kind, decision.unbind.hold] if decision.unbind else None,
    }


def decode_decision(data: Mapping[str, Json]) -> Decision:
    """Return the decision that `encode_decision` was given (those of a write have no candidates)."""
    removal, unbind = data.get("removal"), data.get("unbind")
    return Decision(
        action=Action(data["action"]),
        source_id=data["source_id"],
        why=data["why"],
        label=data["label"],
        target_id=data["target_id"],
        target_version=data["target_version"],
        source_version=data["source_version"],
        changes=decode_changes(data["changes"]),
        send=decode_values(data["send"]),
        source=decode_values(data["source"]),
        target=decode_values(data["target"]),
        binds=data["binds"],
        generation=data["generation"],
        awaits=decode_awaits(data.get("awaits") or []),
        removal=Removal(removal) if removal else None,
        unbind=Unbind(*unbind) if unbind else None,
    )


def storable(text: str) -> str:
    """Return text for people as it may be kept.

    What PostgreSQL cannot store is made visible (␀ for NUL, � for half a surrogate pair), and of the number of a
    payment card the last four digits are left (M11), should one have found its way into a name or a vendor's message.
    """
    text = masked(text)
    if (text.isascii() and "\x00" not in text) or not _UNSTORABLE.search(text):
        return text
    return _UNSTORABLE.sub(lambda found: "␀" if found.group() == "\x00" else "�", text)


def can_be_stored(text: str) -> bool:
    """Tell whether PostgreSQL can store a text as it is."""
    return (text.isascii() and "\x00" not in text) or not _UNSTORABLE.search(text)


def identifier(text: str) -> str:
    """Return a record's id as it is.

    :raises FixRecord: it holds a character that the ledger cannot store (no system makes such ids).
    """
    if _UNSTORABLE.search(text):
        msg = f"The id {storable(text)!r} holds a character that cannot be stored."
        raise FixRecord(msg, code="iw.bad_id")
    return text


def _scalar(data: Json) -> Scalar:
    if not isinstance(data, dict):
        return cast("Scalar", data)
    ((kind, text),) = data.items()
    return cast("Scalar", _DECODERS[kind](text))


def _bytes(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode("ascii")


_DECODERS: Mapping[str, Any] = {
    "d": Decimal,
    "D": dt.date.fromisoformat,
    "T": dt.datetime.fromisoformat,
    "i": int,
    "x": lambda text: base64.b64decode(text).decode("utf-8", "surrogatepass"),
}
