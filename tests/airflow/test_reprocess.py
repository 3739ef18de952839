"""Failed records done again in runs of a flow's DAG, started by the command line."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from sqlalchemy import select

from iw_operators import asked
from iw_operators.dag import build_dag
from iw_operators.engine.model import Action
from iw_operators.errors import FixConfiguration
from iw_operators.ledger.store import Ledger
from iw_operators.records import MOST_IDS, reprocess_conf, reprocess_flow
from iw_operators.spec.loader import load_company
from iw_operators.spec.models import FlowKind
from iw_operators.spec.resolved import CompanySpec, ResolvedFlow
from tests.ledger.kit import begin, quiet
from tests.stage import MAPPINGS
from tests.test_cli import run as command

if TYPE_CHECKING:
    from tests.airflow.conftest import World

pytestmark = [
    pytest.mark.ledger,
    pytest.mark.feature("R10"),
    pytest.mark.usefixtures("metadata"),
    pytest.mark.filterwarnings("ignore"),  # of the API server that Airflow runs inside this process
    pytest.mark.filterwarnings(r"error:::iw_operators\..*"),
]

Flows = Callable[..., ResolvedFlow]
AGAIN = "acme.CRAcct2QBCustNFS"
BUNDLE = "dags-folder"


def fail(ledger: Ledger, *ids: str) -> None:
    """Have records of acme's customers that were rejected."""
    ledger.record(begin(ledger), [quiet(Action.REJECT, each, code="iw.required") for each in ids])


def states(ledger: Ledger) -> dict[str, str]:
    """Return the state of every failed record."""
    return {each.source_id: each.state.value for each in ledger.failures("acme")}


def test_a_run_for_failed_records_does_these_and_nothing_else(world: World, make_flow: Flows) -> None:
    """By ids, names that are ids, or all that are open; a record that is gone gets a row as well."""
    flow = make_flow("CRAcct2QBCustNFS", FlowKind.NFS, mappings=("customers",))
    for number in range(4):
        world.crm.add(f"a{number}", f"Account {number}")
    fail(world.ledger, "a0", "a1", "a2", "gone")
    assert world.run(flow, {"ids": ["a1"], "names": "gone\n", "reprocess": True}).state == "success"
    assert states(world.ledger) == {"a0": "open", "a1": "reprocessed", "a2": "open", "gone": "reprocessed"}
    assert world.row().reprocess
    assert world.run(flow, {"reprocess": True}).state == "success"
    assert set(states(world.ledger).values()) == {"reprocessed"}
    assert sorted(str(r.values["name"]) for r in world.books.records.values()) == [f"Account {n}" for n in range(3)]
    assert world.crm.windows == []


def test_other_runs_of_the_same_flow_fix_what_they_bring(world: World, make_flow: Flows) -> None:
    """Named by a person for another reason: the record is fixed, not reprocessed."""
    world.crm.add("a0", "Account 0")
    fail(world.ledger, "a0")
    flow = make_flow("CRAcct2QBCustNFS", FlowKind.NFS, mappings=("customers",))
    assert asked.again(flow, {"ids": ["a0"], "reprocess": False}) is None
    assert asked.again(make_flow("CRAcct2QBCustNF", FlowKind.NF), {"reprocess": True}) is None
    assert world.run(flow, {"ids": ["a0"]}).state == "success"
    assert states(world.ledger) == {"a0": "fixed"}


@pytest.fixture
def acme(world: World, monkeypatch: pytest.MonkeyPatch) -> CompanySpec:
    """Return the real specs, with the flow that does accounts again known to Airflow."""
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__MAPPINGS_FOLDER", str(MAPPINGS))
    spec, errors = load_company(MAPPINGS / "acme")
    assert spec is not None, errors
    with create_session() as session:
        if session.get(DagBundleModel, BUNDLE) is None:
            session.add(DagBundleModel(name=BUNDLE))
    bag = DagBag("/dev/null", collect_dags=False, bundle_name=BUNDLE)
    bag.bag_dag(build_dag(spec.flows[AGAIN.removeprefix("acme.")]))
    sync_bag_to_db(bag, BUNDLE, None)
    return spec


def test_the_command_starts_a_run_of_just_these_records(
    world: World, acme: CompanySpec, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is switched on for it; who started it is kept; records that were given up are open again."""
    fail(world.ledger, "a", "b")
    world.ledger.give_up("acme", "customers", "crm", ["b"], by="Ann", why="never")
    command("reprocess", "acme", "customers", "a", "b")
    dag_id, run_id = capsys.readouterr().out.splitlines()[-1].split()
    assert dag_id == AGAIN
    with create_session() as session:
        made = session.scalars(select(DagRun).where(DagRun.dag_id == AGAIN, DagRun.run_id == run_id)).one()
        assert made.conf == {"ids": ["a", "b"], "reprocess": True, "by": getpass.getuser()}
        model = session.get(DagModel, AGAIN)
        assert model is not None
        assert not model.is_paused
    assert states(world.ledger) == {"a": "open", "b": "open"}
    assert acme.flows[AGAIN.removeprefix("acme.")].kind is FlowKind.NFS


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a", "x"), "Not among the failed records of customers: x"),
        ((), "Name the records, or say --all."),
        (("a", "--all"), "Name the records, or say --all."),
    ],
)
def test_the_command_refuses_what_it_cannot_do(
    world: World, acme: CompanySpec, words: tuple[str, ...], message: str
) -> None:
    """Ids of records that have not failed, nothing, or two things at once: no run is made."""
    fail(world.ledger, "a")
    with create_session() as session:
        before = session.scalars(select(DagRun.run_id).where(DagRun.dag_id == AGAIN)).all()
    with pytest.raises(SystemExit) as caught:
        command("reprocess", acme.company.company, "customers", *words)
    assert caught.value.code == message
    with create_session() as session:
        assert session.scalars(select(DagRun.run_id).where(DagRun.dag_id == AGAIN)).all() == before


def test_nothing_open_is_no_run(world: World, acme: CompanySpec, capsys: pytest.CaptureFixture[str]) -> None:
    """`--all` without an open record says so."""
    world.ledger.check()
    command("reprocess", acme.company.company, "customers", "--all")
    assert capsys.readouterr().out == "No record is open.\n"


def test_a_company_without_such_a_flow_is_told_how_to_get_one(acme: CompanySpec) -> None:
    """The flow is found by mapping and direction."""
    assert reprocess_flow(acme, "customers", "crm").dag_id == AGAIN
    assert reprocess_flow(acme, "customers", "books").dag_id == "acme.QBCust2CRAcctNFS"
    without = acme.model_copy(update={"flows": {}})
    with pytest.raises(FixConfiguration, match="no flow of the kind NFS"):
        reprocess_flow(without, "customers", "crm")


def test_a_run_has_a_number_of_records_that_airflow_carries() -> None:
    """More than that are done by a run for all that are open."""
    assert reprocess_conf(["a"], "Ann")["ids"] == ["a"]
    with pytest.raises(ValueError, match="too many"):
        reprocess_conf(["x"] * (MOST_IDS + 1), "Ann")
