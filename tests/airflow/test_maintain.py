"""The tasks of a company's maintenance, and what a strict company's `ready` asks: what else of the company is on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from iw_operators.dag import build_dag
from iw_operators.errors import FixConfiguration
from iw_operators.maintenance import check_connections
from iw_operators.maintenance_dags import build_maintenance
from iw_operators.operators import runtime
from iw_operators.operators.maintain import SafeSensor
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

    def get_ti_count(self, dag_id: str, states: list[str]) -> int:
        """Return it."""
        assert set(states) == {"running", "queued", "restarting"}
        return self.at_work.get(dag_id, 0)


def safe(make_flow: Flows, ti: Counting) -> bool:
    """Let the sensor look once."""
    sensor = build_maintenance(make_flow().company).get_task("safe")
    assert isinstance(sensor, SafeSensor)
    context: Any = {"ti": ti, "dag": SimpleNamespace(fileloc="interweave.py")}
    return sensor.poke(context)


@pytest.mark.usefixtures("specs")
def test_it_is_safe_when_no_task_works_and_no_turn_is_held(world: World, make_flow: Flows) -> None:
    """A task in Airflow and a turn that is alive count; a run that waits does not; without a maintenance it ends."""
    assert safe(make_flow, Counting(at_work={"acme.CRAcct2QBCust": 1}))  # ended from elsewhere
    world.ledger.begin_maintenance("acme", "ann")
    assert not safe(make_flow, Counting(at_work={"acme.CRAcct2QBCustDR": 1}))
    world.ledger.take_turn("acme", "CRAcct2QBCustDR", "r1", "utility")
    world.ledger.take_turn("acme", "CRAcct2QBCustDR", "r2", "utility")
    assert not safe(make_flow, Counting())
    world.ledger.give_turn_back("acme", "CRAcct2QBCustDR", "r1")
    assert safe(make_flow, Counting())


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
