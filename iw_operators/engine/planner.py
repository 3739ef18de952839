"""Decides what happens with each record of a page, and why (B1). Pure: the same input gives the same plan.

The rules, in the order in which they are asked:

1.  A record that comes twice in a page counts once. A direction that is switched off skips everything.
2.  A bound pair of which one is gone follows the mapping's policy (`engine.gone`); by default the record is held.
    Nothing is ever created again for a partner that is gone. A deleted or voided record without a partner is skipped.
3.  A record whose binding was taken away waits for a person. Other bound records are compared with their partners.
4.  An inactive record without a partner is skipped. Otherwise its keys are asked for, best first. One free partner
    binds; several, or one that belongs to another record, hold it; records of a page that find the same partner are
    all held, unless exactly one of them names it by its id: that one binds.
5.  Without a partner it is created, if operations and `create_when` allow. Two records of one page with the same key:
    the first that can be is created, the others are held.

Whatever a record holds, `plan` returns a decision for it and raises nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from iw_operators.engine import compare, matching
from iw_operators.engine.create import unmet
from iw_operators.engine.gone import GoneRules, kind_of
from iw_operators.engine.matching import ID_FIELD, Match
from iw_operators.engine.model import Action, Binding, Candidate, Decision, Record, Unbound, Value, Values
from iw_operators.engine.prepare import Prepared, unexpected
from iw_operators.engine.problems import (
    AMBIGUOUS,
    BOUND_ELSEWHERE,
    SAME_KEY,
    TARGET_INACTIVE,
    TARGET_MISSING,
    TARGET_VOIDED,
    UNBOUND,
    Names,
    called,
    printable,
    show,
)
from iw_operators.engine.steps import Stepper
from iw_operators.spec.models import CreateWhen, Operations
from iw_operators.spec.resolved import Side


@dataclass(frozen=True, slots=True)
class Known:
    """What has been looked up for a page. All ids are of the side that the name says.

    :param bindings: source id -> binding, for those that have one.
    :param targets: target id -> record, complete, for `Compiled.targets_needed`.
    :param references: mapping -> source id -> target id.
    :param lookups: as in `Wants`: field -> text -> id, for those that the target's list has.
    :param candidates: match key -> target records that stand under it.
    :param bound: target id -> source id, of targets that are known to be bound; candidates say it themselves, so this
        is needed only where `targets` holds records that no candidate names.
    :param unbound: source id -> what is left of its bindings, for those that had one and have none.
    :param held_targets: ids of candidates whose binding was taken away and about which a person has not decided yet.
    """

    bindings: Mapping[str, Binding] = field(default_factory=dict)
    targets: Mapping[str, Record] = field(default_factory=dict)
    references: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    lookups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    candidates: Mapping[str, Sequence[Candidate]] = field(default_factory=dict)
    bound: Mapping[str, str] = field(default_factory=dict)
    unbound: Mapping[str, Unbound] = field(default_factory=dict)
    held_targets: Collection[str] = ()


@dataclass(slots=True)
class _Page:
    """What the records of a page have to know of each other."""

    known: Known
    matches: dict[str, Match] = field(default_factory=dict)  # by source id
    claims: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # target id -> (source id, key's kind)
    created: dict[str, str] = field(default_factory=dict)  # match key -> who is created under it
    seen: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans pages of one mapping in one direction."""

    stepper: Stepper
    operations: Operations
    when: CreateWhen
    creatable: bool
    source: Side
    names: Names
    label_field: str
    criteria: tuple[str, ...]  # words of `bind.else`
    gone: GoneRules

    def plan(self, prepared: Sequence[Prepared], known: Known) -> list[Decision]:
        """Return one decision a record, in the same order."""
        page = _Page(known)
        self._match(prepared, page)
        decisions: list[Decision] = []
        for each in prepared:
            try:
                decision = self._decide(each, page)
            except Exception as error:  # noqa: BLE001 - one bad record never stops a flow; it is rejected with this text
                decision = self.stepper.stopped(each.record, unexpected(error))
            if not decision.label:
                decision = replace(decision, label=self.label(each.record), why=printable(decision.why))
            decisions.append(decision)
        return decisions

    def label(self, record: Record) -> str:
        """Return what people call a record."""
        return label_of(record, self.label_field)

    def _match(self, prepared: Sequence[Prepared], page: _Page) -> None:
        known = page.known
        bound = {**known.bound, **{each.target_id: source_id for source_id, each in known.bindings.items()}}
        for each in prepared:
            record = each.record
            if kind_of(record) or record.id in known.bindings or record.id in page.matches:
                continue
            match = page.matches[record.id] = matching.match(record.id, each.keys, candidates_of(each, known, bound))
            if len(match.candidates) == 1:
                page.claims.setdefault(match.candidates[0].id, []).append((record.id, match.by))

    def _decide(self, prepared: Prepared, page: _Page) -> Decision:
        record, known = prepared.record, page.known
        binding = known.bindings.get(record.id)
        if record.id in page.seen:
            return _skip(record, "comes twice in this page; counted once", binding)
        page.seen.add(record.id)
        if self.operations is Operations.NONE:
            return _skip(record, "this way is switched off", binding)
        if binding is not None:
            return self._bound(prepared, binding, known)
        if kind := kind_of(record):
            return _skip(record, f"is {kind} in {self.names.source} and has no partner in {self.names.target}")
        if (unbound := known.unbound.get(record.id)) is not None and unbound.held:
            return self.gone.held(record, unbound)
        match = page.matches[record.id]
        if len(match.candidates) == 1:
            return self._found(prepared, match, page)
        if match.candidates:
            return self._several(record, match)
        if match.taken:
            return self._taken(
                record, match.taken[0], match.taken, str(match.taken[0].bound_to), way_of(match, self.criteria)
            )
        return self._new(prepared, page)

    def _bound(self, prepared: Prepared, binding: Binding, known: Known) -> Decision:
        record = prepared.record
        partner = known.targets.get(binding.target_id)
        gone = self.gone.decide(record, binding, partner)
        if gone is not None or partner is None:
            return gone or _skip(record, "has no partner that could be read", binding)
        label = self.label(record)
        return self.stepper.update(prepared, partner, binding, known.references, known.lookups, "bound", label)

    def _found(self, prepared: Prepared, match: Match, page: _Page) -> Decision:
        record, known = prepared.record, page.known
        candidate = match.candidates[0]
        by = way_of(match, self.criteria)
        others = [source_id for source_id, _ in page.claims[candidate.id] if source_id != record.id]
        if others:
            winners = [source_id for source_id, kind in page.claims[candidate.id] if kind == matching.ID]
            if winners != [record.id]:
                return self._shared(record, candidate, others, winners, by)
        partner = known.targets.get(candidate.id)
        if partner is None or partner.deleted:
            return Decision(
                action=Action.HOLD,
                source_id=record.id,
                why=f"its partner by {by}, {called(candidate)}, is no longer in {self.names.target}",
                target_id=candidate.id,
                source_version=record.version,
                code=TARGET_MISSING,
                advice="It is looked for again when the index of names is read anew.",
                candidates=(candidate,),
            )
        if not partner.active and match.by != matching.ID:
            return Decision(
                action=Action.HOLD,
                source_id=record.id,
                why=f"its partner by {by}, {called(candidate)}, is inactive in {self.names.target}",
                source_version=record.version,
                code=TARGET_INACTIVE,
                advice=f"Make it active in {self.names.target} if it is meant, or give one of them another name.",
                candidates=(candidate,),
            )
        if partner.voided or candidate.id in known.held_targets:
            return self._set_aside(record, candidate, by, voided=partner.voided)
        named = partner.values.get(ID_FIELD) if self.source == "books" else None
        if named is not None and str(named).strip() not in ("", record.id):
            return self._taken(record, candidate, (candidate,), str(named), by)
        how, label = f"partner found by {by}", self.label(record)
        decision = self.stepper.update(prepared, partner, None, known.references, known.lookups, how, label)
        return replace(decision, candidates=(candidate,), generation=_generation(record, known))

    def _set_aside(self, record: Record, candidate: Candidate, by: str, *, voided: bool) -> Decision:
        """Hold a record whose partner cannot be bound as it is: a voided one, or one that waits for a person."""
        state = "is voided" if voided else "was unbound and waits for a person"
        return Decision(
            action=Action.HOLD,
            source_id=record.id,
            why=f"its partner by {by}, {called(candidate)} in {self.names.target}, {state}",
            source_version=record.version,
            code=TARGET_VOIDED if voided else UNBOUND,
            advice="Release that one (`airflow iw release`), bind the two, or make them differ.",
            candidates=(candidate,),
        )

    def _several(self, record: Record, match: Match) -> Decision:
        listed = ", ".join(map(called, match.candidates))
        count, by = len(match.candidates), way_of(match, self.criteria)
        return Decision(
            action=Action.HOLD,
            source_id=record.id,
            why=f"{count} records in {self.names.target} agree in {by}: {listed}",
            source_version=record.version,
            code=AMBIGUOUS,
            advice="Bind it to the right one, or make them differ.",
            candidates=(*match.candidates, *match.taken),
        )

    def _taken(
        self, record: Record, candidate: Candidate, candidates: tuple[Candidate, ...], owner: str, by: str
    ) -> Decision:
        return Decision(
            action=Action.HOLD,
            source_id=record.id,
            why=(
                f"{called(candidate)} in {self.names.target} agrees in {by}, but belongs to {printable(owner)}"
                f" of {self.names.source}"
            ),
            source_version=record.version,
            code=BOUND_ELSEWHERE,
            advice=f"Merge the two in {self.names.source}, or make them differ.",
            candidates=candidates,
        )

    def _shared(self, record: Record, candidate: Candidate, others: list[str], winners: list[str], by: str) -> Decision:
        who = ", ".join(printable(each) for each in (winners if len(winners) == 1 else others))
        why = (
            f"{called(candidate)} in {self.names.target} agrees in {by}, but {who} names it as its partner"
            if len(winners) == 1
            else f"{called(candidate)} in {self.names.target} agrees in {by} with this record and with {who}"
        )
        return Decision(
            action=Action.HOLD,
            source_id=record.id,
            why=why,
            source_version=record.version,
            code=BOUND_ELSEWHERE if len(winners) == 1 else AMBIGUOUS,
            advice=f"Merge the records in {self.names.source}, or make them differ.",
            candidates=(candidate,),
        )

    def _new(self, prepared: Prepared, page: _Page) -> Decision:
        record = prepared.record
        none = self._none(prepared)
        if self.operations is Operations.UPDATE_ONLY:
            return _skip(record, f"{none}; this way only updates")
        if not self.creatable:
            return _skip(record, f"{none}, and such records cannot be created there")
        if reason := unmet(self.when, record):
            return _skip(record, f"{none}; not created, for {reason}")
        unbound = page.known.unbound.get(record.id)
        if prepared.named_id is not None and (unbound is None or unbound.partner != prepared.named_id):
            return Decision(
                action=Action.HOLD,
                source_id=record.id,
                why=f"names {show(prepared.named_id)} as its partner, which {self.names.target} does not have; {none}",
                source_version=record.version,
                code=TARGET_MISSING,
                advice=f"Empty that id in {self.names.source} to have the record created, or correct it.",
            )
        same = next((page.created[key] for key in prepared.keys if key in page.created), None)
        if same is not None:
            return Decision(
                action=Action.HOLD,
                source_id=record.id,
                why=f"same {' and '.join(self.criteria) or 'full name'} as {same}, which is being created",
                source_version=record.version,
                code=SAME_KEY,
                advice=f"Merge the two in {self.names.source}, or make them differ.",
            )
        label = self.label(record)
        decision = self.stepper.create(prepared, page.known.references, page.known.lookups, none, label)
        if decision.action is not Action.CREATE:
            return decision
        if not decision.send:
            return _skip(record, f"{none}; not created, for it has nothing that this way brings")
        if prepared.keys:
            page.created.update(dict.fromkeys(prepared.keys, f"{show(label)} ({printable(record.id)})"))
        return replace(decision, generation=_generation(record, page.known))

    def _none(self, prepared: Prepared) -> str:
        if prepared.lacking:
            return f"no partner in {self.names.target}: it has no {prepared.lacking} to look for one by"
        how = f" by {' and '.join(self.criteria)}" if self.criteria else ""
        return f"no partner found in {self.names.target}{how}"


