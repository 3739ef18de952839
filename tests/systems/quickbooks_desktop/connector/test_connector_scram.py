"""The sign-in's arithmetic, without a socket."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from iw_operators.systems.quickbooks_desktop.connector.scram import Refused, Verifier, exchange
from tests.systems.quickbooks_desktop.connector.fakes import client_final

FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"


def run(verifier: Verifier, first: bytes, password: str, **more: bytes) -> bytes:
    """Return the server's last message."""
    steps = exchange(verifier)
    next(steps)
    challenge = steps.send(first)
    with pytest.raises(StopIteration) as done:
        steps.send(client_final(password, first, challenge, **more))
    return bytes(done.value.value)


def test_the_example_of_the_rfc() -> None:
    """RFC 7677's example gives its proof's check and its server signature."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", salt, 4096)
    client = hmac.digest(salted, b"Client Key", "sha256")
    verifier = Verifier(4096, salt, hashlib.sha256(client).digest(), hmac.digest(salted, b"Server Key", "sha256"))
    steps = exchange(verifier, b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    next(steps)
    challenge = steps.send(FIRST)
    assert challenge == b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    proof = b"dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    with pytest.raises(StopIteration) as done:
        steps.send(b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=" + proof)
    assert done.value.value == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_a_verifier_stands_for_the_password() -> None:
    """The text of a verifier is read again, and the password fits it."""
    verifier = Verifier.of(str(Verifier.of("secret")))
    assert run(verifier, FIRST, "secret").startswith(b"v=")
    assert "secret" not in str(verifier)


def test_another_password_is_refused() -> None:
    """A proof of another password is refused."""
    with pytest.raises(Refused):
        run(Verifier.of("secret"), FIRST, "Secret")


@pytest.mark.parametrize("first", [b"", b"n,,n=user", b"p=tls-unique,,n=u,r=abc", b"n,,n=u,r=a b", b"x,,n=u,r=abc"])
def test_what_is_not_scram_is_refused(first: bytes) -> None:
    """Another first message, channel binding that was not offered among it, is refused."""
    steps = exchange(Verifier.of("secret"))
    next(steps)
    with pytest.raises(Refused):
        steps.send(first)


@pytest.mark.parametrize("spoil", [lambda m: m[:-4] + b"****", lambda m: m.replace(b"r=", b"r=x"), lambda m: m[:20]])
def test_a_changed_final_message_is_refused(spoil: object) -> None:
    """A proof, nonce or form that was changed on the way is refused."""
    assert callable(spoil)
    steps = exchange(Verifier.of("secret"))
    next(steps)
    challenge = steps.send(FIRST)
    with pytest.raises(Refused):
        steps.send(spoil(client_final("secret", FIRST, challenge)))


def test_another_channel_is_refused() -> None:
    """A client that believed in another header (a downgrade) is refused."""
    with pytest.raises(Refused):
        run(Verifier.of("secret"), FIRST, "secret", channel=b"y,,")
