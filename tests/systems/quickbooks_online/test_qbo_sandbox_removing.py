"""Taking records away over a socket, and finding out which are still there (B6)."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pytest

from iw_operators.keys import digest
from iw_operators.systems.base import Batch, Op, Outcome, Result, View, Window, Write
from iw_operators.systems.quickbooks_online.codec import is_voided
from iw_operators.systems.quickbooks_online.system import QuickBooksOnline as System
from sandbox.seed.world import BooksCustomer, BooksInvoice, BooksInvoiceLine, BooksItem, BooksPayment, World
from tests.systems.quickbooks_online.conftest import NewSite, Site
from tests.systems.quickbooks_online.fakes import view

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("B6", "S2")]

CUSTOMER, INVOICE, PAYMENT = view("Customer"), view("Invoice"), view("Payment")
DAY = dt.date(2026, 3, 1)


def books(invoices: int = 1) -> World:
    """Return a customer with invoices of 10 and one payment on account."""
    line = BooksInvoiceLine("1", Decimal(1), Decimal(10), Decimal(10))
    return World(
        books_customers=(BooksCustomer("1", "C"),),
        books_items=(BooksItem("1", "I"),),
        books_invoices=tuple(
            BooksInvoice(str(100 + n), f"N{n}", "1", DAY, DAY, "USD", Decimal(1), (line,)) for n in range(invoices)
        ),
        books_payments=(BooksPayment("50", "1", DAY, "chk", Decimal(5), {}),),
    )


@pytest.fixture
def ledger_site(new_site: NewSite) -> Site:
    """The books above."""
    return new_site(books())


def removal(system: System, op: Op, of: View, ident: str) -> Write:
    """Return a removal of a record as it is now."""
    version = system.fetch(of, [ident])[ident].version
    return Write(digest(op.value, of.object, ident, version), op, of, {}, ident, version)


def one(system: System, write: Write) -> Outcome:
    """Send one write."""
    return system.write(Batch(digest(write.key), (write,)))[0]


def looked_up(system: System, write: Write) -> Outcome:
    """Look one write up."""
    return system.resolve(Batch(digest(write.key), (write,)))[0]


@pytest.mark.parametrize(("of", "ident"), [(INVOICE, "100"), (PAYMENT, "50")], ids=["invoice", "payment"])
def test_a_void_keeps_the_transaction_with_nothing_in_it(ledger_site: Site, of: View, ident: str) -> None:
    """A voided transaction stays, is read as voided with amounts of zero, and comes as changed."""
    system = ledger_site.system()
    write = removal(system, Op.VOID, of, ident)
    assert looked_up(system, write).result is Result.REJECTED
    done = one(system, write)
    assert (done.result, done.target_id) == (Result.APPLIED, ident)
    record = system.fetch(of, [ident])[ident]
    assert (record.voided, record.deleted, record.values["total"]) == (True, False, 0)
    assert done.version == record.version
    assert looked_up(system, write).result is Result.APPLIED
    since = system.now() - dt.timedelta(minutes=1)
    changed = [r for page in system.changes(of, Window(since, None), 100) for r in page]
    assert [(r.id, r.voided) for r in changed if r.id == ident] == [(ident, True)]


@pytest.mark.parametrize(("of", "ident"), [(INVOICE, "100"), (PAYMENT, "50")], ids=["invoice", "payment"])
def test_a_deleted_transaction_is_gone_and_told_of(ledger_site: Site, of: View, ident: str) -> None:
    """A delete is answered as applied, found as applied, repeated as applied, and told by the change feed."""
    system = ledger_site.system()
    write = removal(system, Op.DELETE, of, ident)
    assert one(system, write).result is Result.APPLIED
    assert system.fetch(of, [ident]) == {}
    assert looked_up(system, write).result is Result.APPLIED
    again = replace(write, key=digest("another key"))
    assert one(system, again).result is Result.APPLIED
    since = system.now() - dt.timedelta(minutes=1)
    changed = [r for page in system.changes(of, Window(since, None), 100) for r in page]
    assert [(r.id, r.deleted) for r in changed if r.id == ident] == [(ident, True)]


def test_a_name_is_made_inactive(ledger_site: Site) -> None:
    """A customer that is taken away is inactive under its own name; its fields stay as they are."""
    system = ledger_site.system()
    before = system.fetch(CUSTOMER, ["1"])["1"]
    write = removal(system, Op.DEACTIVATE, CUSTOMER, "1")
    assert one(system, write).result is Result.APPLIED
    record = system.fetch(CUSTOMER, ["1"])["1"]
    assert not record.active
    assert {**before.values, "active": False} == dict(record.values)
    assert looked_up(system, write).result is Result.APPLIED


@pytest.mark.parametrize("op", [Op.VOID, Op.DELETE])
def test_a_removal_from_an_old_reading_is_stale(ledger_site: Site, op: Op) -> None:
    """A transaction that has changed since it was read is not taken away."""
    system = ledger_site.system()
    write = removal(system, op, INVOICE, "100")
    change = Write("u", Op.UPDATE, INVOICE, {"memo": "new"}, "100", write.version)
    assert one(system, change).result is Result.APPLIED
    assert one(system, write).result is Result.STALE
    assert system.fetch(INVOICE, ["100"])["100"].values["total"] == 10
    assert looked_up(system, write).result is Result.UNKNOWN


def test_a_lost_answer_to_a_removal_is_found_out(ledger_site: Site) -> None:
    """A void whose answer is lost is in doubt, and looking tells that it was done."""
    system = ledger_site.system()
    write = removal(system, Op.VOID, INVOICE, "100")
    ledger_site.fault("drop_after", match="/batch")
    assert one(system, write).result is Result.UNKNOWN
    assert looked_up(system, write).result is Result.APPLIED


def test_a_note_alone_makes_no_void() -> None:
    """Voided means both: amounts of zero and the service's own word at the beginning of the private note."""
    definition = INVOICE.definition
    assert is_voided(definition, {"PrivateNote": "Voided", "TotalAmt": 0, "Balance": Decimal("0.00")})
    assert is_voided(definition, {"PrivateNote": "Voided - wrong customer", "TotalAmt": 0})
    assert not is_voided(definition, {"PrivateNote": "Voided", "TotalAmt": 1})
    assert not is_voided(definition, {"PrivateNote": "not Voided", "TotalAmt": 0})
    assert not is_voided(definition, {"TotalAmt": 0})
    assert not is_voided(CUSTOMER.definition, {"PrivateNote": "Voided"})


