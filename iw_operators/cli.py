"""`airflow iw ...`: the commands that this provider adds to Airflow's command line.

A command is one entry in `get_commands` and one function: here what needs the specs alone, the others in
`iw_operators.commands`. What a function needs is imported when it runs, because every `airflow` command imports this
module.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iw_operators.commands.console import count, say, terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow.cli.cli_config import CLICommand

    from iw_operators.spec.errors import SpecError
    from iw_operators.spec.resolved import CompanySpec, ResolvedMapping

FORMATS = ("table", "csv", "markdown", "json")
FAILURES = ("open", "fixed", "reprocessed", "given up")
STATES = ("created", "updated", "unchanged", "skipped", "held", "rejected", "unknown")


def get_commands() -> list[CLICommand]:
    """Return the group `iw` with its commands, as Airflow's hook for providers asks for them."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command

    arg: Callable[..., Arg] = Arg  # its own signature has no types
    company = arg(("company",), nargs="?", help="One company's folder; all of them when left out")
    mappings = arg(("--mappings",), metavar="DIR", help="Folder of the mappings; default: [interweave] mappings_folder")
    fmt = arg(("--format",), choices=FORMATS, default="table", help="Form of the report (default: table)")

    def command(name: str, summary: str, path: str, *args: Arg) -> CLICommand:
        return ActionCommand(name=name, help=summary, func=lazy_load_command(path), args=args)

    owner = arg(("company",), help="The company")
    flow = arg(("flow",), help="The flow")
    when = arg(("when",), nargs="?", help="Set it to this time, for example 2026-11-01T00:00:00Z; shown when left out")
    only = (
        arg(("--flow",), help="Rows of this flow"),
        arg(("--mapping",), help="Rows of this mapping"),
        arg(("--record",), metavar="ID", help="Everything about one source record"),
        arg(("--state",), choices=STATES, help="Rows of records that ended so"),
        arg(("--text",), help="Rows with this in id, name, reason or code"),
        arg(("--code",), help="Rows with this error code"),
        arg(("--run",), type=int, metavar="NUMBER", help="Rows of this run, by the ledger's number of it"),
        arg(("--since",), metavar="TIME", help="Rows from then on, for example 2026-11-01T00:00:00Z"),
        arg(("--until",), metavar="TIME", help="Rows before then"),
        arg(("--limit",), type=int, default=50, help="How many rows, newest first (default: 50)"),
    )

    held = (
        owner,
        arg(("mapping",), help="The mapping"),
        arg(("side",), choices=("crm", "books"), help="The side that the ids belong to"),
        arg(("ids",), nargs="+", metavar="ID", help="Ids of records"),
    )
    code = arg(("code",), nargs="+", help="A code, a range of codes, or a message in quotation marks")
    system = arg(("--system",), metavar="NAME", help="Look only at what this system says")

    some = arg(("flows",), nargs="*", metavar="FLOW", help="Flows; all of the company when none is named")
    begin_end = arg(("what",), choices=("begin", "end", "status"), help="What to do")
    why = arg(("--why",), help="What for; shown to everybody who meets the maintenance")
    unchecked = arg(("--unchecked",), action="store_true", help="End it without signing in to both systems first")
    of_mapping = arg(("mapping",), help="The mapping")
    ids = arg(("ids",), nargs="+", metavar="ID", help="Ids of records in their own system")
    side = arg(("--side",), choices=("crm", "books"), help="Whose records; needed where some of both sides have failed")
    here, there = "iw_operators.cli", "iw_operators.commands"
    ledger, records, control = f"{there}.ledger", f"{there}.records", f"{there}.control"
    commands = (
        command("validate", "Check companies, mappings and flows", f"{here}.validate", company, mappings),
        command(
            "report",
            "Show what maps to what, and what changed between versions",
            f"{here}.report",
            company,
            mappings,
            fmt,
            arg(("--versions",), action="store_true", help="The versions under which mappings have been run"),
            arg(("--between",), nargs=2, metavar="VERSION", help="What changed from one version to another"),
        ),
        command("setup", "Bring the ledger up to date and make the companies' pools", f"{ledger}.setup"),
        command(
            "query-starts",
            "Show or set from when a flow looks for changes",
            f"{ledger}.query_starts",
            owner,
            flow,
            when,
        ),
        command(
            "release",
            "Let records that wait since they were unbound be matched or created anew",
            f"{ledger}.release",
            *held,
        ),
        command(
            "decide",
            "Say what has become of a create that is in doubt",
            f"{ledger}.decide",
            *held[:3],
            arg(("id",), metavar="ID", help="Id of the record for which something was to be created"),
            arg(("--arrived",), metavar="ID", help="It has made this record"),
            arg(("--never-arrived",), action="store_true", help="It has made nothing; it is sent again"),
        ),
        command("log", "Show the record log", f"{ledger}.log", owner, *only),
        command(
            "failed",
            "Show failed records, or write those of a mapping into a CSV file",
            f"{records}.failed",
            owner,
            arg(("--mapping",), help="Records of this mapping"),
            side,
            arg(("--state",), action="append", choices=FAILURES, help="In this state (default: open); may be repeated"),
            arg(("--text",), help="With this in id, name, reason or code"),
            arg(("--csv",), metavar="FILE", help="Write them with the values that the source holds; - is the terminal"),
            arg(("--limit",), type=int, default=50, help="How many are shown, the latest first (default: 50)"),
        ),
        command(
            "correct",
            "Take corrected values of failed records from a CSV file",
            f"{records}.correct",
            owner,
            of_mapping,
            arg(("file",), metavar="FILE", help="A file that `failed --csv` wrote and somebody has corrected"),
            side,
        ),
        command(
            "reprocess",
            "Do failed records again, and nothing else",
            f"{records}.reprocess",
            owner,
            of_mapping,
            arg(("ids",), nargs="*", metavar="ID", help="Ids of records in their own system"),
            arg(("--all",), action="store_true", help="All that are open"),
            side,
        ),
        command(
            "give-up",
            "Say that failed records need not go",
            f"{records}.give_up",
            owner,
            of_mapping,
            ids,
            arg(("--why",), help="The reason, which is kept"),
            arg(("--back",), action="store_true", help="Take it back: they are open again"),
            side,
        ),
        command("prune", "Delete rows of the log that are older than log_days", f"{records}.prune", company),
        command(
            "start",
            "Start flows; without names all scheduled flows",
            f"{control}.start",
            owner,
            some,
            arg(("--stopped",), action="store_true", help="Exactly those that stop_scheduled has stopped"),
        ),
        command("stop", "Stop flows: what is at work ends its page, then nothing runs", f"{control}.stop", owner, some),
        command("status", "Show the flows of a company, their state and their last run", f"{control}.status", owner),
        command(
            "maintenance",
            "Stop everything of a company, say when it is safe, start it again",
            f"{control}.maintenance",
            begin_end,
            owner,
            why,
            unchecked,
        ),
        command(
            "review",
            "Show, export and decide the review sheet of a binding flow",
            f"{there}.review.review",
            owner,
            flow,
            arg(("--csv",), metavar="FILE", help="Write the sheet to this file; - is the terminal"),
            arg(("--import",), dest="import_", metavar="FILE", help="Take the decisions from this file"),
            arg(("--approve",), choices=("exact",), help="Approve all exact rows about which nobody has decided"),
        ),
        command(
            "mails",
            "Show the mails of a company: sent, waiting, refused",
            f"{there}.mails.mails",
            owner,
            arg(("--unsent",), action="store_true", help="Only those that have not gone"),
            arg(("--limit",), type=int, default=20, help="How many, the newest first (default: 20)"),
        ),
        command(
            "explain",
            "Say what an error code or message means, and what to do",
            f"{there}.explain.explain",
            code,
            system,
        ),
    )
    return [GroupCommand(name="iw", help="InterWeave: mappings and flows", subcommands=commands)]


