"""Start, stop, run, maintain: what people do with flows, for the page, the command line and other callers.

    flow_states(session, ledger, dag_ids) -> dict[str, FlowState]
    start(session, ledger, dag_id, by)
    stop(session, ledger, dag_id, by)
    run_now(session, ledger, dag_id, by, conf=None, window=None) -> run_id
    begin_maintenance(session, ledger, company, by, why="") -> MaintenanceState
    maintenance_state(session, ledger, company) -> MaintenanceState
    end_maintenance(session, ledger, company, by, check=check_connections) -> MaintenanceState

`session` is one on Airflow's metadata database (API server, command line, scheduler; a task has none). It is the
caller's: nothing here commits. `by` is the user's name; what somebody did is kept in the ledger with it
(`Ledger.deeds`) and in Airflow's audit log. Whether somebody may do so is the caller's to ask.

All raise `ConnectionFailure` when the ledger does not answer, and `FixConfiguration` with a code when what is asked
for cannot be done as things are; message and advice are for the person who asked.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from iw_operators.errors import FixConfiguration
from iw_operators.listener import flows_of, switch
from iw_operators.maintenance import (
    MaintenanceState,
    begin_maintenance,
    check_connections,
    end_maintenance,
    maintenance_state,
    refuse_in_maintenance,
)
from iw_operators.spec.flows import kind
from iw_operators.standing import Held, Work, standing

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from iw_operators.ledger.store import Ledger


AboutFlow = TypeVar("AboutFlow", Work, Held)


class State(StrEnum):
    """What a flow is at, in the words that operators know."""

    RUNNING = "RUNNING"  # switched on, and a task of it is at work
    STARTED = "STARTED"  # switched on
    COMPLETING = "COMPLETING"  # switched off, and a task of it is ending its page
    STOPPED = "STOPPED"  # switched off

    @property
    def colour(self) -> str:
        """The colour in which it is shown."""
        return COLOURS[self]


COLOURS: Mapping[State, str] = {
    State.RUNNING: "magenta",
    State.STARTED: "blue",
    State.COMPLETING: "yellow",
    State.STOPPED: "white",
}


@dataclass(frozen=True, slots=True)
class FlowState:
    """How a flow stands.

    :param work: its tasks that are at work, or about to be (queued in the executor).
    :param held: its runs that are held up, each with why: a frozen run of a flow that is switched off, a run that
        waits for its turn.
    """

    dag_id: str
    state: State
    work: tuple[Work, ...] = ()
    held: tuple[Held, ...] = ()

    @property
    def since(self) -> dt.datetime | None:
        """Since when the task that is at work is at it; None when none is."""
        return min((each.since for each in self.work if each.task_id and each.since), default=None)


def flow_states(session: Session, ledger: Ledger, dag_ids: Collection[str]) -> dict[str, FlowState]:
    """Return how flows stand, by DAG id; those that Airflow does not know are left out.

    Three statements on Airflow's database and one a company on the ledger, however many flows.
    """
    now = standing(session, ledger, dag_ids)
    work, held = _by_flow(now.work), _by_flow(now.held)
    return {
        dag_id: FlowState(dag_id, _state(paused, work.get(dag_id, ())), work.get(dag_id, ()), held.get(dag_id, ()))
        for dag_id, paused in now.paused.items()
    }


def _by_flow(found: Iterable[AboutFlow]) -> dict[str, tuple[AboutFlow, ...]]:
    by_flow: dict[str, list[AboutFlow]] = {}
    for each in found:
        by_flow.setdefault(each.dag_id, []).append(each)
    return {dag_id: tuple(those) for dag_id, those in by_flow.items()}


def _state(paused: bool, work: Collection[Work]) -> State:
    tasks = [each for each in work if each.task_id]
    if paused:
        return State.COMPLETING if tasks else State.STOPPED
    return State.RUNNING if any(each.since for each in tasks) else State.STARTED


def start(session: Session, ledger: Ledger, dag_id: str, by: str) -> None:
    """Switch a flow on. A run that a stop has frozen ends by itself; Query Starts is where it was.

    A flow that had stopped itself because its counter was reached counts from zero again.

    :raises FixConfiguration: `iw.no_flow` there is no such flow; `iw.maintenance` its company is in maintenance.
    """
    company, flow = _known(session, dag_id)
    refuse_in_maintenance(ledger, company)
    limit = _executions(company, flow)
    if limit and ledger.run_count(company, flow).completed >= limit:
        ledger.reset_count(company, flow)
    switch(session, [dag_id], paused=False, why="started", by=by)
    ledger.note_deed(company, by, "started", flow)


def stop(session: Session, ledger: Ledger, dag_id: str, by: str) -> None:
    """Switch a flow off: a task that is at work ends its page, then nothing of it runs. The same as Airflow's pause.

    A run that only waits for its turn loses its place.

    :raises FixConfiguration: `iw.no_flow` there is no such flow.
    """
    company, flow = _known(session, dag_id)
    switch(session, [dag_id], paused=True, why="stopped", by=by)
    ledger.leave_row(company, flow)
    ledger.note_deed(company, by, "stopped", flow)


def run_now(
    session: Session,
    ledger: Ledger,
    dag_id: str,
    by: str,
    conf: Mapping[str, Any] | None = None,
    window: tuple[dt.datetime, dt.datetime] | None = None,
) -> str:
    """Make a run of a flow and return its id. A utility flow that is switched off is switched on by it.

    :param conf: values of the flow's params (`{"full_name": ...}`), checked against them.
    :param window: from, to: the run's data interval, for flows of a date range.
    :raises FixConfiguration: `iw.no_flow` there is no such flow; `iw.maintenance` its company is in maintenance;
        `iw.stopped` it is a scheduled flow that is switched off; `iw.bad_params` a value is refused.
    """
    from airflow.models.dag import DagModel

    company, flow = _known(session, dag_id)
    refuse_in_maintenance(ledger, company)
    model = session.get(DagModel, dag_id)
    if model is not None and model.is_paused:
        if not kind(flow).utility:
            msg = f"{dag_id} is stopped."
            raise FixConfiguration(msg, code="iw.stopped")
        switch(session, [dag_id], paused=False, why="started for a run", by=by)
    run_id = _make_run(session, dag_id, by, conf or {}, window)
    detail = {"run": run_id, "params": sorted(conf or {})}
    if window is not None:
        detail |= {"from": window[0].isoformat(), "to": window[1].isoformat()}
    ledger.note_deed(company, by, "ran", flow, detail)
    return run_id


def _make_run(
    session: Session,
    dag_id: str,
    by: str,
    conf: Mapping[str, Any],
    window: tuple[dt.datetime, dt.datetime] | None,
) -> str:
    from airflow.exceptions import ParamValidationError
    from airflow.models.dagbag import DBDagBag
    from airflow.timetables.base import DataInterval
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType
    from pendulum import instance

    dag = DBDagBag().get_latest_version_of_dag(dag_id, session=session)
    if dag is None:
        raise _no_flow(dag_id)
    if window is not None and window[0] >= window[1]:
        msg = f"The range of {dag_id} ends before it begins."
        raise FixConfiguration(msg, code="iw.bad_params")
    now = dt.datetime.now(dt.UTC)
    run_id = f"manual__{now.isoformat()}_{uuid.uuid4().hex[:6]}"
    try:
        dag.create_dagrun(
            run_id=run_id,
            # A window is kept only by a run with a logical date, and a DAG has one run a logical date.
            logical_date=now if window else None,
            data_interval=DataInterval(*map(instance, window)) if window else None,
            run_after=now,
            conf=dict(conf),
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.UI,
            triggering_user_name=by,
            state=DagRunState.QUEUED,
            session=session,
        )
    except (ParamValidationError, ValueError) as error:
        msg = f"{dag_id} does not take these values: {error}"
        raise FixConfiguration(msg, code="iw.bad_params") from None
    return run_id


def _known(session: Session, dag_id: str) -> tuple[str, str]:
    """Return company and name of a flow. Raises FixConfiguration when there is none."""
    company, _, flow = dag_id.partition(".")
    if dag_id not in flows_of(session, company):
        raise _no_flow(dag_id)
    return company, flow


def _no_flow(dag_id: str) -> FixConfiguration:
    msg = f"Airflow has no flow {dag_id!r}."
    return FixConfiguration(msg, code="iw.no_flow")


def _executions(company: str, flow: str) -> int:
    """Return after how many runs a flow stops itself; 0 for never, and where its spec has errors."""
    from iw_operators.settings import mappings_folder
    from iw_operators.spec.loader import load_flow

    root = mappings_folder()
    found, _ = load_flow(root, company, flow) if (root / company).is_dir() else (None, ())
    return found.spec.executions if found else 0


__all__ = [
    "COLOURS",
    "FlowState",
    "Held",
    "MaintenanceState",
    "State",
    "Work",
    "begin_maintenance",
    "check_connections",
    "end_maintenance",
    "flow_states",
    "maintenance_state",
    "run_now",
    "start",
    "stop",
]
