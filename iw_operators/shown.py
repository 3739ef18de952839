"""Text of records and vendors as a terminal may show it.

Names and messages come from systems in which anybody may have typed anything. What a terminal would take for a
command (escape sequences), for the end of a line, or for an order to turn the direction of writing around is written
as its number instead, so that a name cannot pass itself off as a line of the log.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_DIRECTIONS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_BREAKS: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


def shown(text: object) -> str:
    """Return text on one line, with nothing in it that a terminal acts upon. Letters of all scripts stay."""
    plain = str(text)
    if plain.isascii() and plain.isprintable():
        return plain
    return "".join(
        f"\\u{ord(each):04x}" if each in _DIRECTIONS or unicodedata.category(each) in _BREAKS else each
        for each in plain
    )
