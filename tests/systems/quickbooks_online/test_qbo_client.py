"""The client: what the library makes of our transport, waiting, repeating, exact numbers."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
from quickbooks.objects.customer import Customer

from iw_operators.errors import ConnectionFailure, FixConfiguration, SignInAgain, Throttled
from iw_operators.systems.http import Request, Response
from iw_operators.systems.quickbooks_online.client import THROTTLE_WAITS
from iw_operators.systems.quickbooks_online.query import literal, select
from tests.systems.quickbooks_online.fakes import FakeClock, Intuit, answer, body, client, row

THROTTLED = (
    b'<IntuitResponse><Fault type="SERVICE"><Error code="3001"><Message>m</Message></Error></Fault></IntuitResponse>'
)


def _throttled(**headers: str) -> Response:
    return Response(429, {"content-type": "application/xml", **headers}, THROTTLED)


@pytest.mark.feature("S2")
def test_a_query_goes_out_as_post_text() -> None:
    """A query is a POST of application/text with minor version 75 and our token."""
    intuit = Intuit(lambda _: answer({"QueryResponse": {"Customer": [row(1)]}}))
    assert client(intuit).rows("Customer", "SELECT * FROM Customer")[0]["Id"] == "1"
    request = intuit.requests[0]
    assert request.method == "POST"
    assert urlsplit(request.url).path == "/v3/company/913/query"
    assert parse_qs(urlsplit(request.url).query) == {"minorversion": ["75"]}
    assert request.headers["Content-Type"] == "application/text"
    assert request.headers["Authorization"] == "Bearer access-1"
    assert request.body == b"SELECT * FROM Customer"


@pytest.mark.feature("S2")
def test_the_librarys_own_classes_work_over_our_client() -> None:
    """python-quickbooks' entity classes read through the client, with our signing in."""
    intuit = Intuit(lambda _: answer({"QueryResponse": {"Customer": [row(7)]}}))
    found = Customer.filter(DisplayName="Customer 7", qb=client(intuit))
    assert [(c.Id, c.DisplayName) for c in found] == [("7", "Customer 7")]


def test_the_librarys_faults_become_ours() -> None:
    """A missing object through the library is our FixRecord with Intuit's code, not the library's own class."""
    error = {"Message": "Object Not Found", "Detail": "gone", "code": "610"}
    intuit = Intuit(lambda _: answer({"Fault": {"Error": [error]}}, 400))
    with pytest.raises(Exception, match="gone") as caught:
        Customer.get(1, qb=client(intuit))
    assert type(caught.value).__name__ == "FixRecord"


@pytest.mark.feature("S2")
def test_numbers_are_exact_in_both_directions() -> None:
    """A price is read as the Decimal that was written and sent digit by digit."""
    intuit = Intuit(lambda _: Response(200, {}, b'{"BatchItemResponse":[{"bId":"1","Item":{"UnitPrice":0.10}}]}'))
    back = client(intuit).batch([{"bId": "1", "Item": {"UnitPrice": Decimal("19.90")}}], "k")
    assert str(back["1"]["Item"]["UnitPrice"]) == "0.10"
    assert b'"UnitPrice":19.90' in (intuit.requests[0].body or b"")


@pytest.mark.feature("E3")
def test_bytes_are_utf_8_whatever_the_header_says() -> None:
    """Other scripts and emoji survive an answer whose header claims Latin-1."""
    name = "עברית 日本語 👩‍🚀 'q' \"d\" \\ back"
    response = answer({"QueryResponse": {"Customer": [row(1, DisplayName=name)]}})
    intuit = Intuit(lambda _: Response(200, {"content-type": "application/json;charset=ISO-8859-1"}, response.body))
    assert client(intuit).rows("Customer", "q")[0]["DisplayName"] == name


@pytest.mark.feature("S2", "R15")
@pytest.mark.parametrize(("header", "waited"), [({"retry-after": "7"}, 7.0), ({}, 60.0)])
def test_429_waits_and_repeats(header: dict[str, str], waited: float) -> None:
    """After a 429 the same request goes out again when the time that Intuit asks for is over."""
    answers = [_throttled(**header), answer({"QueryResponse": {}})]
    clock, intuit = FakeClock(), Intuit(lambda _: answers.pop(0))
    assert client(intuit, clock).rows("Customer", "q") == []
    assert sum(clock.slept) == pytest.approx(waited, abs=0.1)
    assert len(intuit.requests) == 2


@pytest.mark.feature("R15")
def test_429_again_and_again_is_throttled_in_the_end() -> None:
    """The waiting is bounded; then Throttled tells the task how long to wait."""
    intuit = Intuit(lambda _: _throttled(**{"retry-after": "3"}))
    with pytest.raises(Throttled) as caught:
        client(intuit).rows("Customer", "q")
    assert caught.value.retry_after == 3
    assert len(intuit.requests) == THROTTLE_WAITS + 1


