"""Long loads between both sandboxes: killed anywhere, they go on, and nothing is missing or double."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
import structlog

from iw_operators.ledger.store import Ledger
from iw_operators.ledger.tables import run_mapping
from iw_operators.named import Named
from sandbox.seed import acme
from tests.flows.conftest import OLD
from tests.killing import killed_at
from tests.stage import Stage, stage

pytestmark = [pytest.mark.sandbox, pytest.mark.ledger, pytest.mark.feature("R1", "R3")]

COUNT = 45
PAGE = 10
N, DRS, NFS = "CRAcct2QBCustN", "CRAcct2QBCustDRS", "CRAcct2QBCustNFS"
BACK = "QBCust2CRAcctDRS"


@pytest.fixture
def made(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A company with some accounts that are sold to, and no customers yet."""
    with stage(acme.plain(COUNT, won=True), ledger, monkeypatch.setenv) as found:
        yield found


def customers(made: Stage) -> int:
    """Return how many customers the books have."""
    return int(made.books_sandbox.store.count_all()["Customer"])


def attempts(made: Stage) -> list[dict[str, object]]:
    """Return the attempts of the latest run."""
    query = sa.select(run_mapping).order_by(run_mapping.c.run_id.desc(), run_mapping.c.attempt)
    with made.ledger.engine.connect() as connection:
        rows = [dict(row._mapping) for row in connection.execute(query)]
    return [row for row in rows if row["run_id"] == rows[0]["run_id"]]


@pytest.mark.parametrize("flow", [N, DRS])
@pytest.mark.parametrize(
    "point", ["after_call", "after_outcomes", "after_write_back_call", "after_page", "after_progress"]
)
def test_a_killed_load_goes_on(made: Stage, flow: str, point: str) -> None:
    """Killed in the middle of the third page, its next attempt reads on from there, and each account has a customer."""
    window = None if flow == N else (OLD - dt.timedelta(days=5000), dt.datetime.now(dt.UTC))
    with killed_at(point, 3):
        made.run(flow, window=window, page_size=PAGE)
    made.run(flow, window=window, attempt=2, page_size=PAGE)
    assert customers(made) == COUNT
    bound = made.ledger.bindings("acme", "customers", "crm", [a.id for a in acme.plain(COUNT, won=True).accounts])
    assert len(bound) == COUNT
    first, second = attempts(made)
    assert first["reached"] is not None
    assert isinstance(second["read"], int)
    assert second["read"] < COUNT


@pytest.mark.feature("R14")
def test_progress_is_that_of_the_vendors_own_count(made: Stage) -> None:
    """The total is what Creatio, or QuickBooks Online, counts; at the end all of it is done."""
    with structlog.testing.capture_logs() as events:
        made.run(N, page_size=PAGE)
    first = next(event for event in events if event["event"] == "progress")
    assert (first["done"], first["total"]) == (PAGE, COUNT)
    with structlog.testing.capture_logs() as events:
        made.run(BACK, window=(OLD - dt.timedelta(days=1), dt.datetime.now(dt.UTC) + dt.timedelta(minutes=5)))
    told = [event for event in events if event["event"] == "progress"]
    assert (told[-1]["done"], told[-1]["total"]) == (COUNT, COUNT)


def test_new_records_alone_are_brought_over_the_second_time(made: Stage) -> None:
    """A second N finds everything bound and leaves it alone."""
    made.run(N)
    again = made.run(N)["customers"]
    assert (again.read, again.counts) == (0, {})
    assert attempts(made)[0]["done"] == COUNT


def test_named_records_go_alone(made: Stage) -> None:
    """Names and ids of a list are found by the vendor, and nothing else goes."""
    accounts = acme.plain(COUNT, won=True).accounts
    done = made.run(NFS, only=Named((accounts[3].name, accounts[5].id), (accounts[7].id,)))["customers"]
    assert done.counts == {"created": 3}
    assert customers(made) == 3
