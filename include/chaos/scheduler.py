"""Runs of a flow as Airflow makes them: `ready`, the mappings in order, `report`, each with its tries.

A task that is killed is tried again; one that failed is tried again if its error's class says so (the retry policy of
the DAG itself is asked, in the worker). Waits between tries are left out. A task that has used up its tries fails, what
comes after it is not done, and `report` runs whatever happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chaos.house import House
from chaos.pool import Job

TRIES: Final = 6  # as `[interweave] retries` says: one, and five more
READY: Final = "ready"
REPORT: Final = "report"


@dataclass(slots=True)
class Attempt:
    """One try of a task: what is asked of the worker, and how it ended."""

    flow: str
    task: str
    number: int
    body: dict[str, Any]
    jobs: list[Job] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)

    @property
    def killed(self) -> int:
        """How many processes of it were killed."""
        return sum(job.killed for job in self.jobs)


Do = Callable[[Attempt], None]
"""Starts the jobs of an attempt, does to them what it likes, and returns when they have ended."""


@dataclass(slots=True)
class Run:
    """One DAG run, and what became of it."""

    flow: str
    run_id: str
    states: dict[str, str] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    xcoms: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)

    @property
    def wrote(self) -> int:
        """How many records it created or updated."""
        found = (self.results.get(task) or {} for task in self.results)
        return sum(each.get("created", 0) + each.get("updated", 0) for each in found if isinstance(each, dict))


class Scheduler:
    """Makes runs, one after the other. `between` is called between the tries of a task."""

    def __init__(self, house: House, do: Do, between: Callable[[], None] = lambda: None) -> None:
        self.house = house
        self.do = do
        self.between = between
        self.unexpected: list[str] = []  # errors that have no class of ours
        self._runs = 0

    def run(self, flow: str, *, params: Mapping[str, Any] | None = None, calmly: bool = False) -> Run:
        """Run a flow once. :param calmly: nothing is done to its processes."""
        self._runs += 1
        run = Run(flow, f"chaos__{self._runs}")
        going = True
        for task in self._tasks(flow):
            if going or task == REPORT:
                run.states[task] = self._task(run, task, params or {}, calmly=calmly)
                going = going and run.states[task] == "success"
            else:
                run.states[task] = "upstream_failed"
        return run

    def _tasks(self, flow: str) -> Iterator[str]:
        yield READY
        yield from (mapping.mapping for mapping in self.house.spec.flows[flow].mappings)
        yield REPORT

    def _task(self, run: Run, task: str, params: Mapping[str, Any], *, calmly: bool) -> str:
        for number in range(1, TRIES + 1):
            if number > 1:
                self.between()
            attempt = Attempt(run.flow, task, number, self._body(run, task, number, params))
            if calmly:
                attempt.jobs.append(self.house.workers.spawn(attempt.body))
                self.house.workers.finish(attempt.jobs[0])
            else:
                self.do(attempt)
            attempt.results = [found for job in attempt.jobs if (found := job.result()) is not None]
            for found in attempt.results:
                run.xcoms[task] = found["xcoms"]  # those of the latest try
            good = next((each for each in attempt.results if each["ok"]), None)
            if good is not None:
                run.results[task] = good["value"]
                return "success"
            self._note(run, attempt)
            if attempt.results and not any(each["again"] for each in attempt.results):
                break
        return "failed"

    def _note(self, run: Run, attempt: Attempt) -> None:
        for found in attempt.results:
            run.failures.append(found)
            if not found["expected"]:
                self.unexpected.append(f"{attempt.flow} {attempt.task}: {found['kind']}: {found['message']}")
            self.house.books.heal(found["code"])
        for job in attempt.jobs:
            if job.status not in (0, None) and not job.killed:
                self.unexpected.append(f"{attempt.flow} {attempt.task}: the process ended with {job.status}")

    def _body(self, run: Run, task: str, number: int, params: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "dag_id": f"{self.house.company}.{run.flow}",
            "flow": run.flow,
            "task": task,
            "run_id": run.run_id,
            "try": number,
            "states": run.states,
            "results": run.results,
            "xcoms": run.xcoms,
            "params": dict(params),
            "env": self.house.connections(),
            "crash_at": [],
        }
