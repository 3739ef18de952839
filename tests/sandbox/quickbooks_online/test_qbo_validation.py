"""What is refused before anything is stored, and how."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.quickbooks_online.qbo_api import Api, expense_lines, payment_of, read, sales_lines

pytestmark = pytest.mark.sandbox
AMY = {"value": "1"}


@pytest.mark.parametrize(
    ("entity", "content", "expected"),
    [
        ("Customer", {"DisplayName": "A", "Shoe": 1}, [("2010", "Shoe")]),
        ("Customer", {"Customer": {"DisplayName": "A"}}, [("2010", "Customer")]),
        ("Customer", {"DisplayName": "A", "BillAddr": {"Line9": "x"}}, [("2010", "Line9")]),
        ("Customer", {"DisplayName": "A", "BillAddr": "here"}, [("2010", "BillAddr")]),
        ("Customer", {"DisplayName": {"a": 1}}, [("2010", "DisplayName")]),
        ("Customer", {}, [("2020", "DisplayName")]),
        ("Customer", {"CompanyName": "Only a company"}, [("2020", "DisplayName")]),
        ("Customer", {"DisplayName": "A:B"}, [("2040", "DisplayName")]),
        ("Customer", {"DisplayName": "A\tB"}, [("2040", "DisplayName")]),
        ("Customer", {"DisplayName": "A\nB"}, [("2040", "DisplayName")]),
        ("Customer", {"GivenName": "A", "FamilyName": "B:C"}, [("2040", "DisplayName")]),
        ("Customer", {"DisplayName": "x" * 501}, [("2050", "DisplayName")]),
        ("Customer", {"DisplayName": "A", "Title": "x" * 17}, [("2050", "Title")]),
        ("Customer", {"DisplayName": "A", "GivenName": "x" * 101}, [("2050", "GivenName")]),
        ("Customer", {"DisplayName": "A", "Notes": "x" * 2001}, [("2050", "Notes")]),
        ("Customer", {"DisplayName": "A", "PrimaryEmailAddr": {"Address": "nowhere"}}, [("2210", "Address")]),
        ("Customer", {"DisplayName": "A", "PreferredDeliveryMethod": "Pigeon"}, [("2170", "PreferredDeliveryMethod")]),
        ("Customer", {"DisplayName": "A", "SalesTermRef": {"value": "99"}}, [("2500", "SalesTermRef")]),
        ("Customer", {"DisplayName": "A", "CurrencyRef": {"value": "JPY"}}, [("2500", "CurrencyRef")]),
        ("Customer", {"DisplayName": "A", "Job": True}, [("2020", "ParentRef")]),
        ("Customer", {"DisplayName": "A", "Active": "perhaps"}, [("2230", "Active")]),
        ("Item", {"Name": "A:B"}, [("2040", "Name")]),
        ("Item", {"Name": "x" * 101, "Sku": "y" * 101}, [("2050", "Name"), ("2050", "Sku")]),
        ("Item", {"Name": "A", "Type": "Thing"}, [("2170", "Type")]),
        ("Item", {"Name": "A", "UnitPrice": "dear"}, [("2080", "UnitPrice")]),
        (
            "Item",
            {"Name": "A", "Type": "Inventory"},
            [
                ("2020", "QtyOnHand"),
                ("2020", "InvStartDate"),
                ("2020", "AssetAccountRef"),
                ("2020", "IncomeAccountRef"),
            ],
        ),
        ("Invoice", {}, [("2020", "Line"), ("2020", "CustomerRef")]),
        ("Invoice", {"CustomerRef": AMY, "Line": []}, [("2020", "Line")]),
        ("Invoice", {"CustomerRef": {"value": "99"}, "Line": sales_lines("1")}, [("2500", "CustomerRef")]),
        ("Invoice", {"CustomerRef": AMY, "Line": sales_lines("1", item="99")}, [("2500", "ItemRef")]),
        ("Invoice", {"CustomerRef": AMY, "Line": sales_lines("1", item="3")}, [("610", "")]),
        ("Invoice", {"CustomerRef": {"value": "4"}, "Line": sales_lines("1")}, [("610", "")]),
        ("Invoice", {"CustomerRef": AMY, "Line": [{"Amount": 1}]}, [("2020", "DetailType")]),
        ("Invoice", {"CustomerRef": AMY, "Line": [{"Amount": 1, "DetailType": "Gift"}]}, [("2170", "DetailType")]),
        ("Invoice", {"CustomerRef": AMY, "Line": sales_lines("1"), "DocNumber": "x" * 22}, [("2050", "DocNumber")]),
        (
            "Invoice",
            {"CustomerRef": AMY, "Line": sales_lines("1"), "PrivateNote": "x" * 4001},
            [("2050", "PrivateNote")],
        ),
        ("Invoice", {"CustomerRef": AMY, "Line": sales_lines("1"), "TxnDate": "5.1.2026"}, [("2060", "TxnDate")]),
        ("Invoice", {"CustomerRef": AMY, "Line": sales_lines("1"), "DocNumber": "1001"}, [("6140", "")]),
        ("Invoice", {"CustomerRef": AMY, "Line": sales_lines("-1")}, [("6000", "")]),
        ("SalesReceipt", {}, [("2020", "Line"), ("2020", "CustomerRef")]),
        ("CreditMemo", {}, [("2020", "Line"), ("2020", "CustomerRef")]),
        ("Estimate", {}, [("2020", "CustomerRef")]),
        ("Bill", {}, [("2020", "VendorRef"), ("2020", "Line")]),
        ("VendorCredit", {}, [("2020", "VendorRef"), ("2020", "Line")]),
        ("Purchase", {}, [("2020", "AccountRef"), ("2020", "PaymentType"), ("2020", "Line")]),
        ("PurchaseOrder", {}, [("2020", "VendorRef"), ("2020", "APAccountRef"), ("2020", "Line")]),
        ("JournalEntry", {}, [("2020", "Line")]),
        ("Deposit", {}, [("2020", "DepositToAccountRef"), ("2020", "Line")]),
        ("Payment", {}, [("2020", "TotalAmt"), ("2020", "CustomerRef")]),
        ("TimeActivity", {}, [("2020", "NameOf")]),
        ("TimeActivity", {"NameOf": "Employee"}, [("2020", "EmployeeRef")]),
        ("Transfer", {}, [("2020", "Amount"), ("2020", "FromAccountRef"), ("2020", "ToAccountRef")]),
        ("Account", {"Name": "A"}, [("2020", "AccountType")]),
        ("Account", {"Name": "A", "AccountType": "Purse"}, [("2170", "AccountType")]),
        ("Term", {"Name": "A"}, [("2020", "DueDays")]),
        ("Employee", {"DisplayName": "A"}, [("2020", "GivenName")]),
        ("Payment", payment_of("1", "10", {"99": "10"}), [("2500", "TxnId")]),
        ("Payment", payment_of("1", "10", {"12": "10"}), [("610", "")]),
        ("Payment", payment_of("1", "10", {"11": "11"}), [("6000", "")]),
    ],
)
def test_refused_creates(api: Api, entity: str, content: Any, expected: list[tuple[str, str]]) -> None:
    """A create that breaks a rule is refused with the vendor's code and the property; nothing is stored."""
    before = api.control("stats")["rows"]
    assert api.fault(api.write(entity, content)) == expected
    assert api.control("stats")["rows"] == before


