"""A customer's site with a network of its own: no port is open towards it, and its worker dials out.

Slow, for it has an Airflow of its own: only `make test-all` runs it, on Linux as root.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from iw_operators.spec.loader import load_company
from local.airflow import REPOSITORY, free_port
from local.site_worker import SiteWorkerProcess, central
from local.stack import Ports, Stack, postgres_connection
from sandbox import creatio, quickbooks_desktop
from sandbox.__main__ import PORTS
from tests.drivers import need_odbc
from tests.e2e.companies import copy_company
from tests.e2e.namespace import Namespace, namespace, passed_on, possible
from tests.e2e.outside import Crm
from tests.e2e.running import SECOND, until

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900), pytest.mark.feature("S3")]

OUT: Final = "globex.CRAcctOpp2QBCustInv"
QUEUE: Final = "globex_site"
PATHS: Final = f"PYTHONPATH={REPOSITORY}{os.pathsep}{REPOSITORY / 'include'}"
ASK: Final = """
import json, sys
from tests.drivers import ask
port, query, word = sys.argv[1:]
print(json.dumps(sorted(row[0] for row in ask(int(port), query, word))))
"""
CUSTOMERS: Final = "SELECT Name FROM Customer WHERE Name LIKE ?"
INVOICES: Final = "SELECT CustomerRefFullName FROM Invoice WHERE CustomerRefFullName LIKE ?"


@dataclass
class Far:
    """The central Airflow here, and the site there: its worker, its connector and its company file."""

    stack: Stack
    crm: Crm
    net: Namespace
    port: int  # of the connector, on the site's own loopback interface

    def ask(self, query: str, word: str) -> list[str]:
        """Return what a query finds for names that begin with a word; asked from within the site."""
        program = ("env", PATHS, sys.executable, "-c", ASK)
        found: list[str] = json.loads(self.net.run(*program, str(self.port), query, f"{word}%"))
        return found


@pytest.fixture(scope="module")
def far() -> Iterator[Far]:
    """Everything started. Airflow's API, the ledger and the CRM are reached at this machine's end of the cable."""
    need_odbc()
    if not possible():
        pytest.skip("a network namespace needs Linux, root and iproute2")
    home = Path(tempfile.mkdtemp(prefix="iw-far-"))
    home.chmod(0o711)  # as root the database runs as somebody else
    copy_company("globex", home / "mappings", worker={"queue": QUEUE})
    spec, errors = load_company(home / "mappings" / "globex")
    assert spec is not None, errors
    with ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, home, ignore_errors=True)
        net = cleanup.enter_context(namespace())
        ports = Ports.free(tuple(PORTS))
        polls = {"AIRFLOW__INTERWEAVE__POLL_INTERVAL": "1"}
        stack = Stack(home, ports, home / "mappings", durable=False, extra_env=polls | central(ports.airflow))
        cleanup.callback(stack.stop)
        stack.start({"globex": spec.company})
        ledger = postgres_connection(stack.postgres.url("interweave"))
        here = (ports.airflow, ledger["port"], urlsplit(stack.sandboxes.url("creatio")).port or 0)
        cleanup.enter_context(passed_on(net.outside, here))
        port = free_port()
        cleanup.enter_context(_company_file(net, port, home / "company-file.log"))
        crm = creatio.airflow_connection(stack.sandboxes.url("creatio"))
        stack.airflow.connect(
            {
                "iw_ledger": {**ledger, "host": net.outside},
                "globex_crm": {**crm, "host": net.outside, "extra": {**crm["extra"], "allow_http": True}},
                "globex_books": quickbooks_desktop.airflow_connection(port),  # 127.0.0.1, of the site
            }
        )
        worker = SiteWorkerProcess(home / "site", stack.airflow, QUEUE, "far", _outward(stack, net), net.command())
        cleanup.callback(worker.kill)
        worker.start()
        stack.wait_for_dags({OUT})
        yield Far(stack, cleanup.enter_context(closing(Crm(stack.sandboxes.url("creatio")))), net, port)


def _outward(stack: Stack, net: Namespace) -> dict[str, str]:
    """Return what the worker calls out to."""
    url = f"http://{net.outside}:{stack.ports.airflow}"
    return {
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__EDGE__API_URL": f"{url}/edge_worker/v1/rpcapi",
    }


@contextmanager
def _company_file(net: Namespace, port: int, log: Path) -> Iterator[None]:
    """Serve a company file at the site, on its loopback interface alone."""
    program = (sys.executable, "-m", "sandbox", "--seed", "globex", "--only", "quickbooks_desktop")
    with log.open("wb") as output:
        process = subprocess.Popen(
            net.command("env", PATHS, f"IW_SANDBOX_PORT_QUICKBOOKS_DESKTOP={port}", *program),
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )
    try:
        until(lambda: "/_sandbox/stats" in log.read_text("utf-8"), "the company file to be served", 60)
        yield
    finally:
        process.terminate()
        process.wait(30)


def test_a_site_without_an_open_port_is_served(far: Far) -> None:
    """The flow runs at the site and writes into its company file, to which nothing leads from outside."""
    names = sorted(f"Far {uuid.uuid4().hex[:8]} {number}" for number in range(3))
    for name in names:
        far.crm.sale(name, [100, 200])
    far.stack.airflow.unpause(OUT)
    time.sleep(SECOND)  # a window ends with the source's last full second
    run = far.stack.airflow.trigger(OUT)
    assert far.stack.airflow.wait_run(OUT, run, 300) == "success"
    hosts = {
        each["task_id"]: each["hostname"]
        for each in far.stack.airflow.get(f"/dags/{OUT}/dagRuns/{run}/taskInstances")["task_instances"]
    }
    assert {hosts[task] for task in ("ready", "customers", "items", "invoices")} == {"far"}
    assert hosts["report"] != "far"
    assert far.ask(CUSTOMERS, "Far ") == names
    assert far.ask(INVOICES, "Far ") == names
    assert far.net.open_ports() == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((far.net.inside, far.port), timeout=10)
    assert far.stack.control("quickbooks_desktop", "stats")["connections"] == 0  # that of the central machine
