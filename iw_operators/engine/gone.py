"""What happens when one of two bound records is gone: deleted, voided or made inactive (B6).

A policy belongs to the side whose record is gone, and says what becomes of the other one. A flow carries out what
concerns its target; where it finds its *target* gone and the policy wants something done to the source, the record
is held, and the flow of the other direction does it.

Gone in the same way on both sides is nothing to do. What we have removed ourselves is not news when it is met again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from iw_operators.engine.model import Action, Binding, Change, Decision, Record, Removal, Unbind, Unbound, Values
from iw_operators.engine.problems import (
    PARTNER_GONE,
    SOURCE_DELETED,
    SOURCE_INACTIVE,
    SOURCE_VOIDED,
    TARGET_INACTIVE,
    TARGET_MISSING,
    TARGET_VOIDED,
    UNBOUND,
    Names,
    printable,
)
from iw_operators.spec.models import Operations, Policy
from iw_operators.spec.resolved import Kind

ACTIVE: Final = "active"
_HELD_SOURCE: Final[Mapping[Kind, str]] = {
    "deleted": SOURCE_DELETED,
    "voided": SOURCE_VOIDED,
    "inactive": SOURCE_INACTIVE,
}
_HELD_TARGET: Final[Mapping[Kind, str]] = {
    "deleted": TARGET_MISSING,
    "voided": TARGET_VOIDED,
    "inactive": TARGET_INACTIVE,
}
_DONE: Final[Mapping[Removal, Kind]] = {
    Removal.DELETE: "deleted",
    Removal.VOID: "voided",
    Removal.DEACTIVATE: "inactive",
}
_VERB: Final[Mapping[Removal, str]] = {
    Removal.DELETE: "deleted",
    Removal.VOID: "voided",
    Removal.DEACTIVATE: "made inactive",
}


_REMOVALS: Final = (Policy.DEACTIVATE, Policy.VOID, Policy.DELETE)


def kind_of(record: Record | None) -> Kind | None:
    """Return how a record is gone; None for one that is not. A record that cannot be read is deleted."""
    if record is None or record.deleted:
        return "deleted"
    if record.voided:
        return "voided"
    return None if record.active else "inactive"


@dataclass(frozen=True, slots=True)
class GoneRules:
    """The policies of one mapping in one direction.

    :param source: policies for records of the source that are gone, by how; what is not listed is held.
    :param target: likewise for those of the target.
    :param revives: whether the direction brings the field that makes a record active again.
    """

    names: Names
    operations: Operations
    source: Mapping[Kind, Policy] = field(default_factory=dict)
    target: Mapping[Kind, Policy] = field(default_factory=dict)
    revives: bool = False

    def decide(self, record: Record, binding: Binding, partner: Record | None) -> Decision | None:
        """Return what becomes of a bound pair of which one is gone; None where both are compared as ever."""
        here, there = kind_of(record), kind_of(partner)
        if here is None and there is None:
            return None
        if here == "deleted":
            return self._deleted(record, binding, partner, there)
        if there == "deleted":
            return self._target_gone(record, binding, there)
        if here is not None:
            return self._source_gone(record, binding, here, partner, there)
        return self._target_gone(record, binding, there) if there is not None else None

    def held(self, record: Record, unbound: Unbound) -> Decision:
        """Return the decision for a record whose binding was taken away, until a person decides."""
        why = f"was unbound from {printable(unbound.partner)} in {self.names.target}, for one of the two was gone"
        return Decision(
            action=Action.HOLD,
            source_id=record.id,
            why=f"{why}; it waits for a person",
            source_version=record.version,
            code=UNBOUND,
            advice="Release it (`airflow iw release`) to have it matched or created anew, or leave it as it is.",
        )

    def _deleted(self, record: Record, binding: Binding, partner: Record | None, there: Kind | None) -> Decision:
        if there == "deleted":
            return Decision(
                action=Action.SKIP,
                source_id=record.id,
                why=f"is deleted in {self.names.source}, and its partner is no longer in {self.names.target}",
                target_id=binding.target_id,
                source_version=record.version,
                unbind=Unbind("source", "deleted", hold=False),
            )
        policy = self.source.get("deleted", Policy.HOLD)
        if policy is Policy.IGNORE:
            return self._decision(Action.SKIP, record, binding, self._what(record, binding, "deleted", "ignored"))
        return self._apply(policy, record, binding, "deleted", partner, there)

    def _source_gone(
        self, record: Record, binding: Binding, here: Kind, partner: Record | None, there: Kind | None
    ) -> Decision | None:
        policy = self.source.get(here, Policy.HOLD)
        if here == there or policy is Policy.IGNORE:
            return None
        return self._apply(policy, record, binding, here, partner, there)

    def _apply(
        self,
        policy: Policy,
        record: Record,
        binding: Binding,
        here: Kind,
        partner: Record | None,
        there: Kind | None,
    ) -> Decision:
        if policy is Policy.UNBIND:
            return self._unbound(record, binding, here, Unbind("source", here, hold=True))
        if policy in _REMOVALS and partner is not None:
            return self._removed(Removal(policy.value), record, binding, here, partner, there)
        why = self._what(record, binding, here, "is not")
        advice = f"Do the same in {self.names.target}, or keep it; when_gone of the mapping can say so for all."
        return self._decision(Action.HOLD, record, binding, why, _HELD_SOURCE[here], advice)

    def _removed(
        self, removal: Removal, record: Record, binding: Binding, here: Kind, partner: Record, there: Kind | None
    ) -> Decision:
        source = dict(binding.base_source)
        target = dict(binding.base_target)
        if here == "inactive" and ACTIVE in source:
            source[ACTIVE] = False
        if removal is Removal.DEACTIVATE and ACTIVE in target:
            target[ACTIVE] = False
        already = _DONE[removal] == there
        if not already and self.operations is Operations.CREATE_ONLY:
            why = self._what(record, binding, here, f"would be {_VERB[removal]}; this way only creates")
            return self._decision(Action.SKIP, record, binding, why)
        return Decision(
            action=Action.UNCHANGED if already else Action.UPDATE,
            source_id=record.id,
            why=self._what(record, binding, here, f"is {_VERB[removal]}{' already' if already else ' too'}"),
            target_id=binding.target_id,
            target_version=partner.version if not already else "",
            source_version=record.version,
            changes=() if already else (_change(removal),),
            source=source,
            target=target,
            generation=binding.generation,
            removal=None if already else removal,
            unbind=Unbind("source", here, hold=False) if removal is Removal.DELETE else None,
        )

    def _target_gone(self, record: Record, binding: Binding, there: Kind) -> Decision | None:
        policy = self.target.get(there, Policy.HOLD)
        if policy is Policy.IGNORE and there != "deleted":
            return None
        if there == "inactive" and self._known_inactive(binding):
            if self.revives:
                return None
            why = f"is active, {self._partner(binding)} was made inactive with it"
            advice = f"Make it active in {self.names.target}; the mapping does not bring that field."
            return self._decision(Action.HOLD, record, binding, why, TARGET_INACTIVE, advice)
        gone = "no longer there" if there == "deleted" else there
        why = f"its partner {printable(binding.target_id)} in {self.names.target} is {gone}"
        here = kind_of(record)
        if policy in _REMOVALS and _DONE[Removal(policy.value)] == here:
            return self._decision(Action.SKIP, record, binding, f"{why}, and it is {here}, as when_gone says")
        if policy is Policy.IGNORE:
            return self._decision(Action.SKIP, record, binding, f"{why}; ignored, as when_gone says")
        if policy is Policy.UNBIND:
            return self._unbound(record, binding, there, Unbind("target", there, hold=True), why)
        if policy is not Policy.HOLD:
            advice = f"when_gone says {policy.value}: the flow from {self.names.target} to {self.names.source} does it."
            return self._decision(Action.HOLD, record, binding, why, PARTNER_GONE, advice)
        advice = f"Restore it in {self.names.target}, or unbind the record to have it matched or created anew."
        return self._decision(Action.HOLD, record, binding, why, _HELD_TARGET[there], advice)

    @staticmethod
    def _known_inactive(binding: Binding) -> bool:
        base: Values = binding.base_target
        return binding.removed == Removal.DEACTIVATE.value or base.get(ACTIVE) is False

    def _unbound(self, record: Record, binding: Binding, kind: Kind, unbind: Unbind, why: str = "") -> Decision:
        why = why or self._what(record, binding, kind, "is not")
        advice = "Release it (`airflow iw release`) to have what is left matched or created anew, or leave it as it is."
        decision = self._decision(Action.HOLD, record, binding, f"{why}; unbound, waits for a person", UNBOUND, advice)
        return replace(decision, unbind=unbind)

    def _what(self, record: Record, binding: Binding, kind: Kind, rest: str) -> str:
        del record  # its label stands beside the sentence wherever it is shown
        return f"is {kind} in {self.names.source}, {self._partner(binding)} {rest}"

    def _partner(self, binding: Binding) -> str:
        return f"{printable(binding.target_id)} in {self.names.target}"

    @staticmethod
    def _decision(
        action: Action, record: Record, binding: Binding, why: str, code: str = "", advice: str = ""
    ) -> Decision:
        return Decision(
            action=action,
            source_id=record.id,
            why=why,
            target_id=binding.target_id,
            source_version=record.version,
            code=code,
            advice=advice,
        )


def _change(removal: Removal) -> Change:
    """Return what a removal changes, as the log shows it."""
    return Change(ACTIVE, True, False) if removal is Removal.DEACTIVATE else Change(removal.value, False, True)
