"""The Airflow connection: its three ways, what is missing, the Test button, and what is not logged."""

from __future__ import annotations

import json
import logging
import socket
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Connection

from iw_operators.errors import FixConfiguration
from iw_operators.state import MemorySecretState
from iw_operators.systems.base import Settings
from iw_operators.systems.quickbooks_desktop.odbc import Source
from iw_operators.systems.registry import open_system, system_for_connection
from sandbox.quickbooks_desktop import airflow_connection
from tests.drivers import need_odbc
from tests.systems.quickbooks_desktop.conftest import Site

if TYPE_CHECKING:
    from iw_operators.systems.quickbooks_desktop.hook import QuickBooksDesktopHook

pytestmark = pytest.mark.feature("S3")

CONN_ID = "globex_books"


@pytest.fixture(autouse=True)
def drivers() -> None:
    """The hook is made of Airflow's ODBC hook, which imports pyodbc."""
    need_odbc()


def hook_of(**more: Any) -> QuickBooksDesktopHook:
    """Return a hook."""
    from iw_operators.systems.quickbooks_desktop.hook import QuickBooksDesktopHook

    return QuickBooksDesktopHook(CONN_ID, **more)


def source_of(made: Connection) -> Source:
    """Return how a connection is connected to."""
    from iw_operators.systems.quickbooks_desktop import hook

    return hook.source_of(made)


def connection(extra: dict[str, Any] | None = None, **fields: Any) -> Connection:
    """Return a connection to our connector with changes."""
    whole: dict[str, Any] = {
        "conn_type": "quickbooks_desktop",
        "host": "quickbooks.example",
        "port": 5433,
        "login": "interweave",
        "password": "pass;word}",
        "extra": json.dumps({"way": "connector", "company_file": "company", **(extra or {})}),
    }
    return Connection(conn_id=CONN_ID, **{**whole, **fields})


def test_the_connector_is_spoken_to_by_psqlodbc() -> None:
    """Fixed parameters keep the driver from rewriting statements; values that need it are quoted; TLS is checked."""
    text = source_of(connection()).text
    for part in (
        "Driver={PostgreSQL Unicode};",
        "Server=quickbooks.example;",
        "Port=5433;",
        "Database=company;",
        "PWD={pass;word}}};",
        "SSLmode=verify-full;",
        "UseServerSidePrepare=0;",
        "Protocol=7.4-0;",
        "BatchSize=1;",
        "UseDeclareFetch=0;",
        "connect_timeout=15",
    ):
        assert part in text


def test_a_bridge_is_another_data_source_and_nothing_else() -> None:
    """A DSN, or a driver string of one's own, with QODBC's company file and open mode."""
    extra = {"way": "dsn", "dsn": "QuickBooks Bridge", "company_file": ".", "open_mode": "M"}
    text = source_of(connection(extra, host=None, login=None, password=None)).text
    assert text == "DSN=QuickBooks Bridge;DFQ=.;OpenMode=M;"
    string = {"way": "driver", "driver_string": "Driver={Easysoft ODBC-ODBC Bridge};Server=qb;", "company_file": ""}
    text = source_of(connection(string, host=None, login="u", password="p")).text
    assert text == "Driver={Easysoft ODBC-ODBC Bridge};Server=qb;UID=u;PWD=p;"


@pytest.mark.parametrize(
    ("extra", "fields", "named"),
    [
        ({}, {"host": None}, "Connector's host"),
        ({"company_file": ""}, {}, "Company file"),
        ({}, {"login": None, "password": None}, "Login, Password"),
        ({"way": "pigeon"}, {}, "Way (connector, dsn, driver)"),
        ({"way": "dsn"}, {}, "Data source (dsn)"),
        ({"way": "driver"}, {}, "Driver string (driver)"),
        ({"open_mode": "X"}, {}, "Open mode (M or F)"),
        ({"open_mode": "S"}, {}, "Open mode (M or F)"),
        ({"statement_timeout": "soon"}, {}, "Seconds to wait for a statement"),
        ({"connect_timeout": -1}, {}, "Seconds to wait for a connection"),
    ],
)
def test_what_is_missing_is_named(extra: dict[str, Any], fields: dict[str, Any], named: str) -> None:
    """Each field that is missing or wrong is named, all of them at once."""
    with pytest.raises(FixConfiguration) as caught:
        source_of(connection(extra, **fields))
    assert named in caught.value.message
    assert caught.value.code == "iw.connection"


