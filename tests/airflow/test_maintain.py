"""The tasks of a company's maintenance, and what a strict company's `ready` asks: what else of the company is on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from iw_operators import xcoms
from iw_operators.dag import build_dag
from iw_operators.errors import FixConfiguration
from iw_operators.listener import BEGIN, PAUSED
from iw_operators.maintenance import check_connections
from iw_operators.maintenance_dags import build_maintenance
from iw_operators.operators import runtime
from iw_operators.operators.maintain import ALONE, SafeSensor
from iw_operators.sensors.ready import ReadySensor
from iw_operators.spec.models import FlowKind
from iw_operators.spec.resolved import ResolvedFlow
from tests.airflow.test_dag_files import COMPANY, CUSTOMERS, ITEMS
from tests.airflow.test_turns import Told

if TYPE_CHECKING:
    from tests.airflow.conftest import World

Flows = Callable[..., ResolvedFlow]

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R5"), pytest.mark.usefixtures("metadata")]

FLOWS = "flows:\n  CRAcct2QBCust: {mappings: [customers]}\n  CRAcct2QBCustDR: {mappings: [customers]}\n"


@pytest.fixture
def specs(world: World, tmp_path: Path) -> None:
    """The specs of acme, with a scheduled flow and a load, where the tasks look for them."""
    assert world.ledger
    folder = tmp_path / "mappings" / "acme"
    folder.mkdir()
    texts = {"company": COMPANY.format(company="acme"), "customers": CUSTOMERS, "items": ITEMS, "flows": FLOWS}
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)


@dataclass
class Counting(Told):
    """A task instance that knows how many tasks of a DAG are at work."""

    at_work: dict[str, int] = field(default_factory=dict)
    said: dict[tuple[str, str], Any] = field(default_factory=dict)

    def xcom_pull(self, *, task_ids: str, key: str = "return_value") -> Any:
        """Return what a task of the run has left."""
        return self.said.get((task_ids, key))

    def get_ti_count(self, dag_id: str, states: list[str]) -> int:
        """Return it."""
        assert set(states) == {"running", "queued", "restarting"}
        return self.at_work.get(dag_id, 0)


@dataclass
class Run:
    """A run of the maintenance of acme, as `ann` has triggered it; `paused` were switched on when it began."""

    dag: Any
    paused: tuple[str, ...] = ("acme.A",)
    run_id: str = "manual__1"
    ti: Counting = field(default_factory=Counting)

    @property
    def context(self) -> Any:
        """What its tasks are given."""
        run = SimpleNamespace(conf={PAUSED: list(self.paused)}, triggering_user_name="ann")
        dag = SimpleNamespace(fileloc="interweave.py")
        return {"ti": self.ti, "params": {"why": ""}, "dag_run": run, "dag": dag, "run_id": self.run_id}

    def does(self, task: str) -> Any:
        """Let a task do its work, and keep what it has left."""
        self.ti.pushed = {}
        result = self.dag.get_task(task).execute(self.context)
        self.ti.said |= {(task, key): value for key, value in self.ti.pushed.items()}
        self.ti.said[task, "return_value"] = result
        return result

    def answered(self, by: str) -> None:
        """Let somebody answer that the work is done."""
        event = {
            "chosen_options": ["The maintenance is over"],
            "params_input": {},
            "responded_at": dt.datetime(2026, 3, 8, tzinfo=dt.UTC),
            "responded_by_user": {"id": by, "name": by},
        }
        self.ti.pushed = {}
        self.dag.get_task(ALONE).execute_complete(self.context, event)
        self.ti.said |= {(ALONE, key): value for key, value in self.ti.pushed.items()}

    def safe(self, **at_work: int) -> bool:
        """Let the sensor look once, while so many tasks of flows are at work."""
        self.ti.at_work = {f"acme.{flow}": number for flow, number in at_work.items()}
        sensor = self.dag.get_task("safe")
        assert isinstance(sensor, SafeSensor)
        return sensor.poke(self.context)


@pytest.fixture
def run(world: World, make_flow: Flows, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of the maintenance that has begun; both systems answer."""
    systems = {"acme_crm": world.crm, "acme_books": world.books}
    monkeypatch.setattr(runtime, "open_system", lambda _, conn_id, __: systems[conn_id])
    made = Run(build_maintenance(make_flow().company))
    made.does(BEGIN)
    return made


@pytest.mark.usefixtures("specs")
def test_it_is_safe_when_no_task_works_and_no_turn_is_held(world: World, run: Run) -> None:
    """A task in Airflow and a turn that is alive count; a run that waits does not; without a maintenance it ends."""
    assert not run.safe(CRAcct2QBCustDR=1)
    world.ledger.take_turn("acme", "CRAcct2QBCustDR", "r1", "utility")
    world.ledger.take_turn("acme", "CRAcct2QBCustDR", "r2", "utility")
    assert not run.safe()
    world.ledger.give_turn_back("acme", "CRAcct2QBCustDR", "r1")
    assert run.safe()
    world.ledger.end_maintenance("acme", "bob")
    assert run.safe(CRAcct2QBCust=1)  # ended from elsewhere