def validate(args: Any) -> None:
    """Print every error of every spec and exit with 1; with none, print what there is."""
    specs, errors = _load(args)
    if errors:
        files = len({error.file for error in errors})
        for line in (*errors, "", f"{count(len(errors), 'error')} in {count(files, 'file')}"):
            say(line)
        raise SystemExit(1)
    mappings = sum(len(spec.mappings) for spec in specs)
    flows = sum(len(spec.written) for spec in specs)
    made = sum(len(spec.flows) for spec in specs) - flows
    parts = [
        "1 company" if len(specs) == 1 else f"{len(specs)} companies",
        count(mappings, "mapping"),
        count(flows, "flow"),
    ]
    parts += [f"{count(made, 'utility flow')} made from mappings"] if made else []
    say(f"{', '.join(parts)}: no errors")


def report(args: Any) -> None:
    """Print the mapping report of everything that is free of errors; errors go to stderr and the exit status is 1.

    With `--versions` or `--between`: the versions that the ledger knows, or what changed between two.
    """
    from iw_operators.spec import report as reports

    if args.versions or args.between:
        from iw_operators.commands.records import versions

        if args.company is None:
            raise SystemExit("Versions are a company's: airflow iw report COMPANY --versions")
        versions(args)
        return
    specs, errors = _load(args)
    mappings = [mapping for spec in specs for mapping in spec.mappings.values()]
    table = [row for mapping in mappings for row in reports.rows(mapping)]
    if args.format == "table":
        _tables(mappings)
    else:
        make = {"csv": reports.as_csv, "markdown": reports.as_markdown, "json": reports.as_json}[args.format]
        sys.stdout.writelines([make(table)])
    if errors:
        for error in errors:
            say(error, sys.stderr)
        raise SystemExit(1)


