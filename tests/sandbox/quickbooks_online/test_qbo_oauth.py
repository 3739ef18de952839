"""Signing in: tokens that end, refresh tokens that rotate, and the gateway's refusals."""

from __future__ import annotations

import base64

import pytest
import requests

from sandbox.common.serve import Running
from sandbox.quickbooks_online import QuickBooksOnline
from sandbox.quickbooks_online.options import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from tests.sandbox.quickbooks_online.qbo_api import Api, read

pytestmark = pytest.mark.sandbox
DAY = 86_400


def test_discovery(api: Api) -> None:
    """The discovery document names every endpoint that Intuit's own client reads, on the same host."""
    document = requests.get(f"{api.url}/discovery", timeout=10).json()
    for name in ("authorization", "token", "revocation", "userinfo"):
        assert document[f"{name}_endpoint"].startswith(api.url)
    assert {"issuer", "jwks_uri"} < set(document)


@pytest.mark.feature("S2")
def test_refresh_rotates_and_the_old_one_lives_a_day(api: Api, running: Running[QuickBooksOnline]) -> None:
    """Each refresh gives a new pair; the token before works for 24 hours more, whatever is done with it."""
    first = api.refresh(REFRESH_TOKEN).json()
    assert (first["token_type"], first["expires_in"], first["x_refresh_token_expires_in"]) == (
        "bearer",
        3600,
        8_726_400,
    )
    second = api.refresh(REFRESH_TOKEN).json()
    assert len({REFRESH_TOKEN, first["refresh_token"], second["refresh_token"]}) == 3
    running.sandbox.clock.advance(DAY + 1)
    bad = api.refresh(REFRESH_TOKEN)
    assert (bad.status_code, bad.json()) == (
        400,
        {"error": "invalid_grant", "error_description": "Incorrect or invalid refresh token"},
    )
    assert api.refresh(second["refresh_token"]).status_code == 200


def test_refresh_tokens_end(api: Api, running: Running[QuickBooksOnline]) -> None:
    """A refresh token that is not used dies after 101 days, and the chain never outlives five years."""
    token = api.refresh(REFRESH_TOKEN).json()["refresh_token"]
    answer = {}
    for _ in range(20):
        running.sandbox.clock.advance(91 * DAY)
        answer = api.refresh(token).json()
        token = answer["refresh_token"]
    assert answer["x_refresh_token_expires_in"] < 10 * DAY
    running.sandbox.clock.advance(10 * DAY)
    assert api.refresh(token).json()["error"] == "invalid_grant"
    running.sandbox.reset({})
    running.sandbox.clock.advance(101 * DAY + 1)
    assert api.refresh(REFRESH_TOKEN).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("how", "status", "error"),
    [
        ({"auth": (CLIENT_ID, "wrong")}, 401, "invalid_client"),
        ({"headers": {"Authorization": "Bearer x"}}, 401, "invalid_client"),
        ({"headers": {"Authorization": "Basic ***"}}, 401, "invalid_client"),
        ({"data": {"grant_type": "password"}}, 400, "unsupported_grant_type"),
        ({"data": {"grant_type": "refresh_token"}}, 400, "invalid_request"),
        ({"data": {"grant_type": "refresh_token", "refresh_token": "nonsense"}}, 400, "invalid_grant"),
    ],
)
def test_refused_refreshes(api: Api, how: dict[str, object], status: int, error: str) -> None:
    """A wrong client, grant or token is refused in OAuth's own form."""
    given: dict[str, object] = {"data": {"grant_type": "refresh_token", "refresh_token": REFRESH_TOKEN}} | how
    if "headers" not in how:
        given = {"auth": (CLIENT_ID, CLIENT_SECRET)} | given
    response = requests.post(f"{api.url}/oauth2/v1/tokens/bearer", timeout=10, **given)  # type: ignore[arg-type]  # a table of keywords
    assert (response.status_code, response.json()["error"]) == (status, error)


def test_authorization_code(api: Api) -> None:
    """A person's consent gives a code and the realm, the code a pair of tokens, once."""
    query = {"client_id": CLIENT_ID, "redirect_uri": "http://127.0.0.1:9/back", "state": "s1", "response_type": "code"}
    sent = requests.get(f"{api.url}/connect/oauth2", params=query, allow_redirects=False, timeout=10)
    parts = dict(part.split("=") for part in sent.headers["Location"].split("?")[1].split("&"))
    assert (sent.status_code, parts["state"], parts["realmId"]) == (302, "s1", "9130350000000001")
    form = {"grant_type": "authorization_code", "code": parts["code"], "redirect_uri": query["redirect_uri"]}
    basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    url, headers = f"{api.url}/oauth2/v1/tokens/bearer", {"Authorization": f"Basic {basic}"}
    assert requests.post(url, data=form, headers=headers, timeout=10).json()["access_token"]
    assert requests.post(url, data=form, headers=headers, timeout=10).json()["error"] == "invalid_grant"


def test_revoke(api: Api) -> None:
    """Revoking any token of a connection ends all of them."""
    url = f"{api.url}/oauth2/v1/tokens/revoke"
    assert requests.post(url, json={"token": api.token}, auth=(CLIENT_ID, CLIENT_SECRET), timeout=10).status_code == 200
    assert api.call("GET", "customer/1").status_code == 401
    assert api.refresh(REFRESH_TOKEN).json()["error"] == "invalid_grant"


def test_no_token_and_an_expired_one(api: Api, running: Running[QuickBooksOnline]) -> None:
    """Without a token in force the gateway answers 401, with keys in lower case, milliseconds and code 3200."""
    missing = api.call("GET", "customer/1", headers={"Authorization": ""})
    running.sandbox.clock.advance(3601)
    expired = api.call("GET", "customer/1")
    for response in (missing, expired):
        content = read(response)
        (error,) = content["fault"]["error"]
        assert response.status_code == 401
        assert error["message"] == "message=AuthenticationFailed; errorCode=003200; statusCode=401"
        assert (error["code"], error["element"], content["fault"]["type"]) == ("3200", None, "AUTHENTICATION")
        assert isinstance(content["time"], int)
    assert read(expired)["fault"]["error"][0]["detail"].startswith("Token expired: ")


def test_another_realm(api: Api) -> None:
    """A token is for one company: another realm is 403, code 3100, in the gateway's form."""
    response = api.call("GET", "customer/1", realm="9130350000000002")
    assert response.status_code == 403
    assert read(response)["fault"]["error"][0]["code"] == "3100"


def test_faults_of_signing_in(api: Api) -> None:
    """A refresh can be lost on the way or take its predecessor along; an access token can be ended."""
    api.arm("refresh_lost")
    with pytest.raises(requests.ConnectionError):
        api.refresh(REFRESH_TOKEN)
    assert api.refresh(REFRESH_TOKEN).json()["error"] == "invalid_grant"
    api.control("reset", {"throttle": False})
    api.arm("old_refresh_dies")
    token = api.refresh(REFRESH_TOKEN).json()["refresh_token"]
    assert api.refresh(REFRESH_TOKEN).json()["error"] == "invalid_grant"
    api.token = api.refresh(token).json()["access_token"]
    api.arm("expire_token")
    assert api.call("GET", "customer/1").status_code == 401
    assert api.call("GET", "customer/1").status_code == 401
    api.token = api.refresh(token).json()["access_token"]
    assert api.call("GET", "customer/1").status_code == 200
