"""One Airflow between both sandboxes, and what the tests do with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psutil
import sqlalchemy as sa

from iw_operators.ledger.tables import run as run_table
from iw_operators.spec.resolved import CompanySpec
from local.stack import Stack
from tests.e2e.outside import Books, Crm

BOOKS = "quickbooks_online"
CRM = "creatio"
SECOND = 1.1


@dataclass(frozen=True, slots=True)
class Run:
    """A DAG run that has ended."""

    dag_id: str
    run_id: str
    state: str

    @property
    def path(self) -> str:
        """Where the REST API has it."""
        return f"/dags/{self.dag_id}/dagRuns/{self.run_id}"


@dataclass
class Site:
    """The stack with the specs it runs, and both systems seen from outside."""

    stack: Stack
    spec: CompanySpec
    crm: Crm
    books: Books

    @property
    def airflow(self) -> Any:
        """The Airflow."""
        return self.stack.airflow

    def start(self, flow: str, conf: Mapping[str, Any] | None = None, company: str = "acme") -> Run:
        """Trigger a flow's DAG; the run's state is not known yet."""
        dag_id = f"{company}.{flow}"
        self.airflow.unpause(dag_id)
        if company == "acme":
            time.sleep(SECOND)  # a window ends with the source's last full second
        return Run(dag_id, self.airflow.trigger(dag_id, conf), "")

    def finish(self, run: Run) -> Run:
        """Wait for a run's end."""
        return Run(run.dag_id, run.run_id, self.airflow.wait_run(run.dag_id, run.run_id))

    def run(self, flow: str, conf: Mapping[str, Any] | None = None) -> Run:
        """Trigger a flow of acme and wait for its end."""
        return self.finish(self.start(flow, conf))

    def tasks(self, run: Run) -> dict[str, dict[str, Any]]:
        """Return a run's task instances by task id."""
        return {ti["task_id"]: ti for ti in self.airflow.get(f"{run.path}/taskInstances")["task_instances"]}

    def events(self, run: Run, task: str, attempt: int = 1) -> list[dict[str, Any]]:
        """Return a task's log as Airflow's REST API gives it: one JSON event a line."""
        content = self.airflow.get(f"{run.path}/taskInstances/{task}/logs/{attempt}")["content"]
        return [event for event in content if isinstance(event, dict)]

    def row(self, run: Run) -> Any:
        """Return the ledger's row of a run."""
        company, flow = run.dag_id.split(".")
        found = sa.select(run_table).where(
            run_table.c.company == company, run_table.c.flow == flow, run_table.c.dag_run_id == run.run_id
        )
        with self.stack.ledger.engine.connect() as connection:
            return connection.execute(found).one()

    def counts(self, run: Run) -> dict[str, dict[str, int]]:
        """Return what the ledger says of a run: mapping -> `read` and the number that ended in each way."""
        lines = self.stack.ledger.summary(self.row(run).id)
        return {line.mapping: {"read": line.read, **{str(k): v for k, v in line.counts.items()}} for line in lines}

    def task_process(self) -> psutil.Process:
        """Return the process of the only task that is running."""
        everyone = psutil.Process(self.airflow.process.pid).children(recursive=True)
        (scheduler,) = [process for process in everyone if title(process).endswith("airflow scheduler")]
        workers = [process for process in scheduler.children() if "LocalExecutor" in title(process)]
        (task,) = [child for worker in workers for child in worker.children() if title(child)]
        return task


def title(process: psutil.Process) -> str:
    """Return how a process calls itself; empty when it is gone, or a zombie."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def until(condition: Callable[[], Any], what: str, seconds: float = 90.0) -> Any:
    """Wait for something to become true; return it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain: {what}"
        time.sleep(0.2)
    return found
