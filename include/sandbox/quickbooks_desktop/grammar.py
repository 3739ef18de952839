"""QODBC's SQL as it is used: statements."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sandbox.quickbooks_desktop import errors
from sandbox.quickbooks_desktop.expressions import Expressions
from sandbox.quickbooks_desktop.functions import CLOCKS
from sandbox.quickbooks_desktop.tokens import RESERVED, tokens
from sandbox.quickbooks_desktop.tree import (
    Delete,
    Expression,
    Insert,
    Literal,
    Output,
    Procedure,
    Select,
    Source,
    Statement,
    Update,
)

TAGS: Final = frozenset({"UNOPTIMIZED", "NOSYNC", "VERIFY", "VERIFIED", "OPTIMIZED", "CALLDIRECT"})


def parse(text: str) -> Statement:
    """Return a statement. Raises `BackendError` with QODBC's remark."""
    try:
        return _Parser(list(tokens(text))).statement()
    except RecursionError:
        raise errors.syntax(")") from None


class _Parser(Expressions):
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
        values = [self._value()]
        while self._skip(","):
            values.append(self._value())
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
            changes.append((column, self._value()))
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

    def _value(self) -> Literal:
        """Return what is written: a literal, or the host's time."""
        if not self._skip("{"):
            return self._literal()
        self._need("FN")
        name = self._take().key
        if name not in CLOCKS:
            raise errors.syntax("<literal>")
        self._need("(")
        self._need(")")
        self._need("}")
        return Literal("clock", name)

    def _select(self) -> Select:
        first = self._one()
        others = []
        while self._skip("UNION"):
            every = self._skip("ALL")
            self._need("SELECT")
            others.append((every, self._one()))
        order = []
        if self._skip("ORDER", "BY"):
            while True:
                key = self._operand()
                order.append((key, self._skip("DESC")))
                self._skip("ASC")
                if not self._skip(","):
                    break
        return replace(first, order=tuple(order), others=tuple(others))

    def _one(self) -> Select:
        distinct = self._distinct()
        top = None
        if self._skip("TOP"):
            token = self._take()
            if token.kind != "number" or not token.value.isdigit():
                raise errors.syntax("<number>")
            top = int(token.value)
        distinct = self._distinct() or distinct
        outputs = [self._output()]
        while self._skip(","):
            outputs.append(self._output())
        self._need("FROM")
        sources = self._joined()
        while self._skip(","):
            sources += self._joined()
        where = self._where()
        group: list[Expression] = []
        having = None
        if self._skip("GROUP", "BY"):
            group.append(self._operand())
            while self._skip(","):
                group.append(self._operand())
            having = self._expression() if self._skip("HAVING") else None
        return Select(tuple(outputs), tuple(sources), where, tuple(group), having, (), top, distinct)

    def _distinct(self) -> bool:
        self._skip("ALL")
        return self._skip("DISTINCT")

    def _output(self) -> Output:
        if self._skip("*"):
            return Output(None)
        ahead = self._tokens[self._at : self._at + 3]
        if [token.value for token in ahead[1:]] == [".", "*"]:
            self._at += 3
            return Output(None, table=ahead[0].value)
        expression = self._operand()
        alias = ""
        if self._skip("AS") or self._next.kind == "name" or (self._next.kind == "word" and not self._is(*RESERVED)):
            alias = self._take().value
        return Output(expression, alias)

    def _joined(self) -> list[Source]:
        """Return a table with what is joined to it, in brackets or in `{oj ...}` or in neither."""
        closing = ")" if self._skip("(") else "}" if self._skip("{", "OJ") else ""
        if closing:
            sources = self._joined()
            self._need(closing)
        else:
            sources = [self._source("")]
        while join := self._join():
            sources.append(self._source(join))
        return sources

    def _join(self) -> str:
        for way in ("LEFT", "RIGHT", "FULL"):
            if self._skip(way, "OUTER", "JOIN") or self._skip(way, "JOIN"):
                return way
        return "INNER" if self._skip("INNER", "JOIN") or self._skip("JOIN") else ""

    def _source(self, join: str) -> Source:
        table = self._name()
        tags = self._tags()
        alias = ""
        if self._skip("AS") or self._next.kind == "name" or (self._next.kind == "word" and not self._is(*RESERVED)):
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
