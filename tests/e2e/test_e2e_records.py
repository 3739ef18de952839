"""A record that is refused, corrected by CSV and done again, by the command line of a real Airflow."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest

from tests.e2e.running import Run, Site

pytestmark = [pytest.mark.e2e, pytest.mark.feature("R10", "R9", "M26")]

FLOW = "CRAcctOpp2QBCustInv"
AGAIN = "CRAcct2QBCustNFS"
GOOD = "Corrected & sons (e2e)"


def iw(site: Site, *words: str, code: int = 0) -> str:
    """Run `airflow iw ...`; return what it printed."""
    done = site.airflow.cli("iw", *words)
    assert done.returncode == code, done.stdout + done.stderr
    return str(done.stdout if code == 0 else done.stderr)


def rewrite(file: Path, source_id: str, **cells: str) -> None:
    """Correct one record's cells, as a spreadsheet with semicolons does."""
    rows = list(csv.DictReader(io.StringIO(file.read_bytes().decode("utf-8-sig"), newline="")))
    (row,) = [row for row in rows if row["record id"] == source_id]
    row.update(cells)
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(row), delimiter=";")
    writer.writeheader()
    writer.writerows(rows)
    file.write_bytes(out.getvalue().encode("utf-8-sig"))


@pytest.mark.timeout(600)
def test_a_refused_record_is_corrected_by_csv_and_reprocessed(site: Site, tmp_path: Path) -> None:
    """Reject, export, a bad correction, a good one, a run of its own; open, then reprocessed; the log tells it all."""
    ledger = site.stack.ledger
    bound = site.crm.rows("Account", filter="UsrQBId ne '' and UsrQBId ne null", orderby="Name", top="40")
    account = next(row for row in bound if re.fullmatch(r"[A-Za-z .]+", row["Name"]))
    site.crm.change("Account", account["Id"], Name=f"{account['Name']}: gone wrong")
    assert site.run(FLOW).state == "success"
    failure = ledger.failure("acme", "customers", "crm", account["Id"])
    assert failure is not None
    assert (failure.state.value, failure.code) == ("open", "iw.characters")
    assert "iw.characters" in iw(site, "failed", "acme", "--mapping", "customers")

    file = tmp_path / "failed.csv"
    iw(site, "failed", "acme", "--mapping", "customers", "--side", "crm", "--csv", str(file))
    exported = file.read_bytes()
    rewrite(file, account["Id"], name="Still: wrong")
    told = iw(site, "correct", "acme", "customers", str(file), "--side", "crm", code=1)
    assert "name has ':'" in told
    file.write_bytes(exported)
    rewrite(file, account["Id"], name=GOOD)
    assert "Corrected: 1 value of 1 record" in iw(site, "correct", "acme", "customers", str(file), "--side", "crm")

    said = iw(site, "reprocess", "acme", "customers", account["Id"], "--side", "crm")
    dag_id, run_id = said.split()[-2:]
    assert dag_id == f"acme.{AGAIN}"
    run = site.finish(Run(dag_id, run_id, ""))
    assert run.state == "success"
    assert site.counts(run) == {"customers": {"read": 1, "updated": 1}}
    (customer,) = site.books.rows("Customer", f"WHERE Id = '{account['UsrQBId']}'")
    assert customer["DisplayName"] == GOOD
    after = ledger.failure("acme", "customers", "crm", account["Id"])
    assert after is not None
    assert (after.state.value, after.settled_by) == ("reprocessed", AGAIN)
    assert "name corrected by" in iw(site, "log", "acme", "--record", account["Id"], "--run", str(site.row(run).id))

    fingerprint = site.spec.mappings["customers"].fingerprint[:12]
    assert re.search(rf"customers +{fingerprint} ", iw(site, "report", "acme", "--versions"))
    site.crm.change("Account", account["Id"], Name=account["Name"])
    assert site.run(FLOW).state == "success"
