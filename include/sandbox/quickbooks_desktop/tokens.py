"""Tokens of QODBC's SQL, and going through them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sandbox.quickbooks_desktop import errors

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<escape>\{\s*(?P<mark>ts|d|t)\s*'(?P<moment>[^']*)'\s*\})
          | (?P<text>'(?:[^']|'')*')
          | "(?P<quoted>[^"]+)"
          | (?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)
          | (?P<word>[A-Za-z_][\w$]*)
          | (?P<sign><>|!=|<=|>=|[(){},.*=<>;+/-])
          | (?P<wrong>\S))""",
    re.VERBOSE,
)
RESERVED: Final = frozenset(
    [
        *(
            "SELECT",
            "ALL",
            "DISTINCT",
            "TOP",
            "FROM",
            "WHERE",
            "GROUP",
            "ORDER",
            "BY",
            "HAVING",
            "ASC",
            "DESC",
            "UNION",
        ),
        *("AND", "OR", "NOT", "IN", "LIKE", "BETWEEN", "IS", "NULL", "EXISTS", "AS", "SET", "VALUES"),
        *("ON", "INNER", "LEFT", "RIGHT", "FULL", "OUTER", "JOIN"),
    ]
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `kind` is text, number, word, name (quoted), sign, d, t, ts or end; `key` is the word in capitals."""

    kind: str
    value: str

    @property
    def key(self) -> str:
        """Return it as keywords are compared."""
        return self.value.upper() if self.kind in ("word", "sign") else ""


def tokens(text: str) -> Iterator[Token]:
    """Yield a statement's tokens and one `end`. Raises `BackendError` for a character that has no place in SQL."""
    place = 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match["wrong"]:
            raise errors.syntax(text[place : place + 1].strip() or "<identifier>")
        place = match.end()
        if match["escape"]:
            yield Token(match["mark"].lower(), match["moment"])
        elif match["text"]:
            yield Token("text", match["text"][1:-1].replace("''", "'"))
        elif match["quoted"]:
            yield Token("name", match["quoted"])
        else:
            kind = next(kind for kind in ("number", "word", "sign") if match[kind])
            yield Token(kind, match[kind])
    yield Token("end", "")


class Reader:
    """Goes through a statement's tokens."""

    def __init__(self, listed: list[Token]) -> None:
        self._tokens = listed
        self._at = 0

    # --- tokens

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += token.kind != "end"
        return token

    def _is(self, *keys: str) -> bool:
        return self._next.key in keys

    def _skip(self, *keys: str) -> bool:
        """Take the keywords if all of them come next, in this order."""
        ahead = [token.key for token in self._tokens[self._at : self._at + len(keys)]]
        if ahead != list(keys):
            return False
        self._at += len(keys)
        return True

    def _need(self, key: str) -> None:
        if not self._skip(key):
            raise errors.syntax(key)

    def _name(self) -> str:
        token = self._take()
        if token.kind == "name" or (token.kind == "word" and token.key not in RESERVED):
            return token.value
        raise errors.syntax("<identifier>")
