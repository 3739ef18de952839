"""Turns (R4): a company's utility runs work alone, its scheduled runs side by side, and never both at once.

One row a run that works or waits. Every decision is made under one lock a company, so it holds between any number of
schedulers and workers, and companies never wait for one another. A turn is a lease: who works with it renews it, and
one that nobody has been seen with for a while is nobody's.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from iw_operators.errors import RetryLater
from iw_operators.ledger.database import Database, alone
from iw_operators.ledger.flow_tables import turn, turn_history

LEASE: Final = 45.0  # seconds without a sign of life, after which a turn is free again
RENEW_EVERY: Final = 10.0  # seconds between two signs of life
PLACE: Final = 3600.0  # seconds that a waiting run keeps its place; the pool may keep it from asking for long
TURN_LOST: Final = "iw.turn_lost"

Role = Literal["scheduled", "utility"]
_CLOCK: Final = sa.func.clock_timestamp()  # `now()` is the beginning of the transaction, before the lock


@dataclass(frozen=True, slots=True)
class Holder:
    """A run that works or waits. `since` is when it began to; `alive` is false once its lease is over."""

    flow: str
    dag_run_id: str
    role: Role
    state: Literal["working", "waiting"]
    since: dt.datetime
    seen_at: dt.datetime
    alive: bool = True


@dataclass(frozen=True, slots=True)
class Turn:
    """What a run was told that asked for its turn.

    :param state: `working`: it has it. `waiting`: it has a place in the row and is to ask again. `refused`: it has
        neither.
    :param others: who is in the way; empty when it has its turn.
    """

    company: str
    flow: str
    dag_run_id: str
    role: Role
    state: Literal["working", "waiting", "refused"]
    others: tuple[Holder, ...] = ()

    @property
    def taken(self) -> bool:
        """Whether the run may work."""
        return self.state == "working"


@dataclass(frozen=True, slots=True)
class PastTurn:
    """A turn that is over. `how`: `given back`, or `lost` when its holder was found dead at `ended_at`."""

    flow: str
    dag_run_id: str
    role: Role
    taken_at: dt.datetime
    ended_at: dt.datetime
    how: str


class Turns(Database):
    """The ledger's turns."""

    def take_turn(
        self,
        company: str,
        flow: str,
        dag_run_id: str,
        role: Role,
        *,
        strict: bool = False,
        resuming: bool = False,
        lease: float = LEASE,
    ) -> Turn:
        """Ask for a run's turn; may be repeated, by the run that has it too.

        | role | works when | otherwise |
        |---|---|---|
        | scheduled | no utility run works or waits | refused |
        | utility | nobody works, and no utility run has waited longer | waits |

        :param strict: a utility run is refused while a scheduled one works, rather than put in the row.
        :param resuming: it has had its turn before, and is let in before those that wait.
        :param lease: seconds after which a run that was not seen counts as dead.
        """
        me = _is(company, flow, dag_run_id)

        def work(connection: Connection) -> Turn:
            alone(connection, f"turn:{company}")
            _drop_dead(connection, company, lease, but=me)
            mine, others = None, []
            for row in connection.execute(sa.select(turn).where(turn.c.company == company)):
                if (row.flow, row.dag_run_id) == (flow, dag_run_id):
                    mine = row
                else:
                    others.append(row)
            holds = mine is not None and mine.state == "working"
            asked = mine.asked_at if mine is not None else None
            blocking = [] if holds else [o for o in others if _blocks(o, role, asked, resuming=resuming)]
            told = tuple(map(_holder, blocking))
            refused = blocking and (role == "scheduled" or (strict and any(o.role == "scheduled" for o in blocking)))
            if refused:
                connection.execute(sa.delete(turn).where(me))
                return Turn(company, flow, dag_run_id, role, "refused", told)
            state: Literal["working", "waiting"] = "waiting" if blocking else "working"
            _put(connection, company, flow, dag_run_id, role, state, fresh=not holds)
            return Turn(company, flow, dag_run_id, role, state, told)

        return self._write(work)

    def renew_turn(self, company: str, flow: str, dag_run_id: str) -> bool:
        """Give a sign of life of a run that works; return False when the turn is not its own any more."""
        change = sa.update(turn).where(_is(company, flow, dag_run_id), turn.c.state == "working")
        return self._write(lambda c: c.execute(change.values(seen_at=_CLOCK)).rowcount == 1)

    def give_turn_back(self, company: str, flow: str, dag_run_id: str) -> bool:
        """Give a run's turn, or its place in the row, back; return whether it had any."""
        gone = sa.delete(turn).where(_is(company, flow, dag_run_id)).returning(*turn.c)
        return self._write(lambda c: _keep(c, list(c.execute(gone)), "given back") > 0)

    def leave_row(self, company: str, flow: str, dag_run_id: str | None = None) -> int:
        """Take the places of runs that wait away, all those of a flow or one; return how many there were."""
        places = sa.delete(turn).where(turn.c.company == company, turn.c.flow == flow, turn.c.state == "waiting")
        if dag_run_id is not None:
            places = places.where(turn.c.dag_run_id == dag_run_id)
        return self._write(lambda c: int(c.execute(places).rowcount))

    def turns(self, company: str, *, lease: float = LEASE) -> list[Holder]:
        """Return who works and who waits, in the order of asking."""
        dead = turn.c.seen_at < _CLOCK - _seconds(lease)
        query = sa.select(*turn.c, dead.label("dead")).where(turn.c.company == company).order_by(turn.c.asked_at)
        return self._read(
            lambda c: [_holder(row, alive=row.state == "waiting" or not row.dead) for row in c.execute(query)]
        )

    def turn_history(self, company: str, *, since: dt.datetime | None = None, limit: int = 1_000) -> list[PastTurn]:
        """Return turns that are over, newest first."""
        h = turn_history.c
        query = sa.select(h.flow, h.dag_run_id, h.role, h.taken_at, h.ended_at, h.how).where(h.company == company)
        if since is not None:
            query = query.where(h.ended_at >= since)
        query = query.order_by(h.taken_at.desc(), h.id.desc()).limit(limit)
        return self._read(lambda c: [PastTurn(*row) for row in c.execute(query)])

    @contextlib.contextmanager
    def on_turn(self, company: str, flow: str, dag_run_id: str) -> Iterator[None]:
        """Commit what is committed under a mapping's lock (`Locks.working`) only while the run has its turn.

        For this thread, until the block ends. A run that was taken for dead while it was not (its host was frozen,
        the ledger was away) gets RetryLater with code `iw.turn_lost` from its next step, and nothing of it is
        committed. Outcomes of what was sent are recorded all the same.
        """
        held = sa.select(turn.c.flow).where(_is(company, flow, dag_run_id), turn.c.state == "working")
        # The row stays until the transaction has ended: who drops it waits for that.
        query = held.with_for_update(read=True, key_share=True)

        def check(connection: Connection) -> None:
            if connection.execute(query).one_or_none() is None:
                raise turn_lost(flow)

        before = getattr(self._here, "condition", None)
        self._here.condition = check
        try:
            yield
        finally:
            self._here.condition = before