@pytest.mark.feature("S2")
def test_401_in_the_middle_repeats_under_the_same_request_id() -> None:
    """A batch that meets an expired token goes out again with its requestid and its body unchanged."""
    fault = {"error": [{"message": "AuthenticationFailed", "code": "3200", "detail": "Token expired"}]}

    def handler(request: Request) -> Response:
        fresh = request.headers["Authorization"] == "Bearer access-2"
        return answer({"BatchItemResponse": []}) if fresh else answer({"fault": fault}, 401)

    intuit = Intuit(handler)
    client(intuit).batch([{"bId": "1"}], "the-key")
    first, second = intuit.requests
    assert (first.url, first.body) == (second.url, second.body)
    assert parse_qs(urlsplit(second.url).query)["requestid"] == ["the-key"]


def test_a_token_that_is_never_good_is_sign_in_again() -> None:
    """A 401 after a refresh is SignInAgain with the way to authorise again."""
    intuit = Intuit(lambda _: answer({"fault": {"error": [{"message": "m", "code": "3200"}]}}, 401))
    with pytest.raises(SignInAgain, match="Authorise"):
        client(intuit).rows("Customer", "q")


def test_html_with_status_200_is_not_taken_for_an_answer() -> None:
    """A page instead of JSON is ConnectionFailure with an open outcome."""
    intuit = Intuit(lambda _: Response(200, {"content-type": "text/html"}, b"<!DOCTYPE html><html></html>"))
    with pytest.raises(ConnectionFailure) as caught:
        client(intuit).batch([{"bId": "1"}], "k")
    assert caught.value.sent


def test_server_time_is_intuits() -> None:
    """The client remembers the Date of the last answer, also of a refusal."""
    date = "Tue, 20 Jan 2026 10:00:00 GMT"
    intuit = Intuit(lambda _: answer({"Fault": {"Error": [{"Message": "m", "code": "4001"}]}}, 400, date=date))
    own = client(intuit)
    with pytest.raises(FixConfiguration):
        own.rows("Customer", "q")
    assert own.server_time == dt.datetime(2026, 1, 20, 10, tzinfo=dt.UTC)


def test_the_feed_is_asked_in_utc_and_read_with_deletions() -> None:
    """CDC gets the entity and the time with its offset; deleted objects come with their status."""
    deleted = {"Id": "2", "status": "Deleted", "MetaData": {"LastUpdatedTime": "2026-01-01T00:00:00Z"}}
    feed = {"CDCResponse": [{"QueryResponse": [{"Invoice": [deleted], "startPosition": 1}, {}]}], "time": "t"}
    intuit = Intuit(lambda _: answer(feed))
    since = dt.datetime(2026, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    assert client(intuit).changed_since("Invoice", since) == [deleted]
    asked = parse_qs(urlsplit(intuit.requests[0].url).query)
    assert asked["entities"] == ["Invoice"]
    assert asked["changedSince"] == ["2026-01-01T00:00:00+00:00"]


def test_several_queries_are_one_request() -> None:
    """Two queries go out as one batch and come back in their order, however Intuit orders them."""

    def handler(request: Request) -> Response:
        items = body(request)["BatchItemRequest"]
        answers = [{"bId": i["bId"], "QueryResponse": {"Customer": [row(n)]}} for n, i in enumerate(items)]
        return answer({"BatchItemResponse": answers[::-1]})

    intuit = Intuit(handler)
    found = client(intuit).queries([("Customer", "a"), ("Customer", "b")])
    assert [rows[0]["Id"] for rows in found] == ["0", "1"]
    assert len(intuit.requests) == 1


@pytest.mark.parametrize(
    ("text", "written"), [("O'Neil", r"'O\'Neil'"), ("a\\", r"'a\\'"), ("\\'", r"'\\\''"), ('say "x"', "'say \"x\"'")]
)
def test_literals_escape_quotes_and_backslashes(text: str, written: str) -> None:
    """A name with quotes or backslashes cannot end its literal early."""
    assert literal(text) == written


def test_a_query_has_its_parts_in_intuits_order() -> None:
    """WHERE, ORDERBY, STARTPOSITION, MAXRESULTS; what is not needed is left out."""
    assert select("Term") == "SELECT * FROM Term MAXRESULTS 1000"
    assert (
        select("Item", ["A = 'x'", "B > 1"], order="Id", start=3, most=2)
        == "SELECT * FROM Item WHERE A = 'x' AND B > 1 ORDERBY Id ASC STARTPOSITION 3 MAXRESULTS 2"
    )
