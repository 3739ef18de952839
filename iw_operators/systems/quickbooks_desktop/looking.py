"""Finding out whether a create has been made: by the mark that it leaves, by number, or by name.

A mark is asked for together with what QuickBooks itself can look for (customer and date), one statement for all creates
of an object; only where it is in doubt whether a create has arrived is it sought without these, since somebody may have
changed them meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from iw_operators.engine.model import Line, Record, Value
from iw_operators.errors import ConnectionFailure, FixRecord
from iw_operators.spec.catalogue import FieldDef
from iw_operators.systems.base import Outcome, Result, View, Write
from iw_operators.systems.fitting import sendable
from iw_operators.systems.quickbooks_desktop.client import Client
from iw_operators.systems.quickbooks_desktop.dialect import IN_MOST, Parameter, select
from iw_operators.systems.quickbooks_desktop.errors import LABEL
from iw_operators.systems.quickbooks_desktop.lists import Lists
from iw_operators.systems.quickbooks_desktop.reading import Reading
from iw_operators.systems.quickbooks_desktop.shape import Shape
from iw_operators.systems.quickbooks_desktop.statements import Cells, cells_of, kind_of, marker_of, table_of
from iw_operators.systems.quickbooks_desktop.tables import TABLES

Where = list[tuple[str, str, Sequence[Parameter]]]

CUSTOM: Final = "CustomField"


@dataclass(slots=True)
class Looking:
    """Looks for what creates have made in one company file."""

    client: Client
    reading: Reading
    lists: Lists
    _usable: dict[str, bool] = field(default_factory=dict)  # objects whose mark has a column in this company file

    def made_already(self, writes: Sequence[Write]) -> dict[str, Outcome]:
        """Return outcomes of creates that are there already: transactions, of which nothing is unique in QuickBooks.

        A number that the mapping gives is looked for with its customer or vendor. A transaction that has it and is
        another one is for a person to look at, where numbers are unique. Names are left to QuickBooks (3100).
        """
        outcomes: dict[str, Outcome] = {}
        sound = []
        for write in writes:
            if TABLES[write.view.object].is_list:
                continue
            try:
                self.cells(write)
                sound.append(write)
            except FixRecord as error:
                outcomes[write.key] = Outcome(write.key, Result.REJECTED, error=error)
        marked = [write for write in sound if self.marks(write)]
        for key, ident in self._marked(marked).items():
            outcomes[key] = Outcome(key, Result.APPLIED, ident)
        for write in sound:
            if self.marks(write) or self._name_of(write) is None:
                continue
            found = self._named(write)
            mine = [record for record in found if holds(write, record)]
            if mine:
                outcomes[write.key] = Outcome(write.key, Result.APPLIED, mine[0].id)
            elif found and TABLES[write.view.object].numbered:
                outcomes[write.key] = Outcome(write.key, Result.REJECTED, error=_number_taken(write, found[0]))
        return outcomes

    def resolved(self, writes: Sequence[Write]) -> dict[str, Outcome]:
        """Return how creates of which nobody knows have ended."""
        outcomes: dict[str, Outcome] = {}
        marked: list[Write] = []
        others: list[Write] = []
        for write in writes:
            try:
                (marked if self.marks(write) else others).append(write)
            except FixRecord as error:
                outcomes[write.key] = Outcome(write.key, Result.REJECTED, error=error)
        found = self._marked(marked, thorough=True)
        for view, some in by_object(marked):
            held = self.reading.fetch(view, [found[w.key] for w in some if w.key in found])
            for write in some:
                record = held.get(found.get(write.key, ""))
                outcomes[write.key] = _applied(write, record) if record else _absent(write)
        for write in others:
            outcomes[write.key] = self._resolved_by_name(write)
        return outcomes

    def _resolved_by_name(self, write: Write) -> Outcome:
        found = self._named(write)
        if len(found) == 1 and holds(write, found[0]):
            return _applied(write, found[0])
        if not found and self._name_of(write) is not None:
            return _absent(write)
        return Outcome(write.key, Result.UNKNOWN, error=in_doubt(write))

    def same_name(self, write: Write) -> Record | None:
        """Return the record whose name a create found taken, if it is this very create's."""
        if self.marks(write):
            ident = self._marked([write], thorough=True).get(write.key)
            return self.reading.fetch(write.view, [ident]).get(ident) if ident else None
        mine = [record for record in self._named(write) if holds(write, record)]
        return mine[0] if len(mine) == 1 else None

    def marks(self, write: Write) -> bool:
        """Tell whether a create carries our mark: its column is there, and the mapping leaves it to us."""
        tables = TABLES[write.view.object]
        if not tables.marker or self.cells(write).header.get(tables.marker) is not None:
            return False
        return self._has_marker(write.view)

    def _marked(self, writes: Sequence[Write], *, thorough: bool = False) -> dict[str, str]:
        """Return the ids of records with creates' marks, by the creates' keys; one statement an object.

        :param thorough: also where their customers or dates were changed.
        """
        found: dict[str, str] = {}
        for view, every in by_object(writes):
            tables = TABLES[view.object]
            for start in range(0, len(every), IN_MOST):
                some = every[start : start + IN_MOST]
                marks = {marker_of(write): write.key for write in some}
                where: Where = [] if thorough else self._narrow(some)
                where.append((tables.marker, "IN", list(marks)))
                table = tables.kinds[0].table
                for row in self.client.all(select([tables.key, tables.marker], table, where)):
                    key = marks.get(str(row[tables.marker.lower()]))
                    if key is not None:
                        found.setdefault(key, str(row[tables.key.lower()]))
        return found

    def _narrow(self, writes: Sequence[Write]) -> Where:
        """Return conditions that QuickBooks itself can answer, of columns that each of the creates fills."""
        headers = [self.cells(write).header for write in writes]
        where: Where = []
        for column in TABLES[writes[0].view.object].narrow:
            values = [header.get(column) for header in headers]
            if all(value is not None for value in values):
                where.append((column, "IN", list(dict.fromkeys(values))))
        return where

    def _named(self, write: Write) -> list[Record]:
        """Return the records that have what names a create: what the mapping puts in the mark's place, or its name."""
        tables = TABLES[write.view.object]
        header = self.cells(write).header
        name = self._name_of(write)
        where: Where = [(name, "=", [header[name]])] if name is not None else []
        if not tables.is_list or not where:
            columns = tables.narrow[:1] if where else tables.narrow
            where += [(c, "=", [header[c]]) for c in columns if header.get(c) is not None]
        if not where or not all(sendable(str(value)) for _, _, values in where for value in values):
            return []
        found = self.reading.complete(write.view, self.reading.matching(write.view, where))
        return found if name is not None else [record for record in found if holds(write, record)]

    def _name_of(self, write: Write) -> str | None:
        """Return the column by which a create without our mark is known again, None where there is none."""
        tables = TABLES[write.view.object]
        header = self.cells(write).header
        for column in (tables.marker, _name_column(self.shape(write))):
            if column and header.get(column) is not None:
                return column
        return None

    def shape(self, write: Write) -> Shape:
        """Return how a create stands in its table. FixRecord where there is none for its kind."""
        return kind_of(self.reading.shapes(write.view), write)

    def cells(self, write: Write) -> Cells:
        """Return what a create puts into which columns, without a mark. FixRecord for what QuickBooks does not take."""
        return cells_of(self.shape(write), write, self.id_of)

    def id_of(self, definition: FieldDef, text: str) -> str | None:
        """Return the id of a list's entry by its text."""
        return self.lists.find(definition.lookup, [text]).get(text) if definition.lookup else None

    def _has_marker(self, view: View) -> bool:
        tables = TABLES[view.object]
        if not tables.marker.startswith(CUSTOM):
            return bool(tables.marker)
        if view.object not in self._usable:
            self._usable[view.object] = tables.marker.lower() in self.client.columns(tables.kinds[0].table)
        return self._usable[view.object]


