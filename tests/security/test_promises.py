"""The page of promises: each one names a test that exists."""

from __future__ import annotations

import re

import pytest

from tests.security.kit import ROOT

PAGE = ROOT / "docs" / "what-we-promise.md"
NAMED = sorted(set(re.findall(r"`([a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`", PAGE.read_text(encoding="utf-8"))))


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda value: value)
def test_the_test_behind_a_promise_is_there(file: str, name: str) -> None:
    """By its file and name."""
    assert f"\ndef {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")


def test_every_part_says_what_does_not_hold() -> None:
    """Each part of the page names tests, and, but for one, ends with what is not promised."""
    parts = PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
    assert len(parts) > 10
    assert all("::test_" in part for part in parts)
    assert sum("**Not promised.**" in part for part in parts) >= len(parts) - 1
    assert len(NAMED) > 50
