"""Turns flows into DAGs: `ready`, one task a mapping in order, `report`."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import structlog
from airflow.sdk import DAG, Param

from iw_operators import asked, deadlines, doc, site
from iw_operators.errors import FixConfiguration
from iw_operators.listener import TAG, stop_tags
from iw_operators.operators.report import ReportOperator
from iw_operators.operators.sync import SyncOperator
from iw_operators.pools import pool_name
from iw_operators.retry import retry_defaults
from iw_operators.sensors.ready import ReadySensor
from iw_operators.spec.document import Document
from iw_operators.spec.errors import Problem, SpecError, printable
from iw_operators.spec.flows import MAINTENANCE_FLOW, REPORT_FLOW
from iw_operators.spec.folders import companies
from iw_operators.spec.loader import load_all, load_flow
from iw_operators.spec.models import FlowKind
from iw_operators.spec.resolved import ResolvedFlow
from iw_operators.timetables import BackfillOnlyTimetable, IntervalTimetable
from iw_operators.xcoms import READY, REPORT

log = structlog.get_logger(__name__)

NAME_LENGTH: Final = 500  # of a record's full name
NAMES_LENGTH: Final = 100_000  # of a list of them
IDS_COUNT: Final = 10_000
UTILITY: Final = "utility"
BULK: Final = "bulk"
BINDING: Final = "binding"


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Put the garbage collector off: it would look through all of Airflow many times while hardly any garbage is made.

    A third of the time that a DAG file takes.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def flows_of(root: Path, dag_id: str | None = None) -> list[ResolvedFlow]:
    """Return the flows that are free of errors, all of them or (for a worker) the one with this DAG id.

    :raises FixConfiguration: the one flow has errors; all of them are in the message.
    """
    if dag_id is None:
        specs, _ = load_all(root)
        return [flow for spec in specs.values() for flow in spec.flows.values()]
    company, _, name = dag_id.partition(".")
    if company not in companies(root) or name in (REPORT_FLOW, MAINTENANCE_FLOW):
        return []
    found, errors = load_flow(root, company, name)
    if found is None:
        raise _as_error(errors)
    return [found]


def check_specs(root: Path) -> None:
    """Raise FixConfiguration with every error of every spec, `file:line: path: what is wrong`; none: do nothing.

    Flows that `dags_of` leaves out are errors too; hence it makes the DAG of every flow.
    """
    specs, errors = load_all(root)
    with uncollected():
        made = [_made(flow) for spec in specs.values() for flow in spec.flows.values()]
    errors = [*errors, *(each for each in made if isinstance(each, SpecError))]
    if errors:
        raise _as_error(errors)


def _as_error(errors: list[SpecError]) -> FixConfiguration:
    count = f"{len(errors)} errors in the specs" if len(errors) != 1 else "An error in the specs"
    return FixConfiguration("\n".join((f"{count}:", *map(str, errors))))


def dags_of(flows: Iterable[ResolvedFlow], dag_id: str | None = None) -> Iterator[DAG]:
    """Yield the DAG of each flow. One of which none can be made takes no other away; `check_specs` tells of it.

    :param dag_id: the one that a worker is to run; what its making raises is raised here.
    """
    for flow in flows:
        made = build_dag(flow) if dag_id is not None else _made(flow)
        if isinstance(made, DAG):
            yield made


def _made(flow: ResolvedFlow) -> DAG | SpecError:
    try:
        dag = build_dag(flow)
        dag.timetable.validate()
    except Exception as error:
        log.exception("no DAG can be made of a flow", dag_id=flow.dag_id)
        why = printable(f"{type(error).__name__}: {error}")
        at = ("mapping",) if flow.generated else ("flows", flow.flow)
        return Document.read(Path(flow.file)).error(Problem(at, f"no DAG {flow.dag_id} can be made of it: {why}"))
    return dag


def build_dag(flow: ResolvedFlow) -> DAG:
    """Return the flow's DAG, `<company>.<Flow>`.

    One run of a flow at a time; all its tasks in the company's pool, where a run that has begun goes before one that
    has not. New DAGs are paused: somebody switches a flow on.
    """
    dag = DAG(
        dag_id=flow.dag_id,
        description=doc.summary(flow),
        doc_md=doc.page(flow),
        tags=_tags(flow),
        catchup=False,
        max_active_runs=1,
        max_active_tasks=1,
        is_paused_upon_creation=True,
        deadline=[alert for alert in (deadlines.alert(flow), site.alert(flow)) if alert],
        params=_params(flow),
        default_args=_task_defaults(flow),
        **_schedule(flow),
    )
    if flow.kind.binds:
        from iw_operators.operators.bind import bind_dag  # only such flows need Airflow's approvals

        bind_dag(flow, dag)
        return dag
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
    company = flow.company.company
    return {"owner": company, "pool": pool_name(company), "weight_rule": "upstream", **retry_defaults()}


def _tags(flow: ResolvedFlow) -> list[str]:
    company, kind = flow.company, flow.kind
    tags = [TAG, company.company, company.environment.value, kind.value, flow.direction.value, *stop_tags(company)]
    marks = {UTILITY: kind.utility, BULK: kind.bulk, BINDING: kind.binds}
    return [*tags, *(mark for mark, applies in marks.items() if applies)]


def _schedule(flow: ResolvedFlow) -> dict[str, Any]:
    company, spec = flow.company, flow.spec
    if flow.kind is FlowKind.SCHEDULED:
        window = company.sleep_window
        sleep = f"{window.from_}/{window.to}" if window else ""
        every = IntervalTimetable(
            spec.interval_ms, spec.shift_ms, at_once=spec.run_at_start_up, sleep=sleep, time_zone=company.time_zone
        )
        return {"schedule": every, "allowed_run_types": ["scheduled", "manual", "operator_triggered"]}
    by_hand = ["manual", "operator_triggered"]
    if flow.kind.backfilled:
        windows = BackfillOnlyTimetable(spec.window, company.time_zone)
        others = ["manual"] if flow.kind.ranged else by_hand
        return {"schedule": windows, "allowed_run_types": ["backfill", *others]}
    return {"schedule": None, "allowed_run_types": by_hand}


def _params(flow: ResolvedFlow) -> dict[str, Param]:
    if flow.kind is FlowKind.NF:
        return {
            asked.FULL_NAME: Param(
                type="string",
                minLength=1,
                maxLength=NAME_LENGTH,
                pattern=r"\S",
                title="Full name",
                description="Full name of the one record, exactly as the source writes it, or its id there.",
            )
        }
    if flow.kind is FlowKind.NFS:
        return _several()
    if flow.kind.binds:
        return _batch_size(flow)
    return {**_window(flow), **_batch_size(flow)} if flow.kind.bulk else {}


def _several() -> dict[str, Param]:
    texts = {"type": "string", "minLength": 1, "maxLength": NAME_LENGTH}
    return {
        asked.NAMES: Param(
            None,
            type=["null", "string"],
            format="multiline",
            maxLength=NAMES_LENGTH,
            title="Full names or ids",
            description="One a line, exactly as the source writes them.",
        ),
        asked.IDS: Param(
            None,
            type=["null", "array"],
            items=texts,
            maxItems=IDS_COUNT,
            title="Ids",
            description="Ids in the source, where they are known to be ids.",
        ),
        asked.REPROCESS: Param(
            False,
            type="boolean",
            title="Failed records",
            description="Do nothing but try these failed records again; with no ids, all that are open.",
        ),
    }


def _window(flow: ResolvedFlow) -> dict[str, Param]:
    zone = f"In {flow.company.time_zone} where no other zone is given."
    empty = "the run's own dates count" if flow.kind.ranged else "there is no limit"
    if flow.kind.backfilled and not flow.kind.ranged:
        empty += "; a run of a backfill has its own dates"
    return {
        name: Param(
            None,
            type=["null", "string"],
            format="date-time",
            maxLength=40,
            title=title,
            description=f"{what} {zone} Where it is empty, {empty}.",
        )
        for name, title, what in (
            (asked.START, "Start", "What changed from then on."),
            (asked.END, "End", "What changed before."),
        )
    }


def _batch_size(flow: ResolvedFlow) -> dict[str, Param]:
    size = Param(
        flow.spec.batch_size,
        type="integer",
        minimum=1,
        maximum=2_000,
        title="Batch size",
        description="How many records are read, planned and written together.",
    )
    return {asked.BATCH_SIZE: size}
