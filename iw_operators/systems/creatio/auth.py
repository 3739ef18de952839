"""Signing in to Creatio, without I/O: generators yield requests and are sent the answers.

Two ways. Forms: `POST {site}/ServiceModel/AuthService.svc/Login` at the site's root on both platforms, then cookies,
`BPMCSRF` and `ForceUseSession` with each request. OAuth 2.0 client credentials: `POST {identity}/connect/token`,
then a bearer token, which needs no BPMCSRF. (Source: vendor documentation and the vendor's own command line client.)
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeAlias
from urllib.parse import urlencode

from iw_operators.errors import ConnectionFailure, FixConfiguration, InterWeaveError, Throttled
from iw_operators.systems.creatio.errors import is_login_page, page_instead
from iw_operators.systems.http import HIDDEN, Request, Response, json_dumps

LOGIN: Final = "/ServiceModel/AuthService.svc/Login"
CSRF: Final = "BPMCSRF"
EARLY: Final = 60.0  # seconds before its end at which a token is not used any more
NOT_LET_IN: Final = "Correct the login and password of the connection; the user must be active and unlocked."


@dataclass(frozen=True, slots=True)
class Session:
    """What signing in gave: cookies or a token. Secret: never logged.

    `owner` says for which site and user it is; a session of another owner is not used. `ends` is seconds since 1970,
    0 when not known. `id` is ours and tells one signing in from the next, also when cookies are renewed.
    """

    owner: str
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: str = field(default="", repr=False)
    ends: float = 0.0
    id: str = field(default_factory=lambda: secrets.token_hex(8))

    def headers(self) -> dict[str, str]:
        """Return what each request carries."""
        if self.token:
            return {"Authorization": f"Bearer {self.token}"}
        found = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "ForceUseSession": "true",
        }
        if CSRF in self.cookies:
            found[CSRF] = self.cookies[CSRF]
        return found

    def after(self, response: Response) -> Session:
        """Return the session with the cookies that an answer renews or adds."""
        new = {name: value for name, value in response.cookies.items() if self.cookies.get(name) != value}
        return replace(self, cookies={**self.cookies, **new}) if new and self.cookies else self

    def to_state(self) -> dict[str, str]:
        """Return it as `SecretState` keeps it."""
        cookies = json.dumps(dict(self.cookies))
        return {"owner": self.owner, "id": self.id, "cookies": cookies, "token": self.token, "ends": repr(self.ends)}

    @classmethod
    def from_state(cls, state: Mapping[str, str], owner: str, now: float) -> Session | None:
        """Return the session that is kept, None where there is none, or it is another's, or it has ended."""
        if state.get("owner") != owner:
            return None
        ends = float(state["ends"])  # seconds, not money
        session = cls(owner, json.loads(state["cookies"]), state["token"], ends, state["id"])
        return None if session.over(now) else session

    def over(self, now: float) -> bool:
        """Tell whether it has ended by the clock, or is about to."""
        return bool(self.ends) and self.ends - EARLY <= now


SignIn: TypeAlias = Generator[Request, Response, Session]


class Auth(Protocol):
    """One way of signing in."""

    @property
    def owner(self) -> str:
        """For which site and user its sessions are."""

    @property
    def user(self) -> str:
        """The user's name or the client's id."""

    def sign_in(self, now: float) -> SignIn:
        """Yield requests, take answers, return a session; FixConfiguration when it is refused."""

    def ended(self, response: Response) -> bool:
        """Tell whether an answer means that the session is not good any more (403 may also mean a missing right)."""


@dataclass(frozen=True, slots=True)
class Forms:
    """User and password."""

    site: str
    user: str
    password: str = field(repr=False)

    @property
    def owner(self) -> str:
        """Site and user."""
        return f"forms {self.user} {self.site}"

    def sign_in(self, now: float) -> SignIn:  # noqa: ARG002 (the other way of signing in needs it)
        """Post the password; the cookies of the answer are the session. Its length is Creatio's own setting."""
        body = json_dumps({"UserName": self.user, "UserPassword": self.password})
        headers = {"Content-Type": "application/json"}
        response = yield Request("POST", self.site + LOGIN, headers, body, (self.password,))
        if response.status != 200 or response.html:
            raise _no_sign_in(response)
        try:
            answer = response.json()
            code = int(answer["Code"])
        except (ValueError, KeyError, TypeError):
            raise _no_sign_in(response) from None
        if code != 0:
            said = str(answer.get("Message") or "no reason given").replace(self.password, HIDDEN).strip()
            msg = f"Creatio does not let the user in: {said} (code {code})"
            raise FixConfiguration(msg, code="creatio.sign_in", advice=NOT_LET_IN)
        if not response.cookies:
            msg = "Creatio let the user in but gave no session."
            raise FixConfiguration(
                msg, code="creatio.no_session", advice="The user may have to change the password; sign in by hand once."
            )
        return Session(self.owner, dict(response.cookies))

    def ended(self, response: Response) -> bool:
        """401 without a session, 403 without a valid BPMCSRF, and the login page."""
        return response.status in (401, 403) or is_login_page(response)


@dataclass(frozen=True, slots=True)
class OAuth:
    """OAuth 2.0 client credentials."""

    site: str
    identity: str
    user: str  # the client id
    secret: str = field(repr=False)

    @property
    def owner(self) -> str:
        """Site and client."""
        return f"oauth {self.user} {self.site}"

    def sign_in(self, now: float) -> SignIn:
        """Ask the identity service for a token. :param now: seconds since 1970, from which the token's end counts."""
        form = {"grant_type": "client_credentials", "client_id": self.user, "client_secret": self.secret}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        body = urlencode(form).encode()
        response = yield Request("POST", f"{self.identity}/connect/token", headers, body, (self.secret,))
        try:
            answer = {} if response.html else response.json()
        except ValueError:
            answer = {}
        answer = answer if isinstance(answer, dict) else {}
        if response.status in (400, 401) and answer.get("error"):
            said = answer["error"]
            msg = f"The identity service refuses the OAuth client: {said}"
            advice = "Correct the client id and secret, and check that the client is active in Creatio."
            raise FixConfiguration(msg, code=f"creatio.{said}", advice=advice)
        token = answer.get("access_token")
        if response.status != 200 or not token:
            raise _no_sign_in(response)
        lifetime = float(answer.get("expires_in") or 0)  # seconds, not money
        ends = now + lifetime if lifetime else 0.0
        return Session(self.owner, token=str(token), ends=ends)

    def ended(self, response: Response) -> bool:
        """401, and the login page."""
        return response.status == 401 or is_login_page(response)


def _no_sign_in(response: Response) -> InterWeaveError:
    if response.status == 429:
        return Throttled("Creatio takes no sign-ins for now.", retry_after=60.0, code="creatio.throttled")
    if response.status >= 500:
        msg = f"The sign-in service failed (status {response.status})."
        return ConnectionFailure(msg, sent=True, code="creatio.server")
    error = page_instead(response, "the sign-in")
    if response.status in (200, 401, 403, 404, 405):
        msg = f"What answers at this address is not Creatio's sign-in (status {response.status})."
        return FixConfiguration(
            msg, code="creatio.not_here", advice="Correct the site (and the identity service's address for oauth)."
        )
    return error
