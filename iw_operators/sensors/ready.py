"""The first task of every flow: may this run start, and for which window?"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import structlog
from airflow.sdk import BaseSensorOperator, Context, PokeReturnValue
from airflow.sdk.exceptions import AirflowSkipException

from iw_operators import asked, settings, site, xcoms
from iw_operators.errors import FixConfiguration, InterWeaveError
from iw_operators.operators.turned import again
from iw_operators.points import reach
from iw_operators.retry import describe, told
from iw_operators.spec.models import FlowKind
from iw_operators.spec.resolved import ResolvedFlow

if TYPE_CHECKING:
    from iw_operators.ledger.store import Ledger
    from iw_operators.ledger.turns import Turn
    from iw_operators.systems.base import System

log = structlog.get_logger(__name__)

SLOWEST = 6  # times the poll interval: the longest pause between two looks

Edge = dt.datetime | None


class ReadySensor(BaseSensorOperator):
    """Takes the run's turn; succeeds when both systems are reachable, signed in and the right company; begins the run.

    | kind | while it is not its turn, in a maintenance, in the sleep window |
    |---|---|
    | scheduled | the run ends at once as skipped, with the reason; Query Starts stays |
    | utility | waits, without a worker; where `strict` is set it fails while scheduled flows are switched on |

    The run's window is set here, once: a retry gets the same one.

    | kind | window |
    |---|---|
    | scheduled | from Query Starts, less the company's overlap (everything, at first), to now by the source's clock |
    | DR, DRS | `start` to `end` of the run's form; where they are empty, the run's data interval |
    | a backfill's run of F | the run's data interval |
    | N, F | `start` to `end` of the run's form, if any; otherwise everything |
    | all others | none |

    What the window is made of, and the batch size, is fixed here too: a flow that is changed meanwhile keeps them
    until its next run (`iw_operators.asked`).

    A run of a date range or of a backfill waits until no earlier window of the flow is running, so that windows go in
    order however many runs the backfill starts. A system that cannot be reached is an error that Airflow retries, not
    a longer wait; when it stays away, the failure of this task is the connection failure of the flow.
    """

    shallow_copy_attrs: Sequence[str] = ("flow",)

    def __init__(self, *, flow: ResolvedFlow, **kwargs: Any) -> None:
        where = site.task_options(flow.company)
        # Who waits long looks less often. A look that comes before the scheduler has noted the end of the one before is
        # taken for a failed try by Airflow, and each costs a worker's process.
        poll = settings.poll_interval()
        pace = {"poke_interval": poll, "exponential_backoff": True, "max_wait": dt.timedelta(seconds=poll * SLOWEST)}
        super().__init__(mode="reschedule", **{**pace, **where, **kwargs})
        self.flow = flow

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once. Raises what the systems and the ledger raise, AirflowSkipException for a run that is skipped."""
        with told(context):
            one_of_windows = asked.one_of_windows(self.flow, _run_type(context))
            if one_of_windows and (earlier := context["ti"].get_previous_dagrun(state="running")):
                log.info("waiting for an earlier window", run=earlier.run_id)
                return PokeReturnValue(is_done=False)
            return self.take_turn(context)

    def take_turn(self, context: Context) -> PokeReturnValue:
        """Start if it is the run's turn; else wait, or end the run as skipped."""
        from iw_operators.operators.runtime import ledger_of_run
        from iw_operators.operators.turn import Keeper, not_now, role, sentence

        key = (self.flow.company.company, self.flow.flow, context["run_id"])
        with ledger_of_run(self.flow.company.company) as ledger:
            cause, why = not_now(ledger, self.flow)
            if not why:
                turn = self.ask(ledger, context)
                why = "" if turn.taken else sentence(turn.others)
            if why and role(self.flow) == "scheduled":
                self.skip(ledger, context, why)
            if why:
                log.info("waiting", why=why)
                if cause:
                    ledger.leave_row(*key)
                if cause == "asleep":
                    self.sleep_on()
                return PokeReturnValue(is_done=False)
            try:
                with Keeper(ledger, self.flow, context).keep():
                    return PokeReturnValue(is_done=True, xcom_value=self.start(ledger, context))
            except BaseException:
                ledger.give_turn_back(*key)
                raise

    def ask(self, ledger: Ledger, context: Context) -> Turn:
        """Return the run's turn, or who is in the way. Raises FixConfiguration where `strict` forbids to wait."""
        from iw_operators.operators.turn import drop_gone, role

        company, run_id, mine = self.flow.company, context["run_id"], role(self.flow)
        strict = company.strict and mine == "utility"
        on = self.switched_on(context) if strict else []
        if not on:
            turn = ledger.take_turn(company.company, self.flow.flow, run_id, mine, strict=strict)
            if not turn.taken and drop_gone(ledger, company.company, turn.others, context["ti"]):
                turn = ledger.take_turn(company.company, self.flow.flow, run_id, mine, strict=strict)
            if turn.state == "waiting" or not strict or turn.taken:
                return turn
            on = [f"{company.company}.{each.flow}" for each in turn.others]
        msg = f"{company.company} is strict: a utility flow is refused while these are switched on or at work: "
        raise FixConfiguration(msg + ", ".join(dict.fromkeys(on)) + ".", code="iw.strict")

    def switched_on(self, context: Context) -> list[str]:
        """Return the DAG ids of the company's flows that run by themselves and are switched on."""
        from iw_operators.operators.turn import is_paused
        from iw_operators.spec.loader import load_company

        root = settings.mappings_folder(context["dag"].fileloc)
        spec, _ = load_company(root / self.flow.company.company)
        flows = spec.flows.values() if spec else ()
        return [each.dag_id for each in flows if not each.kind.utility and not is_paused(context["ti"], each.dag_id)]

    def skip(self, ledger: Ledger, context: Context, why: str) -> None:
        """End the run in the ledger as skipped. Raises AirflowSkipException, which skips the tasks after this one."""
        from iw_operators.operators.runtime import begin

        ledger.end_run(begin(ledger, self.flow, context), "skipped", error=why)
        context["ti"].xcom_push(key=xcoms.SKIPPED, value=why)
        raise AirflowSkipException(why)

    def sleep_on(self) -> None:
        """Wait without looking until the company's flows are awake. Raises AirflowRescheduleException."""
        from iw_operators.sleep import sleeping

        if until := sleeping(self.flow.company, dt.datetime.now(dt.UTC)):
            raise again(until)

    def start(self, ledger: Ledger, context: Context) -> dict[str, Any]:
        """Check both systems, begin the run, set its window; return what the log and XCom show of it."""
        from iw_operators.operators.runtime import begin, open_side

        company = self.flow.company
        run_id = begin(ledger, self.flow, context)
        systems: dict[str, System] = {}
        context["ti"].xcom_push(key=xcoms.ASKED_AT, value=dt.datetime.now(dt.UTC).isoformat())
        for side in (self.flow.source, self.flow.target):
            try:
                system = open_side(company, side, ledger)
                log.info("reachable", system=system.name, answer=system.check())
            except InterWeaveError as error:
                told_of = {**describe(error), "side": side, "reached": list(systems)}
                context["ti"].xcom_push(key=xcoms.UNREACHABLE, value=told_of)
                raise
            systems[side] = system
        source = systems[self.flow.source]
        reach("before_window")
        since, until = self.window(ledger, source, run_id, context)
        reach("after_window")
        shown = {"run": run_id, "since": _text(since), "until": _text(until)}
        log.info("ready", **shown)
        return {**shown, xcoms.FIXED: asked.fixed(self.flow, context["params"])}

    def window(self, ledger: Ledger, source: System, run_id: int, context: Context) -> tuple[Edge, Edge]:
        """Return the run's window as the ledger keeps it.

        Raises FixConfiguration when dates are missing or wrong, when no record is named that should be, or when Query
        Starts lies ahead of the source's clock.
        """
        asked.named(self.flow, context["params"])
        wanted: tuple[Edge, Edge]
        if self.flow.kind is FlowKind.SCHEDULED:
            starts = ledger.query_starts_for(self.flow.company.company, self.flow.flow, run_id)
            overlap = dt.timedelta(seconds=self.flow.company.overlap_seconds)
            wanted = (starts - overlap if starts else None), source.now()
            _forwards(*wanted)
        elif self.flow.kind.bulk:
            interval = context.get("data_interval_start"), context.get("data_interval_end")
            wanted = asked.window(self.flow, context["params"], interval, source.now(), _run_type(context))
        else:
            return None, None
        return ledger.set_window(run_id, *wanted)


def _forwards(since: Edge, until: dt.datetime) -> None:
    """Refuse a window that ends before it begins, by more than clocks differ: the run would find nothing, and be well.

    Changes that the source makes until its clock has come there would never be read.
    """
    from iw_operators.ledger.starts import CLOCKS

    if since is not None and since > until + CLOCKS:
        msg = f"Query Starts is ahead of the source's clock: changes from {_text(since)} on, and it is {_text(until)}."
        advice = "Set Query Starts back to before the last changes that have arrived; what is in step is not written."
        raise FixConfiguration(msg, code=asked.WINDOW, advice=advice)


def _run_type(context: Context) -> str:
    found = context["dag_run"].run_type
    return str(getattr(found, "value", found))


def _text(moment: Edge) -> str | None:
    return moment.isoformat() if moment else None
