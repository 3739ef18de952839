"""Sign-in as the vendor does it: forms, BPMCSRF, ForceUseSession, OAuth 2.0, both roots."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests import web

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("S1")]

LOGIN = "/ServiceModel/AuthService.svc/Login"
GOOD = {"UserName": "Supervisor", "UserPassword": "Supervisor1!"}
CLIENT = {"grant_type": "client_credentials", "client_id": "iw-client", "client_secret": "iw-secret"}


def test_good_credentials_give_code_0_and_the_cookies(make_site: Any) -> None:
    """A right password is answered with Code 0 and the four cookies of every build."""
    site = make_site(signed_in=False)
    response = web.post(site.url + LOGIN, json=GOOD)
    assert response.status_code == 200
    assert response.json() == {
        "Code": 0,
        "Message": "",
        "Exception": None,
        "PasswordChangeUrl": None,
        "RedirectUrl": None,
    }
    assert {"BPMLOADER", ".ASPXAUTH", "BPMCSRF", "UserName"} <= set(response.cookies.keys())


def test_bad_credentials_are_status_200_with_another_code(make_site: Any) -> None:
    """A wrong password is status 200, Code other than 0, and no cookie."""
    site = make_site(signed_in=False)
    response = web.post(site.url + LOGIN, json={**GOOD, "UserPassword": "wrong"})
    assert response.status_code == 200
    assert response.json()["Code"] != 0
    assert response.json()["Message"]
    assert not response.cookies


def test_a_login_body_that_is_no_json_is_refused(make_site: Any) -> None:
    """A sign-in without a readable body is a 400, not a crash."""
    site = make_site(signed_in=False)
    assert web.post(site.url + LOGIN, content=b"{").status_code == 400
    assert web.post(site.url + LOGIN, json=["x"]).status_code == 400


def test_without_a_session_every_request_is_401(make_site: Any) -> None:
    """The service answers nobody who has not signed in."""
    site = make_site(signed_in=False)
    for path in ("", "/$metadata", "/Account", "/$batch"):
        response = web.get(site.odata + path)
        assert response.status_code == 401
        assert set(response.json()) == {"Message", "ExceptionMessage", "ExceptionType", "StackTrace"}


@pytest.mark.parametrize("value", [None, "", "forged"])
def test_without_a_valid_bpmcsrf_it_is_403(site: Any, value: str | None) -> None:
    """The cookie alone is not enough: the header has to repeat its value."""
    assert (
        web.get(site.odata, cookies=site.session.cookies.get_dict(), headers={"ForceUseSession": "true"}).status_code
        == 403
    )
    site.session.headers["BPMCSRF"] = value
    assert site.get("").status_code == 403


def test_without_force_use_session_it_is_401(site: Any) -> None:
    """ForceUseSession is what makes the session count."""
    del site.session.headers["ForceUseSession"]
    assert site.get("").status_code == 401


def test_on_net_framework_the_login_below_0_is_401(make_site: Any) -> None:
    """The sign-in sits at the site root on both hosts."""
    site = make_site(flavour="netframework", root="/0/odata", signed_in=False)
    assert web.post(f"{site.url}/0{LOGIN}", json=GOOD).status_code == 401
    assert web.post(site.url + LOGIN, json=GOOD).json()["Code"] == 0


@pytest.mark.parametrize(
    ("flavour", "root", "status"),
    [
        ("netcore", "/odata", 200),
        ("netcore", "/0/odata", 404),
        ("netframework", "/0/odata", 200),
        ("netframework", "/odata", 404),
        ("any", "/odata", 200),
        ("any", "/0/odata", 200),
    ],
)
def test_each_flavour_serves_its_root(make_site: Any, flavour: str, root: str, status: int) -> None:
    """The data are under /0/odata on .NET Framework and under /odata later; addresses in answers say so."""
    site = make_site(flavour=flavour, root=root)
    response = site.get("Currency", select="Name", top=1)
    assert response.status_code == status
    if status == 200:
        assert response.json()["@odata.context"] == f"{site.url}{root}/$metadata#Currency(Name)"
    else:
        assert "text/html" in response.headers["Content-Type"]


def test_a_session_ends_after_its_time(make_site: Any) -> None:
    """A session that has not been used for its time is gone and a new sign-in helps."""
    site = make_site(session_seconds=0.0)
    assert site.get("").status_code == 401


def test_an_ended_session_can_be_the_login_page_with_status_200(make_site: Any) -> None:
    """The status alone does not tell an answer from the login page."""
    site = make_site(session_seconds=0.0, expired="login_page")
    response = site.get("Account")
    assert response.status_code == 200
    assert "text/html" in response.headers["Content-Type"]
    assert "/Login/" in response.text
    assert '"bootstrap.login"' in response.text
    assert web.get(site.odata).status_code == 401  # never signed in is something else


def test_a_bearer_token_needs_no_bpmcsrf(make_site: Any) -> None:
    """OAuth 2.0 client credentials give a token that stands alone."""
    site = make_site(signed_in=False)
    answer = web.post(f"{site.url}/connect/token", data=CLIENT).json()
    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == 3600
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    assert web.get(f"{site.odata}/Currency", headers=headers).status_code == 200
    assert site.stats()["calls"] == {"token": 1, "read": 1}


def test_client_credentials_may_come_as_basic_authentication(make_site: Any) -> None:
    """The identity service takes the client's secret from either place."""
    site = make_site(signed_in=False)
    header = {"Authorization": "Basic " + base64.b64encode(b"iw-client:iw-secret").decode()}
    response = web.post(f"{site.url}/connect/token", data={"grant_type": "client_credentials"}, headers=header)
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "", "client_secret": ""}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_a_bad_token_request_is_400(make_site: Any, change: dict[str, str], error: str) -> None:
    """The identity service names what is wrong."""
    site = make_site(signed_in=False)
    response = web.post(f"{site.url}/connect/token", data={**CLIENT, **change})
    assert (response.status_code, response.json()) == (400, {"error": error})


def test_an_ended_or_forged_token_is_401(make_site: Any) -> None:
    """A token counts until its end only, and only if it was given out."""
    site = make_site(signed_in=False, token_seconds=0)
    token = web.post(f"{site.url}/connect/token", data=CLIENT).json()["access_token"]
    for value in (token, "forged"):
        assert web.get(site.odata, headers={"Authorization": f"Bearer {value}"}).status_code == 401


def test_calls_over_the_daily_quota_are_429(make_site: Any) -> None:
    """The plan's quota ends the day's calls; the next day has its own."""
    site = make_site(daily_calls=2, clock="2026-11-02T23:00:00+00:00")
    assert [site.get("Currency").status_code for _ in range(3)] == [200, 200, 429]
    site.sandbox.clock.set(site.sandbox.clock.now().replace(day=3))
    assert site.get("Currency").status_code == 200
