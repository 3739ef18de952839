"""What the conformance suite has to know about QuickBooks Online."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
from collections.abc import Mapping
from contextlib import ExitStack
from decimal import Decimal
from typing import Any, Final

import requests

import sandbox.quickbooks_online
from iw_operators.engine.model import Line, Value, Values
from iw_operators.systems.base import System
from iw_operators.systems.http import transport_over
from iw_operators.systems.quickbooks_online.client import Client
from iw_operators.systems.quickbooks_online.limiter import Limiter, Quota
from iw_operators.systems.quickbooks_online.system import QuickBooksOnline
from iw_operators.systems.quickbooks_online.tokens import Credentials, SignIn
from sandbox.seed.world import World
from tests import web
from tests.conformance.kit import Access, OverHttp, Role, User, catalogue
from tests.conformance.quickbooks_family import TEXTS, QuickBooks

OPTIONS: Final = sandbox.quickbooks_online.Options()
TOKEN: Final = "/oauth2/v1/tokens/bearer"


class Person:
    """Somebody at a QuickBooks Online: signs in and sends JSON with plain httpx."""

    def __init__(self, url: str, closing: ExitStack) -> None:
        self._http = closing.enter_context(web.client(base_url=url, timeout=30))
        form = {"grant_type": "refresh_token", "refresh_token": OPTIONS.refresh_token}
        answer = self._http.post(TOKEN, data=form, auth=(OPTIONS.client_id, OPTIONS.client_secret))
        self._http.headers.update(
            {"Authorization": f"Bearer {answer.json()['access_token']}", "Accept": "application/json"}
        )

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send one request below the company; return the answer's JSON."""
        answer = self._http.request(method, f"/v3/company/{OPTIONS.realm}/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text, parse_float=Decimal)

    def add(self, role: Role, values: Values) -> str:
        body = _body(role, {**role.values, **values})
        return str(self.send("POST", role.object.lower(), body)[role.object]["Id"])

    def change(self, role: Role, ident: str, values: Values) -> None:
        self._update(role, ident, _body(role, values))

    def _update(self, role: Role, ident: str, body: Mapping[str, Any]) -> None:
        held = self.row(role, ident)
        head = {"Id": ident, "SyncToken": held["SyncToken"], "sparse": True}
        self.send("POST", role.object.lower(), {**head, **body})

    def row(self, role: Role, ident: str) -> dict[str, Any]:
        """Return a record as JSON has it."""
        found: dict[str, Any] = self.send("GET", f"{role.object.lower()}/{ident}")[role.object]
        return found

    def read(self, role: Role, ident: str, name: str) -> Any:
        held: Any = self.row(role, ident)
        native = _native(role, name)
        if native.endswith(".Line*"):
            address = held.get(native.removesuffix(".Line*"), {})
            return "\n".join(address.get(f"Line{n}", "") for n in range(1, 6)).rstrip("\n") or None
        for step in native.split("."):
            held = (held or {}).get(step)
        return held or None

    def delete(self, role: Role, ident: str) -> None:
        body = {"Id": ident, "SyncToken": self.row(role, ident)["SyncToken"]}
        self.send("POST", f"{role.object.lower()}?operation=delete", body)

    def deactivate(self, role: Role, ident: str) -> None:
        self._update(role, ident, {"Active": False})


def _native(role: Role, name: str) -> str:
    return catalogue("quickbooks_online").objects[role.object].fields[name].native


def _body(role: Role, values: Values) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for name, value in values.items():
        native = "Line" if name == "lines" else _native(role, name)
        if native.endswith(".Line*"):
            lines = str(value).split("\n")
            body.setdefault(native.removesuffix(".Line*"), {}).update(
                {f"Line{n}": line for n, line in enumerate(lines, 1)}
            )
            continue
        if native == "IncomeAccountRef":
            continue  # the vendor's own form fills it in
        *way, last = native.split(".")
        inner = body
        for step in way:
            inner = inner.setdefault(step, {})
        inner[last] = [_line(line) for line in value] if isinstance(value, tuple) else _plain(value)
    return body


def _line(line: Line) -> dict[str, Any]:
    detail = {"ItemRef": {"value": line["item"]}, "Qty": _plain(line["quantity"]), "UnitPrice": _plain(line["price"])}
    return {"DetailType": "SalesItemLineDetail", "Amount": _plain(line["amount"]), "SalesItemLineDetail": detail}


def _plain(value: Value) -> Any:
    if isinstance(value, dt.date):
        return value.isoformat()
    return "" if value is None else float(value) if isinstance(value, Decimal) else value  # exact in a double


class Pacer:
    """A clock that moves only when somebody sleeps, and tells how long."""

    def __init__(self, waited: list[float]) -> None:
        self._waited = waited

    def now(self) -> float:
        return math.fsum(self._waited)

    def sleep(self, seconds: float) -> None:
        self._waited.append(seconds)


class Online(QuickBooks, OverHttp):
    """The vendor; see `kit.Vendor`."""

    system = "quickbooks_online"
    thing = Role("Customer", "name", texts=(*TEXTS, "web"), unique=True)
    dated = Role("Invoice", "number", texts=("number", "memo", "private_note"), dates=("date", "due_date"))
    sale = dated
    numbered: Role | None = thing
    tells_deletions: Role | None = dated

    data = "/v3/company"
    batch = "/batch"
    sign_in = TOKEN
    expiries = ("expire_token",)
    throttles = ("throttle",)
    half = "half_batch"
    kinds_of_wrong: Final[Mapping[str, str]] = {"password": "invalid_client", "company": "3100"}
    never_at_random: frozenset[str] = frozenset({"refresh_lost", "old_refresh_dies", "advance_clock", "no_right"})

    cleared: Final[Mapping[str, Value]] = {"price": Decimal(0), "cost": Decimal(0)}

    def serve_with(self, world: World, ahead: dt.timedelta) -> Any:
        return sandbox.quickbooks_online.make(world, throttle=False, clock_shift=ahead.total_seconds())

    def open(self, url: str, access: Access) -> System:
        session = access.closing.enter_context(requests.Session())
        session.trust_env = False
        secret = "no" if access.wrong == "password" else OPTIONS.client_secret
        pacer = Pacer(access.waited)
        credentials = Credentials(OPTIONS.client_id, secret, OPTIONS.refresh_token, url + TOKEN)
        client = Client(
            company_id="913035000000000999" if access.wrong == "company" else OPTIONS.realm,
            base_url=url,
            sign_in=SignIn(credentials, access.state),
            limiter=Limiter((Quota(1_000_000, 1.0),), clock=pacer.now, sleep=pacer.sleep),
            transport=transport_over(session, access.timeouts, "QuickBooks Online"),
        )
        system = QuickBooksOnline(client)
        if access.page:  # rows of an answer, a thousand otherwise
            system._reader = dataclasses.replace(system._reader, page=access.page)
        return system

    def user(self, url: str, closing: ExitStack) -> User:
        return Person(url, closing)

    def touch_line(self, user: User, sale: str) -> None:
        assert isinstance(user, Person)
        lines = user.row(self.sale, sale)["Line"]
        lines[0]["Description"] = "looked at"
        held = user.row(self.sale, sale)
        kept = json.loads(json.dumps(lines, default=float))
        body = {"Id": sale, "SyncToken": held["SyncToken"], "sparse": True, "Line": kept}
        user.send("POST", "invoice", {**body, "CustomerRef": held["CustomerRef"]})


VENDOR = Online()
