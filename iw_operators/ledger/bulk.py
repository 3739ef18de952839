"""Many rows in one statement. They go to the server as one JSON document, which it opens as a table.

Against a parameter a value this saves both sides most of their work: nothing is built, quoted, parsed and planned
for each value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSON, Insert, insert


def rows_of(table: sa.Table, rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> sa.TableValuedAlias:
    """Return rows as a table that a statement can read or join, with these columns, typed as in `table`.

    Values are what JSON has, and datetimes. Texts hold nothing that PostgreSQL cannot store.
    """
    wanted = [str(name) for name in names]  # not SQLAlchemy's own kind of text
    document = orjson.dumps([{name: row[name] for name in wanted} for row in rows]).decode()
    given = sa.func.json_to_recordset(sa.cast(sa.bindparam(None, document, type_=sa.Text), JSON))
    columns = (sa.column(name, _plain(table.c[name].type)) for name in wanted)
    return given.table_valued(*columns, name="given").render_derived(with_types=True)


def insert_rows(table: sa.Table, rows: Sequence[Mapping[str, Any]], names: Sequence[str] | None = None) -> Insert:
    """Return the insertion of rows, which all have the same columns and are at least one.

    :param names: the columns that are written; all that the rows have where it is left out.
    """
    names = list(rows[0]) if names is None else list(names)
    return insert(table).from_select(names, sa.select(rows_of(table, rows, names)))


def _plain(kind: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    return kind.impl_instance if isinstance(kind, sa.types.TypeDecorator) else kind
