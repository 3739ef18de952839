"""Whole flows between both sandboxes while calls are lost, cut, late or refused: each record ends up once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from iw_operators.errors import FixConfiguration, RetryLater
from iw_operators.ledger.store import Ledger
from iw_operators.state import MemorySecretState
from tests import web
from tests.flows.conftest import PAYMENTS, TO_BOOKS, TO_CRM, Company, guid, world
from tests.stage import stage, without_overlap

SALES = 8
READ_TIMEOUT = 0.5
LATE = 1.2  # seconds that a request is on its way: the client has given up, looked and sent again by then

pytestmark = [pytest.mark.sandbox, pytest.mark.ledger, pytest.mark.feature("B2")]


@pytest.fixture
def fresh(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    """Return a company before its first run, with short patience and without quotas."""
    with stage(world(SALES), ledger, monkeypatch.setenv, books={"throttle": False}) as made:
        made.spec = without_overlap(made.spec)
        made.connect(crm={"read_timeout": READ_TIMEOUT}, books={"read_timeout": READ_TIMEOUT})
        yield Company(made)


def run(company: Company, *flows: str) -> int:
    """Run flows, each again after a failure that waiting can cure; return how many tries it took."""
    tries = 0
    for flow in flows:
        for _ in range(6):
            tries += 1
            try:
                company.run(flow)
            except RetryLater:
                continue
            break
        else:
            pytest.fail(f"{flow} has not come through")
    return tries


def whole(company: Company) -> None:
    """Both sides hold every record once, each CRM record knows its partner, and nothing is open."""
    assert Counter(row["DisplayName"] for row in company.native("Customer")) == Counter(
        f"Customer {number}" for number in range(SALES)
    )
    assert sorted(row["Name"] for row in company.native("Item")) == ["Bolt", "Hour of work"]
    invoices = company.native("Invoice")
    assert Counter(str(row["TotalAmt"]) for row in invoices) == Counter({"170.00": SALES})
    deals = {row["Id"]: row["UsrQBId"] for row in company.rows("Opportunity")}
    assert sorted(deals[guid(3, number)] for number in range(SALES)) == sorted(row["Id"] for row in invoices)
    assert len({row["CustomerRef"]["value"] for row in invoices}) == SALES
    for mapping in ("customers", "items", "invoices"):
        assert not company.stage.ledger.open_batches("acme", mapping)


@pytest.mark.parametrize("after", range(3), ids=["customers", "items", "invoices"])
@pytest.mark.parametrize("kind", ["half_batch", "drop_before", "drop_after", "drop_middle", "status_500", "html"])
def test_a_batch_of_the_books_that_is_lost_or_half_done(fresh: Company, kind: str, after: int) -> None:
    """Whatever part of a batch was done before the connection or the answer was lost, each record is made once."""
    fresh.stage.fault("books", kind=kind, after=after, match="requestid")
    run(fresh, TO_BOOKS, TO_BOOKS, TO_CRM)
    whole(fresh)


@pytest.mark.parametrize("after", range(3), ids=["customers", "items", "invoices"])
@pytest.mark.parametrize("kind", ["half_batch", "drop_after"])
def test_a_write_back_that_is_lost_or_half_done(fresh: Company, kind: str, after: int) -> None:
    """Ids are written back to every record in the end, and no record is made twice for want of one."""
    fresh.stage.fault("crm", kind=kind, after=2 * after, match="$batch")
    run(fresh, TO_BOOKS, TO_BOOKS, TO_CRM)
    whole(fresh)


@pytest.mark.parametrize(
    ("side", "kind", "match"),
    [
        ("books", "expire_token", "requestid"),
        ("books", "expire_token", "/query"),
        ("books", "old_refresh_dies", ""),
        ("crm", "expire_session", "$batch"),
        ("crm", "login_page", "$batch"),
        ("crm", "csrf", "$batch"),
    ],
)
@pytest.mark.parametrize("after", [0, 2])
def test_a_session_that_ends_in_between(fresh: Company, side: str, kind: str, match: str, after: int) -> None:
    """A 401, a login page or a refused BPMCSRF before any call costs a new sign-in and not a try of the task."""
    fresh.stage.fault(side, kind=kind, after=after, match=match)
    if kind == "old_refresh_dies":
        fresh.stage.fault(side, kind="expire_token", after=4 + after)
    assert run(fresh, TO_BOOKS, TO_CRM) == 2
    whole(fresh)


@pytest.mark.parametrize("after", [1, 5])
def test_tokens_that_were_rotated_and_lost(fresh: Company, after: int) -> None:
    """When the books rotate and the answer is lost, it is said; authorised anew it goes on, and nothing doubles."""
    fresh.stage.fault("books", kind="expire_token", after=after)
    fresh.stage.fault("books", kind="refresh_lost", after=1)
    with pytest.raises((RetryLater, FixConfiguration)):
        fresh.run(TO_BOOKS)
    with pytest.raises(FixConfiguration, match=r"interrupted before its answer was kept") as dead:
        fresh.run(TO_BOOKS)
    assert dead.value.code == "invalid_grant"
    fresh.stage.connect(books={"refresh_token": authorised(fresh.stage.books_url)})
    run(fresh, TO_BOOKS, TO_CRM)
    whole(fresh)


def authorised(url: str) -> str:
    """Return a refresh token of a new authorisation."""
    where = {"client_id": "iw-client", "redirect_uri": "http://localhost/", "state": "x", "response_type": "code"}
    back = web.get(f"{url}/connect/oauth2", params=where).headers["location"]
    form = {"grant_type": "authorization_code", "code": httpx.URL(back).params["code"]}
    answer = web.post(f"{url}/oauth2/v1/tokens/bearer", data=form, auth=("iw-client", "iw-secret"))
    return str(answer.json()["refresh_token"])


def test_a_token_saved_by_nobody_is_refreshed_again(fresh: Company) -> None:
    """A worker that dies between the books' answer and the save leaves the old token, which is good for a day."""
    run(fresh, TO_BOOKS)
    state = fresh.stage.states[fresh.stage.spec.company.books.connection]
    kept = dict(state.read())
    fresh.stage.fault("books", kind="expire_token")
    run(fresh, TO_BOOKS)
    assert state.read()["refresh_token"] != kept["refresh_token"]
    fresh.stage.states[fresh.stage.spec.company.books.connection] = MemorySecretState(kept)
    fresh.stage.fault("books", kind="expire_token")
    assert run(fresh, TO_BOOKS, TO_CRM) == 2
    whole(fresh)


