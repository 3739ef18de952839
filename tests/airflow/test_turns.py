"""Turns in Airflow's own task runner: who works, who waits, who is skipped, and what a stop does in the middle."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.utils.session import create_session

from iw_operators import points, xcoms
from iw_operators.dag import build_dag
from iw_operators.errors import ConnectionFailure, FixConfiguration, InterWeaveError, RetryLater, StopFlow
from iw_operators.ledger.flow_tables import turn as turn_table
from iw_operators.ledger.turns import Role
from iw_operators.operators import turn as turns
from iw_operators.operators.sync import SyncOperator
from iw_operators.operators.turn import Keeper, drop_gone
from iw_operators.sensors.ready import ReadySensor
from iw_operators.spec.models import FlowKind, SleepWindow, StopScheduled
from iw_operators.spec.resolved import ResolvedFlow

if TYPE_CHECKING:
    from tests.airflow.conftest import World

Flows = Callable[..., ResolvedFlow]

pytestmark = [
    pytest.mark.ledger,
    pytest.mark.feature("R4"),
    pytest.mark.usefixtures("metadata"),
    pytest.mark.filterwarnings("ignore"),  # of the API server that Airflow runs inside this process
    pytest.mark.filterwarnings(r"error:::iw_operators\..*"),
]

LOAD = "CRAcct2QBCustDR"


def states(run: DagRun) -> dict[str, str | None]:
    """Return the state of each task."""
    return {ti.task_id: ti.state for ti in run.get_task_instances()}


def with_company(flow: ResolvedFlow, **settings: Any) -> ResolvedFlow:
    """Return a flow whose company has these settings as well."""
    return flow.model_copy(update={"company": flow.company.model_copy(update=settings)})


def held(world: World, flow: str = LOAD, run: str = "other", role: Role = "utility") -> None:
    """Let another run of acme have its turn."""
    assert world.ledger.take_turn("acme", flow, run, role).taken


@pytest.fixture
def customers(make_flow: Flows) -> ResolvedFlow:
    """A scheduled flow with one mapping, a record a page."""
    return make_flow(mappings=("customers",), batch_size=1)


@pytest.fixture
def load(make_flow: Flows) -> ResolvedFlow:
    """A bulk load with one mapping, a record a page."""
    return make_flow(LOAD, FlowKind.DR, mappings=("customers",), batch_size=1)


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting tasks look again at once, working ones after every page."""
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__POLL_INTERVAL", "0.1")
    monkeypatch.setattr(turns, "LOOK_EVERY", 0)


@pytest.fixture
def at() -> Iterator[Callable[[str, Callable[[], None]], None]]:
    """A function that has something done the first time that a point of the protocol is reached."""

    def install(point: str, act: Callable[[], None]) -> None:
        waiting = [act]

        def hook(reached: str) -> None:
            if reached == point and waiting:
                waiting.pop()()

        points.install(hook)

    yield install
    points.install(None)


def when(condition: Callable[[], Any], act: Callable[[], Any]) -> threading.Thread:
    """Do something in a thread once a condition holds."""

    def wait() -> None:
        deadline = time.monotonic() + 60
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.05)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def pause(dag_id: str, paused: bool = True) -> None:
    """Switch a DAG off or on, as Airflow's own switch does."""
    with create_session() as session:
        session.execute(sa.update(DagModel).where(DagModel.dag_id == dag_id).values(is_paused=paused))


def assert_skipped(world: World, run: DagRun, *why: str) -> None:
    """The run did nothing, is a success in Airflow, and says in the ledger why it was skipped."""
    assert run.state == "success"
    assert states(run) == dict.fromkeys(("ready", "customers", "report"), "skipped")
    row = world.row()
    assert row.state == "skipped"
    assert row.ended_at is not None
    assert all(part in row.error for part in why), row.error
    assert not world.crm.windows
    assert not world.books.records
    assert world.ledger.query_starts("acme", row.flow) is None


def test_a_scheduled_run_is_skipped_while_a_utility_run_works(world: World, customers: ResolvedFlow) -> None:
    """It ends at once with the reason, Query Starts stays, and the next run has everything."""
    world.crm.add("a1", "Ångström")
    held(world)
    assert_skipped(world, world.run(customers), f"It is not its turn: {LOAD} (at work since ")
    world.ledger.give_turn_back("acme", LOAD, "other")
    assert world.run(customers).state == "success"
    assert len(world.books.records) == 1
    assert world.row().state == "success"


