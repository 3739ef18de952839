"""Reading from a Creatio over a socket: what changed, how often it is asked, and what a page border may hide."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from iw_operators.engine.model import Record
from iw_operators.errors import FixConfiguration
from iw_operators.spec.catalogue import FieldDef, FieldType
from iw_operators.systems.base import View, Window
from iw_operators.systems.creatio.system import CreatioSystem
from sandbox.creatio.seed import list_id
from sandbox.seed import acme
from sandbox.seed.world import World
from tests.systems.creatio.conftest import MakeSite, Site
from tests.systems.creatio.helpers import Kept, view_of

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("S1")]

LONG_AGO = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
MOMENT = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
ALL = Window(None, None)
NAMES = ("name",)


def read(system: CreatioSystem, view: View, window: Window = ALL, size: int = 100) -> list[Record]:
    """Return all changes."""
    return [record for page in system.changes(view, window, size) for record in page]


def ids(records: list[Record]) -> list[str]:
    """Return the records' ids, each of which may come once only."""
    found = [record.id for record in records]
    assert len(found) == len(set(found))
    return found


def later(system: CreatioSystem) -> Window:
    """Return the window that begins now."""
    return Window(system.now() + dt.timedelta(seconds=1), None)


def test_acme_is_read_as_it_is(acme_site: Site) -> None:
    """Every account comes once, oldest change first, with its contact, its lookups and its own columns."""
    world = acme.build()
    system = acme_site.system()
    records = read(system, view_of("Account"), size=37)
    assert len(ids(records)) == len(world.accounts)
    stamps = [record.modified for record in records if record.modified]
    assert stamps == sorted(stamps)
    contacts = {contact.id: contact for contact in world.contacts}
    by_id = {record.id: record for record in records}
    for account in world.accounts:
        values = by_id[account.id].values
        person = contacts.get(account.primary_contact_id or "")
        assert values["name"] == account.name == by_id[account.id].label
        assert values["email"] == ((person.email or None) if person else None)
        assert values["family_name"] == ((person.surname or None) if person else None)
        assert values["billing.city"] == (account.address.city or None)
        assert values["billing.street"] == (account.address.street or None)
        assert values["currency"] == account.currency
        assert values["terms"] == (account.terms or None)


def test_lines_and_facts(acme_site: Site) -> None:
    """`complete` and `fetch` bring lines, and the stages by which accounts and products are known."""
    world = acme.build()
    system = acme_site.system()
    view = view_of("Opportunity", lines=True, facts=True)
    heads = read(system, view)
    assert not any(record.complete for record in heads)
    acme_site.forget()
    full = {record.id: record for record in system.complete(view, heads)}
    assert acme_site.requests() == 1
    assert list(full) == ids(heads)
    for deal in world.opportunities:
        record = full[deal.id]
        lines = record.values["lines"]
        assert isinstance(lines, tuple)
        assert {(line["item"], line["quantity"], line["price"], line["amount"]) for line in lines} == {
            (line.product_id, line.quantity, line.price, line.amount) for line in deal.lines
        }
        assert record.facts >= {"created", deal.stage}
        assert ("won" in record.facts) == (deal.stage == "Closed won")
        assert record.values["customer"] == deal.account_id
        assert record.values["due_date"] == deal.due_date
    assert dict(system.fetch(view, list(full))) == full
    accounts = system.fetch(view_of("Account", NAMES, facts=True), [account.id for account in world.accounts])
    for account in world.accounts:
        stages = {deal.stage for deal in world.opportunities if deal.account_id == account.id}
        won = {"won"} if "Closed won" in stages else set()
        assert accounts[account.id].facts == stages | won | ({"created"} if stages else set())
    products = system.fetch(view_of("Product", NAMES, facts=True), [product.id for product in world.products])
    sold = {line.product_id for deal in world.opportunities if deal.stage == "Closed won" for line in deal.lines}
    assert {key for key, record in products.items() if "won" in record.facts} == sold
    assert {key for key, record in products.items() if not record.active} == {
        product.id for product in world.products if product.archived
    }


