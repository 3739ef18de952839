"""Signing in: access tokens that live an hour, refresh tokens that rotate, kept so that none is ever lost.

Facts (Intuit, OAuth 2.0): a refresh answers with a new access token and, from time to time, a new refresh token; the
old refresh token stays valid for 24 hours after a new one was issued, each at most 100 days.

How a rotating token is kept, therefore:

1. The connection holds the *first* refresh token, the state the *current* one. The state remembers the first one's
   hash: another one in the connection means that somebody authorised the app anew, and it is taken.
2. One writer: a refresh happens under the state's lock, and whoever waited for the lock looks again first, so that
   two tasks never refresh with the same token one after the other.
3. Before the request, the state says that a refresh has begun. The current token stays in it. A process that dies
   between Intuit's answer and the save leaves the old token in the state, which is good for 24 hours more: the next
   task simply uses it again.

Not promised: when nobody refreshes for 24 hours after such a death, the company has to be authorised again. The error
then says so.

`SignIn.flow` does no I/O: it yields requests and takes answers, so any transport serves.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import urlencode

import structlog

from iw_operators.errors import ConnectionFailure, FixConfiguration, InterWeaveError, Throttled
from iw_operators.points import reach
from iw_operators.systems.base import SecretState
from iw_operators.systems.http import Request, Response, Transport, parse_stamp
from iw_operators.systems.quickbooks_online.errors import LABEL, reauthorise, retry_after_of

log = structlog.get_logger(__name__)

LEEWAY = dt.timedelta(seconds=120)  # an access token that ends sooner is not used for a new request
WARN_BEFORE = dt.timedelta(days=14)  # of the refresh token's end

NEVER: Final = dt.datetime.min.replace(tzinfo=dt.UTC)

Flow: TypeAlias = Generator[Request, Response, Response]


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _no_mask(secret: str) -> None:
    """Mask nothing."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the connection says. `refresh_token` is the first one."""

    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)
    token_url: str

    @property
    def fingerprint(self) -> str:
        """Hash by which a changed first token, or another app, is noticed."""
        return hashlib.sha256(f"{self.client_id}\n{self.refresh_token}".encode()).hexdigest()

    @property
    def app(self) -> str:
        """Hash by which another client secret is noticed, so that a wrong one is found before the hour is over."""
        return hashlib.sha256(f"{self.client_id}\n{self.client_secret}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the state says, as far as it belongs to these credentials."""

    refresh_token: str = field(repr=False)
    access_token: str = field(default="", repr=False)
    expires: dt.datetime = NEVER
    begun: str = ""  # when a refresh began that never ended

    def usable(self, now: dt.datetime, rejected: str) -> bool:
        return bool(self.access_token) and self.access_token != rejected and now + LEEWAY < self.expires


class SignIn:
    """Signs requests and refreshes tokens.

    :param now: the time, aware; :param mask: told of each secret that comes, so that logs can hide it.
    """

    def __init__(
        self,
        credentials: Credentials,
        state: SecretState,
        *,
        now: Callable[[], dt.datetime] = _utc_now,
        mask: Callable[[str], None] = _no_mask,
    ) -> None:
        self.credentials: Final = credentials
        self._state = state
        self._now = now
        self._mask = mask
        self._current: _Kept | None = None

    def flow(self, request: Request) -> Flow:
        """Yield the signed request, refreshing before it when the token has ended and once more after a 401.

        Returns the answer to the request itself, which still may be a 401. Raises FixConfiguration when Intuit does
        not accept the refresh token or the app, and ConnectionFailure with `sent=False` when the token server does
        not answer: in both cases the request itself has had no effect.
        """
        kept = yield from self._usable("")
        response = yield _signed(request, kept)
        if response.status == 401:
            kept = yield from self._usable(kept.access_token)
            response = yield _signed(request, kept)
        return response

    def _usable(self, rejected: str) -> Generator[Request, Response, _Kept]:
        if self._current is not None and self._current.usable(self._now(), rejected):
            return self._current
        self._current = self._read()
        if self._current.usable(self._now(), rejected):
            return self._current
        with self._state.lock():
            kept = self._read()
            if not kept.usable(self._now(), rejected):
                kept = yield from self._refreshed(kept)
        self._current = kept
        return kept

    def _read(self) -> _Kept:
        state = self._state.read()
        if state.get("first") != self.credentials.fingerprint:
            return _Kept(self.credentials.refresh_token)
        kept = _Kept(
            refresh_token=state.get("refresh_token") or self.credentials.refresh_token,
            access_token=state.get("access_token", "") if state.get("app") == self.credentials.app else "",
            expires=_stamp(state.get("expires", "")),
            begun=state.get("begun", ""),
        )
        for secret in (kept.refresh_token, kept.access_token):
            if secret:
                self._mask(secret)
        return kept

    def _refreshed(self, kept: _Kept) -> Generator[Request, Response, _Kept]:
        began = self._now()
        first = self.credentials.fingerprint
        unfinished = {"first": first, "refresh_token": kept.refresh_token, "begun": kept.begun or began.isoformat()}
        self._state.write(unfinished)
        reach("before_token_refresh")
        try:
            response = yield self._request(kept.refresh_token)
        except ConnectionFailure as error:
            raise ConnectionFailure(error.message, sent=False, code=error.code, advice=error.advice) from error
        reach("after_token_refresh")
        refusal = _refusal(response, kept.begun)
        if refusal is not None:
            self._state.write({**unfinished, "begun": kept.begun})
            raise refusal
        answer = response.json()
        fresh = _Kept(
            refresh_token=str(answer.get("refresh_token") or kept.refresh_token),
            access_token=str(answer["access_token"]),
            expires=began + _seconds(answer, "expires_in", 3600),
        )
        for secret in (fresh.refresh_token, fresh.access_token):
            self._mask(secret)
        ends = began + _seconds(answer, "x_refresh_token_expires_in", 8_726_400)
        self._state.write(
            {
                "first": first,
                "app": self.credentials.app,
                "refresh_token": fresh.refresh_token,
                "access_token": fresh.access_token,
                "expires": fresh.expires.isoformat(),
                "refresh_ends": ends.isoformat(),
            }
        )
        reach("after_tokens_saved")
        rotated = fresh.refresh_token != kept.refresh_token
        log.info("access token refreshed", rotated=rotated, refresh_token_ends=ends.date().isoformat())
        if ends - began < WARN_BEFORE:
            log.warning("the refresh token ends soon", on=ends.date().isoformat(), advice=reauthorise())
        return fresh

    def _request(self, refresh_token: str) -> Request:
        pair = f"{self.credentials.client_id}:{self.credentials.client_secret}".encode()
        return Request(
            "POST",
            self.credentials.token_url,
            {
                "Authorization": "Basic " + base64.b64encode(pair).decode(),
                "Accept": "application/json",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            urlencode({"grant_type": "refresh_token", "refresh_token": refresh_token}).encode(),
            (refresh_token, self.credentials.client_secret),
        )


def drive(flow: Flow, send: Transport) -> Response:
    """Run a flow over a transport. What the transport raises is raised inside the flow, so that its locks open."""
    try:
        request = next(flow)
        while True:
            try:
                response = send(request)
            except BaseException as error:  # noqa: BLE001 - handed on to the flow, which raises it again
                request = flow.throw(error)
            else:
                request = flow.send(response)
    except StopIteration as stop:
        answer: Response = stop.value
        return answer


def _signed(request: Request, kept: _Kept) -> Request:
    return request.with_headers({"Authorization": f"Bearer {kept.access_token}"})


def _stamp(text: str) -> dt.datetime:
    try:
        return parse_stamp(text)
    except ValueError:
        return NEVER


def _seconds(answer: Mapping[str, object], name: str, default: int) -> dt.timedelta:
    value = answer.get(name)
    return dt.timedelta(seconds=int(value) if isinstance(value, (int, str)) and str(value).isdigit() else default)


def _sound(answer: Mapping[str, object]) -> bool:
    """Tell whether an answer holds tokens; nothing that is no text must be kept as one."""
    access, refresh = answer.get("access_token"), answer.get("refresh_token")
    return isinstance(access, str) and bool(access) and (refresh is None or isinstance(refresh, str))


def _refusal(response: Response, begun: str) -> InterWeaveError | None:
    """Return what the token server's answer means when it is no token."""
    try:
        content = response.json()
    except ValueError:
        content = None
    answer = content if isinstance(content, Mapping) else {}
    error = str(answer.get("error", ""))
    if response.status == 200 and _sound(answer):
        return None
    if error == "invalid_grant":
        lost = f" A refresh that began {begun} was interrupted before its answer was kept." if begun else ""
        msg = f"Intuit does not accept the refresh token of the connection: it has ended or was revoked.{lost}"
        return FixConfiguration(msg, code="invalid_grant", advice=reauthorise())
    if error == "invalid_client" or response.status == 401:
        msg = "Intuit does not accept the client id and secret of the connection."
        return FixConfiguration(
            msg, code="invalid_client", advice="Copy them from the app's keys page; development and production differ."
        )
    if response.status == 429:
        return Throttled("Intuit's token server: too many requests.", retry_after=retry_after_of(response), code="3001")
    if response.status >= 500 or response.status == 200:
        msg = f"Intuit's token server answered {response.status} without a token."
        return ConnectionFailure(msg, sent=False, code=f"http.{response.status}")
    msg = f"Intuit's token server refused to sign {LABEL} in: status {response.status}, error {error or 'not given'}."
    return FixConfiguration(msg, code=error or f"http.{response.status}", advice="Check the connection's token URL.")
