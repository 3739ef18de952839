"""$batch: JSON and multipart/mixed, read into parts and written back in the format in which they came."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

import orjson

from sandbox.creatio import errors
from sandbox.creatio.http import Request, Response, odata

MOST_REQUESTS = 100
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """One request of a batch; `group` is its atomicity group or changeset."""

    id: str
    request: Request
    group: str = ""
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """The answer to a part."""

    part: Part
    response: Response


def is_multipart(request: Request) -> bool:
    """Whether a batch comes as multipart/mixed."""
    return request.says("content-type", "multipart/mixed")


def continues(request: Request) -> bool:
    """Whether a batch goes on after a failure."""
    prefer = request.headers.get("prefer", "").replace(" ", "").lower()
    return bool(re.search(r"(^|[,;])(odata\.)?continue-on-error(=true)?($|[,;])", prefer))


def read(request: Request, root: str) -> list[Part]:
    """Return the parts in order; raises `Refused` (400) for a batch that cannot be read or is too long."""
    if is_multipart(request):
        parts = _read_multipart(request, root)
    elif request.says("content-type", "application/json"):
        parts = _read_json(request, root)
    else:
        msg = "The content type of a batch request has to be 'application/json' or 'multipart/mixed'."
        raise errors.malformed(msg)
    if len(parts) > MOST_REQUESTS:
        msg = (
            "The current batch message contains too many parts. Only batch messages with a maximum number of "
            f"'{MOST_REQUESTS}' query operations and change sets are allowed."
        )
        raise errors.malformed(msg)
    return parts


def write(request: Request, done: list[Done]) -> Response:
    """Return the answer to a whole batch; multipart is answered with JSON where the client accepts only that."""
    if is_multipart(request) and not request.headers.get("accept", "").strip().lower().startswith("application/json"):
        return _write_multipart(done)
    return _write_json(done)


def _part_request(outer: Request, root: str, method: str, url: str, headers: Mapping[str, str]) -> Request:
    """Return a part's request: relative addresses begin at the service root, those with a slash at the host."""
    split = urlsplit(url)
    path = unquote(split.path)
    if not path.startswith("/"):
        path = f"{root}/{path}"
    lower = {name.lower(): value for name, value in headers.items()}
    return Request(method.upper(), path, split.query, lower, b"", outer.base)


def _read_json(outer: Request, root: str) -> list[Part]:
    try:
        items = json.loads(outer.body, parse_float=Decimal)["requests"]
        parts = []
        for item in items:
            request = _part_request(outer, root, item["method"], item["url"], item.get("headers") or {})
            part = Part(
                str(item["id"]),
                _with(request, content=item.get("body")),
                str(item.get("atomicityGroup") or ""),
                tuple(map(str, item.get("dependsOn") or ())),
            )
            parts.append(part)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        msg = f"The batch request cannot be read: {type(error).__name__} {error}"
        raise errors.malformed(msg) from error
    return parts


def _with(request: Request, *, body: bytes = b"", content: object = None) -> Request:
    return Request(request.method, request.path, request.query, request.headers, body, request.base, content)


def _read_multipart(outer: Request, root: str) -> list[Part]:
    parts: list[Part] = []
    for headers, body in _split(outer.body, outer.headers["content-type"]):
        content_type = headers.get("content-type", "")
        if content_type.lower().startswith("multipart/mixed"):
            group = str(uuid.uuid4())
            for inner_headers, inner in _split(body, content_type):
                parts.append(_http_part(outer, root, inner_headers, inner, group, len(parts)))
        else:
            parts.append(_http_part(outer, root, headers, body, "", len(parts)))
    return parts


