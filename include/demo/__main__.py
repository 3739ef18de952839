"""The demo: sandboxes, a real Airflow, and the first runs of a company's flows."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from rich.console import Console

from demo.show import Progress, summary
from demo.stack import Stack
from local.airflow import REPOSITORY


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

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise Interrupted

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        with Progress(console) as progress, contextlib.ExitStack() as cleanup:
            stack = Stack(options.home, options.company, progress)
            cleanup.callback(stack.stop)
            stack.start()
            runs = stack.first_runs()
            good = summary(console, stack, runs)
            if not options.once:
                console.print("\nEverything stays up. [bold]Ctrl-C[/] ends it.")
                threading.Event().wait()
            progress.say("Stopping")
    except Interrupted:
        console.print("Stopped.")
        return 130 if options.once else 0
    except RuntimeError as error:
        console.print(f"[red]The demo could not go on:[/] {error}", markup=True, soft_wrap=True)
        return 1
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
