"""Properties that several entities share.

Limits without a note are those of Intuit's API reference ("max character" of each attribute).
"""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.quickbooks_online.schema import (
    Field,
    anything,
    date,
    enum,
    flag,
    index,
    many,
    number,
    obj,
    readonly,
    ref,
    stamp_field,
    text,
)

NAME_FORBIDS = ":\t\n\r"
NAMES = ("Customer", "Vendor", "Employee")

STAMPS = obj(
    "MetaData",
    [
        stamp_field("CreateTime", "fs"),
        stamp_field("LastUpdatedTime", "fs"),
        ref("CreatedByRef"),
        ref("LastModifiedByRef"),
        ref("LastUpdatedByRef"),
        stamp_field("LastChangedInQB"),
    ],
)
BASE: tuple[Field, ...] = (
    text("Id", flags="fs"),
    readonly(text("SyncToken")),
    readonly(flag("sparse")),
    readonly(text("domain")),
    readonly(text("status")),
    readonly(STAMPS),
    readonly(anything("AttachableRef")),
    readonly(text("V4IDPseudonym")),
    readonly(text("ClientEntityId")),
)

ADDRESS_PARTS: tuple[Field, ...] = (
    readonly(text("Id")),
    *(text(f"Line{n}", 500) for n in range(1, 6)),
    text("City", 255),
    text("CountrySubDivisionCode", 255),
    text("Country", 255),
    text("CountryCode", 255),
    text("PostalCode", 30),
    text("PostalCodeSuffix", 30),
    text("Lat"),
    text("Long"),
    text("Note"),
    text("Tag"),
)


def address(name: str) -> Field:
    """A postal address."""
    return obj(name, ADDRESS_PARTS)


def phone(name: str) -> Field:
    """A phone number."""
    parts = [text("FreeFormNumber", 30), *(readonly(text(p)) for p in ("Id", "DeviceType", "CountryCode", "AreaCode"))]
    return obj(name, [*parts, readonly(text("ExchangeCode")), readonly(text("Extension")), readonly(flag("Default"))])


def email(name: str, flags: str = "") -> Field:
    """An e-mail address."""
    return obj(name, [text("Address", 100), readonly(text("Id"))], "Address", flags)


def web(name: str) -> Field:
    """A web address."""
    return obj(name, [text("URI", 1000), readonly(text("Id"))])


CUSTOM_FIELD = many(
    "CustomField",
    [
        text("DefinitionId"),
        text("Name"),
        enum("Type", "StringType", "NumberType", "DateType", "BooleanType"),
        text("StringValue", 31),
        number("NumberValue"),
        date("DateValue"),
        flag("BooleanValue"),
    ],
)
LINKED = many("LinkedTxn", [text("TxnId"), text("TxnType"), text("TxnLineId")])
MEMO = obj("CustomerMemo", [text("value", 1000), readonly(text("id"))])
MARKUP = obj(
    "MarkupInfo",
    [
        flag("PercentBased"),
        number("Value"),
        number("Percent"),
        ref("PriceLevelRef"),
        ref("MarkUpIncomeAccountRef", "Account"),
    ],
)
TAX_DETAIL = obj(
    "TxnTaxDetail",
    [
        ref("TxnTaxCodeRef", "TaxCode"),
        ref("DefaultTaxCodeRef", "TaxCode"),
        number("TotalTax"),
        many(
            "TaxLine",
            [
                number("Amount"),
                enum("DetailType", "TaxLineDetail"),
                obj(
                    "TaxLineDetail",
                    [
                        ref("TaxRateRef", "TaxRate"),
                        flag("PercentBased"),
                        number("TaxPercent"),
                        number("NetAmountTaxable"),
                        number("TaxInclusiveAmount"),
                        number("OverrideDeltaAmount"),
                    ],
                ),
            ],
        ),
    ],
)


def person(title_limit: int = 16) -> tuple[Field, ...]:
    """What a customer, a vendor and an employee share."""
    return (
        *BASE,
        text("Title", title_limit, "f"),
        text("GivenName", 100, "fs"),
        text("MiddleName", 100, "fs"),
        text("FamilyName", 100, "fs"),
        text("Suffix", 16, "f"),
        text("DisplayName", 500, "fsi", NAME_FORBIDS),
        text("PrintOnCheckName", 110, "fs"),
        flag("Active", "f", default=True),
        phone("PrimaryPhone"),
        phone("AlternatePhone"),
        phone("Mobile"),
        phone("Fax"),
        email("PrimaryEmailAddr", "f"),
        web("WebAddr"),
        anything("OtherContactInfo"),
    )


