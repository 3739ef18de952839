"""Customers, items and other lists: updates, names, hierarchy, being inactive."""

from __future__ import annotations

import pytest

from tests.sandbox.quickbooks_online.qbo_api import Api, read

pytestmark = pytest.mark.sandbox


def test_what_the_service_adds(api: Api) -> None:
    """A new customer gets its Id, token, stamps, full name, printed name, currency and defaults."""
    row = api.customer("  Fresh  ", PrimaryPhone={"FreeFormNumber": "1"}, BillAddr={"Line1": "x"})
    assert row["MetaData"]["CreateTime"] == row["MetaData"]["LastUpdatedTime"]
    assert row["BillAddr"]["Id"]
    expected = {
        "Id": "5",
        "SyncToken": "0",
        "domain": "QBO",
        "sparse": False,
        "DisplayName": "Fresh",
        "FullyQualifiedName": "Fresh",
        "PrintOnCheckName": "Fresh",
        "Active": True,
        "Job": False,
        "BillWithParent": False,
        "Taxable": True,
        "CurrencyRef": {"value": "USD", "name": "United States Dollar"},
        "PreferredDeliveryMethod": "Print",
    }
    assert expected.items() <= row.items()


def test_display_name_is_built_from_parts(api: Api) -> None:
    """Without a DisplayName the parts of the person's name make one."""
    parts = {"Title": "Dr", "GivenName": "Ana", "MiddleName": "de", "FamilyName": "Souza", "Suffix": "Jr"}
    assert api.save("Customer", parts)["DisplayName"] == "Dr Ana de Souza Jr"


@pytest.mark.feature("S2")
def test_sparse_update_keeps_what_is_left_out(api: Api) -> None:
    """A sparse update changes what it carries, empties what it carries empty, and keeps the rest."""
    row = api.customer("S", Notes="n", PrimaryPhone={"FreeFormNumber": "1"}, BillAddr={"Line1": "x", "City": "y"})
    head = {"Id": row["Id"], "SyncToken": "0", "sparse": True}
    after = api.save("Customer", head | {"Notes": "", "PrimaryPhone": {}, "BillAddr": {"City": "z"}, "Title": None})
    assert after["SyncToken"] == "1"
    assert "Notes" not in after
    assert "PrimaryPhone" not in after
    assert after["BillAddr"] == {"Id": row["BillAddr"]["Id"], "City": "z"}
    assert after["DisplayName"] == "S"


def test_sparse_update_without_a_change(api: Api) -> None:
    """A sparse update that changes nothing leaves SyncToken and stamps alone."""
    row = api.customer("S", Notes="n", SalesTermRef={"value": "3"})
    same = {"Id": row["Id"], "SyncToken": 0, "sparse": True, "Notes": "n", "SalesTermRef": {"value": "3", "name": "?"}}
    assert api.save("Customer", same) == row
    assert api.save("Customer", {**same, "Notes": "m"})["SyncToken"] == "1"


def test_full_update_blanks_what_is_left_out(api: Api) -> None:
    """A full update keeps only what it carries, and what the service owns."""
    row = api.customer("F", Notes="n", PrimaryEmailAddr={"Address": "f@f.example"}, CurrencyRef={"value": "EUR"})
    after = api.save("Customer", {"Id": row["Id"], "SyncToken": "0", "DisplayName": "F2", "sparse": False})
    assert "Notes" not in after
    assert "PrimaryEmailAddr" not in after
    assert (after["DisplayName"], after["SyncToken"], after["CurrencyRef"]["value"]) == ("F2", "1", "EUR")
    assert after["MetaData"]["CreateTime"] == row["MetaData"]["CreateTime"]
    nameless = {"Id": row["Id"], "SyncToken": "1", "Notes": "x"}
    assert api.fault(api.write("Customer", nameless)) == [("2020", "DisplayName")]


@pytest.mark.parametrize("token", ["7", "-1", 1])
def test_stale_token(api: Api, token: object) -> None:
    """Any SyncToken but the current one is 5010."""
    response = api.write("Customer", {"Id": "1", "SyncToken": token, "sparse": True, "Notes": "x"})
    assert api.codes(response) == ["5010"]
    assert read(response)["Fault"]["Error"][0]["Message"] == "Stale Object Error"


def test_update_needs_token_and_row(api: Api) -> None:
    """An update without a SyncToken is 2020, of a row that is not there 610, with a strange Id 2030."""
    assert api.fault(api.write("Customer", {"Id": "1", "sparse": True, "Notes": "x"})) == [("2020", "SyncToken")]
    assert api.codes(api.write("Customer", {"Id": "999", "SyncToken": "0"})) == ["610"]
    assert api.codes(api.write("Customer", {"Id": "x1", "SyncToken": "0"})) == ["2030"]


@pytest.mark.parametrize("entity", ["Customer", "Vendor", "Employee"])
def test_one_name_space(api: Api, entity: str) -> None:
    """A DisplayName is unique across customers, vendors and employees, whatever its case."""
    row = {"DisplayName": "AMY'S birds", "GivenName": "Amy"}
    assert api.codes(api.write(entity, row)) == ["6240"]
    api.save(entity, {"DisplayName": "Somebody", "GivenName": "S"})
    assert api.codes(api.write("Customer", {"DisplayName": "somebody"})) == ["6240"]


def test_other_lists_have_name_spaces_of_their_own(api: Api) -> None:
    """An item may be called as a customer is; two items may not be called alike."""
    api.save("Item", {"Name": "Amy's Birds", "Type": "Service"})
    assert api.codes(api.write("Item", {"Name": "amy's birds", "Type": "Service"})) == ["6240"]
    assert api.codes(api.write("Term", {"Name": "Net 30", "DueDays": 30})) == ["6240"]


