"""Real time on a real Airflow: from a call to the record on the other side."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from iw_operators.ledger.flow_tables import inbox
from sandbox.creatio import CALLS_SECRET
from sandbox.quickbooks_online.options import REALM, VERIFIER_TOKEN
from tests.e2e.running import Site, until
from tests.yardstick import slowness

pytestmark = [pytest.mark.e2e, pytest.mark.feature("R12")]

TO_BOOKS = "CRAcct2QBCustQ"
TO_CRM = "QBCust2CRAcctQ"
log = logging.getLogger(__name__)
PROMISED = 15.0  # seconds from the call to the record written, on a machine that is not slower than the named one


def call(site: Site, path: str, data: Any, headers: dict[str, str]) -> httpx.Response:
    """Call, without signing in to Airflow."""
    return httpx.post(f"{site.airflow.url}/iwcall/{path}", content=data, headers=headers, timeout=30)


def process_call(site: Site, account: str, event: str, secret: str = CALLS_SECRET) -> httpx.Response:
    """Call as a business process of Creatio does that can compute a signature."""
    now = dt.datetime.now(dt.UTC)
    body = json.dumps({"object": "Account", "id": account, "time": now.isoformat(), "event": event}).encode()
    stamp = str(int(now.timestamp()))
    mac = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256)
    return call(site, "acme/crm", body, {"X-Iw-Timestamp": stamp, "X-Iw-Signature": mac.hexdigest()})


def webhook(site: Site, data: Any) -> httpx.Response:
    """Call as Intuit does."""
    body = json.dumps(data).encode()
    mac = hmac.new(VERIFIER_TOKEN.encode(), body, hashlib.sha256).digest()
    return call(site, "acme_books/books", body, {"intuit-signature": base64.b64encode(mac).decode()})


def older(customer: str) -> dict[str, Any]:
    """Return Intuit's older body about a customer."""
    entity = {"name": "Customer", "id": customer, "operation": "Update", "lastUpdated": _now()}
    return {"eventNotifications": [{"realmId": REALM, "dataChangeEvent": {"entities": [entity]}}]}


def newer(customer: str) -> list[dict[str, Any]]:
    """Return Intuit's newer body about a customer."""
    event = {"specversion": "1.0", "id": f"e-{time.time_ns()}", "type": "qbo.customer.updated.v1", "time": _now()}
    return [{**event, "intuitentityid": customer, "intuitaccountid": REALM, "data": {}}]


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat()


def open_calls(site: Site) -> int:
    """Return how many calls are not done."""
    with site.stack.ledger.engine.connect() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).where(inbox.c.done_at.is_(None))) or 0)


def settled(site: Site, flow: str) -> bool:
    """Return whether no run of a flow is queued or running."""
    return all(run["state"] in ("success", "failed") for run in site.airflow.runs(f"acme.{flow}"))


@pytest.fixture
def pairs(site: Site) -> Iterator[list[tuple[dict[str, Any], dict[str, Any]]]]:
    """Accounts and their customers, with both Q flows switched on; switched off afterwards."""
    flows = (TO_BOOKS, TO_CRM)
    for flow in flows:
        site.airflow.unpause(f"acme.{flow}")
    bound = site.crm.rows("Account", filter="UsrQBId ne '' and UsrQBId ne null", orderby="Name desc", top="40")
    customers = {row["Id"]: row for row in site.books.rows("Customer")}
    yield [(account, customers[account["UsrQBId"]]) for account in bound if account["UsrQBId"] in customers]
    for flow in flows:
        until(lambda flow=flow: settled(site, flow), f"the end of {flow}'s runs")  # type: ignore[misc]  # bound at once
        site.airflow.unpause(f"acme.{flow}", paused=True)


def notes(site: Site, customer: str) -> str:
    """Return a customer's notes."""
    return str(site.books.rows("Customer", f"WHERE Id = '{customer}'")[0].get("Notes", ""))


