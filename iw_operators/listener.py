"""What the scheduler does for us when a run starts or ends; loaded by the plugin.

Runs in the transaction of the scheduler (or of the API server, where somebody sets a run's state by hand) and commits
nothing itself. Nothing here raises, and nothing here asks the ledger: the scheduler waits for nobody.

A task cannot switch flows off. What wants that leaves word as an XCom of its run's last task, and it is done when the
run has ended. The policy of a company stands in the tags of its DAGs, for runs whose last task never came to it; the
triggerer is then asked to tell people. Which flows a policy has stopped is in Airflow's audit log.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

import structlog
from airflow.listeners import hookimpl

from iw_operators import xcoms
from iw_operators.pools import PREFIX, make_missing
from iw_operators.spec.models import StopScheduled

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from sqlalchemy.orm import Session

    from iw_operators.spec.models import Company

log = structlog.get_logger(__name__)

TAG: Final = "interweave"
YIELDED: Final = "iw.yielded"  # code of a task that was stopped by somebody
SCHEDULED: Final = "scheduled"  # tag of flows that run by themselves
MAINTENANCE: Final = "single-user maintenance"  # tag of a DAG that is no flow: a company's maintenance
DAILY_REPORT: Final = "daily report"  # tag of another one
STOP_TAGS: Final[Mapping[str, StopScheduled]] = {
    "stops after a connection failure": StopScheduled.AFTER_CONNECTION_FAILURE,
    "stops after any error": StopScheduled.AFTER_ANY_ERROR,
}

BEGIN: Final = "begin"  # a maintenance's first
SWITCHES: Final = {xcoms.PAUSE: True, xcoms.UNPAUSE: False}
PAUSED: Final = "iw_paused"  # conf of a maintenance's run: the flows that were switched on when it began
BY_HAND: Final = "manually"  # in what Airflow says of a run whose state somebody has set
POLICY: Final = "policy"  # in the audit log's extra: a company's policy has done it, no person
SWITCHED: Final = ("paused", "unpaused", "patch_dag", "cli_dag_pause", "cli_dag_unpause")  # events of the audit log


def stop_tags(company: Company) -> list[str]:
    """Return the tags that tell the scheduler when a company's scheduled flows stop."""
    return [tag for tag, policy in STOP_TAGS.items() if policy is company.stop_scheduled]


@hookimpl
def on_dag_run_running(dag_run: DagRun) -> None:
    """Make the company's pool before the first task of its first run is queued; a maintenance stops all flows."""
    _quietly(_begin, dag_run)


@hookimpl
def on_dag_run_success(dag_run: DagRun) -> None:
    """Switch flows off or on as the run's last task has asked for."""
    _quietly(_end, dag_run)


@hookimpl
def on_dag_run_failed(dag_run: DagRun, msg: str) -> None:
    """The same; and where the run never came to its last task, do what the company's policy says.

    Not where somebody has set the run to failed, and no task of it has failed by itself.
    """
    _quietly(_end, dag_run, failed=True, by_hand=BY_HAND in msg)


def _quietly(work: Any, dag_run: DagRun, **more: Any) -> None:
    """Do it for runs of ours. An error is logged: it must not stop the scheduler's own work."""
    from sqlalchemy.orm import object_session

    try:
        dag, session = dag_run.dag, object_session(dag_run)
        if dag is None or session is None or TAG not in dag.tags:
            return
        work(dag_run, dag, session, **more)
    except Exception:
        log.exception("nothing was switched on or off", dag_id=dag_run.dag_id, run_id=dag_run.run_id)


def _begin(dag_run: DagRun, dag: Any, session: Session) -> None:
    if made := make_missing({task.pool for task in dag.tasks if task.pool.startswith(PREFIX)}, session):
        log.info("pool made", pools=made, dag_id=dag_run.dag_id)
    if MAINTENANCE in dag.tags and not _has_begun(session, dag_run):
        on = _switch(session, flows_of(session, company_of(dag_run.dag_id)), paused=True, why="maintenance")
        conf: dict[str, Any] = dag_run.conf or {}
        dag_run.conf = {**conf, PAUSED: sorted({*conf.get(PAUSED, ()), *on})}


