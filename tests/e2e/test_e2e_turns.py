"""Turns, stops and maintenance on a real Airflow with several workers: who worked when, and what a stop leaves."""

from __future__ import annotations

import datetime as dt
import itertools
import uuid
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import sqlalchemy as sa

from iw_operators.ledger.tables import run as run_table
from iw_operators.ledger.tables import run_mapping
from tests.e2e.running import BOOKS, Run, Site, title, until

pytestmark = [pytest.mark.e2e, pytest.mark.feature("R4", "R5"), pytest.mark.timeout(500)]

SCHEDULED = ("CRAcctOpp2QBCustInv", "QBCustInvoices2CRAcctOpp", "QBItem2CRProd", "QBPmt2CRPmt")
OUT = SCHEDULED[0]
TO_CRM, TO_BOOKS = "QBCust2CRAcctNF", "CRAcct2QBCustNF"
LOAD = "QBItem2CRProdDR"
WRITE = "requestid="  # what tells a batch that writes from one that reads
POOL = "/pools/iw_acme"


def now(site: Site) -> dt.datetime:
    """Return the time by the ledger's clock."""
    with site.stack.ledger.engine.connect() as connection:
        found: dt.datetime = connection.scalar(sa.text("SELECT clock_timestamp()"))
    return found


@pytest.fixture
def several(site: Site) -> Iterator[None]:
    """Four slots for acme's tasks, so that they could work side by side, where one is the default."""
    body = {"pool": "iw_acme", "slots": 4, "include_deferred": False}
    site.airflow.api("PATCH", POOL, json=body).raise_for_status()
    yield
    site.airflow.api("PATCH", POOL, json={**body, "slots": 1}).raise_for_status()


@pytest.fixture(autouse=True)
def no_maintenance(site: Site) -> Iterator[None]:
    """A maintenance that a test has left behind is over for the next one."""
    yield
    if found := site.stack.ledger.end_maintenance("acme", "a test"):
        for dag_id in found.flows:
            site.airflow.unpause(dag_id)


def turns_of(site: Site, flow: str) -> list[str]:
    """Return the states of a flow's turns."""
    return [turn.state for turn in site.stack.ledger.turns("acme") if turn.flow == flow]


def sale(site: Site, word: str) -> tuple[str, str]:
    """Make an account with a won opportunity; return its name and its id."""
    name = f"{word} {uuid.uuid4().hex[:8]}"
    return name, site.crm.sale(name, [100])[0]


def slow(site: Site, seconds: float) -> None:
    """Let the books take their time with the next write."""
    fault = {"kind": "slow", "match": WRITE, "seconds": seconds, "times": 1}
    site.stack.control(BOOKS, "faults", fault)


def on(site: Site) -> set[str]:
    """Return acme's flows that are switched on."""
    found = site.airflow.get("/dags", params={"tags": ["acme"], "limit": 100, "paused": "false"})["dags"]
    return {dag["dag_id"].partition(".")[2] for dag in found} - {"Maintenance", "DailyReport"}


