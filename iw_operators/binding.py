"""First binding of what both sides have already (P4): find, let a person decide, bind what was approved.

`find_partners` reads and writes a sheet into the ledger; `bind_approved` binds the approved rows of that sheet and
tells the CRM the ids of its new partners. In between a person decides, for as long as it takes. Both go page by page
and can be stopped anywhere: what is in the ledger is enough to go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from iw_operators.engine.model import Action, Decision
from iw_operators.engine.problems import Names
from iw_operators.engine.review import (
    Approved,
    Present,
    binding_decisions,
    binding_of,
)
from iw_operators.errors import Yielded
from iw_operators.known import telling
from iw_operators.ledger.reviews import APPROVED, ReviewRow
from iw_operators.ledger.store import Ledger, RunRef
from iw_operators.points import reach
from iw_operators.spec.resolved import ResolvedFlow, ResolvedMapping, other
from iw_operators.sync import Summary, Work
from iw_operators.systems.base import System, Window

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """What one mapping is worked on with.

    :param go_on: asked at the end of each page; returns "", or why the work is to end here.
    """

    source: System
    target: System
    ledger: Ledger
    run: RunRef
    page_size: int = 500
    go_on: Callable[[], str] = lambda: ""

    def ask(self) -> None:
        """Raise Yielded when the work is to end here."""
        if why := self.go_on():
            raise Yielded(why, code="iw.yielded")


def find_partners(flow: ResolvedFlow, mapping: ResolvedMapping, job: Job) -> dict[str, int]:
    """Put every record of the source that is not bound into the run's sheet; return how many came to which finding.

    Writes to neither system. Rows that somebody has decided about already, in an earlier attempt, stay as they are.

    :raises Yielded: `go_on` said so. What was found so far is in the sheet, which is not complete.
    :raises RetryLater: may be repeated as it is.
    """
    ledger, run = job.ledger, job.run
    with ledger.working(run.company, mapping.mapping):
        work = Work(flow, mapping, job.source, job.target, ledger, run)
        ledger.begin_review(run)
        reach("after_begin_review")
        read = 0
        for number, page in enumerate(job.source.changes(work.source_view, Window(None, None), job.page_size), start=1):
            there = [record for record in page if not record.deleted]
            ledger.put_review(run, work.known.review(there))
            read += len(page)
            reach("after_review_page")
            log.info("page looked at", mapping=mapping.mapping, page=number, records=read)
            job.ask()
        ledger.end_review(run)
        reach("after_end_review")
    counts = finding_counts(ledger.review_counts(run.run_id).get(mapping.mapping, {}))
    log.info("partners looked for", mapping=mapping.mapping, fingerprint=run.fingerprint, records=read, **counts)
    return counts


def finding_counts(counts: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Return the rows of a sheet by finding, from those by finding and decision."""
    found: dict[str, int] = {}
    for (finding, _), number in counts.items():
        found[finding] = found.get(finding, 0) + number
    return found


def bind_approved(flow: ResolvedFlow, mapping: ResolvedMapping, job: Job) -> Summary:
    """Bind the approved rows of the run's sheet, and write the books' ids into the CRM's records.

    Each pair is looked at again: both records still there, both still free. One that cannot be bound any more is
    held, with the reason in the log and in the sheet. Nothing of either record is changed but the CRM's fields for
    its partner.

    :raises Yielded: `go_on` said so; the page is bound, the rest is not.
    :raises RetryLater: may be repeated as it is; what is bound stays bound.
    :raises StopFlow: the run does not balance (law 3).
    """
    ledger, run = job.ledger, job.run
    with ledger.working(run.company, mapping.mapping):
        work = Work(flow, mapping, job.source, job.target, ledger, run)
        work.writer.settle()
        ledger.begin_mapping(run.run_id, mapping.mapping, run.fingerprint, run.attempt)
        work.writer.write_back()
        read, after = 0, 0
        while rows := ledger.review_rows(
            run.run_id, mapping=mapping.mapping, decisions=(APPROVED,), after=after, limit=job.page_size
        ):
            decisions = _decided(work, rows, run)
            ledger.record(run, decisions)
            reach("after_bound")
            work.writer.write_back()
            ended = zip(rows, decisions, strict=True)
            ledger.end_reviewed(run.run_id, {row.id: (d.action is Action.UNCHANGED, d.why) for row, d in ended})
            reach("after_reviewed")
            read, after = read + len(rows), rows[-1].id
            bound = sum(decision.binds for decision in decisions)
            log.info("page bound", mapping=mapping.mapping, rows=read, bound=bound)
            job.ask()
        total = ledger.end_mapping(run.run_id, mapping.mapping, run.attempt, read)
    log.info("mapping bound", mapping=mapping.mapping, fingerprint=run.fingerprint, rows=read, **total)
    return Summary(mapping.mapping, read, total)


def _decided(work: Work, rows: Sequence[ReviewRow], run: RunRef) -> list[Decision]:
    """Look at both sides of approved rows as they are now, and return what becomes of each."""
    mapping, ledger, side = work.mapping, work.ledger, run.source
    mine, partners = [row.source_id for row in rows], [row.target_id for row in rows]
    systems = work.writer.ends.systems
    present = Present(
        sources=systems[side].fetch(telling(work.source_view, mapping, side), mine),
        targets=systems[other(side)].fetch(telling(work.target_view, mapping, other(side)), partners),
        bound=binding_of(ledger.bindings(run.company, run.mapping, side, mine)),
        taken=binding_of(ledger.bindings(run.company, run.mapping, other(side), partners)),
        left=ledger.unbound(run.company, run.mapping, side, mine),
        left_targets=ledger.unbound(run.company, run.mapping, other(side), partners),
    )
    approved = [Approved(row.source_id, row.target_id, row.label, row.by) for row in rows]
    return binding_decisions(approved, present, side, Names(mapping.label(side), mapping.label(other(side))))
