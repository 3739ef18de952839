"""The rows, in SQLite: one table an object, indexes on what clients filter and order by."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sandbox.creatio import errors
from sandbox.creatio.model import Column, Entity, Kind, Model
from sandbox.creatio.sql import Condition
from sandbox.creatio.values import Stored, default

Row = dict[str, Stored]

_TYPES = {Kind.TEXT: "TEXT COLLATE NOCASE NOT NULL", Kind.GUID: "TEXT", Kind.DATETIME: "INTEGER"}
_CHUNK = 10_000


class Store:
    """Rows by object. Not safe for use by several threads at once: the sandbox holds one lock around a request.

    :param path: the file; None keeps everything in memory. A file made for the same model keeps its rows.
    """

    def __init__(self, model: Model, path: Path | None = None) -> None:
        self._model = model
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA cache_size = -65536")
        self._version = int.from_bytes(hashlib.sha256(repr(model).encode()).digest()[:3], "big")
        self._referring = {
            name: [(e, c) for e in model.values() for c in e.navigations.values() if c.target == name] for name in model
        }

    @property
    def filled(self) -> bool:
        """Whether there are tables of this model already."""
        return bool(self._db.execute("PRAGMA user_version").fetchone()[0] == self._version)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def fill(self, rows: Mapping[str, Iterable[Row]]) -> None:
        """Make the tables anew and put `rows` in; columns that a row leaves out are empty. References are trusted."""
        self._db.execute("BEGIN")
        for entity in self._model.values():
            self._db.execute(f'DROP TABLE IF EXISTS "{entity.name}"')
            columns = [self._declare(column) for column in entity.columns.values()]
            self._db.execute(f'CREATE TABLE "{entity.name}" ({", ".join(columns)})')
            empty = {column.name: default(column) for column in entity.columns.values()}
            marks = ", ".join("?" * len(empty))
            values = (tuple((empty | row).values()) for row in rows.get(entity.name, ()))
            self._db.executemany(f'INSERT INTO "{entity.name}" VALUES ({marks})', values)
            for column in entity.columns.values():
                self._index(entity, column)
        self._db.execute(f"PRAGMA user_version = {self._version}")
        self._db.execute("COMMIT")
        self._db.execute("ANALYZE")

    def _declare(self, column: Column) -> str:
        if column.name == "Id":
            return '"Id" TEXT NOT NULL PRIMARY KEY'
        return f'"{column.name}" {_TYPES.get(column.kind, "INTEGER NOT NULL")}'

    def _index(self, entity: Entity, column: Column) -> None:
        name = f'"{entity.name}_{column.name}"'
        if column.unique:
            # Empty texts are no values, as in Creatio, where a unique index leaves them out.
            where = f"WHERE \"{column.name}\" <> ''"
            self._db.execute(f'CREATE UNIQUE INDEX {name} ON "{entity.name}" ("{column.name}") {where}')
        elif column.name == "ModifiedOn":
            self._db.execute(f'CREATE INDEX {name} ON "{entity.name}" ("ModifiedOn", "Id")')
        elif column.target or (column.kind is Kind.TEXT and column.size in range(13, 251)):
            self._db.execute(f'CREATE INDEX {name} ON "{entity.name}" ("{column.name}")')

    def savepoint(self) -> None:
        """Begin what may have to be undone."""
        self._db.execute("SAVEPOINT request")

    def keep(self) -> None:
        """Keep what was done since the last savepoint."""
        self._db.execute("RELEASE request")

    def undo(self) -> None:
        """Undo what was done since the last savepoint."""
        self._db.execute("ROLLBACK TO request")
        self._db.execute("RELEASE request")

    def counts(self) -> dict[str, int]:
        """Return the number of rows by object."""
        return {name: self._one(f'SELECT count(*) FROM "{name}"', ()) for name in self._model}

    def dangling(self) -> list[str]:
        """Return the lookups of which some row leads nowhere, which `fill` does not check."""
        found = []
        for entity in self._model.values():
            for column in entity.navigations.values():
                nowhere = f'"{column.name}" NOT IN (SELECT "Id" FROM "{column.target}")'
                if self._one(f'SELECT count(*) FROM "{entity.name}" WHERE {nowhere}', ()):
                    found.append(f"{entity.name}.{column.name}")
        return found

    def count(self, source: str, where: Condition) -> int:
        """Return how many rows of `source` fulfil `where`."""
        return self._one(f"SELECT count(*) {source} WHERE {where.sql}", where.parameters)

    def _one(self, sql: str, parameters: Sequence[object]) -> int:
        return int(self._db.execute(sql, tuple(parameters)).fetchone()[0])

    def select(
        self, columns: Sequence[str], source: str, where: Condition, order: str, limit: int, offset: int
    ) -> list[Row]:
        """Return rows of `source` (whose object's table is `t`); a limit of -1 is none."""
        names = ", ".join(f't."{column}"' for column in columns)
        cursor = self._db.execute(
            f"SELECT {names} {source} WHERE {where.sql} {order} LIMIT ? OFFSET ?", (*where.parameters, limit, offset)
        )
        return [dict(zip(columns, values, strict=True)) for values in cursor]

    def by_id(self, entity: Entity, ids: Iterable[str], columns: Sequence[str]) -> dict[str, Row]:
        """Return the rows with these ids, by id."""
        wanted = sorted(set(ids))
        names = ["Id", *(column for column in columns if column != "Id")]
        result = {}
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            where = Condition(f'"Id" IN ({", ".join("?" * len(chunk))})', tuple(chunk))
            for row in self.select(names, f'FROM "{entity.name}" AS t', where, "", -1, 0):
                result[str(row["Id"])] = row
        return result

    def insert(self, entity: Entity, row: Row) -> None:
        """Insert a whole row; raises `Refused` (500) with the database's text for a key or reference that is wrong."""
        self._check_references(entity, row)
        columns = ", ".join(f'"{column}"' for column in row)
        marks = ", ".join("?" * len(row))
        try:
            self._db.execute(f'INSERT INTO "{entity.name}" ({columns}) VALUES ({marks})', tuple(row.values()))
        except sqlite3.IntegrityError as error:
            raise _duplicate(entity, error) from error

    def update(self, entity: Entity, key: str, row: Row) -> bool:
        """Change columns of a row, or return False if it does not exist; raises as `insert`."""
        self._check_references(entity, row)
        columns = ", ".join(f'"{column}" = ?' for column in row)
        try:
            cursor = self._db.execute(f'UPDATE "{entity.name}" SET {columns} WHERE "Id" = ?', (*row.values(), key))
        except sqlite3.IntegrityError as error:
            raise _duplicate(entity, error) from error
        return cursor.rowcount > 0

    def delete(self, entity: Entity, key: str) -> bool:
        """Delete a row, or return False if it does not exist; raises `Refused` (500) where others refer to it."""
        for other, column in self._referring[entity.name]:
            found = self._db.execute(
                f'SELECT 1 FROM "{other.name}" WHERE "{column.name}" = ? AND NOT ("Id" = ? AND ?) LIMIT 1',
                (key, key, other is entity),
            ).fetchone()
            if found:
                msg = (
                    f'23503: update or delete on table "{entity.name}" violates foreign key constraint '
                    f'"FK{other.name}{column.navigation}" on table "{other.name}"'
                )
                raise errors.database(msg)
        return self._db.execute(f'DELETE FROM "{entity.name}" WHERE "Id" = ?', (key,)).rowcount > 0

    def _check_references(self, entity: Entity, row: Row) -> None:
        for name, value in row.items():
            column = entity.columns[name]
            if not column.target or value is None or (column.target == entity.name and value == row.get("Id")):
                continue
            if not self._db.execute(f'SELECT 1 FROM "{column.target}" WHERE "Id" = ?', (value,)).fetchone():
                msg = (
                    f'23503: insert or update on table "{entity.name}" violates foreign key constraint '
                    f'"FK{entity.name}{column.navigation}"\n\nDETAIL: Key ({name})=({value}) is not present in table '
                    f'"{column.target}".'
                )
                raise errors.database(msg)


def _duplicate(entity: Entity, error: sqlite3.IntegrityError) -> errors.Refused:
    column = str(error).rpartition(".")[2]
    constraint = f"PK{entity.name}Id" if column == "Id" else f"IDX{entity.name}{column}"
    return errors.database(f'23505: duplicate key value violates unique constraint "{constraint}"')
