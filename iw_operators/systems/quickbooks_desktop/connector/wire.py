"""Messages of the PostgreSQL wire protocol, version 3.0, as far as the connector speaks it: bytes in, bytes out.

Source: the PostgreSQL manual, chapter "Frontend/Backend Protocol". Only the simple query protocol is spoken.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from iw_operators.systems.quickbooks_desktop.connector.backend import Column, Kind

PROTOCOL_3: Final = 196608
CANCEL: Final = 80877102
SSL: Final = 80877103
GSS: Final = 80877104

_WIDTH: Final = {
    Kind.BOOL: 1,
    Kind.BIGINT: 8,
    Kind.INTEGER: 4,
    Kind.FLOAT: 8,
    Kind.DATE: 4,
    Kind.TIME: 8,
    Kind.TIMESTAMP: 8,
}


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _text(value: str) -> bytes:
    return value.replace("\0", "").encode("utf-8", "replace") + b"\0"


def parameters_of(startup: bytes) -> dict[str, str]:
    """Return the names and values of a start-up message's body (without its protocol number)."""
    parts = [part.decode("utf-8", "replace") for part in startup.split(b"\0")]
    return dict(zip(parts[0::2], parts[1::2], strict=False))


def authentication(code: int, body: bytes = b"") -> bytes:
    """Ask for (or acknowledge) a step of the sign-in; code 0 is success."""
    return _message(b"R", struct.pack("!i", code) + body)


def parameter_status(name: str, value: str) -> bytes:
    """Tell a setting of the server."""
    return _message(b"S", _text(name) + _text(value))


def key_data(process: int, secret: int) -> bytes:
    """Tell what a request to cancel has to show."""
    return _message(b"K", struct.pack("!iI", process, secret))


def ready(status: bytes) -> bytes:
    """Say that the next query may come. :param status: I (idle), T (in a transaction) or E (in a failed one)."""
    return _message(b"Z", status)


def row_description(columns: Sequence[Column]) -> bytes:
    """Describe a result. The type modifier carries the length or the digits, which psqlodbc shows as column size."""
    body = struct.pack("!h", len(columns))
    for column in columns:
        kind = column.kind
        body += _text(column.name) + struct.pack("!ihihih", 0, 0, kind.value, width(kind), modifier(column), 0)
    return _message(b"T", body)


def width(kind: Kind) -> int:
    """Return how many bytes a type takes; -1 varies."""
    return _WIDTH.get(kind, -1)


def modifier(column: Column) -> int:
    """Return the type modifier: the length of a VARCHAR, digits and scale of a NUMERIC."""
    if column.kind is Kind.VARCHAR and column.size > 0:
        return column.size + 4
    if column.kind is Kind.NUMERIC and column.size > 0:
        return ((column.size << 16) | column.scale) + 4
    return -1


def data_row(values: Sequence[Any]) -> bytes:
    """Return one row, each value as text."""
    parts = []
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            encoded = as_text(value)
            parts.append(len(encoded).to_bytes(4, "big") + encoded)
    body = b"".join(parts)
    return b"D" + (len(body) + 6).to_bytes(4, "big") + len(values).to_bytes(2, "big") + body


def as_text(value: Any) -> bytes:
    """Return a value as PostgreSQL writes it; what has no form of its own there, as Python does.

    Decimal keeps its digits; datetimes have no zone.
    """
    return _ENCODERS.get(type(value), _other)(value)


def _string(value: str) -> bytes:
    return (value.replace("\0", "") if "\0" in value else value).encode("utf-8", "replace")


def _other(value: Any) -> bytes:
    return _string(str(value))


_NULL: Final = b"\xff\xff\xff\xff"
_ENCODERS: Final[Mapping[type, Callable[[Any], bytes]]] = {
    str: _string,
    bool: lambda value: b"t" if value else b"f",
    int: lambda value: str(value).encode(),
    Decimal: lambda value: format(value, "f").encode(),
    float: lambda value: repr(value).encode(),
    dt.datetime: lambda value: value.isoformat(" ").encode(),
    dt.date: lambda value: value.isoformat().encode(),
    dt.time: lambda value: value.isoformat().encode(),
    bytes: lambda value: b"\\x" + value.hex().encode(),
    bytearray: lambda value: b"\\x" + value.hex().encode(),
}


def complete(tag: str) -> bytes:
    """Say that a statement is done, with its tag (`SELECT 3`, `INSERT 0 1`)."""
    return _message(b"C", _text(tag))


def empty() -> bytes:
    """Answer a query without a statement."""
    return _message(b"I", b"")


def error(sqlstate: str, text: str, *, fatal: bool = False, hint: str = "") -> bytes:
    """Refuse. Field S is left out: psqlodbc would put `ERROR: ` before the text that the driver gave."""
    fields: Mapping[bytes, str] = {b"V": "FATAL" if fatal else "ERROR", b"C": sqlstate, b"M": text, b"H": hint}
    body = b"".join(name + _text(value) for name, value in fields.items() if value)
    return _message(b"E", body + b"\0")


def notice(text: str) -> bytes:
    """Remark something that is no failure."""
    return _message(b"N", b"VNOTICE\0C00000\0M" + _text(text) + b"\0")
