"""What is sold: Invoice, SalesReceipt, Estimate, CreditMemo, RefundReceipt, Payment."""

from __future__ import annotations

from sandbox.quickbooks_online.entities.common import (
    BALANCES,
    CUSTOM_FIELD,
    DOC_NUMBER,
    LINKED,
    MEMO,
    SALES_LINES,
    TAXED,
    TOTALS,
    TXN,
    address,
    email,
    lines,
)
from sandbox.quickbooks_online.schema import (
    Entity,
    Field,
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

WRITES = frozenset({"create", "update", "delete"})

SALES: tuple[Field, ...] = (
    *TXN,
    *TAXED,
    *TOTALS,
    DOC_NUMBER,
    ref("CustomerRef", "Customer", flags="fsi"),
    ref("ProjectRef", "Customer"),
    ref("ClassRef", "Class"),
    MEMO,
    CUSTOM_FIELD,
    address("BillAddr"),
    address("ShipAddr"),
    address("ShipFromAddr"),
    flag("FreeFormAddress"),
    email("BillEmail"),
    email("BillEmailCc"),
    email("BillEmailBcc"),
    flag("ApplyTaxAfterDiscount", default=False),
    enum("PrintStatus", "NotSet", "NeedToPrint", "PrintComplete", default="NotSet"),
    enum("EmailStatus", "NotSet", "NeedToSend", "EmailSent", default="NotSet"),
    anything("DeliveryInfo"),
    ref("ShipMethodRef"),
    date("ShipDate"),
    text("TrackingNum", 31),
    ref("SalesTermRef", "Term"),
    ref("TaxExemptionRef"),
    anything("TxnStatus"),
    lines(*SALES_LINES),
)
MONEY_IN: tuple[Field, ...] = (
    ref("DepositToAccountRef", "Account"),
    ref("PaymentMethodRef", "PaymentMethod"),
    text("PaymentRefNum", 21, "f"),
    anything("CreditCardPayment"),
    anything("CheckPayment"),
    enum("PaymentType", "Cash", "Check", "CreditCard", "Expense", "Other"),
)

INVOICE = Entity(
    "Invoice",
    Kind.TXN,
    ids="txn",
    label="Invoices",
    name_field="DocNumber",
    required=("Line", "CustomerRef"),
    numbers="sales",
    unique=(),
    lines=frozenset(SALES_LINES),
    party="CustomerRef",
    operations=WRITES | {"void"},
    txn_types=("Invoice",),
    fields=index(
        [
            *SALES,
            *BALANCES,
            date("DueDate", "fsi"),
            number("Deposit"),
            ref("DepositToAccountRef", "Account"),
            flag("AllowIPNPayment", default=False),
            flag("AllowOnlinePayment", default=False),
            flag("AllowOnlineCreditCardPayment", default=False),
            flag("AllowOnlineACHPayment", default=False),
            text("InvoiceLink"),
            text("EInvoiceStatus"),
        ]
    ),
)

SALES_RECEIPT = Entity(
    "SalesReceipt",
    Kind.TXN,
    ids="txn",
    label="SalesReceipts",
    name_field="DocNumber",
    required=("Line", "CustomerRef"),
    numbers="sales",
    unique=(),
    lines=frozenset(SALES_LINES),
    party="CustomerRef",
    operations=WRITES | {"void"},
    txn_types=("SalesReceipt",),
    fields=index([*SALES, *MONEY_IN, *BALANCES]),
)

CREDIT_MEMO = Entity(
    "CreditMemo",
    Kind.TXN,
    ids="txn",
    label="CreditMemos",
    name_field="DocNumber",
    required=("Line", "CustomerRef"),
    numbers="sales",
    unique=(),
    lines=frozenset(SALES_LINES),
    party="CustomerRef",
    operations=WRITES,
    txn_types=("CreditMemo",),
    fields=index([*SALES, *MONEY_IN, *BALANCES, readonly(number("RemainingCredit"))]),
)

REFUND_RECEIPT = Entity(
    "RefundReceipt",
    Kind.TXN,
    ids="txn",
    label="RefundReceipts",
    name_field="DocNumber",
    required=("Line", "DepositToAccountRef"),
    numbers="sales",
    unique=(),
    lines=frozenset(SALES_LINES),
    party="CustomerRef",
    operations=WRITES,
    txn_types=("RefundReceipt",),
    fields=index([*SALES, *MONEY_IN, *BALANCES]),
)

ESTIMATE = Entity(
    "Estimate",
    Kind.TXN,
    ids="txn",
    label="Estimates",
    name_field="DocNumber",
    required=("CustomerRef",),
    numbers="estimate",
    unique=(),
    lines=frozenset(SALES_LINES),
    party="CustomerRef",
    operations=WRITES,
    txn_types=("Estimate",),
    fields=index(
        [
            *(item for item in SALES if item.name != "TxnStatus"),
            enum("TxnStatus", "Accepted", "Closed", "Pending", "Rejected", "Converted", flags="fs", default="Pending"),
            date("DueDate", "fs"),
            date("ExpirationDate", "fs"),
            date("AcceptedDate", "fs"),
            text("AcceptedBy", 100),
        ]
    ),
)

PAYMENT = Entity(
    "Payment",
    Kind.TXN,
    ids="txn",
    label="Payments",
    name_field="PaymentRefNum",
    required=("TotalAmt", "CustomerRef"),
    party="CustomerRef",
    operations=WRITES | {"void"},
    txn_types=("Payment", "ReceivePayment"),
    fields=index(
        [
            *TXN,
            number("TotalAmt", "fs"),
            readonly(number("HomeTotalAmt")),
            readonly(number("UnappliedAmt", "f")),
            ref("CustomerRef", "Customer", flags="fsi"),
            ref("ProjectRef", "Customer"),
            ref("ARAccountRef", "Account"),
            ref("DepositToAccountRef", "Account"),
            ref("PaymentMethodRef", "PaymentMethod"),
            text("PaymentRefNum", 21, "fs"),
            flag("ProcessPayment", default=False),
            anything("CreditCardPayment"),
            anything("CheckPayment"),
            anything("TxnStatus"),
            ref("TaxExemptionRef"),
            CUSTOM_FIELD,
            many(
                "Line",
                [
                    text("Id"),
                    number("LineNum"),
                    text("Description"),
                    number("Amount"),
                    LINKED,
                    anything("LineEx"),
                    text("DetailType"),
                    obj("PaymentLineDetail", [anything("Discount")]),
                ],
            ),
        ]
    ),
)

ENTITIES = (INVOICE, SALES_RECEIPT, CREDIT_MEMO, REFUND_RECEIPT, ESTIMATE, PAYMENT)
