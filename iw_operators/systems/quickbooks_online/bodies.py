"""What is sent for one write: from neutral values to Intuit's JSON. No I/O.

An update is sparse: what it leaves out stays. Three things need the record as it is now: an address or a custom
field of which only a part changes (Intuit takes them whole), lines (a supplied list replaces all, and lines that the
mapping does not speak of have to survive), and the emptying of a reference, date or number (a sparse update cannot;
the full record without it can).
"""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from iw_operators.engine.model import Line, Scalar
from iw_operators.errors import FixRecord
from iw_operators.spec.catalogue import FieldDef, FieldType
from iw_operators.systems.base import Op, Write
from iw_operators.systems.fitting import check_text
from iw_operators.systems.quickbooks_online.codec import (
    ADDRESS_LINES,
    CUSTOM,
    LINE_KINDS,
    LINES_SUFFIX,
    LINKED,
    LineKind,
    Native,
    at,
    plain,
    put,
    sync_token,
)
from iw_operators.systems.quickbooks_online.errors import LABEL

LINE_LENGTH: Final = 500  # of one line of an address (developer.intuit.com, PhysicalAddress)
TEXTS: Final = frozenset({FieldType.TEXT, FieldType.MEMO, FieldType.PHONE, FieldType.EMAIL})
OWN_FIELDS: Final = ("domain", "sparse", "status", "time")  # of an answer, not of the record
GEOCODE: Final = ("Lat", "Long")  # of the address as it was


@dataclass(frozen=True, slots=True)
class Names:
    """What texts stand for: ids of list entries by (list, lower-case text), custom fields' definitions by name."""

    ids: Mapping[tuple[str, str], str] = field(default_factory=dict)
    custom: Mapping[str, str] = field(default_factory=dict)

    def id_of(self, name: str, definition: FieldDef, text: str) -> str:
        """Return the id of a list entry; FixRecord naming the missing one."""
        assert definition.lookup is not None  # noqa: S101 - the caller has looked
        found = self.ids.get((definition.lookup.set, text.casefold()))
        if found is None:
            msg = f"{definition.label or name} {text!r} is not in QuickBooks Online's list {definition.lookup.set}."
            raise FixRecord(
                msg,
                code="iw.missing_lookup",
                field=name,
                advice="Make it there, or spell it alike on both sides, or translate it with `values`.",
            )
        return found


def needs_current(write: Write) -> bool:
    """Tell whether the body can be built only from the record as it is now."""
    if write.op is not Op.UPDATE:
        return False
    for name, value in write.values.items():
        if name == "lines":
            return True
        definition = write.view.fields[name]
        path = definition.native
        if path.startswith(CUSTOM) or _is_address(path) or _cannot_empty(definition, value):
            return True
    return False


def body_of(write: Write, current: Native | None, names: Names, today: dt.date) -> dict[str, Any]:
    """Return the entity's JSON.

    :param current: the record as it is now, where `needs_current` says so.
    :param today: the company's date, from which a new inventory item counts its stock.
    :raises FixRecord: the values cannot be written as Intuit takes them.
    """
    body: dict[str, Any] = {}
    emptied: list[str] = []
    for name, value in write.values.items():
        if name == "lines":
            lines = value if isinstance(value, tuple) else ()
            body["Line"] = _lines(write, lines, (current or {}).get("Line") or ())
            continue
        definition = write.view.fields[name]
        if isinstance(value, tuple) or (value is None and write.op is Op.CREATE):
            continue
        if _cannot_empty(definition, value):
            emptied.append(definition.native.split(".")[0])
            continue
        _field(body, name, definition, value, current or {}, names)
    if write.op is Op.CREATE:
        return _complete_item(body, today) if write.view.object == "Item" else body
    head = {"Id": write.target_id, "SyncToken": sync_token(write.version)}
    if not emptied:
        return {**head, "sparse": True, **body}
    whole = _whole(write, current or {})
    for top in emptied:
        whole.pop(top, None)
    return {**whole, **body, **head, "sparse": False}


def _is_address(path: str) -> bool:
    return path.startswith(("BillAddr.", "ShipAddr."))


def _cannot_empty(definition: FieldDef, value: object) -> bool:
    """Tell whether this empties something for which "" cannot stand."""
    is_reference = definition.lookup is not None or definition.native.endswith("Ref.value")
    return value in (None, "") and (is_reference or definition.type not in TEXTS)


def _field(body: dict[str, Any], name: str, definition: FieldDef, value: Scalar, current: Native, names: Names) -> None:
    path = definition.native
    text = check_text(name, definition, value, LABEL) if isinstance(value, str) else "" if value is None else value
    if path.startswith(CUSTOM):
        _custom(body, name, path.removeprefix(CUSTOM), str(text), current, names)
    elif definition.lookup is not None:
        body[path] = {"value": names.id_of(name, definition, str(text))}
    elif _is_address(path):
        top = path.split(".")[0]
        if top not in body:
            known = at(current, top) or {}
            body[top] = {key: part for key, part in known.items() if key not in GEOCODE}
        if path.endswith(LINES_SUFFIX):
            _address_lines(body[top], name, definition, str(text))
        else:
            put(body, path, text)
    else:
        put(body, path, plain(text))


