"""`airflow iw` commands about records: those that failed, correcting them, doing them again; how long rows stay."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iw_operators.errors import InterWeaveError
from iw_operators.shown import shown

if TYPE_CHECKING:
    from iw_operators.ledger.failures import Failure
    from iw_operators.ledger.store import Ledger
    from iw_operators.spec.resolved import CompanySpec, ResolvedMapping, Side

WIDE = 200  # columns of a table that goes into a file or pipe


def failed(args: Any) -> None:
    """Show failed records with their state, or write those of one mapping into a CSV file."""
    states = args.state or ["open"]
    with _company(args.company) as (spec, ledger):
        if args.csv:
            _export(spec, ledger, args, states)
            return
        found = [
            each
            for state in states
            for each in ledger.failures(
                args.company, state=state, mapping=args.mapping, side=args.side, text=args.text, limit=args.limit
            )
        ]
        counts = ledger.failure_counts(args.company)
    if found:
        _table(found)
    for count in counts:
        _out(f"{count.mapping} {count.side}: {count.number} {count.state.value}")
    if not counts:
        _out("No record has failed.")


def correct(args: Any) -> None:
    """Take corrected values from a CSV file; with anything wrong in it, say all of it, keep nothing and exit with 1."""
    from iw_operators.operators.runtime import open_side
    from iw_operators.records import import_csv

    path = Path(args.file)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SystemExit(f"{path}: {error.strerror}") from None
    with _company(args.company) as (spec, ledger):
        mapping = _mapping(spec, args.mapping)
        side = _side(ledger, mapping, args.side)
        source = open_side(spec.company, side, ledger)
        done = import_csv(ledger, mapping, side, source, data, by=getpass.getuser(), file=path.name)
    for wrong in done.errors:
        _out(str(wrong), sys.stderr)
    if done.errors:
        raise SystemExit(1)
    for left in done.left:
        _out(f"still wrong: {left}")
    counts = (_count(done.values, "value"), _count(done.records, "record"), _count(done.unchanged, "line"))
    _out("Corrected: {} of {}; {} without a change.".format(*counts))
    if done.records:
        _out(f"They go with: airflow iw reprocess {args.company} {args.mapping} --all")


def reprocess(args: Any) -> None:
    """Start a run that does nothing but these records."""
    from airflow.utils.session import create_session

    from iw_operators.control import run_now
    from iw_operators.records import reprocess_conf, reprocess_flow

    if bool(args.ids) is bool(args.all):
        raise SystemExit("Name the records, or say --all.")
    with _company(args.company) as (spec, ledger):
        mapping = _mapping(spec, args.mapping)
        side = _side(ledger, mapping, args.side, args.ids)
        known = set(ledger.failing(args.company, args.mapping, side, args.ids))
        if unknown := [each for each in args.ids if each not in known]:
            raise SystemExit(f"Not among the failed records of {args.mapping}: {', '.join(map(shown, unknown))}")
        if args.all and not ledger.open_failures(args.company, args.mapping, side):
            _out("No record is open.")
            return
        ledger.reopen(args.company, args.mapping, side, args.ids, by=getpass.getuser())
        flow = reprocess_flow(spec, args.mapping, side)
        try:
            conf = reprocess_conf(args.ids, getpass.getuser())
        except ValueError as error:
            raise SystemExit(str(error)) from None
        with create_session() as session:
            run_id = run_now(session, ledger, flow.dag_id, getpass.getuser(), conf=conf)
    _out(f"{flow.dag_id} {run_id}")


def give_up(args: Any) -> None:
    """Give failed records up, with a reason; or take that back."""
    with _company(args.company) as (spec, ledger):
        side = _side(ledger, _mapping(spec, args.mapping), args.side, args.ids)
        here = (args.company, args.mapping, side, args.ids)
        if args.back:
            done = ledger.reopen(*here, by=getpass.getuser())
        elif not (args.why or "").strip():
            raise SystemExit("Say why: --why REASON. It is kept with the record.")
        else:
            done = ledger.give_up(*here, by=getpass.getuser(), why=args.why)
    word = ("open again", "was not given up") if args.back else ("given up", "is not open")
    for each in args.ids:
        _out(f"{each}: {word[0] if each in done else word[1]}")
    if len(done) < len(set(args.ids)):
        raise SystemExit(1)


def prune(args: Any) -> None:
    """Delete what is older than a company's log_days, of one company or of all."""
    from iw_operators.retention import prune as prune_company
    from iw_operators.settings import mappings_folder
    from iw_operators.spec.loader import load_all

    specs, errors = load_all(mappings_folder())
    names = [args.company] if args.company else list(specs)
    for name in names:
        if name not in specs:
            raise SystemExit(f"{name!r} is no company, or its spec has errors; see airflow iw validate.")
        with _company(name) as (spec, ledger):
            gone = prune_company(ledger, spec.company)
        _out(f"{name}: {gone} rows of the log older than {spec.company.log_days} days deleted")
    if errors and not args.company:
        _out(f"{len(errors)} errors in the specs; companies with errors were left out.", sys.stderr)


