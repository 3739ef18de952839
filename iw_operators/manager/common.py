"""What every page needs: which companies and flows somebody sees, and how to say what was done."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import HTTPException, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from iw_operators import asked
from iw_operators.errors import FixConfiguration
from iw_operators.manager import render, security, world
from iw_operators.manager.reading import Reading
from iw_operators.manager.security import Access
from iw_operators.spec.models import Company
from iw_operators.spec.resolved import SIDES, CompanySpec, ResolvedFlow


@dataclass(frozen=True, slots=True)
class Place:
    """One company as somebody sees it. `flows` are those that they may see, by name."""

    loaded: world.Loaded
    flows: Mapping[str, ResolvedFlow]

    @property
    def name(self) -> str:
        """The company's name."""
        return self.loaded.name

    @property
    def spec(self) -> CompanySpec:
        """What its specs say; 404 where they say nothing that is right."""
        if self.loaded.spec is None:
            raise HTTPException(404, f"The specs of {self.name} have errors; airflow iw validate lists them.")
        return self.loaded.spec

    @property
    def company(self) -> Company:
        """Its settings."""
        return self.spec.company

    @property
    def dag_ids(self) -> list[str]:
        """The DAG ids of all its flows, those too that somebody may not see."""
        return [flow.dag_id for flow in self.spec.flows.values()]

    @property
    def hidden(self) -> bool:
        """Whether it has flows that the person may not see."""
        return len(self.flows) < len(self.dag_ids)


@dataclass(frozen=True, slots=True)
class Lasting:
    """What has been wrong for a while."""

    title: str
    since: dt.datetime
    detail: str


def lasting(here: Place, alarms: Mapping[str, tuple[dt.datetime, str]]) -> list[Lasting]:
    """Return what is wrong in a company, as people say it; of flows, those that the person may see."""
    first = next(iter(here.spec.mappings.values()), None)
    labels: dict[str, str] = {side: first.label(side) for side in SIDES} if first else {}
    found = []
    for key, (since, detail) in sorted(alarms.items()):
        kind, _, name = key.partition(":")
        if kind == "flow" and name not in here.flows:
            continue
        titles = {"connection": f"No connection to {labels.get(name, f'the {name}')}", "flow": f"{name} fails"}
        found.append(Lasting(titles.get(kind, key.replace("_", " ").capitalize()), since, detail))
    return found


def places(who: Access) -> dict[str, Place]:
    """Return the companies of which somebody sees a flow."""
    found = {}
    for name, loaded in world.specs().companies().items():
        if loaded.spec is not None:
            flows = {key: flow for key, flow in loaded.spec.flows.items() if flow.dag_id in who.sees}
            if flows:
                found[name] = Place(loaded, flows)
        elif any(dag_id.startswith(f"{name}.") for dag_id in who.sees):
            found[name] = Place(loaded, {})
    return found


def place(who: Access, company: str) -> Place:
    """Return a company; 404 when there is none, or the person may see none of its flows."""
    found = places(who).get(company)
    if found is None:
        raise HTTPException(404, "There is no such company, or you may not see it.")
    return found


def flow_of(who: Access, dag_id: str) -> tuple[Place, ResolvedFlow]:
    """Return a flow and its company; 404 when there is none, or the person may not see it."""
    company, _, name = dag_id.partition(".")
    here = places(who).get(company)
    if here is None or name not in here.flows:
        raise HTTPException(404, "This DAG is not a flow of InterWeave, or you may not see it.")
    return here, here.flows[name]


def must_operate(who: Access, dag_ids: list[str]) -> None:
    """403 unless each of the flows, at least one, may be operated."""
    if not who.may_operate_all(dag_ids):
        raise HTTPException(403, "You may look at this, but not change it.")


def reading() -> Reading:
    """Return the page's queries on the ledger."""
    return Reading.of(world.ledger())


def show(request: Request, who: Access, template: str, *, here: Place | None = None, **context: Any) -> HTMLResponse:
    """Return a page of a company (`here`), or of all, with what its head needs."""
    return render.page(
        request,
        template,
        who=who,
        place=here,
        zone=here.loaded.zone if here else render.UTC,
        companies=sorted(places(who)),
        token=who.token,
        **context,
    )


def then(
    request: Request, path: str, message: str, kind: str = "done", *, fragment: str = "", **query: str
) -> RedirectResponse:
    """Return to a page of ours and say there what was done, or (kind `failed`) why not."""
    query["said"] = security.seal(message, kind)
    where = f"{render.roots(request)['base']}{path}?{urlencode(query)}"
    return RedirectResponse(f"{where}#{fragment}" if fragment else where, status_code=303)


def csv_file(data: bytes | str, name: str) -> Response:
    """Return a file to be kept under a name."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type="text/csv; charset=utf-8", headers=headers)


def moment_of(text: str, here: Place, what: str, name: str = asked.START) -> dt.datetime:
    """Return the moment that a form field in the company's local time stands for, as a run's form reads it. Raises 422.

    :param what: what the page calls the field. :param name: `asked.START`, or `asked.END` for the end of a range: of an
        hour that the clocks repeat or leave out, the whole is in it.
    """
    try:
        found = asked.moment(text.strip(), name, here.loaded.zone)
    except FixConfiguration:
        found = None
    if found is None:
        raise HTTPException(422, f"{what} is not a date and time, or too far away: {text[:40]!r}.")
    return found
