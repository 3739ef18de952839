"""Records that failed: in one state each, kept up by what is recorded."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa

from iw_operators.engine.model import Action, Await, Decision
from iw_operators.errors import FixRecord
from iw_operators.ledger.failures import Failure, FailureState
from iw_operators.ledger.flow_tables import deed
from iw_operators.ledger.own import OwnLedger
from iw_operators.ledger.store import Ledger
from iw_operators.systems.base import Result
from tests.ledger.kit import applied, begin, create, ended, made, quiet, refused, sent, unknown, update

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R10")]


def failed(source_id: str, **more: Any) -> Decision:
    """Return the rejection of a record."""
    said = {"code": "iw.too_long", "field": "name", "advice": "Shorten it.", "source_version": "1", "label": "Long"}
    return quiet(Action.REJECT, source_id, **{**said, **more})


def one(ledger: Ledger, source_id: str = "a") -> Failure:
    """Return how a record stands that has failed."""
    found = ledger.failure("acme", "customers", "crm", source_id)
    assert found is not None
    return found


def states(ledger: Ledger) -> dict[str, str]:
    """Return the state of every failed record."""
    return {each.source_id: each.state.value for each in ledger.failures("acme")}


def test_a_record_that_fails_is_open_with_everything_that_is_known_of_it(ledger: Ledger) -> None:
    """The row says which run, how, why, what to do, under which version of the mapping, and what it waits for."""
    run = begin(ledger)
    awaits = (Await("customers", "c9"),)
    ledger.record(run, [failed("a"), quiet(Action.HOLD, "b", awaits=awaits), quiet(Action.SKIP, "c")])
    a, b = one(ledger), one(ledger, "b")
    assert (a.state, a.action, a.code, a.field, a.label) == (
        FailureState.OPEN,
        Action.REJECT,
        "iw.too_long",
        "name",
        "Long",
    )
    assert (a.advice, a.why, a.flow, a.run_id, a.fingerprint) == (
        "Shorten it.",
        "it is rejected",
        "Flow",
        run.run_id,
        "f1",
    )
    assert (a.attempts, a.settled_at, a.settled_by, a.corrected) == (1, None, "", False)
    assert (b.state, b.action, b.awaits) == (FailureState.OPEN, Action.HOLD, awaits)
    assert ledger.failure("acme", "customers", "crm", "c") is None


@pytest.mark.parametrize("action", [Action.UNCHANGED, Action.SKIP])
def test_a_later_run_that_finds_nothing_wrong_settles_it(ledger: Ledger, action: Action) -> None:
    """In step, or not wanted any more: it is fixed, by which run, and its name stays."""
    ledger.record(begin(ledger), [failed("a")])
    later = begin(ledger, dag_run_id="r2", flow="Later")
    ledger.record(later, [quiet(action, "a", label="")])
    found = one(ledger)
    assert (found.state, found.run_id, found.settled_by) == (FailureState.FIXED, later.run_id, "Later")
    assert (found.settled_why, found.label) == (f"{action.value}: it is {action.value}", "Long")
    assert found.settled_at is not None


def test_a_write_that_fails_and_one_that_goes_are_noted_with_their_outcome(ledger: Ledger) -> None:
    """What the target refuses is open with its words; applied later, it is fixed."""
    run = begin(ledger)
    decisions = [create("a"), create("b")]
    batch = sent(ledger, run, decisions)
    ended(ledger, run, decisions, batch, [refused(batch.writes[0]), applied(batch.writes[1])])
    assert states(ledger) == {"a": "open"}
    assert (one(ledger).code, one(ledger).why, one(ledger).attempts) == ("6240", "The name is taken.", 1)
    made(ledger, begin(ledger, dag_run_id="r2"), "a", key="b2")
    assert states(ledger) == {"a": "fixed"}


def test_a_run_for_failed_records_reprocesses_them(ledger: Ledger) -> None:
    """What it settles is called reprocessed; what fails again stays open."""
    ledger.record(begin(ledger), [failed("a"), failed("b"), failed("c")])
    names = {"company": "acme", "flow": "Again", "dag_run_id": "r2", "kind": "NFS", "direction": "to_books"}
    ledger.begin_run(**names, reprocess=True)  # type: ignore[arg-type]  # all of them are text
    run = begin(ledger, dag_run_id="r2", flow="Again")
    ledger.record(run, [failed("b"), quiet(Action.SKIP, "c")])
    made(ledger, run, "a", key="b2")
    assert states(ledger) == {"a": "reprocessed", "b": "open", "c": "reprocessed"}
    assert (one(ledger, "b").attempts, one(ledger).settled_by) == (2, "Again")


def test_failing_again_is_the_same_failure_until_it_was_settled(ledger: Ledger) -> None:
    """Attempts are counted from the first failure on; after it was settled they begin anew."""
    for number in range(3):
        ledger.record(begin(ledger, dag_run_id=f"r{number}"), [failed("a")])
    assert one(ledger).attempts == 3
    first = one(ledger).first_at
    ledger.record(begin(ledger, dag_run_id="r4"), [quiet(Action.UNCHANGED, "a")])
    ledger.record(begin(ledger, dag_run_id="r5"), [failed("a")])
    found = one(ledger)
    assert (found.state, found.attempts, found.settled_by, found.settled_why) == (FailureState.OPEN, 1, "", "")
    assert found.first_at > first


def test_given_up_stays_so_until_it_fails_for_another_reason_or_changes(ledger: Ledger) -> None:
    """Who and why are kept; the same failure of the same version of the record changes nothing."""
    ledger.record(begin(ledger), [failed("a"), failed("b"), failed("c")])
    assert ledger.give_up("acme", "customers", "crm", ["a", "b", "c", "x"], by="Ann", why="never") == ["a", "b", "c"]
    found = one(ledger)
    assert (found.state, found.settled_by, found.settled_why) == (FailureState.GIVEN_UP, "Ann", "never")
    run = begin(ledger, dag_run_id="r2")
    ledger.record(run, [failed("a"), failed("b", source_version="2"), failed("c", code="iw.characters")])
    assert states(ledger) == {"a": "given up", "b": "open", "c": "open"}
    assert (one(ledger).settled_by, one(ledger).attempts) == ("Ann", 2)
    assert (one(ledger, "b").settled_by, one(ledger, "b").settled_at) == ("", None)
    made(ledger, begin(ledger, dag_run_id="r3"), "a", key="b3")
    assert states(ledger)["a"] == "fixed"


def test_giving_up_needs_a_reason_and_can_be_taken_back(ledger: Ledger) -> None:
    """Without a reason nothing is given up; reopened, the next scheduled run looks at the record."""
    ledger.record(begin(ledger), [failed("a")])
    with pytest.raises(ValueError, match="for a reason"):
        ledger.give_up("acme", "customers", "crm", ["a"], by="Ann", why=" ")
    ledger.give_up("acme", "customers", "crm", ["a"], by="Ann", why="never")
    assert ledger.give_up("acme", "customers", "crm", ["a"], by="Bob", why="me too") == []
    assert ledger.waiting("acme", "customers", "crm") == []
    assert ledger.reopen("acme", "customers", "crm", ["a"], by="Bob") == ["a"]
    assert (one(ledger).state, one(ledger).settled_by) == (FailureState.OPEN, "")
    assert ledger.waiting("acme", "customers", "crm") == ["a"]
    with ledger.engine.connect() as connection:
        done = [tuple(row) for row in connection.execute(sa.select(deed.c.by, deed.c.what).order_by(deed.c.id))]
    assert done == [("Ann", "gave up"), ("Bob", "reopened")]


def test_what_is_given_up_is_not_looked_at_again_by_itself(ledger: Ledger) -> None:
    """Neither when what it waited for arrives nor after the time for what a person decides."""
    run = begin(ledger)
    waits = quiet(Action.HOLD, "a", awaits=(Await("customers", "c9"),))
    ledger.record(run, [waits, quiet(Action.HOLD, "b")])
    made(ledger, run, "c9", key="b2")
    assert ledger.waiting("acme", "customers", "crm", held_for=dt.timedelta(0)) == ["a", "b"]
    ledger.give_up("acme", "customers", "crm", ["a", "b"], by="Ann", why="never")
    assert ledger.waiting("acme", "customers", "crm", held_for=dt.timedelta(0)) == []
    ledger.look_again("acme", "customers", "crm", ["a"])
    assert ledger.waiting("acme", "customers", "crm") == ["a"]


def test_rows_that_do_not_count_settle_and_open_nothing(ledger: Ledger) -> None:
    """A partner that had just changed is planned again at once; write-backs are not the record's own way."""
    run = begin(ledger)
    made(ledger, run, "a")
    stale = [update("a", "Ta")]
    batch = sent(ledger, run, stale, key="b2")
    ended(ledger, run, stale, batch, [refused(batch.writes[0], Result.STALE)])
    assert states(ledger) == {}
    back = [update("a", "Ta", send={"id": "Ta"})]
    batch = sent(ledger, run, back, key="b3", kind="write_back")
    ended(ledger, run, back, batch, [refused(batch.writes[0])])
    assert states(ledger) == {}


