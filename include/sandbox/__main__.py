"""Serves every sandbox on the loopback interface: `python -m sandbox [--data FOLDER] [--seed acme|empty]`.

Ports are the ones below; `IW_SANDBOX_PORT_<NAME>` overrides one. With `--data` the sandboxes keep what is written to
them from one start to the next; without it they begin from the seed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from sandbox.common.serve import serve
from sandbox.seed.world import World

PORTS = {"creatio": 8101, "quickbooks_online": 8102}


def port_of(name: str) -> int:
    """Return the port of one sandbox; raises SystemExit when the override is not a port."""
    variable = f"IW_SANDBOX_PORT_{name.upper()}"
    value = os.environ.get(variable, str(PORTS[name]))
    if not value.isdigit() or int(value) > 65_535:
        sys.exit(f"{variable}={value!r} is not a port; expected a number from 0 (any free port) to 65535")
    return int(value)


def seed(name: str) -> World:
    """Return the world of a seed by its name."""
    if name == "empty":
        return World()
    world = importlib.import_module(f"sandbox.seed.{name}").build()
    assert isinstance(world, World)  # noqa: S101  a seed module's `build` returns a World
    return world


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder that keeps the data; without it, it is gone at the end")
    parser.add_argument("--seed", default="acme", choices=["acme", "empty"], help="what they begin with")
    options = parser.parse_args()
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    world = seed(options.seed)
    if options.data:
        options.data.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        for name in PORTS:
            path = options.data / f"{name}.sqlite" if options.data else None
            sandbox = importlib.import_module(f"sandbox.{name}").make(world, path=path)
            try:
                running = stack.enter_context(serve(sandbox, port=port_of(name)))
            except OSError as error:
                sys.exit(f"{name}: port {port_of(name)} cannot be used ({error}); set IW_SANDBOX_PORT_{name.upper()}")
            print(f"{name:20} {running.url}   control: {running.url}/_sandbox/stats", flush=True)  # noqa: T201  a CLI
        print("Ctrl-C stops them.", flush=True)  # noqa: T201  a command line program
        stop.wait()


if __name__ == "__main__":
    main()
