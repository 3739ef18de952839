"""Item, Account, Class, Department, Term, PaymentMethod, taxes, currencies."""

from __future__ import annotations

from sandbox.quickbooks_online.entities.common import BASE, NAME_FORBIDS
from sandbox.quickbooks_online.schema import (
    Entity,
    Kind,
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
    text,
)

ACCOUNT_TYPES = {
    "Bank": ("Asset", "Checking"),
    "Accounts Receivable": ("Asset", "AccountsReceivable"),
    "Other Current Asset": ("Asset", "OtherCurrentAssets"),
    "Fixed Asset": ("Asset", "OtherFixedAssets"),
    "Other Asset": ("Asset", "OtherLongTermAssets"),
    "Accounts Payable": ("Liability", "AccountsPayable"),
    "Credit Card": ("Liability", "CreditCard"),
    "Other Current Liability": ("Liability", "OtherCurrentLiabilities"),
    "Long Term Liability": ("Liability", "OtherLongTermLiabilities"),
    "Equity": ("Equity", "OpeningBalanceEquity"),
    "Income": ("Revenue", "SalesOfProductIncome"),
    "Other Income": ("Revenue", "OtherMiscellaneousIncome"),
    "Cost of Goods Sold": ("Expense", "SuppliesMaterialsCogs"),
    "Expense": ("Expense", "OtherMiscellaneousServiceCost"),
    "Other Expense": ("Expense", "OtherMiscellaneousExpense"),
}

ITEM = Entity(
    "Item",
    Kind.LIST,
    ids="item",
    label="Items",
    name_field="Name",
    required=("Name",),
    fields=index(
        [
            *BASE,
            text("Name", 100, "fsi", NAME_FORBIDS),
            readonly(text("FullyQualifiedName", flags="fsi")),
            text("Sku", 100, "fsi"),
            text("Description", 4000, "f"),
            flag("Active", "f", default=True),
            enum("Type", "Service", "NonInventory", "Inventory", "Group", "Category", flags="fs", default="Service"),
            flag("SubItem", default=False),
            ref("ParentRef", "Item", flags="f"),
            readonly(number("Level")),
            flag("Taxable", default=False),
            flag("SalesTaxIncluded"),
            flag("PurchaseTaxIncluded"),
            number("UnitPrice", "fs", default=0),
            number("RatePercent"),
            number("PurchaseCost", default=0),
            text("PurchaseDesc", 1000),
            flag("TrackQtyOnHand", default=False),
            number("QtyOnHand", "fs"),
            number("QtyOnPurchaseOrder"),
            number("QtyOnSalesOrder"),
            number("ReorderPoint"),
            date("InvStartDate"),
            ref("IncomeAccountRef", "Account"),
            ref("ExpenseAccountRef", "Account"),
            ref("AssetAccountRef", "Account"),
            ref("SalesTaxCodeRef", "TaxCode"),
            ref("PurchaseTaxCodeRef", "TaxCode"),
            ref("TaxClassificationRef"),
            ref("ClassRef", "Class"),
            ref("PrefVendorRef", "Vendor"),
            flag("PrintGroupedItems"),
            obj("ItemGroupDetail", [many("ItemGroupLine", [ref("ItemRef", "Item"), number("Qty")])]),
            number("AbatementRate"),
            number("ReverseChargeRate"),
            text("ServiceType"),
            text("ItemCategoryType"),
            text("UQCDisplayText"),
            text("UQCId"),
            text("Source"),
            flag("DeferredRevenue"),
        ]
    ),
)

ACCOUNT = Entity(
    "Account",
    Kind.LIST,
    ids="account",
    label="Accounts",
    name_field="Name",
    required=("Name",),
    fields=index(
        [
            *BASE,
            text("Name", 100, "fsi", NAME_FORBIDS + '"'),
            readonly(text("FullyQualifiedName", flags="fsi")),
            text("AcctNum", 20, "fs"),
            text("Description", 4000, "f"),
            flag("Active", "f", default=True),
            flag("SubAccount", "f", default=False),
            ref("ParentRef", "Account", flags="f"),
            enum("AccountType", *ACCOUNT_TYPES, flags="fs"),
            text("AccountSubType", 100, "fs"),
            enum("Classification", "Asset", "Equity", "Expense", "Liability", "Revenue", flags="fs"),
            readonly(number("CurrentBalance", "fs")),
            readonly(number("CurrentBalanceWithSubAccounts", "fs")),
            number("OpeningBalance"),
            date("OpeningBalanceDate"),
            ref("CurrencyRef", "CompanyCurrency"),
            ref("TaxCodeRef", "TaxCode"),
            text("TxnLocationType"),
            text("AccountAlias"),
        ]
    ),
)

