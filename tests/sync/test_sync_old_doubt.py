"""What is in doubt for long, or since a time when the mapping was another one."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from iw_operators.engine.model import Action
from iw_operators.systems.base import Batch, Result
from tests.engine.make import NAME, mapping
from tests.killing import Killed
from tests.sync.conftest import Bench
from tests.sync.fakes import kill, names

pytestmark = [pytest.mark.ledger, pytest.mark.feature("B2")]


def in_doubt(bench: Bench, number: int = 2) -> None:
    """Leave a batch of creates behind that has arrived, of which looking cannot tell."""
    bench.books.after = [kill]
    with pytest.raises(Killed):
        bench.run(page_size=number)
    bench.books.resolves = [Result.UNKNOWN] * number


def days_later(bench: Bench) -> None:
    """Let the open batch have been sent two days ago, and the books forget what they have answered."""
    with bench.ledger.engine.begin() as connection:
        connection.execute(sa.text("UPDATE iw_batch SET sent_at = sent_at - interval '2 days' WHERE open"))
    bench.books.answered.clear()


def test_a_create_that_is_long_in_doubt_is_not_sent_again(filled: Bench) -> None:
    """After a day the target may have forgotten the key: its records are shown as unknown, nothing is made twice."""
    in_doubt(filled)
    days_later(filled)
    counts = filled.run(page_size=2).counts
    assert counts == {"unknown": 2, "created": 8}
    assert names(filled.books) == [f"Account {number}" for number in range(10)]
    assert {row.source_id for row in filled.ledger.log(company="acme", action=Action.UNKNOWN)} == {"a0", "a1"}


def test_a_create_that_is_in_doubt_for_minutes_is_sent_again_under_its_key(filled: Bench) -> None:
    """Within a day the key makes it harmless, and the target's answer decides."""
    in_doubt(filled)
    assert filled.run(page_size=2).counts == {"created": 8, "unchanged": 2}
    assert names(filled.books) == [f"Account {number}" for number in range(10)]


def test_binding_by_hand_ends_the_doubt(filled: Bench) -> None:
    """Somebody who finds the record binds it; the next run compares the two and the doubt is over."""
    in_doubt(filled)
    days_later(filled)
    filled.run(page_size=2)
    made = {str(record.values["name"]): record.id for record in filled.books.records.values()}
    for number in range(2):
        filled.ledger.bind("acme", "customers", crm_id=f"a{number}", books_id=made[f"Account {number}"])
    filled.books.resolves = [Result.UNKNOWN] * 2
    counts = filled.run(page_size=2).counts
    assert "unknown" not in counts
    assert "created" not in counts
    assert not filled.ledger.open_batches("acme", "customers")
    assert len(filled.books.records) == 10


@pytest.mark.parametrize("arrived", [True, False])
def test_a_mapping_that_gave_up_a_field_meanwhile(filled: Bench, arrived: bool) -> None:
    """A batch in doubt of an earlier spec is looked up and sent under the present one, in fields that this one has."""
    (filled.books.after if arrived else filled.books.before)[:] = [kill]
    with pytest.raises(Killed):
        filled.run(page_size=3)
    spec = filled.mapping
    without = mapping([NAME], bind={"by": "id", "id_field": "BooksId", "else": ["name"]}, id_field=True)
    filled.mapping = without.model_copy(update={"write_back": spec.write_back})
    seen: list[str] = []

    def check(batch: Batch) -> None:
        seen.extend(name for write in batch.writes for name in write.values if name not in write.view.fields)

    filled.books.before = [check] * 9
    filled.crm.before = [check] * 9
    filled.run(page_size=3)
    assert not seen
    assert names(filled.books) == [f"Account {number}" for number in range(10)]
    assert not filled.ledger.open_batches("acme", "customers")
