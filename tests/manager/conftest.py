"""An Airflow API server in this process, with PostgreSQL for its metadata and for the ledger, and people who sign in.

The environment is set before anything imports Airflow, unless another folder's tests have done so.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from iw_operators.ledger.store import Ledger

if TYPE_CHECKING:
    from fastapi.testclient import TestClient
    from sqlalchemy.orm import Session

REPOSITORY = Path(__file__).resolve().parents[2]
if "AIRFLOW_HOME" not in os.environ:
    HOME = tempfile.mkdtemp(prefix="iw-airflow-")
    os.environ |= {
        "AIRFLOW_HOME": HOME,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
        "XDG_RUNTIME_DIR": os.environ.get("XDG_RUNTIME_DIR", HOME),
    }
os.environ.setdefault(
    "AIRFLOW__API_AUTH__JWT_SECRET", "a secret of these tests, which is long enough for HS512 .........."
)
os.environ.setdefault("AIRFLOW__API__SECRET_KEY", "another one")

BUNDLE = "testing"
TOKEN = re.compile(r'name="token" value="([0-9a-f]+)"')
CONNECTED = (
    *("SQL_ALCHEMY_CONN", "SQL_ALCHEMY_CONN_ASYNC", "engine", "async_engine"),
    *("Session", "NonScopedSession", "AsyncSession"),
)
NOW = dt.datetime(2026, 3, 8, 12, 0, tzinfo=dt.UTC)
PEOPLE = {"ada": "admin", "oper": "op", "view": "viewer"}
COMPANY = """
company: {name}
crm: {{system: creatio, connection: {name}_crm}}
books: {{system: quickbooks_online, connection: {name}_books}}
time_zone: America/New_York
"""
MAPPING = """
mapping: customers
crm: Account
books: Customer
direction: both
bind: {by: criteria, else: [name]}
"""
FLOWS = """
flows:
  CRAcct2QBCust:
    description: Accounts to customers
    mappings: [customers]
    direction: to_books
    interval_ms: 600000
    shift_ms: 60000
    executions: 5
  QBCust2CRAcct: {mappings: [customers], direction: to_crm}
  CRAcct2QBCustF: {mappings: [customers], direction: to_books, window: 30d}
"""


@pytest.fixture(scope="session")
def specs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Specs of two companies, each with two scheduled flows and what is made from its mapping."""
    root = tmp_path_factory.mktemp("mappings")
    for name in ("acme", "globex"):
        folder = root / name
        folder.mkdir()
        (folder / "company.yaml").write_text(COMPANY.format(name=name))
        (folder / "customers.yaml").write_text(MAPPING)
        (folder / "flows.yaml").write_text(FLOWS)
    return root


@pytest.fixture(scope="session")
def orm(new_database: Callable[[str], str], specs_folder: Path) -> Iterator[dict[str, Any]]:
    """What `airflow.settings` holds when its metadata is in PostgreSQL, with the DAGs of the specs in it."""
    from airflow import settings
    from airflow.utils import db

    if settings.Session is None:
        settings.configure_orm()  # type: ignore[no-untyped-call]  # Airflow's own
    before = {name: getattr(settings, name) for name in CONNECTED}
    url = new_database("airflow")
    settings.SQL_ALCHEMY_CONN = url
    settings.SQL_ALCHEMY_CONN_ASYNC = url.replace("psycopg2", "asyncpg")
    settings.configure_orm()  # type: ignore[no-untyped-call]  # Airflow's own
    made = {name: getattr(settings, name) for name in CONNECTED}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Airflow's own migrations
        db.initdb()
    _bring_dags(specs_folder)
    for name, value in before.items():
        setattr(settings, name, value)
    yield made
    made["engine"].dispose()


def _bring_dags(folder: Path) -> None:
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    from iw_operators.dag import build_dag, flows_of

    with create_session() as session:
        session.add(DagBundleModel(name=BUNDLE))
    bag = DagBag("/dev/null", collect_dags=False, bundle_name=BUNDLE)
    for flow in flows_of(folder):
        bag.bag_dag(build_dag(flow))
    sync_bag_to_db(bag, BUNDLE, None)


@pytest.fixture
def metadata(orm: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Airflow's metadata in PostgreSQL: all flows switched off, no runs. A session to prepare and to look."""
    from airflow import settings

    for name, value in orm.items():
        monkeypatch.setattr(settings, name, value)
    with orm["engine"].begin() as connection:
        for name in ("log", "task_instance", "dag_run", "backfill"):
            connection.execute(sa.delete(sa.table(name)))
        connection.execute(sa.text("UPDATE dag SET is_paused = true"))
    assert settings.NonScopedSession is not None
    with settings.NonScopedSession() as session:
        yield session


@dataclass
class People:
    """Browsers of the people in `PEOPLE`, each with its session cookie, and one of nobody."""

    app: Any

    def browser(self, name: str | None) -> TestClient:
        """Return a browser in which somebody is signed in, or nobody."""
        from airflow.api_fastapi.app import get_auth_manager
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
        from fastapi.testclient import TestClient

        client = TestClient(self.app, base_url="http://localhost:8080", follow_redirects=False)
        if name is not None:
            user = SimpleAuthManagerUser(username=name, role=PEOPLE[name])
            client.cookies.set("_token", get_auth_manager().generate_jwt(user))
        return client

    def get(self, name: str | None, path: str, **options: Any) -> Any:
        """Open a page as somebody."""
        return self.browser(name).get(f"/iwmgr{path}", **options)

    def post(self, name: str, path: str, data: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Send a form as somebody who has opened a page of ours first."""
        client = self.browser(name)
        token = TOKEN.search(client.get("/iwmgr/c/acme").text)
        assert token, "the page has no form"
        return client.post(f"/iwmgr{path}", data={"token": token[1], **(data or {})}, **options)


@pytest.fixture(scope="session")
def airflow_app(orm: dict[str, Any]) -> Any:
    """Airflow's API server with our plugin."""
    del orm
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is imported, not of ours
        from airflow.api_fastapi.app import create_app

        return create_app(apps="core")


@pytest.fixture
def people(
    airflow_app: Any,
    metadata: Session,
    ledger: Ledger,
    ledger_connection: None,
    specs_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[People]:
    """People with browsers in front of the page, with the specs of `specs_folder` and a ledger with nothing in it."""
    from iw_operators.manager import world

    del metadata, ledger, ledger_connection
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__MAPPINGS_FOLDER", str(specs_folder))
    yield People(airflow_app)
    world.close()
