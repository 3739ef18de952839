"""The wire protocol where drivers do not go: TLS, addresses, what is not spoken, what is too long."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iw_operators.errors import FixConfiguration
from iw_operators.systems.quickbooks_desktop.client import Client
from iw_operators.systems.quickbooks_desktop.connector.server import Connector
from iw_operators.systems.quickbooks_desktop.dialect import Statement
from iw_operators.systems.quickbooks_desktop.odbc import Source as Way
from iw_operators.systems.quickbooks_desktop.odbc import connect as open_odbc
from iw_operators.systems.quickbooks_desktop.odbc import connector_string
from tests import certificates
from tests.drivers import driver
from tests.systems.quickbooks_desktop.connector.fakes import PASSWORD, QUICK, Connect, Raw, Serve, Source

pytestmark = pytest.mark.feature("S3")

SSL_REQUEST = struct.pack("!ii", 8, 80877103)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that signs itself, and its key."""
    return certificates.certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def secure(serve: Serve, certificate: tuple[Path, Path]) -> Connector:
    """A connector that speaks TLS only."""
    return serve(plain_text=False, certificate=certificate[0], key=certificate[1])


@pytest.fixture
def dial() -> Iterator[Callable[[Connector], Raw]]:
    """Open a socket to a connector; closed at the end."""
    made: list[socket.socket] = []

    def to(connector: Connector) -> Raw:
        made.append(socket.create_connection(("127.0.0.1", connector.port), timeout=10))
        return Raw(made[-1])

    yield to
    for one in made:
        one.close()


def test_a_driver_checks_the_certificate(secure: Connector, connect: Connect, certificate: tuple[Path, Path]) -> None:
    """psqlodbc connects with verify-full and the right authority, and not with another one."""
    ca = {"SSLmode": "verify-full", "pqopt": f"{{sslrootcert={certificate[0]}}}"}
    assert connect(secure, **ca).cursor().execute("sp_health").fetchone().state == "open"
    with pytest.raises(driver().Error, match="certificate"):
        connect(secure, **ca | {"pqopt": "{sslrootcert=/dev/null}"})


def test_what_is_wrong_with_the_certificate_is_told(
    secure: Connector, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    """Another authority, another host name, a missing file and no encryption are a matter of the connection."""
    other, right = certificates.certificate(tmp_path)[0], certificate[0]

    def asked(host: str, sslmode: str, ca_file: Path) -> object:
        to = connector_string(
            host,
            secure.port,
            "company",
            "interweave",
            PASSWORD,
            driver="PostgreSQL Unicode",
            sslmode=sslmode,
            ca_file=str(ca_file),
            seconds=5,
        )
        client = Client(lambda: open_odbc(Way(to, 5, 30)))
        try:
            return client.all(Statement("sp_health"))[0]["state"]
        finally:
            client.drop()

    assert asked("127.0.0.1", "verify-full", right) == "open"
    for wrong in (
        ("127.0.0.1", "verify-full", other),
        ("localhost", "verify-full", right),
        ("127.0.0.1", "verify-full", tmp_path / "missing.pem"),
        ("127.0.0.1", "disable", right),
    ):
        with pytest.raises(FixConfiguration) as caught:
            asked(*wrong)
        assert caught.value.code == "odbc.tls", wrong


def test_plain_text_is_refused(secure: Connector, connect: Connect, dial: Callable[[Connector], Raw]) -> None:
    """Without TLS a client is told to use it before it is asked for anything."""
    with pytest.raises(driver().Error, match="This connector speaks TLS only"):
        connect(secure)
    client = dial(secure)
    with structlog.testing.capture_logs() as logs:
        client.start()
        assert client.error()[b"C"] == "28000"
    assert [(line["why"], line["peer"]) for line in logs if "why" in line] == [("plain_text", "127.0.0.1")]


def test_what_comes_before_the_handshake_is_not_read_after_it(
    secure: Connector, dial: Callable[[Connector], Raw]
) -> None:
    """Plain bytes sent along with the request for TLS end the connection."""
    client = dial(secure)
    client.socket.sendall(SSL_REQUEST + b"\0\0\0\x08\0\x03\0\0")
    answer = client.socket.recv(100)
    assert answer in (b"", b"S")
    if answer == b"S":  # the plain bytes came after the reply: the handshake fails on them
        assert client.socket.recv(100)[:1] != b"R"


def test_the_wire_is_modern_tls(secure: Connector, dial: Callable[[Connector], Raw]) -> None:
    """The connection is TLS 1.2 or later."""
    client = dial(secure)
    client.socket.sendall(SSL_REQUEST)
    assert client.read(1) == b"S"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with context.wrap_socket(client.socket) as wrapped:
        assert wrapped.version() in ("TLSv1.2", "TLSv1.3")
        encrypted = Raw(wrapped)
        encrypted.sign_in()
        encrypted.send(b"Q", b"sp_health\0")
        assert encrypted.message()[0] == b"T"


def test_without_a_certificate_the_request_is_declined(serve: Serve, dial: Callable[[Connector], Raw]) -> None:
    """On the loopback interface in plain text a request for TLS or GSS is answered by N, and the client may go on."""
    client = dial(serve())
    for code in (80877103, 80877104):
        client.socket.sendall(struct.pack("!ii", 8, code))
        assert client.read(1) == b"N"
    client.sign_in()


def test_other_addresses_are_cut_off(source: Source, serve: Serve, dial: Callable[[Connector], Raw]) -> None:
    """A client whose address is not allowed gets no byte."""
    client = dial(serve(allow=(ipaddress.ip_network("192.0.2.0/24"),)))
    with pytest.raises(ConnectionError):
        client.read(1)
    assert source.opened == 0


def test_the_extended_protocol_is_refused_with_advice(serve: Serve, dial: Callable[[Connector], Raw]) -> None:
    """Parse, Bind and the rest are skipped up to Sync; the error names the setting; the connection goes on."""
    client = dial(serve())
    client.sign_in()
    client.send(b"P", b"\0SELECT 1\0\0\0")
    client.send(b"D", b"S\0")
    client.send(b"S", b"")
    assert "UseServerSidePrepare=0" in client.error()[b"M"]
    assert client.message() == (b"Z", b"I")
    client.send(b"Q", b"\0")
    assert client.message()[0] == b"I"


def test_a_cursor_is_refused_with_advice(source: Source, serve: Serve, dial: Callable[[Connector], Raw]) -> None:
    """What psqlodbc sends with UseDeclareFetch=1 does not reach the data source; the error names the setting."""
    client = dial(serve())
    client.sign_in()
    for sent in (b'declare "SQL_CUR1" cursor with hold for SELECT 1', b'fetch 100 in "SQL_CUR1"'):
        client.send(b"Q", sent + b"\0")
        assert "UseDeclareFetch=0" in client.error()[b"M"]
    assert source.said == []


@pytest.mark.parametrize("length", [3, 2**31 - 1, -1])
def test_messages_of_a_wrong_length_end_the_connection(
    serve: Serve, dial: Callable[[Connector], Raw], length: int
) -> None:
    """No memory is set aside for a length that a client only claims."""
    client = dial(serve())
    client.sign_in()
    client.socket.sendall(b"Q" + struct.pack("!i", length))
    assert client.error()[b"C"] == "54000"
    with pytest.raises(ConnectionError):
        client.read(1)


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\0", b"\xff" * 16, struct.pack("!ii", 8, 1 << 16)]
)
def test_strangers_are_let_go(source: Source, serve: Serve, dial: Callable[[Connector], Raw], first: bytes) -> None:
    """What does not speak the protocol is closed, without a word about the data source."""
    connector = serve()
    client = dial(connector)
    client.socket.sendall(first)
    said = b""
    while part := client.socket.recv(1000):
        said += part
    assert said == b"" or b"is not spoken here" in said
    assert source.opened == 0