def test_a_connection_of_another_type() -> None:
    """A connection that is somebody else's is told as that."""
    with pytest.raises(FixConfiguration) as caught:
        source_of(connection(conn_type="creatio"))
    assert caught.value.code == "iw.connection_type"


def test_a_source_shows_no_password() -> None:
    """What a log or a traceback shows of a source holds nothing of the connection string."""
    assert "pass" not in repr(source_of(connection()))


def test_the_type_belongs_to_the_system() -> None:
    """Airflow's connection type leads to the system, and the hook is Airflow's own ODBC hook."""
    assert system_for_connection("quickbooks_desktop") == "quickbooks_desktop"
    from airflow.providers.odbc.hooks.odbc import OdbcHook

    assert isinstance(hook_of(), OdbcHook)
    assert hook_of().log_sql is False
    assert hook_of(log_sql=True).log_sql is False, "nobody switches it on by a parameter"


def ready(site: Site, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> QuickBooksDesktopHook:
    """Return a hook over a sandbox."""
    body = airflow_connection(site.running.url)
    extra = {**body["extra"], **changes.pop("extra", {})}
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps({**body, **changes, "extra": extra}))
    return hook_of()


@pytest.mark.sandbox
def test_the_test_button_says_what_is_open(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It opens the company file and says its name."""
    right, message = ready(site, monkeypatch).test_connection()
    assert right, message
    assert "Globex Corporation" in message


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("changes", "fault", "code"),
    [
        ({"extra": {"odbc_driver": "No such driver"}}, "", "odbc.driver"),
        ({"password": "wrong"}, "", "odbc.sign_in"),
        ({"extra": {"company_file": "another"}}, "", "odbc.company"),
        ({"port": 0}, "", "odbc.unreachable"),
        ({"extra": {"sslmode": "require"}}, "", "odbc.tls"),
        ({}, "modal_dialog", "80040414"),
        ({}, "single_user", "8004040A"),
        ({}, "company_closed", "80040416"),
        ({}, "no_permission", "8004041A"),
        ({}, "wrong_version", "80040423"),
        ({}, "licence", "80040427"),
    ],
)
def test_the_test_button_says_which_thing_is_wrong(
    site: Site, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], fault: str, code: str
) -> None:
    """Driver, sign-in, company file, port, dialog, mode and permission each have their own words and advice."""
    if changes.get("port") == 0:
        with socket.create_server(("127.0.0.1", 0)) as free:
            changes = {"port": free.getsockname()[1]}
    if fault:
        site.fault(fault, times=-1)
    right, message = ready(site, monkeypatch, **changes).test_connection()
    assert not right
    assert message.startswith(f"[{code}]"), message
    assert len(message.split(". ")) > 1, "what happened, and what to do"
    assert "Desktop1!" not in message


@pytest.mark.sandbox
def test_statements_by_hand_are_not_logged(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """`run` and `get_first` of Airflow's hook work, keep one connection, and log neither statement nor parameters."""
    hook = ready(site, monkeypatch)
    with caplog.at_level(logging.DEBUG):
        hook.run("INSERT INTO Customer (Name, Phone) VALUES (?, ?)", parameters=("Secretive Ltd", "555-0123"))
        assert (
            hook.get_first("SELECT Name FROM Customer WHERE Phone = ?", parameters=("555-0123",))[0] == "Secretive Ltd"
        )
    shown = caplog.text + "".join(capsys.readouterr())
    assert "Secretive" not in shown
    assert "555-0123" not in shown


@pytest.mark.sandbox
def test_the_system_is_opened_over_the_connection(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """`open_system` gives one that is reachable; a time zone that there is not is a matter of configuration."""
    ready(site, monkeypatch)
    system = open_system("quickbooks_desktop", CONN_ID, Settings(MemorySecretState(), "America/New_York"))
    assert "Globex" in system.check()
    with pytest.raises(FixConfiguration):
        open_system("quickbooks_desktop", CONN_ID, Settings(MemorySecretState(), "Mars/Olympus"))
    with pytest.raises(FixConfiguration) as caught:
        open_system("quickbooks_desktop", "nobody", Settings(MemorySecretState()))
    assert caught.value.code == "iw.connection"
