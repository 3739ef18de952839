"""Tables and their versions, locks, and the Airflow connection."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from iw_operators.errors import ConnectionFailure, FixConfiguration
from iw_operators.ledger.connect import open_ledger
from iw_operators.ledger.flow_tables import metadata
from iw_operators.ledger.migrate import alembic_config
from iw_operators.ledger.store import HEAD, VERSION_TABLE, Ledger
from tests.ledger.kit import begin

pytestmark = pytest.mark.ledger


def _upgrade(url: str) -> None:
    ledger = Ledger.connect(url)
    ledger.upgrade()
    ledger.check()
    ledger.close()


def test_several_processes_may_upgrade_at_once(new_database: Callable[[str], str]) -> None:
    """Whoever comes first makes the tables; the others wait and find them."""
    url = new_database("race")
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(_upgrade, [url] * 2)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(_upgrade, [new_database("threads")] * 4))


def test_the_migrations_make_the_tables(ledger: Ledger) -> None:
    """The tables that the code knows are those that the migrations make, and HEAD is the newest migration."""
    with ledger.engine.connect() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
        assert ScriptDirectory.from_config(alembic_config(connection)).get_heads() == [HEAD]
    assert ledger.version() == HEAD
    assert HEAD in ledger.check()


def test_the_ledger_keeps_to_itself(new_database: Callable[[str], str]) -> None:
    """In a database that has tables of others, only our own are made, under a version table of our own."""
    url = new_database("shared")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE alembic_version (version_num text)"))
        connection.execute(sa.text("INSERT INTO alembic_version VALUES ('theirs')"))
    _upgrade(url)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "theirs"
        names = set(sa.inspect(connection).get_table_names())
    engine.dispose()
    assert names == {*metadata.tables, VERSION_TABLE, "alembic_version"}


def test_tables_of_a_newer_version_are_left_alone(new_database: Callable[[str], str]) -> None:
    """An older package says so instead of working on tables that it does not know."""
    url = new_database("newer")
    _upgrade(url)
    ledger = Ledger.connect(url)
    with ledger.engine.begin() as connection:
        connection.execute(sa.text("UPDATE iw_alembic_version SET version_num = '9999'"))
    with pytest.raises(FixConfiguration, match="does not know"):
        ledger.upgrade()
    with pytest.raises(FixConfiguration, match="version 9999, this package needs"):
        ledger.check()
    ledger.close()


def test_a_lock_has_one_holder(ledger: Ledger) -> None:
    """Over threads and processes: who asks without waiting is told, who waits gets it, other names are free."""
    held = []
    with ledger.lock("a") as got:
        assert got
        with ledger.lock("a", wait=False) as second:
            assert not second
        with ledger.lock("b", wait=False) as other:
            assert other

        def wait() -> None:
            with ledger.lock("a") as mine:
                held.append(mine)

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.2)
        assert held == []
    thread.join(10)
    assert held == [True]
    with ledger.lock("a", wait=False) as free:
        assert free


def test_a_lock_keeps_threads_apart(ledger: Ledger) -> None:
    """Eight threads that read, think and write under the lock lose nothing."""
    total = 0

    def add(_: int) -> None:
        nonlocal total
        with ledger.lock("total"):
            seen = total
            time.sleep(0.01)
            total = seen + 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    assert total == 24


def test_a_lock_ends_with_an_error_in_its_block(ledger: Ledger) -> None:
    """An exception passes through and frees the lock."""
    with pytest.raises(KeyError), ledger.lock("a"):
        raise KeyError
    with ledger.lock("a", wait=False) as free:
        assert free


def test_a_lock_needs_the_ledger(ledger: Ledger) -> None:
    """Without a ledger nothing is locked and nothing pretends to be."""
    away = Ledger.connect(ledger.engine.url.set(host="127.0.0.1", port=1), patience=0.1)
    with pytest.raises(ConnectionFailure), away.lock("a"):
        pytest.fail("not held")


def test_the_ledger_of_airflow(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection's parts, a password with odd characters and the sslmode of its extra reach the driver."""
    url = ledger.engine.url
    monkeypatch.setenv("AIRFLOW_CONN_IW_LEDGER", url.render_as_string(hide_password=False))
    opened = open_ledger()
    assert begin(opened).run_id > 0
    opened.close()
    parts = {"conn_type": "postgres", "host": url.host, "port": url.port, "login": "app", "password": "p@ss/w:rd"}
    more = {"schema": url.database, "extra": {"sslmode": "require", "__extra__": "x"}}
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps({**parts, **more}))
    with pytest.raises((ConnectionFailure, FixConfiguration), match="SSL"):
        open_ledger("other")


def test_a_missing_connection_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the connection, or without a database in it, the message says what to make."""
    monkeypatch.delenv("AIRFLOW_CONN_IW_LEDGER", raising=False)
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "")
    with pytest.raises(FixConfiguration, match="airflow connections add nowhere --conn-uri postgresql://"):
        open_ledger("nowhere")
    monkeypatch.setenv("AIRFLOW_CONN_HALF", "postgresql://u:p@host")
    with pytest.raises(FixConfiguration, match="Fill in Host and Schema"):
        open_ledger("half")
