"""First binding (P4): what a person is shown before anything is bound, and what may be bound of what they approved.

| finding | the record |
|---|---|
| exact | has one free partner: by the id it names, by its full name, or by all of the criteria with the same name |
| candidate | has one free partner by the criteria, its name written in another way |
| ambiguous | has several, or shares its only one with others, or there is something to know about it first |
| none | has no free partner |

Exact rows can be approved together; of the others each is decided by itself.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from iw_operators.engine import matching
from iw_operators.engine.gone import kind_of
from iw_operators.engine.matching import ID_FIELD, Match
from iw_operators.engine.model import Action, Binding, Candidate, Decision, Record, Unbound, Value
from iw_operators.engine.planner import Known, candidates_of, label_of, way_of
from iw_operators.engine.prepare import Prepared
from iw_operators.engine.problems import (
    BOUND_ELSEWHERE,
    SOURCE_DELETED,
    TARGET_MISSING,
    TARGET_VOIDED,
    Names,
    called,
    printable,
    show,
)
from iw_operators.spec.resolved import Side

FULL_NAME, NUMBER = "full_name", "number"


class Finding(StrEnum):
    """What matching came to for one record."""

    EXACT = "exact"
    CANDIDATE = "candidate"
    AMBIGUOUS = "ambiguous"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Found:
    """One row of the sheet. `by` says how the partner was found; `target_id` is empty where there is not just one."""

    source_id: str
    finding: Finding
    why: str
    label: str = ""
    by: str = ""
    target_id: str = ""
    target_label: str = ""
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Finds partners for the records of one mapping in one direction."""

    source: Side
    names: Names
    criteria: tuple[str, ...]
    label_field: str

    def findings(self, prepared: Sequence[Prepared], known: Known) -> list[Found]:
        """Return a row for each record that is there and not bound, in the same order.

        Deleted, voided and inactive records are left out: nobody binds them for the first time.
        """
        bound = {**known.bound, **{each.target_id: source_id for source_id, each in known.bindings.items()}}
        free = [each for each in prepared if each.record.id not in known.bindings and not kind_of(each.record)]
        return [self._finding(each, known, bound) for each in free]

    def _finding(self, prepared: Prepared, known: Known, bound: Mapping[str, str]) -> Found:
        record, label = prepared.record, label_of(prepared.record, self.label_field)
        match = matching.match(record.id, prepared.keys, candidates_of(prepared, known, bound))
        by = way_of(match, self.criteria)
        row = Found(record.id, Finding.NONE, "", label, by if match.candidates else "", candidates=match.candidates)
        if len(match.candidates) > 1:
            count = len(match.candidates)
            why = f"{count} records in {self.names.target} agree in {by}"
            return replace(row, finding=Finding.AMBIGUOUS, why=why, candidates=(*match.candidates, *match.taken))
        if match.candidates:
            return self._one(row, match, record, known)
        if match.taken:
            other = match.taken[0]
            why = (
                f"{called(other)} in {self.names.target} agrees in {by}, but belongs to "
                f"{printable(str(other.bound_to))} of {self.names.source}"
            )
            return replace(row, why=why, candidates=match.taken)
        return replace(row, why=self._none(prepared))

    def _one(self, row: Found, match: Match, record: Record, known: Known) -> Found:
        candidate = match.candidates[0]
        partner = known.targets.get(candidate.id)
        if partner is None or partner.deleted:
            return replace(row, why=f"{called(candidate)} is no longer in {self.names.target}", by="", candidates=())
        if partner.voided:
            return replace(row, why=f"{called(candidate)} is voided in {self.names.target}", by="")
        row = replace(row, target_id=candidate.id, target_label=candidate.label, finding=Finding.AMBIGUOUS)
        named = partner.values.get(ID_FIELD) if self.source == "books" else None
        if _names_another(named, record.id):
            why = f"{called(candidate)} names {printable(str(named))} of {self.names.source} as its partner"
            return replace(row, finding=Finding.NONE, why=why, target_id="", target_label="", by="")
        if not partner.active and match.by != matching.ID:
            return replace(row, why=f"agrees in {row.by}, but is inactive in {self.names.target}")
        if record.id in known.unbound and known.unbound[record.id].held:
            return replace(row, why=f"agrees in {row.by}; this record was unbound and waits for a person")
        if candidate.id in known.held_targets:
            return replace(row, why=f"agrees in {row.by}; that one was unbound and waits for a person")
        if match.by != matching.CRITERIA:
            return replace(row, finding=Finding.EXACT, why=f"the only one with this {row.by}")
        if row.label and _plain(row.label) == _plain(candidate.label):
            return replace(
                row, finding=Finding.EXACT, why=f"the only one that agrees in {row.by}, and its name is equal"
            )
        return replace(row, finding=Finding.CANDIDATE, why=f"the only one that agrees in {row.by}")

    def _none(self, prepared: Prepared) -> str:
        if prepared.named_id is not None:
            return f"names {show(prepared.named_id)} as its partner, which {self.names.target} does not have"
        if prepared.lacking and not prepared.keys:
            return f"it has no {prepared.lacking} to look for a partner by"
        how = f" by {' and '.join(self.criteria)}" if self.criteria else ""
        return f"none found in {self.names.target}{how}"


