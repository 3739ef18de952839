"""What can be set about the sandbox."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

USER = "interweave"
PASSWORD = "Desktop1!"
DATABASE = "company"


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `make` and of `POST /_sandbox/reset`.

    :param time_zone: the company file's local time, which all its times are in.
    :param clock_shift: seconds that the QuickBooks host's clock is ahead.
    :param slow_seconds: how long each 500 rows of a read take (QODBC fetches in XML batches of 500).
    :param country: US, CA or UK, as QuickBooks editions differ.
    :param custom_fields: names of custom fields by table; the items of all types share one list, under `Item`.
    :param closed_until: transactions up to this date cannot be written (the books' closing date).
    :param read_only: the connector's switch.
    """

    time_zone: str = "America/New_York"
    clock_shift: float = 0.0
    slow_seconds: float = 0.0
    country: str = "US"
    closed_until: str = ""
    read_only: bool = False
    user: str = USER
    password: str = PASSWORD
    database: str = DATABASE
    company_name: str = "Globex Corporation"
    custom_fields: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {
            "Customer": ("AccountID", "Region"),
            "Vendor": ("AccountID",),
            "Employee": ("EmployeeID",),
            "Item": ("ItemCode", "Weight"),
            "Transaction": ("OpportunityID",),
        }
    )

    def changed(self, given: Mapping[str, Any]) -> Options:
        """Return the options with `given` put over them. Raises ValueError for an unknown one or a wrong type."""
        known = {f.name for f in dataclasses.fields(self)}
        values: dict[str, Any] = {}
        for name, value in given.items():
            if name not in known:
                msg = f"unknown option {name!r}; known: seed, {', '.join(sorted(known))}"
                raise ValueError(msg)
            if name == "custom_fields":
                value = {table: tuple(str(label) for label in labels) for table, labels in value.items()}
            elif isinstance(getattr(self, name), bool) is not isinstance(value, bool):
                msg = f"option {name!r} takes {type(getattr(self, name)).__name__}, not {value!r}"
                raise ValueError(msg)
            else:
                value = type(getattr(self, name))(value)
            values[name] = value
        return dataclasses.replace(self, **values)

    def fields_of(self) -> dict[str, tuple[str, ...]]:
        """Return the custom fields by the table that shows them."""
        found = dict(self.custom_fields)
        for item in (*ITEM_TABLES, "Item"):
            found[item] = found.get("Item", ())
        shared = found.pop("Transaction", ())
        for table in CUSTOM_TRANSACTIONS:
            found[table] = found.get(table, ()) or shared
        return found


ITEM_TABLES = ("ItemService", "ItemNonInventory", "ItemOtherCharge", "ItemInventory", "ItemDiscount", "ItemGroup")
CUSTOM_TRANSACTIONS = ("Invoice", "SalesOrder", "Estimate", "SalesReceipt", "CreditMemo", "PurchaseOrder")
