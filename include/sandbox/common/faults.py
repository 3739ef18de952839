"""Faults that a sandbox commits on demand, set by `POST /_sandbox/faults`."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Fault:
    """One armed fault.

    `after` matching requests pass first, then `times` of them are hit (-1: all of them until reset). `match` is a
    piece of "METHOD /path" that the request has to contain; empty matches each request. `to` is where a redirect leads.
    """

    kind: str
    times: int = 1
    after: int = 0
    match: str = ""
    seconds: float = 0.0
    to: str = ""


class Faults:
    """The armed faults of one sandbox. Safe to use from several threads."""

    def __init__(self, kinds: frozenset[str]) -> None:
        self.kinds = kinds
        self._armed: list[Fault] = []
        self._lock = threading.Lock()

    def arm(self, spec: dict[str, Any]) -> Fault:
        """Arm one fault; raise ValueError naming what is wrong with the spec."""
        unknown = set(spec) - {"kind", "times", "after", "match", "seconds", "to"}
        if unknown:
            msg = f"unknown keys {sorted(unknown)}; known: kind, times, after, match, seconds, to"
            raise ValueError(msg)
        if spec.get("kind") not in self.kinds:
            msg = f"unknown fault {spec.get('kind')!r}; known: {sorted(self.kinds)}"
            raise ValueError(msg)
        fault = Fault(**spec)
        with self._lock:
            self._armed.append(fault)
        return fault

    def clear(self) -> None:
        """Disarm everything."""
        with self._lock:
            self._armed.clear()

    def armed(self) -> list[Fault]:
        """Return what is armed now."""
        with self._lock:
            return list(self._armed)

    def take(self, kind: str, request_line: str) -> Fault | None:
        """Return the fault of this kind that hits the request, using it up; None if there is none."""
        with self._lock:
            for fault in self._armed:
                if fault.kind != kind or fault.match not in request_line:
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                if fault.times == 0:
                    continue
                if fault.times > 0:
                    fault.times -= 1
                return fault
        return None
