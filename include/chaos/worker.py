"""The worker: does one task of a flow in a process of its own, as Airflow's task runner does.

`python -m chaos.worker` imports everything once, then forks for each job that comes as a line of JSON on its standard
input; it says on its standard output which process has a job and how that process ended. A job runs the very operator
that the flow's DAG has, with a context of the few things that it asks for.

Two seams of the product are used. Secrets are kept in files (see `state.py`). Quotas run on a clock that is a hundred
times as fast, so that being throttled costs less than a second.
"""

from __future__ import annotations

import importlib
import json
import os
import selectors
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from airflow.sdk import DAG
from airflow.sdk.definitions.retry_policy import RetryAction

from chaos.state import FileSecretState
from iw_operators import points
from iw_operators.dag import build_dag
from iw_operators.errors import InterWeaveError
from iw_operators.ledger.connect import CONN_ID, find_connection
from iw_operators.operators import runtime
from iw_operators.spec.loader import load_company
from iw_operators.spec.resolved import CompanySpec
from iw_operators.systems.quickbooks_online import hook as books_hook
from iw_operators.systems.quickbooks_online.limiter import Limiter

SPEED: Final = 100.0
OVERLAP_SECONDS: Final = 0  # nothing looks twice, so that what a window leaves out is lost for good
AIRFLOWS_OWN: Final = ("AirflowFailException", "AirflowRescheduleException")  # exceptions that tasks raise on purpose
PRELOAD: Final = (
    "sync",
    "upsert",
    "systems.creatio.hook",
    "systems.creatio.system",
)


class TaskInstance:
    """What the operators ask of Airflow's task instance."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        self.dag_id = str(job["dag_id"])
        self.task_id = str(job["task"])
        self.run_id = str(job["run_id"])
        self.try_number = int(job["try"])
        self.states: Mapping[str, str] = job["states"]
        self.results: Mapping[str, Any] = job["results"]
        self.xcoms: Mapping[str, Mapping[str, Any]] = job["xcoms"]
        self.pushed: dict[str, Any] = {}

    def get_task_states(self, *, run_ids: list[str], **_: Any) -> dict[str, dict[str, str]]:
        """Return the states of the run's tasks."""
        return {run_ids[0]: dict(self.states)}

    def get_dag(self, dag_id: str) -> SimpleNamespace:
        """Return that a DAG is switched on."""
        return SimpleNamespace(dag_id=dag_id, is_paused=False)

    def get_dagrun_state(self, dag_id: str, run_id: str) -> str:
        """Return that a run has ended: they are made one after the other."""
        del dag_id
        return "running" if run_id == self.run_id else "success"

    def xcom_push(self, *, key: str, value: Any) -> None:
        """Keep what a task leaves for those after it."""
        self.pushed[key] = value

    def xcom_pull(self, *, task_ids: str, key: str = "") -> Any:
        """Return what a task has left."""
        return self.xcoms.get(task_ids, {}).get(key) if key else self.results.get(task_ids)


def load(mappings: str, batch: int) -> tuple[CompanySpec, dict[str, DAG]]:
    """Return a company's specs and DAGs, without overlap and in small pages."""
    spec, errors = load_company(Path(mappings))
    if spec is None or errors:
        msg = f"the specs in {mappings} have errors: {errors}"
        raise RuntimeError(msg)
    company = spec.company.model_copy(update={"overlap_seconds": OVERLAP_SECONDS})
    dags = {}
    for name, flow in spec.flows.items():
        size = flow.spec.model_copy(update={"batch_size": batch})
        dags[name] = build_dag(flow.model_copy(update={"company": company, "spec": size}))
    return spec, dags


