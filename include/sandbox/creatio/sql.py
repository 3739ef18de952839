"""Trees of `grammar` into SQL over the tables of `store`, with the names and types checked on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sandbox.creatio import errors
from sandbox.creatio.grammar import OPERATORS, Call, Compare, Literal, Logic, Node, Not, Path
from sandbox.creatio.model import Column, Entity, Kind, Model

_SQL = {"eq": "IS", "ne": "IS NOT", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_BIGGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class _Operand:
    """SQL of one side of a comparison. `kind` None is null; `scale` is that of a decimal column."""

    sql: str
    parameters: tuple[object, ...]
    kind: Kind | None
    literal: Literal | None = None
    scale: int = 0


@dataclass(frozen=True, slots=True)
class Condition:
    """A piece of SQL and its parameters."""

    sql: str
    parameters: tuple[object, ...] = ()


class Translator:
    """Turns options about one object into SQL; gathers the joins that navigation paths need."""

    def __init__(self, model: Model, entity: Entity) -> None:
        self._model = model
        self._entity = entity
        self._joins: dict[tuple[str, ...], tuple[str, str]] = {}

    @property
    def source(self) -> str:
        """The FROM clause, after everything else has been translated."""
        return " ".join([f'FROM "{self._entity.name}" AS t', *(sql for _, sql in self._joins.values())])

    def where(self, node: Node) -> Condition:
        """Return the condition; raises `Refused` for an unknown name or operands that do not fit."""
        match node:
            case Logic("or", operands):
                return self._any(operands)
            case Logic(_, operands):
                return _join(" AND ", [self.where(operand) for operand in operands])
            case Not(denied):
                if isinstance(denied, Path | Literal) and self._operand(denied).kind is not Kind.BOOL:
                    msg = (
                        "A unary operator with an incompatible type was detected. Found operand type "
                        f"'{_type(self._operand(denied))}' for operator kind 'Not'."
                    )
                    raise errors.bad_query(msg)
                inner = self.where(denied)
                return Condition(f"NOT COALESCE({inner.sql}, 0)", inner.parameters)
            case Compare():
                return self._compare(node)
            case Call():
                return self._call(node)
        operand = self._operand(node)
        if operand.kind is not Kind.BOOL:
            msg = "The $filter expression must evaluate to a single boolean value."
            raise errors.bad_query(msg)
        return Condition(f"({operand.sql})", operand.parameters)

    def order(self, orders: Sequence[tuple[Path, bool]]) -> str:
        """Return the ORDER BY clause; without an order, rows come by Id."""
        terms = [f"{self._column(path)[0]}{' DESC' if descending else ''}" for path, descending in orders]
        return "ORDER BY " + ", ".join(terms or ['t."Id"'])

    def _any(self, operands: Sequence[Node]) -> Condition:
        """Join with OR; equalities of one property become an IN, which SQLite answers from an index."""
        same: dict[Path, list[object]] = {}
        rest = []
        for operand in operands:
            match operand:
                case Compare("eq", Path() as path, Literal(kind=Kind.GUID | Kind.TEXT)):
                    self._check(operand, self._operand(path), self._operand(operand.right))
                    same.setdefault(path, []).append(operand.right.value)  # type: ignore[union-attr]  # a Literal
                case _:
                    rest.append(self.where(operand))
        for path, wanted in same.items():
            sql = self._operand(path).sql
            rest.append(Condition(f"({sql} IN ({', '.join('?' * len(wanted))}))", tuple(wanted)))
        return _join(" OR ", rest)

    def _compare(self, node: Compare) -> Condition:
        left, right = self._operand(node.left), self._operand(node.right)
        self._check(node, left, right)
        if left.kind is None:
            left, right = right, left
        if right.kind is None:
            return self._with_null(node.operator, left)
        if left.kind in {Kind.DECIMAL, Kind.INT}:
            scale = max(left.scale, right.scale)
            left, right = _scaled(left, scale), _scaled(right, scale)
        return Condition(f"({left.sql} {_SQL[node.operator]} {right.sql})", (*left.parameters, *right.parameters))

    def _with_null(self, operator: str, operand: _Operand) -> Condition:
        if operator not in {"eq", "ne"}:
            return Condition("0")
        negation = "NOT " if operator == "ne" else ""
        if operand.kind is Kind.TEXT:
            # A text is never null in Creatio's database; an empty one is what "null" means there.
            return Condition(f"({negation}({operand.sql} IS NULL OR {operand.sql} = ''))", operand.parameters * 2)
        return Condition(f"({operand.sql} IS {negation}NULL)", operand.parameters)

    def _check(self, node: Compare, left: _Operand, right: _Operand) -> None:
        kinds = {Kind.DECIMAL if k is Kind.INT else k for k in (left.kind, right.kind)} - {None}
        ordered = node.operator not in {"eq", "ne"}
        if len(kinds) > 1 or (ordered and kinds & {Kind.BOOL, Kind.GUID} and kinds != {Kind.GUID}):
            msg = (
                "A binary operator with incompatible types was detected. Found operand types "
                f"'{_type(left)}' and '{_type(right)}' for operator kind '{OPERATORS[node.operator]}'."
            )
            raise errors.bad_query(msg)

    def _call(self, node: Call) -> Condition:
        text, part = (self._operand(argument) for argument in node.arguments)
        if {text.kind, part.kind} != {Kind.TEXT}:
            msg = f"No function signature for the function with name '{node.name}' matches the specified arguments."
            raise errors.bad_query(msg)
        before = "%" if node.name in {"contains", "endswith"} else ""
        after = "%" if node.name in {"contains", "startswith"} else ""
        if part.literal is not None:
            value = str(part.literal.value)
            for special in "\\%_":
                value = value.replace(special, "\\" + special)
            return Condition(f"({text.sql} LIKE ? ESCAPE '\\')", (*text.parameters, f"{before}{value}{after}"))
        escaped = f"replace(replace(replace({part.sql}, '\\', '\\\\'), '%', '\\%'), '_', '\\_')"
        return Condition(
            f"({text.sql} LIKE '{before}' || {escaped} || '{after}' ESCAPE '\\')", (*text.parameters, *part.parameters)
        )

    def _operand(self, node: Node) -> _Operand:
        match node:
            case Literal(None):
                return _Operand("NULL", (), None, node)
            case Literal(kind=kind, value=value):
                return _Operand("?", (int(value) if kind is Kind.BOOL else value,), kind, node)  # type: ignore[arg-type]  # a bool
            case Path():
                sql, column = self._column(node)
                return _Operand(sql, (), column.kind, None, column.scale)
        inner = self.where(node)
        return _Operand(inner.sql, inner.parameters, Kind.BOOL)

    def _column(self, path: Path) -> tuple[str, Column]:
        entity, alias = self._entity, "t"
        for depth, name in enumerate(path.names[:-1]):
            lookup = entity.navigations.get(name)
            if lookup is None:
                raise errors.unknown_property(name, entity.type_name)
            rest = path.names[depth + 1 :]
            if rest == ("Id",):
                return f'{alias}."{lookup.name}"', entity.columns[lookup.name]
            alias = self._join(path.names[: depth + 1], alias, lookup)
            entity = self._model[lookup.target]
        name = path.names[-1]
        column = entity.columns.get(name)
        if column is None and name in entity.navigations:  # `Account eq null`
            column = entity.navigations[name]
            return f'{alias}."{column.name}"', column
        if column is None:
            raise errors.unknown_property(name, entity.type_name)
        if column.target:
            raise errors.lookup_path(name, entity.name)
        return f'{alias}."{name}"', column

    def _join(self, names: tuple[str, ...], parent: str, lookup: Column) -> str:
        if names not in self._joins:
            alias = f"j{len(self._joins)}"
            sql = f'LEFT JOIN "{lookup.target}" AS {alias} ON {alias}."Id" = {parent}."{lookup.name}"'
            self._joins[names] = (alias, sql)
        return self._joins[names][0]


def _type(operand: _Operand) -> str:
    if operand.kind is None:
        return "<null>"
    if operand.kind is Kind.DECIMAL and operand.literal is not None:
        return "Edm.Int32" if Decimal(operand.literal.value or 0) % 1 == 0 else "Edm.Decimal"
    return operand.kind.value


def _scaled(operand: _Operand, scale: int) -> _Operand:
    """Bring a number to `scale` places: columns hold integers of their smallest unit."""
    if operand.literal is None:
        return (
            _Operand(f"({operand.sql} * {10 ** (scale - operand.scale)})", operand.parameters, operand.kind)
            if (scale != operand.scale)
            else operand
        )
    value = Decimal(operand.literal.value or 0).scaleb(scale)
    # SQLite compares an integer with a float exactly, which decides for a literal between two units.
    bound = int(value) if value == value.to_integral_value() and abs(value) <= _BIGGEST else float(value)
    return _Operand("?", (bound,), operand.kind, operand.literal)


def _join(word: str, conditions: Sequence[Condition]) -> Condition:
    """Join as a balanced tree: SQLite refuses expressions more than a thousand levels deep."""
    if len(conditions) == 1:
        return conditions[0]
    middle = len(conditions) // 2
    left, right = _join(word, conditions[:middle]), _join(word, conditions[middle:])
    return Condition(f"({left.sql}{word}{right.sql})", (*left.parameters, *right.parameters))
