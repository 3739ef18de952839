"""What is sent for one write: from neutral values to rows of tables. No I/O."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeAlias

from iw_operators.engine.model import Line, Value
from iw_operators.errors import FixRecord
from iw_operators.spec.catalogue import FieldDef, FieldType
from iw_operators.systems.base import Write
from iw_operators.systems.fitting import check_text
from iw_operators.systems.quickbooks_desktop import locales
from iw_operators.systems.quickbooks_desktop.dialect import Parameter, Statement, insert
from iw_operators.systems.quickbooks_desktop.errors import LABEL
from iw_operators.systems.quickbooks_desktop.lists import OWN
from iw_operators.systems.quickbooks_desktop.shape import (
    ADDRESS,
    ADDRESS_LENGTH,
    ADDRESS_LINES,
    KIND,
    Shape,
)
from iw_operators.systems.quickbooks_desktop.tables import TABLES, Kind, Lines, Tables

IdOf: TypeAlias = Callable[[FieldDef, str], str | None]  # the id of a list's entry by its text

TEXTS: Final = frozenset({FieldType.TEXT, FieldType.MEMO, FieldType.PHONE, FieldType.EMAIL})
MONEY_LIMIT: Final = Decimal("9999999999.99")
REF_NUMBER: Final = 11  # characters of the shortest RefNumber
MARK: Final = "IW"
MARK_LENGTH: Final = 18


@dataclass(frozen=True, slots=True)
class Cells:
    """Columns and values of one row."""

    header: Mapping[str, Parameter]
    lines: tuple[tuple[Lines, Mapping[str, Parameter]], ...] = ()


def marker_of(write: Write, column: str = "") -> str:
    """Return what marks a create as ours: made of the write's key, so that sending it again finds it.

    :param column: which one carries it, where that is not the object's usual one.
    """
    tables = TABLES[write.view.object]
    digest = base64.b32encode(hashlib.sha256(write.key.encode()).digest()).decode()
    return f"{MARK}{digest}"[: _mark_length(tables, column or tables.marker)]


def is_mark(tables: Tables, column: str, value: object) -> bool:
    """Tell whether a column holds a mark of ours, whichever create's."""
    length = _mark_length(tables, column) - len(MARK)
    return re.fullmatch(f"{MARK}[A-Z2-7]{{{length}}}", str(value or "")) is not None


def _mark_length(tables: Tables, column: str) -> int:
    length = REF_NUMBER if column == "RefNumber" else MARK_LENGTH
    return min(length, tables.marker_length or length)


def kind_of(shapes: Sequence[Shape], write: Write) -> Shape:
    """Return the shape of the table in which a create is made. :raises FixRecord: no table is of that kind."""
    if len(shapes) == 1:
        return shapes[0]
    wanted = str(write.values.get("kind") or "").replace(" ", "").replace("-", "").casefold()
    found = next((shape for shape in shapes if shape.kind.name.casefold() == wanted), None)
    if found is None:
        names = ", ".join(shape.kind.name for shape in shapes)
        msg = f"kind is {write.values.get('kind')!r}, {LABEL} has {names}."
        raise FixRecord(msg, code="odbc.field", field="kind", advice="Translate it with `values` in the mapping.")
    return found


def cells_of(shape: Shape, write: Write, id_of: IdOf, *, current: Mapping[str, object] | None = None) -> Cells:
    """Return what a write puts into which columns.

    :param current: an item's row as it is, which tells in which of two columns a value stands.
    :raises FixRecord: the values cannot be written as QuickBooks takes them.
    """
    header: dict[str, Parameter] = {}
    for name, value in write.values.items():
        if name == "lines" or isinstance(value, tuple):
            continue
        definition = write.view.fields[name]
        if definition.native == KIND or (value in (None, "") and write.target_id is None):
            continue
        header |= _cells(shape, name, definition, value, id_of, write, current)
    lines = write.values.get("lines")
    made = tuple(_line(shape, line, number) for number, line in enumerate(lines, 1)) if isinstance(lines, tuple) else ()
    return Cells(header, tuple(sorted(made, key=lambda each: shape.tables.lines.index(each[0]))))


