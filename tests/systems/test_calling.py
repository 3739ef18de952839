"""What systems' calls have in common, held against whatever a caller may send."""

from __future__ import annotations

import datetime as dt
import string
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iw_operators.systems.calling import Call, Refusal, moment, near
from iw_operators.systems.registry import calling, systems
from tests.systems.kit_calls import NOW, SECRET, signed

CALLING = [name for name in systems() if calling(name) is not None]
pytestmark = pytest.mark.feature("R12")

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)
_KEYS = st.sampled_from(
    (
        *("object", "id", "time", "event", "company", "eventNotifications", "realmId", "dataChangeEvent", "entities"),
        *("name", "operation", "lastUpdated", "deletedId", "type", "intuitentityid", "intuitaccountid", "specversion"),
    )
)
_SHAPED = st.recursive(
    _JSON | st.sampled_from(("Account", "Customer", "1", "2026-03-01T12:00:00Z", "qbo.customer.created.v1", "acme")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=8),
    max_leaves=20,
)


@pytest.mark.parametrize("system", CALLING)
@given(data=_SHAPED)
@settings(max_examples=150, deadline=None)
def test_a_signed_body_of_any_content_is_read_or_refused(system: str, data: Any) -> None:
    """Whatever the body holds, the answer is calls with harmless ids, or a refusal; nothing is raised."""
    module = calling(system)
    assert module is not None
    body = orjson.dumps(data)
    told = module.calls(signed(system, body), body, SECRET, NOW)
    if isinstance(told, Refusal):
        assert told.status in (400, 401)
        return
    for call in told:
        assert isinstance(call, Call)
        assert set(call.record_id) <= set(string.ascii_letters + string.digits + "-")
        assert 0 < len(call.record_id) <= 40
        assert set(call.object) <= set(string.ascii_letters + string.digits + "_")
        assert set(call.event) <= set(string.hexdigits)


@pytest.mark.parametrize("system", CALLING)
@given(body=st.binary(max_size=300), headers=st.dictionaries(st.text(max_size=30), st.text(max_size=80), max_size=4))
@settings(max_examples=150, deadline=None)
def test_bytes_and_headers_of_any_kind_are_refused(system: str, body: bytes, headers: dict[str, str]) -> None:
    """Nobody gets in without the secret, and nothing that is sent raises an error."""
    module = calling(system)
    assert module is not None
    names = ("authorization", "x-iw-signature", "x-iw-timestamp", "intuit-signature")
    tried = {**headers, **dict(zip(names, headers.values(), strict=False))}
    told = module.calls(tried, body, SECRET, NOW)
    assert isinstance(told, Refusal)
    assert told.status == 401


@pytest.mark.parametrize("system", CALLING)
@pytest.mark.parametrize("secret", ["", "short"])
def test_no_secret_lets_nobody_in(system: str, secret: str) -> None:
    """An empty or guessable secret refuses everything, whatever it is signed with."""
    module = calling(system)
    assert module is not None
    body = b"[]"
    assert module.calls(signed(system, body, secret), body, secret, NOW) == Refusal(
        401, "The signature is missing or wrong."
    )


@pytest.mark.parametrize(
    "text", ["", "2026-03-01", "2026-03-01T12:00:00", "soon", 17, None, "9999-12-31T23:59:59-23:00"]
)
def test_only_a_moment_with_a_zone_is_one(text: object) -> None:
    """A time without a zone, or beyond the calendar, is no time."""
    assert moment(text) is None


def test_near_counts_both_ways() -> None:
    """A clock may be before or after ours, by as much."""
    window = dt.timedelta(minutes=5)
    assert near(NOW - window, NOW)
    assert near(NOW + window, NOW)
    assert not near(NOW - window - dt.timedelta(seconds=1), NOW)
