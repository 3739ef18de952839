"""Changing a transaction's lines, with its header: QODBC changes, adds and deletes lines one by one.

Not one step: a connection that is lost in between leaves some lines new and some old. The write is then in doubt,
planned again from what the record holds, and its lines are replaced again. What QuickBooks refuses in between is put
back as it was, as far as it lets us.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from iw_operators.errors import FixRecord
from iw_operators.points import reach
from iw_operators.systems.quickbooks_desktop.client import Client
from iw_operators.systems.quickbooks_desktop.dialect import (
    Parameter,
    Statement,
    as_bool,
    as_date,
    as_decimal,
    delete,
    insert,
    select,
    update,
)
from iw_operators.systems.quickbooks_desktop.errors import LABEL
from iw_operators.systems.quickbooks_desktop.shape import Shape
from iw_operators.systems.quickbooks_desktop.tables import EDIT, Lines

Cells = Mapping[str, Parameter]
Rows = Sequence[tuple[Lines, Cells]]

PAYMENT: Final = "ReceivePayment"
_EMPTY: Final = (None, "")


@dataclass(frozen=True, slots=True)
class Held:
    """A transaction as it was read: its EditSequence, columns of its header, and lines by table, each with its id."""

    version: str
    header: Mapping[str, Any]
    lines: Mapping[str, Sequence[tuple[str, Cells]]]


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of a change. `ident` of a line: which one; "" of a new one, None of the header."""

    table: str
    values: Cells | None  # None: it is deleted
    old: Mapping[str, Any]
    lines: Lines | None = None
    ident: str | None = None


@dataclass(slots=True)
class Change:
    """One change of a transaction's header and lines, from what it held before. `done`: what has been carried out."""

    client: Client
    shape: Shape
    ident: str
    before: Held
    done: list[Step] = field(default_factory=list)

    @classmethod
    def begin(cls, client: Client, shape: Shape, ident: str, columns: Sequence[str], version: str) -> Change | None:
        """Read what is there before anything is sent; None where a transaction is gone or its version has moved on.

        :param columns: of the header, which are to be changed.
        """
        total = shape.columns_of(shape.total.native) if shape.total is not None else ()
        before = _read(client, shape, ident, [*columns, *total])
        return cls(client, shape, ident, before) if before is not None and before.version == version else None

    def check(self, header: Cells, wanted: Rows) -> None:
        """See that a payment can be applied as it is wanted, before anything of it is taken away.

        :raises FixRecord: it is more than is due, or than was paid.
        """
        if self.shape.kind.table != PAYMENT or not wanted:
            return
        lines = self.shape.tables.lines[0]
        invoice, amount = f"{lines.prefix}TxnID", f"{lines.prefix}PaymentAmount"
        asked = [(str(row.get(invoice) or ""), as_decimal(row.get(amount)) or Decimal(0)) for _, row in wanted]
        mine = {ident: as_decimal(row.get(amount)) or Decimal(0) for ident, row in self.before.lines[lines.table]}
        columns = ["TxnID", "BalanceRemaining"]
        rows = self.client.all(select(columns, "Invoice", [("TxnID", "IN", sorted({ident for ident, _ in asked}))]))
        due = {str(row["txnid"]): as_decimal(row["balanceremaining"]) or Decimal(0) for row in rows}
        for number, (ident, part) in enumerate(asked, 1):
            if ident in due and part > due[ident] + mine.get(ident, Decimal(0)):
                raise _too_much(f"lines[{number}].amount", f"{part} is more than is due on {ident}")
        total = as_decimal(header.get("TotalAmount", self.before.header.get("TotalAmount")))
        if total is not None and sum((part for _, part in asked), Decimal(0)) > total:
            raise _too_much("lines", f"more than {total} is applied, which is what was paid")

    def make(self, header: Cells, wanted: Rows) -> bool:
        """Make header and lines what is wanted, lines in their order; False where somebody else is changing them.

        The first statement asks for the EditSequence that was read, unless it adds a line. Lines keep their ids as far
        as there are as many, and are left alone where they are alike; what is empty in a wanted line is emptied. What
        a payment is applied to has no ids: from the first difference on it is deleted and made anew.
        """
        guard: dict[str, Parameter] = {EDIT: self.before.version}
        for step in self._steps(header, wanted):
            count = self.client.run(self._statement(step, guard))
            if step.ident != "" and count == 0:
                return False
            self.done.append(step)
            if step.ident != "" and count < 0 and not self._came(step):
                return False
            guard = {}
            reach("within_lines")
        return True

    def undo(self, columns: Sequence[str]) -> bool:
        """Put everything back as it was read; False where that does not succeed, or somebody else is at work on it.

        :param columns: of the header, which were to be changed.
        :raises InterWeaveError: as `make`.
        """
        now = _read(self.client, self.shape, self.ident, list(self.before.header))
        if now is None or not self._alone(now, columns):
            return False
        old = [(lines, row) for lines in self.shape.tables.lines for _, row in self.before.lines[lines.table]]
        back = Change(self.client, self.shape, self.ident, now)
        if not back.make({column: self.before.header[column] for column in columns}, old):
            return False
        after = _read(self.client, self.shape, self.ident, list(self.before.header))
        return after is not None and _as_before(after, self.before)

    def _alone(self, now: Held, columns: Sequence[str]) -> bool:
        """Tell whether what this change has not touched is as it was."""
        if all(step.lines is not None for step in self.done) and any(
            not alike(now.header[column], self.before.header[column]) for column in columns
        ):
            return False
        for table, there in self.before.lines.items():
            mine = {step.ident for step in self.done if step.lines is not None and step.table == table}
            rows, known = dict(now.lines[table]), {ident for ident, _ in there}
            added = sum(step.ident == "" for step in self.done if step.table == table)
            if len(rows.keys() - known) > added or any(
                ident not in mine and not (ident in rows and _alike_row(rows[ident], old)) for ident, old in there
            ):
                return False
        return True

    def _steps(self, header: Cells, wanted: Rows) -> Iterator[Step]:
        if any(not alike(value, self.before.header.get(column)) for column, value in header.items()):
            yield Step(self.shape.kind.table, header, self.before.header)
        surplus: list[Step] = []
        for lines in self.shape.tables.lines:
            empty = dict.fromkeys(self.shape.line_columns(lines))
            rows = [{**empty, **row} for table, row in wanted if table is lines]
            there = self.before.lines[lines.table]
            kept = len(there) if lines.line_id else _alike_at_first(there, rows)
            if not lines.line_id:
                yield from (Step(lines.table, None, old, lines, ident) for ident, old in there[kept:])
            for (ident, old), row in zip(there[:kept], rows, strict=False):
                if not _alike_row(row, old):
                    yield Step(lines.table, row, old, lines, ident)
            for row in rows[kept:]:
                yield Step(lines.table, row, {}, lines, "")
            if lines.line_id:
                surplus += [Step(lines.table, None, old, lines, ident) for ident, old in there[len(rows) :]]
        yield from reversed(surplus)  # the last one first: what has to be put back then comes where it was

    def _statement(self, step: Step, guard: Cells) -> Statement:
        where: dict[str, Parameter] = {self.shape.tables.key: self.ident}
        if step.lines is None:
            return update(step.table, step.values or {}, {**where, **guard})
        if step.ident == "":
            filled = {column: value for column, value in (step.values or {}).items() if value not in _EMPTY}
            return insert(step.table, {**where, **filled}, more=False)
        where |= {_line_key(self.shape, step.lines): step.ident, **guard}
        return delete(step.table, where) if step.values is None else update(step.table, step.values, where)

    def _came(self, step: Step) -> bool:
        """Tell whether a statement has come, by reading what it was about: for drivers that count no rows."""
        now = _read(self.client, self.shape, self.ident, list(self.before.header))
        if now is None or now.version == self.before.version:
            return False
        row: Mapping[str, Any] | None = now.header
        if step.lines is not None:
            row = next((row for ident, row in now.lines[step.table] if ident == step.ident), None)
        if step.values is None or row is None:
            return step.values is None and row is None
        return any(
            alike(value, row.get(column))
            for column, value in step.values.items()
            if not alike(value, step.old.get(column))
        )