def test_which_ids_are_there_costs_one_request(new_site: NewSite) -> None:
    """Ids are counted by the hundred in one request; rows are read only where some are missing."""
    site = new_site(books(600))
    system = site.system()
    ids = [str(100 + n) for n in range(600)]
    site.forget()
    assert set(system.existing(INVOICE, ids)) == set(ids)
    assert site.requests() == 1
    one(system, removal(system, Op.DELETE, INVOICE, "333"))
    site.forget()
    assert set(system.existing(INVOICE, [*ids, "999999", "no id"])) == set(ids) - {"333"}
    assert site.requests() == 3
    assert system.existing(INVOICE, []) == set()


def test_inactive_names_are_there(ledger_site: Site) -> None:
    """A name that is inactive is not gone."""
    system = ledger_site.system()
    one(system, removal(system, Op.DEACTIVATE, CUSTOMER, "1"))
    assert set(system.existing(CUSTOMER, ["1", "2"])) == {"1"}


def test_how_far_back_deletions_are_told(new_site: NewSite) -> None:
    """Transactions: 29 days; names, which are never deleted: not at all; after a feed that was cut off: from now."""
    site = new_site(books(1_001))
    system = site.system()
    now = system.now()
    told = system.told_since(INVOICE)
    assert told is not None
    assert dt.timedelta(days=28) < now - told < dt.timedelta(days=30)
    assert system.told_since(CUSTOMER) is None
    site.advance(86_400)
    for page in system.changes(INVOICE, Window(now - dt.timedelta(days=20), None), 500):
        assert page
    cut = system.told_since(INVOICE)
    assert cut is not None
    assert cut > told
