"""Errors in specs: where, what is wrong, what is expected, what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class SpecError:
    """One error. `line` counts from 1; `path` is written as people write it (`fields.region.owner`, `mappings[1]`)."""

    file: str
    line: int
    path: str
    message: str
    expected: str = ""
    suggestion: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " + (f"{self.path}: " if self.path else "")
        expected = f"; expected {self.expected}" if self.expected else ""
        suggestion = f"; did you mean {self.suggestion}?" if self.suggestion else ""
        return f"{where}{self.message}{expected}{suggestion}"


@dataclass(frozen=True, slots=True)
class Problem:
    """An error before it is known where it stands: `path` leads to the key or value in its file."""

    path: Path
    message: str
    expected: str = ""
    suggestion: str = ""


def path_text(path: Path) -> str:
    """Write a path as people do."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = printable(part)
            text += f".{shown}" if text else shown
    return text


def printable(text: str) -> str:
    """Return text on one line that no terminal takes for a command: what is not printable as its escape sequence."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def suggest(word: str, known: Iterable[str]) -> str:
    """Return the known word that is most like this one, or "" when none is alike."""
    by_folded = {known_word.casefold(): known_word for known_word in known}
    close = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else ""


def listing(words: Iterable[str], limit: int = 40) -> str:
    """Write words as a list for a message, at most `limit` of them."""
    known = sorted(words)
    more = f" and {len(known) - limit} more" if len(known) > limit else ""
    return ", ".join(known[:limit]) + more
