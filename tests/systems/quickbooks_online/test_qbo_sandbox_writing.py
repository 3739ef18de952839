"""Writing over a socket: exactness, stale tokens, half-done batches, dropped answers, no duplicates, figures."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from quickbooks.objects.customer import Customer
from quickbooks.objects.invoice import Invoice

from iw_operators.engine.model import Line, Value
from iw_operators.errors import ConnectionFailure, FixRecord
from iw_operators.keys import digest
from iw_operators.spec.catalogue import FieldDef
from iw_operators.systems.base import Batch, Op, Outcome, Result, View, Window, Write
from iw_operators.systems.quickbooks_online.limiter import Limiter
from iw_operators.systems.quickbooks_online.system import QuickBooksOnline as System
from sandbox.seed.world import BooksCustomer, BooksItem, World
from tests.systems.quickbooks_online.conftest import NewSite, Site
from tests.systems.quickbooks_online.fakes import view

pytestmark = pytest.mark.sandbox

CUSTOMER = view("Customer")
HOSTILE = (
    "! @ # $ % ^ & * + { } [ ] ? > < ' \" \\ / ; = ~ `",
    "O'Neil & Söhne <b>GmbH</b>",
    "株式会社サンプル 日本",
    "שלום ירושלים",
    "Ünïcødé Ñandú ß",
    "Rocket 🚀 👩‍🚀 family 👨‍👩‍👧",
    "trailing backslash \\",
)


def create(of: View, **values: Value) -> Write:
    named = {name.replace("__", "."): value for name, value in values.items()}
    return Write(digest(of.object, repr(sorted(named.items()))), Op.CREATE, of, named)


def update(of: View, target: str, version: str, **values: Value) -> Write:
    named = {name.replace("__", "."): value for name, value in values.items()}
    return Write(digest("u", target, version, repr(sorted(named.items()))), Op.UPDATE, of, named, target, version)


def batch(*writes: Write) -> Batch:
    return Batch(digest(*(w.key for w in writes)), writes)


def one(system: System, write: Write) -> Outcome:
    return system.write(batch(write))[0]


def made(site: Site, operation: str = "create Customer") -> int:
    number: int = site.stats()["written"].get(operation, 0)
    return number


@pytest.mark.feature("E3", "S2")
def test_every_character_arrives_and_comes_back(site: Site) -> None:
    """Symbols, other scripts, emoji and line breaks are read back as they were sent, also by an independent client."""
    system = site.system()
    notes = 'line 1\nline 2\n\n\t"quoted" — end'
    writes = [
        create(CUSTOMER, name=name, notes=notes, billing__street="Straße 1\n3. Stock", email="ä@b.example")
        for name in HOSTILE
    ]
    outcomes = system.write(batch(*writes))
    assert [o.result for o in outcomes] == [Result.APPLIED] * len(HOSTILE), [str(o.error) for o in outcomes]
    held = system.fetch(CUSTOMER, [o.target_id or "" for o in outcomes])
    for write, outcome in zip(writes, outcomes, strict=True):
        values = held[outcome.target_id or ""].values
        assert {name: values[name] for name in write.values} == dict(write.values)
        assert outcome.values == values
    assert {c.DisplayName for c in Customer.all(qb=system.client)} == set(HOSTILE)


@pytest.mark.feature("S2", "O6")
def test_money_is_exact_from_the_value_to_the_books(new_site: NewSite) -> None:
    """Prices that no binary fraction can hold are stored digit by digit; totals are their exact sum."""
    world = World(books_customers=(BooksCustomer("1", "C"),), books_items=(BooksItem("1", "I"), BooksItem("2", "J")))
    system = new_site(world).system()
    lines: tuple[Line, ...] = (
        {"item": "1", "quantity": Decimal("3"), "price": Decimal("0.1"), "amount": Decimal("0.3")},
        {"item": "2", "quantity": Decimal("1.25"), "price": Decimal("19.992"), "amount": Decimal("24.99")},
    )
    outcome = one(system, create(view("Invoice"), customer="1", date=dt.date(2026, 3, 1), lines=lines))
    assert outcome.result is Result.APPLIED, outcome.error
    assert outcome.values["total"] == Decimal("25.29")
    held = outcome.values["lines"]
    assert isinstance(held, tuple)
    assert [{k: line[k] for k in lines[0]} for line in held] == [dict(line) for line in lines]


@pytest.mark.feature("S2")
def test_a_stale_token_is_told_and_the_next_plan_fits(new_site: NewSite) -> None:
    """An update from an old reading is STALE and changes nothing; from a new reading it is applied."""
    site = new_site(World(books_customers=(BooksCustomer("1", "C", phone="1"),)))
    system = site.system()
    before = system.fetch(CUSTOMER, ["1"])["1"].version
    assert one(system, update(CUSTOMER, "1", before, phone="2")).result is Result.APPLIED
    late = one(system, update(CUSTOMER, "1", before, phone="3"))
    assert late.result is Result.STALE
    now = system.fetch(CUSTOMER, ["1"])["1"]
    assert now.values["phone"] == "2"
    done = one(system, update(CUSTOMER, "1", now.version, phone="3"))
    assert (done.result, done.values["phone"]) == (Result.APPLIED, "3")


@pytest.mark.feature("B3", "S2")
def test_what_we_wrote_has_the_version_that_reading_shows(site: Site) -> None:
    """The outcome's version is the one that the change feed tells, so that our own writing is known again."""
    system = site.system()
    outcome = one(system, create(CUSTOMER, name="A", phone="1"))
    since = system.now() - dt.timedelta(minutes=5)
    read = [r for page in system.changes(CUSTOMER, Window(since, None), 100) for r in page]
    assert [(r.id, r.version) for r in read] == [(outcome.target_id, outcome.version)]


