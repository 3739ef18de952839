"""Both sandboxes with a ledger between them, and plain clients to look at them from outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests

from iw_operators.ledger.store import Ledger
from iw_operators.sync import Summary
from sandbox.seed.world import World
from tests.sandbox.quickbooks_online.qbo_api import Api
from tests.stage import Stage, stage

LOGIN = "/ServiceModel/AuthService.svc/Login"
Json = dict[str, object]


@dataclass
class Crm:
    """Reads and changes the CRM over its own wire, knowing nothing of this package."""

    url: str
    session: requests.Session

    def rows(self, entity: str, **params: str) -> list[Json]:
        """Return rows."""
        asked = {f"${name}": value for name, value in params.items()}
        answer = self.session.get(f"{self.url}/odata/{entity}", params=asked, timeout=60)
        assert answer.status_code == 200, answer.text
        found: list[Json] = answer.json()["value"]
        return found

    def change(self, entity: str, row_id: str, **values: object) -> None:
        """Change a row."""
        answer = self.session.patch(f"{self.url}/odata/{entity}({row_id})", json=values, timeout=60)
        assert answer.status_code == 204, answer.text


@dataclass
class Scene:
    """What a test looks at."""

    stage: Stage
    crm: Crm
    books: Api

    def run(self, flow: str) -> dict[str, Summary]:
        """Run a flow a minute later, so that what has been done by now lies within its window."""
        self.stage.pass_time(60)
        return self.stage.run(flow)


class Scenes:
    """Makes a scene from a world; closes it at the end."""

    def __init__(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ledger = ledger
        self.monkeypatch = monkeypatch

    def of(self, world: World) -> Iterator[Scene]:
        """Yield the scene of a world."""
        quiet = {"throttle": False}  # the plain client counts no requests
        with stage(world, self.ledger, self.monkeypatch.setenv, books=quiet) as made, requests.Session() as session:
            signed = session.post(
                made.crm_url + LOGIN, json={"UserName": "Supervisor", "UserPassword": "Supervisor1!"}, timeout=60
            )
            assert signed.json()["Code"] == 0
            session.headers.update({"BPMCSRF": session.cookies["BPMCSRF"], "ForceUseSession": "true"})
            books = Api(made.books_url)
            yield Scene(made, Crm(made.crm_url, session), books)
            books.close()


@pytest.fixture
def scenes(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Scenes:
    """Return the maker of scenes."""
    return Scenes(ledger, monkeypatch)
