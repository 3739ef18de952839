"""The acme world: the same each time, full of trouble, obeying the books' rules, both sides in agreement."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path

import phonenumbers
import pytest
from cleanco import basename

from sandbox.creatio import make
from sandbox.seed import acme, acme_names
from sandbox.seed.acme_parts import LAST, SHARED_STAMP, cents
from sandbox.seed.world import Account, BooksCustomer, World

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def world() -> World:
    """The world, which nobody can change."""
    return acme.build()


def normal_name(name: str) -> str:
    """A name without case, punctuation and legal form."""
    return re.sub(r"[\W_]+", " ", str(basename(" ".join(name.split()))).casefold()).strip()


def normal_phone(number: str) -> str:
    """A number in the one notation that all others stand for."""
    parsed = phonenumbers.parse(number, "US")
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


def fits(account: Account, customer: BooksCustomer) -> bool:
    """Whether name and phone say that the two are the same company."""
    if not (account.phone and customer.phone):
        return False
    same_phone = normal_phone(account.phone) == normal_phone(customer.phone)
    return same_phone and normal_name(account.name) == normal_name(customer.display_name)


def test_another_process_builds_the_same_world(world: World) -> None:
    """Neither a clock nor chance nor the order of a set takes part."""
    program = (
        "import hashlib; from sandbox.seed import acme; print(hashlib.sha256(repr(acme.build()).encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT / "include")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hashlib.sha256(repr(world).encode()).hexdigest()


def test_there_is_as_much_as_promised(world: World) -> None:
    """Sizes of both sides."""
    assert (len(world.accounts), len(world.contacts), len(world.products), len(world.opportunities)) == (
        200,
        300,
        60,
        250,
    )
    stages = Counter(deal.stage for deal in world.opportunities)
    assert set(stages) == set(world.stages)
    assert stages["Closed won"] == 90
    assert (len(world.books_customers), len(world.books_items), len(world.books_payments)) == (60, 35, 25)
    assert Counter(invoice.deleted for invoice in world.books_invoices) == {False: 40, True: 1}


def test_ids_are_unique_on_both_sides(world: World) -> None:
    """No id is given twice, and every reference leads somewhere."""
    crm = [account.id for account in world.accounts] + [contact.id for contact in world.contacts]
    crm += [product.id for product in world.products] + [deal.id for deal in world.opportunities]
    crm += [line.id for deal in world.opportunities for line in deal.lines]
    transactions = [invoice.id for invoice in world.books_invoices] + [payment.id for payment in world.books_payments]
    for ids in (
        crm,
        [customer.id for customer in world.books_customers],
        [item.id for item in world.books_items],
        transactions,
    ):
        assert len(set(ids)) == len(ids)
    accounts, contacts = {a.id for a in world.accounts}, {c.id for c in world.contacts}
    products = {p.id for p in world.products}
    assert {c.account_id for c in world.contacts} <= accounts
    assert {a.primary_contact_id for a in world.accounts} - {None} <= contacts
    for deal in world.opportunities:
        assert deal.account_id in accounts
        assert deal.contact_id in contacts | {None}
        assert {line.product_id for line in deal.lines} <= products


def test_names_make_trouble(world: World) -> None:
    """Long names, colons, quotes, emoji, right-to-left text, punctuation, twins: all among the won customers."""
    won = {deal.account_id for deal in world.opportunities if deal.stage == "Closed won" and not deal.books_id}
    names = [account.name for account in world.accounts if account.id in won]
    assert sum(len(name) > 41 for name in names) >= 3
    assert sum(len(name) > 100 for name in names) >= 2
    for part in (":", "&", "'", '"', "🌞", "م", "ב", "東", "\t", acme_names.PUNCTUATION):
        assert any(part in name for name in names), part
    assert [name for name, count in Counter(names).items() if count > 1] == ["Twin Rivers Marina"]
    assert set(acme_names.LOOK_ALIKES) <= set(names)
    assert any("\n" in account.address.street for account in world.accounts)
    product_names = [product.name for product in world.products]
    assert any(len(name) > 100 for name in product_names)
    assert any(":" in name for name in product_names)
    assert len({name.casefold() for name in product_names}) < len(product_names)
    assert any(acme_names.PUNCTUATION in deal.title for deal in world.opportunities if deal.stage == "Closed won")


def test_data_have_gaps(world: World) -> None:
    """E-mails, phones, addresses and primary contacts are missing here and there; some products are archived."""
    assert 20 < sum(not contact.email for contact in world.contacts) < 100
    assert any(not account.phone for account in world.accounts)
    assert any(not account.address.city for account in world.accounts)
    assert any(account.primary_contact_id is None for account in world.accounts)
    assert sum(product.archived for product in world.products) == 4
    notations = {re.sub(r"\d", "9", account.phone) for account in world.accounts if account.phone}
    assert len(notations) == 5
    assert Counter(account.currency for account in world.accounts)["EUR"] >= 15


def test_opportunities_have_every_kind_of_lines(world: World) -> None:
    """None, one to six, identical ones, a quantity of zero, fractions; amounts are quantity times price to the cent."""
    won = [deal for deal in world.opportunities if deal.stage == "Closed won"]
    assert {len(deal.lines) for deal in world.opportunities} >= {0, 1, 2, 3, 4, 5}
    assert any(not deal.lines for deal in won)
    assert any(line.quantity == 0 for deal in won for line in deal.lines)
    pairs = [[(line.product_id, line.quantity, line.price) for line in deal.lines] for deal in won]
    assert any(len(set(lines)) < len(lines) for lines in pairs)
    for deal in world.opportunities:
        for line in deal.lines:
            assert line.amount == cents(line.quantity * line.price)
        if deal.lines:
            assert deal.amount == sum(line.amount for line in deal.lines)


def test_stamps_are_spread_over_the_year_and_some_are_equal(world: World) -> None:
    """Stamps lie between January and November 2026; several won opportunities share one."""
    stamps = [deal.modified for deal in world.opportunities]
    assert min(stamps) < dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
    for records in (
        world.accounts,
        world.contacts,
        world.products,
        world.opportunities,
        world.books_customers,
        world.books_items,
        world.books_invoices,
        world.books_payments,
    ):
        assert all(record.modified <= LAST for record in records)
    assert {stamp.month for stamp in stamps} == set(range(1, 11))
    shared = Counter(deal.modified for deal in world.opportunities if deal.stage == "Closed won")
    assert shared[SHARED_STAMP] == 4


def test_the_books_obey_their_own_rules(world: World) -> None:
    """Names are unique and legal, currencies agree, amounts add up, nothing is paid twice."""
    display = [customer.display_name for customer in world.books_customers]
    assert len({name.casefold() for name in display}) == len(display)
    assert not any(set(name) & set(":\t\n") or len(name) > 500 for name in display)
    items = [item.name for item in world.books_items]
    assert len({name.casefold() for name in items}) == len(items)
    assert not any(set(name) & set(":\t\n") or len(name) > 100 for name in items)
    assert [c.display_name for c in world.books_customers if not c.active] == ["Retired Customer (deleted)"]
    assert [item.name for item in world.books_items if not item.active] == ["Old modem (deleted)"]

    customers = {customer.id: customer for customer in world.books_customers}
    item_ids = {item.id for item in world.books_items}
    assert {c.parent_id for c in world.books_customers} <= set(customers) | {None}
    numbers = [invoice.number for invoice in world.books_invoices]
    assert len(set(numbers)) == len(numbers)
    assert max(map(len, numbers)) <= 21
    paid: dict[str, Decimal] = defaultdict(Decimal)
    invoices = {invoice.id: invoice for invoice in world.books_invoices}
    for invoice in world.books_invoices:
        assert invoice.currency == customers[invoice.customer_id].currency
        assert invoice.lines
        assert {line.item_id for line in invoice.lines} <= item_ids
        assert all(line.amount == cents(line.quantity * line.price) for line in invoice.lines)
    for payment in world.books_payments:
        assert payment.currency == customers[payment.customer_id].currency
        assert sum(payment.applied.values()) <= payment.total
        for invoice_id, amount in payment.applied.items():
            assert invoices[invoice_id].customer_id == payment.customer_id
            assert amount > 0
            paid[invoice_id] += amount
    for invoice_id, amount in paid.items():
        assert amount <= sum(line.amount for line in invoices[invoice_id].lines)


def test_payments_are_of_every_kind(world: World) -> None:
    """Full, partial, over two invoices, with a rest, unapplied, in euro."""
    totals = {i.id: sum((line.amount for line in i.lines), Decimal(0)) for i in world.books_invoices}
    payments = world.books_payments
    single = [p for p in payments if len(p.applied) == 1]
    assert sum(next(iter(p.applied.values())) < totals[next(iter(p.applied))] for p in single) == 7
    assert sum(len(p.applied) == 2 for p in payments) == 1
    assert sum(not p.applied for p in payments) == 1
    assert sum(0 < sum(p.applied.values()) < p.total for p in payments) == 1
    assert sum(p.currency == "EUR" for p in payments) >= 3


def test_both_sides_agree_about_what_is_bound(world: World) -> None:
    """A bound invoice has the lines, customer, currency and number of its opportunity."""
    accounts = {account.id: account for account in world.accounts}
    products = {product.id: product for product in world.products}
    invoices = {invoice.id: invoice for invoice in world.books_invoices}
    bound = [deal for deal in world.opportunities if deal.books_id]
    assert len(bound) == len(invoices)
    for deal in bound:
        invoice = invoices[str(deal.books_id)]
        assert invoice.deleted == (deal.stage != "Closed won")
        assert invoice.customer_id == accounts[deal.account_id].books_id
        assert (invoice.currency, invoice.exchange_rate) == (deal.currency, deal.exchange_rate)
        assert invoice.due_date == deal.due_date
        assert deal.number in {"", invoice.number}
        assert [(line.item_id, line.quantity, line.price, line.amount) for line in invoice.lines] == [
            (products[line.product_id].books_id, line.quantity, line.price, line.amount) for line in deal.lines
        ]
    customers = {customer.id: customer for customer in world.books_customers}
    for account in world.accounts:
        if account.books_id:
            assert customers[account.books_id].display_name == account.name
            assert customers[account.books_id].currency == account.currency


def test_customers_match_accounts_as_intended(world: World) -> None:
    """By id 30, by name and phone alone 15, two fit to each of 2, and one fits to two accounts."""
    bound = {account.books_id for account in world.accounts if account.books_id}
    assert len(bound) == 30
    unbound = [customer for customer in world.books_customers if customer.id not in bound]
    matches = {
        account.id: [customer for customer in unbound if fits(account, customer)]
        for account in world.accounts
        if not account.books_id
    }
    counted = Counter(map(len, matches.values()))
    assert counted[2] == 2
    alone = [found[0].id for found in matches.values() if len(found) == 1]
    assert sorted(Counter(alone).values()) == [1] * 15 + [2]
    for account in world.accounts:
        for customer in matches.get(account.id, []):
            assert customer.display_name != account.name  # a naive comparison makes a duplicate
            assert customer.currency == account.currency
    won = {deal.account_id for deal in world.opportunities if deal.stage == "Closed won"}
    assert {account_id for account_id, found in matches.items() if found} <= won


def test_items_match_products_as_intended(world: World) -> None:
    """By id 18, by name alone 12, and five items belong to nobody."""
    items = {item.id: item for item in world.books_items}
    bound = [product for product in world.products if product.books_id]
    assert len(bound) == 18
    assert all(items[str(product.books_id)].name == product.name for product in bound)
    free = {item.name for item in world.books_items} - {product.name for product in bound}
    assert len(free & {product.name for product in world.products}) == 12
    assert len(free) == 17


def test_plain_worlds_are_plain() -> None:
    """As many accounts as asked, each with a won opportunity if asked, and nothing in the books."""
    world = acme.plain(50, won=True, lines=3)
    assert len(world.accounts) == len(world.contacts) == len(world.opportunities) == 50
    assert {deal.account_id for deal in world.opportunities} == {account.id for account in world.accounts}
    assert all(len(deal.lines) == 3 and deal.stage == "Closed won" for deal in world.opportunities)
    assert len({account.name for account in world.accounts}) == 50
    assert {*world.books_customers, *world.books_items, *world.books_invoices} == set()
    assert world.books_payments == ()
    assert acme.plain(3, contacts=False).contacts == ()
    assert acme.named("plain", size=4) == acme.plain(4)
    assert acme.named("empty") == World()
    with pytest.raises(ValueError, match="known: acme, empty, plain"):
        acme.named("nope")


def test_the_crm_sandbox_takes_the_world_whole(world: World) -> None:
    """Each record becomes a row, and no lookup of any row leads nowhere."""
    sandbox = make(world)
    rows = sandbox.stats()["rows"]
    assert (rows["Account"], rows["Contact"], rows["Opportunity"]) == (200, 301, 250)
    assert rows["OpportunityProductInterest"] == sum(len(deal.lines) for deal in world.opportunities)
    assert rows["Order"] == rows["Invoice"] == 40
    assert sandbox.store.dangling() == []
