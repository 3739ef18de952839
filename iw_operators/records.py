"""Failed records as a CSV file and corrected values back (R10); which flow does failed records again.

The file is made for spreadsheets: UTF-8 with a byte order mark, every cell in quotation marks, text that a spreadsheet
would take for a formula or rewrite as a number begins with an apostrophe, which is taken away again on the way in.
Read back are commas, semicolons and tabs, whatever a spreadsheet has made of line ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from iw_operators.errors import FixConfiguration, FixRecord
from iw_operators.failed import corrected, digest_of
from iw_operators.ledger.failures import Failure
from iw_operators.ledger.model import Cursor
from iw_operators.ledger.store import Ledger
from iw_operators.record_reading import PAGE, TOLD, CellError, Desk, Reading
from iw_operators.record_sheet import SheetError, read, shown, write
from iw_operators.spec.csvsafe import protected
from iw_operators.spec.models import Direction, FlowKind
from iw_operators.spec.resolved import CompanySpec, ResolvedFlow, ResolvedMapping, Side
from iw_operators.systems.base import System

MOST_IDS: Final = 10_000  # of one run


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of an import. With `errors` nothing was kept.

    :param records: how many records have a correction now; `values` of how many fields altogether.
    :param unchanged: lines that hold just what the source holds (a correction of the record is then taken away).
    :param left: what will still keep corrected records from going, in fields that were not corrected.
    :param ready: the ids of the records that have a correction now and are not among those.
    """

    records: int
    values: int
    unchanged: int
    errors: tuple[CellError, ...] = ()
    left: tuple[CellError, ...] = ()
    ready: tuple[str, ...] = ()


def export_csv(
    ledger: Ledger,
    mapping: ResolvedMapping,
    side: Side,
    source: System,
    *,
    states: Collection[str] = ("open",),
    ids: Collection[str] | None = None,
) -> bytes:
    """Return the failed records of one mapping and side as a CSV file.

    Columns: `record id`, `record name`, `error code`, `error text`, `what to do`, `record state`, `as exported` (which
    says what was exported, for the way back), then one column for each field of the record's own values (lines are
    not in it). Values are read fresh from the source, corrections that wait are laid over them.

    :param side: the side that the records belong to. :param source: that side's system; only read.
    :param states: which failures; :param ids: only these.
    :raises RetryLater: the source does not answer; whatever else `System.fetch` raises.
    """
    desk = Desk(ledger, mapping, side, source)
    rows: list[Sequence[str]] = []
    failures = [each for state in states for each in _failures(ledger, mapping, side, state, ids)]
    for start in range(0, len(failures), PAGE):
        page = failures[start : start + PAGE]
        wanted = [each.source_id for each in page]
        records = source.fetch(desk.view, wanted)
        given = ledger.corrections(desk.company, desk.name, side, wanted)
        for each in page:
            record, correction = records.get(each.source_id), given.get(each.source_id)
            values = corrected(record, correction).values if record else {}
            cells = [shown(values.get(name), definition) for name, definition in desk.fields.items()]
            told = (each.source_id, each.label, each.code, each.why, each.advice, each.state.value, desk.digest(record))
            rows.append([*map(protected, told), *cells])
    return write([*TOLD, *desk.fields], rows)


def import_csv(
    ledger: Ledger, mapping: ResolvedMapping, side: Side, source: System, data: bytes, *, by: str, file: str = "file"
) -> Imported:
    """Keep the corrected values of a file that `export_csv` made and somebody has edited; all of them or none.

    A cell that differs from what the source holds now is a correction; an empty one takes the value away. Every value
    is checked as the mapping checks records. A record that is not among the failed ones, a column that the mapping
    does not have, a record that has changed in the source since the export, and any other thing wrong is an error
    with its line and column, and all of them are told at once.

    :param by: who corrects. :param file: what messages call the file.
    :raises RetryLater: the source does not answer; whatever else `System.fetch` raises.
    """
    try:
        sheet = read(data)
    except SheetError as wrong:
        return Imported(0, 0, 0, (CellError(file, wrong.line, "", wrong.message, wrong.expected),))
    desk = Desk(ledger, mapping, side, source)
    reading = Reading(desk, sheet, file)
    reading.run()
    if reading.errors:
        return Imported(0, 0, 0, tuple(sorted(reading.errors, key=lambda each: each.line)))
    given = {each: values for each, values in reading.values.items() if values}
    seen = {
        each: {name: digest_of(reading.records[each].values.get(name)) for name in values}
        for each, values in given.items()
    }
    try:
        ledger.correct(desk.company, desk.name, side, reading.values, by=by, seen=seen)
    except FixRecord as wrong:
        return Imported(0, 0, 0, (CellError(file, 0, "", wrong.message, wrong.advice),))
    count, unchanged = sum(map(len, given.values())), len(sheet.rows) - len(given)
    ready = tuple(each for each in given if each not in reading.stuck)
    return Imported(len(given), count, unchanged, left=tuple(reading.left), ready=ready)


def reprocess_flow(spec: CompanySpec, mapping: str, side: Side) -> ResolvedFlow:
    """Return the flow that does single records of a mapping again, in the direction that reads `side`.

    :raises FixConfiguration: the company has none; the message says how to get it.
    """
    for flow in spec.flows.values():
        named = [each.mapping for each in flow.mappings]
        if flow.kind is FlowKind.NFS and flow.source == side and named == [mapping]:
            return flow
    way = Direction.TO_BOOKS if side == "crm" else Direction.TO_CRM
    msg = f"{spec.company.company} has no flow of the kind NFS of mapping {mapping!r} in the direction {way.value}."
    advice = "Let the mapping have its utility flows (`utilities` in the mapping), or write one into flows.yaml."
    raise FixConfiguration(msg, code="iw.no_reprocessing", advice=advice)


def reprocess_conf(ids: Sequence[str], by: str) -> Mapping[str, Any]:
    """Return the configuration of a run of `reprocess_flow` that does these records; of none: all that are open.

    :raises ValueError: there are more than `MOST_IDS`.
    """
    if len(ids) > MOST_IDS:
        msg = (
            f"{len(ids)} records are too many for one run, which does {MOST_IDS} that are named, or all that are open."
        )
        raise ValueError(msg)
    return {"ids": list(ids), "reprocess": True, "by": by}


def _failures(
    ledger: Ledger, mapping: ResolvedMapping, side: Side, state: str, ids: Collection[str] | None
) -> Iterator[Failure]:
    """Yield the failures of a mapping and side in a state, the latest first."""
    before: Cursor | None = None
    company = mapping.company.company
    while page := ledger.failures(
        company, state=state, mapping=mapping.mapping, side=side, ids=ids, limit=PAGE, before=before
    ):
        yield from page
        before = page[-1].cursor


__all__ = ["MOST_IDS", "CellError", "Imported", "export_csv", "import_csv", "reprocess_conf", "reprocess_flow"]
