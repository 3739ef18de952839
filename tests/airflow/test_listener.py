"""What the scheduler does when a run starts or ends: flows that stop and start, and what people are told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.log import Log
from airflow.models.xcom import XComModel
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select

from iw_operators import listener, xcoms
from iw_operators.dag import build_dag
from iw_operators.spec.models import Direction, StopScheduled
from iw_operators.spec.resolved import ResolvedFlow
from tests.airflow.test_control import LOAD, ONE, OUT, ZETA, commands, paused, policy, running, session, store

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R5"), pytest.mark.usefixtures("metadata")]

__all__ = ["commands", "policy", "session"]  # fixtures

Command = Callable[..., tuple[str, str]]
Flows = Callable[..., ResolvedFlow]

NEVER_LIVE = "acme.QBCust2CRAcct"


def end(session: Session, run: DagRun, *, failed: bool = False, msg: str = "task_failure") -> None:
    """Let a run end as the scheduler does."""
    session.flush()
    run.dag = listener_dag(session, run.dag_id)
    if failed:
        listener.on_dag_run_failed(run, msg)
    else:
        listener.on_dag_run_success(run)


def listener_dag(session: Session, dag_id: str) -> Any:
    """Return a DAG as the scheduler has it."""
    from airflow.models.dagbag import DBDagBag

    return DBDagBag().get_latest_version_of_dag(dag_id, session=session)


def says(session: Session, run: DagRun, task: str, key: str, value: Any) -> None:
    """Leave an XCom of a run."""
    session.flush()
    XComModel.set(key=key, value=value, dag_id=run.dag_id, task_id=task, run_id=run.run_id, session=session)


@pytest.mark.feature("R7")
def test_the_scheduler_does_what_a_run_has_asked_for(session: Session) -> None:
    """Flows that are named, or all scheduled flows, of the run's own company alone."""
    listener.switch(session, [OUT, LOAD, ONE, ZETA], paused=False, why="test")
    run = running(session, ONE, "report", TaskInstanceState.SUCCESS)
    says(session, run, "report", xcoms.PAUSE, {"dags": [LOAD, ZETA, "nonsense"], "why": "the counter"})
    end(session, run)
    assert paused(session) == {OUT: False, LOAD: True, ONE: False, ZETA: False, "acme.Maintenance": False}
    run = running(session, ONE, "report", TaskInstanceState.SUCCESS)
    says(session, run, "report", xcoms.PAUSE, {"dags": [], "all": "scheduled", "why": "no connection"})
    end(session, run, failed=True)
    assert paused(session) == {OUT: True, LOAD: True, ONE: False, ZETA: False, "acme.Maintenance": False}
    (extra,) = session.scalars(select(Log.extra).where(Log.dag_id == OUT, Log.event == "paused"))
    assert "no connection" in (extra or "")


@pytest.mark.feature("R7")
@pytest.mark.parametrize(
    ("policy", "unreachable", "stops"),
    [
        (StopScheduled.NEVER, True, False),
        (StopScheduled.AFTER_CONNECTION_FAILURE, False, False),
        (StopScheduled.AFTER_CONNECTION_FAILURE, True, True),
        (StopScheduled.AFTER_ANY_ERROR, False, True),
    ],
)
def test_a_run_that_never_reported(session: Session, unreachable: bool, stops: bool) -> None:
    """The policy is known from the DAG's tags; a run that did report has said itself what is to be done."""
    listener.switch(session, [OUT], paused=False, why="test")
    told = running(session, OUT, "report", TaskInstanceState.FAILED)
    says(session, told, "report", xcoms.STATE, "failed")
    end(session, told, failed=True)
    assert not paused(session)[OUT]
    run = running(session, OUT, "report", TaskInstanceState.FAILED)
    if unreachable:
        says(session, run, "ready", xcoms.UNREACHABLE, {"error": "ConnectionFailure"})
    end(session, run, failed=True)
    assert paused(session)[OUT] is stops


MARKED = "Dag Run's state was manually set to `failed`."  # as Airflow says it


@pytest.mark.feature("R7")
@pytest.mark.parametrize("policy", [StopScheduled.AFTER_ANY_ERROR])
@pytest.mark.parametrize(
    ("state", "code", "stops"),
    [
        (TaskInstanceState.FAILED, "iw.yielded", False),  # a load that was stopped, and waits to be cleared
        (TaskInstanceState.FAILED, None, False),  # it was at work, and fails with its run
        (TaskInstanceState.SKIPPED, "http.refused", False),  # it was to be tried again
        (TaskInstanceState.FAILED, "iw.balance", True),
    ],
)
def test_a_run_that_is_marked_as_failed_stops_nothing_unless_it_has_failed_by_itself(
    session: Session, state: TaskInstanceState, code: str | None, stops: bool
) -> None:
    """Whoever sets a run to failed by hand knows; the policy is for what fails while nobody looks."""
    listener.switch(session, [OUT], paused=False, why="test")
    run = running(session, LOAD, "customers", state)
    if code:
        says(session, run, "customers", "iw_error", {"error": "X", "code": code, "message": "", "advice": ""})
    end(session, run, failed=True, msg=MARKED)
    assert paused(session)[OUT] is stops


@pytest.mark.feature("R7", "R8")
@pytest.mark.parametrize("policy", [StopScheduled.AFTER_ANY_ERROR])
def test_people_are_told_what_stops_where_no_report_could(session: Session) -> None:
    """The triggerer is asked to, in the same transaction; once, and not where nothing was switched on."""
    from airflow.models.callback import TriggererCallback

    from iw_operators.notify.stopping import note_stopped

    listener.switch(session, [OUT], paused=False, why="test")
    for _ in range(2):
        end(session, running(session, OUT, "report", TaskInstanceState.FAILED), failed=True)
    session.flush()
    (asked,) = session.scalars(select(TriggererCallback))
    assert asked.data["path"] == f"{note_stopped.__module__}.{note_stopped.__qualname__}"
    assert asked.data["kwargs"]["stopped"] == [OUT]
    assert asked.trigger is not None
    assert asyncio.iscoroutinefunction(note_stopped)


