"""The flows that people start: one record by its name, and a range of dates by Airflow's own backfill."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.e2e.running import Run, Site, until

pytestmark = [pytest.mark.e2e, pytest.mark.feature("R1")]

NF = "QBCust2CRAcctNF"
DR = "CRAcct2QBCustDR"
DAYS = 3


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({}, "full_name"),
        ({"full_name": ""}, "does not match"),
        ({"full_name": "   "}, "does not match"),
        ({"full_name": "x" * 501}, "is too long"),
        ({"full_name": 5}, "is not of type 'string'"),
    ],
)
def test_a_wrong_parameter_is_refused(site: Site, conf: dict[str, Any], words: str) -> None:
    """A run for one record does not begin with a parameter that is missing, empty, too long or no text."""
    site.airflow.unpause(f"acme.{NF}")
    body = {"logical_date": None, "conf": conf}
    answer = site.airflow.api("POST", f"/dags/acme.{NF}/dagRuns", json=body)
    assert answer.status_code == 400, answer.text
    assert re.search(words, answer.json()["detail"]), answer.text
    assert "full_name" in answer.json()["detail"]


def test_one_record_goes_alone(site: Site) -> None:
    """With a customer's full name, that customer goes to its account, and the one beside it stays as it was."""
    bound = site.crm.rows("Account", filter="UsrQBId ne '' and UsrQBId ne null", orderby="Name", top="40")
    customers = {row["Id"]: row for row in site.books.rows("Customer")}
    one, beside = [row for row in bound if row["UsrQBId"] in customers and not row["Notes"]][:2]
    for account in (one, beside):
        site.books.change("Customer", customers[account["UsrQBId"]], Notes="changed in the books")
    run = site.run(NF, {"full_name": customers[one["UsrQBId"]]["FullyQualifiedName"]})
    assert run.state == "success"
    assert site.counts(run) == {"customers": {"read": 1, "updated": 1}}
    assert site.crm.one("Account", filter=f"Id eq {one['Id']}")["Notes"] == "changed in the books"
    assert site.crm.one("Account", filter=f"Id eq {beside['Id']}")["Notes"] == ""


def test_a_record_that_is_not_there_fails_the_run(site: Site) -> None:
    """A name that the books do not have fails the run, and log and ledger say what to check; no retry is made."""
    run = site.run(NF, {"full_name": "Nobody of this name"})
    assert run.state == "failed"
    assert site.tasks(run)["customers"]["try_number"] == 1
    error = site.row(run).error
    assert "no Customer with the full name or id that was asked for" in error
    assert "Check spelling" in error


@pytest.mark.feature("R3", "R2")
def test_a_backfill_goes_through_its_windows_in_order(site: Site) -> None:
    """`airflow backfill create` makes one run a day, one after the other; each reads its own window, no more."""
    zone = ZoneInfo(site.spec.company.time_zone)
    untouched = [row for row in site.crm.rows("Account") if not row["UsrQBId"]]
    sold = next(row for row in untouched if re.fullmatch(r"[A-Za-z .]+", row["Name"]))
    first = _modified(sold).astimezone(zone).date() - dt.timedelta(1)
    windows = [_midnight(first + dt.timedelta(number), zone) for number in range(DAYS + 1)]
    site.crm.sell(sold["Id"], "order in the backfill", [100])
    accounts, contacts, opportunities = (site.crm.rows(each) for each in ("Account", "Contact", "Opportunity"))
    starts = {name: site.stack.ledger.query_starts("acme", name) for name in site.spec.flows}

    site.airflow.unpause(f"acme.{DR}")
    made = site.airflow.cli(
        *("backfill", "create", "--dag-id", f"acme.{DR}"),
        *("--from-date", windows[0].isoformat(), "--to-date", windows[-2].isoformat()),
    )
    assert made.returncode == 0, made.stderr[-2000:]
    runs = until(lambda: _ended(site), "the backfill's runs end", 150)
    assert [run["state"] for run in runs] == ["success"] * DAYS

    for run, since, after in zip(runs, windows[:-1], windows[1:], strict=True):
        assert run["run_type"] == "backfill"
        row = site.stack.ledger.find_run("acme", DR, run["dag_run_id"])
        assert row is not None
        assert site.stack.ledger.window(row) == (since, after)
        read = {entry.source_id for entry in site.stack.ledger.log(company="acme", run_id=row, limit=1000)}
        own, people = ({row["Id"] for row in rows if since <= _modified(row) < after} for rows in (accounts, contacts))
        sales = {row["AccountId"] for row in opportunities if since <= _modified(row) < after}
        # An account may also be read because its primary contact or a sale to it changed.
        assert own <= read <= own | sales | {row["Id"] for row in accounts if row["PrimaryContactId"] in people}
    rows = [site.row(Run(f"acme.{DR}", run["dag_run_id"], run["state"])) for run in runs]
    for earlier, later in itertools.pairwise(rows):
        assert earlier.ended_at <= later.started_at
    assert {name: site.stack.ledger.query_starts("acme", name) for name in site.spec.flows} == starts
    assert site.books.rows("Customer", f"WHERE DisplayName = '{sold['Name']}'")


def _ended(site: Site) -> list[dict[str, Any]] | None:
    runs = sorted(site.airflow.runs(f"acme.{DR}"), key=lambda run: str(run["logical_date"]))
    return runs if len(runs) == DAYS and all(run["state"] in ("success", "failed") for run in runs) else None


def _modified(row: dict[str, Any]) -> dt.datetime:
    return dt.datetime.fromisoformat(row["ModifiedOn"])


def _midnight(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), zone)
