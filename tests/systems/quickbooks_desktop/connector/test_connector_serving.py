"""The connector over psqlodbc: statements, the writer's turn, groups, limits, stopping."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
import structlog

from iw_operators.systems.quickbooks_desktop.connector.backend import BackendError, Column, Kind
from tests.drivers import refused
from tests.systems.quickbooks_desktop.connector.fakes import QUICK, Answer, Connect, Raw, Serve, Source

pytestmark = pytest.mark.feature("S3")

CACHED = "INSERT INTO InvoiceLine (a, FQSaveToCache) VALUES (1, 1)"
LAST = "INSERT INTO InvoiceLine (a, FQSaveToCache) VALUES (1, 0)"


def refuses(text: str, sqlstate: str = "HY000", *, lost: bool = False) -> Callable[[str], Answer]:
    """Return what refuses every statement."""

    def answer(_: str) -> Answer:
        raise BackendError(text, sqlstate, lost=lost)

    return answer


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    ready = threading.Event()
    for _ in range(1000):
        if condition():
            return
        ready.wait(0.005)
    pytest.fail("the condition did not come about")


def test_parameters_arrive_in_the_data_sources_words(source: Source, serve: Serve, connect: Connect) -> None:
    """Text, numbers, booleans, dates and NULL given as parameters arrive as literals that QODBC reads."""
    source.kinds = {"amount": Kind.NUMERIC, "flag": Kind.BOOL, "count": Kind.BIGINT}
    cursor = connect(serve()).cursor()
    values = ["O'Br\\ien é 🚀", Decimal("-12.3400"), True, 2**40, 1.5, dt.date(2026, 1, 31)]
    values += [dt.datetime.fromisoformat("2026-01-31T14:24:18.500"), dt.time(3, 4, 5), None, "5"]
    names = "Name, Amount, Flag, Count, Ratio, Day, Moment, Clock, Nothing, Code"
    cursor.execute(f"INSERT INTO Customer ({names}) VALUES ({', '.join('?' * len(values))})", values)
    assert source.said == [
        f"INSERT INTO Customer ({names}) VALUES ('O''Br\\ien é 🚀', -12.3400, 1, 1099511627776, 1.5,"
        " {d '2026-01-31'}, {ts '2026-01-31 14:24:18.500'}, {t '03:04:05'}, NULL, '5')"
    ]


def test_values_come_back_as_they_are(source: Source, serve: Serve, connect: Connect) -> None:
    """Each type of column arrives with its type, its size and its value, NULL included."""
    columns = [
        Column("Name", Kind.VARCHAR, 41),
        Column("Amount", Kind.NUMERIC, 13, 5),
        Column("Flag", Kind.BOOL),
        Column("Count", Kind.BIGINT),
        Column("Day", Kind.DATE),
        Column("Moment", Kind.TIMESTAMP),
        Column("Clock", Kind.TIME),
        Column("Long", Kind.TEXT),
        Column("Bytes", Kind.BINARY),
        Column("Ratio", Kind.FLOAT),
    ]
    moment = dt.datetime.fromisoformat("2026-01-31T14:24:18.123")
    row = (
        "é🚀",
        Decimal("0.00100"),
        False,
        -(2**40),
        moment.date(),
        moment,
        dt.time(3, 4, 5),
        "x" * 9000,
        b"\0\xff",
        0.1,
    )
    source.answer = lambda _: Answer(columns, iter([row, (None,) * len(row)]))
    cursor = connect(serve()).cursor()
    first, second = cursor.execute("SELECT * FROM Customer").fetchall()
    assert tuple(first) == row
    assert tuple(second) == (None,) * len(row)
    sizes = {name: (size, scale) for name, _, _, size, _, scale, _ in cursor.description}
    assert (sizes["Name"], sizes["Amount"]) == ((41, 0), (13, 5))


def test_counts_and_errors_come_back(source: Source, serve: Serve, connect: Connect) -> None:
    """Row counts and the data source's own text and SQLSTATE pass; unknown counts are -1."""
    cursor = connect(serve()).cursor()
    statements = {
        "UPDATE t SET a = 1 WHERE b = 2": 3,
        "DELETE FROM t WHERE b = 2": 0,
        "INSERT INTO t (a) VALUES (1)": 1,
    }
    source.answer = lambda statement: Answer(rowcount=statements[statement])
    for statement, count in statements.items():
        assert cursor.execute(statement).rowcount == count

    source.answer = refuses("[QODBC] Error: 3100 - taken.\nQuickBooks error message: no.", "S1000")
    state, text = refused(lambda: cursor.execute("INSERT INTO t (a) VALUES (1)"))
    assert state == "HY000"  # unixODBC's word for S1000
    assert text.startswith("[HY000] [QODBC] Error: 3100 - taken.\nQuickBooks error message: no.")


