"""A ledger that is away, comes back, or does not let us in."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa

from iw_operators.engine.model import Action
from iw_operators.errors import ConnectionFailure, FixConfiguration, InterWeaveError
from iw_operators.ledger.store import Ledger
from local.postgres import Postgres
from tests.ledger.kit import applied, begin, create, ended, made, quiet, sent
from tests.ledger.proxy import Cut, Proxy, proxy

pytestmark = pytest.mark.ledger


@pytest.fixture
def line(ledger: Ledger) -> Iterator[tuple[Ledger, Proxy]]:
    """Return a ledger over a line that can be cut, and the line."""
    url = ledger.engine.url
    with proxy(url.host or "127.0.0.1", url.port or 5432) as wire:
        cuttable = Ledger.connect(url.set(host="127.0.0.1", port=wire.port), patience=10)
        yield cuttable, wire
        cuttable.close()


@pytest.mark.feature("B2", "R15")
@pytest.mark.parametrize("cut", ["before commit", "after commit"])
def test_an_outcome_survives_a_cut_at_its_commit(line: tuple[Ledger, Proxy], cut: Cut) -> None:
    """Whether the commit had arrived or not, the outcome is recorded exactly once, and nobody notices."""
    ledger, wire = line
    run = begin(ledger)
    decisions = [create("a"), create("b")]
    batch = sent(ledger, run, decisions)
    wire.arm(cut)
    ended(ledger, run, decisions, batch, [applied(write) for write in batch.writes])
    assert wire.cuts == 1
    wire.arm(cut)
    ledger.record(run, [quiet(Action.SKIP, "c"), quiet(Action.HOLD, "d")])
    assert wire.cuts == 2
    assert ledger.references("acme", "customers", "crm", ["a", "b"]) == {"a": "Ta", "b": "Tb"}
    assert ledger.end_mapping(run.run_id, "customers", 1, 4) == {"created": 2, "skipped": 1, "held": 1}


@pytest.mark.feature("R15")
def test_connections_that_died_unused_are_replaced(line: tuple[Ledger, Proxy]) -> None:
    """A pooled connection that the server has dropped costs a repetition, not the task."""
    ledger, _ = line
    begin(ledger)
    with ledger.engine.connect() as connection:
        mine = connection.scalar(sa.text("SELECT pg_backend_pid()"))
    other = Ledger.connect(ledger.engine.url)
    with other.engine.begin() as connection:
        connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})
    other.close()
    assert ledger.query_starts("acme", "F") is None
    begin(ledger)


@pytest.mark.feature("B2")
def test_an_outcome_waits_for_a_server_that_restarts() -> None:
    """The server goes away with a batch in flight and comes back: the outcome is there."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        server = Postgres(Path(folder) / "pg", durable=False).start()
        try:
            ledger = Ledger.connect(server.url("ledger"), patience=30)
            ledger.upgrade()
            run = begin(ledger)
            decisions = [create("a")]
            batch = sent(ledger, run, decisions)
            port = server.port
            server.stop()
            again = Postgres(Path(folder) / "pg", durable=False, port=port)
            timer = threading.Timer(1.0, again.start)
            timer.start()
            started = time.monotonic()
            ended(ledger, run, decisions, batch, [applied(batch.writes[0])])
            assert time.monotonic() - started > 0.9
            timer.join()
            assert ledger.references("acme", "customers", "crm", ["a"]) == {"a": "Ta"}
            again.stop()
            ledger.patience = 0.5
            with pytest.raises(ConnectionFailure, match=f"The ledger at 127.0.0.1:{port}/ledger") as caught:
                ledger.query_starts("acme", "F")
            assert (server.folder / "password").read_text() not in str(caught.value)
            ledger.close()
        finally:
            server.stop()


@pytest.mark.feature("R15")
def test_what_is_wrong_is_said_without_the_password(ledger: Ledger, new_database: Callable[[str], str]) -> None:
    """Down, a wrong password, a missing database, missing tables, another product: each by its name and class."""
    url = ledger.engine.url
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        cases: list[tuple[sa.URL, type[InterWeaveError], str]] = [
            (url.set(host="127.0.0.1", port=port), ConnectionFailure, "does not answer"),
            (url.set(password="wrong-one"), FixConfiguration, "does not let us in"),
            (url.set(database="nowhere"), FixConfiguration, "does not let us in"),
            (sa.make_url(new_database("empty")), FixConfiguration, "is not set up"),
        ]
        for place, kind, message in cases:
            bad = Ledger.connect(place, patience=0.2)
            with pytest.raises(kind, match=message) as caught:
                bad.query_starts("acme", "F")
            assert str(place.password) not in str(caught.value)
            assert caught.value.__cause__ is None
            bad.close()
    for text in ("sqlite:///x.db", "no url", "mysql://u:secret@h/d"):
        with pytest.raises(FixConfiguration) as caught:
            Ledger.connect(text)
        assert "secret" not in str(caught.value)


@pytest.mark.feature("R15")
@pytest.mark.parametrize(
    ("said", "statement", "kind"),
    [
        ("SSL connection has been closed unexpectedly", "SELECT 1", ConnectionFailure),
        ("server closed the connection unexpectedly", "COMMIT", ConnectionFailure),
        ("FATAL:  the database system is starting up", None, ConnectionFailure),
        ('FATAL:  role "x" does not exist', None, FixConfiguration),
        ("server does not support SSL, but SSL was required", None, FixConfiguration),
    ],
)
def test_an_outage_is_told_from_a_wrong_setting(
    ledger: Ledger, said: str, statement: str | None, kind: type[InterWeaveError]
) -> None:
    """What the driver says when a line breaks is waited for; what it says of a wrong setting is not."""
    error = sa.exc.OperationalError(statement, None, psycopg2.OperationalError(f"{said}\nmore"))
    found = ledger._error(error)
    assert type(found) is kind
    assert "more" not in str(found)


def test_values_do_not_show_in_errors(ledger: Ledger) -> None:
    """An error of the database names no customer's data."""
    run = begin(ledger)
    with ledger.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE iw_log ADD CONSTRAINT no_bob CHECK (label <> 'Bob Miller')"))
    try:
        with pytest.raises(InterWeaveError) as caught:
            ledger.record(run, [quiet(Action.SKIP, "a", label="Bob Miller")])
        assert "Bob" not in repr(caught.value)
        assert caught.value.__suppress_context__
    finally:
        with ledger.engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE iw_log DROP CONSTRAINT no_bob"))


def test_a_made_up_commit_is_not_believed(ledger: Ledger) -> None:
    """A transaction number that the server has never given counts as not committed."""
    begin(ledger)
    assert not ledger._committed(str(2**50))
    with ledger.engine.begin() as connection:
        number = connection.scalar(sa.text("SELECT pg_current_xact_id()::text"))
        with pytest.raises(ConnectionFailure, match="not finished"):
            ledger._committed(number)
    assert ledger._committed(number)


def test_made_records_are_there_for_others_at_once(ledger: Ledger) -> None:
    """What one process has committed, another one reads."""
    made(ledger, begin(ledger), "a")
    other = Ledger.connect(ledger.engine.url)
    assert other.references("acme", "customers", "crm", ["a"]) == {"a": "Ta"}
    other.close()
