"""Numbers of payment cards in text (M11): found, never shown.

Of a card on file only token, brand, the last four digits and the expiry may move or be stored. A full number that
somebody has typed into a note must therefore go nowhere, not even into our own record log. It is a number if

* it has the length and the first digits of a brand that issues them (the table below),
* its last digit is right (Luhn's formula), and
* it is written as cards are: without gaps, or in the brand's groups (4-4-4-4, 4-6-5, 4-6-4) with one kind of gap:
  blanks, a dash, an underscore, a tab or a line break.

Digits of other scripts count, and what has no width (zero-width blanks, joiners, marks of direction) does not. After
a `#` it is a number if it stands in groups, or a word of cards stands near it (`card #...`, `#... exp 12/29`).

What that leaves alone, on purpose: numbers with letters, points or slashes in or at them (order numbers, versions),
a `#` and a number without gaps (order numbers again), lists of numbers of four digits in lines or columns, phone
numbers (too short, or with a plus), account numbers in IBAN form, GTINs and ISBNs of 13 digits (the brand that
had as many digits issues them no more; in groups they count), device numbers. A number of 16 digits that is none and
yet has a brand's first digits and the right last one (one in ten) is taken for one: in a field that holds such
numbers say in the mapping that it is an identifier by mapping it as `number`, `reference`, `code` or
`account_number`, where nothing is looked for. Fields of the types phone, e-mail, reference, number and date are not
looked at either, nor texts that have to stand in a list.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from iw_operators.engine.model import Action, Decision, Record, Values
from iw_operators.engine.problems import CARD_NUMBER, Names
from iw_operators.spec.catalogue import FieldDef, FieldType

IDENTIFIERS: Final = frozenset({"number", "reference", "code", "account_number", "full_number"})
_GUARDED: Final = frozenset({FieldType.TEXT, FieldType.MEMO})

_DASHES: Final = "\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d_-"  # in a class: the last one is no range
_UNSEEN: Final = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
_NO_WIDTH: Final = re.compile(f"[{_UNSEEN}]")
_GAP: Final = rf"(?:\s{{1,3}}|\s?[{_DASHES}]\s?)"
_MAYBE: Final = re.compile(rf"\d(?:[\s{_UNSEEN}{_DASHES}]{{0,8}}\d){{12}}")  # most text has none: asked first
_RUN: Final = re.compile(rf"(?<![\w.,/+])\d+(?:{_GAP}\d+)*(?![^\W_]|_\w|/|[.,]\d)")
_IBAN: Final = re.compile(r"\b[A-Z]{2}[0-9]{2}(?: {0,3}[A-Z0-9]{4}){2,7}(?: {0,3}[A-Z0-9]{1,3})?\b")
_NEAR: Final = 24  # characters before and after a number in which a word of cards is looked for
_WORDS: Final = re.compile(
    r"(?<![^\W_])(?:cards?|cc|pan|credit|debit|visa|master ?card|mc|amex|american express|discover|diners|jcb|maestro"
    r"|union ?pay|exp|expires|expiry|expiration|cvv2?|cvc2?|karte|kreditkarte|carte|tarjeta)(?![^\W_])",
    re.IGNORECASE,
)
_GROUPS: Final = frozenset({(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 3, 3, 3), (4, 4, 4, 4, 3), (6, 13), (4, 5, 6)})
_USUAL: Final = frozenset({(4, 4, 4, 4), (4, 6, 5), (4, 6, 4)})
_EXPIRY: Final = re.compile(r"(?:0[1-9]|1[0-2])\d\d")
_MASKED: Final = "card ending in {}"


def _brand(first: str, *lengths: int) -> tuple[tuple[int, int, int], frozenset[int]]:
    """Return first digits (`51-55`, `4`) as how many digits, from, to; and the lengths."""
    low, _, high = first.partition("-")
    return (len(low), int(low), int(high or low)), frozenset(lengths)


# First digits and lengths as the brands and ISO/IEC 7812 state them.
_BRANDS: Final = (
    _brand("4", 13, 16, 19),  # Visa
    _brand("51-55", 16),  # Mastercard
    _brand("2221-2720", 16),
    _brand("34", 15),  # American Express
    _brand("37", 15),
    _brand("6011", 16, 19),  # Discover
    _brand("644-649", 16, 19),
    _brand("65", 16, 19),
    _brand("300-305", 14, 16, 19),  # Diners Club
    _brand("3095", 14, 16, 19),
    _brand("36", 14, 16, 19),
    _brand("38-39", 14, 16, 19),
    _brand("3528-3589", 16, 19),  # JCB
    _brand("62", 16, 17, 18, 19),  # UnionPay
    _brand("2200-2204", 16, 19),  # Mir
    _brand("5018", 16, 18, 19),  # Maestro
    _brand("5020", 16, 18, 19),
    _brand("5038", 16, 18, 19),
    _brand("5893", 16, 18, 19),
    _brand("6304", 16, 18, 19),
    _brand("6759", 16, 18, 19),
    _brand("6761-6763", 16, 18, 19),
)


def guarded(name: str, definition: FieldDef | None) -> bool:
    """Tell whether a field is one in which card numbers are looked for: free text, and no identifier."""
    return (
        definition is not None
        and definition.type in _GUARDED
        and definition.lookup is None
        and name.rpartition(".")[2] not in IDENTIFIERS
    )


@dataclass(frozen=True, slots=True)
class Guard:
    """One side's fields in which card numbers are looked for."""

    fields: tuple[str, ...]
    lines: tuple[str, ...]

    @classmethod
    def of(cls, fields: Mapping[str, FieldDef], lines: Mapping[str, FieldDef]) -> Guard:
        """Return the guard of these fields."""
        return cls(
            tuple(name for name, definition in fields.items() if guarded(name, definition)),
            tuple(name for name, definition in lines.items() if guarded(name, definition)),
        )

    def where(self, values: Values) -> str:
        """Return the path of the first field that holds a card's number; empty if none does."""
        for name in self.fields:
            value = values.get(name)
            if isinstance(value, str) and has_card(value):
                return name
        lines = values.get("lines")
        if self.lines and isinstance(lines, tuple):
            for position, line in enumerate(lines, start=1):
                for name in self.lines:
                    value = line.get(name)
                    if isinstance(value, str) and has_card(value):
                        return f"lines[{position}].{name}"
        return ""


