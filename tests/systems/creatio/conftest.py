"""A local Creatio over a socket, and our system over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from iw_operators.systems.creatio.auth import Auth, Forms, OAuth
from iw_operators.systems.creatio.batch import Part
from iw_operators.systems.creatio.client import Client
from iw_operators.systems.creatio.system import CreatioSystem
from iw_operators.systems.http import Timeouts, Transport, transport_over
from sandbox.common.serve import Running, serve
from sandbox.creatio import CreatioSandbox, make
from sandbox.seed import acme
from sandbox.seed.world import World
from tests.systems.creatio.helpers import Kept


@dataclass
class Site:
    """One running sandbox with what tests do to it."""

    running: Running[CreatioSandbox]
    session: requests.Session

    @property
    def url(self) -> str:
        return self.running.url

    def transport(self, timeouts: Timeouts | None = None) -> Transport:
        return transport_over(self.session, timeouts or Timeouts(5, 30), "Creatio")

    def client(
        self,
        *,
        auth: str = "forms",
        platform: str = "core",
        state: Kept | None = None,
        timeouts: Timeouts | None = None,
    ) -> Client:
        way: Auth = Forms(self.url, "Supervisor", "Supervisor1!")
        if auth == "oauth":
            way = OAuth(self.url, self.url, "iw-client", "iw-secret")
        return Client(self.transport(timeouts), way, state or Kept(), site=self.url, platform=platform)

    def system(self, **options: Any) -> CreatioSystem:
        return CreatioSystem(self.client(**options))

    def fault(self, kind: str, **spec: Any) -> None:
        answer = self.session.post(f"{self.url}/_sandbox/faults", json={"kind": kind, **spec}, timeout=10)
        assert answer.status_code == 200, answer.text

    def forget(self) -> None:
        """Start counting anew."""
        self.session.post(f"{self.url}/_sandbox/reset", json={"keep_data": True}, timeout=10)

    def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = self.session.get(f"{self.url}/_sandbox/stats", timeout=10).json()
        return found

    def requests(self) -> int:
        """Return how many requests the vendor's part has had since the start or `forget`."""
        return int(self.stats()["requests"])

    def edit(self, user: Client, *changes: tuple[str, str, dict[str, Any]]) -> None:
        """Do what a user does: (object, id or empty, columns)."""
        parts = [
            Part("PATCH", f"{name}({key})", body) if key else Part("POST", name, body) for name, key, body in changes
        ]
        assert all(200 <= answer.status < 300 for answer in user.write(parts))


MakeSite = Callable[..., Site]


@pytest.fixture
def make_site() -> Iterator[MakeSite]:
    """Serve a world; options are those of the sandbox."""
    with ExitStack() as stack:

        def build(world: World, **options: Any) -> Site:
            session = stack.enter_context(requests.Session())
            session.trust_env = False
            return Site(stack.enter_context(serve(make(world, **options))), session)

        yield build


@pytest.fixture
def empty_site(make_site: MakeSite) -> Site:
    """A fresh Creatio with reference lists only."""
    return make_site(acme.empty())


@pytest.fixture
def acme_site(make_site: MakeSite) -> Site:
    """Acme's Creatio."""
    return make_site(acme.build())
