"""Every entity can be made, read, found, changed, and deleted or made inactive."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.sandbox.quickbooks_online.qbo_api import Api, Json, expense_lines, payment_of, read, sales_lines

pytestmark = pytest.mark.sandbox
AMY = {"value": "1"}

LISTS: dict[str, Json] = {
    "Customer": {"DisplayName": "New"},
    "Vendor": {"DisplayName": "New", "AcctNum": "V-1"},
    "Employee": {"GivenName": "Nina", "FamilyName": "New"},
    "Item": {"Name": "New", "Type": "Service", "UnitPrice": "1.5"},
    "Account": {"Name": "New", "AccountType": "Expense"},
    "Class": {"Name": "New"},
    "Department": {"Name": "New"},
    "Term": {"Name": "Net 7", "DueDays": 7},
    "PaymentMethod": {"Name": "Barter", "Type": "NON_CREDIT_CARD"},
    "CompanyCurrency": {"Code": "GBP", "Name": "British Pound Sterling"},
}


@pytest.mark.parametrize("entity", LISTS)
def test_lists(api: Api, entity: str) -> None:
    """A row of a list is made, found by Id, changed sparsely and as a whole, made inactive, and never deleted."""
    made = api.save(entity, LISTS[entity])
    assert (made["SyncToken"], made["Active"], made["domain"], made["sparse"]) == ("0", True, "QBO", False)
    text = f"SELECT * FROM {entity.lower()} WHERE Id = '{made['Id']}'"  # noqa: S608 - not SQL
    assert api.query(text)[entity] == [made] == [api.get(entity, made["Id"])]
    head = {"Id": made["Id"], "SyncToken": "0", "sparse": True}
    assert api.save(entity, head | LISTS[entity]) == made
    gone = api.save(entity, head | {"Active": False})
    assert (gone["SyncToken"], gone["Active"]) == ("1", False)
    assert api.query(text) == {}
    assert api.query(f"{text} AND Active IN (true, false)")[entity] == [gone]
    back = api.save(entity, LISTS[entity] | {"Id": made["Id"], "SyncToken": "1", "Active": True})
    assert (back["SyncToken"], back["Active"]) == ("2", True)
    response = api.write(entity, {"Id": made["Id"], "SyncToken": "2"}, operation="delete")
    assert api.codes(response) == ["500"]


def journal(api: Api) -> Json:
    """Return a journal entry to post."""

    def line(side: str, account: Json, amount: str) -> Json:
        detail = {"PostingType": side, "AccountRef": account}
        return {"Amount": amount, "DetailType": "JournalEntryLineDetail", "JournalEntryLineDetail": detail}

    return {"Line": [line("Debit", api.account("Expense"), "12.5"), line("Credit", api.account("Bank"), "12.5")]}


def vendor_txn(api: Api) -> Json:
    """Return the head and lines of something bought."""
    name = f"Vendor {api.control('stats')['rows']['Vendor']}"
    return {"VendorRef": {"value": api.vendor(name)["Id"]}, "Line": expense_lines(api.account("Expense"), "12.5")}


def bill_payment(api: Api) -> Json:
    """Return a bill payment to post."""
    bill = api.save("Bill", vendor_txn(api))
    return {
        "VendorRef": {"value": bill["VendorRef"]["value"]},
        "PayType": "CreditCard",
        "CreditCardPayment": {"CCAccountRef": api.account("Credit Card")},
        "TotalAmt": "12.5",
        "Line": [{"Amount": "12.5", "LinkedTxn": [{"TxnId": bill["Id"], "TxnType": "Bill"}]}],
    }


def deposit(api: Api) -> Json:
    """Return a deposit to post."""
    detail = {"AccountRef": api.account("Income"), "CheckNum": "1"}
    line = {"Amount": "12.5", "DetailType": "DepositLineDetail", "DepositLineDetail": detail}
    return {"DepositToAccountRef": api.account("Bank"), "Line": [line]}


def purchase(api: Api) -> Json:
    """Return a check with an item line to post."""
    detail = {"ItemRef": {"value": "2"}, "Qty": 5, "UnitPrice": "2.5"}
    line = {"Amount": "12.5", "DetailType": "ItemBasedExpenseLineDetail", "ItemBasedExpenseLineDetail": detail}
    who = {"value": "1", "type": "Customer"}
    return {"AccountRef": api.account("Bank"), "PaymentType": "Check", "EntityRef": who, "Line": [line]}


def time_activity(api: Api) -> Json:
    """Return hours worked to post."""
    employee = api.save("Employee", {"GivenName": f"E{api.control('stats')['rows']['Employee']}"})
    return {"NameOf": "Employee", "EmployeeRef": {"value": employee["Id"]}, "Hours": 2, "Minutes": 30}


def sale(api: Api) -> Json:
    """Return a sale to post."""
    del api
    return {"CustomerRef": AMY, "Line": sales_lines("12.5")}


TRANSACTIONS: dict[str, Callable[[Api], Json]] = {
    "Invoice": sale,
    "SalesReceipt": sale,
    "Estimate": sale,
    "CreditMemo": sale,
    "RefundReceipt": lambda api: sale(api) | {"DepositToAccountRef": api.account("Bank")},
    "Payment": lambda api: payment_of("1", "12.5", {}),
    "Bill": vendor_txn,
    "VendorCredit": vendor_txn,
    "BillPayment": bill_payment,
    "Purchase": purchase,
    "PurchaseOrder": lambda api: vendor_txn(api) | {"APAccountRef": api.account("Accounts Payable")},
    "JournalEntry": journal,
    "Deposit": deposit,
    "Transfer": lambda api: {
        "Amount": "12.5",
        "FromAccountRef": {"value": "1"},
        "ToAccountRef": {"value": "2"},
    },
    "TimeActivity": time_activity,
}


@pytest.mark.parametrize("entity", TRANSACTIONS)
def test_transactions(api: Api, entity: str) -> None:
    """A transaction is made, found by Id and date, changed sparsely and as a whole, and deleted for good."""
    content = TRANSACTIONS[entity](api)
    made = api.save(entity, content)
    assert made["SyncToken"] == "0"
    if entity != "TimeActivity":
        assert made.get("TotalAmt", made.get("Amount")) == Decimal("12.50")
        assert made["CurrencyRef"]["value"] == "USD"
    text = f"SELECT * FROM {entity} WHERE Id = '{made['Id']}' AND TxnDate = '{made['TxnDate']}'"  # noqa: S608 - not SQL
    assert api.query(text)[entity] == [made] == [api.get(entity, made["Id"])]
    head = {"Id": made["Id"], "SyncToken": "0"}
    note = {"Description": "seen"} if entity == "TimeActivity" else {"PrivateNote": "seen"}
    noted = api.save(entity, head | note | {"sparse": True})
    assert note.items() <= noted.items()
    assert noted["SyncToken"] == "1"
    whole = api.save(entity, content | head | {"SyncToken": "1"})
    assert not note.items() <= whole.items()
    assert api.codes(api.write(entity, head, operation="delete")) == ["5010"]
    answer = read(api.write(entity, head | {"SyncToken": "2"}, operation="delete"))
    assert answer[entity] == {"domain": "QBO", "status": "Deleted", "Id": made["Id"]}
    assert api.codes(api.call("GET", f"{entity.lower()}/{made['Id']}")) == ["610"]


def test_journal_entries_balance(api: Api) -> None:
    """Debits equal credits, each line has a side and an account, receivables name a customer."""
    content = journal(api)
    content["Line"][0]["Amount"] = "12.49"
    assert api.codes(api.write("JournalEntry", content)) == ["6000"]
    sideless = journal(api)
    del sideless["Line"][1]["JournalEntryLineDetail"]["PostingType"]
    assert api.fault(api.write("JournalEntry", sideless)) == [("2020", "PostingType")]
    owed = journal(api)
    detail = owed["Line"][0]["JournalEntryLineDetail"]
    detail["AccountRef"] = api.account("Accounts Receivable")
    assert api.codes(api.write("JournalEntry", owed)) == ["6000"]
    before = api.get("Customer", "1")["Balance"]
    detail["Entity"] = {"Type": "Customer", "EntityRef": AMY}
    api.save("JournalEntry", owed)
    assert api.get("Customer", "1")["Balance"] - before == Decimal("12.50")


def test_inventory_moves(api: Api) -> None:
    """Sold inventory leaves, bought inventory arrives, a deleted sale brings it back."""
    sold = api.save("Invoice", {"CustomerRef": AMY, "Line": sales_lines("80", item="2")})
    assert api.get("Item", "2")["QtyOnHand"] == 99
    api.save("Purchase", purchase(api))
    assert api.get("Item", "2")["QtyOnHand"] == 104
    api.write("Invoice", {"Id": sold["Id"], "SyncToken": "0"}, operation="delete")
    item = api.get("Item", "2")
    assert (item["QtyOnHand"], item["SyncToken"]) == (105, "0")


def test_time_by_start_and_end(api: Api) -> None:
    """A time activity has hours, or a start and an end."""
    content = time_activity(api)
    for name in ("Hours", "Minutes"):
        del content[name]
    assert [e for _, e in api.fault(api.write("TimeActivity", content))] == ["StartTime", "EndTime"]
    span = {"StartTime": "2026-05-01T09:00:00-07:00", "EndTime": "2026-05-01T10:00:00-07:00"}
    assert api.save("TimeActivity", content | span)["StartTime"] == span["StartTime"]


def test_company_and_preferences(api: Api) -> None:
    """The company is read by realm or 1 and by query, and changed sparsely; preferences keep what is left out."""
    for path in ("companyinfo/1", "companyinfo/9130350000000001"):
        assert read(api.call("GET", path))["CompanyInfo"]["CompanyName"] == "Acme Books"
    assert api.query("SELECT * FROM CompanyInfo")["CompanyInfo"][0]["Country"] == "US"
    change = {"Id": "1", "SyncToken": "0", "sparse": True, "LegalName": "Other Inc."}
    assert api.save("CompanyInfo", change)["CompanyName"] == "Acme Books"
    preferences = read(api.call("GET", "preferences"))["Preferences"]
    assert preferences["CurrencyPrefs"] == {"MultiCurrencyEnabled": True, "HomeCurrency": {"value": "USD"}}
    assert api.query("SELECT * FROM Preferences")["Preferences"][0]["Id"] == "1"


def test_exchange_rates(api: Api) -> None:
    """A rate is set for a currency and day, and the one in force on a day is read."""
    for day, rate in (("2026-05-01", "1.1"), ("2026-05-03", "1.2"), ("2026-05-03", "1.25")):
        api.save("ExchangeRate", {"SourceCurrencyCode": "EUR", "AsOfDate": day, "Rate": rate})
    for day, rate in (("2026-05-02", "1.1"), ("2026-05-03", "1.25"), ("2027-01-01", "1.25")):
        params = {"sourcecurrencycode": "EUR", "asofdate": day}
        found = read(api.call("GET", "exchangerate", params=params))["ExchangeRate"]
        assert (found["Rate"], found["TargetCurrencyCode"]) == (Decimal(rate), "USD")
    assert len(api.query("SELECT * FROM ExchangeRate WHERE SourceCurrencyCode IN ('EUR')")["ExchangeRate"]) == 3
    assert api.codes(api.call("GET", "exchangerate", params={"sourcecurrencycode": "XXX"})) == ["610"]
    assert api.codes(api.write("ExchangeRate", {"SourceCurrencyCode": "JPY", "Rate": 1})) == ["2500"]


def test_taxes(api: Api) -> None:
    """Tax codes and rates are made by the tax service, for an agency, and are read like any list."""
    agency = api.save("TaxAgency", {"DisplayName": "Town Hall"})
    rate: dict[str, Any] = {"TaxRateName": "Town", "RateValue": "2.5", "TaxAgencyId": agency["Id"]}
    content = {"TaxCode": "Town code", "TaxRateDetails": [rate, {"TaxRateId": "1"}]}
    made = read(api.call("POST", "taxservice/taxcode", json=content))
    code = api.get("TaxCode", made["TaxCodeId"])
    assert [d["TaxRateRef"]["name"] for d in code["SalesTaxRateList"]["TaxRateDetail"]] == ["Town", "California"]
    assert api.query("SELECT * FROM TaxRate WHERE Name = 'Town'")["TaxRate"][0]["RateValue"] == Decimal("2.5")
    tax = {"TxnTaxDetail": {"TxnTaxCodeRef": {"value": made["TaxCodeId"]}}}
    line = sales_lines("100")
    line[0]["SalesItemLineDetail"]["TaxCodeRef"] = {"value": "TAX"}
    assert api.save("Invoice", {"CustomerRef": AMY, "Line": line} | tax)["TotalAmt"] == Decimal("110.50")
    assert api.codes(api.call("POST", "taxservice/taxcode", json=content)) == ["6240"]
    assert api.codes(api.write("TaxAgency", {"DisplayName": "town hall"})) == ["6240"]


def test_purchase_needs_a_fitting_account(api: Api) -> None:
    """A purchase by credit card is on a card's account, and its payment type stays."""
    content = purchase(api)
    assert api.codes(api.write("Purchase", content | {"PaymentType": "CreditCard"})) == ["6000"]
    made = api.save("Purchase", content)
    assert made["EntityRef"] == {"value": "1", "name": "Amy's Birds", "type": "Customer"}
    change = {"Id": made["Id"], "SyncToken": "0", "sparse": True, "PaymentType": "Cash"}
    assert api.codes(api.write("Purchase", change)) == ["6000"]
