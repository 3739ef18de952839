"""Values of columns: from literals to what SQLite keeps, and from there to what a client gets.

Decimals are kept as whole numbers of hundred-thousandths, so that SQLite compares, sorts and adds them exactly; dates
and times as text in ISO order; yes and no as 1 and 0.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final

from sandbox.quickbooks_desktop import errors
from sandbox.quickbooks_desktop.schema import NUMBERS, Field
from sandbox.quickbooks_desktop.tree import Literal

SCALE: Final = 5
UNIT: Final = Decimal(1).scaleb(-SCALE)
CENT: Final = Decimal("0.01")
WORDS: Final = {  # the only values that some columns take (qbXML's enumerations)
    "AccountType": frozenset(
        [
            *("AccountsPayable", "AccountsReceivable", "Bank", "CostOfGoodsSold", "CreditCard", "Equity", "Expense"),
            *("FixedAsset", "Income", "LongTermLiability", "NonPosting", "OtherAsset", "OtherCurrentAsset"),
            *("OtherCurrentLiability", "OtherExpense", "OtherIncome"),
        ]
    ),
    "BillableStatus": frozenset(("Billable", "NotBillable", "HasBeenBilled")),
    "JobStatus": frozenset(("Awarded", "Closed", "InProgress", "None", "NotAwarded", "Pending")),
}
_MOMENT: Final = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?)?\Z")


def scaled(value: Decimal) -> int:
    """Return a number as SQLite keeps it."""
    return int(value.quantize(UNIT, ROUND_HALF_UP).scaleb(SCALE))


def unscaled(value: int | None) -> Decimal:
    """Return what SQLite keeps as a number; nothing is 0."""
    return Decimal(value or 0).scaleb(-SCALE)


def cents(value: Decimal) -> Decimal:
    """Round half up to the cent."""
    return value.quantize(CENT, ROUND_HALF_UP)


def shown(field: Field, value: Any) -> Any:
    """Return what a client gets for what SQLite keeps."""
    if value is None:
        return None
    if field.type in NUMBERS:
        places = Decimal(1).scaleb(-NUMBERS[field.type][1])
        return Decimal(value).scaleb(-SCALE).quantize(places, ROUND_HALF_UP)
    match field.type:
        case "d":
            return dt.date.fromisoformat(value)
        case "t":
            return dt.datetime.fromisoformat(value)
        case "b":
            return bool(value)
        case _:
            return value


def moment(text: str) -> str | None:
    """Return a date or time in ISO form, a whole second without its fraction; None if it is neither."""
    match = _MOMENT.match(text.strip())
    if match is None:
        return None
    day, time, fraction = match.groups()
    if time is None:
        return day
    return f"{day} {time}" + (f".{fraction.rstrip('0')}" if fraction and fraction.strip("0") else "")


def stored(field: Field, literal: Literal) -> Any:
    """Return what SQLite keeps for a literal that is written into a column.

    Raises `BackendError` with QODBC's text for a value that does not fit.
    """
    kind, text = literal.kind, literal.value
    if kind == "null" or (text == "" and field.type != "s"):
        return None
    if field.type == "s":
        if field.size and len(text) > field.size:
            raise errors.refusal(3070, text, field.name, field.size)
        words = next((words for name, words in WORDS.items() if field.name.endswith(name)), None)
        if words and text and text not in words:
            raise errors.refusal(3152, text, field.name)
        return text or None
    if field.type == "b":
        known = {"1": 1, "0": 0, "true": 1, "false": 0, "t": 1, "f": 0, "y": 1, "n": 0}.get(text.lower())
        if known is None:
            raise errors.refusal(3010, text, field.name)
        return known
    if field.type in ("d", "t"):
        found = moment(text)
        if found is None or not _exists(found):
            raise errors.refusal(3020, text, field.name)
        return found[:10] if field.type == "d" else found if len(found) > 10 else f"{found} 00:00:00"
    return _number(field, text)


def _exists(text: str) -> bool:
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _number(field: Field, text: str) -> int:
    code = 3060 if field.type == "q" else 3045
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise errors.refusal(code, text, field.name) from None
    if not value.is_finite():
        raise errors.refusal(code, text, field.name)
    if field.type == "i":
        return int(value)
    digits, places = NUMBERS[field.type]
    value = value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    if abs(value) >= Decimal(10) ** (digits - places):
        raise errors.refusal(code, text, field.name)
    return scaled(value)


def compared(field: Field, literal: Literal, operator: str) -> Any:
    """Return a literal as it is compared with a column. Raises `BackendError` where the types do not go together."""
    kind, text = literal.kind, literal.value
    if kind == "null":
        return None
    if field.type == "s":
        if kind in ("number", "bool"):
            raise errors.operand(operator)
        return text
    if field.type == "b":
        if text.lower() not in ("0", "1", "true", "false"):
            raise errors.operand(operator)
        return int(text.lower() in ("1", "true"))
    if field.type in ("d", "t"):
        found = moment(text)
        if found is None or kind == "number":
            raise errors.operand(operator)
        # A date and a moment compare as moments; the stored date is padded where a time of day matters.
        return found[:10] if field.type == "d" and found[10:] in ("", " 00:00:00") else found
    if kind != "number":
        raise errors.operand(operator)
    return int(Decimal(text)) if field.type == "i" else scaled(Decimal(text))
