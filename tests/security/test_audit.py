"""The audit of dependencies: it passes for what is installed here, and would not for anything else."""

from __future__ import annotations

import importlib.metadata
import shutil
import socket
from pathlib import Path

import pytest

from local import audit
from tests.security.kit import ROOT


def test_what_is_pinned_is_installed_and_what_is_wanted_is_pinned() -> None:
    """Offline, for this very installation. (`make lint` minds what is installed beyond that.)"""
    pinned = audit.pins((ROOT / "requirements.txt").read_text())
    installed = {audit.normal(each.name): each.version for each in importlib.metadata.distributions()}
    told = [line for line in audit.differences(pinned, installed) if "not pinned" not in line]
    assert told == []
    assert list(audit.unpinned(audit.wanted(ROOT), pinned)) == []


def test_every_difference_is_told() -> None:
    """Too much, too little, another version; the package and its installers do not count."""
    pinned = audit.pins("a==1\nB_c[x,y]==2 ; python_version > '3'\n# note\nd==4\n")
    installed = {"a": "1", "b-c": "3", "e": "5", "pip": "1", "uv": "1", "iw-operators": "0"}
    assert list(audit.differences(pinned, installed)) == [
        "b-c is pinned to 2 and installed as 3",
        "d 4 is pinned and not installed",
        "e 5 is installed and not pinned in requirements.txt",
    ]
    assert list(audit.unpinned({"b.c": "x", "f": "y"}, pinned)) == ["f of y is not pinned in requirements.txt"]


@pytest.mark.parametrize("line", ["a>=1", "a", "git+https://example.com/a", "a==1\na==2", "-e ."])
def test_a_line_that_pins_nothing_is_an_error(line: str) -> None:
    """Ranges, addresses and doubles have no place in a file of pins."""
    with pytest.raises(ValueError, match="pins nothing"):
        audit.pins(line)


def test_without_a_network_it_is_said_and_no_failure(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The look-up of vulnerabilities is left out where it cannot be made."""

    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError

    monkeypatch.setattr(shutil, "which", lambda _: str(tmp_path / "pip-audit"))
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert audit._vulnerabilities()
    assert "cannot be reached" in capfd.readouterr().out
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert audit._vulnerabilities()
    assert "not installed" in capfd.readouterr().out
