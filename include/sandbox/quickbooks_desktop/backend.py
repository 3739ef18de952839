"""The simulated company file behind the connector: what QODBC's driver does with statements, one connection at a time.

The cache of `FQSaveToCache` and the last ids belong to the connection: closing it forgets both.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from iw_operators.systems.quickbooks_desktop.connector.backend import BackendError, Column
from sandbox.quickbooks_desktop import errors, procedures, transactions
from sandbox.quickbooks_desktop.company import CompanyFile
from sandbox.quickbooks_desktop.grammar import parse
from sandbox.quickbooks_desktop.schema import Table
from sandbox.quickbooks_desktop.select import condition, translate
from sandbox.quickbooks_desktop.store import Row, quoted
from sandbox.quickbooks_desktop.tree import Delete, Insert, Literal, Procedure, Select, Update
from sandbox.quickbooks_desktop.values import shown

BATCH = 500
MANY = 1_000_000
HOST_FAULTS = {
    "modal_dialog": "80040414",
    "single_user": "8004040A",
    "company_closed": "80040416",
    "licence": "80040427",
    "no_permission": "8004041A",
    "wrong_version": "80040423",
}
OTHER_MODE = "80040410"
TRUE = frozenset({"1", "true", "t", "y"})


class Result:
    """What a statement has given: rows that are read as they are fetched, or a count."""

    def __init__(
        self, columns: Sequence[Column] = (), rows: Iterator[Sequence[Any]] | None = None, rowcount: int = -1
    ) -> None:
        self.columns = columns
        self.rowcount = rowcount
        self._rows = rows if rows is not None else iter(())

    def fetch(self, count: int) -> Sequence[Sequence[Any]]:
        """Return up to `count` further rows."""
        return list(islice(self._rows, count))

    def close(self) -> None:
        """Let the rest of the rows go."""
        self._rows = iter(())


class SimulatedBackend:
    """One connection to the company file, for the connector.

    :param drop: cuts all clients off, for the faults that do.
    """

    interleaves = True

    def __init__(self, file: Callable[[], CompanyFile], drop: Callable[[], None]) -> None:
        self._file = file
        self._drop = drop
        self._open = False
        self._single = False
        self._mode = threading.Lock()
        self._cache: dict[str, tuple[Row, list[tuple[Table, Row]]]] = {}
        self._last: dict[str, str] = {}
        self._cancelled = threading.Event()
        self.connections = 0
        self.statements: Counter[str] = Counter()

    # --- the connector's interface

    def open(self) -> None:
        """Connect, unless connected."""
        if self._open:
            return
        for kind in ("company_closed", "single_user", "licence", "no_permission", "wrong_version", "modal_dialog"):
            if self._file().faults.take(kind, "OPEN"):
                raise errors.host(HOST_FAULTS[kind])
        with self._mode:
            if self._single:
                raise errors.host(OTHER_MODE)
            self._open = True
        self.connections += 1

    @property
    def is_open(self) -> bool:
        """Whether the company file is held open over this connection."""
        return self._open

    def switch(self, *, single_user: bool) -> None:
        """Do what somebody at the host does: switch to single-user mode, or back to multi-user mode.

        Raises ValueError while the file is held open over this connection, as QuickBooks refuses then.
        """
        with self._mode:
            if single_user and self._open:
                msg = "An application is accessing this company file; QuickBooks stays in multi-user mode"
                raise ValueError(msg)
            self._single = single_user

    def close(self) -> None:
        """Disconnect."""
        self._open = False
        self._cache.clear()
        self._last.clear()

    def cancel(self) -> None:
        """End a slow statement."""
        self._cancelled.set()

    def tables(self) -> Sequence[tuple[str, bool]]:
        """Return the tables."""
        return [(table.name, False) for table in sorted(self._file().schema.values(), key=lambda t: t.name)]

    def columns(self, table: str) -> Sequence[Column]:
        """Return a table's columns."""
        found = self._file().schema.get(table.lower())
        return [field.column for field in found.fields.values()] if found else []

    def execute(self, statement: str) -> Result:
        """Run a statement as QODBC does."""
        file = self._file()
        line = _line(statement)
        self.statements[line] += 1
        self._cancelled.clear()
        for kind, code in HOST_FAULTS.items():
            if file.faults.take(kind, line):
                raise errors.host(code)
        if file.faults.take("drop_before", line):
            self._drop()
            raise BackendError("[QODBC] Communication link failure", "08S01", lost=True)
        if fault := file.faults.take("slow", line):
            self._wait(fault.seconds)
        if file.faults.take("error", line):
            raise errors.refusal(
                3180, line.partition(" ")[2], "", quickbooks="An unexpected error occurred.  Try again later."
            )
        with file.lock:
            parsed = parse(statement)
            if self._cache and isinstance(parsed, Insert) and file.faults.take("drop_in_group", line):
                self._drop()
                raise BackendError("[QODBC] Communication link failure", "08S01", lost=True)
            result = self._run(file, parsed)
        if result.columns and file.faults.take("drop_middle", line):
            return Result(result.columns, self._half(list(result.fetch(MANY))))
        saved = isinstance(parsed, Insert | Update | Delete) and not self._cached(parsed)
        if saved and file.faults.take("drop_after_commit", line):
            self._drop()
            raise BackendError("[QODBC] Communication link failure", "08S01", lost=True)
        return result

    # --- statements

    def _wait(self, seconds: float) -> None:
        if self._cancelled.wait(seconds):
            raise BackendError("[QODBC] Operation cancelled", "HY008")

    @staticmethod
    def _cached(parsed: Insert | Update | Delete) -> bool:
        return isinstance(parsed, Insert) and _saves_to_cache(parsed)

    def _run(self, file: CompanyFile, parsed: Any) -> Result:
        match parsed:
            case Select():
                return self._select(file, parsed)
            case Procedure():
                return self._procedure(file, parsed)
        file.store.query("BEGIN")
        try:
            match parsed:
                case Insert():
                    count = self._insert(file, parsed)
                case Update():
                    count = self._update(file, parsed)
                case _:
                    count = self._delete(file, parsed)
        except BaseException:
            file.store.query("ROLLBACK")
            raise
        file.store.query("COMMIT")
        return Result(rowcount=count)

    def _select(self, file: CompanyFile, query: Select) -> Result:
        made = translate(file.schema, query, file.stamp())
        with _computing():
            cursor = file.store.query(made.sql, made.values)
        seconds = file.options.slow_seconds

        def rows() -> Iterator[Sequence[Any]]:
            while True:
                try:
                    with file.lock, _computing():
                        batch = cursor.fetchmany(BATCH)
                except sqlite3.ProgrammingError:  # the file was reset under it
                    raise BackendError("[QODBC] Communication link failure", "08S01", lost=True) from None
                if not batch:
                    return
                if seconds:
                    self._wait(seconds)
                for row in batch:
                    yield [shown(field, value) for field, value in zip(made.fields, row, strict=True)]

        return Result(made.columns, rows())

    def _half(self, rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """Give half of the rows, then cut the clients off."""
        yield from rows[: len(rows) // 2]
        self._drop()
        raise BackendError("[QODBC] Communication link failure", "08S01", lost=True)

    def _procedure(self, file: CompanyFile, procedure: Procedure) -> Result:
        if procedure.name == "sp_batchclear":
            self._cache.clear()
            return Result(rowcount=0)
        if procedure.name == "sp_clearlastinsertid":
            self._last.clear()
            return Result(rowcount=0)
        columns, rows = procedures.run(file, procedure, self._last)
        return Result(columns, iter(rows), rowcount=-1 if columns else 0)

    def _table(self, file: CompanyFile, name: str) -> Table:
        table = file.schema.get(name.lower())
        if table is None:
            raise errors.no_table(name)
        if table.kind in ("union", "lines", "single", "trail"):
            raise BackendError(f"[QODBC] Table is read only: {table.name}", "HY000")
        return table

    def _insert(self, file: CompanyFile, insert: Insert) -> int:
        table = self._table(file, insert.table)
        given: Mapping[str, Literal] = dict(zip(insert.columns, insert.values, strict=True))
        txn_id = next(
            (v.value for k, v in given.items() if table.kind == "line" and k.lower() in ("txnid", "listid")), ""
        )
        given = {k: v for k, v in given.items() if k.lower() not in ("txnid", "listid") or table.kind != "line"}
        row = file.values(table, given, "insertable")
        if table.kind == "list":
            self._made(file, table, file.add_list(table, row))
            return 1
        head = file.schema[table.head.lower()] if table.kind == "line" else table
        own = {name: value for name, value in row.items() if name in table.own}
        header = {name: value for name, value in row.items() if name not in table.own and value is not None}
        if txn_id:
            self._made(file, table, transactions.add_line(file, table, txn_id, own, header), head)
            return 1
        before, lines = self._cache.get(head.name, ({}, []))
        header = {**before, **header}
        if table.kind == "line":
            lines = [*lines, (table, own)]
        if _saves_to_cache(insert):
            self._cache[head.name] = (header, lines)
            return 1
        if head.kind == "list":
            made = file.add_list(head, header)
            for _, line in lines:
                transactions.add_line(file, table, made, line, {})
        else:
            made = transactions.save(file, head, header, [(of, dict(line)) for of, line in lines])
        self._cache.pop(head.name, None)
        self._made(file, table, made, head)
        return 1

    def _made(self, file: CompanyFile, table: Table, row_id: str, head: Table | None = None) -> None:
        for name in {table.name, (head or table).name}:
            self._last[name.lower()] = row_id
        for other in file.schema.values():
            if other.head and other.head == (head or table).name:
                self._last[other.name.lower()] = row_id

    def _rows(self, file: CompanyFile, table: Table, where: Any) -> list[Row]:
        if where is None:
            raise errors.syntax("WHERE")  # every row of a company file is never meant
        text, values = condition(file.schema, table, where, file.stamp())
        cursor = file.store.query(f"SELECT * FROM {quoted(table.name)} WHERE {text}", values)
        return [dict(row) for row in cursor.fetchall()]

    def _update(self, file: CompanyFile, update: Update) -> int:
        table = self._table(file, update.table)
        changes = file.values(table, dict(update.changes), "updateable")
        rows = self._rows(file, table, update.where)
        for row in rows:
            if table.kind == "line":
                transactions.change_line(file, table, str(row["FQPrimaryKey"]).rpartition("|")[2], dict(changes))
            else:
                file.modify(table, row, dict(changes))
        return len(rows)

    def _delete(self, file: CompanyFile, delete: Delete) -> int:
        table = self._table(file, delete.table)
        rows = self._rows(file, table, delete.where)
        for row in rows:
            if table.kind == "line":
                transactions.remove_line(file, table, str(row["FQPrimaryKey"]).rpartition("|")[2])
            else:
                transactions.remove(file, table, row)
        return len(rows)


@contextlib.contextmanager
def _computing() -> Iterator[None]:
    """A function that cannot take its argument is refused, as QODBC refuses an operand."""
    try:
        yield
    except sqlite3.OperationalError:
        raise errors.operand("<function>") from None


def _saves_to_cache(insert: Insert) -> bool:
    values = dict(zip((name.lower() for name in insert.columns), insert.values, strict=True))
    found = values.get("fqsavetocache")
    return found is not None and found.value.lower() in TRUE


def _line(statement: str) -> str:
    """Return `VERB Table` of a statement, which faults are matched with."""
    from iw_operators.systems.quickbooks_desktop.connector.sql import shape

    return shape(statement).label
