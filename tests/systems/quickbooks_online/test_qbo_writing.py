"""Batches: one outcome a write, and finding out afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from iw_operators.engine.model import Value
from iw_operators.errors import ConnectionFailure, FixConfiguration, FixRecord, StaleRecord, Throttled
from iw_operators.systems.base import Batch, Op, Outcome, Result, System, Write
from iw_operators.systems.http import Request, Response
from iw_operators.systems.quickbooks_online.system import QuickBooksOnline
from iw_operators.systems.quickbooks_online.writing import bid
from tests.systems.quickbooks_online.fakes import Intuit, answer, body, client, row, view

CUSTOMER = view("Customer")
VERSION = "0@2026-02-01T08:00:00Z"


def create(key: str, **values: Value) -> Write:
    return Write(key, Op.CREATE, CUSTOMER, values)


def update(key: str, target: str, version: str = VERSION, **values: Value) -> Write:
    named = {name.replace("__", "."): value for name, value in values.items()}
    return Write(key, Op.UPDATE, CUSTOMER, named, target_id=target, version=version)


def fault(code: str, element: str = "", detail: str = "why") -> dict[str, Any]:
    return {"Fault": {"Error": [{"Message": "M", "Detail": detail, "code": code, "element": element}]}}


def system(handler: Callable[[Request], Response]) -> tuple[QuickBooksOnline, Intuit]:
    intuit = Intuit(handler)
    return QuickBooksOnline(client(intuit)), intuit


def items(request: Request) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body(request)["BatchItemRequest"]
    return found


def taking(*answers: Mapping[str, Any]) -> Callable[[Request], Response]:
    """Answer the n-th item of a batch with the n-th answer, in turned order."""

    def handler(request: Request) -> Response:
        pairs = zip(items(request), answers, strict=True)
        return answer({"BatchItemResponse": [{"bId": i["bId"], **a} for i, a in pairs][::-1], "time": "t"})

    return handler


def write(writes: list[Write], handler: Callable[[Request], Response]) -> tuple[list[Outcome], Intuit]:
    own, intuit = system(handler)
    return list(own.write(Batch("batch-key", tuple(writes)))), intuit


@pytest.mark.feature("S2", "B2")
def test_a_batch_goes_out_once_with_its_key_and_gives_an_outcome_each() -> None:
    """One request with the batch's key as requestid; each outcome has id, version and what the record now holds."""
    done = taking({"Customer": row(11, DisplayName="A")}, fault("6240"), {"Customer": row(13, DisplayName="C")})
    outcomes, intuit = write([create("a", name="A"), create("b", name="B"), create("c", name="C")], done)
    assert [o.result for o in outcomes] == [Result.APPLIED, Result.REJECTED, Result.APPLIED]
    assert (outcomes[0].target_id, outcomes[0].version, outcomes[0].values["name"]) == ("11", VERSION, "A")
    assert len(intuit.requests) == 1
    assert parse_qs(urlsplit(intuit.requests[0].url).query)["requestid"] == ["batch-key"]
    assert [i["operation"] for i in items(intuit.requests[0])] == ["create"] * 3


@pytest.mark.feature("B2")
def test_the_name_of_an_item_does_not_depend_on_its_place() -> None:
    """A part of a batch that is sent again under the same key cannot be answered for another write."""
    one, two = create("a", name="A"), create("b", name="B")
    _, whole = write([one, two], taking({"Customer": row(1)}, {"Customer": row(2)}))
    _, part = write([two], taking({"Customer": row(2)}))
    assert items(part.requests[0])[0]["bId"] == items(whole.requests[0])[1]["bId"] == bid(two)
    assert len(bid(one)) == 10
    assert bid(one) != bid(two)


@pytest.mark.feature("B2")
def test_a_replayed_batch_answers_for_its_part() -> None:
    """Intuit may answer a repeated part with the whole first answer; what was not asked for is left aside."""

    def replay(_: Request) -> Response:
        parts = [{"bId": bid(create(key)), "Customer": row(n)} for n, key in enumerate("abc")]
        return answer({"BatchItemResponse": parts})

    outcomes, _ = write([create("c", name="C")], replay)
    assert [(o.key, o.target_id) for o in outcomes] == [("c", "2")]


@pytest.mark.feature("S2", "E2")
def test_a_duplicate_name_is_rejected_with_the_name_and_what_to_do() -> None:
    """6240 names the field and the name that is taken."""
    outcomes, _ = write([create("a", name="O'Neil & Söhne")], taking(fault("6240")))
    error = outcomes[0].error
    assert isinstance(error, FixRecord)
    assert (error.code, error.field) == ("6240", "name")
    assert "O'Neil & Söhne" in error.advice


def test_a_duplicate_number_is_rejected_with_the_number() -> None:
    """6140 names the field and the number that is taken."""
    own, _ = system(taking(fault("6140")))
    outcome = own.write(Batch("k", (Write("a", Op.CREATE, view("Invoice"), {"number": "INV-7", "customer": "1"}),)))[0]
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.field) == ("6140", "number")
    assert "'INV-7'" in outcome.error.advice


