"""Lines put in place of others: refused halfway, changed by somebody else meanwhile, and where nobody counts rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from iw_operators.engine.model import Line, Record, Value
from iw_operators.errors import FixRecord, RetryLater
from iw_operators.systems.base import Op, Outcome, Result, Write
from iw_operators.systems.quickbooks_desktop.dialect import Statement
from iw_operators.systems.quickbooks_desktop.system import QuickBooksDesktop
from tests.systems.quickbooks_desktop.conftest import Site
from tests.systems.quickbooks_desktop.fakes import batch, create, view

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("S3")]

DAY = dt.date(2026, 3, 31)
LINES = "SELECT InvoiceLineQuantity, InvoiceLineAmount FROM InvoiceLine WHERE TxnID = ? ORDER BY InvoiceLineSeqNo"


def made(system: QuickBooksDesktop, name: str, values: dict[str, Value]) -> Record:
    """Create a record and return it as it is read."""
    fields = [each for each in values if each != "lines"]
    (outcome,) = system.write(batch(create(name, f"{name} {values}", values, *fields)))
    assert outcome.result is Result.APPLIED, outcome.error
    (record,) = system.fetch(view(name), [outcome.target_id or ""]).values()
    return record


def change(system: QuickBooksDesktop, name: str, record: Record, values: dict[str, Value]) -> Outcome:
    """Update a record and return how that ended."""
    (outcome,) = system.write(batch(Write("change", Op.UPDATE, view(name), values, record.id, record.version)))
    return outcome


@pytest.fixture
def buyer(site: Site) -> str:
    """A customer's id."""
    return made(site.system(), "Customer", {"name": "Buyer"}).id


@pytest.fixture
def hour(site: Site) -> str:
    """An item's id."""
    return made(site.system(), "Item", {"name": "Hour", "kind": "Service", "income_account": "Services"}).id


Sale = Callable[..., Record]


@pytest.fixture
def sale(site: Site, buyer: str, hour: str) -> Sale:
    """Make an invoice with lines of so many hours."""

    def make(*hours: int, memo: str = "old") -> Record:
        values: dict[str, Value] = {"customer": buyer, "date": DAY, "memo": memo, "lines": worth(hour, *hours)}
        return made(site.system(), "Invoice", values)

    return make


def worth(hour: str, *hours: int) -> tuple[Line, ...]:
    """Return lines of so many hours each."""
    return tuple({"item": hour, "quantity": Decimal(n), "price": Decimal(90), "amount": Decimal(90 * n)} for n in hours)


def quantities(site: Site, record: Record) -> list[int]:
    """Return what stands in an invoice's lines now."""
    return [int(quantity) for quantity, _ in site.ask(LINES, record.id)]


@pytest.mark.parametrize("hours", [(10, 20, 3), (10,), (10, 2, 3, 4, 5)])
@pytest.mark.parametrize("place", [0, 1])
def test_an_update_that_is_refused_halfway_leaves_everything_as_it_was(
    site: Site, sale: Sale, hour: str, hours: tuple[int, ...], place: int
) -> None:
    """Whatever has been changed by then, header and lines, is put back; only then is it told as rejected."""
    invoice = sale(1, 2, 3)
    before = site.ask(LINES, invoice.id)
    verbs = {3: "UPDATE InvoiceLine", 1: "DELETE InvoiceLine", 5: "INSERT InvoiceLine"}
    site.fault("error", match=verbs[len(hours)], after=place)
    outcome = change(site.system(), "Invoice", invoice, {"memo": "new", "lines": worth(hour, *hours)})
    assert (outcome.result, outcome.error.code if outcome.error else "") == (Result.REJECTED, "3180")
    assert site.ask(LINES, invoice.id) == before
    assert tuple(site.ask("SELECT Memo, Subtotal FROM Invoice")[0]) == ("old", Decimal("540.00"))
    now = site.system().fetch(view("Invoice"), [invoice.id])[invoice.id]
    assert change(site.system(), "Invoice", now, {"memo": "new"}).result is Result.APPLIED


