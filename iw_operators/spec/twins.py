"""Flows that are made of mappings without being asked: the utility flows of each mapping, in each of its directions.

An id is made of the short names that the catalogues give: `<CRM><Object>2<Books><Object><kind>`, such as
`CRAcct2QBCustDR`. Where two mappings would get the same ids, those of both carry the mapping's name as well:
`CRAcct2QBCust_vips_DR`. A flow that is written under an id takes the place of the one that would be made.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from iw_operators.spec.catalogue import Catalogue
from iw_operators.spec.models import Direction, FlowKind, FlowSpec, MappingSpec, Operations

USUAL: Final = (
    FlowKind.N,
    FlowKind.NF,
    FlowKind.NFS,
    FlowKind.DR,
    FlowKind.DRS,
    FlowKind.BIND,
    FlowKind.Q,
)
NAMELESS: Final = re.compile(r"[^A-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class Twin:
    """A flow that is made of one mapping."""

    flow: str
    mapping: str
    kind: FlowKind
    direction: Direction

    @property
    def spec(self) -> FlowSpec:
        """What would stand in flows.yaml."""
        way = Direction.TO_BOOKS if self.direction is Direction.TO_BOOKS else Direction.TO_CRM
        return FlowSpec(mappings=(self.mapping,), direction=way)


def kinds(spec: MappingSpec) -> Collection[FlowKind]:
    """Return which flows a mapping wants to be made of it."""
    if isinstance(spec.utilities, tuple):
        return tuple(dict.fromkeys(spec.utilities))
    return USUAL if spec.utilities else ()


def twins(
    mappings: Mapping[str, MappingSpec], crm: Catalogue, books: Catalogue, written: Collection[str] = ()
) -> dict[str, Twin]:
    """Return the flows that are made of a company's mappings, by id.

    :param written: ids that flows.yaml has; nothing is made under those.
    """
    stems = {
        (name, way): _stem(spec, way, crm, books)
        for name, spec in mappings.items()
        if spec.crm in crm.objects and spec.books in books.objects and kinds(spec)
        for way in _ways(spec)
    }
    shared = {stem for stem, count in Counter(stems.values()).items() if count > 1}
    made: dict[str, Twin] = {}
    for (name, way), stem in stems.items():
        base = f"{stem}_{name}_" if stem in shared else stem
        for kind in kinds(mappings[name]):
            flow = f"{base}{kind.value}"
            if flow not in written:
                made[flow] = Twin(flow, name, kind, way)
    return made


def _ways(spec: MappingSpec) -> Iterator[Direction]:
    for way, side in ((Direction.TO_BOOKS, spec.to_books), (Direction.TO_CRM, spec.to_crm)):
        if spec.direction in (way, Direction.BOTH) and side.operations is not Operations.NONE:
            yield way


def _stem(spec: MappingSpec, way: Direction, crm: Catalogue, books: Catalogue) -> str:
    ends = [_end(crm, spec.crm), _end(books, spec.books)]
    return "2".join(ends if way is Direction.TO_BOOKS else reversed(ends))


def _end(catalogue: Catalogue, name: str) -> str:
    system = catalogue.short or "".join(filter(str.isupper, catalogue.label)) or catalogue.system
    return NAMELESS.sub("", system) + NAMELESS.sub("", catalogue.objects[name].short or name)