@dataclass(frozen=True, slots=True)
class Claim:
    """A row of the whole sheet whose partner other rows have found too."""

    id: int
    source_id: str
    target_id: str
    by: str


def shared(claims: Sequence[Claim]) -> dict[int, str]:
    """Return which rows become ambiguous because others have found the same partner, each with the reason.

    A partner that exactly one record names by its id stays with that record.
    """
    by_target: dict[str, list[Claim]] = {}
    for each in claims:
        by_target.setdefault(each.target_id, []).append(each)
    told: dict[int, str] = {}
    for rivals in by_target.values():
        named = [each for each in rivals if each.by == "id"]
        winner = named[0] if len(named) == 1 else None
        for each in rivals:
            if len(rivals) > 1 and each is not winner:
                others = [printable(rival.source_id) for rival in rivals if rival is not each]
                some = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
                told[each.id] = (
                    f"agrees in {each.by}, but {printable(winner.source_id)} names that one by its id"
                    if winner
                    else f"agrees in {each.by}, and so does {some}"
                )
    return told


@dataclass(frozen=True, slots=True)
class Approved:
    """A row that somebody has approved: these two belong together."""

    source_id: str
    target_id: str
    label: str
    by: str  # who


@dataclass(frozen=True, slots=True)
class Present:
    """What the systems and the ledger say at the moment of binding; ids of each side as the name says.

    :param bound: source id -> target id, `taken`: target id -> source id, of those that are bound.
    :param left: what is left of bindings that were taken away, by source id, and `left_targets` by target id.
    """

    sources: Mapping[str, Record]
    targets: Mapping[str, Record]
    bound: Mapping[str, str] = field(default_factory=dict)
    taken: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, Unbound] = field(default_factory=dict)
    left_targets: Mapping[str, Unbound] = field(default_factory=dict)


def binding_decisions(rows: Sequence[Approved], present: Present, source: Side, names: Names) -> list[Decision]:
    """Return what becomes of approved rows, in the same order: bound, or held with the reason.

    A pair that is bound already counts as done. What binds carries no base, so that the next flow that reads either
    record compares the two as if they had never been in step; `send` is what the CRM is told besides the id.
    """
    decisions: list[Decision] = []
    given: dict[str, str] = {}
    for row in rows:
        decision = _decided(row, present, given, source, names)
        if decision.action is Action.UNCHANGED:
            given[row.target_id] = row.source_id
        decisions.append(decision)
    return decisions


def _decided(row: Approved, present: Present, given: Mapping[str, str], source: Side, names: Names) -> Decision:
    mine, partner = present.sources.get(row.source_id), present.targets.get(row.target_id)
    done = Decision(Action.UNCHANGED, row.source_id, "", label=row.label, target_id=row.target_id)
    bound = present.bound.get(row.source_id)
    if bound == row.target_id:
        return replace(done, why="bound already")
    if bound is not None:
        return _held(done, f"it has been bound to {printable(bound)} since", BOUND_ELSEWHERE)
    owner = present.taken.get(row.target_id) or given.get(row.target_id)
    if owner is not None:
        return _held(done, f"{printable(row.target_id)} has been bound to {printable(owner)} since", BOUND_ELSEWHERE)
    if mine is None or mine.deleted:
        return _held(done, f"it is no longer in {names.source}", SOURCE_DELETED)
    if partner is None or partner.deleted:
        return _held(done, f"{printable(row.target_id)} is not in {names.target}", TARGET_MISSING)
    if partner.voided:
        return _held(done, f"{printable(row.target_id)} is voided in {names.target}", TARGET_VOIDED)
    named = partner.values.get(ID_FIELD) if source == "books" else None
    if _names_another(named, row.source_id):
        return _held(done, f"{printable(row.target_id)} names {printable(str(named))} as its partner", BOUND_ELSEWHERE)
    left = [each for each in (present.left.get(row.source_id), present.left_targets.get(row.target_id)) if each]
    books = partner if source == "crm" else mine
    return replace(
        done,
        why=f"bound, as {printable(row.by)} has approved",
        binds=True,
        generation=max((each.generation for each in left), default=-1) + 1,
        send={name: books.values[name] for name in (FULL_NAME, NUMBER) if books.values.get(name) is not None},
    )


def _held(decision: Decision, why: str, code: str) -> Decision:
    advice = "Look at both records; run the binding flow again for those that are left."
    return replace(decision, action=Action.HOLD, why=f"approved, but not bound: {why}", code=code, advice=advice)


def binding_of(bindings: Mapping[str, Binding]) -> dict[str, str]:
    """Return bindings as source id -> target id."""
    return {source_id: each.target_id for source_id, each in bindings.items()}


def _names_another(named: Value, record_id: str) -> bool:
    return named is not None and str(named).strip() not in ("", record_id)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())
