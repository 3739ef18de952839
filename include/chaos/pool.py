"""The harness's end of the worker: starts jobs, kills their processes, learns how they ended."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from local.airflow import REPOSITORY

START_SECONDS: Final = 120.0
JOB_SECONDS: Final = 240.0  # a job that takes longer hangs


@dataclass(slots=True)
class Job:
    """One task in one process. `status`: None while it runs, negative when a signal ended it."""

    number: int
    result_file: Path
    began: float
    pid: int | None = None
    status: int | None = None

    def kill(self) -> bool:
        """Kill its process; return whether it was still there."""
        if self.pid is None or self.status is not None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
            return True
        return False

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.status == -signal.SIGKILL

    def result(self) -> dict[str, Any] | None:
        """Return what it left; None when it was killed before it could."""
        if self.status != 0 or not self.result_file.exists():
            return None
        found: dict[str, Any] = json.loads(self.result_file.read_text())
        return found


@dataclass(slots=True)
class Workers:
    """Processes that do tasks. `folder` holds their logs, states and results."""

    folder: Path
    options: Mapping[str, Any]
    env: Mapping[str, str]
    jobs: dict[int, Job] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _process: subprocess.Popen[bytes] | None = None
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _listener: threading.Thread | None = None
    _ready: bool = False

    def start(self) -> None:
        """Start the process that forks, and wait until it has imported everything. Raises RuntimeError."""
        path = os.pathsep.join(str(REPOSITORY / part) for part in (".", "include"))
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "worker.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  our own program with our own arguments
                [sys.executable, "-m", "chaos.worker", json.dumps(dict(self.options))],
                env={**os.environ, **self.env, "PYTHONPATH": path},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._listener = threading.Thread(target=self._listen, daemon=True, name="chaos-workers")
        self._listener.start()
        with self._changed:
            if not self._changed.wait_for(lambda: self._ready or self._over(), START_SECONDS) or not self._ready:
                msg = f"the workers did not start:\n{(self.folder / 'worker.log').read_text()[-3000:]}"
                raise RuntimeError(msg)

    def _over(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def _listen(self) -> None:
        assert self._process is not None and self._process.stdout is not None  # noqa: S101, PT018  set by `start`
        for line in self._process.stdout:
            said = json.loads(line)
            with self._changed:
                if "ready" in said:
                    self._ready = True
                elif "pid" in said:
                    self.jobs[said["id"]].pid = said["pid"]
                else:
                    self.jobs[said["id"]].status = said["status"]
                self._changed.notify_all()
        with self._changed:  # it has ended; whoever waits for a job has to know
            self._changed.notify_all()

    def spawn(self, body: Mapping[str, Any]) -> Job:
        """Start a job and return when its process is there."""
        assert self._process is not None and self._process.stdin is not None  # noqa: S101, PT018  set by `start`
        number = next(self._numbers)
        job = self.jobs[number] = Job(number, self.folder / f"result-{number}.json", time.monotonic())
        files = {
            "log": str(self.folder / "tasks.log"),
            "points": str(self.folder / "points.log"),
            "result": str(job.result_file),
        }
        self._process.stdin.write(json.dumps({**body, **files, "id": number}).encode() + b"\n")
        self._process.stdin.flush()
        with self._changed:
            if not self._changed.wait_for(lambda: job.pid is not None or self._over(), START_SECONDS) or self._over():
                msg = "the workers' process has ended"
                raise RuntimeError(msg)
        return job

    def wait(self, job: Job, seconds: float = JOB_SECONDS) -> bool:
        """Wait until a job has ended, at most so long; return whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: job.status is not None or self._over(), seconds)

    def finish(self, job: Job) -> None:
        """Wait until a job has ended. Raises RuntimeError when it hangs."""
        if not self.wait(job):
            job.kill()
            msg = f"job {job.number} hangs; see {self.folder}/tasks.log"
            raise RuntimeError(msg)

    def points(self) -> list[str]:
        """Return the points reached so far, in order."""
        file = self.folder / "points.log"
        return file.read_text().split() if file.exists() else []

    def stop(self) -> None:
        """End it, and what still runs."""
        if self._process is None:
            return
        for job in self.jobs.values():
            job.kill()
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018  set by `start`
        self._process.stdin.close()
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._listener is not None:
            self._listener.join(15)
        self._process.stdout.close()
        self._process = None
