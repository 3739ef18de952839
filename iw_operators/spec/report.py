"""The mapping report: what stands in which field on both sides, who owns it, what is done to it on the way."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields

from iw_operators.spec.catalogue import FieldDef
from iw_operators.spec.csvsafe import cell
from iw_operators.spec.models import CreateWhen, Direction, Way
from iw_operators.spec.resolved import MappedField, ResolvedMapping

SHOWN = 12  # digits of a fingerprint


@dataclass(frozen=True, slots=True)
class Row:
    """One field of one mapping. `owner` is a side, `latest`, or `-` for a field that is only read."""

    company: str
    mapping: str
    field: str
    crm: str
    books: str
    type: str
    owner: str
    transform: str
    reference: str


HEADINGS = ("Company", "Mapping", "Field", "CRM", "Books", "Type", "Owner", "Transform", "Reference or list")


def rows(mapping: ResolvedMapping) -> Iterator[Row]:
    """Yield a mapping's rows: header fields, fields of lines, what is written back."""
    for prefix, section in (("", mapping.fields), ("lines[].", mapping.lines)):
        for field in section:
            yield Row(
                company=mapping.company.company,
                mapping=mapping.mapping,
                field=f"{prefix}{field.name}",
                crm=field.crm.native if field.crm else "",
                books=field.books.native if field.books else "",
                type=_type(field),
                owner=field.owner.value,
                transform="; ".join(_transforms(field)),
                reference=_reference(field),
            )
    for name, definition in mapping.write_back.items():
        yield Row(
            company=mapping.company.company,
            mapping=mapping.mapping,
            field=f"write_back.{name}",
            crm=definition.native,
            books="",
            type=_type_of(definition),
            owner="books",
            transform="written back when a record is bound",
            reference="",
        )


def title(mapping: ResolvedMapping) -> str:
    """Return one line about a mapping as a whole."""
    arrow = {Direction.BOTH: "<->", Direction.TO_BOOKS: "->", Direction.TO_CRM: "<-"}.get(mapping.direction, "|")
    ends = f"{mapping.crm_label} {mapping.crm_object} {arrow} {mapping.books_label} {mapping.books_object}"
    return f"{mapping.company.company}/{mapping.mapping}: {ends}, fingerprint {mapping.fingerprint[:SHOWN]}"


def notes(mapping: ResolvedMapping) -> Iterator[str]:
    """Yield how records find their partners and what each direction may do."""
    bind = mapping.bind
    how = {"id": "by id", "full_name": "by full name", "criteria": "by criteria"}[bind.by]
    if mapping.id_field is not None:
        how += f" in {mapping.id_field.native}"
    if bind.else_:
        how += f"{'' if bind.by == 'criteria' else ', else by'} {' + '.join(bind.else_)}"
        how += " (normalised)" if bind.normalize_names else " (exact)"
    yield f"partners are found {how}"
    for direction, way in ((Direction.TO_BOOKS, mapping.to_books), (Direction.TO_CRM, mapping.to_crm)):
        if mapping.direction in (direction, Direction.BOTH):
            yield f"{direction.value}: {_way(way)}"
    if mapping.depends:
        yield f"references go through {', '.join(mapping.depends)}"


def as_csv(table: Iterable[Row]) -> str:
    """Return rows as CSV with a heading; cells that a spreadsheet would take for formulas are made text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADINGS)
    for row in table:
        writer.writerow(map(cell, _cells(row)))
    return out.getvalue()


def as_json(table: Iterable[Row]) -> str:
    """Return rows as a JSON list of objects."""
    return json.dumps([asdict(row) for row in table], indent=2, ensure_ascii=False) + "\n"


def as_markdown(table: Iterable[Row]) -> str:
    """Return rows as a Markdown table."""
    lines = [f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
    for row in table:
        cells = (" ".join(each.replace("|", "\\|").split()) for each in _cells(row))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> list[str]:
    return [str(getattr(row, field.name)) for field in fields(row)]


def _type(field: MappedField) -> str:
    texts = list(dict.fromkeys(_type_of(end) for end in (field.crm, field.books) if end is not None))
    return " / ".join(texts)


def _type_of(definition: FieldDef) -> str:
    return f"{definition.type.value} {definition.length}" if definition.length else definition.type.value


def _transforms(field: MappedField) -> Sequence[str]:
    found: list[str] = []
    for name, expression in (("to_books", field.to_books), ("to_crm", field.to_crm)):
        if expression is not None:
            found.append(f"{name}: {' '.join(expression.split())}")
    if field.values:
        found.append("values: " + ", ".join(f"{left} = {right}" for left, right in field.values.items()))
    for side, default in (("books", field.default_books), ("crm", field.default_crm)):
        if default is not None:
            found.append(f"default_{side}: {str(default).lower() if isinstance(default, bool) else default}")
    if field.shorten:
        found.append("shortened")
    for side, definition in (("books", field.books), ("crm", field.crm)):
        if definition is not None and definition.writable and definition.create_only:
            found.append(f"set once in {side}")
    return found


def _reference(field: MappedField) -> str:
    if field.ref is not None:
        return field.ref_mapping or field.ref
    lists = [f"{end.lookup.set}.{end.lookup.by}" for end in (field.crm, field.books) if end and end.lookup]
    return " / ".join(lists)


def _way(way: Way) -> str:
    return way.operations.value.replace("_", " ") + _condition(way.create_when)


def _condition(when: CreateWhen) -> str:
    parts: list[str] = []
    if when.opportunity:
        parts.append(f"an opportunity is {when.opportunity}")
    if when.opportunity_stage:
        parts.append(f"an opportunity is at {' or '.join(when.opportunity_stage)}")
    for name, value in when.field.items():
        values = value if isinstance(value, tuple) else (value,)
        parts.append(f"{name} is {' or '.join(map(str, values))}")
    return f", created when {' and '.join(parts)}" if parts else ""
