"""Intuit's query language: `SELECT * FROM entity WHERE ... ORDERBY ... STARTPOSITION n MAXRESULTS n`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

PAGE: Final = 1000  # Intuit's MAXRESULTS at the most


def literal(value: str) -> str:
    """Return a text as a literal: quotes and backslashes are escaped by a backslash."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def select(entity: str, conditions: Sequence[str] = (), *, order: str = "", start: int = 1, most: int = PAGE) -> str:
    """Return a query for all rows that meet all conditions (the language has no OR).

    :param order: attribute to order by, ascending; :param start: first row, from 1; :param most: rows at the most.
    """
    parts = [f"SELECT * FROM {entity}"]  # noqa: S608  Intuit's query language, no database; values come as `literal`
    if conditions:
        parts.append(f"WHERE {' AND '.join(conditions)}")
    if order:
        parts.append(f"ORDERBY {order} ASC")
    if start > 1:
        parts.append(f"STARTPOSITION {start}")
    return " ".join([*parts, f"MAXRESULTS {most}"])


def count(entity: str, conditions: Sequence[str] = ()) -> str:
    """Return a query for the number of rows that meet all conditions."""
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT COUNT(*) FROM {entity}{where}"  # noqa: S608  as in `select`
