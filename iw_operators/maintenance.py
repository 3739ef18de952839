"""Single-user maintenance of a company: all its flows stop, somebody works alone, the same flows start again.

In force from the row in the ledger on: no run of the company begins work, and a task at work ends its page. The flows
are switched off as well, so that Airflow shows what is the case.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from iw_operators.errors import FixConfiguration
from iw_operators.listener import flows_of, switch
from iw_operators.pools import pool_name
from iw_operators.spec.flows import MAINTENANCE_FLOW
from iw_operators.standing import Held, Work, standing

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from iw_operators.ledger.store import Ledger

log = structlog.get_logger(__name__)

SAFE: Final = "safe: nothing is connected"
IN_MAINTENANCE: Final = "iw.maintenance"
NO_MAINTENANCE: Final = "iw.no_maintenance"


@dataclass(frozen=True, slots=True)
class MaintenanceState:
    """How a company's maintenance stands.

    :param active: whether there is one; `by`, `why`, `since` and `flows` are of it.
    :param flows: DAG ids of the flows that it has switched off, and that its end starts again.
    :param work: what is still at work in the company, whether there is a maintenance or not.
    :param held: what is held up: frozen runs of flows that are switched off, runs that wait for their turn.
    """

    company: str
    active: bool
    by: str = ""
    why: str = ""
    since: dt.datetime | None = None
    flows: tuple[str, ...] = ()
    work: tuple[Work, ...] = ()
    held: tuple[Held, ...] = ()

    @property
    def safe(self) -> bool:
        """Whether nothing of the company is connected to either system, nor will be before the maintenance ends."""
        return self.active and not self.work

    @property
    def text(self) -> str:
        """`safe: nothing is connected`, or what still is, in one sentence for people."""
        if not self.active:
            return "no maintenance"
        return still(self.work) if self.work else SAFE


def still(work: Collection[Work]) -> str:
    """Return what is still at work, for people."""
    return f"not safe yet: {', '.join(map(_named, work))}"


def _named(work: Work) -> str:
    if not work.task_id:
        return f"{work.dag_id} (its turn, last seen {work.since:%H:%M:%S} UTC, is free after 45 seconds)"
    since = f"since {work.since:%H:%M:%S} UTC" if work.since else "about to begin"
    return f"{work.dag_id} (task {work.task_id}, {since})"


def begin_maintenance(session: Session, ledger: Ledger, company: str, by: str, why: str = "") -> MaintenanceState:
    """Begin a company's maintenance: switch all its flows off and remember which were on.

    Where one is under way already, it goes on; flows that were switched on meanwhile join it.

    :raises FixConfiguration: `iw.no_flow` Airflow has no flow of this company.
    """
    from sqlalchemy import select

    flows = flows_of(session, company)
    if not flows:
        msg = f"Airflow has no flow of a company {company!r}."
        raise FixConfiguration(msg, code="iw.no_flow")
    from airflow.models.dag import DagModel

    on = session.scalars(select(DagModel.dag_id).where(DagModel.dag_id.in_(flows), DagModel.is_paused.is_(False)))
    # First the row, which alone is enough to keep everything away, then the switches.
    ledger.begin_maintenance(company, by, why, list(on))
    switch(session, flows, paused=True, why=f"maintenance: {why}" if why else "maintenance", by=by)
    return maintenance_state(session, ledger, company)


def maintenance_state(session: Session, ledger: Ledger, company: str) -> MaintenanceState:
    """Return how a company's maintenance stands; changes nothing."""
    found = ledger.maintenance(company)
    now = standing(session, ledger, flows_of(session, company), [pool_name(company)])
    if found is None:
        return MaintenanceState(company, active=False, work=now.work, held=now.held)
    return MaintenanceState(company, True, found.by, found.why, found.began_at, found.flows, now.work, now.held)


def end_maintenance(
    session: Session,
    ledger: Ledger,
    company: str,
    by: str,
    check: Callable[[Ledger, str], None] | None = None,
) -> MaintenanceState:
    """End a company's maintenance: check both connections, then start exactly the flows that it had switched off.

    A run of `<company>.Maintenance` that waits for an answer is answered with it, and so makes room for another one.

    :param check: what is checked first, given the ledger and the company; `check_connections` when it is None.
    :raises InterWeaveError: a system cannot be reached or signed in to; the maintenance goes on.
    :raises FixConfiguration: `iw.no_maintenance` there is none.
    """
    found = ledger.maintenance(company)
    if found is None:
        msg = f"{company} is not in maintenance."
        raise FixConfiguration(msg, code=NO_MAINTENANCE)
    (check or check_connections)(ledger, company)
    switch(session, set(found.flows) & set(flows_of(session, company)), paused=False, why="end of maintenance", by=by)
    session.flush()
    ledger.end_maintenance(company, by, number=found.id)
    _answer(session, company, by)
    return maintenance_state(session, ledger, company)


def _answer(session: Session, company: str, by: str) -> None:
    """Answer the run of the company's maintenance DAG that waits: its maintenance is over, and it would wait for ever.

    What goes wrong here is logged: the maintenance has ended.
    """
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import handle_event_submit
    from airflow.triggers.base import TriggerEvent
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import select

    waiting = (
        select(TaskInstance)
        .where(
            TaskInstance.dag_id == f"{company}.{MAINTENANCE_FLOW}",
            TaskInstance.state == TaskInstanceState.AWAITING_INPUT,
        )
        .with_for_update(of=TaskInstance)
    )
    try:
        with session.begin_nested():
            for task in session.scalars(waiting):
                if (asked := session.get(HITLDetail, task.id)) is None or asked.response_received:
                    continue
                asked.responded_by = {"id": by, "name": by}
                asked.responded_at = dt.datetime.now(dt.UTC)
                asked.chosen_options = list(asked.options)[:1]
                event = TriggerEvent(asked.as_resume_event_payload())  # type: ignore[no-untyped-call]  # Airflow's own
                handle_event_submit(event, task_instance=task, session=session)
    except Exception:
        log.exception("the run that waits could not be answered", company=company)


def check_connections(ledger: Ledger, company: str) -> None:
    """Reach and sign in to both systems of a company. Raises what they raise; takes seconds.

    :raises FixConfiguration: its spec has errors.
    """
    from iw_operators.ledger.own import OwnLedger
    from iw_operators.operators.runtime import letting_go, open_side
    from iw_operators.settings import mappings_folder
    from iw_operators.spec.loader import load_company
    from iw_operators.spec.resolved import SIDES

    spec, errors = load_company(mappings_folder() / company)
    if spec is None:
        msg = f"The settings of {company} have errors: {errors[0] if errors else 'there are none'}"
        raise FixConfiguration(msg, advice="See airflow iw validate.")
    with letting_go():
        for side in SIDES:
            open_side(spec.company, side, OwnLedger.of(ledger, company)).check()


def refuse_in_maintenance(ledger: Ledger, company: str) -> None:
    """Raise FixConfiguration (`iw.maintenance`) while a company is in maintenance."""
    if found := ledger.maintenance(company):
        msg = f"{company} is in maintenance since {found.began_at:%Y-%m-%d %H:%M} UTC, begun by {found.by}."
        raise FixConfiguration(msg, code=IN_MAINTENANCE)