def test_everything_that_is_wrong_comes_at_once(api: Api) -> None:
    """One fault lists all properties that are wrong."""
    content = {"DisplayName": "a:b", "Shoe": 1, "Notes": "x" * 2001}
    assert sorted(api.codes(api.write("Customer", content))) == ["2010", "2040", "2050"]


def test_texts(api: Api) -> None:
    """Message and detail are the vendor's own words."""

    def texts(response: Any) -> tuple[str, str]:
        error = read(response)["Fault"]["Error"][0]
        return error["Message"], error["Detail"]

    assert texts(api.write("Customer", {"DisplayName": "Amy's Birds"})) == (
        "Duplicate Name Exists Error",
        "The name supplied already exists. : Another customer, vendor or employee is already using this name. "
        "Please use a different name.",
    )
    assert texts(api.write("Invoice", {"CustomerRef": {"value": "583"}, "Line": sales_lines("1")})) == (
        "Invalid Reference Id",
        "Invalid Reference Id : Names element id 583 not found",
    )
    assert texts(api.write("Invoice", {"CustomerRef": AMY})) == (
        "Required param missing, need to supply the required value for the API",
        "Required parameter Line is missing in the request",
    )
    long = {"CustomerRef": AMY, "Line": sales_lines("1"), "DocNumber": "x" * 45}
    assert texts(api.write("Invoice", long)) == (
        "String length is either shorter or longer than supported by specification",
        "String length specified does not match the supported length. Min:0 Max:21 supported. Supplied length:45",
    )
    assert texts(api.write("Invoice", {"CustomerRef": AMY, "Line": sales_lines("1"), "DocNumber": "1001"}))[1].endswith(
        "DocNumber=1001 is assigned to TxnType=Invoice with TxnId=11"
    )


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff", b'{"DisplayName": NaN}', b'{"A":"\\ud800"}'])
def test_bodies_that_are_no_object(api: Api, body: bytes) -> None:
    """A body that is not a JSON object is refused as the vendor's parser does."""
    assert api.codes(api.call("POST", "customer", data=body)) == ["2010"]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "salesorder/1", "500"),
        ("POST", "salesorder", "500"),
        ("GET", "customer", "500"),
        ("GET", "customer/1/notes", "500"),
        ("PUT", "customer/1", "500"),
        ("DELETE", "invoice/11", "500"),
        ("POST", "customer/1", "500"),
        ("POST", "customer?operation=delete", "500"),
        ("POST", "bill?operation=void", "500"),
        ("POST", "invoice?operation=frob", "500"),
        ("POST", "taxcode", "500"),
        ("GET", "customer/abc", "2030"),
        ("GET", "customer/999", "610"),
        ("GET", "invoice/12", "610"),
    ],
)
def test_paths(api: Api, method: str, path: str, code: str) -> None:
    """A path, entity or operation that is not there is code 500; a bad Id 2030; a row that is not there 610."""
    body = {"Id": "11", "SyncToken": "0"} if method == "POST" and "?" in path else {"Name": "x"}
    response = api.call(method, path, json=body if method == "POST" else None)
    assert api.codes(response) == [code]


