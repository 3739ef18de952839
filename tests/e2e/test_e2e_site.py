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

from iw_operators.spec.loader import load_company
from local.airflow import LocalAirflow
from local.site_worker import SiteWorkerProcess, central
from local.stack import Ports, Stack
from sandbox.__main__ import PORTS
from tests.drivers import ask, need_odbc
from tests.e2e.companies import copy_company
from tests.e2e.outside import Crm
from tests.e2e.running import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1_800), pytest.mark.feature("S3")]

BOOKS: Final = "quickbooks_desktop"
QUEUE: Final = "quickbooks_desktop"
OUT: Final = "globex.CRAcctOpp2QBCustInv"
ITEMS: Final = "globex.QBItem2CRProd"
MAINTENANCE: Final = "globex.Maintenance"
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

    def on(self) -> set[str]:
        """Return the DAG ids of the flows that are switched on."""
        found = self.airflow.get("/dags", params={"tags": ["globex"], "limit": 100, "paused": "false"})["dags"]
        return {dag["dag_id"] for dag in found} - {MAINTENANCE, "globex.DailyReport"}

    def customers(self, word: str) -> list[str]:
        """Return the names in the company file that begin with a word, as anybody sees them over ODBC."""
        port = self.stack.ports.sandboxes[BOOKS]
        return sorted(row[0] for row in ask(port, "SELECT Name FROM Customer WHERE Name LIKE ?", f"{word}%"))

    def invoices(self, word: str) -> list[str]:
        """Return whose invoices there are, one entry an invoice, for customers whose names begin with a word."""
        query = "SELECT CustomerRefFullName FROM Invoice WHERE CustomerRefFullName LIKE ?"
        return sorted(row[0] for row in ask(self.stack.ports.sandboxes[BOOKS], query, f"{word}%"))

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
    need_odbc()
    home = Path(tempfile.mkdtemp(prefix="iw-site-"))
    home.chmod(0o711)  # as root the database runs as somebody else
    mappings = home / "mappings"
    notify = {"mode": "connection_failures", "admin": ADMIN}
    copy_company("globex", mappings, worker={"queue": QUEUE, "away_minutes": 1}, notify=notify)
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


@pytest.fixture
def worker(branch: Branch) -> SiteWorkerProcess:
    """The machine at the customer's site is on."""
    return branch.worker or branch.start_worker()


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


@pytest.fixture
def multi_user(branch: Branch) -> Iterator[None]:
    """Whatever the test leaves behind: the company file is in multi-user mode, and no maintenance goes on."""
    yield
    branch.stack.control(BOOKS, "single_user", {"on": False})
    if found := branch.stack.ledger.end_maintenance("globex", "a test"):
        for dag_id in found.flows:
            branch.airflow.unpause(dag_id)


