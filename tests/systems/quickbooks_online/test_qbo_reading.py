"""Reading changes: feed or query, neither skipped nor repeated, to the second."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iw_operators.systems.base import Window
from iw_operators.systems.http import Request, Response, parse_stamp
from iw_operators.systems.quickbooks_online.client import FEED_LIMIT
from iw_operators.systems.quickbooks_online.reading import Reader, in_pages
from tests.systems.quickbooks_online.fakes import NOW, Intuit, answer, client, row, view

CUSTOMER = view("Customer", "name")
DAY = dt.timedelta(days=1)


class Books:
    """Rows of one entity, answering exactly the queries that the reader sends; `between` runs after each answer."""

    def __init__(self, rows: list[dict[str, Any]], between: Callable[[Books], None] = lambda _: None) -> None:
        self.rows = {r["Id"]: r for r in rows}
        self.between = between
        self.queries: list[str] = []
        self.feeds: list[str] = []
        self.feed: list[dict[str, Any]] | None = None

    def __call__(self, request: Request) -> Response:
        if "/cdc" in request.url:
            self.feeds.append(parse_qs(urlsplit(request.url).query)["changedSince"][0])
            found = self.feed if self.feed is not None else list(self.rows.values())
            return answer({"CDCResponse": [{"QueryResponse": [{"Customer": found}] if found else [{}]}]})
        query = (request.body or b"").decode()
        self.queries.append(query)
        found = self._select(query)
        self.between(self)
        return answer({"QueryResponse": {"Customer": found} if found else {}})

    def _select(self, query: str) -> list[dict[str, Any]]:
        low = re.search(r"LastUpdatedTime >= '(.*?)'", query)
        high = re.search(r"LastUpdatedTime < '(.*?)'", query)
        start = int((re.search(r"STARTPOSITION (\d+)", query) or [0, 1])[1])
        most = int((re.search(r"MAXRESULTS (\d+)", query) or [0, 100])[1])
        by_id = "ORDERBY Id" in query
        rows = [
            r
            for r in self.rows.values()
            if (not low or stamp(r) >= parse_stamp(low[1])) and (not high or stamp(r) < parse_stamp(high[1]))
        ]
        rows.sort(key=lambda r: int(r["Id"]) if by_id else (stamp(r), -int(r["Id"])))
        return rows[start - 1 : start - 1 + most]

    def touch(self, ident: str, when: dt.datetime) -> None:
        """Change a row: its stamp moves on."""
        if ident in self.rows:
            self.rows[ident] = row(int(ident), when.isoformat(), SyncToken="9")


def stamp(native: dict[str, Any]) -> dt.datetime:
    return parse_stamp(native["MetaData"]["LastUpdatedTime"])


def reader(books: Books, page: int = 1000) -> Reader:
    return Reader(client(Intuit(books)), lambda: NOW, page)


def _read(books: Books, window: Window, page: int = 1000) -> list[dict[str, Any]]:
    return [r for rows in reader(books, page).changes(CUSTOMER, window) for r in rows]


@pytest.mark.feature("S2")
def test_nothing_changed_is_one_request() -> None:
    """A recent window in which nothing changed costs one request, to the feed."""
    books = Books([])
    assert _read(books, Window(NOW - DAY, NOW)) == []
    assert (len(books.feeds), len(books.queries)) == (1, 0)


@pytest.mark.feature("S2")
def test_the_feed_is_cut_to_the_window_and_put_in_order() -> None:
    """The feed tells of too much, in any order; what comes is inside the window, oldest first."""
    times = [NOW - 3 * DAY, NOW - DAY, NOW - 2 * DAY, NOW]
    books = Books([row(n, when.isoformat()) for n, when in enumerate(times)])
    assert [r["Id"] for r in _read(books, Window(NOW - 2 * DAY, NOW))] == ["2", "1"]


@pytest.mark.feature("S2")
def test_a_gap_of_more_than_thirty_days_is_read_by_query() -> None:
    """What the feed no longer tells comes from a query; customers cannot be deleted, so the feed is not asked."""
    books = Books([row(1, (NOW - 40 * DAY).isoformat()), row(2, (NOW - 60 * DAY).isoformat())])
    assert [r["Id"] for r in _read(books, Window(NOW - 50 * DAY, NOW))] == ["1"]
    assert books.feeds == []
    assert "Active IN (true, false)" in books.queries[0]


@pytest.mark.feature("S2")
def test_a_long_gap_of_transactions_still_learns_of_recent_deletions() -> None:
    """Invoices after a long gap come by query, and deletions of the last month from the feed, last."""
    gone = {"Id": "9", "status": "Deleted", "MetaData": {"LastUpdatedTime": (NOW - DAY).isoformat()}}

    def handler(request: Request) -> Response:
        if "/cdc" in request.url:
            return answer({"CDCResponse": [{"QueryResponse": [{"Invoice": [gone]}]}]})
        return answer({"QueryResponse": {"Invoice": [row(1, (NOW - 40 * DAY).isoformat())]}})

    pages = Reader(client(Intuit(handler)), lambda: NOW).changes(view("Invoice"), Window(NOW - 50 * DAY, NOW))
    assert [r["Id"] for page in pages for r in page] == ["1", "9"]


@pytest.mark.feature("S2")
def test_a_full_feed_falls_back_to_queries_and_goes_on_for_deletions() -> None:
    """At 1,000 objects the feed has more: records come by query, deletions from the feed's next answers, last."""
    full = [row(n, (NOW - DAY).isoformat()) for n in range(FEED_LIMIT)]
    gone = {"Id": "x", "status": "Deleted", "MetaData": {"LastUpdatedTime": (NOW - DAY / 2).isoformat()}}

    def handler(request: Request) -> Response:
        if "/cdc" in request.url:
            since = parse_qs(urlsplit(request.url).query)["changedSince"][0]
            found = full if parse_stamp(since) < NOW - DAY else [full[-1], gone]
            return answer({"CDCResponse": [{"QueryResponse": [{"Invoice": found}]}]})
        return answer({"QueryResponse": {"Invoice": full[:5]}})

    pages = Reader(client(Intuit(handler)), lambda: NOW).changes(view("Invoice"), Window(NOW - 2 * DAY, NOW))
    assert [r["Id"] for page in pages for r in page] == ["0", "1", "2", "3", "4", "x"]


