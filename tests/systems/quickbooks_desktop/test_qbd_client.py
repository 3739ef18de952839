"""One connection: when it is made, given up and made anew, and what its errors are called."""

from __future__ import annotations

import datetime as dt
import sys
from typing import Any

import pytest

from iw_operators.errors import (
    ConnectionFailure,
    FixConfiguration,
    FixRecord,
    InterWeaveError,
    RetryLater,
    SignInAgain,
    StaleRecord,
)
from iw_operators.state import MemorySecretState
from iw_operators.systems.base import Settings
from iw_operators.systems.quickbooks_desktop.client import Client
from iw_operators.systems.quickbooks_desktop.dialect import Statement
from iw_operators.systems.quickbooks_desktop.system import connect as open_desktop
from tests.systems.quickbooks_desktop.fakes import DriverError, FakeConnection, Script, clock

pytestmark = pytest.mark.feature("S3")

LOST = DriverError("08S01", "[08S01] server closed the connection unexpectedly")


def code(number: str, text: str = "Said so.") -> DriverError:
    """Return an error with a code of QODBC's."""
    return DriverError("42000", f"[42000] [QODBC] Error: {number} - {text}")


def test_rows_come_as_they_are_fetched() -> None:
    """The driver is asked for some rows at a time, and for no more than are wanted."""
    taken: list[int] = []

    class Cursor:
        description = (("ListID",),)
        rowcount = -1

        def execute(self, sql: str, params: Any, /) -> None: ...

        def fetchmany(self, size: int, /) -> list[tuple[str]]:
            taken.append(size)
            return [("1",)] * size

        def close(self) -> None: ...

    class Connection:
        def cursor(self) -> Cursor:
            return Cursor()

        def close(self) -> None: ...

    client = Client(Connection, fetch=50)
    rows = client.rows(Statement("SELECT ListID FROM Customer"))
    assert next(rows) == (["listid"], ())
    assert len(next(rows)[1]) == 50
    assert len(taken) == 1


def test_a_read_on_a_connection_that_is_gone_is_begun_again_once() -> None:
    """An idle connection that a firewall has cut costs nothing; one that breaks again is an error."""
    failures = [LOST]
    script = Script({"SELECT": lambda *_: failures.pop() if failures else [{"ListID": "1-1"}]})
    client = script.client()
    script.answers = {"first": [], **script.answers}
    client.all(Statement("first"))
    assert client.all(Statement("SELECT x")) == [{"listid": "1-1"}]
    assert [each.closed for each in script.connections] == [True, False]
    failures[:] = [LOST, LOST]
    with pytest.raises(ConnectionFailure) as caught:
        client.all(Statement("SELECT x"))
    assert (caught.value.code, caught.value.sent) == ("odbc.lost", True)


def test_a_write_is_never_repeated() -> None:
    """A lost write is an error that says that it may have arrived, and the connection is given up."""
    script = Script({"INSERT": LOST})
    with pytest.raises(ConnectionFailure) as caught:
        script.client().run(Statement("INSERT INTO Customer"))
    assert caught.value.sent
    assert script.statements == ["INSERT INTO Customer"]
    assert script.connections[0].closed


def test_after_a_refused_statement_the_cache_is_given_up() -> None:
    """Lines of a group that was refused lie in the connection's cache; the next group gets another connection."""
    script = Script({"INSERT INTO InvoiceLine": code("3140"), "INSERT": 1})
    client = script.client()
    with pytest.raises(FixRecord):
        client.run(Statement("INSERT INTO InvoiceLine"))
    client.run(Statement("INSERT INTO Customer"))
    assert [each.closed for each in script.connections] == [True, False]


@pytest.mark.parametrize("answer", [LOST, [], [{"LastInsertID": None}], code("3120")])
def test_an_id_that_is_not_told_leaves_the_write_in_doubt(answer: Any) -> None:
    """Whatever sp_lastinsertid says instead of an id, the record may be there."""
    script = Script({"sp_lastinsertid": answer})
    with pytest.raises(ConnectionFailure) as caught:
        script.client().last_id("Customer")
    assert caught.value.sent
    assert script.connections[0].closed


@pytest.mark.feature("E1")
@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("3100", FixRecord),
        ("3140", FixRecord),
        ("3175", RetryLater),
        ("3200", StaleRecord),
        ("3260", FixConfiguration),
        ("80040414", ConnectionFailure),
        ("80040403", ConnectionFailure),
        ("80040409", FixConfiguration),
        ("8004041A", FixConfiguration),
        ("8004040D", SignInAgain),
        ("3999", FixRecord),
    ],
)
def test_a_code_says_what_to_do(number: str, kind: type[InterWeaveError]) -> None:
    """QODBC's and QuickBooks' codes become our classes, with the catalogue's advice; refused is not lost."""
    with pytest.raises(InterWeaveError) as caught:
        Script({"UPDATE": code(number)}).client().run(Statement("UPDATE x"))
    assert type(caught.value) is kind
    assert caught.value.code == number
    assert caught.value.advice
    assert not (isinstance(caught.value, ConnectionFailure) and caught.value.sent)


