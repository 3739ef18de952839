"""Reads the catalogues of the systems and the neutral words, and holds the ones to the others."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath

from iw_operators.spec.catalogue import Catalogue, FieldDef, FieldType, Model, ObjectDef
from iw_operators.spec.document import Document
from iw_operators.spec.errors import Path, Problem, SpecError, listing, suggest
from iw_operators.spec.form import check

PACKAGE = FilePath(__file__).resolve().parent.parent
LINES = "lines[]."

# Types that carry the same kind of value. Within a kind a catalogue may be more or less strict than the neutral word.
KINDS: Mapping[FieldType, str] = {
    FieldType.TEXT: "text",
    FieldType.MEMO: "text",
    FieldType.PHONE: "text",
    FieldType.EMAIL: "text",
    FieldType.INTEGER: "number",
    FieldType.DECIMAL: "number",
    FieldType.MONEY: "number",
    FieldType.BOOLEAN: "boolean",
    FieldType.DATE: "time",
    FieldType.DATETIME: "time",
    FieldType.REF: "ref",
}


class NeutralField(Model):
    """One neutral word."""

    type: FieldType
    label: str
    ref: str | None = None


Neutral = Mapping[str, Mapping[str, NeutralField]]


class Library:
    """The catalogues of one installation, each read once.

    :param systems: folder whose sub-folders hold `catalogue.yaml`.
    :param neutral: file of the neutral words.
    """

    def __init__(self, systems: FilePath = PACKAGE / "systems", neutral: FilePath = PACKAGE / "spec/neutral.yaml"):
        self._systems = systems
        self._neutral_file = neutral
        self._read: dict[str, tuple[Catalogue | None, tuple[SpecError, ...]]] = {}

    def systems(self) -> list[str]:
        """Return the names of the systems that have a catalogue."""
        return sorted(path.parent.name for path in self._systems.glob("*/catalogue.yaml"))

    def catalogue(self, system: str) -> tuple[Catalogue | None, tuple[SpecError, ...]]:
        """Return a system's catalogue, or None and its errors. A system that does not exist has no errors."""
        if system not in self._read:
            path = self._systems / system / "catalogue.yaml"
            self._read[system] = self._load(path) if path.is_file() else (None, ())
        return self._read[system]

    @functools.cached_property
    def neutral(self) -> Neutral:
        """The neutral objects with their fields; lines as `lines[].<field>`.

        :raises ValueError: the file is wrong; it belongs to this package and not to a consultant.
        """
        document = Document.read(self._neutral_file)
        result: dict[str, dict[str, NeutralField]] = {}
        errors = list(document.errors)
        for name, fields in (document.data or {}).items():
            result[name] = {}
            for field, definition in fields.items():
                model, problems = check(NeutralField, definition, (name, field))
                errors.extend(document.error(problem) for problem in problems)
                if model is not None:
                    result[name][field] = model
        if errors:
            raise ValueError("\n".join(map(str, errors)))
        return result

    def _load(self, path: FilePath) -> tuple[Catalogue | None, tuple[SpecError, ...]]:
        document = Document.read(path)
        if document.errors:
            return None, tuple(document.errors)
        catalogue, problems = check(Catalogue, document.data)
        if catalogue is not None:
            problems = list(consistency(catalogue, self.neutral, path.parent.name))
        return catalogue if not problems else None, tuple(document.error(problem) for problem in problems)


@functools.cache
def library() -> Library:
    """Return the catalogues of this package."""
    return Library()


def consistency(catalogue: Catalogue, neutral: Neutral, folder: str) -> Iterable[Problem]:
    """Yield where a catalogue does not agree with its folder, the neutral words or itself."""
    if catalogue.system != folder:
        yield Problem(("system",), f"is {catalogue.system!r}", f"the folder's name, {folder!r}")
    for name, definition in catalogue.objects.items():
        yield from _object(definition, neutral, ("objects", name))


def _object(definition: ObjectDef, neutral: Neutral, at: Path) -> Iterable[Problem]:
    words: dict[str, NeutralField] = {}
    for position, name in enumerate(definition.neutral):
        if name not in neutral:
            hint = suggest(name, neutral)
            yield Problem((*at, "neutral", position), f"unknown neutral object {name!r}", listing(neutral), hint)
        words |= neutral.get(name, {})
    if any(name not in neutral for name in definition.neutral):
        return  # without its words every field would be an error
    headers = {word: field for word, field in words.items() if not word.startswith(LINES)}
    lines = {word.removeprefix(LINES): field for word, field in words.items() if word.startswith(LINES)}
    yield from _fields(definition.fields, headers, (*at, "fields"))
    if definition.lines is not None:
        yield from _fields(definition.lines.fields, lines, (*at, "lines", "fields"))
    if definition.name not in definition.fields:
        yield Problem((*at, "name"), f"is {definition.name!r}, which is not among the fields")


def _fields(fields: Mapping[str, FieldDef], words: Mapping[str, NeutralField], at: Path) -> Iterable[Problem]:
    for name, field in fields.items():
        where, word = (*at, name), words.get(name)
        if word is None:
            yield Problem(where, f"unknown neutral field {name!r}", listing(words), suggest(name, words))
            continue
        if KINDS[field.type] != KINDS[word.type]:
            yield Problem(where, f"has the type {field.type.value}", f"{word.type.value}, as the neutral field")
        if field.ref != word.ref:
            yield Problem(where, f"refers to {field.ref or 'nothing'}", f"ref: {word.ref}" if word.ref else "no ref")
        if field.lookup is not None and KINDS[field.type] != "text":
            yield Problem(where, f"is a lookup of the type {field.type.value}", "a lookup's type is text")
        if (field.required or field.create_only) and not field.writable:
            yield Problem(where, "is required or create_only, and not writable", "writable: true")
