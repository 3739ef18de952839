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

from iw_operators import doc
from iw_operators.dag import build_dag, task_id
from iw_operators.deadlines import note_missed
from iw_operators.spec.models import Direction, FlowKind, Operations, SleepWindow
from iw_operators.spec.resolved import ResolvedFlow
from iw_operators.timetables import BackfillOnlyTimetable, IntervalTimetable

Flows = Callable[..., ResolvedFlow]

KINDS = {
    f"CRAcct2QBCust{'' if kind is FlowKind.SCHEDULED else kind.value}": kind
    for kind in FlowKind
    if kind not in (FlowKind.BIND, FlowKind.BINDS)  # which have tasks of their own
}
BY_HAND = {"manual", "operator_triggered"}


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


@pytest.mark.feature("R1", "R6")
def test_a_dag_is_named_tagged_and_paused(make_flow: Flows) -> None:
    """A flow is found by company, kind and direction, belongs to its company, and waits to be switched on."""
    dag = build_dag(make_flow(direction=Direction.TO_CRM))
    assert dag.dag_id == "acme.CRAcct2QBCust"
    assert dag.tags == {"interweave", "acme", "development", "scheduled", "to_crm"}
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
    """Scheduled flows have an interval, date ranges and the whole history only a backfill, single records nothing."""
    scheduled = build_dag(make_flow(interval_ms=90_500, shift_ms=250))
    assert scheduled.timetable == IntervalTimetable(90_500, 250, at_once=False)
    at_once = build_dag(make_flow(interval_ms=90_500, run_at_start_up=True))
    assert at_once.timetable == IntervalTimetable(90_500)
    assert "backfill" not in run_types(scheduled)
    ranged = build_dag(make_flow("CRAcct2QBCustDR", FlowKind.DR, window="6h"))
    assert ranged.timetable == BackfillOnlyTimetable("6h", "America/New_York")
    assert run_types(ranged) == {"backfill", "manual"}
    whole = build_dag(make_flow("CRAcct2QBCustF", FlowKind.F, window="30d"))
    assert whole.timetable == BackfillOnlyTimetable("30d", "America/New_York")
    single = build_dag(make_flow("QBCust2CRAcctNF", FlowKind.NF))
    assert single.timetable.can_be_scheduled is False
    assert "scheduled" not in run_types(single)


@pytest.mark.feature("R1", "R6")
def test_no_run_begins_while_the_company_sleeps(make_flow: Flows) -> None:
    """A scheduled flow's timetable knows the company's sleep window and time zone."""
    flow = make_flow(interval_ms=600_000)
    sleep = SleepWindow.model_validate({"from": "23:00", "to": "23:45:30"})
    asleep = flow.model_copy(update={"company": flow.company.model_copy(update={"sleep_window": sleep})})
    expected = IntervalTimetable(600_000, at_once=False, sleep="23:00:00/23:45:30", time_zone="America/New_York")
    assert build_dag(asleep).timetable == expected


@pytest.mark.feature("R1", "R3")
@pytest.mark.parametrize(
    ("kind", "types", "form", "marks"),
    [
        (FlowKind.SCHEDULED, {"scheduled", *BY_HAND}, set(), set()),
        (FlowKind.N, BY_HAND, {"start", "end", "batch_size"}, {"utility", "bulk"}),
        (FlowKind.NF, BY_HAND, {"full_name"}, {"utility"}),
        (FlowKind.NFS, BY_HAND, {"names", "ids", "reprocess"}, {"utility"}),
        (FlowKind.DR, {"backfill", "manual"}, {"start", "end", "batch_size"}, {"utility", "bulk"}),
        (FlowKind.DRS, {"backfill", "manual"}, {"start", "end", "batch_size"}, {"utility", "bulk"}),
        (FlowKind.F, {"backfill", *BY_HAND}, {"start", "end", "batch_size"}, {"utility", "bulk"}),
        (FlowKind.Q, BY_HAND, set(), set()),
    ],
)
def test_each_kind_has_its_runs_its_form_and_its_tags(
    make_flow: Flows, kind: FlowKind, types: set[str], form: set[str], marks: set[str]
) -> None:
    """How a flow can be run, what its form asks for and under which tags it is found follows from its kind."""
    dag = build_dag(make_flow("CRAcct2QBCust", kind))
    assert run_types(dag) == types
    assert set(dag.params) == form
    assert (dag.max_active_runs, dag.is_paused_upon_creation) == (1, True)
    assert dag.tags >= {"interweave", "acme", kind.value, *marks}
    assert not ({"utility", "bulk", "binding"} - marks) & dag.tags


