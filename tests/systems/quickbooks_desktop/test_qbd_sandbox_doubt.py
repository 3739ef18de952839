"""Calls of which nobody knows whether they arrived, and a QuickBooks that refuses: over a real ODBC stack."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

import pytest

from iw_operators.apply import settled
from iw_operators.engine.model import Line, Value
from iw_operators.errors import ConnectionFailure, FixConfiguration, FixRecord, InterWeaveError, RetryLater, StaleRecord
from iw_operators.systems.base import Op, Outcome, Result, Window, Write
from iw_operators.systems.quickbooks_desktop.dialect import Statement
from iw_operators.systems.quickbooks_desktop.writing import BATCH
from tests.systems.quickbooks_desktop.conftest import NewSite, Site
from tests.systems.quickbooks_desktop.fakes import batch, create, view

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("B2")]

DAY = dt.date(2026, 3, 31)


def results(outcomes: Sequence[Outcome]) -> list[Result]:
    """Return how writes ended."""
    return [outcome.result for outcome in outcomes]


def hour_item() -> Write:
    """A create of the item that is sold and bought here."""
    values = {"name": "Hour", "kind": "Service", "income_account": "Services"}
    return create("Item", "item", values, *values)


@pytest.fixture
def sale(site: Site) -> Write:
    """A create of an invoice of three lines, with what it refers to in place."""
    system = site.system()
    customer = create("Customer", "customer", {"name": "Buyer"}, "name")
    buyer, hour = (outcome.target_id for outcome in system.write(batch(customer, hour_item())))
    lines: tuple[Line, ...] = tuple(
        {"item": hour, "quantity": Decimal(n), "price": Decimal(90), "amount": Decimal(90 * n)} for n in (1, 2, 3)
    )
    values: dict[str, Value] = {"customer": buyer, "date": DAY, "lines": lines}
    return create("Invoice", "sale", values, "number", "customer", "date")


def count(site: Site, table: str = "Invoice") -> int:
    """Return how many rows a table has."""
    return int(site.ask(f"SELECT COUNT(*) FROM {table}")[0][0])


@pytest.mark.parametrize(
    ("kind", "match", "after"),
    [
        ("drop_in_group", "", 0),
        ("drop_in_group", "", 1),
        ("drop_before", "INSERT InvoiceLine", 0),
        ("drop_after_commit", "INSERT InvoiceLine", 0),
        ("drop_before", "sp_lastinsertid", 0),
        ("drop_before", "SP_LASTINSERTID", 0),
    ],
)
def test_a_group_that_is_lost_makes_one_invoice(site: Site, sale: Write, kind: str, match: str, after: int) -> None:
    """Wherever within the group the connection ends: looked up, sent again if it has to be, there is one invoice."""
    site.fault(kind, match=match, after=after)
    told = site.system().write(batch(sale))
    assert set(results(told)) <= {Result.UNKNOWN, Result.APPLIED}
    site.running.sandbox.faults.clear()
    there = count(site)
    (looked,) = site.system().resolve(batch(sale))
    assert looked.result is (Result.APPLIED if there else Result.REJECTED)
    assert results(settled(site.system(), batch(sale))) == [Result.APPLIED]
    assert count(site) == 1
    assert count(site, "InvoiceLine") == 3
    assert results(site.system().write(batch(sale))) == [Result.APPLIED]
    assert count(site) == 1


def test_lines_of_a_group_that_was_refused_get_into_no_other(site: Site, sale: Write) -> None:
    """A group whose last line is refused leaves nothing behind; the next invoice has its own lines only."""
    lines = sale.values["lines"]
    assert isinstance(lines, tuple)
    wrong = {**lines[2], "item": "80000099-1"}
    bad = create("Invoice", "bad", {**sale.values, "lines": (*lines[:2], wrong)}, "number", "customer", "date")
    outcomes = site.system().write(batch(bad, sale))
    assert results(outcomes) == [Result.REJECTED, Result.APPLIED]
    assert isinstance(outcomes[0].error, FixRecord)
    assert outcomes[0].error.code == "3140"
    assert (count(site), count(site, "InvoiceLine")) == (1, 3)


@pytest.mark.parametrize("changed", [{"Memo": "theirs"}, {"TxnDate": dt.date(2026, 4, 1)}, {"RefNumber": "X-1"}])
def test_an_invoice_that_somebody_changed_before_we_looked(site: Site, sale: Write, changed: dict[str, object]) -> None:
    """It is found by its mark, whatever became of date, number and memo, and is not made again."""
    site.fault("drop_after_commit", match="INSERT InvoiceLine", after=2)
    site.system().write(batch(sale))
    site.running.sandbox.faults.clear()
    (ident,) = (row[0] for row in site.ask("SELECT TxnID FROM Invoice"))
    ((column, value),) = changed.items()
    site.ask(f"UPDATE Invoice SET {column} = ? WHERE TxnID = ?", value, ident)
    (done,) = settled(site.system(), batch(sale))
    assert (done.result, done.target_id) == (Result.APPLIED, ident)
    assert count(site) == 1


@pytest.mark.feature("O11")
def test_a_number_of_the_mapping_is_the_key(site: Site) -> None:
    """A bill is known again by its number and vendor; another bill with them is for a person to look at."""
    system = site.system()
    (vendor,) = system.write(batch(create("Vendor", "v", {"name": "Seller"}, "name")))
    lines: tuple[Line, ...] = ({"account": "Utilities", "amount": Decimal("10.00")},)
    values: dict[str, Value] = {"number": "B-1", "vendor": vendor.target_id, "date": DAY, "lines": lines}
    bill = create("Bill", "bill", values, "number", "vendor", "date")
    first = system.write(batch(bill))
    assert results(site.system().write(batch(bill))) == [Result.APPLIED]
    other = create("Bill", "other", {**values, "date": dt.date(2026, 5, 1)}, "number", "vendor", "date")
    (outcome,) = site.system().write(batch(other))
    assert (outcome.result, outcome.error.code if outcome.error else "") == (Result.REJECTED, "odbc.number_taken")
    assert str(first[0].target_id) in str(outcome.error)
    assert count(site, "Bill") == 1


@pytest.mark.parametrize(
    ("kind", "code"), [("no_permission", "8004041A"), ("licence", "80040427"), ("wrong_version", "80040423")]
)
def test_a_quickbooks_that_lets_nobody_in_rejects_no_record(site: Site, kind: str, code: str) -> None:
    """It stops the batch: what was not sent is not held against its record, and goes when somebody has put it right."""
    some = batch(*(create("Vendor", str(n), {"name": f"Seller {n}"}, "name") for n in range(3)))
    site.fault(kind, match="INSERT Vendor", times=-1)
    with pytest.raises(FixConfiguration) as caught:
        site.system().write(some)
    assert caught.value.code == code
    site.running.sandbox.faults.clear()
    site.fault(kind, match="INSERT Vendor", after=1)
    assert results(site.system().write(some)) == [Result.APPLIED, Result.UNKNOWN, Result.UNKNOWN]
    site.running.sandbox.faults.clear()
    assert results(settled(site.system(), some)) == [Result.APPLIED] * 3
    made = [name for (name,) in site.ask("SELECT Name FROM Vendor WHERE Name LIKE 'Seller%'")]
    assert sorted(made) == [f"Seller {n}" for n in range(3)]


@pytest.mark.feature("O11")
def test_a_bill_in_doubt_is_known_again_whatever_the_order_of_its_lines(site: Site) -> None:
    """QuickBooks keeps items before expenses: a bill that names an expense first is found as the one that was sent."""
    system = site.system()
    vendor = create("Vendor", "v", {"name": "Seller"}, "name")
    seller, hour = (outcome.target_id for outcome in system.write(batch(vendor, hour_item())))
    lines: tuple[Line, ...] = (
        {"account": "Utilities", "amount": Decimal("10.00")},
        {"item": hour, "quantity": Decimal(2), "price": Decimal(45), "amount": Decimal("90.00")},
    )
    values: dict[str, Value] = {"number": "B-1", "vendor": seller, "date": DAY, "lines": lines}
    bill = create("Bill", "bill", values, "number", "vendor", "date")
    site.fault("drop_after_commit", match="INSERT Bill")
    assert results(site.system().write(batch(bill))) == [Result.UNKNOWN]
    site.running.sandbox.faults.clear()
    assert results(site.system().resolve(batch(bill))) == [Result.APPLIED]
    assert results(site.system().write(batch(bill))) == [Result.APPLIED]
    assert count(site, "Bill") == 1


def test_a_batch_of_sales_is_looked_for_by_one_statement(site: Site, sale: Write) -> None:
    """Whether a whole batch is there already is one question, of the customers and dates that are in it."""
    more = [create("Invoice", f"sale {n}", dict(sale.values), "number", "customer", "date") for n in range(9)]
    before = dict(site.running.sandbox.backend.statements)
    assert results(site.system().write(batch(sale, *more))) == [Result.APPLIED] * 10
    after = site.running.sandbox.backend.statements
    asked = after["SELECT Invoice"] - before.get("SELECT Invoice", 0)
    assert asked == 2, "before, and reading back"
    assert results(site.system().write(batch(sale, *more))) == [Result.APPLIED] * 10
    assert count(site) == 10


def test_lines_are_not_put_over_somebody_elses(site: Site, sale: Write) -> None:
    """An update of lines alone asks for the version that was read, too."""
    system = site.system()
    (made,) = system.write(batch(sale))
    lines = sale.values["lines"]
    assert isinstance(lines, tuple)
    less = Write("less", Op.UPDATE, sale.view, {"lines": lines[:1]}, made.target_id, made.version)
    true = system.client.run

    def run(statement: Statement) -> int:
        site.ask("UPDATE Invoice SET Memo = ? WHERE TxnID = ?", "theirs", made.target_id)
        system.client.run = true  # type: ignore[method-assign]  # once
        return true(statement)

    system.client.run = run  # type: ignore[method-assign]  # somebody is quicker than we are
    (outcome,) = system.write(batch(less))
    assert outcome.result is Result.STALE
    assert count(site, "InvoiceLine") == 3


def test_the_reference_of_a_payment_is_no_number(site: Site) -> None:
    """Two payments called Cash are two; the same one sent again is one."""
    system = site.system()
    (buyer,) = system.write(batch(create("Customer", "c", {"name": "Buyer"}, "name")))
    head: dict[str, Value] = {"customer": buyer.target_id, "date": DAY, "reference": "Cash"}
    fields = ("number", "customer", "date", "reference", "total")
    first, second = (
        create("ReceivePayment", key, {**head, "total": Decimal(key)}, *fields) for key in ("10.00", "20.00")
    )
    assert results(system.write(batch(first))) == [Result.APPLIED]
    assert results(system.write(batch(second, first))) == [Result.APPLIED] * 2
    assert count(site, "ReceivePayment") == 2


@pytest.mark.feature("R8")
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("modal_dialog", "80040414"),
        ("single_user", "8004040A"),
        ("company_closed", "80040416"),
        ("licence", "80040427"),
        ("no_permission", "8004041A"),
    ],
)
def test_what_keeps_quickbooks_from_answering_is_told_apart(site: Site, fault: str, code: str) -> None:
    """A pop-up and its like refuse everything with their own code and advice; nothing was done, and it passes."""
    write = batch(create("Customer", "c", {"name": "After"}, "name"))
    site.fault(fault, times=-1)
    errors: list[InterWeaveError] = []
    for call in (lambda: site.system().check(), lambda: site.system().write(write)):
        try:
            answer = call()
        except InterWeaveError as error:
            errors.append(error)
        else:
            assert not isinstance(answer, str)
            assert results(answer) == [Result.REJECTED]
            errors.append(answer[0].error or FixRecord(""))
    assert [error.code for error in errors] == [code, code]
    assert all(error.advice for error in errors)
    assert not any(isinstance(error, ConnectionFailure) and error.sent for error in errors)
    site.running.sandbox.faults.clear()
    assert count(site, "Customer") == 0
    assert results(site.system().write(write)) == [Result.APPLIED]


def test_an_outdated_edit_sequence_is_stale(site: Site) -> None:
    """QuickBooks' own refusal (3200) and a version that has moved on are the same: planned again, not overwritten."""
    system = site.system()
    customer = view("Customer", "name", "phone")
    (made,) = system.write(batch(create("Customer", "c", {"name": "Stale"}, "name", "phone")))
    change = Write("u", Op.UPDATE, customer, {"phone": "1"}, made.target_id, made.version)
    site.fault("stale", match="UPDATE Customer")
    (outcome,) = system.write(batch(change))
    assert outcome.result is Result.STALE
    assert isinstance(outcome.error, StaleRecord)
    assert results(system.write(batch(change))) == [Result.APPLIED]
    assert results(system.write(batch(change))) == [Result.STALE]