def test_autocommit_off_works(source: Source, serve: Serve, connect: Connect) -> None:
    """With autocommit off BEGIN, COMMIT and ROLLBACK never reach the data source, after errors either."""
    connection = connect(serve(), autocommit=False)
    cursor = connection.cursor()
    cursor.execute("UPDATE t SET a = 1 WHERE b = 1")
    connection.commit()
    source.answer = refuses("no")
    refused(lambda: cursor.execute("UPDATE t SET a = 2 WHERE b = 1"))
    connection.rollback()
    source.answer = lambda _: Answer(rowcount=1)
    cursor.executemany("UPDATE t SET a = ? WHERE b = 1", [(3,), (4,)])
    connection.commit()
    assert [said.removeprefix("UPDATE t SET ")[:5] for said in source.said] == ["a = 1", "a = 2", "a = 3", "a = 4"]


def test_a_group_holds_the_turn(source: Source, serve: Serve, connect: Connect) -> None:
    """Another writer waits until the group has ended; a reader does not."""
    connector = serve()
    one, other, reader = (connect(connector).cursor() for _ in range(3))
    one.execute(CACHED)
    writing = threading.Thread(target=lambda: other.execute("UPDATE t SET a = 1 WHERE b = 1"))
    writing.start()
    source.answer = lambda statement: (
        Answer([Column("a", Kind.INTEGER)], iter([(1,)])) if "SELECT" in statement else Answer(rowcount=1)
    )
    assert reader.execute("SELECT a FROM t").fetchval() == 1
    one.execute(LAST)
    writing.join(5)
    assert source.said == [CACHED, "SELECT a FROM t", LAST, "UPDATE t SET a = 1 WHERE b = 1"]


def test_a_writer_does_not_wait_for_ever(source: Source, serve: Serve, connect: Connect) -> None:
    """After the turn's time-out a writer is told that nothing has begun, and may try again."""
    connector = serve(limits=type(QUICK)(turn_seconds=0.2))
    one, other = connect(connector).cursor(), connect(connector).cursor()
    one.execute(CACHED)
    state, text = refused(lambda: other.execute(LAST))
    assert (state, "Not begun: another session has been writing" in text) == ("HYT00", True)
    assert other.connection.cursor().execute("sp_health").fetchone().writing is True
    one.execute(LAST)
    other.execute(LAST)
    assert [said for said in source.said if said.startswith("INSERT")] == [CACHED, LAST, LAST]


@pytest.mark.parametrize("how", ["close", "rollback", "refused"])
def test_a_group_that_is_left_is_forgotten(source: Source, serve: Serve, connect: Connect, how: str) -> None:
    """A group that its client leaves, rolls back or sees refused is given up with the connection that cached it."""
    connector = serve()
    connection = connect(connector, autocommit=how != "rollback")
    cursor = connection.cursor()
    cursor.execute(CACHED)
    if how == "close":
        connection.close()
    elif how == "rollback":
        connection.rollback()
    else:
        source.answer = refuses("no")
        refused(lambda: cursor.execute(LAST))
        source.answer = lambda _: Answer(rowcount=1)
    until(lambda: source.closed == 1)
    connect(connector).cursor().execute(LAST)
    assert source.opened == 2


def test_a_group_is_lost_with_the_connection(source: Source, serve: Serve, connect: Connect) -> None:
    """If somebody else's statement finds the data source gone, the group's client is told so and begins anew."""
    connector = serve()
    one, other = connect(connector).cursor(), connect(connector).cursor()
    one.execute(CACHED)
    source.answer = refuses("gone", "08S01", lost=True)
    refused(lambda: other.execute("SELECT a FROM t"))
    source.answer = lambda _: Answer(rowcount=1)
    assert "the group's lines are gone" in refused(lambda: one.execute(LAST))[1]
    assert source.said == [CACHED, "SELECT a FROM t"]


