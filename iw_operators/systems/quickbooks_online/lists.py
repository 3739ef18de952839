"""The short lists that fields refer to (terms, accounts) and the custom fields of sales forms, read once a task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Final

from iw_operators.spec.catalogue import LookupDef
from iw_operators.systems.quickbooks_online.client import Client
from iw_operators.systems.quickbooks_online.query import select

HIDE_INACTIVE: Final = frozenset(
    {"Account", "Class", "Customer", "Department", "Employee", "Item", "PaymentMethod", "TaxCode", "Term", "Vendor"}
)  # name lists, whose inactive rows a query leaves out unless asked for
NAME_OF_CUSTOM: Final = "SalesFormsPrefs.SalesCustomName"  # DI, Preferences: followed by the DefinitionId


class Lists:
    """What the lists of one company hold. Not refreshed: a task sees one state of them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lists: dict[str, list[Mapping[str, Any]]] = {}
        self._custom: dict[str, str] | None = None

    def text_of(self, entity: str, ident: str) -> str | None:
        """Return what an entry is called, full name where it has one; None when there is no such entry."""
        return _text(self._rows(entity), ident)

    def loaded_text_of(self, entity: str, ident: str) -> str | None:
        """Return the same without reading anything: None when the list has not been read yet."""
        return _text(self._lists.get(entity, ()), ident)

    def find(self, lookup: LookupDef, names: Collection[str]) -> dict[str, str]:
        """Return name -> id of active entries, compared without regard to case; unknown names are absent.

        The list's own `Name` serves too, where it is no other entry's.
        """
        rows = [row for row in self._rows(lookup.set) if row.get("Active", True)]
        short = Counter(str(row.get("Name", "")).casefold() for row in rows)
        known = {
            str(row["Name"]).casefold(): row for row in rows if row.get("Name") and short[row["Name"].casefold()] == 1
        }
        known |= {str(row[lookup.by]).casefold(): row for row in rows if row.get(lookup.by)}
        return {name: str(known[name.casefold()][lookup.key]) for name in names if name.casefold() in known}

    def custom(self) -> Mapping[str, str]:
        """Return name -> DefinitionId of the custom fields that sales forms have."""
        if self._custom is None:
            self._custom = {}
            for preferences in self._client.rows("Preferences", select("Preferences")):
                for group in preferences.get("SalesFormsPrefs", {}).get("CustomField") or ():
                    for entry in group.get("CustomField") or ():
                        name = str(entry.get("Name", ""))
                        if name.startswith(NAME_OF_CUSTOM) and entry.get("StringValue"):
                            self._custom[entry["StringValue"]] = name.removeprefix(NAME_OF_CUSTOM)
        return self._custom

    def _rows(self, entity: str) -> list[Mapping[str, Any]]:
        if entity not in self._lists:
            conditions = ["Active IN (true, false)"] if entity in HIDE_INACTIVE else []
            kept = ("Id", "Name", "FullyQualifiedName", "Active")
            self._lists[entity] = [
                {key: row[key] for key in kept if key in row} for row in self._client.all_rows(entity, conditions)
            ]
        return self._lists[entity]


def _text(rows: Collection[Mapping[str, Any]], ident: str) -> str | None:
    row = next((row for row in rows if row["Id"] == ident), None)
    return (row.get("FullyQualifiedName") or row.get("Name")) if row else None
