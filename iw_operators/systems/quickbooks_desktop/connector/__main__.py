"""The connector as a program: `python -m iw_operators.systems.quickbooks_desktop.connector --config connector.ini`.

It runs until Ctrl-C, Ctrl-Break (Windows services) or SIGTERM, then ends what is under way and closes the company file.
Exit codes: 0 stopped, 1 the company file cannot be opened (`--check`), 2 the configuration or the port is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import logging
import logging.handlers
import os
import signal
import sys
from pathlib import Path

import structlog

from iw_operators.systems.quickbooks_desktop.connector.config import Config, load
from iw_operators.systems.quickbooks_desktop.connector.health import State
from iw_operators.systems.quickbooks_desktop.connector.odbc import OdbcBackend
from iw_operators.systems.quickbooks_desktop.connector.scram import Verifier
from iw_operators.systems.quickbooks_desktop.connector.server import Connector
from iw_operators.systems.quickbooks_desktop.connector.source import Source

LOG_BYTES = 10 * 1024 * 1024
LOG_FILES = 10


def main(arguments: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(prog="connector", description=__doc__)
    parser.add_argument("--config", type=Path, help="connector.ini or connector.yaml")
    parser.add_argument("--check", action="store_true", help="open the company file, say how it is, and end")
    parser.add_argument("--verifier", action="store_true", help="ask for a password and print its verifier")
    options = parser.parse_args(arguments)
    if options.verifier:
        print(Verifier.of(getpass.getpass("Password: ")))  # noqa: T201  a command line program
        return 0
    if options.config is None:
        parser.error("--config is needed")
    try:
        config = load(options.config)
        config.tls()
    except (ValueError, OSError) as error:
        print(f"connector: {error}", file=sys.stderr)  # noqa: T201  a command line program
        return 2
    _log_to(config)
    return asyncio.run(_check(config) if options.check else _run(config))


def backend_of(config: Config) -> OdbcBackend:
    """Return the data source of a configuration."""
    return OdbcBackend(
        config.data_source,
        encoding=config.encoding,
        login_seconds=int(config.limits.open_seconds),
        one_at_a_time=config.one_at_a_time,
    )


async def _check(config: Config) -> int:
    source = Source(backend_of(config), config.limits, config.probe)
    health = await source.health(patient=True)
    await source.close()
    print(f"{health.state.value}: {health.text or 'the company file is open'}")  # noqa: T201  a command line program
    if health.advice:
        print(health.advice)  # noqa: T201  a command line program
    return 0 if health.state is State.OPEN else 1


async def _run(config: Config) -> int:
    connector = Connector(config, backend_of(config))
    try:
        await connector.start()
    except OSError as error:
        print(f"connector: port {config.port} cannot be used: {error}", file=sys.stderr)  # noqa: T201  as above
        return 2
    stop = asyncio.Event()
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if number := getattr(signal, name, None):
            signal.signal(number, lambda *_: connector.loop.call_soon_threadsafe(stop.set))
    print(f"connector: listening on {config.host}:{connector.port}", flush=True)  # noqa: T201  as above
    while not stop.is_set():
        # Windows runs a signal's handler only when the loop wakes.
        await asyncio.wait([asyncio.ensure_future(stop.wait())], timeout=0.5)
    await connector.stop()
    if connector.hung:  # Python would wait for the thread in which the driver does not return
        logging.shutdown()
        os._exit(0)
    return 0


def _log_to(config: Config) -> None:
    handler: logging.Handler = logging.StreamHandler()
    if config.log_file:
        handler = logging.handlers.RotatingFileHandler(
            config.log_file, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8"
        )
    logging.basicConfig(handlers=[handler], format="%(message)s", level=logging.INFO, force=True)
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


if __name__ == "__main__":
    sys.exit(main())
