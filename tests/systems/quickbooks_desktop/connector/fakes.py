"""A data source that does what a test says, and a client of the wire protocol made by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from iw_operators.systems.quickbooks_desktop.connector.backend import BackendError, Column, Kind
from iw_operators.systems.quickbooks_desktop.connector.config import Config, Limits
from iw_operators.systems.quickbooks_desktop.connector.server import Connector

PASSWORD = "open sesame"
QUICK = Limits(
    statement_seconds=2, cancel_seconds=0.2, turn_seconds=2, group_seconds=5, stop_seconds=3, refusal_seconds=0.01
)


class Answer:
    """Rows of one statement."""

    def __init__(self, columns: Sequence[Column] = (), rows: Iterator[Sequence[Any]] | None = None, rowcount: int = -1):
        self.columns = columns
        self.rowcount = rowcount
        self.closed = False
        self._rows = rows if rows is not None else iter(())

    def fetch(self, count: int) -> Sequence[Sequence[Any]]:
        """Return further rows."""
        return list(islice(self._rows, count))

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True


class Source:
    """A data source whose answers a test gives. `said` is what it was asked, `opened` how often it was opened."""

    def __init__(self) -> None:
        self.interleaves = True
        self.said: list[str] = []
        self.opened = 0
        self.closed = 0
        self.cancelled = threading.Event()
        self.answer: Callable[[str], Answer] = lambda statement: Answer(rowcount=1)
        self.refuses: BackendError | None = None
        self.kinds: dict[str, Kind] = {}
        self._open = False

    def open(self) -> None:
        """Open it, or refuse."""
        if self.refuses is not None:
            raise self.refuses
        self.opened += not self._open
        self._open = True

    def execute(self, statement: str) -> Answer:
        """Answer as the test says."""
        self.said.append(statement)
        return self.answer(statement)

    def tables(self) -> Sequence[tuple[str, bool]]:
        """Return one table."""
        return [("Customer", False)]

    def columns(self, table: str) -> Sequence[Column]:
        """Return the columns that the test says."""
        return [Column(name, kind) for name, kind in self.kinds.items()]

    def cancel(self) -> None:
        """Note it."""
        self.cancelled.set()

    def close(self) -> None:
        """Close it."""
        self.closed += self._open
        self._open = False


def config(limits: Limits = QUICK, **settings: Any) -> Config:
    """Return a configuration for the loopback interface."""
    given = {"data_source": "test", "secret": PASSWORD, "port": 0, "plain_text": True, "probe": "", **settings}
    return Config(limits=limits, **given)


Serve = Callable[..., Connector]
Connect = Callable[..., Any]


def client_final(password: str, first: bytes, challenge: bytes, *, channel: bytes = b"n,,") -> bytes:
    """Return what an honest client with this password answers (RFC 5802)."""
    parts = dict(piece.split(b"=", 1) for piece in challenge.split(b","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(parts[b"s"]), int(parts[b"i"]))
    client = hmac.digest(salted, b"Client Key", "sha256")
    bare = b"c=" + base64.b64encode(channel) + b",r=" + parts[b"r"]
    signed = b",".join((first.split(b",", 2)[2], challenge, bare))
    signature = hmac.digest(hashlib.sha256(client).digest(), signed, "sha256")
    return bare + b",p=" + base64.b64encode(bytes(a ^ b for a, b in zip(client, signature, strict=True)))


class Raw:
    """A socket, and messages on it."""

    def __init__(self, plain: socket.socket) -> None:
        self.socket = plain
        self.socket.settimeout(10)

    def read(self, count: int) -> bytes:
        """Return exactly so many bytes; ConnectionError at the end."""
        found = b""
        while len(found) < count:
            part = self.socket.recv(count - len(found))
            if not part:
                raise ConnectionError
            found += part
        return found

    def message(self) -> tuple[bytes, bytes]:
        """Return the next message."""
        kind = self.read(1)
        (length,) = struct.unpack("!i", self.read(4))
        return kind, self.read(length - 4)

    def send(self, kind: bytes, body: bytes) -> None:
        """Send a message; the kind is empty for those of the start."""
        self.socket.sendall(kind + struct.pack("!i", len(body) + 4) + body)

    def start(self, user: str = "interweave", database: str = "company") -> None:
        """Send a start-up message."""
        self.send(b"", struct.pack("!i", 196608) + f"user\0{user}\0database\0{database}\0\0".encode())

    def sign_in(self, password: str = PASSWORD) -> None:
        """Start and sign in, up to the first ready for a query."""
        self.start()
        assert self.message() == (b"R", struct.pack("!i", 10) + b"SCRAM-SHA-256\0\0")
        first = b"n,,n=,r=abcdefgh"
        self.send(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first)
        _, challenge = self.message()
        self.send(b"p", client_final(password, first, challenge[4:]))
        while self.message()[0] != b"Z":
            pass

    def error(self) -> dict[bytes, str]:
        """Return the fields of the next error."""
        while True:
            kind, body = self.message()
            if kind == b"E":
                return {part[:1]: part[1:].decode() for part in body.split(b"\0") if part}
