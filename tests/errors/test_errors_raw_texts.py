"""Raw texts of each shape, as the systems write them, are classified by what to do."""

from __future__ import annotations

import json

import pytest

from iw_operators.errors import (
    ConnectionFailure,
    FixConfiguration,
    FixRecord,
    InterWeaveError,
    SignInAgain,
    StaleRecord,
    Throttled,
)
from iw_operators.errors.catalogue import classify, explain

ONLINE = "quickbooks_online"
PAGE = "<!DOCTYPE html>\n<html><head><title>Maintenance</title></head><body>Please fill in the form</body></html>"
LOGIN = (
    "\n<html><head><script>require(['bootstrap.login'])</script></head>"
    "<body>The field is required<a href='/Login/NuiLogin.aspx'>Sign in</a></body></html>"
)
THROTTLED = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<IntuitResponse time="2026-01-01T00:00:00.000-08:00" xmlns="http://schema.intuit.com/finance/v3">
    <Fault type="SERVICE"><Error code="3001">
      <Message>message=ThrottleExceeded; errorCode=003001; statusCode=429</Message>
      <Detail>The request limit was reached.</Detail></Error></Fault></IntuitResponse>"""


def fault(code: str, message: str = "M", detail: str = "D") -> str:
    """Return a validation fault of QuickBooks Online."""
    error = {"Message": message, "Detail": detail, "code": code, "element": ""}
    return json.dumps({"Fault": {"Error": [error], "type": "ValidationFault"}, "time": "2026-01-01"})


def gateway(status: int, code: str, name: str) -> str:
    """Return a fault of Intuit's gateway, in lower case."""
    error = {
        "message": f"message={name}; errorCode={code.zfill(6)}; statusCode={status}",
        "detail": "Token expired: AB01",
        "code": code,
        "element": None,
    }
    return json.dumps({"warnings": None, "fault": {"error": [error], "type": "AUTHENTICATION"}, "time": 1})


def odata(inner: str, message: str = "An error has occurred.") -> str:
    """Return Creatio's error body with an inner text."""
    innererror = {"message": inner, "type": "", "stacktrace": ""}
    return json.dumps({"error": {"code": "", "message": message, "innererror": innererror}})


def dotnet(message: str, kind: str) -> str:
    """Return Creatio's other error body."""
    return json.dumps(
        {"Message": "An error has occurred.", "ExceptionMessage": message, "ExceptionType": kind, "StackTrace": " at X"}
    )


def intacct(number: str, said: str = "") -> str:
    """Return an answer of Intacct's XML gateway."""
    return (
        "<?xml version='1.0' encoding='UTF-8'?><response><control><status>success</status></control><operation><result>"
        f"<status>failure</status><errormessage><error><errorno>{number}</errorno><description></description>"
        f"<description2>{said}</description2><correction></correction></error></errormessage></result></operation>"
        "</response>"
    )


def salesforce(code: str) -> str:
    """Return Salesforce's list of errors."""
    return json.dumps([{"message": "it is so", "errorCode": code, "fields": []}])