def test_each_client_has_its_own_last_id(source: Source, serve: Serve, connect: Connect) -> None:
    """Whoever asks gets the id of its own insert, though another client has inserted since."""
    ids = iter(range(1, 9))
    current = [0]

    def answer(statement: str) -> Answer:
        if statement.lower().startswith("sp_lastinsertid"):
            return Answer([Column("id", Kind.VARCHAR, 9)], iter([(str(current[0]),)]))
        current[0] = next(ids)
        return Answer(rowcount=1)

    source.answer = answer
    connector = serve()
    one, other, stranger = (connect(connector).cursor() for _ in range(3))
    insert = "INSERT INTO Customer (Name) VALUES ('x')"
    one.execute(insert)
    other.execute(insert)
    assert one.execute("sp_lastinsertid Customer").fetchval() == "1"
    assert other.execute("{call sp_lastinsertid Customer}").fetchval() == "2"
    assert one.execute("sp_lastinsertid Customer").fetchval() == "1"
    assert refused(lambda: stranger.execute("sp_lastinsertid Customer"))[0] == "HY010"


def test_a_statement_that_does_not_end_is_given_up(source: Source, serve: Serve, connect: Connect) -> None:
    """After the time-out its outcome is told to be unknown, what waited has not begun, the connection is renewed."""
    go = threading.Event()

    def hang(_: str) -> Answer:
        go.wait(10)
        return Answer(rowcount=1)

    source.answer = hang
    connector = serve(limits=type(QUICK)(statement_seconds=0.3, cancel_seconds=0.1, health_seconds=0.1))
    one, other = connect(connector).cursor(), connect(connector).cursor()
    state, text = refused(lambda: one.execute("UPDATE t SET a = 1 WHERE b = 1"))
    assert (state, "its outcome is unknown" in text, source.cancelled.is_set()) == ("HYT00", True, True)
    assert "Not begun" in refused(lambda: other.execute("SELECT a FROM t"))[1]
    assert other.execute("sp_health").fetchone().state == "busy"
    go.set()
    source.answer = lambda _: Answer(rowcount=1)
    until(lambda: source.closed == 1)
    one.execute("UPDATE t SET a = 2 WHERE b = 1")
    assert len(source.said) == 2


def test_a_client_that_cancels_while_it_waits_never_begins(source: Source, serve: Serve, connect: Connect) -> None:
    """A write that waits for its turn is withdrawn when it is cancelled; the writer before it is not disturbed."""
    connector = serve()
    one, other = connect(connector).cursor(), connect(connector).cursor()
    one.execute(CACHED)
    timer = threading.Timer(0.2, other.cancel)
    timer.start()
    state, _ = refused(lambda: other.execute("UPDATE t SET a = 1 WHERE b = 1"))
    timer.join()
    assert state in ("57014", "HY008")
    assert not source.cancelled.is_set()
    one.execute(LAST)
    assert source.said == [CACHED, LAST]


def test_a_client_that_has_left_never_begins(source: Source, serve: Serve, connect: Connect) -> None:
    """What a client sent before it was cut off does not begin once its turn comes: it may have looked already."""
    connector = serve()
    one, other = connect(connector).cursor(), connect(connector)
    one.execute(CACHED)
    waiting = threading.Thread(target=lambda: refused(lambda: other.cursor().execute("UPDATE t SET a = 1 WHERE b = 1")))
    waiting.start()
    until(lambda: connector.source.waiting_writers == 1)
    for session, (_, writer) in list(connector._sessions.items()):
        if session.number == 2:
            connector.loop.call_soon_threadsafe(writer.transport.abort)
    waiting.join(5)
    one.execute(LAST)
    one.execute("SELECT 1 FROM t")
    assert source.said == [CACHED, LAST, "SELECT 1 FROM t"]