def test_a_turn_is_given_back_when_the_run_ends(world: World, customers: ResolvedFlow) -> None:
    """A good run and a failed one leave the row empty and a turn in the history."""
    world.run(customers)
    world.crm.errors["check"] = [RetryLater("Not now.") for _ in range(9)]
    assert world.run(customers).state == "failed"
    assert world.ledger.turns("acme") == []
    assert {past.how for past in world.ledger.turn_history("acme")} == {"given back"}


@pytest.mark.usefixtures("fast")
def test_a_utility_run_waits_for_scheduled_work(world: World, load: ResolvedFlow) -> None:
    """It begins when the scheduled run that was in flight is done, and not before."""
    world.crm.add("a1", "Ångström")
    held(world, "CRAcct2QBCust", role="scheduled")
    seen: list[int] = []

    def waits() -> bool:
        return any(each.state == "waiting" and each.flow == LOAD for each in world.ledger.turns("acme"))

    def free() -> None:
        seen.append(len(world.books.records))
        world.ledger.give_turn_back("acme", "CRAcct2QBCust", "other")

    thread = when(waits, free)
    run = world.run(load, logical_date=dt.datetime(2026, 3, 9, 12, tzinfo=dt.UTC))
    thread.join()
    assert (run.state, seen, len(world.books.records)) == ("success", [0], 1)


def test_a_strict_company_refuses_and_names_the_flows(world: World, load: ResolvedFlow) -> None:
    """Nothing waits: the run fails at once and says which flows are at work."""
    held(world, "CRAcct2QBCust", role="scheduled")
    run = world.run(with_company(load, strict=True), logical_date=dt.datetime(2026, 3, 9, 12, tzinfo=dt.UTC))
    assert run.state == "failed"
    assert "[iw.strict]" in world.row().error
    assert "acme.CRAcct2QBCust" in world.row().error
    assert [each.flow for each in world.ledger.turns("acme")] == ["CRAcct2QBCust"]


