"""Named points: nothing without a hook, the end of the process with one, and none without a place in the source."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.known_points import listed
from iw_operators import points
from iw_operators.spec.loader import load_company

ROOT = Path(__file__).resolve().parents[2]
MAPPINGS = ROOT / "mappings"
REACHING = """
from iw_operators.points import reach
for number in range(3):
    reach("one")
    print("one", number, flush=True)
    reach("two")
"""


@pytest.fixture
def no_hook() -> Iterator[None]:
    """Take hooks away afterwards."""
    yield
    points.install(None)


def run(crash_at: str | None) -> tuple[int, list[str]]:
    """Reach points in a process of its own; return how it ended and what it said."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    env.pop(points.VARIABLE, None)
    done = subprocess.run(
        [sys.executable, "-c", REACHING],
        env=env | ({points.VARIABLE: crash_at} if crash_at else {}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("crash_at", "status", "said"),
    [
        (None, 0, 3),
        ("one", -signal.SIGKILL, 0),
        ("two", -signal.SIGKILL, 1),
        ("one:3", -signal.SIGKILL, 2),
        ("two:4", 0, 3),
        ("elsewhere", 0, 3),
    ],
)
def test_a_process_ends_at_the_point_that_the_environment_names(crash_at: str | None, status: int, said: int) -> None:
    """`IW_CRASH_AT` kills at the n-th time that the point is reached, and does nothing if that never happens."""
    returned, lines = run(crash_at)
    assert (returned, len(lines)) == (status, said)


@pytest.mark.usefixtures("no_hook")
def test_a_hook_is_told_of_each_point() -> None:
    """An installed hook hears every point in order; without one nothing happens."""
    heard: list[str] = []
    points.reach("unheard")
    points.install(heard.append)
    points.reach("a")
    points.reach("b")
    points.install(None)
    points.reach("unheard")
    assert heard == ["a", "b"]


@pytest.mark.parametrize("spec", ["x:0", "x:-1", "x:y"])
def test_a_point_that_can_never_come_is_refused(spec: str) -> None:
    """A count below one or that is no number is an error at once, not a test that never crashes."""
    with pytest.raises(ValueError, match=r"at least 1|invalid literal"):
        points.crash_at(spec)


@pytest.mark.parametrize(
    ("company", "own"),
    [
        ("acme", {"before_token_refresh", "after_token_refresh", "after_tokens_saved"}),
        ("globex", {"within_group", "before_last_id", "within_lines"}),
    ],
)
def test_the_protocol_has_a_point_at_each_step(company: str, own: set[str]) -> None:
    """Around each commit and each call of the protocol there is a point, read off the source."""
    spec, _ = load_company(MAPPINGS / company)
    assert spec is not None
    others = {
        *("before_intents", "after_intents", "after_call", "after_outcomes", "between_batches", "after_index"),
        *(
            "before_write_back_intents",
            "after_write_back_intents",
            "after_write_back_call",
            "after_write_back_outcomes",
        ),
        *("before_settling", "after_looking", "after_sending_again", "after_settling"),
        *(
            "after_begin_mapping",
            "before_end_mapping",
            "after_end_mapping",
            "before_query_starts",
            "after_query_starts",
        ),
        *("before_session_saved", "after_session_saved"),
    }
    assert others | own <= set(listed(spec))


def test_points_of_other_systems_are_not_listed() -> None:
    """What flows of a company cannot reach is not asked of them: what another vendor's sign-in does, for instance."""
    listed_of = {name: set(listed(found)) for name in ("acme", "globex") if (found := load_company(MAPPINGS / name)[0])}
    assert "before_token_refresh" in listed_of["acme"] - listed_of["globex"]
    assert "within_group" in listed_of["globex"] - listed_of["acme"]
