"""Commands about records: those that failed, correcting them, doing them again; how long rows stay."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iw_operators.commands.console import count, opened_company, say, table, user
from iw_operators.shown import shown

if TYPE_CHECKING:
    from iw_operators.ledger.failures import Failure
    from iw_operators.ledger.store import Ledger
    from iw_operators.spec.resolved import CompanySpec, ResolvedMapping, Side

COLUMNS = ("since", "mapping", "side", "record", "name", "state", "code", "times", "why, and what to do")


def failed(args: Any) -> None:
    """Show failed records with their state, or write those of one mapping into a CSV file."""
    states = args.state or ["open"]
    with opened_company(args.company) as (spec, ledger):
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
        table(COLUMNS, map(_cells, found))
    for each in counts:
        say(f"{each.mapping} {each.side}: {each.number} {each.state.value}")
    if not counts:
        say("No record has failed.")


def correct(args: Any) -> None:
    """Take corrected values from a CSV file; with anything wrong in it, say all of it, keep nothing and exit with 1."""
    from iw_operators.operators.runtime import open_side
    from iw_operators.records import import_csv

    path = Path(args.file)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SystemExit(f"{path}: {error.strerror}") from None
    with opened_company(args.company) as (spec, ledger):
        mapping = _mapping(spec, args.mapping)
        side = _side(ledger, mapping, args.side)
        source = open_side(spec.company, side, ledger)
        done = import_csv(ledger, mapping, side, source, data, by=user(), file=path.name)
    for wrong in done.errors:
        say(wrong, sys.stderr)
    if done.errors:
        raise SystemExit(1)
    for left in done.left:
        say(f"still wrong: {left}")
    counts = (count(done.values, "value"), count(done.records, "record"), count(done.unchanged, "line"))
    say("Corrected: {} of {}; {} without a change.".format(*counts))
    if done.records:
        say(f"They go with: airflow iw reprocess {args.company} {args.mapping} --all")


def reprocess(args: Any) -> None:
    """Start a run that does nothing but these records."""
    from airflow.utils.session import create_session

    from iw_operators.control import run_now
    from iw_operators.records import reprocess_conf, reprocess_flow

    if bool(args.ids) is bool(args.all):
        raise SystemExit("Name the records, or say --all.")
    with opened_company(args.company) as (spec, ledger):
        mapping = _mapping(spec, args.mapping)
        side = _side(ledger, mapping, args.side, args.ids)
        known = set(ledger.failing(args.company, args.mapping, side, args.ids))
        if unknown := [each for each in args.ids if each not in known]:
            raise SystemExit(f"Not among the failed records of {args.mapping}: {', '.join(map(shown, unknown))}")
        if args.all and not ledger.open_failures(args.company, args.mapping, side):
            say("No record is open.")
            return
        ledger.reopen(args.company, args.mapping, side, args.ids, by=user())
        flow = reprocess_flow(spec, args.mapping, side)
        try:
            conf = reprocess_conf(args.ids, user())
        except ValueError as error:
            raise SystemExit(str(error)) from None
        with create_session() as session:
            run_id = run_now(session, ledger, flow.dag_id, user(), conf=conf)
    say(f"{flow.dag_id} {run_id}")


def give_up(args: Any) -> None:
    """Give failed records up, with a reason; or take that back."""
    with opened_company(args.company) as (spec, ledger):
        side = _side(ledger, _mapping(spec, args.mapping), args.side, args.ids)
        here = (args.company, args.mapping, side, args.ids)
        if args.back:
            done = ledger.reopen(*here, by=user())
        elif not (args.why or "").strip():
            raise SystemExit("Say why: --why REASON. It is kept with the record.")
        else:
            done = ledger.give_up(*here, by=user(), why=args.why)
    word = ("open again", "was not given up") if args.back else ("given up", "is not open")
    for each in args.ids:
        say(f"{each}: {word[0] if each in done else word[1]}")
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
        with opened_company(name) as (spec, ledger):
            gone = prune_company(ledger, spec.company)
        say(f"{name}: {gone} rows of the log older than {spec.company.log_days} days deleted")
    if errors and not args.company:
        say(f"{len(errors)} errors in the specs; companies with errors were left out.", sys.stderr)


def versions(args: Any) -> None:
    """Show the versions of a company's mappings, or what changed between two of them."""
    from iw_operators.spec.differences import between

    with opened_company(args.company, checked=False) as (_, ledger):
        found = ledger.versions(args.company)
    if not args.between:
        for each in found:
            say(f"{each.mapping}  {each.fingerprint[:12]}  first used {each.first_at:%Y-%m-%d %H:%M}Z")
        if not found:
            say("No mapping has been run yet.")
        return
    one, two = ([each for each in found if each.fingerprint.startswith(start)] for start in args.between)
    pairs = [(old, new) for old in one for new in two if old.mapping == new.mapping]
    if len(pairs) != 1:
        raise SystemExit("Name two versions of one mapping by the beginnings of their fingerprints; see --versions.")
    ((old, new),) = pairs
    say(f"{old.mapping}: from {old.fingerprint[:12]} to {new.fingerprint[:12]}")
    differences = between(old.report, new.report)
    for difference in differences:
        say(f"  {difference}")
    if not differences:
        say("  nothing")


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
    say(f"{args.csv}: failed records of {args.mapping}, {mapping.label(side)}")


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


def _cells(failure: Failure) -> tuple[object, ...]:
    waits = "".join(f" Waits for {await_.mapping} {await_.source_id}." for await_ in failure.awaits)
    settled = f" {failure.settled_by}: {failure.settled_why}" if failure.settled_at else ""
    state = f"{failure.state.value}{' (corrected)' if failure.corrected else ''}"
    record = (failure.mapping, failure.side, failure.source_id, failure.label, state, failure.code, failure.attempts)
    reason = f"{failure.why} {failure.advice}{waits}{settled}".strip()
    return f"{failure.first_at:%m-%d %H:%M}", *record, reason
