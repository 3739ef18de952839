"""Calls as the vendors make them."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
from typing import Any

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
SECRET = "a-secret-of-some-length-0123456789"
GUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


def body_of(data: Any) -> bytes:
    """Return data as a body."""
    return json.dumps(data).encode()


def signed(system: str, body: bytes, secret: str = SECRET, at: dt.datetime = NOW) -> dict[str, str]:
    """Return the headers with which a system signs a body; names in small letters."""
    if system == "quickbooks_online":
        mac = hmac.new(secret.encode(), body, hashlib.sha256).digest()
        return {"intuit-signature": base64.b64encode(mac).decode()}
    stamp = str(int(at.timestamp()))
    mac = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).digest()
    return {"x-iw-timestamp": stamp, "x-iw-signature": mac.hex()}


def notification(*entities: tuple[str, str, str], realm: str = "1234567890", at: dt.datetime = NOW) -> dict[str, Any]:
    """Return Intuit's older body: (name, id, operation) of what has changed."""
    changed = [
        {"name": name, "id": id_, "operation": operation, "lastUpdated": at.isoformat().replace("+00:00", "Z")}
        for name, id_, operation in entities
    ]
    return {"eventNotifications": [{"realmId": realm, "dataChangeEvent": {"entities": changed}}]}


def cloud_events(
    *entities: tuple[str, str, str], realm: str = "1234567890", at: dt.datetime = NOW
) -> list[dict[str, Any]]:
    """Return Intuit's newer body: (name, id, what has happened)."""
    return [
        {
            "specversion": "1.0",
            "id": f"event-{number}-{id_}",
            "source": "intuit.dsnBgbseACLLRZNxo2dfc4evmEJdxde58xeeYcZliOU=",
            "type": f"qbo.{name}.{happened}.v1",
            "datacontenttype": "application/json",
            "time": at.isoformat(),
            "intuitentityid": id_,
            "intuitaccountid": realm,
            "data": {},
        }
        for number, (name, id_, happened) in enumerate(entities)
    ]


def process_call(record_id: str = GUID, thing: str = "Account", at: dt.datetime = NOW, **more: Any) -> dict[str, Any]:
    """Return what a business process of Creatio sends."""
    return {"object": thing, "id": record_id, "time": at.isoformat(), **more}
