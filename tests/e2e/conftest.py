"""One PostgreSQL, both sandboxes and one Airflow for all end-to-end tests of a session."""

from __future__ import annotations

import http.server
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from rich.console import Console

from demo.runs import first_runs
from demo.show import Progress
from iw_operators.spec.loader import load_company
from local.airflow import free_port
from local.stack import Ports, Stack
from sandbox.__main__ import PORTS
from sandbox.common.app import HTML_PAGE
from tests.e2e.companies import WRONG, write_specs, wrong_connections
from tests.e2e.outside import Books, Crm
from tests.e2e.running import BOOKS, CRM, Run, Site

ENVIRONMENT = {
    "AIRFLOW__INTERWEAVE__RETRIES": "2",
    "AIRFLOW__INTERWEAVE__RETRY_DELAY": "1",
    "AIRFLOW__INTERWEAVE__POLL_INTERVAL": "3",
    "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "iw_operators.apply=DEBUG",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
}


@pytest.fixture(scope="session")
def html_url() -> Iterator[str]:
    """The address of a server that answers everything with an HTML page."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(HTML_PAGE)))
            self.end_headers()
            self.wfile.write(HTML_PAGE)

        do_POST = do_GET  # noqa: N815  the base's name

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def started(html_url: str) -> Iterator[tuple[Site, list[Run]]]:
    """Everything started, and the first runs of acme's scheduled flows done."""
    home = Path(tempfile.mkdtemp(prefix="iw-e2e-"))
    home.chmod(0o711)  # as root the database runs as somebody else
    write_specs(home / "mappings")
    spec, errors = load_company(home / "mappings" / "acme")
    assert spec is not None, errors
    with ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, home, ignore_errors=True)
        ports = Ports.free(tuple(PORTS))
        stack = Stack(home, ports, home / "mappings", durable=False, extra_env=ENVIRONMENT)
        cleanup.callback(stack.stop)
        stack.start({"acme": spec.company})
        urls = {name: stack.sandboxes.url(name) for name in PORTS}
        down = free_port()
        stack.airflow.connect(wrong_connections(urls[CRM], urls[BOOKS], down=down, html=html_url))
        stack.wait_for_dags({f"{company}.QBItem2CRProd" for company in WRONG})
        with Progress(Console(quiet=True)) as progress:
            first = first_runs(stack, spec, progress)
        cleanup.enter_context(pytest.MonkeyPatch.context()).setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
        crm = cleanup.enter_context(closing(Crm(urls[CRM])))
        books = cleanup.enter_context(closing(Books(urls[BOOKS])))
        yield Site(stack, spec, crm, books), [Run(run.dag_id, run.run_id, run.state) for run in first]


@pytest.fixture(scope="session")
def site(started: tuple[Site, list[Run]]) -> Site:
    """A running Airflow whose flows have brought both sides in step once."""
    return started[0]


@pytest.fixture(scope="session")
def first(started: tuple[Site, list[Run]]) -> dict[str, Run]:
    """The first runs, by flow."""
    return {run.dag_id.removeprefix("acme."): run for run in started[1]}


@pytest.fixture(autouse=True)
def no_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test has armed is gone after it."""
    yield
    if "site" in request.fixturenames:
        for name in PORTS:
            request.getfixturevalue("site").stack.control(name, "faults", {"clear": True})
