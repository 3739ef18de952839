"""Telling that a company's policy has stopped its flows, where the run that failed could not tell it itself."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Final

import structlog

from iw_operators import settings

log = structlog.get_logger(__name__)

BY_ITSELF: Final = "InterWeave"  # who does what no person does
STOPPED: Final = "stopped"  # the alarm that stands while flows have stopped themselves


async def note_stopped(company: str, flow: str, dag_run_id: str, why: str, stopped: Sequence[str]) -> None:
    """Note that flows were stopped, and mail it. Runs in the triggerer, which the scheduler has asked to (`listener`).

    Mails that cannot be made are told in the log.

    :param stopped: DAG ids of the flows. :param flow: the one whose run was the cause.
    """
    try:
        await asyncio.to_thread(_tell, company, flow, dag_run_id, why, tuple(stopped))
    except Exception as error:
        log.exception("mail of flows that were stopped could not be made", error=type(error).__name__)


def _tell(name: str, flow: str, dag_run_id: str, why: str, stopped: tuple[str, ...]) -> None:
    from iw_operators.notify.composing import compose
    from iw_operators.notify.events import Stopped
    from iw_operators.notify.outbox import flush
    from iw_operators.notify.runs import place
    from iw_operators.operators.runtime import ledger_of_run
    from iw_operators.spec.loader import load_company

    with ledger_of_run(name) as ledger:
        detail = {"why": why, "flows": list(stopped)}
        ledger.note_deed(name, BY_ITSELF, "stopped all scheduled flows", flow, detail)
        ledger.begin_alarm(name, STOPPED, why, lambda _: [])
        spec, errors = load_company(settings.mappings_folder() / name)
        if spec is None:
            log.error("nobody is told: the settings of the company have errors", company=name, error=str(errors[0]))
            return
        number = ledger.find_run(name, flow, dag_run_id)
        event = Stopped(place(name, flow, dag_run_id, number), dt.datetime.now(dt.UTC), why, stopped)
        mails = compose(event, spec.company, settings.templates_folder())
        ledger.queue_mails(name, mails)
        flush(ledger, name)
