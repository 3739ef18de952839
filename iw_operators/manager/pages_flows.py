"""Monitor, the two tables of a company, and one flow with everything about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import APIRouter, Depends, Form, HTTPException, Query, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from iw_operators import asked, control
from iw_operators.errors import FixConfiguration, InterWeaveError
from iw_operators.ledger.codec import can_be_stored
from iw_operators.manager import airflow_side, live, render, rows, world
from iw_operators.manager.common import (
    Lasting,
    Place,
    flow_of,
    lasting,
    moment_of,
    must_operate,
    place,
    places,
    reading,
    show,
    then,
)
from iw_operators.manager.reading import RunFacts, Standing
from iw_operators.manager.rows import Row
from iw_operators.manager.security import LARGEST, Access, AccessDep, administrator, genuine
from iw_operators.spec.models import FlowKind

router = APIRouter()
Back = Annotated[str, Form()]  # which page the form was on: flows, or the flow's own

SEE = [Depends(requires_access_dag("GET"))]
SWITCH = [Depends(requires_access_dag("PUT")), Depends(genuine)]
RUN = [Depends(requires_access_dag("POST", DagAccessEntity.RUN)), *SWITCH]
NAMES = 200  # that one run may be asked for
LONGEST_NAME = 500


@dataclass(frozen=True, slots=True)
class Board:
    """A company's flows as they stand."""

    place: Place
    rows: list[Row]
    standing: Standing

    @property
    def lasting(self) -> list[Lasting]:
        """What has been wrong for a while."""
        return lasting(self.place, self.standing.alarms) if self.place.loaded.spec else []


def boards(session: Any, who: Access, wanted: Mapping[str, Place]) -> list[Board]:
    """Return how companies stand, in a number of statements that does not depend on how many flows they have."""
    dag_ids = [flow.dag_id for here in wanted.values() for flow in here.flows.values()]
    due = airflow_side.due(session, list(wanted), who.sees)
    states = control.flow_states(session, world.ledger(), dag_ids) if dag_ids else {}
    standing = reading().standing({name: list(here.flows) for name, here in wanted.items()})
    return [
        Board(here, rows.rows_of(here.flows.values(), states, due, standing[name], who.operates), standing[name])
        for name, here in wanted.items()
    ]


# ---------------------------------------------------------------------------------------------------------- monitor


@router.get("/")
@router.get("/page")
def monitor(request: Request, who: AccessDep, session: SessionDep) -> HTMLResponse:
    """Show everything that somebody may see."""
    found = boards(session, who, places(who))
    parts = _monitor_parts(request, found)
    return show(request, who, "monitor.html", boards=found, parts=parts, version=live.version(parts))


@router.get("/live")
def monitor_live(request: Request, who: AccessDep, session: SessionDep, known: str = "") -> JSONResponse:
    """Return what has changed on the monitor."""
    return JSONResponse(live.changed(_monitor_parts(request, boards(session, who, places(who))), known))


def _monitor_parts(request: Request, found: list[Board]) -> dict[str, str]:
    where = render.roots(request)
    parts = {}
    for board in found:
        zone = board.place.loaded.zone
        parts[f"company-{board.place.name}"] = render.html("_card.html", board=board, zone=zone, **where)
    parts["now"] = render.html("_now.html", boards=found, **where)
    flows = {board.place.name: list(board.place.flows) for board in found}
    latest = reading().latest_runs(flows)
    zones = {board.place.name: board.place.loaded.zone for board in found}
    parts["latest"] = render.html("_latest.html", runs=latest, zones=zones, **where)
    return parts


# ------------------------------------------------------------------------------------------------------ a company


@router.get("/c/{company}")
def flows(request: Request, company: str, who: AccessDep, session: SessionDep) -> HTMLResponse:
    """Show a company's two tables."""
    here = place(who, company)
    (board,) = boards(session, who, {company: here})
    parts = _flow_parts(request, board)
    return show(
        request,
        who,
        "flows.html",
        here=here,
        board=board,
        scheduled=rows.scheduled(board.rows),
        on_call=rows.on_call(board.rows),
        groups=rows.groups(board.rows),
        parts=parts,
        version=live.version(parts),
    )


@router.get("/c/{company}/live")
def flows_live(request: Request, company: str, who: AccessDep, session: SessionDep, known: str = "") -> JSONResponse:
    """Return what has changed in the two tables."""
    (board,) = boards(session, who, {company: place(who, company)})
    return JSONResponse(live.changed(_flow_parts(request, board), known))