def test_a_list_that_somebody_has_open(site: Site) -> None:
    """A locked list passes: nothing was done, and it is tried again; what was done before it stays done."""
    writes = [create("Customer", f"c{n}", {"name": f"C {n}"}, "name") for n in range(3)]
    site.fault("locked_list", match="WRITE Customer", after=1, times=1)
    outcomes = site.system().write(batch(*writes))
    assert results(outcomes) == [Result.APPLIED, Result.UNKNOWN, Result.UNKNOWN]
    assert results(settled(site.system(), batch(*writes))) == [Result.APPLIED] * 3
    assert count(site, "Customer") == 3
    site.fault("locked_list", match="WRITE Customer")
    with pytest.raises(RetryLater):
        site.system().write(batch(create("Customer", "c9", {"name": "C 9"}, "name")))


def test_without_the_field_account_id_the_name_is_the_key(new_site: NewSite) -> None:
    """A company file that has no such custom field works; a create that got lost is known again by its name."""
    site = new_site(custom_fields={})
    write = batch(create("Customer", "c", {"name": "Plain", "phone": "1"}, "name", "phone"))
    site.fault("drop_after_commit", match="INSERT Customer")
    assert results(site.system().write(write)) == [Result.UNKNOWN]
    assert results(site.system().resolve(write)) == [Result.APPLIED]
    assert results(site.system().write(write)) == [Result.APPLIED]
    assert count(site, "Customer") == 1


