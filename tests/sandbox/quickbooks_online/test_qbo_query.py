"""Queries over HTTP."""

from __future__ import annotations

import pytest

from tests.sandbox.quickbooks_online.qbo_api import Api, read, small_world

pytestmark = pytest.mark.sandbox


def names(api: Api, where: str) -> list[str]:
    """Return the DisplayNames that a condition finds."""
    text = f"SELECT * FROM Customer {where}"  # noqa: S608 - not SQL
    return [row["DisplayName"] for row in api.query(text).get("Customer", [])]


@pytest.mark.feature("S2")
def test_by_get_and_by_post(api: Api) -> None:
    """The same query may come in the address or as a body of application/text."""
    text = "select * from customer where DisplayName = 'Amy\\'s Birds'"
    got = api.call("GET", "query", params={"query": text})
    posted = api.call("POST", "query", data=text.encode(), headers={"Content-Type": "application/text"})
    assert read(got)["QueryResponse"] == read(posted)["QueryResponse"]
    assert read(got)["QueryResponse"]["Customer"][0]["Id"] == "1"
    assert {"startPosition": 1, "maxResults": 1}.items() <= read(got)["QueryResponse"].items()


def test_count(api: Api) -> None:
    """COUNT(*) answers totalCount alone, without inactive rows."""
    answer = read(api.call("GET", "query", params={"query": "SELECT COUNT(*) FROM Customer"}))
    assert answer["QueryResponse"] == {"totalCount": 3}
    assert set(answer) == {"QueryResponse", "time"}


def test_nothing_found(api: Api) -> None:
    """A query without a result answers an empty QueryResponse."""
    assert api.query("SELECT * FROM Customer WHERE DisplayName = 'nobody'") == {}


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("WHERE DisplayName = 'zürich käse'", ["Zürich Käse"]),
        ("WHERE DisplayName LIKE '%BIRD%'", ["Amy's Birds"]),
        ("WHERE DisplayName LIKE 'Am_%'", []),
        ("WHERE DisplayName LIKE 'A%' ORDERBY DisplayName DESC", ["Aviary", "Amy's Birds"]),
        ("WHERE Id IN ('1', '3')", ["Amy's Birds", "Aviary"]),
        ("WHERE Id = '4'", []),
        ("WHERE Id = '4' AND Active = false", ["Gone (deleted)"]),
        ("WHERE Active IN (true, false) AND DisplayName LIKE 'G%'", ["Gone (deleted)"]),
        ("WHERE Active != true", ["Gone (deleted)"]),
        ("WHERE Balance > '0'", ["Amy's Birds"]),
        ("WHERE Balance = '50.05'", ["Amy's Birds"]),
        ("WHERE Job = true", ["Aviary"]),
        ("WHERE ParentRef = '1'", ["Aviary"]),
        ("WHERE PrimaryEmailAddr = 'amy@birds.example'", ["Amy's Birds"]),
        ("WHERE FullyQualifiedName = 'Amy\\'s Birds:Aviary'", ["Aviary"]),
        ("WHERE MetaData.LastUpdatedTime > '2026-01-05T04:00:00-08:00'", ["Aviary"]),
        ("WHERE Metadata.LastUpdatedTime >= '2026-01-05T12:00:00Z' AND Job = false", ["Amy's Birds", "Zürich Käse"]),
        ("WHERE MetaData.CreateTime < '2020-01-01'", []),
        ("STARTPOSITION 2 MAXRESULTS 1", ["Zürich Käse"]),
        ("STARTPOSITION 900", []),
    ],
)
def test_conditions(api: Api, where: str, found: list[str]) -> None:
    """Conditions compare text without case, numbers and moments by value; name lists hide inactive rows."""
    assert names(api, where) == found


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("SELECT * FROM SalesOrder", "Metadata not found for Entity: SalesOrder"),
        ("SELECT * FROM Customer WHERE Shoe = '1'", "Property Shoe not found for Entity Customer"),
        ("SELECT *, Shoe FROM Customer", "Property Shoe not found for Entity Customer"),
        ("SELECT * FROM Customer WHERE Notes = '1'", "property 'Notes' is not queryable"),
        ("SELECT * FROM Invoice WHERE Line.Id = '1'", "property 'Line.Id' is not queryable"),
        ("SELECT * FROM Invoice WHERE DepartmentRef = '1'", "property 'DepartmentRef' is not queryable"),
        ("SELECT * FROM Customer ORDERBY Active", "property 'Active' is not sortable"),
        ("SELECT * FROM Customer WHERE Balance LIKE '1%'", "LIKE is not supported for property Balance"),
        ("SELECT * FROM Customer WHERE Balance > 'much'", "value much is not valid for property Balance"),
        ("SELECT * FROM Customer WHERE Active = 'perhaps'", "value perhaps is not valid for property Active"),
        ("SELECT * FROM Customer WHERE Id = 'x'", "value x is not valid for property Id"),
        ("SELECT * FROM Invoice WHERE TxnDate > '05/01/2026'", "is not valid for property TxnDate"),
        ("SELECT * FROM Customer WHERE MetaData.LastUpdatedTime > 'now'", "value now is not valid"),
    ],
)
def test_refusals(api: Api, text: str, detail: str) -> None:
    """An unknown entity, a property that is not there or not comparable, and a bad value are 4001."""
    response = api.call("GET", "query", params={"query": text})
    assert api.codes(response) == ["4001"]
    assert read(response)["Fault"]["Error"][0]["Message"] == "Invalid query"
    assert detail in read(response)["Fault"]["Error"][0]["Detail"]


