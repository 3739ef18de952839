"""What systems share of HTTP: exact numbers, stamps, pages, and whether a request may have arrived."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
import threading
from collections.abc import Iterator
from decimal import Decimal

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from iw_operators.errors import ConnectionFailure, FixConfiguration
from iw_operators.systems.http import (
    Request,
    Timeouts,
    failure_of,
    format_stamp,
    json_dumps,
    json_loads,
    looks_like_html,
    parse_stamp,
    transport_over,
)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_decimals_go_through_json_digit_by_digit(value: Decimal) -> None:
    """A Decimal is written as a number with all its places and read back as the same Decimal."""
    text = json_dumps({"a": value})
    assert json_loads(text)["a"] == value
    assert b'"a":' + format(value, "f").encode() + b"}" in text


def test_json_refuses_what_it_cannot_hold() -> None:
    """No float and no text in the place of a number that is none."""
    for bad in (Decimal("NaN"), Decimal("Infinity"), object()):
        with pytest.raises(TypeError):
            json_dumps([bad])


@given(st.datetimes(timezones=st.just(dt.UTC)))
def test_stamps_go_through_text(value: dt.datetime) -> None:
    """A stamp that is written and read is the same moment."""
    assert parse_stamp(format_stamp(value)) == value


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T23:59:59.1234567Z", dt.datetime(2026, 1, 31, 23, 59, 59, 123456, dt.UTC)),
        ("2026-01-31T15:59:59-08:00", dt.datetime(2026, 1, 31, 23, 59, 59, 0, dt.UTC)),
        ("2026-01-31 23:59:59+0000", dt.datetime(2026, 1, 31, 23, 59, 59, 0, dt.UTC)),
        ("2026-01-31T23:59:59", dt.datetime(2026, 1, 31, 23, 59, 59, 0, dt.UTC)),
        ("2026-01-31T23:59Z", dt.datetime(2026, 1, 31, 23, 59, 0, 0, dt.UTC)),
    ],
)
def test_stamps_of_vendors(text: str, moment: dt.datetime) -> None:
    """Seven digits, offsets with and without a colon and no zone at all are understood."""
    assert parse_stamp(text) == moment


def test_no_stamp() -> None:
    """What is no stamp, and a datetime without a zone, are refused."""
    for bad in ("", "yesterday", "2026-01-31", "2026-13-01T00:00:00Z"):
        with pytest.raises(ValueError, match=r"date|month"):
            parse_stamp(bad)
    with pytest.raises(ValueError, match="zone"):
        format_stamp(dt.datetime(2026, 1, 1))  # noqa: DTZ001 (that is what is refused)


def test_pages_are_told_from_data() -> None:
    """By type, or by how the body begins."""
    assert looks_like_html("text/html; charset=utf-8", b"")
    assert looks_like_html("application/json", b"\n  <!doctype HTML>")
    assert looks_like_html("", b"\xef\xbb\xbf<html>")
    assert not looks_like_html("application/json", b'{"a": "<html>"}')
    assert not looks_like_html("application/xml", b"<?xml version='1.0'?><Fault/>")


def test_timeouts_of_a_connection() -> None:
    """Given ones count, empty ones are the defaults, nonsense is a configuration error."""
    assert Timeouts.from_extra({"connect_timeout": "3", "read_timeout": None}) == Timeouts(3.0, 60.0)
    for bad in ("soon", 0, -1):
        with pytest.raises(FixConfiguration, match="read_timeout"):
            Timeouts.from_extra({"read_timeout": bad})


@contextlib.contextmanager
def answering(answer: bytes | None) -> Iterator[int]:
    """Serve one raw answer to each connection; None closes without one. Yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.settimeout(10)
                        connection.recv(65_536)
                        if answer is not None:
                            connection.sendall(answer)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.close()


def send(url: str, timeouts: Timeouts | None = None) -> None:
    """Send one POST."""
    with requests.Session() as session:
        session.trust_env = False
        transport_over(session, timeouts or Timeouts(2, 2), "Vendor")(Request("POST", url, {}, b"x"))


def test_refused_connection_was_not_sent() -> None:
    """Nobody listens: nothing can have arrived."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectionFailure, match="nothing answers") as caught:
        send(f"http://127.0.0.1:{port}/")
    assert caught.value.sent is False


def test_unknown_host_was_not_sent() -> None:
    """A name that is not known is told as such."""
    with pytest.raises(ConnectionFailure, match="cannot be reached") as caught:
        send("https://no-such-host.invalid/")
    assert caught.value.sent is False


@pytest.mark.parametrize("answer", [None, b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"])
def test_broken_answer_may_have_arrived(answer: bytes | None) -> None:
    """A connection that breaks before the answer is complete leaves the outcome open."""
    with answering(answer) as port, pytest.raises(ConnectionFailure, match="broke") as caught:
        send(f"http://127.0.0.1:{port}/")
    assert caught.value.sent is True


def test_no_answer_in_time_may_have_arrived() -> None:
    """A read that takes too long leaves the outcome open."""
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(ConnectionFailure, match="in time") as caught:
        send(f"http://127.0.0.1:{server.getsockname()[1]}/", Timeouts(1, 0.2))
    assert caught.value.sent is True


def test_an_earlier_failure_does_not_count() -> None:
    """A failure while another one is handled is judged by itself."""
    with answering(None) as port:
        try:
            send("https://no-such-host.invalid/")
        except ConnectionFailure:
            with pytest.raises(ConnectionFailure) as caught:
                send(f"http://127.0.0.1:{port}/")
    assert caught.value.sent is True


def test_wrong_addresses_and_certificates_are_configuration() -> None:
    """What no retry helps is told as such: no address, no TLS on the port."""
    with pytest.raises(FixConfiguration):
        send("no address")
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port, pytest.raises(FixConfiguration, match="TLS"):
        send(f"https://127.0.0.1:{port}/")
    failed = requests.exceptions.SSLError(ssl.SSLCertVerificationError("self-signed"))
    assert isinstance(failure_of(failed, "Vendor"), FixConfiguration)


def test_cookies_are_given_and_not_kept() -> None:
    """Each Set-Cookie of an answer is seen, and none is sent back by the session itself."""
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=1; path=/; HttpOnly\r\nSet-Cookie: .B=x=y\r\n\r\n{}"
    with answering(raw) as port, requests.Session() as session:
        session.trust_env = False
        transport = transport_over(session, Timeouts(2, 2), "Vendor")
        response = transport(Request("GET", f"http://127.0.0.1:{port}/"))
        assert response.cookies == {"a": "1", ".B": "x=y"}
        assert not session.cookies
        assert response.json() == {}
