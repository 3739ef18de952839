"""How the fields of a view stand in a table's columns: which columns to ask for, and what a row of them says. No I/O.

A `native` of the catalogue is a column, several of them (`XAddr*`, `A+B`), or a word of the catalogue's own (`Kind`,
`Line.TxnID`); `Kind.own` of the table and the company's locale may call it otherwise.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from operator import itemgetter
from typing import Any, Final, TypeAlias

from iw_operators.engine.model import Line, Record, Scalar, Value
from iw_operators.spec.catalogue import FieldDef, FieldType
from iw_operators.systems.base import View
from iw_operators.systems.quickbooks_desktop import locales
from iw_operators.systems.quickbooks_desktop.client import Columns, Row
from iw_operators.systems.quickbooks_desktop.dialect import as_bool, as_decimal, as_moment, as_text, converter
from iw_operators.systems.quickbooks_desktop.errors import unreadable
from iw_operators.systems.quickbooks_desktop.tables import (
    ACTIVE,
    BALANCES,
    EDIT,
    MODIFIED,
    TABLES,
    Kind,
    Lines,
    Tables,
)

TEXTS: Final = frozenset({FieldType.TEXT, FieldType.MEMO, FieldType.PHONE, FieldType.EMAIL, FieldType.REF})
PLAIN: Final[Mapping[FieldType, type]] = {
    **dict.fromkeys(TEXTS, str),
    FieldType.MONEY: Decimal,
    FieldType.DECIMAL: Decimal,
    FieldType.BOOLEAN: bool,
    FieldType.DATE: dt.date,
}  # what a driver gives that needs nothing done to it
ADDRESS: Final = "Addr*"
ADDRESS_LINES: Final = 5
ADDRESS_LENGTH: Final = 41  # of one line of an address (LIM)
KIND: Final = "Kind"
PAID: Final = "Line.TxnID"  # of a payment: the one invoice that it pays
NO_FACTS: Final[frozenset[str]] = frozenset()  # books have none
BALANCE_MARK: Final = "~"  # between EditSequence and balance in a version
VOID: Final = "VOID"  # how the memo of a voided transaction begins
MEMO: Final = "Memo"

TextOf: TypeAlias = Callable[[str, str], str | None]  # list, id -> text
Getter: TypeAlias = Callable[[Row], Scalar]


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when a company file is."""

    zone: dt.tzinfo = dt.UTC
    locale: str = "US"
    base_currency: str = "USD"


