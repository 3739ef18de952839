"""What can be wrong with one record, as data: a code, a sentence that names field and limit, and who does what.

Problems never leave the engine as exceptions. `Bad` carries one from the place that finds it to the record's plan.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from iw_operators.engine.model import Await, Candidate, Value
from iw_operators.errors import FixRecord

TOO_LONG: Final = "iw.too_long"
CHARACTERS: Final = "iw.characters"
REQUIRED: Final = "iw.required"
TYPE: Final = "iw.type"
RANGE: Final = "iw.range"
VALUE_UNMAPPED: Final = "iw.value_unmapped"
EXPRESSION: Final = "iw.expression"
REFERENCE_MISSING: Final = "iw.reference_missing"
LOOKUP_MISSING: Final = "iw.lookup_missing"
RATE_MISSING: Final = "iw.rate_missing"
AMOUNT_MISMATCH: Final = "iw.amount_mismatch"
CONFLICT: Final = "iw.conflict"
AMBIGUOUS: Final = "iw.ambiguous"
BOUND_ELSEWHERE: Final = "iw.bound_elsewhere"
SAME_KEY: Final = "iw.same_key"
TARGET_MISSING: Final = "iw.target_missing"
TARGET_INACTIVE: Final = "iw.target_inactive"
TARGET_VOIDED: Final = "iw.target_voided"
SOURCE_DELETED: Final = "iw.source_deleted"
SOURCE_VOIDED: Final = "iw.source_voided"
SOURCE_INACTIVE: Final = "iw.source_inactive"
PARTNER_GONE: Final = "iw.partner_gone"  # the flow of the other direction has something to do
UNBOUND: Final = "iw.unbound"
TOTAL_MISMATCH: Final = "iw.total_mismatch"
TOTAL_DIFFERS: Final = "iw.total_differs"
CARD_NUMBER: Final = "iw.card_number"
UNEXPECTED: Final = "iw.unexpected"

_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that keeps a record from going.

    :param message: what is wrong; names the field, what it holds and the limit. It may hold customer data.
    :param advice: who does what about it.
    :param held: the record waits (for `awaits`) instead of being rejected.
    :param create_only: it stands in the way of a create, not of an update.
    """

    field: str
    code: str
    message: str
    advice: str = ""
    held: bool = False
    create_only: bool = False
    awaits: tuple[Await, ...] = ()


class Bad(FixRecord):
    """Raised where a value turns out bad; caught where the record is planned."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message, code=problem.code, advice=problem.advice, field=problem.field)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Names:
    """What messages call the two systems: the labels of the mapping."""

    source: str
    target: str


def show(value: Value) -> str:
    """Return a value as messages show it: in quotation marks, on one line, short, storable anywhere.

    Control characters and halves of surrogate pairs, which no database takes, are shown by their number.
    """
    if value is None:
        return "nothing"
    if isinstance(value, tuple):
        return f"{len(value)} line{'' if len(value) == 1 else 's'}"
    if not isinstance(value, str):
        return str(value)
    text = value if len(value) <= _SHOWN else f"{value[: _SHOWN - 3]}..."
    return f'"{printable(text)}"'


def printable(text: str) -> str:
    """Return text with control characters and lone surrogates written as their numbers."""
    if text.isprintable():
        return text
    return "".join(f"\\u{ord(each):04x}" if unicodedata.category(each) in ("Cc", "Cs") else each for each in text)


def called(candidate: Candidate) -> str:
    """Return what messages call a record of the target: its name and its id."""
    return f"{show(candidate.label)} ({printable(candidate.id)})" if candidate.label else printable(candidate.id)


def summary(problems: Sequence[Problem]) -> Problem:
    """Return one problem for several: those that reject before those that only hold, each said once."""
    decisive = [each for each in problems if not each.held] or list(problems)
    first = decisive[0]
    if len(decisive) == 1:
        return first
    return Problem(
        field=first.field,
        code=first.code,
        message="; ".join(dict.fromkeys(each.message for each in decisive)),
        advice=" ".join(dict.fromkeys(each.advice for each in decisive if each.advice)),
        held=first.held,
        awaits=tuple(dict.fromkeys(each for problem in decisive for each in problem.awaits)),
    )
