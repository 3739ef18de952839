"""Quotas, the 429 that is XML, and what the sandbox counts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.common.serve import Running, serve
from sandbox.quickbooks_online import Options, QuickBooksOnline, make
from sandbox.quickbooks_online.clock import Clock
from sandbox.quickbooks_online.throttle import Throttle
from tests.sandbox.quickbooks_online.qbo_api import Api, read, small_world


@pytest.fixture
def limited() -> Iterator[Running[QuickBooksOnline]]:
    """A sandbox with the vendor's quotas."""
    with serve(make(small_world())) as served:
        yield served


def admitted(throttle: Throttle, clock: Clock, *, seconds: float, each: float, batch: bool = False) -> int:
    """Return how many of the requests sent every `each` seconds pass within `seconds`."""
    count = 0
    for _ in range(round(seconds / each)):
        count += throttle.admit(batch=batch)
        clock.advance(each)
    return count


@pytest.mark.parametrize(
    ("seconds", "each", "batch", "passed"),
    [(0.9, 0.05, False, 10), (59.0, 0.11, False, 500), (59.0, 1.0, True, 40), (59.0, 0.13, False, 454)],
)
def test_quotas(seconds: float, each: float, batch: bool, passed: int) -> None:
    """10 a second, 500 a minute, 40 batches a minute pass; a window later they pass again."""
    clock = Clock()
    throttle = Throttle(clock)
    assert admitted(throttle, clock, seconds=seconds, each=each, batch=batch) == passed
    clock.advance(61)
    assert throttle.admit(batch=batch)


@pytest.mark.sandbox
def test_429_is_xml(limited: Running[QuickBooksOnline]) -> None:
    """The eleventh request within a second is answered 429 in XML, though JSON was asked for; later all is well."""
    api = Api(limited.url)
    statuses = [api.call("GET", "customer/1").status_code for _ in range(12)]
    assert statuses[:10] == [200] * 10
    refused = api.call("GET", "customer/1")
    assert refused.status_code == 429
    assert refused.headers["Content-Type"].startswith("application/xml")
    for piece in ('<Fault type="SERVICE">', '<Error code="3001">', "errorCode=003001; statusCode=429"):
        assert piece in refused.text
    limited.sandbox.clock.advance(1.1)
    assert api.call("GET", "customer/1").status_code == 200
    api.close()


@pytest.mark.sandbox
def test_signing_in_is_not_counted(limited: Running[QuickBooksOnline]) -> None:
    """The token endpoint has no quota, and a reset can turn quotas off and on."""
    api = Api(limited.url)
    for _ in range(15):
        assert api.refresh("iw-refresh-0").status_code == 200
    assert api.control("reset", {"throttle": False})["rows"]["Customer"] == 4
    api.token = api.refresh("iw-refresh-0").json()["access_token"]
    assert {api.call("GET", "customer/1").status_code for _ in range(15)} == {200}
    api.control("reset", {})
    api.token = api.refresh("iw-refresh-0").json()["access_token"]
    assert 429 in {api.call("GET", "customer/1").status_code for _ in range(15)}
    api.close()


@pytest.mark.sandbox
def test_throttle_on_demand(api: Api) -> None:
    """The fault `throttle` refuses the next call, which is not done."""
    api.arm("throttle")
    assert api.write("Customer", {"DisplayName": "A"}).status_code == 429
    assert api.customer("A")["Id"] == "5"


@pytest.mark.sandbox
def test_stats(api: Api) -> None:
    """Calls are counted by what they do, rows by entity, writes by what became of them."""
    before = api.control("stats")["requests"]
    api.query("SELECT COUNT(*) FROM Customer")
    api.call("GET", "cdc", params={"entities": "Customer", "changedSince": "2026-01-01"})
    api.batch([{"bId": str(n), "Customer": {"DisplayName": f"B{n}"}} for n in range(3)])
    row = api.customer("C")
    api.save("Customer", {"Id": row["Id"], "SyncToken": "0", "sparse": True, "Notes": "n"})
    api.save("Customer", {"Id": row["Id"], "SyncToken": "1", "sparse": True, "Notes": "n"})
    stats = api.control("stats")
    expected = {"query": 1, "cdc": 1, "batch": 1, "batch_items": 3, "create": 1, "update": 2, "token": 1}
    assert stats["calls"] == expected
    assert stats["written"] == {"create Customer": 4, "update Customer": 1}
    assert stats["rows"]["Customer"] == 8
    assert stats["requests"] - before == 6


def test_unknown_options() -> None:
    """An option that does not exist, or is of the wrong type, is named."""
    with pytest.raises(ValueError, match="unknown option 'speed'"):
        make(small_world(), speed=1)
    with pytest.raises(ValueError, match="option 'throttle' takes bool"):
        make(small_world(), throttle=1)
    assert Options().changed({"closed_until": "2026-01-31", "custom_fields": ["A"]}).custom_fields == ("A",)


@pytest.mark.sandbox
def test_reset_refuses_what_it_does_not_know(api: Api) -> None:
    """A reset with an unknown seed or option changes nothing and says what is known."""
    url = f"{api.url}/_sandbox/reset"
    for content in ({"seed": "mars"}, {"speed": 1}):
        response = api.http.post(url, json=content, timeout=10)
        assert response.status_code == 400
        assert "known:" in response.json()["error"]
    assert api.get("Customer", "1")["Id"] == "1"
    assert api.control("reset", {"seed": "empty", "throttle": False})["rows"]["Customer"] == 0
    api.token = api.refresh("iw-refresh-0").json()["access_token"]
    assert read(api.write("Customer", {"DisplayName": "First"}))["Customer"]["Id"] == "1"
