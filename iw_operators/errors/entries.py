"""What one entry of the error catalogue says, and how codes are compared. Plain data; nothing is read here."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from iw_operators.errors import (
    ConnectionFailure,
    FixConfiguration,
    FixRecord,
    InterWeaveError,
    RetryLater,
    SignInAgain,
    StaleRecord,
    StopFlow,
    Throttled,
    Yielded,
)

ANY: Final = "*"  # the code of the entry that answers for all codes of its origin that have none
WIDEST: Final = 1 << 40

_RANGE = re.compile(r"(?P<low>\S+?)\.\.(?P<high>\S+)")
_ASKED_RANGE = re.compile(r"(?P<low>\w{2,})(?:-|\.\.)(?P<high>\w{2,})")
_NUMBERS = re.compile(r"-?\d+(,-?\d+)*")
_HRESULT = re.compile(r"8[0-9a-f]{7}")
_SIGNED_HRESULT = re.compile(r"-\d{10}")
_PREFIXED = re.compile(r"(?P<prefix>[a-z][a-z_.=]*)(?P<number>\d+)")
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))


class Effect(StrEnum):
    """What an error does to the flow: the classes of the error tree in words, and `go on` for what is none."""

    GO_ON = "go on"
    RETRY_LATER = "retry later"
    CONNECTION_FAILURE = "connection failure"
    THROTTLED = "throttled"
    SIGN_IN_AGAIN = "sign in again"
    FIX_RECORD = "fix record"
    STALE_RECORD = "stale record"
    FIX_CONFIGURATION = "fix configuration"
    STOP_FLOW = "stop flow"
    STOPPED = "stopped"

    @property
    def kind(self) -> type[InterWeaveError] | None:
        """The class of the tree; None where nothing is wrong."""
        return _KINDS[self][0]

    @property
    def retry(self) -> str:
        """Whether it is tried again. It follows from the class (law 9), so that no entry can say otherwise."""
        return _KINDS[self][1]

    @property
    def flow(self) -> str:
        """What becomes of the flow."""
        return _KINDS[self][2]


_KINDS: Final[Mapping[Effect, tuple[type[InterWeaveError] | None, str, str]]] = {
    Effect.GO_ON: (None, "not needed", "goes on"),
    Effect.RETRY_LATER: (RetryLater, "yes, with growing pauses", "waits and repeats the task"),
    Effect.CONNECTION_FAILURE: (
        ConnectionFailure,
        "yes, with growing pauses",
        "waits and repeats the task; a write that was on its way is looked up first",
    ),
    Effect.THROTTLED: (Throttled, "yes, after the time that the other side asks for", "waits and goes on"),
    Effect.SIGN_IN_AGAIN: (SignInAgain, "once, after signing in anew", "signs in and repeats"),
    Effect.FIX_RECORD: (
        FixRecord,
        "no; the record is read again once it has changed",
        "the record is left out with a row in the log, all others go on",
    ),
    Effect.STALE_RECORD: (
        StaleRecord,
        "at once, planned anew from what both sides hold by then",
        "the record is planned again, all others go on",
    ),
    Effect.FIX_CONFIGURATION: (FixConfiguration, "no", "fails until a person has corrected it"),
    Effect.STOP_FLOW: (StopFlow, "no", "stops; Query Starts stays where it is"),
    Effect.STOPPED: (Yielded, "no", "has ended its page and stops; Query Starts stays where it is"),
}

Who = Literal[
    "nobody",
    "record owner",
    "bookkeeper",
    "CRM administrator",
    "books administrator",
    "Airflow administrator",
    "consultant",
    "IT",
    "support",
]


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    if not text[0].isupper() or text[-1] not in ".?":
        msg = f"{text!r} is not a sentence"
        raise ValueError(msg)
    return text


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        msg = f"{text!r} is not a regular expression: {error}"
        raise ValueError(msg) from None
    return text


Sentence = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True), AfterValidator(_sentence)]
Regex = Annotated[str, StringConstraints(min_length=1), AfterValidator(_regex)]
Words = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class Entry(BaseModel):
    """One code, range of codes or message.

    :param code: as its origin writes it, a range as `3100..9099`, or `*` for every other code of its origin.
    :param title: what its origin calls it, a few words.
    :param pattern: finds it in a raw text that carries no code; without one it is found by its origin's `shapes`.
    :param meaning: what is the matter.
    :param who: who has to act.
    :param action: what that person does.
    :param source: where code and meaning come from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: Words
    title: Words
    meaning: Sentence
    who: Who
    action: Sentence = Field(alias="do")
    effect: Effect
    source: Words
    pattern: Regex | None = None
    origin: Words
    system: Words
    label: Words

    @model_validator(mode="after")
    def _range_counts(self) -> Entry:
        if self.is_range and self.width == WIDEST:
            msg = f"{self.code!r} is no range of codes"
            raise ValueError(msg)
        return self

    @property
    def is_range(self) -> bool:
        """Whether it answers for several codes."""
        return ".." in self.code

    @property
    def shown(self) -> str:
        """The code as people write it."""
        return "any other" if self.code == ANY else self.code.replace("..", " to ")

    @property
    def key(self) -> str:
        """The code as it is compared."""
        return canonical(self.code)

    @property
    def width(self) -> int:
        """How many codes it answers for."""
        if self.code == ANY:
            return WIDEST
        if not self.is_range:
            return 1
        bounds = _bounds(self.code)
        return bounds[2] - bounds[1] + 1 if bounds else WIDEST

    @property
    def advice(self) -> str:
        """What is the matter, and who does what about it, as log rows show it."""
        who = "" if self.who == "nobody" else f"{self.who[0].upper()}{self.who[1:]}: "
        return f"{self.meaning} {who}{self.action}"

    def covers(self, key: str) -> bool:
        """Tell whether this is a range that the code lies in; `key` is canonical."""
        if not self.is_range or ("," in key and not self.code.startswith("-")):
            return False  # codes of two parts are numbered below zero
        bounds, place = _bounds(self.code), number(key)
        return bool(bounds and place and bounds[0] == place[0] and bounds[1] <= place[1] <= bounds[2])

    def overlaps(self, low: str, high: str) -> bool:
        """Tell whether it answers for a code between two (canonical) ones."""
        asked, mine = (number(low), number(high)), _bounds(self.code if self.is_range else f"{self.key}..{self.key}")
        if not asked[0] or not asked[1] or not mine or not asked[0][0] == asked[1][0] == mine[0]:
            return False
        return mine[1] <= asked[1][1] and asked[0][1] <= mine[2]