@dataclass(frozen=True, slots=True)
class CardGuard:
    """Keeps card numbers from being sent and from being remembered, whichever side they come from."""

    source: Guard
    target: Guard
    names: Names

    def checked(self, record: Record, decision: Decision, partner: Record | None) -> Decision:
        """Return the decision, or a rejection where it would send or remember the number of a card.

        :param partner: the target's record that the decision was made from, if there was one.
        """
        if not (decision.send or decision.source or decision.target or decision.changes):
            return decision
        if path := self.source.where(record.values):
            return self._rejected(record, decision, path, self.names.source)
        if path := self.target.where(decision.send):  # put together by an expression
            return self._rejected(record, decision, path, self.names.source)
        if partner is not None and (path := self.target.where(partner.values)):
            return self._rejected(record, decision, path, self.names.target)
        return decision

    def _rejected(self, record: Record, decision: Decision, path: str, system: str) -> Decision:
        return Decision(
            action=Action.REJECT,
            source_id=record.id,
            why=f"{path} in {system} holds what looks like the number of a payment card; it is neither sent nor stored",
            label=masked(decision.label),
            target_id=decision.target_id,
            source_version=record.version,
            code=CARD_NUMBER,
            advice=f"Take it out in {system}. Token, brand, last four digits and expiry may stay.",
            field=path,
        )


def has_card(text: str) -> bool:
    """Tell whether a text holds the full number of a payment card."""
    return len(text) >= 13 and _MAYBE.search(text) is not None and next(_found(text), None) is not None


