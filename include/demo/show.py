"""What the demo shows: progress while it works, and the summary at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from iw_operators.shown import shown
from local.airflow import USERS

if TYPE_CHECKING:
    from demo.runs import FirstRun
    from iw_operators.spec.resolved import CompanySpec
    from local.stack import Stack

ACTIONS = ("created", "updated", "unchanged", "skipped", "held", "rejected", "unknown")
MARKS = {"success": "✓", "failed": "✗", "running": "…", "upstream_failed": "✗", "skipped": "–"}
TELLING = 3


class Progress:
    """One line that says what is going on; on a terminal it is redrawn, elsewhere each new text is a line."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._status: Status | None = console.status("") if console.is_terminal else None
        self._last = ""
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        if self._status:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status:
            self._status.stop()

    def pause(self) -> None:
        """Take the line away until the next `say`."""
        if self._status:
            self._status.stop()

    def say(self, text: str) -> None:
        """Show what is being done now."""
        if self._status:
            self._status.start()
            self._status.update(escape(text))
        elif text.split("(")[0] != self._last:
            self._last = text.split("(")[0]
            self.console.print(f"[{time.monotonic() - self._began:5.1f} s] {text}", markup=False)

    def tasks(self, flow: str, states: Mapping[str, str]) -> None:
        """Show how far a run's tasks are."""
        self.say(f"{flow}: " + "  ".join(f"{task} {MARKS.get(state, '·')}" for task, state in states.items()))

    def done(self, flow: str, state: str) -> None:
        """Leave a line behind for a run that has ended."""
        colour = "green" if state == "success" else "red"
        self.console.print(f"[{colour}]{MARKS[state]}[/] {flow} [dim]{time.monotonic() - self._began:.0f} s[/]")


def summary(console: Console, stack: Stack, spec: CompanySpec, runs: Sequence[FirstRun]) -> bool:
    """Print what the runs did and where to look; return whether all of them succeeded."""
    table = Table(title="What the first runs did", title_justify="left")
    table.add_column("flow / mapping", no_wrap=True)
    for heading in ("read", *ACTIONS):
        table.add_column(heading, justify="right")
    ids = []
    for run in runs:
        run_id = stack.ledger.find_run(spec.company.company, run.flow, run.run_id)
        if run_id is None:
            table.add_row(run.flow, style="red")
            continue
        ids.append(run_id)
        table.add_row(run.flow, style="bold" if run.state == "success" else "bold red")
        for line in stack.ledger.summary(run_id):
            counts = [str(line.counts.get(action, 0)) for action in ACTIONS]
            table.add_row(f"  {line.mapping}", str(line.read), *counts)
    console.print(table)
    for run in runs:
        if run.state != "success":
            run_id = stack.ledger.find_run(spec.company.company, run.flow, run.run_id)
            why = stack.ledger.error(run_id) if run_id is not None else ""
            text = escape(shown(why or "See its log in Airflow."))
            console.print(f"\n[red]{run.flow} failed.[/] {text}", soft_wrap=True)
    rejected = stack.ledger.rejections(ids, TELLING)
    if rejected:
        console.print("\n[bold]What did not go through, and what to do[/]")
    for row in rejected:
        console.print(f"\n[yellow]{escape(row.mapping)}[/] {escape(shown(row.label or row.source_id))}", soft_wrap=True)
        console.print(f"  {escape(shown(row.why))}", soft_wrap=True)
        if row.advice:
            console.print(f"  [dim]What to do:[/] {escape(shown(row.advice))}", soft_wrap=True)
    console.print(f"\n[bold]Airflow[/]    {stack.airflow.url}   user [bold]admin[/], password [bold]admin[/]")
    others = ", ".join(f"{user} ({role})" for user, role in USERS.items() if user != "admin")
    console.print(f"           also: {others}; the password is the user's name")
    for name in stack.sandboxes.ports:
        if name in ("mail", "mail_web"):
            continue
        console.print(f"[bold]Sandbox[/]    {stack.sandboxes.url(name)}   {name}, control under /_sandbox/")
    if "mail" in stack.sandboxes.ports:
        number = stack.control("mail", "stats")["mails"]
        console.print(
            f"[bold]Mails[/]      {stack.sandboxes.url('mail')}   {number} so far; nothing leaves this machine"
        )
    console.print(f"[bold]Logs[/]       {stack.home}/logs, {stack.airflow.log_file}")
    return all(run.state == "success" for run in runs)
