"""A file of corrected records on its way in: what differs from the source, and everything that is wrong with it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from zoneinfo import ZoneInfo

from iw_operators.engine import Compiled, compare, compile_mapping
from iw_operators.engine.matching import ID_FIELD
from iw_operators.engine.model import Record, Value
from iw_operators.engine.problems import Problem
from iw_operators.known import views
from iw_operators.ledger.failures import FAILED, Failure
from iw_operators.ledger.store import Ledger
from iw_operators.record_sheet import Row, Sheet, SheetError, shown, value_of
from iw_operators.spec.catalogue import FieldDef
from iw_operators.spec.csvsafe import plain
from iw_operators.spec.models import Operations
from iw_operators.spec.resolved import ResolvedMapping, Side
from iw_operators.systems.base import System, View

ID: Final = "record id"
EXPORTED: Final = "as exported"
TOLD: Final = (ID, "record name", "error code", "error text", "what to do", "record state", EXPORTED)
GONE: Final = "no longer there"  # in place of the digest of a record that the source does not have any more
PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class CellError:
    """What is wrong with a cell or line of a file. `line` counts from 1, the heading is line 1; 0: the whole file.

    :param column: the heading of the column; empty for the whole line.
    """

    file: str
    line: int
    column: str
    message: str
    expected: str = ""

    def __str__(self) -> str:
        place = ": ".join(part for part in (f"{self.file}:{self.line}", self.column) if part)
        return f"{place}: {self.message}" + (f"; expected {self.expected}" if self.expected else "")


@dataclass(slots=True)
class Desk:
    """What exporting and importing have in common: which fields, how they are shown, where they are read."""

    ledger: Ledger
    mapping: ResolvedMapping
    side: Side
    source: System
    compiled: Compiled = field(init=False)
    fields: Mapping[str, FieldDef] = field(init=False)

    def __post_init__(self) -> None:
        self.compiled = compile_mapping(self.mapping, self.side, Operations.CREATE_AND_UPDATE)
        self.fields = {name: each for name, each in self.compiled.source_view_fields.items() if name != ID_FIELD}

    @property
    def view(self) -> View:
        """What is read of the source."""
        return views(self.compiled)[0]

    @property
    def company(self) -> str:
        """The company's name."""
        return self.mapping.company.company

    @property
    def name(self) -> str:
        """The mapping's name."""
        return self.mapping.mapping

    def digest(self, record: Record | None) -> str:
        """Return what stands for a record's values as they are shown; letters first, so that it is no number."""
        if record is None:
            return GONE
        cells = [[name, shown(record.values.get(name), each)] for name, each in self.fields.items()]
        return digest(cells)


