"""Tokens rotate and none is lost."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import threading
from collections.abc import Callable

import pytest

from iw_operators.errors import ConnectionFailure, FixConfiguration, InterWeaveError, Throttled
from iw_operators.systems.http import Request, Response
from iw_operators.systems.quickbooks_online.tokens import SignIn, drive
from tests.systems.quickbooks_online.fakes import (
    NOW,
    TOKEN_URL,
    FakeClock,
    Intuit,
    MemoryState,
    answer,
    credentials,
    tokens,
)

ASK = Request("GET", "http://intuit.test/v3/company/1/companyinfo/1")


def _bearers(intuit: Intuit) -> list[str]:
    return [request.headers["Authorization"] for request in intuit.requests]


@pytest.mark.feature("S2")
def test_the_first_token_is_exchanged_once_and_the_new_one_kept() -> None:
    """Two requests need one refresh; the state then holds the rotated token and whose first one it comes from."""
    state, intuit = MemoryState(), Intuit()
    sign_in = SignIn(credentials(), state, now=lambda: NOW)
    for _ in range(2):
        drive(sign_in.flow(ASK), intuit)
    assert intuit.refreshes == 1
    assert _bearers(intuit) == ["Bearer access-1"] * 2
    assert state.value["refresh_token"] == "refresh-1"
    assert state.value["first"] == credentials().fingerprint
    assert "refresh-0" not in state.value.values()


def test_a_refresh_is_asked_as_intuit_wants_it() -> None:
    """The refresh is a form with basic authentication."""
    seen: list[Request] = []

    def transport(request: Request) -> Response:
        seen.append(request)
        return tokens(1) if request.url == TOKEN_URL else answer({})

    drive(SignIn(credentials(), MemoryState(), now=lambda: NOW).flow(ASK), transport)
    refresh = seen[0]
    assert refresh.headers["Authorization"] == "Basic " + base64.b64encode(b"id:secret").decode()
    assert refresh.body == b"grant_type=refresh_token&refresh_token=refresh-0"


@pytest.mark.feature("S2")
def test_another_task_uses_the_token_that_is_kept() -> None:
    """A new process with the same state sends its first request without a refresh."""
    state, intuit = MemoryState(), Intuit()
    drive(SignIn(credentials(), state, now=lambda: NOW).flow(ASK), intuit)
    drive(SignIn(credentials(), state, now=lambda: NOW).flow(ASK), intuit)
    assert intuit.refreshes == 1


@pytest.mark.feature("S2")
def test_another_client_secret_is_tried_at_once() -> None:
    """A token that was got with another secret is not used: a wrong secret is found now, not when the hour is over."""
    state, intuit = MemoryState(), Intuit()
    drive(SignIn(credentials(), state, now=lambda: NOW).flow(ASK), intuit)
    changed = dataclasses.replace(credentials(), client_secret="another")
    drive(SignIn(changed, state, now=lambda: NOW).flow(ASK), intuit)
    assert intuit.refreshes == 2
    assert state.value["refresh_token"] == "refresh-2"


@pytest.mark.feature("S2")
def test_a_token_about_to_end_is_refreshed_with_the_current_refresh_token() -> None:
    """An hour later the refresh uses the rotated token, not the connection's first one."""
    state, clock = MemoryState(), FakeClock()
    bodies: list[bytes | None] = []
    intuit = Intuit()

    def transport(request: Request) -> Response:
        if request.url == TOKEN_URL:
            bodies.append(request.body)
        return intuit(request)

    sign_in = SignIn(credentials(), state, now=clock.now)
    drive(sign_in.flow(ASK), transport)
    clock.seconds += 3500
    drive(sign_in.flow(ASK), transport)
    assert [b and b.rpartition(b"=")[2] for b in bodies] == [b"refresh-0", b"refresh-1"]


@pytest.mark.feature("S2")
def test_a_401_refreshes_once_and_repeats_the_same_request() -> None:
    """A refused access token is refreshed once; the request then goes out again unchanged."""
    intuit = Intuit(lambda r: answer({}, 200 if r.headers["Authorization"] == "Bearer access-2" else 401))
    response = drive(SignIn(credentials(), MemoryState(), now=lambda: NOW).flow(ASK), intuit)
    assert response.status == 200
    assert intuit.refreshes == 2
    assert [r.url for r in intuit.requests] == [ASK.url] * 2


def test_a_401_after_a_refresh_is_given_back() -> None:
    """When a fresh token is refused as well there is no third try."""
    intuit = Intuit(lambda _: answer({}, 401))
    assert drive(SignIn(credentials(), MemoryState(), now=lambda: NOW).flow(ASK), intuit).status == 401
    assert (intuit.refreshes, len(intuit.requests)) == (2, 2)


@pytest.mark.feature("S2")
def test_a_token_that_another_process_refreshed_is_taken_instead_of_refreshing_again() -> None:
    """After a 401 the state is looked at first: another access token there needs no refresh."""
    state, intuit = MemoryState(), Intuit()
    drive(SignIn(credentials(), state, now=lambda: NOW).flow(ASK), intuit)

    def refused_while_another_refreshes(request: Request) -> Response:
        if request.headers["Authorization"] != "Bearer access-1":
            return answer({})
        state.write({**state.value, "access_token": "access-of-another", "refresh_token": "refresh-of-another"})
        return answer({}, 401)

    intuit.handler = refused_while_another_refreshes
    assert drive(SignIn(credentials(), state, now=lambda: NOW).flow(ASK), intuit).status == 200
    assert intuit.refreshes == 1
    assert _bearers(intuit)[1:] == ["Bearer access-1", "Bearer access-of-another"]