@pytest.mark.feature("S2", "E2", "M25")
def test_each_refusal_names_field_code_and_action(new_site: NewSite) -> None:
    """A duplicate name, a name too long and an invalid e-mail are rejected one by one; the good one goes."""
    site = new_site(World(books_customers=(BooksCustomer("1", "Taken"),)))
    writes = (
        create(CUSTOMER, name="Taken"),
        create(CUSTOMER, name="x" * 501),
        create(CUSTOMER, name="Mail", email="no address"),
        create(CUSTOMER, name="Good"),
    )
    outcomes = site.system().write(batch(*writes))
    assert [o.result for o in outcomes] == [Result.REJECTED] * 3 + [Result.APPLIED]
    errors = [o.error for o in outcomes if o.error]
    assert [(e.code, e.field) for e in errors] == [("6240", "name"), ("iw.too_long", "name"), ("2210", "email")]
    assert "'Taken'" in errors[0].advice
    assert all(e.advice for e in errors)


@pytest.mark.feature("B2")
def test_an_answer_lost_after_the_commit_makes_no_duplicate(site: Site) -> None:
    """Dropped after the commit: unknown, found by looking, and sending the very same batch again makes nothing."""
    system = site.system()
    sent = batch(*(create(CUSTOMER, name=f"N{n}", phone=str(n)) for n in range(30)))
    site.fault("drop_after", match="/batch")
    assert {o.result for o in system.write(sent)} == {Result.UNKNOWN}
    found = system.resolve(sent)
    assert {o.result for o in found} == {Result.APPLIED}
    again = system.write(sent)
    assert [(o.result, o.target_id) for o in again] == [(Result.APPLIED, o.target_id) for o in found]
    assert made(site) == 30


@pytest.mark.feature("B2")
def test_an_answer_lost_before_the_commit_is_sent_again(site: Site) -> None:
    """Dropped before the commit: unknown, looked up as not applied, and applied once when sent again."""
    system = site.system()
    system.check()
    sent = batch(create(CUSTOMER, name="A"), create(CUSTOMER, name="B"))
    site.fault("drop_before", match="/batch")
    assert {o.result for o in system.write(sent)} == {Result.UNKNOWN}
    assert {o.result for o in system.resolve(sent)} == {Result.REJECTED}
    assert {o.result for o in system.write(sent)} == {Result.APPLIED}
    assert made(site) == 2


@pytest.mark.feature("B2")
def test_a_batch_half_done_is_finished_and_nothing_twice(site: Site) -> None:
    """Half committed, then dropped: the half is found, the rest alone is sent under the batch's key."""
    system = site.system()
    sent = batch(*(create(CUSTOMER, name=f"N{n}") for n in range(9)))
    site.fault("half_batch")
    assert {o.result for o in system.write(sent)} == {Result.UNKNOWN}
    found = system.resolve(sent)
    applied = {o.key for o in found if o.result is Result.APPLIED}
    assert 0 < len(applied) < 9
    rest = Batch(sent.key, tuple(w for w in sent.writes if w.key not in applied))
    assert {o.result for o in system.write(rest)} == {Result.APPLIED}
    assert made(site) == 9
    assert [o.target_id for o in system.write(sent)] == [o.target_id for o in system.resolve(sent)]
    assert made(site) == 9


