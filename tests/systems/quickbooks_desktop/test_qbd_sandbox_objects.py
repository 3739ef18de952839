"""Every object of the catalogue over a real ODBC stack: made, read back, changed, and known again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest

from iw_operators.engine.model import Line, Record, Value
from iw_operators.errors import FixRecord
from iw_operators.systems.base import Op, Result, Window, Write
from iw_operators.systems.quickbooks_desktop.system import QuickBooksDesktop
from tests.conformance.kit import catalogue
from tests.systems.quickbooks_desktop.conftest import NewSite, Site
from tests.systems.quickbooks_desktop.fakes import batch, create, view

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("S3")]

DAY = dt.date(2026, 3, 31)


def made(system: QuickBooksDesktop, name: str, values: Mapping[str, Value], key: str = "") -> Record:
    """Create a record and read it back in all its fields."""
    (outcome,) = system.write(batch(create(name, key or f"{name} {values!r}", values, *_fields(name, values))))
    assert outcome.result is Result.APPLIED, outcome.error
    (record,) = system.fetch(view(name, *_fields(name, values)), [outcome.target_id or ""]).values()
    return record


def _fields(name: str, values: Mapping[str, Value]) -> list[str]:
    return list(
        dict.fromkeys([catalogue("quickbooks_desktop").objects[name].name, *(v for v in values if v != "lines")])
    )


@pytest.fixture
def people(site: Site) -> dict[str, str]:
    """Ids of a customer, a vendor and two items."""
    system = site.system()
    return {
        "customer": made(system, "Customer", {"name": "Buyer"}).id,
        "vendor": made(system, "Vendor", {"name": "Seller"}).id,
        "hour": made(
            system, "Item", {"name": "Hour", "kind": "Service", "income_account": "Services", "price": Decimal("90")}
        ).id,
        "bolt": made(
            system,
            "Item",
            {
                "name": "Bolt",
                "kind": "NonInventory",
                "income_account": "Sales",
                "cost": Decimal("0.10"),
                "expense_account": "Cost of Goods Sold",
            },
        ).id,
    }


def line(item: str, quantity: str, price: str) -> Line:
    """Return a line of so many of an item."""
    number, one = Decimal(quantity), Decimal(price)
    return {"item": item, "quantity": number, "price": one, "amount": number * one}


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("Service", {"price": Decimal("1.5")}),
        ("Service", {"price": Decimal("1.5"), "cost": Decimal("0.75"), "expense_account": "Cost of Goods Sold"}),
        ("NonInventory", {"price": Decimal("2"), "part_number": "P-1"}),
        ("OtherCharge", {"price": Decimal("3")}),
        (
            "Inventory",
            {"cost": Decimal("4"), "expense_account": "Cost of Goods Sold", "asset_account": "Inventory Asset"},
        ),
        ("Discount", {}),
    ],
)
def test_items_of_every_kind(site: Site, kind: str, more: dict[str, Value]) -> None:
    """Each kind goes into a table of its own, and reads, changes and is found as an item."""
    system = site.system()
    values = {"name": f"A {kind}", "kind": kind, "income_account": "Sales", "description": "d", "code": "C1", **more}
    record = made(system, "Item", values)
    assert {name: record.values[name] for name in values} == values
    change: dict[str, Value] = {"description": "changed", **({"price": Decimal("9.99")} if "price" in more else {})}
    write = Write("change", Op.UPDATE, view("Item", "name", "description", "price"), change, record.id, record.version)
    (outcome,) = system.write(batch(write))
    assert outcome.result is Result.APPLIED, outcome.error
    assert {name: outcome.values[name] for name in change} == change
    assert [found.id for found in system.find(view("Item", "name"), f"A {kind}")] == [record.id]
    assert list(system.existing(view("Item"), [record.id, "1-1"])) == [record.id]


def test_an_item_of_no_known_kind_is_refused_by_field(site: Site) -> None:
    """A kind that QuickBooks does not have is the record's fault and names those that there are."""
    (outcome,) = site.system().write(batch(create("Item", "k", {"name": "x", "kind": "Magic"}, "name", "kind")))
    assert outcome.result is Result.REJECTED
    assert isinstance(outcome.error, FixRecord)
    assert outcome.error.field == "kind"
    assert "NonInventory" in str(outcome.error)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (
            "Vendor",
            {
                "name": "V",
                "company_name": "V Inc.",
                "phone": "1",
                "terms": "Net 30",
                "billing.street": "a\nb",
                "code": "S-1",
            },
        ),
        ("Employee", {"given_name": "Ada", "family_name": "King", "phone": "2", "hired": DAY}),
        ("Account", {"name": "Travel", "kind": "Expense", "number": "6999", "description": "d"}),
        ("StandardTerms", {"name": "Net 45", "days": 45}),
        ("Class", {"name": "North"}),
        ("ShipMethod", {"name": "Bicycle"}),
        ("SalesRep", {"name": "XY", "full_name": "Ann Lee"}),
        ("Currency", {"name": "Yen", "code": "JPY"}),
    ],
)
def test_lists(site: Site, name: str, values: dict[str, Value]) -> None:
    """Each list keeps what is sent; made inactive it is told of as inactive."""
    system = site.system()
    record = made(system, name, values)
    assert {each: record.values[each] for each in values} == values
    asked = view(name, *_fields(name, values))
    assert record.id in {r.id for page in system.scan(asked, None) for r in page}
    assert (asked.definition.active is None) or record.active


