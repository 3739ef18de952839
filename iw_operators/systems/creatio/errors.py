"""Creatio's failures as classes of ours, with a code. `errors.yaml` beside this says what each means and who does what.

Creatio's own `error.code` is always empty and data errors arrive as status 500 with the database's text inside, so
that the text has to be read; the patterns for it are in `errors.yaml`. Shapes (captured exchanges):
`{"error": {"code", "message", "innererror": {"message", "type", "stacktrace"}}}`,
`{"Message", "ExceptionMessage", "ExceptionType", "StackTrace"}`, and HTML pages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from iw_operators.errors import (
    ConnectionFailure,
    FixConfiguration,
    FixRecord,
    InterWeaveError,
    RetryLater,
    SignInAgain,
    Throttled,
)
from iw_operators.errors.catalogue import catalogue
from iw_operators.systems.http import Response

LOGIN_PAGE = re.compile(rb"/Login/|bootstrap\.login|NuiLogin\.aspx", re.IGNORECASE)
QUOTA_WAIT: Final = 60.0
LONGEST_TEXT: Final = 500
SYSTEM: Final = "creatio"
TOO_LARGE: Final = "creatio.too_large"
PASSING: Final = frozenset({408, 502, 503, 504})  # of what carries the request, whatever text comes with it


def text_of(body: Any) -> str:
    """Return what an error body says, the inner text last; empty if it says nothing."""
    if not isinstance(body, Mapping):
        return ""
    error = body.get("error")
    if isinstance(error, Mapping):
        inner = error.get("innererror")
        inner = inner if isinstance(inner, Mapping) else {}
        parts = [error.get("message"), inner.get("message"), inner.get("type")]
    else:
        parts = [body.get("Message"), body.get("ExceptionMessage"), body.get("ExceptionType")]
    return " ".join(str(part).strip() for part in parts if part)[:LONGEST_TEXT]


def failure(status: int, body: Any, what: str, headers: Mapping[str, str] | None = None) -> InterWeaveError:
    """Return the error for one failed operation, alone or as a part of a batch.

    :param body: the parsed body, or None where it is not JSON.
    :param what: what was asked for, with the object's name; no data of a record.
    """
    text = text_of(body)
    said = f": {text}" if text else f" (status {status})"
    msg = f"Creatio refused {what}{said}"
    if status == 429:
        return Throttled(
            f"Creatio takes no more calls for now, {what} waits.",
            retry_after=_wait(headers or {}),
            code="creatio.throttled",
        )
    if status == 401:
        return SignInAgain(msg, code="creatio.session")
    for known in catalogue().by_pattern(text, SYSTEM):
        if known.effect.kind in (FixRecord, FixConfiguration, RetryLater):
            return known.effect.kind(msg, code=known.code, advice=known.advice)
    if status == 403:
        return FixConfiguration(msg, code="creatio.rights")
    if status == 404:
        return FixRecord(msg, code="creatio.gone")
    if status == 413:
        return FixConfiguration(msg, code=TOO_LARGE)
    if status in PASSING or (status >= 500 and not text):
        at = what if what.startswith("to ") else f"at {what}"
        msg = f"Creatio failed {at} (status {status})" + (f": {text}" if text else ".")
        return ConnectionFailure(msg, code="creatio.server")
    return FixRecord(msg, code="creatio.refused")


def _wait(headers: Mapping[str, str]) -> float:
    given = headers.get("retry-after", "")
    return float(given) if given.isdigit() else QUOTA_WAIT  # seconds, not money


def is_login_page(response: Response) -> bool:
    """Tell Creatio's own page for signing in, which an ended session gets with status 200 or as a redirect."""
    if 300 <= response.status < 400:
        return bool(LOGIN_PAGE.search(response.headers.get("location", "").encode()))
    return response.html and bool(LOGIN_PAGE.search(response.body))


def page_instead(response: Response, what: str) -> InterWeaveError:
    """Return the error for an answer that should have been data and is not.

    404 means that nothing of Creatio's is at this address, or that the platform is the other one; another page
    comes from something in between or from a server that restarts, so that trying later makes sense.
    """
    if 300 <= response.status < 400:
        msg = f"The site sends {what} on to another address (status {response.status})."
        return FixConfiguration(msg, code="creatio.redirect")
    if response.status == 404:
        msg = f"There is no Creatio data at this address: {what} was not found."
        return FixConfiguration(msg, code="creatio.not_here")
    msg = f"The site answered {what} with a page instead of data (status {response.status})."
    return ConnectionFailure(msg, sent=True, code="creatio.html")
