"""First binding on two systems in memory and a real ledger: nothing before somebody approves, then just that."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from iw_operators.binding import Job, bind_approved, find_partners
from iw_operators.engine.model import Action
from iw_operators.ledger.model import RunRef
from iw_operators.ledger.reviews import Choice, ReviewRow
from iw_operators.spec.models import Direction, FlowKind
from iw_operators.spec.resolved import Side
from iw_operators.sync import Summary
from tests.killing import killed_at
from tests.sync.conftest import Bench
from tests.sync.fakes import disconnect

pytestmark = [pytest.mark.ledger, pytest.mark.feature("P4", "M1", "M2")]


@dataclass
class Binder:
    """A bench with one run of a binding flow."""

    bench: Bench
    side: Side = "crm"
    name: str = "bind1"
    attempt: int = 1
    rows: dict[str, ReviewRow] = field(default_factory=dict)

    @property
    def run(self) -> RunRef:
        """The run, as an attempt of a task has it."""
        direction = Direction.TO_BOOKS if self.side == "crm" else Direction.TO_CRM
        run_id = self.bench.ledger.begin_run(
            company="acme", flow="FlowBind", dag_run_id=self.name, kind="Bind", direction=direction.value
        )
        return RunRef(run_id, "acme", "FlowBind", "customers", "f1", self.attempt, self.side)

    def find(self, page_size: int = 3) -> dict[str, ReviewRow]:
        """Look for partners; return the sheet's rows by source id."""
        bench, run = self.bench, self.run
        direction = Direction.TO_BOOKS if self.side == "crm" else Direction.TO_CRM
        source, target = (bench.crm, bench.books) if self.side == "crm" else (bench.books, bench.crm)
        flow = bench.flow(direction, FlowKind.BIND)
        find_partners(flow, bench.mapping, Job(source, target, bench.ledger, run, page_size))
        self.rows = {row.source_id: row for row in bench.ledger.review_rows(run.run_id)}
        return self.rows

    def approve(self, source_id: str, target_id: str = "") -> list[str]:
        """Approve one row; return what is said against it."""
        choice = Choice(self.rows[source_id].id, "approved", target_id)
        return [each.why for each in self.bench.ledger.decide_review("acme", self.run.run_id, [choice], by="maria")]

    def bind(self, page_size: int = 3) -> Summary:
        """Bind what is approved."""
        bench, run = self.bench, self.run
        direction = Direction.TO_BOOKS if self.side == "crm" else Direction.TO_CRM
        source, target = (bench.crm, bench.books) if self.side == "crm" else (bench.books, bench.crm)
        flow = bench.flow(direction, FlowKind.BIND)
        done = bind_approved(flow, bench.mapping, Job(source, target, bench.ledger, run, page_size))
        self.rows = {row.source_id: row for row in bench.ledger.review_rows(run.run_id)}
        return done

    def bound(self) -> dict[str, str]:
        """Return CRM id -> books id of what is bound."""
        return self.bench.ledger.references("acme", "customers", "crm", list(self.bench.crm.records))


@pytest.fixture
def binder(bench: Bench) -> Binder:
    """Both sides with a match of each kind."""
    crm, books = bench.crm, bench.books
    crm.put("id", name="Known by id", **{"bind.id": "b-id"})
    books.put("b-id", name="Another name")
    crm.put("same", name="Acme Inc.")
    books.put("b-same", name="Acme Inc.")
    crm.put("near", name="Bolt and Sons Ltd")
    books.put("b-near", name="BOLT & SONS")
    crm.put("two", name="Twin")
    books.put("b-two-1", name="Twin")
    books.put("b-two-2", name="Twin, Inc.")
    crm.put("alone", name="Nobody knows me")
    return Binder(bench)


def writes(bench: Bench) -> int:
    """Return how many batches either system has been sent."""
    return bench.crm.calls.count("write") + bench.books.calls.count("write")


def test_the_sheet_tells_exact_from_candidate_ambiguous_and_none(binder: Binder) -> None:
    """By id, and by the criteria with the same name, is exact; another spelling is a candidate; two are ambiguous."""
    found = {source_id: (row.finding, row.target_id) for source_id, row in binder.find().items()}
    assert found == {
        "id": ("exact", "b-id"),
        "same": ("exact", "b-same"),
        "near": ("candidate", "b-near"),
        "two": ("ambiguous", ""),
        "alone": ("none", ""),
    }
    assert {each.id for each in binder.rows["two"].candidates} == {"b-two-1", "b-two-2"}


