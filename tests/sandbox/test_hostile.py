"""The hostile sandbox itself: each kind of nonsense is what it says, and the same seed gives the same day."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import httpx
import pytest

from sandbox.common.app import TRANSPORT_FAULTS, respond_json
from sandbox.common.faults import Faults
from sandbox.common.hostile import ANSWERS, Hostile
from sandbox.common.serve import serve
from tests import web

pytestmark = pytest.mark.sandbox

ROWS = {"rows": [{"id": "1", "amount": 2.5, "open": True}], "count": 1, "meta": {"next": "x"}}


class Plain:
    """A sandbox that answers everything with the same rows."""

    def __init__(self) -> None:
        self.faults = Faults(TRANSPORT_FAULTS)
        self.handled = 0

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self.handled += 1
        await respond_json(send, 200, ROWS)

    def reset(self, options: dict[str, Any]) -> dict[str, Any]:
        return {}

    def stats(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("null", None),
        ("text", "ok"),
        ("number", 1),
        ("object", {}),
        ("list", [ROWS]),
        ("hollow", {"rows": None, "count": None, "meta": None}),
        ("turned", {"rows": {}, "count": 1, "meta": []}),
        ("unlisted", {"rows": {}, "count": 1, "meta": {"next": "x"}}),
        ("null_rows", {**ROWS, "rows": [None]}),
        ("bare_rows", {**ROWS, "rows": [{}]}),
        ("hollow_rows", {**ROWS, "rows": [{"id": None, "amount": None, "open": None}]}),
        ("texts", {"rows": [{"id": "1", "amount": "?", "open": "?"}], "count": "?", "meta": {"next": "x"}}),
    ],
)
def test_shapes(kind: str, expected: object) -> None:
    """The request is handled; its answer is well framed JSON of another shape; the next one is right again."""
    with serve(Plain()) as running:
        armed = web.post(f"{running.url}/_sandbox/faults", json={"kind": kind})
        assert armed.status_code == 200, armed.text
        answer = web.get(f"{running.url}/x")
        assert (answer.status_code, answer.json()) == (200, expected)
        assert running.sandbox.handled == 1
        assert web.get(f"{running.url}/x").json() == ROWS


def test_framing_and_types() -> None:
    """Truncated, empty and garbled bodies come with a length that fits; types and encodings lie."""
    with serve(Plain()) as running:

        def got(kind: str) -> httpx.Response:
            running.sandbox.faults.arm({"kind": kind})
            return web.get(f"{running.url}/x")

        whole = web.get(f"{running.url}/x").content
        assert got("truncated").content == whole[: len(whole) // 2]
        assert got("empty").content == b""
        with pytest.raises(UnicodeDecodeError):
            got("garbage").content.decode()
        assert got("wrong_type").headers["content-type"] == "image/png"
        assert json.loads(got("html_type").content) == ROWS
        assert got("html_body").content.startswith(b"<!DOCTYPE")
        assert got("html_body").headers["content-type"] == "application/json"
        assert len(got("twice_headers").headers.get_list("content-type")) == 2
        with pytest.raises(httpx.DecodingError):
            got("bad_gzip")


def test_redirects_and_quotas() -> None:
    """A redirect leads where it was told to, a 429 says how long; neither is handled."""
    with serve(Plain()) as running:
        running.sandbox.faults.arm({"kind": "redirect", "to": "http://elsewhere.test"})
        answer = web.get(f"{running.url}/a/b")
        assert (answer.status_code, answer.headers["location"]) == (307, "http://elsewhere.test/a/b")
        running.sandbox.faults.arm({"kind": "status_429", "seconds": 7})
        answer = web.get(f"{running.url}/a/b")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
        assert running.sandbox.handled == 0


def test_the_same_seed_is_the_same_day() -> None:
    """At a rate above 0 faults strike by chance, the same ones for the same seed; at 0 none do."""
    struck = []
    for seed in (5, 5, 6):
        hostile = Hostile(Plain(), seed=seed, rate=0.02, kinds=ANSWERS, without=["bomb"])
        with serve(hostile) as running, web.client() as client:
            for _ in range(60):
                with contextlib.suppress(httpx.HTTPError):
                    client.get(f"{running.url}/x")
            struck.append(list(running.sandbox.struck))
            running.sandbox.rate = 0.0
            assert [client.get(f"{running.url}/x").json() for _ in range(20)] == [ROWS] * 20
    assert struck[0] == struck[1] != struck[2]
    assert len(struck[0]) > 5
    assert "bomb" not in struck[0]
