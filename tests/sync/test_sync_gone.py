"""Deleted, voided and inactive records under each policy, on two systems in memory and a real ledger (B6)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import pytest

from iw_operators.engine.model import Action
from iw_operators.ledger.model import LogRow
from iw_operators.spec.models import Direction, Policy
from iw_operators.spec.resolved import Kind, Side
from iw_operators.systems.base import Batch, Result
from tests.killing import Killed
from tests.sync.conftest import Bench
from tests.sync.fakes import kill, names

pytestmark = [pytest.mark.ledger, pytest.mark.feature("B6")]

KINDS: tuple[Kind, ...] = ("deleted", "voided", "inactive")


def policies(bench: Bench, **gone: Mapping[Kind, Policy] | Policy) -> None:
    """State policies: a word for every kind, or one by one."""
    table: dict[str, Mapping[Kind, Policy]] = {
        side: dict.fromkeys(KINDS, given) if isinstance(given, Policy) else given for side, given in gone.items()
    }
    bench.mapping = bench.mapping.model_copy(update={"when_gone": table})


def partner(bench: Bench, crm_id: str) -> str:
    """Return the books' record that an account is bound to."""
    return bench.ledger.bindings("acme", "customers", "crm", [crm_id])[crm_id].target_id


def go(bench: Bench, side: str, record_id: str, kind: Kind) -> None:
    """Make a record of one side gone, as a user does."""
    system = bench.crm if side == "crm" else bench.books
    if kind == "deleted":
        system.delete(record_id)
    else:
        system.alter(record_id, **({"voided": True} if kind == "voided" else {"active": False}))


def newest(bench: Bench, record_id: str) -> LogRow:
    """Return the newest log row of a record."""
    return bench.ledger.log(company="acme", source_id=record_id)[0]


@pytest.fixture
def told(filled: Bench) -> Bench:
    """Return ten accounts in step with their customers, both systems telling of deletions."""
    filled.crm.tells_for = filled.books.tells_for = dt.timedelta(days=30)
    filled.run()
    filled.run(Direction.TO_CRM)
    return filled


HOW: list[tuple[Kind, Policy, str, Action, str]] = [
    ("deleted", Policy.HOLD, "kept", Action.HOLD, "iw.source_deleted"),
    ("voided", Policy.HOLD, "kept", Action.HOLD, "iw.source_voided"),
    ("inactive", Policy.HOLD, "kept", Action.HOLD, "iw.source_inactive"),
    ("deleted", Policy.IGNORE, "kept", Action.SKIP, ""),
    ("deleted", Policy.DEACTIVATE, "inactive", Action.UPDATE, ""),
    ("inactive", Policy.DEACTIVATE, "inactive", Action.UPDATE, ""),
    ("deleted", Policy.VOID, "voided", Action.UPDATE, ""),
    ("voided", Policy.VOID, "voided", Action.UPDATE, ""),
    ("deleted", Policy.DELETE, "gone", Action.UPDATE, ""),
    ("voided", Policy.DELETE, "gone", Action.UPDATE, ""),
    ("deleted", Policy.UNBIND, "kept", Action.HOLD, "iw.unbound"),
    ("inactive", Policy.UNBIND, "kept", Action.HOLD, "iw.unbound"),
]


# Both sides go the same way through the code; of the books' records one kind under each policy is enough.
EACH = [(Direction.TO_BOOKS, *row) for row in HOW] + [(Direction.TO_CRM, *row) for row in HOW if row[0] == "deleted"]


