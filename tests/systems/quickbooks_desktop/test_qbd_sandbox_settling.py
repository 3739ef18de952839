"""Creates in doubt that people have changed meanwhile, and creates that are alike: over a real ODBC stack."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from iw_operators.apply import settled
from iw_operators.engine.model import Line, Value
from iw_operators.errors import ConnectionFailure
from iw_operators.systems.base import Batch, Outcome, Result, Write
from iw_operators.systems.quickbooks_desktop.system import QuickBooksDesktop
from tests.systems.quickbooks_desktop.conftest import NewSite, Site
from tests.systems.quickbooks_desktop.fakes import batch, create

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("B2")]

DAY = dt.date(2026, 3, 31)
EXPENSE: tuple[Line, ...] = ({"account": "Utilities", "amount": Decimal("80.00")},)
PAID = ("number", "customer", "date", "reference", "total")


def results(outcomes: Sequence[Outcome]) -> list[Result]:
    """Return how writes ended."""
    return [outcome.result for outcome in outcomes]


def sent(*writes: Write, ago: dt.timedelta = dt.timedelta(seconds=1)) -> Batch:
    """Return a batch as it is asked about: one that was sent a moment ago."""
    return replace(batch(*writes), sent_at=dt.datetime.now(dt.UTC) - ago)


def count(site: Site, table: str) -> int:
    """Return how many rows a table has."""
    return int(site.ask(f"SELECT COUNT(*) FROM {table}")[0][0])


def one(system: QuickBooksDesktop, name: str, values: dict[str, Value]) -> str:
    """Make a record and return its id."""
    (outcome,) = system.write(batch(create(name, f"{name} {values}", values, *values)))
    assert outcome.result is Result.APPLIED, outcome.error
    return outcome.target_id or ""


def lost(site: Site, match: str, *writes: Write) -> None:
    """Send writes of which the last one's answer is lost."""
    site.fault("drop_after_commit", match=match, after=len(writes) - 1)
    assert results(site.system().write(batch(*writes)))[-1] is Result.UNKNOWN
    site.running.sandbox.faults.clear()


@pytest.fixture
def seller(site: Site) -> str:
    """A vendor's id."""
    return one(site.system(), "Vendor", {"name": "Seller"})


@pytest.fixture
def buyer(site: Site) -> str:
    """A customer's id."""
    return one(site.system(), "Customer", {"name": "Buyer"})


def bill(key: str, vendor: str, **more: Value) -> Write:
    """A create of a bill of one expense."""
    values: dict[str, Value] = {"vendor": vendor, "date": DAY, "lines": EXPENSE, **more}
    return create("Bill", key, values, "number", "vendor", "date")


@pytest.mark.parametrize("number", [None, "B-1"])
def test_a_bill_whose_number_the_clerk_has_corrected_is_not_made_again(
    site: Site, seller: str, number: str | None
) -> None:
    """Where our mark or the mapping's number stood is the vendor's number now: a person decides, and there is one."""
    write = bill("b", seller, number=number)
    lost(site, "INSERT BillExpenseLine", write)
    site.ask("UPDATE Bill SET RefNumber = 'INV-77' WHERE VendorRefListID = ?", seller)
    asked = sent(write, ago=dt.timedelta(days=3))
    (looked,) = site.system().resolve(asked)
    assert looked.result is Result.UNKNOWN
    assert isinstance(looked.error, ConnectionFailure)
    assert results(settled(site.system(), asked)) == [Result.UNKNOWN]
    assert count(site, "Bill") == 1


def test_what_nobody_can_have_made_of_a_create_does_not_keep_it_from_being_sent(site: Site, seller: str) -> None:
    """Bills of other vendors, bills with marks of ours, bills as they were made, and older ones are not this create."""
    system = site.system()
    other = one(system, "Vendor", {"name": "Other"})
    for ident, vendor in (("ours", seller), ("theirs", other)):
        made = system.write(batch(bill(ident, vendor)))[0].target_id
        site.ask("UPDATE Bill SET Memo = 'seen' WHERE TxnID = ?", made)
    site.ask("UPDATE Bill SET RefNumber = 'X' WHERE VendorRefListID = ?", other)
    columns = "VendorRefListID, RefNumber, ExpenseLineAccountRefFullName, ExpenseLineAmount, FQSaveToCache"
    site.ask(f"INSERT INTO BillExpenseLine ({columns}) VALUES (?, 'by hand', 'Utilities', 5, 0)", seller)
    write = bill("b", seller)
    assert results(site.system().resolve(sent(write))) == [Result.REJECTED]
    assert results(settled(site.system(), sent(write))) == [Result.APPLIED]
    assert count(site, "Bill") == 4


def test_only_what_was_made_since_is_looked_at(site: Site, seller: str) -> None:
    """A bill that somebody changed long after it was made is older than the create; clocks may differ by an hour."""
    assert results(site.system().write(batch(bill("a", seller, number="1")))) == [Result.APPLIED]
    site.ask("UPDATE Bill SET RefNumber = 'changed' WHERE VendorRefListID = ?", seller)
    later = replace(batch(bill("b", seller)), sent_at=dt.datetime.now(dt.UTC) + dt.timedelta(minutes=61))
    assert results(site.system().resolve(later)) == [Result.REJECTED]
    within = replace(later, sent_at=dt.datetime.now(dt.UTC) + dt.timedelta(minutes=59))
    assert results(site.system().resolve(within)) == [Result.UNKNOWN]


