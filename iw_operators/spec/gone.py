"""Resolves `when_gone`: what is done on one side when the record of the other is deleted, voided or inactive (B6).

Which policies are possible follows from both catalogues: a record can be made inactive where its object has a field
for that which can be written, voided or deleted where the object's `removal` says so. `propagate` becomes what comes
nearest to what happened, the record's own fate first:

    deleted   delete, else void, else deactivate
    voided    void, else delete
    inactive  deactivate
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from iw_operators.spec.catalogue import ObjectDef
from iw_operators.spec.errors import Problem, listing
from iw_operators.spec.fields import WAYS, Way
from iw_operators.spec.models import Gone, MappingSpec, Operations, Policy
from iw_operators.spec.resolved import SIDES, Kind, Side, other

Label = Callable[[Side], str]

KINDS: Final[tuple[Kind, ...]] = ("deleted", "voided", "inactive")
REMOVALS: Final = (Policy.DEACTIVATE, Policy.VOID, Policy.DELETE)
NEAREST: Final[Mapping[Kind, tuple[Policy, ...]]] = {
    "deleted": (Policy.DELETE, Policy.VOID, Policy.DEACTIVATE),
    "voided": (Policy.VOID, Policy.DELETE),
    "inactive": (Policy.DEACTIVATE,),
}
_UPDATES: Final = (Operations.CREATE_AND_UPDATE, Operations.UPDATE_ONLY)


def possible_kinds(definition: ObjectDef) -> tuple[Kind, ...]:
    """Return the ways in which records of an object can be gone."""
    found: dict[Kind, bool] = {
        "deleted": True,
        "voided": "void" in definition.removal,
        "inactive": definition.active is not None,
    }
    return tuple(kind for kind in KINDS if found[kind])


def possible_removals(definition: ObjectDef) -> tuple[Policy, ...]:
    """Return what can be done to records of an object."""
    active = any(each.native == definition.active and each.writable for each in definition.fields.values())
    return tuple(
        each for each in REMOVALS if (active if each is Policy.DEACTIVATE else each.value in definition.removal)
    )


def table(spec: MappingSpec, definitions: Mapping[Side, ObjectDef]) -> dict[Side, dict[Kind, Policy]]:
    """Return side of the gone record -> how it went -> what happens; call it where there are no problems."""
    return {side: dict(_side(_of(spec, side), definitions, side)) for side in SIDES}


def problems(
    spec: MappingSpec, definitions: Mapping[Side, ObjectDef], label: Label, ways: tuple[Way, ...]
) -> Iterator[Problem]:
    """Yield what cannot be carried out: by the other side's object, or because the mapping does not write there."""
    for direction, source, target in WAYS:
        gone, at = _of(spec, source), ("when_gone", source)
        stated = {
            key: policy for key in ("every", *KINDS) if (policy := getattr(gone, key)) and key in gone.model_fields_set
        }
        runs = direction in {way[0] for way in ways}
        operations = (spec.to_books if target == "books" else spec.to_crm).operations
        able = possible_removals(definitions[target])
        kinds = possible_kinds(definitions[source])
        for key, policy in stated.items():
            where = (*at, key) if key != "every" or len(stated) > 1 else at
            if key != "every" and key not in kinds:
                yield Problem(where, f"{label(source)} is never {key}", f"{listing(kinds)}")
            elif policy not in (*REMOVALS, Policy.PROPAGATE):
                continue
            elif not runs or operations not in _UPDATES:
                why = f"the mapping does not run {direction.value}" if not runs else f"{direction.value} may not update"
                yield Problem(where, f"is {policy.value}, but {why}", "hold, ignore or unbind")
            elif not _possible(policy, key, able):
                yield Problem(where, f"is {policy.value}, which {label(target)} does not know", _expected(able))


def _of(spec: MappingSpec, side: Side) -> Gone:
    return spec.when_gone.crm if side == "crm" else spec.when_gone.books


def _possible(policy: Policy, key: str, able: tuple[Policy, ...]) -> bool:
    if policy is not Policy.PROPAGATE:
        return policy in able
    nearest = NEAREST["deleted" if key == "every" else key]  # type: ignore[index]  # the other keys are kinds
    return any(each in able for each in nearest)


def _expected(able: tuple[Policy, ...]) -> str:
    return listing([each.value for each in (Policy.HOLD, Policy.IGNORE, Policy.UNBIND, *able)])


def _side(gone: Gone, definitions: Mapping[Side, ObjectDef], side: Side) -> Iterator[tuple[Kind, Policy]]:
    able = possible_removals(definitions[other(side)])
    for kind in possible_kinds(definitions[side]):
        policy = getattr(gone, kind) or gone.every
        if policy is Policy.PROPAGATE:
            # A word for everything may mean nothing for one of the kinds; a person decides about those.
            policy = next((each for each in NEAREST[kind] if each in able), Policy.HOLD)
        yield kind, policy
