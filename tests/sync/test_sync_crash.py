"""What is left after a crash at each point of the protocol, and after the attempt that follows it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from iw_operators.engine.model import Action
from iw_operators.errors import ConnectionFailure
from iw_operators.spec.models import Direction
from iw_operators.systems.base import Result
from tests.killing import Killed
from tests.sync.conftest import Bench
from tests.sync.fakes import FakeSystem, disconnect, kill, names

pytestmark = [pytest.mark.ledger, pytest.mark.feature("B2")]


def whole(bench: Bench) -> None:
    """Both sides hold the same ten records once each, and the ledger binds each of them."""
    assert names(bench.books) == names(bench.crm) == [f"Account {n}" for n in range(10)]
    assert len(bench.ledger.references("acme", "customers", "crm", list(bench.crm.records))) == 10
    assert not bench.ledger.open_batches("acme", "customers")
    assert all(r.values.get("write_back.id") for r in bench.crm.records.values())


def killing(bench: Bench, method: str, nth: int, *, after: bool) -> Callable[[], None]:
    """Make the nth call of a ledger method end the process, before or after it has committed; return the undoing."""
    original = getattr(bench.ledger, method)
    calls = 0

    def wrapper(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and not after:
            raise Killed
        result = original(*arguments, **named)
        if calls == nth:
            raise Killed
        return result

    setattr(bench.ledger, method, wrapper)
    return lambda: setattr(bench.ledger, method, original)


@pytest.mark.parametrize("nth", [1, 2, 5])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("method", ["begin_batch", "end_batch", "record", "index_put", "end_mapping"])
def test_killed_at_a_ledger_call(filled: Bench, method: str, nth: int, after: bool) -> None:
    """Killed before or after any commit of the protocol, the next attempt leaves each record once on both sides."""
    undo = killing(filled, method, nth, after=after)
    try:
        filled.run(page_size=3)
    except Killed:
        undo()
    else:
        undo()
    filled.run(attempt=2, same_run=True, page_size=3)
    whole(filled)


@pytest.mark.parametrize("nth", range(3))
@pytest.mark.parametrize("point", ["before", "after"])
@pytest.mark.parametrize("fault", [kill, disconnect], ids=["killed", "disconnected"])
@pytest.mark.parametrize("side", ["crm", "books"])
def test_lost_around_the_call(filled: Bench, side: str, fault: Callable[[Any], None], point: str, nth: int) -> None:
    """A call that is lost before or after the other side has committed is found out, on both sides alike."""
    system: FakeSystem = getattr(filled, side)
    setattr(system, point, [None] * nth + [fault])
    try:
        filled.run(page_size=4)
    except (Killed, ConnectionFailure):
        filled.run(attempt=2, same_run=True, page_size=4)
    filled.run(page_size=4)
    whole(filled)


def test_what_arrived_is_not_sent_again(filled: Bench) -> None:
    """An answer that was lost is found by looking; even a target that forgets its keys gets nothing twice."""
    filled.books.forgets_keys = True
    filled.books.after = [kill]
    with pytest.raises(Killed):
        filled.run()
    filled.run(attempt=2, same_run=True)
    whole(filled)


def test_what_cannot_be_decided_is_shown_and_not_planned_again(filled: Bench) -> None:
    """A create in doubt is looked up, sent again under its key, and its record waits as unknown meanwhile."""
    filled.books.after = [kill]
    with pytest.raises(Killed):
        filled.run(page_size=2)
    made = len(filled.books.records)
    filled.books.resolves = [Result.UNKNOWN] * 2
    filled.books.before = [disconnect]
    counts = filled.run(attempt=2, same_run=True, page_size=2).counts
    assert counts["unknown"] == 2
    rows = filled.ledger.log(company="acme", action=Action.UNKNOWN)
    assert {row.source_id for row in rows} == {"a0", "a1"}
    assert made == 2
    counts = filled.run(page_size=2).counts
    assert "unknown" not in counts
    whole(filled)


def test_an_update_that_did_not_arrive_is_planned_again_not_repeated(filled: Bench) -> None:
    """After a crash before an update arrived, the newest value of the source goes out, not the one of then."""
    filled.run()
    filled.crm.put("a4", phone="1")
    filled.books.before = [kill]
    with pytest.raises(Killed):
        filled.run()
    filled.crm.put("a4", phone="2")
    filled.run(attempt=2, same_run=True)
    bound = filled.ledger.references("acme", "customers", "crm", ["a4"])["a4"]
    assert filled.books.records[bound].values["phone"] == "2"
    assert filled.books.records[bound].version == "2"


def test_a_crash_of_one_direction_is_settled_by_the_other(filled: Bench) -> None:
    """A batch in doubt is settled by whichever flow of the mapping comes first."""
    filled.books.after = [kill]
    with pytest.raises(Killed):
        filled.run()
    filled.run(Direction.TO_CRM)
    assert not filled.ledger.open_batches("acme", "customers")
    filled.run()
    whole(filled)


def test_two_workers_with_the_same_task_make_each_record_once(filled: Bench) -> None:
    """Two tasks of the same mapping at the same time take turns; no record is made twice."""
    errors: list[BaseException] = []

    def work(attempt: int) -> None:
        try:
            filled.run(attempt=attempt, same_run=True, page_size=2)
        except BaseException as error:  # noqa: BLE001  shown by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    whole(filled)
    summary = filled.ledger.summary(1)[0]
    assert summary.counts == {"created": 10}
