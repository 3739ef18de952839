"""Turns flows into DAGs: `ready`, one task a mapping in order, `report`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Final

from airflow.sdk import DAG, Param
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from iw_operators import doc, settings
from iw_operators.deadlines import note_missed
from iw_operators.errors import FixConfiguration
from iw_operators.listener import TAG
from iw_operators.operators.report import ReportOperator
from iw_operators.operators.sync import SyncOperator
from iw_operators.pools import pool_name
from iw_operators.retry import RetryByClass
from iw_operators.sensors.ready import ReadySensor
from iw_operators.spec.errors import SpecError
from iw_operators.spec.loader import load_all, load_flow
from iw_operators.spec.models import FlowKind
from iw_operators.spec.resolved import ResolvedFlow
from iw_operators.timetables import BackfillOnlyTimetable, IntervalTimetable

READY: Final = "ready"
REPORT: Final = "report"
NAME_LENGTH = 500  # of a record's full name


def flows_of(root: Path, dag_id: str | None = None) -> list[ResolvedFlow]:
    """Return the flows that are free of errors, all of them or (for a worker) the one with this DAG id.

    :raises FixConfiguration: the one flow has errors; all of them are in the message.
    """
    if dag_id is None:
        specs, _ = load_all(root)
        return [flow for spec in specs.values() for flow in spec.flows.values()]
    company, _, name = dag_id.partition(".")
    if company not in {entry.name for entry in root.iterdir() if entry.is_dir()}:  # and not `..` or the like
        return []
    found, errors = load_flow(root, company, name)
    if found is None:
        raise _as_error(errors)
    return [found]


def check_specs(root: Path) -> None:
    """Raise FixConfiguration with every error of every spec, `file:line: path: what is wrong`; none: do nothing."""
    _, errors = load_all(root)
    if errors:
        raise _as_error(errors)


def _as_error(errors: list[SpecError]) -> FixConfiguration:
    count = f"{len(errors)} errors in the specs" if len(errors) != 1 else "An error in the specs"
    return FixConfiguration("\n".join((f"{count}:", *map(str, errors))))


def build_dag(flow: ResolvedFlow) -> DAG:
    """Return the flow's DAG, `<company>.<Flow>`.

    One run of a flow at a time; all its tasks in the company's pool, where a run that has begun goes before one that
    has not. New DAGs are paused: somebody switches a flow on.
    """
    dag = DAG(
        dag_id=flow.dag_id,
        description=doc.summary(flow),
        doc_md=doc.page(flow),
        tags=[TAG, flow.company.company, flow.kind.value, flow.direction.value],
        catchup=False,
        max_active_runs=1,
        max_active_tasks=1,
        is_paused_upon_creation=True,
        deadline=_deadline(flow),
        params=_params(flow),
        default_args=_task_defaults(flow),
        **_schedule(flow),
    )
    steps = {task_id(mapping.mapping): mapping.mapping for mapping in flow.mappings}
    previous: Any = ReadySensor(task_id=READY, flow=flow, dag=dag)
    for name, mapping in steps.items():
        step = SyncOperator(task_id=name, flow=flow, mapping=mapping, dag=dag)
        previous.set_downstream(step)
        previous = step
    previous.set_downstream(ReportOperator(task_id=REPORT, flow=flow, steps=steps, dag=dag))
    return dag


def task_id(mapping: str) -> str:
    """Return the id of a mapping's task: its name, unless a flow's own tasks are called that."""
    return f"sync_{mapping}" if mapping in (READY, REPORT) else mapping


def _task_defaults(flow: ResolvedFlow) -> dict[str, Any]:
    retries, delay, longest = settings.retries(), settings.retry_delay(), settings.max_retry_delay()
    return {
        "owner": flow.company.company,
        "pool": pool_name(flow.company.company),
        "weight_rule": "upstream",
        "retries": retries,
        "retry_delay": delay,
        "retry_exponential_backoff": True,
        "max_retry_delay": longest,
        "retry_policy": RetryByClass(retries, delay, longest),
    }


def _schedule(flow: ResolvedFlow) -> dict[str, Any]:
    match flow.kind:
        case FlowKind.SCHEDULED:
            every = IntervalTimetable(flow.spec.interval_ms, flow.spec.shift_ms)
            return {"schedule": every, "allowed_run_types": ["scheduled", "manual", "operator_triggered"]}
        case FlowKind.DR:
            windows = BackfillOnlyTimetable(flow.spec.window, flow.company.time_zone)
            return {"schedule": windows, "allowed_run_types": ["backfill", "manual"]}
        case FlowKind.NF:
            return {"schedule": None, "allowed_run_types": ["manual", "operator_triggered"]}


def _params(flow: ResolvedFlow) -> dict[str, Param]:
    match flow.kind:
        case FlowKind.SCHEDULED:
            return {}
        case FlowKind.DR:
            size = Param(
                flow.spec.batch_size,
                type="integer",
                minimum=1,
                maximum=2_000,
                title="Batch size",
                description="How many records are read, planned and written together.",
            )
            return {"batch_size": size}
        case FlowKind.NF:
            name = Param(
                type="string",
                minLength=1,
                maxLength=NAME_LENGTH,
                pattern=r"\S",
                title="Full name",
                description="Full name of the one record, exactly as the source writes it, or its id there.",
            )
            return {"full_name": name}


def _deadline(flow: ResolvedFlow) -> DeadlineAlert | None:
    if flow.spec.deadline_minutes is None:
        return None
    return DeadlineAlert(
        name=f"{flow.spec.deadline_minutes} minutes",
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=dt.timedelta(minutes=flow.spec.deadline_minutes),
        callback=AsyncCallback(note_missed),
    )
