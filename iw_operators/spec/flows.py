"""What the name of a flow says, and whether its mappings can do what it asks."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from iw_operators.spec.errors import Path, Problem, listing, suggest
from iw_operators.spec.models import Company, Direction, FlowKind, FlowSpec, MappingSpec, Operations
from iw_operators.spec.resolved import ResolvedFlow, ResolvedMapping

_ID = re.compile(r"[A-Za-z0-9_]+")
LONGEST_ID = 100
REPORT_FLOW = "DailyReport"  # what a company's daily report is called; it is no flow
MAINTENANCE_FLOW = "Maintenance"  # what a company's maintenance is called; the same
# A suffix follows a small letter, a digit, or the short name of an object that is written in capitals.
_BEFORE = "|".join(f"(?<={end})" for end in ("[a-z0-9_]", "SO", "SR", "PO", "CM", "CO", "JE"))
_SUFFIX = re.compile(rf"(?:{_BEFORE})(BindS|Bind|NFS|NF|DRS|DR|N|F|Q)$")
_OF_SCHEDULED = ("interval_ms", "shift_ms", "executions", "run_at_start_up")
_PERMITS: Mapping[Operations, Collection[str]] = {
    Operations.CREATE_AND_UPDATE: {"create", "update"},
    Operations.CREATE_ONLY: {"create"},
    Operations.UPDATE_ONLY: {"update"},
    Operations.NONE: (),
}


def suffix(flow: str) -> str:
    """Return the suffix of a flow's id, or ""."""
    found = _SUFFIX.search(flow)
    return found.group(1) if found and found.start() > 0 else ""


def kind(flow: str) -> FlowKind:
    """Return the kind that a flow's id stands for."""
    return FlowKind(suffix(flow) or FlowKind.SCHEDULED)


def name_problems(flow: str) -> Iterator[Problem]:
    """Yield what is wrong with a flow's id."""
    at = ("flows", flow)
    if not _ID.fullmatch(flow):
        bad = ", ".join(repr(character) for character in dict.fromkeys(re.sub(r"[A-Za-z0-9_]", "", flow)))
        message = f"a flow's id cannot hold {bad}" if flow else "a flow's id is empty"
        yield Problem(at, message, "letters, digits and _ only", re.sub(r"[^A-Za-z0-9_]", "", flow))
    elif len(flow) > LONGEST_ID:
        yield Problem(at, f"a flow's id of {len(flow)} characters", f"at most {LONGEST_ID}")
    elif flow == REPORT_FLOW:
        yield Problem(at, "is what the company's daily report is called", "another id")
    elif flow == MAINTENANCE_FLOW:
        yield Problem(at, "is what the company's maintenance is called", "another id")


def problems(
    flow: str, spec: FlowSpec, mappings: Mapping[str, MappingSpec], present: Collection[str]
) -> Iterator[Problem]:
    """Yield what is wrong with a flow itself.

    :param mappings: the company's mappings whose form is right.
    :param present: names of all mappings that have a file, those with errors too.
    """
    at = ("flows", flow)
    of_name = kind(flow)
    if spec.kind is not None and spec.kind is not of_name:
        named = suffix(flow)
        because = f"the id ends in {named}" if named else "the id has no suffix"
        expected = "no `kind` here" if spec.kind is FlowKind.SCHEDULED else f"an id that ends in {spec.kind.value}"
        yield Problem((*at, "kind"), f"is {spec.kind.value}, but {because}", expected)
    if of_name is not FlowKind.SCHEDULED:
        for key in _OF_SCHEDULED:
            if key in spec.model_fields_set:
                yield Problem((*at, key), f"is for scheduled flows, this one is {of_name.value}", f"no {key}")
    if not of_name.backfilled and "window" in spec.model_fields_set:
        expected = "no window, or an id that ends in DR, DRS or F"
        yield Problem((*at, "window"), "is for flows of the kinds DR, DRS and F", expected)
    for position, name in enumerate(spec.mappings):
        if name not in present:
            where = (*at, "mappings", position)
            yield Problem(where, f"there is no mapping {name!r}", _mapping_list(present), suggest(name, present))
    yield from _direction_problems(flow, spec, mappings)


def direction(spec: FlowSpec, mappings: Mapping[str, MappingSpec]) -> Direction | None:
    """Return the way a flow runs: as stated, or the one way that its one-way mappings have."""
    if spec.direction is not None:
        return spec.direction
    ways = {mappings[name].direction for name in spec.mappings if name in mappings}
    one_way = ways & {Direction.TO_BOOKS, Direction.TO_CRM}
    return one_way.pop() if len(one_way) == 1 else None


def resolve(
    company: Company,
    flow: str,
    spec: FlowSpec,
    way: Direction,
    mappings: Mapping[str, ResolvedMapping],
    file: str,
    *,
    generated: FlowKind | None = None,
) -> ResolvedFlow:
    """Put a flow together whose parts are all free of errors.

    :param generated: the kind of a flow that is made of a mapping; None for one that is written.
    """
    return ResolvedFlow(
        company=company,
        flow=flow,
        spec=spec,
        kind=generated or kind(flow),
        direction=way,
        mappings=tuple(mappings[name] for name in spec.mappings),
        file=file,
        generated=generated is not None,
    )


def order_problems(flow: str, spec: FlowSpec, depends: Mapping[str, Collection[str]]) -> Iterator[Problem]:
    """Yield mappings that stand before a mapping whose records they refer to."""
    for position, name in enumerate(spec.mappings):
        for later in spec.mappings[position + 1 :]:
            if later in depends.get(name, ()):
                message = f"{name!r} refers to records of {later!r}, which stands after it"
                yield Problem(("flows", flow, "mappings", position), message, f"{later!r} before {name!r}")


def _direction_problems(flow: str, spec: FlowSpec, mappings: Mapping[str, MappingSpec]) -> Iterator[Problem]:
    at = ("flows", flow)
    known = [name for name in spec.mappings if name in mappings]
    way = direction(spec, mappings)
    if way is None:
        if len(known) == len(spec.mappings):
            message = "its mappings do not say which way it runs"
            yield Problem(at, message, "direction: to_books or direction: to_crm")
        return
    for name in known:
        has = mappings[name].direction
        if has not in (way, Direction.BOTH):
            key = "direction" if spec.direction is not None else "mappings"
            message = f"the flow runs {way.value}, but the mapping {name!r} has direction: {has.value}"
            yield Problem((*at, key), message, f"direction: {way.value} or both in the mapping")
        elif spec.operations is not None:
            yield from _operations_problems((*at, "operations"), spec.operations, way, mappings[name])


def _operations_problems(at: Path, asked: Operations, way: Direction, mapping: MappingSpec) -> Iterator[Problem]:
    """Yield where a flow permits what its mapping excludes.

    The other direction goes by the mapping: it would take for its own what this flow brought, and write over it.
    """
    has = (mapping.to_books if way is Direction.TO_BOOKS else mapping.to_crm).operations
    if not {*_PERMITS[asked]} <= {*_PERMITS[has]}:
        narrower = [each.value for each in _PERMITS if {*_PERMITS[each]} <= {*_PERMITS[has]}]
        message = f"is {asked.value}, but the mapping {mapping.mapping!r} permits {has.value} {way.value}"
        yield Problem(at, message, f"{' or '.join(narrower)}, or more under `{way.value}` in the mapping")


def _mapping_list(present: Collection[str]) -> str:
    return f"one of {listing(present)}" if present else "a file for it in this folder"
