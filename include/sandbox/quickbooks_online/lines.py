"""Lines of a transaction: filled in, checked, numbered, summed. Amounts are Decimal, to the cent, halves up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sandbox.quickbooks_online import errors
from sandbox.quickbooks_online.books import Books, cents
from sandbox.quickbooks_online.refs import WORDS, value_of
from sandbox.quickbooks_online.schema import Entity
from sandbox.quickbooks_online.store import Row

ZERO = Decimal("0.00")
PRICE = Decimal("0.0000001")
SUBTOTAL = "SubTotalLineDetail"
DISCOUNT = "DiscountLineDetail"
_CATEGORY = (
    "Invalid Reference Id : An item in this transaction is set up as a category instead of a product or service."
)


@dataclass(frozen=True, slots=True)
class Summed:
    """Lines as they are stored, and their sums. `taxable` is the part of `net` that sales tax is on."""

    lines: list[Row]
    subtotal: Decimal
    discount: Decimal
    taxable: Decimal

    @property
    def net(self) -> Decimal:
        """Return the sum of the lines after discount."""
        return self.subtotal - self.discount


def number(lines: list[Row], first_id: int) -> list[Row]:
    """Give lines their Ids and LineNums; a subtotal has neither."""
    position = 0
    for line in lines:
        line.pop("Id", None)
        line.pop("LineNum", None)
        if line.get("DetailType") == SUBTOTAL:
            continue
        line["Id"] = str(first_id + position)
        position += 1
        line["LineNum"] = position
        line.setdefault("LinkedTxn", [])
        for name in ("LinkedTxn", "CustomField"):
            if not line.get(name):
                line.pop(name, None)
    return [{"Id": line["Id"], **line} if "Id" in line else line for line in lines]


def next_id(row: Row | None) -> int:
    """Return the first Id that no line of a stored transaction has."""
    lines = (row or {}).get("Line", [])
    return max((int(line["Id"]) for line in lines if "Id" in line), default=0) + 1


def amount_of(line: Row) -> Decimal:
    """Return a line's amount to the cent. Raises `Fault` 2020 where there is none."""
    if line.get("Amount") is None:
        raise errors.Fault(errors.required("Line.Amount"))
    return cents(line["Amount"])


def check_product(line: Row, detail: Row) -> None:
    """See to it that amount = quantity x price. Raises `Fault` 6070.

    Both at zero beside an amount count as not given: that is how python-quickbooks sends a line without them.
    """
    amount, quantity, price = line["Amount"], detail.get("Qty"), detail.get("UnitPrice")
    if amount and not quantity and not price:
        detail.pop("Qty", None)
        detail.pop("UnitPrice", None)
        return
    if quantity is not None and price is not None:
        if cents(Decimal(quantity) * Decimal(price)) != amount:
            raise errors.wrong_product(amount)
    elif quantity and price is None:
        detail["UnitPrice"] = (amount / Decimal(quantity)).quantize(PRICE, ROUND_HALF_UP).normalize() + 0


class _Sales:
    def __init__(self, books: Books) -> None:
        self._books = books
        self._items: dict[str, Row] = {}

    def item(self, detail: Row, name: str = "ItemRef") -> Row | None:
        item_id = value_of(detail, name)
        if not item_id or item_id in WORDS["Item"]:
            return None
        if item_id not in self._items:
            self._items[item_id] = self._books.get("Item", item_id)
        item = self._items[item_id]
        if item.get("Type") == "Category":
            raise errors.Fault(errors.Problem("2500", "Invalid Reference Id", _CATEGORY, name))
        return item

    def sale(self, line: Row) -> None:
        line["Amount"] = amount_of(line)
        detail = line.get("SalesItemLineDetail")
        if detail is None:
            raise errors.Fault(errors.required("Line.SalesItemLineDetail"))
        check_product(line, detail)
        item = self.item(detail)
        if item is not None and "IncomeAccountRef" in item:
            detail.setdefault("ItemAccountRef", dict(item["IncomeAccountRef"]))
        if self._books.options.country == "US":
            taxable = item is not None and item.get("Taxable")
            detail.setdefault("TaxCodeRef", {"value": "TAX" if taxable else "NON"})

    def group(self, line: Row) -> None:
        detail = line.get("GroupLineDetail") or {}
        bundle = self.item(detail, "GroupItemRef")
        if bundle is None:
            raise errors.Fault(errors.required("Line.GroupLineDetail.GroupItemRef"))
        if bundle.get("Type") != "Group":
            raise errors.Fault(errors.invalid_reference("Items", bundle["Id"], "GroupItemRef"))
        quantity = Decimal(detail.setdefault("Quantity", 1))
        inner = detail.get("Line") or [
            self._component(part, quantity) for part in bundle["ItemGroupDetail"]["ItemGroupLine"]
        ]
        for part in inner:
            if part.get("DetailType", "SalesItemLineDetail") == "SalesItemLineDetail":
                part["DetailType"] = "SalesItemLineDetail"
                self.sale(part)
        detail["Line"] = number(inner, 1)
        line["Amount"] = sum((cents(part.get("Amount", 0)) for part in inner), ZERO)

    def _component(self, part: Mapping[str, Any], quantity: Decimal) -> Row:
        item = self._books.get("Item", part["ItemRef"]["value"])
        pieces, price = Decimal(part.get("Qty", 1)) * quantity, Decimal(item.get("UnitPrice", 0))
        detail = {"ItemRef": dict(part["ItemRef"]), "Qty": pieces, "UnitPrice": price}
        found: Row = {"Amount": cents(pieces * price), "DetailType": "SalesItemLineDetail"}
        if item.get("Description"):
            found["Description"] = item["Description"]
        return {**found, "SalesItemLineDetail": detail}

    def buy(self, line: Row) -> None:
        line["Amount"] = amount_of(line)
        detail = line.get("ItemBasedExpenseLineDetail")
        if detail is None:
            raise errors.Fault(errors.required("Line.ItemBasedExpenseLineDetail"))
        if self.item(detail) is None:
            raise errors.Fault(errors.required("ItemRef"))
        check_product(line, detail)
        detail.setdefault("BillableStatus", "NotBillable")
        detail.setdefault("TaxCodeRef", {"value": "NON"})

    def spend(self, line: Row) -> None:
        line["Amount"] = amount_of(line)
        detail = line.get("AccountBasedExpenseLineDetail")
        if not detail or "AccountRef" not in detail:
            raise errors.Fault(errors.required("AccountRef"))
        detail.setdefault("BillableStatus", "NotBillable")
        detail.setdefault("TaxCodeRef", {"value": "NON"})