def test_a_fault_names_the_neutral_field() -> None:
    """The native element of a fault becomes the mapping's own word for it."""
    outcomes, _ = write([create("a", name="A", email="x")], taking(fault("2210", "PrimaryEmailAddr")))
    assert outcomes[0].error is not None
    assert outcomes[0].error.field == "email"


@pytest.mark.feature("S2")
def test_a_stale_token_is_stale() -> None:
    """5010 is STALE, so that the record is read and planned again."""
    outcomes, intuit = write([update("a", "5", phone="1")], taking(fault("5010")))
    assert outcomes[0].result is Result.STALE
    assert isinstance(outcomes[0].error, StaleRecord)
    assert items(intuit.requests[0])[0]["Customer"]["SyncToken"] == "0"


@pytest.mark.feature("B2")
@pytest.mark.parametrize("entry", [fault("10000"), fault("3001"), {}])
def test_an_item_that_intuit_did_not_decide_is_unknown(entry: dict[str, Any]) -> None:
    """An application error, a throttled item and an item without a result may be tried again; none is a rejection."""
    outcomes, _ = write([create("a", name="A")], taking(entry))
    assert outcomes[0].result is Result.UNKNOWN


@pytest.mark.feature("B2")
def test_an_item_without_an_answer_is_unknown() -> None:
    """A batch answer that leaves an item out says nothing of it."""
    outcomes, _ = write([create("a", name="A")], lambda _: answer({"BatchItemResponse": []}))
    assert outcomes[0].result is Result.UNKNOWN


@pytest.mark.feature("B2", "R15")
def test_a_call_that_may_have_arrived_leaves_all_writes_unknown() -> None:
    """A connection that breaks after the request went out gives UNKNOWN for each write."""

    def broken(_: Request) -> Response:
        msg = "broke"
        raise ConnectionFailure(msg, sent=True)

    outcomes, _ = write([create("a", name="A"), create("b", name="B")], broken)
    assert [o.result for o in outcomes] == [Result.UNKNOWN] * 2


@pytest.mark.feature("B2", "R15")
@pytest.mark.parametrize(
    "refusal",
    [
        ConnectionFailure("no route", sent=False),
        answer({"fault": {"error": [{"message": "m", "code": "3100"}]}}, 403),
        Response(429, {"retry-after": "1"}, b'<a><Error code="3001"></Error></a>'),
    ],
)
def test_a_call_that_certainly_did_not_arrive_raises(refusal: ConnectionFailure | Response) -> None:
    """Without a connection, without permission or throttled nothing was written: the error goes up."""

    def refuse(_: Request) -> Response:
        if isinstance(refusal, ConnectionFailure):
            raise refusal
        return refusal

    with pytest.raises((ConnectionFailure, FixConfiguration, Throttled)):
        write([create("a", name="A")], refuse)


@pytest.mark.feature("B2")
def test_reading_the_answer_to_a_write_never_fails() -> None:
    """A reference without its name, and an object in place of a number, leave the write applied; no list is read."""
    odd = row(1, SalesTermRef={"value": "3"})
    outcomes, intuit = write([create("a", name="A")], taking({"Customer": odd}))
    assert outcomes[0].result is Result.APPLIED
    assert "terms" not in outcomes[0].values
    assert outcomes[0].values["name"] == "Customer 1"
    assert len(intuit.requests) == 1
    broken, _ = write([create("a", name="A")], taking({"Customer": row(1, Balance={"much": 1})}))
    assert (broken[0].result, broken[0].values) == (Result.APPLIED, {})


def test_what_cannot_be_written_is_rejected_and_the_rest_goes() -> None:
    """An address with too many lines keeps its own record back, nothing else."""
    bad = Write("a", Op.CREATE, CUSTOMER, {"name": "A", "billing.street": "1\n2\n3\n4\n5\n6"})
    outcomes, intuit = write([bad, create("b", name="B")], taking({"Customer": row(2)}))
    assert [o.result for o in outcomes] == [Result.REJECTED, Result.APPLIED]
    assert len(items(intuit.requests[0])) == 1


def test_it_is_a_system() -> None:
    """The class keeps to the protocol that the sync loop is written against."""
    own, _ = system(taking())
    checked: System = own
    assert (checked.name, checked.batch_size) == ("quickbooks_online", 30)
    assert checked.complete(CUSTOMER, []) == []


def test_nothing_to_send_is_no_request() -> None:
    """When every write is refused beforehand, nothing is sent."""
    bad = Write("a", Op.CREATE, CUSTOMER, {"billing.street": "1\n2\n3\n4\n5\n6"})
    outcomes, intuit = write([bad], taking())
    assert outcomes[0].result is Result.REJECTED
    assert intuit.requests == []


def _with_address(revision: str = "0") -> dict[str, Any]:
    return row(5, SyncToken=revision, BillAddr={"Id": "1", "Line1": "L", "City": "Rome"})


def _reads_and_takes(native: dict[str, Any] | None) -> Callable[[Request], Response]:
    def handler(request: Request) -> Response:
        if "/query" in request.url:
            return answer({"QueryResponse": {"Customer": [native]} if native else {}})
        return taking({"Customer": row(5)})(request)

    return handler


