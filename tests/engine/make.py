"""Mappings built by hand, and two systems in memory that plans can be applied to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from iw_operators.engine import (
    Action,
    Binding,
    Candidate,
    Compiled,
    Decision,
    Known,
    Record,
    Value,
    Values,
    compile_mapping,
)
from iw_operators.spec.catalogue import FieldDef, FieldType, LinesDef, LookupDef, ObjectDef
from iw_operators.spec.models import Bind, Company, CreateWhen, Direction, Endpoint, Operations, Owner, Way
from iw_operators.spec.resolved import MappedField, ResolvedMapping, Side

CRM = "Alpha CRM"
BOOKS = "Beta Books"
T, MEMO, PHONE = FieldType.TEXT, FieldType.MEMO, FieldType.PHONE
MONEY, DECIMAL, DATE, DATETIME = FieldType.MONEY, FieldType.DECIMAL, FieldType.DATE, FieldType.DATETIME
TERMS = LookupDef(set="Terms", by="Name")


def field_def(kind: FieldType = T, **options: Any) -> FieldDef:
    """Return a field's definition."""
    return FieldDef(native=str(options.pop("native", "X")), type=kind, **options)


def mapped(
    name: str,
    crm: FieldDef | bool | None = True,
    books: FieldDef | bool | None = True,
    owner: Owner = Owner.LATEST,
    **options: Any,
) -> MappedField:
    """Return a mapped field; plain text on both sides unless said otherwise."""
    return MappedField(
        name=name,
        crm=field_def() if crm is True else crm or None,
        books=field_def() if books is True else books or None,
        owner=owner,
        **options,
    )


def mapping(
    fields: Sequence[MappedField] = (),
    *,
    lines: Sequence[MappedField] = (),
    direction: Direction = Direction.BOTH,
    bind: Mapping[str, Any] | None = None,
    id_field: bool = False,
    to_books: Way | None = None,
    to_crm: Way | None = None,
    company: Mapping[str, Any] | None = None,
    crm_extra: Mapping[str, FieldDef] | None = None,
    books_extra: Mapping[str, FieldDef] | None = None,
    lines_required: bool = False,
    creatable: bool = True,
    name: str = "customers",
) -> ResolvedMapping:
    """Return a mapping with the given fields. The objects have just those, and the extra ones."""

    def definition(side: Side, extra: Mapping[str, FieldDef] | None) -> ObjectDef:
        own = {each.name: each.on(side) for each in fields}
        line_fields = {each.name: found for each in lines if (found := each.on(side))}
        return ObjectDef(
            neutral=("customer",),
            modified="Modified",
            creatable=creatable or side == "crm",
            fields={**{key: found for key, found in own.items() if found}, **(extra or {})},
            lines=LinesDef(native="Line", required=lines_required and side == "books", fields=line_fields)
            if line_fields
            else None,
        )

    return ResolvedMapping(
        company=Company(
            company="acme",
            crm=Endpoint(system="alpha", connection="a"),
            books=Endpoint(system="beta", connection="b"),
            **(company or {}),
        ),
        mapping=name,
        neutral="customer",
        crm_object="Account",
        books_object="Customer",
        crm_def=definition("crm", crm_extra),
        books_def=definition("books", books_extra),
        crm_label=CRM,
        books_label=BOOKS,
        direction=direction,
        bind=Bind.model_validate(bind or {"by": "criteria", "else": ["name"]}),
        to_books=to_books or Way(),
        to_crm=to_crm or Way(),
        write_back={},
        id_field=field_def(length=50) if id_field else None,
        fields=tuple(fields),
        lines=tuple(lines),
        depends=(),
    )


NAME = mapped("name", books=field_def(length=41, required=True, forbidden=":\t\n"))


def to_books(made: ResolvedMapping, operations: Operations = Operations.CREATE_AND_UPDATE) -> Compiled:
    """Compile towards the books."""
    return compile_mapping(made, "crm", operations)


def to_crm(made: ResolvedMapping, operations: Operations = Operations.CREATE_AND_UPDATE) -> Compiled:
    """Compile towards the CRM."""
    return compile_mapping(made, "books", operations)


def record(id_: str, version: str = "1", **values: Value) -> Record:
    """Return a record; `billing__city` stands for `billing.city`."""
    return Record(id=id_, version=version, values={key.replace("__", "."): value for key, value in values.items()})


