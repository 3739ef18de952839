"""What each kind of flow does with its records, and how a long load goes on after an interruption."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa
import structlog

from iw_operators import points
from iw_operators.engine.model import Action
from iw_operators.errors import FixRecord
from iw_operators.ledger.tables import run_mapping
from iw_operators.named import Named
from iw_operators.spec.models import Direction, FlowKind
from iw_operators.systems.base import Result
from tests.killing import Killed, kill_at, killed_at
from tests.sync.conftest import Bench
from tests.sync.fakes import START, disconnect, names

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R1")]

TOMORROW = START + dt.timedelta(days=1)
BULK = [FlowKind.N, FlowKind.DR, FlowKind.DRS, FlowKind.F]


@pytest.fixture(autouse=True)
def _no_points() -> Iterator[None]:
    yield
    points.install(None)


def load(bench: Bench, kind: FlowKind, attempt: int = 1, **arguments: object) -> dict[str, int]:
    """Run a long load, or a further attempt of it, two records a page; return its counts."""
    end = bench.crm.now() + dt.timedelta(seconds=1) if attempt == 1 else bench.until
    bench.until = end
    since, until = (START, end) if kind in (FlowKind.DR, FlowKind.DRS) else (None, None)
    options = {"since": since, "until": until, "page_size": 2, **arguments}
    return dict(bench.run(kind=kind, attempt=attempt, same_run=attempt > 1, **options).counts)  # type: ignore[arg-type]  # options of the bench


def progress(bench: Bench, attempt: int = 1) -> sa.Row[tuple[object, ...]]:
    """Return an attempt's row."""
    query = sa.select(run_mapping).where(run_mapping.c.attempt == attempt).order_by(run_mapping.c.run_id.desc())
    with bench.ledger.engine.connect() as connection:
        return connection.execute(query.limit(1)).one()


def planned(bench: Bench, attempt: int) -> list[str]:
    """Return the ids of the source records that an attempt has rows of."""
    rows = bench.ledger.log(company="acme", limit=1000)
    return sorted(row.source_id for row in rows if row.attempt == attempt and row.operation != "write_back")


@pytest.mark.parametrize("kind", BULK)
def test_a_load_brings_over_everything_in_its_window(kind: FlowKind, filled: Bench) -> None:
    """Every bulk kind goes through all pages and leaves both sides in step."""
    assert load(filled, kind) == {"created": 10}
    assert names(filled.books) == names(filled.crm)


def test_new_only_leaves_bound_records_alone(filled: Bench) -> None:
    """N brings what is not bound and looks at nothing else, not even where a bound record has changed."""
    filled.run()
    filled.crm.put("a1", phone="555-9999")
    filled.crm.put("new", name="Newcomer", phone="555-1111", note=None)
    assert load(filled, FlowKind.N) == {"created": 1}
    bound = filled.ledger.bindings("acme", "customers", "crm", ["a1"])["a1"].target_id
    assert filled.books.records[bound].values["phone"] == "555-0101"
    assert progress(filled)._mapping["done"] == 11


def test_what_a_load_writes_back_does_not_come_round_again(filled: Bench) -> None:
    """Ids that are written back into the source change its records; a load of everything reads each record once."""
    done = filled.run(kind=FlowKind.F, page_size=3)
    assert (done.read, dict(done.counts)) == (10, {"created": 10})


@pytest.mark.parametrize("kind", BULK)
@pytest.mark.feature("R3")
def test_a_killed_load_goes_on_where_it_was(kind: FlowKind, filled: Bench) -> None:
    """The next attempt of the same run reads from the last recorded page on, and in the end nothing is missing."""
    with killed_at("after_progress", 3):
        load(filled, kind)
    load(filled, kind, attempt=2)
    assert names(filled.books) == names(filled.crm)
    again = set(planned(filled, 1)) & set(planned(filled, 2))
    assert len(planned(filled, 1)) == 6
    assert len(again) <= 1  # the one that changed at the very moment from which it goes on
    assert progress(filled, 2)._mapping["done"] >= 10


POINTS = (
    *("after_begin_mapping", "after_record", "before_intents", "after_intents", "after_call", "after_outcomes"),
    *("before_write_back_intents", "after_write_back_call", "after_page", "before_progress", "after_progress"),
    *("before_end_mapping",),
)


