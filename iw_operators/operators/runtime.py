"""What the tasks of a flow have in common: the ledger, the two systems, the run's row.

Imported inside `execute` only, so that parsing a DAG file loads no connector.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from airflow.sdk import BaseHook, Context
from airflow.sdk.exceptions import AirflowNotFoundException

from iw_operators import settings, xcoms
from iw_operators.asked import again, as_begun
from iw_operators.errors import FixConfiguration
from iw_operators.ledger.connect import open_ledger, supervised
from iw_operators.ledger.own import OwnLedger
from iw_operators.ledger.store import Ledger, RunRef
from iw_operators.spec.models import Company
from iw_operators.spec.resolved import ResolvedFlow, ResolvedMapping, Side
from iw_operators.state import AirflowSecretState
from iw_operators.systems.base import Settings, System
from iw_operators.systems.registry import connection_types, open_system, system_for_connection

# What has been opened in this context, in `letting_go`.
_OPENED: Final[ContextVar[list[System] | None]] = ContextVar("opened", default=None)


@contextmanager
def ledger_of_run(company: str | None = None) -> Iterator[Ledger]:
    """Open the ledger for the length of a task. What the task opens of systems is let go at the end as well.

    :param company: whose task it is; it can then neither see nor touch another company's rows. None for DAGs that
        people write by hand.
    """
    ledger = open_ledger(settings.ledger_conn_id())
    try:
        with letting_go():
            yield OwnLedger.of(ledger, company) if company is not None else ledger
    finally:
        ledger.close()


@contextmanager
def letting_go() -> Iterator[None]:
    """Let go, at the end, of what is opened of systems inside.

    Whatever has raised is kept alive by its exception, for a moment or for longer: nothing of it is to be connected any
    more when a task has ended, or a page has answered.
    """
    opened: list[System] = []
    token = _OPENED.set(opened)
    try:
        yield
    finally:
        _OPENED.reset(token)
        for system in opened:
            if (close := getattr(system, "close", None)) is not None:
                close()


def open_side(company: Company, side: Side, ledger: Ledger) -> System:
    """Return one of a company's systems, connected as its spec says. Also for the command line and the page."""
    if not supervised():
        # A process of ours that Airflow does not say so of has Airflow's database, or its hooks find no connections.
        os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    end = company.endpoint(side)
    outside = Settings(
        state=AirflowSecretState(end.connection, ledger),
        time_zone=company.time_zone,
        locale=end.locale,
        base_currency=company.base_currency,
    )
    return _noted(open_system(end.system, end.connection, outside))


def _noted(system: System) -> System:
    if (opened := _OPENED.get()) is not None:
        opened.append(system)
    return system


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


def as_it_began(flow: ResolvedFlow, context: Context) -> ResolvedFlow:
    """Return a flow with the properties that it had when its run began, as `ready` has left them."""
    begun = (context["ti"].xcom_pull(task_ids=xcoms.READY) or {}).get(xcoms.FIXED)
    return as_begun(flow, begun, context["params"])


def reference(run_id: int, flow: ResolvedFlow, mapping: ResolvedMapping, context: Context) -> RunRef:
    """Return how the ledger names what a task does: this attempt of one mapping in this run."""
    return RunRef(
        run_id=run_id,
        company=flow.company.company,
        flow=flow.flow,
        mapping=mapping.mapping,
        fingerprint=mapping.fingerprint,
        attempt=context["ti"].try_number,
        source=flow.source,
    )


def open_connection(conn_id: str, ledger: Ledger) -> System:
    """Return the system behind an Airflow connection, for DAGs that people write by hand.

    :raises FixConfiguration: there is no such connection, or its type belongs to no system.
    """
    system = system_of(conn_id)
    return _noted(open_system(system, conn_id, Settings(state=AirflowSecretState(conn_id, ledger))))


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
