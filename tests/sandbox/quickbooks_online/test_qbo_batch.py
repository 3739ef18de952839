"""Batches, request ids, and what is left of them when a connection breaks."""

from __future__ import annotations

import pytest
import requests

from tests.sandbox.quickbooks_online.qbo_api import Api, Json, read, sales_lines

pytestmark = pytest.mark.sandbox


def new(bid: str, name: str) -> Json:
    """Return an item that makes a customer."""
    return {"bId": bid, "operation": "create", "Customer": {"DisplayName": name}}


@pytest.mark.feature("S2")
def test_mixed_items(api: Api) -> None:
    """Items of all sorts are answered in order, each with its bId, HTTP 200 even with faults among them."""
    answers = api.batch(
        [
            new("a", "One"),
            {
                "bId": "b",
                "operation": "update",
                "Customer": {"Id": "1", "SyncToken": "0", "sparse": True, "Notes": "n"},
            },
            new("c", "one"),
            {"bId": "d", "Query": "SELECT * FROM Customer WHERE Id = '1'"},
            {"bId": "e", "operation": "delete", "Invoice": {"Id": "11", "SyncToken": "0"}},
            {"bId": "f", "Query": "SELECT Id FROM Customer"},
            {"bId": "g", "operation": "update", "Customer": {"Id": "2", "SyncToken": "5", "sparse": True}},
            {"bId": "h", "operation": "create", "SalesOrder": {}},
        ]
    )
    assert [answer["bId"] for answer in answers] == list("abcdefgh")
    assert answers[0]["Customer"]["DisplayName"] == "One"
    assert answers[1]["Customer"]["SyncToken"] == "1"
    assert answers[3]["QueryResponse"]["Customer"][0]["Notes"] == "n"
    assert answers[4]["Invoice"]["status"] == "Deleted"
    codes = {a["bId"]: a["Fault"]["Error"][0]["code"] for a in answers if "Fault" in a}
    assert codes == {"c": "6240", "f": "4001", "g": "5010", "h": "2010"}


def test_an_item_without_operation_is_a_create(api: Api) -> None:
    """Without `operation` an item makes a new row, whatever Id it carries."""
    content = {"Id": "1", "SyncToken": "0", "DisplayName": "Meant as an update"}
    (answer,) = api.batch([{"bId": "1", "Customer": content}])
    assert (answer["Customer"]["Id"], answer["Customer"]["SyncToken"]) == ("5", "0")
    assert api.get("Customer", "1")["DisplayName"] == "Amy's Birds"


def test_a_refused_item_leaves_nothing(api: Api) -> None:
    """What a refused item had begun is undone, and the items around it stay."""
    line = sales_lines("1")
    bad = {"CustomerRef": {"value": "1"}, "Line": line, "DocNumber": "1001"}
    answers = api.batch([{"bId": "1", "Invoice": bad}, {"bId": "2", "Invoice": {**bad, "DocNumber": "9"}}])
    assert answers[0]["Fault"]["Error"][0]["code"] == "6140"
    assert answers[1]["Invoice"]["Id"] == "14"
    allowed = api.batch([{"bId": "1", "Invoice": bad, "optionsData": "allowduplicatedocnum"}])
    assert allowed[0]["Invoice"]["DocNumber"] == "1001"
    void = {"bId": "1", "operation": "void", "Invoice": {"Id": "11", "SyncToken": "0"}}
    assert api.batch([void])[0]["Invoice"]["PrivateNote"] == "Voided"


def test_limits(api: Api) -> None:
    """At most 30 items; a request id of at most 36 characters, and then bIds of at most 10."""
    items = [new(str(n), f"N{n}") for n in range(31)]
    assert api.codes(api.call("POST", "batch", json={"BatchItemRequest": items})) == ["1040"]
    assert api.codes(api.call("POST", "batch", json={"BatchItemRequest": []})) == ["2020"]
    assert api.codes(api.call("POST", "batch", json={"Items": []})) == ["2010"]
    long = api.call("POST", "batch", json={"BatchItemRequest": items[:1]}, params={"requestid": "r" * 37})
    assert api.codes(long) == ["2130"]
    (answer,) = api.batch([new("12345678901", "Long")], requestid="r" * 36)
    assert answer["Fault"]["Error"][0]["code"] == "2050"
    (answer,) = api.batch([new("5e55a3f0-0000-4000-8000-0123456789ab", "Long")])
    assert answer["Customer"]["DisplayName"] == "Long"
    assert api.codes(api.write("Customer", {"DisplayName": "x"}, requestid="r" * 51)) == ["2130"]
    assert api.control("stats")["written"] == {"create Customer": 1}


