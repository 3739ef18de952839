"""Rows that go to the server as one document arrive as they were."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa

from iw_operators.ledger.bulk import insert_rows, rows_of
from iw_operators.ledger.store import Ledger
from iw_operators.ledger.tables import waiting

pytestmark = pytest.mark.ledger

TABLE = sa.Table(
    "some",
    sa.MetaData(),
    sa.Column("text", sa.Text),
    sa.Column("number", sa.BigInteger),
    sa.Column("data", sa.JSON),
    sa.Column("stamp", waiting.c.noted_at.type),
    sa.Column("flag", sa.Boolean),
)
STAMP = dt.datetime(2026, 3, 8, 6, 59, 59, 123456, tzinfo=dt.timezone(dt.timedelta(hours=-5)))
TEXT = 'it\'s "so"\\ \n🚀 %s :x {a}'
ROWS: list[dict[str, Any]] = [
    {"text": "", "number": 2**62, "data": {}, "stamp": STAMP, "flag": True},
    {"text": TEXT, "number": -1, "data": {"a": [None, "é", {"d": "1.10"}]}, "stamp": STAMP, "flag": False},
    {"text": None, "number": None, "data": [1, "2"], "stamp": None, "flag": None},
]


def test_values_arrive_as_they_were(ledger: Ledger) -> None:
    """Text with every kind of mark, large numbers, JSON, moments of other zones, true, false and nothing."""
    with ledger.engine.connect() as connection:
        found = connection.execute(sa.select(rows_of(TABLE, ROWS, TABLE.c.keys()))).mappings()
        assert [dict(row) for row in found] == ROWS


def test_a_document_of_hundreds_of_rows_is_one_statement(ledger: Ledger) -> None:
    """500 rows go in at once, in one statement, and defaults fill the columns that are left out."""
    key = {"company": "acme", "mapping": "customers", "side": "crm", "await_mapping": "", "await_id": ""}
    rows = [{**key, "source_id": f"a{number}"} for number in range(500)]
    seen: list[str] = []
    with ledger.engine.begin() as connection:
        sa.event.listen(connection, "before_cursor_execute", lambda *given: seen.append(given[2]))
        connection.execute(insert_rows(waiting, rows))
        found = connection.scalars(sa.select(sa.func.count()).where(waiting.c.noted_at.is_not(None))).one()
    assert (found, len(seen)) == (500, 2)
