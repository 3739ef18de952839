"""Makes a `ResolvedMapping` of a mapping's spec, its company and both catalogues, or says everything that is wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from iw_operators.spec import expressions, gone
from iw_operators.spec.catalogue import Catalogue, FieldDef, FieldType, ObjectDef
from iw_operators.spec.catalogues import KINDS, LINES, Neutral, NeutralField
from iw_operators.spec.errors import Path, Problem, listing, suggest
from iw_operators.spec.expressions import Scope
from iw_operators.spec.fields import CUSTOM_NAME, WAYS, End, Section, first_by_native, sent, written
from iw_operators.spec.fields import resolve as resolve_fields
from iw_operators.spec.fingerprint import BIND_FIELDS
from iw_operators.spec.models import Company, Direction, MappingSpec, Operations
from iw_operators.spec.models import Way as WaySpec
from iw_operators.spec.resolved import MappedField, ResolvedMapping, Side

_CREATES = (Operations.CREATE_AND_UPDATE, Operations.CREATE_ONLY)
_WRITE_BACK = {
    "id": FieldType.TEXT,
    "full_name": FieldType.TEXT,
    "number": FieldType.TEXT,
    "synced_at": FieldType.DATETIME,
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a mapping is resolved in.

    `neutral_of` has the neutral object of each mapping of the company that says one, errors elsewhere in it or not;
    `unclear` is true where some mapping is too broken to say.
    """

    company: Company
    crm: Catalogue
    books: Catalogue
    neutral: Neutral
    neutral_of: Mapping[str, str]
    unclear: bool = False


def neutral_object(spec: MappingSpec, crm: Catalogue, books: Catalogue) -> str | None:
    """Return the neutral object that a mapping is about; None where its two objects do not settle it."""
    if spec.crm not in crm.objects or spec.books not in books.objects:
        return None
    common = [name for name in crm.objects[spec.crm].neutral if name in books.objects[spec.books].neutral]
    if spec.neutral is not None:
        return spec.neutral if spec.neutral in common else None
    return common[0] if len(common) == 1 else None


def resolve(
    spec: MappingSpec, around: Surroundings, ignored: Mapping[str, Collection[str]] | None = None
) -> tuple[ResolvedMapping | None, list[Problem]]:
    """Resolve one mapping.

    :param ignored: names under `fields`, `lines` and other keys whose own specs are already known to be wrong.
    :returns: the mapping and no problems, or None and all of them (none where only another mapping is to blame).
    """
    problems = list(_object_problems(spec, around))
    neutral = neutral_object(spec, around.crm, around.books)
    if problems or neutral is None:
        return None, problems
    work = _Work(spec, around, neutral, ignored or {})
    problems = work.problems()
    if problems or not work.complete:
        return None, problems
    return work.result(), []


def _object_problems(spec: MappingSpec, around: Surroundings) -> Iterator[Problem]:
    for key, name, catalogue in (("crm", spec.crm, around.crm), ("books", spec.books, around.books)):
        if name not in catalogue.objects:
            message = f"{catalogue.label} has no object {name!r} in its catalogue"
            yield Problem((key,), message, f"one of {listing(catalogue.objects)}", suggest(name, catalogue.objects))
            return
    crm, books = around.crm.objects[spec.crm].neutral, around.books.objects[spec.books].neutral
    common = [name for name in crm if name in books]
    if spec.neutral is not None and spec.neutral not in common:
        hint = suggest(spec.neutral, common)
        message = f"{spec.neutral!r} is not what both {spec.crm} and {spec.books} can be"
        yield Problem(("neutral",), message, listing(common) or "objects that have something in common", hint)
    elif not common:
        message = f"{spec.crm} ({listing(crm)}) and {spec.books} ({listing(books)}) have nothing in common"
        fitting = [name for name, each in around.books.objects.items() if {*each.neutral} & {*crm}]
        yield Problem(("books",), message, f"one of {listing(fitting)}" if fitting else "another object of the CRM")
    elif spec.neutral is None and len(common) > 1:
        message = f"{spec.crm} and {spec.books} have {listing(common)} in common"
        yield Problem((), message, "`neutral:` with one of them")


