"""Runs with kills and faults until there were enough, then runs without until nothing happens any more, then judgement.

What is done is drawn from one seeded source. The same seed draws the same faults, changes and points; the moments at
which processes are killed are drawn too, but what a process was doing then depends on the machine.
"""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from chaos.books import PATIENCE
from chaos.business import Business
from chaos.house import House
from chaos.known_points import listed
from chaos.oracle import Oracle, Verdict
from chaos.pool import Job
from chaos.scheduler import READY, TRIES, Attempt, Run, Scheduler
from iw_operators.spec.models import Direction

ROUNDS: Final = 12  # without anything being done to them, flows have to come to rest within so many rounds
UNEXPECTED: Final = 3  # errors without a class of ours, after which no further run with kills begins
TRIED: Final = 8  # runs that aim at every point that is left, before some count as not reached


@dataclass(slots=True)
class Outcome:
    """What happened, and what is wrong."""

    seed: int
    kills: int = 0
    faults: int = 0
    outages: int = 0
    doubles: int = 0
    rounds: int = 0
    changes: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    killed_at: Counter[str] = field(default_factory=Counter)
    reached: frozenset[str] = frozenset()

    @property
    def line(self) -> str:
        """The one line."""
        v = self.verdict
        return (
            f"kills {self.kills}, faults {self.faults}, records {v.records}, duplicates {len(v.duplicates)}, "
            f"lost {len(v.lost)}, unreported {len(v.unreported)}, unresolved {len(v.unresolved)}  (SEED={self.seed})"
        )


