"""Sales and bills of the CRM that have to be in the books, as its rows hold them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from chaos.books import Line
from chaos.rows import Row
from sandbox.creatio.seed import list_id

WON: Final = list_id("OpportunityStage", "Closed won")
CONFIRMED: Final = frozenset(list_id("OrderStatus", name) for name in ("2. Confirmation", "3. In progress"))
SUPPLIER: Final = list_id("AccountType", "Supplier")


@dataclass(frozen=True, slots=True)
class Paper:
    """A kind of document. `due`: whether a row has to be in the books; `number`: where their number is written back.

    `prefix` stands before the columns of its lines.
    """

    mapping: str
    crm: str
    lines: str
    link: str
    party: str
    due: Callable[[Row], bool]
    number: str = ""
    prefix: str = ""

    def amounts(self, products: Mapping[str, Row], rows: Mapping[str, Row]) -> dict[str, list[Line]]:
        """Return the lines that the books must have, by the document's id."""
        found: dict[str, list[Line]] = defaultdict(list)
        for row in rows.values():
            quantity, price = row[f"{self.prefix}Quantity"], row[f"{self.prefix}Price"]
            if product := row[f"{self.prefix}ProductId"]:
                line = (str(products[product]["UsrQBId"]), quantity, price, rounded(quantity * price))
            else:
                line = (str(row[f"{self.prefix}GLAccount"]), Decimal(0), Decimal(0), row[f"{self.prefix}Amount"])
            found[row[self.link]].append(line)
        return found


INVOICES: Final = Paper(
    *("invoices", "Opportunity", "OpportunityProductInterest", "OpportunityId", "AccountId"),
    due=lambda row: bool(row["StageId"] == WON),
    number="UsrInvoiceNumber",
)
ORDERS: Final = Paper(
    *("sales_orders", "Order", "OrderProduct", "OrderId", "AccountId"),
    due=lambda row: row["StatusId"] in CONFIRMED,
    number="UsrQBNumber",
)
BILLS: Final = Paper(
    *("bills", "UsrBillQB", "UsrBillLineQB", "UsrBillId", "UsrVendorId"), due=lambda _: True, prefix="Usr"
)
PAPERS: Final = {paper.mapping: paper for paper in (INVOICES, ORDERS, BILLS)}


def rounded(value: Decimal) -> Decimal:
    """Round half up to the cent."""
    return value.quantize(Decimal("0.01"), "ROUND_HALF_UP")
