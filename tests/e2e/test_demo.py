"""`make demo`, again and again on the same folder, in the order in which somebody who tries it out might do so."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import Ports
from sandbox.__main__ import PORTS
from sandbox.seed import acme
from tests.e2e.demo_process import Demo
from tests.e2e.logs import assert_no_customer_data

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FLOWS = ["CRAcctOpp2QBCustInv", "QBCustInvoices2CRAcctOpp", "QBItem2CRProd", "QBPmt2CRPmt"]


@dataclasses.dataclass
class Folder:
    """Where all of these demos keep their data, and their ports."""

    home: Path
    ports: Ports

    def demo(self, *options: str) -> Demo:
        """Start one."""
        return Demo(self.home, self.ports, *options)


@pytest.fixture(scope="module")
def folder() -> Iterator[Folder]:
    """A folder that is empty at first; outside of pytest's own, which other runs of pytest close to the database."""
    with tempfile.TemporaryDirectory(prefix="iw-demo-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)  # as root the database runs as somebody else
        yield Folder(Path(name), Ports.free(tuple(PORTS)))


def test_ctrl_c_in_the_middle_of_a_write_ends_it_cleanly(folder: Folder) -> None:
    """Interrupted while a task writes, the demo stops everything, says so, and ends with 130."""
    with folder.demo("--once") as demo:
        demo.until("customers …")
        demo.interrupt()
        began = time.monotonic()
        assert demo.end() == 130
        assert demo.lines[-1] == "Stopped."
        assert time.monotonic() - began < 25
        assert demo.left() == []


@pytest.mark.feature("R1", "B2")
def test_the_next_demo_goes_on_and_shows_what_it_did(folder: Folder) -> None:
    """After the interruption the same command completes the runs, shows a table, and leaves no process behind."""
    with folder.demo("--once") as demo:
        assert demo.end() == 0, demo.output
        assert demo.left() == []
    table = demo.table()
    assert list(table) == FLOWS
    customers = table["CRAcctOpp2QBCustInv"]["customers"]
    assert customers["read"] == len(acme.build().accounts)
    for mappings in table.values():
        for counts in mappings.values():
            assert counts["read"] == sum(number for name, number in counts.items() if name != "read")
    assert table["CRAcctOpp2QBCustInv"]["invoices"]["created"] > 20
    assert table["QBPmt2CRPmt"]["payments"]["created"] == len(acme.build().books_payments)
    assert demo.output.count("What to do:") == 3
    assert f"http://127.0.0.1:{folder.ports.airflow}" in demo.output
    assert "user admin, password admin" in demo.output


@pytest.mark.feature("R1", "R2")
def test_another_demo_starts_in_seconds_and_finds_nothing_to_change(folder: Folder) -> None:
    """On data that are in step nothing is created or updated; it then stays up until Ctrl-C, which ends it with 0."""
    with folder.demo() as demo:
        demo.until("Everything stays up.")
        seconds = time.monotonic() - demo.began
        demo.interrupt()
        assert demo.end() == 0
        assert demo.left() == []
    for flow, mappings in demo.table().items():
        for mapping, counts in mappings.items():
            assert (flow, mapping, counts["created"], counts["updated"]) == (flow, mapping, 0, 0)
    assert seconds < 180  # 25 to 30 on two idle cores


def test_the_tasks_logs_are_json_without_customer_data(folder: Folder) -> None:
    """Every line of every task's log is a JSON event; none holds a name, and records are not logged one by one."""
    files = list((folder.home / "airflow" / "logs").glob("dag_id=acme.*/**/*.log"))
    assert len(files) > 20
    for file in files:
        events = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        assert all(event["event"] and event["timestamp"] for event in events)
        assert not [event for event in events if event["event"] == "record"]
        assert_no_customer_data(file.read_text("utf-8"))
    assert_no_customer_data((folder.home / "airflow" / "standalone.log").read_text("utf-8", "replace"))


@pytest.mark.long
@pytest.mark.feature("R1")
def test_a_run_that_fails_fails_the_demo(folder: Folder) -> None:
    """When the CRM does not accept the password any more, the demo says which flow failed and why, and ends with 1."""
    with folder.demo("--once") as demo:
        demo.control("creatio", "reset", {"password": "another one"})
        assert demo.end() == 1
        assert demo.left() == []
    for flow in FLOWS:
        assert f"✗ {flow}" in demo.output
    assert "password" in demo.output.split("What the first runs did")[1].split("Airflow ")[0]
