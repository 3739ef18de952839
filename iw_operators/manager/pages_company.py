"""A company: settings, connections, maintenance, what people did; its mappings and how they have changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any

from airflow.api_fastapi.common.db.common import SessionDep
from fastapi import APIRouter, BackgroundTasks, Depends, Form, HTTPException, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from iw_operators import control
from iw_operators.errors import InterWeaveError
from iw_operators.ledger.deeds import Deed
from iw_operators.manager import live, render, testing, world
from iw_operators.manager.common import Place, csv_file, lasting, must_operate, place, reading, show, then
from iw_operators.manager.security import Access, AccessDep, genuine
from iw_operators.spec import differences, report
from iw_operators.spec.models import Endpoint
from iw_operators.spec.resolved import SIDES, ResolvedMapping, Side

router = APIRouter()
FORM = [Depends(genuine)]
NOW = "now"  # the version that stands in the mappings' folder


@dataclass(frozen=True, slots=True)
class Connected:
    """One of a company's two connections, and how its latest test went."""

    side: Side
    label: str
    endpoint: Endpoint
    testing: bool
    tested: Deed | None


@router.get("/c/{company}/company")
def company(request: Request, company: str, who: AccessDep, session: SessionDep) -> HTMLResponse:
    """Show a company."""
    here = place(who, company)
    parts = _parts(request, here, who, session)
    deeds = [deed for deed in world.ledger().deeds(here.name, limit=100) if _may_see(deed, here)]
    return show(
        request,
        who,
        "company.html",
        here=here,
        parts=parts,
        version=live.version(parts),
        deeds=deeds,
    )


@router.get("/c/{company}/company/live")
def company_live(request: Request, company: str, who: AccessDep, session: SessionDep, known: str = "") -> JSONResponse:
    """Return what has changed of a company."""
    return JSONResponse(live.changed(_parts(request, place(who, company), who, session), known))


def _may_see(deed: Deed, here: Place) -> bool:
    """Tell whether somebody may see a deed: where flows are kept from them, only those about their own flows."""
    return not here.hidden or deed.subject in here.flows or deed.subject.startswith(testing.CONNECTION)


def _parts(request: Request, here: Place, who: Access, session: Any) -> dict[str, str]:
    state = control.maintenance_state(session, world.ledger(), here.name)
    work = [each for each in state.work if each.dag_id in who.sees]
    held = [each for each in state.held if each.dag_id in who.sees]
    text = state.text if len(work) == len(state.work) else "not safe yet: there is work that you may not see"
    common: dict[str, Any] = {
        "place": here,
        "zone": here.loaded.zone,
        "who": who,
        "all": who.may_operate_all(here.dag_ids),
        "token": who.token,
        **render.roots(request),
    }
    alarms = lasting(here, reading().standing({here.name: []})[here.name].alarms)
    return {
        "maintenance": render.html("_maintenance.html", state=state, work=work, held=held, text=text, **common),
        "connections": render.html("_connections.html", connections=_connections(here), alarms=alarms, **common),
    }


def _connections(here: Place) -> list[Connected]:
    first = next(iter(here.spec.mappings.values()), None)
    found: list[Connected] = []
    for side in SIDES:
        endpoint = here.company.endpoint(side)
        tests = world.ledger().deeds(here.name, subject=testing.subject(endpoint.connection), limit=1)
        found.append(
            Connected(
                side=side,
                label=first.label(side) if first else endpoint.system,
                endpoint=endpoint,
                testing=testing.under_way(here.name, endpoint.connection),
                tested=tests[0] if tests else None,
            )
        )
    return found


@router.post("/c/{company}/connections/{side}/test", dependencies=FORM)
def test_connection(request: Request, company: str, side: Side, who: AccessDep, after: BackgroundTasks) -> Response:
    """Try a connection, in the background; the page shows how it went."""
    here = place(who, company)
    must_operate(who, here.dag_ids)
    endpoint = here.company.endpoint(side)
    if testing.begin(here.name, endpoint.connection):
        after.add_task(testing.run, here.name, endpoint.connection, who.name)
    return then(request, f"/c/{here.name}/company", f"{endpoint.connection} is being tested.")


