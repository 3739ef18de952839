"""Starting, stopping, running and maintaining flows, on Airflow's metadata database and a real ledger."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.log import Log
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import delete, select, update

from iw_operators import control, listener
from iw_operators.control import State
from iw_operators.dag import build_dag
from iw_operators.errors import ConnectionFailure, FixConfiguration
from iw_operators.ledger.store import Ledger
from iw_operators.maintenance import SAFE
from iw_operators.maintenance_dags import build_maintenance
from iw_operators.spec.models import FlowKind, StopScheduled
from iw_operators.spec.resolved import ResolvedFlow
from tests.airflow.test_metadata import wipe
from tests.test_cli import run as run_command

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Flows = Callable[..., ResolvedFlow]

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R5"), pytest.mark.usefixtures("metadata")]

OUT, LOAD, ONE = "acme.CRAcct2QBCust", "acme.CRAcct2QBCustDR", "acme.CRAcct2QBCustNF"
ZETA = "zeta.CRAcct2QBCust"
BUNDLE = "dags-folder"


def store(*dags: Any) -> None:
    """Store DAGs as the DAG processor does."""
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dagbundle import DagBundleModel

    with create_session() as session:
        if session.get(DagBundleModel, BUNDLE) is None:
            session.add(DagBundleModel(name=BUNDLE))
    bag = DagBag("/dev/null", collect_dags=False, bundle_name=BUNDLE)
    for dag in dags:
        bag.bag_dag(dag)
    sync_bag_to_db(bag, BUNDLE, None)


@pytest.fixture
def policy() -> StopScheduled:
    """When scheduled flows stop; tests say otherwise by parameter."""
    return StopScheduled.NEVER


@pytest.fixture
def session(make_flow: Flows, policy: StopScheduled) -> Iterator[Session]:
    """Airflow's database with a scheduled flow, a load and a flow of one record of acme, all off, and one of zeta."""
    wipe()
    one = {"mappings": ("customers",)}
    company = make_flow(**one).company.model_copy(update={"stop_scheduled": policy})
    kinds = {"": FlowKind.SCHEDULED, "DR": FlowKind.DR, "NF": FlowKind.NF}
    flows = [
        make_flow(f"CRAcct2QBCust{suffix}", kind, **one).model_copy(update={"company": company})
        for suffix, kind in kinds.items()
    ]
    other = flows[0].model_copy(update={"company": company.model_copy(update={"company": "zeta"})})
    store(*map(build_dag, (*flows, other)), build_maintenance(flows[0].company))
    with create_session() as session:
        session.execute(delete(Log))
        yield session
        session.rollback()
    wipe()


def paused(session: Session) -> dict[str, bool]:
    """Return which DAGs are switched off."""
    session.flush()
    return {row.dag_id: row.is_paused for row in session.execute(select(DagModel.dag_id, DagModel.is_paused))}


def running(session: Session, dag_id: str, task: str, state: TaskInstanceState | None, by: str = "ann") -> DagRun:
    """Make a run of a flow, with one of its tasks in a state."""
    run_id = control._make_run(session, dag_id, by, {"full_name": "x"} if dag_id == ONE else {}, None)
    run = session.scalars(select(DagRun).where(DagRun.run_id == run_id)).one()
    run.state = DagRunState.RUNNING
    session.execute(
        update(TaskInstance)
        .where(TaskInstance.run_id == run_id, TaskInstance.task_id == task)
        .values(state=state, start_date=dt.datetime.now(dt.UTC))
    )
    return run


def refused(code: str) -> Any:
    """Expect something to be refused with a code."""

    def check(error: BaseException) -> bool:
        return getattr(error, "code", "") == code

    return pytest.raises(FixConfiguration, check=check)


def test_the_four_states(session: Session, ledger: Ledger) -> None:
    """Switched on or off, and whether a task is at work, make the state and its colour."""
    running(session, OUT, "customers", TaskInstanceState.RUNNING)
    seen = []
    for off in (False, True):
        listener.switch(session, [OUT, LOAD], paused=off, why="test")
        states = control.flow_states(session, ledger, [OUT, LOAD, "acme.None"])
        assert set(states) == {OUT, LOAD}
        seen += [(states[dag_id].state, states[dag_id].state.colour) for dag_id in (OUT, LOAD)]
    assert seen == [
        (State.RUNNING, "magenta"),
        (State.STARTED, "blue"),
        (State.COMPLETING, "yellow"),
        (State.STOPPED, "white"),
    ]
    assert control.flow_states(session, ledger, [OUT])[OUT].since is not None


