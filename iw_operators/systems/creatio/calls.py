"""Creatio's calls about changed records.

Creatio has no webhooks of its own for this; a business process calls a web service, with a body that the process
makes. Ours expects JSON, one object or a list of them:

    {"object": "Account", "id": "<guid>", "time": "2026-03-01T12:00:00Z", "event": "...", "company": "acme"}

`event` and `company` may be left out. Either the request is signed: `X-Iw-Timestamp` (seconds since 1970) and
`X-Iw-Signature`, HMAC-SHA256 in hexadecimal over the timestamp, a full stop and the body; or, for processes that
cannot compute that, it carries the secret itself as `Authorization: Bearer <secret>`. The times count in both cases:
a request of which one is more than five minutes from ours is refused.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, Final

from iw_operators.systems.calling import (
    LONGEST_EVENT,
    MOST,
    OLD,
    UNREADABLE,
    UNSIGNED,
    Call,
    Told,
    digest,
    event_id,
    loaded,
    moment,
    near,
    same,
    word,
)

SECRET: Final = "webhook_secret"  # noqa: S105  the name of a field, no secret
SIGNATURE: Final = "x-iw-signature"
TIMESTAMP: Final = "x-iw-timestamp"
SHORTEST_SECRET: Final = 16

_GUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NONE: Final = "00000000-0000-0000-0000-000000000000"
_SECONDS: Final = re.compile(r"[0-9]{1,11}")
_BEARER: Final = "bearer "


def account(extra: Mapping[str, Any]) -> str:  # noqa: ARG001  every system's has it
    """Return "": a connection is one site, and its calls do not name it."""
    return ""


def calls(headers: Mapping[str, str], body: bytes, secret: str, now: dt.datetime) -> Told:
    """Return what a request says, or why it is refused."""
    if len(secret) < SHORTEST_SECRET or not _signed(headers, body, secret):
        return UNSIGNED
    if TIMESTAMP in headers and not _recent(headers[TIMESTAMP], now):
        return OLD
    data = loaded(body)
    listed = data if isinstance(data, list) else [data]
    if not 0 < len(listed) <= MOST:
        return UNREADABLE
    found: list[Call] = []
    for each in listed:
        call = _call(each, now)
        if not isinstance(call, Call):
            return call
        found.append(call)
    return tuple(found)


def _signed(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    if SIGNATURE in headers:
        stamp = headers.get(TIMESTAMP, "")
        if not _SECONDS.fullmatch(stamp):
            return False
        wanted = digest(secret, stamp.encode(), b".", body).hex()
        return same(headers[SIGNATURE].removeprefix("sha256=").lower(), wanted)
    given = headers.get("authorization", "")
    return given[: len(_BEARER)].lower() == _BEARER and same(given[len(_BEARER) :].strip(), secret)


def _recent(stamp: str, now: dt.datetime) -> bool:
    if not _SECONDS.fullmatch(stamp):
        return False
    return near(dt.datetime.fromtimestamp(int(stamp), dt.UTC), now)


def _call(data: object, now: dt.datetime) -> Told | Call:
    if not isinstance(data, dict):
        return UNREADABLE
    name, at = word(data.get("object")), moment(data.get("time"))
    record_id = data.get("id")
    guid = record_id.strip("{} ").lower() if isinstance(record_id, str) else ""
    event, company = data.get("event", ""), data.get("company", "")
    if not (isinstance(event, str) and isinstance(company, str) and len(event) <= LONGEST_EVENT):
        return UNREADABLE
    if not name or at is None or not _GUID.fullmatch(guid) or guid == _NONE:
        return UNREADABLE
    if not near(at, now):
        return OLD
    made = event_id("given", event, name.lower(), guid) if event else event_id(name.lower(), guid, at.isoformat())
    return Call(made, name, guid, company=company)
