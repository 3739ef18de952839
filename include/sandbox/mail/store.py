"""The mails that have come in, in SQLite, and what a reader sees of each."""

from __future__ import annotations

import datetime as dt
import email
import email.policy
import json
import sqlite3
import threading
from collections.abc import Sequence
from email.message import EmailMessage
from pathlib import Path
from typing import Any

_TABLE = """
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, sender TEXT NOT NULL, recipients TEXT NOT NULL,
    signed_in TEXT NOT NULL, encrypted INTEGER NOT NULL, raw BLOB NOT NULL)
"""
_COLUMNS = "id, at, sender, recipients, signed_in, encrypted, raw"


class MailStore:
    """Mails in the order of their arrival. May be used from several threads."""

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(str(path) if path else ":memory:", check_same_thread=False, isolation_level=None)
        self._db.execute(_TABLE)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def add(self, sender: str, recipients: Sequence[str], raw: bytes, *, signed_in: str, encrypted: bool) -> int:
        """Keep a mail as it came; return its number."""
        row = (dt.datetime.now(dt.UTC).isoformat(), sender, json.dumps(list(recipients)), signed_in, encrypted, raw)
        with self._lock:
            done = self._db.execute(
                "INSERT INTO message (at, sender, recipients, signed_in, encrypted, raw) VALUES (?, ?, ?, ?, ?, ?)", row
            )
            return int(done.lastrowid or 0)

    def all(self) -> list[dict[str, Any]]:
        """Return all mails, oldest first, as `seen` gives them."""
        with self._lock:
            rows = self._db.execute(f"SELECT {_COLUMNS} FROM message ORDER BY id").fetchall()
        return [seen(row) for row in rows]

    def one(self, number: int) -> dict[str, Any] | None:
        """Return one mail; None when there is none."""
        row = self._row(number)
        return seen(row) if row else None

    def raw(self, number: int) -> bytes | None:
        """Return one mail as it came."""
        row = self._row(number)
        return bytes(row[6]) if row else None

    def delete(self, number: int | None = None) -> int:
        """Delete one mail, or all; return how many."""
        with self._lock:
            if number is None:
                return self._db.execute("DELETE FROM message").rowcount
            return self._db.execute("DELETE FROM message WHERE id = ?", (number,)).rowcount

    def count(self) -> int:
        """Return how many mails there are."""
        with self._lock:
            return int(self._db.execute("SELECT count(*) FROM message").fetchone()[0])

    def _row(self, number: int) -> tuple[Any, ...] | None:
        with self._lock:
            row: tuple[Any, ...] | None = self._db.execute(
                f"SELECT {_COLUMNS} FROM message WHERE id = ?", (number,)
            ).fetchone()
        return row


def seen(row: tuple[Any, ...]) -> dict[str, Any]:
    """Return a mail as a mail program shows it: decoded headers, bodies as text, and the envelope.

    `recipients` is the envelope's: who gets it, those of BCC among them. `headers` are the raw ones, decoded.
    """
    number, at, sender, recipients, signed_in, encrypted, raw = row
    message = email.message_from_bytes(raw, policy=email.policy.default)
    return {
        "id": number,
        "at": at,
        "sender": sender,
        "recipients": json.loads(recipients),
        "signed_in": signed_in,
        "encrypted": bool(encrypted),
        "subject": str(message["subject"] or ""),
        "from": str(message["from"] or ""),
        "to": str(message["to"] or ""),
        "cc": str(message["cc"] or ""),
        "date": str(message["date"] or ""),
        "headers": [[name, str(value)] for name, value in message.items()],
        "text": _body(message, "plain"),
        "html": _body(message, "html"),
    }


def _body(message: EmailMessage, kind: str) -> str:
    for part in message.walk():
        if part.get_content_type() == f"text/{kind}":
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)  # noqa: S101  a text part is no multipart
            # The ends of lines are CRLF in a mail, whatever they were where it was written.
            return payload.decode(part.get_content_charset("utf-8"), "replace").replace("\r\n", "\n")
    return ""