def test_a_strict_company_refuses_while_flows_are_switched_on(
    world: World, load: ResolvedFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is enough that a scheduled flow is switched on."""
    sensor = build_dag(with_company(load, strict=True)).get_task("ready")
    assert isinstance(sensor, ReadySensor)
    monkeypatch.setattr(ReadySensor, "switched_on", lambda _self, _context: ["acme.CRAcct2QBCust"])
    ti = Told()
    context: Any = {"ti": ti, "run_id": "r1", "dag_run": SimpleNamespace(triggering_user_name="ann")}
    with pytest.raises(Exception, match=r"switched on or at work: acme\.CRAcct2QBCust") as refused:
        sensor.take_turn(context)
    assert getattr(refused.value, "code", "") == "iw.strict"
    assert world.ledger.turns("acme") == []


def test_a_company_in_maintenance_is_left_alone(world: World, customers: ResolvedFlow) -> None:
    """A scheduled run is skipped and says who has begun the maintenance and why."""
    world.ledger.begin_maintenance("acme", "ann", "new year")
    assert_skipped(world, world.run(customers), "ann has begun a maintenance of acme at ", "(new year)")


@pytest.mark.feature("R6")
def test_no_run_starts_in_the_sleep_window(world: World, customers: ResolvedFlow) -> None:
    """A scheduled run that comes up in it is skipped and says until when its company sleeps."""
    zone = dt.UTC
    now = dt.datetime.now(zone)
    window = SleepWindow.model_validate(
        {"from": (now - dt.timedelta(hours=1)).time(), "to": (now + dt.timedelta(hours=1)).time()}
    )
    asleep = with_company(customers, sleep_window=window, time_zone="UTC")
    sensor = build_dag(asleep).get_task("ready")
    assert isinstance(sensor, ReadySensor)
    context: Any = {"ti": Told(), "run_id": "r1", "dag_run": SimpleNamespace(triggering_user_name="ann"), "params": {}}
    with pytest.raises(Exception, match="acme sleeps until"):
        sensor.take_turn(context)
    assert world.row().state == "skipped"
    loading = build_dag(asleep.model_copy(update={"kind": FlowKind.DR, "flow": LOAD})).get_task("ready")
    assert isinstance(loading, ReadySensor)
    with pytest.raises(AirflowRescheduleException) as later:
        loading.take_turn(context)
    assert abs(later.value.reschedule_date - (now + dt.timedelta(hours=1))) < dt.timedelta(seconds=5)


@pytest.mark.feature("R5")
@pytest.mark.usefixtures("fast")
def test_maintenance_in_the_middle_ends_the_page_and_loses_nothing(
    world: World, customers: ResolvedFlow, at: Callable[[str, Callable[[], None]], None]
) -> None:
    """The page is ended, the run is stopped, its turn is free, Query Starts stays; the next run brings the rest."""
    for number in range(3):
        world.crm.add(f"a{number}", f"Customer {number}")
    at("after_page", lambda: void(world.ledger.begin_maintenance("acme", "ann", "")))
    run = world.run(customers)
    assert run.state == "success"
    assert states(run) == {"ready": "success", "customers": "skipped", "report": "skipped"}
    row = world.row()
    assert (row.state, len(world.books.records)) == ("stopped", 1)
    assert row.error.startswith("ann has begun a maintenance of acme")
    assert world.ledger.turns("acme") == []
    assert world.ledger.query_starts("acme", customers.flow) is None
    world.ledger.end_maintenance("acme", "ann")
    assert world.run(customers).state == "success"
    assert len(world.books.records) == 3
    assert world.ledger.query_starts("acme", customers.flow) is not None


@pytest.mark.feature("R6")
@pytest.mark.usefixtures("fast")
def test_the_sleep_window_in_the_middle_ends_the_page(
    world: World,
    customers: ResolvedFlow,
    at: Callable[[str, Callable[[], None]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run that is at work when it begins ends its page and stops; the first run after it has the whole window."""
    for number in range(3):
        world.crm.add(f"a{number}", f"Customer {number}")
    night: list[dt.datetime] = []
    monkeypatch.setattr(turns, "sleeping", lambda _company, now: night[0] if night and now < night[0] else None)
    at("after_page", lambda: night.append(dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)))
    assert states(world.run(customers)) == {"ready": "success", "customers": "skipped", "report": "skipped"}
    assert (world.row().state, len(world.books.records)) == ("stopped", 1)
    assert world.row().error.startswith("acme sleeps until ")
    assert world.ledger.query_starts("acme", customers.flow) is None
    night.clear()
    assert world.run(customers).state == "success"
    assert (len(world.books.records), world.crm.windows[-1].since) == (3, None)


@pytest.mark.feature("R3", "R5")
@pytest.mark.usefixtures("fast")
def test_a_bulk_load_goes_on_after_a_maintenance(
    world: World, load: ResolvedFlow, at: Callable[[str, Callable[[], None]], None]
) -> None:
    """It ends its page, gives its slot and its turn back while the maintenance lasts, and then does the rest."""
    for number in range(3):
        world.crm.add(f"a{number}", f"Customer {number}")
    at("after_page", lambda: void(world.ledger.begin_maintenance("acme", "ann", "")))
    seen: list[tuple[int, int]] = []

    def stopped() -> bool:
        with world.ledger.engine.connect() as connection:
            noted = connection.scalar(sa.text("SELECT count(*) = 1 FROM iw_run WHERE state = 'stopped'"))
        return bool(noted) and not world.ledger.turns("acme")  # which it gives back after it has said so

    def over() -> None:
        seen.append((len(world.books.records), len(world.ledger.turns("acme"))))
        world.ledger.end_maintenance("acme", "ann")

    thread = when(stopped, over)
    run = world.run(load, logical_date=dt.datetime(2026, 3, 9, 12, tzinfo=dt.UTC))
    thread.join()
    assert (run.state, seen) == ("success", [(1, 0)])
    assert len(world.books.records) == 3
    assert world.row().state == "success"


