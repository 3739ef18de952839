"""The record log, what waits, the wall between companies, and figures."""

from __future__ import annotations

import datetime as dt
import time
import tracemalloc
from decimal import Decimal

import pytest

from iw_operators.engine.model import Action, Await, Candidate, Change, Value
from iw_operators.errors import FixRecord, StopFlow
from iw_operators.ledger.model import RunRef
from iw_operators.ledger.store import Ledger
from iw_operators.spec.resolved import Side
from tests.ledger.kit import applied, begin, create, ended, made, quiet, refused, sent

pytestmark = pytest.mark.ledger

AWKWARD = "! @ # $ % ^ & * + { } [ ] ? > < ' \" \\ %s :x 漢字 עברית 😀 e\u0301 \n\r\n\t ٣ \u200d\ufeff"


@pytest.mark.feature("R9", "E2")
def test_a_row_carries_everything(ledger: Ledger) -> None:
    """Flow, run, mapping, fingerprint, ids, operation, state, old and new, code, advice, attempt, times (law 7)."""
    run = begin(ledger)
    decisions = [create("a", label="Ä & Co", changes=(Change("balance", None, Decimal("12.50")),))]
    batch = sent(ledger, run, decisions)
    ended(ledger, run, decisions, batch, [refused(batch.writes[0])])
    candidates = (Candidate("7", "Seven", "x"), Candidate("8", "Eight"))
    awaits = (Await("items", "p"),)
    held = quiet(Action.HOLD, "b", candidates=candidates, awaits=awaits, code="iw.x", advice="Do it.", field="name")
    ledger.record(run, [held])
    second, first = ledger.log(company="acme")
    assert (first.flow, first.run_id, first.mapping, first.fingerprint) == ("Flow", run.run_id, "customers", "f1")
    assert (first.source_id, first.target_id, first.side, first.label) == ("a", None, "crm", "Ä & Co")
    assert (first.operation, first.action, first.attempt) == ("create", Action.REJECT, 1)
    assert first.changes == (Change("balance", None, Decimal("12.50")),)
    assert (first.why, first.code, first.field) == ("The name is taken.", "6240", "name")
    assert first.advice == "Give it another name."
    assert first.sent_at is not None
    assert first.sent_at <= first.at <= dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)
    assert (second.candidates, second.awaits, second.why) == (candidates, awaits, "it is held")
    assert (second.code, second.advice, second.field, second.sent_at) == ("iw.x", "Do it.", "name", None)


@pytest.mark.feature("R9")
def test_rows_are_found(ledger: Ledger) -> None:
    """By flow, run, mapping, record, state and text, newest first, page by page; signs of patterns are just text."""
    run = begin(ledger)
    ledger.record(run, [quiet(Action.SKIP, f"s{n}", label=f"Label 10{n}%") for n in range(5)])
    ledger.record(begin(ledger, mapping="items", flow="Other"), [quiet(Action.HOLD, "i1", why="ÄRGER with tax")])
    (newest,) = ledger.log(company="acme", mapping="customers", limit=1)
    older = ledger.log(company="acme", mapping="customers", limit=2, before=newest.cursor)
    assert [row.source_id for row in (newest, *older)] == ["s4", "s3", "s2"]
    assert [row.mapping for row in ledger.log(company="acme", flow="Other")] == ["items"]
    assert [row.source_id for row in ledger.log(company="acme", source_id="s1", run_id=run.run_id)] == ["s1"]
    assert [row.source_id for row in ledger.log(company="acme", action="held")] == ["i1"]
    assert [row.source_id for row in ledger.log(company="acme", text="ärger")] == ["i1"]
    assert [row.source_id for row in ledger.log(company="acme", text="104%")] == ["s4"]
    assert ledger.log(company="acme", text="1_4") == []


@pytest.mark.feature("E3")
def test_odd_characters_are_kept(ledger: Ledger) -> None:
    """Everything but NUL comes back unchanged from text and values; NUL is kept in values and shown as ␀ in text."""
    run = begin(ledger)
    values: dict[str, Value] = {"name": AWKWARD + "\x00"}
    record = quiet(
        Action.UNCHANGED, AWKWARD, label=AWKWARD, why=AWKWARD + "\x00", target_id="7", binds=True, source=values,
        changes=(Change("name", AWKWARD, AWKWARD + "\x00"),),
    )  # fmt: skip
    ledger.record(run, [record])
    (row,) = ledger.log(company="acme", source_id=AWKWARD, text=AWKWARD)
    assert (row.label, row.why) == (AWKWARD, AWKWARD + "␀")
    assert row.changes == record.changes
    assert ledger.bindings("acme", "customers", "books", ["7"])["7"].base_target == values
    ledger.index_put("acme", "customers", "crm", [(AWKWARD, AWKWARD, ["c:" + AWKWARD + "\x00", "c:" + AWKWARD])])
    found = ledger.candidates("acme", "customers", "crm", ["c:" + AWKWARD + "\x00", "c:" + AWKWARD])
    assert list(found.values()) == [[Candidate(AWKWARD, AWKWARD, "7")]] * 2
    with pytest.raises(FixRecord, match="cannot be stored"):
        ledger.record(run, [quiet(Action.SKIP, "a\x00b")])
    assert ledger.references("acme", "customers", "crm", ["a\x00b", AWKWARD]) == {AWKWARD: "7"}


