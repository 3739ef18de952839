"""Faults in all their forms."""

from __future__ import annotations

import pytest

from iw_operators.errors import (
    ConnectionFailure,
    FixConfiguration,
    FixRecord,
    InterWeaveError,
    RetryLater,
    SignInAgain,
    StaleRecord,
    Throttled,
)
from iw_operators.errors.catalogue import known
from iw_operators.systems.http import Response
from iw_operators.systems.quickbooks_online.errors import error_in, error_of, faults_in
from tests.systems.quickbooks_online.fakes import answer

XML = b"""<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<IntuitResponse time="2026-01-01T00:00:00.000-08:00" xmlns="http://schema.intuit.com/finance/v3">
    <Fault type="SERVICE"><Error code="3001">
      <Message>message=ThrottleExceeded; errorCode=003001; statusCode=429</Message>
      <Detail>The request limit was reached.</Detail></Error></Fault></IntuitResponse>"""


def _validation(code: str, message: str = "M", detail: str = "D", element: str = "") -> Response:
    error = {"Message": message, "Detail": detail, "code": code, "element": element}
    return answer({"Fault": {"Error": [error], "type": "ValidationFault"}, "time": "t"}, 400)


def _gateway(status: int, code: str, name: str) -> Response:
    error = {
        "message": f"message={name}; errorCode={code.zfill(6)}; statusCode={status}",
        "detail": "Token expired: AB0123",
        "code": code,
        "element": None,
    }
    return answer({"warnings": None, "fault": {"error": [error], "type": "AUTHENTICATION"}, "time": 1}, status)


@pytest.mark.feature("S2", "R15")
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("6240", FixRecord),
        ("6140", FixRecord),
        ("5010", StaleRecord),
        ("610", FixRecord),
        ("6000", FixRecord),
        ("6210", FixRecord),
        ("2010", FixConfiguration),
        ("2020", FixRecord),
        ("2040", FixRecord),
        ("2050", FixRecord),
        ("2170", FixRecord),
        ("2500", FixRecord),
        ("120", FixConfiguration),
        ("3100", FixConfiguration),
        ("3200", SignInAgain),
        ("3001", Throttled),
        ("500", FixConfiguration),
        ("4001", FixConfiguration),
    ],
)
def test_each_code_becomes_the_class_that_says_what_to_do(code: str, kind: type[InterWeaveError]) -> None:
    """A validation fault becomes the class and the advice of its code."""
    error = error_in(_validation(code, "What", "why it is so"))
    assert type(error) is kind
    assert error.code == code
    assert "What: why it is so." in error.message
    assert known(code, "quickbooks_online").action in error.advice


@pytest.mark.feature("S2")
def test_lower_case_fault_of_the_gateway_is_understood() -> None:
    """A 401 whose body is `fault.error[]` in lower case is SignInAgain with its code and Intuit's detail."""
    error = error_in(_gateway(401, "3200", "AuthenticationFailed"))
    assert isinstance(error, SignInAgain)
    assert error.code == "3200"
    assert "Token expired" in error.message


@pytest.mark.feature("S2")
def test_permission_and_wrong_company_need_a_person() -> None:
    """A 403 with code 3100 is FixConfiguration and speaks of the company id."""
    error = error_in(_gateway(403, "3100", "ApplicationAuthorizationFailed"))
    assert isinstance(error, FixConfiguration)
    assert "realm" in error.advice


@pytest.mark.feature("S2", "R15")
@pytest.mark.parametrize(("header", "seconds"), [({"retry-after": "7"}, 7.0), ({}, 60.0)])
def test_throttling_in_xml_carries_the_time_to_wait(header: dict[str, str], seconds: float) -> None:
    """The XML body of a 429 is Throttled, for as long as Retry-After says or a minute."""
    error = error_in(Response(429, {"content-type": "application/xml", **header}, XML))
    assert isinstance(error, Throttled)
    assert error.code == "3001"
    assert error.retry_after == seconds


@pytest.mark.parametrize("body", [b"<!DOCTYPE html><html><body>Please wait</body></html>", b"", b'{"QueryResp'])
def test_what_is_not_intuits_answer_leaves_the_outcome_open(body: bytes) -> None:
    """A page, an empty body and half an answer with status 200 are ConnectionFailure with `sent`."""
    error = error_in(Response(200, {"content-type": "text/html" if b"html" in body else "application/json"}, body))
    assert isinstance(error, ConnectionFailure)
    assert error.sent


@pytest.mark.parametrize(("status", "kind"), [(500, RetryLater), (503, RetryLater), (404, FixConfiguration)])
def test_pages_with_an_error_status_are_told_apart(status: int, kind: type[InterWeaveError]) -> None:
    """A server's error page is tried again later, a page for a wrong address is the configuration's fault."""
    assert isinstance(error_in(Response(status, {"content-type": "text/html"}, b"<html></html>")), kind)


def test_an_unknown_code_is_the_records_fault_where_the_service_validated() -> None:
    """A code that is not in the table is FixRecord with Intuit's own words."""
    error = error_in(_validation("9999", "Odd", "very odd"))
    assert type(error) is FixRecord
    assert "Odd: very odd" in error.message


def test_several_errors_are_all_told() -> None:
    """All errors of a fault are in the message; the first known one decides."""
    fault = {"Error": [{"Message": "a", "code": "9998"}, {"Message": "b", "Detail": "c", "code": "2050"}]}
    error = error_of(faults_in({"Fault": fault}))
    assert error.code == "2050"
    assert "a; b: c" in error.message


def test_a_good_answer_is_no_error() -> None:
    """JSON without a fault passes, also when a batch's items have faults of their own."""
    assert error_in(answer({"BatchItemResponse": [{"bId": "1", "Fault": {"Error": []}}]})) is None


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("SystemFault", 400, ConnectionFailure),
        ("AuthenticationFault", 400, SignInAgain),
        ("AuthorizationFault", 400, FixConfiguration),
        ("ValidationFault", 400, FixRecord),
        ("ValidationFault", 500, RetryLater),
        ("AUTHENTICATION", 403, FixConfiguration),
        ("", 400, FixRecord),
    ],
)
def test_the_type_of_a_fault_speaks_where_its_code_is_not_listed(
    kind: str, status: int, error: type[InterWeaveError]
) -> None:
    """An unlisted code is what its fault's type says, with the advice for that, where the service itself answered."""
    fault = {"Error": [{"Message": "Odd", "code": "-1"}], "type": kind}
    found = error_in(answer({"Fault": fault}, status))
    assert isinstance(found, error)
    assert found.code == "-1"
    assert ("tried again" in found.advice) == (kind == "SystemFault")
    assert type(error_in(answer({"Fault": {**fault, "Error": [{"code": "6240"}]}}, status))) is FixRecord


def test_the_type_of_a_fault_in_xml_is_read_too() -> None:
    """A fault in XML whose code is not listed passes where its type is the service's."""
    odd = XML.replace(b'code="3001"', b'code="-9"').replace(b"errorCode=003001", b"errorCode=-9")
    error = error_in(Response(200, {"content-type": "application/xml"}, odd))
    assert isinstance(error, ConnectionFailure)
    assert error.code == "-9"
