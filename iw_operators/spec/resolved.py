"""A mapping with everything looked up: what `spec.resolve` makes and the engine and the systems work from."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Final, Literal

from iw_operators.spec.catalogue import FieldDef, Model, ObjectDef
from iw_operators.spec.models import Bind, Check, Company, Direction, FlowKind, FlowSpec, Operations, Owner, Policy, Way

Side = Literal["crm", "books"]
SIDES: Final[tuple[Side, Side]] = ("crm", "books")
Kind = Literal["deleted", "voided", "inactive"]  # the ways in which a record can be gone


def other(side: Side) -> Side:
    """Return the opposite side."""
    return "books" if side == "crm" else "crm"


class MappedField(Model):
    """One field of a mapping. `name` is the neutral path, or the mapping's own word for what only it knows.

    `crm` or `books` is None when that side does not have the field (then an expression gives the other its value).
    `ref` is the neutral object that a REF points at and `ref_mapping` the mapping whose bindings translate it.
    `optional` is true where the record goes without a reference that has no partner yet.
    """

    name: str
    crm: FieldDef | None
    books: FieldDef | None
    owner: Owner
    to_books: str | None = None
    to_crm: str | None = None
    values: Mapping[str, str] = {}
    default_books: str | int | bool | None = None
    default_crm: str | int | bool | None = None
    shorten: bool = False
    ref: str | None = None
    ref_mapping: str | None = None
    optional: bool = False

    def on(self, side: Side) -> FieldDef | None:
        """Return the field's definition on one side."""
        return self.crm if side == "crm" else self.books


class ResolvedMapping(Model):
    """One mapping of one company."""

    company: Company
    mapping: str
    neutral: str
    crm_object: str
    books_object: str
    crm_def: ObjectDef
    books_def: ObjectDef
    crm_label: str  # what messages call the system
    books_label: str
    direction: Direction
    bind: Bind
    to_books: Way
    to_crm: Way
    write_back: Mapping[str, FieldDef]  # id, full_name, number, synced_at -> field of the CRM record
    id_field: FieldDef | None  # `bind.id_field`, looked up
    fields: tuple[MappedField, ...]
    lines: tuple[MappedField, ...]
    depends: tuple[str, ...]  # mappings that references go through
    # Side of the record that is gone -> how -> what happens. What is not listed is held; `propagate` is not in it.
    when_gone: Mapping[Side, Mapping[Kind, Policy]] = {}
    check: Check = Check()

    @functools.cached_property
    def fingerprint(self) -> str:
        """What `spec.fingerprint` makes of the mapping; made when asked for, since building a DAG does not ask."""
        from iw_operators.spec.fingerprint import fingerprint  # which reads mappings itself

        return fingerprint(self)

    def object_of(self, side: Side) -> str:
        """Return the native object's name on one side."""
        return self.crm_object if side == "crm" else self.books_object

    def definition(self, side: Side) -> ObjectDef:
        """Return the object's definition on one side."""
        return self.crm_def if side == "crm" else self.books_def

    def label(self, side: Side) -> str:
        """Return the system's name as people know it."""
        return self.crm_label if side == "crm" else self.books_label


class ResolvedFlow(Model):
    """One flow of one company with its mappings, in order. `direction` is TO_BOOKS or TO_CRM."""

    company: Company
    flow: str
    spec: FlowSpec
    kind: FlowKind
    direction: Direction
    mappings: tuple[ResolvedMapping, ...]
    file: str  # where the flow is written (or its mapping, where it is generated), for people
    generated: bool = False  # made from a mapping, rather than written in flows.yaml

    @property
    def dag_id(self) -> str:
        """Airflow's name of the flow."""
        return f"{self.company.company}.{self.flow}"

    @property
    def source(self) -> Side:
        """The side that the flow reads."""
        return "crm" if self.direction is Direction.TO_BOOKS else "books"

    @property
    def target(self) -> Side:
        """The side that the flow writes."""
        return other(self.source)

    def operations(self, mapping: ResolvedMapping) -> Operations:
        """Return what this flow may do with one of its mappings."""
        way = mapping.to_books if self.direction is Direction.TO_BOOKS else mapping.to_crm
        return self.spec.operations or way.operations


class CompanySpec(Model):
    """Everything of one company that is free of errors."""

    company: Company
    mappings: Mapping[str, ResolvedMapping]
    flows: Mapping[str, ResolvedFlow]  # those that are written first, in their order, then those made of mappings

    @property
    def written(self) -> Mapping[str, ResolvedFlow]:
        """The flows that stand in flows.yaml."""
        return {name: flow for name, flow in self.flows.items() if not flow.generated}
