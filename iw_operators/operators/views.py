"""Names that people use in their own DAGs, turned into what the systems understand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from iw_operators.engine.model import LINES, Line, Record, Scalar, Values
from iw_operators.errors import FixConfiguration, FixRecord
from iw_operators.spec.catalogue import Catalogue, FieldDef, FieldType, ObjectDef
from iw_operators.spec.catalogues import library
from iw_operators.spec.errors import listing, suggest
from iw_operators.systems.base import View


def view_of(system: str, name: str, fields: Sequence[str] | None = None) -> View:
    """Return a view of one object of a system.

    :param name: the object's native name (`Account`) or the neutral one (`customer`) where only one object has it.
    :param fields: neutral names, native ones, or custom fields by their prefix; `lines` stands for all fields of the
        lines. None stands for every field that the catalogue knows, lines left out.
    :raises FixConfiguration: a name is not known; the message says which ones are.
    """
    catalogue = _catalogue(system)
    native, definition = _object(catalogue, name)
    wanted = list(definition.fields) if fields is None else [field for field in fields if field != LINES]
    return View(
        object=native,
        definition=definition,
        fields={field: _field(catalogue, native, definition, field) for field in wanted},
        lines=definition.lines.fields if definition.lines and LINES in (fields or ()) else {},
    )


def typed(view: View, record: Mapping[str, Any]) -> Values:
    """Return a record's values in the types of the view's fields.

    Amounts and quantities may come as Decimal, integer or text; dates as text in ISO 8601. "" counts as empty.

    :raises FixRecord: a value cannot be read as its field's type; a float amount is one, as it is not exact.
    """
    values: dict[str, Any] = {
        name: _value(name, definition, record.get(name)) for name, definition in view.fields.items() if name in record
    }
    if LINES in record:
        values[LINES] = tuple(_line(view, line) for line in record[LINES] or ())
    return values


def plain(record: Record) -> dict[str, Any]:
    """Return a record as plain JSON values, which `typed` reads back exactly.

    Amounts are text, because Airflow keeps a Decimal of an XCom as a float; times are text in ISO 8601.
    """
    return {
        "id": record.id,
        "version": record.version,
        "modified": _text(record.modified),
        "deleted": record.deleted,
        "values": {name: _text(value) for name, value in record.values.items()},
    }


def _text(value: Any) -> Any:
    if isinstance(value, tuple):
        return [{name: _text(each) for name, each in line.items()} for line in value]
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def _line(view: View, line: Mapping[str, Any]) -> Line:
    return {name: _value(f"{LINES}[].{name}", d, line.get(name)) for name, d in view.lines.items() if name in line}


def _value(name: str, definition: FieldDef, value: Any) -> Scalar:
    if value is None or value == "":
        return None
    try:
        return _convert(definition.type, value)
    except (ValueError, TypeError, InvalidOperation):
        msg = f"{name} has to be {definition.type.value}, which a {type(value).__name__} like this one is not."
        advice = "Give amounts and quantities as text or Decimal, dates as text like 2026-01-31."
        raise FixRecord(msg, code="iw.type", advice=advice, field=name) from None


def _convert(kind: FieldType, value: Any) -> Scalar:
    match kind:
        case FieldType.DECIMAL | FieldType.MONEY:
            if isinstance(value, float | bool):
                raise TypeError
            return Decimal(value)
        case FieldType.INTEGER:
            if isinstance(value, float | bool):
                raise TypeError
            return int(value)
        case FieldType.BOOLEAN:
            if not isinstance(value, bool):
                raise TypeError
            return value
        case FieldType.DATE:
            return value if type(value) is dt.date else dt.date.fromisoformat(value)
        case FieldType.DATETIME:
            moment = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(value)
            if moment.tzinfo is None:
                raise ValueError
            return moment
        case _:
            if not isinstance(value, str):
                raise TypeError
            return value


def _catalogue(system: str) -> Catalogue:
    catalogue, errors = library().catalogue(system)
    if catalogue is None:
        msg = f"The catalogue of {system!r} cannot be read: {'; '.join(map(str, errors)) or 'there is none'}."
        raise FixConfiguration(msg, code="iw.catalogue")
    return catalogue


def _object(catalogue: Catalogue, name: str) -> tuple[str, ObjectDef]:
    if name in catalogue.objects:
        return name, catalogue.objects[name]
    same = [native for native, definition in catalogue.objects.items() if name in definition.neutral]
    if len(same) == 1:
        return same[0], catalogue.objects[same[0]]
    known = listing(same or catalogue.objects)
    msg = f"{catalogue.label} has {'several objects' if same else 'no object'} {name!r}."
    raise FixConfiguration(msg, code="iw.unknown_object", advice=_hint(name, same or catalogue.objects, known))


def _field(catalogue: Catalogue, native: str, definition: ObjectDef, name: str) -> FieldDef:
    if name in definition.fields:
        return definition.fields[name]
    by_native = {field.native: field for field in definition.fields.values()}
    if name in by_native:
        return by_native[name]
    custom = definition.custom
    if custom and name.startswith(custom.prefix) and name != custom.prefix:
        return FieldDef(native=name, label=name, length=custom.length)
    msg = f"{catalogue.label}'s {native} has no field {name!r}."
    known = [*definition.fields, *by_native]
    raise FixConfiguration(msg, code="iw.unknown_field", advice=_hint(name, known, listing(definition.fields, 40)))


def _hint(name: str, known: Any, shown: str) -> str:
    near = suggest(name, known)
    return f"Did you mean {near!r}? Known: {shown}." if near else f"Known: {shown}."
