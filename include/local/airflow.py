"""A whole Airflow of one's own: `airflow standalone` with its home, ports and PostgreSQL in one folder.

The demo and the end-to-end tests run the same thing. Nothing outside the folder is touched.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx
import psutil

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 180.0
STOP_SECONDS = 8.0
USERS = {"admin": "admin", "oper": "op", "view": "viewer"}  # user: role; the password is the user's name


def free_port() -> int:
    """Return a TCP port on the loopback interface that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Tell whether a TCP port on the loopback interface can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass(slots=True)
class LocalAirflow:
    """One Airflow. `metadata_url` is an SQLAlchemy URL."""

    home: Path
    metadata_url: str
    port: int
    mappings: Path = REPOSITORY / "mappings"
    dags: Path = REPOSITORY / "dags"
    extra_env: Mapping[str, str] = field(default_factory=dict)
    worker_log_port: int = field(default_factory=free_port)
    trigger_log_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    _log: IO[bytes] | None = None
    _tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the UI and the REST API are."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_file(self) -> Path:
        """Where the components' output goes."""
        return self.home / "standalone.log"

    def environment(self) -> dict[str, str]:
        """Return the environment in which Airflow's own processes and its CLI run."""
        keep = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")}
        path = os.pathsep.join(str(REPOSITORY / part) for part in (".", "include"))
        return {
            **keep,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{keep.get('PATH', '')}",
            "PYTHONPATH": path,
            "NO_PROXY": "127.0.0.1,localhost",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__FERNET_KEY": self._secret("fernet.key"),
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{u}:{r}" for u, r in USERS.items()),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.metadata_url,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": self._secret("api.key"),
            "AIRFLOW__API_AUTH__JWT_SECRET": self._secret("jwt.key", 64),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(self.worker_log_port),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(self.trigger_log_port),
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",  # tasks that a stop has cut off begin again soon
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "15",
            # A task that a stop has cut off may begin again before the API server listens.
            "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "30",
            "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "2",
            "AIRFLOW__INTERWEAVE__MAPPINGS_FOLDER": str(self.mappings),
            **self.extra_env,
        }

    def _secret(self, name: str, size: int = 32) -> str:
        file = self.home / name
        if not file.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_text(base64.urlsafe_b64encode(os.urandom(size)).decode())
        return file.read_text()

    def run_python(self, *arguments: str) -> str:
        """Run this Python in Airflow's environment; return what it printed. Raises RuntimeError with its errors."""
        done = subprocess.run(  # noqa: S603  our own program with our own arguments
            [sys.executable, *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            check=False,
        )
        if done.returncode:
            msg = f"{' '.join(arguments[:4])} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
            raise RuntimeError(msg)
        return done.stdout

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `airflow ...` as a user would; return what it did."""
        return subprocess.run(  # noqa: S603  our own program with our own arguments
            [sys.executable, "-m", "airflow", *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            check=False,
        )

    def launch(self) -> None:
        """Start all components, which make or migrate the metadata database; returns at once."""
        self.home.mkdir(parents=True, exist_ok=True)
        passwords = self.home / "passwords.json"
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({user: user for user in USERS}))
        self._log = self.log_file.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "standalone"],
            env=self.environment(),
            stdout=self._log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=self.home,
            start_new_session=True,
        )

    def wait(self, tick: Callable[[float], None] = lambda _: None) -> None:
        """Wait until all components are healthy; `tick` is told the seconds that have passed.

        Raises RuntimeError with the end of the log.
        """
        began = time.monotonic()
        while not self.healthy():
            passed = time.monotonic() - began
            if self.process is None or self.process.poll() is not None or passed > START_SECONDS:
                tail = self.log_file.read_text(errors="replace")[-3000:]
                msg = f"Airflow did not become healthy; the end of {self.log_file}:\n{tail}"
                raise RuntimeError(msg)
            tick(passed)
            time.sleep(0.3)

    def healthy(self) -> bool:
        """Tell whether scheduler, triggerer, DAG processor and API answer that they are well."""
        try:
            answer = httpx.get(f"{self.url}/api/v2/monitor/health", timeout=5.0)
        except httpx.HTTPError:
            return False
        if answer.status_code != httpx.codes.OK:
            return False
        parts = answer.json()
        return all(parts[name]["status"] == "healthy" for name in ("scheduler", "triggerer", "dag_processor"))

    def stop(self) -> None:
        """Stop every process of this Airflow, task processes included."""
        if self.process is None:
            return
        # Only the parent is told, which ends the others in order: a signal to all of them makes the scheduler hang.
        family = _family(self.process.pid)
        self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=STOP_SECONDS)  # longer while a task runs: the scheduler waits for it in vain
        left = family | _family(self.process.pid)
        for kind in (signal.SIGTERM, signal.SIGKILL):
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(kind)
            _, left = psutil.wait_procs(left, timeout=STOP_SECONDS)
        self.process.wait()
        self.process = None
        if self._log:
            self._log.close()

    def api(self, method: str, path: str, *, user: str = "admin", **arguments: Any) -> httpx.Response:
        """Call the REST API (`path` without `/api/v2`) as one of `USERS`."""
        return self.request(method, f"/api/v2{path}", user=user, **arguments)

    def request(self, method: str, path: str, *, user: str = "admin", **arguments: Any) -> httpx.Response:
        """Call anything that this Airflow serves, as one of `USERS`."""
        answer = self._request(method, path, user, arguments)
        if answer.status_code == httpx.codes.UNAUTHORIZED and self._tokens.pop(user, ""):
            answer = self._request(method, path, user, arguments)
        return answer

    def _request(self, method: str, path: str, user: str, arguments: Mapping[str, Any]) -> httpx.Response:
        if user not in self._tokens:
            answer = httpx.post(f"{self.url}/auth/token", json={"username": user, "password": user}, timeout=30.0)
            answer.raise_for_status()
            self._tokens[user] = answer.json()["access_token"]
        headers = {"Authorization": f"Bearer {self._tokens[user]}"}
        return httpx.request(method, f"{self.url}{path}", headers=headers, timeout=60.0, **arguments)

    def get(self, path: str, **arguments: Any) -> Any:
        """Return the JSON answer of a GET; raises httpx.HTTPStatusError."""
        answer = self.api("GET", path, **arguments)
        answer.raise_for_status()
        return answer.json()

    def connect(self, connections: Mapping[str, Mapping[str, Any]]) -> None:
        """Make or replace connections, each in Airflow's JSON form. Raises RuntimeError with Airflow's words."""
        entities = [
            {**body, "connection_id": conn_id, "extra": json.dumps(body.get("extra", {}))}
            for conn_id, body in connections.items()
        ]
        action = {"action": "create", "action_on_existence": "overwrite", "entities": entities}
        answer = self.api("PATCH", "/connections", json={"actions": [action]})
        if answer.is_error or answer.json()["create"]["errors"]:
            msg = f"Airflow does not take the connections {', '.join(connections)}: {answer.text}"
            raise RuntimeError(msg)

    def unpause(self, dag_id: str, *, paused: bool = False) -> None:
        """Unpause (or pause) a DAG."""
        self.api("PATCH", f"/dags/{dag_id}", json={"is_paused": paused}).raise_for_status()

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, **body: Any) -> str:
        """Start a run now; return its run id."""
        body = {"logical_date": None, "conf": dict(conf or {}), **body}
        answer = self.api("POST", f"/dags/{dag_id}/dagRuns", json=body)
        answer.raise_for_status()
        return str(answer.json()["dag_run_id"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return a DAG's runs, newest first."""
        found = self.get(f"/dags/{dag_id}/dagRuns", params={"order_by": "-run_after", "limit": 100})
        return list(found["dag_runs"])

    def wait_run(self, dag_id: str, run_id: str, seconds: float = 180.0) -> str:
        """Wait for a run to end; return its state. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            state = str(self.get(f"/dags/{dag_id}/dagRuns/{run_id}")["state"])
            if state in {"success", "failed"}:
                return state
            time.sleep(0.5)
        msg = f"{dag_id} {run_id} did not end in {seconds:.0f} s"
        raise TimeoutError(msg)


def _family(pid: int) -> set[psutil.Process]:
    """Return a process that leads a session, its descendants, and whoever else is of that session."""
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if pid in (process.pid, os.getsid(process.pid)):
                found |= {process, *process.children(recursive=True)}
    return found