@pytest.mark.parametrize(
    ("state", "text", "expected"),
    [
        ("IM002", "[unixODBC][Driver Manager]Data source name not found", "odbc.driver"),
        ("01000", "[unixODBC][Driver Manager]Can't open lib 'psqlodbcw.so' : file not found", "odbc.driver"),
        ("08001", "connection to server failed: Connection refused", "odbc.unreachable"),
        ("HYT00", "login timeout expired", "odbc.unreachable"),
        ("28000", "password authentication failed", "odbc.sign_in"),
        ("08001", "FATAL: password authentication failed for user", "odbc.sign_in"),
        ("08001", "This port serves the company file 'a'.", "odbc.company"),
        ("08001", "[QODBC] Error: 80040414 - A modal dialog box is showing", "80040414"),
        ("08001", "[QODBC] Error: 80040422 - single-user", "80040422"),
        ("08001", "[QODBC] Error: 8004041A - no permission", "8004041A"),
        ("08001", "[QODBC] Error: 80040409 - version", "80040409"),
        ("08001", "x: [IW connector] The company file cannot be opened (driver_missing): Oh", "odbc.host_driver"),
        ("08001", "x: [IW connector] The company file cannot be opened (licence): [QODBC] Expired", "odbc.licence"),
        ("08001", "failed: [IW connector] The company file cannot be opened (unknown): Odd", "odbc.not_open"),
        ("08001", "failed: [IW connector] The statement has not ended within 120 s; its outcome", "odbc.timeout"),
        ("08001", "x: [QODBC] Error: Beginning session failed 80040414", "80040414"),
        ("08001", "x: [QODBC] Error: -2147220472 - Could not start QuickBooks.", "80040408"),
        ("HY000", "[QODBC] Error: Driver is not registered", "odbc.licence"),
        ("08001", "[QODBC] Error: Can not open the company file", "odbc.not_open"),
        ("HYT00", "[QODBC] Query timeout expired", "odbc.timeout"),
        ("08001", 'at "h" failed: SSL error: certificate verify failed', "odbc.tls"),
        ("08001", 'at "h" failed: server certificate for "g" does not match host name "h"', "odbc.tls"),
        ("08001", 'at "h" failed: root certificate file "/x.pem" does not exist', "odbc.tls"),
        ("08001", 'at "h" failed: server does not support SSL, but SSL was required', "odbc.tls"),
        ("08001", "This connector speaks TLS only: SSLmode=require (or verify-full)", "odbc.tls"),
        ("08001", 'at "certificate.example" failed: Connection refused', "odbc.unreachable"),
        ("08001", 'at "h" failed: SSL error: unexpected eof while reading', "odbc.unreachable"),
        ("", "libodbc.so.2: cannot open shared object file", "odbc.driver"),
    ],
)
def test_what_keeps_a_connection_from_being_made(state: str, text: str, expected: str) -> None:
    """Driver, port, sign-in, company file, dialog, mode, permission and version are told apart; nothing was sent."""

    def refuse() -> FakeConnection:
        raise DriverError(state, text) if state else ImportError(text)

    with pytest.raises(InterWeaveError) as caught:
        Client(refuse).run(Statement("INSERT INTO Customer"))
    assert caught.value.code == expected
    assert caught.value.advice
    assert not (isinstance(caught.value, ConnectionFailure) and caught.value.sent)