@pytest.mark.feature("B2")
def test_invoices_without_a_number_are_told_by_their_request_id(new_site: NewSite) -> None:
    """Looking cannot tell two equal invoices apart; sending again under the same key does, and makes none."""
    world = World(books_customers=(BooksCustomer("1", "C"),), books_items=(BooksItem("1", "I"),))
    site = new_site(world)
    system = site.system()
    lines: tuple[Line, ...] = ({"item": "1", "quantity": Decimal(1), "price": Decimal(5), "amount": Decimal(5)},)
    sent = batch(create(view("Invoice"), customer="1", date=dt.date(2026, 3, 1), lines=lines))
    site.fault("drop_after", match="/batch")
    assert system.write(sent)[0].result is Result.UNKNOWN
    assert system.resolve(sent)[0].result is Result.UNKNOWN
    assert system.write(sent)[0].result is Result.APPLIED
    assert made(site, "create Invoice") == 1


@pytest.mark.feature("B2", "R15")
@pytest.mark.parametrize("fault", ["html", "status_503", "drop_middle"])
def test_what_may_have_arrived_is_in_doubt(site: Site, fault: str) -> None:
    """A page, an outage and half an answer leave the outcome open; looking and sending again settles it."""
    system = site.system()
    sent = batch(create(CUSTOMER, name="A", phone="1"))
    site.fault(fault, match="/batch")
    assert system.write(sent)[0].result is Result.UNKNOWN
    if system.resolve(sent)[0].result is not Result.APPLIED:
        assert system.write(sent)[0].result is Result.APPLIED
    assert made(site) == 1


@pytest.mark.feature("B2")
def test_a_server_that_is_not_there_was_not_sent_to(site: Site) -> None:
    """Without a connection the write raises with `sent=False` instead of leaving the outcome open."""
    system = site.system()
    system.check()
    system.client.base_url = "http://127.0.0.1:9"
    with pytest.raises(ConnectionFailure) as caught:
        system.write(batch(create(CUSTOMER, name="A")))
    assert caught.value.sent is False


@pytest.mark.feature("S2", "B2")
def test_a_token_that_ends_in_the_middle_of_a_batch_costs_nothing(site: Site) -> None:
    """The batch goes out again under its requestid after one refresh: one record."""
    system = site.system()
    system.check()
    site.fault("expire_token", match="/batch")
    assert one(system, create(CUSTOMER, name="A")).result is Result.APPLIED
    assert made(site) == 1
    assert site.stats()["calls"]["token"] == 2


@pytest.mark.feature("S2", "O6")
def test_changing_lines_keeps_what_the_mapping_does_not_know(new_site: NewSite) -> None:
    """A discount line and a custom field of somebody else survive an update of lines and note."""
    world = World(books_customers=(BooksCustomer("1", "C"),), books_items=(BooksItem("1", "I"), BooksItem("2", "J")))
    system = new_site(world).system()
    client = system.client
    native = client.post(
        f"{client.api_url}/company/{client.company_id}/invoice",
        b"""{"CustomerRef":{"value":"1"},"CustomField":[{"DefinitionId":"1","StringValue":"B","Type":"StringType"}],"Line":[
        {"Amount":10,"DetailType":"SalesItemLineDetail","SalesItemLineDetail":{"ItemRef":{"value":"1"},"Qty":1,"UnitPrice":10}},
        {"Amount":1,"DetailType":"DiscountLineDetail","DiscountLineDetail":{"PercentBased":false}}]}""",
    )["Invoice"]
    extra = {"region": FieldDef(native="CustomField.Region")}
    of = view(
        "Invoice",
        "private_note",
        "total",
        "lines[].item",
        "lines[].amount",
        "lines[].quantity",
        "lines[].price",
        extra=extra,
    )
    record = system.fetch(of, [native["Id"]])[native["Id"]]
    lines: tuple[Line, ...] = (
        {"item": "1", "quantity": Decimal(2), "price": Decimal(10), "amount": Decimal(20)},
        {"item": "2", "quantity": Decimal(1), "price": Decimal("5.5"), "amount": Decimal("5.5")},
    )
    outcome = one(system, update(of, record.id, record.version, lines=lines, private_note="n", region="North"))
    assert outcome.result is Result.APPLIED, outcome.error
    assert (outcome.values["total"], outcome.values["region"]) == (Decimal("24.50"), "North")
    now = Invoice.get(record.id, qb=client)
    assert [line.DetailType for line in now.Line].count("DiscountLineDetail") == 1
    assert {f.Name: f.StringValue for f in now.CustomField if f.StringValue} == {"Crew #": "B", "Region": "North"}


