"""QODBC's SQL as it is used: tokens, and the statements they make."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sandbox.quickbooks_desktop import errors
from sandbox.quickbooks_desktop.tree import (
    Call,
    Compare,
    Delete,
    Expression,
    Insert,
    Literal,
    Logic,
    Name,
    Output,
    Procedure,
    Select,
    Source,
    Statement,
    Test,
    Update,
)

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
TAGS: Final = frozenset({"UNOPTIMIZED", "NOSYNC", "VERIFY", "VERIFIED", "OPTIMIZED", "CALLDIRECT"})
AGGREGATES: Final = frozenset({"COUNT", "MAX", "MIN", "SUM", "AVG"})
CLOCKS: Final = {"NOW": "t", "CURDATE": "d", "CURRENT_DATE": "d"}
FUNCTIONS: Final = {"UCASE": "UPPER", "UPPER": "UPPER", "LCASE": "LOWER", "LOWER": "LOWER", "LENGTH": "LENGTH"}
_RESERVED: Final = frozenset(
    [
        "SELECT",
        "FROM",
        "WHERE",
        "ORDER",
        "GROUP",
        "BY",
        "AND",
        "OR",
        "NOT",
        "IN",
        "LIKE",
        "BETWEEN",
        "IS",
        "NULL",
        "ON",
        "INNER",
        "LEFT",
        "RIGHT",
        "OUTER",
        "JOIN",
        "AS",
        "HAVING",
        "SET",
        "VALUES",
        "ASC",
        "DESC",
        "TOP",
        "DISTINCT",
        "UNION",
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


def parse(text: str) -> Statement:
    """Return a statement. Raises `BackendError` with QODBC's remark."""
    return _Parser(list(tokens(text))).statement()