def settle_down() -> None:
    """Wait until what is still on its way has arrived."""
    time.sleep(LATE + 0.3)


@pytest.mark.parametrize("after", range(3), ids=["customers", "items", "invoices"])
def test_a_batch_that_arrives_at_the_books_after_it_was_sent_again(fresh: Company, after: int) -> None:
    """The first request comes after recovery has looked and sent again: the books answer it and make nothing."""
    fresh.stage.fault("books", kind="slow", seconds=LATE, after=after, match="requestid")
    run(fresh, TO_BOOKS)
    settle_down()
    stats = web.get(f"{fresh.stage.books_url}/_sandbox/stats").json()
    assert stats["calls"]["batch"] >= 4  # three mappings, and the one that was late
    run(fresh, TO_BOOKS, TO_CRM)
    whole(fresh)


def pay(company: Company, number: int) -> str:
    """Pay an invoice in the books."""
    body: dict[str, Any] = {
        "CustomerRef": {"value": company.partner("customers", guid(1, number))},
        "TotalAmt": 170,
        "Line": [
            {
                "Amount": 170,
                "LinkedTxn": [{"TxnId": company.partner("invoices", guid(3, number)), "TxnType": "Invoice"}],
            }
        ],
    }
    return str(company.book("Payment", "create", body)["Id"])


@pytest.mark.parametrize("kind", ["slow", "half_batch", "drop_after", "drop_middle", "fail_after_insert"])
def test_a_batch_that_arrives_at_the_crm_late_or_in_part(fresh: Company, kind: str) -> None:
    """Records of the CRM are made under Ids of our own, so that a late or repeated request makes no second one."""
    run(fresh, TO_BOOKS, TO_CRM)
    paid = [pay(fresh, number) for number in range(5)]
    fresh.stage.fault("crm", kind=kind, seconds=LATE, match="$batch")
    run(fresh, PAYMENTS)
    settle_down()
    run(fresh, PAYMENTS)
    assert Counter(row["UsrPaymentNumber"] for row in fresh.rows("UsrPaymentQB")) == Counter(paid)
    assert not fresh.stage.ledger.open_batches("acme", "payments")
