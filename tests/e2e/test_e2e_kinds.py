"""Kinds of flows on a real Airflow: a long load that is killed and goes on, the counter, and hours of sleep."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from contextlib import contextmanager
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from iw_operators.ledger.tables import run_mapping
from iw_operators.spec.loader import load_company
from tests.e2e.running import CRM, Run, Site, until

pytestmark = [pytest.mark.e2e, pytest.mark.feature("R1")]

LOAD = "CRAcct2QBCustDRS"
COUNTED = "QBItem2CRProd"
BATCH = 10
PAGE_SECONDS = 1.5  # how long a page's reading takes, so that the load can be met in the middle


@contextmanager
def said(site: Site, file: str, old: str, new: str) -> Iterator[None]:
    """Change a spec for the length of a with-block."""
    path = site.stack.mappings / "acme" / file
    before = path.read_text()
    assert re.search(old, before), f"{old} stands nowhere in {file}"
    path.write_text(re.sub(old, new, before, count=1))
    try:
        _, errors = load_company(path.parent)
        assert errors == []
        yield
    finally:
        path.write_text(before)


def progress(site: Site, run: Run) -> list[sa.Row[tuple[object, ...]]]:
    """Return the attempts of a run's mappings, in order."""
    query = sa.select(run_mapping).where(run_mapping.c.run_id == site.row(run).id).order_by(run_mapping.c.attempt)
    with site.stack.ledger.engine.connect() as connection:
        return list(connection.execute(query))


@pytest.mark.feature("R3", "R14")
def test_a_load_that_is_killed_goes_on_where_it_was(site: Site) -> None:
    """One run with a window and a batch size, killed in the middle: its retry reads on from the last recorded page."""
    accounts = site.crm.rows("Account", orderby="ModifiedOn")
    zone = ZoneInfo(site.spec.company.time_zone)
    first = dt.datetime.fromisoformat(accounts[0]["ModifiedOn"]).astimezone(zone)
    form = {"start": first.date().isoformat(), "end": "2099-01-01", "batch_size": BATCH}
    site.stack.control(CRM, "faults", {"kind": "slow", "match": "/odata/Account", "seconds": PAGE_SECONDS, "times": -1})
    run = site.start(LOAD, form)
    until(lambda: any((row._mapping["done"] or 0) >= 2 * BATCH for row in _rows(site, run)), "two pages", 180)
    site.task_process().kill()
    site.stack.control(CRM, "faults", {"clear": True})
    done = site.finish(run)
    attempts = [row._mapping for row in progress(site, run)]
    assert done.state == "success"
    assert len(attempts) == 2
    killed, went_on = attempts
    assert killed["ended_at"] is None
    assert went_on["read"] < len(accounts) - BATCH
    assert went_on["reached"] >= killed["reached"]
    assert went_on["total"] >= went_on["done"] >= len(accounts)
    assert site.counts(run)["customers"]["read"] >= len(accounts)
    told = [event for event in site.events(run, "customers", 2) if event["event"] == "progress"]
    assert told[-1]["done"] == went_on["done"]
    assert told[-1]["seconds_left"] == 0
    (going_on,) = [event for event in site.events(run, "customers", 2) if event["event"] == "going on"]
    assert going_on["done"] == killed["done"]


def _rows(site: Site, run: Run) -> list[sa.Row[tuple[object, ...]]]:
    company, flow = run.dag_id.split(".")
    found = site.stack.ledger.find_run(company, flow, run.run_id)
    return progress(site, run) if found is not None else []


@pytest.mark.feature("R6")
def test_a_flow_stops_itself_after_its_last_run(site: Site) -> None:
    """A flow that is to complete one run is switched off when it has, and its counter says so."""
    dag_id = f"acme.{COUNTED}"
    head = rf"  {COUNTED}:\n"
    with said(site, "flows.yaml", head, head.replace("\\n", "\n") + "    executions: 1\n"):
        run = site.run(COUNTED)
        assert run.state == "success"
        until(lambda: site.airflow.get(f"/dags/{dag_id}")["is_paused"], "the flow to stop itself")
        assert site.stack.ledger.run_count("acme", COUNTED).completed == 1
    site.airflow.unpause(dag_id)


@pytest.mark.feature("R6")
def test_no_run_works_while_the_company_sleeps(site: Site) -> None:
    """In the sleep window a run ends as skipped with the reason, and Query Starts stays where it was."""
    zone = ZoneInfo(site.spec.company.time_zone)
    now = dt.datetime.now(zone)
    window = [(now + dt.timedelta(hours=hours)).strftime("%H:%M") for hours in (-1, 1)]
    starts = site.stack.ledger.query_starts("acme", COUNTED)
    line = f'sleep_window: {{from: "{window[0]}", to: "{window[1]}"}}\n'
    with said(site, "company.yaml", r"\Z", line):
        run = site.run(COUNTED)
    assert site.row(run).state == "skipped"
    until_utc = (now + dt.timedelta(hours=1)).astimezone(dt.UTC)
    assert f"acme sleeps until {until_utc:%Y-%m-%d %H:%M} UTC" in site.row(run).error
    assert site.tasks(run)["items"]["state"] == "skipped"
    assert site.stack.ledger.query_starts("acme", COUNTED) == starts
    assert site.run(COUNTED).state == "success"
