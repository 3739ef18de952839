"""Finding out whether a create has been made: by the mark that it leaves, by number, or by name.

A mark is asked for together with what QuickBooks itself can look for (customer and date), one statement for all creates
of an object; only where it is in doubt whether a create has arrived is it sought without these, since somebody may have
changed them meanwhile.

Somebody may have changed mark and name as well: a clerk puts the vendor's number where our mark stood. What is not
found is therefore certainly not there only if nothing that was made since it was sent has been changed since. Else it
is for a person to decide: nothing that is money is made twice.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from iw_operators.engine.model import Line, Record, Value, Values
from iw_operators.errors import FixRecord
from iw_operators.spec.catalogue import FieldDef
from iw_operators.systems.base import Outcome, Result, View, Write
from iw_operators.systems.fitting import sendable
from iw_operators.systems.quickbooks_desktop.client import Client
from iw_operators.systems.quickbooks_desktop.dialect import IN_MOST, Parameter, Statement, as_moment, earliest, select
from iw_operators.systems.quickbooks_desktop.errors import LABEL
from iw_operators.systems.quickbooks_desktop.lists import Lists
from iw_operators.systems.quickbooks_desktop.reading import Reading
from iw_operators.systems.quickbooks_desktop.shape import Shape
from iw_operators.systems.quickbooks_desktop.statements import (
    Cells,
    cells_of,
    is_mark,
    kind_of,
    marker_of,
    table_of,
)
from iw_operators.systems.quickbooks_desktop.tables import CREATED, EDIT, MODIFIED, TABLES
from iw_operators.systems.told import in_doubt, not_applied

Where = list[tuple[str, str, Sequence[Parameter]]]
Asked = dict[Statement, list[dict[str, Any]]]

CUSTOM: Final = "CustomField"
CLOCKS_DIFFER: Final = dt.timedelta(hours=1)  # by which the host may be behind us: its clock, or a zone that is not its
SLACK: Final = dt.timedelta(minutes=5)  # by which it usually is, at the most
AMOUNTS: Final = ("amount", "debit", "credit")  # of a line
SAME_SECOND: Final = 60  # changes within one second, at the most, that EditSequence tells apart


@dataclass(slots=True)
class Looking:
    """Looks for what creates have made in one company file."""

    client: Client
    reading: Reading
    lists: Lists
    made: set[str] = field(default_factory=set)  # ids of which this task knows what made them
    _usable: dict[str, bool] = field(default_factory=dict)  # objects whose mark has a column in this company file

    def made_already(self, writes: Sequence[Write]) -> dict[str, Outcome]:
        """Return outcomes of creates that are there already: transactions, of which nothing is unique in QuickBooks.

        A number that the mapping gives is looked for with its customer or vendor. A transaction that has it and is
        another one is for a person to look at. Names are left to QuickBooks (3100). What has neither mark nor number
        is not looked for: two payments in cash may be alike.
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
        marked = [write for write in sound if self.mark(write)]
        for key, ident in self._marked(marked).items():
            outcomes[key] = Outcome(key, Result.APPLIED, ident)
        for write in sound:
            if self.mark(write) or not self._is_named(write):
                continue
            found = self._named(write)
            mine = [record for record in found if holds(write, record)]
            if mine:
                outcomes[write.key] = Outcome(write.key, Result.APPLIED, mine[0].id)
            elif found:
                outcomes[write.key] = Outcome(write.key, Result.REJECTED, error=_number_taken(write, found[0]))
        self.made.update(str(o.target_id) for o in outcomes.values() if o.result is Result.APPLIED)
        return outcomes

    def resolved(self, writes: Sequence[Write], sent_at: dt.datetime | None = None) -> dict[str, Outcome]:
        """Return how creates of which nobody knows have ended.

        :param sent_at: when they were sent; without it, what is not found is told as not there.
        """
        outcomes: dict[str, Outcome] = {}
        marked: list[Write] = []
        others: list[Write] = []
        for write in writes:
            try:
                (marked if self.mark(write) else others).append(write)
            except FixRecord as error:
                outcomes[write.key] = Outcome(write.key, Result.REJECTED, error=error)
        found = self._marked(marked, thorough=True)
        for view, some in by_object(marked):
            held = self.reading.fetch(view, [found[w.key] for w in some if w.key in found])
            for write in some:
                record = held.get(found.get(write.key, ""))
                outcomes[write.key] = _applied(write, record) if record else not_applied(LABEL, write)
        known = self.made | {str(o.target_id) for o in outcomes.values() if o.result is Result.APPLIED}
        for write in others:
            if sent_at is None or self._is_named(write):
                outcome = self._resolved_by_name(write)
            else:
                outcome = self._resolved_by_values(write, sent_at, known)
            if outcome.result is Result.APPLIED:
                known.add(str(outcome.target_id))
            outcomes[write.key] = outcome
        if sent_at is None:
            return outcomes
        asked: Asked = {}
        for write in (*marked, *others):
            if outcomes[write.key].result is Result.REJECTED and self._changed_since(write, sent_at, asked) - known:
                outcomes[write.key] = in_doubt(LABEL, write)
        return outcomes

    def _resolved_by_name(self, write: Write) -> Outcome:
        found = self._named(write)
        if len(found) == 1 and holds(write, found[0]):
            return _applied(write, found[0])
        if not found and self._name_of(write) is not None:
            return not_applied(LABEL, write)
        return in_doubt(LABEL, write)

    def _resolved_by_values(self, write: Write, sent_at: dt.datetime, known: Collection[str]) -> Outcome:
        """Return how a create without mark and number has ended: an equal record that was made since is its own.

        One that was made a while before, by the host's clock, is if that clock is behind: a person decides.

        :param known: ids of what other creates have made.
        """
        for margin in (SLACK, CLOCKS_DIFFER):
            found = self._named(write, self._since(sent_at, margin))
            mine = [record for record in found if holds(write, record) and record.id not in known]
            if mine and margin == SLACK:
                return _applied(write, mine[0])
        return in_doubt(LABEL, write) if mine else not_applied(LABEL, write)

    def _changed_since(self, write: Write, sent_at: dt.datetime, asked: Asked) -> set[str]:
        """Return the ids of what may be a create's record that somebody has changed beyond recognition.

        That is what was made since it was sent, for the same customer or vendor, has been changed since it was made,
        and has no other mark of ours. A record that nobody has changed still has its mark, or its name. Where the
        mapping gives a number, another number and another amount are another transaction; where it gives a code,
        another code and another name are another customer.

        :param asked: what has been asked for other creates of the batch.
        """
        tables, header, shape = TABLES[write.view.object], self.cells(write).header, self.shape(write)
        where = self._since(sent_at)
        if tables.party and header.get(tables.party) is not None:
            where.append((tables.party, "=", [header[tables.party]]))
        marks = [
            c for c in (tables.marker, *tables.spare) if c and (c != tables.marker or self._has_marker(write.view))
        ]
        names = [c for c in dict.fromkeys((tables.marker, _name_column(shape))) if c and header.get(c) is not None]
        columns = [tables.key, EDIT, CREATED, MODIFIED, *marks, *names, *([tables.only] if tables.only else [])]
        statement = select(list(dict.fromkeys(columns)), shape.kind.table, where)
        if statement not in asked:
            asked[statement] = self.client.all(statement)
        left = {
            str(row[tables.key.lower()])
            for row in asked[statement]
            if not any(is_mark(tables, column, row[column.lower()]) for column in marks)
            and (not tables.only or row[tables.only.lower()])
            and not self._as_made(row)
            and not (tables.is_list and _is_other(row, header, names))
        }
        if tables.is_list or self.mark(write) or not left:
            return left
        worth, held = _worth(write.values), self.reading.fetch(write.view, left)
        return {ident for ident in left if ident in held and worth in (None, _worth(held[ident].values))}

    def _since(self, sent_at: dt.datetime, margin: dt.timedelta = CLOCKS_DIFFER) -> Where:
        """Return conditions for what was made since; by the time of a change QuickBooks itself can look."""
        start = earliest(sent_at - margin, self.reading.zone)
        return [(MODIFIED, ">=", [start]), (CREATED, ">=", [start])]

    def _as_made(self, row: Mapping[str, Any]) -> bool:
        """Tell whether nobody has changed a record since it was made.

        Times are to the second. EditSequence is the second of the last change, and moves on within one, too.
        """
        made = as_moment(row[CREATED.lower()], self.reading.zone)
        if made is None or as_moment(row[MODIFIED.lower()], self.reading.zone) != made:
            return False
        edit = str(row[EDIT.lower()] or "")
        return not (edit.isdigit() and 0 < int(edit) - int(made.timestamp()) <= SAME_SECOND)

    def same_name(self, write: Write) -> Record | None:
        """Return the record whose name a create found taken, if it is this very create's."""
        if self.mark(write):
            ident = self._marked([write], thorough=True).get(write.key)
            return self.reading.fetch(write.view, [ident]).get(ident) if ident else None
        mine = [record for record in self._named(write) if holds(write, record)]
        return mine[0] if len(mine) == 1 else None

    def mark(self, write: Write) -> str:
        """Return the column that carries our mark of a create, "" where it has none: the mapping fills all of them."""
        tables = TABLES[write.view.object]
        header = self.cells(write).header
        column = next((c for c in (tables.marker, *tables.spare) if c and header.get(c) is None), "")
        return column if column != tables.marker or self._has_marker(write.view) else ""

    def found(self, write: Write) -> str | None:
        """Return the id of what a create has made a moment ago, by mark or number; None where neither tells it."""
        if self.mark(write):
            return self._marked([write], thorough=True).get(write.key)
        mine = [r.id for r in self._named(write) if holds(write, r) and r.id not in self.made]
        return mine[0] if len(mine) == 1 else None

    def _marked(self, writes: Sequence[Write], *, thorough: bool = False) -> dict[str, str]:
        """Return the ids of records with creates' marks, by the creates' keys; one statement an object and column.

        :param thorough: also where their customers or dates were changed.
        """
        found: dict[str, str] = {}
        for column, every in self._by_column(writes):
            tables = TABLES[every[0].view.object]
            for start in range(0, len(every), IN_MOST):
                some = every[start : start + IN_MOST]
                marks = {marker_of(write, column): write.key for write in some}
                where: Where = [] if thorough else self._narrow(some)
                where.append((column, "IN", list(marks)))
                table = tables.kinds[0].table
                for row in self.client.all(select([tables.key, column], table, where)):
                    key = marks.get(str(row[column.lower()]))
                    if key is not None:
                        found.setdefault(key, str(row[tables.key.lower()]))
        return found

    def _by_column(self, writes: Sequence[Write]) -> Iterator[tuple[str, list[Write]]]:
        """Yield writes by the object that they are about and the column that carries their mark."""
        for _, every in by_object(writes):
            columns: dict[str, list[Write]] = {}
            for write in every:
                columns.setdefault(self.mark(write), []).append(write)
            yield from columns.items()

    def _narrow(self, writes: Sequence[Write]) -> Where:
        """Return conditions that QuickBooks itself can answer, of columns that each of the creates fills."""
        headers = [self.cells(write).header for write in writes]
        where: Where = []
        for column in TABLES[writes[0].view.object].narrow:
            values = [header.get(column) for header in headers]
            if all(value is not None for value in values):
                where.append((column, "IN", list(dict.fromkeys(values))))
        return where

    def _named(self, write: Write, more: Where | None = None) -> list[Record]:
        """Return the records that have what names a create: what the mapping puts in the mark's place, or its name.

        :param more: further conditions.
        """
        tables = TABLES[write.view.object]
        header = self.cells(write).header
        name = self._name_of(write)
        where: Where = [(name, "=", [header[name]])] if name is not None else []
        if not tables.is_list or not where:
            columns = tables.narrow[:1] if where else tables.narrow
            where += [(c, "=", [header[c]]) for c in columns if header.get(c) is not None]
        if not where or not all(sendable(str(value)) for _, _, values in where for value in values):
            return []
        found = self.reading.complete(write.view, self.reading.matching(write.view, [*where, *(more or [])]))
        return found if name is not None else [record for record in found if holds(write, record)]

    def _name_of(self, write: Write) -> str | None:
        """Return the column by which a create without our mark is known again, None where there is none."""
        tables = TABLES[write.view.object]
        header = self.cells(write).header
        for column in (tables.marker, _name_column(self.shape(write))):
            if column and header.get(column) is not None:
                return column
        return None

    def _is_named(self, write: Write) -> bool:
        """Tell whether a create without our mark has a name, or a number that no other one has."""
        return TABLES[write.view.object].numbered and self._name_of(write) is not None

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


