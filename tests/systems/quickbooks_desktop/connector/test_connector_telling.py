"""What the connector tells: ids of headers and lines, who came, why a company file is not open."""

from __future__ import annotations

import pytest
import structlog

from iw_operators.systems.quickbooks_desktop.connector.backend import BackendError, Column, Kind
from tests.drivers import refused
from tests.systems.quickbooks_desktop.connector.fakes import Answer, Connect, Serve, Source

pytestmark = pytest.mark.feature("S3")


def test_header_and_lines_have_one_last_id(source: Source, serve: Serve, connect: Connect) -> None:
    """Whoever asks for an invoice's id after its lines gets its own, whatever another client has inserted where."""
    ids: dict[str, int] = {}

    def answer(statement: str) -> Answer:
        if statement.lower().startswith("sp_lastinsertid"):
            return Answer([Column("id", Kind.VARCHAR, 9)], iter([(str(ids[statement.split()[1]]),)]))
        ids[statement.split()[2]] = sum(ids.values()) + 1
        return Answer(rowcount=1)

    source.answer = answer
    connector = serve()
    one, other = (connect(connector).cursor() for _ in range(2))
    other.execute("INSERT INTO Invoice (Memo) VALUES ('x')")
    one.execute("INSERT INTO InvoiceLine (Memo) VALUES ('x')")
    for table in ("Invoice", "InvoiceLine", "invoice"):
        assert one.execute(f"sp_lastinsertid {table}").fetchval() == "2"
        assert other.execute(f"sp_lastinsertid {table}").fetchval() == "1"
    one.execute("INSERT INTO BillItemLine (Memo, FQSaveToCache) VALUES ('x', 1)")
    one.execute("INSERT INTO BillExpenseLine (Memo, FQSaveToCache) VALUES ('x', 0)")
    for table in ("Bill", "BillItemLine", "BillExpenseLine"):
        assert one.execute(f"sp_lastinsertid {table}").fetchval() == str(ids["BillExpenseLine"])
    assert refused(lambda: one.execute("sp_lastinsertid VendorCredit"))[0] == "HY010"


def test_the_log_tells_who_came_and_who_was_sent_away(source: Source, serve: Serve, connect: Connect) -> None:
    """Clients stand in the log with their address, refused ones with the reason; a password never does."""
    connector = serve()
    with structlog.testing.capture_logs() as logs:
        connect(connector)
        refused(lambda: connect(connector, PWD="open Sesame"))
        refused(lambda: connect(connector, Database="other"))
    told = [(line["event"], line.get("why"), line["peer"]) for line in logs if "peer" in line]
    assert told == [
        ("connector.session", None, "127.0.0.1"),
        ("connector.refused", "password", "127.0.0.1"),
        ("connector.refused", "company", "127.0.0.1"),
    ]
    assert "esame" not in str(logs)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "Data source name not found and no default driver",
            "[IW connector] The company file cannot be opened (driver_",
        ),
        ("[QODBC] Your evaluation has expired", "[IW connector] The company file cannot be opened (licence): [QODBC]"),
        ("[QODBC] Error: 80040414 - A modal dialog box is showing", "[QODBC] Error: 80040414 - A modal"),
    ],
)
def test_a_host_that_answers_is_not_one_that_is_away(
    source: Source, serve: Serve, connect: Connect, text: str, told: str
) -> None:
    """What keeps the file closed without a code of QuickBooks' is told as the connector's own words, with its state."""
    cursor = connect(serve()).cursor()
    source.refuses = BackendError(text)
    assert told in refused(lambda: cursor.execute("SELECT a FROM b"))[1]
