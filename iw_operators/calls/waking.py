"""Has the flows of the kind Q run for which calls have come in. Works in the API server, off the request's path.

A run takes up all open calls of its flow when its task begins. Another one is made only when none is to come: while
one is queued, or has not got to its task yet, it will take the new call along. What is missed here (the process ends,
the flow is paused, a utility flow works, Airflow's database is away) is found again at the next call, or taken along
by a scheduled flow.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from threading import Condition, Thread
from typing import TYPE_CHECKING, Final, Literal

import structlog

from iw_operators.errors import InterWeaveError

if TYPE_CHECKING:
    from iw_operators.ledger.store import Ledger

log = structlog.get_logger(__name__)

OVERDUE: Final = dt.timedelta(seconds=30)  # calls that wait so long are looked after when another call comes
USER: Final = "call"
BEGUN: Final = frozenset({"running", "restarting", "success", "failed", "skipped", "upstream_failed", "removed"})

Outcome = Literal["triggered", "to come", "paused", "absent", "not now"]
Trigger = Callable[[str, set[str]], Outcome]  # DAG id, mappings


class Waker:
    """A thread of this process that makes runs, one after the other. Asked for many times, it looks once."""

    def __init__(self, ledger: Callable[[], Ledger], trigger: Trigger | None = None) -> None:
        self._ledger = ledger
        self._trigger = trigger or trigger_run
        self._wanted: dict[tuple[str, str], set[str]] = {}
        self._condition = Condition()
        self._busy = False
        self._thread: Thread | None = None

    def wake(self, company: str, flows: Mapping[str, set[str]]) -> None:
        """Note that flows have got something to do, and return."""
        with self._condition:
            for flow, mappings in flows.items():
                self._wanted.setdefault((company, flow), set()).update(mappings)
            if self._thread is None or not self._thread.is_alive():
                self._thread = Thread(target=self._work, name="iw-calls", daemon=True)
                self._thread.start()
            self._condition.notify_all()

    def settle(self, seconds: float = 30.0) -> bool:
        """Wait until everything asked for has been looked at; return whether that was in time."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._wanted and not self._busy, seconds)

    def _work(self) -> None:
        while True:
            with self._condition:
                self._busy = False
                self._condition.notify_all()
                self._condition.wait_for(lambda: bool(self._wanted))
                wanted, self._wanted, self._busy = self._wanted, {}, True
            for company in {company for company, _ in wanted}:
                self._overdue(company, wanted)
            for (company, flow), mappings in wanted.items():
                self._one(company, flow, mappings)

    def _overdue(self, company: str, wanted: dict[tuple[str, str], set[str]]) -> None:
        try:
            for flow, mappings in self._ledger().open_calls(company, waiting_for=OVERDUE).items():
                wanted.setdefault((company, flow), set()).update(mappings)
        except InterWeaveError as error:
            log.warning("cannot look for overdue calls", error=type(error).__name__, code=error.code)

    def _one(self, company: str, flow: str, mappings: set[str]) -> None:
        dag_id = f"{company}.{flow}"
        try:
            ledger = self._ledger()
            if any(holder.role == "utility" and holder.alive for holder in ledger.turns(company)):
                outcome: Outcome = "not now"  # its run would end as skipped; a bulk load brings calls by the thousand
            else:
                with ledger.lock(f"call:{dag_id}"):
                    outcome = self._trigger(dag_id, mappings)
        except Exception as error:  # noqa: BLE001 - whatever it is, the calls are in the ledger and found again
            log.warning("no run made for calls", dag_id=dag_id, error=type(error).__name__)
        else:
            log.info("calls wait for their flow", dag_id=dag_id, run=outcome)


def trigger_run(dag_id: str, mappings: set[str]) -> Outcome:
    """Make a run of a flow unless one is to come, or the flow is switched off. Needs Airflow's metadata database."""
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunTriggeredByType
    from sqlalchemy import select

    from iw_operators.dag import task_id

    with create_session() as session:
        dag = session.get(DagModel, dag_id)
        if dag is None or dag.is_stale:
            return "absent"
        if dag.is_paused:
            return "paused"
        query = select(DagRun.run_id, DagRun.state).where(
            DagRun.dag_id == dag_id, DagRun.state.in_(("queued", "running"))
        )
        for run_id, state in session.execute(query).all():
            tasks = select(TaskInstance.state).where(
                TaskInstance.dag_id == dag_id,
                TaskInstance.run_id == run_id,
                TaskInstance.task_id.in_([task_id(mapping) for mapping in mappings]),
            )
            states = list(session.scalars(tasks))
            if state == "queued" or (states and not BEGUN & {str(getattr(s, "value", s)) for s in states}):
                return "to come"
        now = dt.datetime.now(dt.UTC)
        trigger_dag(
            dag_id,
            triggered_by=DagRunTriggeredByType.REST_API,
            triggering_user_name=USER,
            run_id=f"call__{now.isoformat()}",
            run_after=now,
            session=session,
        )
    return "triggered"
