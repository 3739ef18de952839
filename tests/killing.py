"""A process that is killed, within the test's own process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from iw_operators import points


class Killed(BaseException):
    """The process ends here; nothing catches it."""


def kill_at(point: str, number: int = 1) -> None:
    """End the work the n-th time that it comes to a point, as a kill does; `points.install(None)` takes it back."""
    left = number

    def hook(reached: str) -> None:
        nonlocal left
        left -= reached == point
        if reached == point and left == 0:
            raise Killed

    points.install(hook)


@contextmanager
def killed_at(point: str, number: int = 1) -> Iterator[None]:
    """What is done within is killed the n-th time that it comes to a point; the test fails if it does not get there."""
    kill_at(point, number)
    try:
        with pytest.raises(Killed):
            yield
    finally:
        points.install(None)
