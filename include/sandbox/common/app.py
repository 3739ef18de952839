"""What the HTTP sandboxes share: request counting, faults of the transport, control endpoint, serving.

A sandbox is an ASGI application wrapped by `Control`. `Control` counts each request that is not its own, and commits
the faults that need no knowledge of the vendor:

    drop_before      the connection is closed before the request is handled
    drop_after       the request is handled (and committed), then the connection is closed without an answer
    drop_middle      the request is handled and half of the answer's body is sent
    slow             `seconds` pass before the request is handled
    slow_after       the request is handled, then `seconds` pass before the answer
    html             status 200 with an HTML page, the request is not handled
    status_500       status 500, the request is not handled
    status_503       status 503, the request is not handled
    status_429       status 429, the request is not handled; `Retry-After` says `seconds` where there are some
    redirect         status 307 to the same path at `to` (another host), the request is not handled
    drip             the request is handled, then the answer's body comes byte by byte, one each `seconds`

and all of `hostile.ANSWERS`: the request is handled (and committed), then its answer is spoiled.
"""

from __future__ import annotations

import asyncio
import collections
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from sandbox.common.faults import Fault, Faults
from sandbox.common.hostile import ANSWERS, Answer

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Asgi = Callable[[Any, Any, Any], Awaitable[None]]

TRANSPORT_FAULTS = frozenset(
    {"drop_before", "drop_after", "drop_middle", "slow", "slow_after", "drip", "html"}
    | {"status_429", "status_500", "status_503", "redirect"}
    | set(ANSWERS)
)
HTML_PAGE = b"<!DOCTYPE html><html><head><title>Service</title></head><body><h1>Please wait</h1></body></html>"


class Sandbox(Protocol):
    """What a vendor's sandbox gives to `Control`."""

    faults: Faults

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request as the vendor does."""

    def reset(self, options: dict[str, Any]) -> dict[str, Any]:
        """Go back to the seed. `options`: `seed` ("acme", "empty", ...) and what the sandbox adds."""

    def stats(self) -> dict[str, Any]:
        """Return what the sandbox itself counts (rows by entity, calls by operation)."""


class Dropped(Exception):
    """Raised out of an ASGI application: the server closes the socket without a (further) answer."""


class Control:
    """ASGI application around a sandbox. Own paths: GET /_sandbox/stats, POST /_sandbox/reset, POST /_sandbox/faults.

    `/_sandbox/faults` takes one spec, a list of them, or `{"clear": true}`. `/_sandbox/reset` takes a JSON object
    (may be empty); it also clears counts and faults unless `{"keep_data": true}`, which clears only those.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.requests = 0
        self.by_line: collections.Counter[str] = collections.Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["path"].startswith("/_sandbox/"):
            await self._control(scope, receive, send)
        else:
            await self._vendor(scope, receive, send)

    async def _vendor(self, scope: Scope, receive: Receive, send: Send) -> None:
        line = f"{scope['method']} {scope['path']}"
        self.requests += 1
        self.by_line[line] += 1
        if scope.get("query_string"):
            line += "?" + scope["query_string"].decode("latin-1")
        take = self.sandbox.faults.take
        if take("drop_before", line):
            raise Dropped
        if fault := take("slow", line):
            receive = _again(await read_body(receive))  # what has arrived whole is handled, whoever has hung up since
            await asyncio.sleep(fault.seconds)
        if take("html", line):
            await respond(send, 200, HTML_PAGE, "text/html; charset=utf-8")
            return
        for kind, status in (("status_500", 500), ("status_503", 503)):
            if take(kind, line):
                await respond(send, status, b"<html><body>Server error</body></html>", "text/html")
                return
        if fault := take("status_429", line):
            wait = [(b"retry-after", f"{fault.seconds:g}".encode())] if fault.seconds else []
            await respond(send, 429, b"<html><body>Too many requests</body></html>", "text/html", wait)
            return
        if fault := take("redirect", line):
            await respond(send, 307, b"", "text/plain", [(b"location", f"{fault.to}{scope['path']}".encode())])
            return
        after = take("drop_after", line)
        middle = None if after else take("drop_middle", line)
        late = take("slow_after", line)
        drip = take("drip", line)
        spoiled = [ANSWERS[kind] for kind in ANSWERS if take(kind, line)]
        if not (after or middle or late or drip or spoiled):
            await self.sandbox.app(scope, receive, send)
            return
        held: list[dict[str, Any]] = []

        async def hold(message: dict[str, Any]) -> None:
            held.append(message)

        await self.sandbox.app(scope, receive, hold)
        if after:
            raise Dropped
        if late:
            await asyncio.sleep(late.seconds)
        if middle:
            await send(held[0])
            body = b"".join(m.get("body", b"") for m in held[1:])
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            raise Dropped
        answer = _whole(held)
        for spoil in spoiled:
            answer = spoil(answer)
        await _send(send, answer, drip)

    async def _control(self, scope: Scope, receive: Receive, send: Send) -> None:
        action = (scope["method"], scope["path"].removeprefix("/_sandbox/"))
        try:
            body = json.loads(await read_body(receive) or b"{}")
            if action == ("GET", "stats"):
                answer: dict[str, Any] = {
                    "requests": self.requests,
                    "by_request": dict(self.by_line),
                    "faults": [f.kind for f in self.sandbox.faults.armed() if f.times],
                    **self.sandbox.stats(),
                }
            elif action == ("POST", "reset"):
                self.requests = 0
                self.by_line.clear()
                self.sandbox.faults.clear()
                answer = {} if body.get("keep_data") else self.sandbox.reset(body)
            elif action == ("POST", "faults"):
                if isinstance(body, dict) and body.get("clear"):
                    self.sandbox.faults.clear()
                for spec in body if isinstance(body, list) else [] if body.get("clear") else [body]:
                    self.sandbox.faults.arm(spec)
                answer = {"armed": [f.kind for f in self.sandbox.faults.armed()]}
            else:
                await respond_json(send, 404, {"error": "known: GET stats, POST reset, POST faults"})
                return
        except (ValueError, TypeError) as error:
            await respond_json(send, 400, {"error": str(error)})
            return
        await respond_json(send, 200, answer)


def _whole(messages: list[dict[str, Any]]) -> Answer:
    start, *rest = messages
    headers = tuple((name.lower(), value) for name, value in start["headers"] if name.lower() != b"content-length")
    return Answer(start["status"], headers, b"".join(message.get("body", b"") for message in rest))


async def _send(send: Send, answer: Answer, drip: Fault | None) -> None:
    headers = list(answer.headers)
    if answer.status != 204:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    for place in range(len(answer.body) if drip else 0):
        await send({"type": "http.response.body", "body": answer.body[place : place + 1], "more_body": True})
        await asyncio.sleep(drip.seconds if drip else 0)
    await send({"type": "http.response.body", "body": b"" if drip else answer.body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        kind = message["type"].removeprefix("lifespan.")
        await send({"type": f"lifespan.{kind}.complete"})
        if kind == "shutdown":
            return


async def read_body(receive: Receive) -> bytes:
    """Return a request's whole body."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _again(body: bytes) -> Receive:
    """Return what gives an application the body of a request that has been read already."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def respond(
    send: Send, status: int, body: bytes, content_type: str, more: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    """Send a whole answer. :param more: further headers."""
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def respond_json(send: Send, status: int, content: Any) -> None:
    """Send a whole answer as JSON."""
    await respond(send, status, json.dumps(content).encode(), "application/json")
