"""SCRAM-SHA-256 (RFC 5802 and 7677), the server's side, without I/O: the password itself never travels.

A verifier is what PostgreSQL keeps, `SCRAM-SHA-256$4096:<salt>$<stored key>:<server key>`; a configuration may hold
that instead of the password.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

MECHANISM: Final = "SCRAM-SHA-256"
ITERATIONS: Final = 4096
_VERIFIER: Final = re.compile(r"SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)\Z")
_FIRST: Final = re.compile(rb"(?P<header>[ny],[^,]*,)(?P<bare>n=[^,]*,r=(?P<nonce>[\x21-\x2b\x2d-\x7e]+))\Z")
_FINAL: Final = re.compile(rb"(?P<bare>c=(?P<channel>[^,]+),r=(?P<nonce>[^,]+)),p=(?P<proof>[A-Za-z0-9+/=]+)\Z")


class Refused(Exception):
    """The password is wrong, or the messages are not SCRAM's; which of them is not told."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """What a password can be checked with, but not found from."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    @classmethod
    def of(cls, secret: str) -> Verifier:
        """Return the verifier of a password, or the one that `secret` writes out."""
        if match := _VERIFIER.match(secret):
            salt, stored, server = (base64.b64decode(part) for part in match.groups()[1:])
            return cls(int(match[1]), salt, stored, server)
        salt = os.urandom(16)
        salted = hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, ITERATIONS)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        return cls(ITERATIONS, salt, hashlib.sha256(client_key).digest(), hmac.digest(salted, b"Server Key", "sha256"))

    def __str__(self) -> str:
        salt, stored, server = (
            base64.b64encode(part).decode() for part in (self.salt, self.stored_key, self.server_key)
        )
        return f"{MECHANISM}${self.iterations}:{salt}${stored}:{server}"


def exchange(verifier: Verifier, nonce: bytes = b"") -> Generator[bytes, bytes, bytes]:
    """Take the client's first message, yield the server's first, take the client's final one, return the server's.

    Primed with `next`. Raises `Refused`.
    """
    first = _FIRST.match((yield b""))
    if first is None:
        raise Refused
    combined = first["nonce"] + (nonce or base64.b64encode(os.urandom(18)))
    challenge = b"r=%b,s=%b,i=%d" % (combined, base64.b64encode(verifier.salt), verifier.iterations)
    final = _FINAL.match((yield challenge))
    if final is None or final["channel"] != base64.b64encode(first["header"]):
        raise Refused
    signed = b",".join((first["bare"], challenge, final["bare"]))
    signature = hmac.digest(verifier.stored_key, signed, "sha256")
    try:
        proof = base64.b64decode(final["proof"], validate=True)
    except binascii.Error:
        raise Refused from None
    client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=False))
    known = hmac.compare_digest(hashlib.sha256(client_key).digest(), verifier.stored_key)
    if not (known and len(proof) == len(signature) and hmac.compare_digest(final["nonce"], combined)):
        raise Refused
    return b"v=" + base64.b64encode(hmac.digest(verifier.server_key, signed, "sha256"))
