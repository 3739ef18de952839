"""Serving a sandbox over a real socket: a uvicorn server in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any, Generic, TypeVar

import uvicorn

from sandbox.common.app import Control, Dropped, Receive, Sandbox, Scope, Send

START_SECONDS = 30.0
STOP_SECONDS = 30.0

S = TypeVar("S", bound=Sandbox)


@dataclass(frozen=True, slots=True)
class Running(Generic[S]):
    """A sandbox that is being served: `url` without a slash at the end."""

    url: str
    control: Control
    sandbox: S


class _Edge:
    """Outermost ASGI application: closes the socket for a dropped connection and dates every answer.

    An answer that carries a `Date` of its own keeps it, which is how a sandbox with a shifted clock tells its time.
    """

    def __init__(self, control: Control) -> None:
        self._control = control
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Cancel what is in work, from another thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._tasks])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dated(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                if not any(name.lower() == b"date" for name, _ in headers):
                    headers.append((b"date", formatdate(usegmt=True).encode()))
                message = {**message, "headers": headers}
            await send(message)

        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - an ASGI server runs each request in a task
        self._tasks.add(task)
        try:
            await self._control(scope, receive, dated)
        except (Dropped, asyncio.CancelledError):  # the latter: the server stops while the request is in work
            # uvicorn's `send` is a method of the request's cycle, the only way from ASGI to its socket.
            transport: asyncio.Transport = send.__self__.transport  # type: ignore[attr-defined]  # see above
            transport.close()
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._tasks.discard(task)


class Server(uvicorn.Server):
    """A server that ends as soon as it is told to; uvicorn's own asks ten times a second, and waits as long again."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._told = asyncio.Event()
        await super().startup(sockets)

    def stop(self) -> None:
        """Tell it to end, from another thread."""
        self.should_exit = True
        if self.started:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._told.set)

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self._told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        deadline = self._loop.time() + (self.config.timeout_graceful_shutdown or 0)
        while (state.connections or state.tasks) and self._loop.time() < deadline:
            await asyncio.sleep(0.001)
        for task in state.tasks:
            task.cancel()
        for connection in list(state.connections):  # whose client does not answer the end of TLS
            connection.transport.abort()
        await asyncio.sleep(0)


@contextlib.contextmanager
def serve(
    sandbox: S, port: int = 0, host: str = "127.0.0.1", *, tls: tuple[Path, Path] | None = None
) -> Iterator[Running[S]]:
    """Serve `sandbox` (wrapped in `Control`) while the with-block lasts; port 0 takes a free one.

    :param tls: files with the certificate and its key, for https.

    Raises OSError when the port is taken. Requests in work at the block's end are cut off.
    """
    control = Control(sandbox)
    edge = _Edge(control)
    config = uvicorn.Config(
        edge,
        host=host,
        port=port,
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        date_header=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=60,
        timeout_graceful_shutdown=1,
        loop="asyncio" if tls else "auto",  # uvloop leaves TLS connections open when it ends
        ssl_certfile=tls[0] if tls else None,
        ssl_keyfile=tls[1] if tls else None,
    )
    listening = socket.create_server((host, port), backlog=2048)
    server = Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), name=f"sandbox-{port}", daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                msg = f"the server on {host}:{port} did not start"
                raise OSError(msg)
            time.sleep(0.005)
        yield Running(f"{'https' if tls else 'http'}://{host}:{listening.getsockname()[1]}", control, sandbox)
    finally:
        edge.stop()
        server.stop()
        thread.join(STOP_SECONDS)
        listening.close()
