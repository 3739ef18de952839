"""The last task of every flow: it runs whatever happened, balances the run and ends it in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog
from airflow.sdk import BaseOperator, Context, TriggerRule
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from iw_operators import notify, retention, xcoms
from iw_operators.listener import SCHEDULED
from iw_operators.points import reach
from iw_operators.retry import ERROR_KEY, told
from iw_operators.spec.models import FlowKind, StopScheduled
from iw_operators.spec.resolved import ResolvedFlow

if TYPE_CHECKING:
    from iw_operators.ledger.store import Ledger

log = structlog.get_logger(__name__)

TELLING = 3  # kinds of rejections that the log shows
ASKED: Final = ("FixRecord", "FixConfiguration")  # errors of what a person has asked for
BY_ITSELF: Final = "InterWeave"  # who does what no person does
HOW_TO_GO_ON: Final = "Correct the cause, then start the flows again that were stopped: by"


class ReportOperator(BaseOperator):
    """Sum the run up, end it in the ledger, move Query Starts on, give the run's turn back.

    A run that was skipped or stopped is one already in the ledger; this task is skipped then.

    Query Starts of a scheduled flow moves to the end of the run's window, and only when every task before this one
    succeeded and left its result, so that a task marked as a success by hand moves nothing. What somebody has set
    meanwhile by hand stays. Otherwise the run is failed, and this task fails with it, so that the DAG run is failed as
    well.
    """

    ui_color = "#eef0f8"
    shallow_copy_attrs: Sequence[str] = ("flow", "steps")

    def __init__(self, *, flow: ResolvedFlow, steps: Mapping[str, str], **kwargs: Any) -> None:
        """`steps`: task id -> mapping, in order; `ready` is not among them."""
        super().__init__(trigger_rule=TriggerRule.ALL_DONE, **kwargs)
        self.flow = flow
        self.steps = steps

    def execute(self, context: Context) -> dict[str, Any]:
        """Do it. Raises AirflowFailException naming what failed, AirflowSkipException for what was not to be done."""
        from iw_operators.operators.runtime import begin, ledger_of_run

        with told(context), ledger_of_run(self.flow.company.company) as ledger:
            ledger.give_turn_back(self.flow.company.company, self.flow.flow, context["run_id"])
            if left := self.left(context):
                state, why = left
                context["ti"].xcom_push(key=xcoms.STATE, value=state)
                log.info("run done", state=state, why=why)
                raise AirflowSkipException(why)
            run_id = begin(ledger, self.flow, context)
            counts = self.counts(ledger, run_id)
            wrong = self.wrong(context)
            reach("before_end_run")
            yielded = {error["code"] for error in self.errors(context)} == {"iw.yielded"}
            ended: Any = "stopped" if yielded else "failed" if wrong else "success"
            ledger.end_run(run_id, ended, error="\n".join(wrong))
            if not wrong and self.flow.kind is FlowKind.SCHEDULED:
                reach("before_query_starts")
                self.move_on(ledger, run_id, context)
                reach("after_query_starts")
                self.count(ledger, run_id, context)
            self.tell_rejections(ledger, run_id)
            if wrong and not yielded and (why := self.stops(context)):
                self.stop_scheduled(ledger, context, why)
            notify.after_run(self.flow, ledger, run_id, wrong=wrong, context=context)
            retention.prune_due(ledger, self.flow.company)
        state = "failed" if wrong else "success"
        context["ti"].xcom_push(key=xcoms.STATE, value=ended)
        log.info("run done", state=ended, run=run_id, mappings=len(counts))
        if wrong:
            raise AirflowFailException("The run failed. " + " ".join(wrong))
        return {"run": run_id, "state": state, "mappings": counts}

    def counts(self, ledger: Ledger, run_id: int) -> dict[str, dict[str, int]]:
        """Return and log what the ledger says about each mapping that was done."""
        found = {}
        for line in ledger.summary(run_id):
            counts = {str(action): number for action, number in line.counts.items()}
            found[line.mapping] = {"read": line.read, **counts}
            log.info("mapping", mapping=line.mapping, read=line.read, **counts)
        return found

    def wrong(self, context: Context) -> list[str]:
        """Return what kept the run from being complete, one sentence each; empty when nothing did."""
        ti = context["ti"]
        tasks = [xcoms.READY, *self.steps]
        states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id], task_ids=tasks).get(ti.run_id, {})
        sentences = [self.reason(ti, task) for task in tasks if states.get(task) == "failed"]
        if left_out := [task for task in tasks if states.get(task) not in ("success", "failed")]:
            sentences.append(f"Not done: {', '.join(left_out)}.")
        succeeded = [task for task in tasks if states.get(task) == "success"]
        if unproved := [task for task in succeeded if ti.xcom_pull(task_ids=task) is None]:
            sentences.append(f"Marked as a success without being done: {', '.join(unproved)}.")
        return sentences

    def left(self, context: Context) -> tuple[str, str] | None:
        """Return that the run was skipped or stopped, and why; None for a run that was to do its work."""
        ti = context["ti"]
        if why := ti.xcom_pull(task_ids=xcoms.READY, key=xcoms.SKIPPED):
            return "skipped", str(why)
        stopped = [ti.xcom_pull(task_ids=task, key=xcoms.STOPPED) for task in self.steps]
        return next((("stopped", str(why)) for why in stopped if why), None)

    def errors(self, context: Context) -> list[dict[str, str]]:
        """Return the errors with which tasks of the run failed, as far as they left word."""
        found = [context["ti"].xcom_pull(task_ids=task, key=ERROR_KEY) for task in (xcoms.READY, *self.steps)]
        return [error for error in found if error]

    def stops(self, context: Context) -> str:
        """Return why this failed run stops the company's scheduled flows (R7); "" when it does not.

        A utility run that could not do what its person had asked for (no such record, no dates) is no such error.
        """
        policy, errors = self.flow.company.stop_scheduled, self.errors(context)
        if policy is StopScheduled.NEVER:
            return ""
        if context["ti"].xcom_pull(task_ids=xcoms.READY, key=xcoms.UNREACHABLE):
            return f"{self.flow.dag_id} could not connect to both systems."
        asked = self.flow.kind.utility and errors and all(error["error"] in ASKED for error in errors)
        if policy is StopScheduled.AFTER_ANY_ERROR and not asked:
            return f"A run of {self.flow.dag_id} has failed."
        return ""

    def stop_scheduled(self, ledger: Ledger, context: Context, why: str) -> None:
        """Have all scheduled flows of the company switched off when this run has ended, and keep that and why."""
        company = self.flow.company.company
        context["ti"].xcom_push(key=xcoms.PAUSE, value={"dags": [], "all": SCHEDULED, "why": why})
        ledger.note_deed(company, BY_ITSELF, "stopped all scheduled flows", self.flow.flow, {"why": why})
        how = f"{HOW_TO_GO_ON} `airflow iw start {company} --stopped`, or one by one on the Integration Manager page."
        log.warning("all scheduled flows are stopped", company=company, why=why, advice=how)

    def reason(self, ti: Any, task: str) -> str:
        """Return why a task failed, as far as it left word."""
        error = ti.xcom_pull(task_ids=task, key=ERROR_KEY)
        if not error:
            return f"{task}: failed, see its log."
        code = f"[{error['code']}] " if error["code"] else ""
        return f"{task}: {error['error']}: {code}{error['message']} {error['advice']}".rstrip()

    def move_on(self, ledger: Ledger, run_id: int, context: Context) -> None:
        """Move Query Starts to the end of the run's window, unless somebody has set it since the run's window was."""
        window = ledger.window(run_id)
        if window and window[1]:
            company, flow, by = self.flow.company.company, self.flow.flow, f"run {context['run_id']}"
            stands = ledger.move_query_starts(company, flow, window[1], by=by, run_id=run_id)
            if stands == window[1]:
                log.info("query starts moved", to=stands.isoformat())
                return
            why = "it is further on already" if stands > window[1] else "it has been set by hand since the run began"
            log.warning("query starts left", at=stands.isoformat(), window_ends=window[1].isoformat(), why=why)

    def count(self, ledger: Ledger, run_id: int, context: Context) -> None:
        """Count the run; have the flow switched off when this was the last of as many as it is to complete (R1)."""
        most = self.flow.spec.executions
        completed = ledger.count_run(self.flow.company.company, self.flow.flow, run_id, limit=most)
        if most and completed >= most:
            why = f"{self.flow.dag_id} has completed {completed} of {most} runs."
            context["ti"].xcom_push(key=xcoms.PAUSE, value={"dags": [self.flow.dag_id], "why": why})
            ledger.note_deed(self.flow.company.company, BY_ITSELF, "stopped", self.flow.flow, {"why": why})
            log.info("the flow stops itself", why=why)

    def tell_rejections(self, ledger: Ledger, run_id: int) -> None:
        """Log the most telling rejections by their code and advice, without names and amounts (E2)."""
        rows: Sequence[Any] = ledger.rejections([run_id], TELLING)
        for row in rows:
            log.info("rejected", mapping=row.mapping, code=row.code, advice=row.advice)
