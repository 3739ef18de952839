"""The loop that every mapping of every flow goes through: read, plan, write, record, page by page.

Memory is bounded by the page, not by the run. What is in the ledger after any interruption is enough to go on.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from iw_operators.apply import Ends, Writer, own_fields, trace
from iw_operators.engine import compile_mapping
from iw_operators.engine.model import Action, Decision, Record
from iw_operators.engine.problems import PARTNER_GONE
from iw_operators.errors import FixRecord
from iw_operators.known import Knowledge, other, views
from iw_operators.ledger.codec import can_be_stored
from iw_operators.ledger.store import Ledger, RunRef
from iw_operators.points import reach
from iw_operators.spec.models import FlowKind, Operations
from iw_operators.spec.resolved import ResolvedFlow, ResolvedMapping, Side
from iw_operators.sweep import Sweep, deleted
from iw_operators.systems.base import System, View, Window

log = structlog.get_logger(__name__)

STALE_ROUNDS: Final = 3  # how often a record is planned again because its partner changed meanwhile


@dataclass(frozen=True, slots=True)
class Summary:
    """What one mapping did in one task: records read, and how many ended in which `Action`."""

    mapping: str
    read: int
    counts: Mapping[str, int]


def sync_mapping(
    flow: ResolvedFlow,
    mapping: ResolvedMapping,
    *,
    source: System,
    target: System,
    ledger: Ledger,
    run: RunRef,
    window: Window,
    only: str | None = None,
    page_size: int = 500,
) -> Summary:
    """Bring one mapping's changes from source to target.

    :param window: which changes; ignored when `only` names one record by its full name or id.
    :raises RetryLater: the task may be repeated as it is: what was written is known, what is in doubt is settled
        first.
    :raises FixRecord: `only` names no record, or several.
    :raises StopFlow: the run does not balance (law 3), or would bind a record twice.

    One task at a time works on a mapping of a company, in either direction; a second one waits.
    """
    with ledger.working(run.company, mapping.mapping):
        work = _Work(flow, mapping, source, target, ledger, run)
        work.writer.settle()
        ledger.begin_mapping(run.run_id, mapping.mapping, run.fingerprint, run.attempt)
        reach("after_begin_mapping")
        work.writer.write_back()
        read, started = 0, time.monotonic()
        for number, page in enumerate(work.pages(window, only, page_size), start=1):
            counts = work.page(page)
            read += len(page)
            reach("after_page")
            rate = round(read / max(time.monotonic() - started, 0.001))
            log.info("page done", mapping=mapping.mapping, page=number, records=read, per_second=rate, **counts)
        reach("before_end_mapping")
        total = ledger.end_mapping(run.run_id, mapping.mapping, run.attempt, read)
        reach("after_end_mapping")
    log.info("mapping done", mapping=mapping.mapping, fingerprint=run.fingerprint, records=read, **total)
    return Summary(mapping.mapping, read, total)


class _Work:
    """One mapping in one task."""

    def __init__(
        self, flow: ResolvedFlow, mapping: ResolvedMapping, source: System, target: System, ledger: Ledger, run: RunRef
    ) -> None:
        self.run = run
        self.mapping = mapping
        self.source = source
        self.ledger = ledger
        self.follows = flow.kind is FlowKind.SCHEDULED
        self.compiled = compile_mapping(mapping, run.source, flow.operations(mapping))
        self.source_view, self.target_view = views(self.compiled)
        self._views: dict[Side, View] = {}
        self.known = Knowledge(self.compiled, target, self.target_view, ledger)
        side = other(run.source)
        back = own_fields(mapping.write_back)
        ends = Ends(
            systems={run.source: source, side: target},
            views=self._view,
            write_back=View(mapping.crm_object, mapping.crm_def, back) if back else None,
        )
        self.writer = Writer(
            run, ledger, side, ends, self.compiled.base_after, self.compiled.version_after, self.compiled.verified
        )
        self.sweep = Sweep(mapping, source, self.source_view, ledger, run)

    def _view(self, side: Side) -> View:
        """Return the view under which one side is written, by this flow or by one of the other direction."""
        if side not in self._views:
            self._views[side] = self._made_view(side)
        return self._views[side]

    def _made_view(self, side: Side) -> View:
        if side == self.compiled.target:
            view = self.target_view
        else:
            view = views(compile_mapping(self.mapping, other(side), Operations.CREATE_AND_UPDATE))[1]
        if side == "crm":
            view = replace(view, fields={**view.fields, **own_fields(self.mapping.write_back)})
        return view

    def pages(self, window: Window, only: str | None, page_size: int) -> Iterator[Sequence[Record]]:
        """Yield what is to be planned: records that waited for others first, then the window's changes."""
        if only is not None:
            yield self._only(only)
            return
        if self.follows:
            self.sweep.begin()
        waiting = self._waiting() if self.follows else []
        for start in range(0, len(waiting), page_size):
            ids = waiting[start : start + page_size]
            found = self.source.fetch(self.source_view, ids)
            gone = [each for each in ids if each not in found]
            bound = self.known.bindings(gone)
            away = [each for each in gone if each not in bound]
            self.ledger.forget_waiting(self.run.company, self.mapping.mapping, self.run.source, away)
            if again := [*found.values(), *map(deleted, sorted(bound))]:
                yield again
        seen = set(waiting)
        for page in self.source.changes(self.source_view, window, page_size):
            rest = [record for record in page if record.id not in seen] if seen else page
            seen.update(record.id for record in rest if record.deleted)
            if rest:
                yield rest
        if self.follows:
            yield from self.sweep.pages(window, seen, page_size)

    def _waiting(self) -> list[str]:
        held_for = dt.timedelta(minutes=self.mapping.company.held_minutes)
        return self.ledger.waiting(self.run.company, self.mapping.mapping, self.run.source, held_for=held_for)

    def _only(self, name: str) -> Sequence[Record]:
        label, thing = self.mapping.label(self.run.source), self.source_view.object
        if not name.strip() or not can_be_stored(name):  # no system has such names, and no wire carries them
            msg = "The full name or id that was asked for is empty or holds a character that no system stores."
            raise FixRecord(msg, code="iw.not_found", advice="Type the name instead of pasting it, or give the id.")
        found = self.source.find(self.source_view, name)
        if not found:
            msg = f"{label} has no {thing} with the full name or id that was asked for."
            raise FixRecord(msg, code="iw.not_found", advice="Check spelling and capitals, or give the record's id.")
        if len(found) > 1:
            msg = f"{label} has {len(found)} of {thing} with that full name: {', '.join(r.id for r in found)}."
            raise FixRecord(msg, code="iw.ambiguous", advice="Give the id of the one that is meant.")
        return found

    def page(self, page: Sequence[Record]) -> dict[str, int]:
        """Plan and apply one page; return how many records ended how."""
        bindings = self.known.bindings([record.id for record in page])
        quiet: list[Decision] = []
        todo: list[Record] = []
        for record in page:
            binding = bindings.get(record.id)
            if record.id in self.writer.in_doubt:
                quiet.append(self.writer.doubt(record))
            elif self.follows and binding and not record.deleted and record.version == binding.source_version != "":
                quiet.append(_same_version(record, binding.target_id))
            else:
                todo.append(record)
        if todo:
            complete = self.source.complete(self.source_view, todo)
            todo = []
            for record in complete:
                binding = bindings.get(record.id)
                echo = self.compiled.echo(record, binding) if self.follows and binding else None
                if echo:
                    quiet.append(echo)
                else:
                    todo.append(record)
        self.ledger.record(self.run, quiet)
        for decision in quiet:
            trace(decision)
        done = quiet + self._rounds(todo)
        partners = [d.target_id for d in done if d.code == PARTNER_GONE and d.target_id]
        self.ledger.look_again(self.run.company, self.mapping.mapping, other(self.run.source), partners)
        self.writer.write_back()
        return tally(done)

    def _rounds(self, todo: list[Record]) -> list[Decision]:
        """Plan and apply; again for those whose partner changed in between."""
        done: list[Decision] = []
        for number in range(1, STALE_ROUNDS + 1):
            if not todo:
                break
            plan = self.sweep.explained(self.known.plan(todo))
            ended, stale = self.writer.apply(plan, last=number == STALE_ROUNDS)
            self.known.add_created(ended)
            done += ended
            todo = [record for record in todo if record.id in stale]
        return done


def tally(decisions: Sequence[Decision]) -> dict[str, int]:
    """Count decisions by `Action` value."""
    counts: dict[str, int] = {}
    for decision in decisions:
        counts[decision.action.value] = counts.get(decision.action.value, 0) + 1
    return counts


def _same_version(record: Record, target_id: str) -> Decision:
    return Decision(
        Action.UNCHANGED,
        record.id,
        "The same version as when both sides were last in step.",
        label=record.label,
        target_id=target_id,
        source_version=record.version,
    )
