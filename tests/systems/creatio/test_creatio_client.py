"""Queries, batches, errors and the server's clock, over fake transports."""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import unquote

import pytest

from iw_operators.errors import (
    ConnectionFailure,
    FixConfiguration,
    FixRecord,
    InterWeaveError,
    RetryLater,
    SignInAgain,
    Throttled,
)
from iw_operators.systems.base import System
from iw_operators.systems.creatio import batch
from iw_operators.systems.creatio.batch import Part, PartAnswer
from iw_operators.systems.creatio.errors import failure
from iw_operators.systems.creatio.query import Expand, Query, chains, filter_path, guid, text
from iw_operators.systems.creatio.system import CreatioSystem
from iw_operators.systems.http import Request, Response, json_loads
from tests.systems.creatio.helpers import client_over, reply

READ = Query("Account", Expand(frozenset({"Id"})), top=1)
FAILED = "An error has occurred."
BAD = "The query specified in the URI is not valid."
ID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


def odata(message: str, inner: str = "", kind: str = "") -> dict[str, Any]:
    """Return an error body of the OData service."""
    innererror = {"message": inner, "type": kind, "stacktrace": "at Terrasoft"}
    return {"error": {"code": "", "message": message, "innererror": innererror}}


def test_query_is_written_as_creatio_takes_it() -> None:
    """Lookups by navigation path with bare GUIDs, nested expansions, text quoted, everything percent-encoded."""
    columns = Expand(frozenset({"Id", "Name"})).with_path(("Opportunity", "Stage", "Name")).with_path(("City", "Name"))
    query = Query("Set", columns, ("Name eq " + text("O'Brien & Söhne"), "Id ge x"), ("ModifiedOn", "Id"), 5, 2)
    url = query.url()
    assert " " not in url
    assert "&" not in unquote(url).split("$orderby")[0].split("$filter=")[0].rstrip("&").partition("?")[0]
    assert unquote(url) == (
        "Set?$select=Id,Name&$expand=City($select=Name),Opportunity($expand=Stage($select=Name))"
        "&$filter=(Name eq 'O''Brien & Söhne') and (Id ge x)&$orderby=ModifiedOn,Id&$top=5&$skip=2"
    )
    assert "%26%20S%C3%B6hne" in url
    assert filter_path("AccountId") == "Account/Id"
    assert filter_path("Id") == "Id"


def test_ids_are_asked_for_in_chains() -> None:
    """Many ids make several conditions of forty; what is no GUID is left out, so that nothing else can get in."""
    found = list(chains("Account/Id", [f"{number:032x}" for number in range(95)] + ["x' or 1 eq 1"]))
    assert [part.count(" eq ") for part in found] == [40, 40, 15]
    assert guid("{3F2504E0-4F89-11D3-9A0C-0305E82C3301}") == ID
    assert guid("1") is None


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (500, odata(FAILED, "22001: value too long for type character varying(50)"), FixRecord, "too_long"),
        (500, odata(FAILED, "String or binary data would be truncated."), FixRecord, "too_long"),
        (500, odata(FAILED, "23505: duplicate key value violates unique constraint"), FixRecord, "duplicate"),
        (500, odata(FAILED, "Violation of PRIMARY KEY constraint 'PK'."), FixRecord, "duplicate"),
        (500, odata("x", "Cannot insert the value NULL into column 'Name'"), FixRecord, "required"),
        (500, odata("x", 'violates foreign key constraint "FK"'), FixRecord, "reference"),
        (500, odata(FAILED, "Column by path AccountId not found in schema Opportunity."), FixConfiguration, "column"),
        (400, odata(f"{BAD} Could not find a property named 'X'."), FixConfiguration, "column"),
        (400, odata(BAD, "Syntax error at position 3"), FixConfiguration, "query"),
        (500, odata("x", "Refused", "System.Security.SecurityException"), FixConfiguration, "rights"),
        (500, odata("x", "Current user does not have permissions for it"), FixConfiguration, "rights"),
        (403, {"Message": "Forbidden"}, FixConfiguration, "rights"),
        (404, odata(FAILED, "Item with identifier 1 not found"), FixRecord, "gone"),
        (500, {"Message": FAILED, "ExceptionMessage": "rows exceed MaxEntityRowCount"}, FixConfiguration, "rows"),
        (500, None, ConnectionFailure, "server"),
        (503, {"Message": "Service Unavailable"}, ConnectionFailure, "server"),
        (500, odata(FAILED, "Process ID 55 has been chosen as the deadlock victim."), RetryLater, "deadlock"),
        (500, odata(FAILED, "40P01: deadlock detected"), RetryLater, "deadlock"),
        (500, odata(FAILED, "Execution Timeout Expired.  The timeout period elapsed prior to"), RetryLater, "slow"),
        (500, odata(FAILED, "57014: canceling statement due to statement timeout"), RetryLater, "slow"),
        (500, odata(FAILED, "53300: remaining connection slots are reserved for"), RetryLater, "database"),
        (500, odata(FAILED, "A transport-level error has occurred when receiving results"), RetryLater, "database"),
        (500, odata(FAILED, '23505: duplicate key value "deadlock detected"'), FixRecord, "duplicate"),
        (400, odata("The request is invalid.", "item : Cannot convert"), FixRecord, "refused"),
        (401, {}, SignInAgain, "session"),
        (413, None, FixConfiguration, "too_large"),
    ],
)  # fmt: skip
def test_error_bodies_become_classes_by_what_to_do(
    status: int, body: Any, kind: type[InterWeaveError], code: str
) -> None:
    """Creatio's code is always empty: its text and the database's decide class, code and advice."""
    error = failure(status, body, "to create a record")
    assert type(error) is kind
    assert error.code == f"creatio.{code}"
    assert "Terrasoft" not in str(error)


