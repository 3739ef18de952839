"""Faults, the control endpoint, what survives a lost connection, several clients at a time."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sandbox.common.hostile import Hostile
from sandbox.quickbooks_desktop import Running, airflow_connection, make, odbc_string, serve
from sandbox.seed import globex
from sandbox.seed.world import World
from tests import web
from tests.drivers import driver, need_odbc, refused

GROUP = (
    "INSERT INTO InvoiceLine (CustomerRefFullName, InvoiceLineItemRefFullName, InvoiceLineAmount, FQSaveToCache)"
    " VALUES ('Buyer', 'Hour', 5, {cached})"
)
Arm = Callable[..., None]


def prepare(cursor: Any) -> None:
    """Make a customer and an item."""
    cursor.execute("INSERT INTO Customer (Name) VALUES ('Buyer')")
    cursor.execute("INSERT INTO ItemService (Name) VALUES ('Hour')")


@pytest.mark.parametrize(
    ("kind", "code", "state"),
    [
        ("modal_dialog", "80040414", "modal_dialog"),
        ("single_user", "8004040A", "single_user_mode"),
        ("company_closed", "80040416", "company_file_closed"),
        ("licence", "80040427", "licence"),
        ("no_permission", "8004041A", "no_permission"),
        ("wrong_version", "80040423", "wrong_version"),
    ],
)
def test_a_host_that_cannot_answer_is_told(
    desk: Running, cursor: Any, connect: Any, arm: Arm, kind: str, code: str, state: str
) -> None:
    """A statement is refused with QODBC's code, sp_health says which thing is wrong, and it passes with its cause."""
    arm(kind, times=-1)
    assert f"[QODBC] Error: {code} - " in refused(lambda: cursor.execute("SELECT * FROM Company"))[1]
    health = cursor.execute("sp_health").fetchone()
    assert (health.state, code in health.text, bool(health.advice)) == (state, True, True)
    if kind != "modal_dialog":  # the connection was given up, and another one cannot be opened
        assert code in refused(lambda: connect(desk).cursor().execute("SELECT * FROM Company"))[1]
    web.post(f"{desk.url}/_sandbox/faults", json={"clear": True}).raise_for_status()
    assert cursor.execute("sp_health").fetchone().state == "open"
    assert cursor.execute("SELECT COUNT(*) FROM Company").fetchval() == 1


def test_a_drop_in_a_group_saves_nothing(desk: Running, cursor: Any, connect: Any, arm: Arm) -> None:
    """A connection lost in the middle of a group leaves nothing of it, in the file or in the cache."""
    prepare(cursor)
    arm("drop_in_group")
    cursor.execute(GROUP.format(cached=1))
    assert refused(lambda: cursor.execute(GROUP.format(cached=1)))[0] in ("08S01", "HY000")
    other = connect(desk).cursor()
    assert other.execute("SELECT COUNT(*) FROM Invoice").fetchval() == 0
    other.execute(GROUP.format(cached=0))
    assert other.execute("SELECT COUNT(*) FROM InvoiceLine").fetchval() == 1


def test_a_drop_after_the_commit_has_saved(desk: Running, cursor: Any, connect: Any, arm: Arm) -> None:
    """What was saved before the connection was lost is found by looking; its id is not told to another connection."""
    prepare(cursor)
    arm("drop_after_commit", match="INSERT InvoiceLine")
    refused(lambda: cursor.execute(GROUP.format(cached=0)))
    other = connect(desk).cursor()
    assert other.execute("SELECT COUNT(*) FROM Invoice").fetchval() == 1
    state, text = refused(lambda: other.execute("sp_lastinsertid InvoiceLine"))
    assert (state, "[IW connector] This connection has inserted nothing" in text) == ("HY010", True)


def test_a_drop_in_a_result_is_seen(desk: Running, cursor: Any, connect: Any, arm: Arm) -> None:
    """Half of a result is never taken for all of it."""
    arm("drop_middle", match="SELECT Account")
    refused(lambda: cursor.execute("SELECT Name FROM Account").fetchall())
    assert len(connect(desk).cursor().execute("SELECT Name FROM Account").fetchall()) == 15