def _read(client: Client, shape: Shape, ident: str, columns: Sequence[str]) -> Held | None:
    key = shape.tables.key
    where: list[tuple[str, str, Sequence[Parameter]]] = [(key, "=", [ident])]
    found = client.all(select(list(dict.fromkeys([key, EDIT, *columns])), shape.kind.table, where))
    if not found:
        return None
    lines: dict[str, list[tuple[str, Cells]]] = {}
    for table in shape.tables.lines:
        at, wanted = _line_key(shape, table), shape.line_columns(table)
        rows = client.all(select(list(dict.fromkeys([at, *wanted])), table.table, where, order=[table.order]))
        lines[table.table] = [(str(row[at.lower()]), {name: row[name.lower()] for name in wanted}) for row in rows]
    return Held(str(found[0][EDIT.lower()] or ""), {name: found[0][name.lower()] for name in columns}, lines)


def _line_key(shape: Shape, lines: Lines) -> str:
    return lines.line_id or lines.prefix + shape.tables.key


def alike(one: Any, other: Any) -> bool:
    """Tell whether two values of a column are the same, in whatever shape drivers give them."""
    if one in _EMPTY or other in _EMPTY:
        return one in _EMPTY and other in _EMPTY
    try:
        if isinstance(one, bool):
            return as_bool(other) is one
        if isinstance(one, (Decimal, int)):
            return as_decimal(other) == one
        if isinstance(one, dt.date) and not isinstance(one, dt.datetime):
            return as_date(other) == one
    except ValueError:
        return False
    return str(one) == str(other)


def _alike_row(row: Cells, old: Mapping[str, Any]) -> bool:
    return all(alike(value, old.get(column)) for column, value in row.items())


def _alike_at_first(there: Sequence[tuple[str, Cells]], rows: Sequence[Cells]) -> int:
    """Return how many rows are alike, from the first one on."""
    pairs = zip(there, rows, strict=False)
    return next((n for n, ((_, old), row) in enumerate(pairs) if not _alike_row(row, old)), min(len(there), len(rows)))


def _as_before(after: Held, before: Held) -> bool:
    return _alike_row(after.header, before.header) and all(
        len(rows) == len(after.lines[table])
        and all(_alike_row(now, old) for (_, now), (_, old) in zip(after.lines[table], rows, strict=True))
        for table, rows in before.lines.items()
    )


def _too_much(field: str, what: str) -> FixRecord:
    return FixRecord(f"{LABEL}: {what}.", code="3210", field=field)
