"""What people do in the CRM, by a client of their own, and what it holds, from the sandbox's file."""

from __future__ import annotations

import random
import uuid
from typing import TYPE_CHECKING, Any, Final

import httpx

import sandbox.creatio
from chaos import rows
from chaos.books import HTTP, Mischief

if TYPE_CHECKING:
    from chaos.house import House

SYSTEM: Final = "creatio"
LOGIN: Final = "/ServiceModel/AuthService.svc/Login"
ENDED: Final = ({"kind": "expire_session"},)
MISCHIEF: Final = Mischief(
    {**HTTP, "login_page": 1.0, "expire_session": 1.0, "csrf": 1.0, "fail_after_insert": 2.0},
    ("", "$batch", "GET /odata", "Login"),
    {"half_batch": ("",), "fail_after_insert": ("",)},
)


class Crm:
    """A salesperson's client. Raises RuntimeError or httpx errors where something is armed."""

    def __init__(self, house: House, dice: random.Random) -> None:
        self._house = house
        self._dice = dice
        self._client = httpx.Client(base_url=house.sandboxes.url(SYSTEM), timeout=30)
        login = sandbox.creatio.airflow_connection("http://localhost:1")
        self._login = {"UserName": login["login"], "UserPassword": login["password"]}

    def rows(self, entity: str) -> dict[str, rows.Row]:
        """Return the rows of an object by id."""
        return rows.crm(self._house.data(SYSTEM), entity)[entity]

    def post(self, entity: str, body: dict[str, Any]) -> str:
        """Make a record; return its id."""
        ident = str(uuid.UUID(int=self._dice.getrandbits(128), version=4))
        self._send("POST", f"/odata/{entity}", {"Id": ident, **body})
        return ident

    def patch(self, entity: str, ident: str, body: dict[str, Any]) -> None:
        """Change a record."""
        self._send("PATCH", f"/odata/{entity}({ident})", body)

    def _send(self, method: str, path: str, body: dict[str, Any]) -> None:
        headers = {"ForceUseSession": "true", "Content-Type": "application/json;IEEE754Compatible=true"}
        for _ in range(2):
            headers["BPMCSRF"] = self._client.cookies.get("BPMCSRF") or ""
            answer = self._client.request(method, path, json=body, headers=headers)
            if answer.status_code not in (401, 403):
                break
            self._client.post(LOGIN, json=self._login)
        if answer.is_error:
            msg = f"{method} {path}: {answer.status_code} {answer.text}"
            raise RuntimeError(msg)

    def close(self) -> None:
        """Close the client."""
        self._client.close()
