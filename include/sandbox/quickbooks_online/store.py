"""Rows in SQLite, in memory or in a file: a table an entity, with a column for each property that can be compared."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.quickbooks_online.clock import parse_stamp
from sandbox.quickbooks_online.columns import create_table, fold, statement, values
from sandbox.quickbooks_online.entities import ENTITIES
from sandbox.quickbooks_online.schema import Entity
from sandbox.quickbooks_online.wire import dumps, loads

Row = dict[str, Any]

_TABLES = (
    "CREATE TABLE tombstone (entity TEXT, id INTEGER, deleted INTEGER, PRIMARY KEY (entity, id)) WITHOUT ROWID",
    "CREATE INDEX tombstone_deleted ON tombstone (entity, deleted)",
    "CREATE TABLE link (src TEXT, src_id INTEGER, dst TEXT, dst_id INTEGER, amount TEXT,"
    " PRIMARY KEY (src, src_id, dst, dst_id)) WITHOUT ROWID",
    "CREATE INDEX link_dst ON link (dst, dst_id)",
    "CREATE TABLE effect (src TEXT, src_id INTEGER, dst TEXT, dst_id INTEGER, amount TEXT,"
    " PRIMARY KEY (src, src_id, dst, dst_id)) WITHOUT ROWID",
    "CREATE TABLE sequence (name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID",
    "CREATE TABLE replay (request TEXT, item TEXT, answer TEXT, PRIMARY KEY (request, item)) WITHOUT ROWID",
    "CREATE TABLE token (token TEXT PRIMARY KEY, kind TEXT, expires REAL, origin REAL) WITHOUT ROWID",
)


class Store:
    """All data of one company. One connection, one lock: safe to use from several threads."""

    def __init__(self, path: str = ":memory:") -> None:
        self.lock = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=1024)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._depth = 0
        self._statements = {entity.name: statement(entity) for entity in ENTITIES.values()}

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._db.close()

    @property
    def is_seeded(self) -> bool:
        """Say whether the file holds a company."""
        return bool(self.rows("SELECT 1 FROM sqlite_master WHERE name = 'token'"))

    def clear(self) -> None:
        """Drop everything and make the tables anew."""
        with self.transaction():
            for (name,) in self.rows("SELECT name FROM sqlite_master WHERE type = 'table'"):
                self._db.execute(f'DROP TABLE "{name}"')
            for entity in ENTITIES.values():
                for sql in create_table(entity):
                    self._db.execute(sql)
            for sql in _TABLES:
                self._db.execute(sql)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the block writes, or nothing of it when it raises. May be nested."""
        with self.lock:
            mark = f"level{self._depth}"
            self._db.execute("BEGIN IMMEDIATE" if self._depth == 0 else f"SAVEPOINT {mark}")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._db.execute("ROLLBACK")
                else:
                    self._db.execute(f"ROLLBACK TO {mark}")
                    self._db.execute(f"RELEASE {mark}")
                raise
            self._depth -= 1
            self._db.execute("COMMIT" if self._depth == 0 else f"RELEASE {mark}")

    def rows(self, sql: str, parameters: tuple[Any, ...] | list[Any] = ()) -> list[tuple[Any, ...]]:
        """Run SQL and return its rows."""
        with self.lock:
            return self._db.execute(sql, parameters).fetchall()

    def write(self, sql: str, parameters: tuple[Any, ...] = ()) -> None:
        """Run SQL that changes something."""
        with self.lock:
            self._db.execute(sql, parameters)

    def next_value(self, name: str) -> int:
        """Return the next number of a sequence."""
        sql = "INSERT INTO sequence VALUES (?, 1) ON CONFLICT DO UPDATE SET value = value + 1 RETURNING value"
        return int(self.rows(sql, (name,))[0][0])

    def raise_sequence(self, name: str, value: int) -> None:
        """See to it that a sequence goes on after `value`."""
        sql = "INSERT INTO sequence VALUES (?, ?) ON CONFLICT DO UPDATE SET value = max(value, excluded.value)"
        self.write(sql, (name, value))

    def text(self, entity: str, row_id: str) -> str | None:
        """Return a row as JSON text, None if it does not exist."""
        found = self.rows(f'SELECT body FROM "{entity}" WHERE id = ?', (int(row_id),))
        return str(found[0][0]) if found else None

    def get(self, entity: str, row_id: str) -> Row | None:
        """Return a row, None if it does not exist."""
        text = self.text(entity, row_id)
        return None if text is None else loads(text)

    def peek(self, entity: str, row_id: str) -> tuple[bool, str] | None:
        """Return whether a row is active, and what it is called; None if it does not exist."""
        if not row_id.isascii() or not row_id.isdigit() or len(row_id) > 18:
            return None
        found = self.rows(f'SELECT active, label FROM "{entity}" WHERE id = ?', (int(row_id),))
        return (bool(found[0][0]), str(found[0][1])) if found else None

    def find(self, entity: str, name: str, value: str) -> list[str]:
        """Return the Ids of rows, inactive ones included, whose text property has this value, whatever its case."""
        sql = f'SELECT id FROM "{entity}" WHERE "p_{name}" = ? ORDER BY id'
        return [str(row[0]) for row in self.rows(sql, (fold(value),))]

    def save(self, entity: Entity, row: Mapping[str, Any]) -> None:
        """Store a row, new or changed."""
        self.write(self._statements[entity.name], tuple(values(entity, row, dumps(row))))

    def save_all(self, entity: Entity, rows: Iterator[Mapping[str, Any]]) -> None:
        """Store many rows."""
        with self.lock:
            self._db.executemany(self._statements[entity.name], (values(entity, row, dumps(row)) for row in rows))

    def delete(self, entity: str, row_id: str, now: float) -> None:
        """Remove a row and remember that it was there."""
        self.write(f'DELETE FROM "{entity}" WHERE id = ?', (int(row_id),))
        self.write("INSERT OR REPLACE INTO tombstone VALUES (?, ?, ?)", (entity, int(row_id), int(now)))

    def was_deleted(self, entity: str, row_id: str) -> bool:
        """Say whether a row with this Id was there once."""
        return bool(self.rows("SELECT 1 FROM tombstone WHERE entity = ? AND id = ?", (entity, int(row_id))))

    def count_all(self) -> dict[str, int]:
        """Return the number of rows by entity."""
        return {name: int(self.rows(f'SELECT count(*) FROM "{name}"')[0][0]) for name in sorted(ENTITIES)}


def updated(row: Mapping[str, Any]) -> float:
    """Return when a row was last changed."""
    return parse_stamp(row["MetaData"]["LastUpdatedTime"])
