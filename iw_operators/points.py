"""Named points of the protocol, at which a test can stop the process. A testing aid: nothing happens otherwise.

`reach` stands at each step of the protocol whose loss a recovery has to make good: before and after a commit, before
and after a call. With nothing installed it costs one comparison.

`IW_CRASH_AT=<point>[:n]` in the environment ends the process at the n-th time (the first by default) that it comes to
the point, as SIGKILL does: no `finally`, no `atexit`, no open transaction is rolled back by us. Never set it in
production.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Final

VARIABLE: Final = "IW_CRASH_AT"
KILLED: Final = 137  # the exit code that shells show for SIGKILL; used where there is no such signal

Hook = Callable[[str], None]

_hook: Hook | None = None


def reach(point: str) -> None:
    """Say that a point of the protocol is reached."""
    if _hook is not None:
        _hook(point)


def install(hook: Hook | None) -> None:
    """Call `hook` with the name of each point that is reached from now on; None ends that."""
    global _hook  # noqa: PLW0603  one hook a process, like the process's one environment
    _hook = hook


def crash_at(spec: str) -> Hook:
    """Return a hook that ends the process at `<point>` or, with `<point>:<n>`, at the n-th time it is reached.

    :raises ValueError: n is not a number of at least 1.
    """
    point, _, number = spec.partition(":")
    left = int(number or 1)
    if left < 1:
        msg = f"{VARIABLE}={spec}: the number after the colon has to be at least 1"
        raise ValueError(msg)

    def hook(reached: str) -> None:
        nonlocal left
        left -= reached == point
        if reached == point and left == 0:
            end_process()

    return hook


def end_process() -> None:
    """End this process at once, without any cleaning up."""
    if hasattr(signal, "SIGKILL"):
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(KILLED)


if _spec := os.environ.get(VARIABLE):
    install(crash_at(_spec))
