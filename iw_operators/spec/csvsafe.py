"""Cells of CSV files that people open in a spreadsheet."""

from __future__ import annotations

import re
from typing import Final

_FORMULA: Final = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")  # also as full-width characters
_NUMBER: Final = re.compile(r"[+-]?[0-9][0-9.,]*%?")


def cell(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: what begins like one is marked as text by an apostrophe.

    Numbers with a sign and a single dash stay as they are. Line breaks are \n, which writers put in quotation marks.
    (OWASP, CSV injection: = + - @, tab, line breaks.)
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text == "-" or not _FORMULA.match(text) or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"