@pytest.mark.feature("R5")
@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("bulk", [False, True])
def test_a_flow_that_is_switched_off_in_the_middle(
    world: World,
    customers: ResolvedFlow,
    load: ResolvedFlow,
    at: Callable[[str, Callable[[], None]], None],
    monkeypatch: pytest.MonkeyPatch,
    bulk: bool,
) -> None:
    """It ends its page. A scheduled run is then skipped; a bulk load fails without a retry and says how to go on."""
    monkeypatch.setattr(turns, "BY_HAND", "nobody")
    flow = load if bulk else customers
    for number in range(3):
        world.crm.add(f"a{number}", f"Customer {number}")
    dag = build_dag(flow)
    dag.is_paused_upon_creation = False
    at("after_page", lambda: pause(flow.dag_id))
    more = {"logical_date": dt.datetime(2026, 3, 9, 12, tzinfo=dt.UTC)} if bulk else {}
    pause(flow.dag_id, paused=False)
    run = world.test(dag, **more)
    row = world.row()
    assert (row.state, len(world.books.records)) == ("stopped", 1)
    assert f"{flow.dag_id} was switched off." in row.error
    if bulk:
        assert states(run) == {"ready": "success", "customers": "failed", "report": "failed"}
        assert {ti.task_id: ti.try_number for ti in run.get_task_instances()}["customers"] == 1
        assert f"start {flow.dag_id} and clear this task" in row.error
    else:
        assert states(run) == {"ready": "success", "customers": "skipped", "report": "skipped"}
    assert world.ledger.turns("acme") == []
    assert world.ledger.query_starts("acme", flow.flow) is None


@pytest.mark.feature("R7")
@pytest.mark.parametrize(
    ("policy", "call", "error", "stops"),
    [
        (StopScheduled.NEVER, "check", ConnectionFailure, ""),
        (StopScheduled.AFTER_CONNECTION_FAILURE, "check", ConnectionFailure, "could not connect to both systems"),
        (StopScheduled.AFTER_CONNECTION_FAILURE, "check", FixConfiguration, "could not connect to both systems"),
        (StopScheduled.AFTER_CONNECTION_FAILURE, "changes", StopFlow, ""),
        (StopScheduled.AFTER_ANY_ERROR, "changes", StopFlow, "A run of acme.CRAcct2QBCust has failed"),
        (StopScheduled.AFTER_ANY_ERROR, "", None, ""),
    ],
)
def test_a_failed_run_asks_for_the_scheduled_flows_to_be_stopped(
    world: World, customers: ResolvedFlow, policy: StopScheduled, call: str, error: type[InterWeaveError], stops: str
) -> None:
    """As the company's policy says; the word is left for the scheduler, and the ledger keeps why."""
    world.crm.errors[call] = [error("It does not work.") for _ in range(9)] if call else []
    run = world.run(with_company(customers, stop_scheduled=policy))
    assert run.state == ("failed" if call else "success")
    (report,) = [ti for ti in run.get_task_instances() if ti.task_id == "report"]
    asked = report.xcom_pull(task_ids="report", key=xcoms.PAUSE)
    assert report.xcom_pull(task_ids="report", key=xcoms.STATE) == run.state
    deeds = [(deed.by, deed.detail["why"]) for deed in world.ledger.deeds("acme")]
    if stops:
        assert (asked["all"], asked["dags"], stops in asked["why"]) == ("scheduled", [], True)
        assert deeds == [("InterWeave", asked["why"])]
    else:
        assert (asked, deeds) == (None, [])


@pytest.mark.feature("R7")
def test_what_a_person_has_mistyped_stops_nothing(world: World, make_flow: Flows) -> None:
    """A run for one record that nobody has is no reason to stop the scheduled flows."""
    flow = make_flow("CRAcct2QBCustNF", FlowKind.NF, mappings=("customers",))
    run = world.run(with_company(flow, stop_scheduled=StopScheduled.AFTER_ANY_ERROR), {"full_name": "Nobody"})
    assert run.state == "failed"
    assert world.ledger.deeds("acme") == []


def void(_: object) -> None:
    """Forget a result."""


