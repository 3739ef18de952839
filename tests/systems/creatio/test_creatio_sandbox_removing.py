"""Taking records away in a Creatio over a socket, and finding out which are still there (B6)."""

from __future__ import annotations

import pytest

from iw_operators.engine.model import Value
from iw_operators.systems.base import Batch, Op, Outcome, Result, View, Write
from iw_operators.systems.creatio.system import CreatioSystem
from sandbox.seed import acme
from tests.systems.creatio.conftest import Site
from tests.systems.creatio.helpers import view_of

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("B6", "S1")]

ACCOUNT, PRODUCT, PAYMENT = (
    view_of("Account", ("name", "active")),
    view_of("Product", ("name",)),
    view_of("UsrPaymentQB"),
)


def one(system: CreatioSystem, write: Write) -> Outcome:
    """Send one write."""
    return system.write(Batch("batch", (write,)))[0]


def looked_up(system: CreatioSystem, write: Write) -> Outcome:
    """Look one write up."""
    return system.resolve(Batch("batch", (write,)))[0]


def made(system: CreatioSystem, view: View, **values: Value) -> str:
    """Make a record; return its Id."""
    outcome = one(system, Write(f"make {view.object}", Op.CREATE, view, values))
    assert outcome.result is Result.APPLIED, outcome.error
    return outcome.target_id or ""


def test_a_deleted_record_is_gone(empty_site: Site) -> None:
    """A delete is applied, found to be, and repeated without harm; the record is there no more."""
    system = empty_site.system()
    ident = made(system, PAYMENT, number="1")
    write = Write("gone", Op.DELETE, PAYMENT, {}, ident, "v")
    assert looked_up(system, write).result is Result.REJECTED
    done = one(system, write)
    assert (done.result, done.target_id) == (Result.APPLIED, ident)
    assert system.fetch(PAYMENT, [ident]) == {}
    assert looked_up(system, write).result is Result.APPLIED
    assert one(system, write).result is Result.APPLIED


@pytest.mark.parametrize("view", [ACCOUNT, PRODUCT], ids=["active", "archive"])
def test_a_record_is_made_inactive_through_its_own_column(empty_site: Site, view: View) -> None:
    """A column that means active is switched off, one that means archived on."""
    system = empty_site.system()
    ident = made(system, view, name="A")
    write = Write("off", Op.DEACTIVATE, view, {}, ident, "v")
    if view is ACCOUNT:
        assert one(system, Write("on", Op.UPDATE, view, {"active": True}, ident)).result is Result.APPLIED
    assert system.fetch(view, [ident])[ident].active
    assert looked_up(system, write).result is Result.REJECTED
    assert one(system, write).result is Result.APPLIED
    assert not system.fetch(view, [ident])[ident].active
    assert looked_up(system, write).result is Result.APPLIED


def test_a_record_that_others_refer_to_is_not_deleted(acme_site: Site) -> None:
    """An account with opportunities stays; the outcome says so."""
    system = acme_site.system()
    account = next(o.account_id for o in acme.build().opportunities)
    outcome = one(system, Write("gone", Op.DELETE, ACCOUNT, {}, account, "v"))
    assert outcome.result is Result.REJECTED
    assert outcome.error is not None
    assert outcome.error.code == "creatio.reference"
    assert account in system.fetch(ACCOUNT, [account])


def test_there_is_no_void(empty_site: Site) -> None:
    """What Creatio does not know is refused before anything is sent."""
    system = empty_site.system()
    ident = made(system, PAYMENT, number="1")
    empty_site.forget()
    outcome = one(system, Write("void", Op.VOID, PAYMENT, {}, ident, "v"))
    assert outcome.result is Result.REJECTED
    assert outcome.error is not None
    assert outcome.error.code == "creatio.removal"
    assert empty_site.requests() == 0


def test_a_lost_answer_to_a_delete_is_found_out(empty_site: Site) -> None:
    """A delete whose answer is lost is in doubt, and looking tells that it was done."""
    system = empty_site.system()
    ident = made(system, PAYMENT, number="1")
    write = Write("gone", Op.DELETE, PAYMENT, {}, ident, "v")
    empty_site.fault("drop_after", match="batch")
    assert one(system, write).result is Result.UNKNOWN
    assert looked_up(system, write).result is Result.APPLIED


def test_which_ids_are_there_costs_one_request(acme_site: Site) -> None:
    """Two hundred ids are asked for in one call, Ids alone; they come back as they were given."""
    system = acme_site.system()
    ids = [account.id.upper() for account in acme.build().accounts]
    gone = "99999999-0000-4000-8000-000000000001"
    system.check()  # signs in
    acme_site.forget()
    assert list(system.existing(ACCOUNT, [*ids, gone, "no id"])) == ids
    assert acme_site.requests() == 1
    assert list(system.existing(ACCOUNT, [])) == []
    assert system.told_since(ACCOUNT) is None
