"""A binding flow in Airflow's own task runner: it waits for a person and does what they said."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from airflow.models.dagrun import DagRun

from iw_operators.dag import build_dag
from iw_operators.ledger.reviews import Choice
from iw_operators.operators.bind import sheet_text
from iw_operators.spec.models import FlowKind
from iw_operators.spec.resolved import ResolvedFlow

if TYPE_CHECKING:
    from tests.airflow.conftest import World

Flows = Callable[..., ResolvedFlow]

pytestmark = [
    pytest.mark.ledger,
    pytest.mark.feature("P4", "R1"),
    pytest.mark.usefixtures("metadata"),
    pytest.mark.filterwarnings("ignore"),  # of the API server that Airflow runs inside this process
    pytest.mark.filterwarnings(r"error:::iw_operators\..*"),
]


@dataclass(frozen=True)
class Somebody:
    """A signed-in user."""

    name: str = "maria"

    def get_id(self) -> str:
        """Return the user's id."""
        return self.name

    def get_name(self) -> str:
        """Return the user's name."""
        return self.name


@contextmanager
def answering(
    world: World, option: str, exact: bool = True, before: Callable[[int], None] | None = None
) -> Iterator[Any]:
    """Answer the approval as soon as it waits, as the REST API does. Yields a dict that has its body afterwards."""
    asked: dict[str, Any] = {}
    failed: list[BaseException] = []

    user: Any = Somebody()  # a user as far as it is asked

    def answer() -> None:
        from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
        from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
        from airflow.models.hitl import HITLDetail
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session
        from sqlalchemy import select

        deadline = time.monotonic() + 60
        try:
            while time.monotonic() < deadline:
                with create_session() as session:
                    waiting = session.scalars(
                        select(TaskInstance).where(
                            TaskInstance.task_id == "review", TaskInstance.state == "awaiting_input"
                        )
                    ).first()
                    if waiting is None:
                        time.sleep(0.1)
                        continue
                    detail = session.get(HITLDetail, waiting.id)
                    assert detail is not None
                    asked.update(body=detail.body, subject=detail.subject, turns=world.ledger.turns("acme"))
                    if before is not None:
                        before(int(world.row().id))
                    payload = UpdateHITLDetailPayload(chosen_options=[option], params_input={"exact": exact})
                    update_hitl_detail(
                        waiting.dag_id,
                        waiting.run_id,
                        "review",
                        payload,
                        user,
                        session,
                    )
                    return
        except BaseException as error:
            failed.append(error)
            raise

    thread = threading.Thread(target=answer)
    thread.start()
    yield asked
    thread.join()
    assert not failed
    assert asked, "the flow never asked"


def states(run: DagRun) -> dict[str, str | None]:
    """Return the state of each task."""
    return {ti.task_id: ti.state for ti in run.get_task_instances()}


@pytest.fixture
def binding(world: World, make_flow: Flows) -> ResolvedFlow:
    """A binding flow; on both sides an Acme, and a Bolt whose names are written in two ways."""
    world.crm.add("a1", "Acme")
    world.crm.add("a2", "Bolt & Co")
    world.books.add("b1", "Acme")
    world.books.add("b2", "BOLT")
    return make_flow("CRAcct2QBCustBind", FlowKind.BIND, mappings=("customers",))


def test_its_tasks(make_flow: Flows) -> None:
    """Looking, asking, binding, in this order, between the check and the summary; BindS takes a batch size."""
    dag = build_dag(make_flow("CRAcct2QBCustBindS", FlowKind.BINDS))
    assert {task.task_id: set(task.upstream_task_ids) for task in dag.tasks} == {
        "ready": set(),
        "find": {"ready"},
        "review": {"find"},
        "bind": {"review"},
        "report": {"bind"},
    }
    assert dag.params["batch_size"] == 500


def test_an_approval_binds_the_exact_rows(world: World, binding: ResolvedFlow) -> None:
    """While it waits no turn is held; approved with the box, the exact rows are bound, and nothing else."""
    with answering(world, "Approve") as asked:
        run = world.run(binding)
    assert run.state == "success"
    assert states(run) == dict.fromkeys(("ready", "find", "review", "bind", "report"), "success")
    assert world.ledger.references("acme", "customers", "crm", ["a1", "a2"]) == {"a1": "b1"}
    assert "| customers | 1 | 1 | 0 | 0 |" in asked["body"]
    assert asked["turns"] == []
    assert "Acme" not in asked["body"]
    rows = {row.source_id: (row.decision, row.by) for row in world.ledger.review_rows(world.row().id)}
    assert rows == {"a1": ("written", "maria"), "a2": ("open", "")}
    assert world.row().state == "success"


def test_rows_approved_beside_it_are_bound_without_the_box(world: World, binding: ResolvedFlow) -> None:
    """Without the box just the rows that were approved one by one are bound."""

    def decide(run_id: int) -> None:
        rows = {row.source_id: row for row in world.ledger.review_rows(run_id)}
        assert world.ledger.decide_review("acme", run_id, [Choice(rows["a2"].id, "approved")], by="otto") == []

    with answering(world, "Approve", exact=False, before=decide):
        world.run(binding)
    assert world.ledger.references("acme", "customers", "crm", ["a1", "a2"]) == {"a2": "b2"}


def test_a_refused_sheet_binds_nothing_and_is_no_failure(world: World, binding: ResolvedFlow) -> None:
    """Reject skips the binding; the run ends well, and what was approved before counts for nothing."""

    def decide(run_id: int) -> None:
        assert world.ledger.approve_exact("acme", run_id, by="otto") == 1

    with answering(world, "Reject", before=decide):
        run = world.run(binding)
    assert states(run)["bind"] == "skipped"
    assert run.state == "success"
    assert world.ledger.references("acme", "customers", "crm", ["a1", "a2"]) == {}
    assert {row.decision for row in world.ledger.review_rows(world.row().id)} == {"refused"}
    assert world.row().state == "success"


def test_nothing_to_bind_asks_nobody(world: World, make_flow: Flows) -> None:
    """Where every record has its partner, the run goes through by itself."""
    run = world.run(make_flow("CRAcct2QBCustBind", FlowKind.BIND, mappings=("customers",)))
    assert run.state == "success"


def test_the_body_tells_counts_and_where_the_sheet_is(make_flow: Flows) -> None:
    """Each mapping has its line; the commands name company and flow."""
    text = sheet_text(make_flow("CRAcct2QBCustBind", FlowKind.BIND), "manual__1", {"invoices": {"none": 7}})
    assert "| customers | 0 | 0 | 0 | 0 |" in text
    assert "| invoices | 0 | 0 | 0 | 7 |" in text
    assert "airflow iw review acme CRAcct2QBCustBind --csv" in text
