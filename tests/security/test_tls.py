"""Sending: certificates are checked, nothing secret goes unencrypted to another machine or on to another host."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import certifi
import pytest
import requests

import sandbox.creatio
import sandbox.quickbooks_online
from iw_operators.errors import FixConfiguration, InterWeaveError
from iw_operators.state import MemorySecretState
from iw_operators.systems import http
from iw_operators.systems.base import Settings, System
from iw_operators.systems.http import Request, Timeouts, check_address, transport_over
from iw_operators.systems.registry import open_system
from sandbox.common.serve import serve
from sandbox.seed.world import World
from tests.certificates import certificate

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("S1", "S2")]

SYSTEMS = ("creatio", "quickbooks_online")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the certificates are."""
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def sites(folder: Path) -> Iterator[dict[str, Any]]:
    """Both sandboxes behind a certificate that nobody has signed but itself."""
    pem, key = certificate(folder)
    with (
        serve(sandbox.creatio.make(World()), tls=(pem, key)) as crm,
        serve(sandbox.quickbooks_online.make(World()), tls=(pem, key)) as books,
    ):
        yield {"creatio": crm, "quickbooks_online": books, "pem": str(pem)}


def opened(system: str, url: str, monkeypatch: pytest.MonkeyPatch, **extra: Any) -> System:
    """Return a system over a connection to `url`."""
    vendor = {"creatio": sandbox.creatio, "quickbooks_online": sandbox.quickbooks_online}[system]
    body = vendor.airflow_connection(url)
    monkeypatch.setenv("AIRFLOW_CONN_SITE", json.dumps({**body, "extra": {**body["extra"], **extra}}))
    return open_system(system, "site", Settings(MemorySecretState()))


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_certificate_that_nobody_vouches_for_is_refused(
    system: str, sites: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default nothing is sent to such a site, and the message says what to do."""
    before = sites[system].control.requests
    with pytest.raises(FixConfiguration, match="certificate") as caught:
        opened(system, sites[system].url, monkeypatch).check()
    assert caught.value.code == "http.certificate"
    assert "ca_file" in caught.value.advice
    assert sites[system].control.requests == before


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_file_with_the_authority_makes_it_trusted(
    system: str, sites: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ca_file` is enough, also when the environment names other authorities, and even beside `verify: false`."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    for extra in ({}, {"verify": False}, {"verify": None}):
        assert opened(system, sites[system].url, monkeypatch, ca_file=sites["pem"], **extra).check()


@pytest.mark.parametrize("system", SYSTEMS)
def test_another_authority_does_not(
    system: str, sites: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with a certificate of somebody else leaves the site refused; a file that is none says so by its name."""
    other, key = certificate(folder, "127.0.0.2")
    with pytest.raises(FixConfiguration, match="not trusted"):
        opened(system, sites[system].url, monkeypatch, ca_file=str(other)).check()
    for bad in (str(key), str(folder), str(folder / "nowhere.pem")):
        with pytest.raises(FixConfiguration, match="cannot be used") as caught:
            opened(system, sites[system].url, monkeypatch, ca_file=bad).check()
        assert bad in caught.value.advice


@pytest.mark.parametrize("system", SYSTEMS)
def test_checking_can_be_switched_off_and_is_then_told(
    system: str, sites: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`verify: false` works, also against the environment's settings, and leaves one warning; no other value does."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    told: list[str] = []
    monkeypatch.setattr(http, "log", SimpleNamespace(warning=lambda event, **_: told.append(event)))
    assert opened(system, sites[system].url, monkeypatch, verify=False).check()
    assert told == ["the certificate is not checked"]
    for word in ("false", 0, "", "no", None):
        with pytest.raises(FixConfiguration, match="not trusted"):
            opened(system, sites[system].url, monkeypatch, verify=word).check()


@pytest.mark.parametrize("host", ["http://crm.example.com", "http://10.0.0.7:8080", "http://127.0.0.1.example.com"])
def test_plain_http_leaves_this_machine_only_when_it_is_said(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another host without TLS is refused before anything is sent, by both systems; `allow_http` lets it through."""
    for system in SYSTEMS:
        with pytest.raises(FixConfiguration, match="unencrypted") as caught:
            opened(system, host, monkeypatch).check()
        assert caught.value.code == "http.plain"
        opened(system, host, monkeypatch, allow_http=True)
        with pytest.raises(FixConfiguration):
            opened(system, host, monkeypatch, allow_http="true")
    assert check_address(host, "Vendor", allow_http=True) == urlsplit(host).hostname


def test_the_identity_service_is_held_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """An https site with a token service on http gets no client secret."""
    system = opened("creatio", "https://127.0.0.1:1", monkeypatch, auth="oauth", identity_url="http://id.example.com")
    with pytest.raises(FixConfiguration, match="unencrypted"):
        system.check()


@pytest.mark.parametrize("url", ["http://127.0.0.1:80", "http://localhost", "http://[::1]:1", "http://127.9.9.9"])
def test_this_machine_needs_no_tls(url: str) -> None:
    """Sandboxes on the loopback interface are reached as they are."""
    assert check_address(url, "Vendor") == ""


@pytest.mark.parametrize("url", ["https://user:MARK@crm.example.com", "https://MARK@x", "http://a:MARK@127.0.0.1"])
def test_credentials_do_not_stand_in_an_address(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address is shown in messages: one that holds a login is refused, or the login taken off, and never shown."""
    with pytest.raises(FixConfiguration, match="holds a login") as caught:
        check_address(url, "Vendor")
    assert "MARK" not in str(caught.value)
    for system in SYSTEMS:
        with pytest.raises(InterWeaveError) as refused:
            opened(system, url.replace("crm.example.com", "127.0.0.1:1"), monkeypatch).check()
        assert "MARK" not in str(refused.value)


@pytest.mark.parametrize("url", ["ftp://x", "file:///etc/passwd", "gopher://x", "https://", "http://[", "javascript:x"])
def test_other_addresses_are_none(url: str) -> None:
    """Only the web's own schemes."""
    with pytest.raises(FixConfiguration, match="not a web address"):
        check_address(url, "Vendor")


@contextlib.contextmanager
def redirecting(status: int, to: str) -> Iterator[tuple[str, list[bytes]]]:
    """Answer every request with a redirect; yield the address and what came."""
    seen: list[bytes] = []
    head = f"HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.settimeout(5)
                        seen.append(connection.recv(65_536))
                        connection.sendall(head)

        threading.Thread(target=run, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", seen


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site that sends us on gets an error; the other host sees nothing, neither password nor token nor request."""
    with redirecting(302, "/") as (elsewhere, stolen), redirecting(status, f"{elsewhere}/x") as (site, _):
        for system in SYSTEMS:
            with pytest.raises(InterWeaveError):
                opened(system, site, monkeypatch).check()
        session = requests.Session()
        answer = transport_over(session, Timeouts(2, 2), "Vendor")(
            Request("POST", f"{site}/a", {"Authorization": "Bearer MARK"}, b"MARK")
        )
        assert answer.status == status
        assert stolen == []
        session.close()
