"""Intents and outcomes: what a crash leaves, and what is done with it (law 2)."""

from __future__ import annotations

import multiprocessing
import os
import signal
from decimal import Decimal

import pytest

from iw_operators.engine.model import Action, Value
from iw_operators.errors import StopFlow
from iw_operators.ledger.store import Ledger, OpenWrite
from iw_operators.systems.base import Op, Outcome, Result, Write
from tests.ledger.kit import VIEW, applied, batch_of, begin, create, ended, made, quiet, refused, sent, unknown, update

pytestmark = pytest.mark.ledger


@pytest.mark.feature("B2")
def test_a_batch_in_doubt_can_be_rebuilt(ledger: Ledger) -> None:
    """Another process gets the very same writes: keys, order, typed values, ids and versions, with their decisions."""
    run = begin(ledger)
    lines: dict[str, Value] = {"lines": ({"sku": "x", "price": Decimal("1.10")},), "name": "😀 \x00 'q' “"}
    decisions = [create("a", send=lines), update("b", "Tb", binds=True)]
    batch = sent(ledger, run, decisions)
    other = Ledger.connect(ledger.engine.url)
    (left,) = other.open_batches("acme", "customers")
    other.close()
    assert left.run == run
    assert (left.side, left.kind, left.key) == ("books", "record", "b1")
    assert left.batch(VIEW) == batch
    assert left.writes[0] == OpenWrite("b1/a", Op.CREATE, lines, None, "", None)
    assert list(left.decisions.values()) == decisions


@pytest.mark.feature("B2")
def test_what_is_unknown_stays_open(ledger: Ledger) -> None:
    """Ended writes leave the batch, unknown ones stay in it until they are known, whoever finds out."""
    run = begin(ledger)
    decisions = [create("a"), create("b"), create("c")]
    batch = sent(ledger, run, decisions)
    ended(ledger, run, decisions, batch, [applied(batch.writes[0]), unknown(batch.writes[1])])
    (left,) = ledger.open_batches("acme", "customers")
    assert [(w.key, w.result) for w in left.writes] == [("b1/b", Result.UNKNOWN), ("b1/c", None)]
    rest = left.batch(VIEW)
    ledger.end_batch(left.run, rest, [refused(rest.writes[1]), applied(rest.writes[0])], left.decisions)
    assert ledger.open_batches("acme", "customers") == []
    assert ledger.references("acme", "customers", "crm", ["a", "b", "c"]) == {"a": "Ta", "b": "Tb"}
    assert ledger.end_mapping(run.run_id, "customers", 1, 3) == {"created": 2, "rejected": 1}


@pytest.mark.feature("B2")
def test_outcomes_can_be_told_twice(ledger: Ledger) -> None:
    """Telling the same outcomes again changes nothing; an applied write stays applied whatever is said later."""
    run = begin(ledger)
    decisions = [create("a"), create("b")]
    batch = sent(ledger, run, decisions)
    one, two = batch.writes
    for _ in range(2):
        ended(ledger, run, decisions, batch, [applied(one), unknown(two)])
    ended(ledger, run, decisions, batch, [refused(one), applied(two)])
    ended(ledger, run, decisions, batch, [unknown(one), refused(two)])
    rows = ledger.log(company="acme")
    assert [(r.source_id, r.action) for r in rows] == [
        ("b", Action.CREATE),
        ("b", Action.UNKNOWN),
        ("a", Action.CREATE),
    ]
    assert ledger.end_mapping(run.run_id, "customers", 1, 2) == {"created": 2}


@pytest.mark.feature("B2")
def test_a_refused_write_that_is_applied_after_all_is_bound(ledger: Ledger) -> None:
    """A write that was sent again under its key and arrived counts as arrived, once."""
    run = begin(ledger)
    decisions = [create("a")]
    batch = sent(ledger, run, decisions)
    ended(ledger, run, decisions, batch, [refused(batch.writes[0])])
    ended(ledger, run, decisions, batch, [applied(batch.writes[0])])
    assert ledger.references("acme", "customers", "crm", ["a"]) == {"a": "Ta"}
    assert ledger.end_mapping(run.run_id, "customers", 1, 1) == {"created": 1}


@pytest.mark.feature("B2")
def test_a_late_result_belongs_to_the_attempt_that_sent_it(ledger: Ledger) -> None:
    """The second attempt settles the first one's batch; its own balance is about what it read itself."""
    first = begin(ledger)
    decisions = [create("a")]
    batch = sent(ledger, first, decisions)
    second = begin(ledger, attempt=2)
    (left,) = ledger.open_batches("acme", "customers")
    ledger.end_batch(second, batch, [applied(batch.writes[0])], left.decisions)
    ledger.record(second, [quiet(Action.UNCHANGED, "a", target_id="Ta"), quiet(Action.SKIP, "b")])
    assert ledger.end_mapping(second.run_id, "customers", 2, 2) == {"unchanged": 1, "skipped": 1}
    (row,) = ledger.log(company="acme", action=Action.CREATE)
    assert (row.attempt, row.run_id, row.fingerprint) == (1, first.run_id, "f1")
    assert ledger.summary(first.run_id)[0].counts == {"created": 1, "skipped": 1}


