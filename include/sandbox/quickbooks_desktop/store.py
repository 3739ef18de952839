"""The company file's data in SQLite: tables of lists, transactions and lines, and views over them."""

from __future__ import annotations

import sqlite3
import threading
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sandbox.quickbooks_desktop.functions import register
from sandbox.quickbooks_desktop.schema import Schema, Table

Row = dict[str, Any]


def quoted(name: str) -> str:
    """Return a name as SQLite quotes it."""
    return '"' + name.replace('"', '""') + '"'


class Store:
    """Rows as dictionaries of column name to stored value. Safe to use from several threads, one at a time."""

    def __init__(self, schema: Schema, path: Path | None) -> None:
        self.schema = schema
        self.lock = threading.RLock()
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        register(self._db)
        self._db.execute("PRAGMA case_sensitive_like = ON")
        self._db.execute("PRAGMA synchronous = OFF")
        if path:
            self._db.execute("PRAGMA journal_mode = WAL")
        self.filled = self._is_of(schema)
        if not self.filled:
            self._create()

    def _is_of(self, schema: Schema) -> bool:
        """Return whether the file is filled. Raises ValueError for one that was made with other columns."""
        described = repr([(t.name, [f.name for f in t.fields.values()]) for t in schema.values()])
        mark = zlib.crc32(described.encode())
        found = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if found not in (0, mark & 0x7FFFFFFF):
            msg = "the company file was made with other tables or custom fields; delete it or name another path"
            raise ValueError(msg)
        self._db.execute(f"PRAGMA user_version = {mark & 0x7FFFFFFF}")
        return found != 0

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _create(self) -> None:
        run = self._db.execute
        run("CREATE TABLE _counter (name TEXT PRIMARY KEY, value INTEGER)")
        for table in self.schema.values():
            names = [quoted(field.name) for field in table.fields.values()]
            if table.kind in ("list", "txn"):
                run(f"CREATE TABLE {quoted(table.name)} ({', '.join(names)}, PRIMARY KEY ({quoted(table.key)}))")
                run(f"CREATE INDEX {quoted('t_' + table.name)} ON {quoted(table.name)} (TimeModified)")
                for name in ("RefNumber", "CustomerRefListID", "VendorRefListID"):
                    if name.lower() in table.fields:
                        run(f"CREATE INDEX {quoted(f'{name}_{table.name}')} ON {quoted(table.name)} ({name})")
                if table.kind == "list":
                    name = f"n_{table.name}"
                    run(f"CREATE INDEX {quoted(name)} ON {quoted(table.name)} ({table.named} COLLATE NOCASE)")
            elif table.kind in ("single", "trail"):
                run(f"CREATE TABLE {quoted(table.name)} ({', '.join(names)})")
        for table in self.schema.values():
            if table.kind == "line":
                self._create_lines(table)
            elif table.kind == "union":
                self._create_union(table)
            elif table.kind == "lines":
                self._create_line_union(table)

    def _create_lines(self, table: Table) -> None:
        key = self.schema[table.head.lower()].key
        own = ", ".join(quoted(name) for name in table.own)
        kept = quoted("_" + table.name)
        self._db.execute(f"CREATE TABLE {kept} (_Row INTEGER PRIMARY KEY, _Key TEXT, _Id TEXT, {own})")
        self._db.execute(f"CREATE INDEX {quoted('k_' + table.name)} ON {kept} (_Key)")
        self._db.execute(f"CREATE INDEX {quoted('i_' + table.name)} ON {kept} (_Id)")
        if "AppliedToTxnTxnID" in table.own:
            self._db.execute(f"CREATE INDEX applied ON {kept} (AppliedToTxnTxnID)")
        shown = []
        for field in table.fields.values():
            if field.name in table.own:
                shown.append(f"l.{quoted(field.name)}")
            elif field.name == "FQSaveToCache":
                shown.append("0 AS FQSaveToCache")
            elif field.name == "FQPrimaryKey":
                shown.append(f"h.{key} || '|' || l._Id AS FQPrimaryKey")
            else:
                shown.append(f"h.{quoted(field.name)}")
        self._db.execute(
            f"CREATE VIEW {quoted(table.name)} AS SELECT {', '.join(shown)} FROM {quoted(table.head)} h"
            f" JOIN {kept} l ON l._Key = h.{key}"
        )

    def _create_line_union(self, table: Table) -> None:
        parts = []
        for name, label in table.members.items():
            member = self.schema[name.lower()]
            columns = []
            for field in table.fields.values():
                own = field.name in table.own
                found = member.prefix + field.name.removeprefix(table.prefix) if own else field.name
                text = f"'{label}'" if field.name == f"{table.prefix}Type" else quoted(found)
                columns.append(f"{text} AS {quoted(field.name)}")
            parts.append(f"SELECT {', '.join(columns)} FROM {quoted(name)}")
        self._db.execute(f"CREATE VIEW {quoted(table.name)} AS {' UNION ALL '.join(parts)}")

    def _create_union(self, table: Table) -> None:
        parts = []
        for name in table.of:
            member = self.schema[name.lower()]
            columns = []
            for field in table.fields.values():
                found = [c for c in table.sources.get(field.name, (field.name,)) if member.find(c)]
                text = f"COALESCE({', '.join(map(quoted, found))}, NULL)" if found else "NULL"
                text = f"'{name}'" if field.name == "Type" else text
                columns.append(f"{text} AS {quoted(field.name)}")
            parts.append(f"SELECT {', '.join(columns)} FROM {quoted(name)}")
        self._db.execute(f"CREATE VIEW {quoted(table.name)} AS {' UNION ALL '.join(parts)}")

    # --- rows

    def query(self, sql: str, values: Iterable[Any] = ()) -> sqlite3.Cursor:
        """Run a query (or a change) of the sandbox's own making."""
        return self._db.execute(sql, tuple(values))

    def one(self, table: str, where: str, values: Iterable[Any]) -> Row | None:
        """Return the first row that a condition in SQLite's words fits."""
        found = self.query(f"SELECT * FROM {quoted(table)} WHERE {where} LIMIT 1", values).fetchone()
        return dict(found) if found else None

    def all(self, table: str, where: str = "1", values: Iterable[Any] = ()) -> list[Row]:
        """Return all rows that a condition in SQLite's words fits."""
        return [dict(row) for row in self.query(f"SELECT * FROM {quoted(table)} WHERE {where}", values)]

    def add(self, table: str, row: Mapping[str, Any]) -> None:
        """Insert a row into a table (a line table's name begins with an underscore)."""
        marks = ", ".join("?" * len(row))
        self.query(f"INSERT INTO {quoted(table)} ({', '.join(map(quoted, row))}) VALUES ({marks})", row.values())

    def change(self, table: str, key: str, row_id: str, changes: Mapping[str, Any]) -> None:
        """Update a row."""
        assigned = ", ".join(f"{quoted(name)} = ?" for name in changes)
        self.query(f"UPDATE {quoted(table)} SET {assigned} WHERE {key} = ?", [*changes.values(), row_id])

    def remove(self, table: str, key: str, row_id: str) -> None:
        """Delete rows."""
        self.query(f"DELETE FROM {quoted(table)} WHERE {key} = ?", [row_id])

    def count(self, name: str) -> int:
        """Return the next number of a counter."""
        self.query("INSERT INTO _counter VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1", [name])
        return int(self.query("SELECT value FROM _counter WHERE name = ?", [name]).fetchone()[0])

    def counts(self) -> dict[str, int]:
        """Return how many rows each table has that has any."""
        found = {}
        for table in self.schema.values():
            if table.kind in ("list", "txn", "trail"):
                rows = int(self.query(f"SELECT COUNT(*) FROM {quoted(table.name)}").fetchone()[0])
                if rows:
                    found[table.name] = rows
        return found
