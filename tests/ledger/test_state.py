"""Where tokens are kept: in Airflow variables, encrypted, masked, one writer at a time (law 6)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iw_operators.errors import ConnectionFailure, FixConfiguration
from iw_operators.ledger.store import Ledger
from iw_operators.state import AirflowSecretState, MemorySecretState


class Supervisor:
    """Answers as a task's supervisor does; `fails` names messages that the API server cannot answer now."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.masked: set[str] = set()
        self.fails: list[str] = []

    def send(self, msg: Any) -> Any:
        """Answer one message."""
        from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
        from airflow.sdk.execution_time import comms

        if msg.type in self.fails:
            self.fails.remove(msg.type)
            raise AirflowRuntimeError(comms.ErrorResponse(error=ErrorType.API_SERVER_ERROR))
        if msg.type == "GetVariable":
            if msg.key in self.variables:
                return comms.VariableResult(key=msg.key, value=self.variables[msg.key])
            return comms.ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND)
        if msg.type == "GetVariableKeys":
            keys = [key for key in self.variables if key.startswith(msg.prefix)]
            return comms.VariableKeysResult(keys=keys, total_entries=len(keys))
        if msg.type == "PutVariable":
            self.variables[msg.key] = msg.value
            return comms.OKResponse(ok=True)
        assert msg.type == "MaskSecret", msg
        self.masked.add(msg.value)
        return None


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    """Return the supervisor that this process believes to have."""
    from airflow.sdk.execution_time.supervisor import set_supervisor_comms

    made = Supervisor()
    with set_supervisor_comms(made):
        yield made


def test_a_task_keeps_tokens_in_a_variable(supervisor: Supervisor) -> None:
    """What is written is read, under a name whose value Airflow hides, and every value of it is masked in logs."""
    from airflow.sdk._shared.secrets_masker import should_hide_value_for_key

    state = AirflowSecretState("acme_books", None)
    assert state.read() == {}
    state.write({"access": "token-one", "refresh": "token-two"})
    assert AirflowSecretState("acme_books", None).read() == {"access": "token-one", "refresh": "token-two"}
    assert AirflowSecretState("acme_crm", None).read() == {}
    assert [*supervisor.variables] == ["iw_state_secret_acme_books"]
    assert {"token-one", "token-two"} <= supervisor.masked
    assert should_hide_value_for_key(state.variable)  # type: ignore[no-untyped-call]  # Airflow's own


def test_an_api_server_that_fails_is_not_an_empty_state(supervisor: Supervisor) -> None:
    """A token that cannot be read now is asked for again, and never taken for one that does not exist."""
    state = AirflowSecretState("acme_books", None)
    state.write({"access": "token-one"})
    supervisor.fails = ["GetVariable"]
    assert state.read() == {"access": "token-one"}
    supervisor.fails = ["GetVariable", "GetVariableKeys"]
    with pytest.raises(ConnectionFailure, match="iw_state_secret_acme_books"):
        state.read()
    supervisor.fails = ["GetVariable", "GetVariable"]
    with pytest.raises(FixConfiguration, match="cannot give its value"):
        state.read()
    supervisor.fails = ["PutVariable"]
    with pytest.raises(ConnectionFailure):
        state.write({"access": "token-three"})
    assert json.loads(supervisor.variables[state.variable]) == {"access": "token-one"}


@pytest.mark.parametrize("text", ["token", "[1]", '{"access": 1}', ""])
def test_a_variable_with_something_else_in_it_is_refused(supervisor: Supervisor, text: str) -> None:
    """A value that somebody has typed there is named, not shown."""
    state = AirflowSecretState("acme_books", None)
    supervisor.variables[state.variable] = text
    with pytest.raises(FixConfiguration, match="does not hold what was written") as caught:
        state.read()
    assert "access" not in str(caught.value)


def test_odd_keys_are_refused() -> None:
    """A key becomes part of a URL of Airflow's API: only plain signs."""
    for key in ("a/b", "", "ä", "x" * 201, "a b"):
        with pytest.raises(FixConfiguration):
            AirflowSecretState(key, None)


def test_the_lock_needs_the_ledger() -> None:
    """Without a ledger no token is renewed, because nobody could keep a second task from doing so, too."""
    with pytest.raises(FixConfiguration, match="Make the Airflow connection 'iw_ledger'"):
        AirflowSecretState("acme_books", None).lock()


@pytest.mark.ledger
def test_one_writer_at_a_time(ledger: Ledger, supervisor: Supervisor) -> None:
    """Tasks that find a worn token renew it one after the other; a token is never used up twice."""
    used: list[str] = []
    AirflowSecretState("acme_books", ledger).write({"refresh": "0"})
    other = Ledger.connect(ledger.engine.url)

    def renew(through: Ledger) -> None:
        state = AirflowSecretState("acme_books", through)
        with state.lock():
            token = state.read()["refresh"]
            used.append(token)
            state.write({"refresh": str(int(token) + 1)})

    threads = [threading.Thread(target=renew, args=(each,)) for each in (ledger, other) * 6]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    other.close()
    assert used == [str(n) for n in range(12)]
    assert len(supervisor.variables) == 1


SERVER = """
import sys
import sqlalchemy as sa
from airflow import settings
from airflow.models.team import Team
from airflow.models.variable import Variable
from airflow.utils.session import create_session
from iw_operators.errors import InterWeaveError
from iw_operators.state import AirflowSecretState

state = AirflowSecretState("acme_books", None)
if sys.argv[1] == "away":
    try:
        state.read()
    except InterWeaveError as error:
        print(type(error).__name__)
    sys.exit()
Variable.metadata.create_all(settings.engine, [Team.__table__, Variable.__table__])
assert dict(state.read()) == {}
for value in ({"access": "token-one"}, {"access": "token-two", "refresh": "r"}):
    state.write(value)
    assert dict(AirflowSecretState("acme_books", None).read()) == value
assert dict(AirflowSecretState("acme_crm", None).read()) == {}
with create_session() as session:
    (stored,) = session.execute(sa.text("SELECT val FROM variable")).scalars()
    assert "token" not in stored
    session.execute(sa.text("UPDATE variable SET val = 'broken'"))
try:
    state.read()
except InterWeaveError as error:
    print(type(error).__name__, error.code)
"""


@pytest.mark.parametrize(
    ("what", "says"), [("keep", "FixConfiguration iw.state_unreadable"), ("away", "ConnectionFailure")]
)
def test_a_server_process_keeps_tokens_in_the_database(tmp_path: Path, what: str, says: str) -> None:
    """The api-server and the command line have no supervisor: they use Airflow's database, encrypted as Airflow does.

    A variable that cannot be decrypted and a database that fails are told apart, and neither is an empty state.
    """
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__FERNET_KEY": "81HqDtbqAywKSOumSha3BhWNOdQ26slT6K0YaZeZyPs=",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "PYTHONPATH": ".",
    }
    done = subprocess.run([sys.executable, "-c", SERVER, what], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == says


def test_state_in_memory() -> None:
    """For scripts: what is written is read, copies are given out, the lock may be taken again by its holder."""
    state = MemorySecretState({"a": "1"})
    first = state.read()
    with state.lock(), state.lock():
        state.write({"b": "2"})
    assert (first, state.read()) == ({"a": "1"}, {"b": "2"})
