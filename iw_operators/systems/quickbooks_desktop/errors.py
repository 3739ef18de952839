"""Errors of the driver, of QODBC and of QuickBooks as errors of this package.

What counts is QODBC's code, wherever in the text it stands; the catalogue says for each code which of our classes it
is. SQLSTATE decides only where there is no such code: then the statement may never have reached QuickBooks.
"""

from __future__ import annotations

import re
from typing import Final

from iw_operators.errors import (
    ConnectionFailure,
    FixConfiguration,
    FixRecord,
    InterWeaveError,
    RetryLater,
)
from iw_operators.errors.catalogue import advice_for, classify, entry
from iw_operators.systems.base import View
from iw_operators.systems.quickbooks_desktop.connector.health import state_of
from iw_operators.systems.quickbooks_desktop.dialect import Fault, fault

LABEL: Final = "QuickBooks Desktop"
SYSTEM: Final = "quickbooks_desktop"
TAKEN: Final = "3100"  # a name
STALE: Final = "3200"
GONE: Final = frozenset({"500", "3120"})

_LOST: Final = ("08",)  # SQLSTATE classes: connection
_DRIVER: Final = ("IM",)  # driver manager: no driver, no data source
_UNKNOWN_NAME: Final = frozenset({"42S02", "42S22", "42P01", "42703"})
_TIMEOUT: Final = ("HYT",)
_SIGN_IN: Final = ("28",)
_OTHER_FILE: Final = "serves the company file"  # what our connector says to who asks for another one
_CONNECTOR: Final = "[IW connector]"  # how our connector's own errors begin
_NOT_BEGUN: Final = "Not begun"  # ... of which these are surely not done
_READ_ONLY: Final = "set to read only"
_REFUSED: Final = "[IW connector] Refused"
_NOT_OPENED: Final = "has not been opened within"
_QODBC: Final = "[QODBC]"  # how QODBC's own remarks begin; those without a code are about SQL, or why it cannot connect
_REMARK: Final = re.compile(
    r"\[QODBC\]\s*(?P<said>Field is not \w+(?:: \w+)?|Table is read[- ]only(?:: \w+)?|Feature(?: is)? not supported"
    r"|Stored procedure is not known(?: here)?(?:: \w+)?|Expected lexical element not found|Unexpected extra token"
    r"|Invalid operand for operator)",
    re.IGNORECASE,
)
_NO_LICENCE: Final = re.compile(
    r"\[QODBC\]\s*(?:Error:?\s*)?(?:Driver is not registered|(?:your )?(?:licen[cs]e|evaluation|trial)[\w ]* expired)",
    re.IGNORECASE,
)
_NO_SUCH_NAME: Final = re.compile(r"\[QODBC\]\s*Invalid (?:table|column) name", re.IGNORECASE)
_TLS: Final = re.compile(
    r"certificate|SSL error: (?!unexpected eof)|does not support SSL|speaks TLS only|sslmode value", re.IGNORECASE
)
_IN_QUOTES: Final = re.compile(r'"[^"]*"')
_OF_A_STATEMENT: Final = frozenset({"odbc.name", "odbc.statement", "odbc.type"})
_CANNOT_OPEN: Final = "can't open lib"
_NOT_IN_TIME: Final = "has not ended within"
_UNOPENED: Final = re.compile(r"The company file cannot be opened \((?P<state>\w+)\): (?P<said>.*)")
_ON_HOST: Final = {"driver_missing": "odbc.host_driver", "licence": "odbc.licence"}


def of_the_way(error: InterWeaveError) -> bool:
    """Tell whether an error is about the way to QuickBooks (licence, permission, sign-in) and not about a record."""
    if not isinstance(error, FixConfiguration):
        return False
    return error.code.startswith("8004") or (error.code.startswith("odbc.") and error.code not in _OF_A_STATEMENT)


def of_driver(error: Exception) -> Fault:
    """Return what an exception of a DB-API driver says: SQLSTATE first, text last, as pyodbc gives them."""
    if isinstance(error, ImportError):  # pyodbc, or the driver manager that it is linked with
        return Fault("", str(error), "IM003")
    args = [str(each) for each in error.args]
    state = args[0] if len(args) > 1 else ""
    return fault(args[-1] if args else str(error), state)


def error_of(found: Fault, *, connecting: bool = False, sent: bool = True) -> InterWeaveError:
    """Return the error for a fault.

    :param connecting: it came while connecting: nothing has been sent.
    :param sent: the statement was on its way when the connection ended.
    """
    if found.code:
        return _coded(found, found.code)
    known = classify(found.text, SYSTEM)
    if known is not None and any(mark.isdigit() for mark in known.code):  # H202, -6190, 80040414 without QODBC's words
        return _coded(found, known.code)
    if _CONNECTOR in found.text:
        return _of_connector(found.text, connecting=connecting)
    if connecting and _OTHER_FILE in found.text:
        return _configuration("odbc.company", f"{LABEL}: {_first(found.text)}.")
    return _by_state(found, connecting=connecting, sent=sent)


