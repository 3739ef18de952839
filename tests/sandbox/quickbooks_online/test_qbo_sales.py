"""Invoices and their like: lines, sums, tax, currency, dates, numbers."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from tests.sandbox.quickbooks_online.qbo_api import Api, read, sales_lines

pytestmark = pytest.mark.sandbox
AMY = {"value": "1"}
EURO = {"value": "EUR"}


def test_what_the_service_adds(api: Api) -> None:
    """A new invoice gets number, dates, a subtotal line, totals, custom fields and the customer's address."""
    api.save("Customer", {"Id": "1", "SyncToken": "0", "sparse": True, "BillAddr": {"Line1": "Nest 1"}})
    row = api.invoice("1", "10.00", "20.5", TxnDate="2026-03-01")
    assert [line.get("Id") for line in row["Line"]] == ["1", "2", None]
    assert [line.get("LineNum") for line in row["Line"]] == [1, 2, None]
    assert row["Line"][2] == {
        "Amount": Decimal("30.50"),
        "DetailType": "SubTotalLineDetail",
        "SubTotalLineDetail": {},
    }
    assert (row["TotalAmt"], row["Balance"], row["HomeTotalAmt"]) == (Decimal("30.50"),) * 3
    assert (row["DocNumber"], row["DueDate"]) == ("1003", "2026-03-31")
    assert row["BillAddr"]["Line1"] == "Nest 1"
    assert [(f["DefinitionId"], f["Name"], f["Type"]) for f in row["CustomField"]] == [
        ("1", "Crew #", "StringType"),
        ("2", "Region", "StringType"),
        ("3", "Opportunity", "StringType"),
    ]
    assert all("StringValue" not in field for field in row["CustomField"])
    assert row["LinkedTxn"] == []
    detail = row["Line"][0]["SalesItemLineDetail"]
    assert detail["ItemRef"] == {"value": "1", "name": "Work"}
    assert detail["TaxCodeRef"] == {"value": "NON"}
    assert row["CustomerRef"]["name"] == "Amy's Birds"


