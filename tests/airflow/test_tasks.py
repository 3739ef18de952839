"""Whole runs of a flow's tasks in Airflow's own task runner, with the real ledger between two systems in memory."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from airflow.models.dagrun import DagRun
from airflow.sdk.api.datamodels._generated import DagRunType

from iw_operators.dag import build_dag
from iw_operators.engine.model import Record
from iw_operators.errors import ConnectionFailure, FixConfiguration, StopFlow
from iw_operators.ledger.tables import run as run_table
from iw_operators.operators.sync import SyncOperator
from iw_operators.operators.turn import Keeper
from iw_operators.sensors.ready import ReadySensor
from iw_operators.spec.models import FlowKind
from iw_operators.spec.resolved import ResolvedFlow
from iw_operators.systems.base import View, Window

if TYPE_CHECKING:
    from tests.airflow.conftest import World

Flows = Callable[..., ResolvedFlow]
NOW = dt.datetime(2026, 3, 8, 12, 0, tzinfo=dt.UTC)

pytestmark = [
    pytest.mark.ledger,
    pytest.mark.usefixtures("metadata"),
    pytest.mark.filterwarnings("ignore"),  # of the API server that Airflow runs inside this process
    pytest.mark.filterwarnings(r"error:::iw_operators\..*"),
]


def states(run: DagRun) -> dict[str, str | None]:
    """Return the state of each task."""
    return {ti.task_id: ti.state for ti in run.get_task_instances()}


@pytest.fixture
def customers(make_flow: Flows) -> ResolvedFlow:
    """A scheduled flow with one mapping."""
    return make_flow(mappings=("customers",))


@pytest.mark.feature("R1", "R2")
def test_a_scheduled_run_syncs_reports_and_moves_query_starts(world: World, customers: ResolvedFlow) -> None:
    """A good run brings the records over, ends as a success in the ledger, and moves Query Starts to its end."""
    world.crm.add("a1", "Ångström")
    world.crm.add("a2", "Borealis")
    run = world.run(customers)
    assert states(run) == dict.fromkeys(("ready", "customers", "report"), "success")
    assert sorted(str(r.values["name"]) for r in world.books.records.values()) == ["Borealis", "Ångström"]
    assert world.row().state == "success"
    assert world.ledger.query_starts("acme", customers.flow) == NOW
    assert [(w.since, w.until) for w in world.crm.windows] == [(None, NOW)]


@pytest.mark.feature("R2")
def test_the_next_run_reads_from_query_starts_less_the_overlap(world: World, customers: ResolvedFlow) -> None:
    """A second run looks again at the company's overlap, and writes nothing that is there already."""
    world.crm.add("a1", "Ångström")
    world.run(customers)
    world.run(customers)
    assert world.crm.windows[1] == Window(NOW - dt.timedelta(seconds=60), NOW)
    assert len(world.books.records) == 1


@pytest.mark.feature("R5", "R15")
def test_a_task_is_connected_to_nothing_when_it_has_ended(world: World, customers: ResolvedFlow) -> None:
    """What it has opened it lets go, though its exception is still there; so a maintenance is safe when it says so."""
    from iw_operators.operators.runtime import ledger_of_run, open_side

    caught = []
    try:
        with ledger_of_run("acme") as ledger:
            systems = [open_side(customers.company, side, ledger) for side in ("crm", "books")]
            world.books.errors["check"] = [ConnectionFailure("Gone.", sent=False)]
            for system in systems:
                system.check()
    except ConnectionFailure as error:
        assert (world.crm.connected, world.books.connected) == (False, False)
        caught.append(error)
    assert len(caught) == 1