def test_a_call_of_the_crm_reaches_the_books_in_seconds(site: Site, pairs: Any) -> None:
    """A changed account is in the books within the promised time, by a run of that one record alone."""
    account, customer = pairs[0]
    site.crm.change("Account", account["Id"], Notes="called in real time")
    began = time.monotonic()
    answer = process_call(site, account["Id"], "one")
    answered = time.monotonic() - began
    assert (answer.status_code, answer.json()) == (200, {"taken": 1})
    until(lambda: notes(site, customer["Id"]) == "called in real time", "the customer's notes", 60)
    took = time.monotonic() - began
    log.info("from call to record %.1f s, answered in %.0f ms", took, answered * 1000)
    until(lambda: settled(site, TO_BOOKS), "the run's end")
    run = site.airflow.runs(f"acme.{TO_BOOKS}")[0]
    assert run["dag_run_id"].startswith("call__")
    assert run["state"] == "success"
    assert took < PROMISED * slowness(time.perf_counter)


@pytest.mark.parametrize("body", [older, newer])
def test_a_webhook_of_the_books_reaches_the_crm(site: Site, pairs: Any, body: Any) -> None:
    """Both forms of Intuit's body bring a changed customer to its account."""
    account, customer = pairs[1 if body is older else 2]
    text = f"changed in the books, told in the {body.__name__} form"
    site.books.change("Customer", customer, Notes=text)
    assert webhook(site, body(customer["Id"])).json() == {"taken": 1}
    until(lambda: site.crm.one("Account", filter=f"Id eq {account['Id']}")["Notes"] == text, "the account's notes", 60)


def test_a_burst_is_one_or_two_runs(site: Site, pairs: Any) -> None:
    """Ten calls about one record, and repetitions of them, are one sync, or two when a run had begun already."""
    account, customer = pairs[3]
    before = len(site.airflow.runs(f"acme.{TO_BOOKS}"))
    site.crm.change("Account", account["Id"], Notes="a burst")
    for number in range(10):
        for _ in range(2):
            assert process_call(site, account["Id"], f"burst-{number}").status_code == 200
    until(lambda: notes(site, customer["Id"]) == "a burst", "the customer's notes", 60)
    until(lambda: settled(site, TO_BOOKS) and open_calls(site) == 0, "the end of all runs")
    assert 1 <= len(site.airflow.runs(f"acme.{TO_BOOKS}")) - before <= 2


def test_a_wrong_call_makes_no_run(site: Site, pairs: Any) -> None:
    """A wrong signature, an unknown company, a large body: refused, and nothing is put down."""
    account, _ = pairs[4]
    before = len(site.airflow.runs(f"acme.{TO_BOOKS}")), open_calls(site)
    assert process_call(site, account["Id"], "wrong", "another secret of some length").status_code == 401
    assert call(site, "nobody/crm", b"{}", {}).status_code == 404
    assert call(site, "acme/crm", b"x" * 70_000, {}).status_code == 413
    assert (len(site.airflow.runs(f"acme.{TO_BOOKS}")), open_calls(site)) == before


def test_calls_of_a_flow_that_is_off_wait(site: Site, pairs: Any) -> None:
    """They are answered with 200 and kept; switched on again, the next call brings them all."""
    first, second = pairs[5], pairs[6]
    site.airflow.unpause(f"acme.{TO_BOOKS}", paused=True)
    runs = len(site.airflow.runs(f"acme.{TO_BOOKS}"))
    site.crm.change("Account", first[0]["Id"], Notes="while it was off")
    assert process_call(site, first[0]["Id"], "off").status_code == 200
    assert open_calls(site) == 1
    site.airflow.unpause(f"acme.{TO_BOOKS}")
    site.crm.change("Account", second[0]["Id"], Notes="when it was on again")
    assert process_call(site, second[0]["Id"], "on").status_code == 200
    until(lambda: open_calls(site) == 0, "both calls done")
    assert notes(site, first[1]["Id"]) == "while it was off"
    assert notes(site, second[1]["Id"]) == "when it was on again"
    assert len(site.airflow.runs(f"acme.{TO_BOOKS}")) == runs + 1


def test_no_secret_is_in_the_logs(site: Site, pairs: Any) -> None:
    """What the API server and the tasks wrote holds neither secret."""
    text = "\n".join(path.read_text("utf-8", "replace") for path in site.airflow.home.rglob("*.log") if path.is_file())
    assert CALLS_SECRET not in text
    assert VERIFIER_TOKEN not in text
