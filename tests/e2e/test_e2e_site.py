"""Company globex with its tasks on a worker at the customer's site: another process, another home, no database."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from iw_operators.spec.loader import load_company
from local import odbc
from local.airflow import REPOSITORY, LocalAirflow
from local.site_worker import SiteWorkerProcess, central
from local.stack import Ports, Stack
from sandbox.__main__ import PORTS
from sandbox.quickbooks_desktop import odbc_string
from tests.e2e.outside import Crm
from tests.e2e.running import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1_800), pytest.mark.feature("S3")]

BOOKS: Final = "quickbooks_desktop"
QUEUE: Final = "quickbooks_desktop"
OUT: Final = "globex.CRAcctOpp2QBCustInv"
ITEMS: Final = "globex.QBItem2CRProd"
ADMIN: Final = "ops@globex.example"
AWAY: Final = float(os.environ.get("IW_AWAY_SECONDS", "75"))  # how long the worker is away; `make test-all`: 900
ENVIRONMENT: Final = {
    "AIRFLOW__INTERWEAVE__RETRIES": "3",
    "AIRFLOW__INTERWEAVE__RETRY_DELAY": "1",
    "AIRFLOW__INTERWEAVE__POLL_INTERVAL": "1",
    "AIRFLOW__INTERWEAVE__MAIL_FROM": "interweave@example.com",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    # Shorter than the worker is away, so that what waits is put back into the queue several times.
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
}


@dataclass
class Branch:
    """The central Airflow, the sandboxes, and the machine at the customer's site."""

    stack: Stack
    crm: Crm
    home: Path
    started: int = 0
    worker: SiteWorkerProcess | None = None

    @property
    def airflow(self) -> LocalAirflow:
        """The central Airflow."""
        return self.stack.airflow

    def start_worker(self) -> SiteWorkerProcess:
        """Start a worker, under a name that none has had."""
        self.started += 1
        home = self.home / "site"
        self.worker = SiteWorkerProcess(home, self.airflow, QUEUE, f"site-{self.started}")
        self.worker.start()
        return self.worker

    def trigger(self, dag_id: str) -> str:
        """Start a run; what changed in the present second is read by it."""
        self.airflow.unpause(dag_id)
        time.sleep(1.1)
        return self.airflow.trigger(dag_id)

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        """Return a run's task instances by task id."""
        found = self.airflow.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {each["task_id"]: each for each in found}

    def customers(self, word: str) -> list[str]:
        """Return the names in the company file that begin with a word, as anybody sees them over ODBC."""
        import pyodbc

        with closing(pyodbc.connect(odbc_string(self.stack.ports.sandboxes[BOOKS]), autocommit=True)) as connection:
            rows = connection.execute("SELECT Name FROM Customer WHERE Name LIKE ?", f"{word}%").fetchall()
        return sorted(row[0] for row in rows)

    def invoices(self, word: str) -> list[str]:
        """Return whose invoices there are, one entry an invoice, for customers whose names begin with a word."""
        import pyodbc

        with closing(pyodbc.connect(odbc_string(self.stack.ports.sandboxes[BOOKS]), autocommit=True)) as connection:
            query = "SELECT CustomerRefFullName FROM Invoice WHERE CustomerRefFullName LIKE ?"
            return sorted(row[0] for row in connection.execute(query, f"{word}%").fetchall())

    def subjects(self) -> list[str]:
        """Return the subjects of the mails to the admin, in the order of their arrival."""
        url = f"{self.stack.sandboxes.url('mail')}/messages"
        found = httpx.get(url, params={"to": ADMIN}, timeout=30).json()
        return [each["subject"] for each in sorted(found, key=lambda each: int(each["id"]))]

    def mail(self, number: int) -> str:
        """Return the text of a mail to the admin, by its place in the order of arrival."""
        url = f"{self.stack.sandboxes.url('mail')}/messages"
        found = httpx.get(url, params={"to": ADMIN}, timeout=30).json()
        which = sorted(int(each["id"]) for each in found)[number]
        return str(httpx.get(f"{url}/{which}", timeout=30).json()["text"])


@pytest.fixture(scope="module")
def branch() -> Iterator[Branch]:
    """Everything started but the worker."""
    if odbc.missing() and odbc.can_install():
        odbc.install()
    if lacking := odbc.missing():
        pytest.skip(f"ODBC drivers {lacking} are missing, and this is not Debian as root: make install says how")
    home = Path(tempfile.mkdtemp(prefix="iw-site-"))
    home.chmod(0o711)  # as root the database runs as somebody else
    mappings = _specs(home / "mappings")
    spec, errors = load_company(mappings / "globex")
    assert spec is not None, errors
    with ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, home, ignore_errors=True)
        ports = Ports.free(tuple(PORTS))
        stack = Stack(home, ports, mappings, durable=False, extra_env=ENVIRONMENT | central(ports.airflow))
        cleanup.callback(stack.stop)
        stack.start({"globex": spec.company})
        stack.wait_for_dags({OUT, ITEMS})
        made = Branch(stack, cleanup.enter_context(closing(Crm(stack.sandboxes.url("creatio")))), home)
        yield made
        if made.worker:
            made.worker.kill()


