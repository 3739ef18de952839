"""Sign-in: forms (cookies, BPMCSRF, ForceUseSession) and OAuth 2.0 client credentials (Bearer)."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from sandbox.creatio import errors
from sandbox.creatio.http import Request, Response, plain_json

LOGIN_PAGE = (
    b'<!DOCTYPE html><html><head><title>Login</title></head><body><form action="/Login/NuiLogin.aspx"></form>'
    b'<script>require(["bootstrap.login"], function() {});</script></body></html>'
)
LOGIN_PATH = "/ServiceModel/AuthService.svc/Login"
TOKEN_PATH = "/connect/token"
SESSION_COOKIE = ".ASPXAUTH"


@dataclass(slots=True)
class _Session:
    csrf: str
    until: float


class Auth:
    """Sessions and access tokens, in memory: restarting the sandbox ends them, as recycling Creatio does.

    :param now: seconds, going forward. Sessions last `session_seconds` after their last use, tokens `token_seconds`.
    """

    def __init__(
        self,
        *,
        user: str,
        password: str,
        client_id: str,
        client_secret: str,
        session_seconds: float,
        token_seconds: int,
        now: Callable[[], float],
    ) -> None:
        self._user = user
        self._password = password
        self._client = (client_id, client_secret)
        self._session_seconds = session_seconds
        self._token_seconds = token_seconds
        self._now = now
        self._sessions: dict[str, _Session] = {}
        self._tokens: dict[str, float] = {}

    def login(self, request: Request) -> Response:
        """Answer the forms sign-in: always 200, `Code` tells how it went."""
        try:
            body = json.loads(request.body)
            given = (body["UserName"], body["UserPassword"])
        except (ValueError, TypeError, KeyError):
            raise errors.exception(400, "The request body is not valid.", "System.FormatException") from None
        if given != (self._user, self._password):
            return plain_json(200, _result(1, "Invalid username or password specified."))
        session, csrf = secrets.token_hex(32), secrets.token_urlsafe(16)
        self._sessions[session] = _Session(csrf, self._now() + self._session_seconds)
        response = plain_json(200, _result(0, ""))
        cookies = {
            "BPMLOADER": secrets.token_hex(12),
            SESSION_COOKIE: session,
            "BPMCSRF": csrf,
            # The name as Creatio writes it: the characters' numbers.
            "UserName": "|".join(str(ord(character)) for character in self._user),
            "UserType": "General",
        }
        for name, value in cookies.items():
            hidden = "; HttpOnly" if name in {"BPMLOADER", SESSION_COOKIE} else ""
            response.headers.append(("Set-Cookie", f"{name}={value}; path=/{hidden}"))
        return response

    def token(self, request: Request) -> Response:
        """Answer the identity service."""
        form = {name: values[0] for name, values in parse_qs(request.body.decode("utf-8", "replace")).items()}
        if form.get("grant_type") != "client_credentials":
            return plain_json(400, {"error": "unsupported_grant_type"})
        given = (form.get("client_id", ""), form.get("client_secret", ""))
        if given == ("", ""):
            given = _basic(request.headers.get("authorization", ""))
        if given != self._client:
            return plain_json(400, {"error": "invalid_client"})
        token = secrets.token_urlsafe(48)
        self._tokens[token] = self._now() + self._token_seconds
        scope = form.get("scope", "ApplicationAccess_iw")
        return plain_json(
            200, {"access_token": token, "expires_in": self._token_seconds, "token_type": "Bearer", "scope": scope}
        )

    def check(self, request: Request) -> None:
        """Let a request pass that is signed in; raises `Refused`: 401 without a session, 403 without BPMCSRF."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            if self._tokens.get(token, 0) <= self._now():
                self._tokens.pop(token, None)
                raise unauthorized()
            return
        session = self._sessions.get(_cookie(request))
        if session is None or session.until <= self._now() or not request.says("forceusesession", "true"):
            raise unauthorized()
        if not secrets.compare_digest(request.headers.get("bpmcsrf", "").encode(), session.csrf.encode()):
            raise forbidden()
        session.until = self._now() + self._session_seconds

    def end(self, request: Request) -> None:
        """End the session or token with which a request comes."""
        self._sessions.pop(_cookie(request), None)
        self._tokens.pop(request.headers.get("authorization", "").partition(" ")[2], None)

    def end_all(self) -> None:
        """End everything."""
        self._sessions.clear()
        self._tokens.clear()


def unauthorized() -> errors.Refused:
    """Return the 401 of a request without a session."""
    return errors.exception(401, "Authentication failed.", "System.Security.Authentication.AuthenticationException")


def forbidden() -> errors.Refused:
    """Return the 403 of a request without a valid BPMCSRF."""
    return errors.exception(403, "Request does not contain a valid BPMCSRF token.", "System.Security.SecurityException")


def login_page() -> Response:
    """Return the login page as an ended session may see it: with status 200."""
    return Response(200, LOGIN_PAGE, [("Content-Type", "text/html; charset=utf-8")])


def _result(code: int, message: str) -> dict[str, Any]:
    problem = {"HelpLink": None, "InnerException": None, "Message": message, "StackTrace": None, "Type": ""}
    return {
        "Code": code,
        "Message": message,
        "Exception": problem if code else None,
        "PasswordChangeUrl": None,
        "RedirectUrl": None,
    }


def _cookie(request: Request) -> str:
    for part in request.headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == SESSION_COOKIE:
            return value
    return ""


def _basic(header: str) -> tuple[str, str]:
    kind, _, value = header.partition(" ")
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (name, secret) if kind.lower() == "basic" else ("", "")