@dataclass(slots=True)
class Reading:
    """One file on its way in: corrections by record, and everything that is wrong with it.

    :param records: what the source holds now of the records that are corrected.
    :param stuck: the ids of those that something in `left` keeps from going.
    """

    desk: Desk
    sheet: Sheet
    file: str
    values: dict[str, dict[str, Value]] = field(default_factory=dict)
    errors: list[CellError] = field(default_factory=list)
    left: list[CellError] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    stuck: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Read everything."""
        if not self._heading():
            return
        rows: dict[str, Row] = {}
        place = self.sheet.heading.index(ID)
        for row in self.sheet.rows:
            if self._shaped(row) and self._first(row, place, rows):
                rows[plain(row.cells[place])] = row
        wanted = list(rows)
        for start in range(0, len(wanted), PAGE):
            self._page(wanted[start : start + PAGE], rows)

    def _heading(self) -> bool:
        heading = self.sheet.heading
        seen: set[str] = set()
        for name in heading:
            if name not in self.desk.fields and name not in TOLD:
                self._wrong(
                    self.sheet.line, name, "the mapping has no such field", f"one of {', '.join(self.desk.fields)}"
                )
            elif name in seen:
                self._wrong(self.sheet.line, name, "the column is there twice", "each column once")
            seen.add(name)
        for name in (ID, EXPORTED):
            if name not in seen:
                self._wrong(self.sheet.line, name, "the column is missing", "the columns as they were exported")
        return not self.errors

    def _shaped(self, row: Row) -> bool:
        if len(row.cells) == len(self.sheet.heading):
            return True
        counts = f"{len(self.sheet.heading)} cells, as the heading has"
        extra = row.cells[len(self.sheet.heading) :]
        if extra and not any(extra):
            return True  # separators at the end of a line, as spreadsheets leave them
        self._wrong(row.line, "", f"the line has {len(row.cells)} cells", counts)
        return False

    def _first(self, row: Row, place: int, rows: Mapping[str, Row]) -> bool:
        name = plain(row.cells[place])
        if name and name not in rows:
            return True
        there = f"the record is in line {rows[name].line} already" if name else "the id is missing"
        self._wrong(row.line, ID, there, "each record once, by the id that was exported")
        return False

    def _page(self, ids: Sequence[str], rows: Mapping[str, Row]) -> None:
        desk = self.desk
        failures = {
            each.source_id: each
            for each in desk.ledger.failures(desk.company, mapping=desk.name, side=desk.side, ids=ids, limit=len(ids))
        }
        known = [each for each in ids if each in failures]
        records = desk.source.fetch(desk.view, known) if known else {}
        changed: list[tuple[Record, Row, dict[str, Value]]] = []
        for each in ids:
            row = rows[each]
            if each not in failures:
                self._wrong(
                    row.line, ID, f"{each} is not a record of {desk.name} that failed", "an id that was exported"
                )
                continue
            found = self._row(failures[each], records.get(each), row)
            if found is not None:
                self.values[each] = found
                if found and each in records:
                    self.records[each] = records[each]
                    changed.append((records[each], row, found))
        self._check(changed)

    def _row(self, failure: Failure, record: Record | None, row: Row) -> dict[str, Value] | None:
        """Return the corrections of a line; None where there is nothing to keep or to take away."""
        cells = dict(zip(self.sheet.heading, row.cells, strict=False))
        if self._untouched(cells):
            return {} if failure.state.value in FAILED else None
        if failure.state.value not in FAILED:
            self._wrong(row.line, ID, f"the record is {failure.state.value} since", "a record that is open")
            return None
        if record is None or record.deleted:
            self._wrong(row.line, ID, "the source no longer has the record", "a record that is there")
            return None
        if cells[EXPORTED] != self.desk.digest(record):
            self._stale(record, row, cells)
            return None
        values: dict[str, Value] = {}
        for name, definition in self.desk.fields.items():
            if name in cells and cells[name] != shown(record.values.get(name), definition):
                self._cell(record, row, name, cells[name], values)
        return values

    def _untouched(self, cells: Mapping[str, str]) -> bool:
        """Tell whether a line is as it was exported, whatever has become of the record since."""
        if cells[EXPORTED] == GONE:
            return not any(cells.get(name) for name in self.desk.fields)
        if any(name not in cells for name in self.desk.fields):
            return False
        return cells[EXPORTED] == digest([[name, cells[name]] for name in self.desk.fields])

    def _stale(self, record: Record, row: Row, cells: Mapping[str, str]) -> None:
        now = [
            f"{name} is {text!r}"
            for name, definition in self.desk.fields.items()
            if name in cells and cells[name] != (text := shown(record.values.get(name), definition))
        ]
        message = "the record has changed in the source since it was exported" + (
            f": {', '.join(now)} now" if now else ""
        )
        self._wrong(row.line, EXPORTED, message, "the file exported again, and the values put in there")

    def _cell(self, record: Record, row: Row, name: str, text: str, values: dict[str, Value]) -> None:
        now = record.values.get(name)
        definition, mapping = self.desk.fields[name], self.desk.mapping
        label, zone = mapping.label(self.desk.side), ZoneInfo(mapping.company.time_zone)
        try:
            value = value_of(text, name, definition, label, now, zone, self.sheet.separator)
        except SheetError as wrong:
            self._wrong(row.line, name, wrong.message, wrong.expected)
            return
        if not compare.same(value, now):
            values[name] = value

    def _check(self, changed: Sequence[tuple[Record, Row, dict[str, Value]]]) -> None:
        """Check corrected records as the mapping checks records."""
        before = self._problems([record for record, _, _ in changed])
        after = self._problems([replace(record, values={**record.values, **given}) for record, _, given in changed])
        for (record, row, given), then, now in zip(changed, before, after, strict=True):
            for name, problems in now.items():
                for each in problems:
                    ours = name in given or each not in then.get(name, ())
                    told = CellError(self.file, row.line, name, f"{each.message}. {each.advice}".rstrip(". "))
                    (self.errors if ours else self.left).append(told)
                    if not ours:
                        self.stuck.add(record.id)
            self._required(row, given)

    def _problems(self, records: Sequence[Record]) -> list[Mapping[str, tuple[Problem, ...]]]:
        prepared, _ = self.desk.compiled.prepare(records, [record.id for record in records])
        return [each.problems for each in prepared]

    def _required(self, row: Row, given: Mapping[str, Value]) -> None:
        """Refuse to empty what the other side cannot do without."""
        target = self.desk.compiled.target
        for each in self.desk.mapping.fields:
            text, default = (
                (each.to_books, each.default_books) if target == "books" else (each.to_crm, each.default_crm)
            )
            end = each.on(target)
            emptied = each.name in given and given[each.name] is None
            if emptied and end is not None and end.required and text is None and default is None:
                label = self.desk.mapping.label(target)
                self._wrong(row.line, each.name, f"it is empty, {label} requires it", "a value")

    def _wrong(self, line: int, column: str, message: str, expected: str) -> None:
        self.errors.append(CellError(self.file, line, column, message, expected))


def digest(cells: Sequence[Sequence[str]]) -> str:
    """Return a word for cells and their headings; letters first, so that no spreadsheet takes it for a number."""
    told = json.dumps(cells, ensure_ascii=True).encode("ascii")
    return f"v-{base64.b32encode(hashlib.sha256(told).digest()[:10]).decode().lower()}"
