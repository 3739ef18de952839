"""Failed records in whole runs: tried again by themselves, corrected, done again on request."""

from __future__ import annotations

import pytest

from iw_operators.engine.model import Action
from iw_operators.ledger.failures import Failure
from iw_operators.spec.models import FlowKind
from iw_operators.systems.base import Write
from tests.sync.conftest import Bench
from tests.sync.fakes import START

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R10")]

BAD = "Account 3"


def refuse_bad(write: Write) -> str | None:
    """Refuse the one name."""
    return "That name is taken." if write.values.get("name") == BAD else None


def after_changes(bench: Bench) -> Bench:
    """Return the bench as a flow finds it that looks only at what has changed."""
    bench.crm.ticks += 1000
    return bench


def failure(bench: Bench, source_id: str = "a3") -> Failure:
    """Return how a record stands."""
    found = bench.ledger.failure("acme", bench.mapping.mapping, "crm", source_id)
    assert found is not None
    return found


@pytest.fixture
def refused(filled: Bench) -> Bench:
    """Return a bench after a run in which one of ten records was refused."""
    filled.books.refuse = refuse_bad
    counts = filled.run().counts
    assert counts == {"created": 9, "rejected": 1}
    return filled


def test_a_failed_record_is_tried_again_when_it_changes(refused: Bench) -> None:
    """A flow that only looks at changes does not come to it until then; then it is fixed by that run."""
    now = refused.crm.now()
    assert refused.run(since=after_changes(refused).crm.now()).read == 0
    assert failure(refused).attempts == 1
    refused.crm.put("a3", name="Account three")
    done = refused.run(since=now)
    assert done.counts["created"] == 1
    found = failure(refused)
    assert (found.state.value, found.settled_by, found.attempts) == ("fixed", "Flow_to_books", 1)


def test_a_changed_mapping_tries_failed_records_once(refused: Bench) -> None:
    """Under another fingerprint each open failure is planned once more, and not again under the same one."""
    late = after_changes(refused).crm.now()
    assert refused.run(since=late, fingerprint="f2").counts == {"rejected": 1}
    assert (failure(refused).attempts, failure(refused).fingerprint) == (2, "f2")
    assert refused.run(since=late, fingerprint="f2").read == 0
    refused.books.refuse = lambda _: None
    assert refused.run(since=late, fingerprint="f3").counts == {"created": 1}
    assert failure(refused).state.value == "fixed"


def test_a_changed_mapping_leaves_what_was_given_up(refused: Bench) -> None:
    """A person has said that it need not go."""
    refused.ledger.give_up("acme", refused.mapping.mapping, "crm", ["a3"], by="Ann", why="never")
    assert refused.run(since=after_changes(refused).crm.now(), fingerprint="f2").read == 0
    assert failure(refused).state.value == "given up"


def test_a_failed_record_that_is_no_longer_there_is_said_so_once(refused: Bench) -> None:
    """The source tells of no deletion; the run that looks for it finds out and settles it."""
    del refused.crm.records["a3"]
    late = after_changes(refused).crm.now()
    assert refused.run(since=late, fingerprint="f2").counts == {"skipped": 1}
    assert (failure(refused).state.value, "is deleted" in failure(refused).settled_why) == ("fixed", True)


def test_a_waiting_record_that_is_no_longer_there_is_settled(filled: Bench) -> None:
    """A record that a person had to decide about, and that was deleted instead, stays nobody's open failure."""
    filled.books.put("b1", name="Account 3")
    filled.books.put("b2", name="Account 3")
    filled.run()
    assert (failure(filled).state.value, failure(filled).action) == ("open", Action.HOLD)
    del filled.crm.records["a3"]
    filled.ledger.look_again("acme", filled.mapping.mapping, "crm", ["a3"])
    assert filled.run(since=after_changes(filled).crm.now()).counts == {"skipped": 1}
    assert failure(filled).state.value == "fixed"