CASES: list[tuple[str, str, str, type[InterWeaveError]]] = [
    # QODBC: one line, two lines, the tail that the PostgreSQL driver leaves, and what wraps it.
    ("quickbooks_desktop", '[QODBC] Error: 3100 - The name "a" of the list element is in use.', "3100", FixRecord),
    (
        "quickbooks_desktop",
        '[QODBC] Error: 3140 - Invalid reference to Customer "x".\nQuickBooks error message: Invalid argument.',
        "3140",
        FixRecord,
    ),
    (
        "quickbooks_desktop",
        "('HY000', '[HY000] [QODBC] Error: 3200 - The edit sequence is out-of-date.;\\nError while executing the query"
        " (1) (SQLExecDirectW)')",
        "3200",
        StaleRecord,
    ),
    ("quickbooks_desktop", "[QODBC] Error: 8004040A - Another file is open", "8004040A", ConnectionFailure),
    ("quickbooks_desktop", "[QODBC] Error: 80040410 - Another mode", "80040410", ConnectionFailure),
    ("quickbooks_desktop", "[QODBC] Error: -2147220472 - Could not start QuickBooks", "80040408", ConnectionFailure),
    ("quickbooks_desktop", "[QODBC] Error: Beginning session failed 80040414", "80040414", ConnectionFailure),
    ("quickbooks_desktop", "[08S01] [QODBC] Communication link failure", "odbc.lost", ConnectionFailure),
    ("quickbooks_desktop", "[QODBC] Error: 3999 - Odd", "3100..9099", FixRecord),
    ("quickbooks_desktop", '<CustomerAddRs statusCode="3250" statusSeverity="Error"/>', "3250", FixConfiguration),
    ("quickbooks_desktop", "Error -6190, -83: QuickBooks cannot open the file", "-6190, -83", ConnectionFailure),
    ("quickbooks_desktop", "Error H202 while switching to multi-user mode", "H202", ConnectionFailure),
    ("quickbooks_desktop", "QuickBooks update error 15106", "15103..15107", FixConfiguration),
    # QuickBooks Online: validation, gateway, XML, several errors, the token server.
    (ONLINE, fault("6240", "Duplicate Name Exists Error"), "6240", FixRecord),
    (ONLINE, fault("5010", "Stale Object Error"), "5010", StaleRecord),
    (ONLINE, fault("610", "Object Not Found"), "610", FixRecord),
    (ONLINE, fault("2098"), "2000..2999", FixRecord),
    (ONLINE, fault("-1"), "*", FixRecord),
    (ONLINE, '<Fault type="SERVICE"><Error code="-1"/></Fault>', "*", FixRecord),
    (ONLINE, gateway(401, "3200", "AuthenticationFailed"), "3200", SignInAgain),
    (ONLINE, gateway(403, "3100", "ApplicationAuthorizationFailed"), "3100", FixConfiguration),
    (ONLINE, THROTTLED, "3001", Throttled),
    (ONLINE, json.dumps({"error": "invalid_grant", "error_description": "x"}), "invalid_grant", FixConfiguration),
    (
        ONLINE,
        json.dumps({"Fault": {"Error": [{"Message": "a", "code": "99998"}, {"Message": "b", "code": "2050"}]}}),
        "2050",
        FixRecord,
    ),
    (ONLINE, PAGE, "http.html", ConnectionFailure),
    # Creatio: both bodies, the login page and another page.
    ("creatio", odata('Column by path AccountId not found in schema "Contact"'), "creatio.column", FixConfiguration),
    ("creatio", odata("", "The query specified in the URI is not valid. x"), "creatio.query", FixConfiguration),
    ("creatio", odata('22001: value too long for type character varying(50)"'), "creatio.too_long", FixRecord),
    ("creatio", odata('23505: duplicate key value violates "IX"'), "creatio.duplicate", FixRecord),
    ("creatio", odata("Something of its own"), "creatio.refused", FixRecord),
    (
        "creatio",
        dotnet("Current user does not have permission", "System.Security.SecurityException"),
        "creatio.rights",
        FixConfiguration,
    ),
    ("creatio", dotnet("Odd", "System.Exception"), "creatio.refused", FixRecord),
    ("creatio", LOGIN, "creatio.session", SignInAgain),
    ("creatio", PAGE, "creatio.html", ConnectionFailure),
    # Salesforce: lists, results of collections, simple-salesforce's text.
    ("salesforce", salesforce("INVALID_SESSION_ID"), "INVALID_SESSION_ID", SignInAgain),
    ("salesforce", salesforce("REQUEST_LIMIT_EXCEEDED"), "REQUEST_LIMIT_EXCEEDED", Throttled),
    ("salesforce", salesforce("SOMETHING_NEW"), "*", FixRecord),
    (
        "salesforce",
        '[{"success":false,"errors":[{"statusCode":"DUPLICATE_VALUE","message":"duplicate value found","fields":[]}]}]',
        "DUPLICATE_VALUE",
        FixRecord,
    ),
    ("salesforce", "UNABLE_TO_LOCK_ROW: unable to obtain exclusive access", "UNABLE_TO_LOCK_ROW", InterWeaveError),
    # Sage Intacct: the gateway, results, a range.
    ("sage_intacct", intacct("XL03000006", "Incorrect Partner ID or password."), "XL03000006", FixConfiguration),
    ("sage_intacct", intacct("BL01001973", "Could not create"), "BL01001973", FixRecord),
    ("sage_intacct", intacct("GW-0010"), "GW-0010", Throttled),
    ("sage_intacct", intacct("PL04000055"), "PL04000055", FixConfiguration),
    ("sage_intacct", intacct("BL34000061"), "BL00000000..BL99999999", FixRecord),
]


@pytest.mark.feature("E1", "R15")
@pytest.mark.parametrize(("system", "text", "code", "kind"), CASES, ids=lambda value: str(value)[:40])
def test_a_raw_text_is_classified_by_what_to_do(system: str, text: str, code: str, kind: type[InterWeaveError]) -> None:
    """A raw text leads to the entry of its code and to the class of the error tree."""
    entry = classify(text, system)
    assert entry is not None
    assert entry.code == code
    assert entry.effect.kind is not None
    assert issubclass(entry.effect.kind, kind)
    assert entry.advice


@pytest.mark.feature("E1")
@pytest.mark.parametrize(("text", "code"), [(text, code) for _, text, code, _ in CASES if code != "*"])
def test_a_pasted_text_is_explained_without_naming_the_system(text: str, code: str) -> None:
    """The entry is among those shown when nobody says which system wrote the text."""
    assert code in [entry.code for entry in explain(text)]


@pytest.mark.parametrize("system", ["creatio", ONLINE, "salesforce", "sage_intacct", "quickbooks_desktop"])
def test_a_page_in_place_of_data_is_a_connection_failure_for_every_system(system: str) -> None:
    """An HTML page is recognised whatever system should have answered."""
    entry = classify(PAGE, system)
    assert entry is not None
    assert entry.effect.kind is ConnectionFailure


@pytest.mark.parametrize("text", ["", " ", "all is well", "{}", "null", "\x00\ud800"])
def test_texts_that_say_nothing_are_not_guessed(text: str) -> None:
    """A text without code or known words has no entry."""
    assert classify(text, ONLINE) is None


def test_a_huge_text_is_read_only_at_its_beginning() -> None:
    """A page of many megabytes costs no more than a small one, and what stands at its beginning is found."""
    assert classify("<!doctype html>" + "<a " * 5_000_000, ONLINE) is not None
    assert classify("<" * 300_000, "creatio") is None