def _describe(line: Row) -> None:
    line.pop("Amount", None)
    line.setdefault("DescriptionLineDetail", {})


def sum_up(books: Books, entity: Entity, given: list[Row]) -> Summed:
    """Fill in, check and sum the lines of a sale or a purchase. Raises `Fault` 2020, 2170, 2500 or 6070."""
    sales = _Sales(books)
    handle: dict[str, Callable[[Row], None]] = {
        "SalesItemLineDetail": sales.sale,
        "GroupLineDetail": sales.group,
        "ItemBasedExpenseLineDetail": sales.buy,
        "AccountBasedExpenseLineDetail": sales.spend,
        "DescriptionOnly": _describe,
        "TDSLineDetail": _describe,
    }
    kept: list[Row] = []
    discounts: list[Row] = []
    for line in given:
        detail_type = line.get("DetailType")
        if not detail_type:
            raise errors.Fault(errors.required("Line.DetailType"))
        if detail_type == SUBTOTAL:
            continue
        if detail_type == DISCOUNT:
            discounts.append(line)
            continue
        handle[detail_type](line)
        kept.append(line)
    subtotal = sum((cents(line.get("Amount", 0)) for line in kept), ZERO)
    discount = sum((_discount(line, subtotal) for line in discounts), ZERO)
    if SUBTOTAL in entity.lines:
        kept.append({"Amount": subtotal, "DetailType": SUBTOTAL, SUBTOTAL: {}})
    return Summed([*kept, *discounts], subtotal, discount, _taxable(kept))


def _discount(line: Row, subtotal: Decimal) -> Decimal:
    detail = line.setdefault(DISCOUNT, {})
    percent = detail.get("DiscountPercent")
    if percent is not None and (detail.get("PercentBased") or (percent and not line.get("Amount"))):
        detail["PercentBased"] = True
        line["Amount"] = cents(subtotal * Decimal(percent) / 100)
    else:
        detail.pop("DiscountPercent", None)
        detail["PercentBased"] = False
        line["Amount"] = amount_of(line)
    return cents(line["Amount"])


def _taxable(kept: list[Row]) -> Decimal:
    found = ZERO
    for line in kept:
        parts = line["GroupLineDetail"]["Line"] if "GroupLineDetail" in line else [line]
        for part in parts:
            code = value_of(part.get("SalesItemLineDetail", {}), "TaxCodeRef")
            if code and code != "NON":
                found += cents(part["Amount"])
    return found


def balance_journal(books: Books, given: list[Row]) -> tuple[list[Row], Decimal]:
    """Check the lines of a journal entry; return them and the sum of a side. Raises `Fault` 2020 or 6000."""
    sides = {"Debit": ZERO, "Credit": ZERO}
    for line in given:
        if line.get("DetailType") == "DescriptionOnly":
            _describe(line)
            continue
        if not line.get("DetailType"):
            raise errors.Fault(errors.required("Line.DetailType"))
        detail = line.get("JournalEntryLineDetail") or {}
        errors.raise_all([errors.required(name) for name in ("PostingType", "AccountRef") if name not in detail])
        line["Amount"] = amount_of(line)
        if line["Amount"] < 0:
            raise errors.business("Transaction amount must be 0 or greater.")
        sides[detail["PostingType"]] += line["Amount"]
        account_type = books.get("Account", detail["AccountRef"]["value"]).get("AccountType")
        who = detail.get("Entity", {}).get("EntityRef", {}).get("type")
        if account_type == "Accounts Receivable" and who != "Customer":
            raise errors.business("When you use Accounts Receivable, you must choose a customer in the Name field.")
        if account_type == "Accounts Payable" and who != "Vendor":
            raise errors.business("When you use Accounts Payable, you must choose a vendor in the Name field.")
    if sides["Debit"] != sides["Credit"]:
        raise errors.business("Please balance debits and credits.")
    if not sides["Debit"]:
        raise errors.business("You must fill out at least two detail lines.")
    return given, sides["Debit"]


def sum_deposit(given: list[Row]) -> tuple[list[Row], Decimal]:
    """Check the lines of a deposit; return them and their sum. Raises `Fault` 2020."""
    for line in given:
        line["Amount"] = amount_of(line)
        if line.get("LinkedTxn"):
            continue
        if not line.get("DetailType"):
            raise errors.Fault(errors.required("Line.DetailType"))
        if "AccountRef" not in line.get("DepositLineDetail", {}):
            raise errors.Fault(errors.required("AccountRef"))
    return given, sum((line["Amount"] for line in given), ZERO)