def test_a_frozen_run_and_a_waiting_one_are_shown(session: Session, ledger: Ledger) -> None:
    """What a stop holds up, and what waits for its turn, is named; a run whose task is ending its page is neither."""
    frozen = running(session, OUT, "ready", TaskInstanceState.SUCCESS)
    working = running(session, ONE, "customers", TaskInstanceState.RUNNING)
    listener.switch(session, [LOAD], paused=False, why="test")
    ledger.take_turn("acme", "CRAcct2QBCustNF", working.run_id, "utility")
    ledger.take_turn("acme", "CRAcct2QBCustDR", "later", "utility")
    states = control.flow_states(session, ledger, [OUT, LOAD, ONE])
    assert [(held.run_id, held.why[:26]) for held in states[OUT].held] == [
        (frozen.run_id, "Its flow is switched off; ")
    ]
    assert [held.why for held in states[LOAD].held] == ["It waits for its turn."]
    assert [(work.task_id, work.run_id) for work in states[ONE].work] == [("customers", working.run_id)]
    assert (states[ONE].held, states[ONE].state) == ((), State.COMPLETING)


def test_start_and_stop_leave_their_traces(session: Session, ledger: Ledger) -> None:
    """The switch is set, who did it is in the ledger and in Airflow's audit log, and a waiting run loses its place."""
    ledger.take_turn("acme", "Other", "x", "utility")
    ledger.take_turn("acme", "CRAcct2QBCustDR", "r1", "utility")
    control.start(session, ledger, LOAD, "ann")
    assert paused(session)[LOAD] is False
    control.stop(session, ledger, LOAD, "bob")
    assert paused(session)[LOAD] is True
    assert [turn.flow for turn in ledger.turns("acme")] == ["Other"]
    assert [(deed.by, deed.what, deed.subject) for deed in ledger.deeds("acme")] == [
        ("bob", "stopped", "CRAcct2QBCustDR"),
        ("ann", "started", "CRAcct2QBCustDR"),
    ]
    audit = session.execute(select(Log.event, Log.owner, Log.dag_id).order_by(Log.id)).all()
    assert [tuple(row) for row in audit] == [("unpaused", "ann", LOAD), ("paused", "bob", LOAD)]


@pytest.mark.parametrize("dag_id", ["acme.None", "none.CRAcct2QBCust", "acme.Maintenance", "acme", ""])
def test_what_is_no_flow_is_refused(session: Session, ledger: Ledger, dag_id: str) -> None:
    """A name that is nobody's, and a DAG that is no flow, cannot be started, stopped or run."""
    for act in (control.start, control.stop, control.run_now):
        with refused("iw.no_flow"):
            act(session, ledger, dag_id, "ann")
    assert ledger.deeds("acme") == []


def test_run_now(session: Session, ledger: Ledger) -> None:
    """A utility flow is switched on for it, with its values and its user; values that the form refuses are refused."""
    run_id = control.run_now(session, ledger, ONE, "ann", {"full_name": "Ångström"})
    run = session.scalars(select(DagRun).where(DagRun.run_id == run_id)).one()
    assert (run.dag_id, run.conf, run.triggering_user_name) == (ONE, {"full_name": "Ångström"}, "ann")
    assert (run.state, paused(session)[ONE]) == (DagRunState.QUEUED, False)
    with refused("iw.bad_params"):
        control.run_now(session, ledger, ONE, "ann", {"full_name": ""})
    with refused("iw.stopped"):
        control.run_now(session, ledger, OUT, "ann")
    (deed,) = ledger.deeds("acme")
    assert (deed.what, deed.detail) == ("ran", {"run": run_id, "params": ["full_name"]})


@pytest.mark.feature("R3")
def test_run_now_of_a_date_range(session: Session, ledger: Ledger) -> None:
    """The run has the window as its data interval, and the same window can be run again."""
    window = (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2026, 2, 1, tzinfo=dt.UTC))
    ids = [control.run_now(session, ledger, LOAD, "ann", window=window) for _ in range(2)]
    for run in session.scalars(select(DagRun).where(DagRun.run_id.in_(ids))):
        assert (run.data_interval_start, run.data_interval_end) == window
    with refused("iw.bad_params"):
        control.run_now(session, ledger, LOAD, "ann", window=(window[1], window[0]))