def run(job: Mapping[str, Any], dags: Mapping[str, DAG]) -> dict[str, Any]:
    """Do a job; return how it ended. Never returns when the job's point of the protocol ends the process."""
    os.environ.update(job["env"])
    watch(str(job["points"]), job["crash_at"])
    if plain := job.get("plain"):
        importlib.import_module(plain.pop("module")).sync(**plain)
        return {"ok": True, "value": {}, "xcoms": {}}
    task: Any = dags[job["flow"]].get_task(job["task"])
    ti = TaskInstance(job)
    dag_run = SimpleNamespace(run_type="manual", triggering_user_name=None)
    context: Any = {"ti": ti, "run_id": ti.run_id, "params": job["params"], "dag": task.dag, "dag_run": dag_run}
    try:
        value = task.poke(context).xcom_value if job["task"] == "ready" else task.execute(context)
    except Exception as error:  # noqa: BLE001  the task's failure is what the parent wants to know
        traceback.print_exc()
        policy = task.retry_policy
        decision = policy.evaluate(error, ti.try_number, policy.retries)
        expected = isinstance(error, InterWeaveError) or type(error).__name__ in AIRFLOWS_OWN
        again = decision.action is not RetryAction.FAIL
        code = error.code if isinstance(error, InterWeaveError) else ""
        return {
            "ok": False,
            "again": again and type(error).__name__ != "AirflowFailException",
            "kind": type(error).__name__,
            "code": code,
            "message": str(error),
            "expected": expected,
            "xcoms": ti.pushed,
        }
    return {"ok": True, "value": value, "xcoms": ti.pushed}


def watch(file: str, crash_at: Sequence[str]) -> None:
    """Write down each point that is reached; end the process at the first of those asked for (`<point>:<n>`)."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    crashes = [points.crash_at(each) for each in crash_at]

    def hook(point: str) -> None:
        os.write(handle, f"{point}\n".encode())
        for crash in crashes:
            crash(point)

    points.install(hook)


def quick_quotas(*_: Any) -> Limiter:
    """Return a limiter whose seconds are hundredths."""
    return Limiter((), clock=lambda: time.monotonic() * SPEED, sleep=lambda seconds: time.sleep(seconds / SPEED))


def prepare(sizes: Mapping[str, int], modules: Sequence[str]) -> None:
    """Import what tasks import, and use the two seams.

    :param sizes: writes that a call of each system takes.
    :param modules: what is to be imported of the books' system.
    """
    for name in (*PRELOAD, *modules):
        importlib.import_module(f"iw_operators.{name}")
    find_connection(CONN_ID)  # imports what Airflow imports late
    vars(runtime)["AirflowSecretState"] = FileSecretState  # the two seams, see above
    vars(books_hook)["shared"] = quick_quotas
    for name, size in sizes.items():
        module = importlib.import_module(f"iw_operators.systems.{name}.system")
        for each in vars(module).values():
            if isinstance(each, type) and getattr(each, "name", "") == name:
                each.batch_size = size  # type: ignore[attr-defined]  # a system, see systems.base


def main() -> None:
    """Take jobs until the standard input ends."""
    options = json.loads(sys.argv[1])
    say = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no message
    prepare(options["sizes"], options["modules"])
    _, dags = load(options["mappings"], options["page"])
    _say(say, {"ready": True})
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
    running: dict[int, int] = {}
    rest = b""
    while True:
        if selector.select(0.005):
            data = os.read(sys.stdin.fileno(), 1 << 20)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                job = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    _child(job, dags)
                running[pid] = job["id"]
                _say(say, {"id": job["id"], "pid": pid})
        while running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            _say(say, {"id": running.pop(pid), "status": os.waitstatus_to_exitcode(status)})


def _child(job: Mapping[str, Any], dags: Mapping[str, DAG]) -> None:
    os.setpgid(0, 0)
    with Path(job["log"]).open("ab", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    print(f"--- {job['flow']} {job['task']} run {job['run_id']} try {job['try']}", flush=True)  # noqa: T201  the log
    code = 70
    try:
        result = run(job, dags)
        fresh = Path(job["result"] + ".new")
        fresh.write_text(json.dumps(result, default=str))
        fresh.replace(job["result"])
        code = 0
    except BaseException:  # noqa: BLE001  shown in the log; the process ends here whatever it was
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _say(handle: int, what: Mapping[str, Any]) -> None:
    os.write(handle, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main()