def test_a_job_is_a_customer_below_another_one(site: Site) -> None:
    """Jobs have their customer, status and dates, and no customer without a parent is one."""
    system = site.system()
    parent = made(system, "Customer", {"name": "Parent"})
    values: dict[str, Value] = {"name": "Roof", "customer": parent.id, "status": "InProgress", "start_date": DAY}
    job = made(system, "Job", values)
    assert {name: job.values[name] for name in values} == values
    whole = view("Job", "name", "full_name")
    assert [r.values["full_name"] for page in system.changes(whole, Window(None, None), 9) for r in page] == [
        "Parent:Roof"
    ]
    assert [r.id for r in system.find(view("Customer", "name"), "Parent:Roof")] == [job.id]


@pytest.mark.parametrize("name", ["Invoice", "SalesOrder", "SalesReceipt", "Estimate", "CreditMemo"])
def test_sales(site: Site, people: dict[str, str], name: str) -> None:
    """A sale of several lines, two of them alike, comes back with its lines in order and its total."""
    system = site.system()
    lines = (
        line(people["hour"], "1.5", "90"),
        line(people["bolt"], "100", "0.35"),
        line(people["bolt"], "100", "0.35"),
    )
    values: dict[str, Value] = {"customer": people["customer"], "date": DAY, "memo": "m", "lines": lines}
    record = made(system, name, values)
    held = record.values["lines"]
    assert isinstance(held, tuple)
    assert [{k: each[k] for k in ("item", "quantity", "price", "amount")} for each in held] == list(lines)
    asked = view(name, "customer", "date", "total", "memo")
    (told,) = [r for page in system.changes(asked, Window(None, None), 50) for r in page]
    (told,) = system.complete(asked, [told])
    assert (told.id, told.values["total"], told.values["lines"]) == (record.id, Decimal("205.00"), held)
    shorter = Write("less", Op.UPDATE, asked, {"memo": "n", "lines": held[:1]}, record.id, record.version)
    (outcome,) = system.write(batch(shorter))
    assert outcome.result is Result.APPLIED, outcome.error
    assert outcome.values["lines"] == held[:1]
    assert outcome.values["total"] == Decimal("135.00")


