"""The Airflow connection: what it needs, what its Test button says, and what it never sends."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import certifi
import pytest

from iw_operators.errors import FixConfiguration
from iw_operators.systems.base import Settings
from iw_operators.systems.creatio.auth import OAuth
from iw_operators.systems.creatio.hook import CreatioHook
from iw_operators.systems.registry import open_system
from sandbox.creatio import airflow_connection
from sandbox.seed import acme
from tests.systems.creatio.conftest import MakeSite, Site
from tests.systems.creatio.helpers import Kept, view_of

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("S1")]

Define = Callable[..., CreatioHook]


@pytest.fixture
def define(monkeypatch: pytest.MonkeyPatch) -> Define:
    """Make an Airflow connection as the environment holds it; return its hook."""

    def build(host: str, extra: dict[str, Any] | None = None, **fields: Any) -> CreatioHook:
        given = {"conn_type": "creatio", "host": host, "login": "Supervisor", "password": "Supervisor1!", **fields}
        monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps({**given, "extra": extra or {}}))
        return CreatioHook("crm")

    return build


def test_the_sandboxes_own_connection_works(acme_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection that the sandbox hands out leads through registry and hook to its records."""
    monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps(airflow_connection(acme_site.url)))
    system = open_system("creatio", "crm", Settings(state=Kept(), time_zone="America/New_York"))
    assert "signed in as Supervisor" in system.check()
    assert next(iter(system.scan(view_of("Account"), None)))


@pytest.mark.parametrize(
    ("extra", "fields"),
    [
        ({}, {}),
        ({"auth": "forms", "verify": False, "connect_timeout": 5, "read_timeout": "30", "nonsense": 1}, {}),
        ({"auth": "oauth"}, {"login": "iw-client", "password": "iw-secret"}),
    ],
)
def test_test_button_when_all_is_well(
    acme_site: Site, define: Define, extra: dict[str, Any], fields: dict[str, Any]
) -> None:
    """It signs in, reads one row of each object that we use and says where and as whom."""
    if extra.get("auth") == "oauth":
        extra = {**extra, "identity_url": f"{acme_site.url}/"}
    good, message = define(f"{acme_site.url}/", extra, **fields).test_connection()
    assert good, message
    assert "signed in as" in message


@pytest.mark.parametrize(("flavour", "platform"), [("netcore", "framework"), ("netframework", "core")])
def test_test_button_names_the_right_platform(make_site: MakeSite, define: Define, flavour: str, platform: str) -> None:
    """A wrong root is found out by trying the other one."""
    site = make_site(acme.empty(), flavour=flavour)
    good, message = define(site.url, {"platform": platform}).test_connection()
    assert not good
    assert "Choose " + ("core" if platform == "framework" else "framework") in message


def test_test_button_when_something_is_wrong(acme_site: Site, define: Define) -> None:
    """Host, TLS, user, client, page instead of Creatio: each has a sentence of its own, and no secret in it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}"
    oauth = {"auth": "oauth", "identity_url": acme_site.url}
    port = acme_site.url.rpartition(":")[2]
    cases: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
        (closed, {}, {}, "cannot be reached"),
        ("https://no-such-host.invalid", {}, {}, "cannot be reached"),
        (f"https://127.0.0.1:{port}", {}, {}, "does not speak TLS"),
        ("127.0.0.1", {}, {"port": int(port)}, "does not speak TLS"),
        (f"{acme_site.url}/somewhere", {}, {}, "not Creatio's sign-in"),
        (acme_site.url, {}, {"password": "wr0ng-word"}, "does not let the user in"),
        (acme_site.url, oauth, {"login": "iw-client", "password": "wr0ng-word"}, "invalid_client"),
        (acme_site.url, {"auth": "oauth"}, {}, "identity service"),
        (acme_site.url, {"auth": "kerberos"}, {}, "forms or oauth"),
        (acme_site.url, {"platform": "cobol"}, {}, "core, framework"),
        (acme_site.url, {"read_timeout": "long"}, {}, "read_timeout"),
        (acme_site.url, {}, {"login": None}, "no login"),
        ("", {}, {}, "no site"),
    ]
    for host, extra, fields, words in cases:
        good, message = define(host, extra, **fields).test_connection()
        assert not good, (host, extra, fields)
        assert words in message
        assert "wr0ng-word" not in message


def test_test_button_names_objects_without_a_right(acme_site: Site, define: Define) -> None:
    """An object that the user may not read is named; one that is not there is named as such."""
    acme_site.fault("csrf", times=-1, match="/Opportunity")
    good, message = define(acme_site.url).test_connection()
    assert not good
    assert "no right to read Opportunity" in message


def test_a_page_instead_of_creatio(acme_site: Site, define: Define) -> None:
    """A site under maintenance answers with a page."""
    acme_site.fault("html", times=-1, match="/odata")
    good, message = define(acme_site.url).test_connection()
    assert (good, "page instead of data" in message) == (False, True)


def test_a_missing_connection_is_told(define: Define) -> None:
    """No connection of that name: a configuration error that says so, not a stack trace."""
    del define
    with pytest.raises(FixConfiguration, match="no Airflow connection 'not_there'"):
        open_system("creatio", "not_there", Settings(state=Kept()))


def test_unknown_time_zone(define: Define) -> None:
    """A time zone that does not exist is told by name."""
    define("https://x.creatio.com")
    with pytest.raises(FixConfiguration, match="Mars"):
        open_system("creatio", "crm", Settings(state=Kept(), time_zone="Mars/Base"))


def test_nothing_of_the_connection_leaks_into_headers(define: Define) -> None:
    """Neither basic authentication nor keys of extra travel with requests."""
    session = define("https://x.creatio.com", {"platform": "core", "identity_url": "https://i.test"}).get_conn()
    assert session.auth is None
    assert not {"platform", "identity_url", "auth"} & {name.lower() for name in session.headers}
    assert session.verify is True
    assert define("https://x.creatio.com", {"verify": False}).get_conn().verify is False
    assert define("https://x.creatio.com", {"ca_file": certifi.where()}).get_conn().verify == certifi.where()


@pytest.mark.parametrize(
    ("host", "fields", "site"),
    [
        ("x.creatio.com", {}, "https://x.creatio.com"),
        ("https://x.creatio.com/0/", {}, "https://x.creatio.com"),
        ("http://localhost/creatio", {"port": 8080}, "http://localhost:8080/creatio"),
        ("127.0.0.1:88", {"schema": "http", "port": 99}, "http://127.0.0.1:88"),
    ],
)
def test_the_site_however_it_is_written(define: Define, host: str, fields: dict[str, Any], site: str) -> None:
    """Name or address, with or without slash, port or the /0 that browsers show."""
    assert define(host, **fields).site() == site


def test_cloud_identity_service_is_known(define: Define) -> None:
    """In the cloud the identity service's address follows from the site's."""
    auth = define("acme.creatio.com", {"auth": "oauth"}).auth()
    assert isinstance(auth, OAuth)
    assert auth.identity == "https://acme-is.creatio.com"
    assert "Supervisor1!" not in repr(auth)


def test_airflow_makes_the_hook_from_the_connection(define: Define) -> None:
    """Airflow hands the connection's id to the hook under the name that the hook states."""
    define("https://x.creatio.com")
    assert CreatioHook(**{CreatioHook.conn_name_attr: "crm"}).site() == "https://x.creatio.com"
