"""The shape of a flow's DAG and what Airflow does with it."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from iw_operators.dag import build_dag, task_id
from iw_operators.deadlines import note_missed
from iw_operators.spec.models import Direction, FlowKind, Operations
from iw_operators.spec.resolved import ResolvedFlow
from iw_operators.timetables import BackfillOnlyTimetable, IntervalTimetable

Flows = Callable[..., ResolvedFlow]

KINDS = {"CRAcct2QBCust": FlowKind.SCHEDULED, "QBCust2CRAcctNF": FlowKind.NF, "CRAcct2QBCustDR": FlowKind.DR}


def ordered(dag: DAG) -> list[BaseOperator]:
    """Return the tasks in the order in which they run."""
    return list(dag.topological_sort())  # type: ignore[no-untyped-call]  # Airflow leaves it untyped


def run_types(dag: DAG) -> set[str]:
    """Return the kinds of runs that a DAG allows."""
    kinds = dag.allowed_run_types
    assert isinstance(kinds, list | tuple | set | frozenset)
    return {str(getattr(kind, "value", kind)) for kind in kinds}


@pytest.mark.feature("R1")
def test_tasks_are_ready_then_mappings_in_order_then_report(make_flow: Flows) -> None:
    """The mappings of a flow run one after the other, between the check and the summary."""
    dag = build_dag(make_flow(mappings=("customers", "items", "invoices")))
    assert [task.task_id for task in ordered(dag)] == ["ready", "customers", "items", "invoices", "report"]
    assert {task.task_id: set(task.upstream_task_ids) for task in dag.tasks} == {
        "ready": set(),
        "customers": {"ready"},
        "items": {"customers"},
        "invoices": {"items"},
        "report": {"invoices"},
    }


@pytest.mark.feature("R1")
def test_a_dag_is_named_tagged_and_paused(make_flow: Flows) -> None:
    """A flow is found by company, kind and direction, belongs to its company, and waits to be switched on."""
    dag = build_dag(make_flow(direction=Direction.TO_CRM))
    assert dag.dag_id == "acme.CRAcct2QBCust"
    assert dag.tags == {"interweave", "acme", "scheduled", "to_crm"}
    assert dag.is_paused_upon_creation is True
    assert (dag.max_active_runs, dag.max_active_tasks, dag.catchup) == (1, 1, False)
    assert {task.owner for task in dag.tasks} == {"acme"}


def test_tasks_run_in_the_companys_pool(make_flow: Flows) -> None:
    """Every task of a company is in its own pool, and a run that has begun goes before one that has not."""
    dag = build_dag(make_flow())
    assert {task.pool for task in dag.tasks} == {"iw_acme"}
    weights = [len(task.get_flat_relative_ids(upstream=True)) for task in ordered(dag)]
    assert {task.weight_rule for task in dag.tasks} == {"upstream"}
    assert weights == sorted(set(weights))


def test_report_runs_whatever_happened(make_flow: Flows) -> None:
    """The last task is the only leaf, so that a failed mapping fails the run through it."""
    dag = build_dag(make_flow())
    assert [task.task_id for task in dag.leaves] == ["report"]
    assert dag.get_task("report").trigger_rule == "all_done"


@pytest.mark.feature("R1", "R3")
def test_schedule_follows_the_kind(make_flow: Flows) -> None:
    """Scheduled flows have an interval, date ranges only a backfill, single records nothing."""
    scheduled = build_dag(make_flow(interval_ms=90_500, shift_ms=250))
    assert scheduled.timetable == IntervalTimetable(90_500, 250)
    assert "backfill" not in run_types(scheduled)
    ranged = build_dag(make_flow("CRAcct2QBCustDR", FlowKind.DR, window="6h"))
    assert ranged.timetable == BackfillOnlyTimetable("6h", "America/New_York")
    assert run_types(ranged) == {"backfill", "manual"}
    single = build_dag(make_flow("QBCust2CRAcctNF", FlowKind.NF))
    assert single.timetable.can_be_scheduled is False
    assert "scheduled" not in run_types(single)


@pytest.mark.parametrize(("flow", "kind"), KINDS.items())
def test_every_dag_is_stored_and_read_back(make_flow: Flows, flow: str, kind: FlowKind) -> None:
    """What the DAG processor stores is valid, the same at each parse, and gives the same tasks and schedule."""
    first, second = (DagSerialization.to_dict(build_dag(make_flow(flow, kind))) for _ in range(2))
    assert first == second
    DagSerialization.validate_schema(first)
    again = DagSerialization.from_dict(first)
    assert again.dag_id == f"acme.{flow}"
    assert set(again.task_dict) == {"ready", "customers", "invoices", "report"}
    assert again.timetable.periodic is (kind is not FlowKind.NF)
    assert all(task.has_retry_policy for task in again.tasks)


@pytest.mark.feature("R1")
@pytest.mark.parametrize(
    ("conf", "says"),
    [
        ({}, "full_name"),
        ({"full_name": ""}, "full_name"),
        ({"full_name": "   "}, "full_name"),
        ({"full_name": 7}, "full_name"),
        ({"full_name": "x" * 501}, "full_name"),
    ],
)
def test_a_single_record_needs_its_name(make_flow: Flows, conf: dict[str, Any], says: str) -> None:
    """A run for one record without a usable name is refused before it starts."""
    stored = DagSerialization.from_dict(DagSerialization.to_dict(build_dag(make_flow("QBCust2CRAcctNF", FlowKind.NF))))
    with pytest.raises((ParamValidationError, ValueError), match=says):
        stored.params.deep_merge(conf).validate()
    stored.params.deep_merge({"full_name": 'Łódź & Söhne: "GmbH" 🚚'}).validate()


@pytest.mark.feature("R3")
@pytest.mark.parametrize("size", [0, 2_001, "many"])
def test_a_date_range_takes_a_batch_size(make_flow: Flows, size: object) -> None:
    """The batch size of a date range starts from the spec's and is refused outside of 1 to 2,000."""
    dag = build_dag(make_flow("CRAcct2QBCustDR", FlowKind.DR, batch_size=120))
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert stored.params.deep_merge({}).validate() == {"batch_size": 120}
    with pytest.raises((ParamValidationError, ValueError), match="batch_size"):
        stored.params.deep_merge({"batch_size": size}).validate()


