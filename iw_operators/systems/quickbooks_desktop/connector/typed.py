"""Quotation marks that psqlodbc puts around numbers, taken off again.

psqlodbc writes a Decimal parameter as `'12.50'` and a boolean one as `'1'`; PostgreSQL would make of it what the column
asks for, QODBC does not ("Invalid operand for operator: ="). Which columns hold numbers the data source itself says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from iw_operators.systems.quickbooks_desktop.connector.backend import Kind
from iw_operators.systems.quickbooks_desktop.connector.sql import inserted_parts, members, unquoted

Kinds = Mapping[str, Kind]

BARE: Final = frozenset({Kind.NUMERIC, Kind.INTEGER, Kind.BIGINT, Kind.FLOAT, Kind.BOOL})
_SUSPECT: Final = re.compile(r"'[+-]?\d+(?:\.\d*)?'")
_NUMBER: Final = re.compile(r"[+-]?\d+(?:\.\d*)?\Z")
_TABLE: Final = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+(?:\{\s*oj\s+)?(\"[^\"]+\"|[A-Za-z_][\w]*)", re.IGNORECASE)
_MORE: Final = re.compile(r"\s*(?:\w+\s*){0,3},\s*(\"[^\"]+\"|[A-Za-z_][\w]*)")
_PIECE: Final = re.compile(
    r"(?P<text>'(?:[^']|'')*')|\"(?P<quoted>[^\"]+)\"|(?P<escape>\{\s*(?![oO][jJ]\b)[^}]*\})|(?P<word>[A-Za-z_]\w*)"
)
_KEYWORDS: Final = frozenset({"AND", "OR", "NOT", "IN", "LIKE", "BETWEEN", "IS", "NULL", "WHERE", "SET", "VALUES"})


def suspects(statement: str) -> bool:
    """Return whether a number stands in quotation marks anywhere in the statement."""
    return _SUSPECT.search(statement) is not None


def tables(statement: str) -> Iterator[str]:
    """Yield the names of the tables that a statement names."""
    bare = re.sub(r"'(?:[^']|'')*'", "''", statement)
    for match in _TABLE.finditer(bare):
        yield match[1].strip('"')
        place = match.end()
        while more := _MORE.match(bare, place):
            yield more[1].strip('"')
            place = more.end()


def retype(statement: str, kind_of: Callable[[str], Kind | None]) -> str:
    """Return the statement with numbers bare where the column holds numbers.

    :param kind_of: the kind of a column by its name in lower case, None for an unknown one.
    """
    if parts := inserted_parts(statement):
        head, names, values, tail = parts
        listed = [name.strip().strip('"').lower() for name in names.split(",")]
        kinds = [kind_of(name) for name in listed]
        made = [_bare(value, kind) for value, kind in zip(members(values), kinds, strict=False)]
        if len(made) == len(listed):
            return f"{head}{', '.join(made)}{tail}"
    column = ""

    def piece(match: re.Match[str]) -> str:
        nonlocal column
        if match["text"]:
            found = _bare(match["text"], kind_of(column) if column else None)
            return found if found == match["text"] else unquoted(match["text"], match)
        if match["escape"]:
            column = ""  # what a function gives is not of its column's kind
        name = match["quoted"] or match["word"]
        if name and name.upper() not in _KEYWORDS:
            column = name.lower()
        return match[0]

    return _PIECE.sub(piece, statement)


def _bare(literal: str, kind: Kind | None) -> str:
    if kind not in BARE or not literal.startswith("'"):
        return literal
    inside = literal[1:-1]
    return inside if _NUMBER.match(inside) else literal
