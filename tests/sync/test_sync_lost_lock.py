"""Two workers with the same task, of which the first one loses its lock without knowing it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from iw_operators import points
from iw_operators.errors import ConnectionFailure
from tests.ledger.test_ledger_lost_lock import take_away
from tests.sync.conftest import Bench
from tests.sync.fakes import names

pytestmark = [pytest.mark.ledger, pytest.mark.feature("B2")]


@pytest.fixture
def at_point() -> Iterator[None]:
    """Take hooks away afterwards."""
    yield
    points.install(None)


@pytest.mark.usefixtures("at_point")
@pytest.mark.parametrize("point", ["before_intents", "after_record", "after_intents", "after_call", "after_outcomes"])
def test_the_one_that_lost_its_lock_writes_nothing_more(filled: Bench, point: str) -> None:
    """A second worker does the work while the first one stands still; the first one then makes no record again.

    The second one finds one account more, so that its batches, and with them their keys, are others; and the books
    forget keys, so that only the lock stands between the two and duplicates. Where the first one has committed its
    intents already, both send the same batch, and it is the keys that make it harmless.
    """
    filled.books.forgets_keys = point != "after_intents"
    second: list[BaseException | None] = []

    def other_worker() -> None:
        points.install(None)
        take_away(filled.ledger)
        filled.crm.put("a00", name="Account 00", phone="555-0199", note=None)
        filled.crm.records = dict(sorted(filled.crm.records.items()))

        def work() -> None:
            try:
                filled.run(attempt=2, same_run=True, page_size=3)
                second.append(None)
            except BaseException as error:  # noqa: BLE001  shown by the assertion below
                second.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join(60)

    def hook(reached: str) -> None:
        if reached == point:
            other_worker()

    points.install(hook)
    with pytest.raises(ConnectionFailure) as lost:
        filled.run(page_size=4)
    assert lost.value.code == "iw.lock_lost"
    assert second == [None]
    expected = sorted(["Account 00", *(f"Account {n}" for n in range(10))])
    assert names(filled.books) == expected
    assert not filled.ledger.open_batches("acme", "customers")
    filled.run(page_size=4)
    assert names(filled.books) == expected
