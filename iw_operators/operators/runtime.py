"""What the tasks of a flow have in common: the ledger, the two systems, the run's row.

Imported inside `execute` only, so that parsing a DAG file loads no connector.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk import BaseHook, Context
from airflow.sdk.exceptions import AirflowNotFoundException

from iw_operators import settings
from iw_operators.asked import again
from iw_operators.errors import FixConfiguration
from iw_operators.ledger.connect import open_ledger, supervised
from iw_operators.ledger.own import OwnLedger
from iw_operators.ledger.store import Ledger
from iw_operators.spec.models import Company, Direction
from iw_operators.spec.resolved import ResolvedFlow, Side
from iw_operators.state import AirflowSecretState
from iw_operators.systems.base import Settings, System
from iw_operators.systems.registry import connection_types, open_system, system_for_connection


def source_side(flow: ResolvedFlow) -> Side:
    """Return the side that a flow reads."""
    return "crm" if flow.direction is Direction.TO_BOOKS else "books"


def target_side(flow: ResolvedFlow) -> Side:
    """Return the side that a flow writes."""
    return "books" if flow.direction is Direction.TO_BOOKS else "crm"


@contextmanager
def ledger_of_run(company: str | None = None) -> Iterator[Ledger]:
    """Open the ledger for the length of a task.

    :param company: whose task it is; it can then neither see nor touch another company's rows. None for DAGs that
        people write by hand.
    """
    ledger = open_ledger(settings.ledger_conn_id())
    try:
        yield OwnLedger.of(ledger, company) if company is not None else ledger
    finally:
        ledger.close()


def open_side(company: Company, side: Side, ledger: Ledger) -> System:
    """Return one of a company's systems, connected as its spec says. Also for the command line and the page."""
    if not supervised():
        # A process of ours that Airflow does not say so of has Airflow's database, or its hooks find no connections.
        os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    end = company.crm if side == "crm" else company.books
    outside = Settings(
        state=AirflowSecretState(end.connection, ledger),
        time_zone=company.time_zone,
        locale=end.locale,
        base_currency=company.base_currency,
    )
    return open_system(end.system, end.connection, outside)


def begin(ledger: Ledger, flow: ResolvedFlow, context: Context) -> int:
    """Return the ledger's id of this run, making its row where there is none yet."""
    return ledger.begin_run(
        company=flow.company.company,
        flow=flow.flow,
        dag_run_id=context["run_id"],
        kind=flow.kind.value,
        direction=flow.direction.value,
        reprocess=again(flow, context["params"]) is not None,
    )


def open_connection(conn_id: str, ledger: Ledger) -> System:
    """Return the system behind an Airflow connection, for DAGs that people write by hand.

    :raises FixConfiguration: there is no such connection, or its type belongs to no system.
    """
    system = system_of(conn_id)
    return open_system(system, conn_id, Settings(state=AirflowSecretState(conn_id, ledger)))


def system_of(conn_id: str) -> str:
    """Return the name of the system behind an Airflow connection. Raises FixConfiguration."""
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        msg = f"There is no Airflow connection {conn_id!r}."
        raise FixConfiguration(msg, code="iw.no_connection", advice="Make it under Admin, Connections.") from None
    system = system_for_connection(connection.conn_type or "")
    if system is None:
        known = ", ".join(str(form["connection-type"]) for form in connection_types())
        msg = f"Connection {conn_id!r} is of the type {connection.conn_type!r}, which no system has."
        raise FixConfiguration(msg, code="iw.connection_type", advice=f"Known types: {known}.")
    return system


def moment(value: dt.datetime | str | None, name: str) -> dt.datetime | None:
    """Return a moment that a DAG's author wrote. Raises FixConfiguration when it cannot be read or has no zone."""
    try:
        read = dt.datetime.fromisoformat(value) if isinstance(value, str) and value else value or None
    except ValueError:
        read = None
    if read is None and not value:
        return None
    if not isinstance(read, dt.datetime) or read.tzinfo is None:
        msg = f"{name} is not a moment: {value!r}."
        raise FixConfiguration(msg, code="iw.moment", advice="Write it with a zone, like 2026-01-31T00:00:00+00:00.")
    return read
