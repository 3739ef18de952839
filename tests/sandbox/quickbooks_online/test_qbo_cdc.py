"""The change feed."""

from __future__ import annotations

import datetime as dt

import pytest
import requests

from sandbox.common.serve import Running
from sandbox.quickbooks_online import QuickBooksOnline
from tests.sandbox.quickbooks_online.qbo_api import Api, Json, read

pytestmark = pytest.mark.sandbox


def changes(api: Api, entities: str, since: str) -> requests.Response:
    """Call the feed."""
    return api.call("GET", "cdc", params={"entities": entities, "changedSince": since})


def found(api: Api, entities: str, since: str) -> list[Json]:
    """Return the answers by entity."""
    content = read(changes(api, entities, since))
    assert set(content) == {"CDCResponse", "time"}
    (response,) = content["CDCResponse"]
    answers: list[Json] = response["QueryResponse"]
    return answers


def now(running: Running[QuickBooksOnline], **before: float) -> str:
    """Return a moment of the sandbox's clock as clients write it."""
    moment = dt.datetime.fromtimestamp(running.sandbox.clock.now(), dt.UTC) - dt.timedelta(**before)
    return moment.isoformat()


@pytest.mark.feature("S2")
def test_changes_and_deletes(api: Api, running: Running[QuickBooksOnline]) -> None:
    """What was made, changed, made inactive or deleted comes back, entity by entity, unchanged ones as {}."""
    since = now(running)
    api.customer("New")
    api.save("Customer", {"Id": "2", "SyncToken": "0", "sparse": True, "Active": False})
    api.write("Invoice", {"Id": "11", "SyncToken": "0"}, operation="delete")
    customers, vendors, invoices, items = found(api, "Customer,Vendor,Invoice,Item", since)
    assert sorted((c["Id"], c["Active"]) for c in customers["Customer"]) == [("1", True), ("2", False), ("5", True)]
    assert (customers["startPosition"], customers["maxResults"]) == (1, 3)
    assert vendors == items == {}
    (gone,) = invoices["Invoice"]
    assert set(gone) == {"status", "domain", "Id", "MetaData"}
    assert (gone["Id"], gone["status"], gone["domain"], set(gone["MetaData"])) == (
        "11",
        "Deleted",
        "QBO",
        {"LastUpdatedTime"},
    )


def test_a_balance_moves_the_customer(api: Api, running: Running[QuickBooksOnline]) -> None:
    """A customer whose balance changes is in the feed, under the SyncToken that it had."""
    since = now(running)
    api.invoice("1", "5")
    (answer,) = found(api, "customer", since)
    assert [(c["Id"], c["SyncToken"]) for c in answer["Customer"]] == [("1", "0")]


def test_seeded_changes_are_old(api: Api, running: Running[QuickBooksOnline]) -> None:
    """Seeded rows count as changed when the seed says, not when the sandbox was started."""
    assert found(api, "Customer,Invoice,Payment,Item", now(running, days=29)) == [{}, {}, {}, {}]


@pytest.mark.parametrize("entity", ["JournalCode", "TaxAgency", "TimeActivity", "TaxCode", "TaxRate", "SalesOrder"])
def test_refused_entities(api: Api, running: Running[QuickBooksOnline], entity: str) -> None:
    """Entities that the feed does not track are refused by name."""
    response = changes(api, f"Customer,{entity}", now(running))
    assert api.codes(response) == ["500"]
    assert entity in read(response)["Fault"]["Error"][0]["Detail"]


def test_refused_dates(api: Api, running: Running[QuickBooksOnline]) -> None:
    """Longer ago than 30 days, no date and a bad one are refused."""
    assert changes(api, "Customer", now(running, days=29.9)).status_code == 200
    old = changes(api, "Customer", now(running, days=30.1))
    assert api.codes(old) == ["500"]
    assert "older than fixed days" in read(old)["Fault"]["Error"][0]["Detail"]
    assert api.codes(changes(api, "Customer", "yesterday")) == ["2060"]
    assert api.codes(changes(api, "Customer", "")) == ["2020"]
    assert api.codes(changes(api, "", now(running))) == ["2020"]


def test_at_most_a_thousand(api: Api, running: Running[QuickBooksOnline]) -> None:
    """An answer holds at most 1,000 objects in all, the oldest changes of an entity first."""
    since = now(running)
    for start in range(0, 990, 30):
        api.batch([{"bId": str(n), "Customer": {"DisplayName": f"Row {start + n}"}} for n in range(30)])
    for start in range(0, 30, 30):
        api.batch([{"bId": str(n), "Vendor": {"DisplayName": f"Vendor {start + n}"}} for n in range(30)])
    customers, vendors = found(api, "Customer,Vendor", since)
    assert (len(customers["Customer"]), len(vendors["Vendor"])) == (990, 10)
    stamps = [row["MetaData"]["LastUpdatedTime"] for row in customers["Customer"]]
    assert stamps == sorted(stamps)


def test_the_sandbox_clock_rules(api: Api, running: Running[QuickBooksOnline]) -> None:
    """A clock that is ahead stamps rows ahead, tells its time in Date and `time`, and ages deletions."""
    api.arm("advance_clock", seconds=40 * 86_400)
    assert api.call("GET", "customer/1").status_code == 401
    api.token = api.refresh(api.refresh_token).json()["access_token"]
    response = api.write("Customer", {"DisplayName": "Later"})
    stamped = dt.datetime.fromisoformat(read(response)["Customer"]["MetaData"]["CreateTime"])
    assert stamped - dt.datetime.now(dt.UTC) > dt.timedelta(days=39)
    told = dt.datetime.strptime(response.headers["Date"], "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=dt.UTC)
    assert abs(told - stamped) < dt.timedelta(seconds=5)
    assert abs(dt.datetime.fromisoformat(read(response)["time"]) - stamped) < dt.timedelta(seconds=5)
    assert found(api, "Customer", now(running, minutes=1))[0]["maxResults"] == 1
