"""Queries: from QODBC's SQL to SQLite's, with names resolved in any case and literals fitted to their columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from iw_operators.systems.quickbooks_desktop.connector.backend import Column
from sandbox.quickbooks_desktop import errors
from sandbox.quickbooks_desktop.computed import Computed
from sandbox.quickbooks_desktop.schema import Field, Schema, Table
from sandbox.quickbooks_desktop.store import quoted
from sandbox.quickbooks_desktop.tree import Compare, Expression, Literal, Logic, Name, Output, Select, Test
from sandbox.quickbooks_desktop.tree import Query as Inner
from sandbox.quickbooks_desktop.values import compared


@dataclass(frozen=True, slots=True)
class Query:
    """A query in SQLite's words, with what its columns are. `tables` are the ones that it reads."""

    sql: str
    values: list[Any]
    fields: list[Field]
    columns: list[Column]
    tables: list[str]


def translate(schema: Schema, query: Select, now: str) -> Query:
    """Return a query for SQLite. :param now: the host's time. Raises `BackendError` with QODBC's remark."""
    return _Translator(schema, query, now).query()


def _limited(text: str, top: int | None) -> str:
    return text if top is None else f"{text} LIMIT {top}"


def condition(schema: Schema, table: Table, where: Expression | None, now: str) -> tuple[str, list[Any]]:
    """Return the WHERE of an UPDATE or DELETE of one table."""
    translator = _Translator(schema, None, now)
    translator.add(table.name, "")
    return (translator.test(where), translator.values) if where is not None else ("1", [])