@pytest.mark.parametrize("name", ["Account", "Product", "Opportunity", "UsrPaymentQB"])
def test_nothing_changed_costs_one_request(acme_site: Site, name: str) -> None:
    """A run in which nothing changed asks once for an object, its lines, neighbours and facts together."""
    system = acme_site.system()
    window = later(system)
    view = view_of(name, lines=True, facts=True)
    acme_site.forget()
    assert read(system, view, window) == []
    assert acme_site.requests() == 1


def test_first_sync_asks_for_pages_of_the_object_alone(acme_site: Site) -> None:
    """Without a lower bound everything comes anyway: one request a page and none for lines, contacts and facts."""
    system = acme_site.system()
    system.check()
    acme_site.forget()
    records = read(system, view_of("Opportunity", lines=True, facts=True), size=100)
    assert acme_site.requests() == len(records) // 100 + 1


Edit = Callable[[World], tuple[str, str, dict[str, Any]]]


def won(world: World) -> Any:
    """Return the first opportunity that is won and has lines."""
    return next(deal for deal in world.opportunities if deal.stage == "Closed won" and deal.lines)


def waiting(world: World) -> Any:
    """Return the first opportunity with an account and lines that is not closed yet."""
    return next(deal for deal in world.opportunities if not deal.stage.startswith("Closed") and deal.lines)


def contacted(world: World) -> Any:
    """Return the first account with a primary contact."""
    return next(account for account in world.accounts if account.primary_contact_id)


CLOSED: dict[str, Any] = {"StageId": list_id("OpportunityStage", "Closed won")}


@pytest.mark.parametrize(
    ("name", "edit", "expected"),
    [
        ("Account", lambda w: ("Account", w.accounts[3].id, {"Name": "New"}), lambda w: {w.accounts[3].id}),
        (
            "Account",
            lambda w: ("Contact", contacted(w).primary_contact_id, {"Email": "new@example.com"}),
            lambda w: {contacted(w).id},
        ),
        ("Account", lambda w: ("Opportunity", waiting(w).id, CLOSED), lambda w: {waiting(w).account_id}),
        (
            "Opportunity",
            lambda w: ("OpportunityProductInterest", won(w).lines[0].id, {"Quantity": 9}),
            lambda w: {won(w).id},
        ),
        (
            "Product",
            lambda w: ("Opportunity", waiting(w).id, CLOSED),
            lambda w: {line.product_id for line in waiting(w).lines},
        ),
        (
            "Product",
            lambda w: (
                "OpportunityProductInterest",
                "",
                {"OpportunityId": won(w).id, "ProductId": w.products[-1].id, "Quantity": 1},
            ),
            lambda w: {w.products[-1].id},
        ),
    ],
)
def test_a_change_next_door_brings_the_record(
    acme_site: Site, name: str, edit: Edit, expected: Callable[[World], set[str]]
) -> None:
    """A contact's e-mail, a line, a stage: each brings the record that shows it, at no extra request to look for it."""
    world = acme.build()
    system = acme_site.system()
    view = view_of(name, lines=True, facts=True)
    before = {record.id: record for record in read(system, view)}
    window = Window(system.now(), None)
    acme_site.edit(acme_site.client(), edit(world))
    acme_site.forget()
    found = read(system, view, window)
    assert set(ids(found)) == expected(world)
    assert acme_site.requests() <= 2
    if name == "Opportunity" or "Email" in str(edit(world)):
        assert found[0].version != before[found[0].id].version, "an equal version would count as unchanged"


def test_a_record_comes_once_for_several_reasons(acme_site: Site) -> None:
    """An opportunity that changed itself, in two lines and in its contact comes once."""
    world = acme.build()
    deal = next(deal for deal in world.opportunities if len(deal.lines) > 1 and deal.contact_id)
    system = acme_site.system()
    window = Window(system.now(), None)
    user = acme_site.client()
    acme_site.edit(
        user,
        *[("OpportunityProductInterest", line.id, {"Quantity": 3}) for line in deal.lines],
        ("Contact", deal.contact_id or "", {"Email": "x@example.com"}),
    )
    view = view_of("Opportunity", lines=True)
    assert deal.id in ids(read(system, view, window, size=1))
    acme_site.edit(user, ("Opportunity", deal.id, {"Title": "New"}))
    assert deal.id in ids(read(system, view, window, size=1))


