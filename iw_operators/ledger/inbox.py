"""Calls of other systems about single records, until a flow has taken them up (R12).

A call is put down before it is answered, so that nothing that was answered is lost. The run of a Q flow claims all
open calls of its flow at once; ten calls about one record are one record to it. What a Q flow does not take up within
a while, because it is paused or had to stand back, the next run of a scheduled flow takes along.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from iw_operators.ledger.bulk import insert_rows
from iw_operators.ledger.codec import identifier
from iw_operators.ledger.database import Database, among
from iw_operators.ledger.flow_tables import inbox
from iw_operators.ledger.model import RunRef
from iw_operators.ledger.tables import run as runs
from iw_operators.spec.resolved import Side

_i = inbox.c

LATE: Final = dt.timedelta(minutes=2)  # after which a scheduled flow takes a call along
LOST: Final = dt.timedelta(hours=1)  # after which a claim counts for nothing, whatever became of its run
KEPT: Final = dt.timedelta(days=3)  # how long a call is known after it was done, so that a repetition is none


@dataclass(frozen=True, slots=True)
class Item:
    """One record that a call is about, for one flow. `event` is the caller's id of the call."""

    side: Side
    object: str
    record_id: str
    event: str
    mapping: str
    flow: str


class Inbox(Database):
    """The ledger's calls."""

    def put_calls(self, company: str, items: Sequence[Item]) -> list[Item]:
        """Put calls down durably; return those that are new. The same call again is passed over.

        :raises ConnectionFailure: the ledger does not answer; nothing can be said of the calls.
        """
        rows = {
            (each.event, each.mapping, each.record_id): {
                "company": company,
                "side": each.side,
                "object": each.object,
                "record_id": identifier(each.record_id),
                "event": identifier(each.event),
                "mapping": each.mapping,
                "flow": each.flow,
            }
            for each in items
        }
        if not rows:
            return []
        made = insert_rows(inbox, list(rows.values())).on_conflict_do_nothing()
        known = made.returning(_i.event, _i.mapping, _i.record_id)
        new = self._write(lambda c: {tuple(row) for row in c.execute(known)})
        return [each for each in items if (each.event, each.mapping, each.record_id) in new]

    def claim_calls(self, run: RunRef, *, late: dt.timedelta | None = None) -> list[str]:
        """Claim the open calls about records of this run's mapping and source; return the records' ids.

        Calls that another run has claimed and not done are open again when that run has ended, or an hour later. A
        repeated attempt of the same run claims its own again.

        :param late: only calls that have waited so long; then those of every flow of the mapping.
        """
        here = [_i.company == run.company, _i.mapping == run.mapping, _i.side == run.source, _i.done_at.is_(None)]
        here.append(sa.or_(_free(run.company), _i.run_id == run.run_id))
        here.append(_i.flow == run.flow if late is None else _i.received_at <= sa.func.now() - late)
        claimed = (
            sa.update(inbox).where(*here).values(taken_at=sa.func.now(), run_id=run.run_id).returning(_i.record_id)
        )
        return sorted(self._write(lambda c: set(c.scalars(claimed)), fenced=True))

    def end_calls(self, run: RunRef, record_ids: Sequence[str]) -> None:
        """Note that what this run has claimed about these records is done."""
        here = (_i.company == run.company, _i.mapping == run.mapping, _i.run_id == run.run_id, _i.done_at.is_(None))
        done = sa.update(inbox).where(*here, among(_i.record_id, record_ids)).values(done_at=sa.func.now())
        self._write(lambda c: c.execute(done), fenced=True)

    def open_calls(self, company: str, *, waiting_for: dt.timedelta = dt.timedelta()) -> dict[str, set[str]]:
        """Return the flows of a company that have calls nobody has claimed for so long: flow -> mappings."""
        here = (_i.company == company, _i.done_at.is_(None), _i.received_at <= sa.func.now() - waiting_for)
        query = sa.select(_i.flow, _i.mapping).where(*here, _free(company)).distinct()

        def work(connection: Connection) -> dict[str, set[str]]:
            found: dict[str, set[str]] = {}
            for flow, mapping in connection.execute(query).all():
                found.setdefault(flow, set()).add(mapping)
            return found

        return self._read(work)

    def prune_calls(self, company: str, *, kept: dt.timedelta = KEPT) -> int:
        """Forget calls that were done a while ago; return how many."""
        old = sa.delete(inbox).where(_i.company == company, _i.done_at < sa.func.now() - kept)
        return self._write(lambda c: int(c.execute(old).rowcount))


def _free(company: str) -> sa.ColumnElement[bool]:
    """Return the condition that no run is at a call."""
    ended = sa.exists().where(runs.c.id == _i.run_id, runs.c.company == company, runs.c.state != "running")
    return sa.or_(_i.run_id.is_(None), ended, _i.taken_at <= sa.func.now() - LOST)
