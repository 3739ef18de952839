"""Gathers what the plan has to know about a page: bindings, partners, candidates, references, lookups.

Everything is asked for a whole page at a time (M17): a page costs the target one read of partners and one a list of
lookups, however many records it has.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

import structlog

from iw_operators.engine import Compiled, Known, Prepared, Wants
from iw_operators.engine.model import Action, Binding, Candidate, Decision, Record, Unbound
from iw_operators.engine.review import FULL_NAME, NUMBER, Found
from iw_operators.failed import Overlay, corrected, explained
from iw_operators.ledger.store import Ledger
from iw_operators.points import reach
from iw_operators.spec.resolved import ResolvedMapping, Side
from iw_operators.systems.base import System, View

log = structlog.get_logger(__name__)

INDEX_OVERLAP: Final = dt.timedelta(minutes=5)
INDEX_FORM: Final = "1"  # changes when match keys are made in another way


def views(compiled: Compiled) -> tuple[View, View]:
    """Return what a mapping reads of its source and of its target."""
    mapping, source, target = compiled.mapping, compiled.source, compiled.target
    return (
        View(
            mapping.object_of(source),
            mapping.definition(source),
            compiled.source_view_fields,
            compiled.source_view_lines,
            compiled.facts,
        ),
        View(
            mapping.object_of(target),
            mapping.definition(target),
            compiled.target_view_fields,
            compiled.target_view_lines,
        ),
    )


def telling(view: View, mapping: ResolvedMapping, side: Side) -> View:
    """Return a view of the books with what the CRM is told of their record besides its id; that of the CRM as it is."""
    known = mapping.books_def.fields
    wanted = (FULL_NAME, NUMBER) if side == "books" else ()
    names = [name for name in wanted if name in mapping.write_back and name in known]
    return replace(view, fields={**view.fields, **{name: known[name] for name in names if name not in view.fields}})


class Knowledge:
    """What is known about the target of one mapping, during one task.

    The match index in the ledger holds the match keys of every record of the target, so that finding partners for a
    page costs no request. It is filled by one scan of the target and afterwards kept up by what changed there.
    """

    def __init__(self, compiled: Compiled, target: System, view: View, ledger: Ledger) -> None:
        self.compiled = compiled
        self.target = target
        self.view = view
        self.ledger = ledger
        self.company = compiled.mapping.company.company
        self.name = compiled.mapping.mapping
        self.corrections = Overlay(ledger, self.company, self.name, compiled.source)
        self._indexed = False
        self._lookups: dict[str, dict[str, str]] = {}

    def bindings(self, ids: Sequence[str]) -> Mapping[str, Binding]:
        """Return the bindings of source records, oriented from source to target."""
        return self.ledger.bindings(self.company, self.name, self.compiled.source, ids)

    def plan(self, records: Sequence[Record]) -> list[Decision]:
        """Return one decision a record; reads what planning has to know, writes nothing.

        Corrections that people gave for records that had failed are laid over what the source holds.
        """
        corrections = self.corrections.of(records)
        own = {record.id: record for record in records if record.id in corrections}
        prepared, wants, known = self._matched([corrected(record, corrections.get(record.id)) for record in records])
        known = replace(
            known,
            references={
                mapping: self.ledger.references(self.company, mapping, self.compiled.source, sorted(ids))
                for mapping, ids in wants.references.items()
            },
            lookups={name: self._lookup(name, names) for name, names in wants.lookups.items()},
        )
        plan = self._told(self.compiled.plan(prepared, known))
        return [explained(each, corrections.get(each.source_id), own.get(each.source_id)) for each in plan]

    def _told(self, plan: Sequence[Decision]) -> Sequence[Decision]:
        """Let pairs that are bound without a write know what the books call the record, for the CRM to be told."""
        view = telling(self.view, self.compiled.mapping, self.compiled.target)
        new = {d.target_id for d in plan if d.binds and d.action is Action.UNCHANGED and d.target_id}
        if not new or view == self.view:
            return plan
        held = self.target.fetch(view, new)
        return [
            replace(d, send={n: v for n in (FULL_NAME, NUMBER) if (v := held[d.target_id or ""].values.get(n))})
            if d.target_id in new and d.target_id in held
            else d
            for d in plan
        ]

    def review(self, records: Sequence[Record]) -> list[Found]:
        """Return a row for a person for each record that has no binding; reads what matching has to know."""
        prepared, _, known = self._matched(records)
        return self.compiled.review(prepared, known)

    def _matched(self, records: Sequence[Record]) -> tuple[Sequence[Prepared], Wants, Known]:
        """Return the records prepared, what planning wants to know besides, and what matching has to know of them."""
        bindings = self.bindings([record.id for record in records])
        prepared, wants = self.compiled.prepare(records, bindings)
        candidates, targets = self._partners(prepared, wants, bindings)
        known = Known(
            bindings=bindings,
            targets=targets,
            unbound=self._left(self.compiled.source, [r.id for r in records if r.id not in bindings]),
            held_targets=self._held(candidates),
            candidates=candidates,
        )
        return prepared, wants, known

    def _partners(
        self, prepared: Sequence[Prepared], wants: Wants, bindings: Mapping[str, Binding]
    ) -> tuple[Mapping[str, Sequence[Candidate]], Mapping[str, Record]]:
        """Return the candidates under the records' keys, and the target records that are compared with."""
        candidates: Mapping[str, Sequence[Candidate]] = {}
        if wants.keys:
            self._refresh_index()
            candidates = self.ledger.candidates(self.company, self.name, self.compiled.target, sorted(wants.keys))
        needed = self.compiled.targets_needed(prepared, bindings, candidates)
        targets = self.target.fetch(self.view, needed) if needed else {}
        return self._without_gone(candidates, needed - targets.keys()), targets

    def _left(self, side: Side, ids: Sequence[str]) -> Mapping[str, Unbound]:
        return self.ledger.unbound(self.company, self.name, side, ids)

    def _held(self, candidates: Mapping[str, Sequence[Candidate]]) -> set[str]:
        """Return those of the candidates about which a person has to decide first."""
        found = sorted({each.id for listed in candidates.values() for each in listed})
        return {each for each, left in self._left(self.compiled.target, found).items() if left.held}

    def _without_gone(
        self, candidates: Mapping[str, Sequence[Candidate]], gone: Collection[str]
    ) -> Mapping[str, Sequence[Candidate]]:
        """Return the candidates that the target still has; the index forgets the others, which nobody told it of."""
        listed = {each.id for some in candidates.values() for each in some if each.bound_to is None}
        if not listed & set(gone):
            return candidates
        side = self.compiled.target
        self.ledger.index_put(self.company, self.name, side, [(each, "", []) for each in sorted(listed & set(gone))])
        return {key: [each for each in some if each.id not in gone] for key, some in candidates.items()}

    def add_created(self, done: Sequence[Decision]) -> None:
        """Tell the match index of target records that have just been made."""
        rows = [
            (d.target_id, d.label, self.compiled.index_keys(d.target, d.target_id))
            for d in done
            if d.action is Action.CREATE and d.target_id
        ]
        if rows:
            self.ledger.index_put(self.company, self.name, self.compiled.target, rows)
            reach("after_index_of_created")

    def _lookup(self, name: str, names: Collection[str]) -> Mapping[str, str]:
        cached = self._lookups.setdefault(name, {})
        missing = [each for each in names if each not in cached]
        if missing:
            cached.update(self.target.lookup(self.compiled.lookup_fields[name], missing))
        return cached

    def _refresh_index(self) -> None:
        if self._indexed:
            return
        side = self.compiled.target
        signature = self._signature()
        state = self.ledger.index_state(self.company, self.name, side)
        since: dt.datetime | None = None
        if state is not None and state[1] == signature:
            since = state[0] - INDEX_OVERLAP
        else:
            self.ledger.index_clear(self.company, self.name, side)
        until = self.target.now()
        records = 0
        for page in self.target.scan(self.view, since):
            rows = [(r.id, r.label, [] if r.deleted else self.compiled.index_keys(r.values, r.id)) for r in page]
            self.ledger.index_put(self.company, self.name, side, rows)
            records += len(rows)
            reach("after_index_page")
        self.ledger.index_done(self.company, self.name, side, until, signature)
        reach("after_index")
        self._indexed = True
        log.info("match index read", mapping=self.name, records=records, whole=since is None)

    def _signature(self) -> str:
        """Return what match keys depend on: when it changes, the index is made anew."""
        mapping = self.compiled.mapping
        natives = sorted((name, definition.native) for name, definition in self.compiled.target_view_fields.items())
        parts = (INDEX_FORM, mapping.bind.model_dump_json(), mapping.company.country, self.view.object, repr(natives))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