def test_a_customer_that_was_renamed_and_lost_its_mark_is_not_made_again(site: Site) -> None:
    """Of lists, whatever was made since and changed may be it."""
    write = create("Customer", "c", {"name": "Made"}, "name")
    lost(site, "INSERT Customer", write)
    site.ask("UPDATE Customer SET Name = 'Renamed', CustomFieldAccountID = 'C-1' WHERE Name = 'Made'")
    assert results(settled(site.system(), sent(write))) == [Result.UNKNOWN]
    assert count(site, "Customer") == 1


def test_another_number_and_another_amount_are_another_bill(site: Site, seller: str) -> None:
    """A bill of the vendor that was made and changed meanwhile keeps one from being sent only if it may be that one."""
    other: tuple[Line, ...] = ({"account": "Utilities", "amount": Decimal("81.00")},)
    assert results(site.system().write(batch(bill("a", seller, number="A-1", lines=other)))) == [Result.APPLIED]
    site.ask("UPDATE Bill SET Memo = 'seen' WHERE VendorRefListID = ?", seller)
    hour = one(site.system(), "Item", {"name": "Hour", "kind": "Service", "income_account": "Services"})
    unpriced: tuple[Line, ...] = ({"item": hour, "quantity": Decimal(1), "price": Decimal(5)},)
    for lines, result in ((EXPENSE, Result.REJECTED), (other, Result.UNKNOWN), (unpriced, Result.UNKNOWN)):
        asked = sent(bill("b", seller, number="B-1", lines=lines))
        assert results(site.system().resolve(asked)) == [result]


def test_another_code_and_another_name_are_another_customer(site: Site) -> None:
    """Customers that were made and changed meanwhile do not keep one from being sent; one of its name does."""
    first, second = (create("Customer", f"{n}", {"name": f"N{n}", "code": f"C-{n}"}, "name", "code") for n in (1, 2))
    assert results(site.system().write(batch(first))) == [Result.APPLIED]
    site.ask("UPDATE Customer SET Phone = '1' WHERE Name = 'N1'")
    assert results(settled(site.system(), sent(second))) == [Result.APPLIED]
    site.ask("UPDATE Customer SET CustomFieldAccountID = 'C-3' WHERE Name = 'N2'")
    assert results(site.system().resolve(sent(second))) == [Result.UNKNOWN]


def test_what_other_creates_of_the_batch_have_made_does_not_count(new_site: NewSite) -> None:
    """Each is known by its name: what became of the first one since says nothing of the second."""
    site = new_site(custom_fields={})
    writes = [create("Customer", name, {"name": name}, "name") for name in ("First", "Second")]
    lost(site, "INSERT Customer", writes[0])
    site.ask("UPDATE Customer SET Phone = '1' WHERE Name = 'First'")
    assert results(site.system().resolve(sent(*writes))) == [Result.APPLIED, Result.REJECTED]
    assert results(settled(site.system(), sent(*writes))) == [Result.APPLIED] * 2
    assert count(site, "Customer") == 2


def test_a_name_that_is_there_with_other_values_decides_nothing(site: Site, seller: str) -> None:
    """A bill with the number and vendor that were sent, and another amount, may be ours or somebody else's."""
    write = bill("b", seller, number="B-1")
    lost(site, "INSERT BillExpenseLine", write)
    site.ask("UPDATE BillExpenseLine SET ExpenseLineAmount = 81 WHERE VendorRefListID = ?", seller)
    for asked in (sent(write), batch(write)):
        assert results(site.system().resolve(asked)) == [Result.UNKNOWN]


@pytest.fixture
def hours(site: Site) -> tuple[Write, Write]:
    """Creates of two equal entries of somebody's time."""
    employee = one(site.system(), "Employee", {"given_name": "Grace", "family_name": "Hopper"})
    values: dict[str, Value] = {"employee": employee, "date": DAY, "duration": "PT1H"}
    first, second = (create("TimeTracking", key, values, *values) for key in ("morning", "evening"))
    return first, second


def test_time_entries_in_doubt_are_known_by_what_they_hold(site: Site, hours: tuple[Write, Write]) -> None:
    """They have neither mark nor name: an equal one made since is ours, and none made since means not there."""
    assert results(site.system().resolve(sent(*hours))) == [Result.REJECTED] * 2
    lost(site, "INSERT TimeTracking", hours[0])
    assert results(site.system().resolve(sent(*hours))) == [Result.APPLIED, Result.REJECTED]
    assert results(settled(site.system(), sent(*hours))) == [Result.APPLIED] * 2
    assert count(site, "TimeTracking") == 2


