"""The tasks of a company's maintenance: `begin`, `safe`, `work_alone`, `end`.

The scheduler switches the company's flows off when the run starts, and on again when it has ended: a task cannot
(`iw_operators.listener`). In force is the row in the ledger that `begin` writes. A maintenance can be ended elsewhere,
and another one begun, while a run waits; therefore the run knows its own by number, and touches no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog
from airflow.sdk import BaseOperator, BaseSensorOperator, Context

from iw_operators import settings, xcoms
from iw_operators.listener import BEGIN, PAUSED
from iw_operators.retry import told
from iw_operators.spec.models import Company

if TYPE_CHECKING:
    from iw_operators.ledger.store import Ledger
    from iw_operators.standing import Work

log = structlog.get_logger(__name__)

WHY: Final = "why"  # param
ALONE: Final = "work_alone"  # the task that waits for a person
NUMBER: Final = "maintenance"  # in the result of `begin`: the number of what this run has begun, or joined
ANSWERED_BY: Final = "answered_by"  # XCom of `work_alone`
ENDED: Final = "the maintenance has ended already"
SAFE: Final = "safe: no flow is connected"  # of what a task cannot ask, other DAGs in the pool, it says nothing


def in_force(ledger: Ledger, company: str, context: Context) -> bool:
    """Return whether the maintenance that this run has begun goes on, and not another one."""
    found = ledger.maintenance(company)
    return found is not None and found.id == number(context)


def number(context: Context) -> int | None:
    """Return the number of the maintenance that this run has begun; None where `begin` has left none."""
    found: int | None = (context["ti"].xcom_pull(task_ids=BEGIN) or {}).get(NUMBER)
    return found


class _Maintained(BaseOperator):
    """A task of a company's maintenance."""

    shallow_copy_attrs: Sequence[str] = ("company",)

    def __init__(self, *, company: Company, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.company = company


class BeginMaintenance(_Maintained):
    """Put the maintenance into force, with the flows that the scheduler has switched off at the start of the run."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Do it. Raises what the ledger raises."""
        from iw_operators.operators.runtime import ledger_of_run

        run = context["dag_run"]
        flows = [str(each) for each in (run.conf or {}).get(PAUSED, ())]
        company, by = self.company.company, run.triggering_user_name or "Airflow"
        with told(context), ledger_of_run(company) as ledger:
            found = ledger.begin_maintenance(company, by, str(context["params"].get(WHY) or ""), flows)
        context["ti"].xcom_push(key=xcoms.STATE, value="begun")
        log.info("maintenance has begun", company=company, by=found.by, flows=list(found.flows))
        return {NUMBER: found.id, "flows": list(found.flows)}


class SafeSensor(BaseSensorOperator):
    """Waits until no flow of the company is at work, or until this run's maintenance has been ended from elsewhere.

    While the specs have errors not all flows are known, and it says so instead of saying that it is safe.
    """

    shallow_copy_attrs: Sequence[str] = ("company",)

    def __init__(self, *, company: Company, **kwargs: Any) -> None:
        super().__init__(mode="reschedule", poke_interval=settings.poll_interval(), **kwargs)
        self.company = company

    def poke(self, context: Context) -> bool:
        """Look once. Raises what the ledger raises."""
        from iw_operators.maintenance import still
        from iw_operators.operators.runtime import ledger_of_run

        with told(context), ledger_of_run(self.company.company) as ledger:
            if not in_force(ledger, self.company.company, context):
                log.info(ENDED)
                return True
            work, doubt = self.work(context, ledger)
        if doubt:
            log.warning("maintenance", answer=f"not safe yet: {doubt}")
        if work or not doubt:
            log.info("maintenance", answer=still(work) if work else SAFE)
        return not work and not doubt

    def work(self, context: Context, ledger: Ledger) -> tuple[list[Work], str]:
        """Return what is at work, tasks of the company's flows and turns that are held; and why that may not be all."""
        from iw_operators.spec.loader import load_company
        from iw_operators.standing import Work

        company, ti = self.company.company, context["ti"]
        spec, errors = load_company(settings.mappings_folder(context["dag"].fileloc) / company)
        flows = {flow.dag_id for flow in spec.flows.values()} if spec else set()
        flows |= {str(each) for each in (context["dag_run"].conf or {}).get(PAUSED, ())}
        turns = ledger.turns(company)
        flows |= {f"{company}.{turn.flow}" for turn in turns}
        busy = ["running", "queued", "restarting"]
        at_work = [each for each in sorted(flows) if ti.get_ti_count(dag_id=each, states=busy)]
        found = [Work(dag_id, "", "any", None) for dag_id in at_work]
        for turn in turns:
            dag_id = f"{company}.{turn.flow}"
            if turn.state == "working" and turn.alive and dag_id not in at_work:
                found.append(Work(dag_id, turn.dag_run_id, "", turn.seen_at))
        doubt = f"the specs have errors, so there may be flows that are not known here: {errors[0]}" if errors else ""
        return found, doubt


class EndMaintenance(_Maintained):
    """Sign in to both systems, end the run's maintenance, have the flows started again that it had stopped.

    One that has been ended elsewhere has its flows back, and another one that was begun since goes on: nothing is done
    then. Where this task was killed after it had ended the maintenance, it has the flows started when it is done again.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Do it. Raises what the systems and the ledger raise; the maintenance then goes on."""
        from iw_operators.operators.runtime import ledger_of_run, open_side
        from iw_operators.spec.resolved import SIDES

        company, mine = self.company.company, number(context)
        by = context["ti"].xcom_pull(task_ids=ALONE, key=ANSWERED_BY) or "Airflow"
        with told(context), ledger_of_run(company) as ledger:
            if in_force(ledger, company, context):
                for side in SIDES:
                    system = open_side(self.company, side, ledger)
                    log.info("reachable", system=system.name, answer=system.check())
            run_id = context["run_id"]
            # Without a number of its own the run has nothing to end.
            found = ledger.end_maintenance(company, by, number=mine, dag_run_id=run_id) if mine is not None else None
        if found is None:
            log.info(ENDED)
            return {"flows": []}
        flows = list(found.flows)
        if flows:
            context["ti"].xcom_push(key=xcoms.UNPAUSE, value={"dags": flows, "why": "end of maintenance"})
        log.info("maintenance has ended", company=company, by=by, flows=flows)
        return {"flows": flows}
