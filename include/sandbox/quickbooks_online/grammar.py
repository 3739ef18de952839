"""The query language: from text to a parsed `Select`.

    SELECT * | SELECT COUNT(*)   FROM Entity
    [WHERE property operator value [AND ...]]      operators = != < > <= >= IN LIKE
    [ORDERBY | ORDER BY property [ASC | DESC] [, ...]]
    [STARTPOSITION n] [MAXRESULTS n]               in either order

Keywords in any case. A value is in single quotes (a quote inside is \\', a backslash \\\\), or a bare number, true or
false. `SELECT *, Property` is taken as `SELECT *` (python-quickbooks asks so for an item's Sku); a list of properties
alone is a projection, which the service does not have. OR, JOIN, GROUP BY and the like are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sandbox.quickbooks_online.errors import Fault, invalid_query

DEFAULT_PAGE = 100
LARGEST_PAGE = 1000

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>'(?:[^'\\]|\\.)*')
      | (?P<number>-?\d+(?:\.\d+)?(?![\w.]))
      | (?P<word>[A-Za-z_][\w.]*)
      | (?P<symbol><=|>=|!=|[=<>(),*])
    )""",
    re.VERBOSE | re.DOTALL,
)
_COMPARISONS = frozenset({"=", "!=", "<", ">", "<=", ">="})
_REFUSED = frozenset({"OR", "NOT", "JOIN", "GROUP", "HAVING", "UNION", "BETWEEN", "IS", "LIMIT", "OFFSET", "AS"})


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of a query. `kind` is string, number, word, symbol or end."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Condition:
    """`property operator values`; one value but for IN."""

    property: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """One ORDERBY term."""

    property: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Select:
    """A parsed query. `start` counts from 1."""

    entity: str
    count: bool = False
    extra: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()
    order: tuple[Order, ...] = ()
    start: int = 1
    limit: int = DEFAULT_PAGE


def tokens(text: str) -> list[Token]:
    """Cut a query into tokens. Raises `Fault` 4001."""
    found: list[Token] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            rest = text[position:].lstrip()
            raise invalid_query(f"Invalid content. Lexical error at column {position + 1}. Encountered: {rest[:20]}")
        kind = str(match.lastgroup)
        piece = match.group(kind)
        found.append(Token(kind, re.sub(r"\\(.)", r"\1", piece[1:-1], flags=re.DOTALL) if kind == "string" else piece))
        position = match.end()
    found.append(Token("end", ""))
    return found


def parse(text: str) -> Select:
    """Read a query. Raises `Fault` 4001."""
    return _Parser(tokens(text)).select()


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _is_word(self, word: str) -> bool:
        return self._next.kind == "word" and self._next.text.upper() == word

    def _accept(self, word: str) -> bool:
        if self._is_word(word):
            self._at += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if self._next.text.upper() != text or self._next.kind not in ("word", "symbol"):
            raise self._unexpected(f"expected {text}")
        self._at += 1

    def _unexpected(self, expected: str) -> Fault:
        token = self._next
        if token.kind == "word" and token.text.upper() in _REFUSED:
            return invalid_query(f"{token.text.upper()} is not supported")
        seen = "end of query" if token.kind == "end" else f'"{token.text}"'
        return invalid_query(f"Encountered {seen}, {expected}")

    def _property(self) -> str:
        if self._next.kind != "word":
            raise self._unexpected("expected a property")
        return self._take().text

    def select(self) -> Select:
        self._expect("SELECT")
        count, extra = self._projection()
        self._expect("FROM")
        if self._next.kind != "word":
            raise self._unexpected("expected an entity")
        entity = self._take().text
        if self._next.text == ",":
            raise invalid_query("JOIN is not supported")
        where = self._where() if self._accept("WHERE") else ()
        order = self._order()
        start, limit = self._page()
        if self._next.kind != "end":
            raise self._unexpected("expected the end of the query")
        return Select(entity, count, extra, where, order, start, limit)

    def _projection(self) -> tuple[bool, tuple[str, ...]]:
        if self._accept("COUNT"):
            for mark in "(*)":
                self._expect(mark)
            return True, ()
        if self._next.text != "*":
            raise invalid_query(f"Projection is not supported: {self._next.text or 'nothing selected'}")
        self._take()
        extra: list[str] = []
        while self._next.text == ",":
            self._take()
            extra.append(self._property())
        return False, tuple(extra)

    def _where(self) -> tuple[Condition, ...]:
        found = [self._condition()]
        while self._accept("AND"):
            found.append(self._condition())
        return tuple(found)

    def _condition(self) -> Condition:
        if self._next.kind == "word" and self._next.text.upper() in _REFUSED:
            raise self._unexpected("")
        name = self._property()
        if self._accept("IN"):
            self._expect("(")
            values = [self._value()]
            while self._next.text == ",":
                self._take()
                values.append(self._value())
            self._expect(")")
            return Condition(name, "IN", tuple(values))
        if self._accept("LIKE"):
            return Condition(name, "LIKE", (self._value(),))
        if self._next.kind != "symbol" or self._next.text not in _COMPARISONS:
            raise self._unexpected("expected an operator (= != < > <= >= IN LIKE)")
        operator = self._take().text
        return Condition(name, operator, (self._value(),))

    def _value(self) -> str:
        token = self._next
        if token.kind in ("string", "number") or (token.kind == "word" and token.text.lower() in ("true", "false")):
            return self._take().text
        raise self._unexpected("expected a value in single quotes")

    def _order(self) -> tuple[Order, ...]:
        if self._accept("ORDER"):
            self._expect("BY")
        elif not self._accept("ORDERBY"):
            return ()
        found: list[Order] = []
        while True:
            name = self._property()
            descending = self._accept("DESC")
            if not descending:
                self._accept("ASC")
            found.append(Order(name, descending))
            if self._next.text != ",":
                return tuple(found)
            self._take()

    def _page(self) -> tuple[int, int]:
        start, limit = 1, DEFAULT_PAGE
        seen: set[str] = set()
        while self._is_word("STARTPOSITION") or self._is_word("MAXRESULTS"):
            word = self._take().text.upper()
            if word in seen:
                raise invalid_query(f"{word} is given twice")
            seen.add(word)
            if word == "STARTPOSITION":
                start = self._whole()
            else:
                limit = min(self._whole(), LARGEST_PAGE)
        return start, limit

    def _whole(self) -> int:
        token = self._next
        if token.kind not in ("number", "string") or not re.fullmatch(r"-?\d+", token.text):
            raise self._unexpected("expected a whole number")
        value = int(self._take().text)
        if value < 1:
            raise invalid_query(f"value {value} is too small. Min allowed value is 1")
        return min(value, 2**62)