@pytest.mark.parametrize(
    ("direction", "kind", "policy", "left", "action", "code"),
    EACH,
    ids=[f"{direction.value}-{kind}-{policy.value}" for direction, kind, policy, *_ in EACH],
)
def test_a_source_that_is_gone(
    told: Bench, direction: Direction, kind: Kind, policy: Policy, left: str, action: Action, code: str
) -> None:
    """What happened to the record on either side is done to its partner as stated, once, and logged with why."""
    side: Side = "crm" if direction is Direction.TO_BOOKS else "books"
    policies(told, **{side: policy})
    gone, kept = ("a3", partner(told, "a3")) if side == "crm" else (partner(told, "a3"), "a3")
    target = told.books if side == "crm" else told.crm
    since = told.crm.now() if side == "crm" else told.books.now()
    go(told, side, gone, kind)
    counts = told.run(direction, since=since).counts
    assert counts[action.value] >= 1
    row = newest(told, gone)
    assert (row.action, row.code) == (action, code)
    assert kind in row.why
    record = target.records.get(kept)
    state = "gone" if record is None else "voided" if record.voided else "kept" if record.active else "inactive"
    assert state == left
    if action is Action.UPDATE:
        assert row.operation == policy.value
    writes = target.calls.count("write")
    told.run(direction, since=since)
    assert target.calls.count("write") == writes


def test_an_inactive_source_is_an_ordinary_record_where_it_is_ignored(told: Bench) -> None:
    """With `ignore`, an inactive or voided record is synced as ever; nothing happens to its partner by itself."""
    policies(told, crm=Policy.IGNORE)
    told.crm.alter("a3", active=False)
    told.crm.put("a3", phone="555-0999")
    assert told.run().counts["updated"] == 1
    record = told.books.records[partner(told, "a3")]
    assert (record.active, record.values["phone"]) == (True, "555-0999")


TARGETS = [
    ("deleted", Policy.HOLD, Action.HOLD, "iw.target_missing"),
    ("voided", Policy.HOLD, Action.HOLD, "iw.target_voided"),
    ("inactive", Policy.HOLD, Action.HOLD, "iw.target_inactive"),
    ("deleted", Policy.IGNORE, Action.SKIP, ""),
    ("inactive", Policy.IGNORE, Action.UPDATE, ""),
    ("deleted", Policy.UNBIND, Action.HOLD, "iw.unbound"),
    ("deleted", Policy.DEACTIVATE, Action.HOLD, "iw.partner_gone"),
]


@pytest.mark.parametrize(
    ("kind", "policy", "action", "code"), TARGETS, ids=[f"{kind}-{policy.value}" for kind, policy, *_ in TARGETS]
)
def test_a_target_that_is_gone_meanwhile(told: Bench, kind: Kind, policy: Policy, action: Action, code: str) -> None:
    """A changed record whose partner is gone follows the policy of the partner's side, and is never made anew."""
    policies(told, books=policy)
    go(told, "books", partner(told, "a3"), kind)
    there = len(told.books.records)
    told.crm.put("a3", phone="555-0999")
    told.run()
    row = newest(told, "a3")
    assert (row.action, row.code) == (action, code)
    assert len(told.books.records) == there


def test_the_other_direction_does_what_the_policy_wants_of_the_source(told: Bench) -> None:
    """A flow that finds its target gone holds the record; the other direction looks at once and carries it out."""
    policies(told, books=Policy.DEACTIVATE)
    told.books.tells_for = None  # nobody tells, and no sweep is due
    told.books.delete(partner(told, "a3"))
    told.crm.put("a3", phone="555-0999")
    assert told.run().counts["held"] == 1
    assert told.crm.records["a3"].active
    assert told.run(Direction.TO_CRM, since=told.books.now()).counts["updated"] == 1
    assert not told.crm.records["a3"].active
    assert newest(told, "a3").code == "iw.partner_gone"


def test_gone_on_both_sides_is_forgotten(told: Bench) -> None:
    """Two records that are both deleted are unbound without a word to anybody, and the row says so."""
    since, customer = told.crm.now(), partner(told, "a3")
    told.crm.delete("a3")
    told.books.delete(customer)
    assert told.run(since=since).counts["skipped"] == 1
    assert not told.ledger.bindings("acme", "customers", "crm", ["a3"])
    assert told.run(since=since).counts["skipped"] == 1