def test_what_cannot_be_put_back_is_told_as_it_is(site: Site, sale: Sale, hour: str) -> None:
    """A refusal that comes again while putting back has a code of its own, and says what the record holds now."""
    invoice = sale(1, 2, 3)
    site.fault("error", match="UPDATE InvoiceLine", after=1, times=2)
    outcome = change(site.system(), "Invoice", invoice, {"lines": worth(hour, 10, 20, 30)})
    assert outcome.result is Result.REJECTED
    assert isinstance(outcome.error, FixRecord)
    assert outcome.error.code == "odbc.partly"
    assert "900.00, 180.00, 270.00" in outcome.error.message
    assert outcome.error.advice
    held = site.system().fetch(view("Invoice"), [invoice.id])[invoice.id]
    assert (dict(outcome.values), outcome.version) == (dict(held.values), held.version)


def test_what_somebody_else_has_changed_meanwhile_is_not_put_back(site: Site, sale: Sale, hour: str) -> None:
    """Their third line stays theirs, and a person is told what the invoice holds."""
    invoice = sale(1, 2, 3)
    system = site.system()
    wanted = worth(hour, 10, 20, 3)
    sql = "UPDATE InvoiceLine SET InvoiceLineQuantity = 7 WHERE TxnID = ? AND InvoiceLineQuantity = 3"
    interrupted(system, 2, lambda: site.ask(sql, invoice.id))
    lines = (wanted[0], {**wanted[1], "item": "80000099-1"}, wanted[2])
    outcome = change(system, "Invoice", invoice, {"lines": lines})
    assert (outcome.result, outcome.error.code if outcome.error else "") == (Result.REJECTED, "odbc.partly")
    assert quantities(site, invoice) == [10, 2, 7]


@pytest.mark.parametrize(("times", "result"), [(1, None), (-1, Result.UNKNOWN)])
def test_what_passes_and_comes_halfway_is_never_a_refusal(
    site: Site, sale: Sale, hour: str, times: int, result: Result | None
) -> None:
    """A pop-up between two lines: put back and tried again later; or, while it is still open, in doubt."""
    invoice = sale(1, 2, 3)
    site.fault("modal_dialog", match="UPDATE InvoiceLine", after=1, times=times)
    if result is None:
        with pytest.raises(RetryLater):
            change(site.system(), "Invoice", invoice, {"lines": worth(hour, 10, 20, 30)})
        assert quantities(site, invoice) == [1, 2, 3]
    else:
        assert change(site.system(), "Invoice", invoice, {"lines": worth(hour, 10, 20, 30)}).result is result


def test_lines_that_stay_are_left_alone(site: Site, sale: Sale, hour: str) -> None:
    """Of lines of which one has changed that one is sent, and nothing where none has."""
    invoice = sale(1, 2, 3)
    system = site.system()
    before = dict(site.running.sandbox.backend.statements)
    held = change(system, "Invoice", invoice, {"lines": worth(hour, 1, 7, 3)})
    assert held.result is Result.APPLIED
    assert quantities(site, invoice) == [1, 7, 3]
    after = site.running.sandbox.backend.statements
    assert after["UPDATE InvoiceLine"] - before.get("UPDATE InvoiceLine", 0) == 1


@pytest.fixture
def payment(site: Site, buyer: str, sale: Sale) -> tuple[Record, Record, Record]:
    """A payment of 150, of which 90 pay the first of two invoices; the second is of 90 as well."""
    first, second = sale(1, memo="first"), sale(1, memo="second")
    values: dict[str, Value] = {"customer": buyer, "date": DAY, "total": Decimal("150.00")}
    paid = made(
        site.system(), "ReceivePayment", {**values, "lines": ({"invoice": first.id, "amount": Decimal("90.00")},)}
    )
    return paid, first, second


