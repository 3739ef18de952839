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
import sandbox.quickbooks_online
from chaos.pool import Workers
from iw_operators.ledger.store import Ledger
from iw_operators.spec.loader import load_company
from iw_operators.spec.models import FlowKind
from iw_operators.spec.resolved import CompanySpec
from local.airflow import REPOSITORY, free_port
from local.postgres import Postgres
from local.sandboxes import SandboxProcess
from local.stack import postgres_connection
from sandbox.quickbooks_online.options import CLIENT_ID

PAGE: Final = 40  # records that a task plans at a time
SIZES: Final = {"creatio": 7, "quickbooks_online": 4}  # writes of a call: small, so that a page has several
READ_TIMEOUT: Final = 1.5
PATIENCE: Final = 3.0  # longest that a slow answer takes; longer than the timeout, so that requests arrive late
ANYWHERE: Final = {
    "drop_before": 1.0,
    "drop_after": 3.0,
    "drop_middle": 2.0,
    "slow": 1.0,
    "slow_after": 1.0,
    "html": 1.0,
    "status_500": 1.0,
    "status_503": 1.0,
    "half_batch": 3.0,
}
OWN: Final[Mapping[str, Mapping[str, float]]] = {
    "creatio": {"login_page": 1.0, "expire_session": 1.0, "csrf": 1.0, "fail_after_insert": 2.0},
    "quickbooks_online": {
        "throttle": 1.0,
        "expire_token": 2.0,
        "stale": 2.0,
        "refresh_lost": 0.3,
        "old_refresh_dies": 0.5,
    },
}
PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "creatio": ("", "$batch", "GET /odata", "Login"),
    "quickbooks_online": ("", "/batch", "/query", "/cdc", "/tokens/bearer"),
}


@dataclass(slots=True)
class House:
    """All of it below one folder."""

    folder: Path
    company: str = "acme"
    postgres: Postgres = field(init=False)
    sandboxes: SandboxProcess = field(init=False)
    workers: Workers = field(init=False)
    spec: CompanySpec = field(init=False)
    ledger: Ledger = field(init=False)
    ledger_url: str = field(init=False, default="")
    refresh_token: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o711)  # as root the server runs as somebody else
        # What was committed has to survive an immediate shutdown: without that the comparison would be unfair.
        self.postgres = Postgres(
            self.folder / "postgres", port=free_port(), durable=False, settings={"synchronous_commit": "on"}
        )
        ports = {"creatio": free_port(), "quickbooks_online": free_port()}
        self.sandboxes = SandboxProcess(self.folder / "sandbox", ports, self.folder / "sandbox.log")
        self.workers = Workers(
            self.folder / "work",
            {"mappings": str(REPOSITORY / "mappings" / self.company), "sizes": SIZES, "page": PAGE},
            {},
        )

    def start(self) -> None:
        """Start everything. Raises RuntimeError or PostgresError."""
        found, errors = load_company(REPOSITORY / "mappings" / self.company)
        if found is None or errors:
            msg = f"the specs of {self.company} have errors: {errors}"
            raise RuntimeError(msg)
        self.spec = found
        self.postgres.start()
        self.ledger_url = self.postgres.url("ledger")
        self.ledger = Ledger.connect(self.ledger_url)
        self.ledger.upgrade()
        self.sandboxes.start()
        self.control("quickbooks_online", "reset", {"throttle": False})  # its faults throttle, its quotas do not
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
        made = {}
        for end, vendor in (
            (self.spec.company.crm, sandbox.creatio),
            (self.spec.company.books, sandbox.quickbooks_online),
        ):
            body = vendor.airflow_connection(self.sandboxes.url(end.system))
            body["extra"] = {**body.get("extra", {}), "read_timeout": READ_TIMEOUT}
            if end is self.spec.company.books and self.refresh_token:
                body["extra"]["refresh_token"] = self.refresh_token
            made[f"AIRFLOW_CONN_{end.connection.upper()}"] = json.dumps(body)
        return made

    def data(self, name: str) -> Path:
        """Return the SQLite file of one sandbox."""
        return self.sandboxes.data / f"{name}.sqlite"

    def scheduled(self) -> list[str]:
        """Return the flows that run by themselves, in the specs' order."""
        return [name for name, flow in self.spec.flows.items() if flow.kind is FlowKind.SCHEDULED]

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
        stats = (httpx.get(f"{self.sandboxes.url(name)}/_sandbox/stats", timeout=30).json() for name in OWN)
        return sum(len(each["faults"]) for each in stats)

    def trouble(self, dice: random.Random, number: int) -> int:
        """Arm some faults at random; return how many."""
        for _ in range(number):
            name = dice.choice([*OWN])
            kinds = {**ANYWHERE, **OWN[name]}
            kind = dice.choices([*kinds], [*kinds.values()])[0]
            place = dice.choice(PLACES[name])
            if kind in ("half_batch", "fail_after_insert", "stale"):
                place = ""
            self.arm(
                name,
                kind=kind,
                times=dice.choice((1, 1, 1, 2)),
                after=dice.randint(0, 5),
                match=place,
                seconds=round(dice.uniform(0.2, PATIENCE), 2),
            )
            if kind in ("refresh_lost", "old_refresh_dies"):  # a refresh is needed for them to strike
                self.arm(name, kind="expire_token", after=dice.randint(0, 5))
        return number

    def without_ledger(self, seconds: float, *, harsh: bool) -> None:
        """Stop the ledger's server, and start it again after some time."""
        if harsh:
            pid = int((self.postgres.data / "postmaster.pid").read_text().splitlines()[0])
            os.kill(pid, signal.SIGQUIT)  # immediate: sessions are cut off, the log is replayed at the start
        self.postgres.stop()
        time.sleep(seconds)
        self.postgres.start()

    def authorise_again(self) -> None:
        """Do what a person does when the refresh token is dead: authorise anew and correct the connection."""
        self.refresh_token = self.grant()["refresh_token"]

    def grant(self) -> dict[str, str]:
        """Return tokens of an authorisation of its own."""
        url = self.sandboxes.url("quickbooks_online")
        where = {"client_id": CLIENT_ID, "redirect_uri": "http://localhost/", "state": "x", "response_type": "code"}
        back = httpx.get(f"{url}/connect/oauth2", params=where, timeout=30).headers["location"]
        login = sandbox.quickbooks_online.airflow_connection(url)
        answer = httpx.post(
            f"{url}/oauth2/v1/tokens/bearer",
            data={"grant_type": "authorization_code", "code": httpx.URL(back).params["code"]},
            auth=(login["login"], login["password"]),
            timeout=30,
        )
        answer.raise_for_status()
        found: dict[str, str] = answer.json()
        return found
