"""HTTP as the systems use it: small request and answer values, exact JSON, stamps, and failures told apart.

A `Transport` is any callable that turns a `Request` into a `Response`; tests pass ten-line functions. The one made by
`transport_over` sends through a `requests.Session`, follows no redirects and keeps no cookies: sign-in flows carry
their own. It sends over TLS with the certificate checked, unless the connection says otherwise, and unencrypted to
this very machine only (`check_address`). What a refusal repeats of the secrets that were sent is taken out of it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import json
import re
import ssl
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import orjson
import requests
import structlog
from urllib3.exceptions import (
    ConnectTimeoutError,
    InsecureRequestWarning,
    NewConnectionError,
    ProxyError,
)

from iw_operators.errors import ConnectionFailure, FixConfiguration, InterWeaveError
from iw_operators.systems.body import read_body

log = structlog.get_logger(__name__)

HIDDEN: Final = "***"
SHORTEST_SECRET: Final = 5  # shorter ones would take pieces out of ordinary words
NO_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
)
HTML = re.compile(rb"^(\xef\xbb\xbf)?\s*<(!doctype\s+html|html|head|body|!--)", re.IGNORECASE)
STAMP = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d+))?\s*(Z|[+-]\d\d:?\d\d)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for a connection, between two pieces of an answer, and for a whole answer."""

    connect: float = 10.0
    read: float = 60.0
    whole: float = 900.0

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
    """One HTTP request. Headers and body may hold secrets: never logged, and not shown by `repr`.

    `secrets` are those that the body holds; those of the headers `Authorization` and `Cookie` are known anyway.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def with_headers(self, extra: Mapping[str, str]) -> Request:
        """Return the same request with headers added or replaced."""
        return replace(self, headers={**self.headers, **extra})

    def hidden(self) -> Iterator[str]:
        """Yield what must not come back in a message."""
        for name, value in self.headers.items():
            if name.lower() == "authorization":
                yield value.partition(" ")[2]
            elif name.lower() == "cookie":
                yield from (part.partition("=")[2] for part in value.split("; "))
        yield from self.secrets


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer. Header names are in lower case; `cookies` are those that the answer sets.

    May hold secrets and customer data: `repr` shows the status alone.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def html(self) -> bool:
        """Whether the answer is a page for people rather than data."""
        return looks_like_html(self.headers.get("content-type", ""), self.body)

    def json(self) -> Any:
        """Return the body as JSON with Decimals; ValueError if it is none."""
        return json_loads(self.body)


Transport: TypeAlias = Callable[[Request], Response]


def transport_over(session: requests.Session, timeouts: Timeouts, label: str, *, allow_http: bool = False) -> Transport:
    """Return a transport over a requests session.

    :param label: what messages call the other side.
    :param allow_http: see `check_address`.

    Raises what `check_address` raises and what `failure_of` returns. Only the session's adapters, proxies,
    certificates and `verify` are used; its cookies and authentication are switched off.
    """
    session.auth = None
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    if session.verify is False:
        log.warning("the certificate is not checked", site=label, advice="For a test system only: `verify` is false.")
    said: set[str] = set()

    def send(request: Request) -> Response:
        unencrypted = check_address(request.url, label, allow_http=allow_http)
        if unencrypted and unencrypted not in said:
            said.add(unencrypted)
            log.warning("not encrypted", site=label, host=unencrypted, advice="For a test system only: `allow_http`.")
        try:
            with _quiet(session.verify):
                answer = session.request(
                    request.method,
                    request.url,
                    data=request.body,
                    headers=dict(request.headers),
                    auth=_no_auth,
                    timeout=(timeouts.connect, timeouts.read),
                    allow_redirects=False,
                    stream=True,
                    verify=session.verify,  # given here, the environment's REQUESTS_CA_BUNDLE does not replace it
                )
                content = read_body(answer, timeouts.whole)
        except requests.RequestException as error:
            raise failure_of(error, label) from None  # its own text and request may hold what nobody should read
        headers = {name.lower(): value for name, value in answer.headers.items()}
        body = content if answer.status_code < 400 else _without(content, request)
        return Response(answer.status_code, headers, body, dict(_cookies(answer)))

    return send


def check_address(url: str, label: str, *, allow_http: bool = False) -> str:
    """Raise for an address to which credentials must not be sent; return the host if it is reached unencrypted.

    Addresses begin with https. Plain http is for this machine (localhost, 127.0.0.0/8, ::1), and for other hosts only
    where the connection says `allow_http`. Credentials stand in the connection's fields, never in the address, which
    is shown.

    :returns: an empty text for https and for this machine.
    :raises FixConfiguration: it is not such an address.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not host:
        msg = f"The address of {label} is not a web address."
        raise FixConfiguration(msg, code="http.address", advice="Correct the connection's host.")
    if "@" in parts.netloc:
        msg = f"The address of {label} holds a login."
        raise FixConfiguration(
            msg, code="http.address", advice="Put user and password into the connection's own fields, and change them."
        )
    if parts.scheme == "https" or _this_machine(host):
        return ""
    if not allow_http:
        msg = f"The address of {label} begins with http: user, password and data would travel unencrypted."
        raise FixConfiguration(
            msg, code="http.plain", advice="Use https. For a test system, switch on Unencrypted HTTP in the connection."
        )
    return host


def _this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def trusted(extra: Mapping[str, Any]) -> bool | str:
    """Return whose certificates a session trusts, by `ca_file` and `verify` of a connection's extra.

    :returns: True for the usual authorities, the path of a file with others, or False for a test system whose
        certificate is not checked. Only a false `verify` without a `ca_file` switches checking off.
    :raises FixConfiguration: the file cannot be read or holds no certificates.
    """
    if path := str(extra.get("ca_file") or ""):
        try:
            ssl.create_default_context(cafile=path if Path(path).is_file() else f"{path}/.")
        except (OSError, ValueError) as error:
            msg = f"The connection's file with the certificate authority cannot be used: {type(error).__name__}."
            raise FixConfiguration(
                msg, code="http.ca_file", advice=f"{path} has to be a PEM file that the worker can read."
            ) from None
        return path
    return extra.get("verify") is not False


@contextlib.contextmanager
def _quiet(verify: object) -> Iterator[None]:
    """Keep urllib3 from warning at each request; it has been said once."""
    if verify is not False:
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureRequestWarning)
        yield


def _without(body: bytes, request: Request) -> bytes:
    """Return a refusal without the secrets that it repeats."""
    for secret in request.hidden():
        if len(secret) >= SHORTEST_SECRET:
            for form in (secret, json.dumps(secret)[1:-1]):
                body = body.replace(form.encode("utf-8", "surrogatepass"), HIDDEN.encode())
    return body


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
            advice="Correct the host, or name a PEM file with its authority in the connection (ca_file).",
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


def is_name(text: str) -> bool:
    """Tell whether a text can be somebody's name at all: not blank, and of characters that travel in UTF-8."""
    return bool(text.strip()) and text.encode("utf-8", "ignore").decode() == text


def json_loads(body: bytes | str) -> Any:
    """Parse JSON; numbers with a point become Decimal. ValueError if it is not JSON, or nested without end."""
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_no_number)
    except RecursionError:
        msg = "nested too deeply"
        raise ValueError(msg) from None


def _no_number(name: str) -> Any:
    msg = f"{name} is no number of JSON"
    raise ValueError(msg)


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
