"""The second half of planning for one record: what a create or an update comes to, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from iw_operators.engine import compare
from iw_operators.engine.check import missing
from iw_operators.engine.compare import Outcome, Owned, Same
from iw_operators.engine.model import (
    LINES,
    Action,
    Await,
    Binding,
    Change,
    Decision,
    Line,
    Record,
    Scalar,
    Value,
    Values,
    lines_of,
)
from iw_operators.engine.prepare import Prepared, at_line
from iw_operators.engine.problems import CONFLICT, Bad, Names, Problem, show, summary
from iw_operators.engine.shape import Shape
from iw_operators.engine.transform import Delivery
from iw_operators.spec.models import Operations

Lookup: TypeAlias = Mapping[str, Mapping[str, str]]


@dataclass(slots=True)
class _Result:
    """What the fields of one record come to, collected one after another."""

    changes: list[Change] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    conflict_changes: list[Change] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    target: dict[str, Value] = field(default_factory=dict)  # becomes the base of the target's side
    awaits: list[Await] = field(default_factory=list)  # references that the record goes without
    unsettled: set[str] = field(default_factory=set)  # fields that these stand in


@dataclass(frozen=True, slots=True)
class Stepper:
    """Compares records with their partners and makes new ones, for one mapping in one direction."""

    fields: tuple[Delivery, ...]  # those that may be sent
    lines: tuple[Delivery, ...]
    lines_owner: Owned
    lines_required: bool
    source: Shape
    target: Shape
    names: Names
    operations: Operations

    def source_projection(self, record: Record) -> dict[str, Value]:
        """Return what the source's side of the base will be."""
        return self._projection(self.source, record)

    def create(self, prepared: Prepared, references: Lookup, lookups: Lookup, why: str, label: str) -> Decision:
        """Return the decision for a record that is to be created: create, held or rejected."""
        record = prepared.record
        result = _Result()
        send: dict[str, Value] = {}
        for each in self.fields:
            if each.name in prepared.problems:
                result.problems.extend(prepared.problems[each.name])
                continue
            value: Value = prepared.values.get(each.name)
            if value is not None:
                try:
                    value = self._translated(each, prepared.values[each.name], references, lookups, each.name, result)
                except Bad as bad:
                    result.problems.append(bad.problem)
                    continue
                if value is not None:
                    send[each.name] = value
            elif each.required:
                result.problems.append(each.missing())
            if each.owner is not Owned.TARGET:
                result.target[each.name] = value
        if self.lines:
            self._create_lines(prepared, references, lookups, send, result)
        self._other_problems(prepared, result)
        if result.problems:
            return self.stopped(record, summary(result.problems))
        return Decision(
            action=Action.CREATE,
            source_id=record.id,
            why=why,
            label=label,
            source_version=_version(record, result),
            changes=tuple(Change(name, None, value) for name, value in send.items()),
            send=send,
            source=self._settled(record, result),
            target=result.target,
            awaits=tuple(dict.fromkeys(result.awaits)),
        )

    @staticmethod
    def _translated(
        each: Delivery, value: Scalar, references: Lookup, lookups: Lookup, name: str, result: _Result
    ) -> Scalar:
        """Return the value for the target; None for an optional reference without a partner, which is noted.

        :param name: the field that becomes unsettled: its own, or that of the lines.
        :raises Bad: the value cannot go, or has to wait.
        """
        try:
            return each.translated(value, references, lookups)
        except Bad as bad:
            if not (each.optional and bad.problem.awaits):
                raise
            result.awaits.extend(bad.problem.awaits)
            result.unsettled.add(name)
            return None

    def _settled(self, record: Record, result: _Result) -> dict[str, Value]:
        """Return the source's side of the base, without the fields that the target still lacks a reference of.

        Without them in the base, the field counts as never synced: it goes as soon as its partner is there.
        """
        return {name: value for name, value in self.source_projection(record).items() if name not in result.unsettled}

    def _create_lines(
        self, prepared: Prepared, references: Lookup, lookups: Lookup, send: dict[str, Value], result: _Result
    ) -> None:
        if LINES in prepared.problems:
            result.problems.extend(prepared.problems[LINES])
            return
        lines, found = self._translated_lines(prepared.lines, references, lookups, result)
        result.problems.extend(found)
        if lines:
            send[LINES] = _without_none(lines)
        elif self.lines_required:
            result.problems.append(missing(LINES, self.names))
        if self.lines_owner is not Owned.TARGET:
            result.target[LINES] = lines

    def update(
        self,
        prepared: Prepared,
        partner: Record,
        binding: Binding | None,
        references: Lookup,
        lookups: Lookup,
        how: str,
        label: str,
    ) -> Decision:
        """Return the decision for a record that has a partner: update, unchanged, held or rejected.

        :param binding: None where the record has found its partner just now.
        :param how: how it came by its partner.
        """
        record = prepared.record
        base_source: Values = binding.base_source if binding else {}
        base_target: Values = binding.base_target if binding else {}
        result = _Result(target={name: base_target[name] for name in self._kept(self.target) if name in base_target})
        for each in self.fields:
            if each.updates:
                self._field(each, prepared, partner, base_source, base_target, references, lookups, result)
        if self.lines and self.lines_owner is not Owned.TARGET:
            self._lines(prepared, partner, base_source, base_target, references, lookups, result)
        self._other_problems(prepared, result, update=True)
        if result.problems:
            return self.stopped(record, summary(result.problems), partner)
        if result.conflicts:
            return self._conflict(record, partner, result)
        if result.changes and self.operations is Operations.CREATE_ONLY:
            return self._not_permitted(record, partner, binding, base_target, result)
        return Decision(
            action=Action.UPDATE if result.changes else Action.UNCHANGED,
            source_id=record.id,
            why=_what(result, how),
            label=label,
            target_id=partner.id,
            target_version=partner.version if result.changes else "",
            source_version=_version(record, result),
            changes=tuple(result.changes),
            send={change.field: _sent(change.new) for change in result.changes},
            source=self._settled(record, result),
            target=result.target,
            binds=binding is None,
            generation=binding.generation if binding else 0,
            awaits=tuple(dict.fromkeys(result.awaits)),
        )

    def _field(
        self,
        each: Delivery,
        prepared: Prepared,
        partner: Record,
        base_source: Values,
        base_target: Values,
        references: Lookup,
        lookups: Lookup,
        result: _Result,
    ) -> None:
        name, values = each.name, prepared.record.values
        current = partner.values.get(name)
        value: Scalar = prepared.values.get(name)
        found = prepared.problems.get(name, ())
        if not found and value is not None and each.ref_mapping is not None:
            try:
                value = self._translated(each, value, references, lookups, name, result)
            except Bad as bad:
                found = (bad.problem,)
        if found:
            if each.owner is not Owned.LATEST or each.was(values, base_source) is not False:
                result.problems.extend(found)
            return
        if each.same(value, current):
            result.target[name] = current
            return
        empty = value is None or (
            current is not None and (name in prepared.defaulted or each.is_unsaid(value, base_target))
        )
        source_changed = each.was(values, base_source) if empty or each.owner is Owned.LATEST else None
        target_changed = None if name not in base_target else not compare.same(current, base_target[name])
        outcome = compare.decide(each.owner, empty=empty, source_changed=source_changed, target_changed=target_changed)
        if outcome is Outcome.LEAVE:
            return
        if outcome is Outcome.CONFLICT:
            self._conflicts(name, base_source, base_target, values.get(name), current, value, result)
            return
        if value is None and each.required:
            result.problems.append(each.missing())
            return
        if each.is_lookup and value is not None:
            try:
                each.translated(value, references, lookups)
            except Bad as bad:
                result.problems.append(bad.problem)
                return
        result.changes.append(Change(name, current, value))
        result.target[name] = value

    def _lines(
        self,
        prepared: Prepared,
        partner: Record,
        base_source: Values,
        base_target: Values,
        references: Lookup,
        lookups: Lookup,
        result: _Result,
    ) -> None:
        now, current = lines_of(prepared.record.values), lines_of(partner.values)
        source_changed = not compare.same_as_base(now, lines_of(base_source)) if LINES in base_source else None
        target_changed = not compare.same_as_base(current, lines_of(base_target)) if LINES in base_target else None
        found = prepared.problems.get(LINES, ())
        lines: tuple[Line, ...] = ()
        if not found:
            lines, found = self._translated_lines(prepared.lines, references, lookups, result, current)
        if found:
            if self.lines_owner is not Owned.LATEST or source_changed is not False:
                result.problems.extend(found)
            return
        if self._same_lines(lines, current, strict=bool(source_changed)):
            result.target[LINES] = _projected(current, self.target.kept_lines)
            return
        outcome = compare.decide(
            self.lines_owner, empty=not lines, source_changed=source_changed, target_changed=target_changed
        )
        if outcome is Outcome.LEAVE:
            return
        old = _projected(current, tuple(each.name for each in self.lines))
        if outcome is Outcome.CONFLICT:
            self._conflicts(LINES, base_source, base_target, now, old, lines, result)
        elif not lines and self.lines_required:
            result.problems.append(missing(LINES, self.names))
        else:
            result.changes.append(Change(LINES, old, lines))
            result.target[LINES] = lines

    def _same_lines(self, lines: tuple[Line, ...], current: tuple[Line, ...], *, strict: bool) -> bool:
        """Compare lines as a whole. What is None on the source's side says nothing, unless its lines have changed."""
        if len(lines) != len(current):
            return False
        comparisons: list[tuple[str, Same]] = [(each.name, each.same) for each in self.lines]
        for mine, theirs in zip(lines, current, strict=True):
            for name, same in comparisons:
                value = mine.get(name)
                if (value is not None or strict) and not same(value, theirs.get(name)):
                    return False
        return True

    def _translated_lines(
        self,
        lines: tuple[Line, ...],
        references: Lookup,
        lookups: Lookup,
        result: _Result,
        current: tuple[Line, ...] = (),
    ) -> tuple[tuple[Line, ...], tuple[Problem, ...]]:
        """Return lines with references as the target's ids. Texts of lists are looked up where they change."""
        made: list[Line] = []
        found: list[Problem] = []
        special = [each for each in self.lines if each.ref_mapping is not None or each.is_lookup]
        if not special:
            return lines, ()
        for position, line in enumerate(lines):
            translated = dict(line)
            old = current[position] if position < len(current) else {}
            for each in special:
                value = line.get(each.name)
                if value is None or (each.is_lookup and each.same(value, old.get(each.name))):
                    continue
                try:
                    translated[each.name] = self._translated(each, value, references, lookups, LINES, result)
                except Bad as bad:
                    found.append(at_line(bad.problem, position + 1))
            made.append(translated)
        return tuple(made), tuple(found)

    def _conflicts(
        self,
        name: str,
        base_source: Values,
        base_target: Values,
        now: Value,
        current: Value,
        value: Value,
        result: _Result,
    ) -> None:
        was, mine = base_source.get(name), self.names
        then = show(was)
        if not compare.same(was, base_target.get(name)):
            then = f"{then} in {mine.source} and {show(base_target.get(name))} in {mine.target}"
        result.conflicts.append(
            f"{name} was {then}, is {show(now)} in {mine.source} and {show(current)} in {mine.target}"
        )
        result.conflict_changes.append(Change(name, current, value))

    def _conflict(self, record: Record, partner: Record, result: _Result) -> Decision:
        return Decision(
            action=Action.HOLD,
            source_id=record.id,
            why=f"changed on both sides since the last sync: {'; '.join(result.conflicts)}",
            target_id=partner.id,
            target_version=partner.version,
            source_version=record.version,
            changes=tuple(result.conflict_changes),
            source=self.source_projection(record),
            target=self._projection(self.target, partner),
            code=CONFLICT,
            advice=f"Make the values equal in {self.names.source} and {self.names.target}; the one kept is up to you.",
            field=result.conflict_changes[0].field,
        )

    def _not_permitted(
        self, record: Record, partner: Record, binding: Binding | None, base_target: Values, result: _Result
    ) -> Decision:
        fields = ", ".join(change.field for change in result.changes)
        target = dict(result.target)
        for change in result.changes:
            target.pop(change.field, None)
            if change.field in base_target:
                target[change.field] = base_target[change.field]
        return Decision(
            action=Action.SKIP if binding else Action.UNCHANGED,
            source_id=record.id,
            why=f"this way only creates; {fields} would be updated",
            target_id=partner.id,
            source_version=record.version,
            source=self.source_projection(record),
            target=target,
            binds=binding is None,
            generation=binding.generation if binding else 0,
        )

    def stopped(self, record: Record, problem: Problem, partner: Record | None = None) -> Decision:
        """Return the decision for a record that a problem rejects or holds."""
        return Decision(
            action=Action.HOLD if problem.held else Action.REJECT,
            source_id=record.id,
            why=problem.message,
            target_id=partner.id if partner else None,
            source_version=record.version,
            code=problem.code,
            advice=problem.advice,
            field=problem.field,
            awaits=problem.awaits,
        )

    def _other_problems(self, prepared: Prepared, result: _Result, *, update: bool = False) -> None:
        """Add problems that belong to no field that is sent (a missing exchange rate, for one)."""
        names = {each.name for each in self.fields} | {LINES}
        for name, found in prepared.problems.items():
            if name not in names:
                result.problems.extend(each for each in found if not (update and each.create_only))

    def _kept(self, shape: Shape) -> tuple[str, ...]:
        return (*shape.kept, LINES) if shape.kept_lines else shape.kept

    def _projection(self, shape: Shape, record: Record) -> dict[str, Value]:
        made = compare.projection(record.values, shape.kept)
        if shape.kept_lines:
            made[LINES] = _projected(lines_of(record.values), shape.kept_lines)
        return made


def _what(result: _Result, how: str) -> str:
    waits = f"; waits for {', '.join(sorted(result.unsettled))}" if result.unsettled else ""
    if not result.changes:
        return f"{how}; nothing differs that this way brings{waits}"
    verb = "differs" if len(result.changes) == 1 else "differ"
    return f"{how}; {', '.join(change.field for change in result.changes)} {verb}{waits}"


def _version(record: Record, result: _Result) -> str:
    """Return the source's version that counts as done with; none while a reference is missing, so that it is looked at
    again whenever it is read."""
    return "" if result.unsettled else record.version


def _projected(lines: tuple[Line, ...], names: tuple[str, ...]) -> tuple[Line, ...]:
    return tuple({name: line.get(name) for name in names} for line in lines)


def _without_none(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    return tuple({name: value for name, value in line.items() if value is not None} for line in lines)


def _sent(value: Value) -> Value:
    return _without_none(value) if isinstance(value, tuple) else value
