"""The two files in `dags/`, read the way Airflow reads them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.definitions.context import _AIRFLOW_PARSING_CONTEXT_DAG_ID
from airflow.serialization.serialized_objects import DagSerialization

REPOSITORY = Path(__file__).resolve().parents[2]
DAGS = REPOSITORY / "dags"
COMPANY = """\
company: {company}
crm: {{system: creatio, connection: {company}_crm}}
books: {{system: quickbooks_online, connection: {company}_books}}
"""
CUSTOMERS = """\
mapping: customers
crm: Account
books: Customer
utilities: false
"""
ITEMS = """\
mapping: items
crm: Product
books: Item
utilities: false
fields:
  income_account: {default_books: Sales}
"""
FLOWS = """\
flows:
  CRAcct2QBCust: {mappings: [customers]}
  CRProd2QBItem: {mappings: [items]}
"""


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two companies with two flows each; Airflow is told to read them."""
    for company in ("north", "south"):
        folder = tmp_path / company
        folder.mkdir()
        (folder / "company.yaml").write_text(COMPANY.format(company=company))
        (folder / "customers.yaml").write_text(CUSTOMERS)
        (folder / "items.yaml").write_text(ITEMS)
        (folder / "flows.yaml").write_text(FLOWS)
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__MAPPINGS_FOLDER", str(tmp_path))
    return tmp_path


def read(folder: Path = DAGS) -> DagBag:
    """Read the DAG files as the DAG processor does, its heuristic for skipping files included."""
    return DagBag(folder, safe_mode=True)


def flows(bag: DagBag) -> set[str]:
    """Return the ids of the flows that were read; each company has its maintenance besides."""
    return {dag_id for dag_id in bag.dags if not dag_id.endswith(".Maintenance")}


@pytest.mark.feature("R1")
@pytest.mark.usefixtures("specs")
def test_every_flow_of_every_company_is_a_dag() -> None:
    """Specs without errors give their DAGs and no import error."""
    bag = read()
    assert bag.import_errors == {}
    assert flows(bag) == {
        "north.CRAcct2QBCust",
        "north.CRProd2QBItem",
        "south.CRAcct2QBCust",
        "south.CRProd2QBItem",
    }
    assert {Path(dag.fileloc).name for dag in bag.dags.values()} == {"interweave.py"}


@pytest.mark.feature("R1")
def test_utility_flows_that_are_made_of_mappings_are_dags(specs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind becomes a DAG of its own, and a worker that is to run one builds just that one."""
    every = "N, NF, NFS, DR, DRS, F, Bind, BindS, Q"
    (specs / "north" / "customers.yaml").write_text(CUSTOMERS.replace("false", f"[{every}]"))
    bag = read()
    assert bag.import_errors == {}
    made = {f"north.CRAcct2QBCust{kind}" for kind in every.split(", ")}
    assert {dag for dag in bag.dags if dag.startswith("north.CRAcct2QBCust")} == {"north.CRAcct2QBCust", *made}
    for name in made:
        DagSerialization.validate_schema(DagSerialization.to_dict(bag.dags[name]))
    monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, "north.CRAcct2QBCustDRS")
    assert set(read(DAGS / "interweave.py").dags) == {"north.CRAcct2QBCustDRS"}


@pytest.mark.feature("R5")
@pytest.mark.usefixtures("specs")
def test_every_company_has_its_maintenance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the flows, switched on, before them in the company's pool; a worker builds it alone."""
    bag = read()
    assert {"north.Maintenance", "south.Maintenance"} <= set(bag.dags)
    dag = bag.dags["north.Maintenance"]
    DagSerialization.validate_schema(DagSerialization.to_dict(dag))
    assert not dag.is_paused_upon_creation
    assert {(task.pool, task.priority_weight) for task in dag.tasks} == {("iw_north", 1_000)}
    assert [task.task_id for task in dag.tasks] == ["begin", "safe", "work_alone", "end"]
    monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, "north.Maintenance")
    assert set(read(DAGS / "interweave.py").dags) == {"north.Maintenance"}


def test_a_broken_mapping_takes_down_only_the_flows_that_use_it(specs: Path) -> None:
    """An error in one mapping is shown with file and line; every other DAG stays, also those of its company."""
    broken = specs / "north" / "customers.yaml"
    broken.write_text(CUSTOMERS + "fields:\n  nmae: {skip: true}\n")
    bag = read()
    assert flows(bag) == {"north.CRProd2QBItem", "south.CRAcct2QBCust", "south.CRProd2QBItem"}
    (file,) = bag.import_errors
    assert file.endswith("interweave_errors.py")
    assert f"{broken}:6: fields.nmae: " in bag.import_errors[file]
    assert "did you mean name?" in bag.import_errors[file]


