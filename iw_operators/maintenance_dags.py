"""The DAG of a company's maintenance, `<company>.Maintenance`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from airflow.sdk import DAG, Param

from iw_operators import site
from iw_operators.listener import BEGIN, MAINTENANCE, TAG
from iw_operators.operators.maintain import ALONE, WHY, BeginMaintenance, EndMaintenance, SafeSensor
from iw_operators.pools import pool_name
from iw_operators.retry import retry_defaults
from iw_operators.spec.flows import MAINTENANCE_FLOW
from iw_operators.spec.folders import company_beside
from iw_operators.spec.models import Company
from iw_operators.spec.resolved import ResolvedFlow

FIRST: Final = 1_000  # priority: before anything of the company's flows
SUMMARY: Final = "Single-user maintenance: stops all flows of {company}, says when it is safe, starts them again"
PAGE: Final = """### Maintenance of {company}

Trigger this DAG before somebody works alone in one of the two systems: a company file in single-user mode, an upgrade,
a changed password.

1. All flows of {company} are switched off; what is at work ends its page. No run begins work from here on.
2. `safe` is done when no flow is connected any more; its log says what still is, and what it cannot know while specs
   have errors. DAGs that people have written by hand it does not see: the page names those in the company's pool.
3. `work_alone` waits for you, as long as it takes. Answer it (**Required actions**) when the work is done.
4. `end` signs in to both systems. Only when that works, exactly the flows that were switched on are started again;
   otherwise correct the cause and clear `end`.

The same is on the Integration Manager page, and `airflow iw maintenance begin {company}`. Where it is ended there, this
run ends by itself and changes nothing.
"""


def maintenances_of(flows: Iterable[ResolvedFlow], root: Path, dag_id: str | None = None) -> Iterator[DAG]:
    """Yield the maintenances of the companies that these flows belong to or (for a worker) the one with this DAG id.

    :param root: the mappings folder.
    """
    companies = {flow.company.company: flow.company for flow in flows}
    if dag_id is not None:
        spec = company_beside(root, dag_id, MAINTENANCE_FLOW)
        companies = {spec.company.company: spec.company} if spec else {}
    yield from map(build_maintenance, companies.values())


def build_maintenance(company: Company) -> DAG:
    """Return the DAG. It is switched on from the beginning: it is needed in a hurry."""
    from iw_operators.operators.alone import AloneOperator  # what reads this module's names does not wait

    name = company.company
    why = Param("", type="string", maxLength=200, title="Why", description="Shown to everybody who meets it.")
    dag = DAG(
        dag_id=f"{name}.{MAINTENANCE_FLOW}",
        description=SUMMARY.format(company=name),
        doc_md=PAGE.format(company=name),
        tags=[TAG, name, company.environment.value, MAINTENANCE],
        schedule=None,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        params={WHY: why},
        default_args={
            **site.task_options(company),
            "owner": name,
            "pool": pool_name(name),
            "priority_weight": FIRST,
            "weight_rule": "absolute",
            **retry_defaults(),
        },
    )
    begin = BeginMaintenance(task_id=BEGIN, company=company, dag=dag)
    safe = SafeSensor(task_id="safe", company=company, dag=dag)
    alone = AloneOperator(task_id=ALONE, company=company, dag=dag)
    end = EndMaintenance(task_id="end", company=company, dag=dag)
    begin.set_downstream(safe)
    safe.set_downstream(alone)
    alone.set_downstream(end)
    return dag
