"""A machine without the ODBC driver manager: what needs it is skipped, and the rest runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local import debian, odbc
from tests import drivers

TESTS = Path(__file__).parent
# What a machine without Debian's package unixodbc says at `import pyodbc`.
WITHOUT = 'raise ImportError("libodbc.so.2: cannot open shared object file: No such file or directory")\n'
OURS = re.compile(r"odbc|quickbooks_desktop|_globex\.py|_conformance_removal\.py")
# Of what is collected, these are run: DAGs, forms, systems of every kind, and what cannot do without a driver.
RUN = "globex or hook_classes or still_there or several_clients"


def test_without_the_driver_manager_what_needs_it_is_skipped(tmp_path: Path) -> None:
    """Every test that has to do with ODBC is collected; DAGs, forms and the other systems pass, the rest says why not.

    Nothing can be installed meanwhile: there is no apt-get on the PATH.
    """
    (tmp_path / "pyodbc.py").write_text(WITHOUT)
    modules = [path for path in sorted(TESTS.rglob("test_*.py")) if OURS.search(f"{path}\n{path.read_text('utf-8')}")]
    paths = os.pathsep.join(map(str, (tmp_path, TESTS.parent, TESTS.parent / "include")))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-k", RUN, *modules],
        env={**os.environ, "PYTHONPATH": paths, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        cwd=TESTS.parent,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|skipped|failed|error)", said)}
    assert counts.keys() == {"passed", "skipped"}, said
    assert counts["passed"] > 10, said
    assert counts["skipped"] > 10, said
    assert "make install says how" in said


def test_drivers_that_cannot_be_installed_are_a_reason_to_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where apt-get fails, the reason says so; where all drivers are, there is none."""

    def fail(packages: object) -> None:
        raise subprocess.CalledProcessError(100, ["apt-get"])

    why_not = drivers.why_not.__wrapped__
    monkeypatch.setattr(debian, "can_install", lambda: True)
    monkeypatch.setattr(debian, "install", fail)
    monkeypatch.setattr(odbc, "missing", lambda: ["SQLite3"])
    assert "['SQLite3'] are missing, and apt-get has failed with 100" in why_not()
    monkeypatch.setattr(odbc, "missing", list)
    assert why_not() == ""
