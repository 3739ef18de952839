"""The loop that every mapping of every flow goes through: read, plan, write, record, page by page.

Memory is bounded by the page, not by the run. What is in the ledger after any interruption is enough to go on.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from iw_operators.apply import Ends, Writer, own_fields, trace
from iw_operators.engine import Compiled, compile_mapping
from iw_operators.engine.model import Action, Decision, Record
from iw_operators.engine.problems import PARTNER_GONE
from iw_operators.errors import Yielded
from iw_operators.failed import failed_pages, note_version
from iw_operators.known import Knowledge, views
from iw_operators.ledger.inbox import LATE
from iw_operators.ledger.store import Ledger, RunRef
from iw_operators.named import Named, find_one
from iw_operators.named import pages as named_pages
from iw_operators.points import reach
from iw_operators.progress import Progress
from iw_operators.spec.models import FlowKind, Operations
from iw_operators.spec.resolved import ResolvedFlow, ResolvedMapping, Side, other
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
    only: str | Named | None = None,
    again: Sequence[str] | None = None,
    page_size: int = 500,
    go_on: Callable[[], str] = lambda: "",
) -> Summary:
    """Bring one mapping's changes from source to target.

    Long loads (`FlowKind.bulk`) go on where an earlier attempt of the run was broken off.

    :param window: which changes; ignored when `only` names records.
    :param only: one full name or id, or several.
    :param again: ids of failed records; the run does nothing but plan these anew, all open ones where it is empty.
    :param go_on: asked at the end of each page; returns "", or why the work is to end here.
    :raises Yielded: `go_on` said so. The page is done and recorded; the mapping is not.
    :raises RetryLater: the task may be repeated as it is: what was written is known, what is in doubt is settled
        first.
    :raises FixRecord: `only` names no record, or not exactly one; records that are clear are done.
    :raises StopFlow: the run does not balance (law 3), or would bind a record twice.

    One task at a time works on a mapping of a company, in either direction; a second one waits.
    """
    with ledger.working(run.company, mapping.mapping):
        work = Work(flow, mapping, source, target, ledger, run)
        work.writer.settle()
        ledger.begin_mapping(run.run_id, mapping.mapping, run.fingerprint, run.attempt)
        note_version(ledger, run, mapping)
        reach("after_begin_mapping")
        work.writer.write_back()
        read, started = 0, time.monotonic()
        progress = work.progress(window) if only is None and again is None else None
        if progress is not None:
            window = progress.begin(source, work.source_view, window)
        for number, page in enumerate(work.pages(window, only, page_size, again), start=1):
            counts = work.page(page)
            read += len(page)
            reach("after_page")
            if progress is not None:
                progress.page(work.raw, counts)
            rate = round(read / max(time.monotonic() - started, 0.001))
            log.info("page done", mapping=mapping.mapping, page=number, records=read, per_second=rate, **counts)
            if why := go_on():
                raise Yielded(why, code="iw.yielded")
        reach("before_end_mapping")
        total = ledger.end_mapping(run.run_id, mapping.mapping, run.attempt, read)
        reach("after_end_mapping")
    log.info("mapping done", mapping=mapping.mapping, fingerprint=run.fingerprint, records=read, **total)
    return Summary(mapping.mapping, read, total)


class Work:
    """One mapping in one task."""

    def __init__(
        self, flow: ResolvedFlow, mapping: ResolvedMapping, source: System, target: System, ledger: Ledger, run: RunRef
    ) -> None:
        self.run = run
        self.mapping = mapping
        self.source = source
        self.ledger = ledger
        self.kind = flow.kind
        self.called = flow.kind is FlowKind.Q
        self.raw: Sequence[Record] = ()  # the page at work as it was read, with what it does not have to look at
        self.follows = flow.kind in (FlowKind.SCHEDULED, FlowKind.Q)
        self.compiled = compile_mapping(mapping, run.source, flow.operations(mapping))
        self.source_view, self.target_view = views(self.compiled)
        self._views: dict[Side, View] = {}
        self._directions: dict[Side, Compiled] = {self.compiled.target: self.compiled}
        self.known = Knowledge(self.compiled, target, self.target_view, ledger)
        side = other(run.source)
        back = own_fields(mapping.write_back)
        ends = Ends(
            systems={run.source: source, side: target},
            views=self._view,
            write_back=View(mapping.crm_object, mapping.crm_def, back) if back else None,
        )
        self.writer = Writer(run, ledger, side, ends, self._direction)
        self.sweep = Sweep(mapping, source, self.source_view, ledger, run)

    def _view(self, side: Side) -> View:
        """Return the view under which one side is written, by this flow or by one of the other direction."""
        if side not in self._views:
            self._views[side] = self._made_view(side)
        return self._views[side]

    def _direction(self, side: Side) -> Compiled:
        """Return the mapping as it writes to one side."""
        if side not in self._directions:
            self._directions[side] = compile_mapping(self.mapping, other(side), Operations.CREATE_AND_UPDATE)
        return self._directions[side]

    def _made_view(self, side: Side) -> View:
        view = views(self._direction(side))[1]
        if side == "crm":
            view = replace(view, fields={**view.fields, **own_fields(self.mapping.write_back)})
        return view

    def progress(self, window: Window) -> Progress | None:
        """Return what keeps the progress of a long load or a first run; None for everything else."""
        if self.kind.bulk or (self.kind is FlowKind.SCHEDULED and window.since is None):
            return Progress(self.ledger, self.run, resumes=self.kind.bulk)
        return None

    def pages(
        self, window: Window, only: str | Named | None, page_size: int, again: Sequence[str] | None = None
    ) -> Iterator[Sequence[Record]]:
        """Yield what is to be planned: records that waited for others first, then the window's changes."""
        if again is not None:
            yield from failed_pages(self.ledger, self.run, self.source, self.source_view, again, page_size)
            return
        if only is not None:
            label, view = self.mapping.label(self.run.source), self.source_view
            if isinstance(only, str):
                yield [find_one(self.source, view, label, only)]
            else:
                yield from named_pages(only, self.source, view, label, self.known.bindings, page_size)
            return
        if self.called:
            yield from self._called(page_size, set())
            return
        if self.follows:
            self.sweep.begin()
        seen: set[str] = set()
        if self.follows:
            yield from self._called(page_size, seen, late=LATE)
        waiting = [each for each in self._waiting() if each not in seen] if self.follows else []
        for start in range(0, len(waiting), page_size):
            once_more, away = self._fetched(waiting[start : start + page_size])
            self.ledger.forget_waiting(self.run.company, self.mapping.mapping, self.run.source, away)
            if once_more:
                yield once_more
        seen.update(waiting)
        for page in self.source.changes(self.source_view, window, page_size):
            self.raw = page
            rest = [record for record in page if record.id not in seen] if seen else page
            seen.update(record.id for record in rest if record.deleted)
            if self.kind is FlowKind.N:
                bound = self.known.bindings([record.id for record in rest])
                rest = [record for record in rest if record.id not in bound]
            if rest or self.kind.bulk:
                yield rest
        self.raw = ()
        if self.follows:
            yield from self.sweep.pages(window, seen, page_size)

    def _called(
        self, page_size: int, seen: set[str], *, late: dt.timedelta | None = None
    ) -> Iterator[Sequence[Record]]:
        """Yield the records that calls are about, and put them into `seen`; a call is done when its page is.

        :param late: only calls that no run has taken up for so long.
        """
        called = self.ledger.claim_calls(self.run, late=late)
        reach("after_claim")
        for start in range(0, len(called), page_size):
            ids = called[start : start + page_size]
            seen.update(ids)
            there, _ = self._fetched(ids)
            if there:
                yield there
            self.ledger.end_calls(self.run, ids)

    def _fetched(self, ids: Sequence[str]) -> tuple[list[Record], list[str]]:
        """Return the source's records with these ids, and the ids of which it has none and that are not bound.

        What the source no longer has, but is bound or has failed, comes as a deleted record.
        """
        found = self.source.fetch(self.source_view, ids)
        gone = [each for each in ids if each not in found]
        bound = self.known.bindings(gone)
        away = [each for each in gone if each not in bound]
        failed = self.ledger.failing(self.run.company, self.mapping.mapping, self.run.source, away)
        return [*found.values(), *map(deleted, sorted({*bound, *failed}))], away

    def _waiting(self) -> list[str]:
        """Return records that can go now, and those that failed under another version of the mapping, once."""
        held_for = dt.timedelta(minutes=self.mapping.company.held_minutes)
        company, name, side = self.run.company, self.mapping.mapping, self.run.source
        due = self.ledger.waiting(company, name, side, held_for=held_for)
        changed = self.ledger.failed_under_another(company, name, side, self.run.fingerprint)
        return list(dict.fromkeys((*due, *changed)))

    def page(self, page: Sequence[Record]) -> dict[str, int]:
        """Plan and apply one page; return how many records ended how."""
        bindings = self.known.bindings([record.id for record in page])
        # What was asked for by id may have the version of its header alone, though a line has changed since.
        versions = self.follows and bool(self.raw)
        quiet: list[Decision] = []
        todo: list[Record] = []
        for record in page:
            binding = bindings.get(record.id)
            if record.id in self.writer.in_doubt:
                quiet.append(self.writer.doubt(record))
            elif versions and binding and not record.deleted and record.version == binding.source_version != "":
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
        partners = [d.target_id for d in done if d.target_id and self._looks_back(d)]
        self.ledger.look_again(self.run.company, self.mapping.mapping, other(self.run.source), partners)
        self.writer.write_back()
        return tally(done)

    def _looks_back(self, decision: Decision) -> bool:
        """Tell whether the other direction has to look at the partner, though nothing of it has changed.

        What the partner has and our record does not comes by no change where the two are bound without a write.
        """
        newly = decision.binds and decision.action is Action.UNCHANGED and self.compiled.returns
        return newly or decision.code == PARTNER_GONE

    def _rounds(self, todo: list[Record]) -> list[Decision]:
        """Plan and apply; again for those whose partner changed in between."""
        done: list[Decision] = []
        for number in range(1, STALE_ROUNDS + 1):
            if not todo:
                break
            records = {record.id: record for record in todo}
            plan = self.sweep.explained(self.known.plan(todo))
            plan = [self.writer.wary(decision, records[decision.source_id]) for decision in plan]
            ended, stale = self.writer.apply(plan, last=number == STALE_ROUNDS)
            self.known.add_created(ended)
            done += ended
            todo = [record for record in todo if record.id in stale]
        return done


def tally(decisions: Sequence[Decision]) -> dict[str, int]:
    """Count decisions by `Action` value."""
    return dict(Counter(decision.action.value for decision in decisions))


def _same_version(record: Record, target_id: str) -> Decision:
    return Decision(
        Action.UNCHANGED,
        record.id,
        "The same version as when both sides were last in step.",
        label=record.label,
        target_id=target_id,
        source_version=record.version,
    )
