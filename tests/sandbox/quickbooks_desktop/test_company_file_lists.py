"""Lists of the company file: names, references, lengths, edit sequences, deletion."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from sandbox.quickbooks_desktop import Running
from tests import drivers


def add(cursor: Any, table: str, **values: Any) -> str:
    """Insert a list element and return its ListID."""
    marks = ", ".join("?" * len(values))
    cursor.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", *values.values())
    assert cursor.rowcount == 1
    return str(cursor.execute(f"sp_lastinsertid {table}").fetchval())


def refused(call: Callable[[], object]) -> str:
    """Return the text with which a call is refused."""
    return drivers.refused(call)[1]


def test_a_customer_is_made_as_desktop_makes_one(cursor: Any) -> None:
    """A new customer has an id, times to the second, an edit sequence, a full name and no balance."""
    made = add(
        cursor,
        "Customer",
        Name="O'Brien \\ Söhne 🚀",
        CompanyName="x",
        CreditLimit=Decimal("12.5"),
        IsActive=True,
        CustomFieldAccountID="C-1",
    )
    assert re.fullmatch(r"8[0-9A-F]{7}-\d{10}", made)
    row = cursor.execute("SELECT * FROM Customer WHERE ListID = ?", made).fetchone()
    assert (row.FullName, row.CreditLimit, row.IsActive) == ("O'Brien \\ Söhne 🚀", Decimal("12.50"), True)
    assert (row.CustomFieldAccountID, row.Balance, row.Phone) == ("C-1", Decimal(0), None)
    assert row.TimeCreated == row.TimeModified
    assert row.EditSequence.isdigit()


def test_a_taken_name_is_refused(cursor: Any) -> None:
    """Names are unique over customers, vendors and employees, whatever their case (3100)."""
    add(cursor, "Customer", Name="abc")
    assert '[QODBC] Error: 3100 - The name "ABC" of the list element is already in use.' in refused(
        lambda: add(cursor, "Customer", Name="ABC")
    )
    assert "Error: 3100" in refused(lambda: add(cursor, "Vendor", Name="abc"))
    add(cursor, "Class", Name="abc")


def test_a_job_belongs_to_its_customer(cursor: Any) -> None:
    """A job's full name begins with its customer's, and follows when that is renamed."""
    parent = add(cursor, "Customer", Name="Parent")
    job = add(cursor, "Customer", Name="Job", ParentRefFullName="parent")
    row = cursor.execute("SELECT FullName, Sublevel, ParentRefListID FROM Customer WHERE ListID = ?", job).fetchone()
    assert tuple(row) == ("Parent:Job", 1, parent)
    cursor.execute("UPDATE Customer SET Name = 'Other' WHERE ListID = ?", parent)
    assert cursor.execute("SELECT FullName FROM Customer WHERE ListID = ?", job).fetchval() == "Other:Job"
    assert "Error: 3210" in refused(lambda: add(cursor, "Customer", Name="a:b"))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"Name": "x" * 42}, 'Error: 3070 - The string "'),
        ({"Name": "x", "BillAddressPostalCode": "1" * 14}, "The maximum length is 13."),
        ({"Name": "x", "CustomFieldAccountID": "x" * 31}, "The maximum length is 30."),
        ({"Phone": "1"}, 'Error: 3150 - There is a missing element: "Name".'),
        (
            {"Name": "x", "TermsRefFullName": "Net 99"},
            "Error: 3140 - There is an invalid reference to QuickBooks Terms",
        ),
        ({"Name": "x", "Balance": Decimal(1)}, "[QODBC] Field is not insertable: Balance"),
        ({"Name": "x", "Nothing": "1"}, "[QODBC] Invalid column name: Nothing"),
        ({"Name": "x", "JobStartDate": "yesterday"}, "Error: 3020 - There was an error when converting the date"),
        ({"Name": "x", "CreditLimit": "much"}, "Error: 3045 - There was an error when converting the amount"),
    ],
)
def test_what_does_not_fit_is_refused(cursor: Any, values: dict[str, Any], text: str) -> None:
    """Lengths, required fields, references, types and read-only columns are held, with QuickBooks' codes and texts."""
    assert text in refused(lambda: add(cursor, "Customer", **values))
    assert cursor.execute("SELECT COUNT(*) FROM Customer").fetchval() == 0


def test_words_are_of_a_list(cursor: Any) -> None:
    """Kinds of accounts and states of jobs are QuickBooks' own words."""
    kind = refused(lambda: cursor.execute("INSERT INTO Account (Name, AccountType) VALUES ('Odd', 'Piggy bank')"))
    assert '[QODBC] Error: 3152 - There is an invalid enumerated value "Piggy bank" in the field "AccountType"' in kind
    cursor.execute("INSERT INTO Customer (Name, JobStatus) VALUES ('Fine', 'InProgress')")
    state = refused(lambda: cursor.execute("UPDATE Customer SET JobStatus = 'Someday' WHERE Name = 'Fine'"))
    assert "[QODBC] Error: 3152 - " in state


def test_a_reference_is_given_by_id_or_name(cursor: Any) -> None:
    """Either half of a reference will do, and both are filled in."""
    net = cursor.execute("SELECT ListID FROM StandardTerms WHERE Name = 'Net 30'").fetchval()
    for number, given in enumerate(({"TermsRefListID": net}, {"TermsRefFullName": "net 30"})):
        made = add(cursor, "Customer", Name=f"n{number}", **given)
        row = cursor.execute("SELECT TermsRefListID, TermsRefFullName FROM Customer WHERE ListID = ?", made).fetchone()
        assert tuple(row) == (net, "Net 30")


