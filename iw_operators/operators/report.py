"""The last task of every flow: it runs whatever happened, balances the run and ends it in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog
from airflow.sdk import BaseOperator, Context, TriggerRule
from airflow.sdk.exceptions import AirflowFailException

from iw_operators.points import reach
from iw_operators.retry import ERROR_KEY, told
from iw_operators.spec.models import FlowKind
from iw_operators.spec.resolved import ResolvedFlow

if TYPE_CHECKING:
    from iw_operators.ledger.store import Ledger

log = structlog.get_logger(__name__)

TELLING = 3  # kinds of rejections that the log shows


class ReportOperator(BaseOperator):
    """Sum the run up, end it in the ledger, move Query Starts on.

    Query Starts of a scheduled flow moves to the end of the run's window, and only when every task before this one
    succeeded and left its result, so that a task marked as a success by hand moves nothing. Otherwise the run is
    failed, and this task fails with it, so that the DAG run is failed as well.
    """

    ui_color = "#eef0f8"
    shallow_copy_attrs: Sequence[str] = ("flow", "steps")

    def __init__(self, *, flow: ResolvedFlow, steps: Mapping[str, str], **kwargs: Any) -> None:
        """`steps`: task id -> mapping, in order; `ready` is not among them."""
        super().__init__(trigger_rule=TriggerRule.ALL_DONE, **kwargs)
        self.flow = flow
        self.steps = steps

    def execute(self, context: Context) -> dict[str, Any]:
        """Do it. Raises AirflowFailException naming what failed."""
        from iw_operators.operators.runtime import begin, ledger_of_run

        with told(context), ledger_of_run(self.flow.company.company) as ledger:
            run_id = begin(ledger, self.flow, context)
            counts = self.counts(ledger, run_id)
            wrong = self.wrong(context)
            reach("before_end_run")
            ledger.end_run(run_id, "failed" if wrong else "success", error="\n".join(wrong))
            if not wrong and self.flow.kind is FlowKind.SCHEDULED:
                reach("before_query_starts")
                self.move_on(ledger, run_id, context)
                reach("after_query_starts")
            self.tell_rejections(ledger, run_id)
        state = "failed" if wrong else "success"
        log.info("run done", state=state, run=run_id, mappings=len(counts))
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
        tasks = ["ready", *self.steps]
        states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id], task_ids=tasks).get(ti.run_id, {})
        sentences = [self.reason(ti, task) for task in tasks if states.get(task) == "failed"]
        if left_out := [task for task in tasks if states.get(task) not in ("success", "failed")]:
            sentences.append(f"Not done: {', '.join(left_out)}.")
        succeeded = [task for task in tasks if states.get(task) == "success"]
        if unproved := [task for task in succeeded if ti.xcom_pull(task_ids=task) is None]:
            sentences.append(f"Marked as a success without being done: {', '.join(unproved)}.")
        return sentences

    def reason(self, ti: Any, task: str) -> str:
        """Return why a task failed, as far as it left word."""
        error = ti.xcom_pull(task_ids=task, key=ERROR_KEY)
        if not error:
            return f"{task}: failed, see its log."
        code = f"[{error['code']}] " if error["code"] else ""
        return f"{task}: {error['error']}: {code}{error['message']} {error['advice']}".rstrip()

    def move_on(self, ledger: Ledger, run_id: int, context: Context) -> None:
        """Move Query Starts to the end of the run's window."""
        window = ledger.window(run_id)
        if window and window[1]:
            by = f"run {context['run_id']}"
            ledger.move_query_starts(self.flow.company.company, self.flow.flow, window[1], by=by, run_id=run_id)
            log.info("query starts moved", to=window[1].isoformat())

    def tell_rejections(self, ledger: Ledger, run_id: int) -> None:
        """Log the most telling rejections by their code and advice, without names and amounts (E2)."""
        rows: Sequence[Any] = ledger.rejections([run_id], TELLING)
        for row in rows:
            log.info("rejected", mapping=row.mapping, code=row.code, advice=row.advice)