def masked(text: str) -> str:
    """Return the text with each card number replaced by its last four digits."""
    if len(text) < 13 or _MAYBE.search(text) is None:
        return text
    for start, end in reversed(list(_found(text))):
        digits = "".join(str(unicodedata.decimal(each)) for each in text[start:end] if each.isdecimal())
        text = text[:start] + _MASKED.format(digits[-4:]) + text[end:]
    return text


def _found(text: str) -> Iterator[tuple[int, int]]:
    """Yield where card numbers begin and end, from left to right."""
    seen: Sequence[int] = range(len(text))
    if not text.isascii():
        seen = [position for position, each in enumerate(text) if not _NO_WIDTH.match(each)]
    plain = "".join(text[position] for position in seen)
    plain = _IBAN.sub(lambda iban: "." * len(iban.group()), plain)
    for run in _RUN.finditer(plain):
        groups = [(group.start() + run.start(), group.end() + run.start()) for group in re.finditer(r"\d+", run[0])]
        position = 0
        while position < len(groups):
            size = next((size for size in (1, 2, 3, 4, 5) if _is_card(plain, groups, position, size)), 0)
            if size:
                yield seen[groups[position][0]], seen[groups[position + size - 1][1] - 1] + 1
            position += size or 1


def _is_card(text: str, all_groups: Sequence[tuple[int, int]], first: int, size: int) -> bool:
    """Tell whether so many groups of a run, from the one at `first` on, are a card's number."""
    groups = all_groups[first : first + size]
    if len(groups) < size:
        return False
    digits = "".join(text[start:end] for start, end in groups)
    if not 13 <= len(digits) <= 19 or not _issued(digits) or not _luhn(digits):
        return False
    before, after = _gap(text, all_groups, first), _gap(text, all_groups, first + size)
    if "_" in (_kind(before), _kind(after)):  # a part of a name, as of a file
        return False
    if size == 1:
        start = groups[0][0]
        return len(digits) > 13 and (start == 0 or text[start - 1] != "#" or _spoken_of(text, groups[0]))
    gaps = [_gap(text, all_groups, number) for number in range(first + 1, first + size)]
    kinds, lengths = {_kind(gap) for gap in gaps}, tuple(end - start for start, end in groups)
    if len(kinds) > 1:
        return False
    if not kinds & {"\t", "\n"} and all(len(gap) == 1 for gap in gaps):
        return lengths in _GROUPS
    if lengths != (4, 4, 4, 4):
        return lengths in _USUAL
    return not _in_a_list(text, all_groups, first, first + size, *kinds)


def _gap(text: str, groups: Sequence[tuple[int, int]], number: int) -> str:
    """Return what stands before the group with this number, empty before the first and after the last one."""
    return text[groups[number - 1][1] : groups[number][0]] if 0 < number < len(groups) else ""


def _kind(gap: str) -> str:
    """Return which kind of gap this is, its width aside: a dash, a line break, a tab or a blank."""
    dash = gap.strip()
    if dash or not gap:
        return dash
    if gap.splitlines() != [gap]:
        return "\n"
    return "\t" if "\t" in gap else " "


def _in_a_list(text: str, groups: Sequence[tuple[int, int]], first: int, end: int, kind: str) -> bool:
    """Tell whether more numbers of four digits go on before or after in the same way; one expiry may follow."""

    def goes_on(number: int, gap: int) -> str:
        if not 0 <= number < len(groups) or _kind(_gap(text, groups, gap)) != kind:
            return ""
        found = text[slice(*groups[number])]
        return found if len(found) == 4 else ""

    if goes_on(first - 1, first):
        return True
    following = goes_on(end, end)
    return bool(following) and (not _EXPIRY.fullmatch(following) or bool(goes_on(end + 1, end + 1)))


def _spoken_of(text: str, number: tuple[int, int]) -> bool:
    """Tell whether a word of cards stands near a number."""
    start, end = number
    return any(map(_WORDS.search, (text[max(0, start - _NEAR) : start], text[end : end + _NEAR])))


def _issued(digits: str) -> bool:
    return any(len(digits) in lengths and low <= int(digits[:count]) <= high for (count, low, high), lengths in _BRANDS)


def _luhn(digits: str) -> bool:
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
