"""`airflow iw explain`: what an error code or a raw message means, who does what about it, what the flow does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from iw_operators.commands.console import terminal

if TYPE_CHECKING:
    from iw_operators.errors.entries import Entry

WIDE = 120  # columns where the output goes into a file or pipe
MANY = 12  # entries that are shown in full


def explain(args: Any) -> None:
    """Print every entry that fits; when none does, print codes that look alike and exit with 1."""
    from iw_operators.errors import catalogue

    asked = " ".join(args.code).strip()
    systems = sorted({entry.system for entry in catalogue.catalogue().entries})
    if args.system is not None and args.system not in systems:
        raise SystemExit(f"No system {args.system!r} in the catalogue; there are: {', '.join(systems)}")
    found = catalogue.explain(asked, args.system)
    if found:
        _print(found)
        return
    near = catalogue.nearest(asked)
    hint = "\n".join(["Codes that look alike:", *(f"  {e.shown}  {e.title} ({e.label})" for e in near)] if near else [])
    raise SystemExit(f"Nothing is known of {asked[:200]!r}.\n{hint}".rstrip())


def _print(found: Sequence[Entry]) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = terminal(WIDE)
    for place, entry in enumerate(found[:MANY]):
        if place:
            console.print()
        console.print(Text.assemble((entry.shown, "bold"), "  ", entry.title, (f"  {entry.label}", "dim")))
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(ratio=1)
        for name, text in lines(entry):
            grid.add_row(name, Text(text))
        console.print(Padding(grid, (0, 0, 0, 2)))
    if len(found) > MANY:
        console.print(Text(f"\n... and {len(found) - MANY} more: {', '.join(e.shown for e in found[MANY:])}"))


def lines(entry: Entry) -> Iterator[tuple[str, str]]:
    """Yield what an entry says, as name and text."""
    yield "meaning", entry.meaning
    yield "who", entry.who
    yield "does", entry.action
    yield "retry", entry.effect.retry
    yield "flow", f"{entry.effect.value}: {entry.effect.flow}"
    yield "source", entry.source
