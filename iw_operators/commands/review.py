"""`airflow iw review`: a binding flow's sheet on the command line: shown, exported, decided."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iw_operators.commands.console import count, known_flow, opened_ledger, say, table, user

if TYPE_CHECKING:
    from iw_operators.ledger.reviews import ReviewRow
    from iw_operators.ledger.store import Ledger

LISTED = 50  # rows that are shown


def review(args: Any) -> None:
    """Show the newest sheet of a binding flow; write it as CSV, read decisions from CSV, approve the exact rows.

    Decides only. What is approved is bound when the waiting task of the flow's run is answered with Approve.
    """
    known_flow(args.company, args.flow)
    with opened_ledger(args.company) as ledger:
        run_id = ledger.latest_review(args.company, args.flow)
        if run_id is None:
            raise SystemExit(f"{args.company}.{args.flow} has no review sheet yet; trigger the flow first.")
        if args.approve:
            number = ledger.approve_exact(args.company, run_id, by=user())
            say(f"{count(number, 'row')} approved.")
        if args.import_:
            _import(ledger, args.company, run_id, Path(args.import_))
        if args.csv:
            _export(ledger, run_id, args.csv)
        if not (args.approve or args.import_ or args.csv):
            _show(ledger, run_id)


def _export(ledger: Ledger, run_id: int, file: str) -> None:
    from iw_operators.review_sheet import as_csv, every_row

    rows = list(every_row(ledger, run_id))
    data = as_csv(rows)
    if file == "-":
        sys.stdout.writelines([data.decode("utf-8-sig")])
        return
    try:
        Path(file).write_bytes(data)
    except OSError as error:
        raise SystemExit(f"{file} cannot be written: {error.strerror}") from None
    say(f"{count(len(rows), 'row')} written to {file}. Fill in `decision` (and `partner`), then --import it.")


def _import(ledger: Ledger, company: str, run_id: int, file: Path) -> None:
    from iw_operators.review_sheet import decided, every_row

    try:
        data = file.read_bytes()
    except OSError as error:
        raise SystemExit(f"{file} cannot be read: {error.strerror}") from None
    found = decided(data, {row.id: row for row in every_row(ledger, run_id)})
    if found.wrong:
        for wrong in found.wrong:
            say(wrong, sys.stderr)
        raise SystemExit("Nothing was taken from the file.")
    lines = {choice.id: line for line, choice in found.choices.items()}
    refused = ledger.decide_review(company, run_id, list(found.choices.values()), by=user())
    say(f"{count(len(lines) - len(refused), 'row')} decided.")
    for each in refused:
        say(f"line {lines[each.id]}: {each.why}", sys.stderr)
    if refused:
        raise SystemExit(1)


def _show(ledger: Ledger, run_id: int) -> None:
    for mapping, counts in ledger.review_counts(run_id).items():
        told = ", ".join(f"{number} {finding} {decision}" for (finding, decision), number in counts.items())
        say(f"{mapping}: {told}")
    rows = ledger.review_rows(run_id, findings=("candidate", "ambiguous"), decisions=("open",), limit=LISTED)
    if rows:
        table(("row", "mapping", "record", "name", "finding", "partner", "why"), map(_cells, rows))


def _cells(row: ReviewRow) -> tuple[object, ...]:
    return row.id, row.mapping, row.source_id, row.label, row.finding, _partner(row), row.why


def _partner(row: ReviewRow) -> str:
    listed = [f"{each.label} ({each.id})" for each in row.candidates[:3]]
    return f"{row.target_label} ({row.target_id})" if row.target_id else "; ".join(listed)