def test_params_show_as_a_form(make_flow: Flows) -> None:
    """The trigger dialog has a title and an explanation for what has to be filled in."""
    param = build_dag(make_flow("QBCust2CRAcctNF", FlowKind.NF)).params.get_param("full_name")
    assert param.schema["title"] == "Full name"
    assert param.description
    assert param.schema["type"] == "string"


def test_the_page_tells_an_operator_what_to_do(make_flow: Flows) -> None:
    """A flow's page names the systems, each mapping with what it may do, and how it is run."""
    flow = make_flow("CRAcct2QBCustDR", FlowKind.DR, operations=Operations.UPDATE_ONLY, window="7d")
    text = build_dag(flow).doc_md or ""
    assert "AnyCRM to AnyBooks" in text
    assert "| 2 | `invoices` | Account | Customer | update only | name | 1 |" in text
    assert "airflow backfill create --dag-id acme.CRAcct2QBCustDR" in text
    assert "one run for each 7d (America/New_York)" in text


def test_a_deadline_is_watched_from_the_start_of_the_run(make_flow: Flows) -> None:
    """A flow with deadline_minutes has one alert, counted from when its run was queued; others have none."""
    alerts = build_dag(make_flow(deadline_minutes=30)).deadline
    assert isinstance(alerts, list)
    (alert,) = alerts
    assert alert.interval == dt.timedelta(minutes=30)
    assert alert.reference.reference_name == "DagRunQueuedAtDeadline"
    assert not build_dag(make_flow()).deadline


@pytest.mark.parametrize(("mapping", "task"), [("customers", "customers"), ("ready", "sync_ready")])
def test_a_mapping_may_have_the_name_of_a_task(mapping: str, task: str) -> None:
    """A mapping called `ready` does not collide with the flow's first task."""
    assert task_id(mapping) == task


@pytest.mark.parametrize(("state", "said"), [("running", ["deadline missed"]), ("failed", [])])
def test_a_missed_deadline_is_logged_once(state: str, said: list[str]) -> None:
    """A late run is said to be late; one that failed has its own report."""
    run = {"dag_id": "acme.CRAcct2QBCust", "dag_run_id": "one", "state": state}
    with structlog.testing.capture_logs() as events:
        asyncio.run(note_missed(context={"dag_run": run}))
    assert [event["event"] for event in events] == said
