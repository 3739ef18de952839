"""The control endpoint beside the ODBC protocol on one port: a few lines of HTTP for what starts with a verb."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

VERBS: Final = (b"GET ", b"POST", b"HEAD", b"PUT ", b"DELE", b"OPTI")
REASONS: Final = {200: "OK", 400: "Bad Request", 404: "Not Found"}
LONGEST: Final = 1_000_000

Handler = Callable[[str, str, Any], Any]


async def serve_http(first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handle: Handler) -> None:
    """Answer one request and close, if the first bytes are HTTP's; else close.

    :param handle: takes method, path and JSON body; LookupError is answered by 404, ValueError and TypeError by 400.
    """
    if first not in VERBS:
        return
    head = first + await reader.readuntil(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (f.partition(":") for f in fields if f)}
    method, path, _ = line.split(" ", 2)
    length = min(int(headers.get("content-length", "0")), LONGEST)
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await reader.readexactly(length)
    status, answer = 200, None
    try:
        answer = await asyncio.to_thread(handle, method, path, json.loads(body or b"{}"))
    except LookupError as error:
        status, answer = 404, {"error": str(error.args[0])}
    except (ValueError, TypeError) as error:
        status, answer = 400, {"error": str(error)}
    content = json.dumps(answer).encode()
    writer.write(
        b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
        % (status, REASONS[status].encode(), len(content), content)
    )
    await writer.drain()