def _load(args: Any) -> tuple[Sequence[CompanySpec], Sequence[SpecError]]:
    from iw_operators.spec.errors import listing, suggest
    from iw_operators.spec.folders import companies
    from iw_operators.spec.loader import load_all, load_company

    root = _shown(Path(args.mappings) if args.mappings else _default_folder())
    if args.company is None:
        specs, errors = load_all(root)
        if not errors and not specs:
            raise SystemExit(f"{root.as_posix()} holds no company: a folder with company.yaml is expected in it")
        return list(specs.values()), errors
    known = companies(root)
    if args.company not in known:
        hint = suggest(args.company, known)
        end = f"; did you mean {hint}?" if hint else ""
        raise SystemExit(
            f"{root.as_posix()} holds no company {args.company!r}; there are: {listing(known) or 'none'}{end}"
        )
    spec, errors = load_company(root / args.company)
    return [spec] if spec else [], errors


def _default_folder() -> Path:
    from iw_operators.settings import mappings_folder

    return mappings_folder()


def _shown(root: Path) -> Path:
    """Return a folder as people like to read it: relative where it is below the current one."""
    try:
        return root.resolve().relative_to(Path.cwd())
    except ValueError:
        return root


def _tables(mappings: Sequence[ResolvedMapping]) -> None:
    from rich.table import Table
    from rich.text import Text

    from iw_operators.spec import report as reports

    console = terminal()
    for mapping in mappings:
        console.print(Text(reports.title(mapping), style="bold"))
        for note in reports.notes(mapping):
            console.print(Text(f"  {note}"))
        table = Table(*reports.HEADINGS[2:], show_lines=False)
        for row in reports.rows(mapping):
            cells = (row.field, row.crm, row.books, row.type, row.owner, row.transform, row.reference)
            table.add_row(*(Text(cell) for cell in cells))
        console.print(table)
        console.print()
