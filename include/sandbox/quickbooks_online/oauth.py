"""OAuth 2.0 as Intuit does it: short access tokens, refresh tokens that rotate.

Each refresh issues a new refresh token; the one before it lives on for `Options.old_refresh_seconds`. A refresh token
is valid for 101 days from its issue, and never longer than five years from the first one.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from sandbox.common.faults import Faults
from sandbox.quickbooks_online.clock import Clock
from sandbox.quickbooks_online.options import Options
from sandbox.quickbooks_online.store import Store
from sandbox.quickbooks_online.wire import loads

REFRESH_SECONDS = 8_726_400
FIVE_YEARS = 5 * 365 * 86_400
CODE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What the token endpoint says. `drop`: commit, then close the connection instead of answering."""

    status: int
    content: Mapping[str, Any] = field(default_factory=dict)
    drop: bool = False


def discovery(base_url: str) -> dict[str, Any]:
    """Return the discovery document."""
    return {
        "issuer": f"{base_url}/op/v1",
        "authorization_endpoint": f"{base_url}/connect/oauth2",
        "token_endpoint": f"{base_url}/oauth2/v1/tokens/bearer",
        "userinfo_endpoint": f"{base_url}/v1/openid_connect/userinfo",
        "revocation_endpoint": f"{base_url}/oauth2/v1/tokens/revoke",
        "jwks_uri": f"{base_url}/op/v1/jwks",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "email", "profile", "address", "phone"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
    }


class OAuth:
    """Issues, checks and revokes tokens."""

    def __init__(self, store: Store, clock: Clock, options: Options) -> None:
        self._store = store
        self._clock = clock
        self._options = options

    def start(self) -> None:
        """Put the first refresh token in force."""
        now = self._clock.now()
        self._put(self._options.refresh_token, "refresh", now + REFRESH_SECONDS, now)

    def access_is_valid(self, token: str) -> bool:
        """Say whether an access token may be used now."""
        return self._find(token, "access") is not None

    def expire(self, token: str) -> None:
        """End a token at once."""
        self._store.write("DELETE FROM token WHERE token = ?", (token,))

    def authorize(self, query: Mapping[str, str]) -> str | None:
        """Return where the person's browser is sent back to with a code; None when the request is wrong."""
        if query.get("client_id") != self._options.client_id or not query.get("redirect_uri"):
            return None
        code = secrets.token_urlsafe(18)
        now = self._clock.now()
        self._put(code, "code", now + CODE_SECONDS, now)
        back = {"code": code, "state": query.get("state", ""), "realmId": self._options.realm}
        return f"{query['redirect_uri']}?{urlencode(back)}"

    def bearer(self, authorization: str, body: bytes, faults: Faults, line: str) -> Answer:
        """Answer a call of the token endpoint."""
        if not self._is_client(authorization):
            return Answer(401, {"error": "invalid_client"})
        form = dict(parse_qsl(body.decode("utf-8", "replace")))
        grant = form.get("grant_type")
        if grant == "refresh_token":
            return self._refresh(form.get("refresh_token", ""), faults, line)
        if grant == "authorization_code":
            return self._exchange(form.get("code", ""))
        return Answer(400, {"error": "unsupported_grant_type"})

    def revoke(self, authorization: str, body: bytes) -> Answer:
        """Answer a call of the revocation endpoint: all tokens of the connection end."""
        if not self._is_client(authorization):
            return Answer(401, {"error": "invalid_client"})
        try:
            token = str(loads(body).get("token", ""))
        except (ValueError, AttributeError):
            token = dict(parse_qsl(body.decode("utf-8", "replace"))).get("token", "")
        if not (self._find(token, "refresh") or self._find(token, "access")):
            return Answer(400, {"error": "invalid_request", "error_description": "Invalid token"})
        self._store.write("DELETE FROM token")
        return Answer(200)

    def _refresh(self, token: str, faults: Faults, line: str) -> Answer:
        if not token:
            return Answer(400, {"error": "invalid_request", "error_description": "Refresh token is missing"})
        found = self._find(token, "refresh")
        if found is None:
            return Answer(400, {"error": "invalid_grant", "error_description": "Incorrect or invalid refresh token"})
        lost = faults.take("refresh_lost", line) is not None
        dies = lost or faults.take("old_refresh_dies", line) is not None
        left = 0.0 if dies else self._options.old_refresh_seconds
        self._store.write(
            "UPDATE token SET expires = min(expires, ?) WHERE token = ?", (self._clock.now() + left, token)
        )
        return Answer(200, self._issue(found), drop=lost)

    def _exchange(self, code: str) -> Answer:
        if self._find(code, "code") is None:
            return Answer(400, {"error": "invalid_grant", "error_description": "Invalid authorization code"})
        self.expire(code)
        return Answer(200, self._issue(self._clock.now()))

    def _issue(self, origin: float) -> dict[str, Any]:
        now = self._clock.now()
        access, refresh = secrets.token_urlsafe(48), f"AB1{secrets.token_urlsafe(30)}"
        self._store.write("DELETE FROM token WHERE expires <= ?", (now,))
        self._put(access, "access", now + self._options.access_seconds, origin)
        ends = min(now + REFRESH_SECONDS, origin + FIVE_YEARS)
        self._put(refresh, "refresh", ends, origin)
        return {
            "access_token": access,
            "refresh_token": refresh,
            "token_type": "bearer",
            "expires_in": int(self._options.access_seconds),
            "x_refresh_token_expires_in": int(ends - now),
        }

    def _put(self, token: str, kind: str, expires: float, origin: float) -> None:
        self._store.write("INSERT OR REPLACE INTO token VALUES (?, ?, ?, ?)", (token, kind, expires, origin))

    def _find(self, token: str, kind: str) -> float | None:
        """Return the moment of the first grant behind a token that is in force; None if it is not."""
        found = self._store.rows(
            "SELECT origin FROM token WHERE token = ? AND kind = ? AND expires > ?", (token, kind, self._clock.now())
        )
        return float(found[0][0]) if found else None

    def _is_client(self, authorization: str) -> bool:
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            given = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return False
        return secrets.compare_digest(
            given.encode(), f"{self._options.client_id}:{self._options.client_secret}".encode()
        )
