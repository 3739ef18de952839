"""A served Creatio sandbox and a signed-in session of plain `requests`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from sandbox.common.serve import Running, serve
from sandbox.creatio import CreatioSandbox, make
from sandbox.seed import acme
from sandbox.seed.world import World

LOGIN = "/ServiceModel/AuthService.svc/Login"
GOOD = {"UserName": "Supervisor", "UserPassword": "Supervisor1!"}


@dataclass
class Site:
    """A running sandbox with a session on it; `odata` is the service's root."""

    running: Running[CreatioSandbox]
    session: requests.Session
    root: str = "/odata"

    @property
    def url(self) -> str:
        """The site's address."""
        return self.running.url

    @property
    def odata(self) -> str:
        """The service's address."""
        return self.url + self.root

    @property
    def sandbox(self) -> CreatioSandbox:
        """The sandbox itself."""
        return self.running.sandbox

    def sign_in(self) -> None:
        """Sign in by forms; the session then carries what each request needs."""
        self.session.headers.pop("BPMCSRF", None)
        self.session.post(self.url + LOGIN, json=GOOD).raise_for_status()
        self.session.headers.update({"BPMCSRF": self.session.cookies["BPMCSRF"], "ForceUseSession": "true"})

    def get(self, path: str, **params: Any) -> requests.Response:
        """GET below the service's root; `filter="..."` becomes `$filter=...`."""
        return self.session.get(f"{self.odata}/{path}", params={f"${name}": value for name, value in params.items()})

    def rows(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Return the rows of a read that has to succeed."""
        response = self.get(path, **params)
        assert response.status_code == 200, response.text
        rows: list[dict[str, Any]] = response.json()["value"]
        return rows

    def one(self, path: str, **params: Any) -> dict[str, Any]:
        """Return the only row of a read."""
        (row,) = self.rows(path, **params)
        return row

    def post(self, entity: str, **body: Any) -> requests.Response:
        """POST a record."""
        return self.session.post(f"{self.odata}/{entity}", json=body)

    def create(self, entity: str, **body: Any) -> dict[str, Any]:
        """POST a record that has to be taken."""
        response = self.post(entity, **body)
        assert response.status_code == 201, response.text
        row: dict[str, Any] = response.json()
        return row

    def patch(self, entity: str, key: str, **body: Any) -> requests.Response:
        """PATCH a record."""
        return self.session.patch(f"{self.odata}/{entity}({key})", json=body)

    def fault(self, **spec: Any) -> None:
        """Arm a fault."""
        self.session.post(f"{self.url}/_sandbox/faults", json=spec).raise_for_status()

    def stats(self) -> dict[str, Any]:
        """Return the control endpoint's statistics."""
        content: dict[str, Any] = self.session.get(f"{self.url}/_sandbox/stats").json()
        return content


MakeSite = Callable[..., Site]


@pytest.fixture
def make_site() -> Iterator[MakeSite]:
    """Serve sandboxes with options of the test's choice; signed in unless told otherwise."""
    stack: list[Any] = []

    def start(world: World | None = None, *, signed_in: bool = True, root: str = "/odata", **options: Any) -> Site:
        context = serve(make(world or acme.empty(), **options))
        running = context.__enter__()
        session = requests.Session()
        stack.append((context, session))
        site = Site(running, session, root)
        if signed_in:
            site.sign_in()
        return site

    yield start
    for context, session in stack:
        session.close()
        context.__exit__(None, None, None)


@pytest.fixture(scope="module")
def acme_site() -> Iterator[Site]:
    """The acme world, shared by the tests of a module that only read."""
    with serve(make(acme.build())) as running, requests.Session() as session:
        site = Site(running, session)
        site.sign_in()
        yield site


@pytest.fixture(scope="module")
def empty_server() -> Iterator[Running[CreatioSandbox]]:
    """A sandbox of reference lists only, shared by the tests of a module; `site` resets it."""
    with serve(make(acme.empty())) as running:
        yield running


@pytest.fixture
def site(empty_server: Running[CreatioSandbox]) -> Iterator[Site]:
    """A site of reference lists only, reset and signed in."""
    with requests.Session() as session:
        session.post(f"{empty_server.url}/_sandbox/reset", json={}).raise_for_status()
        site = Site(empty_server, session)
        site.sign_in()
        yield site