def test_a_full_feed_of_names_is_asked_once() -> None:
    """Customers cannot be deleted: a full feed of them is left for queries at once."""
    books = Books([row(n, (NOW - DAY).isoformat()) for n in range(FEED_LIMIT)])
    assert len(_read(books, Window(NOW - 2 * DAY, NOW))) == FEED_LIMIT
    assert len(books.feeds) == 1


def test_a_feed_that_does_not_reach_back_by_intuits_clock_is_no_failure() -> None:
    """When our clock is behind Intuit's the feed refuses the time; the window is then read by query."""
    too_old = {"Fault": {"Error": [{"Message": "Unsupported Operation", "Detail": "older", "code": "500"}]}}
    rows = [row(1, (NOW - DAY).isoformat())]

    def handler(request: Request) -> Response:
        if "/cdc" in request.url:
            return answer(too_old, 400)
        return answer({"QueryResponse": {"Customer": rows}})

    pages = Reader(client(Intuit(handler)), lambda: NOW).changes(CUSTOMER, Window(NOW - 2 * DAY, NOW))
    assert [r["Id"] for page in pages for r in page] == ["1"]


@pytest.mark.feature("S2")
def test_the_first_read_takes_everything_by_query() -> None:
    """Without a beginning there is no feed; all rows come, inactive ones asked for."""
    books = Books([row(n) for n in range(1, 6)])
    assert len(_read(books, Window(None, NOW))) == 5
    assert books.feeds == []
    assert "Active IN (true, false)" in books.queries[0]