def _flow_parts(request: Request, board: Board) -> dict[str, str]:
    where, zone = render.roots(request), board.place.loaded.zone
    template = render.environment().get_template("_row.html")
    parts = {
        f"flow-{row.flow.flow}": template.render(row=row, zone=zone, utility=row.flow.kind.utility, **where)
        for row in board.rows
    }
    parts["banner"] = render.html("_banner.html", board=board, zone=zone, **where)
    return parts


@router.post("/c/{company}/flows", dependencies=[Depends(genuine)])
def switch_several(
    request: Request,
    company: str,
    who: AccessDep,
    session: SessionDep,
    do: Annotated[str, Form()],
    dag_id: Annotated[list[str] | None, Form()] = None,
) -> RedirectResponse:
    """Start or stop the flows that are ticked."""
    here = place(who, company)
    wanted = [each for each in dict.fromkeys(dag_id or ()) if each in {f.dag_id for f in here.flows.values()}]
    if not wanted:
        must_operate(who, [flow.dag_id for flow in here.flows.values()][:1])
        return then(request, f"/c/{company}", "No flow was ticked.", "failed")
    must_operate(who, wanted)
    if do not in ("start", "stop"):
        raise HTTPException(422, "Only start and stop are known.")
    act = control.start if do == "start" else control.stop
    for number, each in enumerate(wanted):
        try:
            with session.begin_nested():
                act(session, world.ledger(), each, who.name)
        except InterWeaveError as error:
            done = f"{number} of {len(wanted)} flows done. " if number else ""
            return then(request, f"/c/{company}", f"{done}{each}: {error}", "failed")
    word = "Started" if do == "start" else "Told to stop"
    names = ", ".join(each.partition(".")[2] for each in wanted[:5]) + (" …" if len(wanted) > 5 else "")
    return then(request, f"/c/{company}", f"{word}: {names}.")


# ----------------------------------------------------------------------------------------------------------- a flow


@router.get("/flow/{dag_id}", dependencies=SEE)
def flow(
    request: Request,
    dag_id: str,
    who: AccessDep,
    session: SessionDep,
    before: Annotated[int | None, Query(ge=1, le=LARGEST)] = None,
) -> HTMLResponse:
    """Show one flow: also as a tab of its DAG."""
    here, wanted = flow_of(who, dag_id)
    (board,) = boards(session, who, {here.name: Place(here.loaded, {wanted.flow: wanted})})
    parts = _flow_page_parts(request, who, board, before)
    return show(
        request,
        who,
        "flow.html",
        here=here,
        row=board.rows[0],
        flow=wanted,
        history=world.ledger().query_starts_history(here.name, wanted.flow, limit=20),
        deeds=world.ledger().deeds(here.name, subject=wanted.flow, limit=20),
        parts=parts,
        version=live.version(parts),
    )


@router.get("/flow/{dag_id}/live", dependencies=SEE)
def flow_live(request: Request, dag_id: str, who: AccessDep, session: SessionDep, known: str = "") -> JSONResponse:
    """Return what has changed of one flow."""
    here, wanted = flow_of(who, dag_id)
    (board,) = boards(session, who, {here.name: Place(here.loaded, {wanted.flow: wanted})})
    return JSONResponse(live.changed(_flow_page_parts(request, who, board, None), known))


def _flow_page_parts(request: Request, who: Access, board: Board, before: int | None) -> dict[str, str]:
    where, zone, row = render.roots(request), board.place.loaded.zone, board.rows[0]
    runs: list[RunFacts] = reading().runs(board.place.name, row.flow.flow, before=before)
    return {
        "state": render.html("_state.html", row=row, board=board, zone=zone, token=who.token, **where),
        "runs": render.html("_runs.html", runs=runs, row=row, zone=zone, **where),
    }


@router.post("/flow/{dag_id}/start", dependencies=SWITCH)
def start(request: Request, dag_id: str, who: AccessDep, session: SessionDep, back: Back = "") -> Response:
    """Switch a flow on."""
    _, wanted = flow_of(who, dag_id)
    return _done(request, dag_id, back, f"{wanted.flow} is started.", control.start, session, dag_id, who)


