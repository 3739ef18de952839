"""Which fields of each side a mapping needs: to read, to compare, to match and to remember as the base."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from iw_operators.engine.expressions import Expression
from iw_operators.engine.matching import ADDRESS, ID_FIELD
from iw_operators.engine.transform import plain_name
from iw_operators.errors import FixConfiguration
from iw_operators.spec.catalogue import FieldDef
from iw_operators.spec.resolved import ResolvedMapping, Side


@dataclass(frozen=True, slots=True)
class Shape:
    """One side of a mapping, the same whichever way a flow runs.

    :param fields: what a view has to read, by the names that the record's values carry.
    :param kept: those of them that a binding's base remembers: the mapped ones and what expressions use.
    :param known: names that expressions over this side may use.
    :param full_name: the field that stands for the full name.
    """

    fields: Mapping[str, FieldDef]
    lines: Mapping[str, FieldDef]
    kept: tuple[str, ...]
    kept_lines: tuple[str, ...]
    known: frozenset[str]
    known_lines: frozenset[str]
    full_name: str


def shape(mapping: ResolvedMapping, side: Side, extra: Iterable[str] = (), checked: Iterable[str] = ()) -> Shape:
    """Return what one side needs.

    :param extra: further fields that a direction asks for, such as those of `create_when`.
    :param checked: fields that amounts are checked against; the base remembers them.
    :raises FixConfiguration: a field is asked for that this side does not have, or an expression is wrong.
    """
    definition = mapping.definition(side)
    mapped = {plain_name(each.name): found for each in mapping.fields if (found := each.on(side)) is not None}
    line_fields = definition.lines.fields if definition.lines else {}
    mapped_lines = {plain_name(each.name): found for each in mapping.lines if (found := each.on(side)) is not None}
    available = {**definition.fields, **mapped}
    available_lines = {**line_fields, **mapped_lines}
    inputs, line_inputs = _inputs(mapping, side, available, available_lines)

    def wanted(name: str, why: str) -> FieldDef:
        if name not in available:
            msg = (
                f"{mapping.mapping}: {why} needs {name}, which {mapping.label(side)}'s {mapping.object_of(side)} lacks."
            )
            raise FixConfiguration(msg, code="iw.field_missing", field=name)
        return available[name]

    fields = dict(mapped)
    for name in inputs:
        fields[name] = available[name]
    for name in checked:
        fields[name] = wanted(name, "check")
    kept = tuple(fields)
    for name in matched(mapping):
        if name not in ADDRESS or name in available:
            fields[name] = wanted(name, "bind")
    full_name = "full_name" if "full_name" in available else "name"
    if mapping.bind.by == "full_name":
        fields[full_name] = wanted(full_name, "bind.by full_name")
    for name in extra:
        fields[name] = wanted(name, "create_when")
    if definition.name in available:
        fields.setdefault(definition.name, available[definition.name])
    if side == "crm" and mapping.id_field is not None:
        fields[ID_FIELD] = mapping.id_field
    return Shape(
        fields=fields,
        lines={name: available_lines[name] for name in dict.fromkeys((*mapped_lines, *line_inputs))},
        kept=kept,
        kept_lines=tuple(dict.fromkeys((*mapped_lines, *line_inputs))),
        known=frozenset(available),
        known_lines=frozenset(available_lines),
        full_name=full_name,
    )


def matched(mapping: ResolvedMapping) -> tuple[str, ...]:
    """Return the fields that the criteria compare."""
    names: list[str] = []
    for word in mapping.bind.else_:
        names.extend(ADDRESS if word == "address" else (word,))
    return tuple(names)


def _inputs(
    mapping: ResolvedMapping, side: Side, fields: Mapping[str, FieldDef], lines: Mapping[str, FieldDef]
) -> tuple[list[str], list[str]]:
    """Return what the expressions over one side use, of the header and of the lines."""
    used: list[str] = []
    used_lines: list[str] = []
    for each in mapping.fields:
        text = each.to_books if side == "crm" else each.to_crm
        if text is not None:
            expression = Expression(text, fields, line_names=lines)
            used.extend(expression.fields)
            used_lines.extend(lines if expression.uses_lines else ())
    for each in mapping.lines:
        text = each.to_books if side == "crm" else each.to_crm
        if text is not None:
            expression = Expression(text, lines, header=fields)
            used.extend(expression.header_fields)
            used_lines.extend(expression.fields)
    return used, used_lines