def _cells(
    shape: Shape,
    name: str,
    definition: FieldDef,
    value: Value,
    id_of: IdOf,
    write: Write,
    current: Mapping[str, object] | None,
) -> dict[str, Parameter]:
    columns = shape.columns_of(definition.native)
    if not columns:
        if value in (None, ""):
            return {}
        msg = (
            f"{name} cannot be written to a {shape.kind.name or write.view.object} of {LABEL}, which has no such field."
        )
        raise FixRecord(msg, code="odbc.field", field=name, advice="Map it for other kinds only.")
    if definition.native.endswith(ADDRESS):
        return _address(name, columns, value)
    if definition.lookup is not None and definition.native.endswith("ListID"):
        ident = id_of(definition, str(value)) if value not in (None, "") else None
        if value not in (None, "") and ident is None:
            msg = f"{definition.label or name} {value!r} is not in the list {definition.lookup.set} of {LABEL}."
            advice = "Make it there, or spell it alike on both sides, or translate it with `values`."
            raise FixRecord(msg, code="iw.missing_lookup", field=name, advice=advice)
        return {} if ident == OWN else {columns[0]: ident}
    column = columns[0] if len(columns) == 1 else _which(columns, write, shape.kind, current)
    return {column: _plain(name, definition, value)}


def _which(columns: Sequence[str], write: Write, kind: Kind, current: Mapping[str, object] | None) -> str:
    """Return the column of an item that has one price, or one for buying and one for selling."""
    one, both = columns[0], columns[-1]
    if current is not None:
        return both if any(current.get(c.lower()) not in (None, "") for c in _both(kind)) else one
    buys = any(write.values.get(name) not in (None, "") for name in ("cost", "expense_account"))
    return both if buys else one


def _both(kind: Kind) -> list[str]:
    """Return the columns that are filled only where an item is both bought and sold."""
    return [column for native in kind.own for column in kind.columns(native) if column.startswith("SalesAndPurchase")]


def _address(name: str, columns: Sequence[str], value: Value) -> dict[str, Parameter]:
    lines = str(value).replace("\r\n", "\n").split("\n") if value not in (None, "") else []
    advice = f"Shorten it in the source, or say shorten: true for {name} in the mapping."
    if len(lines) > ADDRESS_LINES:
        msg = f"{name} has {len(lines)} lines, {LABEL} takes {ADDRESS_LINES} of {ADDRESS_LENGTH} characters."
        raise FixRecord(msg, code="iw.too_long", field=name, advice=advice)
    whole = FieldDef(native=name, length=ADDRESS_LENGTH)
    checked = [check_text(name, whole, line, LABEL) for line in lines]
    return {column: (checked[at] or None) if at < len(checked) else None for at, column in enumerate(columns)}


def _line(shape: Shape, line: Line, number: int) -> tuple[Lines, Mapping[str, Parameter]]:
    table = table_of(shape.tables.lines, shape.view.lines, line)
    row: dict[str, Parameter] = {}
    for name, value in line.items():
        definition = shape.view.lines[name]
        native = locales.native(definition.native, shape.place.locale)
        column = definition.native if definition.native.startswith("CustomField") else table.column(native)
        if value in (None, ""):
            continue
        if not column and value == 0:
            continue
        if not column:
            msg = f"lines[{number}].{name} cannot stand on such a line of {LABEL}."
            raise FixRecord(
                msg, code="odbc.field", field=f"lines[{number}].{name}", advice="Leave it out, or add an item."
            )
        row[column] = _plain(f"lines[{number}].{name}", definition, value)
    return table, row


def table_of(tables: Sequence[Lines], fields: Mapping[str, FieldDef], line: Line) -> Lines:
    """Return the table in which a line stands. :param fields: of lines, by their neutral names."""
    for table in tables:
        names = [name for name, definition in fields.items() if definition.native == table.told]
        if not table.told or any(line.get(name) not in (None, "") for name in names):
            return table
    return tables[-1]


def _plain(name: str, definition: FieldDef, value: Value) -> Parameter:
    if value in (None, ""):
        return None
    if definition.type in TEXTS:
        return check_text(name, definition, str(value), LABEL)
    if isinstance(value, Decimal):
        if abs(value) > MONEY_LIMIT:
            msg = f"{name} is more than {LABEL} holds."
            raise FixRecord(msg, code="3101", field=name)
        return value
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None, microsecond=0)
    if isinstance(value, tuple):
        msg = f"{name} is a list of lines"
        raise TypeError(msg)
    return value


def group(shape: Shape, cells: Cells) -> list[tuple[str, Statement]]:
    """Return the statements that make one record, each with its table; the last one makes QuickBooks save it.

    Lines are kept in the cache of the connection until then; each row carries the header.
    """
    if not cells.lines:
        return [(shape.kind.table, insert(shape.kind.table, cells.header))]
    last = len(cells.lines) - 1
    return [
        (lines.table, insert(lines.table, {**cells.header, **row}, more=number < last))
        for number, (lines, row) in enumerate(cells.lines)
    ]