@pytest.mark.feature("B2")
def test_request_id_replays(api: Api) -> None:
    """The same request id gets the first answer again and nothing is done twice, even after a delete."""
    content = {"CustomerRef": {"value": "1"}, "Line": sales_lines("5")}
    first = api.write("Invoice", content, requestid="r1")
    assert api.write("Invoice", content, requestid="r1").text == first.text
    row = read(first)["Invoice"]
    api.write("Invoice", {"Id": row["Id"], "SyncToken": "0"}, operation="delete")
    assert api.write("Invoice", content, requestid="r1").text == first.text
    assert api.codes(api.call("GET", f"invoice/{row['Id']}")) == ["610"]
    assert api.save("Invoice", content, requestid="r2")["Id"] != row["Id"]
    assert api.control("stats")["written"]["create Invoice"] == 2


def test_refusals_are_not_replayed(api: Api) -> None:
    """A request that was refused may come again under its id once the reason is gone."""
    content = {"DisplayName": "Amy's Birds"}
    assert api.codes(api.write("Customer", content, requestid="r1")) == ["6240"]
    api.save("Customer", {"Id": "1", "SyncToken": "0", "sparse": True, "DisplayName": "Other"})
    assert api.save("Customer", content, requestid="r1")["Id"] == "5"


@pytest.mark.feature("B2")
def test_batches_replay_item_by_item(api: Api) -> None:
    """In a batch each (request id, bId) is done once; new bIds under the same request id are new."""
    first = api.batch([new("1", "A"), new("2", "B"), new("3", "Amy's Birds")], requestid="q")
    second = api.batch([new("1", "changed"), new("2", "B"), new("3", "C"), new("4", "D")], requestid="q")
    assert second[:2] == first[:2]
    assert [answer["Customer"]["DisplayName"] for answer in second] == ["A", "B", "C", "D"]
    assert [answer["Customer"]["Id"] for answer in second] == ["5", "6", "7", "8"]


@pytest.mark.feature("B2")
def test_half_a_batch(api: Api) -> None:
    """Half of a batch is committed and the connection closed; sent again under its id, the rest is done, once."""
    api.arm("half_batch")
    items = [new(str(n), f"Half {n}") for n in range(7)]
    with pytest.raises(requests.ConnectionError):
        api.batch(items, requestid="h")
    where = "FROM Customer WHERE DisplayName LIKE 'Half%'"
    assert api.query(f"SELECT COUNT(*) {where}")["totalCount"] == 4
    answers = api.batch(items, requestid="h")
    assert [answer["Customer"]["DisplayName"] for answer in answers] == [f"Half {n}" for n in range(7)]
    assert api.query(f"SELECT COUNT(*) {where}")["totalCount"] == 7


@pytest.mark.feature("B2")
def test_answer_lost_after_the_commit(api: Api) -> None:
    """A write whose answer is lost is there, and its request id finds it again."""
    api.arm("drop_after", match="/customer")
    with pytest.raises(requests.ConnectionError):
        api.write("Customer", {"DisplayName": "Lost"}, requestid="l")
    assert api.save("Customer", {"DisplayName": "Lost"}, requestid="l")["Id"] == "5"


def test_faults_of_writes(api: Api) -> None:
    """`stale` refuses the next update, `business_error` the next create or update, in batches as well."""
    change = {"Id": "1", "SyncToken": "0", "sparse": True, "Notes": "x"}
    api.arm("stale")
    assert api.customer("Passes")["Id"] == "5"
    assert api.codes(api.write("Customer", change)) == ["5010"]
    api.arm("business_error", after=1)
    answers = api.batch([new("1", "A"), new("2", "B"), new("3", "C")])
    assert ["Fault" in answer for answer in answers] == [False, True, False]
    assert answers[1]["Fault"]["Error"][0]["code"] == "6000"
    assert api.save("Customer", change)["SyncToken"] == "1"
