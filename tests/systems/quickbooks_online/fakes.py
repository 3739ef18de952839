"""Small stand-ins: a state in memory, a clock that moves when asked, an Intuit made of a function."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from iw_operators.spec.catalogue import Catalogue, FieldDef
from iw_operators.systems import quickbooks_online
from iw_operators.systems.base import View
from iw_operators.systems.http import Request, Response, json_dumps
from iw_operators.systems.quickbooks_online.client import Client
from iw_operators.systems.quickbooks_online.limiter import Limiter
from iw_operators.systems.quickbooks_online.tokens import Credentials, SignIn

BASE = "http://intuit.test"
TOKEN_URL = "http://intuit.test/oauth2/v1/tokens/bearer"
NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)

Handler = Callable[[Request], Response]


class MemoryState:
    """A SecretState in memory; `writes` are all values that were ever kept."""

    def __init__(self, value: Mapping[str, str] | None = None) -> None:
        self.value: dict[str, str] = dict(value or {})
        self.writes: list[dict[str, str]] = []
        self.held = threading.Lock()

    def read(self) -> Mapping[str, str]:
        return dict(self.value)

    def write(self, value: Mapping[str, str]) -> None:
        self.value = dict(value)
        self.writes.append(dict(value))

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        with self.held:
            yield


class FakeClock:
    """Time that moves only when somebody sleeps or moves it."""

    def __init__(self, start: dt.datetime = NOW) -> None:
        self.start = start
        self.seconds = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> dt.datetime:
        return self.start + dt.timedelta(seconds=self.seconds)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


def answer(content: Any, status: int = 200, **headers: str) -> Response:
    """A JSON answer."""
    return Response(status, {"content-type": "application/json", **headers}, json_dumps(content))


def tokens(number: int, *, rotated: bool = True) -> Response:
    """What the token server answers for the n-th time."""
    return answer(
        {
            "access_token": f"access-{number}",
            "refresh_token": f"refresh-{number}" if rotated else "refresh-0",
            "token_type": "bearer",
            "expires_in": 3600,
            "x_refresh_token_expires_in": 8726400,
        }
    )


class Intuit:
    """A transport: refreshes tokens, counts requests, gives the rest to a handler."""

    def __init__(self, handler: Handler | None = None) -> None:
        self.handler = handler or (lambda _: answer({}))
        self.requests: list[Request] = []
        self.refreshes = 0

    def __call__(self, request: Request) -> Response:
        if request.url == TOKEN_URL:
            self.refreshes += 1
            return tokens(self.refreshes)
        self.requests.append(request)
        return self.handler(request)


def credentials(first: str = "refresh-0") -> Credentials:
    return Credentials("id", "secret", first, TOKEN_URL)


def client(transport: Handler, clock: FakeClock | None = None, state: MemoryState | None = None) -> Client:
    """A client over a transport, without real waiting."""
    clock = clock or FakeClock()
    return Client(
        company_id="913",
        base_url=BASE,
        sign_in=SignIn(credentials(), state or MemoryState(), now=clock.now),
        limiter=Limiter(clock=clock.monotonic, sleep=clock.sleep),
        transport=transport,
    )


@cache
def catalogue() -> Catalogue:
    path = Path(quickbooks_online.__file__).with_name("catalogue.yaml")
    return Catalogue.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def view(entity: str, *names: str, extra: Mapping[str, FieldDef] | None = None) -> View:
    """A view of an object with these neutral fields (all of them where none is named); `lines[].x` for lines."""
    definition = catalogue().objects[entity]
    lines = definition.lines.fields if definition.lines else {}
    every = [*definition.fields, *(f"lines[].{name}" for name in lines)]
    wanted = names or tuple(every)
    return View(
        object=entity,
        definition=definition,
        fields={n: definition.fields[n] for n in wanted if not n.startswith("lines[].")} | dict(extra or {}),
        lines={
            n.removeprefix("lines[]."): lines[n.removeprefix("lines[].")] for n in wanted if n.startswith("lines[]")
        },
    )


def body(request: Request) -> Any:
    """What a request carries, as JSON."""
    return json.loads(request.body or b"{}")


def row(number: int, when: str = "2026-02-01T00:00:00-08:00", **more: Any) -> dict[str, Any]:
    """A native customer."""
    return {
        "Id": str(number),
        "SyncToken": "0",
        "DisplayName": f"Customer {number}",
        "FullyQualifiedName": f"Customer {number}",
        "Active": True,
        "MetaData": {"CreateTime": when, "LastUpdatedTime": when},
        **more,
    }