def test_a_record_whose_partner_kept_changing_is_open_at_the_end(ledger: Ledger) -> None:
    """What the last round has left is noted when the mapping ends, and fixed by the next run."""
    run = begin(ledger)
    stale = [update("a", "Ta")]
    batch = sent(ledger, run, stale)
    ended(ledger, run, stale, batch, [refused(batch.writes[0], Result.STALE)])
    ledger.end_mapping(run.run_id, "customers", 1, 1)
    assert (states(ledger), one(ledger).action) == ({"a": "open"}, Action.HOLD)


def test_a_write_in_doubt_is_open_and_fixed_when_it_turns_out_applied(ledger: Ledger) -> None:
    """The outcome that comes later settles what the doubt had opened."""
    run = begin(ledger)
    decisions = [create("a")]
    batch = sent(ledger, run, decisions)
    ended(ledger, run, decisions, batch, [unknown(batch.writes[0])])
    assert (states(ledger), one(ledger).action) == ({"a": "open"}, Action.UNKNOWN)
    ended(ledger, run, decisions, batch, [applied(batch.writes[0])])
    assert states(ledger) == {"a": "fixed"}


def test_a_record_that_comes_twice_in_a_page_stays_failed(ledger: Ledger) -> None:
    """The row that only says that it came twice does not settle what the other one says."""
    for order in ([failed("a"), quiet(Action.SKIP, "a")], [quiet(Action.SKIP, "b"), failed("b")]):
        ledger.record(begin(ledger), order)
    assert states(ledger) == {"a": "open", "b": "open"}


