"""What the harness plays with: a PostgreSQL, the sandboxes, workers, and the switches of all of them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

import sandbox.creatio
from chaos import crm
from chaos.books import READ_TIMEOUT, Books, Mischief
from chaos.books_desktop import Desktop
from chaos.books_online import Online
from chaos.pool import Workers
from iw_operators.ledger.store import Ledger
from iw_operators.spec.loader import load_company
from iw_operators.spec.models import FlowKind
from iw_operators.spec.resolved import CompanySpec
from local.airflow import REPOSITORY, free_port
from local.postgres import Postgres
from local.sandboxes import SandboxProcess
from local.stack import postgres_connection

PAGE: Final = 40  # records that a task plans at a time
CRM_SIZE: Final = 7  # writes of a call: small, so that a page has several
BOOKS: Final[Mapping[str, type[Books]]] = {Online.system: Online, Desktop.system: Desktop}


@dataclass(slots=True)
class House:
    """All of it below one folder. Raises RuntimeError for specs with errors.

    :param company: a folder of `mappings/`, and the seed of that name.
    """

    folder: Path
    company: str = "acme"
    postgres: Postgres = field(init=False)
    sandboxes: SandboxProcess = field(init=False)
    workers: Workers = field(init=False)
    spec: CompanySpec = field(init=False)
    books: Books = field(init=False)
    ledger: Ledger = field(init=False)
    ledger_url: str = field(init=False, default="")

    def __post_init__(self) -> None:
        mappings = REPOSITORY / "mappings" / self.company
        found, errors = load_company(mappings)
        if found is None or errors:
            msg = f"the specs of {self.company} have errors: {errors}"
            raise RuntimeError(msg)
        self.spec = found
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o711)  # as root the server runs as somebody else
        # What was committed has to survive an immediate shutdown: without that the comparison would be unfair.
        self.postgres = Postgres(
            self.folder / "postgres", port=free_port(), durable=False, settings={"synchronous_commit": "on"}
        )
        kind = BOOKS[found.company.books.system]
        ports = {crm.SYSTEM: free_port(), kind.system: free_port()}
        self.sandboxes = SandboxProcess(self.folder / "sandbox", ports, self.folder / "sandbox.log", self.company)
        self.books = kind(self)
        options = {
            "mappings": str(mappings),
            "sizes": {crm.SYSTEM: CRM_SIZE, kind.system: kind.size},
            "modules": [f"systems.{kind.system}.{name}" for name in kind.modules],
            "page": PAGE,
        }
        self.workers = Workers(self.folder / "work", options, {})

    def start(self) -> None:
        """Start everything. Raises RuntimeError or PostgresError."""
        self.postgres.start()
        self.ledger_url = self.postgres.url("ledger")
        self.ledger = Ledger.connect(self.ledger_url)
        self.ledger.upgrade()
        self.sandboxes.start()
        self.books.started()
        state = self.folder / "state"
        state.mkdir(exist_ok=True)
        self.workers.env = {
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_IW_LEDGER": json.dumps(postgres_connection(self.ledger_url)),
            "IW_CHAOS_STATE": str(state),
            "XDG_RUNTIME_DIR": os.environ.get("XDG_RUNTIME_DIR", str(self.folder)),
            **self.connections(),
        }
        self.workers.start()

    def stop(self) -> None:
        """Stop everything; data stays."""
        with contextlib.suppress(AttributeError):
            self.ledger.close()
        self.workers.stop()
        self.books.close()
        self.sandboxes.stop()
        self.postgres.stop()

    def __enter__(self) -> House:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def connections(self) -> dict[str, str]:
        """Return the Airflow connections to both sandboxes as environment variables."""
        body = sandbox.creatio.airflow_connection(self.sandboxes.url(crm.SYSTEM))
        body["extra"] = {**body.get("extra", {}), "read_timeout": READ_TIMEOUT}
        ends = ((self.spec.company.crm, body), (self.spec.company.books, self.books.connection()))
        return {f"AIRFLOW_CONN_{end.connection.upper()}": json.dumps(made) for end, made in ends}

    def data(self, name: str) -> Path:
        """Return the SQLite file of one sandbox."""
        return self.sandboxes.data / f"{name}.sqlite"

    def scheduled(self) -> list[str]:
        """Return the flows that run by themselves, in the specs' order."""
        return [name for name, flow in self.spec.flows.items() if flow.kind is FlowKind.SCHEDULED]

    def mappings(self) -> set[tuple[str, str]]:
        """Return the mappings of those flows, each with the side that it reads."""
        flows = (self.spec.flows[name] for name in self.scheduled())
        sides = {"to_books": "crm", "to_crm": "books"}
        return {(each.mapping, sides[flow.direction.value]) for flow in flows for each in flow.mappings}

    def control(self, name: str, action: str, body: Any) -> Any:
        """Use one sandbox's switches."""
        url = f"{self.sandboxes.url(name)}/_sandbox/{action}"
        answer = httpx.post(url, json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def arm(self, name: str, **fault: Any) -> None:
        """Arm one fault."""
        self.control(name, "faults", fault)

    def calm(self) -> None:
        """Disarm everything."""
        for name in self.sandboxes.ports:
            self.control(name, "faults", {"clear": True})

    def left(self) -> int:
        """Return how many armed faults have not struck yet."""
        stats = (httpx.get(f"{self.sandboxes.url(name)}/_sandbox/stats", timeout=30).json() for name in self._faulty())
        return sum(len(each["faults"]) for each in stats)

    def trouble(self, dice: random.Random, number: int) -> int:
        """Arm some faults at random; return how many."""
        faulty = self._faulty()
        for _ in range(number):
            name = dice.choice([*faulty])
            for fault in faulty[name].drawn(dice):
                self.arm(name, **fault)
        return number

    def sign_out(self) -> int:
        """End sessions and tokens, so that clients have to sign in; return how many faults that takes."""
        ended: list[tuple[str, Mapping[str, Any]]] = [(crm.SYSTEM, fault) for fault in crm.ENDED]
        ended += [(self.books.system, fault) for fault in self.books.ended]
        for name, fault in ended:
            self.arm(name, **fault)
        return len(ended)

    def _faulty(self) -> Mapping[str, Mischief]:
        return {crm.SYSTEM: crm.MISCHIEF, self.books.system: self.books.mischief}

    def without_ledger(self, seconds: float, *, harsh: bool) -> None:
        """Stop the ledger's server, and start it again after some time."""
        if harsh:
            pid = int((self.postgres.data / "postmaster.pid").read_text().splitlines()[0])
            os.kill(pid, signal.SIGQUIT)  # immediate: sessions are cut off, the log is replayed at the start
        self.postgres.stop()
        time.sleep(seconds)
        self.postgres.start()