@dataclass(frozen=True, slots=True)
class Shape:
    """One view in one table. :param text_of: what entries of a list are called, for references that are kept by id."""

    view: View
    tables: Tables
    kind: Kind
    place: Place
    text_of: TextOf

    @classmethod
    def all_of(cls, view: View, place: Place, text_of: TextOf) -> list[Shape]:
        """Return the shapes of a view, one a table."""
        tables = TABLES[view.object]
        return [cls(view, tables, kind, place, text_of) for kind in tables.kinds]

    def columns_of(self, native: str) -> tuple[str, ...]:
        """Return the columns that a field stands in, none where the table does not have it."""
        if native in (KIND, PAID):
            return ()
        native = locales.native(native, self.place.locale)
        if native.endswith(ADDRESS):
            return tuple(f"{native.removesuffix('*')}{n}" for n in range(1, ADDRESS_LINES + 1))
        if "+" in native:
            return tuple(native.split("+"))
        return self.kind.columns(native)

    def header(self) -> list[str]:
        """Return the columns to ask for, each once."""
        definition = self.view.definition
        natives = [field.native for field in self.view.fields.values()]
        named = definition.fields.get(definition.name)
        natives += [named.native] if named else []
        found = [self.tables.key, EDIT, MODIFIED]
        found += [ACTIVE] if definition.active else []
        found += [self.tables.only] if self.tables.only else []
        if (total := self.total) is not None:
            found += [MEMO, *self.columns_of(total.native)]
        for native in natives:
            found += self.columns_of(native)
        return list(dict.fromkeys(found))

    def line_columns(self, lines: Lines) -> list[str]:
        """Return the columns of a line to ask for."""
        natives = [field.native for field in self.view.lines.values()]
        return list(dict.fromkeys(column for native in natives if (column := self._line_column(lines, native))))

    def _line_column(self, lines: Lines, native: str) -> str:
        if native.startswith("CustomField"):
            return native
        return lines.column(locales.native(native, self.place.locale))

    @property
    def total(self) -> FieldDef | None:
        """The field that is zero when a transaction is voided, None where there is none."""
        definition = self.view.definition
        if (
            self.tables.is_list
            or not self.tables.lines
            or not any(f.native == MEMO for f in definition.fields.values())
        ):
            return None
        return definition.fields.get("total")

    def read(self, names: Columns) -> Reader:
        """Return what reads rows that have these columns."""
        index = {name: place for place, name in enumerate(names)}
        fields = {name: self._getter(field, index) for name, field in self.view.fields.items()}
        definition = self.view.definition
        label = definition.fields.get(definition.name)
        total = self.total
        balance = next((name for name, field in self.view.fields.items() if self.tracks(field)), None)
        return Reader(
            self.place.zone,
            index[self.tables.key.lower()],
            index[EDIT.lower()],
            index[MODIFIED.lower()],
            index[ACTIVE.lower()] if definition.active else None,
            index[self.tables.only.lower()] if self.tables.only else None,
            self._values(self.view.fields, fields, index, names),
            self._getter(label, index) if label else None,
            index.get(MEMO.lower()) if total is not None else None,
            self._getter(total, index) if total is not None else None,
            fields[balance] if balance else None,
        )

    def tracks(self, field: FieldDef) -> bool:
        """Tell whether a field is a balance that changes without its record."""
        return bool(self.tables.posted) and field.native in BALANCES

    def read_line(self, lines: Lines, names: Columns) -> Callable[[Row], dict[str, Value]]:
        """Return what reads lines of rows that have these columns."""
        index = {name: place for place, name in enumerate(names)}
        getters: dict[str, Getter] = {}
        places: dict[str, int] = {}
        for name, field in self.view.lines.items():
            column = self._line_column(lines, field.native).lower()
            getters[name] = self._one(field, index[column]) if column else _nothing
            if column:
                places[name] = index[column]
        return self._values(self.view.lines, getters, places, names, by_field=True)

    def _values(
        self,
        fields: Mapping[str, FieldDef],
        getters: Mapping[str, Getter],
        index: Mapping[str, int],
        names: Columns,
        *,
        by_field: bool = False,
    ) -> Callable[[Row], dict[str, Value]]:
        """Return what reads all fields of a row at once. FixConfiguration naming one that is not of its type.

        What the driver gives in the type of the field is taken as it is, all of it in one go: most columns are.

        :param by_field: whether `index` goes by the fields' names rather than by the columns'.
        """
        plain: dict[str, int] = {}
        for name, field in fields.items():
            columns = (name,) if by_field else tuple(c.lower() for c in self.columns_of(field.native))
            if len(columns) != 1 or columns[0] not in index or _by_id(field) or field.native == KIND:
                continue
            if names.types[index[columns[0]]] is PLAIN.get(field.type):
                plain[name] = index[columns[0]]
        text_names = tuple(name for name in plain if fields[name].type in TEXTS)
        other_names = tuple(name for name in plain if name not in text_names)
        texts, others = (_taker([plain[name] for name in some]) for some in (text_names, other_names))
        rest = [(name, get) for name, get in getters.items() if name not in plain]

        def read(row: Row) -> dict[str, Value]:
            taken = texts(row)
            if "" in taken:
                taken = tuple(text or None for text in taken)
            made: dict[str, Value] = dict(zip(text_names, taken))  # noqa: B905  of one length, and this runs a million times
            made.update(zip(other_names, others(row)))  # noqa: B905  likewise
            try:
                for name, get in rest:
                    made[name] = get(row)
            except (ValueError, ArithmeticError):
                raise unreadable(self.view, name) from None
            return made

        return read

    def _getter(self, field: FieldDef, index: Mapping[str, int]) -> Getter:
        if field.native == KIND:
            return partial(_constant, self.kind.name)
        columns = self.columns_of(field.native)
        if not columns:
            return _nothing
        places = [index[column.lower()] for column in columns]
        if field.native.endswith(ADDRESS):
            return partial(_address, _taker(places))
        if "+" in locales.native(field.native, self.place.locale):
            return partial(_sum, places)
        if len(places) == 1:
            return self._one(field, places[0])
        return partial(_first, [self._one(field, at) for at in places])

    def _one(self, field: FieldDef, at: int) -> Getter:
        if _by_id(field):
            return partial(self._named, field, at)
        make = converter(field, self.place.zone, self.place.locale)

        def one(row: Row) -> Scalar:
            try:
                return make(row[at])
            except (ValueError, ArithmeticError):
                if isinstance(row[at], str):  # what one record holds: the engine refuses that record by name
                    return str(row[at])
                raise

        return one

    def _named(self, field: FieldDef, at: int, row: Row) -> Scalar:
        ident = as_text(row[at])
        lookup = field.lookup
        if lookup is None or ident is None:
            return self.place.base_currency if lookup is not None and lookup.set == "Currency" else None
        return self.text_of(lookup.set, ident)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads rows of known columns; `key` and the like are places in a row."""

    zone: dt.tzinfo
    key: int
    edit: int
    modified: int
    active: int | None
    only: int | None
    values: Callable[[Row], dict[str, Value]]
    label: Getter | None
    memo: int | None
    total: Getter | None
    balance: Getter | None

    def record(self, row: Row, lines: tuple[Line, ...] | None = None, complete: bool = True) -> Record | None:
        """Return a row as a record, with lines where there are some; None where the row is not of this object."""
        if self.only is not None and not row[self.only]:
            return None
        ident = str(row[self.key])
        name = self.label(row) if self.label else None
        values = self.values(row)
        if lines is not None:
            values["lines"] = lines
        edit = str(row[self.edit] or "")
        return Record(
            ident,
            values,
            self._version(edit, row) if self.balance else edit,
            as_moment(row[self.modified], self.zone),
            False,
            self.memo is not None and self._voided(row),
            self.active is None or as_bool(row[self.active]) is not False,
            str(name or ident),
            NO_FACTS,
            complete,
        )

    def _version(self, edit: str, row: Row) -> str:
        """Return EditSequence and balance: posting changes that alone."""
        return f"{edit}{BALANCE_MARK}{self.balance(row)}" if self.balance else edit

    def _voided(self, row: Row) -> bool:
        if self.memo is None or self.total is None or not str(row[self.memo] or "").startswith(VOID):
            return False
        return not self.total(row)


def edit_sequence(version: str) -> str:
    """Return the EditSequence in a version."""
    return version.partition(BALANCE_MARK)[0]


def with_lines(record: Record, lines: Iterable[Line], view: View) -> Record:
    """Return a record with its lines, complete."""
    made = tuple(lines)
    values: dict[str, Value] = {**record.values}
    for name, field in view.fields.items():
        if field.native == PAID:
            paid = {line.get("invoice") for line in made} - {None}
            values[name] = paid.pop() if len(paid) == 1 else None
    if view.lines and view.definition.lines is not None:
        values["lines"] = tuple({name: line.get(name) for name in view.lines} for line in made)
    return replace(record, values=values, complete=True)


def needs_lines(view: View) -> bool:
    """Tell whether a view speaks of lines, by themselves or through a field that they tell."""
    return bool(view.lines) or any(field.native == PAID for field in view.fields.values())


def lined(view: View) -> View:
    """Return a view with the lines' fields that its header fields need."""
    listed = view.definition.lines
    if view.lines or listed is None or not needs_lines(view):
        return view
    return replace(view, lines={"invoice": listed.fields["invoice"]})


