"""A local QuickBooks Online over a socket, and our system over it.

Airflow gets a home of its own before anything imports it, unless another part of the tests has given it one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="iw-airflow-"))

import pytest
import requests

from iw_operators.systems.base import SecretState
from iw_operators.systems.http import Timeouts, transport_over
from iw_operators.systems.quickbooks_online.client import Client
from iw_operators.systems.quickbooks_online.limiter import Limiter, Quota
from iw_operators.systems.quickbooks_online.system import QuickBooksOnline as System
from iw_operators.systems.quickbooks_online.tokens import Credentials, SignIn
from sandbox.common.serve import Running, serve
from sandbox.quickbooks_online import Options, QuickBooksOnline, make
from sandbox.seed.world import World
from tests.systems.quickbooks_online.fakes import MemoryState

FREE = Limiter((Quota(1_000_000, 1.0),))


@dataclass
class Site:
    """One running sandbox, with what tests do to it."""

    running: Running[QuickBooksOnline]
    session: requests.Session

    @property
    def url(self) -> str:
        return self.running.url

    @property
    def token_url(self) -> str:
        return f"{self.url}/oauth2/v1/tokens/bearer"

    def client(
        self,
        *,
        state: SecretState | None = None,
        first: str = Options().refresh_token,
        secret: str = Options().client_secret,
        realm: str = Options().realm,
        limiter: Limiter = FREE,
    ) -> Client:
        return Client(
            company_id=realm,
            base_url=self.url,
            sign_in=SignIn(Credentials(Options().client_id, secret, first, self.token_url), state or MemoryState()),
            limiter=limiter,
            transport=transport_over(self.session, Timeouts(5, 30), "QuickBooks Online"),
        )

    def system(self, **options: Any) -> System:
        return System(self.client(**options))

    def fault(self, kind: str, **spec: Any) -> None:
        answer = self.session.post(f"{self.url}/_sandbox/faults", json={"kind": kind, **spec}, timeout=10)
        assert answer.status_code == 200, answer.text

    def advance(self, seconds: float) -> None:
        """Move the sandbox's clock on before its next call."""
        self.fault("advance_clock", seconds=seconds)

    def forget(self) -> None:
        """Start counting anew."""
        self.session.post(f"{self.url}/_sandbox/reset", json={"keep_data": True}, timeout=10)

    def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = self.session.get(f"{self.url}/_sandbox/stats", timeout=10).json()
        return found

    def requests(self) -> int:
        """Return how many requests came to the company since `forget`, sign-in not counted."""
        by_line: dict[str, int] = self.stats()["by_request"]
        return sum(number for line, number in by_line.items() if "/v3/" in line)


NewSite = Callable[..., Site]


@pytest.fixture
def new_site() -> Iterator[NewSite]:
    """Serve a sandbox with a world of the test's own."""
    with ExitStack() as stack:

        def start(world: World | None = None, **options: Any) -> Site:
            running = stack.enter_context(serve(make(world or World(), **{"throttle": False, **options})))
            return Site(running, stack.enter_context(requests.Session()))

        yield start


@pytest.fixture
def site(new_site: NewSite) -> Site:
    """Return a sandbox with nothing in it but lists."""
    return new_site()
