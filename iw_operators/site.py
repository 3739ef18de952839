"""Tasks that run on a worker at the customer's site, where no port may be opened towards the company file.

Only tasks that talk to the company's systems go there. Such a worker may be away: its tasks then wait in the queue and
no task is there to notice it. A deadline a run does, in the triggerer.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import structlog

from iw_operators import deadlines, settings
from iw_operators.spec.models import Company

if TYPE_CHECKING:
    from airflow.sdk.definitions.deadline import DeadlineAlert

    from iw_operators.ledger.alarms import Alarm
    from iw_operators.ledger.mails import NewMail
    from iw_operators.ledger.store import Ledger
    from iw_operators.spec.resolved import ResolvedFlow

log = structlog.get_logger(__name__)

WORKER: Final = "worker"  # what stands in the place of a side where it is about the worker
ALARM: Final = f"connection:{WORKER}"
AWAY: Final = "iw.worker_away"


def task_options(company: Company) -> dict[str, Any]:
    """Return what an operator is given so that its task runs where the company's systems are reached."""
    worker = company.worker
    return {"queue": worker.queue, "executor": worker.executor} if worker else {}


def label(company: Company) -> str:
    """Return what people call the company's worker."""
    return f"The worker at the site (queue {company.worker.queue})" if company.worker else ""


def alert(flow: ResolvedFlow) -> DeadlineAlert | None:
    """Return what notices that a run waits for a worker which is away; None for a company without one."""
    company = flow.company
    if company.worker is None:
        return None
    minutes = company.worker.away_minutes
    told = {"company": company.dumped(), "flow": flow.flow}
    return deadlines.after(minutes, f"worker away for {minutes} minutes", note_away, told)


async def note_away(context: dict[str, Any], company: Mapping[str, Any], flow: str) -> None:
    """Begin the alarm of a worker that is away, where this run still waits for it. Runs in the triggerer.

    However many runs wait, one mail is sent; another one when the worker has done a run again (`notify.runs`).
    """
    run = context.get("dag_run") or {}
    if run.get("state") != "running":
        return
    try:
        await asyncio.to_thread(_note, Company.model_validate(company), flow, str(run.get("dag_run_id", "")))
    except Exception as error:
        log.exception("a worker that is away could not be noted", error=type(error).__name__)


def _note(company: Company, flow: str, dag_run_id: str) -> None:
    from iw_operators.operators.runtime import ledger_of_run

    with ledger_of_run(company.company) as ledger:
        if not rests(ledger, company) and not has_begun(ledger, company.company, flow, dag_run_id):
            log.warning("worker away", company=company.company, flow=flow, run_id=dag_run_id)
            begin_alarm(ledger, company, flow, dag_run_id)


def rests(ledger: Ledger, company: Company) -> bool:
    """Tell whether no run of the company begins now: in a maintenance and in the sleep window `ready` looks and waits,
    and leaves no trace of it."""
    from iw_operators.sleep import sleeping

    return ledger.maintenance(company.company) is not None or sleeping(company, dt.datetime.now(dt.UTC)) is not None


def has_begun(ledger: Ledger, company: str, flow: str, dag_run_id: str) -> bool:
    """Tell whether a worker has taken a run up, or is at work for the company, whose tasks then wait for their turn."""
    if ledger.find_run(company, flow, dag_run_id) is not None:
        return True
    holders = ledger.turns(company)
    return any(each.alive and (each.state == "working" or each.dag_run_id == dag_run_id) for each in holders)


def begin_alarm(ledger: Ledger, company: Company, flow: str, dag_run_id: str) -> None:
    """Begin the alarm and send its mail, unless it stands already."""
    from iw_operators.notify.composing import compose
    from iw_operators.notify.events import ConnectionLost, Reason
    from iw_operators.notify.outbox import flush
    from iw_operators.notify.runs import place

    minutes = company.worker.away_minutes if company.worker else 0
    why = Reason(
        "ready",
        f"A run of {flow} has waited for {minutes} minutes, and no worker has taken it up.",
        AWAY,
        "Look whether the worker's machine is on and reaches Airflow. What waits is done when it is back, once.",
    )

    def mails(alarm: Alarm) -> list[NewMail]:
        where = place(company.company, flow, dag_run_id, None)
        event = ConnectionLost(label(company), WORKER, alarm.began_at, why, where)
        return compose(event, company, settings.templates_folder())

    ledger.begin_alarm(company.company, ALARM, why.message, mails)
    flush(ledger, company.company)