def triggered(site: Site, load: str, times: int) -> list[Run]:
    """Trigger runs at once, six for each of `times`: of scheduled flows, single records, and a backfill of windows."""
    names = {
        TO_CRM: site.books.rows("Customer", "WHERE Active = true")[0]["FullyQualifiedName"],
        TO_BOOKS: site.crm.rows("Account", filter="UsrQBId ne '' and UsrQBId ne null", top="1")[0]["Id"],
    }
    for flow in (*SCHEDULED, *names, load):
        site.airflow.unpause(f"acme.{flow}")
    last = f"2026-01-{4 + max(2, times - 1):02}T23:00:00Z"
    window = {"from_date": "2026-01-05T00:00:00Z", "to_date": last, "max_active_runs": 3}
    body = {"dag_id": f"acme.{load}", "run_backwards": False, "dag_run_conf": {}, "reprocess_behavior": "none"}
    site.airflow.api("POST", "/backfills", json={**body, **window}).raise_for_status()
    flows = [*SCHEDULED * times, *[*names] * ((times + 1) // 2)]
    mixed = [flows[number] for number in sorted(range(len(flows)), key=lambda number: number % 7)]
    confs = {flow: {"full_name": name} for flow, name in names.items()}
    made = [Run(f"acme.{flow}", site.airflow.trigger(f"acme.{flow}", confs.get(flow)), "") for flow in mixed]
    runs = site.airflow.runs(f"acme.{load}")
    return [*made, *(Run(f"acme.{load}", run["dag_run_id"], "") for run in runs if run["run_type"] == "backfill")]


def worked(site: Site, since: dt.datetime) -> list[Any]:
    """Return when each mapping of acme was worked on, as the tasks themselves have noted it."""
    m, r = run_mapping.c, run_table.c
    query = (
        sa.select(r.flow, r.kind, r.dag_run_id, m.started_at, m.ended_at)
        .join_from(run_mapping, run_table, m.run_id == r.id)
        .where(r.company == "acme", m.started_at >= since)
    )
    with site.stack.ledger.engine.connect() as connection:
        return list(connection.execute(query))


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize("rounds", [2, pytest.param(5, marks=pytest.mark.long)], ids=["twelve", "thirty"])
def test_many_runs_at_once_never_overlap(site: Site, rounds: int) -> None:
    """Scheduled runs work or are skipped, utility runs work one at a time, and nobody works beside one of them."""
    since, ledger = now(site), site.stack.ledger
    starts = {flow: ledger.query_starts("acme", flow) for flow in SCHEDULED}
    runs = triggered(site, LOAD, rounds)
    assert len(runs) >= 6 * rounds
    until(lambda: all(_ended(site, run) for run in runs), "all runs to end", 300)
    rows = {run: site.row(run) for run in runs}
    utility = [run for run in runs if rows[run].kind not in ("scheduled", "Q")]
    assert len(utility) >= 2 * rounds
    assert [(rows[run].flow, rows[run].error) for run in utility if rows[run].state != "success"] == []
    outcomes = {rows[run].state for run in runs if run not in utility}
    assert outcomes <= {"success", "skipped"}
    assert "skipped" in outcomes
    for run in runs:
        if rows[run].state == "skipped":
            assert rows[run].error.startswith("It is not its turn: "), rows[run].error
            assert {task["state"] for task in site.tasks(run).values()} == {"skipped"}
    for flow in SCHEDULED:  # moved by runs that did their work, and by nothing else
        done = [r.until for r in rows.values() if r.flow == flow and r.state == "success"]
        assert ledger.query_starts("acme", flow) == max([*done, starts[flow]])
    times = worked(site, since)
    assert {each.flow for each in times} >= {TO_CRM, TO_BOOKS, LOAD}
    for one, other in itertools.combinations(times, 2):
        if (one.kind != "scheduled" or other.kind != "scheduled") and one.dag_run_id != other.dag_run_id:
            assert one.ended_at <= other.started_at or other.ended_at <= one.started_at, (one, other)
    past = ledger.turn_history("acme", since=since)
    for one, other in itertools.combinations(past, 2):
        if "utility" in (one.role, other.role):
            assert one.ended_at <= other.taken_at or other.ended_at <= one.taken_at, (one, other)
    assert ledger.turns("acme") == []


def _ended(site: Site, run: Run) -> bool:
    return site.airflow.get(run.path)["state"] in ("success", "failed")


def test_paused_in_the_middle_ends_its_page_and_loses_nothing(site: Site) -> None:
    """Airflow's own switch: the page is ended, the run stopped, its turn free; started again it all goes on."""
    name, account = sale(site, "Paused")
    starts = site.stack.ledger.query_starts("acme", OUT)
    slow(site, 5)
    run = site.start(OUT)
    until(lambda: "slow" not in site.stack.control(BOOKS, "stats")["faults"], "the write to arrive")
    site.airflow.unpause(run.dag_id, paused=True)
    row = until(lambda: (found := site.row(run)).state == "stopped" and found, "the page to be ended")
    assert row.error == f"{run.dag_id} was switched off."
    assert turns_of(site, OUT) == []
    (customer,) = site.books.rows("Customer", f"WHERE DisplayName = '{name}'")
    assert site.stack.ledger.references("acme", "customers", "crm", [account]) == {account: customer["Id"]}
    assert site.airflow.get(run.path)["state"] == "running"  # frozen
    site.airflow.unpause(run.dag_id)
    assert site.finish(run).state == "success"
    assert site.tasks(run)["report"]["state"] == "skipped"
    assert site.row(run).state == "stopped"
    assert site.stack.ledger.query_starts("acme", OUT) == starts
    assert site.run(OUT).state == "success"
    assert len(site.books.rows("Invoice", f"WHERE CustomerRef = '{customer['Id']}'")) == 1


def test_a_killed_holder_and_a_maintenance(site: Site) -> None:
    """The maintenance stops all flows, waits until the dead one's turn is free, within a minute, and starts the same
    flows again; the killed task then does its work once.
    """
    name, account = sale(site, "Killed")
    slow(site, 8)
    site.airflow.unpause(f"acme.{SCHEDULED[3]}", paused=True)
    run = site.start(TO_BOOKS, {"full_name": account})
    before = on(site)
    until(lambda: "slow" not in site.stack.control(BOOKS, "stats")["faults"], "the write to arrive")
    task = site.task_process()
    killed = now(site)
    for process in (task.parent(), task):
        process.kill()
    maintenance = Run("acme.Maintenance", site.airflow.trigger("acme.Maintenance", {"why": "new file"}), "")
    until(lambda: site.stack.ledger.maintenance("acme"), "the maintenance to begin")
    assert on(site) == set()
    assert site.tasks(maintenance)["work_alone"]["state"] is None
    until(lambda: site.tasks(maintenance)["work_alone"]["state"] == "awaiting_input", "it to be safe")
    assert dt.timedelta(seconds=30) < now(site) - killed < dt.timedelta(seconds=75)
    until(lambda: not any(title(child) for worker in _workers(site) for child in worker.children()), "tasks to be gone")
    found = site.stack.ledger.maintenance("acme")
    assert found is not None
    assert (set(found.flows), found.why) == ({f"acme.{flow}" for flow in before}, "new file")
    shown = site.airflow.cli("iw", "maintenance", "status", "acme")
    assert (shown.returncode, "acme: safe: nothing is connected" in shown.stdout) == (0, True), shown.stderr[-1000:]
    assert "acme.CRAcct2QBCustNF manual__" in shown.stdout  # what is held up
    answer = {"chosen_options": ["The maintenance is over"], "params_input": {}}
    path = f"{maintenance.path}/taskInstances/work_alone/-1/hitlDetails"
    site.airflow.api("PATCH", path, json=answer).raise_for_status()
    assert site.finish(maintenance).state == "success"
    until(lambda: on(site) == before, "the flows to be switched on again", 20)
    assert [deed.what for deed in site.stack.ledger.deeds("acme", limit=2)] == [
        "ended maintenance",
        "began maintenance",
    ]
    assert site.finish(run).state == "success"
    assert len(site.books.rows("Customer", f"WHERE DisplayName = '{name}'")) == 1
    site.airflow.unpause(f"acme.{SCHEDULED[3]}")


def _workers(site: Site) -> list[Any]:
    everyone = psutil.Process(site.airflow.process.pid).children(recursive=True)
    return [each for each in everyone if "LocalExecutor" in title(each)]


@pytest.mark.feature("R7")
def test_a_connection_failure_stops_the_scheduled_flows(site: Site) -> None:
    """Where the company's policy says so: when the run has ended, the flow is switched off, and the log says why."""
    run = site.finish(site.start("QBItem2CRProd", company="down"))
    assert run.state == "failed"
    until(lambda: site.airflow.get(f"/dags/{run.dag_id}")["is_paused"], "the flow to be switched off", 20)
    (deed,) = site.stack.ledger.deeds("down", limit=1)
    assert (deed.by, deed.what) == ("InterWeave", "stopped all scheduled flows")
    assert "could not connect" in deed.detail["why"]
