"""What is in doubt: of the other direction, of a target that knows no keys, refused as a whole, decided by a person."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
import sqlalchemy as sa

from iw_operators.errors import FixConfiguration, FixRecord
from iw_operators.spec.models import Direction, Operations, Owner, Way
from iw_operators.systems.base import Batch, Op, Outcome, Result, Write
from tests.engine.make import NAME, field_def, mapped, mapping
from tests.killing import Killed
from tests.sync.conftest import Bench
from tests.sync.fakes import START, FakeSystem, Fault, kill, names
from tests.test_cli import run

pytestmark = [pytest.mark.ledger, pytest.mark.feature("B2")]

TO_CRM = Direction.TO_CRM
SENT = START + dt.timedelta(hours=2)


def at_most(most: int) -> Fault:
    """Return what refuses a batch of more writes."""

    def fault(batch: Batch) -> None:
        if len(batch.writes) > most:
            raise FixConfiguration("too large", code="creatio.too_large")

    return fault


def test_a_batch_that_is_too_large_goes_in_smaller_ones(filled: Bench) -> None:
    """What was refused as a whole is planned again under the batch size that somebody has set since."""
    filled.books.before = [at_most(2)] * 90
    with pytest.raises(FixConfiguration):
        filled.run(page_size=5)
    assert filled.run(page_size=2).counts == {"created": 10}
    assert names(filled.books) == [f"Account {number}" for number in range(10)]
    assert filled.ledger.open_batches("acme", "customers") == []


def test_a_batch_that_is_refused_for_one_record_goes_when_that_is_corrected(filled: Bench) -> None:
    """The refused writes are not sent again as they were, but as the source now holds them."""

    def picky(batch: Batch) -> None:
        if any(write.values.get("name") == "bad" for write in batch.writes):
            raise FixConfiguration("refused")

    filled.crm.put("a1", name="bad")
    filled.books.before = [picky] * 90
    for _ in range(2):
        with pytest.raises(FixConfiguration):
            filled.run()
    filled.crm.put("a1", name="good")
    filled.run()
    assert names(filled.books) == sorted({f"Account {number}" for number in range(10)} - {"Account 1"} | {"good"})


class Numbering(FakeSystem):
    """Books that give each new record a number."""

    def _one(self, write: Write) -> Outcome:
        outcome = super()._one(write)
        held = self.records[outcome.target_id or ""]
        if write.op is Op.CREATE and "number" not in outcome.values:
            values = {**held.values, "number": f"INV-{self.made}"}
            self.records[held.id] = replace(held, values=values)
            outcome = self.answered[write.key] = replace(outcome, values=values)
        return outcome


@pytest.mark.parametrize("operations", [Operations.CREATE_ONLY, Operations.CREATE_AND_UPDATE])
def test_the_other_direction_settles_by_the_rules_of_the_one_that_has_sent(
    bench: Bench, operations: Operations
) -> None:
    """A number that the books gave in their lost answer comes to the CRM all the same."""
    made = mapping(
        [NAME, mapped("number", owner=Owner.BOOKS)],
        bind={"by": "id", "id_field": "BooksId", "else": ["name"]},
        id_field=True,
        to_books=Way(operations=operations),
        to_crm=Way(operations=Operations.UPDATE_ONLY),
    )
    bench.mapping = made.model_copy(update={"write_back": {"id": field_def(native="BooksId", length=50)}})
    bench.books = Numbering("books")
    for number in range(2):
        bench.crm.put(f"a{number}", name=f"A{number}", number=None)
    bench.books.after = [kill]
    with pytest.raises(Killed):
        bench.run()
    bench.run(TO_CRM)
    assert [record.values["number"] for record in bench.crm.records.values()] == ["INV-1", "INV-2"]


@pytest.fixture
def doubtful(bench: Bench) -> Bench:
    """Return a bench on which a create for a0 has arrived in the books, long ago, and looking cannot tell."""
    made = mapping([NAME, mapped("phone")], bind={"by": "id", "id_field": "BooksId"}, id_field=True)
    bench.mapping = made.model_copy(update={"write_back": {"id": field_def(native="BooksId", length=50)}})
    bench.crm.put("a0", name="Acme", phone="1")
    bench.books.after = [kill]
    with pytest.raises(Killed):
        bench.run()
    with bench.ledger.engine.begin() as connection:
        connection.execute(sa.text("UPDATE iw_batch SET sent_at = :then"), {"then": SENT})
    bench.books.resolves = [Result.UNKNOWN] * 20
    bench.books.answered.clear()
    return bench


def test_what_may_be_the_partner_is_not_made_a_partner_of_its_own(doubtful: Bench) -> None:
    """While a create is in doubt the other direction holds what it may have made, and creates what is older."""
    (made,) = doubtful.books.records.values()
    doubtful.books.records[made.id] = replace(made, modified=SENT)
    doubtful.books.put("old", name="Old", phone="2")
    assert doubtful.run(TO_CRM).counts == {"held": 1, "created": 1}
    assert names(doubtful.crm) == ["Acme", "Old"]
    assert [row.code for row in doubtful.ledger.failures("acme") if row.side == "books"] == ["iw.in_doubt"]


def test_a_target_without_keys_is_not_sent_a_create_in_doubt_again(filled: Bench) -> None:
    """Looking alone decides there; what it cannot decide is shown as unknown at once."""
    filled.books.keys_last = dt.timedelta()
    filled.books.after = [kill]
    with pytest.raises(Killed):
        filled.run(page_size=2)
    filled.books.resolves = [Result.UNKNOWN] * 2
    assert filled.run(page_size=2).counts == {"unknown": 2, "created": 8}
    assert names(filled.books) == [f"Account {number}" for number in range(10)]


def test_a_person_says_that_it_never_arrived(
    doubtful: Bench, ledger_connection: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The doubt is over, and the next run plans the record anew."""
    doubtful.books.records.clear()
    assert doubtful.run().counts == {"unknown": 1}
    capsys.readouterr()
    run("decide", "acme", "customers", "crm", "a0", "--never-arrived")
    assert capsys.readouterr().out == "a0: the next flow sends it again\n"
    assert doubtful.run().counts == {"created": 1}
    assert doubtful.ledger.open_batches("acme", "customers") == []
    with pytest.raises(SystemExit, match="No create for a0 is in doubt"):
        run("decide", "acme", "customers", "crm", "a0", "--never-arrived")