@pytest.mark.parametrize(("number", "queries"), [(4, 2), (5, 2), (3, 1), (11, 4)])
def test_a_page_is_read_once(number: int, queries: int) -> None:
    """With rows of different seconds each page of four costs one query; the last row of a page is read twice."""
    books = Books([row(n, (NOW - DAY + n * dt.timedelta(seconds=1)).isoformat()) for n in range(number)])
    assert [int(r["Id"]) for r in _read(books, Window(None, NOW), page=4)] == list(range(number))
    assert len(books.queries) == queries


@pytest.mark.feature("S2")
@given(
    stamps=st.lists(st.integers(0, 6), min_size=0, max_size=30),
    page=st.integers(2, 5),
    touched=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 29)), max_size=6),
)
def test_rows_that_change_while_paging_are_neither_skipped_nor_repeated(
    stamps: list[int], page: int, touched: list[tuple[int, int]]
) -> None:
    """Whatever changes between two pages, every row comes: an untouched one exactly once, no version twice."""
    begin = NOW - DAY
    later = iter(NOW + n * dt.timedelta(seconds=1) for n in range(100))

    def between(books: Books) -> None:
        for after, ident in touched:
            if after == len(books.queries):
                books.touch(str(ident), next(later))

    rows = [row(n, (begin + s * dt.timedelta(seconds=1)).isoformat()) for n, s in enumerate(stamps)]
    found = _read(Books(rows, between), Window(None, None), page)
    versions = [(r["Id"], r["MetaData"]["LastUpdatedTime"]) for r in found]
    assert len(versions) == len(set(versions))
    assert {r["Id"] for r in found} == {r["Id"] for r in rows}
    changed = {str(ident) for _, ident in touched}
    assert all(sum(1 for r in found if r["Id"] == i) == 1 for i in {r["Id"] for r in rows} - changed)


@pytest.mark.feature("S2")
@given(
    stamps=st.lists(st.integers(0, 5), max_size=25),
    page=st.integers(2, 5),
    low=st.integers(0, 5),
    span=st.integers(0, 5),
)
def test_windows_that_touch_share_no_row_and_miss_none(stamps: list[int], page: int, low: int, span: int) -> None:
    """The windows before, in and after any two moments together bring each row once."""
    begin = NOW - 40 * DAY
    at = [begin + s * dt.timedelta(seconds=1) for s in stamps]
    cut = [begin + low * dt.timedelta(seconds=1), begin + (low + span) * dt.timedelta(seconds=1)]
    found: list[str] = []
    for window in (Window(None, cut[0]), Window(cut[0], cut[1]), Window(cut[1], None)):
        found += [r["Id"] for r in _read(Books([row(n, w.isoformat()) for n, w in enumerate(at)]), window, page)]
    assert sorted(found, key=int) == [str(n) for n in range(len(at))]


def test_ids_are_asked_in_chunks_and_nonsense_is_left_out() -> None:
    """600 ids are three queries; what is no number is never sent."""
    books = Books([])
    list(reader(books).by_ids(CUSTOMER, [str(n) for n in range(600)] + ["x' OR 1", ""]))
    assert len(books.queries) == 3
    assert not any("OR" in query for query in books.queries if "ORDERBY" not in query)


def test_a_name_is_looked_for_everywhere_in_one_request() -> None:
    """Full name, display name and, for digits, the id are one batch of queries; a row found twice comes once."""
    intuit = Intuit(
        lambda r: answer(
            {
                "BatchItemResponse": [
                    {"bId": f"q{n}", "QueryResponse": {"Customer": [row(12)]}}
                    for n in range((r.body or b"").count(b"Query"))
                ]
            }
        )
    )
    found = Reader(client(intuit), lambda: NOW).by_name(view("Customer"), "12")
    assert [r["Id"] for r in found] == ["12"]
    assert len(intuit.requests) == 1
    sent = (intuit.requests[0].body or b"").decode()
    for condition in ("FullyQualifiedName = '12'", "DisplayName = '12'", "Id = '12'"):
        assert condition in sent


def test_pages_are_cut_to_the_size_asked_for() -> None:
    """Pages of five become pages of two; empty ones do not come."""
    pages = in_pages(iter([[{"n": n} for n in range(5)], []]), 2)
    assert [len(p) for p in pages] == [2, 2, 1]
