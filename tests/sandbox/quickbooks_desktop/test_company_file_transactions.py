"""Transactions of the company file: headers and lines through the cache, amounts, payments, balances."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from sandbox.quickbooks_desktop import Running
from tests import drivers, web

DAY = dt.date(2026, 5, 1)
BUYER = {"CustomerRefFullName": "Buyer"}


@pytest.fixture
def customer(cursor: Any) -> str:
    """A customer's ListID."""
    cursor.execute("INSERT INTO Customer (Name, TermsRefFullName) VALUES ('Buyer', 'Net 30')")
    return str(cursor.execute("sp_lastinsertid Customer").fetchval())


@pytest.fixture
def items(cursor: Any) -> None:
    """Three items: a taxed part, an untaxed hour, and a discount is there already."""
    cursor.execute(
        "INSERT INTO ItemNonInventory (Name, SalesOrPurchasePrice, SalesOrPurchaseDesc, SalesTaxCodeRefFullName)"
        " VALUES ('Part', 10, 'A part', 'Tax')"
    )
    cursor.execute(
        "INSERT INTO ItemService (Name, SalesOrPurchasePrice, SalesTaxCodeRefFullName) VALUES ('Hour', 80, 'Non')"
    )


def line(cursor: Any, table: str, cached: bool, **values: Any) -> None:
    """Insert a line."""
    row = {**values, "FQSaveToCache": cached}
    marks = ", ".join("?" * len(row))
    cursor.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", *row.values())


def invoice(cursor: Any, customer: str, *lines: dict[str, Any], **header: Any) -> str:
    """Make an invoice and return its TxnID."""
    for number, one in enumerate(lines, start=1):
        line(cursor, "InvoiceLine", number < len(lines), CustomerRefListID=customer, TxnDate=DAY, **header, **one)
    return str(cursor.execute("sp_lastinsertid InvoiceLine").fetchval())


def part(quantity: str = "1", **more: Any) -> dict[str, Any]:
    """An invoice's line."""
    return {"InvoiceLineItemRefFullName": "Part", "InvoiceLineQuantity": Decimal(quantity), **more}


def refused(call: Callable[[], object]) -> str:
    """Return the text with which a call is refused."""
    return drivers.refused(call)[1]


def test_lines_in_the_cache_become_one_invoice(cursor: Any, customer: str, items: None) -> None:
    """Nothing is saved until the last line; then header and lines are, with due date, amounts and tax."""
    line(
        cursor,
        "InvoiceLine",
        True,
        CustomerRefListID=customer,
        TxnDate=DAY,
        ItemSalesTaxRefFullName="San Jose",
        **part("3"),
    )
    assert cursor.execute("SELECT COUNT(*) FROM Invoice").fetchval() == 0
    hours = {
        "InvoiceLineItemRefFullName": "Hour",
        "InvoiceLineQuantity": Decimal("1.5"),
        "InvoiceLineRate": Decimal("70.333"),
    }
    line(cursor, "InvoiceLine", False, CustomerRefListID=customer, **hours)
    made = cursor.execute("sp_lastinsertid InvoiceLine").fetchval()
    assert re.fullmatch(r"[0-9A-F]+-\d{10}", made)
    head = cursor.execute("SELECT * FROM Invoice").fetchone()
    assert (head.TxnID, head.RefNumber, head.DueDate) == (made, "1", DAY + dt.timedelta(days=30))
    assert (head.Subtotal, head.SalesTaxTotal) == (Decimal("135.50"), Decimal("2.48"))
    assert (head.BalanceRemaining, head.AppliedAmount, head.IsPaid) == (Decimal("137.98"), Decimal(0), False)
    rows = cursor.execute("SELECT * FROM InvoiceLine ORDER BY InvoiceLineSeqNo").fetchall()
    shown = [
        (r.InvoiceLineDesc, r.InvoiceLineRate, r.InvoiceLineAmount, r.InvoiceLineSalesTaxCodeRefFullName) for r in rows
    ]
    assert shown == [
        ("A part", Decimal("10.00000"), Decimal("30.00"), "Tax"),
        (None, Decimal("70.33300"), Decimal("105.50"), "Non"),
    ]
    assert cursor.execute("SELECT Balance, TotalBalance FROM Customer").fetchone()[1] == Decimal("137.98")


