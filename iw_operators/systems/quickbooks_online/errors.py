"""QuickBooks Online's faults, in all the forms in which they come, as errors of this package.

A fault comes as JSON of the service (`Fault.Error[]`), JSON of the gateway in lower case (`fault.error[]`), XML even
where JSON was asked for (throttling), or as an HTML page of something in between. `errors.yaml` beside this says for
each code what it means, who does what about it, and which of our classes it is.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
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
from iw_operators.errors.catalogue import advice_for, catalogue, known
from iw_operators.systems.base import View
from iw_operators.systems.http import Response

LABEL = "QuickBooks Online"
SYSTEM = "quickbooks_online"
THROTTLE_SECONDS = 60.0  # Intuit: wait a minute after a 429
SERVER_ERROR = 500
TOO_LARGE = 413
VALIDATED = (200, 400)  # statuses under which the fault alone says what it is about
TYPES: Final[Mapping[str, str]] = {
    "authentication": "3200",
    "authorization": "120",
    "system": "10000",
    "service": "10000",
}  # of faults, without the word fault: the code that stands for those of the type that are not listed

_XML_ERROR = re.compile(r"<Error\b(?P<attributes>[^>]*)>(?P<body>.*?)</Error>", re.IGNORECASE | re.DOTALL)
_XML_CODE = re.compile(r"\bcode\s*=\s*[\"'](-?\d+)[\"']", re.IGNORECASE)
_XML_TYPE = re.compile(r"<Fault\b[^>]*\btype\s*=\s*[\"'](\w+)[\"']", re.IGNORECASE)
_GATEWAY_CODE = re.compile(r"errorCode=(\d+)")


class TooLarge(FixConfiguration):
    """A request was refused for its size alone; nothing of it was done."""


@dataclass(frozen=True, slots=True)
class FaultError:
    """One error of a fault. `code` is without leading zeros; `element` the native field it is about, if it says so.

    `type` is the fault's: `ValidationFault`, `AUTHENTICATION` and the like.
    """

    code: str
    message: str
    detail: str = ""
    element: str = ""
    type: str = ""

    @property
    def text(self) -> str:
        """Message and detail as one sentence."""
        head = self.message.strip().rstrip(".")
        tail = self.detail.strip()
        return f"{head}: {tail}" if tail and tail.lower() != head.lower() else head


def faults_in(content: Any) -> list[FaultError]:
    """Return the errors of a decoded JSON answer or batch item, of either spelling; empty when there are none."""
    if not isinstance(content, Mapping):
        return []
    fault = content.get("Fault") or content.get("fault")
    if not isinstance(fault, Mapping):
        return []
    errors = fault.get("Error") or fault.get("error") or []
    kind = str(fault.get("type") or "")
    return [_from_json(error, kind) for error in errors if isinstance(error, Mapping)] or [
        FaultError("", kind or "a fault without an error", type=kind)
    ]


def _from_json(error: Mapping[str, Any], kind: str) -> FaultError:
    low = {str(key).lower(): value for key, value in error.items() if value is not None}
    message = str(low.get("message", ""))
    code = _code(str(low.get("code", "")), message)
    return FaultError(code, message, str(low.get("detail", "")), str(low.get("element", "")), kind)


def _code(given: str, message: str) -> str:
    found = _GATEWAY_CODE.search(message)
    return (given or (found.group(1) if found else "")).lstrip("0")


def _faults_in_xml(text: str) -> list[FaultError]:
    found = []
    kind = _XML_TYPE.search(text)
    for match in _XML_ERROR.finditer(text):
        code = _XML_CODE.search(match["attributes"])
        message = _xml_text(match["body"], "Message")
        code_text = _code(code.group(1) if code else "", message)
        detail = _xml_text(match["body"], "Detail")
        found.append(FaultError(code_text, message, detail, type=kind.group(1) if kind else ""))
    return found


def _xml_text(body: str, tag: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", body, re.IGNORECASE | re.DOTALL)
    return html.unescape(found.group(1)).strip() if found else ""


def error_of(faults: list[FaultError], *, status: int = 400, retry_after: float = THROTTLE_SECONDS) -> InterWeaveError:
    """Return the one error that stands for a fault.

    The first error whose code is known decides. An unknown code is what the type of its fault says when the service
    has answered (status 200 or 400), the record's fault where that says nothing; the configuration's when it is another
    4xx, and something to try again later from 500 up.
    """
    listed = {f.code: found[0] for f in faults if (found := catalogue().exact(f.code, SYSTEM))}
    fault = next((f for f in faults if f.code in listed), faults[0])
    like = TYPES.get(fault.type.lower().removesuffix("fault")) if status in VALIDATED else None
    entry = listed.get(fault.code) or (known(like, SYSTEM) if like else None)
    kind = (entry.effect.kind if entry else None) or _by_status(status)
    text = "; ".join(dict.fromkeys(f.text for f in faults)).rstrip(".")
    message = f"{LABEL}: {text}."
    advice = entry.advice if entry else advice_for(fault.code or "*", SYSTEM)
    if issubclass(kind, Throttled):
        return Throttled(message, retry_after=retry_after, code=fault.code, advice=advice)
    if issubclass(kind, RetryLater):
        return ConnectionFailure(message, sent=True, code=fault.code, advice=advice)
    return kind(message, code=fault.code, advice=advice)


def _by_status(status: int) -> type[InterWeaveError]:
    if status in VALIDATED:
        return FixRecord
    return {401: SignInAgain, 429: Throttled}.get(
        status, RetryLater if status >= SERVER_ERROR or status == 408 else FixConfiguration
    )


def error_in(response: Response) -> InterWeaveError | None:
    """Return what is wrong with an answer as a whole; None when it is JSON that says nothing of a fault.

    Faults of single items of a batch are not looked at here.
    """
    if response.status == TOO_LARGE:
        msg = f"{LABEL} answered {TOO_LARGE}: the request is larger than it takes."
        return TooLarge(msg, code=f"http.{TOO_LARGE}", advice="Shorten the texts of the record in the source.")
    text = response.body.decode("utf-8", "replace")
    faults = _faults_in_xml(text) if text.lstrip().startswith("<") else []
    if not faults and not response.html:
        try:
            content = response.json()
        except ValueError:
            content = None
        faults = faults_in(content)
        if not faults and response.status == 200 and isinstance(content, Mapping):
            return None
    retry_after = retry_after_of(response)
    if faults:
        return error_of(faults, status=response.status, retry_after=retry_after)
    return _without_fault(response, retry_after)


def _without_fault(response: Response, retry_after: float) -> InterWeaveError:
    status = response.status
    if status == 429:
        return Throttled(f"{LABEL}: too many requests.", retry_after=retry_after, code="3001")
    if status == 401:
        msg = f"{LABEL} does not accept the access token."
        return SignInAgain(msg, code="3200", advice=advice_for("3200", SYSTEM))
    what = "an HTML page" if response.html else f"{len(response.body)} bytes that are not its JSON"
    if status == 200 or status >= SERVER_ERROR:
        msg = f"{LABEL} answered {status} with {what}."
        return ConnectionFailure(
            msg,
            sent=True,
            code="http.html" if response.html else f"http.{status}",
            advice="Intuit's status page (status.developer.intuit.com) tells of outages; a proxy may also answer so.",
        )
    msg = f"{LABEL} answered {status} with {what}."
    return FixConfiguration(
        msg, code=f"http.{status}", advice="Check the environment and base URL of the connection, and proxies."
    )


def reauthorise() -> str:
    """Return how a company is authorised anew, in one sentence for log lines and errors."""
    return known("invalid_grant", SYSTEM).action


def unreadable(view: View) -> FixConfiguration:
    """Return the error for a record of which a field is not of the type that the catalogue says."""
    msg = f"{LABEL} holds a record of {view.object} with a value that is not of its field's type."
    return FixConfiguration(msg, code="iw.type", advice="Correct the types of the mapping's own fields.")


def retry_after_of(response: Response) -> float:
    """Return the seconds of a Retry-After header; 60 where there is none or a date."""
    try:
        return max(0.0, float(response.headers.get("retry-after", "")))  # seconds, not money
    except ValueError:
        return THROTTLE_SECONDS
