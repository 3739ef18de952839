"""Installing the ODBC drivers, and the words where that cannot be done."""

from __future__ import annotations

import subprocess

import pytest

from local import debian, odbc


def test_nothing_is_done_where_all_drivers_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the drivers there, nothing is run and nothing said."""
    monkeypatch.setattr(odbc, "missing", list)
    monkeypatch.setattr(debian, "install", lambda packages: pytest.fail("installed"))
    assert odbc.main() == 0
    assert capsys.readouterr().out == ""


def test_elsewhere_clear_words_are_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Not as root on Debian: which drivers are missing, what needs them, and how to install them; no failure."""
    monkeypatch.setattr(odbc, "missing", lambda: ["SQLite3"])
    monkeypatch.setattr(debian, "can_install", lambda: False)
    monkeypatch.setattr(debian, "install", lambda packages: pytest.fail("installed"))
    assert odbc.main() == 0
    said = capsys.readouterr().out
    assert "SQLite3" in said
    assert "sudo apt-get install unixodbc odbc-postgresql libsqliteodbc" in said


@pytest.mark.parametrize(("code", "result"), [(0, 0), (100, 1)])
def test_as_root_on_debian_they_are_installed(monkeypatch: pytest.MonkeyPatch, code: int, result: int) -> None:
    """apt-get is asked for all packages; its failure is told."""
    asked: list[list[str]] = []

    def run(arguments: list[str], **_: object) -> None:
        asked.append(arguments)
        if code:
            raise subprocess.CalledProcessError(code, arguments)

    monkeypatch.setattr(odbc, "missing", lambda: ["SQLite3"])
    monkeypatch.setattr(debian, "can_install", lambda: True)
    monkeypatch.setattr(subprocess, "run", run)
    assert odbc.main() == result
    assert asked[0] == ["apt-get", "update", "-qq"]
    assert code or asked[1][-3:] == list(odbc.PACKAGES)
