"""A PostgreSQL for whoever needs one, and a ledger in it. The other folders have their own conftest beside theirs."""

from __future__ import annotations

import gc
import json
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings

from iw_operators.ledger.database import make_engine
from iw_operators.ledger.flow_tables import metadata
from iw_operators.ledger.store import Ledger
from local.postgres import Postgres
from local.stack import postgres_connection

settings.register_profile("tests", deadline=None)  # an example that takes long says that the machine is busy
settings.load_profile("tests")


def pytest_sessionstart() -> None:
    """Look for garbage between tests alone: among millions of objects that takes a second, more than some time-outs."""
    gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Look for it among what the test has made; after a file in all, and then never again in what stays.

    A connection that a server of an earlier test has left in it is not the next test's error.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed", ResourceWarning)
        if nextitem is not None and nextitem.path == item.path:
            gc.collect(1)
        else:
            gc.collect()
            gc.freeze()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a server whose user may make databases: `IW_TEST_POSTGRES`, or one embedded in this test process."""
    if url := os.environ.get("IW_TEST_POSTGRES"):
        yield url
        return
    folder = Path(tempfile.mkdtemp(prefix="iw-postgres-"))
    folder.chmod(0o711)  # as root the server runs as somebody else
    try:
        with Postgres(folder, durable=False) as server:
            yield server.url("postgres")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def new_database(postgres_url: str) -> Iterator[Callable[[str], str]]:
    """Make an empty database that no other test process has, and return its URL; all are dropped at the end."""
    admin = make_engine(postgres_url).execution_options(isolation_level="AUTOCOMMIT")
    with ExitStack() as stack:
        stack.callback(admin.dispose)

        def run(statement: str) -> None:
            with admin.connect() as connection:
                connection.execute(sa.text(statement))

        def make(purpose: str) -> str:
            name = f"iw_test_{purpose}_{uuid.uuid4().hex[:12]}"
            run(f'CREATE DATABASE "{name}"')
            stack.callback(run, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            return admin.url.set(database=name).render_as_string(hide_password=False)

        yield make


@pytest.fixture(scope="session")
def ledger_url(new_database: Callable[[str], str]) -> str:
    """URL of a database with the ledger's tables."""
    url = new_database("ledger")
    ledger = Ledger.connect(url)
    ledger.upgrade()
    ledger.close()
    return url


@pytest.fixture(scope="session")
def ledger_engine(ledger_url: str) -> Iterator[sa.Engine]:
    """One engine for all tests of a process: it keeps connections, and the SQL that it has compiled."""
    engine = make_engine(ledger_url)
    yield engine
    engine.dispose()


@pytest.fixture
def ledger_connection(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the ledger behind Airflow's connection."""
    monkeypatch.setenv("AIRFLOW_CONN_IW_LEDGER", json.dumps(postgres_connection(ledger_url)))


@pytest.fixture
def ledger(ledger_engine: sa.Engine) -> Ledger:
    """Return a ledger with nothing in it; its runs begin with number 1."""
    with ledger_engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            # A fifth of the time of TRUNCATE, which makes new files for each table and index.
            connection.execute(sa.delete(table))
            if "id" in table.c:
                first = sa.func.setval(sa.func.pg_get_serial_sequence(table.name, "id"), 1, False)
                connection.execute(sa.select(first))
    return Ledger(ledger_engine, patience=10)
