"""requestid: the answer to the first request that succeeded is given again, word for word, whatever happened since."""

from __future__ import annotations

from sandbox.quickbooks_online import errors
from sandbox.quickbooks_online.store import Store

LONGEST = 50
LONGEST_OF_BATCH = 36
LONGEST_BATCH_ITEM = 10


def check(request_id: str, *, batch: bool) -> None:
    """Raise `Fault` 2130 for a requestid that is too long."""
    if len(request_id) > (LONGEST_OF_BATCH if batch else LONGEST):
        raise errors.Fault(errors.invalid_value("requestid", "requestid", request_id))


def remembered(store: Store, request_id: str, item: str = "") -> str | None:
    """Return the answer that was given before, as JSON; None for a new request."""
    found = store.rows("SELECT answer FROM replay WHERE request = ? AND item = ?", (request_id, item))
    return str(found[0][0]) if found else None


def remember(store: Store, request_id: str, answer: str, item: str = "") -> None:
    """Keep an answer."""
    store.write("INSERT OR REPLACE INTO replay VALUES (?, ?, ?)", (request_id, item, answer))