@pytest.mark.feature("S2")
def test_a_partial_address_reads_the_record_first_unless_it_was_just_fetched() -> None:
    """An update of a city reads the address once; after a fetch of the record it needs no reading."""
    own, intuit = system(_reads_and_takes(_with_address()))
    batch = Batch("k", (update("a", "5", billing__city="Turin"),))
    assert own.write(batch)[0].result is Result.APPLIED
    assert len(intuit.requests) == 2
    sent = items(intuit.requests[1])[0]["Customer"]
    assert sent["BillAddr"] == {"Id": "1", "Line1": "L", "City": "Turin"}
    own.fetch(CUSTOMER, ["5"])
    own.write(batch)
    assert len(intuit.requests) == 4


@pytest.mark.feature("S2")
def test_a_record_that_moved_on_is_stale_before_it_is_sent() -> None:
    """When the record read for an update has another SyncToken, nothing is sent."""
    own, intuit = system(_reads_and_takes(_with_address("1")))
    outcome = own.write(Batch("k", (update("a", "5", billing__city="Turin"),)))[0]
    assert outcome.result is Result.STALE
    assert len(intuit.requests) == 1


def test_a_record_that_is_gone_is_rejected() -> None:
    """When the record read for an update is not there, the write is rejected as 610."""
    own, _ = system(_reads_and_takes(None))
    outcome = own.write(Batch("k", (update("a", "5", billing__city="Turin"),)))[0]
    assert outcome.result is Result.REJECTED
    assert outcome.error is not None
    assert outcome.error.code == "610"


def test_a_batch_beyond_intuits_limits_is_a_programming_error() -> None:
    """More than 30 writes, or a key over 36 characters, is refused before anything is read."""
    own, intuit = system(taking())
    with pytest.raises(ValueError, match="at most 30"):
        own.write(Batch("k", tuple(create(str(n), name="A") for n in range(31))))
    with pytest.raises(ValueError, match="36"):
        own.write(Batch("k" * 37, (create("a", name="A"),)))
    assert intuit.requests == []


def resolve(one: Write, *rows: dict[str, Any]) -> Outcome:
    own, _ = system(lambda _: answer({"QueryResponse": {"Customer": list(rows)} if rows else {}}))
    return own.resolve(Batch("k", (one,)))[0]


@pytest.mark.feature("B2")
def test_a_create_is_found_by_its_name_and_what_it_holds() -> None:
    """The record with the name and the values that were sent is ours; another one with the name stays unknown."""
    one = create("a", name="Customer 7", phone="1")
    ours = row(7, PrimaryPhone={"FreeFormNumber": "1"})
    found = resolve(one, ours)
    assert (found.result, found.target_id) == (Result.APPLIED, "7")
    assert resolve(one, row(7)).result is Result.UNKNOWN
    assert resolve(one).result is Result.REJECTED


@pytest.mark.feature("B2")
@pytest.mark.parametrize(
    ("native", "result"),
    [
        (row(5, PrimaryPhone={"FreeFormNumber": "1"}), Result.APPLIED),
        (row(5, SyncToken="1", PrimaryPhone={"FreeFormNumber": "1"}), Result.APPLIED),
        (row(5), Result.REJECTED),
        (row(5, SyncToken="1"), Result.UNKNOWN),
        (None, Result.REJECTED),
    ],
)
def test_an_update_is_judged_by_what_the_record_holds(native: dict[str, Any] | None, result: Result) -> None:
    """Held: applied. Untouched: not applied. Changed by somebody else meanwhile: unknown. Gone: rejected."""
    rows = [native] if native else []
    assert resolve(update("a", "5", phone="1"), *rows).result is result


@pytest.mark.feature("B2")
def test_an_invoice_without_a_number_is_never_guessed() -> None:
    """Of two invoices that look alike none is taken for ours; without any the create has not arrived."""
    one = Write("a", Op.CREATE, view("Invoice"), {"customer": "5"})
    for rows, result in (([], Result.REJECTED), ([row(1, CustomerRef={"value": "5"})], Result.UNKNOWN)):
        content = {"QueryResponse": {"Invoice": rows} if rows else {}}
        own, intuit = system(lambda _, content=content: answer(content))  # type: ignore[misc]  # bound per round
        assert own.resolve(Batch("k", (one,)))[0].result is result
        assert b"CustomerRef = '5'" in (intuit.requests[0].body or b"")


@pytest.mark.feature("B2")
def test_a_whole_batch_is_looked_up_in_one_request() -> None:
    """Thirty creates are looked up in one batch of queries."""

    def handler(request: Request) -> Response:
        return answer({"BatchItemResponse": [{"bId": i["bId"], "QueryResponse": {}} for i in items(request)]})

    own, intuit = system(handler)
    outcomes = own.resolve(Batch("k", tuple(create(f"k{n}", name=f"N{n}") for n in range(30))))
    assert [o.result for o in outcomes] == [Result.REJECTED] * 30
    assert len(intuit.requests) == 1
