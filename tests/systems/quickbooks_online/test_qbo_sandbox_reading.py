"""Reading over a socket: feed and query, ties, deletions, inactive names, throttling, figures."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from quickbooks.objects.invoice import Invoice

from iw_operators.engine.model import Record
from iw_operators.errors import ConnectionFailure, FixConfiguration, FixRecord, Throttled
from iw_operators.systems.base import Window
from iw_operators.systems.quickbooks_online.limiter import Limiter
from iw_operators.systems.quickbooks_online.system import QuickBooksOnline as System
from sandbox.seed.world import (
    BooksCustomer,
    BooksInvoice,
    BooksInvoiceLine,
    BooksItem,
    BooksPayment,
    World,
)
from tests.systems.quickbooks_online.conftest import NewSite, Site
from tests.systems.quickbooks_online.fakes import FakeClock, view

pytestmark = pytest.mark.sandbox

CUSTOMER = view("Customer")
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
DAY = dt.timedelta(days=1)


def customers(number: int, when: dt.datetime, first: int = 1) -> tuple[BooksCustomer, ...]:
    return tuple(BooksCustomer(str(n), f"Customer {n}", modified=when) for n in range(first, first + number))


def read(system: System, of: Any = CUSTOMER, since: Any = None, until: Any = None, size: int = 500) -> list[Record]:
    return [record for page in system.changes(of, Window(since, until), size) for record in page]


@pytest.mark.feature("S2")
def test_a_window_in_which_nothing_changed_is_one_request(new_site: NewSite) -> None:
    """Each mapping's `changes` costs one request when nothing changed, and `now` none after it."""
    site = new_site(World(books_customers=customers(300, NOW - 10 * DAY)))
    system = site.system()
    for entity in ("Customer", "Item", "Invoice"):
        assert read(system, view(entity), NOW - DAY, NOW) == []
    assert system.now() - NOW < DAY
    assert site.requests() == 3


@pytest.mark.feature("S2")
def test_2500_rows_of_one_second_come_once_each(new_site: NewSite) -> None:
    """More rows than a page with the same stamp are neither skipped nor repeated, in few requests."""
    site = new_site(World(books_customers=customers(2500, NOW - 100 * DAY)))
    found = read(site.system())
    assert sorted(int(r.id) for r in found) == list(range(1, 2501))
    assert site.requests() <= 8


@pytest.mark.feature("S2")
def test_first_read_of_a_thousand_is_a_request_for_each_thousand(new_site: NewSite) -> None:
    """3,000 rows of different seconds are four requests, in pages of the size asked for."""
    rows = tuple(
        BooksCustomer(str(n), f"C {n}", modified=NOW - 50 * DAY + n * dt.timedelta(seconds=1)) for n in range(1, 3001)
    )
    site = new_site(World(books_customers=rows))
    pages = list(site.system().changes(CUSTOMER, Window(None, NOW), 400))
    assert max(map(len, pages)) == 400
    assert [int(r.id) for page in pages for r in page] == list(range(1, 3001))
    assert site.requests() == 4


@pytest.mark.feature("S2")
def test_a_recent_gap_comes_from_the_feed_and_an_old_one_by_query(new_site: NewSite) -> None:
    """The same rows come either way; the calls say which way it was."""
    site = new_site(World(books_customers=customers(3, NOW - 40 * DAY) + customers(2, NOW - 5 * DAY, 10)))
    system = site.system()
    assert {r.id for r in read(system, since=NOW - 10 * DAY, until=NOW)} == {"10", "11"}
    assert {r.id for r in read(system, since=NOW - 60 * DAY, until=NOW)} == {"1", "2", "3", "10", "11"}
    calls = site.stats()["calls"]
    assert (calls["cdc"], calls["query"]) == (1, 1)


@pytest.mark.feature("S2")
def test_more_changes_than_the_feed_holds_all_come(new_site: NewSite) -> None:
    """1,200 recent changes fall back to queries and none is lost."""
    site = new_site(World(books_customers=customers(1200, NOW - 5 * DAY)))
    assert len(read(site.system(), since=NOW - 6 * DAY, until=NOW)) == 1200


def _world_with_invoices(number: int = 3) -> World:
    when = NOW - 3 * DAY
    line = BooksInvoiceLine("1", Decimal(3), Decimal("33.10"), Decimal("99.30"), "Zeile\nzwei")
    return World(
        books_customers=customers(1, when),
        books_items=(BooksItem("1", "Hours", price=Decimal("33.10"), modified=when),),
        books_invoices=tuple(
            BooksInvoice(str(n), f"10{n}", "1", when.date(), when.date(), "USD", Decimal(1), (line,), modified=when)
            for n in range(1, number + 1)
        ),
        books_payments=(
            BooksPayment("50", "1", when.date(), "CHK-1", Decimal(50), {"1": Decimal(50)}, modified=when),
            BooksPayment(
                "51", "1", when.date(), "CHK-2", Decimal(100), {"1": Decimal(10), "2": Decimal(60)}, modified=when
            ),
        ),
    )


@pytest.mark.feature("S2", "B6")
def test_a_deleted_invoice_and_an_inactive_customer_are_told(new_site: NewSite) -> None:
    """A deletion comes from the feed as deleted; an inactive customer comes with its name as it was."""
    site = new_site(_world_with_invoices())
    system = site.system()
    client = system.client
    Invoice.get(3, qb=client).delete(qb=client)
    client.post(
        f"{client.api_url}/company/{client.company_id}/customer",
        b'{"Id":"1","SyncToken":"0","sparse":true,"Active":false}',
    )
    invoices = {r.id: r for r in read(system, view("Invoice"), NOW - DAY)}
    assert invoices["3"].deleted
    assert invoices["3"].values == {}
    gone = {r.id: r for r in read(system, since=NOW - DAY)}["1"]
    assert (gone.values["name"], gone.values["active"], gone.active, gone.deleted) == (
        "Customer 1",
        False,
        False,
        False,
    )
    assert [r.id for r in system.scan(CUSTOMER, None).__next__()] == ["1"]


