"""A worker at a customer's site: `airflow edge worker` as a process with an environment and a home of its own.

It dials out to the API server and to the ledger, and has neither the metadata database nor the Fernet key.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from local.airflow import LocalAirflow

EXECUTORS = "LocalExecutor,airflow.providers.edge3.executors.EdgeExecutor"
HEARTBEAT = "3"  # seconds; after five of them without a sign a worker counts as gone
PASSED_ON = ("PATH", "LANG", "TZ", "XDG_RUNTIME_DIR", "SSL_CERT_FILE")
STOP_SECONDS = 20.0


def central(port: int) -> dict[str, str]:
    """Return what the central Airflow needs besides, so that it serves workers at sites. `port` is its API's."""
    return {
        "AIRFLOW__CORE__EXECUTOR": EXECUTORS,
        "AIRFLOW__EDGE__API_ENABLED": "True",
        "AIRFLOW__EDGE__API_URL": f"http://127.0.0.1:{port}/edge_worker/v1/rpcapi",
        "AIRFLOW__EDGE__HEARTBEAT_INTERVAL": HEARTBEAT,
        # How long a worker's request may be on its way, clocks that differ included; then it is refused, and the worker
        # ends. An answer of the API may take its time as well.
        "AIRFLOW__API_AUTH__JWT_LEEWAY": "60",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
        # A task that waits for a worker which is away is put back into the queue, in effect for ever.
        "AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES": "1000",
    }


@dataclass(slots=True)
class SiteWorkerProcess:
    """One worker. `home` is its own folder; the specs and DAG files are those of the central Airflow.

    :param within: what runs a command somewhere else, and is put before it: `ip netns exec <name>` of a network
        namespace, for a machine with a network of its own. It has to become the command, not to start it.
    """

    home: Path
    airflow: LocalAirflow
    queue: str
    name: str
    extra_env: Mapping[str, str] = field(default_factory=dict)
    within: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        """Return the worker's whole environment."""
        theirs = self.airflow.environment()
        same = (
            *("AIRFLOW__CORE__EXECUTOR", "AIRFLOW__CORE__LOAD_EXAMPLES", "AIRFLOW__CORE__DAGS_FOLDER"),
            *("AIRFLOW__CORE__PLUGINS_FOLDER", "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"),
            *("AIRFLOW__EDGE__API_ENABLED", "AIRFLOW__EDGE__API_URL", "AIRFLOW__EDGE__HEARTBEAT_INTERVAL"),
            *("AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__API_AUTH__JWT_LEEWAY"),
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT",
        )
        return {
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": theirs["PYTHONPATH"],
            "NO_PROXY": "127.0.0.1,localhost",
            "HOME": str(self.home),
            "AIRFLOW_HOME": str(self.home),
            **{name: theirs[name] for name in same},
            **{name: value for name, value in theirs.items() if name.startswith("AIRFLOW__INTERWEAVE__")},
            "AIRFLOW__EDGE__JOB_POLL_INTERVAL": "1",
            **self.extra_env,
        }

    def start(self) -> None:
        """Start it; returns at once."""
        self.home.mkdir(parents=True, exist_ok=True)
        command = ("airflow", "edge", "worker", "--queues", self.queue, "--concurrency", "1")
        with (self.home / "worker.log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603  our own program with our own arguments
                [*self.within, sys.executable, "-m", *command, "--edge-hostname", self.name],
                env=self.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.home,
                start_new_session=True,
            )

    def tasks(self) -> list[psutil.Process]:
        """Return the processes below the worker's own."""
        if self.process is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            return list(psutil.Process(self.process.pid).children(recursive=True))
        return []

    def kill(self) -> None:
        """Kill the worker and everything below it, as a power cut does."""
        if self.process is None:
            return
        for process in self.tasks():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self) -> None:
        """Ask it to end; kill what is left."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=STOP_SECONDS)
        self.kill()
