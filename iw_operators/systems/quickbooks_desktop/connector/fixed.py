"""Answers that the connector gives itself: what psqlodbc asks of a PostgreSQL server and no data source could answer.

The texts are those of psqlodbc 13 (Debian 12): three at its start-up, two for `SQLTables` and `SQLColumns`, and the
ones for keys and indexes, which are answered with nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from iw_operators.systems.quickbooks_desktop.connector import wire
from iw_operators.systems.quickbooks_desktop.connector.backend import Backend, Column, Kind

SETTINGS: Final = {
    "server_version": "9.0.0",
    "server_encoding": "UTF8",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "TimeZone": "UTC",
    "integer_datetimes": "on",
    "standard_conforming_strings": "on",
}
_SET: Final = re.compile(r"\s*SET\s+\w+", re.IGNORECASE)
_SHOW: Final = re.compile(r"\s*SHOW\s+(\w+)", re.IGNORECASE)
_DISCARD: Final = re.compile(r"\s*(DISCARD|DEALLOCATE|RESET|UNLISTEN|CLOSE)\b", re.IGNORECASE)
_CURSOR: Final = re.compile(r"\s*(?:DECLARE|FETCH|MOVE)\b", re.IGNORECASE)
_CATALOG: Final = re.compile(r"\bpg_(?:catalog|type|attrdef|class)\b|\bcurrent_schema\s*\(", re.IGNORECASE)
_LIKE: Final = re.compile(r"c\.relname (?P<how>=|like) '(?P<name>(?:[^']|'')*)'", re.IGNORECASE)
_ATTNAME: Final = re.compile(r"a\.attname (?P<how>=|like) '(?P<name>(?:[^']|'')*)'", re.IGNORECASE)
_ASKS_COLUMNS: Final = "a.attname, a.atttypid"
_ASKS_TABLES: Final = "select relname, nspname, relkind"
_TYPE_NAMES: Final = {
    Kind.BOOL: "bool",
    Kind.BIGINT: "int8",
    Kind.INTEGER: "int4",
    Kind.TEXT: "text",
    Kind.FLOAT: "float8",
    Kind.VARCHAR: "varchar",
    Kind.DATE: "date",
    Kind.TIME: "time",
    Kind.TIMESTAMP: "timestamp",
    Kind.NUMERIC: "numeric",
    Kind.BINARY: "bytea",
}
_COLUMN_ANSWER: Final = tuple(
    Column(name, kind)
    for name, kind in (
        ("nspname", Kind.VARCHAR),
        ("relname", Kind.VARCHAR),
        ("attname", Kind.VARCHAR),
        ("atttypid", Kind.INTEGER),
        ("typname", Kind.VARCHAR),
        ("attnum", Kind.INTEGER),
        ("attlen", Kind.INTEGER),
        ("atttypmod", Kind.INTEGER),
        ("attnotnull", Kind.BOOL),
        ("relhasrules", Kind.BOOL),
        ("relkind", Kind.VARCHAR),
        ("oid", Kind.INTEGER),
        ("pg_get_expr", Kind.VARCHAR),
        ("case", Kind.INTEGER),
        ("typtypmod", Kind.INTEGER),
        ("relhasoids", Kind.BOOL),
        ("attidentity", Kind.VARCHAR),
        ("relhassubclass", Kind.BOOL),
    )
)
_TABLE_ANSWER: Final = tuple(Column(name, Kind.VARCHAR) for name in ("relname", "nspname", "relkind"))


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: tag, and columns with rows where there are some."""

    tag: str
    columns: Sequence[Column] = ()
    rows: Sequence[Sequence[Any]] = field(default=())


def is_fixed(statement: str) -> bool:
    """Return whether the connector answers the statement itself, without the data source or with its catalogue."""
    if is_catalogue(statement):
        return True
    parts = _parts(statement)
    return bool(parts) and all(_SET.match(part) or _SHOW.match(part) or _DISCARD.match(part) for part in parts)