@pytest.mark.feature("R3")
@pytest.mark.parametrize("when", [None, "2026-01-31T14:00", "2026-01-31T14:00:00.000Z", "2026-01-31"])
def test_dates_of_the_form_are_stored_as_they_are_written(make_flow: Flows, when: str | None) -> None:
    """The trigger form takes a moment with or without a zone, and none; what is no text is refused."""
    stored = DagSerialization.from_dict(DagSerialization.to_dict(build_dag(make_flow("ADRS", FlowKind.DRS))))
    assert stored.params.deep_merge({"start": when}).validate()["start"] == when
    with pytest.raises((ParamValidationError, ValueError), match="start"):
        stored.params.deep_merge({"start": 5}).validate()


@pytest.mark.feature("R1")
@pytest.mark.parametrize("conf", [{"names": 5}, {"ids": "a1"}, {"ids": [""]}, {"ids": [5]}, {"reprocess": "yes"}])
def test_a_list_of_records_is_checked(make_flow: Flows, conf: dict[str, Any]) -> None:
    """Names are a text, ids a list of texts, and what is neither is refused before the run starts."""
    stored = DagSerialization.from_dict(DagSerialization.to_dict(build_dag(make_flow("ANFS", FlowKind.NFS))))
    stored.params.deep_merge({"names": "One\nTwo", "ids": ["7"]}).validate()
    (key,) = conf
    with pytest.raises((ParamValidationError, ValueError), match=key):
        stored.params.deep_merge(conf).validate()


@pytest.mark.feature("R1")
@pytest.mark.parametrize("kind", FlowKind)
def test_each_kinds_page_says_when_how_and_what_then(make_flow: Flows, kind: FlowKind) -> None:
    """The page of every kind has its own words about when to use it, how to run it and how to go on after a failure."""
    pages = {other: doc.page(make_flow("CRAcct2QBCust", other)) for other in FlowKind}
    text = pages[kind]
    for heading in ("**When to use it.**", "**How to run it.**", "**When a task is red.**"):
        assert heading in text
    use = text.split("**When to use it.**")[1].split("\n\n")[0]
    assert [other for other, page in pages.items() if use in page] == [kind]
    assert ("It never works beside" in text) is kind.utility
    assert ("goes on where it was" in text) is kind.bulk
    assert ("airflow backfill create" in text) is (kind in (FlowKind.DR, FlowKind.DRS, FlowKind.F))


def test_a_scheduled_flows_page_says_when_it_runs(make_flow: Flows) -> None:
    """Interval, shift, start-up, sleep and counter are told in words."""
    flow = make_flow(interval_ms=60_000, shift_ms=500, run_at_start_up=True, executions=3)
    sleep = SleepWindow.model_validate({"from": "23:00", "to": "01:00"})
    text = doc.page(flow.model_copy(update={"company": flow.company.model_copy(update={"sleep_window": sleep})}))
    assert "every 60,000 ms, shifted by 500 ms, and at once when it is switched on" in text
    assert "No run begins from 23:00:00 to 01:00:00 (America/New_York)" in text
    assert "completed 3 runs" in text


@pytest.mark.parametrize(("flow", "kind"), KINDS.items())
def test_every_dag_is_stored_and_read_back(make_flow: Flows, flow: str, kind: FlowKind) -> None:
    """What the DAG processor stores is valid, the same at each parse, and gives the same tasks and schedule."""
    first, second = (DagSerialization.to_dict(build_dag(make_flow(flow, kind))) for _ in range(2))
    assert first == second
    DagSerialization.validate_schema(first)
    again = DagSerialization.from_dict(first)
    assert again.dag_id == f"acme.{flow}"
    assert set(again.task_dict) == {"ready", "customers", "invoices", "report"}
    assert again.timetable.periodic is (kind in (FlowKind.SCHEDULED, FlowKind.DR, FlowKind.DRS, FlowKind.F))
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
    assert stored.params.deep_merge({}).validate() == {"batch_size": 120, "start": None, "end": None}
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


@pytest.mark.feature("R3")
def test_the_form_says_what_it_means_to_leave_a_date_out(make_flow: Flows) -> None:
    """N goes without limits, a date range takes the run's own dates, F does either, by how it is run."""
    said = {}
    for kind in (FlowKind.N, FlowKind.DR, FlowKind.F):
        text = build_dag(make_flow("CRAcct2QBCust", kind)).params.get_param("start").description or ""
        said[kind] = text.partition("Where it is empty, ")[2]
    assert said == {
        FlowKind.N: "there is no limit.",
        FlowKind.DR: "the run's own dates count.",
        FlowKind.F: "there is no limit; a run of a backfill has its own dates.",
    }


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
