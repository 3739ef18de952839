"""Faults on demand, statistics, reset, and data that outlive the process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.creatio import airflow_connection, make
from sandbox.seed import acme

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("S1")]


def test_login_page_ends_the_session(site: Any) -> None:
    """The page comes once with status 200, afterwards the session is gone until the next sign-in."""
    site.fault(kind="login_page")
    response = site.get("Account")
    assert response.status_code == 200
    assert "bootstrap.login" in response.text
    assert site.get("Account").status_code == 401
    site.sign_in()
    assert site.get("Account").status_code == 200


def test_expire_session_is_401(site: Any) -> None:
    """The session is ended by the server."""
    site.fault(kind="expire_session")
    assert [site.get("Account").status_code for _ in range(2)] == [401, 401]
    site.sign_in()
    assert site.get("Account").status_code == 200


def test_csrf_is_403_once(site: Any) -> None:
    """A BPMCSRF that stops being valid is a 403; the session goes on."""
    site.fault(kind="csrf", match="GET /odata/Account")
    assert site.get("Currency").status_code == 200
    assert site.get("Account").status_code == 403
    assert site.get("Account").status_code == 200


def test_a_post_can_fail_after_it_has_inserted(site: Any) -> None:
    """The answer is a 500 and the row is there; the same Id sent again is a duplicate."""
    key = "62f9bc01-57cf-4cc7-90bf-8672acc922e3"
    site.fault(kind="fail_after_insert")
    response = site.post("Account", Id=key, Name="A")
    assert response.status_code == 500
    assert response.json()["error"]["message"] == "An error has occurred."
    assert site.one("Account")["Id"] == key
    assert "duplicate key" in site.post("Account", Id=key, Name="A").json()["error"]["innererror"]["message"]


def test_fail_after_insert_reaches_parts_of_a_batch(site: Any) -> None:
    """The third insert of a batch is done and fails, the batch stops there."""
    site.fault(kind="fail_after_insert", after=2)
    items = [{"id": str(n), "method": "POST", "url": "Account", "body": {"Name": f"A{n}"}} for n in range(5)]
    answers = site.session.post(f"{site.odata}/$batch", json={"requests": items}).json()["responses"]
    assert [answer["status"] for answer in answers] == [201, 201, 500]
    assert sorted(row["Name"] for row in site.rows("Account")) == ["A0", "A1", "A2"]


@pytest.mark.parametrize(
    ("kind", "status", "said"),
    [("deadlock", 500, "deadlock victim"), ("timed_out", 500, "Timeout Expired"), ("unavailable", 503, None)],
)
def test_a_part_of_a_batch_can_fail_for_a_while(site: Any, kind: str, status: int, said: str | None) -> None:
    """The part is not carried out, the others are."""
    site.fault(kind=kind, match="POST /odata/Account", after=1)
    items = [{"id": str(n), "method": "POST", "url": "Account", "body": {"Name": f"A{n}"}} for n in range(3)]
    answers = site.session.post(
        f"{site.odata}/$batch", json={"requests": items}, headers={"Prefer": "continue-on-error"}
    ).json()["responses"]
    assert [answer["status"] for answer in answers] == [201, status, 201]
    assert ("body" in answers[1]) is (said is not None)
    assert (said or "") in str(answers[1])
    assert sorted(row["Name"] for row in site.rows("Account")) == ["A0", "A2"]


def test_half_a_batch_then_the_connection_drops(site: Any) -> None:
    """Half of the requests are done, no answer comes."""
    site.fault(kind="half_batch")
    items = [{"id": str(n), "method": "POST", "url": "Account", "body": {"Name": f"A{n}"}} for n in range(7)]
    with pytest.raises(requests.ConnectionError):
        site.session.post(f"{site.odata}/$batch", json={"requests": items})
    assert sorted(row["Name"] for row in site.rows("Account")) == ["A0", "A1", "A2"]


def test_dropped_after_commit(site: Any) -> None:
    """The write is done although its answer is lost."""
    site.fault(kind="drop_after", match="POST /odata/Account")
    with pytest.raises(requests.ConnectionError):
        site.post("Account", Name="A")
    assert site.one("Account")["Name"] == "A"


def test_statistics_count_rows_and_operations(site: Any) -> None:
    """Rows by object; calls by operation; a batch counts once and by its parts."""
    site.create("Account", Name="A")
    site.get("Account")
    items = [{"id": str(n), "method": "GET", "url": "Account"} for n in range(3)]
    site.session.post(f"{site.odata}/$batch", json={"requests": items})
    stats = site.stats()
    assert stats["rows"]["Account"] == 1
    assert stats["calls"] == {"login": 1, "write": 1, "read": 4, "batch": 1, "batch_parts": 3}
    assert stats["requests"] == 4


def test_reset_goes_back_to_a_seed_and_takes_options(site: Any) -> None:
    """A reset can change the seed, the clock and any option; sessions end; without a seed it is the first world."""
    site.create("Account", Name="A")
    control = f"{site.url}/_sandbox/reset"
    first = site.sandbox.options
    answer = site.session.post(control, json={"seed": "acme", "max_rows": 7, "clock": "2027-01-01T00:00:00+00:00"})
    assert answer.json()["rows"]["Account"] == 200
    assert site.get("Account").status_code == 401
    site.sign_in()
    assert site.get("Account").status_code == 500
    assert site.create("Account", Name="B")["CreatedOn"].startswith("2027-01-01")
    plain = site.session.post(control, json={"seed": "plain", "size": 12, "won": True}).json()["rows"]
    assert (plain["Account"], plain["Opportunity"]) == (12, 12)
    assert site.session.post(control, json={}).json()["rows"]["Account"] == 0
    assert site.sandbox.options == first
    for wrong in ({"seed": "nope"}, {"nope": 1}, {"flavour": "nope"}, {"expired": "nope"}, {"clock": "nope"}):
        assert site.session.post(control, json=wrong).status_code == 400, wrong


def test_clients_at_the_same_time_do_not_disturb_each_other(site: Any) -> None:
    """Requests from several threads are all answered rightly."""

    def work(number: int) -> int:
        with requests.Session() as session:
            session.headers.update(site.session.headers)
            session.cookies.update(site.session.cookies)
            for at in range(10):
                session.post(f"{site.odata}/Account", json={"Name": f"{number}/{at}"}).raise_for_status()
                session.get(f"{site.odata}/Account", params={"$orderby": "Name"}).raise_for_status()
        return number

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(work, range(6))) == list(range(6))
    assert len(site.rows("Account")) == 60


def test_a_file_keeps_the_data_from_one_start_to_the_next(make_site: Any, tmp_path: Path) -> None:
    """The seed goes in only once; what was written stays."""
    path = tmp_path / "creatio.sqlite"
    first = make(acme.build(), path=path)
    first.store.close()
    site = make_site(acme.empty(), path=path)
    assert site.get("Account/$count").text == "200"
    site.create("Account", Name="A")
    assert make(acme.empty(), path=path).stats()["rows"]["Account"] == 201


def test_the_airflow_connection_names_this_sandbox() -> None:
    """The connection holds what signs in here."""
    connection = airflow_connection("http://127.0.0.1:8101")
    assert connection["conn_type"] == "creatio"
    assert (connection["schema"], connection["host"], connection["port"]) == ("http", "127.0.0.1", 8101)
    assert (connection["login"], connection["password"]) == ("Supervisor", "Supervisor1!")
