"""Calls of a business process: signed or with the secret itself, of now, about one record or several."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from iw_operators.systems.calling import OLD, UNREADABLE, UNSIGNED, Call
from iw_operators.systems.creatio.calls import account, calls
from tests.systems.kit_calls import GUID, NOW, SECRET, body_of, process_call, signed

pytestmark = pytest.mark.feature("R12")


def told(data: Any, headers: dict[str, str] | None = None, now: dt.datetime = NOW) -> Any:
    """Return what a body comes to."""
    body = body_of(data)
    return calls(signed("creatio", body) if headers is None else headers, body, SECRET, now)


def test_a_signed_call_names_its_record() -> None:
    """Object and id are taken as they are, the id in small letters and without braces."""
    (call,) = told(process_call("{" + GUID.upper() + "}", company="acme"))
    assert (call.object, call.record_id, call.company, call.account) == ("Account", GUID, "acme", "")
    assert account({"realm_id": "7"}) == ""


def test_a_token_does_where_nothing_can_be_computed() -> None:
    """The secret itself as a bearer token; the time in the body has to be near."""
    assert isinstance(told(process_call(), {"authorization": f"Bearer {SECRET}"}), tuple)
    assert told(process_call(), {"authorization": f"Bearer {SECRET}x"}) == UNSIGNED
    assert told(process_call(), {"authorization": SECRET}) == UNSIGNED
    later = NOW + dt.timedelta(minutes=6)
    assert told(process_call(), {"authorization": f"Bearer {SECRET}"}, later) == OLD


def test_a_changed_body_or_time_is_not_signed() -> None:
    """The signature holds for that body at that time."""
    headers = signed("creatio", body_of(process_call()))
    assert told(process_call(thing="Contact"), headers) == UNSIGNED
    assert told(process_call(), {**headers, "x-iw-timestamp": str(int(headers["x-iw-timestamp"]) + 1)}) == UNSIGNED
    assert told(process_call(), {**headers, "x-iw-timestamp": "soon"}) == UNSIGNED
    assert told(process_call(), {**headers, "x-iw-signature": ""}) == UNSIGNED


def test_an_old_call_is_refused() -> None:
    """Sent again after five minutes, it counts as repeated; so does one whose event is older."""
    body = body_of(process_call())
    headers = signed("creatio", body)
    assert calls(headers, body, SECRET, NOW + dt.timedelta(seconds=299)) != OLD
    assert calls(headers, body, SECRET, NOW + dt.timedelta(seconds=301)) == OLD
    assert told(process_call(at=NOW - dt.timedelta(hours=1))) == OLD


def test_the_same_change_has_the_same_event_and_another_one_has_not() -> None:
    """A repetition is told by its event: the caller's own id, or object, record and time."""
    (first,) = told(process_call())
    (again,) = told(process_call())
    (other,) = told(process_call(at=NOW + dt.timedelta(seconds=1)))
    assert first.event == again.event != other.event
    (named,) = told(process_call(event="7"))
    (renamed,) = told(process_call(event="7", at=NOW + dt.timedelta(seconds=1)))
    assert named.event == renamed.event != first.event


def test_several_records_in_one_call() -> None:
    """A list is as many calls."""
    ids = [f"{number:08x}{GUID[8:]}" for number in range(1, 4)]
    assert [call.record_id for call in told([process_call(each) for each in ids])] == ids


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "Account",
        {},
        process_call("not-a-guid"),
        process_call("00000000-0000-0000-0000-000000000000"),
        process_call(thing="Account;DROP"),
        process_call(event=7),
        process_call(company=["acme"]),
        {"object": "Account", "id": GUID},
        {"object": "Account", "id": GUID, "time": "2026-03-01T12:00:00"},
        [process_call(), 7],
    ],
)
def test_what_cannot_be_read_is_refused(data: object) -> None:
    """A body of another form takes nothing, not even the part of it that is right."""
    assert told(data) == UNREADABLE


def test_a_call_is_a_value() -> None:
    """Two calls about the same are equal."""
    assert Call("e", "Account", GUID) == Call("e", "Account", GUID)
