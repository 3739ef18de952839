"""The route for calls, end to end inside one process: genuine ones are in the ledger before they are answered."""

from __future__ import annotations

import datetime as dt
import string
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iw_operators.calls.app import LARGEST
from tests.systems.kit_calls import GUID, NOW, SECRET, body_of, cloud_events, notification, process_call, signed

if TYPE_CHECKING:
    from tests.calls.conftest import Office

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R12")]


def test_a_call_of_the_crm_is_put_down_and_wakes_its_flow(office: Office) -> None:
    """A changed account is noted for the flow that takes single accounts to the books, and that flow is woken."""
    answer = office.call("/acme/crm", process_call())
    assert (answer.status_code, answer.json()) == (200, {"taken": 1})
    assert office.rows() == [
        {
            "company": "acme",
            "side": "crm",
            "object": "Account",
            "record_id": GUID,
            "mapping": "customers",
            "flow": "CRAcct2QBCustQ",
        }
    ]
    assert office.woken == [("acme", {"CRAcct2QBCustQ": {"customers"}})]


@pytest.mark.parametrize("make", [notification, cloud_events])
def test_webhooks_of_the_books_in_both_forms(office: Office, make: object) -> None:
    """Each changed object goes to its own flow; objects that nobody maps go nowhere, and are no error."""
    data = make(("customer", "1", "updated"), ("invoice", "95", "updated"), ("JournalEntry", "3", "updated"))  # type: ignore[operator]  # both are functions
    assert office.call("/acme_books/books", data).json() == {"taken": 2}
    assert {(row["mapping"], row["record_id"]) for row in office.rows()} == {("customers", "1"), ("invoices", "95")}
    assert {row["side"] for row in office.rows()} == {"books"}
    ((company, flows),) = office.woken
    assert company == "acme"
    assert set(flows) == {row["flow"] for row in office.rows()}


def test_a_repeated_call_is_answered_well_and_is_nothing_new(office: Office) -> None:
    """The caller's repetition gets 200, since the call is here; nothing is noted and nobody woken again."""
    for _ in range(3):
        assert office.call("/acme/crm", process_call()).status_code == 200
    assert office.call("/acme/crm", process_call()).json() == {"taken": 0}
    assert len(office.rows()) == 1
    assert len(office.woken) == 1


def test_an_old_call_is_refused(office: Office) -> None:
    """What was signed more than five minutes ago has been repeated by somebody."""
    body = body_of(process_call())
    office.now = NOW + dt.timedelta(minutes=6)
    answer = office.call("/acme/crm", body, headers=signed("creatio", body))
    assert answer.status_code == 401
    assert "five minutes" in answer.json()["detail"]
    assert office.rows() == []


@pytest.mark.parametrize("path", ["/nobody/crm", "/acme/elsewhere", "/acme_books/crm", "/acme", "/"])
def test_an_unknown_address_tells_nothing(office: Office, path: str) -> None:
    """A company that does not exist is answered like any page that does not exist."""
    assert (office.call(path, process_call()).status_code, office.rows()) in ((404, []), (405, []))


def test_a_company_without_a_secret_is_unknown(office: Office) -> None:
    """Before a secret is set up nobody can call, not even with an empty one."""
    office.extras["acme_crm"] = {}
    assert office.call("/acme/crm", process_call()).status_code == 404
    del office.extras["acme_books"]
    assert office.call("/acme/books", notification(("Customer", "1", "Create"))).status_code == 404


def test_a_wrong_signature_takes_nothing(office: Office) -> None:
    """Another company's secret is a wrong one."""
    body = body_of(process_call())
    assert office.call("/acme/crm", body, headers=signed("creatio", body, SECRET.upper())).status_code == 401
    assert office.call("/globex/crm", body, headers=signed("creatio", body, SECRET.upper())).status_code == 200
    assert [row["company"] for row in office.rows()] == ["globex"]


def test_wrong_signatures_are_limited_and_the_limit_ends(office: Office) -> None:
    """After some wrong ones in a minute the caller is not listened to, even with the right one; others are."""
    body = body_of(process_call())
    wrong = [office.call("/acme/crm", body, headers={}).status_code for _ in range(7)]
    assert wrong == [401] * 5 + [429] * 2
    refused = office.call("/acme/crm", body)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert office.call("/acme/books", notification(("Customer", "1", "Create"))).status_code == 429
    assert office.call("/globex/books", notification(("Customer", "1", "Create"), realm="77")).status_code == 200
    office.seconds += 61
    assert office.call("/acme/crm", body).status_code == 200


