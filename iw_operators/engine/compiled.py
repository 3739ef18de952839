"""A mapping compiled for one direction: what the sync loop holds while it works through the pages."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from iw_operators.engine import matching
from iw_operators.engine.cards import CardGuard, Guard
from iw_operators.engine.compare import Owned
from iw_operators.engine.create import facts
from iw_operators.engine.gone import ACTIVE, GoneRules
from iw_operators.engine.matching import ID_FIELD, Criterion, DefaultNormaliser, Normaliser
from iw_operators.engine.model import LINES, Binding, Candidate, Decision, Line, Record, Value, Values
from iw_operators.engine.planner import Known, Planner, echo
from iw_operators.engine.prepare import RATE, Prepared, Preparer, Wants, delivers_lines
from iw_operators.engine.problems import Names
from iw_operators.engine.review import Found, Reviewer
from iw_operators.engine.shape import Shape, shape
from iw_operators.engine.steps import Stepper
from iw_operators.engine.totals import TOTAL, Totals
from iw_operators.engine.transform import Delivery, Way, delivery
from iw_operators.errors import FixConfiguration
from iw_operators.spec.catalogue import FieldDef
from iw_operators.spec.models import Direction, Operations
from iw_operators.spec.resolved import ResolvedMapping, Side, other


@dataclass(frozen=True, slots=True)
class Compiled:
    """One mapping in one direction. Immutable; made by `compile_mapping`.

    :param returns: the other direction runs too and may update what this one reads.
    :param facts: names in `ObjectDef.related` that `Record.facts` has to answer for.
    """

    mapping: ResolvedMapping
    source: Side
    operations: Operations
    returns: bool
    facts: frozenset[str]
    _source: Shape
    _target: Shape
    _preparer: Preparer
    _planner: Planner
    _cards: CardGuard
    _normaliser: Normaliser
    _criteria: tuple[Criterion, ...]

    @property
    def target(self) -> Side:
        """The side that is written to."""
        return other(self.source)

    @property
    def reviewer(self) -> Reviewer:
        """What finds partners for a person to approve."""
        planner = self._planner
        return Reviewer(self.source, planner.names, planner.criteria, planner.label_field)

    @property
    def source_view_fields(self) -> Mapping[str, FieldDef]:
        """What has to be read of the source, by the names that its records' values have to carry."""
        return self._source.fields

    @property
    def source_view_lines(self) -> Mapping[str, FieldDef]:
        """Likewise of the source's lines."""
        return self._source.lines

    @property
    def target_view_fields(self) -> Mapping[str, FieldDef]:
        """What has to be read of the target, and what a write may name."""
        return self._target.fields

    @property
    def target_view_lines(self) -> Mapping[str, FieldDef]:
        """Likewise of the target's lines."""
        return self._target.lines

    @property
    def lookup_fields(self) -> Mapping[str, FieldDef]:
        """The target's definitions of the fields that `Wants.lookups` names (`lines[].x` for one of a line)."""
        each = (*self._preparer.fields, *self._preparer.lines)
        return {field.path: field.target for field in each if field.is_lookup and field.target is not None}

    def prepare(self, records: Sequence[Record], bound: Collection[str] = ()) -> tuple[list[Prepared], Wants]:
        """Return what each record would send, in the same order, and what has to be looked up for the page.

        :param records: complete ones.
        :param bound: ids of those that are known to have a partner; no match keys are made for them.
        """
        return self._preparer.prepare(records, bound)

    def plan(self, prepared: Sequence[Prepared], known: Known) -> list[Decision]:
        """Return one decision a record, in the same order. Raises nothing, whatever a record holds."""
        decisions = self._planner.plan(prepared, known)
        return [
            self._cards.checked(each.record, decision, known.targets.get(decision.target_id or ""))
            for each, decision in zip(prepared, decisions, strict=True)
        ]

    def review(self, prepared: Sequence[Prepared], known: Known) -> list[Found]:
        """Return what a person is shown of records that are not bound yet; nothing is decided by it."""
        return self.reviewer.findings(prepared, known)

    def echo(self, record: Record, binding: Binding) -> Decision | None:
        """Return `unchanged` where the source holds exactly what it held when both were last in step, else None.

        A shortcut that saves reading the target, for flows that follow changes: what comes back because we wrote it
        (ids written back, our own update) ends here. `plan` gives the same without it. Not for flows that a person
        runs to put the target right: those compare with the target itself, and with a changed mapping.
        """
        if self.operations is Operations.NONE:
            return None
        return echo(self._planner.stepper, record, binding, self._planner.label(record))

    def targets_needed(
        self,
        prepared: Sequence[Prepared],
        bindings: Mapping[str, Binding],
        candidates: Mapping[str, Sequence[Candidate]],
    ) -> frozenset[str]:
        """Return the ids of the targets that `plan` compares with: partners, those found, and those named by id."""
        needed: set[str] = set()
        for each in prepared:
            binding = bindings.get(each.record.id)
            if binding is not None:
                needed.add(binding.target_id)
                continue
            if each.named_id is not None:
                needed.add(each.named_id)
            found = matching.match(each.record.id, each.keys, candidates)
            if len(found.candidates) == 1:
                needed.add(found.candidates[0].id)
        return frozenset(needed)

    def match_key(self, values: Values) -> str | None:
        """Return the criteria key of a record of either side; None where a component is missing."""
        return matching.criteria_key(self._criteria, values)[0]

    def index_keys(self, values: Values, record_id: str = "") -> list[str]:
        """Return all keys under which a record of the target can be found.

        :param record_id: its id; needed for the id key where the target is the books.
        """
        keys: list[str | None] = []
        if self._preparer.by_id:
            keys.append(matching.id_key(record_id if self.target == "books" else values.get(ID_FIELD)))
        if self.mapping.bind.by == "full_name":
            keys.append(matching.full_name_key(values.get(self._target.full_name), self._normaliser))
        keys.append(self.match_key(values))
        return [key for key in keys if key is not None]

    def version_after(self, version: str) -> str:
        """Return what to remember as the target's version after a write that the target answered with `version`.

        A version that is remembered means: read as a source, this record has nothing new. After a write that holds
        only where nothing ever comes back. Elsewhere the target may have computed or filled in what the other
        direction has to bring (totals, numbers), so nothing is remembered, and that direction looks once.
        """
        return "" if self.returns else version

    def verified(self, decision: Decision, held: Values) -> Decision:
        """Return the decision of a write that was applied, with a remark where the target comes to another total."""
        return self._preparer.totals.verified(decision, held)

    def base_after(self, decision: Decision, held: Values) -> Values:
        """Return the target's side of the base after a write was applied.

        :param held: what the target says that it now holds (`Outcome.values`); may be empty or partial.

        Only what was sent is taken from it: a value that the target changed on the way in counts as in step. What it
        filled in by itself stays out, so that the other direction brings it.
        """
        base: dict[str, Value] = dict(decision.target)
        for name in decision.send:
            if name not in base or name not in held:
                continue
            value = held[name]
            sent = base[name]
            if name != LINES:
                base[name] = value
            elif isinstance(value, tuple) and isinstance(sent, tuple) and len(value) == len(sent):
                base[name] = tuple(_held_line(mine, theirs) for mine, theirs in zip(sent, value, strict=True))
        return base


