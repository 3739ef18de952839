"""Records: what was done with each, those that failed, and the review sheets of binding flows."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

from airflow.api_fastapi.common.db.common import SessionDep
from fastapi import APIRouter, Depends, Form, HTTPException, Request, UploadFile
from starlette.responses import HTMLResponse, Response

from iw_operators import control, records
from iw_operators.asked import END
from iw_operators.engine.model import Action
from iw_operators.errors import InterWeaveError
from iw_operators.ledger.codec import can_be_stored
from iw_operators.ledger.failures import FailureState
from iw_operators.ledger.model import Cursor
from iw_operators.ledger.search import LogPage, LogQuery
from iw_operators.manager import world
from iw_operators.manager.common import Place, csv_file, moment_of, must_operate, place, reading, show, then
from iw_operators.manager.security import Access, AccessDep, Number, genuine
from iw_operators.spec.resolved import SIDES, ResolvedFlow, ResolvedMapping, Side

router = APIRouter()
FORM = [Depends(genuine)]
PAGE = 100
LARGEST_FILE = 10 * 1024 * 1024


# ------------------------------------------------------------------------------------------------------- the record log


@router.get("/c/{company}/records")
def search(
    request: Request,
    company: str,
    who: AccessDep,
    flow: str = "",
    run: str = "",
    mapping: str = "",
    record: str = "",
    state: str = "",
    code: str = "",
    text: str = "",
    since: str = "",
    until: str = "",
    before: str = "",
) -> HTMLResponse:
    """Search the record log."""
    here = place(who, company)
    asked = {"flow": flow, "run": run, "mapping": mapping, "record": record, "state": state}
    asked |= {"code": code, "text": text, "since": since, "until": until}
    asked = {name: value.strip() for name, value in asked.items()}
    query = LogQuery(
        company=here.name,
        flow=asked["flow"] or None,
        run_id=_number(asked["run"]),
        mapping=asked["mapping"] or None,
        source_id=asked["record"] or None,
        action=_one_of(asked["state"], [action.value for action in Action]),
        code=asked["code"] or None,
        text=asked["text"] or None,
        since=moment_of(asked["since"], here, "From") if asked["since"] else None,
        until=moment_of(asked["until"], here, "To", END) if asked["until"] else None,
    )
    page = world.ledger().log_page(here.name, query, limit=PAGE, before=_cursor(before))
    rows = [row for row in page.rows if sees(who, here, row.flow)]
    run_facts = reading().run(here.name, query.run_id) if query.run_id is not None else None
    return show(
        request,
        who,
        "records.html",
        here=here,
        asked=asked,
        rows=rows,
        page=LogPage(tuple(rows), page.before),
        run=run_facts if run_facts and sees(who, here, run_facts.flow) else None,
        states=[action.value for action in Action],
    )


@router.get("/c/{company}/records/{row_id}")
def record(request: Request, company: str, row_id: Number, who: AccessDep) -> HTMLResponse:
    """Show one row of the log, field by field, and what else was done with the record."""
    here = place(who, company)
    ledger = world.ledger()
    row = ledger.log_row(here.name, row_id)
    if row is None or not sees(who, here, row.flow):
        raise HTTPException(404, "There is no such row any more, or you may not see it.")
    history = [
        each
        for each in ledger.record_history(here.name, row.mapping, row.side, row.source_id, limit=50)
        if sees(who, here, each.flow)
    ]
    mapped = here.spec.mappings.get(row.mapping)
    return show(
        request,
        who,
        "record.html",
        here=here,
        row=row,
        history=history,
        mapping=mapped,
        run=reading().run(here.name, row.run_id),
        failure=ledger.failure(here.name, row.mapping, row.side, row.source_id),
    )


def sees(who: Access, here: Place, flow: str) -> bool:
    """Tell whether somebody may see rows of a flow. Those of one that is no more are for people who see all flows."""
    if flow in here.spec.flows:
        return flow in here.flows
    return f"{here.name}.{flow}" in who.sees or not here.hidden


def _number(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise HTTPException(422, "A run is a number.")
    return int(text)


def _one_of(text: str, known: Sequence[str]) -> str | None:
    if text and text not in known:
        raise HTTPException(422, f"There are the states {', '.join(known)}.")
    return text or None


def _cursor(text: str) -> Cursor | None:
    try:
        return Cursor.of(text) if text else None
    except ValueError:
        raise HTTPException(422, "That is not a page.") from None


# ------------------------------------------------------------------------------------------------------- failed records


@router.get("/c/{company}/failures")
def failures(
    request: Request,
    company: str,
    who: AccessDep,
    state: str = FailureState.OPEN.value,
    mapping: str = "",
    side: str = "",
    flow: str = "",
    code: str = "",
    text: str = "",
    before: str = "",
) -> HTMLResponse:
    """List records that failed, those that are open unless something else is asked for."""
    here = place(who, company)
    ledger = world.ledger()
    asked = {"state": state, "mapping": mapping, "side": side, "flow": flow, "code": code, "text": text}
    found = ledger.failures(
        here.name,
        state=_one_of(state, [each.value for each in FailureState]),
        mapping=mapping.strip() or None,
        side=_side(side) if side else None,
        flow=flow.strip() or None,
        code=code.strip() or None,
        text=text.strip() or None,
        limit=PAGE,
        before=_cursor(before),
    )
    counts = [count for count in ledger.failure_counts(here.name) if not here.hidden]
    pairs = sorted({(each.mapping, each.side) for each in found} | {(c.mapping, c.side) for c in counts})
    return show(
        request,
        who,
        "failures.html",
        here=here,
        asked=asked,
        failures=[each for each in found if sees(who, here, each.flow)],
        states=list(FailureState),
        counts=counts,
        pairs=[(name, each) for name, each in pairs if _flows_of(here, name, each)],
        more=str(found[-1].cursor) if len(found) == PAGE else "",
        may=bool(who.operates & {each.dag_id for each in here.flows.values()}),
    )


@router.post("/c/{company}/failures", dependencies=FORM)
def settle(
    request: Request,
    company: str,
    who: AccessDep,
    session: SessionDep,
    do: Annotated[str, Form()],
    record: Annotated[list[str] | None, Form()] = None,
    why: Annotated[str, Form()] = "",
) -> Response:
    """Reprocess the records that are ticked, give them up, or take giving up back."""
    here = place(who, company)
    groups = _ticked(here, record or ())
    must_operate(who, [flow.dag_id for name, side in groups for flow in _flows_of(here, name, side)] or here.dag_ids)
    back = f"/c/{here.name}/failures"
    if not groups:
        return then(request, back, "No record was ticked.", "failed")
    ledger = world.ledger()
    if do == "reprocess":
        return then(request, back, *_reprocess(session, here, groups, who))
    if do == "give up":
        if not why.strip():
            return then(request, back, "Say why: a record is given up for a reason, which is kept with it.", "failed")
        done = [ledger.give_up(here.name, *key, ids, by=who.name, why=why.strip()) for key, ids in groups.items()]
        return then(request, back, f"Given up: {sum(map(len, done))}. Records that are given up stay listed as such.")
    if do == "reopen":
        done = [ledger.reopen(here.name, *key, ids, by=who.name) for key, ids in groups.items()]
        return then(request, back, f"Open again: {sum(map(len, done))}. The next scheduled run looks at them.")
    raise HTTPException(422, "Only reprocess, give up and reopen are known.")


@router.post("/c/{company}/failures/{mapping}/{side}/reprocess", dependencies=FORM)
def reprocess_all(
    request: Request, company: str, mapping: str, side: Side, who: AccessDep, session: SessionDep
) -> Response:
    """Reprocess all open failures of a mapping."""
    here = place(who, company)
    _operated(who, here, mapping, side)
    return then(request, f"/c/{here.name}/failures", *_reprocess(session, here, {(mapping, side): []}, who))


def _reprocess(
    session: Any, here: Place, groups: Mapping[tuple[str, Side], Sequence[str]], who: Access
) -> tuple[str, str]:
    """Start the runs that do records again; return what is to be said, and whether it is good."""
    started = []
    for (name, side), ids in groups.items():
        try:
            flow = records.reprocess_flow(here.spec, name, side)
            must_operate(who, [flow.dag_id])
            conf = records.reprocess_conf(ids, who.name)
            with session.begin_nested():
                run_id = control.run_now(session, world.ledger(), flow.dag_id, who.name, conf=conf)
            started.append(f"{flow.flow} {run_id}")
        except (InterWeaveError, ValueError) as error:
            done = f"Started: {', '.join(started)}. " if started else ""
            return f"{done}{name}: {error}", "failed"
    return (
        f"Reprocessing: {', '.join(started)}. The list shows a record as settled when the run has brought it.",
        "done",
    )


@router.get("/c/{company}/failures/{mapping}/{side}.csv")
def export(company: str, mapping: str, side: Side, who: AccessDep, state: str = "open") -> Response:
    """Return failed records of a mapping as CSV, with the values that the source has now."""
    here = place(who, company)
    mapped = _operated(who, here, mapping, side)
    states = [_one_of(state, [each.value for each in FailureState]) or FailureState.OPEN.value]
    with _system(here, side) as system:
        data = records.export_csv(world.ledger(), mapped, side, system, states=states)
    world.ledger().note_deed(here.name, who.name, "exported failed records", f"{mapping} {side}", {"state": state})
    return csv_file(data, f"{here.name}-{mapping}-{side}-{dt.datetime.now(dt.UTC):%Y%m%d-%H%M}.csv")


@router.post("/c/{company}/failures/{mapping}/{side}/import", dependencies=FORM)
def import_(
    request: Request, company: str, mapping: str, side: Side, who: AccessDep, session: SessionDep, file: UploadFile,
    run: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Take corrected values from a CSV file, all of them or none; with `run`, reprocess the records at once."""
    here = place(who, company)
    mapped = _operated(who, here, mapping, side)
    data = file.file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise HTTPException(413, f"The file is larger than {LARGEST_FILE // 1024 // 1024} MB.")
    name = (file.filename or "file")[:100]
    with _system(here, side) as system:
        done = records.import_csv(world.ledger(), mapped, side, system, data, by=who.name, file=name)
    said = f"Corrected: {done.records} records, {done.values} values; {done.unchanged} lines say nothing new."
    message, kind = _reprocessed(session, here, mapping, side, done, who) if run and done.records else ("", "done")
    if done.errors or done.left:
        about = {"corrected": said, "message": message, "kind": kind}
        return show(request, who, "imported.html", here=here, mapping=mapped, side=side, done=done, name=name, **about)
    return then(request, f"/c/{here.name}/failures", f"{said} {message}".rstrip(), kind)