@pytest.mark.usefixtures("specs")
def test_a_flow_that_the_specs_do_not_know_counts(world: World, run: Run) -> None:
    """One that was switched on when the maintenance began, and one that has or waits for a turn."""
    assert not run.safe(A=1)
    world.ledger.take_turn("acme", "Old", "r1", "utility")
    world.ledger.take_turn("acme", "Old", "r2", "utility")
    world.ledger.give_turn_back("acme", "Old", "r1")
    assert not run.safe(Old=1)
    assert run.safe()


def test_with_specs_that_cannot_be_read_it_is_not_said_to_be_safe(run: Run) -> None:
    """Flows may be at work that are known to nobody there; the log says so."""
    with capture_logs() as logs:
        assert not run.safe()
    (said,) = (each["answer"] for each in logs if "answer" in each)
    assert said.startswith("not safe yet: the specs have errors")


class TestAnotherOne:
    """A maintenance that was ended elsewhere, and another one begun, while a run waits for its answer."""

    @pytest.fixture(autouse=True)
    def another(self, world: World, run: Run) -> None:
        """Bob ends it on the page; days later cyd begins a new one."""
        world.ledger.end_maintenance("acme", "bob")
        world.ledger.begin_maintenance("acme", "cyd", "company file in single-user mode", ["acme.B"])
        run.ti.pushed = {}

    def test_it_is_not_ended_by_the_answer_to_the_old_one(self, world: World, run: Run) -> None:
        """Nothing is started while somebody works alone."""
        run.answered("ann")
        assert run.does("end") == {"flows": []}
        assert xcoms.UNPAUSE not in run.ti.pushed
        found = world.ledger.maintenance("acme")
        assert found is not None
        assert (found.by, found.flows) == ("cyd", ("acme.B",))

    def test_the_old_run_waits_for_nothing_more(self, run: Run) -> None:
        """Neither for tasks that are at work, nor for an answer."""
        assert run.safe(A=1)
        assert run.does(ALONE) is None


def test_the_end_names_who_has_answered(world: World, run: Run) -> None:
    """Not who has triggered the run."""
    run.answered("dora")
    assert run.does("end") == {"flows": ["acme.A"]}
    assert run.ti.pushed[xcoms.UNPAUSE]["dags"] == ["acme.A"]
    assert [(deed.by, deed.what) for deed in world.ledger.deeds("acme")] == [
        ("dora", "ended maintenance"),
        ("ann", "began maintenance"),
    ]


def test_a_task_that_was_killed_after_the_end_has_the_flows_started_again(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Done again it asks for the same flows; another run, and one whose maintenance somebody else has ended, do not."""

    def killed(**_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(run.ti, "xcom_push", killed)
        with pytest.raises(KeyboardInterrupt):
            run.does("end")
    assert world.ledger.maintenance("acme") is None
    other = Run(run.dag, run_id="manual__2", ti=Counting(said=dict(run.ti.said)))
    assert other.does("end") == {"flows": []}
    assert run.does("end") == {"flows": ["acme.A"]}
    assert run.ti.pushed[xcoms.UNPAUSE]["dags"] == ["acme.A"]
    assert [deed.what for deed in world.ledger.deeds("acme")].count("ended maintenance") == 1


@pytest.mark.usefixtures("specs")
@pytest.mark.parametrize("wrong", [False, True])
def test_the_check_at_the_end_leaves_nothing_connected(
    world: World, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    """Both systems are let go of, where one refuses as well: whoever works alone in it may go on."""
    systems = {"acme_crm": world.crm, "acme_books": world.books}
    monkeypatch.setattr(runtime, "open_system", lambda _, conn_id, __: systems[conn_id])
    caught = []
    if wrong:
        world.books.errors["check"] = [FixConfiguration("It is another company.")]
    try:
        check_connections(world.ledger, "acme")
    except FixConfiguration as error:
        caught.append(error)  # what has raised is alive with it
    assert len(caught) == wrong
    assert (world.crm.connected, world.books.connected) == (False, False)


@pytest.mark.feature("R4")
@pytest.mark.usefixtures("specs")
def test_what_is_switched_on_in_a_strict_company(make_flow: Flows) -> None:
    """The flows that run by themselves, as the specs name them, and that Airflow says are switched on."""
    sensor = build_dag(make_flow("CRAcct2QBCustDR", FlowKind.DR)).get_task("ready")
    assert isinstance(sensor, ReadySensor)
    for paused, expected in ((False, ["acme.CRAcct2QBCust"]), (True, [])):
        ti = Told(paused={"acme.CRAcct2QBCust": paused, "acme.CRAcct2QBCustDR": False})
        context: Any = {"ti": ti, "dag": SimpleNamespace(fileloc="interweave.py")}
        assert sensor.switched_on(context) == expected
