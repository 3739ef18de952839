"""Creates in doubt, looked for among what has been made since they were sent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from iw_operators.engine.model import Line, Value
from iw_operators.systems.base import Batch, Op, Outcome, Result, Write
from iw_operators.systems.http import Request, Response
from iw_operators.systems.quickbooks_online.looking import CLOCKS
from iw_operators.systems.quickbooks_online.query import PAGE
from iw_operators.systems.quickbooks_online.system import QuickBooksOnline
from sandbox.seed.world import BooksCustomer, BooksItem, World
from tests.systems.quickbooks_online.conftest import NewSite, Site
from tests.systems.quickbooks_online.fakes import Intuit, answer, body, client, row, view

CUSTOMER = view("Customer", "name", "phone")
INVOICE = view("Invoice")
SENT = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


def create(key: str, **values: Value) -> Write:
    return Write(key, Op.CREATE, CUSTOMER, values)


def queries_of(request: Request) -> list[str]:
    if "/batch" in request.url:
        return [item["Query"] for item in body(request)["BatchItemRequest"]]
    return [(request.body or b"").decode()]


def looked(writes: list[Write], *rows: Mapping[str, Any], named: bool = False) -> tuple[list[Outcome], list[list[str]]]:
    """Resolve creates against what was made since; return outcomes and the queries of each request."""
    asked: list[list[str]] = []
    entity = writes[0].view.object

    def handler(request: Request) -> Response:
        asked.append(queries_of(request))
        found = [] if named and "CreateTime" not in asked[-1][0] else list(rows)
        response = {"QueryResponse": {entity: found} if found else {}}
        if "/batch" not in request.url:
            return answer(response)
        return answer({"BatchItemResponse": [{"bId": i["bId"], **response} for i in body(request)["BatchItemRequest"]]})

    system = QuickBooksOnline(client(Intuit(handler)))
    return list(system.resolve(Batch("k", tuple(writes), sent_at=SENT))), asked


def changed(number: int, **more: Any) -> dict[str, Any]:
    """A customer that somebody has changed since it was made."""
    return row(number, SyncToken="1", **more)


@pytest.mark.feature("B2")
def test_it_looks_at_what_was_made_since_it_was_sent_with_a_margin_for_clocks() -> None:
    """One query for thirty names: all customers made since a quarter of an hour before, inactive ones included."""
    outcomes, asked = looked([create(str(n), name=f"N{n}") for n in range(30)])
    assert [o.result for o in outcomes] == [Result.REJECTED] * 30
    since = (SENT - CLOCKS).isoformat(timespec="seconds")
    assert asked == [
        [
            "SELECT * FROM Customer WHERE Active IN (true, false)"  # noqa: S608  Intuit's query language
            f" AND MetaData.CreateTime >= '{since}' MAXRESULTS {PAGE}"
        ]
    ]


@pytest.mark.feature("B2")
@pytest.mark.parametrize(
    ("made", "result"),
    [
        (row(7, DisplayName="Made", PrimaryPhone={"FreeFormNumber": "1"}), Result.APPLIED),
        (changed(7, DisplayName="Made", PrimaryPhone={"FreeFormNumber": "1"}), Result.APPLIED),
        (changed(7, DisplayName="Made", PrimaryPhone={"FreeFormNumber": "2"}), Result.UNKNOWN),
        (changed(7, DisplayName="Renamed", PrimaryPhone={"FreeFormNumber": "1"}), Result.UNKNOWN),
        (changed(7, DisplayName="Renamed (deleted)", Active=False), Result.UNKNOWN),
        (row(7, DisplayName="made"), Result.UNKNOWN),
        (row(7, DisplayName="Another"), Result.REJECTED),
    ],
)
def test_what_has_been_made_since_decides(made: dict[str, Any], result: Result) -> None:
    """As it was sent: applied. Changed or renamed meanwhile: in doubt. Of another name since it was made: not ours."""
    outcomes, _ = looked([create("a", name="Made", phone="1")], made)
    assert outcomes[0].result is result
    assert outcomes[0].target_id == ("7" if result is Result.APPLIED else None)


@pytest.mark.feature("B2")
def test_what_other_writes_of_the_batch_made_is_not_in_question() -> None:
    """Records of other creates, and those that the batch updates, do not leave a create in doubt; a stranger's does."""
    updated = Write("u", Op.UPDATE, CUSTOMER, {"phone": "5"}, target_id="5", version="0@2026-03-01T11:50:00Z")
    writes = [create("a", name="A"), create("b", name="B"), updated]
    ours = [changed(1, DisplayName="A"), changed(5, DisplayName="Updated", PrimaryPhone={"FreeFormNumber": "5"})]
    outcomes, asked = looked(writes, *ours)
    assert [o.result for o in outcomes] == [Result.APPLIED, Result.REJECTED, Result.APPLIED]
    assert len(asked) == 2
    outcomes, _ = looked(writes, *ours, changed(9, DisplayName="Stranger"))
    assert outcomes[1].result is Result.UNKNOWN


