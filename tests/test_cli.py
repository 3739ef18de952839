"""`airflow iw validate` and `airflow iw report`, as functions and through Airflow's own parser."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from iw_operators import cli

ROOT = Path(__file__).resolve().parents[1]
MAPPINGS = ROOT / "mappings"


def parsed(*words: str) -> argparse.Namespace:
    """Parse words with the arguments that the commands declare."""
    parser = argparse.ArgumentParser()
    inner = parser.add_subparsers()
    (group,) = cli.get_commands()
    for command in group.subcommands:  # type: ignore[union-attr]  # a group, as Airflow's types cannot say
        sub = inner.add_parser(command.name)
        for arg in command.args:
            arg.add_to_parser(sub)
        sub.set_defaults(func=command.func)
    return parser.parse_args(words)


def run(*words: str) -> None:
    """Run a command as Airflow would."""
    args = parsed(*words)
    args.func(args)


def broken(tmp_path: Path) -> Path:
    """Return a folder with company acme, in which two things are wrong."""
    folder = tmp_path / "mappings" / "acme"
    folder.mkdir(parents=True)
    for file in (MAPPINGS / "acme").glob("*.yaml"):
        text = file.read_text().replace("direction: both", "directoin: both")
        (folder / file.name).write_text(text.replace("mappings: [payments]", "mappings: [payment]"))
    return folder.parent


def test_validate_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Without errors, validate prints one line of counts and returns."""
    run("validate", "acme", "--mappings", str(MAPPINGS))
    assert capsys.readouterr().out == "1 company, 4 mappings, 6 flows, 47 utility flows made from mappings: no errors\n"


def test_validate_prints_every_error_and_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With errors, validate prints all of them with file and line and exits with 1."""
    with pytest.raises(SystemExit) as caught:
        run("validate", "--mappings", str(broken(tmp_path)))
    assert caught.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    assert any("customers.yaml:5: directoin: unknown key 'directoin'" in line for line in lines)
    assert any("there is no mapping 'payment'; expected one of" in line for line in lines)
    assert any(line.endswith("did you mean payments?") for line in lines)
    assert lines[-1] == "4 errors in 4 files"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["validate", "acm"], "holds no company 'acm'; there are: acme, globex; did you mean acme?"),
        (["report", "nobody"], "holds no company 'nobody'; there are: acme, globex"),
    ],
)
def test_a_company_that_there_is_not(words: list[str], message: str) -> None:
    """Naming a company that does not exist ends with a message that lists those that do."""
    with pytest.raises(SystemExit) as caught:
        run(*words, "--mappings", str(MAPPINGS))
    assert str(caught.value.code).endswith(message)


def test_an_empty_folder_is_no_success(tmp_path: Path) -> None:
    """A folder without any company is told, not passed over."""
    with pytest.raises(SystemExit, match="holds no company"):
        run("validate", "--mappings", str(tmp_path))


def test_a_folder_that_there_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that does not exist is an error with exit status 1."""
    with pytest.raises(SystemExit) as caught:
        run("validate", "--mappings", str(tmp_path / "nowhere"))
    assert caught.value.code == 1
    assert "there is no such folder" in capsys.readouterr().out


def test_report_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """The table shows each mapping with its objects, fingerprint, fields, natives and owners."""
    run("report", "acme", "--mappings", str(MAPPINGS))
    out = capsys.readouterr().out
    assert "acme/customers: Creatio Account <-> QuickBooks Online Customer, fingerprint " in out
    assert "PrimaryPhone.FreeFormNumber" in out
    assert "lines[].quantity" in out
    assert "[tell" not in out


@pytest.mark.parametrize("form", ["csv", "markdown", "json"])
def test_report_in_other_forms(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The report can be had as CSV, Markdown and JSON, with the same rows."""
    run("report", "acme", "--mappings", str(MAPPINGS), "--format", form)
    out = capsys.readouterr().out
    if form == "json":
        assert {row["mapping"] for row in json.loads(out)} == {"customers", "items", "invoices", "payments"}
    else:
        assert "UsrQBBalance" in out
        assert "invoices" in out


def test_report_shows_what_is_right_and_tells_what_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With errors the report of the rest is printed, errors go to stderr, and the exit status is 1."""
    with pytest.raises(SystemExit) as caught:
        run("report", "--mappings", str(broken(tmp_path)))
    assert caught.value.code == 1
    captured = capsys.readouterr()
    assert "acme/payments" in captured.out
    assert "directoin" in captured.err


def test_files_are_shown_relative_to_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Below the current folder, files are named as one would type them."""
    folder = broken(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        run("validate", "acme", "--mappings", str(folder))
    assert capsys.readouterr().out.startswith("mappings/acme/customers.yaml:5: ")


def test_default_folder_comes_from_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --mappings the folder is the one that Airflow's configuration names."""
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__MAPPINGS_FOLDER", str(broken(tmp_path)))
    with pytest.raises(SystemExit):
        run("validate")
    assert "directoin" in capsys.readouterr().out


def test_through_airflow_itself(tmp_path: Path) -> None:
    """`airflow iw validate` is a command of Airflow's own command line, prints the errors and exits with 1."""
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    command = [sys.executable, "-m", "airflow", "iw", "validate", "--mappings"]
    good = subprocess.run([*command, str(MAPPINGS)], capture_output=True, text=True, env=environment)
    counted = r"2 companies, \d+ mappings, \d+ flows, \d+ utility flows made from mappings: no errors\n"
    assert good.returncode == 0, good.stderr
    assert re.fullmatch(counted, good.stdout), good.stdout
    bad = subprocess.run([*command, str(broken(tmp_path))], capture_output=True, text=True, env=environment)
    assert bad.returncode == 1
    assert "directoin" in bad.stdout