def test_large_results_are_never_held_whole(source: Source, serve: Serve, connect: Connect) -> None:
    """Rows are fetched as the client takes them: while it takes none, only a few batches have been read."""
    read = [0]
    wide = "x" * 4000

    def rows() -> Iterator[tuple[str]]:
        for _ in range(20_000):
            read[0] += 1
            yield (wide,)

    source.answer = lambda _: Answer([Column("a", Kind.VARCHAR, 4000)], rows())
    connector = serve(limits=type(QUICK)(fetch_rows=50))
    with socket.create_connection(("127.0.0.1", connector.port)) as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client = Raw(plain)
        client.sign_in()
        client.send(b"Q", b"SELECT a FROM t\0")
        assert client.message()[0] == b"T"
        last = -1
        while last != read[0]:  # until the connector reads no further
            last = read[0]
            threading.Event().wait(0.2)
        assert 0 < read[0] < 10_000


def test_a_driver_of_one_statement_gets_one_at_a_time(source: Source, serve: Serve, connect: Connect) -> None:
    """Where the driver takes one open statement, the rows of one are fetched before the next begins."""
    source.interleaves = False
    busy = [0]

    def rows() -> Iterator[tuple[int]]:
        busy[0] += 1
        assert busy[0] == 1
        for number in range(1500):
            yield (number,)
        busy[0] -= 1

    source.answer = lambda _: Answer([Column("a", Kind.INTEGER)], rows())
    connector = serve()
    cursors = [connect(connector).cursor() for _ in range(4)]
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda c=c: found.append(len(c.execute("SELECT a FROM t").fetchall()))) for c in cursors
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == [1500] * 4


def test_read_only_refuses_writes(source: Source, serve: Serve, connect: Connect) -> None:
    """The switch refuses everything that is not known to read, with SQLSTATE 25006."""
    cursor = connect(serve(read_only=True)).cursor()
    for statement in (
        LAST,
        "UPDATE t SET a = 1 WHERE b = 1",
        "DELETE FROM t WHERE b = 1",
        "sp_batchstart t",
        "what is this",
        "/* SELECT */ DELETE FROM t WHERE b = 1",
        "-- SELECT\nDELETE FROM t WHERE b = 1",
        "SELECT a INTO t FROM u",
    ):
        assert "set to read only" in refused(lambda statement=statement: cursor.execute(statement))[1]  # type: ignore[misc]  # bound at once
    assert "one statement" in refused(lambda: cursor.execute("SELECT a FROM t; DELETE FROM t WHERE b = 1"))[1]
    assert "one statement" in refused(lambda: cursor.execute("SET a = 1; DELETE FROM t WHERE b = 1"))[1]
    assert source.said == []
    assert cursor.execute("sp_health").fetchone().read_only is True
    cursor.execute("-- the first\nSELECT a FROM t")
    assert source.said == ["SELECT a FROM t"]


def test_the_log_has_no_values(source: Source, serve: Serve, connect: Connect) -> None:
    """A statement's line in the log says verb, table, outcome, rows and time, and nothing that a record holds."""
    connector = serve()
    with structlog.testing.capture_logs() as logs:
        cursor = connect(connector).cursor()
        cursor.execute("UPDATE Customer SET Name = 'Secret Ltd', Amount = 4711 WHERE ListID = 'hidden'")
        source.answer = refuses("no 'Secret Ltd'")
        refused(lambda: cursor.execute("SELECT 'Secret Ltd' FROM Customer"))
    lines = [line for line in logs if line["event"] == "connector.statement"]
    assert [(line["statement"], line["outcome"], line["rows"]) for line in lines] == [
        ("UPDATE Customer", "done", 1),
        ("SELECT Customer", "failed", 0),
    ]
    assert not any(word in str(logs) for word in ("Secret", "4711", "hidden", "open sesame"))


def test_stop_ends_groups_and_refuses_the_rest(source: Source, serve: Serve, connect: Connect) -> None:
    """Stop lets an open group end, sends idle clients away, refuses new ones, and closes the data source."""
    connector = serve()
    one, idle = connect(connector).cursor(), connect(connector).cursor()
    one.execute(CACHED)
    stopping = asyncio.run_coroutine_threadsafe(connector.stop(), connector.loop)
    until(lambda: connector.stopping)
    assert "57P01" in str(refused(lambda: idle.execute("SELECT 1 FROM t"))) or connector.sessions == 1
    refused(lambda: connect(connector))
    one.execute(LAST)
    stopping.result(10)
    assert source.said == [CACHED, LAST]
    assert source.closed == 1