def _first(getters: Sequence[Getter], row: Row) -> Scalar:
    for get in getters:
        value = get(row)
        if value is not None:
            return value
    return None


def _constant(value: Scalar, row: Row) -> Scalar:
    del row  # the same for every row of the table
    return value


def _nothing(row: Row) -> Scalar:
    del row  # the table has no such column
    return None


def _address(take: Callable[[Row], tuple[Any, ...]], row: Row) -> Scalar:
    taken = take(row)
    if not any(taken):
        return None
    lines = [str(line or "") for line in taken]
    while not lines[-1]:
        lines.pop()
    return "\n".join(lines)


def _taker(places: Sequence[int]) -> Callable[[Row], tuple[Any, ...]]:
    """Return what takes several places of a row."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda row: tuple(row[at] for at in places)


def _by_id(field: FieldDef) -> bool:
    """Tell whether a field is a reference that is kept by id and read as the text of its list."""
    return field.lookup is not None and field.lookup.key == "ListID" and field.native.endswith("ListID")


def _sum(places: Sequence[int], row: Row) -> Scalar:
    found = [as_decimal(row[at]) for at in places]
    numbers = [number for number in found if number is not None]
    return sum(numbers, Decimal(0)) if numbers else None


def rows_of(pages: Iterable[tuple[Columns, Sequence[Row]]]) -> Iterable[tuple[Columns, Sequence[Row]]]:
    """Return the pages that have rows."""
    return ((names, rows) for names, rows in pages if rows)
