"""The demo: sandboxes, a real Airflow, and the first runs of a company's flows."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.markup import escape

from demo.runs import daily_report, first_runs
from demo.show import Progress, summary
from iw_operators.spec.loader import load_company
from iw_operators.spec.resolved import CompanySpec
from local.airflow import REPOSITORY
from local.stack import Ports, Stack
from sandbox.__main__ import PORTS, port_of


class Interrupted(BaseException):
    """Ctrl-C or a termination signal; not an error."""


def main() -> int:
    """Run the demo; return 0 exactly if the first runs of all scheduled flows succeeded."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the summary instead of staying up")
    parser.add_argument("--company", default="acme")
    parser.add_argument("--home", type=Path, default=REPOSITORY / ".run" / "demo", help="where the data is kept")
    options = parser.parse_args()
    console = Console(highlight=False, width=max(100, int(os.environ.get("COLUMNS", "120"))))
    _on_signals(_interrupt)
    try:
        with Progress(console) as progress:
            good = _demo(options, console, progress)
    except Interrupted:
        console.print("Stopped.")
        return 130 if options.once else 0
    except RuntimeError as error:
        console.print(f"[red]The demo could not go on:[/] {escape(str(error))}", soft_wrap=True)
        return 1
    return 0 if good else 1


def _demo(options: argparse.Namespace, console: Console, progress: Progress) -> bool:
    spec = _load(options.company)
    stack = Stack(options.home, _ports(), say=progress.say)
    try:
        stack.start({options.company: spec.company})
        done = first_runs(stack, spec, progress)
        progress.say("Mailing the daily report")
        daily_report(stack, spec)
        good = summary(console, stack, spec, done)
        if not options.once:
            progress.pause()
            console.print("\nEverything stays up. [bold]Ctrl-C[/] ends it.")
            threading.Event().wait()
        return good
    finally:
        _on_signals(signal.SIG_IGN)  # a second Ctrl-C must leave nothing behind
        progress.say("Stopping")
        stack.stop()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise Interrupted


def _on_signals(handler: signal.Handlers | object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)  # type: ignore[arg-type]  # a function of the shape above, or SIG_IGN


def _load(company: str) -> CompanySpec:
    folder = REPOSITORY / "mappings" / company
    spec, errors = load_company(folder)
    if errors or spec is None:
        msg = "\n".join([f"the specs in {folder} have errors:", *map(str, errors)])
        raise RuntimeError(msg)
    return spec


def _ports() -> Ports:
    return Ports(
        airflow=_port("IW_DEMO_PORT", 8080),
        worker_log=_port("IW_DEMO_WORKER_LOG_PORT", 8793),
        trigger_log=_port("IW_DEMO_TRIGGER_LOG_PORT", 8794),
        sandboxes={name: port_of(name) for name in PORTS},
    )


def _port(variable: str, default: int) -> int:
    value = os.environ.get(variable, str(default))
    if not value.isdigit() or not 0 < int(value) <= 65_535:
        sys.exit(f"{variable}={value!r} is not a port; expected a number from 1 to 65535")
    return int(value)


if __name__ == "__main__":
    sys.exit(main())