def test_window_bounds(acme_site: Site) -> None:
    """`since` belongs to the window, `until` does not; the windows of a backfill together are everything, once."""
    system = acme_site.system()
    view = view_of("Account", NAMES)
    everything = read(system, view)
    stamps = sorted({record.modified for record in everything if record.modified})
    bounds = [stamps[0], stamps[len(stamps) // 3], stamps[len(stamps) // 2], stamps[-1] + dt.timedelta(seconds=1)]
    parts: list[Record] = []
    for since, until in itertools.pairwise(bounds):
        parts += read(system, view, Window(since, until), size=7)
    assert ids(parts) == ids(everything)


def test_rows_modified_between_pages(make_site: MakeSite) -> None:
    """Rows that users modify while pages are read are neither lost nor repeated, and come in the next window."""
    site = make_site(acme.plain(300, contacts=False))
    system = site.system()
    user = site.client()
    view = view_of("Account", NAMES)
    until = system.now() + dt.timedelta(seconds=1)
    site.running.sandbox.clock.set(until + dt.timedelta(seconds=5))
    everything = set(ids(read(system, view)))
    touched: set[str] = set()
    found: list[Record] = []
    for number, page in enumerate(system.changes(view, Window(None, until), 20)):
        found += page
        keys = [page[0].id, sorted(everything)[(number * 37) % 300]]
        touched.update(keys)
        site.edit(user, *[("Account", key, {"Notes": "touched"}) for key in keys])
    seen = ids(found)
    assert everything - touched <= set(seen)
    assert set(ids(read(system, view, Window(until, None)))) == touched


@pytest.mark.parametrize("size", [7, 100, 250])
def test_equal_stamps_across_page_borders(make_site: MakeSite, size: int) -> None:
    """Rows of one stamp that fill several pages come once each, also when some of them are modified meanwhile."""
    world = acme.plain(250, contacts=False)
    same = dataclasses.replace(world, accounts=tuple(dataclasses.replace(a, modified=MOMENT) for a in world.accounts))
    site = make_site(same)
    system = site.system()
    user = site.client()
    view = view_of("Account", NAMES)
    until = system.now()
    site.running.sandbox.clock.set(until + dt.timedelta(seconds=60))
    found: list[Record] = []
    touched: set[str] = set()
    for page in system.changes(view, Window(MOMENT, until), size):
        found += page
        if len(touched) < 20:
            touched.add(page[-1].id)
            site.edit(user, ("Account", page[-1].id, {"Notes": "touched"}))
    assert set(ids(found)) == {account.id for account in world.accounts}


def test_records_without_columns_filled(empty_site: Site) -> None:
    """Zero GUIDs, year 1 and empty texts are none; numbers are zero."""
    client = empty_site.client()
    empty_site.edit(client, ("Opportunity", "", {"Title": "Bare"}), ("Account", "", {"Name": "Bare"}))
    system = empty_site.system()
    (deal,) = read(system, view_of("Opportunity", lines=True, facts=True))
    values = dict(system.complete(view_of("Opportunity", lines=True, facts=True), [deal])[0].values)
    assert values.pop("title") == "Bare"
    assert values.pop("lines") == ()
    assert {values.pop(name) for name in ("exchange_rate", "total", "stated_total", "balance")} == {Decimal(0)}
    assert set(values.values()) == {None}
    (account,) = read(system, view_of("Account"))
    assert account.values["email"] is None
    assert not account.active


@pytest.mark.slow
def test_more_than_twenty_thousand_rows(make_site: MakeSite) -> None:
    """A set larger than Creatio gives in one answer is read whole, in the number of requests that its size needs."""
    site = make_site(acme.plain(20_500, contacts=False))
    system = site.system()
    system.check()
    site.forget()
    count = 0
    last: dt.datetime | None = None
    for page in system.scan(view_of("Account", NAMES), None):
        count += len(page)
        assert last is None or (page[0].modified or last) >= last
        last = page[-1].modified
    assert count == 20_500
    assert site.requests() == 21


def test_a_server_that_cuts_answers(make_site: MakeSite) -> None:
    """A Creatio that gives fewer rows than asked for, without a word, is read whole all the same."""
    site = make_site(acme.plain(60, contacts=False, won=True), max_rows=11)
    system = site.system()
    view = view_of("Opportunity", ("title",), lines=True)
    heads = read(system, view, size=20)
    assert len(ids(heads)) == 60
    assert all(record.values["lines"] for record in system.complete(view, heads))
    assert len(system.fetch(view, [record.id for record in heads])) == 60


def test_find(acme_site: Site) -> None:
    """One record is found by its exact name, its full name or its id, with quotation marks in it too."""
    world = acme.build()
    system = acme_site.system()
    quoted = next(account for account in world.accounts if "'" in account.name)
    assert [r.id for r in system.find(view_of("Account"), quoted.name)] == [
        account.id for account in world.accounts if account.name == quoted.name
    ][:5]
    view = view_of("Account", ("name", "full_name"), facts=True)
    (found,) = system.find(view, world.accounts[0].id)
    assert (found.id, found.complete) == (world.accounts[0].id, True)
    acme_site.edit(acme_site.client(), ("Account", world.accounts[1].id, {"UsrQBFullName": "Parent:Child"}))
    assert [record.id for record in system.find(view, "Parent:Child")] == [world.accounts[1].id]
    assert list(system.find(view, "x' or Name ne '")) == []


def test_lookup(acme_site: Site) -> None:
    """Texts of a list become ids, whatever their case; a list is read once."""
    system = acme_site.system()
    fields = view_of("Account").fields
    acme_site.forget()
    found = system.lookup(fields["currency"], ["usd", " EUR ", "XXX"])
    assert dict(found) == {"usd": list_id("Currency", "USD"), " EUR ": list_id("Currency", "EUR")}
    system.lookup(fields["currency"], ["Usd", "YYY"])
    assert acme_site.requests() <= 2
    assert system.lookup(fields["name"], ["x"]) == {}


def test_a_long_list_is_asked_by_name(empty_site: Site) -> None:
    """A list of more than a thousand entries is not read whole; its texts are asked for, many in one call."""
    client = empty_site.client()
    names = [f"City {number}" for number in range(1_100)]
    for start in range(0, len(names), 100):
        empty_site.edit(client, *[("City", "", {"Name": name}) for name in names[start : start + 100]])
    system = empty_site.system()
    city = view_of("Account").fields["billing.city"]
    empty_site.forget()
    assert len(system.lookup(city, [*names, "Atlantis"])) == 1_100
    assert system.lookup(city, ["Atlantis"]) == {}
    assert empty_site.requests() <= 4


def test_a_column_that_is_not_there(acme_site: Site) -> None:
    """A native name that Creatio does not have is a configuration error that names it."""
    view = view_of("Account", NAMES, more={"colour": FieldDef(native="UsrColour", type=FieldType.TEXT)})
    with pytest.raises(FixConfiguration, match="UsrColour") as caught:
        read(acme_site.system(), view)
    assert caught.value.code == "creatio.column"


def test_pages_go_on_after_the_session_ended(acme_site: Site) -> None:
    """A session that ends between two pages is renewed and no row is lost."""
    state = Kept()
    system = acme_site.system(state=state)
    pages: Iterator[Any] = iter(system.changes(view_of("Account", NAMES), ALL, 50))
    found = list(next(pages))
    acme_site.fault("expire_session")
    for page in pages:
        found += page
    assert len(ids(found)) == len(acme.build().accounts)
    assert state.writes == 2