CLASS = Entity(
    "Class",
    Kind.LIST,
    ids="class",
    label="Klasses",
    name_field="Name",
    required=("Name",),
    fields=index(
        [
            *BASE,
            text("Name", 100, "fsi", NAME_FORBIDS),
            readonly(text("FullyQualifiedName", flags="fsi")),
            flag("Active", "f", default=True),
            flag("SubClass", default=False),
            ref("ParentRef", "Class", flags="f"),
        ]
    ),
)

DEPARTMENT = Entity(
    "Department",
    Kind.LIST,
    ids="department",
    label="Departments",
    name_field="Name",
    required=("Name",),
    fields=index(
        [
            *BASE,
            text("Name", 100, "fsi", NAME_FORBIDS),
            readonly(text("FullyQualifiedName", flags="fsi")),
            flag("Active", "f", default=True),
            flag("SubDepartment", default=False),
            ref("ParentRef", "Department", flags="f"),
            anything("Address"),
        ]
    ),
)

TERM = Entity(
    "Term",
    Kind.LIST,
    ids="term",
    label="Terms",
    name_field="Name",
    required=("Name",),
    fields=index(
        [
            *BASE,
            text("Name", 31, "fsi"),
            flag("Active", "f", default=True),
            enum("Type", "STANDARD", "DATE_DRIVEN", flags="f"),
            number("DiscountPercent"),
            number("DueDays", "f"),
            number("DiscountDays"),
            number("DayOfMonthDue"),
            number("DueNextMonthDays"),
            number("DiscountDayOfMonth"),
        ]
    ),
)

PAYMENT_METHOD = Entity(
    "PaymentMethod",
    Kind.LIST,
    ids="paymentmethod",
    label="PaymentMethods",
    name_field="Name",
    required=("Name",),
    fields=index(
        [
            *BASE,
            text("Name", 31, "fsi"),
            flag("Active", "f", default=True),
            enum("Type", "CREDIT_CARD", "NON_CREDIT_CARD", flags="f", default="NON_CREDIT_CARD"),
        ]
    ),
)

_RATES = [
    many(
        "TaxRateDetail",
        [ref("TaxRateRef", "TaxRate"), text("TaxTypeApplicable"), number("TaxOrder"), number("TaxOnTaxOrder")],
    )
]
TAX_CODE = Entity(
    "TaxCode",
    Kind.LIST,
    ids="taxcode",
    label="TaxCodes",
    name_field="Name",
    required=("Name",),
    operations=frozenset(),  # made by taxservice/taxcode
    cdc=False,
    fields=index(
        [
            *BASE,
            text("Name", 100, "fsi"),
            text("Description", 100, "f"),
            flag("Active", "f", default=True),
            flag("Hidden", default=False),
            flag("Taxable", default=True),
            flag("TaxGroup", default=True),
            text("TaxCodeConfigType"),
            obj("SalesTaxRateList", _RATES),
            obj("PurchaseTaxRateList", _RATES),
        ]
    ),
)

TAX_RATE = Entity(
    "TaxRate",
    Kind.LIST,
    ids="taxrate",
    label="TaxRates",
    name_field="Name",
    required=("Name",),
    operations=frozenset(),  # made by taxservice/taxcode
    cdc=False,
    fields=index(
        [
            *BASE,
            text("Name", 100, "fsi"),
            text("Description", 100, "f"),
            flag("Active", "f", default=True),
            number("RateValue", "f"),
            ref("AgencyRef", "TaxAgency"),
            ref("TaxReturnLineRef"),
            text("SpecialTaxType"),
            text("DisplayType"),
            anything("EffectiveTaxRate"),
        ]
    ),
)

TAX_AGENCY = Entity(
    "TaxAgency",
    Kind.LIST,
    ids="taxagency",
    label="TaxAgencies",
    name_field="DisplayName",
    required=("DisplayName",),
    operations=frozenset({"create"}),
    cdc=False,
    fields=index(
        [
            *BASE,
            text("DisplayName", 100, "fsi"),
            text("TaxRegistrationNumber", 100),
            flag("TaxTrackedOnSales", default=True),
            flag("TaxTrackedOnPurchases", default=False),
            date("LastFileDate"),
            text("TaxAgencyConfig"),
        ]
    ),
)

COMPANY_CURRENCY = Entity(
    "CompanyCurrency",
    Kind.LIST,
    ids="companycurrency",
    label="Currency",
    name_field="Code",
    required=("Code",),
    fields=index(
        [
            *BASE,
            text("Code", 3, "fsi"),
            text("Name", 100, "fs"),
            flag("Active", "f", default=True),
            anything("CustomField"),
        ]
    ),
)

ENTITIES = (
    ITEM,
    ACCOUNT,
    CLASS,
    DEPARTMENT,
    TERM,
    PAYMENT_METHOD,
    TAX_CODE,
    TAX_RATE,
    TAX_AGENCY,
    COMPANY_CURRENCY,
)
