"""The counter of a scheduled flow (R1): how many runs it has completed since it was set to nothing."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from iw_operators.ledger.database import Database
from iw_operators.ledger.flow_tables import flow_count


class RunCount(NamedTuple):
    """Completed runs of a flow, and since when they are counted (None: it has completed none yet)."""

    completed: int = 0
    since: dt.datetime | None = None


class Counts(Database):
    """The ledger's counters, one a flow."""

    def count_run(self, company: str, flow: str, run_id: int, *, limit: int = 0) -> int:
        """Count a completed run, once however often it is reported, and return how many there are now.

        :param limit: after so many the flow stops itself. One that has been started again since counts from one.
        """
        c = flow_count.c
        here = (c.company == company, c.flow == flow)

        def work(connection: Connection) -> int:
            connection.execute(insert(flow_count).values(company=company, flow=flow).on_conflict_do_nothing())
            row = connection.execute(sa.select(flow_count).where(*here).with_for_update()).one()
            if row.last_run_id is not None and row.last_run_id >= run_id:
                return int(row.completed)
            anew = bool(limit) and row.completed >= limit
            completed = 1 if anew else row.completed + 1
            values = {"completed": completed, "last_run_id": run_id}
            if anew:
                values["since"] = sa.func.now()
            connection.execute(sa.update(flow_count).where(*here).values(**values))
            return int(completed)

        return self._write(work)

    def run_count(self, company: str, flow: str) -> RunCount:
        """Return a flow's counter."""
        query = sa.select(flow_count.c.completed, flow_count.c.since).where(
            flow_count.c.company == company, flow_count.c.flow == flow
        )
        row = self._read(lambda c: c.execute(query).one_or_none())
        return RunCount(row.completed, row.since) if row is not None else RunCount()

    def reset_count(self, company: str, flow: str) -> None:
        """Set a flow's counter to nothing; runs that have been counted are not counted again."""
        made = insert(flow_count).values(company=company, flow=flow)
        fresh = {"completed": 0, "since": sa.func.now()}
        again = made.on_conflict_do_update(index_elements=["company", "flow"], set_=fresh)
        self._write(lambda c: c.execute(again))
