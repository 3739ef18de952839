"""The Airflow connection of QuickBooks Desktop and its Test button, on Airflow's ODBC provider."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from airflow.providers.odbc.hooks.odbc import OdbcHook
from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from iw_operators.errors import FixConfiguration, InterWeaveError
from iw_operators.systems.quickbooks_desktop.client import Client
from iw_operators.systems.quickbooks_desktop.odbc import (
    Source,
    connect,
    connection_string,
    connector_string,
)

CONNECTOR: Final = "connector"
WAYS: Final = (CONNECTOR, "dsn", "driver")
PORT: Final = 5433  # the connector's own default
DRIVER: Final = "PostgreSQL Unicode"
MODES: Final = ("", "M", "F")  # flows and people work side by side, so never S: single-user


class QuickBooksDesktopHook(OdbcHook):
    """Hook of connection type `quickbooks_desktop`.

    It is Airflow's ODBC hook with a form of its own. Statements are never logged: their parameters are customer data.
    `get_conn` gives a plain pyodbc connection, for DAGs that people write by hand.
    """

    conn_name_attr = "quickbooks_desktop_conn_id"
    default_conn_name = "quickbooks_desktop_default"
    conn_type = "quickbooks_desktop"
    hook_name = "QuickBooks Desktop"

    def __init__(self, quickbooks_desktop_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        kwargs["log_sql"] = False
        super().__init__(quickbooks_desktop_conn_id=quickbooks_desktop_conn_id, **kwargs)
        self.quickbooks_desktop_conn_id = quickbooks_desktop_conn_id
        self._source: Source | None = None

    @property
    def source(self) -> Source:
        """How to connect; FixConfiguration when there is no such connection or it lacks something."""
        if self._source is None:
            try:
                connection = self.get_connection(self.quickbooks_desktop_conn_id)
            except AirflowNotFoundException:
                msg = f"There is no Airflow connection {self.quickbooks_desktop_conn_id!r}."
                advice = "Make it (Admin, Connections) with the type QuickBooks Desktop."
                raise FixConfiguration(msg, code="iw.connection", advice=advice) from None
            self._source = source_of(connection)
        return self._source

    @property
    def odbc_connection_string(self) -> str:
        """The ODBC connection string, password included."""
        return self.source.text

    def get_conn(self) -> Any:
        """Return a pyodbc connection that no pool keeps."""
        import pyodbc

        pyodbc.pooling = False
        return pyodbc.connect(self.source.text, autocommit=True, timeout=self.source.connect_timeout)

    def client(self) -> Client:
        """Return a client; nothing is sent yet."""
        return Client(partial(connect, self.source), company=self.quickbooks_desktop_conn_id)

    def test_connection(self) -> tuple[bool, str]:  # type: ignore[override]  # the base class says None and returns this
        """Open the company file and read its name; say which thing is wrong and what to do about it."""
        from iw_operators.systems.quickbooks_desktop.system import QuickBooksDesktop

        try:
            client = self.client()
            try:
                return True, QuickBooksDesktop(client).check()
            finally:
                client.drop()
        except InterWeaveError as error:
            return False, str(error)


def source_of(connection: Connection) -> Source:
    """Read an Airflow connection; FixConfiguration naming each field that is missing or wrong."""
    kind = QuickBooksDesktopHook.conn_type
    if connection.conn_type and connection.conn_type != kind:
        msg = f"The connection {connection.conn_id!r} is of the type {connection.conn_type}, not {kind}."
        raise FixConfiguration(msg, code="iw.connection_type", advice="Name another connection in company.yaml.")
    extra: Mapping[str, Any] = connection.extra_dejson
    way = str(extra.get("way") or CONNECTOR)
    mode = str(extra.get("open_mode") or "")
    connect_timeout = _number(extra.get("connect_timeout"), 15)
    statement_timeout = _number(extra.get("statement_timeout"), 900)
    wrong = [
        what
        for what, right in (
            (f"Way ({', '.join(WAYS)})", way in WAYS),
            ("Connector's host", connection.host or way != CONNECTOR),
            ("Company file", extra.get("company_file") or way != CONNECTOR),
            ("Login", connection.login or way != CONNECTOR),
            ("Password", connection.password or way != CONNECTOR),
            ("Data source (dsn)", extra.get("dsn") or way != "dsn"),
            ("Driver string (driver)", extra.get("driver_string") or way != "driver"),
            ("Open mode (M or F)", mode in MODES),
            ("Seconds to wait for a connection", connect_timeout),
            ("Seconds to wait for a statement", statement_timeout),
        )
        if not right
    ]
    if wrong:
        msg = f"The connection {connection.conn_id} lacks or has wrong: {', '.join(wrong)}."
        raise FixConfiguration(msg, code="iw.connection", advice="Correct it under Admin, Connections.")
    text = _text(connection, extra, way, mode, int(connect_timeout or 15))
    return Source(text, int(connect_timeout or 15), statement_timeout or 900)


def _text(connection: Connection, extra: Mapping[str, Any], way: str, mode: str, seconds: int) -> str:
    company = str(extra.get("company_file") or "")
    if way == CONNECTOR:
        return connector_string(
            str(connection.host),
            connection.port or PORT,
            company,
            str(connection.login),
            str(connection.password),
            driver=str(extra.get("odbc_driver") or DRIVER),
            sslmode=str(extra.get("sslmode") or "verify-full"),
            ca_file=str(extra.get("ca_file") or ""),
            seconds=seconds,
        )
    own = {
        "DFQ": company,
        "OpenMode": mode,
        "UID": connection.login or "",
        "PWD": connection.password or "",
    }
    if way == "dsn":
        return connection_string({"DSN": str(extra["dsn"]), **own})
    given = str(extra["driver_string"]).strip()
    return f"{given.rstrip(';')};{connection_string(own)}"


def _number(value: Any, default: float) -> float | None:
    if value in (None, ""):
        return default
    try:
        number = float(value)  # seconds, not money
    except (TypeError, ValueError):
        return None
    return number if number > 0 else None