def test_maintenance_stops_all_flows_and_starts_exactly_those_again(session: Session, ledger: Ledger) -> None:
    """Of one company alone; what is at work is named until it has ended; nothing can be started meanwhile."""
    listener.switch(session, [OUT, ONE, ZETA], paused=False, why="test")
    run = running(session, OUT, "customers", TaskInstanceState.RUNNING)
    state = control.begin_maintenance(session, ledger, "acme", "ann", "new year")
    assert paused(session) == {OUT: True, LOAD: True, ONE: True, ZETA: False, "acme.Maintenance": False}
    assert (state.active, state.safe, state.by, state.why) == (True, False, "ann", "new year")
    assert state.flows == (OUT, ONE)
    assert re.fullmatch(r"not safe yet: acme.CRAcct2QBCust \(task customers, since [\d:]{8} UTC\)", state.text)
    for act in (control.start, control.run_now):
        with refused("iw.maintenance"):
            act(session, ledger, LOAD, "bob")
    session.execute(update(TaskInstance).where(TaskInstance.run_id == run.run_id).values(state="skipped"))
    state = control.maintenance_state(session, ledger, "acme")
    assert (state.safe, state.text) == (True, SAFE)
    assert [held.run_id for held in state.held] == [run.run_id]
    checked: list[str] = []
    ended = control.end_maintenance(session, ledger, "acme", "bob", check=lambda _, company: checked.append(company))
    assert (checked, ended.active) == (["acme"], False)
    assert paused(session) == {OUT: False, LOAD: True, ONE: False, ZETA: False, "acme.Maintenance": False}
    assert [deed.what for deed in ledger.deeds("acme")] == ["ended maintenance", "began maintenance"]
    with refused("iw.no_maintenance"):
        control.end_maintenance(session, ledger, "acme", "bob")


def test_the_run_that_waits_is_answered_by_an_end_on_the_page(session: Session, ledger: Ledger) -> None:
    """It would wait for ever, and a new maintenance with it, as one run of the DAG works at a time."""
    from airflow.models.hitl import HITLDetail

    run = running(session, "acme.Maintenance", "work_alone", TaskInstanceState.AWAITING_INPUT)
    (task,) = (each for each in run.task_instances if each.task_id == "work_alone")
    session.add(HITLDetail(ti_id=task.id, options=["The maintenance is over"], subject="acme is safe to work in"))
    session.flush()
    control.begin_maintenance(session, ledger, "acme", "ann")
    control.end_maintenance(session, ledger, "acme", "bob", check=lambda *_: None)
    session.refresh(task)
    asked = session.get(HITLDetail, task.id)
    assert asked is not None
    assert (asked.responded_by_user, asked.chosen_options) == (
        {"id": "bob", "name": "bob"},
        ["The maintenance is over"],
    )
    assert task.state == TaskInstanceState.SCHEDULED
    assert "bob" in str(task.next_kwargs)


def test_a_turn_that_is_held_is_not_safe(session: Session, ledger: Ledger) -> None:
    """A worker that Airflow has given up may still be connected: until its lease is over nobody says it is safe."""
    control.begin_maintenance(session, ledger, "acme", "ann")
    assert control.maintenance_state(session, ledger, "acme").safe
    ledger.take_turn("acme", "CRAcct2QBCustDR", "r1", "utility")
    state = control.maintenance_state(session, ledger, "acme")
    assert not state.safe
    assert LOAD in state.text


def test_a_maintenance_goes_on_where_a_connection_is_bad(session: Session, ledger: Ledger) -> None:
    """Its end checks first: the error is the caller's, nothing is started, and it can be ended later."""
    listener.switch(session, [OUT], paused=False, why="test")
    control.begin_maintenance(session, ledger, "acme", "ann")

    def check(_: Ledger, company: str) -> None:
        msg = f"Nobody answers for {company}."
        raise ConnectionFailure(msg)

    with pytest.raises(ConnectionFailure, match="Nobody answers"):
        control.end_maintenance(session, ledger, "acme", "ann", check=check)
    assert paused(session)[OUT]
    assert ledger.maintenance("acme") is not None


