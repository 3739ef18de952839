"""The first half of planning: what each record would send, and what has to be looked up before that can be decided."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from iw_operators.engine import money
from iw_operators.engine.check import unstorable
from iw_operators.engine.compare import Owned
from iw_operators.engine.matching import (
    ID_FIELD,
    Criterion,
    Normaliser,
    criteria_key,
    full_name_key,
    id_key,
)
from iw_operators.engine.model import LINES, Line, Record, Scalar, Values, lines_of
from iw_operators.engine.problems import AMOUNT_MISMATCH, RATE_MISSING, UNEXPECTED, Bad, Names, Problem, printable
from iw_operators.engine.totals import Totals
from iw_operators.engine.transform import PLAIN, Delivery
from iw_operators.spec.catalogue import ObjectDef
from iw_operators.spec.resolved import Side

CURRENCY = "currency"
RATE = "exchange_rate"


@dataclass(frozen=True, slots=True)
class Prepared:
    """One record with what it would send.

    `values` and `lines` hold references still as the source's ids. `defaulted` names the values that are defaults.
    `keys` are the match keys, best first; `lacking` says which component of the criteria the record does not have.
    """

    record: Record
    values: Mapping[str, Scalar] = field(default_factory=dict)
    defaulted: frozenset[str] = frozenset()
    lines: tuple[Line, ...] = ()
    problems: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    lacking: str = ""
    named_id: str | None = None  # the partner's id that the record itself names


@dataclass(slots=True)
class Wants:
    """What has to be looked up for a page.

    :param references: mapping -> the source's ids whose partners are needed.
    :param lookups: field -> texts that the target's list has to have; see `Compiled.lookup_fields`.
    :param keys: match keys to ask candidates for.
    :param ids: source id -> id of the target that the record itself names.
    """

    references: dict[str, set[str]] = field(default_factory=dict)
    lookups: dict[str, set[str]] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    ids: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preparer:
    """Prepares the records of one mapping in one direction."""

    fields: tuple[Delivery, ...]  # those that may be sent
    lines: tuple[Delivery, ...]
    wanting: tuple[Delivery, ...]  # references and lookups among them
    wanting_lines: tuple[Delivery, ...]
    source: Side
    kept: tuple[str, ...]  # what the source's side of the base remembers, of the header and of the lines
    kept_lines: tuple[str, ...]
    names: Names
    base_currency: str
    by_id: bool  # `bind.by` is id, and the CRM has a field that holds it
    by_full_name: str  # the source's field that holds the full name, where `bind.by` is full_name
    criteria: tuple[Criterion, ...]
    normaliser: Normaliser
    rate: Delivery | None  # the exchange rate, if the mapping has it
    checks_rate: bool
    totals: Totals

    def prepare(self, records: Sequence[Record], bound: Collection[str]) -> tuple[list[Prepared], Wants]:
        """Return the records in the same order, and what they want. Raises nothing for a bad record."""
        wants = Wants()
        made: list[Prepared] = []
        for record in records:
            try:
                prepared = self._record(record, record.id not in bound)
            except Exception as error:  # noqa: BLE001 - one bad record never stops a flow; it is rejected with this text
                prepared = Prepared(record, problems={"": (unexpected(error),)})
            made.append(prepared)
            self._want(prepared, wants)
        return made, wants

    def _record(self, record: Record, unbound: bool) -> Prepared:
        if record.deleted:
            return Prepared(record)
        source = record.values
        values: dict[str, Scalar] = {}
        defaulted: list[str] = []
        found = self._unstorable(source)
        for each in self.fields:
            if each.name in found:
                continue
            try:
                values[each.name], default = each.value(source)
                if default:
                    defaulted.append(each.name)
            except Bad as bad:
                found[each.name] = (bad.problem,)
        lines: tuple[Line, ...] = ()
        if self.lines and LINES not in found:
            lines, line_problems = self._lines(source)
            if line_problems:
                found[LINES] = line_problems
            elif found.keys().isdisjoint(self.totals.fields) and (off := self.totals.problem(values, source, lines)):
                found[LINES] = (off,)
        if self.checks_rate and RATE not in found:
            self._rate(source, values, found)
        keys, lacking, named = self._keys(record, values) if unbound else ((), "", None)
        return Prepared(record, values, frozenset(defaulted), lines, found, keys, lacking, named)

    def _unstorable(self, source: Values) -> dict[str, tuple[Problem, ...]]:
        """Return the problems of what the base would remember and no database can store."""
        found: dict[str, tuple[Problem, ...]] = {}
        for name in self.kept:
            value = source.get(name)
            if isinstance(value, str) and (problem := unstorable(value, name, self.names)) is not None:
                found[name] = (problem,)
        for position, line in enumerate(lines_of(source), start=1):
            for name in self.kept_lines:
                value = line.get(name)
                if isinstance(value, str) and (problem := unstorable(value, line_path(name, position), self.names)):
                    found[LINES] = (*found.get(LINES, ()), problem)
        return found

    def _lines(self, source: Values) -> tuple[tuple[Line, ...], tuple[Problem, ...]]:
        made: list[Line] = []
        found: list[Problem] = []
        for position, line in enumerate(lines_of(source), start=1):
            values: dict[str, Scalar] = {}
            for each in self.lines:
                try:
                    values[each.name], _ = each.value(line, source)
                except Bad as bad:
                    found.append(at_line(bad.problem, position))
                    continue
                if values[each.name] is None and each.required:
                    found.append(each.missing(line_path(each.name, position)))
            if (problem := self._amount(values, position)) is not None:
                found.append(problem)
            made.append(values)
        return tuple(made), tuple(found)

    def _amount(self, line: Line, position: int) -> Problem | None:
        expected = money.amount_off(line)
        if expected is None:
            return None
        path = line_path("amount", position)
        message = f"{path} is {line['amount']}, but {line['quantity']} x {line['price']} is {expected}"
        advice = f"Correct quantity, price or amount in {self.names.source}."
        return Problem(path, AMOUNT_MISMATCH, message, advice)

    def _rate(self, source: Values, values: dict[str, Scalar], found: dict[str, tuple[Problem, ...]]) -> None:
        """Refuse a foreign record without an exchange rate; leave it out of one in the books' currency or in none."""
        currency = values.get(CURRENCY) or source.get(CURRENCY)
        if not isinstance(currency, str) or not currency.strip():
            if not values.get(RATE):  # the zero of a CRM whose numbers cannot be empty is no rate
                values.pop(RATE, None)
            return
        if currency.strip().upper() == self.base_currency:
            values.pop(RATE, None)
            return
        rate = values.get(RATE)
        if isinstance(rate, Decimal) and rate > 0:
            return
        what = "empty" if rate is None else rate
        message = f"{RATE} is {what} for {CURRENCY} {currency.strip()}; the books are kept in {self.base_currency}"
        advice = f"Fill in the exchange rate in {self.names.source}."
        only = self.rate is None or not self.rate.updates
        found[RATE] = (Problem(RATE, RATE_MISSING, message, advice, create_only=only),)

    def _keys(self, record: Record, values: Mapping[str, Scalar]) -> tuple[tuple[str, ...], str, str | None]:
        seen: Values = {**record.values, **{name: value for name, value in values.items() if value is not None}}
        keys: list[str | None] = []
        named: str | None = None
        if self.by_id:
            own = record.values.get(ID_FIELD) if self.source == "crm" else record.id
            keys.append(id_key(own))
            named = (str(own).strip() or None) if self.source == "crm" and own is not None else None
        if self.by_full_name:
            keys.append(full_name_key(seen.get(self.by_full_name), self.normaliser))
        criteria, lacking = criteria_key(self.criteria, seen)
        keys.append(criteria)
        return tuple(key for key in keys if key is not None), lacking, named

    def _want(self, prepared: Prepared, wants: Wants) -> None:
        wants.keys.update(prepared.keys)
        if prepared.named_id is not None:
            wants.ids[prepared.record.id] = prepared.named_id
        for each in self.wanting:
            _want(each, prepared.values.get(each.name), wants)
        if self.wanting_lines:
            for line in prepared.lines:
                for each in self.wanting_lines:
                    _want(each, line.get(each.name), wants)


