"""The laws of the design that can be read off the source."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "iw_operators"
SYSTEMS = sorted(p.name for p in (PACKAGE / "systems").iterdir() if p.is_dir() and (p / "catalogue.yaml").exists())

IMPURE = {
    "airflow", "requests", "httpx", "urllib", "http", "socket", "pyodbc", "sqlalchemy", "psycopg2", "sqlite3",
    "time", "random", "secrets", "uuid", "os", "subprocess", "threading", "asyncio", "structlog", "logging",
}  # fmt: skip
# Loading specs means reading files; everything else of `spec` and all of `engine` works on what it is given.
CLOCKS = {"now", "utcnow", "today"}


def sources(*folders: Path) -> list[Path]:
    """Return the Python files below the folders."""
    return sorted(p for folder in folders for p in folder.rglob("*.py") if "__pycache__" not in p.parts)


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the modules that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", sources(PACKAGE / "spec", PACKAGE / "engine"), ids=lambda p: p.name)
def test_spec_and_engine_are_pure(path: Path) -> None:
    """Law 1: spec and engine import no Airflow, HTTP, ODBC, database, clock, random or uuid, and ask no clock."""
    tree = ast.parse(path.read_text())
    modules = set(imported(tree))
    assert not {m for m in modules if m.split(".")[0] in IMPURE}
    inner = {m for m in modules if m.startswith("iw_operators.")}
    assert not {m for m in inner if m.split(".")[1] not in {"spec", "engine", "errors"}}
    if path.parent.name == "engine":
        assert "pathlib" not in modules
    calls = {n.func.attr for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)}
    assert not calls & CLOCKS


def test_no_system_is_named_outside_its_folder() -> None:
    """Law 1: a new system is a new folder; nothing else of the package, the DAGs and the plugins names one."""
    assert SYSTEMS
    words = {"creatio", "salesforce", "quickbooks", "qbo", "intacct", "qodbc", *SYSTEMS}
    # A letter beside it makes another word of it: Airflow has `is_paused_upon_creation`.
    pattern = re.compile(f"(?<![a-z])({'|'.join(sorted(words))})(?![a-z])", re.IGNORECASE)
    found = []
    for path in sources(PACKAGE, ROOT / "dags", ROOT / "plugins"):
        relative = path.relative_to(ROOT)
        if relative.parts[:2] == ("iw_operators", "systems") and len(relative.parts) > 3:
            continue
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if pattern.search(line):
                found.append(f"{relative}:{number}: {line.strip()}")
    assert not found


def test_only_sync_writes_to_a_business_system() -> None:
    """Law 2: `write` of a system is called in apply.py and nowhere else."""
    callers = set()
    for path in sources(PACKAGE, ROOT / "dags", ROOT / "plugins"):
        if path.is_relative_to(PACKAGE / "systems"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "write"
            if called and len(node.args) == 1 and not node.keywords:  # type: ignore[attr-defined]  # a Call, see above
                callers.add(path.relative_to(PACKAGE).as_posix())
    assert callers == {"apply.py"}


@pytest.mark.parametrize("path", sources(PACKAGE / "engine", PACKAGE / "systems"), ids=lambda p: p.name)
def test_money_never_is_a_float(path: Path) -> None:
    """Law 5: neither the engine nor a system turns a value into a float."""
    tree = ast.parse(path.read_text())
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    made = [n.lineno for n in calls if isinstance(n.func, ast.Name) and n.func.id == "float"]
    lines = path.read_text().splitlines()
    assert not [n for n in made if "not money" not in lines[n - 1]]


def test_errors_have_one_root_and_say_what_to_do() -> None:
    """Law 9: every error of the package is an InterWeaveError of one of the five kinds."""
    from iw_operators import errors

    kinds = (errors.RetryLater, errors.SignInAgain, errors.FixRecord, errors.FixConfiguration, errors.StopFlow)
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)]
    assert len(classes) > len(kinds)
    for cls in classes:
        assert cls is errors.InterWeaveError or sum(issubclass(cls, kind) for kind in kinds) == 1
    stray = []
    for path in sources(PACKAGE):
        if "connector" in path.relative_to(PACKAGE).parts:
            continue  # a program of its own on another machine: its errors go to drivers as texts, never to a flow
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and any(
                isinstance(base, ast.Name) and base.id in {"Exception", "RuntimeError"} for base in node.bases
            ):
                stray.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert stray == ["iw_operators/errors/__init__.py: InterWeaveError"]


def test_the_package_names_no_posix_only_module_at_import() -> None:
    """The package imports on Windows: no fcntl, pwd, grp, resource or fork at module level."""
    posix = {"fcntl", "pwd", "grp", "resource", "termios", "pty"}
    for path in sources(PACKAGE):
        tree = ast.parse(path.read_text())
        assert not set(imported(tree)) & posix, path
        assert "os.fork" not in path.read_text(), path


def test_files_stay_readable() -> None:
    """No file has over 800 lines, hardly any over 450, and the median is between 60 and 200."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.py"], cwd=ROOT, capture_output=True)
    paths = [ROOT / name for name in listed.stdout.decode().split()]
    lengths = sorted(n for p in paths if p.exists() and (n := len(p.read_text().splitlines())) > 3)
    assert lengths[-1] <= 800
    assert sum(n > 450 for n in lengths) <= len(lengths) // 20
    assert 60 <= lengths[len(lengths) // 2] <= 200


def test_every_lint_exception_carries_its_reason() -> None:
    """A noqa or a type-ignore without words behind it is not accepted."""
    bare = re.compile(r"# (noqa: [A-Z0-9, ]+|type: ignore\[[a-z-, ]+\])\s*$|# noqa\s*$|# type: ignore\s*$")
    found = []
    for path in sources(PACKAGE, ROOT / "include", ROOT / "tests", ROOT / "dags", ROOT / "plugins"):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if bare.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}")
    assert not found