@pytest.mark.parametrize("name", ["PurchaseOrder", "Bill", "VendorCredit", "Check", "Deposit", "JournalEntry"])
def test_purchases_and_money(site: Site, people: dict[str, str], name: str) -> None:
    """Lines of items and of expenses go into their own tables within one group, and come back together."""
    system = site.system()
    item = line(people["bolt"], "10", "0.10")
    expense: Line = {"account": "Office Supplies", "amount": Decimal("48.20"), "description": "paper"}
    head: dict[str, Value] = {"date": DAY}
    lines: tuple[Line, ...] = (item, expense)
    if name in ("PurchaseOrder", "Bill", "VendorCredit"):
        head["vendor"] = people["vendor"]
    if name == "Bill":
        head |= {"number": "B-7001-2026-031", "terms": "Net 30"}
    if name == "Check":
        head |= {"vendor": people["vendor"], "account": "Checking", "number": "1042"}
    if name == "PurchaseOrder":
        lines = (item, line(people["hour"], "1", "5"))
    if name == "Deposit":
        head["account"] = "Checking"
        lines = ({"account": "Sales", "amount": Decimal("12.50"), "description": "cash"},)
    if name == "JournalEntry":
        lines = (
            {"account": "Utilities", "debit": Decimal("30.00"), "description": "d"},
            {"account": "Checking", "credit": Decimal("30.00")},
        )
    record = made(system, name, {**head, "lines": lines})
    held = record.values["lines"]
    assert isinstance(held, tuple)
    assert [{k: each[k] for k in sent} for sent, each in zip(lines, held, strict=True)] == list(lines)
    assert {each: record.values[each] for each in head} == head
    gone = Write("gone", Op.DELETE, view(name), {}, record.id, record.version)
    edge = system.now()
    assert [outcome.result for outcome in system.write(batch(gone))] == [Result.APPLIED]
    told = [r for page in system.changes(view(name, "date"), Window(edge, None), 9) for r in page]
    assert [(r.id, r.deleted) for r in told] == [(record.id, True)]


def test_payments(site: Site, people: dict[str, str]) -> None:
    """A payment applies to what it says and to nothing by itself; what is left is unapplied; balances follow."""
    system = site.system()
    sale = made(
        system, "Invoice", {"customer": people["customer"], "date": DAY, "lines": (line(people["hour"], "1", "90"),)}
    )
    values: dict[str, Value] = {
        "customer": people["customer"],
        "date": DAY,
        "reference": "Check 77",
        "total": Decimal("100.00"),
        "lines": ({"invoice": sale.id, "amount": Decimal("60.00")},),
    }
    paid = made(system, "ReceivePayment", values)
    asked = view("ReceivePayment", "number", "invoice", "total", "unapplied")
    (told,) = system.complete(asked, [r for page in system.changes(asked, Window(None, None), 9) for r in page])
    assert (told.id, told.values["invoice"], told.values["unapplied"]) == (paid.id, sale.id, Decimal("40.00"))
    assert [r.id for r in system.find(asked, str(told.values["number"]))] == [paid.id]
    (held,) = system.fetch(view("Invoice", "balance", lines=False), [sale.id]).values()
    assert held.values["balance"] == Decimal("30.00")
    alone = made(system, "ReceivePayment", {"customer": people["customer"], "date": DAY, "total": Decimal("5.00")})
    assert alone.values.get("lines") == ()


def test_the_balance_after_a_payment_was_deleted(site: Site, people: dict[str, str]) -> None:
    """The invoice that it was applied to has changed; so its customer is told with what is due again."""
    system, buyer = site.system(), people["customer"]
    lines = (line(people["hour"], "1", "90"),)
    sale = made(system, "Invoice", {"customer": buyer, "date": DAY, "lines": lines})
    applied: tuple[Line, ...] = ({"invoice": sale.id, "amount": Decimal("90.00")},)
    paid = made(system, "ReceivePayment", {"customer": buyer, "date": DAY, "total": Decimal("90.00"), "lines": applied})
    file = site.running.sandbox.file
    file.options = replace(file.options, clock_shift=10)
    edge = system.now() - dt.timedelta(seconds=5)
    site.ask("DELETE FROM ReceivePayment WHERE TxnID = ?", paid.id)
    told = [r for page in system.changes(view("Customer", "name", "balance"), Window(edge, None), 9) for r in page]
    assert [(r.id, r.values["balance"]) for r in told] == [(buyer, Decimal("90.00"))]


