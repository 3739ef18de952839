"""What the company file answers to QODBC's SELECT, over psqlodbc."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from sandbox.quickbooks_desktop import Running
from tests.drivers import refused


def test_columns_have_types_lengths_and_digits(reader: Any) -> None:
    """A client sees text with its length, decimals with their digits, dates, moments and booleans as such."""
    reader.execute("SELECT FullName, Balance, TimeModified, IsActive, Sublevel FROM Customer")
    found = [(name, kind, size, scale) for name, kind, _, size, _, scale, _ in reader.description]
    assert found[:2] == [("FullName", str, 209, 0), ("Balance", Decimal, 13, 2)]
    assert [kind for _, kind, _, _ in found[2:]] == [dt.datetime, bool, int]


def test_names_are_found_in_any_case(reader: Any) -> None:
    """Tables and columns are known in any case and with quotation marks, and shown as QODBC writes them."""
    reader.execute('select TOP 1 fullname, "LISTID" from cUSTOMER')
    assert [column[0] for column in reader.description] == ["FullName", "ListID"]


@pytest.mark.parametrize(
    ("where", "keep"),
    [
        ("IsActive = 0", lambda row: not row.IsActive),
        ("IsActive <> FALSE", lambda row: row.IsActive),
        (
            "FullName LIKE 'A%' AND NOT FullName LIKE 'Ac%'",
            lambda row: row.FullName[0] == "A" and row.FullName[1] != "c",
        ),
        ("{fn UCASE(FullName)} LIKE '%E'", lambda row: row.FullName[-1] in "eE"),
        ("FullName LIKE '_c%'", lambda row: row.FullName[1] == "c"),
        ("FullName IN ('Acme', 'Walk-in')", lambda row: row.FullName in ("Acme", "Walk-in")),
        ("FullName BETWEEN 'Wa' AND 'Wb'", lambda row: "Wa" <= row.FullName <= "Wb"),
        ("ParentRefListID IS NOT NULL", lambda row: row.ParentRefListID is not None),
        (
            "(FullName = 'Acme' OR FullName = 'Zeta Charity') AND Balance = 0",
            lambda row: row.FullName in ("Acme", "Zeta Charity"),
        ),
        ("Balance > 10000", lambda row: row.Balance > 10_000),
        ("Balance >= 250.5 AND Balance <= 1000", lambda row: Decimal("250.5") <= row.Balance <= 1000),
        ("ListID IN (SELECT ListID FROM Customer WHERE Balance <> 0)", lambda row: row.Balance != 0),
    ],
)
def test_conditions_choose_rows(reader: Any, where: str, keep: Callable[[Any], bool]) -> None:
    """Comparisons, LIKE with regard to case, IN, BETWEEN, NULL, AND, OR, NOT and subqueries choose what they say."""
    columns = "ListID, FullName, IsActive, Balance, ParentRefListID"
    every = reader.execute(f"SELECT {columns} FROM Customer").fetchall()
    found = {row.ListID for row in reader.execute(f"SELECT {columns} FROM Customer WHERE {where}").fetchall()}
    assert found == {row.ListID for row in every if keep(row)}
    assert 0 < len(found) < len(every)


def test_moments_compare_to_the_second(reader: Any) -> None:
    """A record changed at exactly the given moment is on the boundary: in with >=, out with >."""
    newest = reader.execute("SELECT MAX(TimeModified) FROM Customer").fetchval()
    assert newest.microsecond == 0
    for operator, count in ((">=", 1), (">", 0), ("=", 1)):
        found = reader.execute(f"SELECT COUNT(*) FROM Customer WHERE TimeModified {operator} ?", newest).fetchval()
        literal = f"{{ts '{newest:%Y-%m-%d %H:%M:%S}.000'}}"
        same = reader.execute(f"SELECT COUNT(*) FROM Customer WHERE TimeModified {operator} {literal}").fetchval()
        assert (found, same) == (count, count)


def test_dates_compare_with_dates_and_midnights(reader: Any) -> None:
    """`{d}` and `{ts ... 00:00:00}` mean the same day for a date column."""
    day = reader.execute("SELECT MIN(TxnDate) FROM Invoice").fetchval()
    assert isinstance(day, dt.date)
    for literal in (f"{{d '{day}'}}", f"{{ts '{day} 00:00:00.000'}}"):
        assert reader.execute(f"SELECT COUNT(*) FROM Invoice WHERE TxnDate <= {literal}").fetchval() == 1


def test_top_order_distinct_and_groups(reader: Any) -> None:
    """TOP limits after ORDER BY; DISTINCT, GROUP BY, SUM and aliases work as everywhere."""
    totals = reader.execute(
        "SELECT CustomerRefListID, SUM(Subtotal) AS Total, COUNT(*) FROM Invoice UNOPTIMIZED"
        " GROUP BY CustomerRefListID ORDER BY Total DESC"
    ).fetchall()
    top = reader.execute("SELECT TOP 3 Subtotal FROM Invoice NOSYNC ORDER BY Subtotal DESC").fetchall()
    distinct = reader.execute("SELECT DISTINCT CustomerRefListID FROM Invoice").fetchall()
    assert len(top) == 3
    assert top[0][0] == max(row[0] for row in top)
    assert len(totals) == len(distinct)
    assert sum(row[1] for row in totals) == reader.execute("SELECT SUM(Subtotal) FROM Invoice").fetchval()


def test_a_line_table_carries_its_header(reader: Any) -> None:
    """InvoiceLine has the invoice's columns beside its own, and joins with the header table."""
    one = reader.execute(
        "SELECT TOP 1 h.RefNumber, l.RefNumber, l.InvoiceLineAmount, l.CustomerRefFullName, c.FullName"
        " FROM Invoice h INNER JOIN InvoiceLine l ON h.TxnID = l.TxnID, Customer c"
        " WHERE c.ListID = h.CustomerRefListID ORDER BY l.InvoiceLineSeqNo"
    ).fetchone()
    assert one[0] == one[1]
    assert one[3] == one[4]
    lines = reader.execute("SELECT TxnID, SUM(InvoiceLineAmount) FROM InvoiceLine GROUP BY TxnID").fetchall()
    heads = dict(map(tuple, reader.execute("SELECT TxnID, Subtotal FROM Invoice").fetchall()))
    assert {row[0]: row[1] for row in lines} == heads


