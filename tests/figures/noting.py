"""Figures as they are measured, shown and written."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. `at_most` is what was promised, None where nothing was; `slowness` how slow the machine then was."""

    name: str
    value: float
    unit: str
    at_most: float | None
    slowness: float
    what: str

    def __str__(self) -> str:
        promise = "" if self.at_most is None else f" (at most {self.at_most:g})"
        if promise and self.slowness > 1:
            promise = f"{promise[:-1]}, here and now {self.at_most_here:.4g})"
        return f"{self.value:>9g} {self.unit}{promise}"

    @property
    def at_most_here(self) -> float:
        """What was promised, on this machine."""
        return float("inf") if self.at_most is None else self.at_most * self.slowness


class Figures:
    """All figures of a run of the tests. :param file: where they are written, after each of them."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.all: dict[str, Figure] = {}

    @property
    def full(self) -> bool:
        """Whether the long measurements are wanted."""
        return self.file is not None

    def note(
        self, name: str, value: float, unit: str, what: str, *, at_most: float | None = None, slowness: float = 1
    ) -> None:
        """Note a figure.

        :param slowness: for a time, how slow the machine is (`tests.yardstick`).
        :raises AssertionError: it is more than was promised.
        """
        noted = self.all[name] = Figure(name, round(value, 4), unit, at_most, round(slowness, 2), what)
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            made: dict[str, Any] = {"at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), "machine": machine()}
            made["figures"] = {each.name: asdict(each) for each in self.all.values()}
            self.file.write_text(json.dumps(made, indent=2) + "\n")
        assert value <= noted.at_most_here, f"{what}: {noted}"

    def lines(self) -> list[str]:
        """Return the figures as a table."""
        width = max(len(each.name) for each in self.all.values())
        return [f"{each.name:{width}}  {each}" for each in self.all.values()]


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "commit": _commit(),
    }


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip()