def _reprocessed(
    session: Any, here: Place, mapping: str, side: Side, done: records.Imported, who: Access
) -> tuple[str, str]:
    """Start the runs of the records that have just been corrected and can go; say so, and whether it is good."""
    if not done.ready:  # to name none would mean all that are open
        return "Nothing was started: none of them can go yet.", "failed"
    messages = []
    for start in range(0, len(done.ready), records.MOST_IDS):
        part = done.ready[start : start + records.MOST_IDS]
        message, kind = _reprocess(session, here, {(mapping, side): part}, who)
        messages.append(message)
        if kind == "failed":
            break
    return " ".join(messages), kind


@contextmanager
def _system(here: Place, side: Side) -> Iterator[Any]:
    from iw_operators.operators.runtime import letting_go, open_side

    with letting_go():
        yield open_side(here.company, side, world.ledger())


def _side(text: str) -> Side:
    for side in SIDES:
        if text == side:
            return side
    raise HTTPException(422, "A side is crm or books.")


def _flows_of(here: Place, mapping: str, side: Side) -> list[ResolvedFlow]:
    """Return the flows that somebody sees which read a mapping's records from a side."""
    flows = here.flows.values()
    return [flow for flow in flows if flow.source == side and mapping in {m.mapping for m in flow.mappings}]