@pytest.mark.feature("B2")
def test_a_late_result_does_not_make_us_forget_a_newer_change(ledger: Ledger) -> None:
    """A record that was in doubt when it had changed again is planned again after the doubt is settled."""
    first = begin(ledger)
    decisions = [create("a")]
    batch = sent(ledger, first, decisions)
    second = begin(ledger, dag_run_id="r2")
    ledger.record(second, [quiet(Action.UNKNOWN, "a", code="iw.in_doubt")])
    assert ledger.end_mapping(second.run_id, "customers", 1, 1) == {"unknown": 1}
    third = begin(ledger, dag_run_id="r3")
    ended(ledger, third, decisions, batch, [applied(batch.writes[0])])
    assert ledger.waiting("acme", "customers", "crm") == ["a"]
    ledger.record(third, [quiet(Action.UNCHANGED, "a", target_id="Ta")])
    assert ledger.waiting("acme", "customers", "crm") == []


@pytest.mark.feature("B2")
def test_the_same_batch_can_be_begun_again(ledger: Ledger) -> None:
    """A batch in doubt that is begun again takes the earlier one's place; a finished one stays in the books."""
    run = begin(ledger)
    decisions = [create("a")]
    sent(ledger, run, decisions)
    again = begin(ledger, attempt=2)
    batch = sent(ledger, again, decisions)
    (left,) = ledger.open_batches("acme", "customers")
    assert left.run.attempt == 2
    ended(ledger, again, decisions, batch, [refused(batch.writes[0])])
    batch = sent(ledger, again, decisions)
    assert len(ledger.open_batches("acme", "customers")) == 1
    ended(ledger, again, decisions, batch, [applied(batch.writes[0])])
    assert ledger.open_batches("acme", "customers") == []
    assert ledger.end_mapping(run.run_id, "customers", 2, 1) == {"created": 1}


def test_a_created_record_without_an_id_is_unknown(ledger: Ledger) -> None:
    """An answer that does not say what it made leaves the write in doubt."""
    run = begin(ledger)
    decisions = [create("a")]
    batch = sent(ledger, run, decisions)
    ended(ledger, run, decisions, batch, [Outcome(batch.writes[0].key, Result.APPLIED)])
    (row,) = ledger.log(company="acme")
    assert (row.action, row.code) == (Action.UNKNOWN, "iw.no_id")
    assert len(ledger.open_batches("acme", "customers")) == 1


def test_an_outcome_without_an_intent_stops_the_flow(ledger: Ledger) -> None:
    """What was sent past the ledger is not quietly accepted by it."""
    run = begin(ledger)
    decisions = [create("a")]
    batch = batch_of(decisions)
    with pytest.raises(StopFlow, match="no intent"):
        ended(ledger, run, decisions, batch, [applied(batch.writes[0])])
    batch = sent(ledger, run, decisions)
    stranger = Write("other", Op.CREATE, VIEW, {})
    with pytest.raises(StopFlow, match="does not hold"):
        ended(ledger, run, decisions, batch, [applied(stranger)])
    assert ledger.log(company="acme") == []


def test_writes_are_not_recorded_without_being_sent(ledger: Ledger) -> None:
    """`record` refuses decisions to create or update."""
    with pytest.raises(ValueError, match="begin_batch"):
        ledger.record(begin(ledger), [create("a")])


def test_stale_records_are_planned_again_by_the_next_run(ledger: Ledger) -> None:
    """A record whose partner kept changing is held, and comes again without having changed itself."""
    run = begin(ledger)
    made(ledger, run, "a")
    decisions = [update("a", "Ta")]
    batch = sent(ledger, run, decisions, key="b2")
    ended(ledger, run, decisions, batch, [refused(batch.writes[0], Result.STALE, "5010")])
    (row,) = ledger.log(company="acme", action=Action.HOLD)
    assert (row.code, row.advice, row.field, row.operation) == ("5010", "Give it another name.", "name", "update")
    assert ledger.waiting("acme", "customers", "crm") == ["a"]


def _write_and_die(url: str) -> None:
    ledger = Ledger.connect(url)
    run = begin(ledger)
    made(ledger, run, "a")
    sent(ledger, run, [create("b"), create("c")], key="b2")
    with ledger.lock("sync:acme:customers"):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.feature("B2")
def test_a_killed_process_leaves_its_intents_and_no_lock(ledger: Ledger) -> None:
    """SIGKILL between intent and outcome: the next attempt finds what was in flight, and is not kept waiting."""
    process = multiprocessing.get_context("spawn").Process(
        target=_write_and_die, args=(ledger.engine.url.render_as_string(hide_password=False),)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    with ledger.lock("sync:acme:customers"):
        (left,) = ledger.open_batches("acme", "customers")
        assert [w.key for w in left.writes] == ["b2/b", "b2/c"]
        batch = left.batch(VIEW)
        ledger.end_batch(left.run, batch, [applied(w) for w in batch.writes], left.decisions)
    assert ledger.references("acme", "customers", "crm", ["a", "b", "c"]) == {"a": "Ta", "b": "Tb", "c": "Tc"}
    assert ledger.end_mapping(left.run.run_id, "customers", 1, 3) == {"created": 3}
