"""A record that fails between the sandboxes: seen, corrected by CSV, done again, given up."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iw_operators.ledger.failures import Failure
from tests.flows.conftest import TO_BOOKS, Company, guid
from tests.stage import MAPPINGS
from tests.test_cli import run as command

pytestmark = [pytest.mark.sandbox, pytest.mark.ledger, pytest.mark.feature("R10")]

ACCOUNT = guid(1, 1)
BAD = "Customer: one"
AGAIN = "CRAcct2QBCustNFS"


def failure(company: Company, source_id: str = ACCOUNT) -> Failure:
    """Return how an account stands."""
    found = company.stage.ledger.failure("acme", "customers", "crm", source_id)
    assert found is not None
    return found


def names(company: Company) -> list[str]:
    """Return the names of the customers in the books."""
    return sorted(row["DisplayName"] for row in company.native("Customer"))


def put(path: Path, **cells: str) -> None:
    """Correct the one record of a file, as a spreadsheet with semicolons does."""
    (row,) = csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(row), delimiter=";")
    writer.writeheader()
    writer.writerow({**row, **cells})
    path.write_bytes(out.getvalue().encode("utf-8-sig"))


@pytest.fixture
def failed(company: Company) -> Company:
    """Return a company in which somebody has put a colon into an account's name."""
    company.edit("Account", ACCOUNT, Name=BAD)
    assert company.moved(TO_BOOKS, "customers") == {"rejected": 1}
    return company


@pytest.fixture
def cli(failed: Company, ledger_connection: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return the command line of that company; systems are opened as the stage opens them."""
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__MAPPINGS_FOLDER", str(MAPPINGS))
    monkeypatch.setattr("getpass.getuser", lambda: "Ann")
    monkeypatch.setattr("iw_operators.operators.runtime.open_side", lambda _, side, __: failed.stage.open(side))
    return command


@pytest.mark.feature("E2")
def test_a_rejected_account_is_corrected_by_csv_and_reprocessed(
    failed: Company, cli: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Export, a wrong correction that is refused, a right one; the run does that record alone and says who did it."""
    assert (failure(failed).state.value, failure(failed).code) == ("open", "iw.characters")
    cli("failed", "acme")
    shown = capsys.readouterr().out
    assert "iw.characters" in shown
    assert "customers crm: 1 open" in shown
    file = tmp_path / "failed.csv"
    cli("failed", "acme", "--mapping", "customers", "--csv", str(file))
    exported = file.read_bytes()
    put(file, name="Still: wrong", phone="x" * 31)
    with pytest.raises(SystemExit) as caught:
        cli("correct", "acme", "customers", str(file))
    assert caught.value.code == 1
    errors = capsys.readouterr().err.splitlines()
    assert [error.split(": ")[:2] for error in errors] == [["failed.csv:2", "name"], ["failed.csv:2", "phone"]]
    assert not failed.stage.ledger.has_corrections("acme", "customers", "crm")
    file.write_bytes(exported)
    put(file, name="Customer one & sons", phone="")
    cli("correct", "acme", "customers", str(file))
    assert "Corrected: 1 value of 1 record; 0 lines without a change." in capsys.readouterr().out
    assert failure(failed).corrected
    failed.wait(seconds=2)
    done = failed.stage.run(AGAIN, again=[ACCOUNT])["customers"]
    assert (done.read, done.counts) == (1, {"updated": 1})
    assert "Customer one & sons" in names(failed)
    row = failed.newest(ACCOUNT, "customers")
    assert "corrected by Ann" in row.why
    assert failure(failed).state.value == "reprocessed"
    assert failed.moved(TO_BOOKS, "customers") == {}
    account = failed.row("Account", ACCOUNT)
    assert account is not None
    assert account["Name"] == BAD


def test_a_record_that_is_corrected_in_the_source_is_fixed_by_the_next_run(failed: Company) -> None:
    """Nobody has to do anything but correct it; its state says which flow fixed it."""
    failed.edit("Account", ACCOUNT, Name="Customer one")
    assert failed.moved(TO_BOOKS, "customers") == {"updated": 1}
    assert (failure(failed).state.value, failure(failed).settled_by) == ("fixed", TO_BOOKS)


def test_a_record_can_be_given_up_and_taken_back(
    failed: Company, cli: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """With a reason, by the command line; a change in the source opens it again by itself."""
    with pytest.raises(SystemExit, match="Say why"):
        cli("give-up", "acme", "customers", ACCOUNT)
    cli("give-up", "acme", "customers", ACCOUNT, "--why", "an old account")
    assert capsys.readouterr().out == f"{ACCOUNT}: given up\n"
    assert (failure(failed).state.value, failure(failed).settled_by) == ("given up", "Ann")
    failed.run(TO_BOOKS)
    assert failure(failed).state.value == "given up"
    cli("give-up", "acme", "customers", ACCOUNT, "--back")
    assert failure(failed).state.value == "open"
    cli("give-up", "acme", "customers", ACCOUNT, "--why", "an old account")
    failed.edit("Account", ACCOUNT, Name="Customer: 1")
    assert failed.moved(TO_BOOKS, "customers") == {"rejected": 1}
    assert failure(failed).state.value == "open"


def test_a_changed_mapping_looks_at_it_once(failed: Company) -> None:
    """Under another fingerprint the open failure is planned again; under the same one it is left alone."""
    spec = failed.stage.spec
    customers = spec.mappings["customers"].model_copy(update={"fingerprint": "another"})
    flow = spec.flows[TO_BOOKS]
    changed = flow.model_copy(update={"mappings": (customers, *flow.mappings[1:])})
    failed.stage.spec = spec.model_copy(update={"flows": {**spec.flows, TO_BOOKS: changed}})
    assert failed.moved(TO_BOOKS, "customers") == {"rejected": 1}
    assert (failure(failed).attempts, failure(failed).fingerprint) == (2, "another")
    assert failed.moved(TO_BOOKS, "customers") == {}


@pytest.mark.feature("M26")
def test_the_versions_of_a_mapping_are_told_with_what_changed(
    failed: Company, cli: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each run keeps what its fingerprint means; two of them are compared field by field."""
    spec = failed.stage.spec
    customers = spec.mappings["customers"]
    fields: list[Any] = [each for each in customers.fields if each.name != "phone"]
    changed = customers.model_copy(update={"fingerprint": "f" * 16, "fields": tuple(fields)})
    flow = spec.flows[TO_BOOKS]
    now = flow.model_copy(update={"mappings": (changed, *flow.mappings[1:])})
    failed.stage.spec = spec.model_copy(update={"flows": {**spec.flows, TO_BOOKS: now}})
    failed.run(TO_BOOKS)
    capsys.readouterr()
    cli("report", "acme", "--versions")
    listed = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert listed[:2] == [["customers", "f" * 12], ["customers", customers.fingerprint[:12]]]
    cli("report", "acme", "--between", customers.fingerprint[:8], "ffff")
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"customers: from {customers.fingerprint[:12]} to {'f' * 12}"
    assert [line for line in told if line.startswith("  phone removed: ")]
    with pytest.raises(SystemExit, match="two versions of one mapping"):
        cli("report", "acme", "--between", "ffff", "0000")
