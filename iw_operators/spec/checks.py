"""Checks over all mappings of a company: who writes what, and what refers to what."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence

from iw_operators.spec.errors import Problem
from iw_operators.spec.fields import WAYS
from iw_operators.spec.models import CreateWhen, Direction, MappingSpec, Operations
from iw_operators.spec.models import Way as WaySpec

_CREATES = (Operations.CREATE_AND_UPDATE, Operations.CREATE_ONLY)
_UPDATES = (Operations.CREATE_AND_UPDATE, Operations.UPDATE_ONLY)


def directions(spec: MappingSpec) -> list[Direction]:
    """Return the directions that a mapping runs in."""
    both = [Direction.TO_BOOKS, Direction.TO_CRM]
    return both if spec.direction is Direction.BOTH else [way for way in both if way is spec.direction]


def overlaps(mappings: Mapping[str, MappingSpec]) -> Iterator[tuple[str, Problem]]:
    """Yield, with the name of the mapping that it is reported for, each pair that would write the same target.

    Two mappings may share a target object in one direction when they do different operations, or when their
    conditions exclude one another: the same field or stage with values of which none is shared, or, for two different
    source objects, a condition on a field in each.
    """
    for (first, one), (second, two) in itertools.combinations(sorted(mappings.items()), 2):
        for direction, _, target in WAYS:
            if direction not in directions(one) or direction not in directions(two):
                continue
            written = getattr(one, target)
            ways: tuple[WaySpec, WaySpec] = (getattr(one, direction.value), getattr(two, direction.value))
            if written != getattr(two, target) or not _share(ways[0].operations, ways[1].operations):
                continue
            same_source = one.crm == two.crm and one.books == two.books
            if _exclude(ways[0].create_when, ways[1].create_when, same_source=same_source):
                continue
            message = f"{second!r} and {first!r} both write {written} ({direction.value})"
            expected = "other operations, or create_when conditions that exclude one another"
            yield second, Problem((target,), message, expected)


def cycle(depends: Mapping[str, Collection[str]]) -> Sequence[str]:
    """Return mappings that refer to one another in a circle, the first one repeated at the end; empty if none do."""
    done: set[str] = set()
    for start in sorted(depends):
        found = _search(start, depends, [], done)
        if found:
            return found
    return ()


def _search(name: str, depends: Mapping[str, Collection[str]], path: list[str], done: set[str]) -> Sequence[str]:
    if name in path:
        return [*path[path.index(name) :], name]
    if name in done:
        return ()
    path.append(name)
    for needed in sorted(depends.get(name, ())):
        if needed != name and (found := _search(needed, depends, path, done)):
            return found
    path.pop()
    done.add(name)
    return ()


def _share(one: Operations, two: Operations) -> bool:
    return any(one in kind and two in kind for kind in (_CREATES, _UPDATES))


def _exclude(one: CreateWhen, two: CreateWhen, *, same_source: bool) -> bool:
    stages = _set(one.opportunity_stage), _set(two.opportunity_stage)
    if stages[0] and stages[1] and not stages[0] & stages[1]:
        return True
    if any(not _set(one.field[name]) & _set(two.field[name]) for name in {*one.field} & {*two.field}):
        return True
    return not same_source and bool(one.field) and bool(two.field)


def _set(value: object) -> set[object]:
    """Return the values of a condition as they are compared: as text, without capitals."""
    return {str(each).strip().casefold() for each in (value if isinstance(value, tuple) else (value,))}
