"""The text of query options into trees: $filter, $orderby, $select, $expand.

The grammar is the part of OData 4 that Creatio answers: comparisons, and, or, not, parentheses, contains, startswith,
endswith, null, navigation paths. Nothing here knows the objects; names are looked up when the tree becomes SQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from sandbox.creatio import errors
from sandbox.creatio.model import Kind
from sandbox.creatio.values import MOMENT, parse_moment

DEPTH = 100
FUNCTIONS = frozenset({"contains", "startswith", "endswith"})
OPERATORS = {
    "eq": "Equal",
    "ne": "NotEqual",
    "gt": "GreaterThan",
    "ge": "GreaterThanOrEqual",
    "lt": "LessThan",
    "le": "LessThanOrEqual",
}


@dataclass(frozen=True, slots=True)
class Path:
    """A property, with the navigations that lead to it."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: `kind` None is null. Moments are ticks, GUIDs lower-case."""

    kind: Kind | None
    value: str | int | Decimal | bool | None


@dataclass(frozen=True, slots=True)
class Compare:
    """Two operands and one of `OPERATORS`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Call:
    """One of `FUNCTIONS`."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Logic:
    """Operands joined by `and` or by `or`."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    operand: Node


Node: TypeAlias = Path | Literal | Compare | Call | Logic | Not

_TOKEN = re.compile(
    rf"""\s*(?:
    (?P<string>'(?:[^']|'')*')
  | (?P<moment>{MOMENT.pattern.replace("(", "(?:").replace("(?:?:", "(?:")})
  | (?P<guid>[0-9a-fA-F]{{8}}(?:-[0-9a-fA-F]{{4}}){{3}}-[0-9a-fA-F]{{12}})
  | (?P<date>\d{{4}}-\d\d-\d\d(?![\dT:]))
  | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?[mMdDfFlL]?(?![\w:-]))
  | (?P<name>[^\W\d]\w*)
  | (?P<mark>[(),/])
  | (?P<end>$)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while True:
        match = _TOKEN.match(text, at)
        if match is None:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            if text[start] == "'":
                msg = f"There is an unterminated string literal at position {len(text)} in '{text}'."
            else:
                msg = f"Syntax error at position {start} in '{text}'."
            raise errors.bad_query(msg)
        kind = str(match.lastgroup)
        yield _Token(kind, match[kind], match.start(kind))
        if kind == "end":
            return
        at = match.end()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._all = list(_tokens(text))
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._or()
        if self._next.kind != "end":
            raise self._error()
        return node

    @property
    def _next(self) -> _Token:
        return self._all[self._at]

    def _error(self) -> errors.Refused:
        return errors.bad_query(f"Syntax error at position {self._next.at} in '{self._text}'.")

    def _take(self, kind: str, text: str = "") -> str | None:
        token = self._next
        if token.kind != kind or (text and token.text != text):
            return None
        self._at += 1
        return token.text

    def _or(self) -> Node:
        return self._joined("or", self._and)

    def _and(self) -> Node:
        return self._joined("and", self._comparison)

    def _joined(self, word: str, operand: object) -> Node:
        assert callable(operand)  # noqa: S101 - one of the two methods above
        operands: list[Node] = [operand()]
        while self._take("name", word):
            operands.append(operand())
        return operands[0] if len(operands) == 1 else Logic(word, tuple(operands))

    def _comparison(self) -> Node:
        left = self._unary()
        operator = self._next.text
        if self._next.kind != "name" or operator not in OPERATORS:
            return left
        self._at += 1
        return Compare(operator, left, self._unary())

    def _unary(self) -> Node:
        self._depth += 1
        if self._depth > DEPTH:
            msg = "The recursion limit has been reached in the $filter expression."
            raise errors.bad_query(msg)
        try:
            return Not(self._unary()) if self._take("name", "not") else self._primary()
        finally:
            self._depth -= 1

    def _primary(self) -> Node:
        if self._take("mark", "("):
            node = self._or()
            if not self._take("mark", ")"):
                raise self._error()
            return node
        token = self._next
        if token.kind in {"mark", "end"}:
            raise self._error()
        self._at += 1
        if token.kind != "name":
            return _literal(token, self._text)
        if token.text in {"true", "false"}:
            return Literal(Kind.BOOL, token.text == "true")
        if token.text == "null":
            return Literal(None, None)
        if self._take("mark", "("):
            return self._call(token.text)
        names = [token.text]
        while self._take("mark", "/"):
            name = self._take("name")
            if name is None:
                raise self._error()
            names.append(name)
        return Path(tuple(names))

    def _call(self, name: str) -> Call:
        arguments = []
        if not self._take("mark", ")"):
            arguments.append(self._or())
            while self._take("mark", ","):
                arguments.append(self._or())
            if not self._take("mark", ")"):
                raise self._error()
        if name not in FUNCTIONS:
            msg = (
                f"An unknown function with name '{name}' was found. This may also be a function import or a key lookup "
                "on a navigation property, which is not allowed."
            )
            raise errors.bad_query(msg)
        if len(arguments) != 2:
            msg = f"No function signature for the function with name '{name}' matches the specified arguments."
            raise errors.bad_query(msg)
        return Call(name, tuple(arguments))


