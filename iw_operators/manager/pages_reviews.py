"""Review sheets of binding flows: what was found, approved or refused row by row, with another partner where asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from starlette.responses import HTMLResponse, Response

from iw_operators.engine.review import Finding
from iw_operators.ledger.reviews import DECISIONS, OPEN, Choice, Choosable
from iw_operators.manager import world
from iw_operators.manager.common import Place, must_operate, place, reading, show, then
from iw_operators.manager.reading import RunFacts
from iw_operators.manager.security import LARGEST, Access, AccessDep, Number, genuine

router = APIRouter()
FORM = [Depends(genuine)]
PAGE = 100
FINDINGS = tuple(each.value for each in Finding)
CHOOSABLE: tuple[Choosable, ...] = get_args(Choosable)


@router.get("/c/{company}/reviews")
def reviews(request: Request, company: str, who: AccessDep) -> HTMLResponse:
    """List the newest sheet of each binding flow."""
    here = place(who, company)
    sheets = [sheet for sheet in reading().sheets(here.name) if sheet.flow in here.flows]
    return show(request, who, "reviews.html", here=here, sheets=sheets)


@router.get("/c/{company}/reviews/{run_id}")
def sheet(
    request: Request,
    company: str,
    run_id: Number,
    who: AccessDep,
    mapping: str = "",
    finding: str = "",
    decision: str = "",
    text: str = "",
    after: Annotated[int, Query(ge=0, le=LARGEST)] = 0,
) -> HTMLResponse:
    """Show a sheet, page by page."""
    here = place(who, company)
    run = _run(here, run_id)
    ledger = world.ledger()
    asked = {"mapping": mapping, "finding": finding, "decision": decision, "text": text.strip()}
    if finding not in ("", *FINDINGS) or decision not in ("", *DECISIONS):
        raise HTTPException(422, "There is no such finding or decision.")
    rows = ledger.review_rows(
        run_id,
        mapping=mapping or None,
        findings=[finding] if finding else (),
        decisions=[decision] if decision else (),
        text=text.strip(),
        after=after,
        limit=PAGE,
    )
    return show(
        request,
        who,
        "review.html",
        here=here,
        run=run,
        flow=here.flows[run.flow],
        rows=rows,
        asked=asked,
        counts=ledger.review_counts(run_id),
        findings=FINDINGS,
        decisions=DECISIONS,
        more=rows[-1].id if len(rows) == PAGE else 0,
        may=here.flows[run.flow].dag_id in who.operates,
        latest=ledger.latest_review(here.name, run.flow) == run_id,
    )


@router.post("/c/{company}/reviews/{run_id}", dependencies=FORM)
async def decide(request: Request, company: str, run_id: Number, who: AccessDep) -> Response:
    """Keep what was decided about rows: `decision-<id>`, and `partner-<id>` where another one is meant."""
    from starlette.concurrency import run_in_threadpool

    form = {name: str(value) for name, value in (await request.form()).items()}
    return await run_in_threadpool(_decide, request, company, run_id, who, form)


def _decide(request: Request, company: str, run_id: int, who: Access, form: Mapping[str, str]) -> Response:
    here = place(who, company)
    run = _run(here, run_id)
    must_operate(who, [here.flows[run.flow].dag_id])
    ledger, back = world.ledger(), f"/c/{here.name}/reviews/{run_id}"
    match form.get("do", "save"):
        case "approve exact":
            count = ledger.approve_exact(here.name, run_id, by=who.name)
            return then(request, back, f"Approved: {count} exact matches.")
        case "refuse all":
            count = ledger.refuse_review(here.name, run_id, by=who.name)
            return then(request, back, f"Refused: {count} rows. Nothing of this sheet is bound any more.")
        case "save":
            choices = list(_choices(form))
            refusals = ledger.decide_review(here.name, run_id, choices, by=who.name)
            kept = len(choices) - len(refusals)
            if refusals:
                reasons = "; ".join(f"row {each.id}: {each.why}" for each in refusals[:10])
                return then(request, back, f"Kept: {kept}. Not possible: {reasons}.", "failed")
            return then(request, back, f"Kept: {kept} decision{'s' if kept != 1 else ''}.")
    raise HTTPException(422, "Only save, approve exact and refuse all are known.")


def _choices(form: Mapping[str, str]) -> Any:
    for name, value in form.items():
        kind, _, number = name.partition("-")
        if kind != "decision" or not (number.isascii() and number.isdigit() and len(number) <= 18):
            continue
        partner = (form.get(f"other-{number}") or form.get(f"partner-{number}") or "").strip()
        decision = next((each for each in CHOOSABLE if each == value), None)
        if decision is None:
            raise HTTPException(422, "A row is open, approved or refused.")
        if value != form.get(f"was-{number}", OPEN) or partner != form.get(f"had-{number}", ""):
            yield Choice(int(number), decision, partner)


def _run(here: Place, run_id: int) -> RunFacts:
    run = reading().run(here.name, run_id)
    if run is None or run.flow not in here.flows:
        raise HTTPException(404, "There is no such sheet, or you may not see it.")
    return run