def is_cursor(statement: str) -> bool:
    """Return whether the statement is about a cursor of PostgreSQL's, as psqlodbc writes with UseDeclareFetch=1."""
    return bool(_CURSOR.match(statement))


def is_catalogue(statement: str) -> bool:
    """Return whether the statement asks PostgreSQL's own catalogue."""
    # A text that a record holds may have these words; only statements that begin as the driver's do are meant.
    bare = re.sub(r"'(?:[^']|'')*'", "''", statement)
    return statement.lstrip()[:6].lower() == "select" and bool(_CATALOG.search(bare))


def asks_data_source(statement: str) -> bool:
    """Return whether the answer to a question to the catalogue comes from the data source."""
    return _ASKS_COLUMNS in statement or statement.lstrip().lower().startswith(_ASKS_TABLES)


def answer(statement: str) -> list[Answer]:
    """Return the answers to a statement of settings (several may come in one message)."""
    answers = []
    for part in _parts(statement):
        if shown := _SHOW.match(part):
            name = shown[1].lower()
            value = {"transaction_isolation": "read committed"}.get(name, SETTINGS.get(name, ""))
            answers.append(Answer("SHOW", (Column(name, Kind.TEXT),), ((value,),)))
        else:
            answers.append(Answer(part.split()[0].upper()))
    return answers


def _parts(statement: str) -> list[str]:
    return [part for piece in statement.split(";") if (part := piece.strip())]


def catalogue(statement: str, backend: Backend) -> Answer:
    """Return what the driver wants to know about tables and columns; other questions get an empty answer.

    Runs in the backend's thread where `asks_data_source`.
    """
    if "current_schema" in statement:
        return Answer("SELECT 1", (Column("current_schema", Kind.VARCHAR),), (("",),))
    if "typname = 'lo'" in statement:
        return Answer("SELECT 0", (Column("oid", Kind.INTEGER), Column("typbasetype", Kind.INTEGER)))
    if _ASKS_COLUMNS in statement:
        rows = list(_columns(statement, backend))
        return Answer(f"SELECT {len(rows)}", _COLUMN_ANSWER, rows)
    if statement.lstrip().lower().startswith(_ASKS_TABLES):
        wanted = _pattern(re.search(r"relname (?P<how>=|like) '(?P<name>(?:[^']|'')*)'", statement, re.IGNORECASE))
        tables = [(name, "", "v" if view else "r") for name, view in backend.tables() if wanted.fullmatch(name)]
        return Answer(f"SELECT {len(tables)}", _TABLE_ANSWER, tables)
    return Answer("SELECT 0", (Column("none", Kind.VARCHAR),))


def _pattern(match: re.Match[str] | None) -> re.Pattern[str]:
    """Return a LIKE pattern (or a name) as a regular expression."""
    if match is None:
        return re.compile(".*", re.DOTALL)
    text = match["name"].replace("''", "'")
    if match["how"] == "=":
        return re.compile(re.escape(text), re.IGNORECASE)
    pieces = re.findall(r"\\+.|.", text)
    made = (".*" if p == "%" else "." if p == "_" else re.escape(p[-1]) for p in pieces)
    return re.compile("".join(made), re.IGNORECASE | re.DOTALL)


def _columns(statement: str, backend: Backend) -> Iterable[Sequence[Any]]:
    wanted, named = _pattern(_LIKE.search(statement)), _pattern(_ATTNAME.search(statement))
    for at, (table, view) in enumerate(backend.tables()):
        if not wanted.fullmatch(table):
            continue
        for number, column in enumerate(backend.columns(table), start=1):
            if not named.fullmatch(column.name):
                continue
            kind, modifier = column.kind, wire.modifier(column)
            yield (
                *("", table, column.name, kind.value, _TYPE_NAMES[kind], number, wire.width(kind), modifier),
                *(False, False, "v" if view else "r", 16_384 + at, None, 0, -1, False, "", False),
            )