def plan_one(compiled: Compiled, source: Record, **known: Any) -> Decision:
    """Return the decision for one record."""
    prepared, _ = compiled.prepare([source])
    return compiled.plan(prepared, Known(**known))[0]


def plan_update(
    compiled: Compiled, source: Record, target: Record, base_source: Values, base_target: Values, **known: Any
) -> Decision:
    """Return the decision for a record that is bound to `target`."""
    binding = Binding(source.id, target.id, base_source, base_target)
    return plan_one(compiled, source, bindings={source.id: binding}, targets={target.id: target}, **known)


def when(**conditions: Any) -> Way:
    """Return a way with conditions for creating."""
    return Way(create_when=CreateWhen.model_validate(conditions))


Store = Callable[[str, Value], Value]


def _as_is(_name: str, value: Value) -> Value:
    return value


@dataclass
class Memory:
    """A system in memory: stores what it is sent, in its own manner where one is given."""

    records: dict[str, Record] = field(default_factory=dict)
    manner: Store = _as_is
    writes: int = 0

    def put(self, id_: str, values: Values) -> Record:
        """Store values over what is there, under a new version."""
        old = self.records.get(id_)
        kept = {name: self.manner(name, value) for name, value in values.items()}
        version = str(int(old.version) + 1) if old else "1"
        made = Record(id=id_, values={**(old.values if old else {}), **kept}, version=version)
        self.records[id_] = made
        return made


@dataclass
class Pair:
    """Two systems, the bindings between them, and what the loop does with a plan."""

    crm: Memory = field(default_factory=Memory)
    books: Memory = field(default_factory=Memory)
    bindings: dict[tuple[str, str], Binding] = field(default_factory=dict)  # (crm id, books id), source = crm
    next_id: int = 0

    def side(self, side: Side) -> Memory:
        """Return one system."""
        return self.crm if side == "crm" else self.books

    def bindings_of(self, source: Side) -> dict[str, Binding]:
        """Return the bindings, seen from one side, by its ids."""
        found = self.bindings.values()
        return {each.source_id: each for each in (found if source == "crm" else map(turned, found))}

    def known(self, compiled: Compiled) -> Known:
        """Return everything that there is to know."""
        candidates: dict[str, list[Candidate]] = {}
        owners = {each.target_id: each.source_id for each in self.bindings_of(compiled.source).values()}
        for target in self.side(compiled.target).records.values():
            for key in compiled.index_keys(target.values, target.id):
                label = str(target.values.get("name"))
                candidates.setdefault(key, []).append(Candidate(target.id, label, owners.get(target.id)))
        return Known(
            bindings=self.bindings_of(compiled.source),
            targets=self.side(compiled.target).records,
            candidates=candidates,
        )

    def run(self, compiled: Compiled, ids: Iterable[str] | None = None) -> list[Decision]:
        """Plan records of the source (all by default) and apply the plan."""
        source = self.side(compiled.source).records
        prepared, _ = compiled.prepare([source[each] for each in (ids if ids is not None else source)])
        decisions = compiled.plan(prepared, self.known(compiled))
        for decision in decisions:
            self._apply(compiled, decision)
        return decisions

    def _apply(self, compiled: Compiled, decision: Decision) -> None:
        target = self.side(compiled.target)
        target_id, base = decision.target_id, decision.target
        if decision.action in (Action.CREATE, Action.UPDATE):
            if target_id is None:
                self.next_id += 1
                target_id = f"{compiled.target}{self.next_id}"
            target.writes += 1
            base = compiled.base_after(decision, target.put(target_id, decision.send).values)
        elif decision.action is not Action.UNCHANGED:
            return
        assert target_id is not None
        binding = Binding(decision.source_id, target_id, decision.source, base)
        made = binding if compiled.source == "crm" else turned(binding)
        self.bindings[made.source_id, made.target_id] = made


def turned(binding: Binding) -> Binding:
    """Return a binding seen from the other side."""
    return replace(
        binding,
        source_id=binding.target_id,
        target_id=binding.source_id,
        base_source=binding.base_target,
        base_target=binding.base_source,
    )


def money(text: str) -> Decimal:
    """Return a Decimal."""
    return Decimal(text)


def utc(*parts: int) -> dt.datetime:
    """Return a moment in UTC."""
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[misc,arg-type]  # year, month, day and so on, in order
