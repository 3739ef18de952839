"""Everything that the demo starts and stops, and the running of the first runs."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from demo.show import Progress
from iw_operators.ledger.store import Ledger
from iw_operators.spec.loader import load_company
from iw_operators.spec.models import FlowKind
from iw_operators.spec.resolved import CompanySpec
from local.airflow import REPOSITORY, LocalAirflow, port_is_free
from local.postgres import Postgres
from local.sandboxes import SandboxProcess
from sandbox.__main__ import PORTS, port_of

RUN_SECONDS = 600.0
SCHEDULER_SECONDS = 6.0  # how long the scheduler is given to make a run by itself before one is triggered


@dataclass(frozen=True, slots=True)
class FirstRun:
    """One run that the demo waited for."""

    flow: str
    dag_id: str
    run_id: str
    state: str


class Stack:
    """PostgreSQL, sandboxes and Airflow of one demo, with their data below `home`."""

    def __init__(self, home: Path, company: str, progress: Progress) -> None:
        self.home = home
        self.progress = progress
        self.spec = _load(company)
        self.postgres = Postgres(home / "postgres")
        self.sandboxes = SandboxProcess(home / "sandbox", {n: port_of(n) for n in PORTS}, home / "logs" / "sandbox.log")
        self.airflow: LocalAirflow | None = None
        self.ledger: Ledger | None = None

    def start(self) -> None:
        """Start everything. Raises RuntimeError saying what is in the way."""
        port = _port("IW_DEMO_PORT", 8080)
        for name, number in {"IW_DEMO_PORT": port, **_sandbox_variables(self.sandboxes.ports)}.items():
            if not port_is_free(number):
                msg = f"port {number} is in use (another demo?). Stop what uses it, or set {name} to a free port."
                raise RuntimeError(msg)
        self.progress.say("Starting PostgreSQL")
        self.postgres.start()
        ledger_url = self.postgres.url("interweave")
        self.progress.say("Starting the sandboxes")
        self.sandboxes.start()
        self.airflow = LocalAirflow(
            self.home / "airflow",
            self.postgres.url("airflow"),
            ledger_url,
            port,
            connections=self._connections(ledger_url),
            worker_log_port=_port("IW_DEMO_WORKER_LOG_PORT", 8793),
            trigger_log_port=_port("IW_DEMO_TRIGGER_LOG_PORT", 8794),
        )
        self.progress.say("Preparing Airflow (databases, connections, pools)")
        self.airflow.prepare()
        self.progress.say("Starting Airflow")
        self.airflow.start(lambda seconds: self.progress.say(f"Starting Airflow ({seconds:.0f} s)"))
        self.ledger = Ledger.connect(ledger_url)

    def _connections(self, ledger_url: str) -> dict[str, Mapping[str, Any]]:
        company = self.spec.company
        made: dict[str, Mapping[str, Any]] = {"iw_ledger": postgres_connection(ledger_url)}
        for end in (company.crm, company.books):
            vendor = importlib.import_module(f"sandbox.{end.system}")
            made[end.connection] = vendor.airflow_connection(self.sandboxes.url(end.system))
        return made

    def first_runs(self) -> list[FirstRun]:
        """Unpause every flow; wait for a first run of each scheduled one, one after the other, in the specs' order."""
        assert self.airflow  # noqa: S101  `start` comes first
        self._wait_for_dags()
        done = []
        for name, flow in self.spec.flows.items():
            before = {run["dag_run_id"] for run in self.airflow.runs(flow.dag_id)}
            self.airflow.unpause(flow.dag_id)
            if flow.kind is not FlowKind.SCHEDULED:
                continue
            run_id = self._new_run(flow.dag_id, before)
            state = self._follow(name, flow.dag_id, run_id)
            self.progress.done(name, state)
            done.append(FirstRun(name, flow.dag_id, run_id, state))
        return done

    def _wait_for_dags(self) -> None:
        assert self.airflow  # noqa: S101  `start` comes first
        wanted = {flow.dag_id for flow in self.spec.flows.values()}
        deadline = time.monotonic() + RUN_SECONDS
        while missing := wanted - self._dags():
            self.progress.say(f"Waiting for the DAGs ({len(wanted) - len(missing)} of {len(wanted)})")
            if time.monotonic() > deadline:
                errors = self.airflow.get("/importErrors")["import_errors"]
                msg = f"Airflow does not show {sorted(missing)}. Import errors: {errors or 'none'}"
                raise RuntimeError(msg)
            time.sleep(0.5)

    def _dags(self) -> set[str]:
        assert self.airflow  # noqa: S101  `start` comes first
        found = self.airflow.get("/dags", params={"limit": 500, "exclude_stale": True})
        return {dag["dag_id"] for dag in found["dags"]}

    def _new_run(self, dag_id: str, before: set[str]) -> str:
        assert self.airflow  # noqa: S101  `start` comes first
        deadline = time.monotonic() + SCHEDULER_SECONDS
        while time.monotonic() < deadline:
            for run in self.airflow.runs(dag_id):
                if run["dag_run_id"] not in before or run["state"] in {"queued", "running"}:
                    return str(run["dag_run_id"])
            time.sleep(0.5)
        return self.airflow.trigger(dag_id)

    def _follow(self, name: str, dag_id: str, run_id: str) -> str:
        assert self.airflow  # noqa: S101  `start` comes first
        deadline = time.monotonic() + RUN_SECONDS
        while time.monotonic() < deadline:
            try:
                state = str(self.airflow.get(f"/dags/{dag_id}/dagRuns/{run_id}")["state"])
                tasks = self.airflow.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
            except httpx.HTTPError:
                time.sleep(1.0)
                continue
            self.progress.tasks(name, {task["task_id"]: task["state"] or "waiting" for task in tasks})
            if state in {"success", "failed"}:
                return state
            time.sleep(0.5)
        msg = f"{dag_id} {run_id} did not end within {RUN_SECONDS:.0f} s; see {self.airflow.url}"
        raise RuntimeError(msg)

    def stop(self) -> None:
        """Stop everything, in the reverse order; data stays."""
        if self.ledger:
            self.ledger.close()
        if self.airflow:
            self.airflow.stop()
        self.sandboxes.stop()
        self.postgres.stop()


def postgres_connection(url: str) -> dict[str, Any]:
    """Return an Airflow connection for a PostgreSQL URL."""
    parts = urlsplit(url)
    return {
        "conn_type": "postgres",
        "host": parts.hostname,
        "port": parts.port,
        "login": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "schema": parts.path.lstrip("/"),
    }


def _load(company: str) -> CompanySpec:
    folder = REPOSITORY / "mappings" / company
    spec, errors = load_company(folder)
    if errors or spec is None:
        msg = "\n".join([f"the specs in {folder} have errors:", *map(str, errors)])
        raise RuntimeError(msg)
    return spec


def _sandbox_variables(ports: Mapping[str, int]) -> dict[str, int]:
    return {f"IW_SANDBOX_PORT_{name.upper()}": port for name, port in ports.items()}


def _port(variable: str, default: int) -> int:
    value = os.environ.get(variable, str(default))
    if not value.isdigit() or not 0 < int(value) <= 65_535:
        sys.exit(f"{variable}={value!r} is not a port; expected a number from 1 to 65535")
    return int(value)
