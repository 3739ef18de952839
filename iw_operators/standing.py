"""What is at work in Airflow and what is held up: tasks, frozen runs, runs that wait for their turn."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from iw_operators.listener import company_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from iw_operators.ledger.store import Ledger
    from iw_operators.ledger.turns import Holder

FROZEN = "Its flow is switched off; the run ends by itself when the flow is started again."
NOT_BEGUN = "Its flow is switched off; the run begins when the flow is started."


@dataclass(frozen=True, slots=True)
class Work:
    """A task that is at work, or about to be: then `since` is None. `task_id` is empty for a turn that is held by no
    task that Airflow knows to be at work; then `since` is when it was seen last."""

    dag_id: str
    run_id: str
    task_id: str
    since: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Held:
    """A run that is held up; `why` is one sentence for people."""

    dag_id: str
    run_id: str
    since: dt.datetime | None
    why: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How flows stand: which are switched off, what is at work, what is held up."""

    paused: dict[str, bool]
    work: tuple[Work, ...]
    held: tuple[Held, ...]


def standing(session: Session, ledger: Ledger, dag_ids: Collection[str], pools: Collection[str] = ()) -> Standing:
    """Return how flows stand; those that Airflow does not know are left out.

    Three statements on Airflow's database and one a company on the ledger, however many flows.

    :param pools: the tasks of other DAGs count as work as well when they are in one of these pools.
    """
    from airflow.models.dag import DagModel

    known = sa.select(DagModel.dag_id, DagModel.is_paused).where(
        DagModel.dag_id.in_(dag_ids), DagModel.is_stale.is_(False)
    )
    paused = {dag_id: bool(off) for dag_id, off in session.execute(known)}
    turns = {company: ledger.turns(company) for company in sorted(set(map(company_of, paused)))}
    work = _tasks(session, paused, pools)
    busy = {(each.dag_id, each.run_id) for each in work}
    work += [
        Work(f"{company}.{turn.flow}", turn.dag_run_id, "", turn.seen_at)
        for company, turn in _each(turns, "working")
        if turn.alive and f"{company}.{turn.flow}" in paused and (f"{company}.{turn.flow}", turn.dag_run_id) not in busy
    ]
    held = [
        Held(f"{company}.{turn.flow}", turn.dag_run_id, turn.since, "It waits for its turn.")
        for company, turn in _each(turns, "waiting")
        if not paused.get(f"{company}.{turn.flow}", True)
    ]
    return Standing(paused, tuple(work), tuple(held + _frozen(session, paused, busy)))


def _each(turns: dict[str, list[Holder]], state: str) -> Iterable[tuple[str, Holder]]:
    return ((company, turn) for company, found in turns.items() for turn in found if turn.state == state)


def _tasks(session: Session, dag_ids: Collection[str], pools: Collection[str]) -> list[Work]:
    from airflow.models.dag import DagTag
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.state import TaskInstanceState as States

    from iw_operators.listener import MAINTENANCE

    there: Any = TaskInstance.dag_id.in_(dag_ids)
    if pools:
        beside = sa.select(DagTag.dag_id).where(DagTag.name == MAINTENANCE)
        there = sa.or_(there, sa.and_(TaskInstance.pool.in_(pools), TaskInstance.dag_id.not_in(beside)))
    at_work = (States.RUNNING, States.RESTARTING, States.QUEUED)
    query = sa.select(
        TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id, TaskInstance.start_date, TaskInstance.state
    ).where(there, TaskInstance.state.in_(at_work))
    rows = session.execute(query.order_by(TaskInstance.dag_id, TaskInstance.task_id))
    return [
        Work(row.dag_id, row.run_id, row.task_id, None if row.state == States.QUEUED else row.start_date)
        for row in rows
    ]


def _frozen(session: Session, paused: dict[str, bool], busy: Collection[tuple[str, str]]) -> list[Held]:
    from airflow.models.dagrun import DagRun
    from airflow.utils.state import DagRunState

    off = [dag_id for dag_id, is_off in paused.items() if is_off]
    if not off:
        return []
    query = sa.select(DagRun.dag_id, DagRun.run_id, DagRun.state, DagRun.start_date, DagRun.queued_at).where(
        DagRun.dag_id.in_(off), DagRun.state.in_((DagRunState.RUNNING, DagRunState.QUEUED))
    )
    return [
        Held(row.dag_id, row.run_id, row.start_date, FROZEN)
        if row.state == DagRunState.RUNNING
        else Held(row.dag_id, row.run_id, row.queued_at, NOT_BEGUN)
        for row in session.execute(query.order_by(DagRun.dag_id, DagRun.id))
        if (row.dag_id, row.run_id) not in busy
    ]