def _has_begun(session: Session, dag_run: DagRun) -> bool:
    """Return whether a maintenance's run has begun it already, and goes on because a later task was cleared.

    It may have been ended elsewhere since: what is switched off then, nobody switches on again.
    """
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import select

    state = select(TaskInstance.state).where(
        TaskInstance.dag_id == dag_run.dag_id, TaskInstance.run_id == dag_run.run_id, TaskInstance.task_id == BEGIN
    )
    return session.scalar(state) == TaskInstanceState.SUCCESS


def _end(dag_run: DagRun, dag: Any, session: Session, *, failed: bool = False, by_hand: bool = False) -> None:
    company = company_of(dag_run.dag_id)
    said = _said(dag_run, session)
    why = next((each for (_, key), each in said.items() if key in (xcoms.SKIPPED, xcoms.STOPPED)), None)
    if why and not dag_run.note:
        dag_run.note = str(why)  # where Airflow shows a run
    for (_, key), asked in said.items():
        if key in SWITCHES and isinstance(asked, Mapping):
            # A task can ask for flows of its own company alone (law 8).
            wanted = {str(each) for each in asked.get("dags") or ()} & set(flows_of(session, company))
            everyone = asked.get("all") == SCHEDULED
            wanted |= set(flows_of(session, company, SCHEDULED) if everyone else ())
            _switch(session, wanted, paused=SWITCHES[key], why=str(asked.get("why", "")), policy=everyone)
    if MAINTENANCE in dag.tags:
        if failed and (BEGIN, xcoms.STATE) not in said:
            on = set((dag_run.conf or {}).get(PAUSED, ())) & set(flows_of(session, company))
            _switch(session, on, paused=False, why="the maintenance could not begin")
    elif failed and (xcoms.REPORT, xcoms.STATE) not in said and not (by_hand and _well(dag_run, session, said)):
        policies = {STOP_TAGS[tag] for tag in dag.tags if tag in STOP_TAGS}
        unreachable = (xcoms.READY, xcoms.UNREACHABLE) in said
        if StopScheduled.AFTER_ANY_ERROR in policies or (policies and unreachable):
            why = f"A run of {dag_run.dag_id} has failed before it could report."
            if stopped := _switch(session, flows_of(session, company, SCHEDULED), paused=True, why=why, policy=True):
                _tell(session, dag_run, why, stopped)


def _well(dag_run: DagRun, session: Session, said: Mapping[tuple[str, str], Any]) -> bool:
    """Return whether no task of a run has failed by itself: those at work fail with the run when somebody sets it so,
    and one that was stopped has failed because somebody wanted that."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import select

    from iw_operators.retry import ERROR_KEY

    tasks = select(TaskInstance.task_id).where(
        TaskInstance.dag_id == dag_run.dag_id,
        TaskInstance.run_id == dag_run.run_id,
        TaskInstance.state == TaskInstanceState.FAILED,
    )
    errors = [said.get((task, ERROR_KEY)) for task in session.scalars(tasks)]
    return all(error is None or (isinstance(error, Mapping) and error.get("code") == YIELDED) for error in errors)


def _tell(session: Session, dag_run: DagRun, why: str, stopped: Collection[str]) -> None:
    """Have the triggerer tell people that a policy has stopped flows, when this transaction has been committed."""
    from airflow.models.callback import TriggererCallback
    from airflow.sdk.definitions.callback import AsyncCallback

    from iw_operators.notify.stopping import note_stopped

    company, _, flow = dag_run.dag_id.partition(".")
    told = {"company": company, "flow": flow, "dag_run_id": dag_run.run_id, "why": why, "stopped": list(stopped)}
    callback = TriggererCallback(AsyncCallback(note_stopped, kwargs=told))
    callback.queue(session=session)
    session.add(callback)


def _switch(session: Session, dag_ids: Collection[str], *, paused: bool, why: str, policy: bool = False) -> list[str]:
    changed = switch(session, dag_ids, paused=paused, why=why, policy=policy)
    if changed:
        log.info("flows switched off" if paused else "flows switched on", dags=changed, why=why)
    return changed


def _said(dag_run: DagRun, session: Session) -> dict[tuple[str, str], Any]:
    """Return the run's XComs of our own, by task and key."""
    from airflow.models.xcom import XComModel as XCom
    from sqlalchemy import select

    query = select(XCom.task_id, XCom.key, XCom.value).where(
        XCom.dag_id == dag_run.dag_id, XCom.run_id == dag_run.run_id, XCom.key.like("iw\\_%", escape="\\")
    )
    return {(row.task_id, row.key): XCom.deserialize_value(row) for row in session.execute(query)}


