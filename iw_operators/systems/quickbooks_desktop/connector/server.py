"""The connector: one port for one company file."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import structlog

from iw_operators.systems.quickbooks_desktop.connector import scram
from iw_operators.systems.quickbooks_desktop.connector.backend import Backend
from iw_operators.systems.quickbooks_desktop.connector.config import Config
from iw_operators.systems.quickbooks_desktop.connector.session import Other, Session
from iw_operators.systems.quickbooks_desktop.connector.source import Source

log = structlog.get_logger(__name__)

START_SECONDS = 30.0
CLOSE_SECONDS = 1.0  # that the clients have at the end to take what is left for them
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}  # gone after 25 seconds of silence
KEY = struct.Struct("!iI")


class Connector:
    """Serves one data source. `start`, then `stop`; both on one event loop.

    :param other: takes over a connection whose first bytes are not PostgreSQL's; None closes it.
    """

    def __init__(self, config: Config, backend: Backend, other: Other | None = None) -> None:
        self.config = config
        self.other = other
        self.tls = config.tls()
        self.verifier = scram.Verifier.of(config.secret)
        self.stopping = False
        self.hung = False  # after `stop`: a statement has not ended, and its thread with it
        self.port = 0
        self._backend = backend
        self._sessions: dict[Session, tuple[asyncio.Task[None], asyncio.StreamWriter]] = {}
        self._leaving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}  # connections that are being closed
        self._numbers = 0
        self._started = time.monotonic()
        self._server: asyncio.Server | None = None
        self.source: Source
        self.loop: asyncio.AbstractEventLoop

    @property
    def sessions(self) -> int:
        """Return how many clients are signed in."""
        return sum(session.signed_in for session in self._sessions)

    @property
    def up_seconds(self) -> int:
        """Return for how long the connector has been running."""
        return int(time.monotonic() - self._started)

    async def start(self) -> None:
        """Listen. Raises OSError when the port cannot be used."""
        self.loop = asyncio.get_running_loop()
        self.source = Source(self._backend, self.config.limits, self.config.probe)
        self._server = await asyncio.start_server(self._accept, self.config.host, self.config.port)
        self.port = self._server.sockets[0].getsockname()[1]
        log.info("connector.listening", host=self.config.host, port=self.port, tls=self.tls is not None)

    async def stop(self) -> None:
        """Take no more statements, let the running one and open groups end, then close the data source."""
        if self.stopping:
            return
        self.stopping = True
        if self._server is not None:
            self._server.close()
        deadline = time.monotonic() + self.config.limits.stop_seconds
        while self._sessions and time.monotonic() < deadline:
            for session, (task, _) in list(self._sessions.items()):
                if (session.idle and not session.in_group) or not session.signed_in:
                    task.cancel()
            await asyncio.wait([task for task, _ in self._sessions.values()], timeout=0.05)
        for task, _ in list(self._sessions.values()):
            task.cancel()
        if self._sessions:
            await asyncio.wait([task for task, _ in self._sessions.values()], timeout=5)
        if self._leaving:
            await asyncio.wait(list(self._leaving), timeout=CLOSE_SECONDS)
        for writer in self._leaving.values():  # its client does not read what is left, or not the end of TLS
            writer.transport.abort()
        self.hung = not await self.source.close()
        log.info("connector.stopped", hung=self.hung)

    def drop_all(self) -> None:
        """Cut every client off that has signed in, as a network that fails does."""
        for session, (_, writer) in list(self._sessions.items()):
            if session.signed_in:
                writer.transport.abort()

    def key(self) -> int:
        """Return a secret that a client shows to cancel its statement."""
        return secrets.randbits(32)

    def cancel(self, shown: bytes) -> None:
        """Cancel a session's statement if its number and its key are shown."""
        if len(shown) != KEY.size:
            return
        number, key = KEY.unpack(shown)
        for session in self._sessions:
            if session.number == number and secrets.compare_digest(str(session.key), str(key)):
                session.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peername = writer.get_extra_info("peername")
        if peername is None:  # gone already
            writer.transport.abort()
            return
        peer = ipaddress.ip_address(peername[0].partition("%")[0])
        if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped:
            peer = peer.ipv4_mapped
        allowed = any(peer in network for network in self.config.allow)
        if not allowed or len(self._sessions) >= self.config.limits.sessions or self.stopping:
            log.warning("connector.refused", peer=str(peer), why="address" if not allowed else "sessions")
            writer.transport.abort()
            return
        _keep_alive(writer.get_extra_info("socket"))
        self._numbers += 1
        session = Session(self, reader, writer, self._numbers)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  asyncio runs this callback as a task
        self._sessions[session] = (task, writer)
        try:
            await session.run()
        except asyncio.CancelledError:
            await session.farewell()
        finally:
            del self._sessions[session]
            self._leaving[task] = writer
            writer.close()
            try:
                with contextlib.suppress(ConnectionError, OSError):
                    await writer.wait_closed()
            finally:
                del self._leaving[task]


def _keep_alive(plain: Any) -> None:
    """Have the system ask whether the client is there: what a client that is gone has sent must not begin late."""
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if (option := getattr(socket, name, None)) is not None:
            plain.setsockopt(socket.IPPROTO_TCP, option, value)


@contextlib.contextmanager
def running(connector: Connector) -> Iterator[Connector]:
    """Run a connector in a thread of its own while the with-block lasts. Raises OSError when its port is taken."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name=f"connector-{connector.config.port}", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(connector.start(), loop).result(START_SECONDS)
        yield connector
    finally:
        if connector.port:
            seconds = START_SECONDS + connector.config.limits.stop_seconds
            asyncio.run_coroutine_threadsafe(connector.stop(), loop).result(seconds)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(START_SECONDS)
        loop.close()
