"""The ledger of this Airflow: the connection `iw_ledger`, wherever Airflow keeps it.

Airflow 3.3 gives connections and variables in two ways. In a task, a trigger and the DAG processor they come from a
supervisor over the execution API (`airflow.sdk`); there is no database. The api-server, the scheduler and the
command line have the database and no supervisor (`airflow.models`). Each way fails in the other place.
"""

from __future__ import annotations

import sys
from typing import Any

from sqlalchemy.engine import URL

from iw_operators.errors import FixConfiguration
from iw_operators.ledger.store import Ledger

CONN_ID = "iw_ledger"
PASSED_ON = frozenset(  # of the connection's extra, to the driver
    {"sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "options", "connect_timeout", "target_session_attrs"}
)


def open_ledger(conn_id: str = CONN_ID) -> Ledger:
    """Return the ledger that an Airflow connection names, with its tables up to date.

    Works in a task, in the triggerer (in a thread), in the api-server, the scheduler and on the command line.

    :raises FixConfiguration: there is no such connection, or it is not that of a PostgreSQL database.
    :raises ConnectionFailure: the ledger does not answer.
    """
    ledger = Ledger.connect(connection_url(find_connection(conn_id), conn_id))
    try:
        ledger.upgrade()
    except BaseException:
        ledger.close()
        raise
    return ledger


def connection_url(connection: Any, conn_id: str = CONN_ID) -> URL:
    """Return the URL of a PostgreSQL database out of an Airflow connection.

    :raises FixConfiguration: the connection does not say which database.
    """
    if not connection.schema or not connection.host:
        msg = f"The Airflow connection {conn_id!r} does not say which PostgreSQL database the ledger is in."
        raise FixConfiguration(msg, code="iw.ledger_connection", advice="Fill in Host and Schema (the database).")
    return URL.create(
        "postgresql+psycopg2",
        username=connection.login or None,
        password=connection.password or None,
        host=connection.host,
        port=connection.port,
        database=connection.schema,
        query={name: str(value) for name, value in connection.extra_dejson.items() if name in PASSED_ON},
    )


def supervised() -> bool:
    """Return whether Airflow gives connections and variables through a supervisor here (see the module)."""
    runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    return getattr(runner, "SUPERVISOR_COMMS", None) is not None


def find_connection(conn_id: str) -> Any:
    """Return an Airflow connection, wherever this runs.

    :raises FixConfiguration: there is none of this name.
    """
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        if supervised():
            from airflow.sdk import Connection

            return Connection.get(conn_id)
        from airflow.models.connection import Connection as Model

        return Model.get_connection_from_secrets(conn_id)
    except AirflowNotFoundException:
        msg = f"Airflow has no connection {conn_id!r}, which says where the ledger is."
        advice = (
            f"Make it: `airflow connections add {conn_id} --conn-uri postgresql://user:password@host:5432/database`, "
            "for a PostgreSQL database of its own."
        )
        raise FixConfiguration(msg, code="iw.no_ledger", advice=advice) from None
