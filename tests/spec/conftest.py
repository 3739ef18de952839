"""Writes and loads company `demo`, whole or with something broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from iw_operators.spec.catalogues import Library
from iw_operators.spec.loader import load_company
from iw_operators.spec.resolved import CompanySpec
from tests.spec.demo import DEMO, SYSTEMS, Changes, Load, Write


@pytest.fixture(scope="session")
def plain() -> Library:
    """The catalogues of the two plain systems."""
    return Library(systems=SYSTEMS)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write company `demo` with some files changed: a text replaces a file, a pair replaces a piece, None drops it."""

    def write(changes: Changes | None = None, folder: str = "demo") -> Path:
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        files: dict[str, str | None] = {**DEMO}
        for name, change in (changes or {}).items():
            if isinstance(change, tuple):
                old, new = change
                text = files[name] or ""
                assert text.count(old) == 1, f"{old!r} is to stand once in {name}"
                files[name] = text.replace(old, new)
            else:
                files[name] = change
        for name, text_or_none in files.items():
            if text_or_none is not None:
                (path / name).write_text(text_or_none, encoding="utf-8")
        return path

    return write


@pytest.fixture
def load(write: Write, plain: Library) -> Load:
    """Write company `demo` with changes, load it, and return it with its errors, files without their folder."""

    def load(changes: Changes | None = None, folder: str = "demo") -> tuple[CompanySpec | None, list[str]]:
        path = write(changes, folder)
        spec, errors = load_company(path, using=plain)
        return spec, [str(error).removeprefix(f"{path.as_posix()}/") for error in errors]

    return load
