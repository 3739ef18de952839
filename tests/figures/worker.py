"""A process that does nothing but sync: what a task is, with sandboxes and PostgreSQL elsewhere. It is measured.

`python -m tests.figures.worker '<JSON of Order>'` runs flows and prints one line of JSON: a `Part` a flow, and the
most memory that the process ever held.
"""

from __future__ import annotations

import cProfile
import dataclasses
import datetime as dt
import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

EVER = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
REPOSITORY = Path(__file__).resolve().parents[2]
SECOND = 1.1  # a window ends with the source's last full second


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker has to do: flows, in order, all of their mappings or some.

    :param reread: flows that are run after them, over all that has ever changed.
    :param profile: a file for the profiler's statistics.
    """

    ledger: str
    crm: str
    books: str
    flows: tuple[str, ...]
    mappings: tuple[str, ...] = ()
    reread: tuple[str, ...] = ()
    profile: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """What one flow did: records read and ended how by mapping, seconds on the clock and of this process's work."""

    flow: str
    read: dict[str, int]
    counts: dict[str, dict[str, int]]
    wall: float
    cpu: float
    requests: dict[str, int]

    @property
    def records(self) -> int:
        """All records read."""
        return sum(self.read.values())


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker did. `peak` and `idle` are bytes of memory: at the most, and before the first flow."""

    parts: list[Part] = field(default_factory=list)
    idle: int = 0
    peak: int = 0


def work(order: Order, timeout: float) -> Report:
    """Run a worker in a process of its own and return its report.

    :raises subprocess.CalledProcessError: it failed; its output is on the error stream.
    """
    path = os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "include")))
    env = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.figures.worker", json.dumps(dataclasses.asdict(order))],
        env=env,
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        timeout=timeout,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return Report([Part(**part) for part in found["parts"]], found["idle"], found["peak"])


def main() -> None:
    """Do what the first argument orders."""
    order = Order(**json.loads(sys.argv[1]))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    from iw_operators.ledger.store import Ledger
    from iw_operators.spec.loader import load_company
    from iw_operators.systems.quickbooks_online.limiter import QUOTAS
    from tests.stage import MAPPINGS, Stage

    spec, errors = load_company(MAPPINGS / "acme")
    assert spec is not None, errors
    if order.mappings:
        flows = {
            name: flow.model_copy(update={"mappings": tuple(m for m in flow.mappings if m.mapping in order.mappings)})
            for name, flow in spec.flows.items()
        }
        spec = spec.model_copy(update={"flows": flows})
    stage = Stage(order.crm, order.books, Ledger.connect(order.ledger), spec, os.environ.__setitem__)
    stage.connect(books=dict.fromkeys(QUOTAS, 1_000_000))
    for side in ("crm", "books"):
        stage.open(side).check()  # imports everything
    idle, parts = memory("VmRSS"), []
    profile = cProfile.Profile() if order.profile else None
    for number, name in enumerate((*order.flows, *order.reread)):
        time.sleep(SECOND)
        window = (EVER, dt.datetime.now(dt.UTC)) if number >= len(order.flows) else None
        before = {side: stage.requests(side) for side in ("crm", "books")}
        wall, cpu = time.perf_counter(), time.process_time()
        if profile:
            profile.enable()
        done = stage.run(name, window=window)
        if profile:
            profile.disable()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        parts.append(
            Part(
                flow=name,
                read={mapping: summary.read for mapping, summary in done.items()},
                counts={mapping: dict(summary.counts) for mapping, summary in done.items()},
                wall=wall,
                cpu=cpu,
                requests={side: stage.requests(side) - before[side] for side in ("crm", "books")},
            )
        )
    if profile:
        profile.dump_stats(order.profile)
    report: dict[str, Any] = dataclasses.asdict(Report(parts, idle, memory("VmHWM")))
    sys.stdout.write(json.dumps(report) + "\n")


def memory(what: str) -> int:
    """Return a figure of this process's memory in bytes: `VmRSS` now, `VmHWM` at the most.

    Not `getrusage`, whose peak includes the process that this one was forked from.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:"))


if __name__ == "__main__":
    main()
