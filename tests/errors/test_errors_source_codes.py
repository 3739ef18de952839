"""What our own code can say is in the catalogue: its source is searched for codes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from iw_operators import errors
from iw_operators.errors.catalogue import catalogue

PACKAGE = Path(__file__).resolve().parents[2] / "iw_operators"
CLASSES = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
CLASSES |= {"Decision", "Problem", "replace"}
OWN = re.compile(r"(iw|http|creatio|qbo)\.[a-z0-9_]+")

# Codes that are put together while running, with values that they can have. The key is the source of the f-string.
PUT_TOGETHER = {
    "f'http.{status}'": ("http.200", "http.404", "http.500", "http.503"),
    "f'http.{response.status}'": ("http.200", "http.302", "http.400", "http.503"),
    "f'creatio.{said}'": ("creatio.invalid_client", "creatio.unauthorized_client"),
}
ELSEWHERE = {"iw.x"}


def systems_of(path: Path) -> tuple[str | None, ...]:
    """Return the systems under which a file's codes are looked for: its own, then the package's."""
    parts = path.relative_to(PACKAGE).parts
    return (parts[1], "iw") if parts[0] == "systems" and len(parts) > 2 else ("iw",)


def codes() -> Iterator[tuple[Path, int, str]]:
    """Yield each code that is given to an error, a decision or a problem, and each constant that looks like one."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _like_a_code(node.value):
                yield path, node.lineno, node.value
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            for keyword in node.keywords:
                if keyword.arg == "code" and name in CLASSES:
                    yield from ((path, keyword.value.lineno, code) for code in _values(keyword.value))


def _like_a_code(text: str) -> bool:
    return bool(OWN.fullmatch(text)) and not text.endswith((".yaml", ".html", ".client", ".server"))


def _values(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(code)) if code:
            yield code
        case ast.JoinedStr():
            source = ast.unparse(node)
            assert source in PUT_TOGETHER, f"say in PUT_TOGETHER what {source} can be"
            yield from PUT_TOGETHER[source]
        case ast.IfExp():
            yield from _values(node.body)
            yield from _values(node.orelse)
        case ast.BoolOp():
            for part in node.values:
                yield from _values(part)


@pytest.mark.feature("E1")
def test_every_code_that_our_code_can_give_is_in_the_catalogue() -> None:
    """Each code has an entry of its own, or one of the package's ranges; who adds a code adds its entry."""
    book = catalogue()
    found = {(path, line, code) for path, line, code in codes() if not _event(path, code)}
    assert len({code for _, _, code in found}) > 80
    missing = []
    for path, line, code in sorted(found):
        entries = [one for system in systems_of(path) for one in book.find(code, system) if one.code != "*"]
        if not entries and code not in ELSEWHERE:
            missing.append(f"{path.relative_to(PACKAGE)}:{line}: {code}")
    assert not missing, "add entries to errors/data/iw.yaml or the system's errors.yaml, then run make docs"


def _event(path: Path, code: str) -> bool:
    """Tell names of log events and files from codes: they are never given as `code`."""
    text = path.read_text("utf-8")
    return bool(re.search(rf'log\.\w+\(\s*"{re.escape(code)}"', text)) and f'code="{code}"' not in text


@pytest.mark.feature("E1")
def test_the_class_that_our_code_raises_agrees_with_the_catalogue() -> None:
    """An error raised with a code of ours is of the class that its entry names, or of one that is close to it."""
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and hasattr(errors, node.func.id)):
                continue
            given = [k.value for k in node.keywords if k.arg == "code" and isinstance(k.value, ast.Constant)]
            kind = getattr(errors, node.func.id)
            for code in (value.value for value in given if isinstance(value.value, str)):
                known = [one for system in systems_of(path) for one in catalogue().exact(code, system)]
                kinds = {one.effect.kind for one in known} - {None}
                if known and not any(_close(kind, other) for other in kinds if other):
                    wrong.append(f"{path.relative_to(PACKAGE)}:{node.lineno}: {code} is raised as {node.func.id}")
    assert not wrong


def _close(raised: type[Exception], listed: type[Exception]) -> bool:
    """The same class, or one below the other; a code may also be met while configuration is read (FixConfiguration)."""
    return issubclass(raised, listed) or issubclass(listed, raised) or raised is errors.FixConfiguration
