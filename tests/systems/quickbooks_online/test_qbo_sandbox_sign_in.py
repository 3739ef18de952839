"""Signing in over a socket: rotation, loss, two at once, and what the Test button says."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from iw_operators.errors import ConnectionFailure, FixConfiguration, SignInAgain
from iw_operators.state import MemorySecretState
from iw_operators.systems.base import Settings
from iw_operators.systems.quickbooks_online.hook import QuickBooksOnlineHook
from iw_operators.systems.quickbooks_online.system import connect
from sandbox.quickbooks_online import Options, airflow_connection
from tests.systems.quickbooks_online.conftest import Site
from tests.systems.quickbooks_online.elsewhere import FileState, sign_in_elsewhere
from tests.systems.quickbooks_online.fakes import MemoryState

pytestmark = pytest.mark.sandbox


@pytest.mark.feature("S2")
def test_check_signs_in_and_tells_of_the_company(site: Site) -> None:
    """One request to the company after one refresh; the line names company and realm."""
    line = site.system().check()
    assert Options().realm in line
    assert site.requests() == 1
    assert site.stats()["calls"]["token"] == 1


@pytest.mark.feature("S2")
def test_tokens_rotate_hour_after_hour(site: Site) -> None:
    """Three hours long each refresh uses the token of the one before, and each task finds it in the state."""
    state = MemoryState()
    for hour in range(1, 4):
        site.system(state=state).check()
        state.value["expires"] = "2020-01-01T00:00:00+00:00"
        assert site.stats()["calls"]["token"] == hour
    used = {write["refresh_token"] for write in state.writes}
    assert len(used) == 4
    assert Options().refresh_token in used


@pytest.mark.feature("S2")
def test_an_access_token_that_ends_early_is_refreshed_in_the_middle(site: Site) -> None:
    """A 401 between two calls costs one refresh and nobody notices."""
    system = site.system()
    system.check()
    site.fault("expire_token")
    system.check()
    assert site.stats()["calls"]["token"] == 2


@pytest.mark.feature("S2", "B2")
def test_a_crash_between_refresh_and_save_is_survived_for_a_day(site: Site) -> None:
    """Intuit has rotated, nothing was saved: the old token still signs in, 23 hours later as well."""

    class Dies(MemoryState):
        def write(self, value: Mapping[str, str]) -> None:
            if self.writes:
                raise KeyboardInterrupt
            super().write(value)

    state = Dies()
    with pytest.raises(KeyboardInterrupt):
        site.system(state=state).check()
    site.advance(23 * 3600)
    after = MemoryState(state.value)
    site.system(state=after).check()
    assert after.value["refresh_token"] != Options().refresh_token
    assert "begun" not in after.value


@pytest.mark.feature("S2")
def test_a_refresh_token_that_was_lost_asks_for_a_person(site: Site) -> None:
    """When the answer is lost and the old token dies at once, the error says that a refresh was cut off."""
    site.fault("refresh_lost")
    state = MemoryState()
    with pytest.raises(ConnectionFailure) as broken:
        site.system(state=state).check()
    assert broken.value.sent is False
    with pytest.raises(FixConfiguration, match="interrupted") as caught:
        site.system(state=state).check()
    assert caught.value.code == "invalid_grant"
    assert "Authorise" in caught.value.advice


@pytest.mark.feature("S2")
def test_a_token_put_into_the_connection_after_authorising_again_is_taken(site: Site) -> None:
    """After a loss the connection's new first token works although the state still has the dead one."""
    state = MemoryState({"first": "x", "refresh_token": "dead"})
    with pytest.raises(FixConfiguration):
        site.system(first="never-was", state=state).check()
    site.system(first=Options().refresh_token, state=state).check()


@pytest.mark.feature("S2")
def test_each_wrong_part_of_a_connection_is_told_apart(site: Site) -> None:
    """Wrong secret, wrong token and wrong company are three different messages."""
    with pytest.raises(FixConfiguration, match="client id and secret"):
        site.system(secret="wrong").check()
    with pytest.raises(FixConfiguration, match="refresh token"):
        site.system(first="wrong").check()
    with pytest.raises(FixConfiguration, match="realm") as caught:
        site.system(realm="9999").check()
    assert caught.value.code == "3100"


def test_a_token_that_is_refused_at_once_again_is_sign_in_again(site: Site) -> None:
    """When each access token ends before its first use there is one refresh and no loop."""
    site.fault("expire_token", times=-1)
    with pytest.raises(SignInAgain):
        site.system().check()
    assert site.stats()["calls"]["token"] == 2


@pytest.mark.feature("S2")
def test_processes_that_sign_in_at_once_refresh_once(site: Site, tmp_path: Path) -> None:
    """Two processes without a token and one state: one refresh, one rotation, both signed in."""
    path = tmp_path / "state.db"
    FileState(path).close()
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    processes = [
        context.Process(target=sign_in_elsewhere, args=(site.url, str(path), Options().realm, barrier))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(90)
    assert [process.exitcode for process in processes] == [0, 0]
    assert site.stats()["calls"]["token"] == 1


@pytest.fixture
def books(site: Site, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An Airflow connection to the sandbox, which a test may change."""
    connection = airflow_connection(site.url)
    monkeypatch.setenv("AIRFLOW_CONN_QBO_BOOKS", json.dumps(connection))
    return connection


def _test_button(connection: dict[str, Any], monkeypatch: pytest.MonkeyPatch, **extra: Any) -> tuple[bool, str]:
    changed = {**connection, "extra": {**connection["extra"], **extra}}
    changed |= {key: changed["extra"].pop(key) for key in ("login", "password") if key in changed["extra"]}
    monkeypatch.setenv("AIRFLOW_CONN_QBO_BOOKS", json.dumps(changed))
    return QuickBooksOnlineHook("qbo_books", state=MemorySecretState()).test_connection()


@pytest.mark.feature("S2")
def test_the_test_button_says_what_is_right(books: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A good connection names the company and counts its customers."""
    ok, text = _test_button(books, monkeypatch)
    assert ok, text
    assert Options().realm in text
    assert "0 active customers" in text


@pytest.mark.feature("S2")
@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"password": "wrong"}, "client id and secret"),
        ({"refresh_token": "wrong"}, "refresh token"),
        ({"realm_id": "12345"}, "company id"),
        ({"oauth_url": "http://127.0.0.1:1/t"}, "cannot be reached"),
        ({"oauth_url": "no address"}, "not a web address"),
        ({"environment": "custom", "base_url": ""}, "Base URL"),
    ],
)
def test_the_test_button_says_what_is_wrong(
    books: dict[str, Any], monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], said: str
) -> None:
    """Host, sign-in, token, company and a field that lacks are each named."""
    ok, text = _test_button(books, monkeypatch, **extra)
    assert not ok
    assert said in text


@pytest.mark.feature("S2")
def test_connect_gives_a_system_and_the_hook_a_library_client(books: dict[str, Any], site: Site) -> None:
    """`connect` reads the connection; `get_conn` is a client for python-quickbooks' own classes."""
    from quickbooks.objects.customer import Customer

    state = MemorySecretState()
    assert Options().realm in connect("qbo_books", Settings(state)).check()
    client = QuickBooksOnlineHook("qbo_books", state=state).get_conn()
    made = Customer()
    made.DisplayName = "Made by the library"
    made.save(qb=client, request_id="once")
    assert [c.DisplayName for c in Customer.all(qb=client)] == ["Made by the library"]
    assert site.stats()["calls"]["token"] == 1
