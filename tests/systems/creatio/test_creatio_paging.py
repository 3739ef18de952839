"""Paging neither skips nor repeats while rows change."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iw_operators.errors import RetryLater
from iw_operators.systems.creatio.paging import Pages
from iw_operators.systems.creatio.query import Expand, Query

QUERY = Query("Account", Expand(frozenset({"Id", "ModifiedOn"})))
NOW = 1_000


class Table:
    """A database of rows: fine stamps (written with a third of their digits) and an order of Ids of its own."""

    def __init__(
        self, stamps: list[int], seed: int, digits: int = 7, cap: int | None = None, *, links: bool = True
    ) -> None:
        self.random = random.Random(seed)  # noqa: S311 (test data)
        self.stamps = {f"id-{number}": stamp for number, stamp in enumerate(stamps)}
        self.rank = {key: self.random.random() for key in self.stamps}
        self.digits = digits
        self.cap = cap
        self.links = links
        self.later = NOW
        self.reads = 0

    def text(self, stamp: int) -> str:
        return f"2026-01-01T00:00:00.{stamp:07d}"[: 20 + self.digits] + "Z"

    def touch(self, key: str) -> None:
        self.later += 1
        self.stamps[key] = self.later

    def answer(self, pages: Pages) -> dict[str, Any]:
        self.reads += 1
        query = pages.query()
        assert query.order == ("ModifiedOn", "Id")
        conditions = [condition.split(" ") for condition in query.where]
        low = max((self._full(value) for _, operator, value in conditions if operator == "ge"), default="")
        high = next((value for _, operator, value in conditions if operator == "lt"), "9")
        rows = [
            (stamp, self.rank[key], key)
            for key, stamp in self.stamps.items()
            if low <= self._full(self.text7(stamp)) < self._full(high)
        ]
        rows.sort()
        assert query.top is not None
        found = rows[query.skip : query.skip + query.top]
        cut = found[: self.cap]
        answer: dict[str, Any] = {"value": [{"Id": key, "ModifiedOn": self.text(stamp)} for stamp, _, key in cut]}
        if self.links and len(cut) < len(found):
            answer["@odata.nextLink"] = "https://crm.test/odata/next"
        return {**answer, "@odata.count": len(rows)} if query.count else answer

    def text7(self, stamp: int) -> str:
        return f"2026-01-01T00:00:00.{stamp:07d}Z"

    @staticmethod
    def _full(text: str) -> str:
        return text.rstrip("Z").ljust(27, "0")


def read_all(table: Table, size: int, since: int | None, until: int | None, touches: list[int]) -> list[str]:
    """Read everything, modifying a row of the given number between two pages."""
    pages = Pages(
        QUERY,
        "ModifiedOn",
        None if since is None else table.text7(since),
        None if until is None else table.text7(until),
        size,
    )
    keys = sorted(table.stamps)
    found: list[str] = []
    rounds = iter(touches)
    while not pages.done:
        found += [str(row["Id"]) for row in pages.take(table.answer(pages))]
        for number in (next(rounds, None), next(rounds, None)):
            if number is not None and keys:
                table.touch(keys[number % len(keys)])
        assert table.reads < 10_000
    return found


@pytest.mark.feature("S1")
@settings(max_examples=300, deadline=None)
@given(
    stamps=st.lists(st.integers(0, 30), max_size=60),
    size=st.integers(1, 9),
    touches=st.lists(st.integers(0, 80), max_size=40),
    seed=st.integers(0, 2**16),
    cap=st.one_of(st.none(), st.integers(2, 4)),
    digits=st.sampled_from([7, 6]),
    links=st.booleans(),
)
def test_each_row_once_whatever_changes(
    stamps: list[int], size: int, touches: list[int], seed: int, cap: int | None, digits: int, links: bool
) -> None:
    """A row that stays is read exactly once; one that is modified while pages are read is read once at the most."""
    table = Table(stamps, seed, digits, cap, links=links)
    keys = sorted(table.stamps)
    found = read_all(table, size, 5, NOW, touches)
    assert len(found) == len(set(found))
    staying = {key for key in keys if 5 <= table.stamps[key] < NOW}
    assert staying <= set(found)
    assert all(stamps[int(key[3:])] >= 5 for key in found)


@pytest.mark.feature("S1")
def test_many_rows_of_one_stamp() -> None:
    """Rows of one stamp that fill many pages, as after a bulk load, are read in order without reading them twice."""
    table = Table([7] * 5_000 + [8] * 10, seed=1)
    found = read_all(table, 500, None, None, [])
    assert len(found) == len(set(found)) == 5_010
    assert table.reads == 11  # 500, then 499 and the anchor


def test_rows_that_leave_a_stamp_do_not_hide_others() -> None:
    """When a seen row of the stamp at the border leaves, the rows that move up are still read."""
    table = Table([7] * 10, seed=3)
    pages = Pages(QUERY, "ModifiedOn", None, table.text7(NOW), 4)
    first = pages.take(table.answer(pages))
    table.touch(str(first[0]["Id"]))
    found = [str(row["Id"]) for row in first]
    while not pages.done:
        found += [str(row["Id"]) for row in pages.take(table.answer(pages))]
    assert sorted(found) == sorted(table.stamps)


def test_empty_set_takes_one_read() -> None:
    """Nothing changed: one query, no second one to make sure."""
    table = Table([], seed=0)
    assert read_all(table, 100, 0, NOW, []) == []
    assert table.reads == 1


def test_an_order_that_never_settles_is_told() -> None:
    """A server that shuffles rows of one stamp on each read leads to an error, not to an endless loop."""
    table = Table([7] * 50, seed=5)
    pages = Pages(QUERY, "ModifiedOn", None, None, 3)

    def read() -> None:
        while not pages.done:
            pages.take(table.answer(pages))
            table.rank = {key: table.random.random() for key in table.rank}

    with pytest.raises(RetryLater, match="faster than"):
        read()
