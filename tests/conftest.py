"""A PostgreSQL for whoever needs one, and a ledger in it. The other folders have their own conftest beside theirs."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from iw_operators.ledger.database import make_engine
from iw_operators.ledger.store import Ledger
from iw_operators.ledger.tables import metadata
from local.postgres import Postgres


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


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """Return a ledger with nothing in it."""
    ledger = Ledger.connect(ledger_url, patience=10)
    names = ", ".join(table.name for table in metadata.sorted_tables)
    with ledger.engine.begin() as connection:
        connection.execute(sa.text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
    yield ledger
    ledger.close()
