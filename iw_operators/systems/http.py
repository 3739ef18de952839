"""HTTP as the systems use it: small request and answer values, exact JSON, stamps, and failures told apart.

A `Transport` is any callable that turns a `Request` into a `Response`; tests pass ten-line functions. The one made by
`transport_over` sends through a `requests.Session`, follows no redirects and keeps no cookies: sign-in flows carry
their own.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeAlias

import orjson
import requests
from urllib3.exceptions import (
    ConnectTimeoutError,
    NewConnectionError,
    ProxyError,
)

from iw_operators.errors import ConnectionFailure, FixConfiguration, InterWeaveError

NO_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
)
HTML = re.compile(rb"^(\xef\xbb\xbf)?\s*<(!doctype\s+html|html|head|body|!--)", re.IGNORECASE)
STAMP = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d+))?\s*(Z|[+-]\d\d:?\d\d)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for a connection, and between two pieces of an answer."""

    connect: float = 10.0
    read: float = 60.0

    @classmethod
    def from_extra(cls, extra: Mapping[str, Any]) -> Timeouts:
        """Read `connect_timeout` and `read_timeout` of a connection's extra; FixConfiguration if not numbers."""
        found: dict[str, float] = {}
        for name, default in (("connect", cls().connect), ("read", cls().read)):
            given = extra.get(f"{name}_timeout")
            try:
                found[name] = default if given in (None, "") else float(given)  # seconds, not money
            except (TypeError, ValueError):
                found[name] = 0.0
            if found[name] <= 0:
                msg = f"The connection's {name}_timeout is {given!r}, not a number of seconds above 0."
                raise FixConfiguration(msg, code="iw.connection")
        return cls(**found)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Headers may hold secrets: never logged."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def with_headers(self, extra: Mapping[str, str]) -> Request:
        """Return the same request with headers added or replaced."""
        return Request(self.method, self.url, {**self.headers, **extra}, self.body)


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer. Header names are in lower case; `cookies` are those that the answer sets."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cookies: Mapping[str, str] = field(default_factory=dict)

    @property
    def html(self) -> bool:
        """Whether the answer is a page for people rather than data."""
        return looks_like_html(self.headers.get("content-type", ""), self.body)

    def json(self) -> Any:
        """Return the body as JSON with Decimals; ValueError if it is none."""
        return json_loads(self.body)


Transport: TypeAlias = Callable[[Request], Response]