def rest(site: Site, invoice: Record) -> Decimal:
    """Return what is still due on an invoice."""
    return Decimal(site.ask("SELECT BalanceRemaining FROM Invoice WHERE TxnID = ?", invoice.id)[0][0])


def test_a_payment_is_not_taken_off_an_invoice_for_more_than_is_due(
    site: Site, payment: tuple[Record, Record, Record]
) -> None:
    """More than is due on the other invoice, or than was paid, is refused before anything is taken away."""
    paid, first, second = payment
    some: list[tuple[Line, ...]] = [
        ({"invoice": second.id, "amount": Decimal("120.00")},),
        ({"invoice": first.id, "amount": Decimal("90.00")}, {"invoice": second.id, "amount": Decimal("70.00")}),
    ]
    for lines in some:
        outcome = change(site.system(), "ReceivePayment", paid, {"lines": lines})
        assert (outcome.result, outcome.error.code if outcome.error else "") == (Result.REJECTED, "3210")
        assert outcome.error is not None
        assert outcome.error.field.startswith("lines")
        assert (rest(site, first), rest(site, second)) == (Decimal(0), Decimal(90))


def test_a_payment_is_applied_anew(site: Site, payment: tuple[Record, Record, Record]) -> None:
    """To another invoice, to both in other parts, and back; a refusal in between leaves it where it was."""
    paid, first, second = payment
    site.fault("error", match="INSERT ReceivePaymentLine")
    outcome = change(
        site.system(), "ReceivePayment", paid, {"lines": ({"invoice": second.id, "amount": Decimal("90.00")},)}
    )
    assert outcome.result is Result.REJECTED
    assert (rest(site, first), rest(site, second)) == (Decimal(0), Decimal(90))
    for one, other in ((Decimal(0), Decimal(90)), (Decimal(80), Decimal(70)), (Decimal(90), Decimal(60))):
        lines: tuple[Line, ...] = tuple(
            {"invoice": each.id, "amount": part} for each, part in ((first, one), (second, other)) if part
        )
        paid = site.system().fetch(view("ReceivePayment"), [paid.id])[paid.id]
        assert change(site.system(), "ReceivePayment", paid, {"lines": lines}).result is Result.APPLIED
        assert (rest(site, first), rest(site, second)) == (90 - one, 90 - other)


def interrupted(system: QuickBooksDesktop, at: int, meanwhile: Callable[[], Any], counts: bool = True) -> None:
    """Let somebody do something just before our statement of a number; `counts`: whether the driver counts rows."""
    true, seen = system.client.run, [0]

    def run(statement: Statement) -> int:
        seen[0] += 1
        if seen[0] == at:
            meanwhile()
        count = true(statement)
        return count if counts else -1

    system.client.run = run  # type: ignore[method-assign]  # somebody is quicker than we are


@pytest.mark.parametrize("counts", [True, False])
def test_a_line_that_somebody_deletes_meanwhile_is_not_dropped_without_a_word(
    site: Site, sale: Sale, hour: str, counts: bool
) -> None:
    """The second line is gone when its turn comes: the record has changed since it was read, and is planned again."""
    invoice = sale(1, 2, 3)
    system = site.system()
    sql = "DELETE FROM InvoiceLine WHERE TxnID = ? AND InvoiceLineQuantity = 2"
    interrupted(system, 2, lambda: site.ask(sql, invoice.id), counts)
    assert change(system, "Invoice", invoice, {"lines": worth(hour, 10, 20, 30)}).result is Result.STALE


@pytest.mark.parametrize("hours", [(10, 20), (1,)])
def test_a_driver_that_counts_no_rows_puts_nothing_over_somebody_elses(
    site: Site, sale: Sale, hour: str, hours: tuple[int, ...]
) -> None:
    """Whether the first statement has come is read; where somebody was quicker, no other one follows."""
    invoice = sale(1, 2)
    system = site.system()
    interrupted(system, 1, lambda: site.ask("UPDATE Invoice SET Memo = 'x' WHERE TxnID = ?", invoice.id), counts=False)
    assert change(system, "Invoice", invoice, {"lines": worth(hour, *hours)}).result is Result.STALE
    assert quantities(site, invoice) == [1, 2]


