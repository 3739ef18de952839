"""Review sheets in the ledger: what people may decide, what cannot be, and whose it is."""

from __future__ import annotations

import threading

import pytest

from iw_operators.engine.model import Candidate
from iw_operators.engine.review import Finding, Found
from iw_operators.errors import StopFlow
from iw_operators.ledger.own import OwnLedger
from iw_operators.ledger.reviews import Choice
from iw_operators.ledger.store import Ledger, RunRef
from tests.ledger.kit import begin

pytestmark = [pytest.mark.ledger, pytest.mark.feature("P4")]


@pytest.fixture
def run(ledger: Ledger) -> RunRef:
    """A run with a sheet of four rows."""
    made = begin(ledger, flow="FlowBind")
    ledger.put_review(
        made,
        [
            Found("a1", Finding.EXACT, "same", "Acme", "id", "b1", "Acme Inc."),
            Found("a2", Finding.CANDIDATE, "near", "Bolt", "name", "b2", "BOLT"),
            Found(
                "a3", Finding.AMBIGUOUS, "two", "=1+1", "name", candidates=(Candidate("b3", "C"), Candidate("b4", "D"))
            ),
            Found("a4", Finding.NONE, "nobody", "\x00odd"),
        ],
    )
    return made


def ids(ledger: Ledger, run: RunRef) -> dict[str, int]:
    """Return the rows' numbers by source id."""
    return {row.source_id: row.id for row in ledger.review_rows(run.run_id)}


def decisions(ledger: Ledger, run: RunRef) -> dict[str, tuple[str, str]]:
    """Return decision and partner by source id."""
    return {row.source_id: (row.decision, row.target_id) for row in ledger.review_rows(run.run_id)}


def test_counts_pages_and_search(ledger: Ledger, run: RunRef) -> None:
    """A sheet is counted by finding and decision, read in pages, and searched by names and ids."""
    assert ledger.latest_review("acme", "FlowBind") == run.run_id
    assert ledger.latest_review("acme", "Other") is None
    assert ledger.review_counts(run.run_id)["customers"][("exact", "open")] == 1
    first = ledger.review_rows(run.run_id, limit=3)
    rest = ledger.review_rows(run.run_id, after=first[-1].id)
    assert [row.source_id for row in (*first, *rest)] == ["a1", "a2", "a3", "a4"]
    assert [row.source_id for row in ledger.review_rows(run.run_id, text="bolt")] == ["a2"]
    assert [row.source_id for row in ledger.review_rows(run.run_id, findings=("ambiguous",))] == ["a3"]
    assert rest[0].label == "␀odd"


def test_a_decision_is_kept_with_who_made_it(ledger: Ledger, run: RunRef) -> None:
    """Approved with the row's partner or a named one; the deed is noted."""
    row = ids(ledger, run)
    chosen = [Choice(row["a2"], "approved"), Choice(row["a3"], "approved", "b4"), Choice(row["a4"], "refused")]
    assert ledger.decide_review("acme", run.run_id, chosen, by="maria") == []
    assert decisions(ledger, run) == {
        "a1": ("open", "b1"),
        "a2": ("approved", "b2"),
        "a3": ("approved", "b4"),
        "a4": ("refused", ""),
    }
    found = {each.source_id: each for each in ledger.review_rows(run.run_id)}
    assert (found["a3"].target_label, found["a3"].by) == ("D", "maria")
    (deed,) = ledger.deeds("acme")
    assert (deed.by, deed.detail) == ("maria", {"approved": 2, "refused": 1, "open": 0})


