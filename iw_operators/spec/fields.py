"""Resolves the fields of a mapping: what both catalogues know maps by itself, the mapping adds and excepts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from iw_operators.spec import expressions, fits
from iw_operators.spec.catalogue import CustomDef, FieldDef, FieldType
from iw_operators.spec.catalogues import KINDS, NeutralField
from iw_operators.spec.errors import Path, Problem, listing, suggest
from iw_operators.spec.expressions import Scope
from iw_operators.spec.models import Direction, FieldSpec, Owner
from iw_operators.spec.resolved import MappedField, Side

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
CUSTOM_NAME = "letters, digits and _, with / between a lookup and its column"
_RESERVED = (expressions.VALUE, expressions.LINES, expressions.HEADER)
Way = tuple[Direction, Side, Side]  # a direction with its source and its target
WAYS: tuple[Way, Way] = ((Direction.TO_BOOKS, "crm", "books"), (Direction.TO_CRM, "books", "crm"))


@dataclass(frozen=True, slots=True)
class End:
    """One side of a section: what it is called, which fields it has, which others may be named."""

    label: str  # such as `Account of` and the system's label
    fields: Mapping[str, FieldDef]
    custom: CustomDef | None


@dataclass(frozen=True, slots=True)
class Section:
    """The header fields of a mapping, or those of its lines."""

    at: str  # "fields" or "lines"
    crm: End
    books: End
    words: Mapping[str, NeutralField]
    directions: tuple[Way, ...]
    scopes: Mapping[Side, Scope]  # what expressions may use besides the section's own fields

    def end(self, side: Side) -> End:
        """Return one side."""
        return self.crm if side == "crm" else self.books


@dataclass(frozen=True, slots=True)
class Fields:
    """A section, resolved."""

    mapped: tuple[MappedField, ...]
    problems: tuple[Problem, ...]


def resolve(section: Section, specs: Mapping[str, FieldSpec], ignored: Collection[str] = ()) -> Fields:
    """Resolve a section.

    :param ignored: names whose specs have errors of form already; nothing is said or made of them.
    """
    automatic = [name for name in section.words if name in section.crm.fields and name in section.books.fields]
    names = [*automatic, *sorted(name for name in specs if name not in automatic)]
    natives = {name: _Natives(section, name, specs[name]) for name in specs if name not in ignored}
    mapped: list[MappedField] = []
    problems: list[Problem] = []
    for name in names:
        if name in ignored:
            continue
        if name in natives:
            made, found = _explicit(section, name, specs[name], natives[name], natives)
            problems += found
        else:
            made = _automatic(section, name)
        if made is not None:
            mapped.append(made)
    order = {name: position for position, name in enumerate(section.words)}
    mapped.sort(key=lambda field: (order.get(field.name, len(order)), field.name))
    problems += _written_twice(section, mapped, specs)
    return Fields(tuple(mapped), tuple(problems))


def written(section_directions: Sequence[Way], field: MappedField) -> Iterator[Way]:
    """Yield the ways in which a field is written, its owner considered."""
    for way in section_directions:
        if field.owner in (Owner.LATEST, Owner(way[1])) and sent(field, way):
            yield way


def sent(field: MappedField, way: Way) -> bool:
    """Tell whether a field could be sent this way, were it not for its owner: that is, whether a create has it."""
    direction, source, target = way
    definition = field.on(target)
    return definition is not None and definition.writable and _has_source(field, direction, source)


def _has_source(field: MappedField, direction: Direction, source: Side) -> bool:
    expression, fallback = (
        (field.to_books, field.default_books) if direction is Direction.TO_BOOKS else (field.to_crm, field.default_crm)
    )
    return field.on(source) is not None or expression is not None or fallback is not None


def _automatic(section: Section, name: str) -> MappedField | None:
    crm, books = section.crm.fields[name], section.books.fields[name]
    ways = [
        way for way in section.directions if section.end(way[2]).fields[name].writable and not _unfit(crm, books, way)
    ]
    if not ways:
        return None
    return MappedField(name=name, crm=crm, books=books, owner=_owner(ways), ref=crm.ref)


def _unfit(crm: FieldDef, books: FieldDef, way: Way) -> str:
    return fits.types(crm, books) if way[1] == "crm" else fits.types(books, crm)


def _owner(ways: Sequence[Way]) -> Owner:
    """Return the owner of a field that is written in these ways."""
    return Owner.LATEST if len(ways) > 1 else Owner(ways[0][1])


def first_by_native(fields: Mapping[str, FieldDef]) -> dict[str, FieldDef]:
    """Return definitions by native name; where a native field has several, one that can be written comes first."""
    result: dict[str, FieldDef] = {}
    for definition in fields.values():
        known = result.get(definition.native)
        if known is None or (definition.writable and not known.writable):
            result[definition.native] = definition
    return result


class _Natives:
    """The definitions of both sides of an explicit field."""

    def __init__(self, section: Section, name: str, spec: FieldSpec) -> None:
        self.section, self.name, self.spec = section, name, spec
        self.problems: list[Problem] = []
        self.custom: list[Side] = []
        self.crm = self._known("crm", spec.crm)
        self.books = self._known("books", spec.books)
        if "crm" in self.custom:
            self.crm = self._custom("crm", str(spec.crm), self.books)
        if "books" in self.custom:
            self.books = self._custom("books", str(spec.books), self.crm)
        if spec.length is not None and not self.custom:
            self._say("length", "is given, but no custom field is named here", "no length: the catalogue knows it")

    def _say(self, key: str, message: str, expected: str = "", suggestion: str = "") -> None:
        self.problems.append(Problem((self.section.at, self.name, key), message, expected, suggestion))

    def _known(self, side: Side, native: str | None) -> FieldDef | None:
        """Return what the catalogue says; notes in `custom` where the field is known by its prefix alone."""
        end = self.section.end(side)
        if native is None:
            return end.fields.get(self.name)
        by_native = first_by_native(end.fields)
        if native in by_native:
            found = by_native[native]
            if self.spec.type is not None and KINDS[self.spec.type] != KINDS[found.type]:
                self._say("type", f"is {self.spec.type.value}, {end.label} has {native} as {found.type.value}")
            return found
        if end.custom is not None and end.custom.names(native):
            if end.custom.wrong(native):
                self._say(side, f"{native!r} cannot be the name of a field of {end.label}", CUSTOM_NAME)
            self.custom.append(side)
            return None
        custom = f", or a custom field {end.custom.prefix}..." if end.custom else ""
        hint = end.fields[native].native if native in end.fields else suggest(native, by_native)
        self._say(side, f"{end.label} has no field {native!r}", f"one of {listing(by_native)}{custom}", hint)
        return None

    def _custom(self, side: Side, native: str, opposite: FieldDef | None) -> FieldDef:
        """Make the definition of a custom field: its type as stated, as the other side's, as the word's, or text."""
        spec, word, custom = self.spec, self.section.words.get(self.name), self.section.end(side).custom
        kind = spec.type or (opposite.type if opposite else word.type if word else FieldType.TEXT)
        length: int | None = None
        if KINDS[kind] == "text":
            standard = custom.length if custom and spec.type is not FieldType.MEMO else None
            length = spec.length or standard
        ref = (opposite.ref if opposite else word.ref if word else None) if kind is FieldType.REF else None
        if kind is FieldType.REF and ref is None:
            self._say("type", "is ref, but nothing says what it refers to", "a reference on the other side")
        return FieldDef(native=native, type=kind, label=self.name, length=length, ref=ref)


def _explicit(
    section: Section, name: str, spec: FieldSpec, natives: _Natives, all_natives: Mapping[str, _Natives]
) -> tuple[MappedField | None, list[Problem]]:
    at: Path = (section.at, name)
    known = name in section.crm.fields or name in section.books.fields
    if not known and spec.crm is None and spec.books is None:
        candidates = {*section.crm.fields, *section.books.fields}
        unknown = f"unknown neutral field {name!r}"
        what = "is a neutral field that neither side has" if name in section.words else unknown
        expected = f"one of {listing(candidates)}, or `crm:` and `books:` with the fields' own names"
        return None, [Problem(at, what, expected, suggest(name, candidates))]
    if spec.skip:
        return None, []
    problems = list(natives.problems)
    if name in _RESERVED or not _WORD.fullmatch(name):
        problems.append(Problem(at, "cannot be the name of a field", "letters, digits, _ and dots between words"))
    problems += _expressions(section, spec, at, all_natives)
    if natives.problems:
        return None, problems
    field = MappedField(
        name=name,
        crm=natives.crm,
        books=natives.books,
        owner=Owner.LATEST,
        to_books=spec.to_books,
        to_crm=spec.to_crm,
        values=spec.values,
        default_books=spec.default_books,
        default_crm=spec.default_crm,
        shorten=spec.shorten,
        optional=spec.when_missing == "empty",
        ref=(natives.crm.ref if natives.crm else None) or (natives.books.ref if natives.books else None),
    )
    ways = [way for way in section.directions if sent(field, way)]
    if section.directions:  # a mapping that is switched off keeps what it says
        wrong_way = list(_direction_problems(section, field, spec, at))
        problems += wrong_way or _owner_problems(section, field, spec, at, ways)
    owner = spec.owner or (_owner(ways) if ways else Owner.CRM if natives.crm else Owner.BOOKS)
    field = field.model_copy(update={"owner": owner})
    problems += _fit_problems(section, field, spec, at, custom=bool(natives.custom))
    problems += _missing_problems(section, field, spec, at)
    return field, problems


def _expressions(section: Section, spec: FieldSpec, at: Path, natives: Mapping[str, _Natives]) -> Iterator[Problem]:
    for key, expression, source in (("to_books", spec.to_books, "crm"), ("to_crm", spec.to_crm, "books")):
        if expression is None:
            continue
        side: Side = "crm" if source == "crm" else "books"
        own = {name for name, each in natives.items() if (each.crm if side == "crm" else each.books) is not None}
        scope = replace(section.scopes[side], own={*section.scopes[side].own, *section.end(side).fields, *own})
        for message, expected, suggestion in expressions.faults(expression, scope):
            yield Problem((*at, key), message, expected, suggestion)


def _direction_problems(section: Section, field: MappedField, spec: FieldSpec, at: Path) -> Iterator[Problem]:
    """Yield where something is said for a direction that the mapping or the target does not have."""
    running = {way[0] for way in section.directions}
    for direction, _, target in WAYS:
        keys = [f"to_{target}", f"default_{target}"]
        said = [key for key in keys if getattr(spec, key) is not None]
        if not said:
            continue
        definition, label = field.on(target), section.end(target).label
        if direction not in running:
            yield Problem((*at, said[0]), f"is given, but the mapping does not run {direction.value}", "no such key")
        elif definition is None:
            yield Problem((*at, said[0]), f"is given, but {label} has no {field.name!r}", f"`{target}:` with a field")
        elif not definition.writable:
            yield Problem((*at, said[0]), f"is given, but {definition.native} of {label} cannot be written")


def _owner_problems(
    section: Section, field: MappedField, spec: FieldSpec, at: Path, ways: Sequence[Way]
) -> Iterator[Problem]:
    """Yield where the stated owner, or the lack of any way, means that nothing would ever be written."""
    running = {way[0] for way in section.directions}
    for direction, source, target in WAYS:
        wanted = spec.owner is not None and spec.owner in (Owner(source), Owner.LATEST)
        if not wanted or direction in {way[0] for way in ways}:
            continue
        if spec.owner is Owner.LATEST and direction not in running:
            continue
        why = _why_not(section, field, direction, source, target)
        yield Problem((*at, "owner"), f"is {spec.owner.value if spec.owner else ''}, but {why}")
    if not ways and spec.owner is None and field.crm is not None and field.books is not None:
        reasons = [_why_not(section, field, *way) for way in section.directions]
        yield Problem(at, f"would never be written: {'; '.join(reasons)}", "skip: true, or another field")


def _why_not(section: Section, field: MappedField, direction: Direction, source: Side, target: Side) -> str:
    definition, label = field.on(target), section.end(target).label
    if direction not in {way[0] for way in section.directions}:
        return f"the mapping does not run {direction.value}"
    if definition is None:
        return f"{label} has no {field.name!r}, and `{target}:` names no field"
    if not definition.writable:
        return f"{definition.native} of {label} cannot be written"
    return f"{section.end(source).label} has no {field.name!r}, and there is no expression or default"


def _fit_problems(
    section: Section, field: MappedField, spec: FieldSpec, at: Path, *, custom: bool
) -> Iterator[Problem]:
    named = spec.crm is not None or spec.books is not None
    ways = list(written(section.directions, field))
    for direction, source, target in ways:
        from_, to = field.on(source), field.on(target)
        fallback = field.default_books if target == "books" else field.default_crm
        if to is not None and fallback is not None and (expected := fits.default(fallback, to)):
            yield Problem((*at, f"default_{target}"), f"{fallback!r} does not fit {to.native}", expected)
        expression = field.to_books if direction is Direction.TO_BOOKS else field.to_crm
        if from_ is None or to is None or expression is not None:
            continue
        if not field.values and (why := fits.types(from_, to)):
            yield Problem(at, f"{from_.native} does not fit {to.native}: {why}", f"an expression {direction.value}")
        elif named and not field.values and not field.shorten and (why := fits.lengths(from_, to)):
            keys = f"shorten: true, an expression {direction.value}, or another owner"
            keys += ", or `length` as the custom field has it" if custom else ""
            yield Problem(at, f"{from_.native} {why}", keys)
    for key, message, expected in fits.values(field.values, crm=field.crm, books=field.books):
        yield Problem((*at, "values", key), message, expected)


def _missing_problems(section: Section, field: MappedField, spec: FieldSpec, at: Path) -> Iterator[Problem]:
    """Yield where `when_missing` is said of what is no reference, or of one that the target cannot do without."""
    if spec.when_missing is None:
        return
    at = (*at, "when_missing")
    if field.ref is None or field.crm is None or field.books is None:
        yield Problem(at, "is about references between both sides", "no `when_missing`")
        return
    for _, _, target in written(section.directions, field):
        definition = field.on(target)
        if spec.when_missing == "empty" and definition is not None and definition.required:
            yield Problem(at, f"is empty, but {section.end(target).label} needs {definition.native}", "hold")


def _written_twice(
    section: Section, mapped: Sequence[MappedField], specs: Mapping[str, FieldSpec]
) -> Iterator[Problem]:
    for way in section.directions:
        target = way[2]
        first: dict[str, str] = {}
        for field in sorted(mapped, key=lambda field: field.name in specs):
            definition = field.on(target)
            if definition is None or way not in written(section.directions, field):
                continue
            if definition.native in first:
                earlier = first[definition.native]
                message = f"{field.name!r} and {earlier!r} both write {definition.native}"
                skip = earlier if earlier not in specs else field.name
                yield Problem((section.at, field.name), message, f"one of them, such as `{skip}: {{skip: true}}`")
            first.setdefault(definition.native, field.name)
