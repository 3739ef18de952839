"""Commands that work on the ledger: set-up, Query Starts, records that wait for a person, the record log."""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING, Any

from iw_operators.commands.console import known_flow, opened_ledger, say, table, user

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iw_operators.ledger.model import LogRow


def setup(args: Any) -> None:  # noqa: ARG001  every command gets its arguments
    """Bring the ledger's tables up to date and make the pools that are missing. May be repeated."""
    from iw_operators.pools import ensure_pools
    from iw_operators.settings import mappings_folder
    from iw_operators.spec.loader import load_all

    specs, errors = load_all(mappings_folder())
    with opened_ledger():
        say("The ledger's tables are up to date.")
    made = ensure_pools(list(specs))
    say(f"Pools made: {', '.join(made)}." if made else "Every company has its pool.")
    if errors:
        say(f"{len(errors)} errors in the specs; see airflow iw validate.", sys.stderr)


def query_starts(args: Any) -> None:
    """Show a flow's Query Starts with its history, or set it."""
    known_flow(args.company, args.flow)
    with opened_ledger(args.company) as ledger:
        if args.when is not None:
            ledger.move_query_starts(args.company, args.flow, _moment(args.when), by=user(), back=True)
        now = ledger.query_starts(args.company, args.flow)
        say(f"{args.company}.{args.flow} starts at {now.isoformat() if now else 'the beginning of time'}")
        for move in ledger.query_starts_history(args.company, args.flow, limit=10):
            old = move.old.isoformat() if move.old else "the beginning"
            say(f"  {move.at:%Y-%m-%d %H:%M:%S}Z  {old} -> {move.new.isoformat()}  by {move.by}")


def release(args: Any) -> None:
    """Let records that wait for a person since they were unbound be matched or created anew by the next flow."""
    with opened_ledger(args.company) as ledger:
        waiting = {each: ledger.release(args.company, args.mapping, args.side, each) for each in args.ids}
    for each, released in waiting.items():
        say(f"{each}: {'released; the next flow looks at it' if released else 'does not wait for a person'}")
    if not all(waiting.values()):
        raise SystemExit(1)


def decide(args: Any) -> None:
    """Say what has become of a record's create that is in doubt: which record it has made, or that it never arrived."""
    if (args.arrived is None) is not args.never_arrived:
        raise SystemExit("Say one of the two: --arrived ID, or --never-arrived.")
    with opened_ledger(args.company) as ledger, ledger.working(args.company, args.mapping):
        if not ledger.in_doubt(args.company, args.mapping, args.side, args.id):
            raise SystemExit(f"No create for {args.id} is in doubt; see airflow iw log {args.company} --state unknown.")
        if args.arrived is None:
            ledger.never_arrived(args.company, args.mapping, args.side, args.id)
            say(f"{args.id}: the next flow sends it again")
            return
        crm_id, books_id = (args.id, args.arrived) if args.side == "crm" else (args.arrived, args.id)
        ledger.bind(args.company, args.mapping, crm_id=crm_id, books_id=books_id)
        say(f"{args.id}: bound to {args.arrived}; the next flow compares the two")


def log(args: Any) -> None:
    """Show rows of the record log, newest first; with one record, everything about each row."""
    with opened_ledger(args.company) as ledger:
        rows = ledger.log(
            company=args.company,
            flow=args.flow,
            mapping=args.mapping,
            source_id=args.record,
            action=args.state,
            text=args.text,
            code=args.code,
            run_id=args.run,
            since=_moment(args.since) if args.since else None,
            until=_moment(args.until) if args.until else None,
            limit=args.limit,
        )
    if not rows:
        say("No rows.")
    elif args.record:
        for row in rows:
            show_all(row)
    else:
        show(rows)


def show(rows: Sequence[LogRow]) -> None:
    """Print rows of the log as a table."""
    headings = ("at", "flow", "mapping", "record", "name", "state", "code", "why, and what to do")
    table(headings, map(_cells, rows))


def _cells(row: LogRow) -> tuple[str, ...]:
    reason = f"{row.why} {row.advice}".strip()
    return f"{row.at:%m-%d %H:%M:%S}", row.flow, row.mapping, row.source_id, row.label, _state(row), row.code, reason


def _state(row: LogRow) -> str:
    return row.operation if row.operation == "write_back" else row.action.value


def show_all(row: LogRow) -> None:
    """Print everything about one row of the log."""
    lines = [
        f"{row.at.isoformat()}  {row.flow}  run {row.run_id} attempt {row.attempt}",
        f"  mapping {row.mapping} as of {row.fingerprint[:12]}",
        f"  {row.label}  {row.side} {row.source_id} -> {row.target_id or '-'}  {_state(row)}",
        f"  why: {row.why}",
    ]
    lines += [f"  code: {row.code}"] if row.code else []
    lines += [f"  what to do: {row.advice}"] if row.advice else []
    lines += [f"  {change.field}: {change.old!s} -> {change.new!s}" for change in row.changes]
    lines += [f"  could be: {candidate.label} ({candidate.id})" for candidate in row.candidates]
    for line in (*lines, ""):
        say(line)


def _moment(text: str) -> dt.datetime:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise SystemExit(f"{text!r} is not a time; expected one like 2026-11-01T00:00:00Z") from None
    if moment.tzinfo is None:
        raise SystemExit(f"{text!r} has no time zone; expected one like 2026-11-01T00:00:00Z or ...-05:00")
    return moment