def test_account_id_of_the_mapping_is_kept(site: Site) -> None:
    """What the mapping puts into AccountID stands there; our own mark is for records where it puts nothing."""
    system = site.system()
    ours = create("Customer", "a", {"name": "A", "code": "C-0001"}, "name", "code")
    none = create("Customer", "b", {"name": "B"}, "name")
    assert results(system.write(batch(ours, none))) == [Result.APPLIED] * 2
    held = dict(tuple(row) for row in site.ask("SELECT Name, CustomFieldAccountID FROM Customer"))
    assert held["A"] == "C-0001"
    assert held["B"].startswith("IW")


def test_a_statement_that_takes_too_long_is_cancelled(site: Site) -> None:
    """Reading gives up after the time allowed, soon; the next one works."""
    site.fault("slow", match="SELECT Customer", seconds=3.0)
    system = site.system(seconds=0.4)
    with pytest.raises(ConnectionFailure) as caught:
        list(system.changes(view("Customer", "name"), Window(None, None), 10))
    assert caught.value.code == "odbc.timeout"
    site.running.sandbox.faults.clear()
    assert list(site.system().changes(view("Customer", "name"), Window(None, None), 10)) == []


def test_a_batch_is_of_the_size_that_it_says(site: Site) -> None:
    """A batch that is too large is a mistake of ours."""
    writes = [create("Customer", f"c{n}", {"name": f"C {n}"}, "name") for n in range(BATCH + 1)]
    with pytest.raises(ValueError, match="at most"):
        site.system().write(batch(*writes))


@pytest.mark.feature("S3")
def test_nothing_of_a_customer_is_in_the_log(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Names and telephone numbers that are written, refused and read stand in no line of a log."""
    secret = "Zebulon Quartermain"
    system = site.system()
    system.write(batch(create("Customer", "c", {"name": secret, "phone": "555-0199"}, "name", "phone")))
    system.write(batch(create("Customer", "d", {"name": secret, "phone": "555-0199"}, "name", "phone")))
    list(system.changes(view("Customer", "name"), Window(None, None), 10))
    system.find(view("Customer", "name"), secret)
    shown = capsys.readouterr()
    assert "Zebulon" not in shown.out + shown.err
    assert "555-0199" not in shown.out + shown.err