def test_a_header_ends_the_group_of_its_lines(cursor: Any, customer: str, items: None) -> None:
    """Cached lines are saved by an INSERT into the header table too, of both kinds where there are two."""
    line(cursor, "InvoiceLine", True, **part())
    cursor.execute("INSERT INTO Invoice (CustomerRefListID, RefNumber) VALUES (?, 'R-1')", customer)
    assert cursor.execute("SELECT RefNumber, InvoiceLineAmount FROM InvoiceLine").fetchone()[1] == Decimal("10.00")
    line(
        cursor,
        "BillItemLine",
        True,
        ItemLineItemRefFullName="Part",
        ItemLineQuantity=Decimal(2),
        ItemLineCost=Decimal("4.5"),
    )
    line(cursor, "BillExpenseLine", True, ExpenseLineAccountRefFullName="Freight", ExpenseLineAmount=Decimal("3.2"))
    cursor.execute("INSERT INTO Bill (VendorRefFullName, RefNumber) VALUES ('City Utilities', '12345678901234567890')")
    assert cursor.execute("SELECT AmountDue, OpenAmount, IsPaid FROM Bill").fetchone()[0] == Decimal("12.20")
    assert cursor.execute("SELECT Balance FROM Vendor WHERE Name = 'City Utilities'").fetchval() == Decimal("12.20")


@pytest.mark.parametrize(
    ("header", "one", "text"),
    [
        ({"RefNumber": "123456789012"}, {}, "The maximum length is 11."),
        ({"CustomerRefFullName": "Nobody"}, {}, "Error: 3140"),
        ({}, {"InvoiceLineItemRefFullName": "Nothing"}, 'reference to QuickBooks Item "Nothing"'),
        ({}, {"InvoiceLineItemRefFullName": None}, 'Error: 3150 - There is a missing element: "InvoiceLineItemRef"'),
    ],
)
def test_a_refused_line_saves_nothing(
    cursor: Any, customer: str, items: None, header: dict[str, Any], one: dict[str, Any], text: str
) -> None:
    """A line that is refused ends its group: nothing of it is saved, and the next group begins anew."""
    if "CustomerRefFullName" not in header:
        header = {"CustomerRefListID": customer, **header}
    line(cursor, "InvoiceLine", True, **part())
    assert text in refused(lambda: line(cursor, "InvoiceLine", False, **header, **{**part(), **one}))
    assert cursor.execute("SELECT COUNT(*) FROM Invoice").fetchval() == 0
    invoice(cursor, customer, part("2"))
    assert cursor.execute("SELECT COUNT(*) FROM InvoiceLine").fetchval() == 1


def test_lines_are_added_changed_and_deleted(cursor: Any, customer: str, items: None) -> None:
    """An INSERT with a TxnID adds a line; lines are changed and deleted by their ids; totals follow."""
    made = invoice(cursor, customer, part("1"))
    before = cursor.execute("SELECT EditSequence FROM Invoice").fetchval()
    line(cursor, "InvoiceLine", False, TxnID=made, **part("5"))
    assert cursor.execute("sp_lastinsertid InvoiceLine").fetchval() == made
    first, second = cursor.execute("SELECT InvoiceLineTxnLineID FROM InvoiceLine ORDER BY InvoiceLineSeqNo").fetchall()
    cursor.execute(
        "UPDATE InvoiceLine SET InvoiceLineQuantity = 4, Memo = 'm' WHERE TxnID = ? AND InvoiceLineTxnLineID = ?",
        made,
        second[0],
    )
    row = cursor.execute("SELECT Subtotal, Memo, EditSequence FROM Invoice").fetchone()
    assert (row.Subtotal, row.Memo) == (Decimal("50.00"), "m")
    assert int(row.EditSequence) > int(before)
    assert cursor.execute("DELETE FROM InvoiceLine WHERE InvoiceLineTxnLineID = ?", first[0]).rowcount == 1
    assert cursor.execute("SELECT Subtotal, BalanceRemaining FROM Invoice").fetchone()[1] == Decimal("40.00")


def test_discounts_and_subtotals_follow_the_lines_before_them(cursor: Any, customer: str, items: None) -> None:
    """A discount takes its per cent of the line before it; a subtotal shows a sum and adds nothing."""
    invoice(
        cursor,
        customer,
        part("10"),
        part("5"),
        {"InvoiceLineItemRefFullName": "Subtotal"},
        {"InvoiceLineItemRefFullName": "Discount 10%"},
    )
    amounts = [
        row[0]
        for row in cursor.execute("SELECT InvoiceLineAmount FROM InvoiceLine ORDER BY InvoiceLineSeqNo").fetchall()
    ]
    assert amounts == [Decimal("100.00"), Decimal("50.00"), Decimal("150.00"), Decimal("-15.00")]
    assert cursor.execute("SELECT Subtotal FROM Invoice").fetchval() == Decimal("135.00")


