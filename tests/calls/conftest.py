"""The app for calls over a real ledger, with the demo company's specs and another company beside it."""

from __future__ import annotations

import datetime as dt
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import uvicorn

from iw_operators.calls.app import make_app
from iw_operators.calls.desk import Desk
from iw_operators.calls.doors import Connections, Door, WrongOnes, doors
from iw_operators.errors import ConnectionFailure, FixConfiguration
from iw_operators.ledger.flow_tables import inbox
from iw_operators.ledger.store import Ledger
from iw_operators.spec.loader import load_company
from sandbox.common.serve import Server
from tests import web
from tests.systems.kit_calls import NOW, SECRET, body_of, signed

MAPPINGS = Path(__file__).resolve().parents[2] / "mappings"


@dataclass
class Office:
    """What a test does with the app."""

    ledger: Ledger
    extras: dict[str, dict[str, Any]]
    woken: list[tuple[str, dict[str, set[str]]]] = field(default_factory=list)
    away: bool = False
    now: dt.datetime = NOW
    seconds: float = 0.0
    known: list[Door] = field(default_factory=list)
    client: httpx.Client = field(init=False)
    desk: Desk = field(init=False)

    def __post_init__(self) -> None:
        """Put the app together."""
        self.desk = Desk(
            lambda: self.known,
            Connections(self.find, lambda: self.seconds),
            self.open,
            lambda company, flows: self.woken.append((company, {**flows})),
            WrongOnes(most=5, clock=lambda: self.seconds),
            now=lambda: self.now,
            clock=lambda: self.seconds,
        )

    def find(self, conn_id: str) -> Any:
        """Return a connection, as Airflow has it."""
        if conn_id not in self.extras:
            raise FixConfiguration(f"no {conn_id}")
        return SimpleNamespace(extra_dejson=self.extras[conn_id])

    def open(self) -> Ledger:
        """Return the ledger, unless it is away."""
        if self.away:
            raise ConnectionFailure("The ledger does not answer.")
        return self.ledger

    def call(self, path: str, data: Any, system: str = "", headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Call, signed as the side's system does."""
        body = data if isinstance(data, bytes) else body_of(data)
        system = system or ("creatio" if path.endswith("/crm") else "quickbooks_online")
        made = signed(system, body, at=self.now) if headers is None else headers
        return self.client.post(path, content=body, headers=dict(made))

    def rows(self) -> list[dict[str, Any]]:
        """Return what has been put down."""
        query = sa.select(
            inbox.c.company, inbox.c.side, inbox.c.object, inbox.c.record_id, inbox.c.mapping, inbox.c.flow
        )
        with self.ledger.engine.connect() as connection:
            return [dict(row) for row in connection.execute(query.order_by(inbox.c.id)).mappings()]


@pytest.fixture
def office(ledger: Ledger, tmp_path: Path) -> Iterator[Office]:
    """The app with companies `acme` (the demo's) and `globex` (the same specs, other connections)."""
    other = tmp_path / "globex"
    other.mkdir()
    for file in (MAPPINGS / "acme").glob("*.yaml"):
        (other / file.name).write_text(file.read_text().replace("acme", "globex"))
    specs = [load_company(MAPPINGS / "acme")[0], load_company(other)[0]]
    made = Office(
        ledger,
        {
            "acme_crm": {"webhook_secret": SECRET},
            "acme_books": {"verifier_token": SECRET, "realm_id": "1234567890"},
            "globex_crm": {"webhook_secret": SECRET.upper()},
            "globex_books": {"verifier_token": SECRET, "realm_id": "77"},
        },
        known=doors(spec for spec in specs if spec is not None),
    )
    with served(make_app(made.desk)) as url, web.client(base_url=url) as made.client:
        yield made


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an app on a free port of this machine, as Airflow's API server does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.005)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.stop()
        thread.join()