def test_a_stale_record_and_a_locked_list(desk: Running, cursor: Any, arm: Arm) -> None:
    """3200 and 3175 come once each when they are armed, and change nothing."""
    prepare(cursor)
    update = "UPDATE Customer SET Phone = '1' WHERE Name = 'Buyer'"
    for kind, code in (("stale", 3200), ("locked_list", 3175)):
        arm(kind, match="Customer")
        assert f"[QODBC] Error: {code} - " in refused(lambda: cursor.execute(update))[1]
    assert cursor.execute("SELECT Phone FROM Customer").fetchval() is None
    assert cursor.execute(update).rowcount == 1


def test_slow_reads_and_slow_batches(desk: Running, connect: Any, arm: Arm) -> None:
    """`slow` delays one statement; `slow_seconds` each five hundred rows."""
    desk.sandbox.reset({"seed": "globex", "slow_seconds": 0.2})
    cursor = connect(desk).cursor()
    begun = time.monotonic()
    cursor.execute("SELECT FullName FROM Customer").fetchall()
    assert time.monotonic() - begun >= 0.2
    desk.sandbox.reset({"seed": "empty"})
    cursor = connect(desk).cursor()
    arm("slow", seconds=0.3, match="SELECT Company")
    begun = time.monotonic()
    cursor.execute("SELECT * FROM Company").fetchall()
    assert time.monotonic() - begun >= 0.3


def test_control_counts_and_resets(desk: Running, cursor: Any) -> None:
    """The control endpoint on the same port counts statements and rows, resets, and refuses what it does not know."""
    prepare(cursor)
    stats = web.get(f"{desk.url}/_sandbox/stats").json()
    assert stats["by_request"]["INSERT Customer"] == 1
    assert (stats["rows"]["Customer"], stats["written"]["add Customer"], stats["sessions"]) == (1, 1, 1)
    for body in ({"kind": "nothing"}, {"kind": "slow", "what": 1}, [5]):
        assert web.post(f"{desk.url}/_sandbox/faults", json=body).status_code == 400
    assert web.post(f"{desk.url}/_sandbox/reset", json={"colour": "red"}).status_code == 400
    assert web.get(f"{desk.url}/").status_code == 404
    assert web.post(f"{desk.url}/_sandbox/reset", json={"seed": "globex"}).json()["rows"]["Customer"] == 60
    assert web.get(f"{desk.url}/_sandbox/stats").json()["requests"] == 0


def test_data_in_a_file_stays(tmp_path: Path, connect: Any) -> None:
    """With a path the company file is there at the next start, with what was written and its ids going on."""
    path = tmp_path / "company.sqlite"
    ids = []
    for count in (1, 2):
        with serve(make(World(), path=path)) as running:
            cursor = connect(running).cursor()
            cursor.execute("INSERT INTO Customer (Name) VALUES (?)", f"n{count}")
            ids.append(cursor.execute("sp_lastinsertid Customer").fetchval())
            assert cursor.execute("SELECT COUNT(*) FROM Customer").fetchval() == count
    assert len(set(ids)) == 2


def test_a_seed_is_the_same_each_time() -> None:
    """Two company files of one world are equal to the last id and time."""
    first, second = make(globex.build()).file, make(globex.build()).file
    for table in ("Customer", "Item", "InvoiceLine", "ReceivePaymentLine", "SalesRep"):
        rows = first.store.all(table)
        assert rows == second.store.all(table)
        assert rows


def test_the_worlds_ids_are_those_of_the_file() -> None:
    """What the CRM holds as ids of the books are ids of the company file, invoice for invoice."""
    world = globex.build()
    file = make(world).file
    bound = [account for account in world.accounts if account.books_id]
    assert len(bound) == 30
    for account in bound:
        row = file.store.one("Customer", "ListID = ?", [account.books_id])
        assert row is not None
        assert row["CustomFieldAccountID"] == account.code
    sold = [deal for deal in world.opportunities if deal.books_id and deal.stage == "Closed won"]
    assert len(sold) > 30
    assert all(file.store.one("Invoice", "TxnID = ?", [deal.books_id]) for deal in sold)