@pytest.mark.parametrize(
    ("quantity", "price", "amount", "good"),
    [
        ("2", "50", "100.0", True),
        ("128.350", "14.5", "1861.08", True),
        ("128.350", "14.5", "1861.07", False),
        ("3", "33.35", "100.05", True),
        ("3", "33.35", "100.04", False),
        ("0", "0", "100", True),
        (0, 0, 0, True),
    ],
)
def test_amount_is_quantity_times_price(api: Api, quantity: Any, price: Any, amount: Any, good: bool) -> None:
    """A line's amount is quantity times price, to the cent, halves up; both at zero count as not given."""
    detail = {"ItemRef": {"value": "1"}, "Qty": quantity, "UnitPrice": price}
    line = {"Amount": amount, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": detail}
    response = api.write("Invoice", {"CustomerRef": AMY, "Line": [line]})
    if good:
        assert read(response)["Invoice"]["TotalAmt"] == Decimal(str(amount)).quantize(Decimal("0.01"))
    else:
        assert api.codes(response) == ["6070"]


def test_discounts_and_tax(api: Api) -> None:
    """A discount takes off a percentage or an amount; a tax code's rates apply to what is taxable."""
    lines = sales_lines("100", "50")
    lines[0]["SalesItemLineDetail"]["TaxCodeRef"] = {"value": "TAX"}
    percent = {"DetailType": "DiscountLineDetail", "DiscountLineDetail": {"PercentBased": True, "DiscountPercent": 10}}
    content = {"CustomerRef": AMY, "Line": [*lines, percent], "TxnTaxDetail": {"TxnTaxCodeRef": {"value": "2"}}}
    row = api.save("Invoice", content)
    assert row["TxnTaxDetail"]["TotalTax"] == Decimal("8.00")
    assert row["TotalAmt"] == Decimal("143.00")
    assert [line["DetailType"][:4] for line in row["Line"]] == ["Sale", "Sale", "SubT", "Disc"]
    after = api.save("Invoice", content | {"ApplyTaxAfterDiscount": True})
    assert (after["TxnTaxDetail"]["TotalTax"], after["TotalAmt"]) == (Decimal("7.20"), Decimal("142.20"))
    amount = {"Amount": "5.55", "DetailType": "DiscountLineDetail", "DiscountLineDetail": {"PercentBased": False}}
    given = {"CustomerRef": AMY, "Line": [*lines, amount], "TxnTaxDetail": {"TotalTax": "1.005"}}
    assert api.save("Invoice", given)["TotalAmt"] == Decimal("145.46")


def test_bundles(api: Api) -> None:
    """A group line is expanded into its items, or taken as it is given."""
    parts = [{"ItemRef": {"value": "1"}, "Qty": 2}, {"ItemRef": {"value": "2"}, "Qty": 1}]
    group = api.save("Item", {"Name": "Set", "Type": "Group", "ItemGroupDetail": {"ItemGroupLine": parts}})
    detail = {"GroupItemRef": {"value": group["Id"]}, "Quantity": 3}
    line = {"DetailType": "GroupLineDetail", "GroupLineDetail": detail}
    row = api.save("Invoice", {"CustomerRef": AMY, "Line": [line]})
    inner = row["Line"][0]["GroupLineDetail"]["Line"]
    assert [(part["Amount"], part["SalesItemLineDetail"]["Qty"]) for part in inner] == [
        (Decimal("200.10"), 6),
        (Decimal("240.00"), 3),
    ]
    assert row["TotalAmt"] == Decimal("440.10")
    assert api.get("Item", "2")["QtyOnHand"] == 97
    category = api.save("Item", {"Name": "Cat", "Type": "Category"})
    assert api.codes(api.write("Invoice", {"CustomerRef": AMY, "Line": sales_lines("1", item=category["Id"])})) == [
        "2500"
    ]


def test_new_lines_get_new_ids(api: Api) -> None:
    """Lines that are sent replace the old ones under new Ids; a sparse update without lines keeps them."""
    row = api.invoice("1", "10", "20")
    head = {"Id": row["Id"], "SyncToken": "0", "sparse": True}
    noted = api.save("Invoice", head | {"PrivateNote": "x"})
    assert [line.get("Id") for line in noted["Line"]] == ["1", "2", None]
    after = api.save("Invoice", head | {"SyncToken": "1", "Line": [*row["Line"][:1], *sales_lines("7")]})
    assert [line.get("Id") for line in after["Line"]] == ["3", "4", None]
    assert (after["TotalAmt"], after["PrivateNote"], after["SyncToken"]) == (Decimal("17.00"), "x", "2")
    assert api.fault(api.write("Invoice", head | {"SyncToken": "2", "Line": []})) == [("2020", "Line")]


def test_sparse_update_without_a_change(api: Api) -> None:
    """A sparse update of a transaction that changes nothing does not move its SyncToken."""
    row = api.invoice("1", "10", PrivateNote="x", CustomerMemo={"value": "m"})
    same = {"Id": row["Id"], "SyncToken": "0", "sparse": True, "PrivateNote": "x", "CustomerMemo": {"value": "m"}}
    assert api.save("Invoice", same) == row


def test_full_update_of_what_was_read(api: Api) -> None:
    """What was read can be sent back as a whole: everything stays but token, stamps and line Ids."""
    row = api.invoice("1", "10", PrivateNote="x", BillEmail={"Address": "a@b.example"})
    after = api.save("Invoice", row)
    for version in (row, after):
        version.pop("MetaData")
        version["Line"][0].pop("Id")
    assert after == row | {"SyncToken": "1"}
    blank = api.save("Invoice", {"Id": row["Id"], "SyncToken": "1", "CustomerRef": AMY, "Line": sales_lines("10")})
    assert "PrivateNote" not in blank
    assert "BillEmail" not in blank
    assert blank["TxnDate"] == row["TxnDate"]


def test_numbers(api: Api) -> None:
    """Numbers go on from the highest; one that is taken is 6140 unless duplicates are allowed."""
    assert api.invoice("1", "1", DocNumber="7000")["DocNumber"] == "7000"
    assert api.invoice("1", "1")["DocNumber"] == "7001"
    assert api.invoice("1", "1", DocNumber="INV/1")["DocNumber"] == "INV/1"
    receipt = api.save("SalesReceipt", {"CustomerRef": AMY, "Line": sales_lines("1")})
    assert receipt["DocNumber"] == "7002"
    again = {"CustomerRef": AMY, "Line": sales_lines("1"), "DocNumber": "INV/1"}
    assert api.codes(api.write("Invoice", again)) == ["6140"]
    assert api.save("Invoice", again, include="allowduplicatedocnum")["DocNumber"] == "INV/1"
    assert api.save("SalesReceipt", again)["DocNumber"] == "INV/1"


def test_own_numbers(api: Api) -> None:
    """With custom transaction numbers turned on the service gives none."""
    preferences = read(api.call("GET", "preferences"))["Preferences"]
    change = {"Id": "1", "SyncToken": preferences["SyncToken"], "SalesFormsPrefs": {"CustomTxnNumbers": True}}
    after = api.save("Preferences", change | {"sparse": True})
    assert after["SalesFormsPrefs"]["AllowEstimates"] is True
    assert "DocNumber" not in api.invoice("1", "1")


@pytest.mark.parametrize(
    ("more", "due"),
    [
        ({}, "2026-03-31"),
        ({"SalesTermRef": {"value": "1"}}, "2026-03-01"),
        ({"SalesTermRef": {"value": "4"}}, "2026-04-30"),
        ({"DueDate": "2027-01-01"}, "2027-01-01"),
    ],
)
def test_due_dates(api: Api, more: dict[str, Any], due: str) -> None:
    """The due date follows from the terms of the invoice, else of the customer, unless it is given."""
    row = api.invoice("1", "1", TxnDate="2026-03-01", **more)
    assert row["DueDate"] == due
    moved = {"Id": row["Id"], "SyncToken": "0", "sparse": True, "PrivateNote": "x", "TxnDate": "2026-03-01"}
    assert api.save("Invoice", moved)["DueDate"] == due
    term = api.save("Term", {"Name": "10th", "DayOfMonthDue": 10, "DueNextMonthDays": 5})
    by_day = api.invoice("1", "1", TxnDate="2026-03-06", SalesTermRef={"value": term["Id"]})
    assert by_day["DueDate"] == "2026-04-10"


def test_currency(api: Api) -> None:
    """A transaction is in its customer's currency; a foreign one needs CurrencyRef, and books at 1 without a rate."""
    lines = {"CustomerRef": {"value": "2"}, "Line": sales_lines("100.10")}
    assert api.fault(api.write("Invoice", lines)) == [("2020", "CurrencyRef")]
    assert api.codes(api.write("Invoice", lines | {"CurrencyRef": {"value": "USD"}})) == ["6000"]
    assert api.codes(api.write("Invoice", lines | {"CurrencyRef": {"value": "JPY"}})) == ["2500"]
    trap = api.save("Invoice", lines | {"CurrencyRef": EURO})
    assert (trap["ExchangeRate"], trap["HomeTotalAmt"]) == (1, Decimal("100.10"))
    right = api.save("Invoice", lines | {"CurrencyRef": EURO, "ExchangeRate": "1.0875"})
    assert (right["TotalAmt"], right["HomeTotalAmt"]) == (Decimal("100.10"), Decimal("108.86"))
    assert api.get("Customer", "2")["Balance"] == Decimal("200.20")
    home = api.invoice("1", "5", ExchangeRate="3")
    assert (home["ExchangeRate"], home["CurrencyRef"]["name"]) == (1, "United States Dollar")


def test_custom_fields(api: Api) -> None:
    """A custom field is set by definition or name, kept by sparse updates, at most 31 long, and has to be defined."""
    given = [{"DefinitionId": "2", "StringValue": "North"}]
    row = api.invoice("1", "1", CustomField=given)
    assert [f.get("StringValue") for f in row["CustomField"]] == [None, "North", None]
    named = [{"Name": "Opportunity", "Type": "StringType", "StringValue": "77"}]
    head = {"Id": row["Id"], "SyncToken": "0", "sparse": True}
    after = api.save("Invoice", head | {"CustomField": named})
    assert [f.get("StringValue") for f in after["CustomField"]] == [None, "North", "77"]
    bad = {"CustomerRef": AMY, "Line": sales_lines("1")}
    assert api.codes(api.write("Invoice", bad | {"CustomField": [{"DefinitionId": "9", "StringValue": "x"}]})) == [
        "3000"
    ]
    long = [{"DefinitionId": "1", "StringValue": "x" * 32}]
    assert api.codes(api.write("Invoice", bad | {"CustomField": long})) == ["2050"]


def test_closed_books(api: Api) -> None:
    """Nothing moves in, out of or within closed books: 6210."""
    row = api.invoice("1", "1", TxnDate="2026-06-15")
    api.save("Preferences", {"SyncToken": "0", "AccountingInfoPrefs": {"BookCloseDate": "2026-03-31"}, "sparse": True})
    old = {"CustomerRef": AMY, "Line": sales_lines("1"), "TxnDate": "2026-03-31"}
    assert api.codes(api.write("Invoice", old)) == ["6210"]
    assert api.save("Invoice", old | {"TxnDate": "2026-04-01"})
    head = {"Id": "11", "SyncToken": "0"}
    assert api.codes(api.write("Invoice", head | {"sparse": True, "PrivateNote": "x"})) == ["6210"]
    assert api.codes(api.write("Invoice", head, operation="delete")) == ["6210"]
    assert api.codes(api.write("Invoice", head, operation="void")) == ["6210"]
    into = {"Id": row["Id"], "SyncToken": "0", "sparse": True, "TxnDate": "2026-01-01"}
    assert api.codes(api.write("Invoice", into)) == ["6210"]


def test_delete(api: Api) -> None:
    """A deleted invoice is gone for good; its balance, its payments' use and its answer follow."""
    stale = {"Id": "11", "SyncToken": "9"}
    assert api.codes(api.write("Invoice", stale, operation="delete")) == ["5010"]
    response = api.write("Invoice", {"Id": "11", "SyncToken": "0"}, operation="delete")
    assert read(response)["Invoice"] == {"domain": "QBO", "status": "Deleted", "Id": "11"}
    assert api.codes(api.call("GET", "invoice/11")) == ["610"]
    assert api.codes(api.write("Invoice", {"Id": "11", "SyncToken": "0"}, operation="delete")) == ["610"]
    payment = api.get("Payment", "13")
    assert (payment["UnappliedAmt"], payment["Line"], payment["SyncToken"]) == (Decimal("50.00"), [], "1")
    assert api.get("Customer", "1")["Balance"] == Decimal("-50.00")


def test_void(api: Api) -> None:
    """A voided invoice is worth nothing and says so; what paid it is free."""
    row = api.save("Invoice", {"Id": "11", "SyncToken": "0"}, operation="void")
    assert (row["TotalAmt"], row["Balance"], row["PrivateNote"], row["SyncToken"]) == (0, 0, "Voided", "1")
    assert row["Line"][0]["Amount"] == 0
    assert row["Line"][0]["SalesItemLineDetail"]["Qty"] == 0
    assert row["LinkedTxn"] == []
    assert api.get("Payment", "13")["UnappliedAmt"] == Decimal("50.00")
    receipt = api.save("SalesReceipt", {"CustomerRef": AMY, "Line": sales_lines("8")})
    gone = api.save(
        "SalesReceipt",
        {"Id": receipt["Id"], "SyncToken": "0", "sparse": True},
        operation="update",
        include="void",
    )
    assert (gone["TotalAmt"], gone["PrivateNote"]) == (0, "Voided")


def test_estimate_to_invoice(api: Api) -> None:
    """An invoice that is linked to an estimate closes it."""
    estimate = api.save("Estimate", {"CustomerRef": AMY, "Line": sales_lines("5")})
    assert (estimate["TxnStatus"], "Balance" in estimate) == ("Pending", False)
    invoice = api.invoice("1", "5", LinkedTxn=[{"TxnId": estimate["Id"], "TxnType": "Estimate"}])
    after = api.get("Estimate", estimate["Id"])
    assert (after["TxnStatus"], after["LinkedTxn"]) == (
        "Closed",
        [{"TxnId": invoice["Id"], "TxnType": "Invoice"}],
    )
    assert dt.date.fromisoformat(estimate["TxnDate"])


def test_outside_the_us(api: Api) -> None:
    """Elsewhere a transaction has to say how its tax is reckoned, and each line has a tax code of its own."""
    api.control("reset", {"country": "CA", "throttle": False})
    api.token = api.refresh("iw-refresh-0").json()["access_token"]
    lines = sales_lines("108", "50")
    lines[0]["SalesItemLineDetail"]["TaxCodeRef"] = {"value": "2"}
    content = {"CustomerRef": AMY, "Line": lines}
    assert api.fault(api.write("Invoice", content)) == [("2020", "GlobalTaxCalculation")]
    assert api.codes(api.write("Invoice", content | {"GlobalTaxCalculation": "Maybe"})) == ["2170"]
    for mode, tax, total in (
        ("TaxExcluded", "8.64", "166.64"),
        ("TaxInclusive", "8.00", "158.00"),
        ("NotApplicable", "0.00", "158.00"),
    ):
        row = api.save("Invoice", content | {"GlobalTaxCalculation": mode})
        assert (str(row["TxnTaxDetail"]["TotalTax"]), str(row["TotalAmt"])) == (tax, total)


def test_one_currency(api: Api) -> None:
    """Without multicurrency everything is in the home currency, and no rate is told."""
    api.control("reset", {"multicurrency": False, "throttle": False, "seed": "empty"})
    api.token = api.refresh("iw-refresh-0").json()["access_token"]
    customer = api.customer("Solo")
    assert api.codes(api.write("Customer", {"DisplayName": "E", "CurrencyRef": {"value": "EUR"}})) == ["6000"]
    item = api.save("Item", {"Name": "Work", "Type": "Service"})
    row = api.save("Invoice", {"CustomerRef": {"value": customer["Id"]}, "Line": sales_lines("1", item=item["Id"])})
    assert row["CurrencyRef"]["value"] == "USD"
    assert not {"ExchangeRate", "HomeTotalAmt", "HomeBalance"} & set(row)