@pytest.mark.feature("S2")
def test_a_new_first_token_in_the_connection_wins_over_the_state() -> None:
    """Somebody authorised again: the connection's new token is used although the state has a current one."""
    state, intuit = MemoryState(), Intuit()
    drive(SignIn(credentials(), state, now=lambda: NOW).flow(ASK), intuit)
    sent: list[bytes | None] = []

    def transport(request: Request) -> Response:
        sent.append(request.body if request.url == TOKEN_URL else None)
        return intuit(request)

    drive(SignIn(credentials("authorised-anew"), state, now=lambda: NOW).flow(ASK), transport)
    assert sent[0] is not None
    assert sent[0].endswith(b"authorised-anew")
    assert state.value["first"] == credentials("authorised-anew").fingerprint


@pytest.mark.feature("S2", "B2")
def test_dying_between_refresh_and_save_leaves_the_old_token_to_use_again() -> None:
    """A process that dies before the save leaves a marker and the old token; the next one signs in with it."""

    class Dies(MemoryState):
        def write(self, value: object) -> None:
            if len(self.writes) == 1:
                raise KeyboardInterrupt
            super().write(value)  # type: ignore[arg-type]  # the protocol's own type

    state, intuit = Dies(), Intuit()
    with pytest.raises(KeyboardInterrupt):
        drive(SignIn(credentials(), state, now=lambda: NOW).flow(ASK), intuit)
    assert state.value["begun"] == NOW.isoformat()
    assert not state.held.locked()
    after = MemoryState(state.value)
    assert drive(SignIn(credentials(), after, now=lambda: NOW).flow(ASK), intuit).status == 200
    assert after.value["refresh_token"] == "refresh-2"
    assert "begun" not in after.value


@pytest.mark.feature("S2")
def test_a_dead_refresh_token_names_the_interrupted_refresh_and_how_to_go_on() -> None:
    """invalid_grant is FixConfiguration with the way to authorise again, and tells of the refresh that was cut off."""
    begun = (NOW - dt.timedelta(days=2)).isoformat()
    state = MemoryState({"first": credentials().fingerprint, "refresh_token": "lost", "begun": begun})
    error = _refused(state, answer({"error": "invalid_grant", "error_description": "Incorrect"}, 400))
    assert isinstance(error, FixConfiguration)
    assert error.code == "invalid_grant"
    assert begun in error.message
    assert "Authorise" in error.advice


def test_a_refusal_leaves_no_marker_of_its_own() -> None:
    """A refresh that Intuit refused was not interrupted; the next refusal does not claim so."""
    state = MemoryState()
    for _ in range(2):
        error = _refused(state, answer({"error": "invalid_grant"}, 400))
        assert "interrupted" not in error.message


@pytest.mark.parametrize(
    ("response", "kind", "code"),
    [
        (answer({"error": "invalid_client"}, 401), FixConfiguration, "invalid_client"),
        (answer({"error": "unsupported_grant_type"}, 400), FixConfiguration, "unsupported_grant_type"),
        (Response(503, {}, b"<html></html>"), ConnectionFailure, "http.503"),
        (Response(200, {}, b"<html></html>"), ConnectionFailure, "http.200"),
        (Response(429, {"retry-after": "5"}, b""), Throttled, "3001"),
    ],
)
def test_the_token_servers_refusals_are_told_apart(response: Response, kind: type[InterWeaveError], code: str) -> None:
    """Wrong client, wrong address, an outage and throttling each get their class."""
    error = _refused(MemoryState(), response)
    assert isinstance(error, kind)
    assert error.code == code


@pytest.mark.feature("B2")
def test_a_token_server_that_breaks_off_means_that_nothing_was_sent() -> None:
    """The request itself has not gone out, so a write is not in doubt."""

    def transport(_: Request) -> Response:
        msg = "broke"
        raise ConnectionFailure(msg, sent=True)

    state = MemoryState()
    with pytest.raises(ConnectionFailure) as caught:
        drive(SignIn(credentials(), state, now=lambda: NOW).flow(ASK), transport)
    assert caught.value.sent is False
    assert state.value["refresh_token"] == "refresh-0"
    assert not state.held.locked()


@pytest.mark.feature("S2")
def test_threads_that_find_no_token_refresh_once() -> None:
    """Eight at once wait for the first one's refresh and use what it kept."""
    state, intuit = MemoryState(), Intuit()
    go = threading.Barrier(8)

    def work() -> None:
        sign_in = SignIn(credentials(), state, now=lambda: NOW)
        go.wait()
        drive(sign_in.flow(ASK), intuit)

    _all_at_once(work, 8)
    assert intuit.refreshes == 1
    assert set(_bearers(intuit)) == {"Bearer access-1"}


def test_every_secret_is_masked_and_none_shows_in_a_repr() -> None:
    """Tokens are handed to the mask as they come, and credentials do not print theirs."""
    masked: list[str] = []
    sign_in = SignIn(credentials(), MemoryState(), now=lambda: NOW, mask=masked.append)
    drive(sign_in.flow(ASK), Intuit())
    assert {"access-1", "refresh-1"} <= set(masked)
    shown = repr(sign_in.credentials) + repr(sign_in._current)
    assert not any(secret in shown for secret in ("secret'", "refresh-", "access-"))


def _refused(state: MemoryState, response: Response) -> InterWeaveError:
    with pytest.raises(InterWeaveError) as caught:
        drive(SignIn(credentials(), state, now=lambda: NOW).flow(ASK), lambda _: response)
    assert not state.held.locked()
    return caught.value


def _all_at_once(work: Callable[[], None], number: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