@pytest.mark.feature("R2", "R15")
def test_a_failed_mapping_fails_the_run_and_keeps_query_starts(world: World, make_flow: Flows) -> None:
    """What stops a mapping is in the ledger's row of the run, the mappings after it wait, Query Starts stays."""
    flow = make_flow(mappings=("customers", "invoices"))
    world.crm.errors["changes"] = [StopFlow("The balance is off.", code="iw.balance", advice="Look at the log.")]
    run = world.run(flow)
    assert run.state == "failed"
    assert states(run) == {
        "ready": "success",
        "customers": "failed",
        "invoices": "upstream_failed",
        "report": "failed",
    }
    row = world.row()
    assert row.state == "failed"
    assert "customers: StopFlow: [iw.balance] The balance is off. Look at the log." in row.error
    assert "Not done: invoices." in row.error
    assert world.ledger.query_starts("acme", flow.flow) is None


@pytest.mark.feature("R15")
def test_a_connection_failure_is_retried_until_it_works(world: World, customers: ResolvedFlow) -> None:
    """A system that is away for a moment costs a retry and nothing else."""
    world.crm.add("a1", "Ångström")
    world.books.errors["check"] = [ConnectionFailure("Nobody answers at books.example.")]
    world.crm.errors["changes"] = [ConnectionFailure("The connection was lost.")]
    run = world.run(customers)
    assert run.state == "success"
    assert {ti.task_id: ti.try_number for ti in run.get_task_instances()} == {"ready": 2, "customers": 2, "report": 1}
    assert len(world.books.records) == 1


@pytest.mark.feature("R15")
def test_a_connection_failure_that_stays_is_the_failure_of_ready(world: World, customers: ResolvedFlow) -> None:
    """When a system stays away, `ready` fails after its retries and the ledger says why."""
    world.books.errors["check"] = [ConnectionFailure("Nobody answers at books.example.") for _ in range(9)]
    run = world.run(customers)
    assert states(run) == {"ready": "failed", "customers": "upstream_failed", "report": "failed"}
    assert "ready: ConnectionFailure: Nobody answers at books.example." in world.row().error
    assert world.row().state == "failed"


@pytest.mark.feature("R15")
def test_a_wrong_password_is_not_retried(world: World, customers: ResolvedFlow) -> None:
    """What a person has to correct fails at the first try."""
    world.crm.errors["check"] = [FixConfiguration("The password was refused.", code="401") for _ in range(3)]
    run = world.run(customers)
    assert {ti.task_id: ti.try_number for ti in run.get_task_instances()}["ready"] == 1
    assert "[401] The password was refused." in world.row().error