def _is_other(row: Mapping[str, Any], header: Mapping[str, Parameter], names: Collection[str]) -> bool:
    """Tell whether a name is another one: it has both a code and a name, and neither is what was sent."""
    held = [str(row[column.lower()] or "") for column in names]
    sent = [str(header[column]) for column in names]
    return len(names) > 1 and all(held) and not any(map(str.__eq__, held, sent))


def _worth(values: Values) -> Value:
    """Return the amount of a transaction, which a clerk who corrects its number leaves as it is; None where unknown."""
    lines = values.get("lines")
    if not isinstance(lines, tuple) or not lines:
        return values.get("total")
    found = [next((line[name] for name in AMOUNTS if line.get(name) not in (None, "")), None) for line in lines]
    amounts = [amount for amount in found if isinstance(amount, Decimal)]
    return sum(amounts, Decimal(0)) if len(amounts) == len(lines) else None


def _name_column(shape: Shape) -> str:
    definition = shape.view.definition
    named = definition.fields.get(definition.name)
    columns = shape.columns_of(named.native) if named is not None and named.writable else ()
    return columns[0] if columns else ""


def _applied(write: Write, record: Record) -> Outcome:
    version = record.version if holds(write, record) else ""
    return Outcome(write.key, Result.APPLIED, record.id, version, record.values)


def _number_taken(write: Write, found: Record) -> FixRecord:
    name = write.view.definition.name
    msg = f"{LABEL} has another {write.view.object} with this number, {found.id}, for the same customer or vendor."
    return FixRecord(msg, code="odbc.number_taken", field=name)
