"""The table of features says what the tests show, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| ([A-Z]\d+) \| .* \| (yes|part) \|", re.MULTILINE)
MARK = re.compile(r"feature\(([^)]*)\)")


def marked() -> set[str]:
    """Return the ids that tests are marked with."""
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for arguments in MARK.findall(path.read_text(encoding="utf-8")):
            found |= set(re.findall(r'"([A-Z]\d+)"', arguments))
    return found


def listed() -> set[str]:
    """Return the ids that the table has."""
    return {row for row, _ in ROW.findall((ROOT / "docs" / "features.md").read_text(encoding="utf-8"))}


def test_every_row_of_the_table_has_a_test() -> None:
    """A feature that is said to be there is shown by at least one test that carries its id."""
    assert listed()
    assert not listed() - marked()


def test_every_marked_feature_stands_in_the_table() -> None:
    """A test that proves a feature proves one that people can read about."""
    assert not marked() - listed()