def _address_lines(address: dict[str, Any], name: str, definition: FieldDef, text: str) -> None:
    lines = text.replace("\r\n", "\n").split("\n")
    if len(lines) > len(ADDRESS_LINES) or any(len(line) > LINE_LENGTH for line in lines):
        msg = (
            f"{definition.label or name} has {len(lines)} lines, the longest of {max(map(len, lines))} characters; "
            f"QuickBooks Online takes {len(ADDRESS_LINES)} lines of {LINE_LENGTH}."
        )
        raise FixRecord(msg, code="iw.too_long", field=name, advice="Shorten the address in the source.")
    for number, part in enumerate(ADDRESS_LINES):
        if number < len(lines):
            address[part] = lines[number]
        elif part in address:
            address[part] = ""


def _custom(body: dict[str, Any], name: str, custom: str, text: str, current: Native, names: Names) -> None:
    if "CustomField" not in body:
        body["CustomField"] = copy.deepcopy(list(current.get("CustomField") or ()))
    entry = next((one for one in body["CustomField"] if one.get("Name") == custom), None)
    if entry is None:
        if custom not in names.custom:
            msg = f"QuickBooks Online has no custom field {custom!r} on sales forms."
            raise FixRecord(
                msg,
                code="iw.missing_custom_field",
                field=name,
                advice="Make it under Account and settings, Sales, Custom fields, with exactly this name.",
            )
        entry = {"DefinitionId": names.custom[custom], "Name": custom, "Type": "StringType"}
        body["CustomField"].append(entry)
    entry["StringValue"] = text


def _lines(write: Write, lines: tuple[Line, ...], current: Any) -> list[dict[str, Any]]:
    """Return the new list: our lines in their order, each on top of the old line that it continues.

    Lines of other kinds keep their place among ours, except the subtotal without an Id that Intuit adds itself.
    """
    kind = LINE_KINDS[write.view.object]
    old = [line for line in current if line.get("Id") or line.get("DetailType") != "SubTotalLineDetail"]
    ours = [line for line in old if kind.has(line)]
    new = [_line(write, kind, line, base) for line, base in _continued(write, lines, ours)]
    result: list[dict[str, Any]] = [] if ours else new
    places = 0
    for line in old:
        if not kind.has(line):
            result.append(dict(line))
            continue
        places += 1
        result.extend(new[places - 1 :] if places == len(ours) else new[places - 1 : places])
    return result


def _continued(write: Write, lines: tuple[Line, ...], ours: list[Native]) -> list[tuple[Line, Native]]:
    """Pair each line with the old line of the same item or invoice, the first unused one."""
    path = next((f.native for f in write.view.lines.values() if f.ref), "")
    name = next((n for n, f in write.view.lines.items() if f.ref), "")
    kind = LINE_KINDS[write.view.object]
    unused = list(ours)
    pairs: list[tuple[Line, Native]] = []
    for line in lines:
        wanted = line.get(name)
        match = next((o for o in unused if (kind.link(o) if path == LINKED else at(o, path)) == wanted), None)
        if match is not None:
            unused.remove(match)
        pairs.append((line, match or {}))
    return pairs


def _line(write: Write, kind: LineKind, line: Line, base: Native) -> dict[str, Any]:
    result: dict[str, Any] = copy.deepcopy(dict(base))
    result.pop("LineNum", None)
    if kind.detail:
        result["DetailType"] = kind.detail
        result.setdefault(kind.detail, {})
    for name, value in line.items():
        path = write.view.lines[name].native
        if path == LINKED:
            result["LinkedTxn"] = [{"TxnId": value, "TxnType": kind.linked}] if value else []
        elif value is None:
            parent = at(result, path.rpartition(".")[0]) if "." in path else result
            if isinstance(parent, dict):
                parent.pop(path.rpartition(".")[2], None)
        else:
            if isinstance(value, str):
                check_text(f"lines[].{name}", write.view.lines[name], value, LABEL)
            put(result, path, plain(value))
    return result


def _whole(write: Write, current: Native) -> dict[str, Any]:
    """Return the record as it is, without what only the service writes."""
    read_only = {f.native for f in write.view.definition.fields.values() if not f.writable}
    return {
        key: copy.deepcopy(value)
        for key, value in current.items()
        if key not in OWN_FIELDS and key != "MetaData" and key not in read_only
    }


def _complete_item(body: dict[str, Any], today: dt.date) -> dict[str, Any]:
    """Add what an inventory item needs beyond what a CRM knows; no other item has an asset account."""
    if body.get("Type") != "Inventory":
        body.pop("AssetAccountRef", None)
        return body
    return {"TrackQtyOnHand": True, "QtyOnHand": 0, "InvStartDate": today.isoformat(), **body}