def test_failures_are_found_and_counted(ledger: Ledger) -> None:
    """By state, mapping, side, code, id and text, the latest first, page by page."""
    ledger.record(begin(ledger), [failed(f"s{n}", label=f"Label {n}%") for n in range(5)])
    ledger.record(begin(ledger, mapping="items", source="books"), [quiet(Action.HOLD, "i1", code="iw.x", why="ÄRGER")])
    ledger.give_up("acme", "customers", "crm", ["s0"], by="Ann", why="never")
    assert [f.source_id for f in ledger.failures("acme", limit=2)] == ["i1", "s4"]
    first = ledger.failures("acme", mapping="customers", limit=2)
    rest = ledger.failures("acme", mapping="customers", before=first[-1].cursor)
    assert [f.source_id for f in (*first, *rest)] == ["s4", "s3", "s2", "s1", "s0"]
    assert [f.source_id for f in ledger.failures("acme", state="given up")] == ["s0"]
    assert [f.source_id for f in ledger.failures("acme", side="books")] == ["i1"]
    assert [f.source_id for f in ledger.failures("acme", code="iw.x")] == ["i1"]
    assert [f.source_id for f in ledger.failures("acme", text="ärg")] == ["i1"]
    assert [f.source_id for f in ledger.failures("acme", text="3%")] == ["s3"]
    assert [f.source_id for f in ledger.failures("acme", ids=["s1", "nobody"])] == ["s1"]
    counts = [(c.mapping, c.side, c.state.value, c.number) for c in ledger.failure_counts("acme")]
    assert counts == [
        ("customers", "crm", "given up", 1),
        ("customers", "crm", "open", 4),
        ("items", "books", "open", 1),
    ]
    assert ledger.failures("globex") == []
    assert OwnLedger.of(ledger, "acme").failures("acme", limit=1)[0].source_id == "i1"