def company_of(dag_id: str) -> str:
    """Return the company whose DAG this is."""
    return dag_id.partition(".")[0]


def flows_of(session: Session, company: str, tag: str | None = None) -> list[str]:
    """Return the DAG ids of a company's flows that exist, those with a tag alone."""
    from airflow.models.dag import DagModel, DagTag
    from sqlalchemy import select

    def tagged(name: str) -> Any:
        return select(DagTag.dag_id).where(DagTag.name == name)

    query = select(DagModel.dag_id).where(
        DagModel.dag_id.startswith(f"{company}.", autoescape=True),
        DagModel.is_stale.is_(False),
        DagModel.dag_id.in_(tagged(TAG)),
        DagModel.dag_id.not_in(tagged(MAINTENANCE)),
        DagModel.dag_id.not_in(tagged(DAILY_REPORT)),
    )
    if tag is not None:
        query = query.where(DagModel.dag_id.in_(tagged(tag)))
    return list(session.scalars(query.order_by(DagModel.dag_id)))


def switch(
    session: Session,
    dag_ids: Collection[str],
    *,
    paused: bool,
    why: str,
    by: str = "InterWeave",
    policy: bool = False,
) -> list[str]:
    """Switch flows off or on, in the caller's transaction; return those that were not so already.

    Each is in Airflow's audit log, as Airflow's own switch is.

    :param policy: a company's policy does it (`stopped_by_policy`).
    """
    import json

    from airflow.models.dag import DagModel
    from airflow.models.log import Log
    from sqlalchemy import select, update

    other = select(DagModel.dag_id).where(DagModel.dag_id.in_(dag_ids), DagModel.is_paused.is_(not paused))
    changed = sorted(session.scalars(other))
    if changed:
        session.execute(update(DagModel).where(DagModel.dag_id.in_(changed)).values(is_paused=paused))
        event = "paused" if paused else "unpaused"
        for dag_id in changed:
            extra = json.dumps({"is_paused": paused, "why": why, **({POLICY: True} if policy else {})})
            session.add(Log(event, owner=by, owner_display_name=by, dag_id=dag_id, extra=extra))
    return changed


def stopped_by_policy(session: Session, company: str) -> list[str]:
    """Return the flows of a company that its policy has switched off, and that nobody has switched on or off since."""
    import json

    from airflow.models.dag import DagModel
    from airflow.models.log import Log
    from sqlalchemy import func, select

    off = select(DagModel.dag_id).where(DagModel.dag_id.in_(flows_of(session, company)), DagModel.is_paused.is_(True))
    last = select(func.max(Log.id)).where(Log.dag_id.in_(off), Log.event.in_(SWITCHED)).group_by(Log.dag_id)
    rows = session.execute(select(Log.dag_id, Log.event, Log.extra).where(Log.id.in_(last)).order_by(Log.dag_id))
    return [row.dag_id for row in rows if row.event == "paused" and json.loads(row.extra or "{}").get(POLICY)]
