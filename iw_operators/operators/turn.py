"""A task's turn: taken, kept alive while the task works, given back; and what makes it stop at the end of a page.

Imported inside `execute` only, like `runtime`.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

import structlog
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowRuntimeError

from iw_operators.errors import InterWeaveError
from iw_operators.ledger.store import Ledger
from iw_operators.ledger.turns import RENEW_EVERY, Holder, Role, turn_lost
from iw_operators.sleep import sleeping
from iw_operators.spec.resolved import ResolvedFlow

log = structlog.get_logger(__name__)

LOOK_EVERY: Final = 2.0  # seconds between two looks whether to go on
BY_HAND: Final = "dag_test"  # whose runs are those of `airflow dags test`, which pausing does not concern
ENDED: Final = frozenset({"success", "failed"})
NOT_FOUND: Final = 404

Cause = Literal["", "paused", "maintenance", "asleep"]


def role(flow: ResolvedFlow) -> Role:
    """Return whether a flow works alone."""
    return "utility" if flow.kind.utility else "scheduled"


def not_now(ledger: Ledger, flow: ResolvedFlow) -> tuple[Cause, str]:
    """Return why no run of a flow's company works now, in one word and in a sentence; two empty texts when it may."""
    company = flow.company
    if found := ledger.maintenance(company.company):
        since = found.began_at.strftime("%Y-%m-%d %H:%M:%S")
        why = f" ({found.why})" if found.why else ""
        return "maintenance", f"{found.by} has begun a maintenance of {company.company} at {since} UTC{why}."
    if until := sleeping(company, dt.datetime.now(dt.UTC)):
        return "asleep", f"{company.company} sleeps until {until:%Y-%m-%d %H:%M} UTC."
    return "", ""


def is_paused(ti: Any, dag_id: str) -> bool:
    """Return whether a DAG is switched off; one that does not exist counts as that.

    Where Airflow does not answer, it is taken to be switched on: a task does not fail for such a question.
    """
    try:
        return bool(ti.get_dag(dag_id).is_paused)
    except AirflowRuntimeError as error:
        if _is_gone(error):
            return True
        log.warning("cannot ask whether a flow is switched on", dag_id=dag_id, error=error.error.error.value)
        return False


def sentence(others: Iterable[Holder]) -> str:
    """Return who is in the way, for people."""
    listed = ", ".join(
        f"{each.flow} ({'at work' if each.state == 'working' else 'waiting'} since {each.since:%H:%M:%S} UTC)"
        for each in others
    )
    return f"It is not its turn: {listed}."


def drop_gone(ledger: Ledger, company: str, others: Iterable[Holder], ti: Any) -> bool:
    """Take the places of runs away that wait in vain: their run has ended, or their flow is switched off.

    Returns whether there were any.
    """
    gone = [each for each in others if each.state == "waiting" and _in_vain(ti, company, each)]
    for each in gone:
        log.info("sent away from the row", flow=each.flow, run=each.dag_run_id)
        ledger.leave_row(company, each.flow, each.dag_run_id)
    return bool(gone)


def _in_vain(ti: Any, company: str, waiting: Holder) -> bool:
    dag_id = f"{company}.{waiting.flow}"
    try:
        ended = ti.get_dagrun_state(dag_id, waiting.dag_run_id) in ENDED
    except AirflowRuntimeError as error:
        ended = _is_gone(error)
    return ended or is_paused(ti, dag_id)


def _is_gone(error: AirflowRuntimeError) -> bool:
    return (error.error.detail or {}).get("status_code") == NOT_FOUND


class Keeper:
    """Keeps the turn of a task alive, in a thread, and knows whether the task is to go on."""

    def __init__(self, ledger: Ledger, flow: ResolvedFlow, context: Context, every: float = RENEW_EVERY) -> None:
        self.ledger = ledger
        self.flow = flow
        self.ti = context["ti"]
        self.by_hand = context["dag_run"].triggering_user_name == BY_HAND
        self.key = (flow.company.company, flow.flow, context["run_id"])
        self.every = every
        self.cause: Cause = ""
        self.lost = False
        self._done = threading.Event()
        self._looked = -LOOK_EVERY

    def beat(self) -> None:
        """Give signs of life until the task is done. A ledger that is away is asked again."""
        while not self._done.wait(self.every):
            try:
                self.lost = not self.ledger.renew_turn(*self.key)
            except InterWeaveError as error:
                log.warning("no sign of life given", error=type(error).__name__, code=error.code)
            if self.lost:
                return

    def go_on(self) -> str:
        """Return why the task is to stop at the end of this page; "" while it is not. Looks at most every 2 s.

        :raises RetryLater: its turn is lost (`iw.turn_lost`).
        """
        if self.lost:
            raise turn_lost(self.flow.flow)
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY:
            return ""
        self._looked = now
        self.cause, why = not_now(self.ledger, self.flow)
        if not why and not self.by_hand and is_paused(self.ti, self.flow.dag_id):
            self.cause, why = "paused", f"{self.flow.dag_id} was switched off."
        return why

    @contextmanager
    def keep(self) -> Iterator[None]:
        """Keep the turn for the length of a with-block; what is committed in it is committed with the turn only."""
        thread = threading.Thread(target=self.beat, name="turn", daemon=True)
        thread.start()
        try:
            with self.ledger.on_turn(*self.key):
                yield
        finally:
            self._done.set()
            thread.join()