def _held_line(sent: Line, held: Line) -> Line:
    return {name: held.get(name, value) if value is not None else None for name, value in sent.items()}


def compile_mapping(
    mapping: ResolvedMapping, source: Side, operations: Operations, normalise: Normaliser | None = None
) -> Compiled:
    """Compile a mapping for one direction.

    :param operations: what the flow may do.
    :param normalise: how names and phones are made comparable; by default as the mapping and the company say.
    :raises FixConfiguration: an expression is wrong, or a field is asked for that a side does not have.
    """
    target = other(source)
    way_spec = mapping.to_books if target == "books" else mapping.to_crm
    back_spec = mapping.to_crm if target == "books" else mapping.to_books
    names = Names(mapping.label(source), mapping.label(target))
    way = Way(
        source=source,
        target=target,
        names=names,
        zone=_zone(mapping),
        returns=mapping.direction is Direction.BOTH
        and back_spec.operations in (Operations.CREATE_AND_UPDATE, Operations.UPDATE_ONLY),
    )
    definition = mapping.definition(target)
    checked = tuple(mapping.check.stated.values()) if source == "crm" else ()
    source_shape = shape(mapping, source, way_spec.create_when.field, checked)
    target_shape = shape(mapping, target, (TOTAL,) if mapping.lines and TOTAL in definition.fields else ())
    fields, lines = _deliveries(mapping, way, source_shape)
    normaliser = normalise or DefaultNormaliser(mapping.company.country, mapping.bind.normalize_names)
    criteria = matching.criteria(mapping.bind.else_, normaliser)
    rate = next((each for each in fields if each.name == RATE), None)
    native_rate = definition.fields.get(RATE)
    preparer = Preparer(
        fields=tuple(each for each in fields if each.sends),
        lines=lines,
        wanting=tuple(each for each in fields if each.sends and each.is_wanting),
        wanting_lines=tuple(each for each in lines if each.is_wanting),
        source=source,
        kept=source_shape.kept,
        kept_lines=source_shape.kept_lines,
        names=names,
        base_currency=mapping.company.base_currency,
        by_id=mapping.bind.by == "id" and mapping.id_field is not None,
        by_full_name=source_shape.full_name if mapping.bind.by == "full_name" else "",
        criteria=criteria,
        normaliser=normaliser,
        rate=rate,
        checks_rate=(rate.sends and rate.owner is not Owned.TARGET)
        if rate is not None
        else native_rate is not None and native_rate.writable,
        totals=_totals(mapping, names, source, fields),
    )
    stepper = Stepper(
        fields=preparer.fields,
        lines=lines,
        lines_owner=_lines_owner(lines),
        lines_required=definition.lines is not None and definition.lines.required,
        source=source_shape,
        target=target_shape,
        names=names,
        operations=operations,
    )
    planner = Planner(
        stepper=stepper,
        operations=operations,
        when=way_spec.create_when,
        creatable=definition.creatable,
        source=source,
        names=names,
        label_field=mapping.definition(source).name,
        criteria=mapping.bind.else_,
        gone=GoneRules(
            names=names,
            operations=operations,
            source=mapping.when_gone.get(source, {}),
            target=mapping.when_gone.get(target, {}),
            revives=any(each.name == ACTIVE and each.updates for each in fields),
        ),
    )
    return Compiled(
        mapping=mapping,
        source=source,
        operations=operations,
        returns=way.returns,
        facts=facts(way_spec.create_when),
        _source=source_shape,
        _target=target_shape,
        _preparer=preparer,
        _planner=planner,
        _cards=CardGuard(
            Guard.of(source_shape.fields, source_shape.lines), Guard.of(target_shape.fields, target_shape.lines), names
        ),
        _normaliser=normaliser,
        _criteria=criteria,
    )