def holds(write: Write, record: Record) -> bool:
    """Tell whether a record has what was sent; lines are compared in the fields that were sent."""
    return all(same(_as_kept(write, value), record.values.get(name)) for name, value in write.values.items())


def _as_kept(write: Write, value: Value) -> Value:
    """Return lines in the order in which QuickBooks keeps them: a bill's items come before its expenses."""
    tables = TABLES[write.view.object].lines
    if not isinstance(value, tuple) or len(tables) < 2:
        return value
    return tuple(sorted(value, key=lambda line: tables.index(table_of(tables, write.view.lines, line))))


def same(sent: Value, held: Value) -> bool:
    """Tell whether a value is held as it was sent; nothing and empty text are the same."""
    if isinstance(sent, tuple) and isinstance(held, tuple):
        return len(sent) == len(held) and all(map(_same_line, sent, held))
    return sent == held or (sent in (None, "") and held in (None, ""))


def _same_line(sent: Line, held: Line) -> bool:
    return all(same(value, held.get(name)) for name, value in sent.items())


def by_object(writes: Sequence[Write]) -> Iterator[tuple[View, list[Write]]]:
    """Yield writes by the object that they are about."""
    objects: dict[str, list[Write]] = {}
    for write in writes:
        objects.setdefault(write.view.object, []).append(write)
    return ((some[0].view, some) for some in objects.values())


def _name_column(shape: Shape) -> str:
    definition = shape.view.definition
    named = definition.fields.get(definition.name)
    columns = shape.columns_of(named.native) if named is not None and named.writable else ()
    return columns[0] if columns else ""


def _applied(write: Write, record: Record) -> Outcome:
    version = record.version if holds(write, record) else ""
    return Outcome(write.key, Result.APPLIED, record.id, version, record.values)


def _absent(write: Write) -> Outcome:
    return Outcome(write.key, Result.REJECTED, error=not_applied(write))


def not_applied(write: Write) -> FixRecord:
    """Return why a write that has not arrived is not there."""
    return FixRecord(f"{LABEL} has not taken the {write.op.value} of this {write.view.object}.", code="iw.not_applied")


def in_doubt(write: Write) -> ConnectionFailure:
    """Return why nobody knows how a write has ended."""
    msg = f"Looking cannot tell whether {LABEL} has taken the {write.op.value} of this {write.view.object}."
    return ConnectionFailure(msg, sent=True, code="iw.in_doubt")


def _number_taken(write: Write, found: Record) -> FixRecord:
    name = write.view.definition.name
    msg = f"{LABEL} has another {write.view.object} with this number, {found.id}, for the same customer or vendor."
    return FixRecord(msg, code="odbc.number_taken", field=name)