@pytest.mark.feature("S2")
def test_terms_can_be_set_and_taken_away(new_site: NewSite) -> None:
    """A reference is written by its text; emptying it keeps everything else of the record."""
    system = new_site(World(books_customers=(BooksCustomer("1", "C", phone="1", email="a@b.example"),))).system()
    start = system.fetch(CUSTOMER, ["1"])["1"]
    terms = one(system, update(CUSTOMER, "1", start.version, terms="net 15", billing__city="Rome"))
    assert (terms.result, terms.values["terms"]) == (Result.APPLIED, "Net 15")
    gone = one(system, update(CUSTOMER, "1", terms.version, terms=None, notes="kept"))
    assert gone.result is Result.APPLIED, gone.error
    assert gone.values["terms"] is None
    assert {k: gone.values[k] for k in ("phone", "email", "billing.city", "notes", "name")} == {
        "phone": "1",
        "email": "a@b.example",
        "billing.city": "Rome",
        "notes": "kept",
        "name": "C",
    }


@pytest.mark.feature("O5")
def test_each_kind_of_item_can_be_made(site: Site) -> None:
    """Service, non-inventory and inventory items are taken with the accounts named by their text."""
    common: dict[str, Any] = {
        "income_account": "Sales of Product Income",
        "expense_account": "Cost of Goods Sold",
        "asset_account": "Inventory Asset",
        "price": Decimal("12.35"),
    }
    writes = [create(view("Item"), name=kind, kind=kind, **common) for kind in ("Service", "NonInventory", "Inventory")]
    outcomes = site.system().write(batch(*writes))
    assert [o.result for o in outcomes] == [Result.APPLIED] * 3, [str(o.error) for o in outcomes]
    assert [o.values["asset_account"] for o in outcomes] == [None, None, "Inventory Asset"]
    assert {o.values["price"] for o in outcomes} == {Decimal("12.35")}


@pytest.mark.feature("O14")
def test_a_payment_applies_to_its_invoice(new_site: NewSite) -> None:
    """A payment with a line closes its invoice and names it."""
    world = World(books_customers=(BooksCustomer("1", "C"),), books_items=(BooksItem("1", "I"),))
    system = new_site(world).system()
    lines: tuple[Line, ...] = ({"item": "1", "quantity": Decimal(1), "price": Decimal(5), "amount": Decimal(5)},)
    invoice = one(system, create(view("Invoice"), customer="1", lines=lines))
    applied: tuple[Line, ...] = ({"invoice": invoice.target_id, "amount": Decimal(5)},)
    payment = one(system, create(view("Payment"), customer="1", total=Decimal(5), lines=applied))
    assert payment.result is Result.APPLIED, payment.error
    assert payment.values["invoice"] == invoice.target_id
    assert system.fetch(view("Invoice"), [invoice.target_id or ""])[invoice.target_id or ""].values["balance"] == 0


def test_an_error_of_the_record_that_is_gone(site: Site) -> None:
    """An update of a record that does not exist is rejected with what to do."""
    outcome = one(site.system(), update(CUSTOMER, "4711", "0@2026-01-01T00:00:00Z", phone="1"))
    assert outcome.result is Result.REJECTED
    assert isinstance(outcome.error, FixRecord)
    assert outcome.error.code == "610"


@pytest.mark.feature("S2")
@pytest.mark.slow
def test_a_thousand_new_customers_cost_at_most_60_requests(new_site: NewSite) -> None:
    """Index of 1,000 old ones, terms, 34 batches under Intuit's real quotas: at most 60 requests, none throttled."""
    old = tuple(BooksCustomer(str(n), f"Old {n}") for n in range(1, 1001))
    site = new_site(World(books_customers=old), throttle=True)
    system = site.system(limiter=Limiter())
    system.check()
    index = {r.values["name"] for page in system.scan(CUSTOMER, None) for r in page}
    assert len(index) == 1000
    writes = [create(CUSTOMER, name=f"New {n}", terms="Net 30", billing__city="Rome") for n in range(1000)]
    system.lookup(CUSTOMER.fields["terms"], ["Net 30"])
    for start in range(0, 1000, system.batch_size):
        outcomes = system.write(batch(*writes[start : start + system.batch_size]))
        assert {o.result for o in outcomes} == {Result.APPLIED}
    assert made(site) == 1000
    assert site.requests() <= 60
    assert "throttled" not in site.stats()["calls"]
