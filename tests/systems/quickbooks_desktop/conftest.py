"""A local QuickBooks Desktop behind a real ODBC driver, and our system over it.

Airflow gets a home of its own before anything imports it, unless another part of the tests has given it one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="iw-airflow-"))

import pytest

from iw_operators.systems.quickbooks_desktop.client import Client
from iw_operators.systems.quickbooks_desktop.odbc import Source, connect
from iw_operators.systems.quickbooks_desktop.shape import Place
from iw_operators.systems.quickbooks_desktop.system import QuickBooksDesktop
from sandbox.quickbooks_desktop import Running, make, odbc_string, serve
from sandbox.seed.world import World
from tests import drivers
from tests.systems.quickbooks_desktop.fakes import NEW_YORK


@dataclass
class Site:
    """One running sandbox, with what tests do to it."""

    running: Running
    closing: ExitStack
    place: Place = field(default_factory=lambda: Place(NEW_YORK))

    def client(self, seconds: float = 30.0) -> Client:
        """Return a client with a connection of its own."""
        made = Client(partial(connect, Source(odbc_string(self.running.port), 5, seconds)))
        self.closing.callback(made.drop)
        return made

    def system(self, **more: Any) -> QuickBooksDesktop:
        """Return our system, as a task opens it."""
        return QuickBooksDesktop(self.client(**more), self.place)

    def fault(self, kind: str, **spec: Any) -> None:
        """Arm a fault."""
        self.running.sandbox.faults.arm({"kind": kind, **spec})

    def ask(self, sql: str, *params: Any) -> list[Any]:
        """Ask as anybody with pyodbc can."""
        return drivers.ask(self.running.port, sql, *params)


NewSite = Callable[..., Site]


@pytest.fixture
def new_site() -> Iterator[NewSite]:
    """Serve a company file: `new_site(world, **options)`."""
    drivers.need_odbc()
    with ExitStack() as stack:

        def start(world: World | None = None, **options: Any) -> Site:
            options = {"time_zone": "America/New_York", **options}
            place = Place(NEW_YORK, options.get("country", "US"))
            running = stack.enter_context(serve(make(world or World(), **options)))
            return Site(running, stack, place)

        yield start


@pytest.fixture
def site(new_site: NewSite) -> Site:
    """Return a company file with reference lists only."""
    return new_site()
