"""Both sandboxes' data, read from their files: nothing of the product takes part."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

Row = Mapping[str, Any]

_CENTS: Final = {"Price", "Amount", "UsrQBTotal", "UsrQBBalance", "UsrTotalAmount", "UsrUnapplied"}
_PLACES: Final = {**dict.fromkeys(_CENTS, 2), "Quantity": 3, "UsrExchangeRate": 4}
TICKS: Final = 10_000_000  # of the CRM's file, in a second


def crm(file: Path, *objects: str) -> dict[str, dict[str, Row]]:
    """Return rows by object and id, decimals as decimals."""
    found: dict[str, dict[str, Row]] = {}
    with _opened(file) as database:
        for name in objects:
            cursor = database.execute(f'SELECT * FROM "{name}"')  # noqa: S608  a constant of the caller
            columns = [each[0] for each in cursor.description]
            found[name] = {}
            for values in cursor:
                row = {
                    column: Decimal(value).scaleb(-_PLACES[column]) if column in _PLACES else value
                    for column, value in zip(columns, values, strict=True)
                }
                found[name][str(row["Id"])] = row
    return found


def books(file: Path, *entities: str) -> dict[str, dict[str, Row]]:
    """Return rows by entity and id, as the books show them."""
    with _opened(file) as database:
        return {
            name: {
                str(row["Id"]): row
                for (body,) in database.execute(f'SELECT body FROM "{name}"')  # noqa: S608  a constant of the caller
                for row in [json.loads(body, parse_float=Decimal)]
            }
            for name in entities
        }


class _opened:  # noqa: N801  a context manager that reads like a function
    def __init__(self, file: Path) -> None:
        self._database = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)

    def __enter__(self) -> sqlite3.Connection:
        return self._database

    def __exit__(self, *_: object) -> None:
        self._database.close()
