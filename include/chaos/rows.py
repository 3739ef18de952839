"""The CRM's data, read from its sandbox's file: nothing of the product takes part."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

Row = Mapping[str, Any]

_CENTS: Final = {"Price", "Amount", "UsrPrice", "UsrAmount", "UsrQBTotal", "UsrQBBalance", "UsrTotalAmount"}
_PLACES: Final = {**dict.fromkeys(_CENTS, 2), "UsrUnapplied": 2, "Quantity": 3, "UsrQuantity": 3, "UsrExchangeRate": 4}
TICKS: Final = 10_000_000  # of the CRM's file, in a second


def crm(file: Path, *objects: str) -> dict[str, dict[str, Row]]:
    """Return rows by object and id, decimals as decimals."""
    found: dict[str, dict[str, Row]] = {}
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as database:
        for name in objects:
            cursor = database.execute(f'SELECT * FROM "{name}"')  # noqa: S608  a constant of the caller
            columns = [each[0] for each in cursor.description]
            found[name] = {}
            for values in cursor:
                row = {
                    column: Decimal(value or 0).scaleb(-_PLACES[column]) if column in _PLACES else value
                    for column, value in zip(columns, values, strict=True)
                }
                found[name][str(row["Id"])] = row
    return found
