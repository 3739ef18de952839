"""What Intuit refuses: items for another reason than the record, and batches as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

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
from iw_operators.systems.base import Batch, Op, Outcome, Result, Write
from iw_operators.systems.http import Request, Response
from iw_operators.systems.quickbooks_online.system import QuickBooksOnline
from iw_operators.systems.quickbooks_online.writing import bid
from tests.systems.quickbooks_online.fakes import Intuit, answer, body, client, row, view

CUSTOMER = view("Customer")
Items = list[dict[str, Any]]


def fault(code: str, kind: str = "ValidationFault") -> dict[str, Any]:
    return {"Fault": {"Error": [{"Message": "M", "Detail": "why", "code": code}], "type": kind}, "time": "t"}


def creates(number: int) -> list[Write]:
    return [Write(f"key {n}", Op.CREATE, CUSTOMER, {"name": f"N{n}"}) for n in range(number)]


def written(writes: list[Write], handler: Callable[[Items], Response]) -> tuple[list[Outcome], list[Items]]:
    """Write one batch; return the outcomes and the items of each request."""
    sent: list[Items] = []

    def over_http(request: Request) -> Response:
        assert parse_qs(urlsplit(request.url).query)["requestid"] == ["batch-key"]
        sent.append(body(request)["BatchItemRequest"])
        return handler(sent[-1])

    system = QuickBooksOnline(client(Intuit(over_http)))
    return list(system.write(Batch("batch-key", tuple(writes)))), sent


def each(answers: Mapping[str, Mapping[str, Any]]) -> Callable[[Items], Response]:
    """Answer the customers of these names so, all others as taken."""

    def handler(items: Items) -> Response:
        told = [answers.get(i["Customer"]["DisplayName"], {"Customer": row(7)}) for i in items]
        return answer({"BatchItemResponse": [{"bId": i["bId"], **a} for i, a in zip(items, told, strict=True)]})

    return handler


@pytest.mark.feature("B2", "R15")
@pytest.mark.parametrize(
    ("code", "kind", "error"),
    [
        ("-1", "SystemFault", ConnectionFailure),
        ("270", "SystemFault", ConnectionFailure),
        ("", "SystemFault", ConnectionFailure),
        ("77", "SERVICE", ConnectionFailure),
        ("3001", "SERVICE", Throttled),
        ("3200", "AUTHENTICATION", SignInAgain),
        ("77", "AuthenticationFault", SignInAgain),
        ("6190", "ValidationFault", FixConfiguration),
        ("120", "AuthorizationFault", FixConfiguration),
        ("77", "AuthorizationFault", FixConfiguration),
    ],
)
def test_a_fault_that_is_not_the_records_leaves_it_in_doubt(code: str, kind: str, error: type[InterWeaveError]) -> None:
    """Beside a write that was applied, a fault of service, sign-in or company is UNKNOWN and keeps its class."""
    outcomes, _ = written(creates(2), each({"N1": fault(code, kind)}))
    assert [o.result for o in outcomes] == [Result.APPLIED, Result.UNKNOWN]
    assert type(outcomes[1].error) is error


@pytest.mark.feature("B2")
def test_an_unlisted_fault_of_the_record_rejects_it() -> None:
    """A validation fault whose code is not listed is the record's own."""
    outcomes, _ = written(creates(2), each({"N0": fault("2999")}))
    assert [o.result for o in outcomes] == [Result.REJECTED, Result.APPLIED]
    assert type(outcomes[0].error) is FixRecord


@pytest.mark.feature("R15")
@pytest.mark.parametrize("others", ["6190", "6240"])
def test_an_ended_subscription_stops_the_flow_and_rejects_nobody(others: str) -> None:
    """Where nothing was written, what concerns the company is raised once instead of being said of records."""
    faults = {"N0": fault("6190"), "N1": fault(others)}
    with pytest.raises(FixConfiguration) as caught:
        written(creates(2), each(faults))
    assert caught.value.code == "6190"


@pytest.mark.feature("R15")
def test_a_service_that_fails_for_all_items_decides_nothing() -> None:
    """Items that fail for a passing reason are UNKNOWN, all of them too."""
    outcomes, _ = written(creates(2), each({"N0": fault("-1", "SystemFault"), "N1": fault("3200", "AUTHENTICATION")}))
    assert [o.result for o in outcomes] == [Result.UNKNOWN] * 2
    assert [type(o.error) for o in outcomes] == [ConnectionFailure, SignInAgain]


