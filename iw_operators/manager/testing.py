"""Trying a connection on demand, beside the page; how it went is kept among the deeds, without secrets."""

from __future__ import annotations

import os
import threading
import time
import uuid

import structlog

from iw_operators.errors import InterWeaveError
from iw_operators.manager import world

log = structlog.get_logger(__name__)

TESTED = "tested the connection"  # a deed
CONNECTION = "connection "
LONGEST = 500  # of what a test says

_lock = threading.Lock()
_going: set[tuple[str, str]] = set()


def subject(conn_id: str) -> str:
    """Return what deeds call a connection."""
    return f"{CONNECTION}{conn_id}"


def under_way(company: str, conn_id: str) -> bool:
    """Tell whether this process is testing a connection."""
    with _lock:
        return (company, conn_id) in _going


def begin(company: str, conn_id: str) -> bool:
    """Note that a test begins; False when one is under way already."""
    with _lock:
        if (company, conn_id) in _going:
            return False
        _going.add((company, conn_id))
        return True


def run(company: str, conn_id: str, by: str) -> None:
    """Test a connection and keep how it went. Never raises: nobody waits for it."""
    began = time.monotonic()
    try:
        good, message = attempt(conn_id)
    except InterWeaveError as error:
        good, message = False, str(error)
    except Exception as error:  # noqa: BLE001  whatever a hook raises is the answer of the test
        good, message = False, type(error).__name__
    took = round(time.monotonic() - began, 1)
    try:
        detail = {"ok": good, "message": _masked(message)[:LONGEST], "seconds": took}
        world.ledger().note_deed(company, by, TESTED, subject(conn_id), detail)
    except InterWeaveError as error:
        log.warning("a test's result could not be kept", connection=conn_id, error=type(error).__name__)
    finally:
        with _lock:
            _going.discard((company, conn_id))


def attempt(conn_id: str) -> tuple[bool, str]:
    """Do what Airflow's Test button does with a connection: its hook signs in and says what it found."""
    from airflow.models.connection import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        connection = Connection.get_connection_from_secrets(conn_id)
    except AirflowNotFoundException:
        return False, f"There is no Airflow connection {conn_id!r}. Make it under Admin, Connections."
    # A hook looks its connection up by id, and outside of a task it finds those in the environment alone.
    stand_in = f"iw_test_{uuid.uuid4().hex}"
    variable = f"AIRFLOW_CONN_{stand_in.upper()}"
    os.environ[variable] = connection.as_json()
    try:
        connection.conn_id = stand_in
        good, message = connection.test_connection()  # type: ignore[no-untyped-call]  # Airflow's own
    finally:
        del os.environ[variable]
    return bool(good), str(message)


def _masked(message: str) -> str:
    from airflow._shared.secrets_masker import redact

    return str(redact(message))
