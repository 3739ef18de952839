"""A long load's progress: where it goes on after an interruption, and what people see of it (R3, R14).

Changes come oldest first. What every record before a moment has is a row in the ledger, so a later attempt reads from
that moment on. The moment is the last change of a page that is recorded; records of the very same moment may be
read twice, none is left out. It stands still

* after a record whose write is in doubt, so that it is planned again,
* where a page goes back in time, as what a system brings besides records' own changes does.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import structlog

from iw_operators.engine.model import Action, Record
from iw_operators.ledger.model import RunRef
from iw_operators.ledger.store import Ledger
from iw_operators.points import reach
from iw_operators.systems.base import System, View, Window

SECOND: Final = dt.timedelta(seconds=1)  # systems tell their time in full seconds

log = structlog.get_logger(__name__)


class Progress:
    """The progress of one mapping in one attempt.

    :param resumes: whether it goes on where an earlier attempt left off. A scheduled flow's first run does not: it has
        its own short ways through what is in step already.
    """

    def __init__(self, ledger: Ledger, run: RunRef, *, resumes: bool) -> None:
        self._ledger = ledger
        self._run = run
        self._resumes = resumes
        self._still = False
        self._began = time.monotonic()
        self._before = 0

    def begin(self, source: System, view: View, window: Window) -> Window:
        """Return what is left to be read. Costs one request for the count, once a mapping and run."""
        run = self._run
        load = self._ledger.load(run.run_id, run.mapping, run.attempt)
        if not self._resumes:
            load = replace(load, reached=None, done=0)
        until = window.until or load.until
        if until is None and self._resumes:  # else what a load itself writes back would come round again
            until = source.now() + SECOND
        window = replace(window, until=until)
        if load.total is None:
            load = replace(load, total=source.count(view, window))
        self._load = replace(load, until=until)
        self._before = load.done
        self._note()
        if load.reached is not None:
            log.info("going on", mapping=run.mapping, reached=load.reached.isoformat(), done=load.done)
        return replace(window, after=load.reached)

    def page(self, page: Sequence[Record], counts: Mapping[str, int]) -> None:
        """Note that a page, as it was read, is recorded."""
        load = self._load
        self._still = self._still or bool(counts.get(Action.UNKNOWN))
        reached = load.reached
        for stamp in (record.modified for record in page if not self._still):
            if stamp is None and reached is None:
                continue  # what nobody has ever changed comes first
            if stamp is None or (reached is not None and stamp < reached):
                self._still = True
            else:
                reached = stamp
        moved = reached if not self._still else load.reached
        done = load.done + len(page)
        total = max(load.total, done) if load.total is not None else None
        self._load = replace(load, reached=moved, done=done, total=total)
        reach("before_progress")
        self._note()
        reach("after_progress")
        self._tell()

    def _note(self) -> None:
        self._ledger.note_load(self._run.run_id, self._run.mapping, self._run.attempt, self._load)

    def _tell(self) -> None:
        load = self._load
        rate = (load.done - self._before) / max(time.monotonic() - self._began, 0.001)
        left = round((load.total - load.done) / rate) if load.total is not None and rate else None
        log.info(
            "progress",
            mapping=self._run.mapping,
            done=load.done,
            total=load.total,
            per_second=round(rate, 1),
            seconds_left=left,
        )
