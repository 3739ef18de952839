"""Putting other lines in place of a transaction's: QODBC changes, adds and deletes them one by one.

Not one step: a connection that is lost in between leaves some lines new and some old. The write is then in doubt,
planned again from what the record holds, and its lines are replaced again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from iw_operators.points import reach
from iw_operators.systems.quickbooks_desktop.client import Client
from iw_operators.systems.quickbooks_desktop.dialect import Parameter, delete, insert, select, update
from iw_operators.systems.quickbooks_desktop.shape import Shape
from iw_operators.systems.quickbooks_desktop.tables import EDIT, Lines

Rows = Sequence[tuple[Lines, Mapping[str, Parameter]]]


def replace_lines(client: Client, shape: Shape, ident: str, wanted: Rows, *, version: str = "") -> bool:
    """Make the lines of a transaction those that are wanted, in their order; False where its version has moved on.

    :param version: the EditSequence that the first change asks for; "" after one that has asked already. A change that
        begins with a new line does not ask.

    Lines keep their ids as far as there are as many; what is empty in a wanted line is emptied. What a payment is
    applied to has no ids: its rows are deleted and made anew.
    """
    key = shape.tables.key
    guard: dict[str, Parameter] = {EDIT: version} if version else {}
    for lines in shape.tables.lines:
        rows = [row for table, row in wanted if table is lines]
        at = lines.line_id or lines.prefix + shape.tables.key
        found = client.all(select([at], lines.table, [(key, "=", [ident])], order=[lines.order]))
        there = [str(row[at.lower()]) for row in found]
        if not lines.line_id:
            for each in there:
                if client.run(delete(lines.table, {key: ident, at: each, **guard})) == 0 and guard:
                    return False
                guard = {}
                reach("within_lines")
            there = []
        empty = dict.fromkeys(shape.line_columns(lines))
        for each, row in zip(there, rows, strict=False):
            if client.run(update(lines.table, {**empty, **row}, {key: ident, at: each, **guard})) == 0 and guard:
                return False
            guard = {}
            reach("within_lines")
        for row in rows[len(there) :]:
            client.run(insert(lines.table, {key: ident, **row}, more=False))
            guard = {}
            reach("within_lines")
        for each in there[len(rows) :]:
            if client.run(delete(lines.table, {key: ident, at: each, **guard})) == 0 and guard:
                return False
            guard = {}
            reach("within_lines")
    return True
