"""Serves every sandbox on the loopback interface: `python -m sandbox [--data FOLDER] [--seed acme|globex|empty]`.

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
from sandbox.mail import serve_mail
from sandbox.seed.world import World

PORTS = {"creatio": 8101, "quickbooks_online": 8102, "quickbooks_desktop": 8105, "mail": 8106, "mail_web": 8107}

# A seed is the CRM of one company; books of another kind than that company keeps hold their own company.
BOOKS = {"quickbooks_online": "acme", "quickbooks_desktop": "globex"}


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
    parser.add_argument("--seed", default="acme", choices=["acme", "globex", "empty"], help="whose CRM it is")
    parser.add_argument("--only", nargs="+", default=list(PORTS), choices=list(PORTS), help="which ones; all of them")
    options = parser.parse_args()
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    worlds = {name: options.seed if options.seed == "empty" else BOOKS.get(name, options.seed) for name in PORTS}
    if options.data:
        options.data.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        for name in options.only:
            if name in ("mail", "mail_web"):
                continue  # one server with a port for each of its two sides
            path = options.data / f"{name}.sqlite" if options.data else None
            module = importlib.import_module(f"sandbox.{name}")
            sandbox = module.make(seed(worlds[name]), path=path)
            try:
                running = stack.enter_context(getattr(module, "serve", serve)(sandbox, port=port_of(name)))
            except OSError as error:
                sys.exit(f"{name}: port {port_of(name)} cannot be used ({error}); set IW_SANDBOX_PORT_{name.upper()}")
            print(f"{name:20} {running.url}   control: {running.url}/_sandbox/stats", flush=True)  # noqa: T201  a CLI
        if "mail" in options.only:
            _mail(stack, options.data)
        print("Ctrl-C stops them.", flush=True)  # noqa: T201  a command line program
        stop.wait()


def _mail(stack: contextlib.ExitStack, data: Path | None) -> None:
    ports = {name: port_of(name) for name in ("mail", "mail_web")}
    path = data / "mail.sqlite" if data else None
    try:
        mail = stack.enter_context(serve_mail(port=ports["mail"], web_port=ports["mail_web"], path=path))
    except OSError as error:
        sys.exit(f"mail: ports {ports} cannot be used ({error}); set IW_SANDBOX_PORT_MAIL and IW_SANDBOX_PORT_MAIL_WEB")
    smtp = f"SMTP on port {mail.smtp_port}"
    print(f"{'mail':20} {mail.url}   {smtp}, control: {mail.url}/_sandbox/stats", flush=True)  # noqa: T201  a CLI


if __name__ == "__main__":
    main()