def candidates_of(prepared: Prepared, known: Known, bound: Mapping[str, str]) -> Mapping[str, Sequence[Candidate]]:
    """Return the candidates under a record's keys, with what is known of their bindings and the partner it names."""
    found: dict[str, Sequence[Candidate]] = {}
    for key in prepared.keys:
        listed = [
            replace(each, bound_to=bound[each.id]) if each.bound_to is None and each.id in bound else each
            for each in known.candidates.get(key, ())
        ]
        if key.startswith(matching.ID) and not listed and prepared.named_id in known.targets:
            partner = known.targets[str(prepared.named_id)]
            if not partner.deleted:
                listed = [Candidate(partner.id, partner.label, bound.get(partner.id))]
        found[key] = listed
    return found


def _generation(record: Record, known: Known) -> int:
    """Return the generation of a new binding: beyond that of any that the record had, so that its keys are new."""
    unbound = known.unbound.get(record.id)
    return unbound.generation + 1 if unbound else 0


def _skip(record: Record, why: str, binding: Binding | None = None) -> Decision:
    return Decision(
        action=Action.SKIP,
        source_id=record.id,
        why=why,
        target_id=binding.target_id if binding else None,
        source_version=record.version,
    )


def label_of(record: Record, field_: str) -> str:
    """Return what people call a record; `field_` is what has its name where the system gives it no label."""
    name = record.label or record.values.get(field_)
    return printable(name) if isinstance(name, str) else ""


def way_of(match: Match, criteria: tuple[str, ...]) -> str:
    """Return how people call the way in which a partner was found."""
    return {matching.ID: "id", matching.FULL_NAME: "full name"}.get(match.by) or " and ".join(criteria)


def echo(stepper: Stepper, record: Record, binding: Binding, label: str) -> Decision | None:
    """Return `unchanged` for a bound record that holds just what it held when both sides were last in step."""
    if kind_of(record) or binding.removed or not binding.base_source:
        return None
    now: Values = stepper.source_projection(record)
    then = binding.base_source
    if any(name not in then or not _as_then(value, then[name]) for name, value in now.items()):
        return None
    return Decision(
        action=Action.UNCHANGED,
        source_id=record.id,
        why="bound; unchanged since the last sync",
        label=label,
        target_id=binding.target_id,
        source_version=record.version,
        source=now,
        target=binding.base_target,
        generation=binding.generation,
    )


def _as_then(now: Value, then: Value) -> bool:
    if isinstance(now, tuple) and isinstance(then, tuple):
        return compare.same_as_base(now, then)
    return compare.same(now, then)
