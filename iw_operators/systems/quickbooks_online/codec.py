"""Between Intuit's JSON and neutral values, by the paths of the catalogue. No I/O.

Paths: `A.B` is an attribute of an object; `X.Line*` the lines of an address; `CustomField.Name` the custom field with
that name; a field with a lookup is a reference, read as its text and written as its id. What kind of line carries a
transaction's lines is in `LINE_KINDS`; lines of another kind (subtotals, discounts, groups) are not ours.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeAlias

from iw_operators.engine.model import Line, Record, Scalar, Value
from iw_operators.spec.catalogue import FieldDef, FieldType, ObjectDef
from iw_operators.systems.base import View
from iw_operators.systems.http import format_stamp, parse_stamp

Native: TypeAlias = Mapping[str, Any]
TextOf: TypeAlias = Callable[[str, str], str | None]  # native list, id -> text

INACTIVE_SUFFIX: Final = " (deleted)"
VOIDED: Final = "Voided"
NAMES: Final = frozenset({"DisplayName", "Name", "FullyQualifiedName"})
ADDRESS_LINES: Final = tuple(f"Line{n}" for n in range(1, 6))
LINES_SUFFIX: Final = ".Line*"
CUSTOM: Final = "CustomField."
LINKED: Final = "LinkedTxn.TxnId"
PAYMENT_INVOICE: Final = f"Line.{LINKED}"


@dataclass(frozen=True, slots=True)
class LineKind:
    """Lines of a transaction that a mapping speaks of: by `DetailType`, or by the type of the linked transaction."""

    detail: str = ""
    linked: str = ""

    def has(self, line: Native) -> bool:
        """Tell whether a native line is of this kind."""
        if self.linked:
            return bool(self.link(line))
        return line.get("DetailType") == self.detail

    def link(self, line: Native) -> str | None:
        """Return the id of the linked transaction, when the line links exactly one of the right type."""
        ids = [str(at(link, "TxnId")) for link in line.get("LinkedTxn") or () if at(link, "TxnType") == self.linked]
        return ids[0] if len(ids) == 1 else None


LINE_KINDS: Mapping[str, LineKind] = {
    "Invoice": LineKind(detail="SalesItemLineDetail"),
    "Payment": LineKind(linked="Invoice"),
}


def version_of(native: Native) -> str:
    """Return a record's version: SyncToken and time of change, as posting to a name changes only the latter."""
    stamp = modified_of(native)
    return f"{native.get('SyncToken', '')}@{format_stamp(stamp) if stamp else ''}"


def sync_token(version: str) -> str:
    """Return the SyncToken in a version."""
    return version.partition("@")[0]


def modified_of(native: Native) -> dt.datetime | None:
    """Return when a record was changed last, None when it does not say so."""
    text = (native.get("MetaData") or {}).get("LastUpdatedTime")
    return parse_stamp(text) if text else None


def is_deleted(native: Native) -> bool:
    """Tell whether a row of the change feed is a deletion."""
    return native.get("status") == "Deleted"


def is_voided(definition: ObjectDef, native: Native) -> bool:
    """Tell whether a transaction is voided: its amounts are 0 and its private note begins with what Intuit writes."""
    if "void" not in definition.removal or not str(native.get("PrivateNote") or "").startswith(VOIDED):
        return False
    return all(not native.get(amount) for amount in ("TotalAmt", "Balance", "UnappliedAmt"))


def record_of(view: View, native: Native, text_of: TextOf) -> Record:
    """Return a native row as a record with the view's fields. A deleted one has no values."""
    modified = modified_of(native)
    if is_deleted(native):
        return Record(str(native["Id"]), {}, version_of(native), modified, deleted=True, active=False)
    active = _boolean(native.get(view.definition.active, True)) if view.definition.active else True
    values = values_of(view, native, text_of)
    label = view.definition.fields.get(view.definition.name)
    name = read(native, label, view.object, active, text_of) if label else None
    return Record(
        id=str(native["Id"]),
        values=values,
        version=version_of(native),
        modified=modified,
        voided=is_voided(view.definition, native),
        active=active,
        label=str(name or native["Id"]),
    )


def values_of(view: View, native: Native, text_of: TextOf) -> dict[str, Value]:
    """Return the view's fields, and its lines where it has some."""
    active = _boolean(native.get(view.definition.active, True)) if view.definition.active else True
    values: dict[str, Value] = {
        name: read(native, field, view.object, active, text_of) for name, field in view.fields.items()
    }
    if view.lines:
        values["lines"] = tuple(line_values(view, line) for line in known_lines(view, native))
    return values


def known_lines(view: View, native: Native) -> list[Native]:
    """Return the lines that the view speaks of."""
    kind = LINE_KINDS[view.object]
    return [line for line in native.get("Line") or () if kind.has(line)]