@dataclass
class Told:
    """A task instance that knows which DAGs are switched off and how runs ended; `asked` counts the questions."""

    paused: dict[str, bool] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    broken: bool = False
    asked: int = 0
    pushed: dict[str, Any] = field(default_factory=dict)

    def _missing(self) -> AirflowRuntimeError:
        detail = {"status_code": 500 if self.broken else 404}
        return AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))

    def get_dag(self, dag_id: str) -> SimpleNamespace:
        """Return a DAG, or fail as Airflow does."""
        self.asked += 1
        if dag_id not in self.paused:
            raise self._missing()
        return SimpleNamespace(is_paused=self.paused[dag_id])

    def get_dagrun_state(self, dag_id: str, run_id: str) -> str:
        """Return how a run stands."""
        del dag_id
        if run_id not in self.ended:
            raise self._missing()
        return self.ended[run_id]

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep it."""
        self.pushed[key] = value


def keeper(world: World, flow: ResolvedFlow, ti: Told, by: str = "ann", every: float = 10) -> Keeper:
    """Return a keeper of a run `r1`."""
    context: Any = {"ti": ti, "run_id": "r1", "dag_run": SimpleNamespace(triggering_user_name=by)}
    return Keeper(world.ledger, flow, context, every)


@pytest.mark.feature("R5")
def test_a_working_task_sees_that_its_flow_was_switched_off(world: World, customers: ResolvedFlow) -> None:
    """Not for a run of `airflow dags test`, and not when Airflow does not answer; a DAG that is gone counts as off."""
    on, off = {customers.dag_id: False}, {customers.dag_id: True}
    assert keeper(world, customers, Told(on)).go_on() == ""
    stopped = keeper(world, customers, Told(off))
    assert stopped.go_on() == "acme.CRAcct2QBCust was switched off."
    assert stopped.cause == "paused"
    assert keeper(world, customers, Told(off), by="dag_test").go_on() == ""
    assert keeper(world, customers, Told(broken=True)).go_on() == ""
    assert keeper(world, customers, Told()).go_on() != ""


def test_it_does_not_look_after_every_small_page(world: World, customers: ResolvedFlow) -> None:
    """A hundred pages in a moment ask Airflow once."""
    ti = Told({customers.dag_id: False})
    kept = keeper(world, customers, ti)
    assert not any(kept.go_on() for _ in range(100))
    assert ti.asked == 1


def test_the_turn_is_kept_alive_while_the_task_works(world: World, customers: ResolvedFlow) -> None:
    """Signs of life are given without the task's doing; a turn that somebody took is noticed and stops the task."""
    world.ledger.take_turn("acme", customers.flow, "r1", "scheduled")
    kept = keeper(world, customers, Told({customers.dag_id: False}), every=0.05)
    with kept.keep():
        (before,) = world.ledger.turns("acme")
        deadline = time.monotonic() + 10
        while world.ledger.turns("acme")[0].seen_at == before.seen_at:
            assert time.monotonic() < deadline
        assert kept.go_on() == ""
        with world.ledger.engine.begin() as connection:
            connection.execute(sa.delete(turn_table))
        while not kept.lost:
            assert time.monotonic() < deadline
        with pytest.raises(RetryLater) as lost:
            kept.go_on()
        assert lost.value.code == "iw.turn_lost"
    assert not any(thread.name == "turn" for thread in threading.enumerate())


def test_a_task_whose_turn_another_has_gives_its_slot_back(world: World, customers: ResolvedFlow) -> None:
    """After a pause between two tasks a load may be at work: the task comes again later instead of holding a slot."""
    task = build_dag(customers).get_task("customers")
    assert isinstance(task, SyncOperator)
    kept = keeper(world, customers, Told({customers.dag_id: False}))
    held(world)
    with pytest.raises(AirflowRescheduleException):
        task.take_turn(world.ledger, kept)
    world.ledger.give_turn_back("acme", LOAD, "other")
    task.take_turn(world.ledger, keeper(world, customers, Told({customers.dag_id: False})))
    assert [each.flow for each in world.ledger.turns("acme")] == [customers.flow]


def test_who_waits_in_vain_is_sent_away(world: World) -> None:
    """A run that has ended or was deleted, and one whose flow is switched off, keep nobody out; others stay."""
    held(world, "WorksDR", "w")
    for flow in ("EndedDR", "DeletedDR", "OffDR", "FineDR"):
        assert world.ledger.take_turn("acme", flow, flow, "utility").state == "waiting"
    ti = Told(
        paused={"acme.EndedDR": False, "acme.OffDR": True, "acme.FineDR": False, "acme.DeletedDR": False},
        ended={"EndedDR": "failed", "OffDR": "running", "FineDR": "running"},
    )
    assert drop_gone(world.ledger, "acme", world.ledger.turns("acme"), ti)
    assert [each.flow for each in world.ledger.turns("acme")] == ["WorksDR", "FineDR"]
    assert not drop_gone(world.ledger, "acme", world.ledger.turns("acme"), Told(broken=True))
    assert len(world.ledger.turns("acme")) == 2