def test_throttling_says_how_long_to_wait() -> None:
    """429 is told with Retry-After, or a minute without one."""
    error = failure(429, None, "x", {"retry-after": "7"})
    assert isinstance(error, Throttled)
    assert error.retry_after == 7
    with pytest.raises(Throttled) as caught:
        client_over(lambda _: reply(429, html="<html>slow down</html>")).read(READ)
    assert caught.value.retry_after == 60


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (reply(200, html="<html><h1>Please wait</h1></html>"), ConnectionFailure, "creatio.html"),
        (Response(200, {}, b"\n<!DOCTYPE html><p>x"), ConnectionFailure, "creatio.html"),
        (Response(200, {}, b'{"value": ['), ConnectionFailure, "creatio.html"),
        (reply(503, html="<html>503</html>"), ConnectionFailure, "creatio.html"),
        (reply(404, html="<html>404</html>"), FixConfiguration, "creatio.not_here"),
        (reply(404, {"Message": "No HTTP resource was found"}), FixConfiguration, "creatio.not_here"),
        (Response(301, {"location": "https://other.test/"}), FixConfiguration, "creatio.redirect"),
        (reply(500, odata(FAILED, "Something of its own")), ConnectionFailure, "creatio.server"),
        (reply(500, odata(FAILED, "40P01: deadlock detected")), RetryLater, "creatio.deadlock"),
        (reply(400, odata("The request is invalid.")), FixConfiguration, "creatio.query"),
    ],
)  # fmt: skip
def test_reads_never_blame_a_record(answer: Response, kind: type[InterWeaveError], code: str) -> None:
    """What goes wrong in reading is to be tried later or to be configured; a page is never taken for data."""
    with pytest.raises(kind) as caught:
        client_over(lambda _: answer).read(READ)
    assert caught.value.code == code
    with pytest.raises(kind):
        client_over(lambda _: answer).read_all([READ, READ])


def test_a_broken_read_is_asked_once_more() -> None:
    """A read whose connection broke is repeated once; a timeout is not."""
    asked = []

    def breaks(_: Request) -> Response:
        asked.append(1)
        msg = "x"
        raise ConnectionFailure(msg, code="http.broken" if len(asked) < 2 else "http.timeout")

    with pytest.raises(RetryLater):
        client_over(breaks).read(READ)
    assert len(asked) == 2


def test_batch_is_one_call_of_up_to_a_hundred_parts() -> None:
    """Parts keep their order whatever order the answers have; a part without an answer is told as status 0."""
    body = json_loads(batch.encode([Part("PATCH", f"Account({ID})", {"Name": "ö"}), Part("GET", "City")]))
    assert [part["method"] for part in body["requests"]] == ["PATCH", "GET"]
    assert body["requests"][0]["headers"]["Content-Type"].startswith("application/json")
    answers = {"responses": [{"id": "1", "status": 200, "body": {"value": []}}, {"id": "0", "status": 204}]}
    assert batch.decode(answers, 3) == [PartAnswer(204), PartAnswer(200, {"value": []}), PartAnswer(0)]
    with pytest.raises(ValueError, match="at most 100"):
        batch.encode([Part("GET", "City")] * 101)
    for nonsense in ({}, {"responses": [1]}, {"responses": [{"status": 1}]}):
        with pytest.raises(ConnectionFailure):
            batch.decode(nonsense, 1)


def test_many_reads_go_out_a_hundred_at_a_time() -> None:
    """250 reads are three calls; one read is a plain GET."""
    calls: list[tuple[str, str]] = []

    def answer(request: Request) -> Response:
        calls.append((request.method, request.url.rpartition("/")[2][:6]))
        if request.method == "GET":
            return reply(200, {"value": []})
        parts = json_loads(request.body or b"")["requests"]
        return reply(
            200, {"responses": [{"id": p["id"], "status": 200, "body": {"value": [{"Id": p["id"]}]}} for p in parts]}
        )

    client = client_over(answer)
    assert len(client.read_all([READ] * 250)) == 250
    assert client.read_all([READ]) == [{"value": []}]
    assert [method for method, _ in calls] == ["POST", "POST", "POST", "GET"]


def test_a_failed_part_fails_the_read() -> None:
    """A part that was refused, or not answered, is an error and not an empty answer."""
    refused = {"id": "1", "status": 500, "body": odata("x", "Column by path X not found in schema Y.")}
    good = {"id": "0", "status": 200, "body": {"value": []}}
    with pytest.raises(FixConfiguration):
        client_over(lambda _: reply(200, {"responses": [good, refused]})).read_all([READ, READ])
    with pytest.raises(ConnectionFailure):
        client_over(lambda _: reply(200, {"responses": [good]})).read_all([READ, READ])


def test_the_servers_clock_is_its_own() -> None:
    """The time comes from the Date of the last answer and goes on from there, never ahead of the server."""
    ticks = iter([100.0, 100.0, 130.5])
    client = client_over(lambda _: reply(200, {"value": []}), ticks=lambda: next(ticks))
    assert client.server_time() is None
    client.read(READ)
    assert client.server_time() == dt.datetime(2026, 3, 3, 10, 0, 30, 500_000, tzinfo=dt.UTC)


def test_unknown_platform_is_refused() -> None:
    """A platform that is not one of the two is a configuration error that names both."""
    with pytest.raises(FixConfiguration, match="core, framework"):
        client_over(lambda _: reply(), platform="net5")


def test_the_system_is_what_the_loop_expects() -> None:
    """Creatio has every method of the protocol, with its types."""
    system: System = CreatioSystem(client_over(lambda _: reply(200, {"value": []})))
    assert (system.name, system.batch_size <= batch.LIMIT) == ("creatio", True)
    assert "crm.test" in system.check()
