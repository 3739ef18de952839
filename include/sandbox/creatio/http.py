"""Requests and answers as plain data, so that a part of a $batch is handled exactly as a request of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote

import orjson

from sandbox.creatio.errors import Refused

JSON_TYPE = "application/json; odata.metadata=minimal"


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is percent-decoded, `query` is not; header names are lower-case. `base` is scheme and host.

    `content` is the body where it has been read already (a part of a JSON batch); `body` is empty then.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    base: str
    content: object = None

    @property
    def line(self) -> str:
        """The request line as faults are matched against it."""
        return f"{self.method} {self.path}" + (f"?{self.query}" if self.query else "")

    @property
    def uri(self) -> str:
        """The whole address."""
        return self.base + quote(self.path, safe="/()$,'=") + (f"?{self.query}" if self.query else "")

    @property
    def options(self) -> dict[str, str]:
        """The query, decoded; the last of several equal names wins."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @property
    def numbers_as_text(self) -> bool:
        """Whether the answer is to hold decimals as text."""
        return self.says("accept", "ieee754compatible=true")

    def says(self, header: str, words: str) -> bool:
        """Whether a header contains these words, whatever their case and blanks."""
        return words.lower() in self.headers.get(header, "").replace(" ", "").lower()


@dataclass(slots=True)
class Response:
    """An answer; `headers` may repeat a name (cookies)."""

    status: int
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)


def odata(status: int, content: object, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer of the OData service."""
    own = [("Content-Type", JSON_TYPE), ("OData-Version", "4.0")]
    return Response(status, orjson.dumps(content), [*(headers or {}).items(), *own])


def plain_json(status: int, content: dict[str, Any]) -> Response:
    """Return an answer of another service."""
    return Response(status, orjson.dumps(content), [("Content-Type", "application/json; charset=utf-8")])


def refusal(error: Refused) -> Response:
    """Return the answer for a refused request."""
    if "error" in error.body:
        return odata(error.status, error.body)
    return plain_json(error.status, error.body)
