"""The first task of every flow: may this run start, and for which window?"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import structlog
from airflow.sdk import BaseSensorOperator, Context, PokeReturnValue

from iw_operators import settings
from iw_operators.errors import FixConfiguration
from iw_operators.points import reach
from iw_operators.retry import told
from iw_operators.spec.models import FlowKind
from iw_operators.spec.resolved import ResolvedFlow

if TYPE_CHECKING:
    from iw_operators.ledger.store import Ledger
    from iw_operators.systems.base import System

log = structlog.get_logger(__name__)

Edge = dt.datetime | None


class ReadySensor(BaseSensorOperator):
    """Succeeds when both systems are reachable, signed in and the right company; begins the run in the ledger.

    The run's window is set here, once: a retry gets the same one.

    | kind | window |
    |---|---|
    | scheduled | from Query Starts, less the company's overlap (everything, at first), to now by the source's clock |
    | date range | the run's data interval |
    | one record | none |

    A date-range run waits until no earlier window of the flow is running, so that windows go in order however many
    runs the backfill starts. A system that cannot be reached is an error that Airflow retries, not a longer wait; when
    it stays away, the failure of this task is the connection failure of the flow.
    """

    shallow_copy_attrs: Sequence[str] = ("flow",)

    def __init__(self, *, flow: ResolvedFlow, **kwargs: Any) -> None:
        super().__init__(mode="reschedule", poke_interval=settings.poll_interval(), **kwargs)
        self.flow = flow

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once. Raises what the systems and the ledger raise."""
        with told(context):
            if self.flow.kind is FlowKind.DR and (earlier := context["ti"].get_previous_dagrun(state="running")):
                log.info("waiting for an earlier window", run=earlier.run_id)
                return PokeReturnValue(is_done=False)
            return PokeReturnValue(is_done=True, xcom_value=self.start(context))

    def start(self, context: Context) -> dict[str, Any]:
        """Check both systems, begin the run, set its window; return what the log and XCom show of it."""
        from iw_operators.operators.runtime import begin, ledger_of_run, open_side, source_side, target_side

        company = self.flow.company
        with ledger_of_run(company.company) as ledger:
            run_id = begin(ledger, self.flow, context)
            source = open_side(company, source_side(self.flow), ledger)
            target = open_side(company, target_side(self.flow), ledger)
            for system in (source, target):
                log.info("reachable", system=system.name, answer=system.check())
            reach("before_window")
            since, until = self.window(ledger, source, run_id, context)
            reach("after_window")
        shown = {"run": run_id, "since": _text(since), "until": _text(until)}
        log.info("ready", **shown)
        return shown

    def window(self, ledger: Ledger, source: System, run_id: int, context: Context) -> tuple[Edge, Edge]:
        """Return the run's window as the ledger keeps it. Raises FixConfiguration when a date range has no dates."""
        match self.flow.kind:
            case FlowKind.NF:
                return None, None
            case FlowKind.DR:
                wanted = _interval(context)
            case FlowKind.SCHEDULED:
                starts = ledger.query_starts(self.flow.company.company, self.flow.flow)
                overlap = dt.timedelta(seconds=self.flow.company.overlap_seconds)
                wanted = (starts - overlap if starts else None), source.now()
        return ledger.set_window(run_id, *wanted)


def _interval(context: Context) -> tuple[Edge, Edge]:
    since, until = context.get("data_interval_start"), context.get("data_interval_end")
    if since is None or until is None or since >= until:
        msg = "This run has no date range."
        advice = "In the trigger dialog choose Backfill, or give a logical date; over REST give data_interval_start and"
        raise FixConfiguration(msg, code="iw.no_window", advice=f"{advice} data_interval_end with a logical_date.")
    return since, until


def _text(moment: Edge) -> str | None:
    return moment.isoformat() if moment else None
