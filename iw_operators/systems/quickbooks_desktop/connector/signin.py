"""What comes before the first query: TLS, the start-up message, the password. Nothing else is told before."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import struct
from typing import TYPE_CHECKING, Final

import structlog

from iw_operators.systems.quickbooks_desktop.connector import scram, wire

if TYPE_CHECKING:
    from iw_operators.systems.quickbooks_desktop.connector.server import Connector

log = structlog.get_logger(__name__)

FIRST_BYTES: Final = 10_000  # a start-up message is never longer


class Ended(Exception):
    """The client has left or was sent away."""


class Line:
    """The two directions of one client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @property
    def gone(self) -> bool:
        """Whether the client is known to have left."""
        return self.reader.at_eof() or self.writer.transport.is_closing()

    @property
    def peer(self) -> str:
        """The client's address, for the log."""
        found = self.writer.get_extra_info("peername")
        return str(found[0]) if found else ""

    async def message(self, limit: int) -> tuple[bytes, bytes]:
        """Return the next message. Raises `Ended` for one that is too long."""
        kind = await self.reader.readexactly(1)
        (length,) = struct.unpack("!i", await self.reader.readexactly(4))
        if not 4 <= length <= limit:
            await self.refuse("54000", f"A message of {length} bytes is too long")
        return kind, await self.reader.readexactly(length - 4)

    async def refuse(self, sqlstate: str, text: str) -> None:
        """Send the client away. Raises `Ended`."""
        self.writer.write(wire.error(sqlstate, text, fatal=True))
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()
        raise Ended


class SignIn:
    """The start of one client's connection; `number` is for the log."""

    def __init__(self, connector: Connector, line: Line, number: int) -> None:
        self._connector = connector
        self._config = connector.config
        self._line = line
        self._number = number

    async def run(self) -> str | None:
        """Return which company file the client wants, None without a sign-in. Nothing is told of the file before."""
        encrypted = False
        while True:
            first = await self._line.reader.readexactly(4)
            (length,) = struct.unpack("!i", first)
            if not 8 <= length <= FIRST_BYTES:
                if self._connector.other is not None:
                    await self._connector.other(first, self._line.reader, self._line.writer)
                return None
            body = await self._line.reader.readexactly(length - 4)
            (code,) = struct.unpack("!i", body[:4])
            if code == wire.CANCEL:
                self._connector.cancel(body[4:])
                return None
            if code == wire.GSS or (code == wire.SSL and (encrypted or self._connector.tls is None)):
                self._line.writer.write(b"N")
            elif code == wire.SSL:
                encrypted = await self._encrypt()
            elif code == wire.PROTOCOL_3:
                break
            else:
                await self._line.refuse("0A000", f"Protocol {code >> 16}.{code & 0xFFFF} is not spoken here")
        if not encrypted and not self._config.plain_text:
            log.warning("connector.refused", session=self._number, peer=self._line.peer, why="plain_text")
            await self._line.refuse("28000", "This connector speaks TLS only: SSLmode=require (or verify-full)")
        parameters = wire.parameters_of(body[4:])
        await self._sign_in(parameters.get("user", ""))
        return parameters.get("database", "")

    async def _encrypt(self) -> bool:
        # What has come before the handshake would be read as if it were encrypted.
        if self._line.reader._buffer:  # type: ignore[attr-defined]  # asyncio has no other way to ask
            raise Ended
        self._line.writer.write(b"S")
        await self._line.writer.drain()
        assert self._connector.tls is not None  # noqa: S101  the caller has looked
        await self._line.writer.start_tls(self._connector.tls)
        return True

    async def _sign_in(self, user: str) -> None:
        self._line.writer.write(wire.authentication(10, scram.MECHANISM.encode() + b"\0\0"))
        body = await self._password()
        mechanism, _, rest = body.partition(b"\0")
        verifier = self._connector.verifier
        steps = scram.exchange(verifier)
        next(steps)
        known = hmac.compare_digest(user.encode(), self._config.user.encode())
        try:
            if mechanism.decode("latin-1") != scram.MECHANISM or len(rest) < 4:
                raise scram.Refused
            self._line.writer.write(wire.authentication(11, steps.send(rest[4:])))
            answer = await self._password()
            try:
                steps.send(answer)
            except StopIteration as done:
                if not known:
                    raise scram.Refused from None
                self._line.writer.write(wire.authentication(12, done.value))
        except scram.Refused:
            log.warning("connector.refused", session=self._number, peer=self._line.peer, why="password")
            await asyncio.sleep(self._config.limits.refusal_seconds)
            await self._line.refuse("28P01", "The user or the password is wrong")
        self._line.writer.write(wire.authentication(0))

    async def _password(self) -> bytes:
        kind, body = await self._line.message(FIRST_BYTES)
        if kind != b"p":
            raise Ended
        return body
