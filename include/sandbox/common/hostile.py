"""A vendor on a bad day: answers that are not what they should be, and faults at random.

Each kind in `ANSWERS` takes the true answer to a request that has been handled (and committed), and spoils it. They
are armed like all faults, through `POST /_sandbox/faults`. `Hostile` wraps a sandbox and, from a seed, commits all
kinds of faults at random, the vendor's own included:

    with serve(Hostile(make(world), seed=7)) as running:
        running.sandbox.rate = 0.1      # a tenth of what could go wrong does
"""

from __future__ import annotations

import functools
import gzip
import json
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from sandbox.common.faults import Fault, Faults

HTML: Final = b"<!DOCTYPE html><html><head><title>Gateway</title></head><body>Please wait</body></html>"
BOMB: Final = 200 * 1024 * 1024  # bytes that a `bomb` unpacks to
TYPE: Final = b"content-type"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; header names are in lower case, `content-length` is added when it is sent."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def typed(self, content_type: bytes) -> Answer:
        """Return it with another content type."""
        rest = tuple(pair for pair in self.headers if pair[0] != TYPE)
        return replace(self, headers=(*rest, (TYPE, content_type)))

    def encoded(self, body: bytes) -> Answer:
        """Return it with a body that claims to be gzip."""
        return replace(self, body=body, headers=(*self.headers, (b"content-encoding", b"gzip")))


def _json(change: Callable[[Any], Any]) -> Callable[[Answer], Answer]:
    def spoil(answer: Answer) -> Answer:
        try:
            content = json.loads(answer.body)
        except ValueError:
            return answer
        return replace(answer, body=json.dumps(change(content)).encode())

    return spoil


def _each(content: Any, change: Callable[[Any], Any]) -> Any:
    """Return the content with each value inside of it changed, from the inside out."""
    if isinstance(content, dict):
        return change({name: _each(value, change) for name, value in content.items()})
    if isinstance(content, list):
        return change([_each(value, change) for value in content])
    return change(content)


def _rows(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a change of each member of each list."""

    def members(value: Any) -> Any:
        return [change(each) for each in value] if isinstance(value, list) else value

    return lambda content: _each(content, members)


def _turned(content: Any) -> Any:
    """Return an object whose lists are objects and whose objects are lists."""

    def swapped(value: Any) -> Any:
        return [] if isinstance(value, dict) else {} if isinstance(value, list) else value

    return {k: swapped(v) for k, v in content.items()} if isinstance(content, dict) else {"value": content}


def _inner(content: Any) -> Any:
    """Return the innermost lists as objects."""
    return _each(content, lambda value: {} if isinstance(value, list) else value)


def _as_text(value: Any) -> Any:
    return "?" if isinstance(value, bool | int | float) else value


def _as_object(value: Any) -> Any:
    return {"value": value} if isinstance(value, str) else value


@functools.cache
def _bomb() -> bytes:
    return gzip.compress(b'{"a": "' + b" " * BOMB, compresslevel=1)


def _twice(answer: Answer) -> Answer:
    """Repeat the headers that a client reads, the second time with nonsense."""
    return replace(answer, headers=(*answer.headers, (TYPE, b"text/plain"), (b"date", b"yesterday"), (b"x-a", b"b")))


ANSWERS: Final[Mapping[str, Callable[[Answer], Answer]]] = {
    # framing and types
    "truncated": lambda a: replace(a, body=a.body[: len(a.body) // 2]),  # the length is that of what is sent
    "empty": lambda a: replace(a, body=b""),
    "garbage": lambda a: replace(a, body=bytes(range(255, -1, -1)) * 4),
    "wrong_type": lambda a: a.typed(b"image/png"),
    "html_type": lambda a: a.typed(b"text/html; charset=utf-8"),
    "html_body": lambda a: replace(a, body=HTML),
    "xml_body": lambda a: replace(a, body=b"<?xml version='1.0'?><Answer><ok/></Answer>"),
    "twice_headers": _twice,
    "bad_gzip": lambda a: a.encoded(b"\x1f\x8b\x08garbage"),
    "bomb": lambda a: a.encoded(_bomb()),
    "deep": lambda a: replace(a, body=b"[" * 200_000),
    "not_a_number": _json(lambda c: _each(c, lambda v: float("nan") if isinstance(v, float | int) else v)),
    # shapes
    "null": _json(lambda _: None),
    "text": _json(lambda _: "ok"),
    "number": _json(lambda _: 1),
    "object": _json(lambda _: {}),
    "list": _json(lambda c: [c]),
    "hollow": _json(lambda c: dict.fromkeys(c) if isinstance(c, dict) else c),
    "turned": _json(_turned),
    "unlisted": _json(_inner),
    "null_rows": _json(_rows(lambda _: None)),
    "bare_rows": _json(_rows(lambda v: {} if isinstance(v, dict) else v)),
    "hollow_rows": _json(_rows(lambda v: dict.fromkeys(v) if isinstance(v, dict) else v)),
    "texts": _json(lambda c: _each(c, _as_text)),
    "objects": _json(lambda c: _each(c, _as_object)),
}


class Wrapped(Protocol):
    """A sandbox whose faults can be replaced."""

    faults: Faults

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""

    def reset(self, options: dict[str, Any]) -> dict[str, Any]:
        """Go back to the seed."""

    def stats(self) -> dict[str, Any]:
        """Return counts."""


class _Moods(Faults):
    """Armed faults, and others at random."""

    def __init__(self, kinds: frozenset[str], hostile: Hostile) -> None:
        super().__init__(kinds)
        self._hostile = hostile

    def take(self, kind: str, request_line: str) -> Fault | None:
        """Return an armed fault, or one by chance."""
        return super().take(kind, request_line) or self._hostile.strike(kind)


class Hostile:
    """A sandbox that commits faults at random, the same ones for the same seed and the same requests.

    :param rate: how likely each kind is at each request that it could hit; 0 is a sandbox like any other.
    :param kinds: what it does; all that the sandbox knows, without these.
    :param without: what it does not do.
    :param seconds: how long the slow kinds take.
    """

    def __init__(
        self,
        sandbox: Wrapped,
        *,
        seed: int,
        rate: float = 0.0,
        kinds: Iterable[str] = (),
        without: Iterable[str] = (),
        seconds: float = 0.0,
    ) -> None:
        self.sandbox = sandbox
        self.rate = rate
        self.seconds = seconds
        self.struck: list[str] = []
        self._random = random.Random(seed)  # noqa: S311 - chance that can be repeated is the point
        known = sandbox.faults.kinds
        self._kinds = (frozenset(kinds) or known) - frozenset(without)
        self.faults: Faults = _Moods(known, self)
        sandbox.faults = self.faults

    def strike(self, kind: str) -> Fault | None:
        """Return a fault of this kind if chance has it."""
        if not self.rate or kind not in self._kinds or self._random.random() >= self.rate:
            return None
        self.struck.append(kind)
        return Fault(kind, seconds=self.seconds)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request as the sandbox does."""
        await self.sandbox.app(scope, receive, send)

    def reset(self, options: dict[str, Any]) -> dict[str, Any]:
        """Go back to the seed."""
        return self.sandbox.reset(options)

    def stats(self) -> dict[str, Any]:
        """Return the sandbox's counts."""
        return self.sandbox.stats()