def _coded(found: Fault, code: str) -> InterWeaveError:
    known = entry(code, SYSTEM)
    kind = (known.effect.kind if known else None) or FixRecord
    message = f"{LABEL}: {found.text.rstrip('.') or (known.title if known else code)}."
    advice = advice_for(code, SYSTEM)
    if issubclass(kind, ConnectionFailure):
        return ConnectionFailure(message, sent=False, code=code, advice=advice)  # QODBC answered: it was refused
    if issubclass(kind, RetryLater):
        return RetryLater(message, code=code, advice=advice)
    return kind(message, code=code, advice=advice)


def _of_connector(text: str, *, connecting: bool) -> InterWeaveError:
    """Return the error for one of the connector's own: not begun, read only, or with an outcome that nobody knows."""
    said = _first(text[text.index(_CONNECTOR) :].removeprefix(_CONNECTOR).strip())
    if unopened := _UNOPENED.search(text):
        return _not_open(unopened["state"], unopened["said"])
    if _READ_ONLY in text:
        return _configuration("odbc.read_only", f"{LABEL}: {said}.")
    if _REFUSED in text:
        return _configuration("odbc.statement", f"{LABEL}: {said}.")
    code, sent = ("odbc.busy", False) if _NOT_BEGUN in text else ("odbc.lost", not connecting)
    if _NOT_OPENED in text or (connecting and _NOT_IN_TIME in text):
        code = "odbc.timeout"
    return ConnectionFailure(f"{LABEL}: {said}.", sent=sent, code=code, advice=advice_for(code, SYSTEM))


def _not_open(state: str, said: str) -> InterWeaveError:
    """Return the error for a company file that a host that answers cannot open."""
    message = f"{LABEL}: {_first(said)}."
    if code := _ON_HOST.get(state):
        return _configuration(code, message)
    return ConnectionFailure(message, sent=False, code="odbc.not_open", advice=advice_for("odbc.not_open", SYSTEM))


def _of_qodbc(found: Fault) -> InterWeaveError | None:
    """Return the error for a remark of QODBC's, whose statement QuickBooks has not seen; None for another text."""
    if found.state.upper().startswith(_LOST):
        return None
    if _NO_SUCH_NAME.search(found.text):
        return _configuration("odbc.name", f"{LABEL} has no such table or column: {_first(found.text)}.")
    if _NO_LICENCE.search(found.text):
        return _configuration("odbc.licence", f"{LABEL}: {_first(found.text)}.")
    if remark := _REMARK.search(found.text):
        return _configuration("odbc.statement", f"{LABEL}: the driver refused a statement: {remark['said']}.")
    return None


def _by_state(found: Fault, *, connecting: bool, sent: bool) -> InterWeaveError:
    state, text = found.state.upper(), found.text
    if state.startswith(_DRIVER) or _CANNOT_OPEN in text.lower():
        return _configuration("odbc.driver", "This worker has no such ODBC driver or data source.")
    if connecting and _QODBC not in text and _TLS.search(_IN_QUOTES.sub("", text)):
        return _configuration("odbc.tls", f"{LABEL} cannot be reached: {_first(text)}.")
    if not connecting and (refused := _of_qodbc(found)):
        return refused
    if state.startswith(_SIGN_IN) or (connecting and "password" in text.lower()):
        return _configuration("odbc.sign_in", f"{LABEL}: the sign-in was refused.")
    if state.startswith(_TIMEOUT) or "timed out" in text.lower() or "timeout" in text.lower():
        msg = f"{LABEL} does not answer in time."
        code = "odbc.unreachable" if connecting and _QODBC not in text else "odbc.timeout"
        return ConnectionFailure(msg, sent=sent and not connecting, code=code, advice=advice_for(code, SYSTEM))
    if connecting and _QODBC in text:
        return _not_open(state_of(text).value, text)
    if connecting or (state.startswith(_LOST) and not sent):
        msg = f"{LABEL} cannot be reached: {_first(text)}."
        return ConnectionFailure(
            msg, sent=False, code="odbc.unreachable", advice=advice_for("odbc.unreachable", SYSTEM)
        )
    if state.startswith(_LOST) or state in ("HY000", "") or "closed" in text.lower():
        msg = f"The connection to {LABEL} was lost: {_first(text)}."
        return ConnectionFailure(msg, sent=sent, code="odbc.lost", advice=advice_for("odbc.lost", SYSTEM))
    if state in _UNKNOWN_NAME:
        return _configuration("odbc.name", f"{LABEL} has no such table or column: {_first(text)}.")
    return _configuration("odbc.statement", f"{LABEL}: the driver refused a statement (SQLSTATE {state}).")


def _configuration(code: str, message: str) -> FixConfiguration:
    return FixConfiguration(message, code=code, advice=advice_for(code, SYSTEM))


def _first(text: str) -> str:
    return text.splitlines()[0].strip().rstrip(".") if text.strip() else "no reason was given"


def single_user() -> ConnectionFailure:
    """Return the error for a company file that somebody has switched to single-user mode."""
    return ConnectionFailure(
        f"The company file of {LABEL} is in single-user mode.", sent=False, code="odbc.single_user"
    )


def unreadable(view: View, name: str) -> FixConfiguration:
    """Return the error for a field whose value is not of the type that the catalogue says. It holds no value."""
    msg = f"{LABEL} holds a record of {view.object} of which {name} is not of its type."
    return FixConfiguration(msg, code="odbc.type", field=name)