@router.post("/c/{company}/maintenance/begin", dependencies=FORM)
def begin_maintenance(
    request: Request, company: str, who: AccessDep, session: SessionDep, why: Annotated[str, Form()] = ""
) -> Response:
    """Stop all flows of a company and remember which were on."""
    here = place(who, company)
    must_operate(who, here.dag_ids)
    with session.begin_nested():
        control.begin_maintenance(session, world.ledger(), here.name, who.name, why.strip()[:500])
    message = "Maintenance has begun. Wait until it says that it is safe."
    return then(request, f"/c/{here.name}/company", message, fragment="maintenance")


@router.post("/c/{company}/maintenance/end", dependencies=FORM)
def end_maintenance(request: Request, company: str, who: AccessDep, session: SessionDep) -> Response:
    """Check both connections, then start exactly the flows that the maintenance has stopped."""
    here = place(who, company)
    must_operate(who, here.dag_ids)
    ledger = world.ledger()
    going = ledger.maintenance(here.name)
    try:
        with session.begin_nested():
            control.end_maintenance(session, ledger, here.name, who.name)
    except InterWeaveError as error:
        kept = "The maintenance goes on. " if going else ""
        return then(request, f"/c/{here.name}/company", f"{kept}{error}", "failed")
    count = len(going.flows) if going else 0
    message = f"Maintenance has ended. {count} flow{'s are' if count != 1 else ' is'} on again."
    return then(request, f"/c/{here.name}/company", message)


# --------------------------------------------------------------------------------------------------------- mappings


def _visible(here: Place) -> dict[str, ResolvedMapping]:
    """Return the mappings that flows have which somebody may see; all, where they see all flows."""
    used = {mapping.mapping for flow in here.flows.values() for mapping in flow.mappings}
    return {name: each for name, each in here.spec.mappings.items() if name in used or not here.hidden}


def _mapping(here: Place, name: str) -> ResolvedMapping:
    found = _visible(here).get(name)
    if found is None:
        raise HTTPException(404, "There is no such mapping, or you may not see it.")
    return found


@router.get("/c/{company}/mappings")
def mappings(request: Request, company: str, who: AccessDep) -> HTMLResponse:
    """List a company's mappings."""
    here = place(who, company)
    counts = Counter(version.mapping for version in world.ledger().versions(here.name))
    found = _visible(here)
    titles = {
        name: report.title(each).partition(": ")[2].rpartition(", fingerprint")[0] for name, each in found.items()
    }
    return show(request, who, "mappings.html", here=here, mappings=found, titles=titles, counts=counts)


@router.get("/c/{company}/mappings/{mapping}")
def mapping(
    request: Request, company: str, mapping: str, who: AccessDep, old: str = "", new: str = NOW
) -> HTMLResponse:
    """Show a mapping's report, and what changed between two of its versions."""
    here = place(who, company)
    found = _mapping(here, mapping)
    versions = world.ledger().versions(here.name, mapping)
    snapshots: dict[str, Any] = {version.fingerprint: version.report for version in versions}
    snapshots[NOW] = differences.snapshot(found)
    earlier = [version for version in versions if version.fingerprint != found.fingerprint]
    if not old and earlier:
        old = earlier[0].fingerprint
    changes = differences.between(snapshots[old], snapshots[new]) if {old, new} <= snapshots.keys() else None
    return show(
        request,
        who,
        "mapping.html",
        here=here,
        mapping=found,
        title=report.title(found),
        notes=list(report.notes(found)),
        rows=list(report.rows(found)),
        versions=versions,
        old=old,
        new=new,
        changes=changes,
    )


@router.get("/c/{company}/mappings/{mapping}/report.csv")
def mapping_csv(company: str, mapping: str, who: AccessDep) -> Response:
    """Return a mapping's report as CSV."""
    found = _mapping(place(who, company), mapping)
    return csv_file(report.as_csv(report.rows(found)), f"{company}-{mapping}-{found.fingerprint[:12]}.csv")
