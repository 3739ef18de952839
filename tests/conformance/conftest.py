"""Each test runs once for each system in `systems.SYSTEMS`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from tests.conformance.kit import Seed, Site, vendor
from tests.conformance.systems import SYSTEMS

NewSite = Callable[..., Site]


@pytest.fixture(params=SYSTEMS)
def new_site(request: pytest.FixtureRequest) -> Iterator[NewSite]:
    """Serve one system's sandbox: `new_site(things, ahead)`."""
    who = vendor(request.param)
    with ExitStack() as stack:

        def start(things: Sequence[Seed] = (), ahead: dt.timedelta = dt.timedelta()) -> Site:
            sandbox = who.serve_with(who.world(things), ahead)
            made = Site(who, stack.enter_context(who.serve(sandbox)))
            stack.enter_context(made.access.closing)
            return made

        yield start


@pytest.fixture
def site(new_site: NewSite) -> Site:
    """Return a sandbox with reference lists only."""
    return new_site()
