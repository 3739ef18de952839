"""What the conformance suite has to know about Creatio."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from decimal import Decimal
from typing import Any, Final

import requests

import sandbox.creatio
from iw_operators.engine.model import Value, Values
from iw_operators.systems.base import System
from iw_operators.systems.creatio.auth import Forms
from iw_operators.systems.creatio.client import Client
from iw_operators.systems.creatio.system import CreatioSystem
from iw_operators.systems.http import transport_over
from sandbox.seed.world import Account, World
from tests import web
from tests.conformance.kit import Access, OverHttp, Role, Seed, User, catalogue

OPTIONS: Final = sandbox.creatio.Options()
NUMBERED: Final = Role("UsrPaymentQB", "number", unique=True)
EMPTY: Final = (None, "", "00000000-0000-0000-0000-000000000000", "0001-01-01T00:00:00Z")


class Person:
    """Somebody at a Creatio: signs in and sends OData with plain httpx."""

    def __init__(self, url: str, closing: ExitStack) -> None:
        self._http = closing.enter_context(web.client(base_url=url, timeout=30))
        body = {"UserName": OPTIONS.user, "UserPassword": OPTIONS.password}
        answer = self._http.post("/ServiceModel/AuthService.svc/Login", json=body)
        self._http.headers.update({"BPMCSRF": answer.cookies["BPMCSRF"], "ForceUseSession": "true"})

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send one request below the data's root; return the answer's JSON."""
        answer = self._http.request(method, f"/odata/{path}", json=body)
        assert answer.status_code < 300, answer.text
        return json.loads(answer.text, parse_float=Decimal) if answer.content else None

    def add(self, role: Role, values: Values) -> str:
        made = self.send("POST", role.object, _columns(role, {**role.values, **values}))
        return str(made["Id"]).lower()

    def change(self, role: Role, ident: str, values: Values) -> None:
        self.send("PATCH", f"{role.object}({ident})", _columns(role, values))

    def read(self, role: Role, ident: str, name: str) -> Any:
        held = self.send("GET", f"{role.object}({ident})")[_native(role, name)]
        return None if held in EMPTY else held

    def delete(self, role: Role, ident: str) -> None:
        self.send("DELETE", f"{role.object}({ident})")

    def deactivate(self, role: Role, ident: str) -> None:
        self.send("PATCH", f"{role.object}({ident})", {"UsrActive": False})


def _native(role: Role, name: str) -> str:
    return catalogue("creatio").objects[role.object].fields[name].native


def _columns(role: Role, values: Values) -> dict[str, Any]:
    return {_native(role, name): _plain(value) for name, value in values.items()}


def _plain(value: Value) -> Any:
    if isinstance(value, dt.date):
        return f"{value.isoformat()}T00:00:00Z"
    return float(value) if isinstance(value, Decimal) else value  # amounts of the tests, exact in a double


class Creatio(OverHttp):
    """The vendor; see `kit.Vendor`."""

    system = "creatio"
    thing = Role(
        "Account",
        "name",
        texts=("name", "full_name", "account_number", "phone", "fax", "web", "notes", "billing.street", "terms"),
        decimals=("balance",),
        values={"active": True},
    )
    priced = Role("Product", "name", texts=("name", "code", "description"), decimals=("price",))
    dated = Role("UsrPaymentQB", "number", texts=("reference",), decimals=("total", "unapplied"), dates=("date",))
    sale = Role("Opportunity", "title", texts=("title", "memo"), dates=("due_date",))
    line_refs = False
    numbered: Role | None = NUMBERED

    data = "/odata"
    batch = "/odata/$batch"
    sign_in = "/Login"
    expiries = ("expire_session", "login_page", "csrf")
    throttles = ()
    half = "half_batch"
    kinds_of_wrong: Final[Mapping[str, str]] = {"password": "creatio.sign_in", "company": "creatio.not_here"}
    never_at_random: frozenset[str] = frozenset({"no_right"})

    tells_stale = False
    tells_deletions: Role | None = None
    stamp_step = dt.timedelta(microseconds=1)
    cleared: Final[Mapping[str, Value]] = {
        "balance": Decimal(0),
        "price": Decimal(0),
        "total": Decimal(0),
        "unapplied": Decimal(0),
    }

    refilled: Final[frozenset[str]] = frozenset()

    def world(self, things: Sequence[Seed]) -> World:
        return World(
            accounts=tuple(
                Account(str(uuid.uuid5(uuid.NAMESPACE_URL, each.name)), each.name, "", modified=each.modified)
                for each in things
            )
        )

    def serve_with(self, world: World, ahead: dt.timedelta) -> Any:
        clock = (dt.datetime.now(dt.UTC) + ahead).isoformat() if ahead else ""
        return sandbox.creatio.make(world, clock=clock, flavour="netcore")

    def open(self, url: str, access: Access) -> System:
        session = access.closing.enter_context(requests.Session())
        session.trust_env = False
        password = "no" if access.wrong == "password" else OPTIONS.password
        client = Client(
            transport_over(session, access.timeouts, "Creatio"),
            Forms(url, OPTIONS.user, password),
            access.state,
            site=url,
            platform="framework" if access.wrong == "company" else "core",
        )
        return CreatioSystem(client)

    def user(self, url: str, closing: ExitStack) -> User:
        return Person(url, closing)

    def needs(self, role: Role, user: User) -> Values:
        return {}

    def lines(self, user: User, amounts: Sequence[tuple[Decimal, Decimal]]) -> Values:
        return {}

    def add_sale(self, user: User, amounts: Sequence[tuple[Decimal, Decimal]]) -> str:
        assert isinstance(user, Person)
        sale = user.add(self.sale, {"title": "Sale"})
        product = user.add(self.priced, {"name": "Product"})
        for quantity, price in amounts:
            line = {"Quantity": float(quantity), "Price": float(price), "Amount": float(quantity * price)}
            user.send("POST", "OpportunityProductInterest", {"OpportunityId": sale, "ProductId": product, **line})
        return sale

    def touch_line(self, user: User, sale: str) -> None:
        assert isinstance(user, Person)
        rows = user.send("GET", f"OpportunityProductInterest?$filter=Opportunity/Id eq {sale}&$select=Id")["value"]
        user.send("PATCH", f"OpportunityProductInterest({rows[0]['Id']})", {"Comment": "looked at"})


VENDOR = Creatio()