@router.post("/flow/{dag_id}/stop", dependencies=SWITCH)
def stop(request: Request, dag_id: str, who: AccessDep, session: SessionDep, back: Back = "") -> Response:
    """Switch a flow off; what is at work ends its page."""
    _, wanted = flow_of(who, dag_id)
    message = f"{wanted.flow} is told to stop. While it is COMPLETING, its task ends the page that it is at."
    return _done(request, dag_id, back, message, control.stop, session, dag_id, who)


@router.post("/flow/{dag_id}/run", dependencies=RUN)
def run(
    request: Request,
    dag_id: str,
    who: AccessDep,
    session: SessionDep,
    start: Annotated[str, Form()] = "",
    end: Annotated[str, Form()] = "",
    batch_size: Annotated[str, Form()] = "",
    names: Annotated[str, Form()] = "",
    back: Back = "",
) -> Response:
    """Run a flow once, now: with a date range, with names of records, or as it is."""
    here, wanted = flow_of(who, dag_id)
    conf: dict[str, Any] = {}
    if wanted.kind.ranged:
        since, until = moment_of(start, here, "From"), moment_of(end, here, "To", asked.END)
        if since >= until:
            return then(request, _after(dag_id, back), "The range ends before it begins.", "failed")
        conf |= {asked.START: since.isoformat(), asked.END: until.isoformat()}
    if batch_size.strip():
        conf[asked.BATCH_SIZE] = _batch_size(batch_size)
    if wanted.kind in (FlowKind.NF, FlowKind.NFS):
        conf |= _named(names, wanted.kind)
    try:
        with session.begin_nested():
            run_id = control.run_now(session, world.ledger(), dag_id, who.name, conf=conf)
    except InterWeaveError as error:
        return then(request, _after(dag_id, back), str(error), "failed")
    return then(request, _after(dag_id, back), f"{wanted.flow} runs: {run_id}.")


@router.post(
    "/flow/{dag_id}/query-starts",
    dependencies=[Depends(requires_access_dag("PUT")), Depends(administrator), Depends(genuine)],
)
def query_starts(request: Request, dag_id: str, who: AccessDep, value: Annotated[str, Form()]) -> Response:
    """Set from when on a flow looks for changes; it counts from the flow's next run on."""
    here, wanted = flow_of(who, dag_id)
    if wanted.kind is not FlowKind.SCHEDULED:
        raise HTTPException(422, "Only scheduled flows have Query Starts.")
    new = moment_of(value, here, "Query Starts")
    try:
        now = world.ledger().move_query_starts(here.name, wanted.flow, new, by=who.name, back=True)
    except FixConfiguration as error:
        return then(request, f"/flow/{dag_id}", str(error), "failed")
    shown = now.astimezone(here.loaded.zone).strftime("%Y-%m-%d %H:%M:%S %Z")
    return then(request, f"/flow/{dag_id}", f"Query Starts of {wanted.flow} is {shown} from its next run on.")


def _named(text: str, kind: FlowKind) -> dict[str, Any]:
    names = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if not names:
        raise HTTPException(422, "Fill in a full name or an id.")
    if kind is FlowKind.NF and len(names) > 1:
        raise HTTPException(422, "This flow takes one record; the flow that ends in NFS takes several.")
    if not all(can_be_stored(name) for name in names):
        raise HTTPException(422, "A name holds a character that no system stores; type it instead of pasting it.")
    if len(names) > NAMES or any(len(name) > LONGEST_NAME for name in names):
        raise HTTPException(422, f"At most {NAMES} names of at most {LONGEST_NAME} characters.")
    return {asked.FULL_NAME: names[0]} if kind is FlowKind.NF else {asked.NAMES: "\n".join(names)}


def _batch_size(text: str) -> int:
    try:
        size = int(text)
    except ValueError:
        size = 0
    if not 1 <= size <= 2_000:
        raise HTTPException(422, "A batch has between 1 and 2,000 records.")
    return size


def _after(dag_id: str, back: str) -> str:
    return f"/c/{dag_id.partition('.')[0]}" if back == "flows" else f"/flow/{dag_id}"


def _done(
    request: Request, dag_id: str, back: str, message: str, act: Any, session: Any, subject: str, who: Access
) -> Response:
    try:
        with session.begin_nested():
            act(session, world.ledger(), subject, who.name)
    except InterWeaveError as error:
        return then(request, _after(dag_id, back), str(error), "failed")
    return then(request, _after(dag_id, back), message)
