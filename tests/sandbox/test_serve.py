"""Serving: a free port, a clean stop, dropped connections, the date, no noise."""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import Any

import pytest
import requests

from sandbox.common.app import TRANSPORT_FAULTS, Receive, Scope, Send, read_body, respond_json
from sandbox.common.faults import Faults
from sandbox.common.serve import serve

pytestmark = pytest.mark.sandbox


class Echo:
    """A sandbox that answers how long the request's body was."""

    def __init__(self) -> None:
        self.faults = Faults(TRANSPORT_FAULTS)
        self.handled = 0

    async def app(self, _scope: Scope, receive: Receive, send: Send) -> None:
        self.handled += 1
        await respond_json(send, 200, {"length": len(await read_body(receive)), "padding": "x" * 50_000})

    def reset(self, _options: dict[str, Any]) -> dict[str, Any]:
        return {}

    def stats(self) -> dict[str, Any]:
        return {"handled": self.handled}


@pytest.mark.parametrize(("kind", "handled"), [("drop_before", 0), ("drop_after", 1), ("drop_middle", 1)])
def test_a_dropped_connection_reaches_the_client_as_a_closed_socket(
    kind: str, handled: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The client sees an end of the connection, never a 500, and the log stays empty; the next request works."""
    caplog.set_level(logging.DEBUG, "uvicorn.error")
    echo = Echo()
    with serve(echo) as running, requests.Session() as session:
        session.post(f"{running.url}/_sandbox/faults", json={"kind": kind}).raise_for_status()
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            session.post(f"{running.url}/x", data=b"y" * 100_000)
        assert echo.handled == handled
        assert session.post(f"{running.url}/x", data=b"yy").json()["length"] == 2
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_every_answer_is_dated_and_counted() -> None:
    """Answers carry a Date, also those of the control endpoint, which is not counted itself."""
    with serve(Echo()) as running:
        assert "Date" in requests.get(f"{running.url}/a?b=c", timeout=5).headers
        stats = requests.get(f"{running.url}/_sandbox/stats", timeout=5)
        assert "Date" in stats.headers
        assert stats.json() == {"requests": 1, "by_request": {"GET /a": 1}, "faults": [], "handled": 1}


def test_a_taken_port_is_an_error_and_a_free_one_is_found() -> None:
    """Port 0 takes a free port; a taken port raises instead of ending the process."""
    with serve(Echo()) as first:
        port = int(first.url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match="in use"), serve(Echo(), port=port):
            pass
        with serve(Echo()) as second:
            assert second.url != first.url


def test_the_end_of_the_block_frees_the_port_and_ends_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    """Also with a request in work and a connection kept alive, nothing is left behind and nothing is logged."""
    threads = threading.active_count()
    cut: list[Exception] = []

    def wait(url: str) -> None:
        try:
            requests.get(url, timeout=30)
        except requests.ConnectionError as error:
            cut.append(error)

    with serve(Echo()) as running, requests.Session() as session:
        session.post(f"{running.url}/_sandbox/faults", json={"kind": "slow", "seconds": 30})
        waiting = threading.Thread(target=wait, args=(f"{running.url}/slow",))
        waiting.start()
        while session.get(f"{running.url}/_sandbox/stats").json()["requests"] == 0:
            time.sleep(0.01)
        began = time.monotonic()
    waiting.join(5)
    assert time.monotonic() - began < 5
    assert len(cut) == 1
    assert threading.active_count() == threads
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(running.url.rsplit(":", 1)[1]))) != 0