@pytest.fixture
def stopped(session: Session, commands: Command, make_flow: Flows) -> DagRun:
    """The policy has stopped a flow, while another scheduled flow was off already, which never went live."""
    store(build_dag(make_flow(NEVER_LIVE.partition(".")[2], mappings=("customers",), direction=Direction.TO_CRM)))
    listener.switch(session, [OUT], paused=False, why="live")
    run = running(session, OUT, "report", TaskInstanceState.FAILED)
    says(session, run, "report", xcoms.STATE, "failed")
    says(session, run, "report", xcoms.PAUSE, {"dags": [], "all": "scheduled", "why": "no connection"})
    end(session, run, failed=True)
    session.commit()
    return run


@pytest.mark.feature("R7")
@pytest.mark.usefixtures("ledger", "stopped")
def test_exactly_the_flows_that_the_policy_has_stopped_are_started(session: Session, commands: Command) -> None:
    """Not what was switched off before: a direction that never went live would begin to write."""
    out, ended = commands("start", "acme", "--stopped")
    assert ([line for line in out.splitlines() if line.endswith(": started")], ended) == ([f"{OUT}: started"], "")
    assert (paused(session)[OUT], paused(session)[NEVER_LIVE]) == (False, True)
    session.rollback()
    assert commands("start", "acme", "--stopped") == ("acme: no flow has been stopped by stop_scheduled.\n", "")
    assert commands("start", "acme", "CRAcct2QBCust", "--stopped")[1] == "Name flows, or say --stopped: not both."


@pytest.mark.feature("R7")
@pytest.mark.usefixtures("ledger", "stopped")
def test_what_somebody_has_switched_since_is_not_started(session: Session) -> None:
    """In Airflow's own list too: on and off again, it is off because somebody wants that. A maintenance is no such."""
    listener.switch(session, [OUT], paused=True, why="maintenance", by="ann")
    assert listener.stopped_by_policy(session, "acme") == [OUT]
    session.add(Log("patch_dag", owner="ann", dag_id=OUT, extra='{"is_paused": true, "method": "PATCH"}'))
    session.flush()
    assert listener.stopped_by_policy(session, "acme") == []


@pytest.mark.feature("R4")
def test_why_a_run_was_skipped_is_its_note(session: Session) -> None:
    """Whoever looks at the run in Airflow reads it there; a note that a person has written stays."""
    for note, expected in ((None, "It is not its turn."), ("mine", "mine")):
        run = running(session, OUT, "ready", TaskInstanceState.SKIPPED)
        run.note = note
        says(session, run, "ready", xcoms.SKIPPED, "It is not its turn.")
        end(session, run)
        assert run.note == expected


@pytest.mark.feature("R7")
@pytest.mark.parametrize("value", ["text", 7, [], {"dags": None}, {"dags": 7}, {"all": ["scheduled"]}])
def test_nonsense_stops_nothing_and_never_raises(session: Session, value: Any) -> None:
    """The scheduler goes on whatever a task has left behind."""
    listener.switch(session, [OUT], paused=False, why="test")
    run = running(session, ONE, "report", TaskInstanceState.SUCCESS)
    says(session, run, "report", xcoms.PAUSE, value)
    end(session, run)
    assert not paused(session)[OUT]


def test_the_scheduler_stops_and_starts_flows_for_a_maintenance(session: Session) -> None:
    """At the start of its run they are switched off and remembered, at its end those asked for are switched on."""
    listener.switch(session, [OUT, ZETA], paused=False, why="test")
    run = running(session, "acme.Maintenance", "begin", None)
    run.dag = listener_dag(session, run.dag_id)
    for _ in range(2):  # a run that is cleared starts again
        listener.on_dag_run_running(run)
        assert paused(session) == {OUT: True, LOAD: True, ONE: True, ZETA: False, "acme.Maintenance": False}
        assert (run.conf or {})[listener.PAUSED] == [OUT]
    says(session, run, "begin", xcoms.STATE, "begun")
    end(session, run, failed=True)
    assert paused(session)[OUT]
    says(session, run, "end", xcoms.UNPAUSE, {"dags": [OUT, ZETA], "why": "over"})
    end(session, run)
    assert paused(session) == {OUT: False, LOAD: True, ONE: True, ZETA: False, "acme.Maintenance": False}


def test_a_run_that_goes_on_at_a_later_task_switches_nothing_off(session: Session) -> None:
    """Its maintenance may be over: a task `end` that is cleared late finds nothing to end, and starts nothing again."""
    listener.switch(session, [OUT], paused=False, why="test")
    run = running(session, "acme.Maintenance", "begin", TaskInstanceState.SUCCESS)
    run.dag = listener_dag(session, run.dag_id)
    listener.on_dag_run_running(run)
    assert not paused(session)[OUT]


def test_a_maintenance_that_could_not_begin_starts_the_flows_again(session: Session) -> None:
    """The ledger was away: nothing is in force, so nothing stays switched off."""
    listener.switch(session, [OUT], paused=False, why="test")
    run = running(session, "acme.Maintenance", "begin", None)
    run.dag = listener_dag(session, run.dag_id)
    listener.on_dag_run_running(run)
    end(session, run, failed=True)
    assert not paused(session)[OUT]