def test_time_entries(site: Site, people: dict[str, str]) -> None:
    """Hours of an employee for a customer are a record without lines."""
    system = site.system()
    employee = made(system, "Employee", {"given_name": "Grace", "family_name": "Hopper"})
    values: dict[str, Value] = {
        "employee": employee.id,
        "customer": people["customer"],
        "date": DAY,
        "duration": "PT1H30M",
    }
    record = made(system, "TimeTracking", values)
    assert record.values["customer"] == people["customer"]


@pytest.mark.feature("S7")
@pytest.mark.parametrize(
    ("country", "region", "code", "tax"),
    [
        ("US", "BillAddressState", "SalesTaxCodeRefFullName", "SalesTaxTotal"),
        ("CA", "BillAddressProvince", "TaxCodeRefFullName", "Tax1Total"),
        ("UK", "BillAddressCounty", "TaxCodeRefFullName", "Tax1Total"),
    ],
)
def test_address_and_tax_of_each_country(new_site: NewSite, country: str, region: str, code: str, tax: str) -> None:
    """Regions, tax codes and taxes stand in the columns of the file's country, under the same neutral words."""
    site = new_site(country=country)
    system = site.system()
    known = system.lookup(
        catalogue("quickbooks_desktop").objects["Customer"].fields["tax_code"], ["Tax", "S", "G", "Non"]
    )
    taxed = next(iter(known))
    values: dict[str, Value] = {
        "name": "Taxed",
        "billing.street": "1 High St",
        "billing.city": "York",
        "billing.region": "XX",
        "tax_code": taxed,
    }
    customer = made(system, "Customer", values)
    assert {name: customer.values[name] for name in values} == values
    assert tuple(site.ask(f"SELECT {region}, {code} FROM Customer WHERE ListID = ?", customer.id)[0]) == ("XX", taxed)
    item = made(system, "Item", {"name": "Thing", "kind": "Service", "income_account": "Sales", "tax_code": taxed})
    assert item.values["tax_code"] == taxed
    lines = ({**line(item.id, "1", "100"), "tax_code": taxed},)
    sale = made(system, "Invoice", {"customer": customer.id, "date": dt.date(2026, 4, 3), "lines": lines})
    asked = view("Invoice", "date", "total", "tax", "subtotal")
    (held,) = system.fetch(asked, [sale.id]).values()
    assert held.values["date"] == dt.date(2026, 4, 3)
    assert held.values["subtotal"] == Decimal(100)
    (told,) = site.ask(f"SELECT {tax} FROM Invoice WHERE TxnID = ?", sale.id)
    assert held.values["tax"] == (told[0] or Decimal(0))
    assert held.values["total"] == Decimal(100) + (told[0] or Decimal(0))
    written = held.values["lines"]
    assert isinstance(written, tuple)
    assert written[0]["tax_code"] == taxed


@pytest.mark.parametrize(
    ("field", "table", "column"),
    [("terms", "DateDrivenTerms", "TermsRefFullName"), ("tax_item", "ItemSalesTaxGroup", "ItemSalesTaxRefFullName")],
)
def test_terms_and_tax_items_of_both_kinds_are_known(site: Site, field: str, table: str, column: str) -> None:
    """Terms by date and groups of taxes stand in tables of their own, and are written like the others of their list."""
    known = {"DateDrivenTerms": "Name, DayOfMonthDue", "ItemSalesTaxGroup": "Name, ItemDesc"}
    site.ask(f"INSERT INTO {table} ({known[table]}) VALUES ('The other kind', 20)")
    usual = {"terms": "Net 30", "tax_item": "San Jose"}[field]
    for name in ("The other kind", usual):
        customer = made(site.system(), "Customer", {"name": f"With {name}", field: name})
        assert customer.values[field] == name
        assert site.ask(f"SELECT {column} FROM Customer WHERE ListID = ?", customer.id)[0][0] == name
