"""How far a long load has come: shown to people (R14), and where a later attempt goes on (R3)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from iw_operators.ledger.database import Database
from iw_operators.ledger.tables import of_attempt, run_mapping


@dataclass(frozen=True, slots=True)
class Load:
    """One mapping's load in one run, as far as all its attempts have come.

    `reached`: everything that changed before is recorded, by the source's clock; None at the beginning.
    `done`: records gone through. `total`: as the source counted them at the beginning; None where it cannot count.
    `until`: the end of what is read, for a load whose run has none.
    """

    reached: dt.datetime | None = None
    done: int = 0
    total: int | None = None
    until: dt.datetime | None = None


class LoadProgress(Database):
    """The ledger's progress of loads. An attempt's row is made by `begin_mapping`."""

    def load(self, run_id: int, mapping: str, attempt: int) -> Load:
        """Return what an attempt goes on from.

        That is where the attempt before left off, when it was broken off under the same fingerprint. A mapping that
        was completed and is to be done once more, or that has changed since, begins anew.
        """
        m = run_mapping.c
        query = (
            sa.select(m.attempt, m.fingerprint, m.ended_at, m.reached, m.done, m.total, m.until)
            .where(m.run_id == run_id, m.mapping == mapping, m.attempt <= attempt)
            .order_by(m.attempt.desc())
        )
        rows = self._read(lambda c: c.execute(query).all())
        for row in rows:
            if row.ended_at is not None or row.fingerprint != rows[0].fingerprint:
                break
            if row.until is not None or row.done is not None:
                return Load(row.reached, row.done or 0, row.total, row.until)
        return Load()

    def note_load(self, run_id: int, mapping: str, attempt: int, load: Load) -> None:
        """Keep how far an attempt has come."""
        change = (
            sa.update(run_mapping)
            .where(of_attempt(run_id, mapping, attempt))
            .values(reached=load.reached, done=load.done, total=load.total, until=load.until, progress_at=sa.func.now())
        )

        def work(connection: Connection) -> None:
            connection.execute(change)

        self._write(work, fenced=True)
