"""What QODBC's statements are made of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Literal:
    """A value. `kind` is text, number, d, t, ts, bool, null or clock (the host's time)."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Name:
    """A column, with its table or alias where one stands before it."""

    name: str
    table: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A function; without arguments it is `COUNT(*)`, or one that needs none."""

    function: str
    arguments: tuple[Expression, ...] = ()
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class Sum:
    """Two values and +, -, * or / between them."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Query:
    """A query in brackets: a value, or with `exists` whether it has rows."""

    query: Select
    exists: bool = False


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison by `operator` (=, <>, <, >, <=, >=, LIKE). `escape` is LIKE's."""

    operator: str
    left: Expression
    right: Expression
    escape: str = ""


@dataclass(frozen=True, slots=True)
class Test:
    """`left` IN, BETWEEN or IS NULL; `not` is an operator of its own."""

    operator: str
    left: Expression
    members: tuple[Expression, ...] = ()
    query: Select | None = None


@dataclass(frozen=True, slots=True)
class Logic:
    """AND or OR of members, or NOT of one."""

    operator: str
    members: tuple[Expression, ...]


Expression = Literal | Name | Call | Sum | Query | Compare | Test | Logic


@dataclass(frozen=True, slots=True)
class Source:
    """One table of FROM; `join` is how it is joined to those before it (empty: by a comma)."""

    table: str
    alias: str = ""
    join: str = ""
    on: Expression | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """One column of a result; `expression` None is `*` (of `table` if that is given)."""

    expression: Expression | None
    alias: str = ""
    table: str = ""


@dataclass(frozen=True, slots=True)
class Select:
    """A query. `others` are what UNION adds, each with whether it is UNION ALL; `order` is that of all together."""

    outputs: tuple[Output, ...]
    sources: tuple[Source, ...]
    where: Expression | None = None
    group: tuple[Expression, ...] = ()
    having: Expression | None = None
    order: tuple[tuple[Expression, bool], ...] = ()
    top: int | None = None
    distinct: bool = False
    others: tuple[tuple[bool, Select], ...] = ()


@dataclass(frozen=True, slots=True)
class Insert:
    """INSERT INTO a table."""

    table: str
    columns: tuple[str, ...]
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Update:
    """UPDATE of a table."""

    table: str
    changes: tuple[tuple[str, Literal], ...]
    where: Expression | None


@dataclass(frozen=True, slots=True)
class Delete:
    """DELETE FROM a table."""

    table: str
    where: Expression | None


@dataclass(frozen=True, slots=True)
class Procedure:
    """sp_... with what follows it."""

    name: str
    arguments: tuple[str, ...]


Statement = Select | Insert | Update | Delete | Procedure
