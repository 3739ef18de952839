"""What is bought: Bill, VendorCredit, BillPayment, Purchase, PurchaseOrder."""

from __future__ import annotations

from sandbox.quickbooks_online.entities.common import (
    BALANCES,
    CUSTOM_FIELD,
    DOC_NUMBER,
    EXPENSE_LINES,
    LINKED,
    NAMES,
    TAXED,
    TOTALS,
    TXN,
    address,
    email,
    lines,
)
from sandbox.quickbooks_online.entities.sales import WRITES
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
    ref,
    text,
)

BILL = Entity(
    "Bill",
    Kind.TXN,
    ids="txn",
    label="Bills",
    name_field="DocNumber",
    required=("VendorRef", "Line"),
    unique=("VendorRef",),
    lines=frozenset(EXPENSE_LINES),
    party="VendorRef",
    operations=WRITES,
    txn_types=("Bill",),
    fields=index(
        [
            *TXN,
            *TAXED,
            *TOTALS,
            *BALANCES,
            DOC_NUMBER,
            ref("VendorRef", "Vendor", flags="fsi"),
            address("VendorAddr"),
            ref("APAccountRef", "Account", flags="f"),
            ref("SalesTermRef", "Term", flags="f"),
            date("DueDate", "fsi"),
            flag("IncludeInAnnualTPAR"),
            lines(*EXPENSE_LINES),
        ]
    ),
)

VENDOR_CREDIT = Entity(
    "VendorCredit",
    Kind.TXN,
    ids="txn",
    label="VendorCredits",
    name_field="DocNumber",
    required=("VendorRef", "Line"),
    unique=("VendorRef",),
    lines=frozenset(EXPENSE_LINES),
    party="VendorRef",
    operations=WRITES,
    txn_types=("VendorCredit",),
    fields=index(
        [
            *TXN,
            *TAXED,
            *TOTALS,
            *BALANCES,
            DOC_NUMBER,
            ref("VendorRef", "Vendor", flags="fsi"),
            address("VendorAddr"),
            ref("APAccountRef", "Account"),
            ref("FromAccountRef", "Account"),  # python-quickbooks carries these two
            ref("ToAccountRef", "Account"),
            flag("IncludeInAnnualTPAR"),
            lines(*EXPENSE_LINES),
        ]
    ),
)

BILL_PAYMENT = Entity(
    "BillPayment",
    Kind.TXN,
    ids="txn",
    label="BillPayments",
    name_field="DocNumber",
    required=("VendorRef", "TotalAmt", "PayType", "Line"),
    unique=None,
    party="VendorRef",
    operations=WRITES | {"void"},
    txn_types=("BillPayment", "BillPaymentCheck", "BillPaymentCreditCard"),
    fields=index(
        [
            *TXN,
            number("TotalAmt", "fs"),
            DOC_NUMBER,
            ref("VendorRef", "Vendor", flags="fsi"),
            ref("APAccountRef", "Account"),
            enum("PayType", "Check", "CreditCard", flags="f"),
            flag("ProcessBillPayment", default=False),
            obj(
                "CheckPayment",
                [ref("BankAccountRef", "Account"), enum("PrintStatus", "NotSet", "NeedToPrint", "PrintComplete")],
            ),
            obj("CreditCardPayment", [ref("CCAccountRef", "Account"), anything("CCDetail")]),
            anything("TxnStatus"),
            many("Line", [text("Id"), number("LineNum"), number("Amount"), LINKED, anything("LineEx")]),
        ]
    ),
)

PURCHASE = Entity(
    "Purchase",
    Kind.TXN,
    ids="txn",
    label="Purchases",
    name_field="DocNumber",
    required=("AccountRef", "PaymentType", "Line"),
    unique=None,
    lines=frozenset(EXPENSE_LINES),
    party="EntityRef",
    operations=WRITES,
    txn_types=("Purchase", "Expense", "Check", "CreditCardCredit", "CreditCardExpense", "CashPurchase"),
    fields=index(
        [
            *TXN,
            *TAXED,
            *TOTALS,
            DOC_NUMBER,
            enum("PaymentType", "Cash", "Check", "CreditCard", flags="fs"),
            ref("AccountRef", "Account", flags="f"),
            ref("EntityRef", *NAMES, flags="f"),
            ref("PaymentMethodRef", "PaymentMethod"),
            text("PaymentRefNum", 21),
            flag("Credit", default=False),
            address("RemitToAddr"),
            enum("PrintStatus", "NotSet", "NeedToPrint", "PrintComplete", default="NotSet"),
            flag("IncludeInAnnualTPAR"),
            anything("PurchaseEx"),
            anything("CheckPayment"),
            anything("CreditCardPayment"),
            lines(*EXPENSE_LINES),
        ]
    ),
)

PURCHASE_ORDER = Entity(
    "PurchaseOrder",
    Kind.TXN,
    ids="txn",
    label="PurchaseOrders",
    name_field="DocNumber",
    required=("VendorRef", "APAccountRef", "Line"),
    numbers="purchaseorder",
    unique=(),
    lines=frozenset(EXPENSE_LINES),
    party="VendorRef",
    operations=WRITES,
    txn_types=("PurchaseOrder",),
    fields=index(
        [
            *TXN,
            *TAXED,
            *TOTALS,
            CUSTOM_FIELD,
            DOC_NUMBER,
            ref("VendorRef", "Vendor", flags="fsi"),
            address("VendorAddr"),
            address("ShipAddr"),
            ref("ShipTo", "Customer"),
            ref("APAccountRef", "Account"),
            ref("ClassRef", "Class"),
            ref("SalesTermRef", "Term"),
            ref("ShipMethodRef"),
            ref("TaxCodeRef", "TaxCode"),
            date("DueDate", "fs"),
            enum("POStatus", "Open", "Closed", flags="f", default="Open"),
            email("POEmail"),
            enum("EmailStatus", "NotSet", "NeedToSend", "EmailSent", default="NotSet"),
            text("Memo", 4000),
            lines(*EXPENSE_LINES),
        ]
    ),
)

ENTITIES = (BILL, VENDOR_CREDIT, BILL_PAYMENT, PURCHASE, PURCHASE_ORDER)
