"""`airflow iw` commands that work on the ledger: set-up, Query Starts, the record log."""

from __future__ import annotations

import datetime as dt
import getpass
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from iw_operators.errors import InterWeaveError
from iw_operators.shown import shown

if TYPE_CHECKING:
    from iw_operators.ledger.model import LogRow
    from iw_operators.ledger.store import Ledger

WIDE = 200  # columns of a table that goes into a file or pipe


def setup(args: Any) -> None:  # noqa: ARG001  every command gets its arguments
    """Bring the ledger's tables up to date and make the pools that are missing. May be repeated."""
    from iw_operators.pools import ensure_pools
    from iw_operators.settings import mappings_folder
    from iw_operators.spec.loader import load_all

    specs, errors = load_all(mappings_folder())
    with _ledger():
        _out("The ledger's tables are up to date.")
    made = ensure_pools(list(specs))
    _out(f"Pools made: {', '.join(made)}." if made else "Every company has its pool.")
    if errors:
        _out(f"{len(errors)} errors in the specs; see airflow iw validate.", sys.stderr)


def query_starts(args: Any) -> None:
    """Show a flow's Query Starts with its history, or set it."""
    _known_flow(args.company, args.flow)
    with _ledger(args.company) as ledger:
        if args.when is not None:
            ledger.move_query_starts(args.company, args.flow, _moment(args.when), by=getpass.getuser(), back=True)
        now = ledger.query_starts(args.company, args.flow)
        _out(f"{args.company}.{args.flow} starts at {now.isoformat() if now else 'the beginning of time'}")
        for move in ledger.query_starts_history(args.company, args.flow, limit=10):
            old = move.old.isoformat() if move.old else "the beginning"
            _out(f"  {move.at:%Y-%m-%d %H:%M:%S}Z  {old} -> {move.new.isoformat()}  by {shown(move.by)}")


def release(args: Any) -> None:
    """Let records that wait for a person since they were unbound be matched or created anew by the next flow."""
    with _ledger() as ledger:
        waiting = {each: ledger.release(args.company, args.mapping, args.side, each) for each in args.ids}
    for each, released in waiting.items():
        _out(f"{each}: {'released; the next flow looks at it' if released else 'does not wait for a person'}")
    if not all(waiting.values()):
        raise SystemExit(1)


def log(args: Any) -> None:
    """Show rows of the record log, newest first; with one record, everything about each row."""
    with _ledger(args.company) as ledger:
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
        _out("No rows.")
    elif args.record:
        for row in rows:
            _out(_detail(row))
    else:
        _table(rows)


def _table(rows: Sequence[LogRow]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("at", "flow", "mapping", "record", "name", "state", "code", "why, and what to do")
    for row in rows:
        reason = f"{row.why} {row.advice}".strip()
        cells = (f"{row.at:%m-%d %H:%M:%S}", row.flow, row.mapping, row.source_id, row.label)
        table.add_row(*(Text(shown(cell)) for cell in (*cells, _state(row), row.code, reason)))
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def _state(row: LogRow) -> str:
    return row.operation if row.operation == "write_back" else row.action.value


def _detail(row: LogRow) -> str:
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
    return "\n".join([*map(shown, lines), ""])


def _known_flow(company: str, flow: str) -> None:
    from iw_operators.settings import mappings_folder
    from iw_operators.spec.errors import listing, suggest
    from iw_operators.spec.loader import load_company

    root = mappings_folder()
    known = {entry.name for entry in root.iterdir()} if root.is_dir() else set()
    spec, _ = load_company(root / company) if company in known else (None, ())
    flows = list(spec.flows) if spec else []
    if flow not in flows:
        near = suggest(flow, flows)
        end = f" Did you mean {near}?" if near else ""
        raise SystemExit(f"{company!r} has no flow {flow!r}; there are: {listing(flows) or 'none'}.{end}")


def _moment(text: str) -> dt.datetime:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise SystemExit(f"{text!r} is not a time; expected one like 2026-11-01T00:00:00Z") from None
    if moment.tzinfo is None:
        raise SystemExit(f"{text!r} has no time zone; expected one like 2026-11-01T00:00:00Z or ...-05:00")
    return moment


@contextmanager
def _ledger(company: str | None = None) -> Iterator[Ledger]:
    from iw_operators.ledger.connect import open_ledger
    from iw_operators.ledger.own import OwnLedger
    from iw_operators.settings import ledger_conn_id

    try:
        ledger = open_ledger(ledger_conn_id())
    except InterWeaveError as error:
        raise SystemExit(str(error)) from None
    try:
        yield OwnLedger.of(ledger, company) if company is not None else ledger
    finally:
        ledger.close()


def _out(text: str, stream: Any = None) -> None:
    print(text, file=stream or sys.stdout)
