"""The running of the first runs."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import httpx

from demo.show import Progress
from iw_operators.notify.routing import report_kind
from iw_operators.spec.flows import REPORT_FLOW
from iw_operators.spec.models import FlowKind
from iw_operators.spec.resolved import CompanySpec, ResolvedFlow
from local.airflow import LocalAirflow
from local.stack import Stack

RUN_SECONDS = 600.0
REPORT_SECONDS = 60.0
SCHEDULER_SECONDS = 60.0  # how long the scheduler is given to make a run that is due


@dataclass(frozen=True, slots=True)
class FirstRun:
    """One run that the demo waited for."""

    flow: str
    dag_id: str
    run_id: str
    state: str


def first_runs(stack: Stack, spec: CompanySpec, progress: Progress) -> list[FirstRun]:
    """Unpause every written flow; wait for a run of each scheduled one, one after the other, in the specs' order.

    Raises RuntimeError when a DAG does not appear or a run does not end.
    """
    airflow = stack.airflow
    stack.wait_for_dags({flow.dag_id for flow in spec.flows.values()})
    done = []
    for name, flow in spec.written.items():
        before = {run["dag_run_id"] for run in airflow.runs(flow.dag_id)}
        airflow.unpause(flow.dag_id)
        if flow.kind is FlowKind.SCHEDULED:
            run_id = _new_run(airflow, flow.dag_id, before)
            state = _follow(airflow, progress, flow, run_id)
            progress.done(name, state)
            done.append(FirstRun(name, flow.dag_id, run_id, state))
    return done


def daily_report(stack: Stack, spec: CompanySpec) -> None:
    """Have the company's daily report made and mailed now, where it wants one; wait for it for a while."""
    if report_kind(spec.company.notify) is None:
        return
    dag_id = f"{spec.company.company}.{REPORT_FLOW}"
    stack.wait_for_dags({dag_id})
    with contextlib.suppress(TimeoutError):
        stack.airflow.wait_run(dag_id, stack.airflow.trigger(dag_id), REPORT_SECONDS)


def _new_run(airflow: LocalAirflow, dag_id: str, before: Collection[str]) -> str:
    """Return a run in work, or the one that the scheduler makes because it is due; otherwise trigger one."""
    deadline = time.monotonic() + SCHEDULER_SECONDS
    while time.monotonic() < deadline:
        due = _due(airflow.get(f"/dags/{dag_id}"))  # asked first: the scheduler may make the run between two questions
        for run in airflow.runs(dag_id):
            if run["dag_run_id"] not in before or run["state"] in {"queued", "running"}:
                return str(run["dag_run_id"])
        if not due:
            break
        time.sleep(0.3)
    return airflow.trigger(dag_id)


def _due(dag: dict[str, Any]) -> bool:
    after = dag["next_dagrun_run_after"]
    return after is not None and dt.datetime.fromisoformat(after) <= dt.datetime.now(dt.UTC)


def _follow(airflow: LocalAirflow, progress: Progress, flow: ResolvedFlow, run_id: str) -> str:
    """Show how a run goes on until it ends; return its state."""
    path = f"/dags/{flow.dag_id}/dagRuns/{run_id}"
    order = {"ready": 0, **{mapping.mapping: number for number, mapping in enumerate(flow.mappings, 1)}}
    deadline = time.monotonic() + RUN_SECONDS
    while time.monotonic() < deadline:
        try:
            state = str(airflow.get(path)["state"])
            found = {t["task_id"]: t["state"] for t in airflow.get(f"{path}/taskInstances")["task_instances"]}
        except httpx.HTTPError:
            time.sleep(1.0)
            continue
        tasks = sorted(found, key=lambda task: order.get(task, len(order)))
        progress.tasks(flow.flow, {task: found[task] or "waiting" for task in tasks})
        if state in {"success", "failed"}:
            return state
        time.sleep(0.4)
    msg = f"{flow.dag_id} {run_id} did not end within {RUN_SECONDS:.0f} s; see {airflow.url}"
    raise RuntimeError(msg)