def versions(args: Any) -> None:
    """Show the versions of a company's mappings, or what changed between two of them."""
    from iw_operators.spec.differences import between

    with _company(args.company, checked=False) as (_, ledger):
        found = ledger.versions(args.company)
    if not args.between:
        for each in found:
            _out(f"{each.mapping}  {each.fingerprint[:12]}  first used {each.first_at:%Y-%m-%d %H:%M}Z")
        if not found:
            _out("No mapping has been run yet.")
        return
    one, two = ([each for each in found if each.fingerprint.startswith(start)] for start in args.between)
    pairs = [(old, new) for old in one for new in two if old.mapping == new.mapping]
    if len(pairs) != 1:
        raise SystemExit("Name two versions of one mapping by the beginnings of their fingerprints; see --versions.")
    ((old, new),) = pairs
    _out(f"{old.mapping}: from {old.fingerprint[:12]} to {new.fingerprint[:12]}")
    differences = between(old.report, new.report)
    for difference in differences:
        _out(f"  {difference}")
    if not differences:
        _out("  nothing")


def _export(spec: CompanySpec, ledger: Ledger, args: Any, states: Sequence[str]) -> None:
    from iw_operators.operators.runtime import open_side
    from iw_operators.records import export_csv

    if args.mapping is None:
        raise SystemExit("A file is about one mapping: --mapping NAME.")
    mapping = _mapping(spec, args.mapping)
    side = _side(ledger, mapping, args.side)
    source = open_side(spec.company, side, ledger)
    data = export_csv(ledger, mapping, side, source, states=states)
    if args.csv == "-":
        sys.stdout.buffer.writelines([data])
        return
    Path(args.csv).write_bytes(data)
    _out(f"{args.csv}: failed records of {args.mapping}, {mapping.label(side)}")


def _mapping(spec: CompanySpec, name: str) -> ResolvedMapping:
    from iw_operators.spec.errors import listing

    if name not in spec.mappings:
        raise SystemExit(f"{spec.company.company} has no mapping {name!r}; there are: {listing(spec.mappings)}.")
    return spec.mappings[name]


def _side(ledger: Ledger, mapping: ResolvedMapping, given: str | None, ids: Sequence[str] | None = None) -> Side:
    """Return the side that is meant: the one that was given, else the one on which records have failed."""
    from iw_operators.spec.models import Direction

    if given is not None:
        return "crm" if given == "crm" else "books"
    if mapping.direction is not Direction.BOTH:
        return "crm" if mapping.direction is Direction.TO_BOOKS else "books"
    company, name = mapping.company.company, mapping.mapping
    if ids:
        sides = {each.side for each in ledger.failures(company, mapping=name, ids=ids, limit=2 * len(ids))}
    else:
        unsettled = ("open", "given up")
        sides = {
            each.side for each in ledger.failure_counts(company) if each.mapping == name and each.state in unsettled
        }
    if len(sides) > 1:
        raise SystemExit(f"{name} has failed records on both sides: --side crm or --side books.")
    return sides.pop() if sides else "crm"


def _table(found: Sequence[Failure]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("since", "mapping", "side", "record", "name", "state", "code", "times", "why, and what to do")
    for each in found:
        waits = "".join(f" Waits for {await_.mapping} {await_.source_id}." for await_ in each.awaits)
        settled = f" {each.settled_by}: {each.settled_why}" if each.settled_at else ""
        state = f"{each.state.value}{' (corrected)' if each.corrected else ''}"
        cells = (f"{each.first_at:%m-%d %H:%M}", each.mapping, each.side, each.source_id, each.label, state)
        reason = f"{each.why} {each.advice}{waits}{settled}".strip()
        table.add_row(*(Text(shown(cell)) for cell in (*cells, each.code, str(each.attempts), reason)))
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


@contextmanager
def _company(company: str, *, checked: bool = True) -> Iterator[tuple[CompanySpec, Ledger]]:
    """Open a company's spec and the ledger. An error of ours ends the command with its words."""
    from iw_operators.ledger.connect import open_ledger
    from iw_operators.ledger.own import OwnLedger
    from iw_operators.settings import ledger_conn_id, mappings_folder
    from iw_operators.spec.loader import load_company

    root = mappings_folder()
    known = {entry.name for entry in root.iterdir() if entry.is_dir()} if root.is_dir() else set()
    if company not in known:
        raise SystemExit(f"There is no company {company!r}.")
    spec, errors = load_company(root / company)
    if spec is None or (checked and errors and not spec.mappings):
        raise SystemExit("\n".join(map(str, errors)))
    try:
        ledger = open_ledger(ledger_conn_id())
        try:
            yield spec, OwnLedger.of(ledger, company)
        finally:
            ledger.close()
    except InterWeaveError as error:
        raise SystemExit(str(error)) from None


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _out(text: str, stream: Any = None) -> None:
    (stream or sys.stdout).writelines([shown(text), "\n"])