def test_xml_is_refused(api: Api) -> None:
    """The sandbox speaks JSON alone and says so."""
    asked = api.call("GET", "customer/1", headers={"Accept": "application/xml"})
    sent = api.call("POST", "customer", data=b"<Customer/>", headers={"Content-Type": "application/xml"})
    assert (asked.status_code, sent.status_code) == (406, 415)
    assert api.call("GET", "customer/1", headers={"Accept": "*/*"}).status_code == 200


@pytest.mark.feature("E3")
def test_characters_arrive_unchanged(api: Api) -> None:
    """Punctuation, other scripts, emoji and line breaks come back as they were sent, and are found again."""
    name = "!@#$%^&*+{}[]?><'\"\\ שלום 北京 🎉 “x”"
    notes = "one\ntwo\r\n<three> & \\n"
    row = api.customer(name, Notes=notes)
    assert (api.get("Customer", row["Id"])["DisplayName"], row["Notes"]) == (name, notes)
    literal = name.replace("\\", "\\\\").replace("'", "\\'")
    found = api.query(f"SELECT * FROM Customer WHERE DisplayName = '{literal}'")  # noqa: S608 - not SQL
    assert [c["Id"] for c in found["Customer"]] == [row["Id"]]


def test_references_between_the_lines(api: Api) -> None:
    """References inside lines are checked as well, and come back with the names of what they name."""
    vendor = api.vendor()
    account = api.account("Expense")
    bill = api.save("Bill", {"VendorRef": {"value": vendor["Id"]}, "Line": expense_lines(account, "5")})
    assert bill["Line"][0]["AccountBasedExpenseLineDetail"]["AccountRef"]["name"] == "Advertising"
    assert bill["VendorRef"]["name"] == "Parts & Co"
    bad = {"VendorRef": {"value": "1"}, "Line": expense_lines({"value": "999"}, "5")}
    assert api.fault(api.write("Bill", bad)) == [("2500", "VendorRef"), ("2500", "AccountRef")]
