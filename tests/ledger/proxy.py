"""A way to the server that can be cut: before anything, or right after a commit was sent."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Literal

Cut = Literal["", "refuse", "after commit", "before commit"]


class Proxy:
    """A TCP proxy on 127.0.0.1. `cut` says what happens, the next `times` times."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.cut: Cut = ""
        self.times = 0
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, cut: Cut, times: int = 1) -> None:
        """Cut the next `times` connections that come to it."""
        self.cut, self.times = cut, times

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    def _due(self, cut: Cut) -> bool:
        if self.cut != cut or self.times == 0:
            return False
        self.times -= 1
        self.cuts += 1
        return True

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self._due("refuse"):
                    near.close()
                    continue
                far = socket.create_connection(self._to)
                threading.Thread(target=self._carry, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._carry, args=(far, near, False), daemon=True).start()

    def _carry(self, here: socket.socket, there: socket.socket, is_client: bool) -> None:
        with contextlib.suppress(OSError):
            while data := here.recv(65536):
                commits = is_client and b"COMMIT" in data
                if commits and self._due("before commit"):
                    break
                after = commits and self._due("after commit")
                if after:
                    # The answer does not get through: the client's side is closed before the server can speak.
                    here.shutdown(socket.SHUT_RDWR)
                there.sendall(data)
                if after:
                    time.sleep(0.2)
                    break
        for end in (here, there):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextlib.contextmanager
def proxy(host: str, port: int) -> Iterator[Proxy]:
    """Run a proxy for the length of a with-block."""
    made = Proxy(host, port)
    try:
        yield made
    finally:
        made.close()