def test_a_payment_changes_invoice_and_balance(cursor: Any, customer: str, items: None) -> None:
    """A payment is applied to invoices; what is left of it is unused; more than is due is refused."""
    made = invoice(cursor, customer, part("3"))
    applied = {"CustomerRefListID": customer, "AppliedToTxnTxnID": made, "TotalAmount": Decimal("25")}
    assert "You cannot pay more than the amount due." in refused(
        lambda: line(
            cursor,
            "ReceivePaymentLine",
            False,
            **{**applied, "TotalAmount": Decimal(99)},
            AppliedToTxnPaymentAmount=Decimal("30.01"),
        )
    )
    line(cursor, "ReceivePaymentLine", False, **applied, AppliedToTxnPaymentAmount=Decimal("20"), RefNumber="1" * 20)
    paid = cursor.execute("SELECT BalanceRemaining, AppliedAmount, IsPaid FROM Invoice").fetchone()
    assert tuple(paid) == (Decimal("10.00"), Decimal("-20.00"), False)
    assert cursor.execute("SELECT UnusedPayment FROM ReceivePayment").fetchval() == Decimal("5.00")
    assert cursor.execute("SELECT Balance FROM Customer").fetchval() == Decimal("5.00")
    cursor.execute("DELETE FROM ReceivePayment WHERE CustomerRefListID = ?", customer)
    assert cursor.execute("SELECT BalanceRemaining FROM Invoice").fetchval() == Decimal("30.00")
    assert cursor.execute("SELECT TxnDelType, RefNumber FROM TxnDeleted").fetchone()[1] == "1" * 20
    cursor.execute(
        "INSERT INTO ReceivePayment (CustomerRefListID, TotalAmount, IsAutoApply) VALUES (?, 30, 1)", customer
    )
    assert cursor.execute("SELECT IsPaid FROM Invoice").fetchval() is True


def test_a_payments_applications_can_be_replaced(cursor: Any, customer: str, items: None) -> None:
    """Deleting an application opens the invoice again, and a new one closes it."""
    made = invoice(cursor, customer, part("1"))
    values = {"CustomerRefListID": customer, "AppliedToTxnTxnID": made, "AppliedToTxnPaymentAmount": Decimal(10)}
    line(cursor, "ReceivePaymentLine", False, **values)
    payment = cursor.execute("SELECT TxnID FROM ReceivePayment").fetchval()
    cursor.execute("DELETE FROM ReceivePaymentLine WHERE TxnID = ? AND AppliedToTxnTxnID = ?", payment, made)
    assert cursor.execute("SELECT BalanceRemaining FROM Invoice").fetchval() == Decimal("10.00")
    line(
        cursor, "ReceivePaymentLine", False, TxnID=payment, AppliedToTxnTxnID=made, AppliedToTxnPaymentAmount=Decimal(4)
    )
    assert cursor.execute("SELECT BalanceRemaining FROM Invoice").fetchval() == Decimal("6.00")


@pytest.mark.parametrize(
    ("table", "header", "one", "total"),
    [
        ("SalesOrder", BUYER, {"ItemRefFullName": "Part", "Quantity": Decimal(2)}, "TotalAmount"),
        ("Estimate", BUYER, {"ItemRefFullName": "Part", "Amount": Decimal(20)}, "TotalAmount"),
        ("SalesReceipt", BUYER, {"ItemRefFullName": "Part", "Rate": Decimal(20)}, "TotalAmount"),
        ("CreditMemo", BUYER, {"ItemRefFullName": "Part", "Quantity": Decimal(2)}, "CreditRemaining"),
        (
            "PurchaseOrder",
            {"VendorRefFullName": "City Utilities"},
            {"ItemRefFullName": "Part", "Quantity": Decimal(2), "Rate": Decimal(10)},
            "TotalAmount",
        ),
        (
            "Deposit",
            {"DepositToAccountRefFullName": "Checking"},
            {"AccountRefFullName": "Sales", "Amount": Decimal(20)},
            "DepositTotal",
        ),
    ],
)
def test_other_transactions_add_up(
    cursor: Any, customer: str, items: None, table: str, header: dict[str, Any], one: dict[str, Any], total: str
) -> None:
    """Each kind of transaction is made of lines, and shows their sum."""
    own = {f"{table}Line{name}": value for name, value in one.items()}
    line(cursor, f"{table}Line", True, **header, **own)
    line(cursor, f"{table}Line", False, **header, **own)
    assert cursor.execute(f"SELECT {total} FROM {table}").fetchval() == Decimal("40.00")
    assert cursor.execute(f"SELECT COUNT(*) FROM {table}Line").fetchval() == 2


