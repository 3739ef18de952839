"""How long the API server takes for the Integration Manager's pages: 500 flows, a log of a million rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from iw_operators.ledger.store import Ledger
from tests.figures.noting import Figures
from tests.manager.conftest import (  # noqa: F401  fixtures of this test
    COMPANY,
    MAPPING,
    People,
    airflow_app,
    metadata,
    orm,
    people,
)
from tests.yardstick import slowness

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

pytestmark = [pytest.mark.figures, pytest.mark.long, pytest.mark.ledger, pytest.mark.feature("R11")]

FLOWS = 500
RUNS = 100_000
ROWS = 1_000_000
FAILURES = 20_000
SECONDS = 0.3
STATEMENTS = 25  # on both databases together
TRIES = 12
PAGES = {
    "monitor": "/",
    "flows": "/c/acme",
    "flows.live": "/c/acme/live?known=nothing",
    "flow": "/flow/acme.CRAcct2QBCust001",
    "records": "/c/acme/records",
    "records.rejected": "/c/acme/records?state=rejected",
    "records.flow": "/c/acme/records?flow=CRAcct2QBCust002&state=updated",
    "records.text": "/c/acme/records?text=Name+999",
    "records.record": "/c/acme/records?record=S4242",
    "record": "/c/acme/records/500000",
    "failures": "/c/acme/failures",
}


@pytest.fixture(scope="session")
def specs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Specs of one company with 500 flows."""
    folder = tmp_path_factory.mktemp("many") / "acme"
    folder.mkdir()
    (folder / "company.yaml").write_text(COMPANY.format(name="acme"))
    (folder / "customers.yaml").write_text(MAPPING + "utilities: false\n")
    lines = [f"  CRAcct2QBCust{n:03}: {{mappings: [customers], direction: to_books}}" for n in range(FLOWS)]
    (folder / "flows.yaml").write_text("\n".join(["flows:", *lines]))
    return folder.parent


@pytest.fixture
def a_year(people: People, metadata: Session, ledger: Ledger) -> Iterator[People]:  # noqa: F811  the fixtures above
    """People in front of a company of 500 flows after a year; every other flow is on."""
    metadata.execute(sa.text("UPDATE dag SET is_paused = false WHERE dag_id LIKE '%2' OR dag_id LIKE '%4'"))
    metadata.commit()
    sizes = {"flows": FLOWS, "runs": RUNS, "rows": ROWS, "failures": FAILURES}
    with ledger.engine.begin() as connection:
        for each in LEDGER:
            names = {name: value for name, value in sizes.items() if f":{name}" in each}
            connection.execute(sa.text(each), names)
    with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("ANALYZE"))
    yield people
    with ledger.engine.begin() as connection:  # much faster than deleting the rows one by one
        connection.execute(sa.text("TRUNCATE iw_log, iw_failure, iw_run CASCADE"))


FLOW = "'CRAcct2QBCust' || lpad((n % :flows)::text, 3, '0')"
COUNTS = """'{"created": 3, "updated": 5, "unchanged": 2}'::json"""
LEDGER = (
    "INSERT INTO iw_run (company, flow, dag_run_id, kind, direction, attempt, state, started_at, ended_at) "  # noqa: S608  constants
    f"SELECT 'acme', {FLOW}, 'r' || n, 'scheduled', 'to_books', 1, 'success', "
    "now() - (:runs - n) * interval '5 min', now() - (:runs - n) * interval '5 min' + interval '9 s' "
    "FROM generate_series(1, :runs) n",
    "INSERT INTO iw_run_mapping (run_id, mapping, attempt, company, fingerprint, read, counts, balanced) "  # noqa: S608  constants
    f"SELECT id, 'customers', 1, 'acme', 'f', 10, {COUNTS}, true FROM iw_run",
    "INSERT INTO iw_query_start (company, flow, value) "  # noqa: S608  constants
    f"SELECT 'acme', {FLOW}, now() FROM generate_series(0, :flows - 1) n",
    "INSERT INTO iw_log (company, flow, run_id, mapping, fingerprint, attempt, side, source_id, label, operation, "  # noqa: S608  constants
    "action, why, changes, candidates, awaits, standing, code, at) "
    f"SELECT 'acme', {FLOW}, (SELECT min(id) FROM iw_run) + n % :runs, 'customers', 'f', 1, 'crm', 'S' || n % 50000, "
    "'Name ' || n, 'none', (ARRAY['unchanged','unchanged','updated','created','rejected'])[1 + n % 5], 'because', "
    "'[]', '[]', '[]', 'counted', CASE WHEN n % 5 = 4 THEN 'iw.characters' ELSE '' END, "
    "now() - (:rows - n) * interval '30 s' FROM generate_series(1, :rows) n",
    "INSERT INTO iw_failure (company, mapping, side, source_id, state, action, flow, fingerprint, run_id, awaits, "  # noqa: S608  constants
    "version, last_at) "
    f"SELECT 'acme', 'customers', 'crm', 'S' || n, CASE WHEN n % 10 = 0 THEN 'open' ELSE 'fixed' END, 'rejected', "
    f"{FLOW}, 'f', (SELECT min(id) FROM iw_run), '[]', '', now() - n * interval '1 min' "
    "FROM generate_series(1, :failures) n",
)


def test_pages_come_at_once(a_year: People, figures: Figures) -> None:
    """Every page costs at most 0.3 s of the server's time, and a few statements, however much there is."""
    from airflow import settings

    from iw_operators.manager import world

    browser: Any = a_year.browser("ada")
    for name, path in PAGES.items():
        took = []
        for _ in range(TRIES):
            began = time.perf_counter()
            answer = browser.get(f"/iwmgr{path}")
            took.append(time.perf_counter() - began)
            assert answer.status_code == 200, (path, answer.text)
        what = f"page {path} with {FLOWS} flows and {ROWS:,} rows"
        slow = slowness(time.perf_counter)
        figures.note(f"page.{name}", min(took), "s", what, at_most=SECONDS, slowness=slow)
    statements: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    engines = (world.ledger().engine, settings.engine)
    for engine in engines:
        sa.event.listen(engine, "before_cursor_execute", count)
    page = browser.get("/iwmgr/c/acme").text
    for engine in engines:
        sa.event.remove(engine, "before_cursor_execute", count)
    assert page.count('<tr id="flow-') == FLOWS
    figures.note("page.flows.statements", len(statements), "", "statements for the two tables", at_most=STATEMENTS)