def test_reprocessing_does_the_named_records_and_nothing_else(refused: Bench) -> None:
    """Each of them gets its row, those that no longer exist too; other changes stay for the next run."""
    refused.crm.put("new", name="New one")
    refused.books.refuse = lambda _: None
    done = refused.run(kind=FlowKind.NFS, again=["a3", "nobody"])
    assert (done.read, done.counts) == (2, {"created": 1, "skipped": 1})
    assert (failure(refused).state.value, failure(refused).attempts) == ("reprocessed", 1)
    (row,) = refused.ledger.log(company="acme", source_id="nobody")
    assert "is deleted in" in row.why
    assert refused.run(since=START).counts["created"] == 1


def test_reprocessing_without_names_does_all_that_are_open(filled: Bench) -> None:
    """As many pages as it takes; what fails again stays open, what is given up is left alone."""
    filled.books.refuse = lambda write: (
        "No." if str(write.values["name"]) in {f"Account {n}" for n in range(7)} else None
    )
    assert filled.run().counts == {"created": 3, "rejected": 7}
    filled.ledger.give_up("acme", filled.mapping.mapping, "crm", ["a6"], by="Ann", why="never")
    filled.books.refuse = refuse_bad
    done = filled.run(kind=FlowKind.NFS, again=[], page_size=2)
    assert (done.read, done.counts) == (6, {"created": 5, "rejected": 1})
    counts = {each.state.value: each.number for each in filled.ledger.failure_counts("acme")}
    assert counts == {"reprocessed": 5, "open": 1, "given up": 1}


def test_a_correction_is_used_told_and_dropped(refused: Bench) -> None:
    """The target gets the corrected value, the row says who corrected what, the source is left alone."""
    name = refused.mapping.mapping
    refused.ledger.correct("acme", name, "crm", {"a3": {"name": "Account three"}}, by="Ann")
    assert refused.run(kind=FlowKind.NFS, again=["a3"]).counts == {"created": 1}
    (row, *_) = [r for r in refused.ledger.record_history("acme", name, "crm", "a3") if r.operation == "create"]
    assert "(name corrected by Ann)" in row.why
    assert "Account three" in [change.new for change in row.changes]
    assert refused.crm.records["a3"].values["name"] == BAD
    assert "Account three" in [record.values["name"] for record in refused.books.records.values()]
    assert failure(refused).state.value == "reprocessed"
    assert not refused.ledger.has_corrections("acme", name, "crm")


def test_what_was_corrected_is_in_step_until_the_source_changes(refused: Bench) -> None:
    """Runs in both directions leave it alone; a change of the source counts again."""
    from iw_operators.spec.models import Direction

    name = refused.mapping.mapping
    refused.ledger.correct("acme", name, "crm", {"a3": {"name": "Account three"}}, by="Ann")
    refused.run(kind=FlowKind.NFS, again=["a3"])
    refused.run(Direction.TO_CRM)
    assert refused.crm.records["a3"].values["name"] == BAD
    assert refused.run().counts == {"unchanged": 10}
    refused.crm.put("a3", name="Account trois")
    assert refused.run().counts == {"unchanged": 9, "updated": 1}
    assert "Account trois" in [record.values["name"] for record in refused.books.records.values()]


def test_a_scheduled_run_uses_a_correction_too(refused: Bench) -> None:
    """Whichever run comes to the record first."""
    refused.ledger.correct("acme", refused.mapping.mapping, "crm", {"a3": {"name": "Account three"}}, by="Ann")
    assert refused.run().counts == {"unchanged": 9, "created": 1}
    assert failure(refused).state.value == "fixed"


@pytest.mark.feature("M26")
def test_a_run_keeps_what_its_fingerprint_means_once(filled: Bench) -> None:
    """The first run under a fingerprint keeps the mapping's report; later ones add nothing."""
    filled.run()
    filled.run()
    filled.run(fingerprint="f2")
    found = filled.ledger.versions("acme", filled.mapping.mapping)
    assert [each.fingerprint for each in found] == ["f2", "f1"]
    assert [row["field"] for row in found[0].report["rows"]][:3] == ["name", "phone", "note"]
