"""What the acme world and its books share: how many of what there are, and values derived from names.

Nothing here reads a clock or draws random numbers: what varies is a checksum of a name, so that each build gives the
same world, and a record keeps its values when others are added.
"""

from __future__ import annotations

import datetime as dt
import uuid
import zlib
from decimal import ROUND_HALF_UP, Decimal

BOUND = 30  # accounts that an earlier integration has bound to customers
ALIKE = 15  # accounts whose customer is found by name and phone only
AMBIGUOUS = 2  # accounts to which two customers fit
ACCOUNTS = 200
CONTACTS = 300
PRODUCTS = 60
OPPORTUNITIES = 250
INVOICED = 40
WON = 90
LOST = 40
BOUND_PRODUCTS = 18
NAMED_PRODUCTS = 12
ARCHIVED_PRODUCTS = frozenset({43, 47, 52, 58})
FIRST_INVOICE_ID = 1001
DELETED_INVOICE_ID = str(FIRST_INVOICE_ID + INVOICED)
LAST = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
SHARED_STAMP = dt.datetime(2026, 9, 15, 12, 30, tzinfo=dt.UTC)  # of several won opportunities, as after an import

FIRST = dt.datetime(2026, 1, 4, 8, tzinfo=dt.UTC)
_CENT = Decimal("0.01")
_SPACE = uuid.UUID("6f1f9a52-8f1c-4f7e-9d52-0a7c5e0f2026")


def guid(kind: str, number: int) -> str:
    """Return the id of a record."""
    return str(uuid.uuid5(_SPACE, f"{kind}/{number}"))


def roll(key: str, sides: int) -> int:
    """Return a number below `sides` that depends on `key` alone."""
    return zlib.crc32(key.encode()) % sides


def stamp(key: str, latest: dt.datetime = LAST) -> dt.datetime:
    """Return a moment of the year 2026, not after `latest`, with milliseconds as a live system has them."""
    seconds = int((latest - FIRST).total_seconds())
    return FIRST + dt.timedelta(seconds=roll(key, seconds), milliseconds=roll(key + "ms", 1000))


def cents(value: Decimal) -> Decimal:
    """Round half up to the cent."""
    return value.quantize(_CENT, ROUND_HALF_UP)


def phone(number: int, notation: int) -> str:
    """Return a fictitious phone number in one of the notations people type; 5 is none."""
    area, last = 201 + number % 700, f"{number % 100:02d}"
    return (
        f"+1 {area} 555 01{last}",
        f"({area}) 555-01{last}",
        f"{area}.555.01{last}",
        f"{area}55501{last}",
        f"1-{area}-555-01{last}",
        "",
    )[notation % 6]