def test_a_worker_without_the_driver_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pyodbc cannot be imported, opening the system says what is missing on this worker, and no traceback."""
    monkeypatch.setitem(sys.modules, "iw_operators.systems.quickbooks_desktop.hook", None)
    with pytest.raises(FixConfiguration) as caught:
        open_desktop("globex_books", Settings(MemorySecretState()))
    assert caught.value.code == "odbc.driver"


@pytest.mark.parametrize(
    ("state", "expected"), [("42S22", "odbc.name"), ("42703", "odbc.name"), ("42601", "odbc.statement")]
)
def test_what_the_driver_itself_refuses_is_a_matter_of_configuration(state: str, expected: str) -> None:
    """An unknown column (a custom field that nobody has made) is told as that."""
    with pytest.raises(FixConfiguration) as caught:
        Script({"SELECT": DriverError(state, "column does not exist")}).client().all(Statement("SELECT x"))
    assert caught.value.code == expected


@pytest.mark.parametrize(
    ("state", "text", "expected"),
    [
        ("HY000", "[QODBC] Field is not insertable: Balance", "odbc.statement"),
        ("HY000", "[QODBC] Field is not updateable: Balance", "odbc.statement"),
        ("HY000", "[QODBC] Table is read only: Host", "odbc.statement"),
        ("HY000", "[QODBC] Stored procedure is not known here: sp_x", "odbc.statement"),
        ("HY000", "[QODBC] Expected lexical element not found: <identifier>", "odbc.statement"),
        ("HY000", "[QODBC] Invalid operand for operator: =", "odbc.statement"),
        ("HY000", "[QODBC] Invalid column name: CustomFieldAccountID", "odbc.name"),
        ("HY000", "[QODBC] License has expired", "odbc.licence"),
        ("42601", "[IW connector] Refused: one statement is taken at a time", "odbc.statement"),
    ],
)
def test_what_qodbc_remarks_has_not_reached_quickbooks(state: str, text: str, expected: str) -> None:
    """A statement that QODBC itself refuses is no lost connection: nothing is to be looked up."""
    with pytest.raises(FixConfiguration) as caught:
        Script({"UPDATE": DriverError(state, f"[{state}] {text}")}).client().run(Statement("UPDATE x"))
    assert caught.value.code == expected
    assert caught.value.advice


@pytest.mark.parametrize(
    ("state", "text"), [("08S01", "Table is read only: x"), ("HY000", "Error parsing complete XML")]
)
def test_what_may_have_reached_quickbooks_is_in_doubt(state: str, text: str) -> None:
    """A connection that is gone, and words that nobody knows, leave a write to be looked up."""
    with pytest.raises(ConnectionFailure) as caught:
        Script({"UPDATE": DriverError(state, f"[QODBC] {text}")}).client().run(Statement("UPDATE x"))
    assert (caught.value.code, caught.value.sent) == ("odbc.lost", True)


@pytest.mark.parametrize(
    ("said", "expected", "sent"),
    [
        ("Not begun: the company file has not been opened within 120 s", "odbc.timeout", False),
        ("The company file cannot be opened (unknown): [QODBC] Odd", "odbc.not_open", False),
        ("The company file was reopened; the group's lines are gone", "odbc.lost", True),
        ("Not begun: another session has been writing for 120 s", "odbc.busy", False),
        ("The statement has not ended within 600 s; its outcome is unknown", "odbc.lost", True),
        ("The connector is being stopped", "odbc.lost", True),
    ],
)
def test_what_the_connector_says_of_itself(said: str, expected: str, sent: bool) -> None:
    """Not begun is surely not done; whatever else it says, the statement may have been carried out."""
    script = Script({"INSERT": DriverError("HY000", f"[IW connector] {said};\nError while executing the query")})
    with pytest.raises(ConnectionFailure) as caught:
        script.client().run(Statement("INSERT INTO Customer"))
    assert (caught.value.code, caught.value.sent) == (expected, sent)


def test_a_connector_that_only_reads() -> None:
    """A connector that refuses everything that writes is a matter of configuration."""
    script = Script({"INSERT": DriverError("25006", "[IW connector] This connector is set to read only")})
    with pytest.raises(FixConfiguration) as caught:
        script.client().run(Statement("INSERT INTO Customer"))
    assert caught.value.code == "odbc.read_only"


def test_columns_are_asked_once_and_compared_without_case() -> None:
    """sp_columns tells a table's columns, custom fields among them."""
    script = Script({"sp_columns": [{"TABLENAME": "Customer", "COLUMNNAME": "CustomFieldAccountID"}]})
    client = script.client()
    assert "customfieldaccountid" in client.columns("Customer")
    assert client.columns("Customer") == {"customfieldaccountid"}
    assert len(script.asked) == 1


def test_a_driver_that_does_not_know_the_host_is_no_failure() -> None:
    """Where QODBC has no table Host, or not that column, the company file is open all the same."""
    unknown = DriverError("42S22", "column QBFileMode does not exist")
    line = Script({"FROM Company": [{"CompanyName": "Globex"}], "FROM Host": unknown}).system().check()
    assert "Globex is open" in line


def test_the_hosts_clock_and_what_stands_in_for_it() -> None:
    """`now` is the host's local time with its zone; where it cannot be asked, ours less a margin."""
    told = Script({"fn NOW": [{"HostTime": clock(2026, 7, 1, 8, 0, 3)}]})
    assert told.system().now() == dt.datetime(2026, 7, 1, 12, 0, 3, tzinfo=dt.UTC)
    silent = Script({"fn NOW": DriverError("42000", "[QODBC] Error: 3000 - Invalid function")})
    margin = dt.datetime.now(dt.UTC) - silent.system().now()
    assert dt.timedelta(minutes=4) < margin < dt.timedelta(minutes=6)


@pytest.mark.parametrize(("mode", "right"), [("MultiUser", True), ("SingleUser", False), ("Single-User", False)])
def test_check_wants_multi_user_mode(mode: str, right: bool) -> None:
    """A company file that somebody has switched to single-user mode is a failure that passes, with advice."""
    host = [{"ProductName": "QuickBooks Enterprise", "MajorVersion": "34", "QBFileMode": mode}]
    system = Script({"FROM Company": [{"CompanyName": "Globex"}], "FROM Host": host}).system()
    if right:
        assert "Globex" in system.check()
        return
    with pytest.raises(ConnectionFailure) as caught:
        system.check()
    assert caught.value.code == "odbc.single_user"
    assert "multi-user" in caught.value.advice