def test_a_person_says_what_it_has_made(doubtful: Bench, ledger_connection: None) -> None:
    """The two are bound, and the doubt ends with the next run; one of the two answers has to be given."""
    (made,) = doubtful.books.records
    assert doubtful.run().counts == {"unknown": 1}
    with pytest.raises(SystemExit, match="one of the two"):
        run("decide", "acme", "customers", "crm", "a0")
    run("decide", "acme", "customers", "crm", "a0", "--arrived", made)
    assert doubtful.run().counts == {"unchanged": 1}
    assert doubtful.ledger.open_batches("acme", "customers") == []
    assert names(doubtful.books) == ["Acme"]


class Halfway(FakeSystem):
    """Books that refuse an update after having changed a note to something that nobody has asked for."""

    def _one(self, write: Write) -> Outcome:
        if write.op is not Op.UPDATE:
            return super()._one(write)
        held = self.put(write.target_id or "", note="half")
        return Outcome(write.key, Result.REJECTED, held.id, held.version, held.values, FixRecord("refused halfway"))


def test_half_a_change_is_not_brought_back(bench: Bench) -> None:
    """What a refused update has left behind is no news of the target for the other direction."""
    bench.books = Halfway("books")
    bench.crm.put("a0", name="Acme", phone="1", note="old")
    bench.run()
    bench.run(TO_CRM)
    bench.crm.put("a0", note="new")
    assert bench.run().counts == {"rejected": 1}
    bench.run(TO_CRM)
    assert bench.crm.records["a0"].values["note"] == "new"
    assert [failure.label for failure in bench.ledger.failures("acme")] == ["Acme"]


def test_a_pair_that_is_bound_without_a_write_is_looked_at_from_the_other_side(bench: Bench) -> None:
    """What the partner holds and the new record does not comes, though the partner changed long ago."""
    bench.books.put("b0", name="Acme", note="pays late")
    bench.run(TO_CRM, since=START)
    bench.crm.records.clear()
    with bench.ledger.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM iw_binding"))
    bench.crm.put("a0", name="Acme", note=None)
    assert bench.run().counts == {"unchanged": 1}
    late = START + dt.timedelta(days=1)
    assert bench.run(TO_CRM, since=late).counts == {"updated": 1}
    assert bench.crm.records["a0"].values["note"] == "pays late"