def transport_over(session: requests.Session, timeouts: Timeouts, label: str) -> Transport:
    """Return a transport over a requests session.

    :param label: what messages call the other side.
    Raises what `failure_of` returns. Only the session's adapters, proxies, certificates and `verify` are used; its
    cookies and authentication are switched off.
    """
    session.auth = None
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def send(request: Request) -> Response:
        try:
            answer = session.request(
                request.method,
                request.url,
                data=request.body,
                headers=dict(request.headers),
                auth=_no_auth,
                timeout=(timeouts.connect, timeouts.read),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise failure_of(error, label) from error
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Response(answer.status_code, headers, answer.content, dict(_cookies(answer)))

    return send


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from taking a password out of ~/.netrc."""
    return request


def _cookies(answer: requests.Response) -> Iterator[tuple[str, str]]:
    for line in answer.raw.headers.getlist("set-cookie"):
        name, _, value = line.partition(";")[0].partition("=")
        if name.strip():
            yield name.strip(), value.strip()


def failure_of(error: requests.RequestException, label: str) -> InterWeaveError:
    """Return the error of this package for a failure of requests.

    ConnectionFailure has `sent=False` only where no connection came about, so that nothing can have arrived. A
    certificate that is not trusted and an address that is none are FixConfiguration: no retry helps.
    """
    if isinstance(error, NO_ADDRESS):
        msg = f"The address of {label} is not a web address."
        return FixConfiguration(msg, code="http.address", advice="Correct the connection's host.")
    reasons = tuple(_reasons(error))
    if any(isinstance(reason, ssl.SSLCertVerificationError) for reason in reasons):
        msg = f"The certificate of {label} is not trusted or is not for this host."
        return FixConfiguration(
            msg,
            code="http.certificate",
            advice="Correct the host, or give the authority's file in the field Verify TLS.",
        )
    if any(isinstance(reason, ssl.SSLError) and "WRONG_VERSION" in str(reason) for reason in reasons):
        msg = f"{label} does not speak TLS on this port."
        return FixConfiguration(
            msg, code="http.tls", advice="Correct the port, or use http in the connection's schema."
        )
    before = isinstance(error, requests.ConnectTimeout) or any(
        isinstance(reason, (NewConnectionError, ConnectTimeoutError, ProxyError)) for reason in reasons
    )
    if before:
        msg = f"{label} cannot be reached: {_why(reasons)}."
        return ConnectionFailure(
            msg,
            sent=False,
            code="http.unreachable",
            advice="Check the host and port of the connection and the network.",
        )
    if isinstance(error, requests.Timeout):
        msg = f"{label} did not answer in time."
        return ConnectionFailure(msg, sent=True, code="http.timeout")
    msg = f"The connection to {label} broke before its answer was complete."
    return ConnectionFailure(msg, sent=True, code="http.broken")


def _reasons(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception with everything inside it: cause, `reason` and arguments.

    Not its context: that may be an earlier attempt's failure, which says nothing about this one.
    """
    seen: set[int] = set()
    left: list[object] = [error]
    while left:
        one = left.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        left += [one.__cause__, getattr(one, "reason", None), *one.args]


def _why(reasons: tuple[BaseException, ...]) -> str:
    text = " ".join(str(reason) for reason in reasons).lower()
    if "refused" in text:
        return "nothing answers on this port"
    if "resolve" in text or "name or service" in text or "getaddrinfo" in text:
        return "the host's name is not known"
    if "proxy" in text:
        return "the proxy does not let us through"
    return "no connection within the time allowed"


def looks_like_html(content_type: str, body: bytes) -> bool:
    """Tell whether an answer is an HTML page, by its type or by how it begins."""
    return content_type.lower().lstrip().startswith(("text/html", "application/xhtml")) or bool(HTML.match(body[:512]))


def json_loads(body: bytes | str) -> Any:
    """Parse JSON; numbers with a point become Decimal. ValueError if it is not JSON."""
    return json.loads(body, parse_float=Decimal)


def json_dumps(value: Any) -> bytes:
    """Write JSON in UTF-8; a Decimal is written digit by digit as it is. TypeError for what JSON cannot hold."""
    return orjson.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(format(value, "f"))
    if isinstance(value, Mapping):
        return dict(value)
    msg = f"{type(value).__name__} cannot be written as JSON"
    raise TypeError(msg)


def parse_stamp(text: str) -> dt.datetime:
    """Read an ISO 8601 stamp as an aware datetime; without a zone it is UTC. Digits past microseconds are dropped.

    ValueError if it is not one.
    """
    found = STAMP.match(text.strip())
    if not found:
        msg = f"{text!r} is not a date and time"
        raise ValueError(msg)
    day, time, fraction, zone = found.groups()
    zone = "+00:00" if zone in (None, "Z", "z") else zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
    return dt.datetime.fromisoformat(
        f"{day}T{time}.{(fraction or '0')[:6]:0<6}{zone}" if time.count(":") == 2 else f"{day}T{time}{zone}"
    )


def format_stamp(value: dt.datetime) -> str:
    """Write an aware datetime in UTC, `2026-01-31T23:59:59Z`, with microseconds only where it has some."""
    if value.tzinfo is None:
        msg = "a stamp needs a zone"
        raise ValueError(msg)
    utc = value.astimezone(dt.UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="microseconds" if utc.microsecond else "seconds") + "Z"
