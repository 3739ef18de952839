"""Creatio's columns and our typed values.

Creatio writes what is empty as the zero GUID, 1 January of the year 1 and ""; here it is None. Written, None is null
for lookups and stamps (a PATCH with the zero GUID leaves a lookup as it is) and "" for text; numbers and booleans
cannot be empty in Creatio and become 0 and false.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from iw_operators.engine.model import Line, Record, Scalar, Value
from iw_operators.errors import FixConfiguration, FixRecord
from iw_operators.spec.catalogue import FieldDef, FieldType, RelatedDef
from iw_operators.systems.base import View
from iw_operators.systems.creatio.query import Expand, filter_path
from iw_operators.systems.http import format_stamp, parse_stamp

NO_ID: Final = "00000000-0000-0000-0000-000000000000"
NO_STAMP: Final = "0001-01-01"
KEY: Final = "Id"
TEXTS: Final = frozenset({FieldType.TEXT, FieldType.MEMO, FieldType.PHONE, FieldType.EMAIL})


@functools.lru_cache(maxsize=4_096)
def path_of(native: str) -> tuple[str, ...]:
    """Return the steps to a column; the mark of an opposite boolean does not count."""
    return tuple(native.removeprefix("!").split("/"))


def dig(row: Mapping[str, Any], path: Sequence[str]) -> Any:
    """Return what stands at a path of an answered row, None where a lookup on the way is empty."""
    found: Any = row
    for step in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(step)
    return found


def decode(value: Any, field: FieldDef, zone: dt.tzinfo = dt.UTC) -> Scalar:
    """Return a native value as the field's type; FixConfiguration if it does not have it.

    :param zone: where the company is. A column with a time of day that is mapped as a date holds the user's local
        midnight as a moment; columns without one always say midnight UTC and mean that very day.
    """
    if value is None or value in ("", NO_ID) or (isinstance(value, str) and value.startswith(NO_STAMP)):
        return None
    kind = field.type
    try:
        if kind in TEXTS and isinstance(value, (str, int, Decimal)):
            return str(value)
        if kind is FieldType.REF and isinstance(value, str):
            return value.lower()
        if kind is FieldType.BOOLEAN and isinstance(value, bool):
            return value != field.native.startswith("!")
        if kind is FieldType.INTEGER and not isinstance(value, bool) and Decimal(value) == int(value):
            return int(value)
        if kind in (FieldType.DECIMAL, FieldType.MONEY) and not isinstance(value, bool):
            return Decimal(value)
        if kind is FieldType.DATETIME:
            return parse_stamp(value)
        if kind is FieldType.DATE:
            moment = parse_stamp(value if "T" in value else f"{value}T00:00:00Z")
            return (moment if moment.time() == dt.time() else moment.astimezone(zone)).date()
    except (ValueError, TypeError, ArithmeticError, AttributeError):
        pass
    raise _wrong_type(field.native, kind)


def shown(value: Any, field: FieldDef, zone: dt.tzinfo = dt.UTC) -> Scalar:
    """Return a native value as `decode` does, but as it stands where it is text or a number of another type.

    That is what one record holds, in a column of text for one, and the engine refuses that record by name.
    FixConfiguration where something else stands there: the column is no such column.
    """
    try:
        return decode(value, field, zone)
    except FixConfiguration:
        if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
            raise
        return str(value)


def _moment(stamp: str, column: str) -> dt.datetime | None:
    try:
        return parse_stamp(stamp) if stamp and not stamp.startswith(NO_STAMP) else None
    except ValueError:
        raise _wrong_type(column, FieldType.DATETIME) from None


def _wrong_type(column: str, kind: FieldType) -> FixConfiguration:
    msg = f"Creatio's column {column} holds something that is not of type {kind.value}."
    return FixConfiguration(msg, code="creatio.type", advice="Correct the type of this field in the mapping.")


def encode(value: Value, field: FieldDef) -> Any:
    """Return a typed value as Creatio takes it in a body; lookups come here as ids. FixRecord if it does not fit."""
    kind = field.type
    if field.lookup is not None or kind is FieldType.REF:
        return None if value is None else str(value)
    if kind in TEXTS:
        return "" if value is None else str(value)
    if kind is FieldType.BOOLEAN and (value is None or isinstance(value, bool)):
        return bool(value) != field.native.startswith("!") if value is not None else False
    if kind is FieldType.DATETIME and (value is None or isinstance(value, dt.datetime)):
        return None if value is None else format_stamp(value)
    if kind is FieldType.DATE and (value is None or isinstance(value, dt.date)):
        return None if value is None else f"{value.isoformat()[:10]}T00:00:00Z"
    if kind in (FieldType.INTEGER, FieldType.DECIMAL, FieldType.MONEY) and (
        value is None or (isinstance(value, (int, Decimal)) and not isinstance(value, bool))
    ):
        return 0 if value is None else value
    msg = f"{type(value).__name__} cannot be written to Creatio's column {field.native} of type {kind.value}."
    raise FixRecord(msg, code="creatio.type", field=field.native)


def column_of(field: FieldDef) -> str:
    """Return the column that a body writes for a field; FixConfiguration for a path that is not a lookup.

    `City/Name` with a lookup is written as `CityId`. Creatio ignores navigation paths in bodies silently, which is
    why they are refused here.
    """
    path = path_of(field.native)
    if len(path) == 1:
        return path[0]
    if field.lookup is not None and len(path) == 2:
        return f"{path[0]}Id"
    msg = f"{field.native} belongs to another record and cannot be written through this one."
    raise FixConfiguration(msg, code="creatio.read_only", advice="Map the field one way, from Creatio to the books.")


@dataclass(frozen=True, slots=True)
class Reader:
    """How rows of one view are asked for and read. Made once a view by `reader`."""

    view: View
    columns: Expand
    line_columns: Expand
    label: tuple[str, ...]
    own_stage: RelatedDef | None  # the record itself is what its fact is about
    neighbours: tuple[str, ...]  # lookups whose own change counts as a change of the record
    stamped: tuple[str, ...]  # lookups whose stamps are part of the version, the same for all views of an object
    zone: dt.tzinfo

    def version(self, row: Mapping[str, Any]) -> str:
        """Return the record's version: its stamp and those of the records that it shows fields of, as written."""
        modified = self.view.definition.modified
        stamps = [str(row.get(modified) or "")]
        stamps += [str(dig(row, (name, modified)) or "") for name in self.stamped]
        return "+".join(stamps)

    def record(self, row: Mapping[str, Any], touched: str = "") -> Record:
        """Return the record of one row, without lines and facts.

        :param touched: stamp of the latest change of one of its lines, where that is what brought the record.
        """
        view = self.view
        stamp = str(row.get(view.definition.modified) or "")
        version = self.version(row)
        active = dig(row, path_of(view.definition.active)) if view.definition.active else None
        if active is not None and not isinstance(active, bool):
            raise _wrong_type(view.definition.active or "", FieldType.BOOLEAN)
        opposite = bool(view.definition.active and view.definition.active.startswith("!"))
        stage = dig(row, path_of(self.own_stage.stage)) if self.own_stage else None
        return Record(
            id=str(row[KEY]).lower(),
            values={
                name: shown(dig(row, path_of(field.native)), field, self.zone) for name, field in view.fields.items()
            },
            version=f"{version}+{touched}" if touched else version,
            modified=_moment(stamp, view.definition.modified),
            active=active is None or bool(active) != opposite,
            label=str(dig(row, self.label) or "") if self.label else "",
            facts=facts_of(self.own_stage, [stage]) if self.own_stage else frozenset(),
            complete=not (view.lines or self.linked),
        )

    def line(self, row: Mapping[str, Any]) -> Line:
        """Return the typed values of one line."""
        return {
            name: shown(dig(row, path_of(field.native)), field, self.zone) for name, field in self.view.lines.items()
        }

    @property
    def linked(self) -> dict[str, RelatedDef]:
        """The facts that are found in other records."""
        related = self.view.definition.related
        return {name: related[name] for name in sorted(self.view.facts) if related[name].link}

    @property
    def parent_column(self) -> str:
        """The column of a line that holds the parent's id."""
        lines = self.view.definition.lines
        return lines.link if lines else ""

    @property
    def parent_path(self) -> str:
        """The same, as filters name it."""
        return filter_path(self.parent_column)