def test_every_kind_of_item_can_be_made(cursor: Any) -> None:
    """Items of all types are made with what they need, and share one space of names."""
    add(
        cursor,
        "ItemService",
        Name="Hour",
        SalesOrPurchasePrice=Decimal("80"),
        SalesOrPurchaseAccountRefFullName="Sales",
    )
    add(cursor, "ItemNonInventory", Name="Part", CustomFieldItemCode="P-1", CustomFieldWeight="2.5")
    add(cursor, "ItemOtherCharge", Name="Fee", ParentRefFullName=None)
    add(cursor, "ItemDiscount", Name="Off", DiscountRatePercent=Decimal(5), AccountRefFullName="Discounts Given")
    stock = {"IncomeAccountRefFullName": "Sales", "COGSAccountRefFullName": "Cost of Goods Sold"}
    assert "Error: 3150" in refused(lambda: add(cursor, "ItemInventory", Name="Box", **stock))
    add(cursor, "ItemInventory", Name="Box", AssetAccountRefFullName="Inventory Asset", **stock)
    add(cursor, "ItemPayment", Name="Paid")
    assert "Error: 3100" in refused(lambda: add(cursor, "ItemService", Name="box"))
    columns = "Name, ItemGroupLineItemRefFullName, ItemGroupLineQuantity"
    cursor.execute(f"INSERT INTO ItemGroupLine ({columns}) VALUES ('Set', 'Hour', 2)")
    shown = cursor.execute(
        "SELECT Name, ItemGroupLineItemRefFullName, ItemGroupLineQuantity FROM ItemGroupLine"
    ).fetchone()
    assert tuple(shown) == ("Set", "Hour", Decimal("2.00000"))


def test_an_update_needs_the_edit_sequence_that_it_names(cursor: Any) -> None:
    """An update makes a later edit sequence; one that names an old one finds no row."""
    made = add(cursor, "Customer", Name="x")
    first = cursor.execute("SELECT EditSequence FROM Customer WHERE ListID = ?", made).fetchval()
    sql = "UPDATE Customer SET Phone = ? WHERE ListID = ? AND EditSequence = ?"
    assert cursor.execute(sql, "1", made, first).rowcount == 1
    assert cursor.execute(sql, "2", made, first).rowcount == 0
    row = cursor.execute("SELECT Phone, EditSequence FROM Customer WHERE ListID = ?", made).fetchone()
    assert row.Phone == "1"
    assert int(row.EditSequence) > int(first)
    assert "Field is not insertable: EditSequence" in refused(
        lambda: cursor.execute("INSERT INTO Customer (Name, EditSequence) VALUES ('New', '1')")
    )
    assert "Field is not updateable: EditSequence" in refused(
        lambda: cursor.execute("UPDATE Customer SET EditSequence = '1' WHERE ListID = ?", made)
    )


def test_a_required_field_cannot_be_emptied(cursor: Any) -> None:
    """Emptying the name is refused; emptying another text makes it NULL."""
    made = add(cursor, "Customer", Name="x", Phone="1")
    assert "Error: 3150" in refused(lambda: cursor.execute("UPDATE Customer SET Name = NULL WHERE ListID = ?", made))
    cursor.execute("UPDATE Customer SET Phone = '' WHERE ListID = ?", made)
    assert cursor.execute("SELECT Phone FROM Customer WHERE Phone IS NULL AND ListID = ?", made).fetchone() is not None


def test_a_deleted_element_shows_in_the_trail(cursor: Any) -> None:
    """A deleted element is gone and told by ListDeleted; one that is in use cannot be deleted (3160)."""
    made = add(cursor, "Customer", Name="x", TermsRefFullName="Net 15")
    assert "Error: 3160" in refused(lambda: cursor.execute("DELETE FROM StandardTerms WHERE Name = 'Net 15'"))
    assert cursor.execute("DELETE FROM Customer WHERE ListID = ?", made).rowcount == 1
    told = cursor.execute("SELECT ListDelType, ListID, FullName FROM ListDeleted").fetchall()
    assert [tuple(row) for row in told] == [("Customer", made, "x")]


@pytest.mark.feature("S7")
@pytest.mark.parametrize("country", ["CA", "UK"])
def test_other_editions_have_other_tax_columns(desk: Running, cursor: Any, country: str, connect: Any) -> None:
    """Outside the US tax codes are TaxCode, and the sum of taxes is Tax1Total."""
    del cursor
    desk.sandbox.reset({"seed": "empty", "country": country})
    other = connect(desk).cursor()
    assert other.execute("SELECT Country FROM Host").fetchval() == country
    assert other.execute("SELECT COUNT(*) FROM TaxCode").fetchval() == 2
    assert (
        other.execute("SELECT TaxCodeRefFullName, BillAddressProvince, BillAddressCounty FROM Customer").fetchall()
        == []
    )
    assert other.execute("SELECT Tax1Total, InvoiceLineTaxCodeRefFullName FROM InvoiceLine").fetchall() == []
    assert "Invalid column name" in refused(lambda: other.execute("SELECT SalesTaxTotal FROM Invoice"))
