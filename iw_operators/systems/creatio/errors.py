"""Creatio's failures as classes of ours, with a code and advice.

Creatio's own `error.code` is always empty and data errors arrive as status 500 with the database's text inside, so
that the text has to be read. Shapes (captured exchanges): `{"error": {"code", "message", "innererror": {"message",
"type", "stacktrace"}}}`, `{"Message", "ExceptionMessage", "ExceptionType", "StackTrace"}`, and HTML pages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from iw_operators.errors import (
    ConnectionFailure,
    FixConfiguration,
    FixRecord,
    InterWeaveError,
    SignInAgain,
    Throttled,
)
from iw_operators.systems.http import Response

LOGIN_PAGE = re.compile(rb"/Login/|bootstrap\.login|NuiLogin\.aspx", re.IGNORECASE)
QUOTA_WAIT: Final = 60.0
LONGEST_TEXT: Final = 500


@dataclass(frozen=True, slots=True)
class Known:
    """A text that Creatio or its database writes, and what it means."""

    pattern: re.Pattern[str]
    kind: type[InterWeaveError]
    code: str
    advice: str


def _known(pattern: str, kind: type[InterWeaveError], code: str, advice: str) -> Known:
    return Known(re.compile(pattern, re.IGNORECASE), kind, code, advice)


KNOWN: Final = (
    _known(
        r"SecurityException|(insufficient|not enough|does not have|has no).{0,40}(rights|permission)|no rights to",
        FixConfiguration,
        "creatio.rights",
        "Give the integration's user rights on this object (System designer, Object permissions).",
    ),
    _known(
        r"Column by path|could not find a property named|property '.*' does not exist|not found in schema",
        FixConfiguration,
        "creatio.column",
        "Make the column in Creatio and publish it, or correct its name in the mapping.",
    ),
    _known(
        r"value too long|would be truncated",
        FixRecord,
        "creatio.too_long",
        "Shorten the value, or let the mapping shorten it.",
    ),
    _known(
        r"duplicate key|unique (key|constraint|index)|PRIMARY KEY constraint",
        FixRecord,
        "creatio.duplicate",
        "Another record has this value already; find and merge the two.",
    ),
    _known(
        r"not-null constraint|cannot insert the value NULL|is required|must be filled",
        FixRecord,
        "creatio.required",
        "Fill the field in the source record, or give it a default in the mapping.",
    ),
    _known(
        r"foreign key|REFERENCE constraint",
        FixRecord,
        "creatio.reference",
        "The record that this one points at does not exist in Creatio.",
    ),
    _known(
        r"MaxEntityRowCount|20,?000 (rows|records)",
        FixConfiguration,
        "creatio.rows",
        "Use a smaller page.",
    ),
    _known(
        r"query specified in the URI is not valid|Syntax error at position|could not be parsed|Unrecognized '",
        FixConfiguration,
        "creatio.query",
        "The mapping asks for something that this Creatio does not understand; check its native names.",
    ),
)


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
        return Throttled(f"Creatio takes no more calls for now, {what} waits.", retry_after=_wait(headers or {}))
    if status == 401:
        return SignInAgain(msg, code="creatio.session")
    for known in KNOWN:
        if known.pattern.search(text):
            return known.kind(msg, code=known.code, advice=known.advice)
    if status == 403:
        advice = "Give the integration's user rights on this object (System designer, Object permissions)."
        return FixConfiguration(msg, code="creatio.rights", advice=advice)
    if status == 404:
        return FixRecord(msg, code="creatio.gone", advice="The record or object does not exist in Creatio.")
    if status == 413:
        return FixConfiguration(msg, code="creatio.too_large", advice="Use a smaller batch_size in the flow.")
    if status >= 500 and not text:
        return ConnectionFailure(f"Creatio failed at {what} (status {status}).", code="creatio.server")
    advice = "Correct what the message names in the source record."
    return FixRecord(msg, code="creatio.refused", advice=advice)


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
        return FixConfiguration(
            msg, code="creatio.redirect", advice="Put the address where the browser ends up in the connection's Site."
        )
    if response.status == 404:
        msg = f"There is no Creatio data at this address: {what} was not found."
        advice = (
            "Check the site; if it is right, choose the other platform in the connection "
            "(.NET Framework has its data under /0/odata, .NET Core under /odata)."
        )
        return FixConfiguration(msg, code="creatio.not_here", advice=advice)
    msg = f"The site answered {what} with a page instead of data (status {response.status})."
    return ConnectionFailure(
        msg, sent=True, code="creatio.html", advice="Look at the site in a browser; it may be down for maintenance."
    )
