"""One company's books: what all rules need at hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sandbox.quickbooks_online.clock import Clock, stamp
from sandbox.quickbooks_online.entities import ENTITIES
from sandbox.quickbooks_online.options import Options
from sandbox.quickbooks_online.schema import Entity
from sandbox.quickbooks_online.store import Row, Store

CENT = Decimal("0.01")
CURRENCY_NAMES: Mapping[str, str] = {
    "USD": "United States Dollar",
    "EUR": "Euro",
    "GBP": "British Pound Sterling",
    "CAD": "Canadian Dollar",
    "AUD": "Australian Dollar",
    "NZD": "New Zealand Dollar",
    "CHF": "Swiss Franc",
    "JPY": "Japanese Yen",
    "MXN": "Mexican Peso",
    "SGD": "Singapore Dollar",
}


def cents(amount: Decimal | int) -> Decimal:
    """Round to the cent, halves up: the vendor's way."""
    return Decimal(amount).quantize(CENT, ROUND_HALF_UP)


def currency_ref(code: str) -> dict[str, str]:
    """Return the reference to a currency."""
    return {"value": code, "name": CURRENCY_NAMES.get(code, code)}


class Books:
    """The store, the clock, the options, and the few settings that every rule asks for."""

    def __init__(self, store: Store, clock: Clock, options: Options) -> None:
        self.store = store
        self.clock = clock
        self.options = options

    @property
    def home(self) -> str:
        """Return the home currency's code."""
        return self.options.home_currency

    def stamp(self) -> str:
        """Return the present moment as entities write it."""
        return stamp(self.clock.now())

    def preferences(self) -> Row:
        """Return the Preferences."""
        return self.store.get("Preferences", "1") or {}

    def preference(self, group: str, name: str) -> Any:
        """Return one preference, None when it is not set."""
        return self.preferences().get(group, {}).get(name)

    def closed_until(self) -> dt.date | None:
        """Return the last date of the closed books."""
        value = self.preference("AccountingInfoPrefs", "BookCloseDate")
        return dt.date.fromisoformat(value) if value else None

    def get(self, entity: str, row_id: str) -> Row:
        """Return a row that is known to exist."""
        row = self.store.get(entity, row_id)
        if row is None:
            msg = f"no {entity} {row_id}"
            raise LookupError(msg)
        return row

    def touch(self, entity: Entity, row: Row, *, bump: bool) -> None:
        """Store a row as changed now; `bump` says whether its SyncToken goes up."""
        if bump:
            row["SyncToken"] = str(int(row["SyncToken"]) + 1)
        row["MetaData"] = {**row["MetaData"], "LastUpdatedTime": self.stamp()}
        self.store.save(entity, row)

    def account(self, account_type: str, subtype: str = "", currency: str = "") -> str:
        """Return the Id of the first active account of a type (and subtype, and currency), "" if there is none."""
        for (row_id,) in self.store.rows(
            'SELECT id FROM "Account" WHERE active = 1 AND "p_AccountType" = ? ORDER BY id', (account_type.casefold(),)
        ):
            row = self.get("Account", str(row_id))
            if subtype and row.get("AccountSubType") != subtype:
                continue
            if row.get("CurrencyRef", {}).get("value", self.home) == (currency or self.home):
                return str(row_id)
        return ""


def entity_of(name: str) -> Entity:
    """Return an entity's description."""
    return ENTITIES[name]
