"""What differs with the country that a company file is made for: addresses, tax, written dates. No I/O.

Sources: Intuit's qbXML reference (fields of the US, CA, UK and AU editions). Dates travel as dates and so have no
order of their own; text that a driver gives in their place is read in the order of the country (`dialect.as_date`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# The part of an address below the country. The catalogue says State, as the US edition does.
REGION: Final[Mapping[str, str]] = {"CA": "Province", "UK": "County"}

# Which columns hold the tax of a transaction. The US edition has one sum, the Canadian one for each of two taxes.
TAX: Final[Mapping[str, str]] = {"CA": "Tax1Total+Tax2Total", "UK": "Tax1Total"}

# The code that says how a line or a record is taxed.
CODE: Final[Mapping[str, str]] = {"CA": "TaxCodeRefFullName", "UK": "TaxCodeRefFullName"}
LIST: Final[Mapping[str, str]] = {"CA": "TaxCode", "UK": "TaxCode"}

_ADDRESSES: Final = ("BillAddress", "ShipAddress", "VendorAddress", "EmployeeAddress", "Address")


def native(path: str, locale: str) -> str:
    """Return the column, or the columns of a sum, that a catalogue's `native` means in a country."""
    if locale in REGION and path.endswith("State") and path.removesuffix("State") in _ADDRESSES:
        return path.removesuffix("State") + REGION[locale]
    if locale in TAX:
        path = "+".join(TAX[locale] if part == "SalesTaxTotal" else part for part in path.split("+"))
    if locale in CODE and path.endswith("SalesTaxCodeRefFullName"):
        return path.removesuffix("SalesTaxCodeRefFullName") + CODE[locale]
    return path


def list_of(table: str, locale: str) -> str:
    """Return the list that a lookup's `set` means in a country."""
    return LIST.get(locale, table) if table == "SalesTaxCode" else table