class Origin(BaseModel):
    """One file of the catalogue: who issues these codes.

    :param system: the system that such texts come from; `iw` for this package's own, `platform` for the old one's.
    :param shapes: regular expressions with a group `code`, by which a raw text of this origin names its code.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    origin: Words
    system: Words
    label: Words
    shapes: tuple[Regex, ...] = ()
    entries: tuple[Entry, ...]


@functools.lru_cache(maxsize=4096)
def canonical(code: str) -> str:
    """Return a code as it is compared: capitals, blanks, signs, leading zeros and `0x` do not count.

    A result code of Windows is the same code in decimals.

    >>> canonical("-6190, -83"), canonical("003001"), canonical("0x8004040A"), canonical("C = 342")
    ('6190,83', '3001', '8004040a', 'c=342')
    >>> canonical("-2147220470")
    '8004040a'
    """
    text = re.sub(r"\s*([,=])\s*", r"\1", code.translate(_DASHES).strip().casefold()).removeprefix("0x")
    if _SIGNED_HRESULT.fullmatch(text) and _HRESULT.fullmatch(found := f"{int(text) + (1 << 32):x}"):
        return found
    if _NUMBERS.fullmatch(text):
        return ",".join(part.lstrip("-").lstrip("0") or "0" for part in text.split(","))
    return text


def number(key: str) -> tuple[str, int] | None:
    """Return what kind of numbered code it is, and its number; None where it has none."""
    main = key.partition(",")[0]
    if _HRESULT.fullmatch(main):
        return "0x", int(main, 16)
    if main.isdecimal():
        return "", int(main)
    found = _PREFIXED.fullmatch(main)
    return (found["prefix"], int(found["number"])) if found else None


def asked_range(text: str) -> tuple[str, str] | None:
    """Return the ends of a range that somebody asks for (`3150-3153`), canonical; None where it is none."""
    found = _ASKED_RANGE.fullmatch(re.sub(r"\s*(-|\.\.)\s*", r"\1", text.translate(_DASHES).strip()))
    if not found:
        return None
    low, high = canonical(found["low"]), canonical(found["high"])
    return (low, high) if number(low) and number(high) else None


def _bounds(code: str) -> tuple[str, int, int] | None:
    found = _RANGE.fullmatch(code)
    if not found:
        return None
    low, high = number(canonical(found["low"])), number(canonical(found["high"]))
    return (low[0], low[1], high[1]) if low and high and low[0] == high[0] and low[1] <= high[1] else None
