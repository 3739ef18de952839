"""What the figures need: where they are noted, and sandboxes and PostgreSQL outside of the measured process."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.figures.noting import Figures
from tests.figures.outside import Outside

if "AIRFLOW_HOME" not in os.environ:
    home = tempfile.mkdtemp(prefix="iw-airflow-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ["AIRFLOW_HOME"] = home

REPOSITORY = Path(__file__).resolve().parents[2]
NOTED = pytest.StashKey[Figures]()


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Figures:
    """Where figures are noted: shown at the end, and written to the file that `IW_BENCH` names (`make bench`)."""
    file = os.environ.get("IW_BENCH")
    return pytestconfig.stash.setdefault(NOTED, Figures(Path(file) if file else None))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what was measured."""
    noted = config.stash.get(NOTED, None)
    if noted is not None and noted.all:
        terminalreporter.section("figures")
        for line in noted.lines():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def outside() -> Iterator[Outside]:
    """Serve both sandboxes in a process of their own."""
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "include"))),
        "IW_SANDBOX_PORT_CREATIO": "0",
        "IW_SANDBOX_PORT_QUICKBOOKS_ONLINE": "0",
    }
    command = [sys.executable, "-m", "sandbox", "--seed", "empty", "--only", "creatio", "quickbooks_online"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            urls: dict[str, str] = {}
            while len(urls) < 2:
                line = process.stdout.readline()
                assert line, "the sandboxes did not start"
                name, url, *_ = line.split()
                urls[name] = url
            yield Outside(urls["creatio"], urls["quickbooks_online"])
        finally:
            process.terminate()