def test_nothing_is_written_before_somebody_approves(binder: Binder) -> None:
    """Looking for partners, and binding with nothing approved, writes to neither system and binds nothing."""
    before = dict(binder.bench.crm.records), dict(binder.bench.books.records)
    binder.find()
    assert binder.bind().read == 0
    assert (binder.bench.crm.records, binder.bench.books.records) == before
    assert writes(binder.bench) == 0
    assert binder.bound() == {}


def test_exact_rows_are_approved_together_and_nothing_else_with_them(binder: Binder) -> None:
    """One approval takes the exact rows alone; they are bound, and the CRM learns their partners' ids."""
    binder.find()
    assert binder.bench.ledger.approve_exact("acme", binder.run.run_id, by="maria") == 2
    assert binder.bind().counts == {"unchanged": 2}
    assert binder.bound() == {"id": "b-id", "same": "b-same"}
    assert binder.bench.crm.records["same"].values["write_back.id"] == "b-same"
    assert binder.rows["near"].decision == "open"
    assert (binder.rows["same"].decision, binder.rows["same"].why) == ("written", "bound, as maria has approved")


def test_rows_one_by_one_with_the_partner_that_a_person_names(binder: Binder) -> None:
    """An ambiguous row needs a partner named; a candidate may be approved as it is; a free record may be named."""
    binder.find()
    assert binder.approve("two") == ["it has no single partner; name the one that is meant"]
    assert binder.approve("two", "b-two-2") == []
    assert binder.approve("near") == []
    assert binder.approve("alone", "b-two-2") == ["b-two-2 is approved for two"]
    assert binder.approve("alone", "b-two-1") == []
    binder.bind()
    assert binder.bound() == {"two": "b-two-2", "near": "b-near", "alone": "b-two-1"}
    assert binder.rows["two"].target_label == "Twin, Inc."


def test_what_changed_since_the_approval_is_said_and_not_bound(binder: Binder) -> None:
    """A partner that is gone, voided, or bound meanwhile, and one that never was, are held with the reason."""
    bench = binder.bench
    binder.find()
    for source_id, target_id in (("id", ""), ("same", ""), ("near", ""), ("two", "b-two-1"), ("alone", "b-typo")):
        assert binder.approve(source_id, target_id) == []
    bench.books.delete("b-id")
    bench.books.alter("b-same", voided=True)
    bench.crm.put("somebody", name="Somebody else")
    bench.ledger.bind("acme", "customers", crm_id="somebody", books_id="b-near")
    bench.crm.delete("two")
    assert binder.bind(page_size=10).counts == {"held": 5}
    why = {source_id: row.why.removeprefix("approved, but not bound: ") for source_id, row in binder.rows.items()}
    assert why == {
        "id": "b-id is not in Beta Books",
        "same": "b-same is voided in Beta Books",
        "near": "b-near has been bound to somebody since",
        "two": "it is no longer in Alpha CRM",
        "alone": "b-typo is not in Beta Books",
    }
    assert {row.decision for row in binder.rows.values()} == {"failed"}
    assert binder.bound() == {"somebody": "b-near"}


def test_two_records_that_found_the_same_partner_are_left_to_a_person(bench: Bench) -> None:
    """However far apart they stand in the sheet, neither is exact, unless one of them names the partner's id."""
    for number in range(8):
        bench.crm.put(f"a{number}", name=f"Name {number}")
    bench.crm.put("z", name="Name 0")
    bench.books.put("b0", name="Name 0")
    bench.crm.put("a1", **{"bind.id": "b1"})
    bench.crm.put("y", name="Name 1")
    bench.books.put("b1", name="Name 1")
    rows = Binder(bench).find(page_size=2)
    assert (rows["a0"].finding, rows["z"].finding) == ("ambiguous", "ambiguous")
    assert "and so does a0" in rows["z"].why
    assert (rows["a1"].finding, rows["y"].finding) == ("exact", "ambiguous")
    assert "a1 names that one by its id" in rows["y"].why