def _want(each: Delivery, value: Scalar, wants: Wants) -> None:
    if value is None:
        return
    if each.ref_mapping is not None:
        wants.references.setdefault(each.ref_mapping, set()).add(str(value))
    elif each.is_lookup and isinstance(value, str):
        wants.lookups.setdefault(each.path, set()).add(value)


def line_path(name: str, position: int) -> str:
    """Return how messages call a field of a line; positions count from 1."""
    return f"{LINES}[{position}].{name}"


def at_line(problem: Problem, position: int) -> Problem:
    """Return a line field's problem with the line's position in its field and message."""
    plain = problem.field.removeprefix(PLAIN)
    path = line_path(plain, position)
    return Problem(
        field=path,
        code=problem.code,
        message=problem.message.replace(problem.field, path, 1),
        advice=problem.advice,
        held=problem.held,
        create_only=problem.create_only,
        awaits=problem.awaits,
    )


def unexpected(error: Exception) -> Problem:
    """Return the problem of a record that makes the engine itself fail."""
    text = printable(str(error))[:200]
    message = f"the record cannot be planned: {type(error).__name__}{f': {text}' if text else ''}"
    return Problem("", UNEXPECTED, message, "Look at the record for values of an unusual kind, and report this text.")


def delivers_lines(lines: Sequence[Delivery], definition: ObjectDef) -> bool:
    """Tell whether a direction sends lines at all: its own, or because the target cannot be created without."""
    sent = [each for each in lines if each.sends]
    needed = definition.lines is not None and definition.lines.required
    return any(each.owner is not Owned.TARGET for each in sent) or (needed and bool(sent))