@pytest.mark.feature("E2")
def test_rejections_are_grouped(ledger: Ledger) -> None:
    """One example a code, the most frequent first, with the number of records; what was mended does not count."""
    first = begin(ledger)
    rejected = {"code": "6240", "field": "name", "advice": "Rename."}
    ledger.record(first, [quiet(Action.REJECT, "a", **rejected), quiet(Action.REJECT, "b", **rejected)])
    ledger.record(first, [quiet(Action.REJECT, "c", code="iw.too_long"), quiet(Action.HOLD, "d", code="iw.held")])
    again = begin(ledger, attempt=2)
    ledger.record(again, [quiet(Action.REJECT, "a", **rejected)])
    found = ledger.rejections([first.run_id], 10)
    assert [(row.code, row.count) for row in found] == [("6240", 2), ("iw.too_long", 1)]
    assert found[0].advice == "Rename."
    assert [row.code for row in ledger.rejections([first.run_id], 1, company="acme")] == ["6240"]
    assert ledger.rejections([first.run_id], 10, company="globex") == []
    assert ledger.rejections([], 10) == []


def test_waiting_records_come_when_all_their_references_are_bound(ledger: Ledger) -> None:
    """A held record is named as soon as everything it awaits has a partner, once, until it is planned again."""
    run = begin(ledger, mapping="invoices")
    awaits = (Await("customers", "a"), Await("items", "p"))
    ledger.record(run, [quiet(Action.HOLD, "i1", awaits=awaits), quiet(Action.HOLD, "i2")])
    assert ledger.waiting("acme", "invoices", "crm") == []
    ledger.bind("acme", "customers", crm_id="a", books_id="1")
    ledger.bind("acme", "items", crm_id="x", books_id="p")
    assert ledger.waiting("acme", "invoices", "crm") == []
    ledger.bind("acme", "items", crm_id="p", books_id="2")
    assert ledger.waiting("acme", "invoices", "crm") == ["i1"]
    assert ledger.waiting("acme", "invoices", "books") == []
    assert ledger.waiting("globex", "invoices", "crm") == []
    made(ledger, run, "i1")
    assert ledger.waiting("acme", "invoices", "crm") == []


def test_waiting_can_be_given_up(ledger: Ledger) -> None:
    """A record that no longer exists is taken off the list."""
    run = begin(ledger)
    ledger.record(run, [quiet(Action.UNKNOWN, "a"), quiet(Action.UNKNOWN, "b")])
    ledger.forget_waiting("acme", "customers", "crm", ["a"])
    assert ledger.waiting("acme", "customers", "crm") == ["b"]


@pytest.mark.feature("R9")
def test_old_rows_go_and_the_rest_stays(ledger: Ledger) -> None:
    """Pruning takes log rows and finished batches of one company; bindings and what is in doubt stay."""
    for company in ("acme", "globex"):
        made(ledger, begin(ledger, company=company), "a")
    run = begin(ledger)
    sent(ledger, run, [create("b")], key="b2")
    assert ledger.prune("acme", dt.datetime.now(dt.UTC) - dt.timedelta(days=1)) == 0
    assert ledger.prune("acme", dt.datetime.now(dt.UTC) + dt.timedelta(days=1)) == 1
    assert ledger.log(company="acme") == []
    assert len(ledger.log(company="globex")) == 1
    assert ledger.references("acme", "customers", "crm", ["a"]) == {"a": "Ta"}
    assert len(ledger.open_batches("acme", "customers")) == 1