def test_inactive(api: Api) -> None:
    """Made inactive, X is called X (deleted), hidden, and its name is free; made active again it is X."""
    row = api.customer("X")
    gone = api.save("Customer", {"Id": row["Id"], "SyncToken": "0", "sparse": True, "Active": False})
    assert (gone["DisplayName"], gone["FullyQualifiedName"], gone["Active"]) == ("X (deleted)", "X (deleted)", False)
    assert api.query(f"SELECT * FROM Customer WHERE Id = '{row['Id']}'") == {}  # noqa: S608 - not SQL
    assert api.get("Customer", row["Id"])["Active"] is False
    other = api.customer("X")
    back = {"Id": row["Id"], "SyncToken": "1", "sparse": True, "Active": True}
    assert api.codes(api.write("Customer", back)) == ["6240"]
    api.save("Customer", {"Id": other["Id"], "SyncToken": "0", "sparse": True, "DisplayName": "Y"})
    assert api.save("Customer", back)["DisplayName"] == "X"


def test_hierarchy(api: Api) -> None:
    """Jobs carry the full name of their parents, at most four levels below the top, and follow a new name."""
    parent, ids = api.customer("Top"), []
    above = parent["Id"]
    for level in range(1, 5):
        row = api.customer(f"L{level}", Job=True, ParentRef={"value": above}, BillWithParent=True)
        assert row["Level"] == level
        above = row["Id"]
        ids.append(above)
    assert api.get("Customer", above)["FullyQualifiedName"] == "Top:L1:L2:L3:L4"
    assert api.codes(api.write("Customer", {"DisplayName": "L5", "ParentRef": {"value": above}})) == ["6000"]
    loop = {"Id": ids[0], "SyncToken": "0", "sparse": True, "ParentRef": {"value": ids[3]}}
    assert api.codes(api.write("Customer", loop)) == ["6000"]
    invoice = api.invoice(above, "5")
    api.save("Customer", {"Id": parent["Id"], "SyncToken": "0", "sparse": True, "DisplayName": "New"})
    leaf = api.get("Customer", above)
    assert (leaf["FullyQualifiedName"], leaf["SyncToken"]) == ("New:L1:L2:L3:L4", "0")
    assert leaf["ParentRef"]["name"] == "New:L1:L2:L3"
    assert api.get("Invoice", invoice["Id"])["CustomerRef"]["name"] == "New:L1:L2:L3:L4"
    assert str(api.get("Customer", parent["Id"])["BalanceWithJobs"]) == "5.00"
    assert str(api.get("Customer", parent["Id"])["Balance"]) == "0.00"


def test_currency_stays(api: Api) -> None:
    """A customer's currency cannot be changed; a job has its parent's."""
    change = {"Id": "2", "SyncToken": "0", "sparse": True, "CurrencyRef": {"value": "USD"}}
    assert api.codes(api.write("Customer", change)) == ["6000"]
    job = api.customer("Job", Job=True, ParentRef={"value": "2"})
    assert job["CurrencyRef"]["value"] == "EUR"


def test_items_of_every_kind(api: Api) -> None:
    """Service, NonInventory, Inventory, Category and Group items keep what belongs to them."""
    income, asset = api.account("Income"), api.account("Other Current Asset")
    service = api.save("Item", {"Name": "S", "Type": "Service", "IncomeAccountRef": income, "UnitPrice": "1.2345678"})
    assert (service["TrackQtyOnHand"], service["IncomeAccountRef"]["name"]) == (False, "Services")
    stock = {"Name": "I", "Type": "Inventory", "QtyOnHand": 5, "InvStartDate": "2026-01-01", "UnitPrice": 3}
    inventory = api.save("Item", stock | {"IncomeAccountRef": income, "AssetAccountRef": asset})
    assert (inventory["TrackQtyOnHand"], inventory["ExpenseAccountRef"]["name"]) == (True, "Cost of Goods Sold")
    change = {"Id": inventory["Id"], "SyncToken": "0", "sparse": True, "Type": "Service"}
    assert api.codes(api.write("Item", change)) == ["6000"]
    category = api.save("Item", {"Name": "C", "Type": "Category"})
    below = api.save(
        "Item", {"Name": "S", "Type": "NonInventory", "SubItem": True, "ParentRef": {"value": category["Id"]}}
    )
    assert (below["FullyQualifiedName"], below["Level"]) == ("C:S", 1)
    assert api.fault(api.write("Item", {"Name": "G", "Type": "Group"})) == [("2020", "ItemGroupDetail")]
    parts = [{"ItemRef": {"value": service["Id"]}, "Qty": 2}, {"ItemRef": {"value": inventory["Id"]}, "Qty": 1}]
    group = api.save("Item", {"Name": "G", "Type": "Group", "ItemGroupDetail": {"ItemGroupLine": parts}})
    assert [line["ItemRef"]["name"] for line in group["ItemGroupDetail"]["ItemGroupLine"]] == ["S", "I"]
    found = api.query("SELECT *, Sku FROM Item WHERE Type = 'Group'")["Item"]
    assert [row["Id"] for row in found] == [group["Id"]]


def test_accounts(api: Api) -> None:
    """An account gets its classification from its type, and a name below its parent."""
    parent = api.save("Account", {"Name": "Vehicles", "AccountType": "Fixed Asset"})
    assert (parent["Classification"], parent["SubAccount"]) == ("Asset", False)
    child = api.save("Account", {"Name": "Truck", "AccountType": "Fixed Asset", "ParentRef": {"value": parent["Id"]}})
    assert (child["FullyQualifiedName"], child["SubAccount"]) == ("Vehicles:Truck", True)
    assert api.save("Account", {"Name": "Till", "AccountSubType": "Checking"})["AccountType"] == "Bank"