def test_a_missing_ledger_is_said_clearly(
    world: World, customers: ResolvedFlow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the ledger's connection nothing is read or written, and the log names the connection to make."""
    monkeypatch.delenv("AIRFLOW_CONN_IW_LEDGER")
    run = world.run(customers)
    assert run.state == "failed"
    assert not world.crm.windows
    assert "Airflow has no connection 'iw_ledger'" in capsys.readouterr().out


@pytest.mark.feature("R2")
def test_a_task_marked_by_hand_moves_nothing(world: World, customers: ResolvedFlow) -> None:
    """A mapping that was set to success without being done does not count as done."""
    run = world.run(customers, mark_success_pattern="customers")
    assert states(run)["customers"] == "success"
    assert states(run)["report"] == "failed"
    assert "Marked as a success without being done: customers." in world.row().error
    assert world.ledger.query_starts("acme", customers.flow) is None


@pytest.mark.feature("R1")
def test_one_record_by_its_name(world: World, make_flow: Flows) -> None:
    """A flow for one record reads that record alone, whatever its characters, and leaves Query Starts alone."""
    flow = make_flow("CRAcct2QBCustNF", FlowKind.NF, mappings=("customers",))
    world.crm.add("a1", 'Łódź & Söhne: "GmbH" 🚚')
    world.crm.add("a2", "Borealis")
    run = world.run(flow, {"full_name": ' Łódź & Söhne: "GmbH" 🚚 '})
    assert run.state == "success"
    assert [r.values["name"] for r in world.books.records.values()] == ['Łódź & Söhne: "GmbH" 🚚']
    assert not world.crm.windows
    assert world.ledger.query_starts("acme", flow.flow) is None


@pytest.mark.feature("R1")
def test_a_name_that_nobody_has(world: World, make_flow: Flows) -> None:
    """A name without a record fails the run and says what to look at."""
    flow = make_flow("CRAcct2QBCustNF", FlowKind.NF, mappings=("customers",))
    run = world.run(flow, {"full_name": "Nobody"})
    assert run.state == "failed"
    assert "FixRecord: [iw.not_found]" in world.row().error


@pytest.mark.feature("R3")
def test_a_date_range_reads_its_own_window(world: World, make_flow: Flows) -> None:
    """A run of a date range reads its data interval and leaves Query Starts alone."""
    flow = make_flow("CRAcct2QBCustDR", FlowKind.DR, mappings=("customers",), batch_size=1)
    world.crm.add("a1", "Ångström")
    world.crm.add("a2", "Borealis")
    run = world.run(flow, logical_date=dt.datetime(2026, 3, 9, 12, tzinfo=dt.UTC))
    assert run.state == "success"
    assert world.crm.windows == [
        Window(
            dt.datetime.fromisoformat("2026-03-08T00:00:00-05:00"),
            dt.datetime.fromisoformat("2026-03-09T00:00:00-04:00"),
        )
    ]
    assert world.ledger.query_starts("acme", flow.flow) is None
    assert len(world.books.records) == 2


@pytest.mark.feature("R3")
def test_a_date_range_without_dates_is_refused(world: World, make_flow: Flows) -> None:
    """A run without a data interval says how to give one."""
    flow = make_flow("CRAcct2QBCustDR", FlowKind.DR, mappings=("customers",))
    run = world.run(flow, logical_date=None)
    assert run.state == "failed"
    assert "This run has no date range." in world.row().error
    assert not world.crm.windows


@pytest.mark.feature("R1", "R3")
def test_one_run_has_the_dates_of_its_form(world: World, make_flow: Flows) -> None:
    """A range that is filled in counts instead of the run's own dates, in the company's time zone."""
    flow = make_flow("CRAcct2QBCustDRS", FlowKind.DRS, mappings=("customers",))
    world.crm.add("a1", "Ångström")
    form = {"start": "2026-02-01T08:00", "end": "2026-02-03", "batch_size": 30}
    run = world.run(flow, form, logical_date=dt.datetime(2026, 3, 8, 12, tzinfo=dt.UTC))
    assert run.state == "success"
    since, until = dt.datetime(2026, 2, 1, 13, tzinfo=dt.UTC), dt.datetime(2026, 2, 4, 5, tzinfo=dt.UTC)
    assert world.crm.windows == [Window(since, until)]
    assert (world.row().since, world.row().until) == (since, until)


@pytest.mark.feature("R3")
def test_dates_that_cannot_be_end_the_run_without_a_retry(world: World, make_flow: Flows) -> None:
    """A wrong date is told in the ledger with what to do, and nothing is read."""
    flow = make_flow("CRAcct2QBCustDRS", FlowKind.DRS, mappings=("customers",))
    run = world.run(flow, {"start": "2026-02-03", "end": "2026-02-01"})
    assert run.state == "failed"
    assert "[iw.window] The window ends at" in world.row().error
    assert {ti.task_id: ti.try_number for ti in run.get_task_instances()}["ready"] == 1
    assert not world.crm.windows


@pytest.mark.feature("R3")
@pytest.mark.parametrize("kind", [FlowKind.DR, FlowKind.F])
def test_a_backfill_takes_no_dates_from_its_form(world: World, make_flow: Flows, kind: FlowKind) -> None:
    """Dates in a backfill's conf would be those of every run of it: they are refused."""
    sensor = build_dag(make_flow(f"CRAcct2QBCust{kind.value}", kind)).get_task("ready")
    assert isinstance(sensor, ReadySensor)
    context: Any = {
        "params": {"start": "2026-02-01"},
        "dag_run": SimpleNamespace(run_type=DagRunType("backfill")),
        "data_interval_start": NOW - dt.timedelta(days=1),
        "data_interval_end": NOW,
    }
    with pytest.raises(FixConfiguration, match="A backfill gives each of its runs its own dates"):
        sensor.window(world.ledger, world.crm, 1, context)


@pytest.mark.feature("R1")
@pytest.mark.parametrize("kind", [FlowKind.N, FlowKind.F])
def test_a_load_of_everything_reads_everything(world: World, make_flow: Flows, kind: FlowKind) -> None:
    """N and F have no beginning, end when they began, and leave Query Starts alone; a run's own dates limit nothing."""
    flow = make_flow(f"CRAcct2QBCust{kind.value}", kind, mappings=("customers",))
    world.crm.add("a1", "Ångström")
    assert world.run(flow, logical_date=dt.datetime(2026, 3, 9, 12, tzinfo=dt.UTC)).state == "success"
    (window,) = world.crm.windows
    assert (window.since, window.until) == (None, NOW + dt.timedelta(seconds=1))
    assert [r.values["name"] for r in world.books.records.values()] == ["Ångström"]
    assert world.ledger.query_starts("acme", flow.flow) is None


@pytest.mark.feature("R1")
def test_several_records_go_by_their_names(world: World, make_flow: Flows) -> None:
    """NFS brings over the records of a list and nothing else."""
    flow = make_flow("CRAcct2QBCustNFS", FlowKind.NFS, mappings=("customers",))
    for number in range(4):
        world.crm.add(f"a{number}", f"Account {number}")
    run = world.run(flow, {"names": "Account 1\nAccount 3\n", "ids": ["a2"]})
    assert run.state == "success"
    assert sorted(str(r.values["name"]) for r in world.books.records.values()) == [f"Account {n}" for n in (1, 2, 3)]
    assert not world.crm.windows


@pytest.mark.feature("R1")
def test_a_list_without_names_is_refused(world: World, make_flow: Flows) -> None:
    """NFS without a name or id ends at once."""
    run = world.run(make_flow("CRAcct2QBCustNFS", FlowKind.NFS, mappings=("customers",)), {})
    assert run.state == "failed"
    assert "[iw.no_names]" in world.row().error


@pytest.mark.feature("R13")
def test_a_run_keeps_what_it_began_with(world: World, make_flow: Flows, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch size that is changed while a run goes on is taken up by the next one: `ready` has fixed it."""
    flow = make_flow("CRAcct2QBCustF", FlowKind.F, mappings=("customers",), batch_size=2)
    for number in range(5):
        world.crm.add(f"a{number}", f"Account {number}")
    sizes: list[int] = []
    usual = world.crm.changes

    def noted(view: View, window: Window, page_size: int) -> Iterator[Sequence[Record]]:
        sizes.append(page_size)
        return usual(view, window, page_size)

    monkeypatch.setattr(world.crm, "changes", noted)
    dag = build_dag(flow)
    task = dag.get_task("customers")
    assert isinstance(task, SyncOperator)
    task.flow = make_flow("CRAcct2QBCustF", FlowKind.F, mappings=("customers",), batch_size=900)
    assert world.test(dag).state == "success"
    assert sizes == [2]


@pytest.mark.feature("R1", "R6")
def test_a_flow_stops_itself_after_as_many_runs_as_it_is_to_complete(world: World, make_flow: Flows) -> None:
    """The last run asks, when it is done, for its flow to be switched off; failed runs do not count."""
    flow = make_flow(mappings=("customers",), executions=2)

    def asked(run: DagRun) -> object:
        report = next(ti for ti in run.get_task_instances() if ti.task_id == "report")
        return report.xcom_pull(task_ids="report", key="iw_pause")

    assert asked(world.run(flow)) is None
    world.crm.errors["changes"] = [StopFlow("no")]
    assert asked(world.run(flow)) is None
    last = asked(world.run(flow))
    assert last == {"dags": ["acme.CRAcct2QBCust"], "why": "acme.CRAcct2QBCust has completed 2 of 2 runs."}
    assert world.ledger.run_count("acme", flow.flow).completed == 2
    assert asked(world.run(flow)) is None
    assert world.ledger.run_count("acme", flow.flow).completed == 1


def test_a_retry_gets_the_window_of_the_first_try(
    world: World, customers: ResolvedFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time that passes between two tries does not change what the run is about."""
    moments = iter([NOW, NOW + dt.timedelta(hours=1)])
    monkeypatch.setattr(world.crm, "now", lambda: next(moments, NOW))
    world.crm.errors["changes"] = [ConnectionFailure("The connection was lost.")]
    world.run(customers)
    assert world.crm.windows == [Window(None, NOW)]


def test_the_log_names_no_customer(world: World, customers: ResolvedFlow, capsys: pytest.CaptureFixture[str]) -> None:
    """At INFO the tasks' logs have counts and no names."""
    world.crm.add("a1", "Secret Customer Ltd")
    assert world.run(customers).state == "success"
    out = capsys.readouterr().out
    assert "run done" in out
    assert "created=1" in out
    assert "Secret Customer" not in out


@dataclass
class Earlier:
    """A task instance whose DAG has an earlier run, or none; `asked` is in which state it was looked for."""

    run_id: str | None
    asked: list[str | None] = field(default_factory=list)

    def get_previous_dagrun(self, state: str | None = None) -> Earlier | None:
        """Return the earlier run."""
        self.asked.append(state)
        return self if self.run_id else None

    def xcom_push(self, key: str, value: object) -> None:
        """Nobody asks for it."""


def backfill_run(ti: Earlier, run_id: str = "backfill__later") -> Any:
    """Return what a task of a backfill's run knows: the window of a day that has ended."""
    return {
        "ti": ti,
        "run_id": run_id,
        "params": {},
        "dag_run": SimpleNamespace(run_type=DagRunType("backfill"), triggering_user_name=None),
        "data_interval_start": NOW - dt.timedelta(days=2),
        "data_interval_end": NOW - dt.timedelta(days=1),
    }


@pytest.mark.feature("R3")
@pytest.mark.parametrize("kind", [FlowKind.DR, FlowKind.DRS, FlowKind.F])
def test_windows_go_in_order(world: World, make_flow: Flows, kind: FlowKind) -> None:
    """While an earlier window of the flow runs, a later one waits and touches nothing."""
    sensor = build_dag(make_flow(f"CRAcct2QBCust{kind.value}", kind)).get_task("ready")
    assert isinstance(sensor, ReadySensor)
    ti = Earlier("backfill__earlier")
    assert not sensor.poke(backfill_run(ti))
    assert ti.asked == ["running"]
    assert (sensor.mode, sensor.poke_interval) == ("reschedule", 10)
    with world.ledger.engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(run_table)) == 0


@pytest.mark.feature("R3", "R4")
def test_windows_of_the_whole_history_are_one_load_at_a_time(
    world: World, make_flow: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backfill's run of F waits for another one at work, then takes its turn and fixes its own window, not all."""
    flow = make_flow("CRAcct2QBCustF", FlowKind.F, mappings=("customers",))
    sensor = build_dag(flow).get_task("ready")
    assert isinstance(sensor, ReadySensor)
    later = backfill_run(Earlier(None))
    monkeypatch.setattr(Keeper, "keep", lambda _: contextlib.nullcontext())
    assert world.ledger.take_turn("acme", flow.flow, "backfill__earlier", "utility").taken
    assert not sensor.poke(later)
    assert [(each.dag_run_id, each.state) for each in world.ledger.turns("acme")] == [
        ("backfill__earlier", "working"),
        ("backfill__later", "waiting"),
    ]
    world.ledger.give_turn_back("acme", flow.flow, "backfill__earlier")
    assert sensor.poke(later)
    row = world.row()
    assert (row.dag_run_id, row.since, row.until) == (
        "backfill__later",
        later["data_interval_start"],
        later["data_interval_end"],
    )
    assert [each.dag_run_id for each in world.ledger.turns("acme")] == ["backfill__later"]
