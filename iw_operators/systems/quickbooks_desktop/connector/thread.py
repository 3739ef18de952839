"""The data source's thread: all that touches the one connection, one thing after the other, and each in time.

QODBC's COM objects live in the thread that has made them. What has not ended in time cannot be stopped there; so the
connection that it hangs in is given up, and nothing that waits behind it runs on that connection any more: lines of
one client would lie in its cache, and get into the next one's group.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

import structlog

from iw_operators.systems.quickbooks_desktop.connector.backend import Backend, BackendError
from iw_operators.systems.quickbooks_desktop.connector.config import Limits

log = structlog.get_logger(__name__)
T = TypeVar("T")

TIMED_OUT: Final = "HYT00"


class NotBegun(BackendError):
    """A statement that the data source has not seen."""


class DataSourceThread:
    """The thread and its connection. Use it from one event loop; methods marked so are for the thread itself.

    `generation` counts connections that were given up. `current` is for the thread: the generation of the connection
    that the work under way has; the two differ once that connection is given up.
    """

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self.backend = backend
        self.limits = limits
        self.generation = 0
        self.current = 0
        self.opening = False
        self._is_open = False
        self._given_up = False
        self._change = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="data-source")
        self._opens: Future[None] | None = None

    @property
    def in_use(self) -> bool:
        """Return whether the company file is open, or about to be."""
        return self._is_open or (self._opens is not None and not self._opens.done())

    async def call(self, work: Callable[[], T], *, seconds: float = 0.0, begin_seconds: float = 0.0) -> T:
        """Run `work` in the thread.

        :param seconds: how long it may take; 0: as long as a statement.
        :param begin_seconds: how long it may wait for what is running; 0: no less than `seconds`.

        Raises `BackendError`: the work's own, or one with SQLSTATE HYT00 when it has not ended in time. A work that
        had not begun by then is withdrawn (`NotBegun`); of one that had begun the outcome is unknown, and its
        connection is given up.
        """
        seconds = seconds or self.limits.statement_seconds
        first = min(begin_seconds or seconds, seconds)
        future = self._thread.submit(self._in_turn, work)
        waiting = _awaited(future)
        done, _ = await asyncio.wait({waiting}, timeout=first)
        if not done and first < seconds and not future.cancel():
            done, _ = await asyncio.wait({waiting}, timeout=seconds - first)
        if future.cancel():
            msg = f"[IW connector] Not begun: another statement has been running for {first:g} s"
            raise NotBegun(msg, TIMED_OUT)
        if done or future.done():
            return future.result()
        self.give_up()  # first: what waits in the thread begins as soon as the driver has ended this
        self.backend.cancel()
        await asyncio.wait({waiting}, timeout=self.limits.cancel_seconds)
        future.add_done_callback(_overdue)
        msg = f"[IW connector] The statement has not ended within {seconds:g} s; its outcome is unknown"
        raise BackendError(msg, TIMED_OUT)

    async def open(self, *, seconds: float = 0.0) -> None:
        """Connect unless connected; all who ask wait for the same attempt, which goes on when they no longer wait.

        Raises `BackendError` with the data source's text, or `NotBegun` when it is not open in time.
        """
        if self._is_open and not self._given_up:
            return
        if self._opens is None or self._opens.done():
            self._opens = self._thread.submit(self._in_turn, self.ensure_open)
        future = self._opens
        seconds = seconds or min(self.limits.open_seconds, self.limits.statement_seconds)
        done, _ = await asyncio.wait({_awaited(future)}, timeout=seconds)
        if done:
            future.result()
            return
        late, busy = "the company file has not been opened within", "another statement has been running for"
        msg = f"[IW connector] Not begun: {late if self.opening else busy} {seconds:g} s"
        raise NotBegun(msg, TIMED_OUT)

    def give_up(self) -> None:
        """Close the connection, and with it what its cache holds, before anything else runs in the thread; what waits
        there already finds a new one.
        """
        with self._change:
            self.generation += 1
            self._given_up = True
        with contextlib.suppress(RuntimeError):  # the connector has stopped meanwhile
            self._thread.submit(self._in_turn, lambda: None)

    async def close(self) -> bool:
        """Close the connection and end the thread; return whether that was done: False where a statement hangs."""
        try:
            await self.call(self._close, seconds=self.limits.stop_seconds)
        except BackendError:
            return False
        finally:
            self._thread.shutdown(wait=False)
        return True

    # --- in the thread

    def ensure_open(self) -> None:
        """In the thread: connect unless connected. Raises `BackendError`."""
        self.opening = not self._is_open
        try:
            self.backend.open()
        finally:
            self.opening = False
        self._is_open = True

    def _in_turn(self, work: Callable[[], T]) -> T:
        with self._change:
            given_up, self._given_up = self._given_up, False
            self.current = self.generation
        if given_up:
            self._close()
        return work()

    def _close(self) -> None:
        self._is_open = False
        self.backend.close()


def _awaited(future: Future[Any]) -> asyncio.Future[Any]:
    """Return what an event loop waits for; nobody has to look at its exception."""
    waiting = asyncio.wrap_future(future)
    waiting.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    return waiting


def _overdue(future: Future[Any]) -> None:
    """A statement that nobody waits for any more has ended."""
    log.warning("connector.overdue", failed=future.exception() is not None)