SALES_DETAIL = obj(
    "SalesItemLineDetail",
    [
        ref("ItemRef", "Item"),
        ref("ItemAccountRef", "Account"),
        ref("ClassRef", "Class"),
        ref("TaxCodeRef", "TaxCode"),
        ref("PriceLevelRef"),
        ref("TaxClassificationRef"),
        MARKUP,
        number("Qty"),
        number("UnitPrice"),
        number("RatePercent"),
        number("DiscountRate"),
        number("DiscountAmt"),
        number("TaxInclusiveAmt"),
        date("ServiceDate"),
        text("DeferredRevenue"),
    ],
)
DISCOUNT_DETAIL = obj(
    "DiscountLineDetail",
    [
        flag("PercentBased"),
        number("DiscountPercent"),
        ref("DiscountAccountRef", "Account"),
        ref("ClassRef", "Class"),
        ref("TaxCodeRef", "TaxCode"),
        anything("Discount"),
    ],
)
DESCRIPTION_DETAIL = obj("DescriptionLineDetail", [date("ServiceDate"), ref("TaxCodeRef", "TaxCode")])
SUBTOTAL_DETAILS = (
    obj("SubTotalLineDetail", [ref("ItemRef", "Item")]),
    obj("SubtotalLineDetail", [ref("ItemRef", "Item")]),  # python-quickbooks' spelling
)
ACCOUNT_DETAIL = obj(
    "AccountBasedExpenseLineDetail",
    [
        ref("AccountRef", "Account"),
        ref("CustomerRef", "Customer"),
        ref("ClassRef", "Class"),
        ref("TaxCodeRef", "TaxCode"),
        enum("BillableStatus", "Billable", "NotBillable", "HasBeenBilled"),
        MARKUP,
        number("TaxAmount"),
        number("TaxInclusiveAmt"),
    ],
)
ITEM_DETAIL = obj(
    "ItemBasedExpenseLineDetail",
    [
        ref("ItemRef", "Item"),
        ref("ItemAccountRef", "Account"),
        ref("CustomerRef", "Customer"),
        ref("ClassRef", "Class"),
        ref("TaxCodeRef", "TaxCode"),
        ref("PriceLevelRef"),
        enum("BillableStatus", "Billable", "NotBillable", "HasBeenBilled"),
        MARKUP,
        number("Qty"),
        number("UnitPrice"),
        number("TaxInclusiveAmt"),
    ],
)
JOURNAL_DETAIL = obj(
    "JournalEntryLineDetail",
    [
        enum("PostingType", "Debit", "Credit"),
        ref("AccountRef", "Account"),
        obj("Entity", [enum("Type", *NAMES), ref("EntityRef", *NAMES)]),
        ref("ClassRef", "Class"),
        ref("DepartmentRef", "Department"),
        ref("TaxCodeRef", "TaxCode"),
        enum("TaxApplicableOn", "Sales", "Purchase"),
        number("TaxAmount"),
        enum("BillableStatus", "Billable", "NotBillable", "HasBeenBilled"),
        anything("JournalCodeRef"),
    ],
)
DEPOSIT_DETAIL = obj(
    "DepositLineDetail",
    [
        ref("Entity", *NAMES),
        ref("AccountRef", "Account"),
        ref("ClassRef", "Class"),
        ref("PaymentMethodRef", "PaymentMethod"),
        ref("TaxCodeRef", "TaxCode"),
        text("CheckNum", 21),
        text("TxnType"),
        enum("TaxApplicableOn", "Sales", "Purchase"),
    ],
)


def _line_head(details: tuple[str, ...]) -> tuple[Field, ...]:
    return (
        text("Id"),
        number("LineNum"),
        text("Description", 4000),
        number("Amount"),
        enum("DetailType", *details),
        LINKED,
        CUSTOM_FIELD,
        anything("LineEx"),
    )


DETAILS: Mapping[str, tuple[Field, ...]] = {
    "SalesItemLineDetail": (SALES_DETAIL,),
    "DiscountLineDetail": (DISCOUNT_DETAIL,),
    "DescriptionOnly": (DESCRIPTION_DETAIL,),
    "SubTotalLineDetail": SUBTOTAL_DETAILS,
    "AccountBasedExpenseLineDetail": (ACCOUNT_DETAIL,),
    "ItemBasedExpenseLineDetail": (ITEM_DETAIL,),
    "JournalEntryLineDetail": (JOURNAL_DETAIL,),
    "DepositLineDetail": (DEPOSIT_DETAIL,),
    "TDSLineDetail": (anything("TDSLineDetail"),),
}


def lines(*details: str) -> Field:
    """`Line` with these DetailTypes."""
    parts: list[Field] = [*_line_head(details)]
    for name in details:
        if name == "GroupLineDetail":
            inner = (*_line_head(("SalesItemLineDetail", "DescriptionOnly")), SALES_DETAIL, DESCRIPTION_DETAIL)
            group = [ref("GroupItemRef", "Item"), number("Quantity"), date("ServiceDate"), many("Line", inner)]
            parts.append(obj("GroupLineDetail", group))
        else:
            parts.extend(DETAILS[name])
    return many("Line", parts)


SALES_LINES = (
    "SalesItemLineDetail",
    "GroupLineDetail",
    "DescriptionOnly",
    "DiscountLineDetail",
    "SubTotalLineDetail",
)
EXPENSE_LINES = ("AccountBasedExpenseLineDetail", "ItemBasedExpenseLineDetail", "DescriptionOnly", "TDSLineDetail")

TXN: tuple[Field, ...] = (
    *BASE,
    date("TxnDate", "fsi"),
    text("PrivateNote", 4000),
    ref("CurrencyRef", "CompanyCurrency"),
    number("ExchangeRate"),
    ref("DepartmentRef", "Department"),
    text("TxnSource"),
    text("TransactionLocationType"),
    ref("RecurDataRef"),
    LINKED,
)
TAXED: tuple[Field, ...] = (
    enum("GlobalTaxCalculation", "TaxExcluded", "TaxInclusive", "NotApplicable"),
    TAX_DETAIL,
)
DOC_NUMBER = text("DocNumber", 21, "fsi")
TOTALS: tuple[Field, ...] = (readonly(number("TotalAmt", "fs")), readonly(number("HomeTotalAmt")))
BALANCES: tuple[Field, ...] = (readonly(number("Balance", "fs")), readonly(number("HomeBalance")))

__all__ = ["BASE", "DOC_NUMBER", "TAXED", "TOTALS", "TXN", "address", "index", "lines", "person"]
