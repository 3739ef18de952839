"""A review sheet of a binding flow as a CSV file, and what a person has decided in it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from iw_operators.ledger.reviews import APPROVED, OPEN, REFUSED, Choice, Choosable, ReviewRow
from iw_operators.ledger.store import Ledger
from iw_operators.record_sheet import Sheet, SheetError, read, write
from iw_operators.spec.csvsafe import plain, protected

PAGE: Final = 2_000
SHOWN: Final = 20  # partners that a cell lists
COLUMNS: Final = (
    *("row", "mapping", "record", "name", "finding", "found by", "partner", "partner name", "could be"),
    *("decision", "by", "why"),
)
NEEDED: Final = ("row", "record", "partner", "decision")
WORDS: Final[Mapping[str, Choosable]] = {
    **dict.fromkeys(("approve", "approved", "yes", "y", "ok", "x"), APPROVED),
    **dict.fromkeys(("refuse", "refused", "reject", "rejected", "no", "n"), REFUSED),
    "open": OPEN,
}


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with a line of a file. `line` is 0 where it is about the whole file."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message


@dataclass(frozen=True, slots=True)
class Decided:
    """What a file says: choices, by the line that each stands on, and what is wrong."""

    choices: Mapping[int, Choice]
    wrong: tuple[Wrong, ...] = ()


def every_row(ledger: Ledger, run_id: int) -> Iterator[ReviewRow]:
    """Yield the rows of a sheet, page by page."""
    after = 0
    while rows := ledger.review_rows(run_id, after=after, limit=PAGE):
        yield from rows
        after = rows[-1].id


def as_csv(rows: Sequence[ReviewRow]) -> bytes:
    """Return a file for spreadsheets. Text that one would take for a formula or rewrite begins with an apostrophe."""
    return write(COLUMNS, [[protected(cell) for cell in _cells(row)] for row in rows])


def _cells(row: ReviewRow) -> tuple[str, ...]:
    listed = [f"{each.id} {each.label}".strip() for each in row.candidates[:SHOWN]]
    more = [f"and {len(row.candidates) - SHOWN} more"] if len(row.candidates) > SHOWN else []
    return (
        *(str(row.id), row.mapping, row.source_id, row.label, row.finding, row.found_by),
        *(row.target_id, row.target_label, "; ".join([*listed, *more]), row.decision, row.by, row.why),
    )


def decided(data: bytes, rows: Mapping[int, ReviewRow]) -> Decided:
    """Return what a file that `as_csv` made, and somebody has edited, decides otherwise than the sheet does.

    Read are `row`, `record` (which has to be that row's), `partner` and `decision`: approve, refuse or open.

    :param rows: the sheet's rows by number.
    """
    try:
        sheet = read(data)
    except SheetError as error:
        expected = f"; expected {error.expected}" if error.expected else ""
        return Decided({}, (Wrong(error.line, f"{error.message}{expected}"),))
    places = {name.strip().lower(): place for place, name in enumerate(sheet.heading)}
    if missing := [name for name in NEEDED if name not in places]:
        return Decided({}, (Wrong(sheet.line, f"there is no column {', '.join(missing)}"),))
    choices: dict[int, Choice] = {}
    wrong: list[Wrong] = []
    seen: set[int] = set()
    for line, cells in _lines(sheet, places):
        found = _choice(cells, rows)
        if isinstance(found, str):
            wrong.append(Wrong(line, found))
            continue
        number = int(cells["row"])
        if number in seen:
            wrong.append(Wrong(line, f"row {number} stands in the file twice"))
            continue
        seen.add(number)
        if found is not None:
            choices[line] = found
    return Decided(choices, tuple(wrong))


def _lines(sheet: Sheet, places: Mapping[str, int]) -> Iterator[tuple[int, dict[str, str]]]:
    for row in sheet.rows:
        cells = {name: row.cells[places[name]] if places[name] < len(row.cells) else "" for name in NEEDED}
        yield row.line, {name: plain(cell).strip() for name, cell in cells.items()}


def _choice(cells: Mapping[str, str], rows: Mapping[int, ReviewRow]) -> Choice | str | None:
    """Return what a line decides, None where it decides nothing new, or what is wrong with it."""
    number, partner, word = cells["row"], cells["partner"], cells["decision"].lower()
    row = rows.get(int(number)) if number.isascii() and number.isdecimal() and len(number) < 19 else None
    if row is None:
        return f"the sheet has no row {number!r}"
    if cells["record"] != row.source_id:
        return f"row {number} is about record {row.source_id}, not {cells['record']!r}"
    if word in ("", row.decision) and partner == row.target_id:
        return None
    decision = WORDS.get(word or row.decision)
    if decision is None:
        if row.decision == word:
            return f"row {number} is {word} already; its partner cannot be changed"
        return f"{cells['decision']!r} is no decision; approve, refuse or open"
    if not partner and row.target_id and decision == APPROVED:
        return f"row {number} is approved without a partner"
    changed = partner if partner != row.target_id else ""
    return Choice(row.id, decision, changed)
