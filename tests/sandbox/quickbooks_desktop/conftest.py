"""A company file that is served, and connections to it through psqlodbc."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox.quickbooks_desktop import Running, make, odbc_string, serve
from sandbox.seed import globex
from sandbox.seed.world import World
from tests import web
from tests.drivers import driver


@pytest.fixture
def desk() -> Iterator[Running]:
    """A company file with lists, and nothing else in it."""
    with serve(make(World())) as running:
        yield running


@pytest.fixture(scope="module")
def books() -> Iterator[Running]:
    """The company file of globex; tests only read it."""
    with serve(make(globex.build())) as running:
        yield running


Connect = Callable[..., Any]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connect to a served company file; closed at the end."""
    pyodbc = driver()
    made: list[Any] = []

    def to(running: Running, *, autocommit: bool = True, **changes: str) -> Any:
        made.append(pyodbc.connect(odbc_string(running.port, **changes), autocommit=autocommit))
        return made[-1]

    yield to
    for one in made:
        one.close()


@pytest.fixture
def cursor(desk: Running, connect: Connect) -> Any:
    """A cursor on the company file."""
    return connect(desk).cursor()


@pytest.fixture
def reader(books: Running, connect: Connect) -> Any:
    """A cursor on the company file of globex."""
    return connect(books).cursor()


@pytest.fixture
def arm(desk: Running) -> Callable[..., None]:
    """Arm a fault through the control endpoint."""

    def fault(kind: str, **more: Any) -> None:
        web.post(f"{desk.url}/_sandbox/faults", json={"kind": kind, **more}).raise_for_status()

    return fault
