"""What others typed, where it is shown: terminals, CSV and reports take none of it for a command."""

from __future__ import annotations

import csv
import io
from importlib.util import module_from_spec, spec_from_file_location

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from iw_operators.commands import ledger as commands
from iw_operators.engine.model import Action, Candidate, Change, Decision
from iw_operators.ledger.model import RunRef
from iw_operators.ledger.store import Ledger
from iw_operators.shown import shown
from iw_operators.spec.csvsafe import cell
from iw_operators.spec.report import Row, as_csv, as_markdown
from tests.security.kit import ROOT

EVIL = "\x1b[2J\x1b]0;owned\x07[red]Acme[/red] [link=http://evil]x[/link]\n2026-01-01  created  Fake row"
EVIL += "\u202egpj.exe\u2028\x9b31m"
CONTROLS = "\x1b\x07\x9b\u202e\u2028\r"


def lines(text: str) -> int:
    """Return how many lines a terminal makes of a text."""
    return len(text.splitlines())


def test_text_of_others_is_one_line_without_commands() -> None:
    """Escape sequences, line ends and turned directions become numbers; markup and all scripts stay as they are."""
    told = shown(EVIL)
    assert lines(told) == 1
    assert not set(CONTROLS) & set(told)
    assert "[red]Acme[/red]" in told
    for name in ("Ångström & Söhne", "株式会社", "شركة", "🙂 GmbH", "O'Neil"):
        assert shown(name) == name


@given(st.text())
def test_any_text_is_shown_on_one_line(text: str) -> None:
    """Whatever a name holds."""
    assert lines(shown(text)) <= 1


@pytest.mark.ledger
def test_names_cannot_forge_the_record_log(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    """`airflow iw log` shows a hostile name as the text that it is, in the table and in the details."""
    run_id = ledger.begin_run(company="acme", flow="F", dag_run_id="r", kind="k", direction="to_books")
    run = RunRef(run_id, "acme", "F", "customers", "f", 1, "crm")
    evil = Decision(
        Action.REJECT,
        "1",
        f"why {EVIL}",
        label=EVIL,
        code="iw.x",
        advice=EVIL,
        changes=(Change("name", EVIL, EVIL),),
        candidates=(Candidate("9", EVIL),),
    )
    ledger.record(run, [evil])
    rows = ledger.log(company="acme")
    commands.show(rows)
    for row in rows:
        commands.show_all(row)
    out = capsys.readouterr().out
    assert not set(CONTROLS) & set(out)
    assert not any(line.lstrip().startswith("2026-01-01  created") for line in out.splitlines())
    assert "[red]Acme[/red]" in out.replace("\n", "").replace(" ", "") or "[red]" in out


def test_progress_of_the_demo_takes_no_markup() -> None:
    """What the demo says goes to the terminal as text."""
    # By its path: a module of the tests is called `demo` as well.
    made = spec_from_file_location("demo_show", ROOT / "include" / "demo" / "show.py")
    assert made is not None
    assert made.loader is not None
    show = module_from_spec(made)
    made.loader.exec_module(show)
    out = io.StringIO()
    progress = show.Progress(Console(file=out, width=200, force_terminal=False))
    progress.say("flow [bold red]x[/]: [link=http://evil]y[/link]")
    assert "[bold red]x[/]" in out.getvalue()


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1 617 555 0100", "'+1 617 555 0100"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("  =1", "'  =1"),
        ("\r=1", "'\n=1"),
        ("＝1+1", "'＝1+1"),
        ("-12.50", "-12.50"),
        ("+3", "+3"),
        ("-", "-"),
        ("a=b", "a=b"),
        ("", ""),
        ("Acme", "Acme"),
    ],
)
def test_a_cell_is_no_formula(text: str, safe: str) -> None:
    """What a spreadsheet would compute is marked as text; numbers stay numbers."""
    assert cell(text) == safe


@given(st.lists(st.text(max_size=20), min_size=9, max_size=9))
def test_the_mapping_report_exports_text_only(texts: list[str]) -> None:
    """The CSV of `airflow iw report` has no cell that begins a formula; the Markdown stays one row."""
    row = Row(*texts)
    for record in list(csv.reader(io.StringIO(as_csv([row]), newline="")))[1:]:
        for each in record:
            assert cell(each) == each
    assert as_markdown([row]).count("\n") == 3