@pytest.mark.feature("S2", "O6", "O14")
def test_invoices_and_payments_come_with_lines_and_exact_numbers(new_site: NewSite) -> None:
    """Totals, balances after payments, lines and what a payment applies to, digit by digit."""
    system = new_site(_world_with_invoices()).system()
    invoices = {r.id: r for r in read(system, view("Invoice"))}
    first = invoices["1"].values
    assert (first["total"], first["balance"], first["customer"]) == (Decimal("99.30"), Decimal("39.30"), "1")
    assert first["lines"] == (
        {
            "item": "1",
            "description": "Zeile\nzwei",
            "quantity": Decimal(3),
            "price": Decimal("33.10"),
            "amount": Decimal("99.30"),
        },
    )
    payments = {r.id: r.values for r in read(system, view("Payment"))}
    assert (payments["50"]["invoice"], payments["50"]["unapplied"]) == ("1", Decimal(0))
    assert (payments["51"]["invoice"], payments["51"]["unapplied"]) == (None, Decimal(30))
    assert payments["51"]["lines"] == (
        {"invoice": "1", "amount": Decimal(10)},
        {"invoice": "2", "amount": Decimal(60)},
    )
    assert payments["50"]["reference"] == "CHK-1"


@pytest.mark.feature("S2")
def test_records_are_fetched_by_id_and_found_by_name(new_site: NewSite) -> None:
    """Ids that do not exist are absent; a name finds by full name, an id by itself, an invoice by its number."""
    names = ("O'Neil \\ Söhne", "עברית 日本 👩‍🚀")
    world = _world_with_invoices()
    more = tuple(BooksCustomer(str(n), name, modified=NOW) for n, name in enumerate(names, 20))
    site = new_site(
        World(**{**{f: getattr(world, f) for f in World.__slots__}, "books_customers": world.books_customers + more})
    )
    system = site.system()
    assert set(system.fetch(CUSTOMER, ["1", "20", "999", "abc"])) == {"1", "20"}
    site.forget()
    for number, name in enumerate(names, 20):
        assert [r.id for r in system.find(CUSTOMER, name)] == [str(number)]
    assert [r.values["name"] for r in system.find(CUSTOMER, "21")] == [names[1]]
    assert [r.values["number"] for r in system.find(view("Invoice"), "102")] == ["102"]
    assert [r.id for r in system.find(view("Payment"), "CHK-2")] == ["51"]
    assert [r.id for r in system.find(view("Item"), "Hours")] == ["1"]
    assert system.find(CUSTOMER, "nobody") == []
    assert site.requests() == 7


@pytest.mark.feature("M24", "S2")
def test_lists_are_read_once_and_compared_without_case(site: Site) -> None:
    """Terms and accounts are found by their text in any case; each list is one request for the whole task."""
    system = site.system()
    terms = view("Customer", "terms").fields["terms"]
    account = view("Item", "income_account").fields["income_account"]
    for _ in range(3):
        assert set(system.lookup(terms, ["NET 30", "Net 15", "Net 99"])) == {"NET 30", "Net 15"}
        assert set(system.lookup(account, ["services", "Nothing"])) == {"services"}
    assert site.requests() == 2


@pytest.mark.feature("S2", "R15")
def test_real_throttling_is_waited_out(new_site: NewSite) -> None:
    """A client without a limiter runs into Intuit's 429 in XML, waits as told and loses nothing."""
    site = new_site(throttle=True)
    clock = FakeClock()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        site.running.sandbox.clock.advance(seconds)

    system = site.system(limiter=Limiter((), clock=clock.monotonic, sleep=sleep))
    for _ in range(25):
        system.check()
    assert site.stats()["calls"]["throttled"] >= 1
    assert clock.slept
    assert all(seconds == pytest.approx(60) for seconds in clock.slept)


@pytest.mark.feature("R15")
def test_throttling_without_end_is_given_up(site: Site) -> None:
    """When every call is answered 429 the waiting ends with Throttled."""
    site.fault("throttle", times=-1)
    clock = FakeClock()
    with pytest.raises(Throttled):
        site.system(limiter=Limiter((), clock=clock.monotonic, sleep=clock.sleep)).check()
    assert len(clock.slept) == 3


@pytest.mark.feature("S2", "R15")
@pytest.mark.parametrize("fault", ["html", "status_500", "status_503", "drop_before", "drop_after", "drop_middle"])
def test_a_read_that_fails_on_the_way_may_be_retried(site: Site, fault: str) -> None:
    """Pages, outages and broken connections are ConnectionFailure with a message that says which."""
    system = site.system()
    system.check()
    site.fault(fault, match="/cdc")
    with pytest.raises(ConnectionFailure) as caught:
        read(system, since=NOW - DAY)
    assert caught.value.message
    assert read(system, since=NOW - DAY) == []


def test_a_query_that_intuit_refuses_is_the_mappings_fault(site: Site) -> None:
    """An unknown property is FixConfiguration with Intuit's own words."""
    with pytest.raises((FixConfiguration, FixRecord), match="Colour") as caught:
        site.system().client.rows("Customer", "SELECT * FROM Customer WHERE Colour = 'red'")
    assert isinstance(caught.value, FixConfiguration)
