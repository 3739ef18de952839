"""The short lists that fields refer to by name (terms, accounts, currencies), read once a task."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from iw_operators.errors import FixConfiguration
from iw_operators.spec.catalogue import LookupDef
from iw_operators.systems.quickbooks_desktop import locales
from iw_operators.systems.quickbooks_desktop.client import Client
from iw_operators.systems.quickbooks_desktop.dialect import as_bool, as_text, select
from iw_operators.systems.quickbooks_desktop.shape import Place
from iw_operators.systems.quickbooks_desktop.tables import ACTIVE, LIST_KEY

CURRENCY: Final = "Currency"
OWN: Final = "the company file's own currency"  # stands for the id that files without several currencies do not have
ALSO: Final[Mapping[str, str]] = {"ItemSalesTax": "ItemSalesTaxGroup"}  # lists whose entries stand in two tables
ABSENT: Final = frozenset({"odbc.name", "3250"})  # the list is not there, or its feature is switched off


class Lists:
    """Entries of lists of one company file. Not refreshed: a task sees one state of them."""

    def __init__(self, client: Client, place: Place) -> None:
        self._client = client
        self._place = place
        self._entries: dict[tuple[str, str], dict[str, tuple[str, bool]]] = {}

    def find(self, lookup: LookupDef, names: Collection[str]) -> dict[str, str]:
        """Return name -> id of active entries, compared without regard to case; unknown names are absent.

        The company's own currency is always known, in files without several currencies too.
        """
        if not names:
            return {}
        known = {text.casefold(): ident for ident, (text, active) in self._of(lookup).items() if active}
        if lookup.set == CURRENCY:
            known.setdefault(self._place.base_currency.casefold(), OWN)
        return {name: known[name.casefold()] for name in names if name.casefold() in known}

    def text_of(self, table: str, ident: str) -> str | None:
        """Return what an entry is called by the code that people use; None when there is no such entry."""
        found = self._read(table, "CurrencyCode" if table == CURRENCY else "Name").get(ident)
        return found[0] if found else None

    def _of(self, lookup: LookupDef) -> Mapping[str, tuple[str, bool]]:
        return self._read(lookup.set, lookup.by)

    def _read(self, table: str, column: str) -> Mapping[str, tuple[str, bool]]:
        table = locales.list_of(table, self._place.locale)
        if (table, column) not in self._entries:
            entries: dict[str, tuple[str, bool]] = {}
            for each in filter(None, (table, ALSO.get(table))):
                for row in self._rows(each, column, optional=each == CURRENCY or each != table):
                    text = as_text(row[column.lower()])
                    if text is not None:
                        entries[str(row[LIST_KEY.lower()])] = text, as_bool(row[ACTIVE.lower()]) is not False
            self._entries[table, column] = entries
        return self._entries[table, column]

    def _rows(self, table: str, column: str, *, optional: bool) -> Sequence[Mapping[str, Any]]:
        try:
            return self._client.all(select([LIST_KEY, column, ACTIVE], table))
        except FixConfiguration as error:
            if not optional or error.code not in ABSENT:
                raise
            return ()
