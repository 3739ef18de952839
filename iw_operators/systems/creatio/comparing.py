"""Whether Creatio holds what was sent, by its own measure."""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from iw_operators.engine.model import Value
from iw_operators.spec.catalogue import FieldDef, FieldType

SAME_MOMENT: Final = dt.timedelta(seconds=1)


def same(sent: Value, held: Value, field: FieldDef) -> bool:
    """Tell whether a value read is the value sent: Creatio rounds, and has no empty numbers and booleans."""
    if sent is None or held is None:
        empty: tuple[Value, ...] = (None, "", 0, False)
        return sent in empty and held in empty
    if isinstance(sent, dt.datetime) and isinstance(held, dt.datetime):
        return abs(sent - held) < SAME_MOMENT
    if field.type in (FieldType.DECIMAL, FieldType.MONEY, FieldType.INTEGER):
        if isinstance(held, str):  # a column of text, that the mapping takes for one of numbers
            return False
        return _rounded(sent, field) == _rounded(held, field)
    if field.lookup is not None or field.type is FieldType.REF:
        return str(sent).strip().casefold() == str(held).strip().casefold()
    return sent == held


def _rounded(value: Value, field: FieldDef) -> Decimal:
    number = Decimal(str(value))
    if field.scale is None:
        return number
    return number.quantize(Decimal(1).scaleb(-field.scale), ROUND_HALF_UP)