def test_from_the_books_to_the_crm(bench: Bench) -> None:
    """The same the other way round: books' records find their CRM partners, and these learn the ids."""
    bench.crm.put("a1", name="Acme")
    bench.crm.put("a2", name="Taken", **{"bind.id": "b9"})
    bench.books.put("b1", name="Acme")
    bench.books.put("b2", name="Taken")
    binder = Binder(bench, side="books")
    rows = binder.find()
    assert (rows["b1"].finding, rows["b2"].finding) == ("exact", "none")
    assert "b9" in rows["b2"].why
    bench.ledger.approve_exact("acme", binder.run.run_id, by="maria")
    binder.bind()
    assert binder.bound() == {"a1": "b1"}
    assert bench.crm.records["a1"].values["write_back.id"] == "b1"


def test_bound_records_are_brought_in_step_by_the_next_flow(binder: Binder) -> None:
    """After binding, a flow compares both sides as if they never had been in step, and creates no second record."""
    bench = binder.bench
    bench.crm.put("same", name="Acme Inc.", phone="555-0100")
    binder.find()
    bench.ledger.approve_exact("acme", binder.run.run_id, by="maria")
    binder.bind()
    bench.run()
    assert bench.books.records["b-same"].values["phone"] == "555-0100"
    assert [r.values["name"] for r in bench.books.records.values()].count("Acme Inc.") == 1


@pytest.mark.parametrize(
    "point", ["after_bound", "after_write_back_intents", "after_write_back_call", "after_reviewed"]
)
def test_killed_in_the_middle_of_binding_it_goes_on(binder: Binder, point: str) -> None:
    """Whatever is lost, the next attempt ends with the same pairs bound, told to the CRM once, and a balance."""
    binder.find()
    for source_id in ("id", "same", "near"):
        binder.approve(source_id)
    with killed_at(point):
        binder.bind(page_size=2)
    binder.attempt = 2
    binder.bind(page_size=2)
    assert binder.bound() == {"id": "b-id", "same": "b-same", "near": "b-near"}
    assert {binder.bench.crm.records[each].values["write_back.id"] for each in binder.bound()} == {
        "b-id",
        "b-same",
        "b-near",
    }
    assert {binder.rows[each].decision for each in binder.bound()} == {"written"}
    (summary,) = binder.bench.ledger.summary(binder.run.run_id)
    assert summary.counts == {"unchanged": 3}


def test_killed_in_the_middle_of_looking_it_starts_the_sheet_anew(binder: Binder) -> None:
    """Rows of an interrupted look are replaced; what was decided meanwhile stays."""
    with killed_at("after_review_page"):
        binder.find(page_size=2)
    run_id = binder.run.run_id
    first = {row.source_id: row for row in binder.bench.ledger.review_rows(run_id)}
    assert set(first) == {"id", "same"}
    binder.bench.ledger.decide_review("acme", run_id, [Choice(first["id"].id, "refused")], by="maria")
    assert {source_id: row.decision for source_id, row in binder.find().items()} == {
        "id": "refused",
        "same": "open",
        "near": "open",
        "two": "open",
        "alone": "open",
    }


def test_a_lost_connection_while_telling_the_crm_is_settled(binder: Binder) -> None:
    """The CRM goes away after it has taken the ids: that is found out. Before: the next run of the mapping tells it."""
    bench = binder.bench
    binder.find()
    bench.ledger.approve_exact("acme", binder.run.run_id, by="maria")
    bench.crm.after = [disconnect]
    binder.bind()
    assert bench.crm.records["same"].values["write_back.id"] == "b-same"
    again = Binder(bench, name="bind2")
    again.find()
    assert again.approve("near") == []
    bench.crm.before = [disconnect]
    again.bind()
    assert "write_back.id" not in bench.crm.records["near"].values
    bench.run()
    assert bench.crm.records["near"].values["write_back.id"] == "b-near"


def test_a_refused_sheet_binds_nothing(binder: Binder) -> None:
    """A refusal takes back what was approved before."""
    binder.find()
    binder.approve("near")
    assert binder.bench.ledger.refuse_review("acme", binder.run.run_id, by="maria") == 5
    assert binder.bind().read == 0
    assert binder.bound() == {}
    assert [row.action for row in binder.bench.ledger.log(company="acme") if row.action is not Action.SKIP] == []
