"""A loop that is asked to stop: at the end of a page, with everything of the page recorded, and nothing of the rest."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from iw_operators.errors import RetryLater, Yielded
from iw_operators.ledger.flow_tables import turn
from tests.sync.conftest import Bench
from tests.sync.fakes import names

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R5")]


@pytest.mark.parametrize("pages", [1, 2])
def test_it_ends_its_page_and_the_next_run_does_the_rest(filled: Bench, pages: int) -> None:
    """Whatever the page, its records are there with bindings and rows, and each record ends up there once."""
    answers = iter([*[""] * (pages - 1), "It is late."])
    with pytest.raises(Yielded, match="It is late") as stopped:
        filled.run(page_size=4, go_on=lambda: next(answers))
    assert stopped.value.code == "iw.yielded"
    assert len(filled.books.records) == 4 * pages
    assert len({row.source_id for row in filled.ledger.log(company="acme", limit=50)}) == 4 * pages
    assert filled.ledger.open_batches("acme", "customers") == []
    counts = filled.run().counts
    assert counts == {"created": 10 - 4 * pages, "unchanged": 4 * pages}
    assert names(filled.books) == names(filled.crm)


def test_it_is_asked_once_a_page_and_goes_on(filled: Bench) -> None:
    """With nothing against it, it is asked at the end of each page and does all of them."""
    asked: list[int] = []

    def go_on() -> str:
        asked.append(len(filled.books.records))
        return ""

    assert filled.run(page_size=4, go_on=go_on).counts == {"created": 10}
    assert asked == [4, 8, 10]


@pytest.mark.feature("R4")
def test_a_lost_turn_stops_it_before_it_writes(filled: Bench) -> None:
    """A task that was taken for dead after its first page sends nothing more; the next run has the rest."""
    ledger = filled.ledger
    assert ledger.take_turn("acme", "F", "r1", "scheduled").taken

    def go_on() -> str:
        with ledger.engine.begin() as connection:
            connection.execute(sa.delete(turn))
        return ""

    with pytest.raises(RetryLater) as lost, ledger.on_turn("acme", "F", "r1"):
        filled.run(page_size=4, go_on=go_on)
    assert lost.value.code == "iw.turn_lost"
    assert len(filled.books.records) == 4
    assert filled.run().counts == {"created": 6, "unchanged": 4}
