"""Query Starts in Airflow's own task runner: what a person sets while a run is at work, and what lies ahead."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from iw_operators import points
from iw_operators.spec.resolved import ResolvedFlow

if TYPE_CHECKING:
    from tests.airflow.conftest import World

pytestmark = [
    pytest.mark.ledger,
    pytest.mark.feature("R2"),
    pytest.mark.usefixtures("metadata"),
    pytest.mark.filterwarnings("ignore"),  # of the API server that Airflow runs inside this process
    pytest.mark.filterwarnings(r"error:::iw_operators\..*"),
]

NOW = dt.datetime(2026, 3, 8, 12, 0, tzinfo=dt.UTC)  # the source's time
BACK = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SetBack = Callable[[str], None]


@pytest.fixture
def customers(make_flow: Callable[..., ResolvedFlow]) -> ResolvedFlow:
    """A scheduled flow with one mapping, a record a page."""
    return make_flow(mappings=("customers",), batch_size=1)


@pytest.fixture
def set_back(world: World, customers: ResolvedFlow) -> Iterator[SetBack]:
    """A function that has Query Starts set back by hand the first time that a point of the protocol is reached."""

    def install(point: str) -> None:
        waiting = [point]

        def hook(reached: str) -> None:
            if reached in waiting:
                waiting.clear()
                world.ledger.move_query_starts("acme", customers.flow, BACK, by="ada", back=True)

        points.install(hook)

    yield install
    points.install(None)


@pytest.mark.parametrize("point", ["after_window", "after_page", "before_query_starts"])
def test_what_is_set_while_a_run_works_counts_from_the_next_run_on(
    world: World, customers: ResolvedFlow, set_back: SetBack, point: str
) -> None:
    """Before the first page, in the middle or at the end: the run is well, and leaves it as it was set."""
    flow = customers.flow
    world.crm.add("a1", "One")
    assert world.run(customers).state == "success"
    assert world.ledger.query_starts("acme", flow) == NOW
    set_back(point)
    assert world.run(customers).state == "success"
    assert world.ledger.query_starts("acme", flow) == BACK
    assert world.ledger.query_starts_history("acme", flow)[0].by.endswith(": left as ada has set it")
    assert world.run(customers).state == "success"
    assert world.crm.windows[-1].since == BACK - dt.timedelta(seconds=customers.company.overlap_seconds)
    assert world.ledger.query_starts("acme", flow) == NOW


def test_a_window_that_ends_before_it_begins_is_no_success(world: World, customers: ResolvedFlow) -> None:
    """Query Starts ahead of the source's clock fails the run with what to do; a little ahead is only another clock."""
    world.crm.add("a1", "One")
    world.ledger.move_query_starts("acme", customers.flow, NOW + dt.timedelta(minutes=4), by="run")
    assert world.run(customers).state == "success"
    world.ledger.move_query_starts("acme", customers.flow, NOW + dt.timedelta(hours=1), by="run")
    read = len(world.crm.windows)
    assert world.run(customers).state == "failed"
    assert "[iw.window] Query Starts is ahead of the source's clock" in world.row().error
    assert "Set Query Starts back" in world.row().error
    assert len(world.crm.windows) == read