def _deliveries(mapping: ResolvedMapping, way: Way, source: Shape) -> tuple[tuple[Delivery, ...], tuple[Delivery, ...]]:
    fields = tuple(delivery(each, way, source.known, line_names=source.known_lines) for each in mapping.fields)
    lines = tuple(delivery(each, way, source.known_lines, header=source.known) for each in mapping.lines)
    sent = tuple(each for each in lines if each.sends)
    return fields, sent if delivers_lines(lines, mapping.definition(way.target)) else ()


def _totals(mapping: ResolvedMapping, names: Names, source: Side, fields: Sequence[Delivery]) -> Totals:
    """Return what has to agree on the way to the books: what `check` names, else what the mapping itself sends."""
    if source == "books":
        return Totals(names)
    stated = mapping.check.stated
    if stated:
        return Totals(names, stated["total"], stated.get("discount", ""), stated.get("tax", ""), stated=True)
    sent = {each.name for each in fields if each.sends and each.owner is not Owned.TARGET}
    if TOTAL not in sent:
        return Totals(names)
    discount, tax = ("discount" if "discount" in sent else ""), ("tax" if "tax" in sent else "")
    return Totals(names, TOTAL, discount, tax, bounds=mapping.neutral == "payment")


def _lines_owner(lines: Sequence[Delivery]) -> Owned:
    owners = {each.owner for each in lines}
    if Owned.LATEST in owners:
        return Owned.LATEST
    return Owned.SOURCE if Owned.SOURCE in owners else Owned.TARGET


def _zone(mapping: ResolvedMapping) -> ZoneInfo:
    try:
        return ZoneInfo(mapping.company.time_zone)
    except (KeyError, ValueError, OSError):
        msg = f"The time zone {mapping.company.time_zone!r} of company {mapping.company.company} is not known."
        raise FixConfiguration(msg, code="iw.time_zone", advice="Write it like America/New_York.") from None