@pytest.mark.feature("R5")
@pytest.mark.usefixtures("worker", "multi_user")
def test_somebody_works_alone_in_the_company_file(branch: Branch, sales: Callable[[str], list[str]]) -> None:
    """A maintenance begun in the middle of a write lets go of the file, so that QuickBooks takes single-user mode; it
    does not end before multi-user mode is back, and starts the flows that were on; records arrive once.
    """
    names = sales("Alone")
    branch.airflow.unpause(ITEMS)
    branch.stack.control(BOOKS, "faults", {"kind": "slow", "match": "INSERT Customer", "seconds": 5, "times": 1})
    run = branch.trigger(OUT)
    before = branch.on()
    assert before >= {OUT, ITEMS}
    until(lambda: "slow" not in branch.stack.control(BOOKS, "stats")["faults"], "the first customer's INSERT", 120)
    maintenance = branch.airflow.trigger(MAINTENANCE, {"why": "new list of prices"})
    with pytest.raises(httpx.HTTPStatusError):  # somebody is too early
        branch.stack.control(BOOKS, "single_user", {"on": True})
    until(
        lambda: branch.tasks(MAINTENANCE, maintenance)["work_alone"]["state"] == "awaiting_input", "it to be safe", 120
    )
    stats = branch.stack.control(BOOKS, "stats")
    assert (stats["sessions"], stats["open"]) == (0, False)
    branch.stack.control(BOOKS, "single_user", {"on": True})
    assert branch.on() == set()
    assert branch.stack.ledger.turns("globex") == []

    refused = branch.airflow.cli("iw", "maintenance", "end", "globex")
    assert refused.returncode != 0
    assert "80040410" in refused.stderr
    assert "Switch to Multi-user Mode" in refused.stderr
    assert branch.on() == set()
    assert branch.stack.ledger.maintenance("globex") is not None

    branch.stack.control(BOOKS, "single_user", {"on": False})
    answer = {"chosen_options": ["The maintenance is over"], "params_input": {}}
    path = f"/dags/{MAINTENANCE}/dagRuns/{maintenance}/taskInstances/work_alone/-1/hitlDetails"
    branch.airflow.api("PATCH", path, json=answer).raise_for_status()
    assert branch.airflow.wait_run(MAINTENANCE, maintenance, 120) == "success"
    until(lambda: branch.on() == before, "the flows to be switched on again", 20)
    assert branch.airflow.wait_run(OUT, run, 120) == "success"
    assert branch.airflow.wait_run(OUT, branch.trigger(OUT), 240) == "success"
    assert branch.customers("Alone") == names
    assert branch.invoices("Alone") == names


@pytest.fixture
def stopping(branch: Branch) -> Iterator[None]:
    """Globex stops its scheduled flows after a connection failure, while the test lasts."""
    file = branch.home / "mappings" / "globex" / "company.yaml"
    before = file.read_text("utf-8")
    file.write_text(f"{before}\nstop_scheduled: after_connection_failure\n", "utf-8")
    yield
    file.write_text(before, "utf-8")


@pytest.mark.feature("R7", "R8", "E2")
@pytest.mark.usefixtures("worker", "stopping")
def test_a_dialog_box_stops_the_scheduled_flows_until_they_are_started(
    branch: Branch, sales: Callable[[str], list[str]]
) -> None:
    """The first run that meets it switches all scheduled flows off, and one mail says so, what to close and how to go
    on; started by the words of that mail they go on, and one mail says that the books are back.
    """
    names = sales("Dialog")
    branch.airflow.unpause(ITEMS)
    before = len(branch.subjects())
    branch.stack.control(BOOKS, "faults", {"kind": "modal_dialog", "times": -1})
    run = branch.trigger(OUT)
    assert branch.airflow.wait_run(OUT, run, 240) == "failed"
    until(lambda: branch.on() == set(), "the scheduled flows to be switched off", 20)
    (subject,) = branch.subjects()[before:]
    assert "cannot be reached" in subject
    text = " ".join(branch.mail(before).split())
    for words in ("80040414", "Close the window", OUT, ITEMS, 'by "airflow iw start globex --stopped"'):
        assert words in text

    branch.stack.control(BOOKS, "faults", {"clear": True})
    assert branch.airflow.cli("iw", "start", "globex", "--stopped").returncode == 0
    assert branch.on() >= {OUT, ITEMS}
    assert branch.airflow.wait_run(OUT, branch.trigger(OUT), 240) == "success"
    assert branch.customers("Dialog") == names
    assert branch.invoices("Dialog") == names
    subjects = until(lambda: found if len(found := branch.subjects()[before:]) > 1 else None, "the second mail", 30)
    assert ["cannot be reached" in subjects[0], "is back" in subjects[1], len(subjects)] == [True, True, 2]


@pytest.mark.long
@pytest.mark.feature("B2", "R8")
def test_while_the_worker_is_away_runs_wait_and_one_mail_says_so(
    branch: Branch, worker: SiteWorkerProcess, sales: Callable[[str], list[str]]
) -> None:
    """Nothing fails, however often what waits is put back into the queue; back again, it is done, once."""
    names = sales("Away")
    worker.stop()
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
@pytest.mark.usefixtures("worker")
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
