"""What the tests of Creatio share: fakes, views from the catalogue, rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from iw_operators.spec.catalogue import Catalogue, FieldDef
from iw_operators.systems.base import View
from iw_operators.systems.creatio.auth import Forms
from iw_operators.systems.creatio.client import Client
from iw_operators.systems.http import Request, Response, json_dumps
from iw_operators.systems.registry import catalogue_path

DATE = "Tue, 03 Mar 2026 10:00:00 GMT"
SITE = "https://crm.test"


@dataclass
class Kept:
    """A state in memory that counts writes and the holders of its lock."""

    value: dict[str, str] = field(default_factory=dict)
    writes: int = 0
    held: int = 0

    def read(self) -> Mapping[str, str]:
        return dict(self.value)

    def write(self, value: Mapping[str, str]) -> None:
        assert self.held == 1, "written without the lock"
        self.value = dict(value)
        self.writes += 1

    def lock(self) -> Kept:
        return self

    def __enter__(self) -> None:
        self.held += 1

    def __exit__(self, *exc: object) -> None:
        self.held -= 1


def catalogue() -> Catalogue:
    """Return Creatio's catalogue."""
    with catalogue_path("creatio").open("rb") as stream:
        return Catalogue.model_validate(yaml.load(stream, yaml.CSafeLoader))


def view_of(
    name: str,
    fields: tuple[str, ...] | None = None,
    *,
    lines: bool = False,
    facts: bool = False,
    more: Mapping[str, FieldDef] | None = None,
) -> View:
    """Return a view of an object with some of its fields (all of them without), and further ones by native name."""
    definition = catalogue().objects[name]
    wanted = {key: definition.fields[key] for key in fields or definition.fields}
    return View(
        name,
        definition,
        {**wanted, **(more or {})},
        dict(definition.lines.fields) if lines and definition.lines else {},
        frozenset(definition.related) if facts else frozenset(),
    )


def reply(status: int = 200, body: Any = None, *, html: str = "", cookies: Mapping[str, str] | None = None) -> Response:
    """Return an answer as Creatio sends it."""
    kind = "text/html; charset=utf-8" if html else "application/json; odata.metadata=minimal"
    headers = {"content-type": kind, "date": DATE}
    return Response(status, headers, html.encode() if html else json_dumps(body or {}), cookies or {})


LET_IN = reply(200, {"Code": 0, "Message": ""}, cookies={".ASPXAUTH": "a1", "BPMCSRF": "c1"})


def client_over(answer: Callable[[Request], Response], state: Kept | None = None, **options: Any) -> Client:
    """Return a client that is let in by each sign-in and whose other requests `answer` answers."""

    def transport(request: Request) -> Response:
        return LET_IN if request.url.endswith("/Login") else answer(request)

    return Client(transport, Forms(SITE, "user", "secret"), state or Kept(), site=SITE, **options)