def test_all_errors_of_all_files_show_at_once(specs: Path) -> None:
    """Nobody has to correct one error to see the next one."""
    (specs / "north" / "customers.yaml").write_text(CUSTOMERS + "colour: red\n")
    (specs / "south" / "items.yaml").write_text("mapping: items\ncrm: Produkt\nbooks: Item\n")
    (specs / "south" / "company.yaml").write_text("company: south\n")
    bag = read()
    assert flows(bag) == {"north.CRProd2QBItem"}
    (text,) = bag.import_errors.values()
    for place in ("north/customers.yaml:5", "south/company.yaml:1"):
        assert place in text


def test_text_that_is_not_yaml_is_an_error_with_its_line(specs: Path) -> None:
    """A file that cannot be read at all is treated like any other error."""
    (specs / "south" / "flows.yaml").write_text("flows:\n  CRAcct2QBCust: {mappings: [customers\n")
    bag = read()
    assert flows(bag) == {"north.CRAcct2QBCust", "north.CRProd2QBItem"}
    (text,) = bag.import_errors.values()
    assert "south/flows.yaml:" in text


def test_a_missing_folder_is_an_error_and_no_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A mappings folder that does not exist is named."""
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__MAPPINGS_FOLDER", str(tmp_path / "nowhere"))
    bag = read()
    assert not bag.dags
    (text,) = bag.import_errors.values()
    assert "nowhere" in text


def test_specs_are_looked_for_beside_the_dags_folder(
    specs: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the option, `mappings` beside the folder of the DAG files is read, wherever a bundle puts them."""
    bundle = tmp_path_factory.mktemp("bundle")
    shutil.copytree(DAGS, bundle / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(specs / "north", bundle / "mappings" / "north")
    monkeypatch.delenv("AIRFLOW__INTERWEAVE__MAPPINGS_FOLDER")
    bag = read(bundle / "dags")
    assert bag.import_errors == {}
    assert flows(bag) == {"north.CRAcct2QBCust", "north.CRProd2QBItem"}


class TestWorker:
    """A worker is told which DAG it will run."""

    def test_only_that_dag_is_built(self, specs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The other flows are neither read nor built, broken ones included."""
        (specs / "north" / "company.yaml").write_text("company: [")
        monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, "south.CRProd2QBItem")
        bag = read(DAGS / "interweave.py")
        assert bag.import_errors == {}
        assert set(bag.dags) == {"south.CRProd2QBItem"}

    @pytest.mark.usefixtures("specs")
    def test_it_is_the_same_dag(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What a worker builds is what the scheduler has stored."""
        everything = read().dags["south.CRProd2QBItem"]
        monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, "south.CRProd2QBItem")
        alone = read(DAGS / "interweave.py").dags["south.CRProd2QBItem"]
        assert DagSerialization.to_dict(alone) == DagSerialization.to_dict(everything)

    def test_a_flow_that_broke_meanwhile_says_why(self, specs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A run whose spec was broken after it had started fails with the error in the spec."""
        (specs / "south" / "items.yaml").write_text("mapping: items\ncrm: Produkt\nbooks: Item\n")
        monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, "south.CRProd2QBItem")
        bag = read(DAGS / "interweave.py")
        (text,) = bag.import_errors.values()
        assert "south/items.yaml:2" in text

    @pytest.mark.usefixtures("specs")
    def test_other_dags_are_not_its_business(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A DAG id that belongs to no company gives nothing, and no error."""
        monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, "somebody_elses_dag")
        bag = read(DAGS / "interweave.py")
        assert not bag.dags
        assert not bag.import_errors


@pytest.mark.feature("R1")
def test_the_companies_of_this_repository_have_no_errors() -> None:
    """The flows of `mappings/` are DAGs, each of them storable."""
    bag = read()
    assert bag.import_errors == {}
    assert {
        "acme.CRAcctOpp2QBCustInv",
        "acme.QBCustInvoices2CRAcctOpp",
        "acme.QBItem2CRProd",
        "acme.QBPmt2CRPmt",
        "acme.QBCust2CRAcctNF",
        "acme.CRAcct2QBCustDR",
    } <= set(bag.dags)
    for dag in bag.dags.values():
        DagSerialization.validate_schema(DagSerialization.to_dict(dag))


@pytest.mark.usefixtures("specs")
def test_parsing_loads_no_connector() -> None:
    """Reading the DAG files imports neither a system's code nor the ledger, which would slow each task down."""
    script = (
        "import sys; from airflow.dag_processing.dagbag import DagBag;"
        f"bag = DagBag({str(DAGS)!r});"
        "assert len(bag.dags) == 6, bag.import_errors;"
        "print([m for m in sys.modules if m.startswith(('iw_operators.systems.', 'iw_operators.ledger', 'quickbooks'))"
        " and m not in ('iw_operators.systems.base', 'iw_operators.systems.registry')])"
    )
    done = subprocess.run([sys.executable, "-c", script], env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("[]"), done.stdout