class _Work:
    """One mapping on its way."""

    def __init__(
        self, spec: MappingSpec, around: Surroundings, neutral: str, ignored: Mapping[str, Collection[str]]
    ) -> None:
        self.spec, self.around, self.neutral, self.ignored = spec, around, neutral, ignored
        self.crm = around.crm.objects[spec.crm]
        self.books = around.books.objects[spec.books]
        self.ways = tuple(way for way in WAYS if spec.direction in (way[0], Direction.BOTH))
        self.complete = True
        words = around.neutral[neutral]
        headers = {name: word for name, word in words.items() if not name.startswith(LINES)}
        lines = {name.removeprefix(LINES): word for name, word in words.items() if name.startswith(LINES)}
        self.header = self._section("fields", headers)
        self.fields = resolve_fields(self.header, spec.fields, ignored.get("fields", ()))
        self.line = self._line_section(lines)
        self.lines = resolve_fields(self.line, spec.lines, ignored.get("lines", ())) if self.line else None
        self.write_back: dict[str, FieldDef] = {}
        self.id_field: FieldDef | None = None

    def problems(self) -> list[Problem]:
        """Return everything that is wrong; fills in references, `write_back` and `id_field` on the way."""
        found = [*self.fields.problems, *(self.lines.problems if self.lines else ())]
        if self.spec.lines and self.line is None:
            without = self._label("crm") if self.crm.lines is None else self._label("books")
            found.append(Problem(("lines",), f"{without} has no lines", "no `lines`"))
        found += self._ways()
        found += self._bind()
        found += self._write_backs()
        found += gone.problems(self.spec, {"crm": self.crm, "books": self.books}, self._label, self.ways)
        found += self._checks()
        if not found and not any(self.ignored.values()):
            found += self._unused()
            found += self._required()
        found += self._references()
        return found

    def result(self) -> ResolvedMapping:
        """Return the mapping; call it only when there are no problems."""
        fields = tuple(self._linked(field) for field in self.fields.mapped)
        lines = tuple(self._linked(field) for field in self.lines.mapped) if self.lines else ()
        depends = {field.ref_mapping for field in (*fields, *lines) if field.ref_mapping} - {self.spec.mapping}
        spec, around = self.spec, self.around
        return ResolvedMapping(
            company=around.company,
            mapping=spec.mapping,
            neutral=self.neutral,
            crm_object=spec.crm,
            books_object=spec.books,
            crm_def=self.crm,
            books_def=self.books,
            crm_label=around.crm.label,
            books_label=around.books.label,
            direction=spec.direction,
            bind=spec.bind,
            to_books=spec.to_books,
            to_crm=spec.to_crm,
            write_back=self.write_back,
            id_field=self.id_field,
            fields=fields,
            lines=lines,
            depends=tuple(sorted(depends)),
            when_gone=gone.table(spec, {"crm": self.crm, "books": self.books}),
            check=spec.check,
        )

    def _label(self, side: Side) -> str:
        catalogue, name = (self.around.crm, self.spec.crm) if side == "crm" else (self.around.books, self.spec.books)
        return f"{name} of {catalogue.label}"

    def _object(self, side: Side) -> ObjectDef:
        return self.crm if side == "crm" else self.books

    def _section(self, at: str, words: Mapping[str, NeutralField]) -> Section:
        scopes: dict[Side, Scope] = {
            "crm": Scope(self.ignored.get(at, ()), lines=self.crm.lines is not None),
            "books": Scope(self.ignored.get(at, ()), lines=self.books.lines is not None),
        }
        crm = End(self._label("crm"), self.crm.fields, self.crm.custom)
        books = End(self._label("books"), self.books.fields, self.books.custom)
        return Section(at, crm, books, words, self.ways, scopes)

    def _line_section(self, words: Mapping[str, NeutralField]) -> Section | None:
        crm, books = self.crm.lines, self.books.lines
        if crm is None or books is None:
            return None
        # A child set is an object of its own and may have custom columns; a list inside the record has none.
        ends = (
            End(f"a line of {self._label('crm')}", crm.fields, self.crm.custom if crm.link else None),
            End(f"a line of {self._label('books')}", books.fields, self.books.custom if books.link else None),
        )
        own = self.ignored.get("lines", ())
        scopes = {"crm": Scope(own, header=self._known("crm")), "books": Scope(own, header=self._known("books"))}
        return Section("lines", *ends, words, self.ways, scopes)  # type: ignore[arg-type]  # str keys are Sides here

    def _known(self, side: Side) -> set[str]:
        """Return the names that one side's records can have values under."""
        own = {field.name for field in self.fields.mapped if field.on(side) is not None}
        return {*self._object(side).fields, *own, *self.ignored.get("fields", ())}

    def _ways(self) -> Iterator[Problem]:
        running = {way[0] for way in self.ways}
        for direction, source, target in WAYS:
            key, way = direction.value, self._way(direction)
            if direction not in running:
                if running and key in self.spec.model_fields_set:
                    yield Problem((key,), f"is given, but direction is {self.spec.direction.value}", f"no `{key}`")
                continue
            if way.operations in _CREATES and not self._object(target).creatable:
                yield Problem((key, "operations"), f"{self._label(target)} cannot be created", "update_only")
            yield from self._conditions((key, "create_when"), way, source)

    def _conditions(self, at: Path, way: WaySpec, source: Side) -> Iterator[Problem]:
        when = way.create_when
        for key in ("opportunity", "opportunity_stage"):
            if getattr(when, key) and "opportunity" not in self._object(source).related:
                expected = "`field:`, or no condition"
                yield Problem((*at, key), f"{self._label(source)} does not know of opportunities", expected)
        known = self._known(source)
        for name in when.field:
            if name not in known:
                message = f"{self._label(source)} has no field {name!r} in this mapping"
                expected = "a neutral field, or a word under `fields` that names a field of it"
                yield Problem((*at, "field", name), message, expected, suggest(name, known))

    def _way(self, direction: Direction) -> WaySpec:
        return self.spec.to_books if direction is Direction.TO_BOOKS else self.spec.to_crm

    def _bind(self) -> Iterator[Problem]:
        bind = self.spec.bind
        if bind.by == "criteria" and not bind.else_:
            yield Problem(("bind",), "is by criteria and names none", "else: [name], for example")
        words: list[tuple[Path, str]] = [(("bind", "else", at), word) for at, word in enumerate(bind.else_)]
        if bind.by == "full_name":
            words.append((("bind", "by"), "full_name"))
        sides: tuple[Side, Side] = ("crm", "books")
        for where, word in words:
            names = (*BIND_FIELDS[word], "name") if word == "full_name" else BIND_FIELDS[word]
            without = [side for side in sides if not any(name in self._known(side) for name in names)]
            if without:
                labels = " and ".join(self._label(side) for side in without)
                yield Problem(where, f"{labels} {'has' if len(without) == 1 else 'have'} no {word} to compare")
        if bind.id_field is not None:
            self.id_field, found = self._native(("bind", "id_field"), bind.id_field, FieldType.TEXT)
            yield from found

    def _write_backs(self) -> Iterator[Problem]:
        seen: dict[str, str] = {}
        for key, native in self.spec.write_back.items():
            at = ("write_back", key)
            definition, found = self._native(at, native, _WRITE_BACK[key])
            yield from found
            if definition is None:
                continue
            if not definition.writable:
                yield Problem(at, f"{native} of {self._label('crm')} cannot be written")
            if native in seen:
                yield Problem(at, f"is {native!r}, which {seen[native]!r} is written to already")
            seen[native] = key
            self.write_back[key] = definition

    def _checks(self) -> Iterator[Problem]:
        """Yield what is wrong with `check`: its fields have to be amounts, and lines have to go to the books."""
        check = self.spec.check.stated
        for key, name in check.items():
            at, definition = ("check", key), self._crm_field(name)
            if self.line is None or not any(way[0] is Direction.TO_BOOKS for way in self.ways):
                yield Problem(at, "is given, but no lines go to the books", "no `check`")
            elif name in self.ignored.get("fields", ()):
                continue
            elif definition is None:
                message = f"{self._label('crm')} has no field {name!r} in this mapping"
                expected = "a neutral field, or a word under `fields` that names a field of it"
                yield Problem(at, message, expected, suggest(name, self._known("crm")))
            elif KINDS[definition.type] != "number":
                yield Problem(at, f"{name} is {definition.type.value}", "a field of the type money or decimal")
        if check and "total" not in check:
            yield Problem(("check",), "names no total", "`total:` with the field that the lines have to come to")

    def _crm_field(self, name: str) -> FieldDef | None:
        mapped = next((field.crm for field in self.fields.mapped if field.name == name and field.crm), None)
        return mapped or self.crm.fields.get(name)

    def _native(self, at: Path, native: str, kind: FieldType) -> tuple[FieldDef | None, list[Problem]]:
        """Return the definition of a native field of the CRM that is named outside `fields`."""
        by_native = first_by_native(self.crm.fields)
        custom = self.crm.custom
        if native in by_native:
            found = by_native[native]
            if KINDS[found.type] != KINDS[kind]:
                return None, [Problem(at, f"{native} is {found.type.value}", f"a field of the type {kind.value}")]
            return found, []
        if custom is not None and custom.names(native):
            if custom.wrong(native):
                message = f"{native!r} cannot be the name of a field of {self._label('crm')}"
                return None, [Problem(at, message, CUSTOM_NAME)]
            length = custom.length if kind is FieldType.TEXT else None
            return FieldDef(native=native, type=kind, label=str(at[-1]), length=length), []
        more = f", or a custom field {custom.prefix}..." if custom else ""
        message = f"{self._label('crm')} has no field {native!r}"
        return None, [Problem(at, message, f"one of {listing(by_native)}{more}", suggest(native, by_native))]

    def _unused(self) -> Iterator[Problem]:
        """Yield fields that one side alone has and that nothing reads."""
        if not self.ways:
            return
        lines = self.lines.mapped if self.lines else ()
        header, line = set[str](), set[str]()
        for key in ("to_books", "to_crm"):
            found = expressions.reads((getattr(f, key) for f in self.fields.mapped), (getattr(f, key) for f in lines))
            header |= found[0]
            line |= found[1] | ({f.name for f in lines} if found[2] else set())
        header |= {*self.spec.to_books.create_when.field, *self.spec.to_crm.create_when.field}
        header |= {name for word in self.spec.bind.else_ for name in BIND_FIELDS[word]}
        header |= set(self.spec.check.stated.values())
        for section, mapped, read in ((self.header, self.fields.mapped, header), (self.line, lines, line)):
            for field in mapped if section else ():
                lonely = (field.crm is None) != (field.books is None) and not any(written(self.ways, field))
                if lonely and not any(expressions.longest(name, (field.name,)) for name in read):
                    missing: Side = "books" if field.books is None else "crm"
                    yield self._goes_nowhere(section, field.name, missing)

    def _goes_nowhere(self, section: Section | None, name: str, missing: Side) -> Problem:
        known = {*section.crm.fields, *section.books.fields} - {name} if section else ()
        label = self._label(missing)
        message = f"goes nowhere: {label} has no field {name!r}, and no condition or expression reads it"
        at = section.at if section else "fields"
        return Problem((at, name), message, f"`{missing}:` with a field of {label}", suggest(name, known))

    def _required(self) -> Iterator[Problem]:
        """Yield what a create on the target needs and nothing gives."""
        for way in self.ways:
            direction, source, target = way
            if self._way(direction).operations not in _CREATES:
                continue
            fields = [definition for f in self.fields.mapped if sent(f, way) and (definition := f.on(target))]
            given = {definition.native for definition in fields}
            for name, definition in self._object(target).fields.items():
                if definition.required and definition.native not in given:
                    yield self._lacks(("fields", name), direction, target, name)
            lines = self._object(target).lines
            if lines is not None and lines.required and self._object(source).lines is None:
                yield Problem(("direction",), f"{self._label(target)} needs lines, {self._label(source)} has none")
            if lines is not None and self.lines is not None and self.lines.mapped:
                given_lines = {f.name for f in self.lines.mapped if sent(f, way)}
                for name, definition in lines.fields.items():
                    if definition.required and name not in given_lines:
                        yield self._lacks(("lines", name), direction, target, name)

    def _lacks(self, at: Path, direction: Direction, target: Side, name: str) -> Problem:
        message = f"{self._label(target)} is not created without {name!r}, and nothing gives it ({direction.value})"
        return Problem(at, message, f"`default_{target}`, an expression, or a field with the owner on the other side")

    def _candidates(self, ref: str) -> list[str]:
        return sorted(name for name, neutral in self.around.neutral_of.items() if neutral == ref)

    def _references(self) -> Iterator[Problem]:
        for at, resolved in (("fields", self.fields), ("lines", self.lines)):
            for field in resolved.mapped if resolved else ():
                if field.ref is None or (field.crm is None) != (field.books is None):
                    continue
                found = self._candidates(field.ref)
                if len(found) == 1:
                    continue
                if not found and self.around.unclear:
                    self.complete = False
                elif not found:
                    message = f"refers to a record of {field.ref!r}, and no mapping of the company is about those"
                    yield Problem((at, field.name), message, f"such a mapping, or `{field.name}: {{skip: true}}`")
                else:
                    message = f"refers to a record of {field.ref!r}, which several mappings are about: {listing(found)}"
                    yield Problem((at, field.name), message, f"one such mapping, or `{field.name}: {{skip: true}}`")

    def _linked(self, field: MappedField) -> MappedField:
        if field.ref is None or field.crm is None or field.books is None:
            return field
        return field.model_copy(update={"ref_mapping": self._candidates(field.ref)[0]})