def test_several_clients_write_one_after_the_other(desk: Running, cursor: Any, connect: Any) -> None:
    """Groups of several clients do not mix: each invoice has the lines of one client, each client its own last id."""
    prepare(cursor)
    found: dict[int, str] = {}

    def work(number: int) -> None:
        mine = driver().connect(odbc_string(desk.port), autocommit=True)
        with mine:
            own = mine.cursor()
            for cached in (1, 1, 0):
                own.execute(GROUP.format(cached=cached).replace("VALUES (", "VALUES (").replace("5,", f"{number},"))
            found[number] = own.execute("sp_lastinsertid InvoiceLine").fetchval()
        mine.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    rows = cursor.execute("SELECT TxnID, InvoiceLineAmount FROM InvoiceLine").fetchall()
    assert len(rows) == 24
    assert {(row[0], int(row[1])) for row in rows} == {(txn, number) for number, txn in found.items()}


def test_isql_can_use_it(desk: Running) -> None:
    """unixODBC's isql connects with a driver string and prints rows."""
    need_odbc()
    said = subprocess.run(
        ["isql", "-k", odbc_string(desk.port), "-b", "-x0x7c"],
        input="SELECT CompanyName FROM Company\n",
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "Globex Corporation" in said.stdout, said


def test_the_airflow_connection_leads_to_it(desk: Running) -> None:
    """A port or a URL gives the connection that the hook understands."""
    made = airflow_connection(desk.port)
    assert made == airflow_connection(desk.url)
    assert (made["conn_type"], made["port"], made["extra"]["way"]) == ("quickbooks_desktop", desk.port, "connector")


def test_a_bookkeeper_can_void(desk: Running, cursor: Any) -> None:
    """What is voided by hand is worth nothing, says so in its memo, and stands in TxnVoided."""
    prepare(cursor)
    cursor.execute(GROUP.format(cached=0))
    made = cursor.execute("sp_lastinsertid InvoiceLine").fetchval()
    assert web.post(f"{desk.url}/_sandbox/void", json={"table": "Invoice", "id": "1-2"}).status_code == 404
    web.post(f"{desk.url}/_sandbox/void", json={"table": "Invoice", "id": made}).raise_for_status()
    row = cursor.execute("SELECT Subtotal, BalanceRemaining, Memo FROM Invoice").fetchone()
    assert (row.Subtotal, row.BalanceRemaining, row.Memo) == (0, 0, "VOID:")
    assert cursor.execute("SELECT TxnID FROM TxnVoided").fetchval() == made
    assert cursor.execute("SELECT Balance FROM Customer").fetchval() == 0


def test_single_user_mode_needs_a_file_that_nobody_holds(desk: Running, connect: Any) -> None:
    """It is refused while a client is connected; when it is on, nobody is let in, and the refusal says why."""

    def switch(*, on: bool) -> int:
        return web.post(f"{desk.url}/_sandbox/single_user", json={"on": on}).status_code

    with closing(driver().connect(odbc_string(desk.port), autocommit=True)) as one:
        one.cursor().execute("SELECT * FROM Company").fetchall()
        assert web.get(f"{desk.url}/_sandbox/stats").json()["open"] is True
        assert switch(on=True) == 400
        assert one.cursor().execute("sp_health").fetchone().state == "open"
    while web.get(f"{desk.url}/_sandbox/stats").json()["open"]:
        time.sleep(0.01)
    assert switch(on=True) == 200
    asked = refused(lambda: connect(desk).cursor().execute("SELECT * FROM Company"))
    assert "[QODBC] Error: 80040410 - " in asked[1]
    assert switch(on=False) == 200
    assert connect(desk).cursor().execute("sp_health").fetchone().state == "open"


def test_a_file_of_other_custom_fields_is_refused(tmp_path: Path) -> None:
    """A company file on disk belongs to its options: with other custom fields it is not opened."""
    path = tmp_path / "company.sqlite"
    make(World(), path=path).file.close()
    with pytest.raises(ValueError, match="made with other tables or custom fields"):
        make(World(), path=path, custom_fields={"Customer": ["Other"]})


def test_a_bad_day_can_be_had(desk: Running, cursor: Any) -> None:
    """Faults at random come from the same wrapper as for the other sandboxes."""
    bad = Hostile(desk.sandbox, seed=7, rate=1.0, kinds={"error"})
    assert "Error: 3180" in refused(lambda: cursor.execute("SELECT * FROM Company"))[1]
    bad.rate = 0.0
    assert cursor.execute("SELECT COUNT(*) FROM Company").fetchval() == 1
    assert bad.struck == ["error"]
