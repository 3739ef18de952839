"""What is asked of QODBC for a window, and what is made of its rows; over a fake connection."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from iw_operators.engine.model import Record
from iw_operators.systems.base import Window
from iw_operators.systems.quickbooks_desktop import locales
from tests.systems.quickbooks_desktop.fakes import DriverError, Script, batch, clock, create, view

pytestmark = pytest.mark.feature("S3")

NOON = dt.datetime(2026, 1, 31, 17, 0, tzinfo=dt.UTC)  # twelve o'clock in New York
MINUTE = dt.timedelta(minutes=1)


def customer(number: int, minute: int, **more: Any) -> dict[str, Any]:
    """Return a row of a customer that changed so many minutes after noon."""
    return {
        "ListID": f"8000000{number}-1",
        "EditSequence": str(number),
        "TimeModified": clock(2026, 1, 31, 12, minute),
        "IsActive": True,
        "Name": f"Customer {number}",
        **more,
    }


def read(script: Script, window: Window, *names: str, name: str = "Customer", size: int = 10) -> list[list[Record]]:
    """Return the pages of a window."""
    return [list(page) for page in script.system().changes(view(name, *names, lines=False), window, size)]


def test_a_window_is_one_statement_with_the_files_own_time() -> None:
    """Bounds go as local time of the company file; a row at the lower one is in, one at the upper is not."""
    rows = [customer(1, 0), customer(2, 1), customer(3, 2)]
    script = Script({"FROM Customer": rows})
    pages = read(script, Window(NOON, NOON + 2 * MINUTE), "name")
    assert [[record.values["name"] for record in page] for page in pages] == [["Customer 1", "Customer 2"]]
    sql, params = script.asked[0]
    assert sql == (
        "SELECT ListID, EditSequence, TimeModified, IsActive, Name FROM Customer UNOPTIMIZED "
        "WHERE TimeModified >= ? AND TimeModified <= ? ORDER BY TimeModified, ListID"
    )
    assert params == (clock(2026, 1, 31, 12, 0), clock(2026, 1, 31, 12, 2))
    assert "FROM ListDeleted" in script.asked[1][0]
    assert len(script.asked) == 2


def test_a_first_read_has_no_bounds_and_asks_for_no_deletions() -> None:
    """Everything that is there, in pages of the size that is wanted."""
    script = Script({"FROM Customer": [customer(n, n) for n in range(5)]})
    assert [len(page) for page in read(script, Window(None, None), "name", size=2)] == [2, 2, 1]
    assert "WHERE" not in script.asked[0][0]
    assert len(script.asked) == 1


def test_what_was_dealt_with_is_left_out_and_deletions_are_not() -> None:
    """`after` moves the lower bound of changes; what was deleted before it still comes."""
    gone = {"ListID": "80000009-1", "TimeDeleted": clock(2026, 1, 31, 12, 0)}
    script = Script({"FROM Customer": [customer(2, 5)], "FROM ListDeleted": [gone]})
    told = read(script, Window(NOON, None, after=NOON + 3 * MINUTE), "name")
    assert [(record.id, record.deleted) for page in told for record in page] == [
        ("80000002-1", False),
        ("80000009-1", True),
    ]
    assert script.asked[0][1] == (clock(2026, 1, 31, 12, 3),)


def test_a_deletion_of_what_has_just_come_is_not_told_twice() -> None:
    """A record that was read and is deleted by the time that deletions are asked for comes once, as it was read."""
    gone = {"ListID": "80000001-1", "TimeDeleted": clock(2026, 1, 31, 12, 1)}
    script = Script({"FROM Customer": [customer(1, 0)], "FROM ListDeleted": [gone, gone]})
    told = [record for page in read(script, Window(NOON, None), "name") for record in page]
    assert [record.deleted for record in told] == [False]


def test_columns_are_found_in_any_case_and_any_order() -> None:
    """What a driver calls a column, and where it puts it, makes no difference."""
    row = {
        "NAME": "x",
        "listid": "80000001-1",
        "EDITSEQUENCE": "7",
        "timemodified": clock(2026, 1, 31, 12, 0),
        "isactive": 0,
    }
    ((record,),) = read(Script({"FROM Customer": [row]}), Window(None, None), "name")
    assert (record.values["name"], record.version, record.active) == ("x", "7", False)


def test_a_value_that_is_not_of_its_type_stays_text() -> None:
    """A custom field that was mapped as a number and holds words for one record does not stop the others."""
    rows = [customer(1, 0, CreditLimit="a lot of money"), customer(2, 0, CreditLimit="5.00")]
    (found,) = read(Script({"FROM Customer": rows}), Window(None, None), "credit_limit")
    assert [record.values["credit_limit"] for record in found] == ["a lot of money", Decimal("5.00")]


def test_who_was_invoiced_comes_for_the_balance() -> None:
    """Posting changes a customer's balance and not its TimeModified: with the balance, its version is another one."""

    def customers(sql: str, params: Sequence[Any]) -> list[Mapping[str, Any]]:
        del params
        return [customer(1, 30, TotalBalance=Decimal("170.00"))] if "ListID IN" in sql else []

    posted = [{"CustomerRefListID": "80000001-1", "TimeModified": clock(2026, 1, 31, 12, 0)}]
    late = [{"CustomerRefListID": "80000002-1", "TimeModified": clock(2026, 1, 31, 12, 9)}]
    script = Script({"FROM Customer": customers, "FROM Invoice": posted, "FROM ReceivePayment": late})
    ((record,),) = read(script, Window(NOON, NOON + MINUTE), "name", "balance")
    assert (record.values["balance"], record.version) == (Decimal("170.00"), "1~170.00")
    without = Script({"FROM Customer": customers, "FROM Invoice": posted})
    assert read(without, Window(NOON, NOON + MINUTE), "name") == []
    assert not any("FROM Invoice" in sql for sql in without.statements)


