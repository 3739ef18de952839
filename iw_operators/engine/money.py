"""Exact numbers: places, rounding and the invariants of money that are checked before anything is sent.

Rounding is half away from zero (ROUND_HALF_UP), as on an invoice. Nothing here uses binary floating point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Context, Decimal, DecimalException
from typing import Final, TypeVar

from iw_operators.engine.model import Scalar
from iw_operators.spec.catalogue import FieldDef, FieldType

DIGITS: Final = 24  # before and after the point; what no system keeps is no amount
MONEY_PLACES: Final = 2

_CONTEXT: Final = Context(prec=60, rounding=ROUND_HALF_UP)
_UNITS: Final = tuple(Decimal(1).scaleb(-places) for places in range(DIGITS + 1))
_N = TypeVar("_N", int, Decimal)


def bounded(number: _N) -> _N:
    """Return the number if it is finite and of a size that can be written out.

    :raises ValueError: it is not.
    """
    if isinstance(number, int):
        if number.bit_length() > 4 * DIGITS:
            msg = f"is a number of more than {DIGITS} digits"
            raise ValueError(msg)
        return number
    if not number.is_finite():
        msg = "is not a number"
        raise ValueError(msg)
    exponent = number.as_tuple().exponent
    if number.adjusted() >= DIGITS or (isinstance(exponent, int) and exponent < -2 * DIGITS):
        msg = f"is a number of more than {DIGITS} digits"
        raise ValueError(msg)
    return number


def number(value: int | str | Decimal) -> Decimal:
    """Return a Decimal of a number or of text that is one (a point for decimals, nothing for thousands).

    :raises ValueError: it is not a number, or too large.
    """
    if isinstance(value, str):
        text = value.strip()
        if "_" in text:
            msg = "is not a number"
            raise ValueError(msg)
        try:
            return bounded(Decimal(text))
        except DecimalException:
            msg = "is not a number"
            raise ValueError(msg) from None
    return bounded(Decimal(value))


def quantised(value: Decimal, places: int) -> Decimal:
    """Return the value with so many places, rounded half away from zero.

    :raises ValueError: the value is not finite or too large.
    """
    if not 0 <= places <= DIGITS:
        msg = f"cannot have {places} places"
        raise ValueError(msg)
    return bounded(value).quantize(_UNITS[places], context=_CONTEXT)


def places(definition: FieldDef) -> int | None:
    """Return how many places a field keeps; None where it keeps what it gets."""
    if definition.scale is not None:
        return definition.scale
    return MONEY_PLACES if definition.type is FieldType.MONEY else None


def line_amount(quantity: Decimal, price: Decimal, scale: int = MONEY_PLACES) -> Decimal:
    """Return quantity x price, rounded to `scale` places."""
    return quantised(_CONTEXT.multiply(quantity, price), scale)


def amount_off(line: Mapping[str, Scalar], scale: int = MONEY_PLACES) -> Decimal | None:
    """Return what a line's amount should be where it is more than one unit off quantity x price, else None.

    One unit of the last place is let through: systems round the halves differently. A line that lacks one of the
    three has nothing to compare.
    """
    quantity, price, amount = line.get("quantity"), line.get("price"), line.get("amount")
    if not isinstance(quantity, Decimal) or not isinstance(price, Decimal) or not isinstance(amount, Decimal):
        return None
    expected = line_amount(quantity, price, scale)
    return expected if abs(expected - amount) > _UNITS[scale] else None


def lines_sum(lines: Iterable[Mapping[str, Scalar]]) -> Decimal | None:
    """Return what lines come to, unrounded: their amounts, or quantity x price where a line has none.

    None where there are no lines, or a line that says neither.
    """
    amounts: list[Decimal] = []
    for line in lines:
        amount, quantity, price = line.get("amount"), line.get("quantity"), line.get("price")
        if isinstance(amount, Decimal):
            amounts.append(amount)
        elif isinstance(quantity, Decimal) and isinstance(price, Decimal):
            amounts.append(line_amount(quantity, price))
        else:
            return None
    return added(amounts) if amounts else None


def added(amounts: Iterable[Decimal]) -> Decimal:
    """Return an exact sum."""
    total = Decimal(0)
    for amount in amounts:
        total = _CONTEXT.add(total, bounded(amount))
    return total


def expected_total(
    lines: Iterable[Mapping[str, Scalar]], discount: Scalar = None, tax: Scalar = None, scale: int = MONEY_PLACES
) -> Decimal | None:
    """Return lines - discount + tax, rounded once, at the end. None where the lines do not say what they come to."""
    total = lines_sum(lines)
    if total is None:
        return None
    less = discount if isinstance(discount, Decimal) else Decimal(0)
    more = tax if isinstance(tax, Decimal) else Decimal(0)
    return quantised(added((total, -less, more)), scale)


def differs(one: Decimal, other: Decimal, scale: int = MONEY_PLACES) -> Decimal | None:
    """Return one - other where they are not the same to the last place, else None."""
    difference = quantised(_CONTEXT.subtract(quantised(one, scale), quantised(other, scale)), scale)
    return difference or None
