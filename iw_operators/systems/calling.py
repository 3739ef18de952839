"""What a system's calls about changed records come to, whichever system it is (R12).

A system whose folder has a module `calls.py` can call us. The module has

    SECRET                                  the key of the connection's extra that holds what calls are signed with
    account(extra) -> str                   which account the connection is about; "" where calls do not name one
    calls(headers, body, secret, now)       what a request says, or why it is refused; pure, and raises nothing

Headers come with names in small letters.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import orjson

MOST: Final = 1_000  # records that one call may be about
WINDOW: Final = dt.timedelta(minutes=5)  # between a call's own time and ours
LONGEST_EVENT: Final = 200
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")


@dataclass(frozen=True, slots=True)
class Call:
    """One record that has changed. `event` is the caller's id of this change: the same one again is a repetition.

    :param object: the system's own name of the object; capitals do not matter.
    :param account: the account that it is about, where the system says so.
    :param company: our company that it is for, where the caller says so.
    """

    event: str
    object: str
    record_id: str
    account: str = ""
    company: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not taken.

    :param status: 401 for one that is not signed as it has to be, or too old; 400 for one that cannot be read.
    :param why: told to the caller; holds nothing secret and nothing of the request.
    """

    status: int
    why: str


UNSIGNED: Final = Refusal(401, "The signature is missing or wrong.")
OLD: Final = Refusal(401, "The call's time is more than five minutes from ours: repeated, or a clock is wrong.")
UNREADABLE: Final = Refusal(400, "The body is not what such calls hold.")

Told: TypeAlias = tuple[Call, ...] | Refusal


class Calling(Protocol):
    """A system's module `calls`."""

    SECRET: str
    account: Callable[[Mapping[str, Any]], str]
    calls: Callable[[Mapping[str, str], bytes, str, dt.datetime], Told]


def digest(secret: str, *parts: bytes) -> bytes:
    """Return HMAC-SHA256 over the parts, one after the other."""
    made = hmac.new(secret.encode("utf-8", "surrogatepass"), digestmod=hashlib.sha256)
    for part in parts:
        made.update(part)
    return made.digest()


def same(one: str, other: str) -> bool:
    """Compare two texts in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def loaded(body: bytes) -> Any:
    """Return what a body in JSON holds; None where it is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def moment(text: object) -> dt.datetime | None:
    """Return a moment in ISO 8601 with a zone; None for anything else."""
    if not isinstance(text, str) or not 10 <= len(text) <= 40:
        return None
    try:
        read = dt.datetime.fromisoformat(text)
        return read.astimezone(dt.UTC) if read.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def near(at: dt.datetime, now: dt.datetime, window: dt.timedelta = WINDOW) -> bool:
    """Tell whether a moment is within a window of now, before or after."""
    return abs(now - at) <= window


def word(value: object) -> str:
    """Return a name of an object; "" for what cannot be one."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""


def event_id(*parts: str) -> str:
    """Return an id made of what makes a change that change."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        sha.update(f"{len(data)}:".encode())
        sha.update(data)
    return sha.hexdigest()[:40]
