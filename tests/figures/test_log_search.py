"""How long the first page of a search takes in a log of 1,000,000 rows."""

from __future__ import annotations

import datetime as dt
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import sqlalchemy as sa

from iw_operators.ledger.search import LogQuery
from iw_operators.ledger.store import Ledger
from tests.figures.noting import Figures
from tests.yardstick import slowness

pytestmark = [pytest.mark.figures, pytest.mark.long, pytest.mark.ledger, pytest.mark.slow, pytest.mark.feature("R9")]

ROWS, RUNS = 1_000_000, 2_000
FIRST_PAGE = 300.0  # milliseconds
PAGE = 100
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

# What a year leaves: mostly rows that say that nothing was to do, a few hundred rejections, ten flows, five mappings.
# Index entries are made after the rows, which is several times as fast.
_RUNS = """
INSERT INTO iw_run (company, flow, dag_run_id, kind, direction, attempt, state, started_at)
SELECT 'acme', 'Flow' || n % 10, 'r' || n, 'scheduled', 'to_books', 1, 'success', :start + n * interval '4 hours'
FROM generate_series(1, :runs) AS n
"""
_LOG = """
INSERT INTO iw_log (company, flow, run_id, mapping, fingerprint, attempt, side, source_id, target_id, label, operation,
                    action, result, why, changes, code, advice, field, candidates, awaits, standing, batch_key, at)
SELECT 'acme', 'Flow' || run % 10, run, 'mapping' || run % 5, 'f1', 1, 'crm', 'record-' || n % 200000, 'T' || n,
       'Customer ' || n % 200000, 'none',
       CASE WHEN n % 2000 = 0 THEN 'rejected' WHEN n % 50 = 0 THEN 'updated' WHEN n = 7 THEN 'unknown'
            ELSE 'unchanged' END,
       '', 'bound; unchanged since the last sync', '[]', CASE WHEN n % 2000 = 0 THEN 'iw.too_long' ELSE '' END, '', '',
       '[]', '[]', 'counted', '', :start + run * interval '4 hours' + n % 500 * interval '1 millisecond'
FROM (SELECT n, 1 + (n - 1) * :runs / :rows AS run FROM generate_series(1, :rows) AS n) AS numbered
"""


@pytest.fixture(scope="module")
def large(new_database: Callable[[str], str]) -> Iterator[Ledger]:
    """Return a ledger with a million rows of its log."""
    ledger = Ledger.connect(new_database("large_log"))
    ledger.upgrade()
    with ledger.engine.begin() as connection:
        made = connection.execute(
            sa.text(
                "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'iw_log' AND indexname <> 'iw_log_pkey'"
            )
        ).all()
        for name, _ in made:
            connection.execute(sa.text(f'DROP INDEX "{name}"'))
        connection.execute(sa.text(_RUNS), {"runs": RUNS, "start": START})
        connection.execute(sa.text(_LOG), {"rows": ROWS, "runs": RUNS, "start": START})
        for _, definition in made:
            connection.execute(sa.text(definition))
    with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE iw_log"))
    yield ledger
    ledger.close()


SEARCHES = {
    "newest": LogQuery("acme"),
    "flow": LogQuery("acme", flow="Flow3"),
    "run": LogQuery("acme", run_id=17),
    "record": LogQuery("acme", source_id="record-77"),
    "rejected": LogQuery("acme", action="rejected"),
    "rejected_of_flow": LogQuery("acme", flow="Flow3", action="rejected"),
    "unknown": LogQuery("acme", action="unknown"),
    "code": LogQuery("acme", code="iw.too_long"),
    "one_day": LogQuery("acme", since=START + dt.timedelta(days=30), until=START + dt.timedelta(days=31)),
    "mapping": LogQuery("acme", mapping="mapping2"),
    "usual_text": LogQuery("acme", text="customer 1"),
    "rare_text": LogQuery("acme", text="nowhere to be found"),
    "text_of_flow": LogQuery("acme", flow="Flow3", text="nowhere to be found"),
    "no_such_mapping": LogQuery("acme", mapping="nothing"),
}


@pytest.mark.timeout(600)
def test_the_first_page_comes_at_once(large: Ledger, figures: Figures) -> None:
    """Whatever is searched for; half of several tries each, with everything in memory as on a server at work."""
    for name, query in SEARCHES.items():
        what = f"first page ({PAGE} rows) of {ROWS:,} rows of the log, searched by {name.replace('_', ' ')}"
        _timed(figures, f"log.{name}", what, partial(large.log_page, "acme", query, limit=PAGE))


@pytest.mark.timeout(600)
def test_a_page_far_back_is_no_slower_than_the_first(large: Ledger, figures: Figures) -> None:
    """Pages are found by where the one before ended, not by counting."""
    newest = large.log_page("acme", LogQuery("acme", until=START + dt.timedelta(days=20)), limit=1)
    look = partial(large.log_page, "acme", limit=PAGE, before=newest.before)
    assert len(look().rows) == PAGE
    _timed(figures, "log.far_page", f"a page ({PAGE} rows) at the far end of {ROWS:,} rows of the log", look)


def _timed(figures: Figures, name: str, what: str, look: Callable[[], object]) -> None:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        look()
        times.append((time.perf_counter() - began) * 1_000)
    slow = slowness(time.perf_counter)
    figures.note(name, statistics.median(times), "ms", what, at_most=FIRST_PAGE, slowness=slow)