@pytest.mark.parametrize("hours", [(10, 20), (10,), (1, 2, 3, 4), (1,)])
def test_a_driver_that_counts_no_rows_works(site: Site, sale: Sale, hour: str, hours: tuple[int, ...]) -> None:
    """Where nobody interferes, lines and header are as they were sent."""
    invoice = sale(1, 2)
    system = site.system()
    interrupted(system, 0, lambda: None, counts=False)
    outcome = change(system, "Invoice", invoice, {"memo": "new", "lines": worth(hour, *hours)})
    assert outcome.result is Result.APPLIED
    assert quantities(site, invoice) == list(hours)


@pytest.mark.parametrize("values", [{"memo": "new"}, {"memo": "new", "lines": ()}, {"lines": ()}])
def test_a_driver_that_counts_no_rows_and_cannot_read_leaves_it_in_doubt(
    site: Site, sale: Sale, hour: str, values: dict[str, Value]
) -> None:
    """A pop-up just after a statement of which nobody knows whether it has come: never told as not sent."""
    invoice = sale(1, 2)
    system = site.system()
    if "lines" in values:
        values = {**values, "lines": worth(hour, 10, 20)}
    true = system.client.run

    def run(statement: Statement) -> int:
        true(statement)
        site.fault("modal_dialog", times=-1)
        return -1

    system.client.run = run  # type: ignore[method-assign]  # see above
    assert change(system, "Invoice", invoice, values).result is Result.UNKNOWN


@pytest.mark.feature("O11")
@pytest.mark.parametrize("name", ["Bill", "VendorCredit", "Check", "Deposit", "JournalEntry"])
def test_updates_of_purchases_and_money(site: Site, hour: str, name: str) -> None:
    """Lines of items and of expenses are changed, added and taken away; those of a journal entry are for a person."""
    system = site.system()
    head: dict[str, Value] = {"date": DAY, "memo": "old"}
    if name in ("Bill", "VendorCredit", "Check"):
        head["vendor"] = made(system, "Vendor", {"name": "Seller"}).id
    if name in ("Check", "Deposit"):
        head["account"] = "Checking"
    cost: Line = {"account": "Utilities", "amount": Decimal("48.20"), "description": "paper"}
    rounds: list[tuple[Line, ...]] = [
        (*worth(hour, 2), cost),
        ({**cost, "amount": Decimal("50.00")}, {**cost, "account": "Freight"}),
        (*worth(hour, 1, 3), cost),
    ]
    if name == "Deposit":
        rounds = [(cost,), ({**cost, "amount": Decimal("1.00")}, cost), (cost,)]
    if name == "JournalEntry":
        rounds = [
            ({"account": "Utilities", "debit": Decimal(n)}, {"account": "Checking", "credit": Decimal(n)})
            for n in (5, 6)
        ]
    record = made(system, name, {**head, "lines": rounds[0]})
    for number, lines in enumerate(rounds[1:]):
        outcome = change(system, name, record, {"memo": f"new {number}", "lines": lines})
        record = system.fetch(view(name), [record.id])[record.id]
        held = record.values["lines"]
        assert isinstance(held, tuple)
        if name == "JournalEntry":
            assert outcome.result is Result.REJECTED
            assert outcome.error is not None
            assert "out of balance" in outcome.error.message
            assert outcome.error.advice
            assert record.values["memo"] == "old"
            continue
        assert outcome.result is Result.APPLIED, outcome.error
        assert [{k: each[k] for k in sent} for sent, each in zip(lines, held, strict=True)] == list(lines)
        assert record.values["memo"] == f"new {number}"
