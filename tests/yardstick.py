"""How slow this machine is just now, so that a time that is promised means the same on every machine and under load.

What the product promises in seconds is meant for the machine that docs/figures.md names. The time that a piece of plain
work takes at the moment of measuring, over what it takes there, is how much longer a promise may take here.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Final

from iw_operators.dag import uncollected

REFERENCE: Final = 0.0215  # seconds that `work` takes on the machine that docs/figures.md names
TRIES: Final = 9
_TEXT: Final = json.dumps({f"field_{n}": [n, str(n), {"name": "customer", "pattern": "a+b" * 3}] for n in range(400)})


def work() -> int:
    """Do what an interpreter does all day: parse, match, build and sort small objects."""
    found = 0
    for _ in range(32):
        data = json.loads(_TEXT)
        rows = [{"key": key, "sum": sum(map(ord, key)), "text": f"{value[1]:>8}"} for key, value in data.items()]
        rows.sort(key=lambda row: (row["sum"], row["key"]))
        found += sum(bool(re.search(r"_(\d+)$", str(row["key"]))) for row in rows)
    return found


def slowness(clock: Callable[[], float] = time.process_time, share: float = 0.5) -> float:
    """Return how many times as long as on the named machine `work` takes here; never less than 1.

    :param clock: the clock that the promised time is taken by.
    :param share: which of several tries counts, from 0.0 (the best) to 1.0 (the worst).
    """
    took = []
    with uncollected():
        for _ in range(TRIES):
            began = clock()
            work()
            took.append(clock() - began)
    return max(1.0, sorted(took)[round(share * (TRIES - 1))] / REFERENCE)