def test_what_cannot_be_is_said_and_the_rest_is_kept(ledger: Ledger, run: RunRef) -> None:
    """No partner, a partner that is not free, an id that is none, a row of nobody, a row that is bound."""
    row = ids(ledger, run)
    ledger.bind("acme", "customers", crm_id="zz", books_id="b9")
    ledger.decide_review("acme", run.run_id, [Choice(row["a1"], "approved")], by="m")
    ledger.end_reviewed(run.run_id, {row["a1"]: (True, "bound")})
    refused = ledger.decide_review(
        "acme",
        run.run_id,
        [
            Choice(row["a1"], "refused"),
            Choice(row["a2"], "approved"),
            Choice(row["a3"], "approved"),
            Choice(row["a4"], "approved", "b9"),
            Choice(10**12, "approved"),
        ],
        by="m",
    )
    assert {each.id: each.why for each in refused} == {
        row["a1"]: "it is bound already",
        row["a3"]: "it has no single partner; name the one that is meant",
        row["a4"]: "b9 is bound to zz",
        10**12: "the sheet has no such row",
    }
    assert decisions(ledger, run)["a2"] == ("approved", "b2")
    for bad in (" b3", "b" * 300, "b\x003"):
        (one,) = ledger.decide_review("acme", run.run_id, [Choice(row["a3"], "approved", bad)], by="m")
        assert one.why == "that is not an id"


def test_a_partner_is_given_once(ledger: Ledger, run: RunRef) -> None:
    """Of two rows that name the same partner the first has it; given up, the other can have it."""
    row = ids(ledger, run)
    both = [Choice(row["a3"], "approved", "b3"), Choice(row["a4"], "approved", "b3")]
    (refused,) = ledger.decide_review("acme", run.run_id, both, by="m")
    assert (refused.id, refused.why) == (row["a4"], "b3 is approved for a3")
    change = [Choice(row["a3"], "approved", "b4"), Choice(row["a4"], "approved", "b3")]
    assert ledger.decide_review("acme", run.run_id, change, by="m") == []
    assert ledger.decide_review("acme", run.run_id, [Choice(row["a3"], "open")], by="m") == []
    assert ledger.decide_review("acme", run.run_id, [Choice(row["a2"], "approved", "b4")], by="m") == []


def test_two_people_at_once_give_a_partner_to_one_row(ledger: Ledger, run: RunRef) -> None:
    """Decisions about a sheet are made one after the other."""
    row = ids(ledger, run)
    refused: list[str] = []
    gate = threading.Barrier(2)

    def decide(source: str) -> None:
        gate.wait(20)
        told = ledger.decide_review("acme", run.run_id, [Choice(row[source], "approved", "b3")], by=source)
        refused.extend(each.why for each in told)

    threads = [threading.Thread(target=decide, args=(source,)) for source in ("a3", "a4")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert [value for value in decisions(ledger, run).values() if value[1] == "b3"] == [("approved", "b3")]


def test_exact_rows_leave_a_partner_to_whom_it_was_given(ledger: Ledger, run: RunRef) -> None:
    """A person has given the exact row's partner to another row: the approval of all exact rows respects that."""
    row = ids(ledger, run)
    assert ledger.decide_review("acme", run.run_id, [Choice(row["a4"], "approved", "b1")], by="m") == []
    assert ledger.approve_exact("acme", run.run_id, by="m") == 0
    assert decisions(ledger, run)["a1"] == ("open", "b1")


def test_a_sheet_belongs_to_its_company(ledger: Ledger, run: RunRef) -> None:
    """Another company's tasks can neither read nor decide it; decisions under another company's name find no row."""
    row = ids(ledger, run)
    other = OwnLedger.of(ledger, "globex")
    with pytest.raises(StopFlow):
        other.review_rows(run.run_id)
    with pytest.raises(StopFlow):
        other.decide_review("globex", run.run_id, [Choice(row["a1"], "approved")], by="m")
    with pytest.raises(StopFlow):
        other.end_reviewed(run.run_id, {row["a1"]: (True, "")})
    (refused,) = ledger.decide_review("globex", run.run_id, [Choice(row["a1"], "approved")], by="m")
    assert refused.why == "the sheet has no such row"
    assert ledger.approve_exact("globex", run.run_id, by="m") == 0
    assert ledger.refuse_review("globex", run.run_id, by="m") == 0
