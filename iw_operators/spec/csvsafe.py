"""Cells of CSV files that people open in a spreadsheet."""

from __future__ import annotations

import re
from typing import Final

_FORMULA: Final = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")  # also as full-width characters
_NUMBER: Final = re.compile(r"[+-]?[0-9][0-9.,]*%?")
_SAFE_NUMBER: Final = re.compile(r"0|-?[1-9][0-9]{0,14}")  # what a spreadsheet shows and saves as it was
_LIKE_NUMBER: Final = re.compile(r"[\s\d.,:/%()eE+-]*[0-9][\s\d.,:/%()eE+-]*", re.ASCII)  # dates and times as well


def cell(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: what begins like one is marked as text by an apostrophe.

    Numbers with a sign and a single dash stay as they are. Line breaks are \n, which writers put in quotation marks.
    (OWASP, CSV injection: = + - @, tab, line breaks.)
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text == "-" or not _FORMULA.match(text) or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"


def protected(text: str) -> str:
    """Return a cell that comes back from a spreadsheet as it went in; `plain` makes the text of it again.

    What a spreadsheet would take for a formula, or rewrite as a number or date (leading zeros, long numbers, `1-2`),
    is marked as text by an apostrophe. Line breaks are \n.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if _marked(text) else text


def plain(text: str) -> str:
    """Return the text of a cell: without the apostrophe, where `protected` puts one. All other text is itself."""
    return text[1:] if text.startswith("'") and _marked(text[1:]) else text


def _marked(text: str) -> bool:
    if cell(text) != text:
        return True
    if _LIKE_NUMBER.fullmatch(text):
        return not _SAFE_NUMBER.fullmatch(text)
    return text.startswith("'") and _marked(text[1:])
