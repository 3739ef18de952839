"""A connector in front of a data source that does what a test says, and clients to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from iw_operators.systems.quickbooks_desktop.connector.server import Connector, running
from tests.drivers import driver
from tests.systems.quickbooks_desktop.connector.fakes import PASSWORD, Serve, Source, config


@pytest.fixture
def source() -> Source:
    """The data source."""
    return Source()


@pytest.fixture
def serve(source: Source) -> Iterator[Serve]:
    """Serve the data source (or another one); stopped at the end."""
    with ExitStack() as stack:

        def start(backend: Any = None, **settings: Any) -> Connector:
            return stack.enter_context(running(Connector(config(**settings), backend or source)))

        yield start


@pytest.fixture
def connect() -> Iterator[Callable[..., Any]]:
    """Connect through psqlodbc; closed at the end."""
    pyodbc = driver()
    made: list[Any] = []

    def to(connector: Connector, *, autocommit: bool = True, **changes: str) -> Any:
        parts = {
            "Driver": "PostgreSQL Unicode",
            "Server": "127.0.0.1",
            "Port": str(connector.port),
            "Database": "company",
            "UID": "interweave",
            "PWD": PASSWORD,
            "SSLmode": "disable",
            "UseServerSidePrepare": "0",
            "Protocol": "7.4-0",
            "BatchSize": "1",
            "BoolsAsChar": "0",
            "UseDeclareFetch": "0",
            "MaxVarcharSize": "4095",
            **changes,
        }
        text = ";".join(f"{name}={value}" for name, value in parts.items())
        made.append(pyodbc.connect(text, autocommit=autocommit))
        return made[-1]

    yield to
    for one in made:
        with suppress(pyodbc.ProgrammingError):  # closed by the test already
            one.close()
