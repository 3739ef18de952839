"""A sheet of failed records: a CSV file as rows of cells, and cells as values of a field and back.

Through pandas, because the files come from spreadsheets: a byte order mark, semicolons or tabs, a first line
`sep=;`, blank lines at the end and line ends of any kind are no errors.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from iw_operators.engine.cards import masked
from iw_operators.engine.convert import TEXTS, as_text, converter
from iw_operators.engine.problems import Bad, Names
from iw_operators.errors import FixRecord
from iw_operators.ledger.codec import storable
from iw_operators.spec.catalogue import FieldDef, FieldType
from iw_operators.spec.csvsafe import plain, protected

if TYPE_CHECKING:
    from iw_operators.engine.model import Scalar, Value

LARGEST: Final = 50_000_000  # bytes
SPARE: Final = 20  # cells beyond the heading that a line may have and be told of by its number
SEPARATORS: Final = ",;\t"
EXPECTED: Final = {
    FieldType.INTEGER: "a whole number like 12",
    FieldType.DECIMAL: "a number like 1234.50",
    FieldType.MONEY: "a number like 1234.50",
    FieldType.BOOLEAN: "true or false",
    FieldType.DATE: "a date like 2026-01-31",
    FieldType.DATETIME: "a date and time like 2026-01-31T12:00:00+00:00",
}
_WORDS: Final = {  # what spreadsheets in other languages make of true and false
    **dict.fromkeys(
        ("wahr", "vrai", "verdadero", "verdadeiro", "vero", "waar", "sant", "sand", "tosi", "prawda"), "true"
    ),
    **dict.fromkeys(("falsch", "faux", "falso", "onwaar", "falskt", "falsk", "epätosi", "fałsz"), "false"),
}
_COMMA: Final = re.compile(r"[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+),\d+", re.ASCII)
_DOTTED: Final = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)
_SLASHED: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})", re.ASCII)


class SheetError(FixRecord):
    """A file or cell that cannot be read. `line` is 0 where it is about the whole file."""

    def __init__(self, message: str, expected: str = "", line: int = 0) -> None:
        super().__init__(message)
        self.expected = expected
        self.line = line


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a file after the heading; `cells` are as many as the line has."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file: its heading, and its lines but for blank ones."""

    heading: tuple[str, ...]
    rows: tuple[Row, ...]
    separator: str
    line: int  # of the heading


def write(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """Return a file that spreadsheets open: UTF-8 with a byte order mark, all cells in quotation marks."""
    import pandas as pd

    frame = pd.DataFrame([list(row) for row in rows], columns=list(heading), dtype=object)
    text = frame.to_csv(index=False, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    return text.encode("utf-8-sig")


def read(data: bytes) -> Sheet:
    """Return a file's cells as they are written.

    :raises SheetError: it is not UTF-8, not CSV, empty, or larger than 50 MB.
    """
    import pandas as pd

    if len(data) > LARGEST:
        msg = f"the file has {len(data)} bytes"
        raise SheetError(msg, f"at most {LARGEST}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"byte {error.start + 1} is not UTF-8"
        raise SheetError(msg, "a file saved as `CSV UTF-8`", data.count(b"\n", 0, error.start) + 1) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    line = 1
    if text.startswith("sep="):  # what some spreadsheets write before everything else
        text = text.partition("\n")[2]
        line = 2
    first = text.partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    width = first.count(separator) + 1 + SPARE
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            header=None,
            names=list(range(width)),
            index_col=False,
            dtype=object,
            keep_default_na=False,
            skip_blank_lines=False,
            engine="python",
        )
    except (pd.errors.ParserError, ValueError, csv.Error) as error:
        msg = f"the file is not CSV: {error}"
        raise SheetError(msg, "the exported file, with quotation marks around cells that hold any") from None
    found: list[Row] = []
    for cells in frame.itertuples(index=False, name=None):
        there = tuple(each for each in cells if isinstance(each, str))  # what a line does not have is no text
        if any(there):
            found.append(Row(line, there))
        line += 1 + sum(each.count("\n") for each in there)
    if not found:
        msg = "the file is empty"
        raise SheetError(msg, "a heading and a line a record")
    heading, *rows = found
    return Sheet(heading.cells, tuple(rows), separator, heading.line)


def shown(value: Value, definition: FieldDef) -> str:
    """Return a value as its cell holds it. What cannot be stored is made visible, a card's number left out (M11)."""
    if isinstance(value, tuple):
        return ""
    try:
        text = as_text(value) or ""
    except ValueError:  # a number that nobody could write out
        text = str(value)
    return protected(storable(text)) if definition.type in TEXTS else text


def value_of(
    text: str, field: str, definition: FieldDef, label: str, now: Value, zone: dt.tzinfo, separator: str
) -> Scalar:
    """Return the value that a cell stands for, in the type that the source has for the field.

    :param now: what the source holds; a number or date that a spreadsheet has written in its own way is the same.
    :param label: what messages call the source.
    :param separator: of the file: with semicolons a decimal comma is read as one.
    :raises SheetError: it is not of the field's type, or holds what may not be kept.
    """
    if definition.type in TEXTS:
        text = plain(text)
        if masked(text) != text:
            msg = "it holds the number of a payment card, which is not kept"
            raise SheetError(msg, "at most the last four digits")
    else:
        text = _usual(text.strip(), definition.type, now, separator)
    bare = definition.model_copy(update={"length": None, "forbidden": ""})  # what counts is what the target takes
    convert = converter(field, bare, Names("the file", label), zone, shorten=False)
    try:
        value = convert(text)
    except Bad as bad:
        raise SheetError(bad.problem.message, EXPECTED.get(definition.type, "text without NUL")) from None
    if isinstance(value, Decimal) and value != Decimal(text):
        places = -int(value.as_tuple().exponent)
        msg = f"{field} is {text}, which has more places than {label} keeps"
        raise SheetError(msg, f"a number with at most {places} places")
    return value


def _usual(text: str, kind: FieldType, now: Value, separator: str) -> str:
    """Return a number or date that a spreadsheet has written in its own way as everybody reads it."""
    if kind in (FieldType.DECIMAL, FieldType.MONEY) and separator == ";" and _COMMA.fullmatch(text):
        return text.replace(".", "").replace(",", ".")
    if kind is FieldType.BOOLEAN:
        return _WORDS.get(text.casefold(), text)
    if kind is not FieldType.DATE:
        return text
    if dotted := _DOTTED.fullmatch(text):
        day, month, year = dotted.groups()
        return f"{year}-{month:0>2}-{day:0>2}"
    if (slashed := _SLASHED.fullmatch(text)) and isinstance(now, dt.date):
        one, two, year = slashed.groups()
        both = (f"{year}-{one:0>2}-{two:0>2}", f"{year}-{two:0>2}-{one:0>2}")
        return now.isoformat() if now.isoformat() in both else text  # of a date that was changed it is not known
    return text