def turn_lost(flow: str) -> RetryLater:
    """Return the error of a run that was taken for dead."""
    msg = f"Flow {flow} has lost its turn: nothing was seen of this task for a while, and others may work now."
    return RetryLater(msg, code=TURN_LOST)


def _is(company: str, flow: str, dag_run_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(turn.c.company == company, turn.c.flow == flow, turn.c.dag_run_id == dag_run_id)


def _seconds(number: float) -> sa.ColumnElement[dt.timedelta]:
    return sa.literal(dt.timedelta(seconds=number), sa.Interval)


def _blocks(other: Any, role: Role, asked: dt.datetime | None, *, resuming: bool) -> bool:
    if other.state == "working":
        return role == "utility" or bool(other.role == "utility")
    if resuming:
        return False
    return role == "scheduled" or asked is None or bool(other.asked_at < asked)


def _put(
    connection: Connection, company: str, flow: str, dag_run_id: str, role: Role, state: str, *, fresh: bool
) -> None:
    """Write a run's row; it keeps its place, and `taken_at` unless it begins now."""
    row = {"company": company, "flow": flow, "dag_run_id": dag_run_id, "role": role, "state": state}
    taken = {"taken_at": _CLOCK} if state == "working" and fresh else {}
    made = insert(turn).values(**row, asked_at=_CLOCK, seen_at=_CLOCK, **taken)
    here = ["company", "flow", "dag_run_id"]
    connection.execute(
        made.on_conflict_do_update(index_elements=here, set_={"state": state, "role": role, "seen_at": _CLOCK, **taken})
    )


def _drop_dead(connection: Connection, company: str, lease: float, *, but: sa.ColumnElement[bool]) -> None:
    late = sa.case((turn.c.state == "working", _seconds(lease)), else_=_seconds(PLACE))
    dead = turn.c.seen_at < _CLOCK - late
    gone = sa.delete(turn).where(turn.c.company == company, dead, sa.not_(but)).returning(*turn.c)
    _keep(connection, list(connection.execute(gone)), "lost")


def _keep(connection: Connection, rows: Sequence[Any], how: str) -> int:
    """Keep turns that are over; return how many rows there were, those that only waited included."""
    kept = ("company", "flow", "dag_run_id", "role", "taken_at")
    over = [{name: getattr(row, name) for name in kept} | {"how": how} for row in rows if row.state == "working"]
    for each in over:
        connection.execute(sa.insert(turn_history).values(**each, ended_at=_CLOCK))
    return len(rows)


def _holder(row: Any, *, alive: bool = True) -> Holder:
    since = row.taken_at if row.state == "working" else row.asked_at
    return Holder(row.flow, row.dag_run_id, row.role, row.state, since, row.seen_at, alive)