@pytest.mark.parametrize("number", [1, 2, 4])
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.feature("R3", "B2")
def test_killed_anywhere_nothing_is_missing_and_nothing_is_double(point: str, number: int, filled: Bench) -> None:
    """Wherever a load is killed, the next attempt completes it: each record is there, once."""
    kill_at(point, number)
    try:
        load(filled, FlowKind.F)
    except Killed:
        points.install(None)
        load(filled, FlowKind.F, attempt=2)
    assert names(filled.books) == names(filled.crm)
    assert len(filled.books.records) == 10
    held = {record.values["write_back.id"] for record in filled.crm.records.values()}
    assert held == set(filled.books.records)


@pytest.mark.feature("R3")
def test_records_of_one_moment_are_not_left_out(bench: Bench) -> None:
    """Where a page ends in the middle of records that changed at the same moment, the next attempt reads that moment
    again.
    """
    for number in range(9):
        bench.crm.put(f"a{number}", name=f"Account {number}", phone=None, note=None)
    same = bench.crm.records["a4"].modified
    for each in ("a2", "a3", "a4", "a5", "a6"):
        bench.crm.records[each] = replace(bench.crm.records[each], modified=same)
    with killed_at("after_progress", 2):
        load(bench, FlowKind.F)
    load(bench, FlowKind.F, attempt=2)
    assert names(bench.books) == names(bench.crm)
    assert {"a4", "a5", "a6"} <= set(planned(bench, 2))


@pytest.mark.feature("R3", "B2")
def test_a_record_in_doubt_is_not_passed_by(filled: Bench) -> None:
    """After a write that may or may not have arrived, the next attempt begins no later than at that record."""
    filled.books.after = [None, disconnect]
    filled.books.resolves = [Result.UNKNOWN]
    filled.books.batch_size = 1
    filled.books.refuse = lambda write: None
    kill_at("after_progress", 4)
    with pytest.raises((Killed, Exception)):
        load(filled, FlowKind.F)
    points.install(None)
    filled.books.resolves = []
    load(filled, FlowKind.F, attempt=2)
    assert names(filled.books) == names(filled.crm)
    assert len(filled.books.records) == 10


@pytest.mark.feature("R3")
def test_what_comes_besides_records_own_changes_moves_nothing(filled: Bench) -> None:
    """Records that a system brings after the others, with older stamps, do not move the point to go on from."""
    usual = filled.crm.changes

    def with_neighbours(*arguments: object) -> Iterator[object]:
        yield from usual(*arguments)  # type: ignore[arg-type]  # what the loop gives
        yield [filled.crm.records["a2"], filled.crm.records["a1"]]

    last = filled.crm.records["a9"].modified
    filled.crm.changes = with_neighbours  # type: ignore[method-assign,assignment]  # a system that tells of more
    with killed_at("after_progress", 6):
        load(filled, FlowKind.DR)
    row = progress(filled)._mapping
    assert (row["reached"], row["done"]) == (last, 12)


@pytest.mark.feature("R3")
def test_a_load_that_is_done_once_more_begins_at_the_beginning(filled: Bench) -> None:
    """Clearing a load that was complete does all of it again."""
    load(filled, FlowKind.DR, until=TOMORROW)
    assert load(filled, FlowKind.DR, attempt=2, until=TOMORROW) == {"unchanged": 10}


@pytest.mark.feature("R3")
def test_a_mapping_that_changed_meanwhile_begins_anew(filled: Bench) -> None:
    """What was recorded under another fingerprint is gone through again."""
    with killed_at("after_progress", 3):
        load(filled, FlowKind.DR, until=TOMORROW)
    with filled.ledger.engine.begin() as connection:
        connection.execute(sa.update(run_mapping).values(fingerprint="another"))
    load(filled, FlowKind.DR, attempt=2, until=TOMORROW)
    assert len(planned(filled, 2)) == 10


@pytest.mark.feature("R14")
def test_progress_is_told_and_kept(filled: Bench) -> None:
    """After each page the log and the ledger have how much is done, of how much, how fast and how long it takes."""
    with structlog.testing.capture_logs() as events:
        load(filled, FlowKind.DRS)
    told = [event for event in events if event["event"] == "progress"]
    assert [(event["done"], event["total"]) for event in told] == [(2, 10), (4, 10), (6, 10), (8, 10), (10, 10)]
    assert told[-1]["seconds_left"] == 0
    assert all(event["per_second"] > 0 and event["seconds_left"] >= 0 for event in told)
    row = progress(filled)._mapping
    assert (row["done"], row["total"]) == (10, 10)
    assert row["progress_at"] is not None
    assert filled.crm.calls.count("count") == 1


