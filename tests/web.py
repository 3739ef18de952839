"""Plain HTTP to what tests serve. httpx reads the machine's authorities anew for each client, which takes longest."""

from __future__ import annotations

import ssl
from typing import Any, Final

import httpx

NOBODY: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts no authority: nothing here goes over TLS


def client(**options: Any) -> httpx.Client:
    """Return a client; `options` as httpx has them."""
    return httpx.Client(verify=NOBODY, **options)


def get(url: str, **options: Any) -> httpx.Response:
    """Get a page over a connection of its own."""
    return httpx.get(url, verify=NOBODY, **options)


def post(url: str, **options: Any) -> httpx.Response:
    """Post over a connection of its own."""
    return httpx.post(url, verify=NOBODY, **options)
