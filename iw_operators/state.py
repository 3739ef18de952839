"""Where systems keep what rotates: tokens and session cookies (law 6).

The state of a key is JSON in the Airflow variable `iw_state_secret_<key>`, which Airflow encrypts; because of the
word `secret` in its name Airflow shows no value of it. One writer at a time holds a lock of the ledger.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from typing import Any

from iw_operators.errors import ConnectionFailure, FixConfiguration, InterWeaveError
from iw_operators.ledger.connect import CONN_ID, supervised
from iw_operators.ledger.store import Ledger
from iw_operators.systems.base import AbstractLock

PREFIX = "iw_state_secret_"
DESCRIPTION = "InterWeave: tokens and sessions of a system. Written by its tasks; delete it to sign in anew."
SHORTEST = 5  # Airflow masks nothing shorter and says so each time
_KEY = re.compile(r"[\w.-]{1,200}", re.ASCII)


class AirflowSecretState:
    """State in an Airflow variable. Implements `systems.base.SecretState`.

    Works where Airflow has variables: in tasks, in the triggerer (in a thread), in the api-server, in the scheduler
    and on the command line. `read` never takes an Airflow that does not answer for an empty state.

    :param key: what the state belongs to: letters, digits, `_`, `.`, `-`. Whoever signs in as the same user of the
        same account has to use the same key; a connection's id does, except for Airflow's Test button, which gives
        connections a random one.
    :param ledger: gives the lock; without one the state can be read but not locked.
    """

    def __init__(self, key: str, ledger: Ledger | None) -> None:
        if not _KEY.fullmatch(key):
            msg = f"{key!r} cannot name a state: up to 200 letters, digits, '_', '.' and '-'."
            raise FixConfiguration(msg)
        self.key = key
        self.variable = PREFIX + key
        self._ledger = ledger

    def read(self) -> Mapping[str, str]:
        """Return what is kept; empty when there is nothing.

        :raises ConnectionFailure: Airflow does not answer.
        :raises FixConfiguration: the variable cannot be decrypted, or is not what was written.
        """
        text = _supervised_read(self.variable) if supervised() else _server_read(self.variable)
        if text is None:
            return {}
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
            msg = f"The Airflow variable {self.variable} does not hold what was written there."
            raise FixConfiguration(msg, advice="Delete it, and sign the connection in anew.")
        _mask(value)
        return value

    def write(self, value: Mapping[str, str]) -> None:
        """Replace what is kept, atomically.

        :raises ConnectionFailure: Airflow does not answer; the old value is kept, or the new one is.
        """
        _mask(value)
        text = json.dumps(dict(value))
        if supervised():
            _supervised_write(self.variable, text)
        else:
            _server_write(self.variable, text)

    def lock(self) -> AbstractLock:
        """Return a context manager that holds the one writer's lock, on all hosts.

        :raises FixConfiguration: there is no ledger, which keeps the locks.
        """
        if self._ledger is None:
            msg = f"Tokens of {self.key!r} cannot be renewed without the ledger, which lets one task at a time do so."
            raise FixConfiguration(msg, code="iw.no_ledger", advice=f"Make the Airflow connection {CONN_ID!r}.")
        return self._ledger.lock(f"state:{self.key}")

    def named(self, key: str) -> AirflowSecretState:
        """Return the state of another key under the same ledger's locks.

        For systems whose tokens belong to more than a connection's id: Airflow's Test button has to find them too.
        """
        return AirflowSecretState(key, self._ledger)


class MemorySecretState:
    """State in memory, for a try of a connection, scripts and tests: lost with the process, locked between threads."""

    def __init__(self, value: Mapping[str, str] | None = None) -> None:
        self._value = dict(value or {})
        self._lock = threading.RLock()

    def read(self) -> Mapping[str, str]:
        """Return what is kept; empty when there is nothing."""
        return dict(self._value)

    def write(self, value: Mapping[str, str]) -> None:
        """Replace what is kept."""
        self._value = dict(value)

    def lock(self) -> AbstractLock:
        """Return the one writer's lock."""
        return self._lock


def _supervised_read(name: str) -> str | None:
    from airflow.sdk import Variable
    from airflow.sdk.exceptions import AirflowRuntimeError

    try:
        text = Variable.get(name, default=None)
        # Airflow answers "not there" for an API server that fails, too; the list of names does not.
        if text is None and name in Variable.keys(prefix=name):
            text = Variable.get(name, default=None)
            if text is None:
                raise _unreadable(name)
    except AirflowRuntimeError as error:
        raise _away(name, error) from None
    return None if text is None else str(text)


def _supervised_write(name: str, text: str) -> None:
    from airflow.sdk import Variable
    from airflow.sdk.exceptions import AirflowRuntimeError

    try:
        Variable.set(name, text, description=DESCRIPTION)
    except AirflowRuntimeError as error:
        raise _away(name, error) from None


def _server_read(name: str) -> str | None:
    def work(session: Any, model: Any) -> str | None:
        import sqlalchemy as sa

        row = session.scalar(sa.select(model).where(model.key == name))
        if row is None:
            return None
        if (text := row.get_val()) is None:
            raise _unreadable(name)
        return str(text)

    result = _on_server(name, work)
    return None if result is None else str(result)


def _server_write(name: str, text: str) -> None:
    _on_server(name, lambda session, model: model.set(name, text, description=DESCRIPTION, session=session))


def _on_server(name: str, work: Any) -> Any:
    """Do something with Airflow's own database, which the server's processes and the command line have."""
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with create_session() as session:
            return work(session, Variable)
    except SQLAlchemyError as error:
        raise _away(name, error) from None
    except (RuntimeError, AttributeError) as error:  # what Airflow puts in the place of its database in workers
        msg = f"The Airflow variable {name} cannot be reached from this process."
        raise FixConfiguration(msg, advice="Run this in a task, in the api-server or on the command line.") from error


def _away(name: str, error: Exception) -> ConnectionFailure:
    return ConnectionFailure(f"Airflow does not give the variable {name}: {type(error).__name__}.")


def _unreadable(name: str) -> InterWeaveError:
    msg = f"The Airflow variable {name} is there, but Airflow cannot give its value."
    advice = "If Airflow's fernet key was changed, delete the variable and sign the connection in anew."
    return FixConfiguration(msg, code="iw.state_unreadable", advice=advice)


def _mask(value: Mapping[str, str]) -> None:
    """Have Airflow hide the values in logs, and what JSON among them holds (a session's cookies) one by one."""
    from airflow.sdk.log import mask_secret

    for each in value.values():
        for text in (each, *_inside(each)):
            if len(text) >= SHORTEST:
                mask_secret(text)


def _inside(text: str) -> list[str]:
    try:
        found = json.loads(text) if text.startswith("{") else {}
    except ValueError:
        found = {}
    return [each for each in found.values() if isinstance(each, str)]
