"""The DAG of a company's daily report (R8), `<company>.DailyReport`, where its mode asks for one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from airflow.sdk import DAG, CronDataIntervalTimetable

from iw_operators.listener import DAILY_REPORT, TAG
from iw_operators.notify.routing import report_kind
from iw_operators.operators.daily_report import DailyReportOperator
from iw_operators.pools import pool_name
from iw_operators.retry import retry_defaults
from iw_operators.spec.flows import REPORT_FLOW
from iw_operators.spec.folders import company_beside
from iw_operators.spec.models import Company
from iw_operators.spec.resolved import SIDES, ResolvedFlow

TASK: Final = "report"


def reports_of(flows: Iterable[ResolvedFlow], root: Path, dag_id: str | None = None) -> Iterator[DAG]:
    """Yield the daily reports of the companies that these flows belong to or (for a worker) the one with this DAG id.

    :param root: the mappings folder.
    """
    if dag_id is not None:
        spec = company_beside(root, dag_id, REPORT_FLOW)
        flows = spec.flows.values() if spec else ()
    found: dict[str, tuple[Company, Mapping[str, str]]] = {}
    for flow in flows:
        first = flow.mappings[0]
        found.setdefault(flow.company.company, (flow.company, {side: first.label(side) for side in SIDES}))
    for company, labels in found.values():
        if report_kind(company.notify):
            yield build_report(company, labels)


def build_report(company: Company, labels: Mapping[str, str]) -> DAG:
    """Return the DAG that reports each day at `notify.report_at`, in the company's time zone.

    It is switched on from the beginning: the mode in the spec is its switch. Seconds of `report_at` do not count.

    :param labels: what people call the company's systems, by side.
    """
    at = company.notify.report_at
    dag = DAG(
        dag_id=f"{company.company}.{REPORT_FLOW}",
        description="What the flows did in a day, what is still open, what was settled: by e-mail",
        doc_md=(
            f"### Daily report of {company.company}\nEach day at {at:%H:%M} ({company.time_zone}) it sends what the "
            f"mode `{company.notify.mode.value}` asks for, and whatever mails are still queued. Trigger it to have the "
            "report of the last 24 hours now."
        ),
        tags=[TAG, company.company, company.environment.value, DAILY_REPORT],
        schedule=CronDataIntervalTimetable(f"{at.minute} {at.hour} * * *", timezone=company.time_zone),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args={"owner": company.company, "pool": pool_name(company.company), **retry_defaults()},
    )
    DailyReportOperator(task_id=TASK, company=company, labels=labels, dag=dag)
    return dag
