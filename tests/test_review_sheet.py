"""A review sheet as CSV and back, and `airflow iw review`."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iw_operators.engine.model import Candidate
from iw_operators.engine.review import Finding, Found
from iw_operators.ledger.reviews import Choice, ReviewRow
from iw_operators.ledger.store import Ledger
from iw_operators.review_sheet import as_csv, decided
from tests.engine.make import utc
from tests.ledger.kit import begin
from tests.test_cli import run

pytestmark = pytest.mark.feature("P4")

HOSTILE = '=HYPERLINK("http://evil.example","x")'


def row(number: int, **given: Any) -> ReviewRow:
    """Return a row of a sheet."""
    values: dict[str, Any] = {
        "id": number,
        "mapping": "customers",
        "side": "crm",
        "source_id": f"a{number}",
        "label": f"Name {number}",
        "finding": "candidate",
        "found_by": "name",
        "target_id": f"b{number}",
        "target_label": "T",
        "candidates": (),
        "decision": "open",
        "by": "",
        "why": "near",
        "at": utc(2026, 3, 1),
    }
    return ReviewRow(**{**values, **given})


def edited(rows: list[ReviewRow], changes: dict[int, dict[str, str]], delimiter: str = ",") -> bytes:
    """Return an exported file with cells changed by row number, as a spreadsheet saves it."""
    cells = list(csv.DictReader(io.StringIO(as_csv(rows).decode("utf-8-sig"))))
    for each in cells:
        each.update(changes.get(int(each["row"]), {}))
    stream = io.StringIO()
    made = csv.DictWriter(stream, cells[0].keys(), delimiter=delimiter)
    made.writeheader()
    made.writerows(cells)
    return stream.getvalue().encode("utf-8-sig")


def test_formulas_are_neutralised_and_come_back_as_they_were() -> None:
    """Names and ids that a spreadsheet would run or rewrite are marked as text, and unchanged rows decide nothing."""
    rows = [row(1, label=HOSTILE, source_id="=1+1", target_id="007", candidates=(Candidate("b9", "@SUM(A1)"),))]
    text = as_csv(rows).decode("utf-8-sig")
    (line,) = csv.DictReader(io.StringIO(text))
    assert line["name"] == f"'{HOSTILE}"
    assert line["record"] == "'=1+1"
    assert line["partner"] == "'007"
    assert not any(cell.startswith(("=", "+", "@", "-")) for cell in line.values())
    assert decided(as_csv(rows), {1: rows[0]}).choices == {}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_somebody_has_filled_in(delimiter: str) -> None:
    """Approve, refuse, another partner, back to open; whatever separator the spreadsheet writes."""
    rows = [row(1), row(2), row(3), row(4, decision="approved"), row(5)]
    changes = {
        1: {"decision": "Approve"},
        2: {"decision": "no"},
        3: {"decision": "x", "partner": "b77"},
        4: {"decision": "open"},
    }
    found = decided(edited(rows, changes, delimiter), {each.id: each for each in rows})
    assert found.wrong == ()
    assert list(found.choices.values()) == [
        Choice(1, "approved"),
        Choice(2, "refused"),
        Choice(3, "approved", "b77"),
        Choice(4, "open"),
    ]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"decision": "perhaps"}, "is no decision"),
        ({"record": "a9"}, "is about record a1"),
        ({"row": "99"}, "no row"),
        ({"row": "1.0"}, "no row"),
        ({"row": "²"}, "no row"),
        ({"decision": "approve", "partner": ""}, "without a partner"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(changes: dict[str, str], word: str) -> None:
    """Nothing is guessed: a line that does not fit the sheet is named."""
    rows = [row(1)]
    found = decided(edited(rows, {1: changes}), {1: rows[0]})
    assert found.choices == {}
    (wrong,) = found.wrong
    assert word in str(wrong)
    assert wrong.line == 2


def test_rows_that_are_bound_stay_bound() -> None:
    """A written row comes through unchanged, and cannot get another partner."""
    rows = [row(1, decision="written")]
    assert decided(as_csv(rows), {1: rows[0]}).wrong == ()
    (wrong,) = decided(edited(rows, {1: {"partner": "b2"}}), {1: rows[0]}).wrong
    assert "cannot be changed" in wrong.message


@pytest.mark.parametrize("data", [b"", b"\xff\xfe\x00", b"a,b\n1,2\n", b"row,record\n1,a1\n"])
def test_another_file_is_refused(data: bytes) -> None:
    """A file that is not the sheet takes nothing."""
    found = decided(data, {1: row(1)})
    assert found.choices == {}
    assert found.wrong


@given(label=st.text(max_size=30), target=st.text("0123456789-=+@ab'", min_size=1, max_size=10))
def test_any_text_goes_out_and_comes_back_as_no_change(label: str, target: str) -> None:
    """Whatever names and ids hold, an untouched file decides nothing."""
    rows = [row(1, label=label.replace("\x00", ""), target_id=target)]
    assert decided(as_csv(rows), {1: rows[0]}).choices == {}


@pytest.mark.ledger
def test_the_command(
    ledger: Ledger,
    ledger_connection: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Shown, exported, imported, the exact ones approved; what cannot be is said and ends with 1."""
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__MAPPINGS_FOLDER", str(Path(__file__).resolve().parents[1] / "mappings"))
    flow = "CRAcct2QBCustBind"
    with pytest.raises(SystemExit, match="no review sheet yet"):
        run("review", "acme", flow)
    made = begin(ledger, flow=flow)
    ledger.put_review(
        made,
        [
            Found("a1", Finding.EXACT, "same", "Acme", "id", "b1", "Acme"),
            Found("a2", Finding.CANDIDATE, "near", "Bolt\x1b[2J", "name", "b2", "BOLT"),
            Found("a3", Finding.AMBIGUOUS, "two", "Twin", "name"),
        ],
    )
    run("review", "acme", flow)
    out = capsys.readouterr().out
    assert "customers: " in out
    assert "\x1b[2J" not in out
    run("review", "acme", flow, "--approve", "exact")
    assert capsys.readouterr().out == "1 row approved.\n"
    file = tmp_path / "sheet.csv"
    run("review", "acme", flow, "--csv", str(file))
    assert "3 rows written" in capsys.readouterr().out
    rows = ledger.review_rows(made.run_id)
    file.write_bytes(edited(rows, {rows[1].id: {"decision": "approve"}, rows[2].id: {"decision": "approve"}}))
    with pytest.raises(SystemExit) as caught:
        run("review", "acme", flow, "--import", str(file))
    assert caught.value.code == 1
    told = capsys.readouterr()
    assert told.out == "1 row decided.\n"
    assert told.err == "line 4: it has no single partner; name the one that is meant\n"
    assert [each.decision for each in ledger.review_rows(made.run_id)] == ["approved", "approved", "open"]
    file.write_text("nonsense")
    with pytest.raises(SystemExit, match="Nothing was taken"):
        run("review", "acme", flow, "--import", str(file))
    with pytest.raises(SystemExit, match="cannot be read"):
        run("review", "acme", flow, "--import", str(tmp_path / "nowhere"))