def _specs(folder: Path) -> Path:
    """Write globex's specs with a worker at the site and with flows that do not begin by themselves."""
    shutil.copytree(REPOSITORY / "mappings" / "globex", folder / "globex")
    file = folder / "globex" / "company.yaml"
    company = yaml.safe_load(file.read_text("utf-8"))
    company["worker"] = {"queue": QUEUE, "away_minutes": 1}
    company["notify"] = {"mode": "connection_failures", "admin": ADMIN}
    file.write_text(yaml.safe_dump(company), "utf-8")
    file = folder / "globex" / "flows.yaml"
    flows = yaml.safe_load(file.read_text("utf-8"))
    for flow in flows["flows"].values():
        if "interval_ms" in flow:
            flow["interval_ms"] = 86_400_000
    file.write_text(yaml.safe_dump(flows), "utf-8")
    return folder


@pytest.fixture
def sales(branch: Branch) -> Callable[[str], list[str]]:
    """A function that makes three accounts with a won opportunity each, and returns their names."""

    def make(word: str) -> list[str]:
        names = sorted(f"{word} {uuid.uuid4().hex[:8]} {number}" for number in range(3))
        for name in names:
            branch.crm.sale(name, [100, 200])
        return names

    return make


def test_flows_run_on_the_worker_at_the_site(branch: Branch, sales: Callable[[str], list[str]]) -> None:
    """Tasks that talk to the systems run there, `report` runs beside the scheduler; the records arrive."""
    names = sales("Branch")
    branch.start_worker()
    run = branch.trigger(OUT)
    assert branch.airflow.wait_run(OUT, run, 240) == "success"
    tasks = branch.tasks(OUT, run)
    assert {tasks[task]["hostname"] for task in ("ready", "customers", "items", "invoices")} == {"site-1"}
    assert tasks["report"]["hostname"] != "site-1"
    assert branch.customers("Branch") == names
    assert branch.invoices("Branch") == names
    environment = branch.worker.environment() if branch.worker else {}
    assert not [name for name in environment if "DATABASE" in name or "FERNET" in name]


@pytest.mark.feature("B2")
def test_a_worker_that_is_killed_in_the_middle_does_nothing_twice(
    branch: Branch, sales: Callable[[str], list[str]]
) -> None:
    """The power goes while customers are being written; another worker goes on, and each record is there once."""
    names = sales("Power")
    branch.stack.control(BOOKS, "faults", {"kind": "slow", "match": "INSERT Customer", "seconds": 5, "times": 1})
    run = branch.trigger(OUT)
    until(lambda: "slow" not in branch.stack.control(BOOKS, "stats")["faults"], "the first customer's INSERT", 120)
    assert branch.worker is not None
    branch.worker.kill()
    assert len(branch.customers("Power")) < len(names)
    branch.start_worker()
    assert branch.airflow.wait_run(OUT, run, 300) == "success"
    assert branch.tasks(OUT, run)["customers"]["try_number"] > 1
    assert branch.customers("Power") == names
    assert branch.invoices("Power") == names


@pytest.mark.long
@pytest.mark.feature("B2", "R8")
def test_while_the_worker_is_away_runs_wait_and_one_mail_says_so(
    branch: Branch, sales: Callable[[str], list[str]]
) -> None:
    """Nothing fails, however often what waits is put back into the queue; back again, it is done, once."""
    names = sales("Away")
    assert branch.worker is not None
    branch.worker.stop()
    before = len(branch.subjects())
    runs = {dag_id: branch.trigger(dag_id) for dag_id in (OUT, ITEMS)}
    gone = time.monotonic() + AWAY
    until(lambda: len(branch.subjects()) > before, "the mail about the worker", 150)
    while time.monotonic() < gone:
        time.sleep(1)
    for dag_id, run in runs.items():
        assert branch.airflow.get(f"/dags/{dag_id}/dagRuns/{run}")["state"] == "running"
    assert branch.customers("Away") == []
    branch.start_worker()
    assert {branch.airflow.wait_run(dag_id, run, 300) for dag_id, run in runs.items()} == {"success"}
    assert branch.customers("Away") == names
    assert branch.invoices("Away") == names
    subjects = until(lambda: found if len(found := branch.subjects()[before:]) > 1 else None, "the second mail", 30)
    assert ["cannot be reached" in subjects[0], "is back" in subjects[1], len(subjects)] == [True, True, 2]


@pytest.mark.long
@pytest.mark.feature("E2", "R8")
def test_a_dialog_box_stops_the_flows_and_one_mail_says_to_close_it(
    branch: Branch, sales: Callable[[str], list[str]]
) -> None:
    """While QuickBooks waits for somebody, runs fail as connection failures with the advice; closed, they go on."""
    names = sales("Popup")
    before = len(branch.subjects())
    branch.stack.control(BOOKS, "faults", {"kind": "modal_dialog", "times": -1})
    for _ in range(2):
        run = branch.trigger(OUT)
        assert branch.airflow.wait_run(OUT, run, 240) == "failed"
        number = branch.stack.ledger.find_run("globex", OUT.removeprefix("globex."), run)
        assert number is not None
        assert "80040414" in branch.stack.ledger.error(number)
    assert len(branch.subjects()) == before + 1
    branch.stack.control(BOOKS, "faults", {"clear": True})
    run = branch.trigger(OUT)
    assert branch.airflow.wait_run(OUT, run, 240) == "success"
    assert branch.customers("Popup") == names
    subjects = until(lambda: found if len(found := branch.subjects()[before:]) > 1 else None, "the second mail", 30)
    assert ["cannot be reached" in subjects[0], "is back" in subjects[1], len(subjects)] == [True, True, 2]
    assert "80040414" in branch.mail(before)
    assert "What to do" in branch.mail(before)
