"""More of QODBC's SQL over psqlodbc: sums, functions, queries in brackets, UNION, outer joins."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from tests.drivers import refused


def test_sums_keep_their_digits(reader: Any) -> None:
    """Amounts are multiplied, divided and added as decimals, whatever is a price, a quantity or a whole number."""
    columns = "InvoiceLineQuantity, InvoiceLineRate, InvoiceLineAmount"
    sums = "InvoiceLineQuantity * InvoiceLineRate, (InvoiceLineAmount + 1) * 2, -InvoiceLineAmount / 4"
    rows = reader.execute(f"SELECT {columns}, {sums} FROM InvoiceLine").fetchall()
    for quantity, rate, amount, times, plus, over in rows:
        assert (times, plus) == (quantity * rate, (amount + 1) * 2)
        assert abs(over + amount / 4) <= Decimal("0.00001")
    total = reader.execute("SELECT SUM(InvoiceLineQuantity * InvoiceLineRate) FROM InvoiceLine").fetchval()
    assert total == sum(row[3] for row in rows)
    few = reader.execute("SELECT COUNT(*) FROM InvoiceLine WHERE InvoiceLineAmount * 2 > ?", Decimal(1000)).fetchval()
    assert few == sum(row[2] * 2 > 1000 for row in rows)


def test_days_are_added_and_counted(reader: Any) -> None:
    """A day plus a number is a later day, two days differ by a number of days, {fn CURDATE()} is the host's day."""
    day, later, due, days = reader.execute(
        "SELECT TOP 1 TxnDate, TxnDate + 30, DueDate, DueDate - TxnDate FROM Invoice WHERE DueDate > TxnDate"
    ).fetchone()
    assert later - day == dt.timedelta(days=30)
    assert days == (due - day).days
    assert reader.execute("SELECT COUNT(*) FROM Invoice WHERE TxnDate >= {fn CURDATE()} + 36500").fetchval() == 0


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("{fn CONCAT({fn CONCAT(FirstName, ' ')}, LastName)}", "Ann Lee"),
        ("FirstName + ' ' + LastName", "Ann Lee"),
        ("{fn LEFT(LastName, 2)}", "Le"),
        ("{fn RIGHT(LastName, 1)}", "e"),
        ("{fn SUBSTRING(LastName, 2, 1)}", "e"),
        ("{fn LOCATE('e', LastName)}", 2),
        ("{fn LOCATE('e', LastName, 3)}", 3),
        ("{fn LENGTH({fn RTRIM('ab  ')})}", 2),
        ("{fn UCASE(FirstName)}", "ANN"),
        ("{fn IFNULL(Phone, 'none')}", "none"),
        ("{fn YEAR({d '2026-03-04'})}", 2026),
        ("{fn MONTHNAME({d '2026-03-04'})}", "March"),
        ("{fn DAYOFWEEK({d '2026-03-04'})}", 4),
        ("{fn HOUR({ts '2026-03-04 05:06:07'})}", 5),
        ("{fn ROUND(2.345, 2)}", Decimal("2.35")),
        ("{fn CEILING(2.1)}", Decimal(3)),
        ("{fn MOD(7, 4)}", 3),
        ("{fn CONVERT(FirstName, SQL_CHAR)}", "Ann"),
    ],
)
def test_functions_arrive_and_compute(reader: Any, value: str, meant: object) -> None:
    """ODBC's functions, which psqlodbc rewrites, reach the company file as they were written, and are computed."""
    assert reader.execute(f"SELECT {value} FROM Employee WHERE FirstName = 'Ann'").fetchval() == meant


def test_values_are_converted(reader: Any) -> None:
    """CONVERT makes text of days and amounts, and whole numbers of amounts."""
    columns = (
        "{fn CONVERT(TxnDate, SQL_VARCHAR)}, {fn CONVERT(Subtotal, SQL_INTEGER)}, {fn CONVERT(Subtotal, SQL_CHAR)}"
    )
    for day, total, *made in reader.execute(f"SELECT TxnDate, Subtotal, {columns} FROM Invoice").fetchall():
        assert made == [day.isoformat(), int(total), str(total)]


def test_queries_in_brackets(reader: Any) -> None:
    """EXISTS, a value from another query and one that names the outer row choose as they say."""
    paying = {row[0] for row in reader.execute("SELECT CustomerRefListID FROM Invoice").fetchall()}
    inner = "SELECT TxnID FROM Invoice i WHERE i.CustomerRefListID = Customer.ListID"
    found = {row[0] for row in reader.execute(f"SELECT ListID FROM Customer WHERE EXISTS ({inner})").fetchall()}
    others = {row[0] for row in reader.execute(f"SELECT ListID FROM Customer WHERE NOT EXISTS ({inner})").fetchall()}
    assert found == paying
    assert len(others) == reader.execute("SELECT COUNT(*) FROM Customer").fetchval() - len(paying)
    last = reader.execute("SELECT MAX(TxnDate) FROM Invoice").fetchval()
    same = "SELECT DISTINCT TxnDate FROM Invoice WHERE TxnDate = (SELECT MAX(TxnDate) FROM Invoice)"
    assert [row[0] for row in reader.execute(same).fetchall()] == [last]
    counted = "SELECT ListID, (SELECT COUNT(*) FROM Invoice i WHERE i.CustomerRefListID = c.ListID) FROM Customer c"
    numbers = Counter(row[0] for row in reader.execute("SELECT CustomerRefListID FROM Invoice").fetchall())
    assert all(count == numbers[key] for key, count in reader.execute(counted).fetchall())


