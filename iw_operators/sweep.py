"""Deletions that nobody tells of: bound records that the source no longer has (B6).

Some systems tell of no deletions at all; those are swept every `sweep_days` of the company. Others tell through a
change feed that reaches back for a limited time; when a flow has been down for longer, the gap is noticed and swept.
A sweep asks the source which of the bound ids it still has, page by page, and brings the others as deleted records.

A sweep that misses more than `sweep_limit` records, or all of several, has probably looked with the wrong user or at
the wrong company. It carries out no policy: every such record is held, with advice.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from iw_operators.engine.model import Action, Decision, Record
from iw_operators.ledger.model import RunRef
from iw_operators.ledger.store import Ledger
from iw_operators.spec.resolved import ResolvedMapping
from iw_operators.systems.base import System, View, Window

log = structlog.get_logger(__name__)

PAGE: Final = 2_000  # bound ids that are asked for at a time
TOO_MANY: Final = "iw.sweep_too_many"
MADE: Final = "iw.swept"


def deleted(record_id: str) -> Record:
    """Return a record of which only its absence is known."""
    return Record(record_id, {}, deleted=True, active=False)


@dataclass(slots=True)
class Sweep:
    """Finds deletions on the side that one mapping's flow reads."""

    mapping: ResolvedMapping
    source: System
    view: View
    ledger: Ledger
    run: RunRef
    _known: dt.datetime | None = None
    _found: set[str] = field(default_factory=set)
    _too_many: bool = False

    def begin(self) -> None:
        """Note what is known before anything is read: what is bound from now on has just been seen."""
        self._known = self.ledger.deletions_known(self.run.company, self.mapping.mapping, self.run.source)

    def pages(self, window: Window, seen: Collection[str], page_size: int) -> Iterator[Sequence[Record]]:
        """Yield deleted records that the window's changes have not told of, after these have been read.

        :param seen: ids that need not come again.

        Notes, when it is through, until when deletions are known. Keeps no more than `sweep_limit` ids in memory.
        """
        company, name, side = self.run.company, self.mapping.mapping, self.run.source
        until = window.until or self.source.now()
        reason = self._due(window, self._known, until) if self._known else None
        if reason is None:
            if self._known is None or self.source.told_since(self.view) is not None:
                self.ledger.note_deletions(company, name, side, until)
            return
        log.info("sweep", mapping=name, side=side, reason=reason)
        looked, missing = 0, 0
        kept: list[str] = []
        limit = self.mapping.company.sweep_limit
        for ids in self._bound():
            there = set(self.source.existing(self.view, ids))
            gone = [each for each in ids if each not in there]
            looked, missing = looked + len(ids), missing + len(gone)
            kept += [each for each in gone if each not in seen]
            if len(kept) > limit:
                self._too_many = True
            if self._too_many:
                yield from self._take(kept, page_size)
                kept = []
        if missing == looked > 1:
            self._too_many = True
        yield from self._take(kept, page_size)
        self._end(reason, looked, missing, until)

    def explained(self, plan: Sequence[Decision]) -> list[Decision]:
        """Return a plan in which decisions about what a sweep has found say so; held, where it found too much."""
        if not self._found:
            return list(plan)
        return [self._explained(each) if each.source_id in self._found else each for each in plan]

    def _due(self, window: Window, known: dt.datetime, until: dt.datetime) -> str | None:
        """Return why a sweep has to be made now; None where none has."""
        reach = self.source.told_since(self.view)
        label = self.mapping.label(self.run.source)
        if reach is None:
            days = self.mapping.company.sweep_days
            if until - known < dt.timedelta(days=days):
                return None
            return f"{label} tells of no deletions of {self.view.object}; looked for every {days} days"
        told = max(window.since, reach) if window.since else None
        if told is not None and known >= told:
            return None
        since = f"{told:%Y-%m-%d %H:%M}Z" if told else "now"
        return f"{label} tells of deletions since {since} only, they were known until {known:%Y-%m-%d %H:%M}Z"

    def _bound(self) -> Iterator[list[str]]:
        after = ""
        while ids := self.ledger.bound_ids(self.run.company, self.mapping.mapping, self.run.source, after, PAGE):
            after = ids[-1]
            yield ids

    def _take(self, ids: Sequence[str], page_size: int) -> Iterator[Sequence[Record]]:
        for start in range(0, len(ids), page_size):
            page = ids[start : start + page_size]
            self._found = set(page)
            yield [deleted(each) for each in page]
        self._found = set()

    def _end(self, reason: str, looked: int, missing: int, until: dt.datetime) -> None:
        code = TOO_MANY if self._too_many else MADE
        why = f"A sweep for deletions: {looked} bound records looked for, {missing} no longer there. {reason}."
        self.ledger.note_sweep(self.run, why, code, self._advice() if self._too_many else "")
        log.info("sweep done", mapping=self.mapping.mapping, looked_for=looked, missing=missing, code=code)
        if not self._too_many:
            side = self.run.source
            self.ledger.note_deletions(self.run.company, self.mapping.mapping, side, until, swept=True)

    def _explained(self, decision: Decision) -> Decision:
        why = f"{decision.why} (found by a sweep)"
        if not self._too_many:
            return replace(decision, why=why)
        return Decision(
            action=Action.HOLD,
            source_id=decision.source_id,
            why=f"{why}; so many are missing at once that nothing is done about any",
            label=decision.label,
            target_id=decision.target_id,
            source_version=decision.source_version,
            code=TOO_MANY,
            advice=self._advice(),
        )

    def _advice(self) -> str:
        label = self.mapping.label(self.run.source)
        return (
            f"Check that the user of {label} may read all of {self.view.object} and that the company is the right one. "
            "If they are really deleted, raise sweep_limit in company.yaml for one run."
        )