class Campaign:
    """One go. `say` is told what is going on.

    :param kills: processes to kill before recovery begins.
    :param until: monotonic time after which no further run with kills begins.
    """

    def __init__(
        self,
        house: House,
        *,
        kills: int,
        seed: int,
        until: float = float("inf"),
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.house = house
        self.kills = kills
        self.until = until
        self.say = say
        self.dice = random.Random(seed)  # noqa: S311  nothing secret is drawn
        self.business = Business(house, self.dice)
        self.scheduler = Scheduler(house, self.attempt, self.between)
        self.outcome = Outcome(seed)
        self.began = time.time()
        self._flows = house.scheduled()
        self._writing = [name for name in self._flows if house.spec.flows[name].direction is Direction.TO_BOOKS]
        self._points = [*listed(house.spec)]
        self.dice.shuffle(self._points)
        self._tried = 0
        self._aims: list[str] = []  # points at which the next tries are to be killed
        self._armed = 0
        self._seconds: dict[str, list[float]] = defaultdict(lambda: [0.4])

    def go(self) -> Outcome:
        """Do all of it."""
        try:
            while self.outcome.kills < self.kills and time.monotonic() < self.until and self.sound():
                self.episode()
                self.say(f"{self.outcome.kills} kills, {self.outcome.faults} faults")
            self.calm()
            quiet = self.recover()
        finally:
            self.business.close()
        self.outcome.changes = self.business.notes.done
        self.outcome.reached = frozenset(self.house.workers.points())
        self.outcome.verdict = verdict = Oracle(self.house, self.business.notes, self.began).judge()
        verdict.unresolved += quiet + self.scheduler.unexpected
        return self.outcome

    def sound(self) -> bool:
        """Whether it is worth going on: errors that nobody expects end it early."""
        return len(self.scheduler.unexpected) < UNEXPECTED

    def episode(self) -> None:
        """People work, faults are armed, and a flow runs."""
        self.calm()
        self.business.some(self.dice.randint(1, 5))
        self._aims = self.aims()
        if self._aims:  # something of everything has to be there, so that the points are reached
            self._armed += self.house.sign_out()
            self.business.something()
            flow = self._writing[0] if self.left() else self.dice.choice(self._writing)
        else:
            flow = self.dice.choices(self._flows, [4.0 if each in self._writing else 1.5 for each in self._flows])[0]
        self.arm(self.dice.choice((0, 0, 1, 2, 3, 5)))
        self.scheduler.run(flow)

    def aims(self) -> list[str]:
        """Return points to be killed at in the next run: all until each was, then now and then a few at random."""
        left = self.left()
        if left and self._tried < TRIED:
            self._tried += 1
            return left
        if self.dice.random() < 0.3:
            return [f"{point}:{self.dice.randint(1, 4)}" for point in self.dice.sample(self._points, 3)]
        return []

    def left(self) -> list[str]:
        """Return the points at which nobody has been killed yet."""
        return [point for point in self._points if not self.outcome.killed_at[point]]

    def between(self) -> None:
        """What happens between two tries of a task: sometimes somebody changes something."""
        if self.dice.random() < 0.3:
            self.calm()
            self.business.some(1)
            if not self._aims:
                self.arm(self.dice.choice((0, 1, 2)))

    def arm(self, number: int) -> None:
        """Arm some faults."""
        self._armed += self.house.trouble(self.dice, number)

    def calm(self) -> None:
        """Disarm everything, and count what has struck."""
        self.outcome.faults += max(self._armed - self.house.left(), 0)
        self._armed = 0
        self.house.calm()

    def attempt(self, attempt: Attempt) -> None:
        """Start a task's process and do something to it, or nothing."""
        spawn, dice = self.house.workers.spawn, self.dice
        if self._aims:
            attempt.body["crash_at"] = self._aims if attempt.number < TRIES else []
            job = spawn(attempt.body)
            attempt.jobs.append(job)
            self.house.workers.finish(job)
            if job.killed:
                point = self.house.workers.points()[-1]
                self.outcome.killed_at[point] += 1
                self._aims = [each for each in self._aims if each.partition(":")[0] != point]
        else:
            way = dice.choices(("nothing", "kill", "double", "outage"), (3.0, 6.0, 1.5, 0.6))[0]
            job = spawn(attempt.body)
            attempt.jobs.append(job)
            if way == "kill":
                self.kill_in(job, attempt.task)
            elif way == "double" and attempt.task != READY:
                self.double(attempt)
            elif way == "outage":
                self.house.workers.wait(job, dice.uniform(0, self.usual(attempt.task)))
                self.house.without_ledger(dice.uniform(0.1, 2.0), harsh=dice.random() < 0.5)
                self.outcome.outages += 1
            for each in attempt.jobs:
                self.house.workers.finish(each)
        if job.status == 0:
            self._seconds[attempt.task].append(time.monotonic() - job.began)
        self.outcome.kills += attempt.killed

    def kill_in(self, job: Job, task: str) -> None:
        """Kill a job at a moment within the time that its task usually takes."""
        self.house.workers.wait(job, self.dice.uniform(0, 1.1 * self.usual(task)))
        job.kill()

    def double(self, attempt: Attempt) -> None:
        """Give the same task to a second process, as an Airflow does that believes the first one dead."""
        self.outcome.doubles += 1
        self.house.workers.wait(attempt.jobs[0], self.dice.uniform(0, self.usual(attempt.task)))
        number = attempt.number + self.dice.randint(0, 1)
        attempt.jobs.append(self.house.workers.spawn({**attempt.body, "try": number}))
        if self.dice.random() < 0.3:
            self.house.workers.wait(attempt.jobs[0], self.dice.uniform(0, 0.3))
            self.house.without_ledger(self.dice.uniform(0.1, 0.6), harsh=True)
            self.outcome.outages += 1
        if self.dice.random() < 0.5:
            self.kill_in(self.dice.choice(attempt.jobs), attempt.task)

    def usual(self, task: str) -> float:
        """Return how long a task has taken lately, in seconds."""
        latest = self._seconds[task][-5:]
        return sum(latest) / len(latest)

    def recover(self) -> list[str]:
        """Run all flows until a whole round writes nothing; return what is wrong where that does not happen."""
        busy: list[Run] = []
        for number in range(1, ROUNDS + 1):
            runs = [self.scheduler.run(flow, calmly=True) for flow in self._flows]
            self.outcome.rounds = number
            self.say(f"recovery, round {number}: {sum(run.wrote for run in runs)} records written")
            busy = [run for run in runs if run.wrote or any(state != "success" for state in run.states.values())]
            if not self.sound():
                break
            if number == 1:
                time.sleep(PATIENCE)  # what a killed worker had sent may still be on its way; then it has arrived
            elif not busy:
                return []
        return [f"{run.flow} has not come to rest: {run.states} {run.results} {run.failures}" for run in busy]
