"""Until when deletions are known, by mapping and side, and what a sweep has to look for (B6)."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from iw_operators.engine.model import Action, Decision
from iw_operators.ledger.database import Database
from iw_operators.ledger.log import add_rows, log_values
from iw_operators.ledger.model import RunRef
from iw_operators.ledger.tables import binding, sweep
from iw_operators.spec.resolved import Side

_b = binding.c
_s = sweep.c


class Sweeps(Database):
    """The ledger's part of finding deletions that nobody told of."""

    def deletions_known(self, company: str, mapping: str, side: Side) -> dt.datetime | None:
        """Return until when each deletion of a bound record of `side` is known; None when nothing was ever bound.

        Where nothing has been noted, that is when the first of the bindings was made.
        """
        noted = sa.select(_s.until).where(_s.company == company, _s.mapping == mapping, _s.side == side)
        first = sa.select(sa.func.min(_b.created_at)).where(_b.company == company, _b.mapping == mapping)

        def work(connection: Connection) -> dt.datetime | None:
            known: dt.datetime | None = connection.scalar(noted) or connection.scalar(first)
            return known

        return self._read(work)

    def note_deletions(
        self, company: str, mapping: str, side: Side, until: dt.datetime, *, swept: bool = False
    ) -> None:
        """Note until when, by the side's own clock, all deletions are known. Never moves back."""
        here = {"company": company, "mapping": mapping, "side": side}
        made = insert(sweep).values(**here, until=until, swept_at=sa.func.now() if swept else None)
        later = {
            "until": sa.func.greatest(_s.until, made.excluded.until),
            "swept_at": sa.func.coalesce(made.excluded.swept_at, _s.swept_at),
        }
        again = made.on_conflict_do_update(index_elements=["company", "mapping", "side"], set_=later)
        self._write(lambda c: c.execute(again), fenced=True)

    def bound_ids(self, company: str, mapping: str, side: Side, after: str, limit: int) -> list[str]:
        """Return ids of bound records of `side`, in their order, after one: pages of constant size."""
        mine = binding.c[f"{side}_id"]
        query = (
            sa.select(mine)
            .where(_b.company == company, _b.mapping == mapping, mine > after)
            .order_by(mine)
            .limit(limit)
        )
        return self._read(lambda c: list(c.scalars(query)))

    def note_sweep(self, run: RunRef, why: str, code: str = "", advice: str = "") -> None:
        """Write a row beside the records' that says that a sweep was made and what it found."""
        decision = Decision(Action.UNCHANGED, "", why, code=code, advice=advice)
        row = log_values(run, decision) | {"operation": "sweep", "standing": "aside"}
        self._write(lambda c: add_rows(c, [row]), fenced=True)
