"""`python -m chaos`: see the package."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from chaos import plain
from chaos.campaign import Campaign
from chaos.house import House
from chaos.known_points import listed
from local import odbc

SHOWN = 40  # findings
COMPANIES = ("acme", "globex")


def main() -> int:
    """Run a campaign; return 0 exactly if nothing was found."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--company", default=os.environ.get("COMPANY") or "acme", choices=COMPANIES)
    parser.add_argument("--kills", type=int, default=int(os.environ.get("KILLS") or 20))
    parser.add_argument(
        "--seed", type=int, default=int(os.environ.get("SEED") or random.SystemRandom().randint(1, 10**6))
    )
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("MINUTES") or 60), help="at the most")
    parser.add_argument("--plain", action="store_true", help="do it to a plain writer instead, to see that it shows")
    parser.add_argument("--home", type=Path, help="where to keep everything; without it, only failures are kept")
    options = parser.parse_args()
    if options.company == "globex" and (lacking := odbc.missing()):
        print(odbc.WORDS.format(missing=", ".join(lacking), packages=" ".join(odbc.PACKAGES)))  # noqa: T201  a CLI
        print("company globex: not run", flush=True)  # noqa: T201  likewise
        return 0
    home = options.home or Path(tempfile.mkdtemp(prefix="iw-chaos-"))
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: everything is stopped

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", file=sys.stderr, flush=True)  # noqa: T201  a CLI

    with House(home, options.company) as house:
        say(f"SEED={options.seed}, everything is in {home}")
        if options.plain:
            verdict = plain.judged(house, runs=max(options.kills // 2, 4), seed=options.seed, harm=True)
            counts = f"duplicates {len(verdict.duplicates)}, lost {len(verdict.lost)}"
            print(f"a plain writer: {counts}  (SEED={options.seed})", flush=True)  # noqa: T201  likewise
            if options.home is None:
                shutil.rmtree(home, ignore_errors=True)
            return 0 if verdict.duplicates or verdict.lost else 1
        until = began + 60 * options.minutes
        points = listed(house.spec)
        outcome = Campaign(house, kills=options.kills, seed=options.seed, until=until, say=say).go()
    missed = sorted(set(points) - set(outcome.killed_at))
    say(
        f"{outcome.changes} changes by people, {outcome.outages} outages of the ledger, {outcome.doubles} tasks given "
        f"twice, killed at {len(outcome.killed_at)} named points" + (f" (not at {', '.join(missed)})" if missed else "")
    )
    print(outcome.line, flush=True)  # noqa: T201  the line that this program is for
    findings = outcome.verdict.findings()
    for text in findings[:SHOWN]:
        say(text)
    if len(findings) > SHOWN:
        say(f"and {len(findings) - SHOWN} more")
    if outcome.verdict.good and options.home is None:
        shutil.rmtree(home, ignore_errors=True)
    elif not outcome.verdict.good:
        again = f"make chaos COMPANY={options.company} KILLS={options.kills} SEED={options.seed}"
        say(f"Data, logs and the ledger are in {home}. Again: {again}")
    return 0 if outcome.verdict.good else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