def refusing(bad: str, refusal: Response) -> Callable[[Items], Response]:
    """Refuse every call as a whole that holds this customer."""

    def handler(items: Items) -> Response:
        return refusal if any(i["Customer"]["DisplayName"] == bad for i in items) else each({})(items)

    return handler


@pytest.mark.feature("B2", "E2")
@pytest.mark.parametrize(
    ("code", "result", "error"), [("2000", Result.REJECTED, FixRecord), ("5010", Result.STALE, StaleRecord)]
)
def test_one_bad_item_does_not_hold_up_its_batch(code: str, result: Result, error: type[InterWeaveError]) -> None:
    """A batch refused as a whole for a record's sake goes again in parts, until that record stands alone."""
    writes = creates(30)
    outcomes, sent = written(writes, refusing("N17", answer(fault(code), 400)))
    assert [o.key for o in outcomes] == [w.key for w in writes]
    assert [o.key for o in outcomes if o.result is not Result.APPLIED] == ["key 17"]
    assert (outcomes[17].result, type(outcomes[17].error)) == (result, error)
    names = {i["Customer"]["DisplayName"]: i["bId"] for items in sent for i in items}
    assert names == {str(w.values["name"]): bid(w) for w in writes}, "each under the name that its key gives it"
    assert len(sent) <= 12


@pytest.mark.feature("B2")
def test_a_batch_that_is_too_large_goes_in_halves() -> None:
    """413 says nothing of a record while there are several; each goes in a part that is small enough."""

    def small(items: Items) -> Response:
        return Response(413, {"content-type": "text/html"}, b"<html></html>") if len(items) > 4 else each({})(items)

    outcomes, sent = written(creates(30), small)
    assert [o.result for o in outcomes] == [Result.APPLIED] * 30
    assert max(len(items) for items in sent[1:]) == 15


@pytest.mark.feature("B2", "E2")
@pytest.mark.parametrize("content", [{}, {"Fault": {"Error": [{"Message": "too large", "code": ""}]}}])
def test_a_record_that_is_too_large_alone_is_rejected(content: dict[str, Any]) -> None:
    """The one record that is too large by itself is rejected with what to do, the others go."""
    outcomes, _ = written(creates(3), refusing("N1", answer(content, 413)))
    assert [o.result for o in outcomes] == [Result.APPLIED, Result.REJECTED, Result.APPLIED]
    error = outcomes[1].error
    assert isinstance(error, FixRecord)
    assert error.code == "http.413"
    assert "Shorten" in error.advice


@pytest.mark.feature("R15")
@pytest.mark.parametrize(("status", "code"), [(400, "2010"), (400, "6190"), (403, "3100")])
def test_a_whole_that_the_configuration_is_to_blame_for_is_raised(status: int, code: str) -> None:
    """What concerns the company or the mapping stops the flow at once: nothing has been written."""
    with pytest.raises(FixConfiguration):
        written(creates(3), lambda _: answer(fault(code), status))


@pytest.mark.feature("B2", "R15")
@pytest.mark.parametrize(
    "trouble",
    [
        ConnectionFailure("broke", sent=True),
        ConnectionFailure("no route", sent=False),
        answer(fault("6190"), 400),
        Response(429, {"retry-after": "1"}, b'<a><Error code="3001"></Error></a>'),
    ],
)
def test_what_was_written_before_a_part_failed_is_not_forgotten(trouble: ConnectionFailure | Response) -> None:
    """When the second part meets trouble, the first keeps its outcomes and the rest is UNKNOWN, not sent on."""
    calls: list[int] = []

    def handler(items: Items) -> Response:
        calls.append(len(items))
        if len(items) == 4:
            return answer(fault("2000"), 400)
        if items[0]["Customer"]["DisplayName"] == "N0":
            return each({})(items)
        if isinstance(trouble, ConnectionFailure):
            raise trouble
        return trouble

    outcomes, _ = written(creates(4), handler)
    assert [o.result for o in outcomes] == [Result.APPLIED] * 2 + [Result.UNKNOWN] * 2
    assert all(isinstance(o.error, RetryLater | FixConfiguration) for o in outcomes[2:])
    assert set(calls) == {4, 2}


@pytest.mark.feature("R15")
def test_trouble_before_anything_was_written_is_raised() -> None:
    """Split up or not: as long as nothing can have been written, a missing connection goes up."""

    def handler(items: Items) -> Response:
        if len(items) == 4:
            return answer(fault("2000"), 400)
        msg = "no route"
        raise ConnectionFailure(msg, sent=False)

    with pytest.raises(ConnectionFailure):
        written(creates(4), handler)
