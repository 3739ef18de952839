"""An Airflow of its own for these tests: home, configuration and (where asked for) a metadata database in a folder.

The environment is set before anything imports Airflow.
"""

from __future__ import annotations

import atexit
import datetime as dt
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from iw_operators.engine.model import Record
from iw_operators.errors import InterWeaveError
from iw_operators.ledger.store import Ledger
from iw_operators.ledger.tables import run as run_table
from iw_operators.spec.catalogue import FieldDef, FieldType, LinesDef, ObjectDef
from iw_operators.spec.models import Bind, Company, Direction, Endpoint, FlowKind, FlowSpec, Owner, Way
from iw_operators.spec.resolved import MappedField, ResolvedFlow, ResolvedMapping
from iw_operators.systems.base import Batch, Op, Outcome, Result, Settings, View, Window

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG

REPOSITORY = Path(__file__).resolve().parents[2]
HOME = Path(tempfile.mkdtemp(prefix="iw-airflow-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PRE_IMPORT_MODULES": "False",
    "XDG_RUNTIME_DIR": os.environ.get("XDG_RUNTIME_DIR", str(HOME)),
}
if "airflow" in sys.modules:
    msg = "tests/airflow has to be collected before anything imports Airflow"
    raise RuntimeError(msg)

Flows = Callable[..., ResolvedFlow]
NOW = dt.datetime(2026, 3, 8, 12, 0, tzinfo=dt.UTC)
BUNDLE = "dags-folder"


@pytest.fixture(scope="session")
def metadata() -> None:
    """Airflow's metadata database, made once."""
    from airflow.utils import db

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the tables that other providers bring
        db.initdb()


@pytest.fixture
def make_flow() -> Flows:
    """A function that makes a flow of company `acme` between two systems that exist nowhere."""

    def make(flow: str = "CRAcct2QBCust", kind: FlowKind = FlowKind.SCHEDULED, **spec: Any) -> ResolvedFlow:
        company = Company(
            company="acme",
            crm=Endpoint(system="anycrm", connection="acme_crm"),
            books=Endpoint(system="anybooks", connection="acme_books"),
            time_zone="America/New_York",
        )
        names = spec.setdefault("mappings", ("customers", "invoices"))
        direction = spec.pop("direction", Direction.TO_BOOKS)
        return ResolvedFlow(
            company=company,
            flow=flow,
            spec=FlowSpec(**spec),
            kind=kind,
            direction=direction,
            mappings=tuple(_mapping(company, name) for name in names),
            file="mappings/acme/flows.yaml",
        )

    return make


def _mapping(company: Company, name: str) -> ResolvedMapping:
    text = FieldDef(native="Name")
    amount = FieldDef(native="Amount", type=FieldType.MONEY)
    fields = {"name": text, "total": amount}
    return ResolvedMapping(
        company=company,
        mapping=name,
        neutral="customer",
        crm_object="Account",
        books_object="Customer",
        crm_def=ObjectDef(neutral=("customer",), modified="ModifiedOn", fields=fields),
        books_def=ObjectDef(
            neutral=("customer",), modified="Time", fields=fields, lines=LinesDef(native="Line", fields=fields)
        ),
        crm_label="AnyCRM",
        books_label="AnyBooks",
        direction=Direction.BOTH,
        bind=Bind.model_validate({"by": "criteria", "else": ["name"]}),
        to_books=Way(),
        to_crm=Way(),
        write_back={},
        id_field=None,
        fields=(MappedField(name="name", crm=text, books=text, owner=Owner.CRM),),
        lines=(),
        depends=(),
    )


@dataclass
class Memory:
    """A system in memory; `windows` and `errors` let a test look and interfere."""

    name: str
    records: dict[str, Record] = field(default_factory=dict)
    windows: list[Window] = field(default_factory=list)
    errors: dict[str, list[InterWeaveError]] = field(default_factory=dict)
    batch_size: int = 30
    keys_last: dt.timedelta = dt.timedelta(hours=24)
    connected: bool = False

    def _fail(self, call: str) -> None:
        if waiting := self.errors.get(call):
            raise waiting.pop(0)

    def add(self, id_: str, name: str) -> None:
        """Put a record in."""
        facts = frozenset({"created", "won"})
        self.records[id_] = Record(id=id_, values={"name": name}, version="1", modified=NOW, label=name, facts=facts)

    def check(self) -> str:
        """Answer, or raise what was asked for."""
        self.connected = True
        self._fail("check")
        return f"{self.name} is there"

    def close(self) -> None:
        """Let go."""
        self.connected = False

    def now(self) -> dt.datetime:
        """Return the time here."""
        return NOW

    def changes(self, view: View, window: Window, page_size: int) -> Iterator[Sequence[Record]]:
        """Yield everything, a page at a time."""
        del view
        self._fail("changes")
        self.windows.append(window)
        rows = list(self.records.values())
        for start in range(0, len(rows), page_size):
            yield rows[start : start + page_size]

    def count(self, view: View, window: Window) -> int | None:
        """Count everything."""
        del view, window
        return len(self.records)

    def complete(self, view: View, records: Sequence[Record]) -> Sequence[Record]:
        """Nothing is missing here."""
        del view
        return records

    def fetch(self, view: View, ids: Collection[str]) -> Mapping[str, Record]:
        """Return what there is."""
        del view
        return {id_: self.records[id_] for id_ in ids if id_ in self.records}

    def find(self, view: View, name: str) -> Sequence[Record]:
        """Return the records of that name."""
        del view
        return [record for record in self.records.values() if record.values["name"] == name]

    def scan(self, view: View, since: dt.datetime | None) -> Iterator[Sequence[Record]]:
        """Yield everything."""
        del view, since
        yield list(self.records.values())

    def lookup(self, field_def: FieldDef, names: Collection[str]) -> Mapping[str, str]:
        """No lists here."""
        del field_def, names
        return {}

    def write(self, batch: Batch) -> Sequence[Outcome]:
        """Do it."""
        self._fail("write")
        outcomes = []
        for write in batch.writes:
            id_ = write.target_id or f"{self.name}-{len(self.records) + 1}"
            old = dict(self.records[id_].values) if write.op is Op.UPDATE else {}
            record = Record(id=id_, values={**old, **write.values}, version="1", modified=NOW)
            self.records[id_] = record
            outcomes.append(Outcome(write.key, Result.APPLIED, id_, "1", record.values))
        return outcomes

    def existing(self, view: View, ids: Collection[str]) -> Collection[str]:
        """Have all of them."""
        del view
        return ids

    def told_since(self, view: View) -> dt.datetime | None:
        """Tell of no deletions."""
        del view
        return None

    def resolve(self, batch: Batch) -> Sequence[Outcome]:
        """Nothing of it arrived."""
        return [Outcome(write.key, Result.REJECTED) for write in batch.writes]


@dataclass
class World:
    """The two systems, the ledger, and what a test does with them."""

    crm: Memory
    books: Memory
    ledger: Ledger

    def run(self, flow: ResolvedFlow, conf: dict[str, Any] | None = None, **arguments: Any) -> DagRun:
        """Run the flow's DAG to its end in this process; return its run."""
        from iw_operators.dag import build_dag

        return self.test(build_dag(flow), run_conf=conf, **arguments)

    def test(self, dag: DAG, **arguments: Any) -> DagRun:
        """Run any DAG to its end in this process; return its run."""
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
        from airflow.models.dagbundle import DagBundleModel
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session

        with create_session() as session:
            if session.get(DagBundleModel, BUNDLE) is None:
                session.add(DagBundleModel(name=BUNDLE))
        bag = DagBag("/dev/null", collect_dags=False, bundle_name=BUNDLE)
        bag.bag_dag(dag)
        sync_bag_to_db(bag, BUNDLE, None)
        done = dag.test(**arguments)
        assert isinstance(done, DagRun)
        return done

    def row(self) -> Any:
        """Return the ledger's row of the latest run."""
        with self.ledger.engine.connect() as connection:
            return connection.execute(sa.select(run_table).order_by(run_table.c.id.desc()).limit(1)).one()


@pytest.fixture
def world(ledger: Ledger, ledger_connection: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    """Two systems in memory behind the connections of company `acme`, a ledger behind its own."""
    from iw_operators.operators import runtime

    made = World(Memory("crm"), Memory("books"), ledger)
    systems = {"anycrm": made.crm, "anybooks": made.books}

    def open_system(system: str, conn_id: str, settings: Settings) -> Memory:
        assert conn_id == f"acme_{made_names[system]}"
        assert settings.time_zone == "America/New_York"
        return systems[system]

    made_names = {"anycrm": "crm", "anybooks": "books"}
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__RETRY_DELAY", "0")
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__RETRIES", "2")
    monkeypatch.setattr(runtime, "open_system", open_system)
    empty = tmp_path / "mappings"
    empty.mkdir()
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__MAPPINGS_FOLDER", str(empty))
    return made