def test_a_client_that_says_nothing_is_let_go(serve: Serve, dial: Callable[[Connector], Raw]) -> None:
    """The sign-in has a time limit."""
    client = dial(serve(limits=type(QUICK)(login_seconds=0.1)))
    with pytest.raises(ConnectionError):
        client.read(1)


def test_the_sign_in_cannot_be_left_out(source: Source, serve: Serve, dial: Callable[[Connector], Raw]) -> None:
    """A query in the place of the password ends the connection."""
    client = dial(serve())
    client.start()
    client.message()
    client.send(b"Q", b"SELECT 1 FROM t\0")
    with pytest.raises(ConnectionError):
        client.message()
    assert source.said == []


def test_settings_are_answered_without_the_data_source(
    source: Source, serve: Serve, dial: Callable[[Connector], Raw]
) -> None:
    """What psqlodbc sends at its start gets its answers, several in one message."""
    client = dial(serve())
    client.sign_in()
    client.send(b"Q", b"SET DateStyle = 'ISO';SET extra_float_digits = 2;show transaction_isolation\0")
    kinds: list[Any] = []
    while not kinds or kinds[-1] != b"Z":
        kinds.append(client.message()[0])
    assert kinds == [b"C", b"C", b"T", b"D", b"C", b"Z"]
    assert source.said == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=200), signed_in=st.booleans())
def test_noise_does_no_harm(served: Connector, noise: bytes, signed_in: bool) -> None:
    """Whatever bytes come, before the sign-in or after it, the connector goes on serving others."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as plain:
        client = Raw(plain)
        if signed_in:
            client.sign_in()
        plain.sendall(noise)
        plain.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while plain.recv(4096):
                pass
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as plain:
        Raw(plain).sign_in()


@pytest.fixture
def served(serve: Serve) -> Connector:
    """A connector in plain text."""
    return serve()


def test_silent_clients_are_asked_whether_they_are_there(served: Connector, dial: Callable[[Connector], Raw]) -> None:
    """Keep-alive is on for every client, so that one whose network is gone is known to be gone within seconds."""
    dial(served).sign_in()
    ((_, writer),) = served._sessions.values()
    assert writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