@pytest.mark.feature("S6")
def test_companies_do_not_see_each_other(ledger: Ledger) -> None:
    """The same ids, mappings, keys and flows in two companies have nothing to do with each other (law 8)."""
    acme, globex = begin(ledger), begin(ledger, company="globex")
    for run, mine in ((acme, "a"), (globex, "b")):
        decisions = [create(mine)]
        batch = sent(ledger, run, decisions)
        ended(ledger, run, decisions, batch, [applied(batch.writes[0], "1")])
        ledger.index_put(run.company, "customers", "books", [("1", run.company, ["c:a"])])
        ledger.record(run, [quiet(Action.HOLD, "h", awaits=(Await("customers", "a"),))])
    for company, mine in (("acme", "a"), ("globex", "b")):
        assert ledger.references(company, "customers", "crm", ["a", "b"]) == {mine: "1"}
        assert [*ledger.bindings(company, "customers", "crm", ["a", "b"])] == [mine]
        assert [row.source_id for row in ledger.log(company=company)] == ["h", mine]
        assert ledger.candidates(company, "customers", "books", ["c:a"]) == {"c:a": [Candidate("1", company, mine)]}
        assert [item.crm_id for item in ledger.pending_write_backs(company, "customers", 5)] == [mine]
    assert ledger.waiting("acme", "customers", "crm") == ["h"]
    assert ledger.waiting("globex", "customers", "crm") == []
    ledger.index_clear("acme", "customers", "books")
    assert ledger.candidates("acme", "customers", "books", ["c:a"]) == {}
    assert ledger.candidates("globex", "customers", "books", ["c:a"]) != {}
    sent(ledger, globex, [create("b")], key="b2")
    assert ledger.open_batches("acme", "customers") == []


def test_a_company_cannot_write_into_the_run_of_another(ledger: Ledger) -> None:
    """The database itself refuses a row that names a run of another company."""
    acme = begin(ledger)
    stranger = RunRef(acme.run_id, "globex", "Flow", "customers", "f1", 1, "crm")
    with pytest.raises(StopFlow, match="its company does not have"):
        ledger.record(stranger, [quiet(Action.SKIP, "a")])
    with pytest.raises(StopFlow, match="its company does not have"):
        sent(ledger, stranger, [create("a")])


def test_the_match_index(ledger: Ledger) -> None:
    """Records are found under each of their keys, in order of ids; putting them again replaces, no keys removes."""
    here: tuple[str, str, Side] = ("acme", "customers", "books")
    until = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    long = "c:" + "ü" * 4000
    assert ledger.index_state(*here) is None
    ledger.index_put(
        *here, [("2", "Two", ["c:x", "id:a", "c:x"]), ("1", "One", ["c:x", long]), ("1", "Uno", ["c:x", long])]
    )
    ledger.index_done(*here, until, "sig")
    assert ledger.index_state(*here) == (until, "sig")
    found = ledger.candidates(*here, ["c:x", "id:a", long, "c:none"])
    one, two = Candidate("1", "Uno"), Candidate("2", "Two")
    assert found == {"c:x": [one, two], "id:a": [two], long: [one]}
    ledger.index_put(*here, [("2", "Two", ["c:y"]), ("1", "", [])])
    assert ledger.candidates(*here, ["c:x", "id:a", long, "c:y"]) == {"c:y": [two]}
    ledger.index_clear(*here)
    assert ledger.index_state(*here) is None


@pytest.mark.slow
def test_twenty_thousand_records_are_nothing_special(ledger: Ledger) -> None:
    """20,000 records in a few seconds, page by page, in memory that does not grow with their number."""
    run = begin(ledger)
    base: dict[str, Value] = {f"field{n}": f"value {n}" for n in range(12)}
    same = {"source": base, "target": base, "source_version": "1", "target_version": "2", "binds": True}

    def page(number: int) -> None:
        ids = [f"{number}-{n}" for n in range(500)]
        if number % 4:
            ledger.record(run, [quiet(Action.UNCHANGED, each, target_id="T" + each, **same) for each in ids])
        else:
            for start in range(0, 500, 100):
                part = [create(each, source=base, target=base, send=base) for each in ids[start : start + 100]]
                batch = sent(ledger, run, part, key=f"{number}/{start}")
                ended(ledger, run, part, batch, [applied(write) for write in batch.writes])
        assert len(ledger.bindings("acme", "customers", "crm", ids)) == 500

    def peak(pages: range) -> int:
        tracemalloc.start()
        for number in pages:
            page(number)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    page(0)
    early = peak(range(1, 5))
    started = time.monotonic()
    for number in range(5, 36):
        page(number)
    seconds = time.monotonic() - started
    late = peak(range(36, 40))
    assert ledger.end_mapping(run.run_id, "customers", 1, 20_000) == {"created": 5000, "unchanged": 15000}
    assert ledger.summary(run.run_id)[0].read == 20_000
    assert seconds < 30, f"{seconds:.1f} s for 15,500 records"
    assert late < 1.2 * early
