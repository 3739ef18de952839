"""What happens when a run is not done in the minutes that its flow allows."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import structlog
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from iw_operators import settings
from iw_operators.spec.models import Company, NotifyMode

if TYPE_CHECKING:
    from iw_operators.spec.resolved import ResolvedFlow

log = structlog.get_logger(__name__)


def alert(flow: ResolvedFlow) -> DeadlineAlert | None:
    """Return what notices that a run of the flow takes too long; None for a flow that may take as long as it does."""
    minutes = flow.spec.deadline_minutes
    return None if minutes is None else after(minutes, f"{minutes} minutes", note_missed, told_of(flow))


def after(minutes: int, name: str, note: Callable[..., Awaitable[None]], kwargs: Mapping[str, Any]) -> DeadlineAlert:
    """Return what has the triggerer call `note` for a run that has not ended so long after it was queued."""
    return DeadlineAlert(
        name=name,
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=dt.timedelta(minutes=minutes),
        callback=AsyncCallback(note, kwargs=dict(kwargs)),
    )


def told_of(flow: ResolvedFlow) -> dict[str, Any]:
    """Return what `note_missed` needs to send a mail about a flow, as JSON data; nothing where no mail is wanted."""
    if flow.company.notify.mode is NotifyMode.NONE:
        return {}
    return {"company": flow.company.dumped(), "flow": flow.flow, "minutes": flow.spec.deadline_minutes}


async def note_missed(
    context: dict[str, Any], company: Mapping[str, Any] | None = None, flow: str = "", minutes: int = 0
) -> None:
    """Log a missed deadline and mail it; Airflow itself lists it. Runs in the triggerer.

    A run that ended in failure before its deadline counts as missed for Airflow; it has its own report, so nothing is
    said about it here. No mail is made of a run that was skipped, or stopped by somebody, which Airflow may hold to be
    running still, and none in a maintenance. Mails that cannot be made are told in the log.

    :param company: the company's settings as `told_of` gives them; None for one that wants no mails.
    """
    run = context.get("dag_run") or {}
    if run.get("state") == "failed":
        return
    log.warning("deadline missed", dag_id=run.get("dag_id"), run_id=run.get("dag_run_id"), state=run.get("state"))
    if company is None:
        return
    due = (context.get("deadline") or {}).get("deadline_time")
    try:
        await asyncio.to_thread(_mail, Company.model_validate(company), flow, minutes, run, due)
    except Exception as error:
        log.exception("mail of a missed deadline could not be made", error=type(error).__name__)


def _mail(company: Company, flow: str, minutes: int, run: Mapping[str, Any], due: dt.datetime | str | None) -> None:
    from iw_operators.notify.composing import compose
    from iw_operators.notify.events import DeadlineMissed
    from iw_operators.notify.outbox import flush
    from iw_operators.notify.runs import place
    from iw_operators.operators.runtime import ledger_of_run

    when = dt.datetime.fromisoformat(due) if isinstance(due, str) else due or dt.datetime.now(dt.UTC)
    dag_run_id = str(run.get("dag_run_id", ""))
    with ledger_of_run(company.company) as ledger:
        number = ledger.find_run(company.company, flow, dag_run_id)
        # Why a run ended is known of runs that failed, were skipped or stopped, and of no other.
        if ledger.maintenance(company.company) or (number is not None and ledger.error(number)):
            return
        where = place(company.company, flow, dag_run_id, number)
        event = DeadlineMissed(where, minutes, when, str(run.get("state") or "unknown"))
        ledger.queue_mails(company.company, compose(event, company, settings.templates_folder()))
        flush(ledger, company.company)
