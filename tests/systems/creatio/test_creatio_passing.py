"""Failures that pass: what Creatio did not carry out for now is sent again, and never told as refused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from iw_operators.apply import settled
from iw_operators.errors import ConnectionFailure, FixRecord, InterWeaveError, RetryLater, SignInAgain, Throttled
from iw_operators.systems.base import Batch, Op, Outcome, Result, Write
from iw_operators.systems.creatio.system import CreatioSystem
from iw_operators.systems.http import Request, Response, json_loads
from tests.systems.creatio.conftest import Site
from tests.systems.creatio.helpers import client_over, reply, view_of

pytestmark = pytest.mark.feature("B2")

ACCOUNT = view_of("Account", ("name", "phone"))
ID = "6f0f3f0e-5d0a-4c55-9d2b-6d6f5b1f7c21"
CREATE = Write("a" * 32, Op.CREATE, ACCOUNT, {"name": "X"})
UPDATE = Write("b" * 32, Op.UPDATE, ACCOUNT, {"name": "X"}, ID, "v")
DELETE = Write("c" * 32, Op.DELETE, ACCOUNT, {}, ID, "v")
POST = "POST /odata/Account"


def failed(text: str) -> dict[str, Any]:
    """Return the body under which Creatio hides what its database said."""
    return {"error": {"code": "", "message": "An error has occurred.", "innererror": {"message": text}}}


def answering(part: dict[str, Any] | None) -> CreatioSystem:
    """Return a Creatio that has no rows and answers each write so; with None it does not answer it."""

    def answer(request: Request) -> Response:
        if not request.url.endswith("$batch"):
            return reply(200, {"value": []})
        answers = []
        for each in json_loads(request.body or b"")["requests"]:
            if each["method"] == "GET":
                answers.append({"id": each["id"], "status": 200, "body": {"value": []}})
            elif part is not None:
                answers.append({"id": each["id"], **part})
        return reply(200, {"responses": answers})

    return CreatioSystem(client_over(answer))


def one(system: CreatioSystem, write: Write, sent_at: dt.datetime | None = None) -> Outcome:
    """Return how one write ends."""
    (outcome,) = system.write(Batch("k" * 32, (write,), sent_at))
    return outcome


PASSING: list[tuple[dict[str, Any] | None, type[InterWeaveError], str]] = [
    (None, ConnectionFailure, "creatio.batch"),
    ({"status": 429, "headers": {"Retry-After": "7"}}, Throttled, "creatio.throttled"),
    ({"status": 401}, SignInAgain, "creatio.session"),
    ({"status": 500}, ConnectionFailure, "creatio.server"),
    ({"status": 502}, ConnectionFailure, "creatio.server"),
    ({"status": 503, "body": {"Message": "Service Unavailable"}}, ConnectionFailure, "creatio.server"),
    ({"status": 500, "body": failed("40P01: deadlock detected")}, RetryLater, "creatio.deadlock"),
    ({"status": 500, "body": failed("57014: canceling statement due to user request")}, RetryLater, "creatio.slow"),
    ({"status": 500, "body": failed("53300: too many clients already")}, RetryLater, "creatio.database"),
]


@pytest.mark.parametrize("write", [CREATE, UPDATE, DELETE], ids=lambda write: write.op.value)
@pytest.mark.parametrize(("part", "kind", "code"), PASSING)
def test_a_part_that_fails_for_now_is_unknown(
    part: dict[str, Any] | None, kind: type[InterWeaveError], code: str, write: Write
) -> None:
    """Never rejected, since a rejected record does not come again by itself."""
    outcome = one(answering(part), write)
    assert (outcome.result, type(outcome.error)) == (Result.UNKNOWN, kind)
    assert outcome.error is not None
    assert outcome.error.code == code


@pytest.mark.parametrize(
    "part",
    [
        {"status": 400, "body": failed("item : Cannot convert")},
        {"status": 403},
        {"status": 500, "body": failed("The business process has thrown.")},
        {"status": 500, "body": failed("22001: value too long for type character varying(50)")},
    ],
)
def test_a_part_that_is_refused_is_rejected(part: dict[str, Any]) -> None:
    """What a repetition would not change, a business process that refuses the record among it, ends at once."""
    outcome = one(answering(part), CREATE)
    assert outcome.result is Result.REJECTED
    assert not isinstance(outcome.error, RetryLater | SignInAgain)


@pytest.mark.parametrize("part", [{"status": 500}, {"status": 500, "body": failed("40P01: deadlock detected")}])
@pytest.mark.parametrize("told", ["write", "resolve"])
def test_a_create_at_which_creatio_fails_for_too_long_is_rejected(part: dict[str, Any], told: str) -> None:
    """An hour after it first went out; until then it is sent again in each run, and the others go on all the time."""
    now = dt.datetime.now(dt.UTC)
    for age, result in ((dt.timedelta(minutes=59), Result.UNKNOWN), (dt.timedelta(minutes=61), Result.REJECTED)):
        system = answering(part)
        if told == "resolve":
            system.resolve(Batch("k" * 32, (CREATE,), now - age))
        outcome = one(system, CREATE, now - age if told == "write" else None)
        assert outcome.result is result
        assert (type(outcome.error) is FixRecord) is (result is Result.REJECTED)
    assert outcome.error is not None
    assert outcome.error.code == "creatio.keeps_failing"


@pytest.mark.parametrize("part", [None, {"status": 429}, {"status": 401}])
def test_what_creatio_did_not_even_begin_with_waits_however_long(part: dict[str, Any] | None) -> None:
    """A quota or an answer that stops early says nothing about the record."""
    assert one(answering(part), CREATE, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)).result is Result.UNKNOWN


def test_an_update_that_is_not_there_says_why() -> None:
    """What was answered when it was sent, as long as this task knows it; else that it has not arrived."""
    row = {"Id": ID, "Name": "Old", "Phone": "", "ModifiedOn": "2026-03-01T00:00:00Z"}

    def answer(request: Request) -> Response:
        if not request.url.endswith("$batch"):
            return reply(200, {"value": [row]})
        parts = json_loads(request.body or b"")["requests"]
        return reply(200, {"responses": [{"id": p["id"], "status": 503} for p in parts]})

    system = CreatioSystem(client_over(answer))
    (record,) = system.fetch(ACCOUNT, [ID]).values()
    batch = Batch("k" * 32, (replace(UPDATE, version=record.version),))
    (fresh,) = CreatioSystem(client_over(answer)).resolve(batch)
    assert fresh.error is not None
    assert (fresh.result, fresh.error.code) == (Result.REJECTED, "iw.not_applied")
    assert [o.result for o in system.write(batch)] == [Result.UNKNOWN]
    (looked,) = system.resolve(batch)
    assert looked.error is not None
    assert (looked.result, looked.error.code) == (Result.REJECTED, "creatio.server")


@pytest.mark.sandbox
@pytest.mark.parametrize("fault", ["deadlock", "timed_out", "unavailable"])
def test_a_part_that_failed_for_now_is_there_in_the_end(empty_site: Site, fault: str) -> None:
    """Settled, it is made under the same Id, once, and the others of its batch are not sent again."""
    system = empty_site.system()
    batch = Batch("k", tuple(Write(key, Op.CREATE, ACCOUNT, {"name": key}) for key in ("a", "b", "c")))
    empty_site.fault(fault, match=POST, after=1)
    first = system.write(batch)
    assert [o.result for o in first] == [Result.APPLIED, Result.UNKNOWN, Result.APPLIED]
    left = replace(batch, writes=batch.writes[1:2])
    (done,) = settled(system, left)
    assert (done.result, done.target_id) == (Result.APPLIED, first[1].target_id)
    assert empty_site.stats()["rows"]["Account"] == 3


@pytest.mark.sandbox
def test_one_record_at_which_creatio_always_fails_does_not_stop_the_others(empty_site: Site) -> None:
    """It stays unknown, is sent again in each run, and ends as rejected at last; all others are made."""
    system = empty_site.system()
    now = dt.datetime.now(dt.UTC)
    batch = Batch("k", tuple(Write(key, Op.CREATE, ACCOUNT, {"name": key}) for key in ("a", "b", "c")), now)
    empty_site.fault("timed_out", match=POST, times=1)
    first = system.write(batch)
    assert [o.result for o in first] == [Result.UNKNOWN, Result.APPLIED, Result.APPLIED]
    empty_site.fault("timed_out", match=POST, times=-1)
    left = replace(batch, writes=batch.writes[:1])
    assert [o.result for o in settled(system, left)] == [Result.UNKNOWN]
    old = replace(left, sent_at=now - dt.timedelta(hours=2))
    assert [o.result for o in settled(empty_site.system(), old)] == [Result.REJECTED]
    assert empty_site.stats()["rows"]["Account"] == 2


def sized(most: int) -> tuple[CreatioSystem, list[int], Callable[[int], None]]:
    """Return a Creatio behind a proxy that takes calls of so many parts, how large they were, and a way to break it."""
    sizes: list[int] = []
    broken: list[int] = []

    def answer(request: Request) -> Response:
        parts = json_loads(request.body or b"")["requests"]
        sizes.append(len(parts))
        if len(parts) > most:
            return reply(413, html="<html>Request Entity Too Large</html>")
        if len(sizes) in broken:
            return reply(429)
        return reply(200, {"responses": [{"id": p["id"], "status": 201, "body": p["body"]} for p in parts]})

    return CreatioSystem(client_over(answer)), sizes, broken.append


def batch_of(size: int) -> Batch:
    """Return a batch of creates."""
    return Batch("k", tuple(Write(f"{n:032}", Op.CREATE, ACCOUNT, {"name": str(n)}) for n in range(size)))


def test_a_call_that_is_too_large_goes_in_halves() -> None:
    """As often as it takes; the outcomes are those of one call, in its order."""
    system, sizes, _ = sized(2)
    batch = batch_of(7)
    outcomes = system.write(batch)
    assert [o.key for o in outcomes] == [w.key for w in batch.writes]
    assert {o.result for o in outcomes} == {Result.APPLIED}
    assert sizes == [7, 4, 2, 2, 3, 2, 1]


def test_a_single_write_that_is_too_large_is_rejected() -> None:
    """It is that record's own, and the others do not wait for it."""
    system, _, _ = sized(0)
    outcomes = system.write(batch_of(2))
    assert [o.result for o in outcomes] == [Result.REJECTED] * 2
    assert {o.error.code for o in outcomes if o.error} == {"creatio.too_large"}


def test_a_half_that_fails_after_the_other_went_is_no_failure_of_all() -> None:
    """What the first half did is told; the second half is unknown, to be looked up and sent again."""
    system, _, breaks = sized(2)
    breaks(3)
    assert [o.result for o in system.write(batch_of(4))] == [Result.APPLIED] * 2 + [Result.UNKNOWN] * 2
    system, _, breaks = sized(2)
    breaks(2)
    with pytest.raises(Throttled):
        system.write(batch_of(4))
