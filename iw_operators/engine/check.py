"""Checks of one value against what the target takes: length, characters, presence. Each message names the limit."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from iw_operators.engine.problems import CHARACTERS, REQUIRED, TOO_LONG, Bad, Names, Problem
from iw_operators.spec.catalogue import FieldDef

# No system stores NUL, and half a surrogate pair is no character; both would fail somewhere on the way.
_NEVER: Final = re.compile("[\x00\ud800-\udfff]")
_JOINER: Final = "\u200d"
_NAMED: Final = {"\t": "a tab", "\n": "a line break", "\r": "a line break", "\x00": "a NUL character"}


def checked(text: str, field: str, definition: FieldDef, names: Names, *, shorten: bool = False) -> str:
    """Return the text as it may be sent: unchanged, or shortened where the mapping says so.

    Length is counted in characters (code points), as the vendors' limits are.

    :raises Bad: it is too long, or holds a character that the target refuses.
    """
    problem = unstorable(text, field, names) or (
        _refused(text, field, definition, names) if definition.forbidden else None
    )
    if problem is not None:
        raise Bad(problem)
    limit = definition.length
    if limit is None or len(text) <= limit:
        return text
    if shorten:
        return shortened(text, limit)
    raise Bad(
        Problem(
            field=field,
            code=TOO_LONG,
            message=f"{field} is {len(text)} characters long, {names.target} takes {limit}",
            advice=f"Shorten it in {names.source}, or say shorten: true for {field} in the mapping.",
        )
    )


def unstorable(text: str, field: str, names: Names) -> Problem | None:
    """Return the problem of a text that holds what no system and no database stores."""
    if text.isascii() and "\x00" not in text:
        return None
    found = _NEVER.search(text)
    return None if found is None else _character(found.start(), text, field, names)


def _refused(text: str, field: str, definition: FieldDef, names: Names) -> Problem | None:
    at = next((at for at, each in enumerate(text) if each in definition.forbidden), None)
    return None if at is None else _character(at, text, field, names)


def _character(at: int, text: str, field: str, names: Names) -> Problem:
    character = text[at]
    what = _NAMED.get(character) or (f"{character!r}" if character.isprintable() else f"U+{ord(character):04X}")
    return Problem(
        field=field,
        code=CHARACTERS,
        message=f"{field} has {what} at position {at + 1}, which {names.target} does not take",
        advice=f"Take it out in {names.source}, or replace it by an expression in the mapping.",
    )


def shortened(text: str, limit: int) -> str:
    """Return the longest beginning within the limit that neither cuts a visible character nor ends in a blank.

    Where the limit is shorter than the first visible character, that is cut: something has to stand there.
    """
    cut = limit
    while cut > 0 and cut < len(text) and (_continues(text[cut]) or text[cut - 1] == _JOINER):
        cut -= 1
    return (text[:cut] or text[:limit]).rstrip()


def _continues(character: str) -> bool:
    return character == _JOINER or unicodedata.category(character) in ("Mn", "Mc", "Me") or character in _MODIFIERS


_MODIFIERS: Final = frozenset(chr(code) for code in range(0x1F3FB, 0x1F400))  # skin tones of emoji


def missing(field: str, names: Names, *, create_only: bool = False) -> Problem:
    """Return the problem of a field that the target cannot do without."""
    return Problem(
        field=field,
        code=REQUIRED,
        message=f"{field} is empty, {names.target} requires it",
        advice=f"Fill it in in {names.source}, or give it a default in the mapping.",
        create_only=create_only,
    )