def test_failures_under_another_version_of_the_mapping_are_told(ledger: Ledger) -> None:
    """Open ones only, until they fail under the present one."""
    ledger.record(begin(ledger), [failed("a"), failed("b"), quiet(Action.HOLD, "c")])
    ledger.give_up("acme", "customers", "crm", ["c"], by="Ann", why="never")
    assert ledger.failed_under_another("acme", "customers", "crm", "f1") == []
    assert ledger.failed_under_another("acme", "customers", "crm", "f2") == ["a", "b"]
    assert ledger.failed_under_another("acme", "customers", "books", "f2") == []


def test_corrections_are_kept_for_failed_records_only_and_all_at_once(ledger: Ledger) -> None:
    """One record that has not failed, and nothing is kept; a new correction takes the place of the old one."""
    ledger.record(begin(ledger), [failed("a"), failed("b")])
    with pytest.raises(FixRecord, match="x"):
        ledger.correct("acme", "customers", "crm", {"a": {"name": "A"}, "x": {"name": "X"}}, by="Ann")
    assert not ledger.has_corrections("acme", "customers", "crm")
    ledger.give_up("acme", "customers", "crm", ["b"], by="Ann", why="never")
    ledger.correct("acme", "customers", "crm", {"a": {"name": "A"}, "b": {"name": None}}, by="Ann")
    ledger.correct("acme", "customers", "crm", {"a": {"phone": "1"}}, by="Bob")
    found = ledger.corrections("acme", "customers", "crm", ["a", "b", "c"])
    assert {each: (dict(c.values), c.by) for each, c in found.items()} == {
        "a": ({"phone": "1"}, "Bob"),
        "b": ({"name": None}, "Ann"),
    }
    assert states(ledger) == {"a": "open", "b": "open"}
    assert one(ledger).corrected
    ledger.correct("acme", "customers", "crm", {"a": {}}, by="Bob")
    assert not one(ledger).corrected


def test_a_correction_is_dropped_once_its_record_has_gone_or_is_given_up(ledger: Ledger) -> None:
    """It must not come back over what the source holds later."""
    ledger.record(begin(ledger), [failed("a"), failed("b"), failed("c")])
    ledger.correct("acme", "customers", "crm", {each: {"name": "N"} for each in "abc"}, by="Ann")
    made(ledger, begin(ledger, dag_run_id="r2"), "a", key="b2")
    ledger.give_up("acme", "customers", "crm", ["b"], by="Ann", why="never")
    ledger.record(begin(ledger, dag_run_id="r3"), [failed("c")])
    assert set(ledger.corrections("acme", "customers", "crm", ["a", "b", "c"])) == {"c"}


def test_settled_failures_go_with_time_and_the_others_stay(ledger: Ledger) -> None:
    """Open and given up ones are never pruned."""
    ledger.record(begin(ledger), [failed("a"), failed("b"), failed("c")])
    ledger.give_up("acme", "customers", "crm", ["b"], by="Ann", why="never")
    ledger.record(begin(ledger, dag_run_id="r2"), [quiet(Action.UNCHANGED, "c")])
    now = dt.datetime.now(dt.UTC)
    assert ledger.prune_failures("acme", now - dt.timedelta(days=1)) == 0
    assert ledger.prune_failures("acme", now + dt.timedelta(days=1)) == 1
    assert states(ledger) == {"a": "open", "b": "given up"}