def test_unions_show_their_members(reader: Any) -> None:
    """Item shows the items of all types and Terms both kinds of terms, with the type of each."""
    types = {row[0] for row in reader.execute("SELECT DISTINCT Type FROM Item").fetchall()}
    assert {"ItemService", "ItemNonInventory", "ItemInventory", "ItemDiscount", "ItemSalesTax"} <= types
    one = reader.execute("SELECT TOP 1 FullName, SalesPrice FROM ItemInventory").fetchone()
    assert reader.execute("SELECT Price FROM Item WHERE FullName = ?", one[0]).fetchval() == one[1]
    assert {row[0] for row in reader.execute("SELECT Type FROM Terms").fetchall()} == {
        "StandardTerms",
        "DateDrivenTerms",
    }


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("SELECT Nothing FROM Customer", "[QODBC] Invalid column name: Nothing"),
        ("SELECT * FROM Nothing", "[QODBC] Invalid table name: Nothing"),
        ("SELECT * Customer", "[QODBC] Expected lexical element not found: FROM"),
        ("SELECT * FROM Customer WHERE Name = 5", "[QODBC] Invalid operand for operator: ="),
        ("SELECT * FROM Customer WHERE Balance LIKE '5%'", "[QODBC] Invalid operand for operator: LIKE"),
        ("SELECT * FROM Customer LIMIT 5", "[QODBC] Unexpected extra token: 5"),
        ("DELETE FROM Customer", "[QODBC] Expected lexical element not found: WHERE"),
        ("INSERT INTO Item (Name) VALUES ('x')", "[QODBC] Table is read only: Item"),
        ("sp_nothing Customer", "[QODBC] Stored procedure is not known here: sp_nothing"),
    ],
)
def test_a_wrong_statement_gets_a_remark(reader: Any, statement: str, text: str) -> None:
    """What cannot be read is refused with QODBC's words, and the connection goes on."""
    assert text in refused(lambda: reader.execute(statement))[1]
    assert reader.execute("SELECT COUNT(*) FROM Company").fetchval() == 1


def test_procedures_describe_the_file(reader: Any) -> None:
    """sp_tables and sp_columns name what there is, custom fields and what can be written included."""
    tables = {row.TABLENAME for row in reader.execute("sp_tables").fetchall()}
    assert {"Customer", "InvoiceLine", "JournalEntryCreditLine", "TxnDeleted", "Host"} <= tables
    columns = {row.COLUMNNAME: row for row in reader.execute("sp_columns Customer").fetchall()}
    assert (columns["Name"].TYPENAME, columns["Name"].LENGTH, columns["Name"].REQUIRED_ON_INSERT) == ("VARCHAR", 41, 1)
    assert (columns["Balance"].UPDATEABLE, columns["Phone"].UPDATEABLE, columns["EditSequence"].UPDATEABLE) == (0, 1, 0)
    assert (columns["Phone"].INSERTABLE, columns["ListID"].INSERTABLE, columns["EditSequence"].INSERTABLE) == (1, 0, 0)
    assert columns["CustomFieldAccountID"].CUSTOM_FIELD_NAME == "AccountID"


def test_procedures_tell_keys_and_do_nothing(reader: Any) -> None:
    """sp_primarykeys names a table's key; what concerns QODBC's own copy of the file is taken and does nothing."""
    for table, key in (("Customer", "ListID"), ("Invoice", "TxnID"), ("InvoiceLine", "FQPrimaryKey")):
        (row,) = reader.execute(f"sp_primarykeys {table}").fetchall()
        assert (table, key, 1) == (row.TABLENAME, row.COLUMNNAME, row.KEYSEQ)
    assert "Invalid table name" in refused(lambda: reader.execute("sp_primarykeys Nothing"))[1]
    for statement in ("sp_optimizeupdatesync Customer", "sp_optimizefullsync All", "sp_batchclear Customer"):
        assert reader.execute(statement).description is None


def test_the_drivers_own_catalogue_calls_work(reader: Any) -> None:
    """cursor.tables() and cursor.columns() see tables and columns, as tools that draw lists of them do."""
    assert "InvoiceLine" in {row.table_name for row in reader.tables().fetchall()}
    found = {row.column_name: (row.type_name, row.column_size) for row in reader.columns(table="Class").fetchall()}
    assert found["FullName"] == ("varchar", 159)
    assert reader.primaryKeys("Class").fetchall() == []


def test_the_hosts_clock_is_the_files_local_time(books: Running, reader: Any) -> None:
    """`{fn NOW()}` is the QuickBooks host's local time, to the second."""
    told = reader.execute("SELECT {fn NOW()} AS HostTime FROM Company UNOPTIMIZED").fetchval()
    here = dt.datetime.now(books.sandbox.file.zone).replace(tzinfo=None)
    assert told.microsecond == 0
    assert abs(told - here) < dt.timedelta(seconds=5)
