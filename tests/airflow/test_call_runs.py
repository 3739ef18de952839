"""The run that is made for a call, in Airflow's own database: one at a time, and none of a flow that is off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from iw_operators.calls.waking import trigger_run
from iw_operators.dag import build_dag
from iw_operators.ledger.inbox import Item
from iw_operators.spec.models import FlowKind
from iw_operators.spec.resolved import ResolvedFlow

if TYPE_CHECKING:
    from tests.airflow.conftest import World

Flows = Callable[..., ResolvedFlow]
DAG_ID = "acme.CRAcct2QBCustQ"

pytestmark = [
    pytest.mark.feature("R12"),
    pytest.mark.usefixtures("metadata"),
    pytest.mark.filterwarnings("ignore"),  # of Airflow's own database layer
    pytest.mark.filterwarnings(r"error:::iw_operators\..*"),
]


@pytest.fixture
def called(make_flow: Flows) -> Iterator[ResolvedFlow]:
    """A flow of the kind Q as Airflow's database knows it, without runs, switched on."""
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    flow = make_flow("CRAcct2QBCustQ", FlowKind.Q, mappings=("customers",))
    with create_session() as session:
        if session.get(DagBundleModel, "dags-folder") is None:
            session.add(DagBundleModel(name="dags-folder"))
    bag = DagBag("/dev/null", collect_dags=False, bundle_name="dags-folder")
    bag.bag_dag(build_dag(flow))
    sync_bag_to_db(bag, "dags-folder", None)
    with create_session() as session:
        model = session.get(DagModel, DAG_ID)
        assert model is not None
        model.is_paused = False
    yield flow
    _forget_runs()


def _forget_runs() -> None:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    with create_session() as session:
        session.execute(delete(DagRun).where(DagRun.dag_id == DAG_ID))


def _set(run_state: str, task_state: str | None) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import update

    with create_session() as session:
        session.execute(update(DagRun).where(DagRun.dag_id == DAG_ID).values(state=run_state))
        tasks = update(TaskInstance).where(TaskInstance.dag_id == DAG_ID, TaskInstance.task_id == "customers")
        session.execute(tasks.values(state=task_state))


def _runs() -> list[tuple[str, str]]:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        rows = session.execute(select(DagRun.run_id, DagRun.state).where(DagRun.dag_id == DAG_ID)).all()
        return [(run_id, str(getattr(state, "value", state))) for run_id, state in rows]


def test_one_run_is_to_come_and_no_more(called: ResolvedFlow) -> None:
    """The first call makes a run; while it is queued, or has not got to its task yet, further calls make none."""
    assert trigger_run(DAG_ID, {"customers"}) == "triggered"
    ((run_id, state),) = _runs()
    assert run_id.startswith("call__")
    assert state == "queued"
    assert trigger_run(DAG_ID, {"customers"}) == "to come"
    _set("running", None)
    assert trigger_run(DAG_ID, {"customers"}) == "to come"
    _set("running", "up_for_retry")
    assert trigger_run(DAG_ID, {"customers"}) == "to come"
    assert len(_runs()) == 1


@pytest.mark.parametrize("state", ["running", "success", "failed"])
def test_a_run_that_has_taken_its_calls_up_is_followed_by_another(called: ResolvedFlow, state: str) -> None:
    """What comes after a task has begun is not in it, so another run is made; it waits for the first."""
    trigger_run(DAG_ID, {"customers"})
    _set("running", state)
    assert trigger_run(DAG_ID, {"customers"}) == "triggered"
    assert trigger_run(DAG_ID, {"customers"}) == "to come"
    assert len(_runs()) == 2


def test_a_flow_that_is_switched_off_gets_no_run(called: ResolvedFlow) -> None:
    """Calls stay in the ledger then; a flow that Airflow does not know is no error either."""
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    with create_session() as session:
        model = session.get(DagModel, DAG_ID)
        assert model is not None
        model.is_paused = True
    assert trigger_run(DAG_ID, {"customers"}) == "paused"
    assert trigger_run("acme.Nowhere", {"customers"}) == "absent"
    assert _runs() == []


@pytest.mark.ledger
def test_the_run_does_the_records_that_calls_are_about(world: World, make_flow: Flows) -> None:
    """Of two records the one that was called comes over, and the run leaves Query Starts alone."""
    flow = make_flow("CRAcct2QBCustQ", FlowKind.Q, mappings=("customers",))
    world.crm.add("a1", "Acme")
    world.crm.add("a2", "Bolt")
    world.ledger.put_calls("acme", [Item("crm", "Account", "a2", "e1", "customers", flow.flow)])
    run = world.run(flow)
    assert run.state == "success"
    assert [record.values["name"] for record in world.books.records.values()] == ["Bolt"]
    assert world.ledger.open_calls("acme") == {}
    assert world.ledger.query_starts("acme", flow.flow) is None
    assert world.row().kind == "Q"