def _split(body: bytes, content_type: str) -> list[tuple[dict[str, str], bytes]]:
    match = _BOUNDARY.search(content_type)
    if match is None:
        msg = "The content type of a multipart batch request has to name its boundary."
        raise errors.malformed(msg)
    delimiter = re.compile(
        rb"(?:\A|\r?\n)--" + re.escape(match[1].strip().encode()) + rb"(--)?[ \t]*(?=\r?\n|\Z)", re.ASCII
    )
    found = list(delimiter.finditer(body))
    if not found:
        msg = "The batch request does not contain its boundary."
        raise errors.malformed(msg)
    pieces = []
    for at, mark in enumerate(found):
        if mark[1]:
            break
        end = found[at + 1].start() if at + 1 < len(found) else len(body)
        piece = re.sub(rb"\A\r?\n", b"", body[mark.end() : end])
        if piece.strip():
            pieces.append(_headers(piece))
    return pieces


def _headers(text: bytes) -> tuple[dict[str, str], bytes]:
    """Cut a piece into its headers (lower-case; folded lines joined) and what follows the empty line."""
    head, _, body = _cut(text)
    lines = re.sub(r"\r?\n[ \t]+", " ", head.decode("utf-8", "replace")).splitlines()
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}, body


def _cut(text: bytes) -> tuple[bytes, bytes, bytes]:
    match = re.search(rb"(?:\A|\r?\n)\r?\n", text)
    return (text[: match.start()], match[0], text[match.end() :]) if match else (text, b"", b"")


def _http_part(outer: Request, root: str, headers: Mapping[str, str], body: bytes, group: str, position: int) -> Part:
    line, _, rest = body.lstrip(b"\r\n").partition(b"\n")
    match = re.fullmatch(r"([A-Za-z]+) +(\S.*?) +HTTP/\d(?:\.\d)?", line.decode("utf-8", "replace").strip())
    if match is None:
        msg = "A part of the batch request does not begin with a request line."
        raise errors.malformed(msg)
    inner_headers, content = _headers(rest)
    request = _part_request(outer, root, match[1], match[2], inner_headers)
    part_id = headers.get("content-id") or inner_headers.get("content-id") or f"#{position}"
    return Part(part_id, _with(request, body=content.strip()), group)


def _write_json(done: list[Done]) -> Response:
    groups = {item.part.group: str(uuid.uuid4()) for item in done if item.part.group}
    responses = []
    for item in done:
        headers = {name.lower(): value for name, value in item.response.headers}
        entry: dict[str, object] = {"id": item.part.id.removeprefix("#")}
        if item.part.group:
            entry["atomicityGroup"] = groups[item.part.group]
        entry |= {"status": item.response.status, "headers": headers}
        if item.response.body:
            is_json = "json" in headers.get("content-type", "")
            entry["body"] = orjson.Fragment(item.response.body) if is_json else item.response.body.decode()
        responses.append(entry)
    return odata(200, {"responses": responses})


def _write_multipart(done: list[Done]) -> Response:
    boundary = f"batchresponse_{uuid.uuid4()}"
    lines: list[bytes] = []
    at = 0
    while at < len(done):
        lines.append(f"--{boundary}".encode())
        group = done[at].part.group
        together = [done[at]]
        while group and at + len(together) < len(done) and done[at + len(together)].part.group == group:
            together.append(done[at + len(together)])
        failed = group and together[-1].response.status >= HTTPStatus.BAD_REQUEST
        if group and not failed:
            inner = f"changesetresponse_{uuid.uuid4()}"
            lines += [f"Content-Type: multipart/mixed; boundary={inner}".encode(), b""]
            for item in together:
                lines += [f"--{inner}".encode(), *_http_answer(item)]
            lines += [f"--{inner}--".encode()]
        else:
            lines += _http_answer(together[-1])
        at += len(together)
    lines += [f"--{boundary}--".encode(), b""]
    content_type = f"multipart/mixed; boundary={boundary}"
    return Response(200, b"\r\n".join(lines), [("Content-Type", content_type), ("OData-Version", "4.0")])


def _http_answer(item: Done) -> list[bytes]:
    lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    if not item.part.id.startswith("#"):
        lines.append(f"Content-ID: {item.part.id}")
    status = HTTPStatus(item.response.status)
    lines += ["", f"HTTP/1.1 {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in item.response.headers]
    return [*(line.encode() for line in lines), b"", item.response.body]