class _Translator(Computed):
    """:param outer: the query around this one, whose columns it may name."""

    def __init__(self, schema: Schema, query: Select | None, now: str, outer: _Translator | None = None) -> None:
        super().__init__(now)
        self._schema = schema
        self._query = query
        self._outer = outer
        self._sources: dict[str, Table] = {}

    def add(self, name: str, alias: str) -> Table:
        table = self._schema.get(name.lower())
        if table is None:
            raise errors.no_table(name)
        self._sources[(alias or name).lower()] = table
        return table

    def query(self) -> Query:
        """Return the whole query, what UNION adds included."""
        query = self._query
        assert query is not None  # noqa: S101  made for a query
        text, fields = self._one(query, [])
        tables = [table.name for table in self._sources.values()]
        if query.others:
            text = f"SELECT * FROM ({_limited(text, query.top)})"
        for every, other in query.others:
            inner = _Translator(self._schema, other, self._now, self._outer)
            added, found = inner._one(other, fields)
            if len(found) != len(fields):
                raise errors.syntax("FROM")
            text += f" UNION {'ALL ' * every}SELECT * FROM ({_limited(added, other.top)})"
            self.values += inner.values
        if query.order:
            text += " ORDER BY " + ", ".join(self._order(key, down, fields, query) for key, down in query.order)
        if not query.others:
            text = _limited(text, query.top)
        return Query(text, self.values, fields, [field.column for field in fields], tables)

    def _one(self, query: Select, like: Sequence[Field]) -> tuple[str, list[Field]]:
        """Return one SELECT and its columns. :param like: the columns that it is to be added to."""
        for source in query.sources:
            self.add(source.table, source.alias)
        shown: list[str] = []
        fields: list[Field] = []
        for output in query.outputs:
            for text, field, label in self._outputs(output):
                if like[len(fields) : len(fields) + 1]:
                    text, field = self._alike(text, field, like[len(fields)])
                shown.append(f"{text} AS {quoted(label)}")
                fields.append(Field(label, field.type, field.size))
        text = "SELECT " + ("DISTINCT " if query.distinct else "") + ", ".join(shown)
        text += " FROM " + self._from(query)
        if query.where is not None:
            text += " WHERE " + self.test(query.where)
        if query.group:
            text += " GROUP BY " + ", ".join(self._text(key)[0] for key in query.group)
        if query.having is not None:
            text += " HAVING " + self.test(query.having)
        return text, fields

    def _from(self, query: Select) -> str:
        text = ""
        for source in query.sources:
            table = self._schema[source.table.lower()]
            one = f"{quoted(table.name)} AS {quoted(source.alias or source.table)}"
            if not text:
                text = one
            elif source.on is None:
                text += f", {one}"
            else:
                text += f" {source.join} JOIN {one} ON {self.test(source.on)}"
        return text

    def _outputs(self, output: Output) -> list[tuple[str, Field, str]]:
        if output.expression is not None:
            text, field = self._text(output.expression)
            return [(text, field, output.alias or field.name)]
        chosen = [alias for alias in self._sources if not output.table or alias == output.table.lower()]
        if not chosen:
            raise errors.no_table(output.table)
        return [
            (f"{quoted(alias)}.{quoted(field.name)}", field, field.name)
            for alias in chosen
            for field in self._sources[alias].fields.values()
        ]

    def _order(self, key: Expression, down: bool, fields: Sequence[Field], query: Select) -> str:
        if isinstance(key, Literal) and key.kind == "number":  # ORDER BY 2
            text = key.value
        elif isinstance(key, Name) and not key.table and any(key.name.lower() == f.name.lower() for f in fields):
            text = quoted(next(f.name for f in fields if f.name.lower() == key.name.lower()))
        elif query.others:
            raise errors.syntax("<number>")
        else:
            text = self._text(key)[0]
        return text + (" DESC" if down else "")

    def _find(self, name: Name) -> tuple[str, Field]:
        for alias, table in self._sources.items():
            if name.table and name.table.lower() not in (alias, table.name.lower()):
                continue
            if field := table.find(name.name):
                return f"{quoted(alias)}.{quoted(field.name)}", field
        if self._outer is not None:
            return self._outer._find(name)
        raise errors.no_column(f"{name.table}.{name.name}" if name.table else name.name)

    def _inner(self, query: Select) -> Query:
        """Return a query in brackets; its values have their place after those so far."""
        inner = _Translator(self._schema, query, self._now, self).query()
        self.values += inner.values
        return inner

    def _queried(self, query: Select) -> tuple[str, Field]:
        inner = self._inner(query)
        if len(inner.fields) != 1:
            raise errors.syntax("FROM")
        return f"({inner.sql})", inner.fields[0]

    def test(self, expression: Expression) -> str:
        """Return a condition."""
        match expression:
            case Logic("NOT", (inner,)):
                return f"NOT ({self.test(inner)})"
            case Logic(operator, members):
                return "(" + f" {operator} ".join(self.test(member) for member in members) + ")"
            case Compare():
                return self._compare(expression)
            case Test("IS NULL", left):
                return f"{self._text(left)[0]} IS NULL"
            case Test():
                return self._member(expression)
            case Inner(query, True):
                return f"EXISTS ({self._inner(query).sql})"
        raise errors.syntax("<comparison operator>")

    def _compare(self, compare: Compare) -> str:
        left, right = compare.left, compare.right
        if isinstance(left, Literal) and not isinstance(right, Literal):
            turned = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(compare.operator, compare.operator)
            return self._compare(Compare(turned, right, left))
        text, field = self._text(left)
        if isinstance(right, Literal):
            value = compared(field, right, compare.operator)
            if compare.operator == "LIKE" and field.type != "s":
                raise errors.operand("LIKE")
            if field.type == "d" and isinstance(value, str) and len(value) > len("2026-01-31"):
                text = f"({text} || ' 00:00:00')"
            if field.type == "t" and isinstance(value, str) and len(value) == len("2026-01-31"):
                value += " 00:00:00"
            self.values.append(value)
            escape = " ESCAPE '" + compare.escape.replace("'", "''") + "'" if compare.escape else ""
            return f"{text} {compare.operator} ?{escape}"
        other, kind = self._text(right)
        if (field.type in "sdt") != (kind.type in "sdt"):
            raise errors.operand(compare.operator)
        text, other, _ = self._matched((text, field), (other, kind))
        return f"{text} {compare.operator} {other}"

    def _member(self, test: Test) -> str:
        if test.query is not None:
            text, _ = self._text(test.left)
            return f"{text} IN ({self._inner(test.query).sql})"
        if test.operator == "BETWEEN":
            low, high = test.members
            return (
                f"({self._compare(Compare('>=', test.left, low))} AND {self._compare(Compare('<=', test.left, high))})"
            )
        parts = [self._compare(Compare("=", test.left, member)) for member in test.members]
        return "(" + " OR ".join(parts) + ")"