def _known(here: Place, mapping: str, side: Side) -> ResolvedMapping:
    found = here.spec.mappings.get(mapping)
    if found is None or not _flows_of(here, mapping, side):
        raise HTTPException(404, "There is no such mapping, or you may not see it.")
    return found


def _operated(who: Access, here: Place, mapping: str, side: Side) -> ResolvedMapping:
    """Return a mapping whose records somebody may correct and do again: 403 otherwise, 404 where there is none."""
    found = _known(here, mapping, side)
    must_operate(who, [flow.dag_id for flow in _flows_of(here, mapping, side)])
    return found


def _ticked(here: Place, ticked: Sequence[str]) -> dict[tuple[str, Side], list[str]]:
    """Return the records of a form: (mapping, side) -> ids. Raises 422 for what no form of ours says."""
    groups: dict[tuple[str, Side], list[str]] = {}
    for each in dict.fromkeys(ticked):
        try:
            name, side, source_id = json.loads(each)
        except (ValueError, TypeError):
            raise HTTPException(422, "That is not a record.") from None
        if not isinstance(name, str) or not isinstance(source_id, str):
            raise HTTPException(422, "That is not a record.")
        if not can_be_stored(source_id):
            raise HTTPException(422, "The id of a record holds a character that no system stores.")
        key = (name, _side(side))
        _known(here, *key)
        groups.setdefault(key, []).append(source_id)
    return groups