_READERS: Final = 64
_readers: dict[tuple[int, dt.tzinfo], Reader] = {}


def reader(view: View, zone: dt.tzinfo = dt.UTC) -> Reader:
    """Return how a view is read; the same for the same view, as it is asked for with each record."""
    # By identity, as a view cannot be hashed. A reader holds its view, so that the number belongs to no other.
    found = _readers.get((id(view), zone))
    if found is None:
        if len(_readers) >= _READERS:
            _readers.clear()
        found = _readers[id(view), zone] = _reader(view, zone)
    return found


def _reader(view: View, zone: dt.tzinfo) -> Reader:
    definition = view.definition
    columns = Expand(frozenset({KEY, definition.modified}))
    named = definition.fields.get(definition.name)
    extra = [named.native] if named else []
    extra += [definition.active] if definition.active else []
    neighbours = set(_neighbours(view.fields.values()))
    stamped = neighbours | set(_neighbours(definition.fields.values()))
    natives = [field.native for field in view.fields.values()] + extra
    natives += [f"{name}/{definition.modified}" for name in stamped]
    own = next(
        (related for name, related in definition.related.items() if name in view.facts and not related.link), None
    )
    natives += [own.stage] if own else []
    for native in natives:
        columns = columns.with_path(path_of(native))
    line_columns = Expand(frozenset({KEY, definition.lines.link} if definition.lines else {KEY}))
    for field in view.lines.values():
        line_columns = line_columns.with_path(path_of(field.native))
    label = path_of(named.native) if named else ()
    return Reader(view, columns, line_columns, label, own, tuple(sorted(neighbours)), tuple(sorted(stamped)), zone)


def _neighbours(fields: Iterable[FieldDef]) -> Iterator[str]:
    """Yield the lookups through which fields of other records are shown; texts of lists do not count."""
    for field in fields:
        path = path_of(field.native)
        if len(path) == 2 and field.lookup is None:
            yield path[0]


def column_of_link(link: str) -> tuple[str, ...]:
    """Return where a row holds the id that `Account/Id` filters by: its own column `AccountId`."""
    path = path_of(link)
    return (f"{path[0]}Id",) if len(path) == 2 and path[1] == KEY else path


def facts_of(related: RelatedDef, stages: Iterable[Any]) -> frozenset[str]:
    """Return what is known of a record from the stages of its related records, one entry for each of them."""
    names = [str(stage or "") for stage in stages]
    found = {name for name in names if name}
    if names:
        found.add("created")
    if found & set(related.won):
        found.add("won")
    return frozenset(found)