def test_a_changed_secret_counts_at_once(office: Office) -> None:
    """What connections say is kept for a while, but a wrong signature has it looked up anew."""
    assert office.call("/acme/crm", process_call()).status_code == 200
    office.extras["acme_crm"] = {"webhook_secret": SECRET + "-new"}
    office.seconds += 5
    body = body_of(process_call(event="2"))
    assert office.call("/acme/crm", body, headers=signed("creatio", body, SECRET + "-new")).status_code == 200
    assert office.call("/acme/crm", process_call(event="3")).status_code == 401


def test_one_address_for_all_companies_of_an_app(office: Office) -> None:
    """A change of another account goes to the company that has it under the same token, and to nobody otherwise."""
    both = {
        "eventNotifications": [
            *notification(("Customer", "1", "Create"))["eventNotifications"],
            *notification(("Customer", "2", "Create"), realm="77")["eventNotifications"],
            *notification(("Customer", "3", "Create"), realm="404")["eventNotifications"],
        ]
    }
    assert office.call("/acme_books/books", both).json() == {"taken": 2}
    assert [(row["company"], row["record_id"]) for row in office.rows()] == [("acme", "1"), ("globex", "2")]
    office.extras["globex_books"] = {"verifier_token": SECRET + "x", "realm_id": "77"}
    office.seconds += 60
    data = notification(("Customer", "9", "Create"), realm="77")
    assert office.call("/acme_books/books", data).json() == {"taken": 0}


def test_a_call_for_another_company_is_not_taken(office: Office) -> None:
    """A body that names a company goes to that one alone."""
    assert office.call("/acme/crm", process_call(company="globex")).json() == {"taken": 0}
    assert office.call("/acme/crm", process_call(company="acme")).json() == {"taken": 1}


def test_a_large_body_is_refused_before_it_is_read(office: Office) -> None:
    """By what it says of itself, and by what comes when it says nothing."""
    too_large = b"x" * (LARGEST + 1)
    assert office.call("/acme/crm", too_large).status_code == 413
    endless = (b"x" * 4096 for _ in range(1_000))
    answer = office.client.post("/acme/crm", content=endless)
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"
    assert office.rows() == []


def test_a_ledger_that_is_away_is_said_and_the_repetition_is_taken(office: Office) -> None:
    """The caller is told to repeat; what was not put down was not answered with 200."""
    office.away = True
    answer = office.call("/acme/crm", process_call())
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    office.away = False
    assert office.call("/acme/crm", process_call()).status_code == 503
    office.seconds += 3
    assert office.call("/acme/crm", process_call()).json() == {"taken": 1}


def test_other_methods_and_documentation_are_not_there(office: Office) -> None:
    """Nothing but POST, and nothing that describes the app."""
    assert office.client.get("/acme/crm").status_code == 405
    for path in ("/docs", "/openapi.json", "/redoc"):
        assert office.client.get(path).status_code == 404


def test_a_call_is_answered_in_milliseconds(office: Office) -> None:
    """Nothing but the ledger is asked: the median of fifty calls stays far below a tenth of a second."""
    took = []
    for number in range(50):
        body = body_of(process_call(event=str(number)))
        headers = signed("creatio", body)
        began = time.perf_counter()
        assert office.call("/acme/crm", body, headers=headers).status_code == 200
        took.append(time.perf_counter() - began)
    assert sorted(took)[25] < 0.1


@given(
    where=st.text(string.printable, min_size=1, max_size=30),
    side=st.sampled_from(("crm", "books", "CRM", "..", "%00")),
    body=st.binary(max_size=200),
    name=st.sampled_from(("authorization", "x-iw-signature", "intuit-signature", "content-type")),
    value=st.text(string.ascii_letters + string.digits + " +/=", max_size=60),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hostile_input_is_refused_in_good_order(
    office: Office, where: str, side: str, body: bytes, name: str, value: str
) -> None:
    """Whatever comes, the answer is a refusal without anything of the inside, and nothing is put down."""
    from urllib.parse import quote

    for address in (quote(where, safe=""), "acme"):
        answer = office.client.post(f"/{address}/{side}", content=body, headers={name: value.strip()})
        assert answer.status_code in (400, 401, 404, 405, 413, 429)
        assert "Traceback" not in answer.text
    assert office.rows() == []
