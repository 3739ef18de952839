"""One field in one direction: from the source's value to what is sent, compiled once for the mapping."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from iw_operators.engine import compare
from iw_operators.engine.check import missing
from iw_operators.engine.compare import Owned, Same
from iw_operators.engine.convert import Converter, as_text, converter
from iw_operators.engine.expressions import Expression, ExpressionError
from iw_operators.engine.model import Await, Scalar, Value, Values, scalar
from iw_operators.engine.problems import (
    EXPRESSION,
    LOOKUP_MISSING,
    REFERENCE_MISSING,
    VALUE_UNMAPPED,
    Bad,
    Names,
    Problem,
    printable,
    show,
)
from iw_operators.spec.catalogue import FieldDef, FieldType
from iw_operators.spec.models import Owner
from iw_operators.spec.resolved import MappedField, Side

PLAIN: Final = "lines[]."


def plain_name(name: str) -> str:
    """Return a line field's name within its line, however it is written."""
    return name.removeprefix(PLAIN)


@dataclass(frozen=True, slots=True)
class Way:
    """A direction, as its fields need to know it."""

    source: Side
    target: Side
    names: Names
    zone: dt.tzinfo
    returns: bool  # the other direction runs too and may update


@dataclass(frozen=True, slots=True)
class Delivery:
    """One field as one direction handles it.

    `owner` is seen from the direction; a field that the other direction cannot bring counts as the source's. `path`
    names it in messages and in `Wants` (`lines[].item` for a field of a line).
    """

    name: str
    path: str
    owner: Owned
    source: FieldDef | None
    target: FieldDef | None
    sends: bool  # may be sent at all in this direction
    updates: bool  # may be sent in an update
    expression: Expression | None
    same: Same
    ref_mapping: str | None
    optional: bool  # a reference without a partner is left out, instead of holding the record
    zero_is_empty: bool  # as long as both sides have never been in step: not every system can leave a number empty
    _convert: Converter = field(repr=False)
    _words: Mapping[str, str] = field(repr=False)
    _known: str = field(repr=False)  # the words that it translates, as the mapping writes them
    _default: Scalar = field(repr=False)
    _names: Names = field(repr=False)

    @property
    def required(self) -> bool:
        """Whether the target refuses a record without it."""
        return self.target is not None and self.target.required

    @property
    def is_lookup(self) -> bool:
        """Whether the target has to have its text in a list."""
        return self.target is not None and self.target.lookup is not None

    @property
    def is_wanting(self) -> bool:
        """Whether something has to be looked up before it can be sent."""
        return self.ref_mapping is not None or self.is_lookup

    def value(self, values: Mapping[str, Value], header: Values | None = None) -> tuple[Scalar, bool]:
        """Return the value to be sent, references still as the source's ids, and whether it is a mere default.

        :raises Bad: the source's value cannot go.
        """
        raw = values.get(self.name) if self.source is not None else None
        if self.expression is not None:
            raw = self._computed(self.expression, values, raw, header)
        if self._words and raw is not None and raw != "":
            raw = self._translated(raw)
        converted = self._convert(raw)
        if converted is None and self._default is not None:
            return self._convert(self._default), True
        return converted, False

    def was(self, values: Values, base: Values) -> bool | None:
        """Tell whether the source's side of the field has changed since the base; None where the base lacks it."""
        if self.source is not None and self.name not in base:
            return None
        changed = self.source is not None and not compare.same(values.get(self.name), base[self.name])
        if changed or self.expression is None:
            return changed
        if any(name not in base for name in self.expression.fields):
            return None
        now = {name: values.get(name) for name in self.expression.fields}
        then = {name: base[name] for name in self.expression.fields}
        if self.expression.uses_lines:
            now["lines"], then["lines"] = values.get("lines"), base.get("lines")
        return any(not compare.same(now[name], then[name]) for name in now)

    def is_unsaid(self, value: Scalar, base_target: Values) -> bool:
        """Tell whether a value is a zero that may stand for nothing, in a field that was never in step."""
        number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
        return number and not value and self.zero_is_empty and self.name not in base_target

    def _computed(
        self, expression: Expression, values: Mapping[str, Value], raw: Value, header: Values | None
    ) -> Scalar:
        try:
            return scalar(expression.evaluate(values, raw, header))
        except ExpressionError as error:
            message = f"{self.path}: the expression `{expression.source}` fails: {printable(str(error))}"
            advice = f"Correct the record in {self._names.source}, or the expression in the mapping."
            raise Bad(Problem(self.path, EXPRESSION, message, advice)) from None

    def _translated(self, raw: Value) -> str:
        try:
            key = (as_text(raw) or "").strip().casefold()
        except ValueError:
            key = ""
        word = self._words.get(key)
        if word is not None:
            return word
        message = f"{self.path} is {show(raw)}, which the mapping's values do not translate"
        advice = f"Known are {self._known}; add it to the values, or correct {self._names.source}."
        raise Bad(Problem(self.path, VALUE_UNMAPPED, message, advice))

    def translated(
        self, value: Scalar, references: Mapping[str, Mapping[str, str]], lookups: Mapping[str, Mapping[str, str]]
    ) -> Scalar:
        """Return the value with a reference as the target's id; a lookup is only made sure of, and stays text.

        :raises Bad: the reference has no partner yet, or the list lacks the text (both held).
        """
        if self.ref_mapping is not None:
            return self._reference(str(value), references.get(self.ref_mapping, {}))
        if self.is_lookup and isinstance(value, str) and value not in lookups.get(self.path, {}):
            message = f"{self.path} is {show(value)}, which {self._names.target} does not have in its list"
            advice = (
                f"Add it in {self._names.target}, and the record goes by itself within the time that the company gives"
                f" (held_minutes); or correct it in {self._names.source}."
            )
            raise Bad(Problem(self.path, LOOKUP_MISSING, message, advice, held=True))
        return value

    def _reference(self, source_id: str, partners: Mapping[str, str]) -> str:
        partner = partners.get(source_id)
        if partner is not None:
            return partner
        mapping = str(self.ref_mapping)
        what = f"{printable(source_id)} of {mapping}"
        message = f"{self.path} refers to {what}, which has no partner in {self._names.target} yet"
        advice = f"It goes by itself once {mapping} has brought that record; look at why it has not."
        awaits = (Await(mapping, source_id),)
        raise Bad(Problem(self.path, REFERENCE_MISSING, message, advice, held=True, awaits=awaits))

    def missing(self, path: str = "") -> Problem:
        """Return the problem of a required field without a value."""
        return missing(path or self.path, self._names)