@pytest.mark.feature("R14")
def test_a_load_is_counted_once_a_run(filled: Bench) -> None:
    """A later attempt goes on from what was counted and done; it asks for no count of its own."""
    with killed_at("after_progress", 2):
        load(filled, FlowKind.F)
    with structlog.testing.capture_logs() as events:
        load(filled, FlowKind.F, attempt=2)
    told = [event for event in events if event["event"] == "progress"]
    assert told[0]["done"] > 4
    assert {event["total"] >= event["done"] for event in told} == {True}
    assert filled.crm.calls.count("count") == 1


@pytest.mark.feature("R14")
def test_a_source_that_cannot_count_has_progress_without_an_end(filled: Bench) -> None:
    """Without a count there is no total and no time to go, and the rest is told all the same."""
    filled.crm.counts = False
    with structlog.testing.capture_logs() as events:
        load(filled, FlowKind.F)
    told = [event for event in events if event["event"] == "progress"]
    assert {(event["total"], event["seconds_left"]) for event in told} == {(None, None)}
    assert told[-1]["done"] == 10


@pytest.mark.feature("R14")
def test_only_long_loads_and_first_runs_are_counted(filled: Bench) -> None:
    """A scheduled flow's first run has progress; the runs after it, and single records, cost no request for it."""
    filled.run()
    assert filled.crm.calls.count("count") == 1
    filled.run(since=START)
    filled.run(kind=FlowKind.NF, only="Account 7")
    filled.run(kind=FlowKind.NFS, only=Named(("Account 7", "a2")))
    assert filled.crm.calls.count("count") == 1


def test_several_records_go_by_name_or_id(filled: Bench) -> None:
    """NFS takes full names and ids, each record once however often it is named."""
    asked = Named.of("Account 7\n\n  a2  \nAccount 7\na7", ["a4", "a2"])
    assert asked == Named(("Account 7", "a2", "a7"), ("a4", "a2"))
    done = filled.run(kind=FlowKind.NFS, only=asked, page_size=2)
    assert dict(done.counts) == {"created": 3}
    assert names(filled.books) == ["Account 2", "Account 4", "Account 7"]


def test_names_that_are_not_clear_are_told_by_line_and_the_others_are_done(filled: Bench) -> None:
    """What is found is brought over; then the run fails, naming lines and ids and no names."""
    filled.crm.put("twin", name="Account 5", phone=None, note=None)
    with pytest.raises(FixRecord) as raised:
        filled.run(kind=FlowKind.NFS, only=Named(("Account 1", "Nobody", "Account 5", "Account 3"), ("gone",)))
    assert "lines 2 name nothing that is there" in raised.value.message
    assert "lines 3 name several" in raised.value.message
    assert "these ids are not there: gone" in raised.value.message
    assert "Nobody" not in raised.value.message
    assert names(filled.books) == ["Account 1", "Account 3"]


def test_one_name_that_is_not_there_says_so(filled: Bench) -> None:
    """A list of one behaves as a single record does."""
    with pytest.raises(FixRecord, match="no Account with the full name"):
        filled.run(kind=FlowKind.NFS, only=Named(("Nobody",)))


def test_a_bound_record_that_is_gone_is_dealt_with_by_its_id(filled: Bench) -> None:
    """An id that is bound and no longer there comes as deleted, and the mapping's policy decides."""
    filled.run()
    filled.crm.delete("a3")
    done = filled.run(kind=FlowKind.NFS, only=Named((), ("a3", "a4")))
    assert dict(done.counts) == {"held": 1, "unchanged": 1}
    assert [row.source_id for row in filled.ledger.log(company="acme", action=Action.HOLD)] == ["a3"]


def test_the_other_direction_has_its_kinds_too(filled: Bench) -> None:
    """A load from the books to the CRM brings over what only the books have."""
    filled.run()
    filled.books.put("b99", name="From the books", phone=None, note=None)
    done = filled.run(Direction.TO_CRM, kind=FlowKind.N, page_size=3)
    assert dict(done.counts) == {"created": 1}
