"""Intuit's webhooks: which records of a company have changed.

Header `intuit-signature`: HMAC-SHA256 over the body with the app's verifier token, in base64. Two forms of body:
the older one with `eventNotifications`, and since 2026 a list of CloudEvents. (Intuit's documentation.)

One address serves all companies that have authorised an app, so a request may be about several. The times in it are
those of the changes, not of the request, and Intuit repeats a request for hours until it is answered; therefore
only changes of more than a day ago are passed over, and a repetition is told by its event.
"""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from iw_operators.systems.calling import (
    LONGEST_EVENT,
    MOST,
    UNREADABLE,
    UNSIGNED,
    Call,
    Told,
    digest,
    event_id,
    loaded,
    moment,
    same,
    word,
)

SECRET: Final = "verifier_token"  # noqa: S105  the name of a field, no secret
SIGNATURE: Final = "intuit-signature"
OLDEST: Final = dt.timedelta(days=1)
AHEAD: Final = dt.timedelta(minutes=5)  # that Intuit's clock may be before ours
SHORTEST_SECRET: Final = 16

_ID: Final = re.compile(r"[0-9]{1,30}")
_TYPE: Final = re.compile(r"qbo\.([A-Za-z]{1,60})\.([A-Za-z]{1,30})\.v[0-9]{1,4}")


class _Unreadable(ValueError):
    """A part is not of the form."""


def account(extra: Mapping[str, Any]) -> str:
    """Return the company's number (realm) that a connection is about."""
    return str(extra.get("realm_id") or "").replace(" ", "")


def calls(headers: Mapping[str, str], body: bytes, secret: str, now: dt.datetime) -> Told:
    """Return what a request says, or why it is refused. Changes of more than a day ago are left out."""
    if len(secret) < SHORTEST_SECRET:
        return UNSIGNED
    wanted = base64.b64encode(digest(secret, body)).decode()
    if not same(headers.get(SIGNATURE, "").strip(), wanted):
        return UNSIGNED
    data = loaded(body)
    try:
        if isinstance(data, dict) and "eventNotifications" in data:
            found = list(_notified(data["eventNotifications"]))
        elif isinstance(data, list | dict):
            found = list(_cloud_events(data if isinstance(data, list) else [data]))
        else:
            return UNREADABLE
    except _Unreadable:
        return UNREADABLE
    if len(found) > MOST:
        return UNREADABLE
    return tuple(call for call, at in found if at is None or -AHEAD <= now - at <= OLDEST)


def _notified(notifications: object) -> Iterator[tuple[Call, dt.datetime | None]]:
    for notification in _listed(notifications):
        realm = _id(notification.get("realmId"))
        changed = notification.get("dataChangeEvent")
        if not isinstance(changed, dict):
            raise _Unreadable
        for entity in _listed(changed.get("entities")):
            name, at = word(entity.get("name")), moment(entity.get("lastUpdated"))
            operation = entity.get("operation", "")
            if not name or not isinstance(operation, str):
                raise _Unreadable
            stamp = at.isoformat() if at else ""
            for key in ("id", "deletedId"):  # a merge names the record that went into the other as well
                if key == "id" or entity.get(key):
                    record_id = _id(entity.get(key))
                    event = event_id(realm, name.lower(), record_id, operation[:LONGEST_EVENT].lower(), stamp)
                    yield Call(event, name, record_id, account=realm), at


def _cloud_events(events: object) -> Iterator[tuple[Call, dt.datetime | None]]:
    for event in _listed(events):
        kind, given = event.get("type"), event.get("id", "")
        if not isinstance(kind, str) or not isinstance(given, str) or len(given) > LONGEST_EVENT:
            raise _Unreadable
        found = _TYPE.fullmatch(kind)
        if found is None:
            continue  # about something else than a record
        realm, record_id = _id(event.get("intuitaccountid")), _id(event.get("intuitentityid"))
        at = moment(event.get("time"))
        name, stamp = found.group(1), at.isoformat() if at else ""
        made = event_id("cloud", realm, given or stamp, name.lower(), record_id, found.group(2).lower())
        yield Call(made, name, record_id, account=realm), at


def _listed(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise _Unreadable
    return value


def _id(value: object) -> str:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not _ID.fullmatch(text):
        raise _Unreadable
    return text