def delivery(
    mapped: MappedField,
    way: Way,
    known: Collection[str],
    *,
    header: Collection[str] | None = None,
    line_names: Collection[str] = (),
) -> Delivery:
    """Compile one mapped field for one direction.

    :param known: names that an expression may use; `header` and `line_names` as for `Expression`.
    :raises FixConfiguration: its expression is wrong.
    """
    name = plain_name(mapped.name)
    path = name if header is None else f"{PLAIN}{name}"
    source, target = mapped.on(way.source), mapped.on(way.target)
    text = mapped.to_books if way.target == "books" else mapped.to_crm
    default = mapped.default_books if way.target == "books" else mapped.default_crm
    expression = Expression(text, known, header=header, line_names=line_names) if text is not None else None
    sends = target is not None and target.writable and (source is not None or text is not None or default is not None)
    owner = _owner(mapped, way)
    definition = target or source or FieldDef(native="")
    return Delivery(
        name=name,
        path=path,
        owner=owner,
        source=source,
        target=target,
        sends=sends and (owner is not Owned.TARGET or definition.required),
        updates=sends and owner is not Owned.TARGET and not definition.create_only,
        expression=expression,
        same=compare.comparer(definition, _canonical(mapped, way)),
        ref_mapping=mapped.ref_mapping if definition.type is FieldType.REF else None,
        optional=mapped.optional,
        zero_is_empty=owner is Owned.LATEST or way.source == "crm",
        _convert=converter(path, definition, way.names, way.zone, shorten=mapped.shorten),
        _words=_words(mapped, way),
        _known=", ".join(sorted(mapped.values.keys() if way.source == "crm" else set(mapped.values.values()))),
        _default=default,
        _names=way.names,
    )


def _owner(mapped: MappedField, way: Way) -> Owned:
    if mapped.owner is not Owner.LATEST:
        return Owned.SOURCE if mapped.owner.value == way.source else Owned.TARGET
    back = mapped.on(way.source)
    comes_back = way.returns and back is not None and back.writable and not back.create_only
    return Owned.LATEST if comes_back else Owned.SOURCE


def _words(mapped: MappedField, way: Way) -> dict[str, str]:
    """Return the value map of a direction. Of several CRM words for one word of the books, the first comes back."""
    pairs = mapped.values.items() if way.source == "crm" else ((right, left) for left, right in mapped.values.items())
    words: dict[str, str] = {}
    for left, right in pairs:
        words.setdefault(left.strip().casefold(), right)
    return words


def _canonical(mapped: MappedField, way: Way) -> dict[str, str]:
    if way.target == "books":
        return {}
    return {left.strip().casefold(): right.strip().casefold() for left, right in mapped.values.items()}