def test_pages(api: Api) -> None:
    """A page holds 100 rows unless asked otherwise, at most 1,000, and pages do not overlap."""
    for start in range(0, 1020, 30):
        api.batch([{"bId": str(n), "Customer": {"DisplayName": f"Row {start + n:04}"}} for n in range(30)])
    where = "WHERE DisplayName LIKE 'Row %'"
    assert len(names(api, where)) == 100
    first = names(api, f"{where} MAXRESULTS 4000")
    assert len(first) == 1000
    rest = names(api, f"{where} STARTPOSITION 1001 MAXRESULTS 1000")
    assert sorted(first + rest) == [f"Row {n:04}" for n in range(1020)]


def test_transactions(api: Api) -> None:
    """Transactions are found by number, date, customer and open balance, with their lines."""
    text = "SELECT * FROM Invoice WHERE DocNumber = '1001' AND TxnDate = '2026-01-05' AND CustomerRef = '1'"
    (invoice,) = api.query(f"{text} AND Balance > '0'")["Invoice"]
    assert [line["DetailType"] for line in invoice["Line"]] == ["SalesItemLineDetail", "SubTotalLineDetail"]


def test_what_was_made_since(api: Api) -> None:
    """The time of creation is compared by the moment, with other conditions, and a later change does not move it."""
    since = "MetaData.CreateTime >= '2026-01-07T00:00:00+00:00'"
    assert names(api, f"WHERE Active IN (true, false) AND {since}") == []
    amy = api.get("Customer", "1")
    api.write("Customer", {"Id": "1", "SyncToken": amy["SyncToken"], "sparse": True, "Notes": "changed"})
    made = api.customer("After")
    api.write("Customer", {"Id": made["Id"], "SyncToken": "0", "sparse": True, "Active": False})
    assert names(api, f"WHERE {since}") == []
    assert names(api, f"WHERE Active IN (true, false) AND {since}") == ["After (deleted)"]
    invoice = api.invoice("1", "1")
    found = api.query(f"SELECT * FROM Invoice WHERE CustomerRef = '1' AND {since} MAXRESULTS 1000")  # noqa: S608 - not SQL
    assert [row["Id"] for row in found["Invoice"]] == [invoice["Id"]]
    assert api.query(f"SELECT * FROM Invoice WHERE CustomerRef = '2' AND {since}") == {}  # noqa: S608 - not SQL


def test_seeded_rows_keep_ids_and_stamps(api: Api) -> None:
    """The world's ids, stamps and balances are what the service tells; new Ids go on after them."""
    assert [c.id for c in small_world().books_customers] == ["1", "2", "3", "4"]
    amy = api.get("Customer", "1")
    assert (amy["Balance"], amy["BalanceWithJobs"], amy["SyncToken"]) == (amy["Balance"], amy["Balance"], "0")
    assert str(amy["Balance"]) == "50.05"
    assert amy["MetaData"]["LastUpdatedTime"] == "2026-01-05T04:00:00-08:00"
    kaese = api.get("Customer", "2")
    assert kaese["BillAddr"] | {"Id": ""} == {"Id": "", "Line1": "Weg 1", "Line2": "Hof", "City": "Zürich"}
    assert kaese["CurrencyRef"] == {"value": "EUR", "name": "Euro"}
    invoice = api.get("Invoice", "11")
    assert (str(invoice["TotalAmt"]), str(invoice["Balance"])) == ("100.05", "60.05")
    assert invoice["LinkedTxn"] == [{"TxnId": "13", "TxnType": "Payment"}]
    assert str(api.get("Payment", "13")["UnappliedAmt"]) == "10.00"
    assert api.customer("After")["Id"] == "5"
    assert api.invoice("1", "1")["Id"] == "14"
