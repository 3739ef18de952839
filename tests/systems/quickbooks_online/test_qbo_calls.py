"""Intuit's webhooks in both forms."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from iw_operators.systems.calling import UNREADABLE, UNSIGNED
from iw_operators.systems.quickbooks_online.calls import account, calls
from tests.systems.kit_calls import NOW, SECRET, body_of, cloud_events, notification, signed

pytestmark = pytest.mark.feature("R12")


def told(data: Any, headers: dict[str, str] | None = None, now: dt.datetime = NOW) -> Any:
    """Return what a body comes to."""
    body = body_of(data)
    return calls(signed("quickbooks_online", body) if headers is None else headers, body, SECRET, now)


def brief(data: Any) -> list[tuple[str, str, str]]:
    """Return (account, object, record) of what a body comes to."""
    return [(call.account, call.object.lower(), call.record_id) for call in told(data)]


@pytest.mark.parametrize("make", [notification, cloud_events])
def test_both_forms_say_the_same(make: Any) -> None:
    """Which records of which company have changed."""
    found = brief(make(("customer", "1", "created"), ("Invoice", "95", "updated")))
    assert found == [("1234567890", "customer", "1"), ("1234567890", "invoice", "95")]


def test_a_merge_is_about_both_records() -> None:
    """The one that is left, and the one that went into it."""
    data = notification(("Vendor", "2", "Merge"))
    data["eventNotifications"][0]["dataChangeEvent"]["entities"][0]["deletedId"] = "9"
    assert brief(data) == [("1234567890", "vendor", "2"), ("1234567890", "vendor", "9")]


def test_several_companies_in_one_request() -> None:
    """One address serves all companies of an app; each change says whose it is."""
    both = {
        "eventNotifications": [
            *notification(("Customer", "1", "Create"))["eventNotifications"],
            *notification(("Customer", "1", "Create"), realm="77")["eventNotifications"],
        ]
    }
    assert brief(both) == [("1234567890", "customer", "1"), ("77", "customer", "1")]
    events = {call.event for call in told(both)}
    assert len(events) == 2


def test_a_wrong_signature_is_refused() -> None:
    """Another token, another body, none, or one in another alphabet: refused."""
    data = notification(("Customer", "1", "Create"))
    assert told(data, signed("quickbooks_online", body_of(data), "another-token-0123456789")) == UNSIGNED
    assert told(data, signed("quickbooks_online", b"{}")) == UNSIGNED
    assert told(data, {}) == UNSIGNED
    assert told(data, {"intuit-signature": "é"}) == UNSIGNED


@pytest.mark.parametrize("make", [notification, cloud_events])
def test_repetitions_are_told_and_old_changes_passed_over(make: Any) -> None:
    """The same request an hour later has the same events; after a day its changes are of no interest any more."""
    data = make(("customer", "1", "updated"))
    first, later = told(data), told(data, now=NOW + dt.timedelta(hours=1))
    assert first == later
    assert told(data, now=NOW + dt.timedelta(hours=25)) == ()
    assert told(data, now=NOW - dt.timedelta(hours=1)) == ()
    other = make(("customer", "1", "deleted"))
    assert told(other)[0].event != first[0].event


def test_the_forms_in_which_intuit_writes_times() -> None:
    """An offset without a colon, and milliseconds."""
    for text in ("2026-03-01T04:00:00-0800", "2026-03-01T12:00:00.000Z"):
        data = notification(("Customer", "1", "Create"))
        data["eventNotifications"][0]["dataChangeEvent"]["entities"][0]["lastUpdated"] = text
        assert len(told(data)) == 1


def test_events_about_something_else_are_passed_over() -> None:
    """A type that is about no record is left out; the rest counts."""
    events = cloud_events(("customer", "1", "created"), ("customer", "2", "created"))
    events[0]["type"] = "intuit.app.disconnected"
    assert brief(events) == [("1234567890", "customer", "2")]


@pytest.mark.parametrize(
    "data",
    [
        7,
        "text",
        None,
        {"eventNotifications": 7},
        {"eventNotifications": [7]},
        {"eventNotifications": [{"realmId": "1"}]},
        {"eventNotifications": [{"realmId": "x", "dataChangeEvent": {"entities": []}}]},
        notification(("Customer", "1;2", "Create")),
        notification(("Cust omer", "1", "Create")),
        cloud_events(("customer", "x", "created")),
        [{"type": 7}],
    ],
)
def test_what_cannot_be_read_is_refused(data: object) -> None:
    """A body of another form takes nothing."""
    assert told(data) == UNREADABLE


def test_the_account_is_the_realm() -> None:
    """The connection's realm, written with or without blanks."""
    assert account({"realm_id": "1234 5678 90"}) == "1234567890"
    assert account({}) == ""