def test_checks_and_vendor_credits_have_two_kinds_of_lines(cursor: Any, items: None) -> None:
    """Item and expense lines of one check, or one vendor credit, are saved together."""
    cost = {"ItemLineItemRefFullName": "Part", "ItemLineCost": Decimal("2.5"), "ItemLineQuantity": Decimal(2)}
    expense = {"ExpenseLineAccountRefFullName": "Freight", "ExpenseLineAmount": Decimal(1)}
    for table, header, total in (
        ("Check", {"AccountRefFullName": "Checking", "PayeeEntityRefFullName": "City Utilities"}, "Amount"),
        ("VendorCredit", {"VendorRefFullName": "City Utilities"}, "OpenAmount"),
    ):
        line(cursor, f"{table}ItemLine", True, **header, **cost)
        line(cursor, f"{table}ExpenseLine", False, **header, **expense)
        assert cursor.execute(f"SELECT {total} FROM {table}").fetchval() == Decimal("6.00")
    assert cursor.execute("SELECT Balance FROM Vendor WHERE Name = 'City Utilities'").fetchval() == Decimal("-6.00")


def test_a_journal_entry_is_balanced(cursor: Any) -> None:
    """Debits equal credits, or the entry is refused; JournalEntryLine shows both."""
    debit = {"JournalDebitLineAccountRefFullName": "Freight", "JournalDebitLineAmount": Decimal(5)}
    credit = {"JournalCreditLineAccountRefFullName": "Checking"}
    line(cursor, "JournalEntryDebitLine", True, **debit)
    wrong = {**credit, "JournalCreditLineAmount": Decimal(4)}
    assert "Transaction is not in balance" in refused(lambda: line(cursor, "JournalEntryCreditLine", False, **wrong))
    line(cursor, "JournalEntryDebitLine", True, **debit)
    line(cursor, "JournalEntryCreditLine", False, **credit, JournalCreditLineAmount=Decimal(5))
    rows = cursor.execute(
        "SELECT JournalLineType, JournalLineAccountRefFullName, JournalLineAmount FROM JournalEntryLine"
    ).fetchall()
    assert {tuple(row) for row in rows} == {
        ("Debit", "Freight", Decimal("5.00")),
        ("Credit", "Checking", Decimal("5.00")),
    }


def test_time_is_tracked_in_minutes(cursor: Any, customer: str, items: None) -> None:
    """A time entry takes durations as QuickBooks writes them."""
    columns = "TxnDate, EntityRefFullName, CustomerRefListID, ItemServiceRefFullName, Duration"
    sql = f"INSERT INTO TimeTracking ({columns}) VALUES (?, ?, ?, ?, ?)"
    cursor.execute(sql, DAY, "Ann Lee", customer, "Hour", "PT1H30M")
    assert cursor.execute("SELECT DurationMinutes FROM TimeTracking").fetchval() == 90
    assert "Error: 3210" in refused(lambda: cursor.execute(sql, DAY, "Ann Lee", customer, "Hour", "long"))


def test_books_can_be_closed(desk: Running, connect: Any) -> None:
    """Up to the closing date nothing is written."""
    desk.sandbox.reset({"seed": "globex", "closed_until": "2026-12-31"})
    other = connect(desk).cursor()
    made = other.execute("SELECT TOP 1 TxnID FROM Invoice").fetchval()
    assert "Error: 3171" in refused(lambda: other.execute("UPDATE Invoice SET Memo = 'x' WHERE TxnID = ?", made))
    assert "Error: 3161" in refused(lambda: other.execute("DELETE FROM Invoice WHERE TxnID = ?", made))


@pytest.mark.feature("S7")
@pytest.mark.parametrize(("country", "tax"), [("CA", "1.50"), ("UK", "6.00")])
def test_tax_outside_the_us_goes_by_the_lines_codes(desk: Running, connect: Any, country: str, tax: str) -> None:
    """In Canada and the UK each line's tax code has its rate, and the transaction shows the sum of its taxes."""
    desk.sandbox.reset({"seed": "empty", "country": country})
    other = connect(desk).cursor()
    other.execute("INSERT INTO Customer (Name) VALUES ('Buyer')")
    other.execute("INSERT INTO ItemService (Name, TaxCodeRefFullName) VALUES ('Hour', 'Tax')")
    for code in ("Tax", "Non"):
        values = {"InvoiceLineItemRefFullName": "Hour", "InvoiceLineAmount": Decimal(30)}
        line(other, "InvoiceLine", code == "Tax", **BUYER, **values, InvoiceLineTaxCodeRefFullName=code)
    row = other.execute("SELECT Subtotal, Tax1Total, BalanceRemaining FROM Invoice").fetchone()
    assert tuple(row) == (Decimal(60), Decimal(tax), Decimal(60) + Decimal(tax))