class _Parser:
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
        if token.kind == "name" or (token.kind == "word" and token.key not in _RESERVED):
            return token.value
        raise errors.syntax("<identifier>")

    # --- statements

    def statement(self) -> Statement:
        token = self._take()
        made: Statement
        match token.key:
            case "SELECT":
                made = self._select()
            case "INSERT":
                made = self._insert()
            case "UPDATE":
                made = self._update()
            case "DELETE":
                made = self._delete()
            case key if key.startswith("SP_"):
                made = self._procedure(token.value.lower())
            case _:
                raise errors.syntax("SELECT")
        self._skip(";")
        if self._next.kind != "end":
            raise errors.unexpected(self._next.value)
        return made

    def _procedure(self, name: str) -> Procedure:
        arguments = []
        while self._next.kind != "end" and not self._is(";"):
            token = self._take()
            if token.value not in ("(", ")", ","):
                arguments.append(token.value)
        return Procedure(name, tuple(arguments))

    def _insert(self) -> Insert:
        self._need("INTO")
        table = self._name()
        self._need("(")
        columns = [self._name()]
        while self._skip(","):
            columns.append(self._name())
        self._need(")")
        self._need("VALUES")
        self._need("(")
        values = [self._literal()]
        while self._skip(","):
            values.append(self._literal())
        self._need(")")
        if len(columns) != len(values):
            raise errors.syntax(")" if len(values) > len(columns) else ",")
        return Insert(table, tuple(columns), tuple(values))

    def _update(self) -> Update:
        table = self._name()
        self._tags()
        self._need("SET")
        changes = []
        while True:
            column = self._name()
            self._need("=")
            changes.append((column, self._literal()))
            if not self._skip(","):
                break
        return Update(table, tuple(changes), self._where())

    def _delete(self) -> Delete:
        self._skip("*")
        self._need("FROM")
        table = self._name()
        self._tags()
        return Delete(table, self._where())

    def _where(self) -> Expression | None:
        return self._expression() if self._skip("WHERE") else None

    def _select(self) -> Select:
        distinct = self._skip("DISTINCT")
        top = None
        if self._skip("TOP"):
            token = self._take()
            if token.kind != "number" or not token.value.isdigit():
                raise errors.syntax("<number>")
            top = int(token.value)
        distinct = self._skip("DISTINCT") or distinct
        outputs = [self._output()]
        while self._skip(","):
            outputs.append(self._output())
        self._need("FROM")
        sources = self._sources()
        where = self._where()
        group: list[Name] = []
        having = None
        if self._skip("GROUP", "BY"):
            group.append(self._column())
            while self._skip(","):
                group.append(self._column())
            having = self._expression() if self._skip("HAVING") else None
        order = []
        if self._skip("ORDER", "BY"):
            while True:
                key = self._operand()
                order.append((key, self._skip("DESC")))
                self._skip("ASC")
                if not self._skip(","):
                    break
        return Select(tuple(outputs), tuple(sources), where, tuple(group), having, tuple(order), top, distinct)

    def _output(self) -> Output:
        if self._skip("*"):
            return Output(None)
        ahead = self._tokens[self._at : self._at + 3]
        if [token.value for token in ahead[1:]] == [".", "*"]:
            self._at += 3
            return Output(None, table=ahead[0].value)
        expression = self._operand()
        alias = ""
        if self._skip("AS") or self._next.kind == "name" or (self._next.kind == "word" and not self._is(*_RESERVED)):
            alias = self._take().value
        return Output(expression, alias)

    def _sources(self) -> list[Source]:
        braces = self._skip("{") and (self._name() or True)  # {oj ...}
        sources = [self._source("")]
        while True:
            if self._skip(","):
                sources.append(self._source(""))
            elif self._skip("INNER", "JOIN") or self._skip("JOIN"):
                sources.append(self._source("INNER"))
            elif self._skip("LEFT", "OUTER", "JOIN") or self._skip("LEFT", "JOIN"):
                sources.append(self._source("LEFT"))
            else:
                break
        if braces:
            self._need("}")
        return sources

    def _source(self, join: str) -> Source:
        table = self._name()
        tags = self._tags()
        alias = ""
        if self._skip("AS") or self._next.kind == "name" or (self._next.kind == "word" and not self._is(*_RESERVED)):
            alias = self._take().value
        tags += self._tags()
        on = None
        if join:
            self._need("ON")
            on = self._expression()
        return Source(table, alias, join, on, tuple(tags))

    def _tags(self) -> list[str]:
        found = []
        while self._is(*TAGS):
            found.append(self._take().key)
        return found

    # --- expressions

    def _expression(self) -> Expression:
        members = [self._conjunction()]
        while self._skip("OR"):
            members.append(self._conjunction())
        return members[0] if len(members) == 1 else Logic("OR", tuple(members))

    def _conjunction(self) -> Expression:
        members = [self._negation()]
        while self._skip("AND"):
            members.append(self._negation())
        return members[0] if len(members) == 1 else Logic("AND", tuple(members))

    def _negation(self) -> Expression:
        if self._skip("NOT"):
            return Logic("NOT", (self._negation(),))
        if self._skip("("):
            inner = self._expression()
            self._need(")")
            return inner
        return self._predicate()

    def _predicate(self) -> Expression:
        left = self._operand()
        if self._skip("IS", "NOT", "NULL"):
            return Logic("NOT", (Test("IS NULL", left),))
        if self._skip("IS", "NULL"):
            return Test("IS NULL", left)
        negated = self._skip("NOT")
        found: Expression
        if self._skip("IN"):
            found = self._membership(left)
        elif self._skip("BETWEEN"):
            low = self._operand()
            self._need("AND")
            found = Test("BETWEEN", left, (low, self._operand()))
        elif self._skip("LIKE"):
            found = Compare("LIKE", left, self._operand())
        elif not negated and self._is("=", "<>", "!=", "<", ">", "<=", ">="):
            sign = self._take().value
            found = Compare("<>" if sign == "!=" else sign, left, self._operand())
        else:
            raise errors.syntax("<comparison operator>")
        return Logic("NOT", (found,)) if negated else found

    def _membership(self, left: Expression) -> Test:
        self._need("(")
        if self._skip("SELECT"):
            query = self._select()
            self._need(")")
            return Test("IN", left, (), query)
        members = [self._operand()]
        while self._skip(","):
            members.append(self._operand())
        self._need(")")
        return Test("IN", left, tuple(members))

    def _operand(self) -> Expression:
        token = self._next
        if token.kind in ("text", "number", "d", "t", "ts") or token.key in ("NULL", "TRUE", "FALSE", "-", "+"):
            return self._literal()
        if self._skip("{"):
            if self._name().upper() != "FN":
                raise errors.syntax("FN")
            inner = self._operand()
            self._need("}")
            return inner
        called = self._tokens[self._at + 1].value == "("
        if token.key in CLOCKS and (called or token.key == "CURRENT_DATE"):
            self._at += 1
            if called:
                self._need("(")
                self._need(")")
            return Call(token.key, None)
        if called and token.key in (AGGREGATES | FUNCTIONS.keys()):
            self._at += 2
            distinct = self._skip("DISTINCT")
            argument = None if self._skip("*") else self._operand()
            self._need(")")
            return Call(token.key, argument, distinct)
        return self._column()

    def _column(self) -> Name:
        name = self._name()
        if self._skip("."):
            return Name(self._name(), name)
        return Name(name)

    def _literal(self) -> Literal:
        sign = "-" if self._skip("-") else ""
        if not sign:
            self._skip("+")
        token = self._take()
        if token.kind == "number":
            return Literal("number", sign + token.value)
        if sign:
            raise errors.syntax("<number>")
        if token.kind in ("text", "d", "t", "ts"):
            return Literal(token.kind, token.value)
        if token.key in ("TRUE", "FALSE"):
            return Literal("bool", "1" if token.key == "TRUE" else "0")
        if token.key == "NULL":
            return Literal("null", "")
        raise errors.syntax("<literal>")
