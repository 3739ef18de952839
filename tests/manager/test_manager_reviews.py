"""Review sheets on the page: approved or refused row by row, with another partner where asked."""

from __future__ import annotations

import re

import pytest

from iw_operators.engine.model import Candidate
from iw_operators.engine.review import Finding, Found
from iw_operators.ledger.store import Ledger
from tests.ledger.kit import begin
from tests.manager.conftest import People

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R11")]
FLOW = "CRAcct2QBCustBind"


@pytest.fixture
def sheet(people: People, ledger: Ledger) -> int:
    """A sheet with an exact match, an ambiguous one and one without; the run's id."""
    del people
    run = begin(ledger, flow=FLOW, dag_run_id="manual__1")
    two = (Candidate("C2", "Beta Inc"), Candidate("C3", "Beta LLC"))
    ledger.begin_review(run)
    ledger.put_review(
        run,
        [
            Found("A1", Finding.EXACT, "", "Alpha", target_id="C1", target_label="Alpha Ltd", by="name"),
            Found("A2", Finding.AMBIGUOUS, "", "Beta", candidates=two),
            Found("A3", Finding.NONE, "", "Gamma"),
        ],
    )
    ledger.end_review(run)
    return run.run_id


def decided(ledger: Ledger, run_id: int) -> dict[str, tuple[str, str]]:
    """Return decision and partner of each row."""
    return {row.source_id: (row.decision, row.target_id) for row in ledger.review_rows(run_id)}


def test_the_sheet(people: People, sheet: int) -> None:
    """The newest sheet of each binding flow is listed, with its rows, findings and candidates."""
    assert f"/c/acme/reviews/{sheet}" in people.get("view", "/c/acme/reviews").text
    page = people.get("view", f"/c/acme/reviews/{sheet}").text
    for part in ("Alpha Ltd", "exact", "ambiguous", "none"):
        assert part in page
    assert "Beta LLC (C3)" in people.get("oper", f"/c/acme/reviews/{sheet}").text
    only = people.get("view", f"/c/acme/reviews/{sheet}?finding=none").text
    assert "Gamma" in only
    assert "Alpha Ltd" not in only


def test_rows_are_decided(people: People, sheet: int, ledger: Ledger) -> None:
    """Each row is decided by itself, with a candidate or another id; rows that were left alone stay open."""
    rows = {row.source_id: row.id for row in ledger.review_rows(sheet)}
    form = {
        "do": "save",
        f"decision-{rows['A1']}": "refused",
        f"was-{rows['A1']}": "open",
        f"had-{rows['A1']}": "C1",
        f"partner-{rows['A1']}": "C1",
        f"decision-{rows['A2']}": "approved",
        f"partner-{rows['A2']}": "C3",
        f"decision-{rows['A3']}": "open",
    }
    answer = people.post("oper", f"/c/acme/reviews/{sheet}", form)
    assert "Kept: 2 decisions." in people.browser("oper").get(answer.headers["location"]).text
    assert decided(ledger, sheet) == {"A1": ("refused", "C1"), "A2": ("approved", "C3"), "A3": ("open", "")}
    people.post("oper", f"/c/acme/reviews/{sheet}", {f"decision-{rows['A3']}": "approved", f"other-{rows['A3']}": "C9"})
    assert decided(ledger, sheet)["A3"] == ("approved", "C9")
    assert {row.by for row in ledger.review_rows(sheet)} == {"oper"}


def test_what_cannot_be(people: People, sheet: int, ledger: Ledger) -> None:
    """A row without a partner cannot be approved; the page says so and keeps the rest."""
    rows = {row.source_id: row.id for row in ledger.review_rows(sheet)}
    form = {
        f"decision-{rows['A3']}": "approved",
        f"decision-{rows['A1']}": "approved",
        f"partner-{rows['A1']}": "C1",
        f"had-{rows['A1']}": "C1",
    }
    answer = people.post("oper", f"/c/acme/reviews/{sheet}", form)
    page = people.browser("oper").get(answer.headers["location"]).text
    assert "Kept: 1." in page
    assert "no single partner" in page
    assert people.post("oper", f"/c/acme/reviews/{sheet}", {f"decision-{rows['A1']}": "written"}).status_code == 422
    assert people.post("oper", f"/c/acme/reviews/{sheet}", {"do": "something"}).status_code == 422


def test_all_at_once(people: People, sheet: int, ledger: Ledger) -> None:
    """All exact matches are approved with one button, the whole sheet refused with another."""
    people.post("oper", f"/c/acme/reviews/{sheet}", {"do": "approve exact"})
    assert decided(ledger, sheet) == {"A1": ("approved", "C1"), "A2": ("open", ""), "A3": ("open", "")}
    people.post("oper", f"/c/acme/reviews/{sheet}", {"do": "refuse all"})
    assert {decision for decision, _ in decided(ledger, sheet).values()} == {"refused"}


def test_a_viewer_only_looks(people: People, sheet: int) -> None:
    """Without the right to operate the flow there is nothing to choose."""
    page = people.get("view", f"/c/acme/reviews/{sheet}").text
    assert not re.search(r'name="(decision|partner|other)-', page)