def test_a_union_puts_one_below_the_other(reader: Any) -> None:
    """UNION leaves duplicates out, UNION ALL keeps them, numbers take the kind of the first, ORDER BY is for all."""
    names = [row[0] for row in reader.execute("SELECT Name FROM Vendor").fetchall()]
    both = reader.execute("SELECT Name FROM Vendor UNION SELECT Name FROM Vendor ORDER BY 1").fetchall()
    assert [row[0] for row in both] == sorted(names)
    doubled = reader.execute("SELECT Name FROM Vendor UNION ALL SELECT Name FROM Vendor").fetchall()
    assert len(doubled) == 2 * len(names)
    mixed = "SELECT TOP 2 Name, Balance FROM Customer WHERE Balance > 0 UNION ALL SELECT TOP 1 Name, 7 FROM Employee"
    amounts = [row[1] for row in reader.execute(f"{mixed} ORDER BY 2").fetchall()]
    assert len(amounts) == 3
    assert amounts == sorted(amounts)
    assert Decimal(7) in amounts


@pytest.mark.parametrize(
    ("sources", "table"),
    [
        ("Customer LEFT OUTER JOIN Invoice ON Customer.ListID = Invoice.CustomerRefListID", "Customer"),
        ("{oj Customer LEFT OUTER JOIN Invoice ON Customer.ListID = Invoice.CustomerRefListID}", "Customer"),
        ("Invoice RIGHT OUTER JOIN Customer ON Customer.ListID = Invoice.CustomerRefListID", "Customer"),
        ("Customer RIGHT JOIN Invoice ON Customer.ListID = Invoice.CustomerRefListID", "Invoice"),
        (
            "(Invoice INNER JOIN InvoiceLine ON Invoice.TxnID = InvoiceLine.TxnID)"
            " INNER JOIN Customer ON Customer.ListID = Invoice.CustomerRefListID",
            "Invoice",
        ),
    ],
)
def test_outer_joins_keep_what_has_no_partner(reader: Any, sources: str, table: str) -> None:
    """Outer joins, ODBC's own form of them and joins in brackets keep every row of the table that they are to keep."""
    key = "ListID" if table == "Customer" else "TxnID"
    every = reader.execute(f"SELECT COUNT(*) FROM {table}").fetchval()
    assert reader.execute(f"SELECT COUNT(DISTINCT {table}.{key}) FROM {sources}").fetchval() == every


def test_groups_of_what_is_computed(reader: Any) -> None:
    """GROUP BY takes what a function gives."""
    months = reader.execute(
        "SELECT {fn MONTH(TxnDate)}, COUNT(*) FROM Invoice GROUP BY {fn MONTH(TxnDate)} ORDER BY 1"
    ).fetchall()
    days = [row[0] for row in reader.execute("SELECT TxnDate FROM Invoice").fetchall()]
    assert {row[0]: row[1] for row in months} == Counter(day.month for day in days)


def test_like_has_an_escape(cursor: Any) -> None:
    """{escape} makes the signs of a pattern mean themselves."""
    cursor.execute("INSERT INTO Class (Name) VALUES ('100% wool')")
    cursor.execute("INSERT INTO Class (Name) VALUES ('1000 bolts')")
    found = cursor.execute("SELECT Name FROM Class WHERE Name LIKE '100!%%' {escape '!'}").fetchall()
    assert [row[0] for row in found] == ["100% wool"]


def test_the_hosts_time_can_be_written(cursor: Any) -> None:
    """{fn CURDATE()} stands for a value in INSERT and UPDATE."""
    cursor.execute("INSERT INTO Customer (Name, JobStartDate) VALUES ('Acme', {fn CURDATE()})")
    cursor.execute("UPDATE Customer SET JobEndDate = {fn NOW()} WHERE Name = 'Acme'")
    begun, ended, today = cursor.execute("SELECT JobStartDate, JobEndDate, {fn CURDATE()} FROM Customer").fetchone()
    assert today - dt.timedelta(days=1) <= begun <= ended <= today


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("SELECT Name + 1 FROM Customer", "Invalid operand for operator: +"),
        ("SELECT {fn YEAR(Name)} FROM Customer", "Invalid operand for operator: <function>"),
        ("SELECT {fn NOTHING(Name)} FROM Customer", "Expected lexical element not found"),
        ("SELECT Name FROM Customer UNION SELECT Balance FROM Customer", "Invalid operand for operator: UNION"),
        ("SELECT Name FROM Customer UNION SELECT Name, ListID FROM Vendor", "Expected lexical element not found"),
        ("SELECT SUM(*) FROM Customer", "Expected lexical element not found: <column>"),
        (f"SELECT {'(' * 3000}1{')' * 3000} FROM Customer", "Expected lexical element not found"),
        ("SELECT Name FROM Customer WHERE (Name = 'a'", "Expected lexical element not found: )"),
    ],
)
def test_what_does_not_go_together_is_refused(reader: Any, statement: str, text: str) -> None:
    """A sum, function or UNION of the wrong kinds gets QODBC's remark, and the connection goes on."""
    assert text in refused(lambda: reader.execute(statement).fetchall())[1]
    assert reader.execute("SELECT COUNT(*) FROM Company").fetchval() == 1