def test_items_of_all_kinds_come_in_the_order_of_their_changes() -> None:
    """Each kind has a table of its own; what comes is one stream, the oldest change first."""
    rows = {
        "FROM ItemService": [customer(1, 3)],
        "FROM ItemInventory": [customer(2, 1)],
        "FROM ItemGroup": [customer(3, 2)],
    }
    told = read(Script(rows), Window(None, None), "name", "kind", name="Item")
    assert [[(r.values["name"], r.values["kind"]) for r in page] for page in told] == [
        [("Customer 2", "Inventory"), ("Customer 3", "Group"), ("Customer 1", "Service")]
    ]


@pytest.mark.parametrize(
    ("memo", "total", "voided"), [("VOID: x", 0, True), ("VOID: x", 5, False), ("Avoid", 0, False)]
)
def test_a_voided_transaction_is_told_by_memo_and_total(memo: str, total: int, voided: bool) -> None:
    """QuickBooks leaves a voided transaction with a total of zero and VOID before its memo."""
    row = {
        "TxnID": "1-1",
        "EditSequence": "1",
        "TimeModified": clock(2026, 1, 31, 12, 0),
        "Memo": memo,
        "AmountDue": Decimal(total),
        "RefNumber": "B-1",
    }
    ((record,),) = read(Script({"FROM Bill": [row]}), Window(None, None), "number", name="Bill")
    assert record.voided is voided


def test_ids_that_can_be_none_are_not_asked_for() -> None:
    """Only what looks like an id of QuickBooks' goes into a statement; hundreds go a hundred at a time."""
    script = Script({"FROM Customer": []})
    system = script.system()
    assert system.fetch(view("Customer", "name"), ["", "x' OR 1=1", "7", "-1", "80000001"]) == {}
    assert script.asked == []
    system.existing(view("Customer", "name"), [f"{n:X}-1" for n in range(1, 251)])
    assert [len(params) for _, params in script.asked] == [100, 100, 50]


@pytest.mark.feature("S7")
@pytest.mark.parametrize(
    ("locale", "natives"),
    [
        ("US", ("BillAddressState", "SalesTaxTotal", "CustomerSalesTaxCodeRefFullName", "Subtotal+SalesTaxTotal")),
        ("AU", ("BillAddressState", "SalesTaxTotal", "CustomerSalesTaxCodeRefFullName", "Subtotal+SalesTaxTotal")),
        (
            "CA",
            (
                "BillAddressProvince",
                "Tax1Total+Tax2Total",
                "CustomerTaxCodeRefFullName",
                "Subtotal+Tax1Total+Tax2Total",
            ),
        ),
        ("UK", ("BillAddressCounty", "Tax1Total", "CustomerTaxCodeRefFullName", "Subtotal+Tax1Total")),
    ],
)
def test_what_a_country_calls_it(locale: str, natives: tuple[str, ...]) -> None:
    """Region, taxes and tax codes have the names of the country's edition; nothing else changes."""
    words = ("BillAddressState", "SalesTaxTotal", "CustomerSalesTaxCodeRefFullName", "Subtotal+SalesTaxTotal")
    assert tuple(locales.native(word, locale) for word in words) == natives
    assert locales.native("Name", locale) == "Name"
    assert locales.native("JobStatus", locale) == "JobStatus"


def test_a_file_of_one_currency_has_the_companys_own() -> None:
    """Where records have no currency and there is no list of them, both are the base currency, and none is sent."""
    missing = DriverError("42S02", "no table Currency")
    script = Script(
        {
            "FROM Currency": missing,
            "sp_columns": [{"COLUMNNAME": "Name"}],
            "sp_lastinsertid": [{"LastInsertID": "80000001-1"}],
            "INSERT": 1,
            "FROM Customer": [customer(1, 0, CurrencyRefListID=None)],
        }
    )
    system = script.system(base_currency="CAD")
    field = view("Customer").fields["currency"]
    assert list(system.lookup(field, ["cad", "USD"])) == ["cad"]
    (outcome,) = system.write(
        batch(create("Customer", "k", {"name": "Customer 1", "currency": "CAD"}, "name", "currency"))
    )
    assert outcome.values["currency"] == "CAD"
    inserts = [sql for sql in script.statements if sql.startswith("INSERT")]
    assert inserts == ["INSERT INTO Customer (Name) VALUES (?)"]
