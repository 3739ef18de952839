"""Values and conditions of QODBC's SQL: precedence, functions, queries in brackets."""

from __future__ import annotations

from typing import Final

from iw_operators.systems.quickbooks_desktop.connector.backend import BackendError
from sandbox.quickbooks_desktop import errors
from sandbox.quickbooks_desktop.functions import AGGREGATES, CLOCKS, FUNCTIONS, NOTHING
from sandbox.quickbooks_desktop.tokens import Reader
from sandbox.quickbooks_desktop.tree import (
    Call,
    Compare,
    Expression,
    Literal,
    Logic,
    Name,
    Query,
    Select,
    Sum,
    Test,
)

SIGNS: Final = ("=", "<>", "!=", "<", ">", "<=", ">=")
GOES_ON: Final = (*SIGNS, "+", "-", "*", "/", "IS", "IN", "LIKE", "BETWEEN")  # behind a value, never behind a condition


class Expressions(Reader):
    """Reads values and conditions."""

    def _select(self) -> Select:
        raise NotImplementedError

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
        if self._skip("EXISTS", "("):
            query = self._query()
            return Query(query.query, exists=True)
        if self._is("("):
            at = self._at
            try:  # a condition in brackets, unless what follows shows that it is a value
                self._need("(")
                inner = self._expression()
                self._need(")")
                if not self._is(*GOES_ON):
                    return inner
            except BackendError:
                pass
            self._at = at
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
            found = Compare("LIKE", left, self._operand(), self._escape())
        elif not negated and self._is(*SIGNS):
            sign = self._take().value
            found = Compare("<>" if sign == "!=" else sign, left, self._operand())
        else:
            raise errors.syntax("<comparison operator>")
        return Logic("NOT", (found,)) if negated else found

    def _escape(self) -> str:
        if not self._skip("{", "ESCAPE"):
            return ""
        mark = self._take()
        self._need("}")
        return mark.value

    def _membership(self, left: Expression) -> Test:
        self._need("(")
        if self._is("SELECT"):
            return Test("IN", left, (), self._query().query)
        members = [self._operand()]
        while self._skip(","):
            members.append(self._operand())
        self._need(")")
        return Test("IN", left, tuple(members))

    def _query(self) -> Query:
        """Return the query whose opening bracket has been taken."""
        self._need("SELECT")
        query = self._select()
        self._need(")")
        return Query(query)

    # --- values

    def _operand(self) -> Expression:
        found = self._product()
        while self._is("+", "-"):
            found = Sum(self._take().value, found, self._product())
        return found

    def _product(self) -> Expression:
        found = self._factor()
        while self._is("*", "/"):
            found = Sum(self._take().value, found, self._factor())
        return found

    def _factor(self) -> Expression:
        token, after = self._next, self._tokens[min(self._at + 1, len(self._tokens) - 1)]
        if self._skip("("):
            if self._is("SELECT"):
                return self._query()
            inner = self._operand()
            self._need(")")
            return inner
        if token.key == "-" and after.kind != "number":
            self._need("-")
            return Sum("-", Literal("number", "0"), self._factor())
        if token.kind in ("text", "number", "d", "t", "ts") or token.key in ("NULL", "TRUE", "FALSE", "-", "+"):
            return self._literal()
        if self._skip("{"):
            self._need("FN")
            inner = self._call(self._take().value.upper())
            self._need("}")
            return inner
        called = after.key == "("
        if called and token.key in (AGGREGATES | FUNCTIONS.keys() | CLOCKS.keys()):
            return self._call(self._take().key)
        return self._column()

    def _call(self, name: str) -> Call:
        self._need("(")
        if name in CLOCKS or name in NOTHING:
            self._need(")")
            return Call(name)
        if name not in AGGREGATES and name not in FUNCTIONS:
            raise errors.syntax("<function name>")
        distinct = self._skip("DISTINCT")
        if self._skip("*"):
            self._need(")")
            return Call(name)
        arguments = [self._operand()]
        while self._skip(","):
            arguments.append(self._operand())
        self._need(")")
        return Call(name, tuple(arguments), distinct)

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