def test_an_equal_entry_of_half_an_hour_before_decides_nothing(site: Site, hours: tuple[Write, Write]) -> None:
    """It may be another one, or the host's clock is behind: nobody but a person can tell."""
    assert results(site.system().write(batch(hours[0]))) == [Result.APPLIED]
    later = replace(batch(hours[1]), sent_at=dt.datetime.now(dt.UTC) + dt.timedelta(minutes=30))
    assert results(site.system().resolve(later)) == [Result.UNKNOWN]


def test_a_time_entry_that_this_task_knows_is_no_other_ones(site: Site, hours: tuple[Write, Write]) -> None:
    """Of two equal entries the first is made, the second gets lost on its way: it is sent again."""
    system = site.system()
    site.fault("drop_before", match="INSERT TimeTracking", after=1)
    assert results(system.write(batch(*hours))) == [Result.APPLIED, Result.UNKNOWN]
    assert results(settled(system, sent(hours[1]))) == [Result.APPLIED]
    assert count(site, "TimeTracking") == 2


@pytest.mark.parametrize("memo", [None, "at the counter"])
def test_two_equal_payments_are_two(site: Site, buyer: str, memo: str | None) -> None:
    """The same customer, day, amount and word: both are made, in one batch or in two, by one task or another."""
    head: dict[str, Value] = {"customer": buyer, "date": DAY, "reference": "Cash", "total": Decimal("10.00")}
    head |= {"private_note": memo} if memo else {}
    first, second, third = (create("ReceivePayment", key, head, *PAID, "private_note") for key in "abc")
    made = [*site.system().write(sent(first, second)), *site.system().write(sent(third))]
    assert results(made) == [Result.APPLIED] * 3
    assert len({outcome.target_id for outcome in made}) == 3
    assert count(site, "ReceivePayment") == 3


@pytest.mark.parametrize("memo", [None, "at the counter"])
@pytest.mark.parametrize("kind", ["drop_before", "drop_after_commit"])
def test_an_equal_payment_that_gets_lost_is_made_once(site: Site, buyer: str, memo: str | None, kind: str) -> None:
    """An equal one of yesterday is not it; settled by another task, and once more, there is one more payment."""
    head: dict[str, Value] = {"customer": buyer, "date": DAY, "reference": "Cash", "total": Decimal("10.00")}
    head |= {"private_note": memo} if memo else {}
    earlier, write = (create("ReceivePayment", key, head, *PAID, "private_note") for key in "ab")
    file = site.running.sandbox.file
    now = file.options
    file.options = replace(now, clock_shift=-86400)
    assert results(site.system().write(batch(earlier))) == [Result.APPLIED]
    file.options = now
    site.fault(kind, match="INSERT ReceivePayment")
    if kind == "drop_after_commit":
        assert results(site.system().write(batch(write))) == [Result.UNKNOWN]
    for _ in range(2):
        (done,) = settled(site.system(), sent(write))
        site.running.sandbox.faults.clear()
    assert done.result is Result.APPLIED
    assert count(site, "ReceivePayment") == 2


@pytest.mark.parametrize("number", [None, "B-1"])
def test_an_id_that_is_a_lines_is_looked_up(
    site: Site, seller: str, number: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the driver tells the id of the last line, the transaction is found by its mark or number."""
    system = site.system()
    line_id = "SELECT ExpenseLineTxnLineID FROM BillExpenseLine WHERE TxnID = ?"
    true = system.client.last_id

    def last_id(table: str) -> str:
        return str(site.ask(line_id, true(table))[0][0])

    monkeypatch.setattr(system.client, "last_id", last_id)
    outcomes: list[Any] = list(system.write(batch(bill("b", seller, number=number), bill("c", seller))))
    assert results(outcomes) == [Result.APPLIED] * 2
    assert sorted(o.target_id for o in outcomes) == sorted(i for (i,) in site.ask("SELECT TxnID FROM Bill"))
    assert all(outcome.values for outcome in outcomes), "read back"


def test_an_id_that_nobody_can_verify_is_in_doubt(site: Site, seller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first bill that cannot be read back, so that its id may be a line's, is looked up before it is bound."""
    system = site.system()
    monkeypatch.setattr(system.client, "last_id", lambda _table: "FFFF-1")
    site.fault("modal_dialog", match="SELECT Bill", after=1, times=2)
    write = bill("b", seller)
    assert results(system.write(batch(write))) == [Result.UNKNOWN]
    site.running.sandbox.faults.clear()
    (done,) = settled(site.system(), sent(write))
    assert (done.result, count(site, "Bill")) == (Result.APPLIED, 1)
    assert done.target_id == site.ask("SELECT TxnID FROM Bill")[0][0]


def test_a_whole_batch_is_looked_for_by_one_statement(site: Site) -> None:
    """Whether anything may be one of its creates is asked once for a list, or for a customer or vendor."""
    writes = [create("Customer", str(n), {"name": f"N{n}", "code": str(n)}, "name", "code") for n in range(9)]
    before = site.running.sandbox.backend.statements["SELECT Customer"]
    assert results(site.system().resolve(sent(*writes))) == [Result.REJECTED] * 9
    assert site.running.sandbox.backend.statements["SELECT Customer"] - before == 10, "one each by its code, and one"
