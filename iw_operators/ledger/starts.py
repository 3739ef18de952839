"""Query Starts: from which point of the source's own clock a flow reads next (law 4), and how it came there."""

from __future__ import annotations

import datetime as dt
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from iw_operators.errors import FixConfiguration
from iw_operators.ledger.database import Database
from iw_operators.ledger.deeds import add_deed
from iw_operators.ledger.model import QueryStartMove
from iw_operators.ledger.tables import query_start, query_start_history, run

CLOCKS: Final = dt.timedelta(minutes=5)  # how far two clocks may differ that are both right
WINDOW: Final = "iw.window"

_h = query_start_history.c


class QueryStarts(Database):
    """The ledger's Query Starts, one a flow."""

    def query_starts(self, company: str, flow: str) -> dt.datetime | None:
        """Return from when a flow reads next; None when it has never finished and nobody has set it."""
        query = sa.select(query_start.c.value).where(query_start.c.company == company, query_start.c.flow == flow)
        return self._read(lambda c: c.scalar(query))

    def query_starts_for(self, company: str, flow: str, run_id: int) -> dt.datetime | None:
        """Return what `query_starts` returns, for the window of a run; what is set by hand from now on outlasts it.

        For a run whose window is set already nothing changes: what counts is how it stood then.
        """
        here = (query_start.c.company == company, query_start.c.flow == flow)
        last = sa.select(sa.func.coalesce(sa.func.max(_h.id), 0)).where(_h.company == company, _h.flow == flow)
        seen = sa.update(run).where(run.c.id == run_id, run.c.company == company, sa.not_(run.c.window_set))

        def work(connection: Connection) -> dt.datetime | None:
            # In this order: a move in between is then one that the run has not seen, and is kept.
            connection.execute(seen.values(moves_seen=last.scalar_subquery()))
            return connection.scalar(sa.select(query_start.c.value).where(*here))

        return self._write(work)

    def move_query_starts(
        self, company: str, flow: str, to: dt.datetime, *, by: str, run_id: int | None = None, back: bool = False
    ) -> dt.datetime:
        """Move a flow's Query Starts, keep who did it, and return where it now stands.

        It never goes backwards, whoever asks and in whatever order runs finish, unless `back` (by hand) is given. What
        was set by hand since a run's window was set is left by that run, which the history says. Moves by hand are
        among the deeds as well.

        :param by: a user's name, or what moved it (`run`).
        :param run_id: the run that moves it; None for a person.
        :raises FixConfiguration: by hand, to a time that is yet to come.
        """
        here = (query_start.c.company == company, query_start.c.flow == flow)

        def work(connection: Connection) -> dt.datetime:
            row = {"company": company, "flow": flow}
            connection.execute(insert(query_start).values(**row, value=None).on_conflict_do_nothing())
            old: dt.datetime | None = connection.scalar(sa.select(query_start.c.value).where(*here).with_for_update())
            if back:
                _not_ahead(to, connection.execute(sa.select(sa.func.now())).scalar_one())
                detail = {"old": old.isoformat() if old else None, "new": to.isoformat()}
                add_deed(connection, company, by, "query starts set", flow, detail)
            elif old is not None and old >= to:
                return old
            elif old is not None and run_id is not None and (hand := _by_hand(connection, company, flow, run_id)):
                left = {"old": old, "new": old, "by": f"{by}: left as {hand[1]} has set it", "run_id": run_id}
                if not connection.scalar(sa.select(sa.exists().where(_h.run_id == run_id, _h.id > hand[0]))):
                    connection.execute(sa.insert(query_start_history).values(**row, **left))
                return old
            connection.execute(sa.update(query_start).where(*here).values(value=to))
            moved = {"old": old, "new": to, "by": by, "run_id": run_id}
            connection.execute(sa.insert(query_start_history).values(**row, **moved))
            return to

        return self._write(work, patience=self.patience)

    def query_starts_history(self, company: str, flow: str, *, limit: int = 100) -> list[QueryStartMove]:
        """Return the moves of a flow's Query Starts, newest first."""
        query = (
            sa.select(_h.old, _h.new, _h.at, _h.by, _h.run_id)
            .where(_h.company == company, _h.flow == flow)
            .order_by(_h.id.desc())
            .limit(limit)
        )
        return self._read(lambda c: [QueryStartMove(*row) for row in c.execute(query)])


def _not_ahead(to: dt.datetime, now: dt.datetime) -> None:
    """Refuse a time that is yet to come: until then a flow would find nothing, and everything would look well."""
    if to > now + CLOCKS:
        msg = f"Query Starts cannot lie in the future: {to.isoformat()} is after {now.isoformat(timespec='seconds')}."
        raise FixConfiguration(
            msg, code=WINDOW, advice="Give a time that has been; look at the year and the time zone."
        )


def _by_hand(connection: Connection, company: str, flow: str, run_id: int) -> tuple[int, str] | None:
    """Return the last move by a person since the run's window was set, and whose it was; None where there is none."""
    seen = sa.select(run.c.moves_seen).where(run.c.id == run_id).scalar_subquery()
    query = sa.select(_h.id, _h.by).where(_h.company == company, _h.flow == flow, _h.run_id.is_(None), _h.id > seen)
    row = connection.execute(query.order_by(_h.id.desc()).limit(1)).one_or_none()
    return (row.id, row.by) if row is not None else None