def test_a_second_beginning_joins_the_first(session: Session, ledger: Ledger) -> None:
    """A flow that was switched on in Airflow meanwhile is stopped too, and started again with the others."""
    listener.switch(session, [OUT], paused=False, why="test")
    first = control.begin_maintenance(session, ledger, "acme", "ann", "a")
    listener.switch(session, [LOAD], paused=False, why="test")
    second = control.begin_maintenance(session, ledger, "acme", "bob", "b")
    assert (second.by, second.why, second.since) == ("ann", "a", first.since)
    assert second.flows == (OUT, LOAD)
    with refused("iw.no_flow"):
        control.begin_maintenance(session, ledger, "nobody", "ann")


def cli(*words: str) -> str:
    """Run `airflow iw ...` and return how it ended, as an error message or as nothing."""
    try:
        run_command(*words)
    except SystemExit as error:
        return str(error.code)
    return ""


@pytest.fixture
def commands(
    session: Session, ledger_connection: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[str, str]]:
    """A function that runs a command as user `ann` and returns what it printed, and how it ended."""
    session.commit()
    monkeypatch.setenv("LOGNAME", "ann")

    def command(*words: str) -> tuple[str, str]:
        ended = cli(*words)
        session.expire_all()
        return capsys.readouterr().out, ended

    return command


Command = Callable[..., tuple[str, str]]


@pytest.mark.usefixtures("ledger")
def test_start_and_stop_on_the_command_line(session: Session, commands: Command) -> None:
    """Without names it starts the scheduled flows and stops all; a name that is nobody's is an error."""
    assert commands("start", "acme") == (f"{OUT}: started\n", "")
    assert commands("start", "acme", "CRAcct2QBCustDR", ONE) == (f"{LOAD}: started\n{ONE}: started\n", "")
    assert paused(session) == {OUT: False, LOAD: False, ONE: False, ZETA: True, "acme.Maintenance": False}
    session.rollback()
    out, ended = commands("stop", "acme")
    assert (sorted(out.splitlines()), ended) == ([f"{OUT}: STOPPED", f"{LOAD}: STOPPED", f"{ONE}: STOPPED"], "")
    out, ended = commands("stop", "acme", "None")
    assert (out, ended.startswith("[iw.no_flow] Airflow has no flow 'acme.None'.")) == ("", True)
    assert commands("start", "nobody") == ("", "Airflow has no flow of a company 'nobody'.")


def test_status_on_the_command_line(ledger: Ledger, commands: Command) -> None:
    """Both tables, with state, Query Starts, the last run and how it ended."""
    run_id = ledger.begin_run(
        company="acme", flow="CRAcct2QBCust", dag_run_id="r1", kind="scheduled", direction="to_books"
    )
    ledger.end_run(run_id, "skipped", error="It is not its turn.\nSecond line")
    ledger.move_query_starts("acme", "CRAcct2QBCust", dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), by="ann")
    out, ended = commands("status", "acme")
    assert ended == ""
    scheduled, utility = out.split("Utility flows")
    assert re.search(
        r"CRAcct2QBCust .*scheduled.*STOPPED.*2026-01-02 03:04:05Z.*skipped: It is not its turn\.", scheduled
    )
    assert "Second line" not in out
    assert re.search(r"CRAcct2QBCustDR .*DR.*STOPPED", utility)
    assert re.search(r"CRAcct2QBCustNF .*NF.*STOPPED", utility)


def test_maintenance_on_the_command_line(session: Session, ledger: Ledger, commands: Command) -> None:
    """It ends with 1 while it is not safe; the same command again says when it is; the end starts what was on."""
    control.start(session, ledger, OUT, "ann")
    session.commit()
    ledger.take_turn("acme", "CRAcct2QBCustDR", "r1", "utility")
    out, ended = commands("maintenance", "begin", "acme", "--why", "new file")
    assert ended == "1"
    assert f"acme: not safe yet: {LOAD}" in out
    assert "begun by ann. new file" in out
    assert paused(session)[OUT]
    session.rollback()
    ledger.give_turn_back("acme", "CRAcct2QBCustDR", "r1")
    out, ended = commands("maintenance", "status", "acme")
    assert (f"acme: {SAFE}\nTo be started again at its end: {OUT}\n" in out, ended) == (True, "")
    out, ended = commands("maintenance", "end", "acme")
    assert (out, "acme_crm" in ended) == ("", True)  # which Airflow does not have
    out, ended = commands("maintenance", "end", "acme", "--unchecked")
    assert (out, ended) == ("acme: the maintenance has ended\n", "")
    assert not paused(session)[OUT]
    session.rollback()
    assert "[iw.no_maintenance]" in commands("maintenance", "end", "acme", "--unchecked")[1]