def line_values(view: View, line: Native) -> Line:
    """Return the view's fields of one line."""
    kind = LINE_KINDS[view.object]
    return {
        name: kind.link(line) if field.native == LINKED else typed(at(line, field.native), field)
        for name, field in view.lines.items()
    }


def read(native: Native, field: FieldDef, entity: str, active: bool, text_of: TextOf) -> Scalar:
    """Return one field of a native row."""
    path = field.native
    if path == PAYMENT_INVOICE:
        kind = LINE_KINDS[entity]
        ids = {kind.link(line) for line in native.get("Line") or ()} - {None}
        return ids.pop() if len(ids) == 1 else None
    if path.endswith(LINES_SUFFIX):
        return _address_lines(at(native, path.removesuffix(LINES_SUFFIX)) or {})
    if path.startswith(CUSTOM):
        return typed(custom_value(native, path.removeprefix(CUSTOM)), field)
    if field.lookup is not None:
        ref = at(native, path) or {}
        ident = at(ref, "value")
        return (typed(at(ref, "name"), field) or text_of(field.lookup.set, str(ident))) if ident else None
    value = at(native, path)
    if not active and path in NAMES and isinstance(value, str):
        value = value.removesuffix(INACTIVE_SUFFIX)
    return typed(value, field)


def at(native: Native, path: str) -> Any:
    """Return what stands at a dotted path, None where there is nothing."""
    value: Any = native
    for part in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def custom_value(native: Native, name: str) -> str | None:
    """Return the value of the custom field with this name."""
    for custom in native.get("CustomField") or ():
        if custom.get("Name") == name:
            value: str | None = custom.get("StringValue")
            return value
    return None


def _address_lines(address: Native) -> str | None:
    lines = [str(address.get(name) or "") for name in ADDRESS_LINES]
    while lines and not lines[-1]:
        lines.pop()
    return "\n".join(lines) or None


def typed(value: Any, field: FieldDef) -> Scalar:
    """Return a native value as its neutral type; empty text is None.

    Text and numbers that are not of the type stay text: that is what one record holds, in a custom field for one, and
    the engine refuses that record by name. ValueError where something else stands there: the field is no such field.
    """
    if value is None or value == "":
        return None
    try:
        return _typed(value, field)
    except (ValueError, ArithmeticError):
        if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
            raise
        return str(value)


def _typed(value: Any, field: FieldDef) -> Scalar:
    match field.type:
        case FieldType.MONEY | FieldType.DECIMAL:
            return _decimal(value)
        case FieldType.INTEGER:
            return _integer(value)
        case FieldType.BOOLEAN:
            return _boolean(value)
        case FieldType.DATE:
            return dt.date.fromisoformat(str(value)[:10])
        case FieldType.DATETIME:
            return parse_stamp(str(value))
        case _ if isinstance(value, (str, int, Decimal)):
            return str(value)
        case _:
            msg = f"{field.native} is no text"
            raise ValueError(msg)


def _integer(value: Any) -> int:
    number = _decimal(value)
    if number != number.to_integral_value():
        msg = f"{value!r} is not a whole number"
        raise ValueError(msg)
    return int(number)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    msg = f"{value!r} is neither true nor false"
    raise ValueError(msg)


def _decimal(value: Any) -> Decimal:
    try:
        return Decimal(value) if isinstance(value, (Decimal, int)) else Decimal(str(value))
    except InvalidOperation:
        msg = f"{value!r} is not a number"
        raise ValueError(msg) from None


def plain(value: Scalar) -> Any:
    """Return a neutral value as it stands in JSON; Decimals stay, and are written digit by digit."""
    if isinstance(value, dt.datetime):
        return format_stamp(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    return value


def put(body: dict[str, Any], path: str, value: Any) -> None:
    """Set what stands at a dotted path, making the objects on the way."""
    *way, last = path.split(".")
    for part in way:
        body = body.setdefault(part, {})
    body[last] = value


def same(sent: Value, held: Value) -> bool:
    """Tell whether what a record holds is what was sent; lines are compared in the fields that were sent."""
    if isinstance(sent, tuple) and isinstance(held, tuple):
        return len(sent) == len(held) and all(_same_line(a, b) for a, b in zip(sent, held, strict=True))
    return sent == held or (sent in (None, "") and held in (None, ""))


def _same_line(sent: Line, held: Line) -> bool:
    return all(same(value, held.get(name)) for name, value in sent.items())


def by_native(view: View, element: str) -> str:
    """Return the neutral name of the field that a fault's `element` speaks of.

    An element is a whole path, its first part or its last; "" when it is none of the view's fields or several.
    """
    if not element:
        return ""
    natives = {name: field.native for name, field in view.fields.items()}
    for matches in (
        [name for name, native in natives.items() if native == element],
        [name for name, native in natives.items() if native.split(".")[0] == element.split(".")[0]],
        [name for name, native in natives.items() if native.split(".")[-1] == element],
    ):
        if len(matches) == 1:
            return matches[0]
    return ""