@pytest.mark.parametrize("text", ["[QODBC] Error: 80040414 - A modal dialog box is showing.", "licence expired"])
def test_a_data_source_that_cannot_be_opened_is_told_at_once(
    source: Source, serve: Serve, connect: Connect, text: str
) -> None:
    """A client gets the data source's own words with its first statement, and is served once the file opens."""
    source.refuses = BackendError(text)
    cursor = connect(serve()).cursor()
    assert text in refused(lambda: cursor.execute("UPDATE t SET a = 1 WHERE b = 1"))[1]
    assert text in cursor.execute("sp_health").fetchone().text
    source.refuses = None
    assert cursor.execute("UPDATE t SET a = 1 WHERE b = 1").rowcount == 1
    assert cursor.execute("sp_health").fetchone().state == "open"


def test_the_company_file_is_closed_when_nobody_is_connected(source: Source, serve: Serve, connect: Connect) -> None:
    """The last client that leaves closes it, so that QuickBooks can be switched to single-user mode; the next opens."""
    connector = serve()
    one, other = connect(connector), connect(connector)
    one.close()
    until(lambda: connector.sessions == 1)
    assert other.cursor().execute("UPDATE t SET a = 1 WHERE b = 1").rowcount == 1
    assert (source.opened, source.closed) == (1, 0)
    other.close()
    until(lambda: source.closed == 1)
    assert connect(connector).cursor().execute("sp_health").fetchone().state == "open"
    assert source.opened == 2


def test_the_company_file_may_stay_open_for_a_while(source: Source, serve: Serve, connect: Connect) -> None:
    """With `idle_seconds` whoever comes in time finds it open; when nobody does, it is closed."""
    connector = serve(limits=type(QUICK)(idle_seconds=0.5))
    for _ in range(2):
        one = connect(connector)
        one.cursor().execute("UPDATE t SET a = 1 WHERE b = 1")
        one.close()
        until(lambda: connector.sessions == 0)
    assert (source.opened, source.closed) == (1, 0)
    until(lambda: source.closed == 1)


def test_a_wrong_password_or_company_is_refused(source: Source, serve: Serve, connect: Connect) -> None:
    """Nothing is asked of the data source before user, password and company are right."""
    connector = serve()
    for changes in ({"PWD": "open Sesame"}, {"UID": "somebody"}):
        state, text = refused(lambda changes=changes: connect(connector, **changes))  # type: ignore[misc]  # bound at once
        assert "The user or the password is wrong" in text, state
    assert "serves the company file 'company'" in refused(lambda: connect(connector, Database="other"))[1]
    assert source.opened == 0


def test_twenty_clients_at_a_time(source: Source, serve: Serve, connect: Connect) -> None:
    """Twenty clients are served at once; one more than the limit is turned away."""
    connector = serve(limits=type(QUICK)(sessions=20))
    cursors = [connect(connector).cursor() for _ in range(20)]
    for cursor in cursors:
        cursor.execute("UPDATE t SET a = 1 WHERE b = 1")
    refused(lambda: connect(connector))
    assert cursors[0].execute("sp_health").fetchone().sessions == 20


def test_what_a_driver_should_not_give_is_told(source: Source, serve: Serve, connect: Connect) -> None:
    """A driver whose rows cannot be read is told as an error without their values; the next statement passes."""

    def rows() -> Iterator[tuple[str]]:
        yield ("fine",)
        raise UnicodeDecodeError("utf-16", b"secret", 0, 1, "bad")

    source.answer = lambda _: Answer([Column("a", Kind.VARCHAR, 9)], rows())
    cursor = connect(serve()).cursor()
    state, text = refused(lambda: cursor.execute("SELECT a FROM t").fetchall())
    assert (state, "UnicodeDecodeError" in text, "secret" in text) == ("XX000", True, False)
    source.answer = lambda _: Answer(rowcount=1)
    assert cursor.execute("UPDATE t SET a = 1 WHERE b = 1").rowcount == 1