@pytest.mark.feature("B2")
def test_more_than_a_query_brings_is_never_taken_for_all() -> None:
    """Where more has been made than one query shows, the name is searched; not finding it is not certain."""
    rows = [row(n) for n in range(PAGE)]
    outcomes, asked = looked([create("a", name="A"), create("b", name="B")], *rows, named=True)
    assert [o.result for o in outcomes] == [Result.UNKNOWN] * 2
    assert ["DisplayName = 'A'" in asked[1][0], "DisplayName = 'B'" in asked[1][1]] == [True, True]


@pytest.mark.feature("B2")
def test_invoices_are_asked_for_by_customer() -> None:
    """One query for each customer, all in one request; an invoice without a number is never guessed."""
    writes = [Write(str(n), Op.CREATE, INVOICE, {"customer": str(n % 3)}) for n in range(9)]
    outcomes, asked = looked(writes)
    assert [o.result for o in outcomes] == [Result.REJECTED] * 9
    assert [[q.split("CustomerRef = ")[1][:3] for q in some] for some in asked] == [["'0'", "'1'", "'2'"]]
    made = {"Id": "1", "SyncToken": "0", "CustomerRef": {"value": "0"}, "Line": []}
    outcomes, _ = looked(writes[:1], made)
    assert outcomes[0].result is Result.UNKNOWN


def system_and_lines(new_site: NewSite) -> tuple[Site, tuple[Line, ...]]:
    world = World(books_customers=(BooksCustomer("1", "C"),), books_items=(BooksItem("1", "I"),))
    lines: tuple[Line, ...] = ({"item": "1", "quantity": Decimal(1), "price": Decimal(5), "amount": Decimal(5)},)
    return new_site(world), lines


@pytest.mark.sandbox
@pytest.mark.feature("B2")
def test_a_renamed_customer_is_not_made_again_by_somebody_who_looks(site: Site) -> None:
    """Made, the answer lost, renamed by a person: looking says that it cannot tell, not that it is not there."""
    sent = Batch("k" * 32, (create("a", name="Made", phone="1"),), sent_at=dt.datetime.now(dt.UTC))
    system = site.system()
    site.fault("drop_after", match="/batch")
    assert system.write(sent)[0].result is Result.UNKNOWN
    assert system.resolve(sent)[0].result is Result.APPLIED
    ((made,),) = system.scan(CUSTOMER, None)
    renamed = Write("r", Op.UPDATE, CUSTOMER, {"name": "Renamed"}, made.id, made.version)
    assert system.write(Batch("r", (renamed,)))[0].result is Result.APPLIED
    assert site.system().resolve(sent)[0].result is Result.UNKNOWN


@pytest.mark.sandbox
@pytest.mark.feature("B2")
def test_an_invoice_that_never_left_is_not_in_doubt_for_its_customers_older_ones(new_site: NewSite) -> None:
    """Older invoices of the customer say nothing; one made since might be ours."""
    site, lines = system_and_lines(new_site)
    system = site.system()
    older = Write("o", Op.CREATE, INVOICE, {"customer": "1", "date": dt.date(2026, 3, 1), "lines": lines})
    assert system.write(Batch("o", (older,)))[0].result is Result.APPLIED
    site.advance(3600)
    sent_at = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    lost = Batch("l", (Write("l", Op.CREATE, INVOICE, older.values),), sent_at=sent_at)
    assert system.resolve(lost)[0].result is Result.REJECTED
    assert system.write(Batch("n", (Write("n", Op.CREATE, INVOICE, older.values),)))[0].result is Result.APPLIED
    assert system.resolve(lost)[0].result is Result.UNKNOWN
    assert system.write(lost)[0].result is Result.APPLIED
    assert len([r for page in system.scan(INVOICE, None) for r in page]) == 3


@pytest.mark.sandbox
@pytest.mark.feature("B2")
def test_a_numbered_invoice_is_found_among_others_of_its_customer(new_site: NewSite) -> None:
    """By its number and what it holds, in one request, though others were made at the same time."""
    site, lines = system_and_lines(new_site)
    system = site.system()
    writes = [
        Write(n, Op.CREATE, INVOICE, {"customer": "1", "number": n, "date": dt.date(2026, 3, 1), "lines": lines})
        for n in ("A-1", "A-2", "A-3")
    ]
    sent = Batch("k", tuple(writes), sent_at=dt.datetime.now(dt.UTC))
    assert {o.result for o in system.write(Batch("k", tuple(writes[:2])))} == {Result.APPLIED}
    site.forget()
    assert [o.result for o in system.resolve(sent)] == [Result.APPLIED, Result.APPLIED, Result.REJECTED]
    assert site.requests() == 1
