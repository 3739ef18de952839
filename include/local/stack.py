"""PostgreSQL, the sandboxes and an Airflow that belong together, with all their data below one folder."""

from __future__ import annotations

import importlib
import itertools
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from iw_operators.ledger.store import Ledger
from iw_operators.spec.models import Company
from local.airflow import REPOSITORY, LocalAirflow, free_port, port_is_free
from local.postgres import Postgres, PostgresError
from local.sandboxes import SandboxProcess
from sandbox import mail

DAG_SECONDS = 120.0
PAGE = 100  # DAGs that Airflow lists at a time, at most
SEED = "acme"  # whose data the sandboxes hold for companies that have none of their own


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything but PostgreSQL listens on the loopback interface; PostgreSQL takes a free port."""

    airflow: int
    worker_log: int
    trigger_log: int
    sandboxes: Mapping[str, int]

    @classmethod
    def free(cls, sandboxes: tuple[str, ...]) -> Ports:
        """Return ports that nothing listens on now."""
        return cls(free_port(), free_port(), free_port(), {name: free_port() for name in sandboxes})


@dataclass(slots=True)
class Stack:
    """One of each.

    :param say: is told what is being done now.
    :param durable: False for data that need not survive a power cut.
    :param extra_env: more of Airflow's environment.
    """

    home: Path
    ports: Ports
    mappings: Path = REPOSITORY / "mappings"
    say: Callable[[str], None] = lambda _: None
    durable: bool = True
    extra_env: Mapping[str, str] = field(default_factory=dict)
    postgres: Postgres = field(init=False)
    sandboxes: SandboxProcess = field(init=False)
    airflow: LocalAirflow = field(init=False)
    ledger: Ledger = field(init=False)
    _cleanup: ExitStack = field(init=False, default_factory=ExitStack)

    def start(self, companies: Mapping[str, Company]) -> None:
        """Start everything, with the connections of these companies. Raises RuntimeError saying what is in the way.

        Airflow takes longest, so it begins at once, and the rest is done meanwhile.
        """
        self._check_ports()
        self.say("Starting PostgreSQL")
        self.postgres = Postgres(self.home / "postgres", durable=self.durable)
        self._cleanup.callback(self.postgres.stop)
        try:
            self.postgres.start()
        except PostgresError as error:
            raise RuntimeError(str(error)) from None
        ledger_url = self.postgres.url("interweave")
        self.say("Starting Airflow")
        self.airflow = LocalAirflow(
            self.home / "airflow",
            self.postgres.url("airflow"),
            self.ports.airflow,
            mappings=self.mappings,
            extra_env=self.extra_env,
            worker_log_port=self.ports.worker_log,
            trigger_log_port=self.ports.trigger_log,
        )
        self._cleanup.callback(self.airflow.stop)
        self.airflow.launch()
        seed = next((name for name in companies if find_spec(f"sandbox.seed.{name}")), SEED)
        data = self.home / ("sandbox" if seed == SEED else f"sandbox-{seed}")
        self.sandboxes = SandboxProcess(data, self.ports.sandboxes, self.home / "logs" / "sandbox.log", seed)
        self._cleanup.callback(self.sandboxes.stop)
        self.sandboxes.start()
        self.ledger = Ledger.connect(ledger_url)
        self._cleanup.callback(self.ledger.close)
        self.ledger.upgrade()
        self.airflow.wait(lambda seconds: self.say(f"Starting Airflow ({seconds:.0f} s)"))
        own = {"iw_ledger": postgres_connection(ledger_url)}
        if "mail" in self.ports.sandboxes:
            own["smtp_default"] = mail.airflow_connection(self.ports.sandboxes["mail"])
        self.airflow.connect(own | self.connections(companies))

    def connections(self, companies: Mapping[str, Company]) -> dict[str, dict[str, Any]]:
        """Return the connections that companies name, leading to the sandboxes."""
        made = {}
        for company in companies.values():
            for end in (company.crm, company.books):
                vendor = importlib.import_module(f"sandbox.{end.system}")
                made[end.connection] = vendor.airflow_connection(self.sandboxes.url(end.system))
        return made

    def wait_for_dags(self, wanted: set[str]) -> None:
        """Wait until Airflow shows these DAGs. Raises RuntimeError with Airflow's import errors."""
        deadline = time.monotonic() + DAG_SECONDS
        while missing := wanted - self.dags():
            self.say(f"Waiting for the DAGs ({len(wanted) - len(missing)} of {len(wanted)})")
            if time.monotonic() > deadline:
                errors = self.airflow.get("/importErrors")["import_errors"]
                msg = f"Airflow does not show {sorted(missing)}. Import errors: {errors or 'none'}"
                raise RuntimeError(msg)
            time.sleep(0.5)

    def dags(self) -> set[str]:
        """Return the ids of all DAGs that Airflow shows."""
        found: set[str] = set()
        for offset in itertools.count(0, PAGE):
            page = self.airflow.get("/dags", params={"limit": PAGE, "offset": offset, "exclude_stale": True})
            found |= {dag["dag_id"] for dag in page["dags"]}
            if offset + PAGE >= page["total_entries"]:
                break
        return found

    def _check_ports(self) -> None:
        named = {"IW_DEMO_PORT": self.ports.airflow}
        named |= {f"IW_SANDBOX_PORT_{name.upper()}": port for name, port in self.ports.sandboxes.items()}
        named |= {"IW_DEMO_WORKER_LOG_PORT": self.ports.worker_log, "IW_DEMO_TRIGGER_LOG_PORT": self.ports.trigger_log}
        for name, number in named.items():
            if not port_is_free(number):
                msg = f"port {number} is in use (another demo?). Stop what uses it, or set {name} to a free port."
                raise RuntimeError(msg)

    def control(self, sandbox: str, action: str, body: Any = None) -> Any:
        """Call a sandbox's control: `stats`, or `reset` and `faults` with a body."""
        url = f"{self.sandboxes.url(sandbox)}/_sandbox/{action}"
        answer = httpx.get(url, timeout=60.0) if body is None else httpx.post(url, json=body, timeout=60.0)
        answer.raise_for_status()
        return answer.json()

    def stop(self) -> None:
        """Stop everything, in the reverse order; data stays."""
        self._cleanup.close()


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
