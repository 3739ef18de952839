"""First binding on a real Airflow: the sheet, a person's word over the REST API, and just what was approved."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import Run, Site, until

pytestmark = [pytest.mark.e2e, pytest.mark.feature("P4", "M1", "R1")]

FLOW = "CRAcct2QBCustBind"
READING = 3.0  # seconds that a person takes; Airflow may lose an answer that comes before the asking process has ended


def put_both(site: Site, name: str, other: str, phone: str) -> tuple[str, str]:
    """Make an account and a customer that belong together and do not know it; return both ids."""
    account = site.crm.create("Account", Name=name, Phone=phone, UsrActive=True)
    customer = site.books.create("Customer", DisplayName=other, PrimaryPhone={"FreeFormNumber": phone})
    return account, customer


def partner(site: Site, account: str) -> str:
    """Return the books' id that an account holds."""
    return str(site.crm.one("Account", filter=f"Id eq {account}")["UsrQBId"] or "")


def waiting(site: Site, run: Run) -> bool:
    """Return whether the run waits for a person."""
    return bool(site.tasks(run)["review"]["state"] == "awaiting_input")


def answer(site: Site, run: Run, option: str, user: str = "admin") -> Any:
    """Answer the approval."""
    body = {"chosen_options": [option], "params_input": {"exact": True}}
    return site.airflow.api("PATCH", f"{run.path}/taskInstances/review/-1/hitlDetails", user=user, json=body)


def test_nothing_is_bound_before_the_approval_and_then_what_was_approved(site: Site, tmp_path: Path) -> None:
    """The run waits without a turn; exact rows go with the approval, a candidate by CSV, the rest stays as it was."""
    exact = put_both(site, "ZZZ Bind Exact", "ZZZ Bind Exact", "(617) 555-0142")
    near = put_both(site, "ZZZ Bind Near, Inc.", "ZZZ BIND NEAR", "(617) 555-0143")
    left = put_both(site, "ZZZ Bind Left Ltd", "ZZZ bind left", "(617) 555-0144")
    run = site.start(FLOW)
    until(lambda: waiting(site, run), "the approval")
    assert [partner(site, account) for account, _ in (exact, near, left)] == ["", "", ""]
    assert site.stack.ledger.turns("acme") == []
    detail = site.airflow.get(f"{run.path}/taskInstances/review/-1/hitlDetails")
    assert "airflow iw review acme CRAcct2QBCustBind" in detail["body"]
    assert "ZZZ" not in detail["body"]

    sheet = tmp_path / "sheet.csv"
    exported = site.airflow.cli("iw", "review", "acme", FLOW, "--csv", str(sheet))
    assert exported.returncode == 0, exported.stderr
    rows = list(csv.DictReader(io.StringIO(sheet.read_text("utf-8-sig"))))
    found = {row["record"]: row for row in rows}
    assert found[exact[0]]["finding"] == "exact"
    assert (found[near[0]]["finding"], found[near[0]]["partner"].lstrip("'")) == ("candidate", near[1])
    found[near[0]]["decision"] = "approve"
    with sheet.open("w", encoding="utf-8", newline="") as stream:
        made = csv.DictWriter(stream, rows[0].keys())
        made.writeheader()
        made.writerows(rows)
    imported = site.airflow.cli("iw", "review", "acme", FLOW, "--import", str(sheet))
    assert "1 row decided" in imported.stdout, imported.stderr

    assert answer(site, run, "Approve", user="view").status_code == 403
    assert partner(site, exact[0]) == ""
    assert answer(site, run, "Approve").status_code == 200
    done = site.finish(run)
    assert done.state == "success"
    assert [partner(site, account) for account, _ in (exact, near, left)] == [exact[1], near[1], ""]
    bound = site.stack.ledger.references("acme", "customers", "crm", [exact[0], near[0], left[0]])
    assert bound == {exact[0]: exact[1], near[0]: near[1]}


def test_a_refused_sheet_writes_nothing(site: Site) -> None:
    """Reject ends the run well and leaves both systems as they were."""
    account, _ = put_both(site, "ZZZ Bind Refused", "ZZZ Bind Refused", "(617) 555-0145")
    run = site.start(FLOW)
    until(lambda: waiting(site, run), "the approval")
    time.sleep(READING)
    assert answer(site, run, "Reject").status_code == 200
    done = site.finish(run)
    assert done.state == "success"
    assert site.tasks(run)["bind"]["state"] == "skipped"
    assert partner(site, account) == ""
    assert site.row(run).state == "success"