def test_what_was_unbound_waits_until_it_is_released(told: Bench) -> None:
    """A record that lost its partner is held however often it changes; released, it is made anew, under a new key."""
    policies(told, books=Policy.UNBIND)
    customer, since = partner(told, "a3"), told.books.now()
    first = {key for key, outcome in told.books.answered.items() if outcome.target_id == customer}
    told.books.delete(customer)
    assert told.run(Direction.TO_CRM, since=since).counts["held"] == 1
    told.crm.put("a3", name="Account 3")
    assert told.run().counts["held"] == 1
    assert newest(told, "a3").code == "iw.unbound"
    assert told.ledger.release("acme", "customers", "crm", "a3")
    assert not told.ledger.release("acme", "customers", "crm", "a3")
    assert told.run(since=told.crm.now()).counts == {"created": 1}
    again = partner(told, "a3")
    assert again != customer
    second = {key for key, outcome in told.books.answered.items() if outcome.target_id == again}
    assert first
    assert second
    assert not first & second
    assert names(told.books) == names(told.crm)


def test_what_is_left_of_an_unbound_pair_is_not_taken_by_a_look_alike(told: Bench) -> None:
    """A new account with the name of one that was deleted does not get the customer before a person has decided."""
    policies(told, crm=Policy.UNBIND)
    customer, since = partner(told, "a3"), told.crm.now()
    told.crm.delete("a3")
    told.run(since=since)
    told.crm.put("b3", name="Account 3", phone=None, note=None)
    assert told.run(since=since).counts["held"] == 1
    assert newest(told, "b3").code == "iw.unbound"
    assert told.ledger.release("acme", "customers", "books", customer)
    told.run(since=since)
    assert partner(told, "b3") == customer


def test_a_record_that_is_active_again_finds_its_partner_so(told: Bench) -> None:
    """What we made inactive with its partner is no news; without the field in the mapping a person makes it active."""
    policies(told, crm=Policy.DEACTIVATE, books=Policy.HOLD)
    told.crm.alter("a3", active=False)
    told.run()
    told.run(Direction.TO_CRM)
    told.crm.alter("a3", active=True)
    assert told.run().counts["held"] == 1
    row = newest(told, "a3")
    assert "was made inactive with it" in row.why
    told.books.alter(partner(told, "a3"), active=True)
    told.crm.put("a3", phone="555-0999")
    assert told.run().counts["updated"] == 1


@pytest.mark.parametrize("policy", [Policy.DEACTIVATE, Policy.VOID, Policy.DELETE])
@pytest.mark.parametrize("point", ["before", "after"])
def test_a_crash_around_a_removal(told: Bench, policy: Policy, point: str) -> None:
    """Killed before or after a removal has arrived, the next attempt ends with it done once and a right ledger."""
    policies(told, crm=policy)
    since, customer = told.crm.now(), partner(told, "a3")
    go(told, "crm", "a3", "deleted")
    setattr(told.books, point, [kill])
    with pytest.raises(Killed):
        told.run(since=since)
    told.run(since=since, attempt=2, same_run=True)
    assert not told.ledger.open_batches("acme", "customers")
    record = told.books.records.get(customer)
    state = "gone" if record is None else "void" if record.voided else "deactivate" if not record.active else "kept"
    assert state == {"delete": "gone"}.get(policy.value, policy.value)
    bound = told.ledger.bindings("acme", "customers", "crm", ["a3"])
    assert bool(bound) is (policy is not Policy.DELETE)


def test_a_partner_that_changes_before_a_removal_is_looked_at_again(told: Bench) -> None:
    """A removal starts from what was read: a customer that changed meanwhile is read again before it goes."""
    policies(told, crm=Policy.DELETE)
    since, customer = told.crm.now(), partner(told, "a3")
    told.crm.delete("a3")

    def meanwhile(_: Batch) -> None:
        told.books.put(customer, note="meanwhile")

    told.books.before = [meanwhile]
    assert told.run(since=since).counts["updated"] == 1
    assert customer not in told.books.records
    states = {outcome.result for outcome in told.books.answered.values()}
    assert states == {Result.APPLIED}
