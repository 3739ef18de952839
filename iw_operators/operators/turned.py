"""A task of a flow that works with the company's systems while its run has its turn."""

from __future__ import annotations

import datetime as dt
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import structlog
from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSkipException

from iw_operators import settings, site, xcoms
from iw_operators.errors import Yielded
from iw_operators.retry import told
from iw_operators.spec.resolved import ResolvedFlow

if TYPE_CHECKING:
    from iw_operators.ledger.store import Ledger
    from iw_operators.operators.turn import Keeper

log = structlog.get_logger(__name__)


class TurnedOperator(BaseOperator):
    """Does its `work` while the run has its turn.

    At its start it takes the turn anew (a pause may have lain before it); where
    somebody else has it, it gives its slot back and comes again. At the end of each page it looks whether to stop:

    | what has happened | scheduled | utility |
    |---|---|---|
    | the flow was switched off | skipped; the next run does what is left | fails without a retry: clear it |
    | a maintenance or the sleep window has begun | the same | goes on where it was, when it is over |

    :param flow: the flow, as `spec.loader` gives it.
    """

    shallow_copy_attrs: Sequence[str] = ("flow",)

    def __init__(self, *, flow: ResolvedFlow, **kwargs: Any) -> None:
        super().__init__(**{**site.task_options(flow.company), **kwargs})
        self.flow = flow

    @abstractmethod
    def work(self, ledger: Ledger, context: Context, keeper: Keeper) -> Any:
        """Do what the task is for and return its result.

        Asks `keeper.go_on` at the end of each page, and raises Yielded with what it returns.
        """

    def execute(self, context: Context) -> Any:
        """Do it. Raises what `work` raises, and Airflow's exceptions for being skipped and for coming again."""
        from iw_operators.operators.runtime import ledger_of_run
        from iw_operators.operators.turn import Keeper

        with told(context), ledger_of_run(self.flow.company.company) as ledger:
            keeper = Keeper(ledger, self.flow, context)
            try:
                self.take_turn(ledger, keeper)
                with keeper.keep():
                    return self.work(ledger, context, keeper)
            except Yielded as stopped:
                self.stop(ledger, context, keeper, stopped)
                raise

    def take_turn(self, ledger: Ledger, keeper: Keeper) -> None:
        """Take the run's turn anew. Raises Yielded when nothing is to begin now, AirflowRescheduleException to wait."""
        from iw_operators.operators.turn import role, sentence

        if why := keeper.go_on():
            raise Yielded(why, code="iw.yielded")
        turn = ledger.take_turn(*keeper.key, role(self.flow), resuming=True)
        if not turn.taken:
            log.info("waiting", why=sentence(turn.others))
            raise again(_soon())

    def stop(self, ledger: Ledger, context: Context, keeper: Keeper, stopped: Yielded) -> None:
        """End the run in the ledger as stopped and give its turn back; raise what Airflow is to do with the task."""
        from iw_operators.operators.runtime import begin
        from iw_operators.operators.turn import role
        from iw_operators.sleep import sleeping

        why = stopped.message
        log.info("stopped", why=why)
        ledger.end_run(begin(ledger, self.flow, context), "stopped", error=why)
        ledger.give_turn_back(*keeper.key)
        if role(self.flow) == "scheduled":
            context["ti"].xcom_push(key=xcoms.STOPPED, value=why)
            raise AirflowSkipException(why) from None
        if keeper.cause != "paused":
            now = dt.datetime.now(dt.UTC)
            until = sleeping(self.flow.company, now) or now
            raise again(max(until, _soon())) from None
        stopped.advice = f"To go on where it was, start {self.flow.dag_id} and clear this task."


def again(at: dt.datetime) -> AirflowRescheduleException:
    """Return the exception with which a task, or a sensor, gives its slot back and comes again later."""
    return AirflowRescheduleException(at)  # type: ignore[no-untyped-call]  # Airflow's own has no types


def _soon() -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=settings.poll_interval())
