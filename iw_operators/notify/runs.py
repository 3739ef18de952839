"""What a run has to tell when it ends: a connection that was lost or is back, errors, flows that stop themselves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from iw_operators import settings, site, xcoms
from iw_operators.ledger.alarms import Alarm
from iw_operators.ledger.codec import storable
from iw_operators.ledger.mails import NewMail
from iw_operators.notify import links
from iw_operators.notify.composing import compose
from iw_operators.notify.events import (
    ConnectionBack,
    ConnectionLost,
    Event,
    Reason,
    Recovered,
    RunPlace,
    Stopped,
    Trouble,
)
from iw_operators.notify.outbox import flush
from iw_operators.notify.routing import told
from iw_operators.notify.stopping import STOPPED
from iw_operators.operators.turn import is_paused
from iw_operators.retry import ERROR_KEY
from iw_operators.spec.loader import load_company
from iw_operators.spec.models import FlowKind, NotifyMode
from iw_operators.spec.resolved import SIDES
from iw_operators.xcoms import READY

if TYPE_CHECKING:
    from airflow.sdk import Context

    from iw_operators.ledger.store import Ledger
    from iw_operators.spec.resolved import ResolvedFlow

log = structlog.get_logger(__name__)

RECORDS: Final = 25  # that a mail names
YIELDED: Final = "iw.yielded"  # a run that was stopped in the middle by somebody: no error


def after_run(flow: ResolvedFlow, ledger: Ledger, run_id: int, *, wrong: Sequence[str], context: Context) -> None:
    """Queue what the run has to tell and send what is queued. Never raises; trouble with mails is told in the log."""
    if flow.company.notify.mode is NotifyMode.NONE:
        return
    try:
        _Run(flow, ledger, run_id, wrong, context).tell()
        flush(ledger, flow.company.company)
    except Exception as error:
        log.exception("mails of the run could not be made", error=type(error).__name__)


class _Run:
    """One run, and what is to be told of it."""

    def __init__(self, flow: ResolvedFlow, ledger: Ledger, run_id: int, wrong: Sequence[str], context: Context) -> None:
        self.flow = flow
        self.company = flow.company
        self.ledger = ledger
        self.run_id = run_id
        self.ti: Any = context["ti"]
        self.reasons = tuple(self.reason(sentence) for sentence in wrong)
        self.file = _file(context)
        self.templates = settings.templates_folder(self.file)
        self.place = place(flow.company.company, flow.flow, context["run_id"], run_id)
        asked = self.ti.xcom_pull(task_ids=READY, key=xcoms.ASKED_AT)
        self.looked = dt.datetime.fromisoformat(asked) if asked else None  # when it asked both systems
        self.lost = self.ti.xcom_pull(task_ids=READY, key=xcoms.UNREACHABLE) if self.failed_at_ready() else None

    def tell(self) -> None:
        """Queue the mails."""
        if self.reasons and all(each.code == YIELDED for each in self.reasons):
            return
        stopped, why = self.stopped()
        carried = self.connections(stopped)
        if not self.lost:
            carried |= self.errors(stopped)
        self.stops(stopped, why, carried=carried)
        self.counted()

    def stops(self, stopped: tuple[str, ...], why: str, *, carried: bool) -> None:
        """Tell that flows have stopped themselves, unless another mail says so (`carried`) or it was told already.

        A scheduled flow that runs shows that somebody has started it again.
        """
        name, event = self.company.company, Stopped(self.place, dt.datetime.now(dt.UTC), why, stopped)
        if self.flow.kind is FlowKind.SCHEDULED:
            self.ledger.end_alarm(name, STOPPED, lambda _: [], begun_before=self.looked)
        if stopped:
            mails = [] if carried else compose(event, self.company, self.templates)
            self.ledger.begin_alarm(name, STOPPED, why, lambda _: mails)

    def reason(self, sentence: str) -> Reason:
        """Return a sentence of `report` with the code and advice that its task left."""
        task, _, rest = sentence.partition(": ")
        error = self.ti.xcom_pull(task_ids=task, key=ERROR_KEY) if rest else None
        if not error:
            return Reason(task if rest else "", storable(rest or sentence))
        return Reason(task, storable(error["message"]), error["code"], storable(error["advice"]))

    def failed_at_ready(self) -> bool:
        """Tell whether the run failed before its first mapping."""
        return any(each.task == READY for each in self.reasons)

    def stopped(self) -> tuple[tuple[str, ...], str]:
        """Return which flows pause themselves because this run failed, and why."""
        pause = self.pause() if self.reasons else {}
        if not pause:
            return (), ""
        everyone = f"all scheduled flows of {self.company.company}"
        on = ", ".join(self.switched_on())
        all_of_them = (f"{everyone} that were switched on ({on})" if on else everyone,) if pause.get("all") else ()
        return (*all_of_them, *pause.get("dags", ())), str(pause.get("why", ""))

    def pause(self) -> Mapping[str, Any]:
        """Return which flows `report` has asked to have switched off at the end of this run."""
        return self.ti.xcom_pull(task_ids=self.ti.task_id, key=xcoms.PAUSE) or {}

    def switched_on(self) -> list[str]:
        """Return the company's flows that run by themselves and are switched on; none where nobody can say."""
        try:
            spec, _ = load_company(settings.mappings_folder(self.file) / self.company.company)
            flows = [each.dag_id for each in spec.flows.values() if each.kind is FlowKind.SCHEDULED] if spec else []
            return [each for each in flows if not is_paused(self.ti, each)]
        except Exception as error:
            log.exception("the flows that stop could not be named", error=type(error).__name__)
            return []

    def counted(self) -> None:
        """Tell that the flow has stopped itself because this was the last of as many runs as it is to complete (R1)."""
        pause = {} if self.reasons else self.pause()
        if pause and not pause.get("all"):
            why, flows = str(pause.get("why", "")), tuple(pause.get("dags", ()))
            self.queue(Stopped(self.place, dt.datetime.now(dt.UTC), why, flows, counter=True))

    def connections(self, stopped: tuple[str, ...]) -> bool:
        """Begin and end the alarms of both systems; return whether a mail names the flows that stop."""
        reached = self.lost["reached"] if self.lost else () if self.failed_at_ready() else SIDES
        worker = (site.WORKER,) if self.company.worker and self.looked else ()  # somebody has taken `ready` up
        for side in (*reached, *worker):
            key = f"connection:{side}"
            self.ledger.end_alarm(self.company.company, key, self.making(self.back(side)), begun_before=self.looked)
        if not self.lost:
            return False
        lost = self.lost
        why = Reason(READY, storable(lost["message"]), lost["code"], storable(lost["advice"]))

        def event(alarm: Alarm) -> Event:
            return ConnectionLost(self.label(lost["side"]), lost["side"], alarm.began_at, why, self.place, stopped)

        key = f"connection:{lost['side']}"
        begun = self.ledger.begin_alarm(self.company.company, key, why.message, self.making(event))
        return begun is not None and told(self.company.notify, ConnectionLost.kind)

    def back(self, side: str) -> Callable[[Alarm], Event]:
        """Return how the end of an alarm is told."""

        def event(alarm: Alarm) -> Event:
            ended = alarm.ended_at or alarm.began_at
            return ConnectionBack(self.label(side), side, alarm.began_at, ended, self.place)

        return event

    def errors(self, stopped: tuple[str, ...]) -> bool:
        """Tell what failed, where the mode wants each error; return whether a mail names the flows that stop.

        A run that somebody has started by hand is told once, as it is: it says nothing about the next one.
        """
        if not told(self.company.notify, Trouble.kind):
            return False
        records, number = self.ledger.new_failures(self.company.company, self.run_id, limit=RECORDS)
        event = Trouble(
            self.place,
            dt.datetime.now(dt.UTC),
            self.reasons,
            tuple(records),
            number=number,
            stopped=stopped,
            lasting=not self.flow.kind.utility,
        )
        if not event.lasting:
            if self.reasons or records:
                self.queue(event)
            return bool(self.reasons)
        key = f"flow:{self.flow.flow}"
        if self.reasons:
            detail = " ".join(f"{each.task} {each.code} {each.message}" for each in self.reasons)
            begun = self.ledger.begin_alarm(self.company.company, key, detail, self.making(lambda _: event), anew=True)
            if begun:
                return True
            event = replace(event, reasons=(), stopped=())  # told already
        else:
            ended = self.ledger.end_alarm(self.company.company, key, self.making(self.recovered))
            log.debug("flow works", recovered=ended is not None)
        if records:
            self.queue(event)
        return False

    def recovered(self, alarm: Alarm) -> Event:
        """Return how the end of a flow's failing is told."""
        return Recovered(self.place, alarm.began_at, alarm.ended_at or alarm.began_at)

    def making(self, event: Callable[[Alarm], Event]) -> Callable[[Alarm], Sequence[NewMail]]:
        """Return what makes the mails of an alarm."""
        return lambda alarm: compose(event(alarm), self.company, self.templates)

    def queue(self, event: Event) -> None:
        """Queue the mails about an event."""
        self.ledger.queue_mails(self.company.company, compose(event, self.company, self.templates))

    def label(self, side: str) -> str:
        """Return what people call one of the company's systems, or its worker."""
        if side == site.WORKER:
            return site.label(self.company)
        return self.flow.mappings[0].label("crm" if side == "crm" else "books")


def place(company: str, flow: str, dag_run_id: str, run_id: int | None) -> RunPlace:
    """Return which run it is, with where people look at it."""
    base = settings.base_url()
    airflow = links.airflow_run(base, f"{company}.{flow}", dag_run_id)
    return RunPlace(flow, dag_run_id, run_id, links.run_log(base, company, run_id) if run_id else "", airflow)


def _file(context: Context) -> Path | None:
    dag: Any = context.get("dag")
    return Path(dag.fileloc) if dag is not None and dag.fileloc else None
