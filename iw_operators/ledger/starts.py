"""Query Starts: from which point of the source's own clock a flow reads next (law 4), and how it came there."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from iw_operators.ledger.database import Database
from iw_operators.ledger.model import QueryStartMove
from iw_operators.ledger.tables import query_start, query_start_history


class QueryStarts(Database):
    """The ledger's Query Starts, one a flow."""

    def query_starts(self, company: str, flow: str) -> dt.datetime | None:
        """Return from when a flow reads next; None when it has never finished and nobody has set it."""
        query = sa.select(query_start.c.value).where(query_start.c.company == company, query_start.c.flow == flow)
        return self._read(lambda c: c.scalar(query))

    def move_query_starts(
        self, company: str, flow: str, to: dt.datetime, *, by: str, run_id: int | None = None, back: bool = False
    ) -> dt.datetime:
        """Move a flow's Query Starts, keep who did it, and return where it now stands.

        It never goes backwards, whoever asks and in whatever order runs finish, unless `back` (by hand) is given.

        :param by: a user's name, or what moved it (`run`).
        """
        here = (query_start.c.company == company, query_start.c.flow == flow)

        def work(connection: Connection) -> dt.datetime:
            row = {"company": company, "flow": flow}
            connection.execute(insert(query_start).values(**row, value=None).on_conflict_do_nothing())
            old: dt.datetime | None = connection.scalar(sa.select(query_start.c.value).where(*here).with_for_update())
            if old is not None and (old == to or (old > to and not back)):
                return old
            connection.execute(sa.update(query_start).where(*here).values(value=to))
            moved = {"old": old, "new": to, "by": by, "run_id": run_id}
            connection.execute(sa.insert(query_start_history).values(**row, **moved))
            return to

        return self._write(work, patience=self.patience)

    def query_starts_history(self, company: str, flow: str, *, limit: int = 100) -> list[QueryStartMove]:
        """Return the moves of a flow's Query Starts, newest first."""
        h = query_start_history.c
        query = (
            sa.select(h.old, h.new, h.at, h.by, h.run_id)
            .where(h.company == company, h.flow == flow)
            .order_by(h.id.desc())
            .limit(limit)
        )
        return self._read(lambda c: [QueryStartMove(*row) for row in c.execute(query)])
