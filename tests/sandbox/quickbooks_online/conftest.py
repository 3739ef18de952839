"""A sandbox served for the tests, made new for each of them by a reset."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.common.serve import Running, serve
from sandbox.quickbooks_online import QuickBooksOnline, make
from tests.sandbox.quickbooks_online.qbo_api import Api, small_world


@pytest.fixture(scope="module")
def running() -> Iterator[Running[QuickBooksOnline]]:
    """A sandbox with a small world and without quotas."""
    with serve(make(small_world(), throttle=False)) as served:
        yield served


@pytest.fixture
def api(running: Running[QuickBooksOnline]) -> Iterator[Api]:
    """A client of the sandbox, which is as it was seeded."""
    running.sandbox.reset({})
    running.sandbox.faults.clear()
    client = Api(running.url)
    yield client
    client.close()
