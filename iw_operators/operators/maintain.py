"""The tasks of a company's maintenance: `begin`, `safe`, `work_alone`, `end`.

The scheduler switches the company's flows off when the run starts, and on again when it has ended: a task cannot
(`iw_operators.listener`). In force is the row in the ledger that `begin` writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog
from airflow.sdk import BaseOperator, BaseSensorOperator, Context

from iw_operators import settings, xcoms
from iw_operators.listener import PAUSED
from iw_operators.retry import told
from iw_operators.spec.models import Company

if TYPE_CHECKING:
    from iw_operators.standing import Work

log = structlog.get_logger(__name__)

WHY: Final = "why"  # param


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
        return {"flows": list(found.flows)}


class SafeSensor(BaseSensorOperator):
    """Waits until nothing of the company is at work, or until its maintenance has been ended from elsewhere."""

    shallow_copy_attrs: Sequence[str] = ("company",)

    def __init__(self, *, company: Company, **kwargs: Any) -> None:
        super().__init__(mode="reschedule", poke_interval=settings.poll_interval(), **kwargs)
        self.company = company

    def poke(self, context: Context) -> bool:
        """Look once. Raises what the ledger raises."""
        from iw_operators.maintenance import SAFE, still
        from iw_operators.operators.runtime import ledger_of_run

        with told(context), ledger_of_run(self.company.company) as ledger:
            if ledger.maintenance(self.company.company) is None:
                log.info("the maintenance has been ended already")
                return True
            work = self.work(context, ledger)
        log.info("maintenance", answer=still(work) if work else SAFE)
        return not work

    def work(self, context: Context, ledger: Any) -> list[Work]:
        """Return what is at work: tasks of the company's flows, and turns that are held."""
        from iw_operators.spec.loader import load_company
        from iw_operators.standing import Work

        company, ti = self.company.company, context["ti"]
        spec, _ = load_company(settings.mappings_folder(context["dag"].fileloc) / company)
        flows = [flow.dag_id for flow in spec.flows.values()] if spec else []
        busy = ["running", "queued", "restarting"]
        found = [Work(dag_id, "", "any", None) for dag_id in flows if ti.get_ti_count(dag_id=dag_id, states=busy)]
        named = {each.dag_id for each in found}
        for turn in ledger.turns(company):
            dag_id = f"{company}.{turn.flow}"
            if turn.state == "working" and turn.alive and dag_id not in named:
                found.append(Work(dag_id, turn.dag_run_id, "", turn.seen_at))
        return found


class EndMaintenance(_Maintained):
    """Sign in to both systems, end the maintenance, and have the flows started again that it had stopped."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Do it. Raises what the systems and the ledger raise; the maintenance then goes on."""
        from iw_operators.operators.runtime import ledger_of_run, open_side
        from iw_operators.spec.resolved import SIDES

        company, by = self.company.company, context["dag_run"].triggering_user_name or "Airflow"
        with told(context), ledger_of_run(company) as ledger:
            for side in SIDES:
                system = open_side(self.company, side, ledger)
                log.info("reachable", system=system.name, answer=system.check())
            found = ledger.end_maintenance(company, by)
        flows = list(found.flows) if found else []
        if flows:
            context["ti"].xcom_push(key=xcoms.UNPAUSE, value={"dags": flows, "why": "end of maintenance"})
        log.info("maintenance has ended", company=company, flows=flows)
        return {"flows": flows}