def test_the_amount_of_an_expense_can_be_changed(cursor: Any) -> None:
    """A line without quantity and rate takes another amount, and the bill its sum."""
    line(
        cursor,
        "BillExpenseLine",
        False,
        VendorRefFullName="City Utilities",
        ExpenseLineAccountRefFullName="Freight",
        ExpenseLineAmount=Decimal("3.20"),
    )
    (ident,) = cursor.execute("SELECT ExpenseLineTxnLineID FROM BillExpenseLine").fetchone()
    cursor.execute("UPDATE BillExpenseLine SET ExpenseLineAmount = 5.75 WHERE ExpenseLineTxnLineID = ?", ident)
    assert cursor.execute("SELECT AmountDue FROM Bill").fetchval() == Decimal("5.75")


def test_a_journal_entry_is_in_balance_after_each_statement(cursor: Any) -> None:
    """No single amount of it can be changed, added or taken away; what is no amount can."""
    account = {"JournalDebitLineAccountRefFullName": "Freight", "JournalDebitLineAmount": Decimal(5)}
    line(cursor, "JournalEntryDebitLine", True, **account)
    line(
        cursor,
        "JournalEntryCreditLine",
        False,
        JournalCreditLineAccountRefFullName="Checking",
        JournalCreditLineAmount=Decimal(5),
    )
    (made,) = cursor.execute("SELECT TxnID FROM JournalEntry").fetchone()
    sql = "UPDATE JournalEntryDebitLine SET JournalDebitLineAmount = 6 WHERE TxnID = ?"
    assert "not in balance" in refused(lambda: cursor.execute(sql, made))
    assert "not in balance" in refused(
        lambda: cursor.execute("DELETE FROM JournalEntryCreditLine WHERE TxnID = ?", made)
    )
    assert "not in balance" in refused(lambda: line(cursor, "JournalEntryDebitLine", False, TxnID=made, **account))
    cursor.execute("UPDATE JournalEntryDebitLine SET JournalDebitLineMemo = 'm' WHERE TxnID = ?", made)
    shown = cursor.execute("SELECT JournalDebitLineAmount, JournalDebitLineMemo FROM JournalEntryDebitLine").fetchall()
    assert [tuple(row) for row in shown] == [(Decimal("5.00"), "m")]


def test_an_invoice_is_not_below_zero(cursor: Any, customer: str, items: None) -> None:
    """A negative invoice is refused, when it is made and when its lines are changed."""
    assert "must be positive" in refused(lambda: invoice(cursor, customer, part("-1")))
    made = invoice(cursor, customer, part("3"), part("-1"))
    sql = "UPDATE InvoiceLine SET InvoiceLineQuantity = 0 WHERE TxnID = ? AND InvoiceLineQuantity = 3"
    assert "must be positive" in refused(lambda: cursor.execute(sql, made))
    assert cursor.execute("SELECT Subtotal FROM Invoice").fetchval() == Decimal("20.00")


def test_a_voided_payment_pays_nothing(desk: Running, cursor: Any, customer: str, items: None) -> None:
    """Its invoice is open again, and the customer owes it."""
    made = invoice(cursor, customer, part("3"))
    values = {"CustomerRefListID": customer, "AppliedToTxnTxnID": made, "AppliedToTxnPaymentAmount": Decimal(30)}
    line(cursor, "ReceivePaymentLine", False, **values)
    assert cursor.execute("SELECT TotalBalance FROM Customer").fetchval() == Decimal(0)
    (payment,) = cursor.execute("SELECT TxnID FROM ReceivePayment").fetchone()
    web.post(f"{desk.url}/_sandbox/void", json={"table": "ReceivePayment", "id": payment}).raise_for_status()
    assert tuple(cursor.execute("SELECT BalanceRemaining, IsPaid FROM Invoice").fetchone()) == (Decimal("30.00"), False)
    assert cursor.execute("SELECT TotalBalance FROM Customer").fetchval() == Decimal("30.00")