def _literal(token: _Token, whole: str) -> Literal:
    text = token.text
    match token.kind:
        case "string":
            return Literal(Kind.TEXT, text[1:-1].replace("''", "'"))
        case "guid":
            return Literal(Kind.GUID, text.lower())
        case "number":
            return Literal(Kind.DECIMAL, Decimal(text.rstrip("mMdDfFlL")))
    moment = parse_moment(text if token.kind == "moment" else f"{text}T00:00:00Z")
    if moment is None:
        msg = f"Unrecognized 'Edm.DateTimeOffset' literal '{text}' at '{token.at}' in '{whole}'."
        raise errors.bad_query(msg)
    return Literal(Kind.DATETIME, moment)


def parse_filter(text: str) -> Node:
    """Return the tree of a $filter; raises `Refused` (400) naming the position of what it does not understand."""
    return _Parser(text).whole()


def _split(text: str, separator: str) -> list[str]:
    """Split where neither parentheses nor a quoted text are open."""
    parts, depth, quoted, start = [], 0, False, 0
    for at, character in enumerate(text):
        if character == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if depth < 0:
                break
        elif character == separator and not depth:
            parts.append(text[start:at])
            start = at + 1
    if depth or quoted:
        msg = f"Found an unbalanced bracket expression in '{text}'."
        raise errors.bad_query(msg)
    return [*parts, text[start:]]


def _path(text: str) -> Path:
    names = tuple(text.strip().split("/"))
    if not all(re.fullmatch(r"[^\W\d]\w*", name) for name in names):
        msg = f"Syntax error at position 0 in '{text}'."
        raise errors.bad_query(msg)
    return Path(names)


def parse_orderby(text: str) -> list[tuple[Path, bool]]:
    """Return (property, descending) in order of weight."""
    result = []
    for part in _split(text, ","):
        words = part.split()
        if len(words) not in {1, 2} or (len(words) > 1 and words[1] not in {"asc", "desc"}):
            msg = f"Syntax error at position {len(words[0]) + 1 if words else 0} in '{part}'."
            raise errors.bad_query(msg)
        result.append((_path(words[0]), words[-1] == "desc"))
    return result


@dataclass(slots=True)
class Shape:
    """What of an object is asked for. `select` None is everything; `expand` maps navigations to their own shapes."""

    select: list[str] | None = None
    expand: dict[str, Shape] = field(default_factory=dict)


def parse_select(text: str) -> list[str] | None:
    """Return the names; None where `*` is among them."""
    names = [part.strip() for part in _split(text, ",")]
    if "*" in names:
        return None
    for name in names:
        _path(name)
    return names


def parse_expand(text: str) -> dict[str, Shape]:
    """Return the shapes of the expanded navigations; `A/B` is `A($expand=B)`."""
    result: dict[str, Shape] = {}
    for part in _split(text, ","):
        head, bracket, options = part.strip().partition("(")
        names = _path(head).names
        shape = _expanded(options.rstrip()[:-1]) if bracket else Shape()
        for name in reversed(names[1:]):
            shape = Shape(select=None, expand={name: shape})
        known = result.get(names[0])
        if known is not None and len(names) > 1:
            known.expand.update(shape.expand)
        else:
            result[names[0]] = shape
    return result


def _expanded(text: str) -> Shape:
    shape = Shape()
    for option in _split(text, ";"):
        name, _, value = option.strip().partition("=")
        match name.strip().removeprefix("$"):
            case "select":
                shape.select = parse_select(value)
            case "expand":
                shape.expand = parse_expand(value)
            case _:
                msg = f"The query option '{name}' is not supported in $expand of a single record."
                raise errors.bad_query(msg)
    return shape
