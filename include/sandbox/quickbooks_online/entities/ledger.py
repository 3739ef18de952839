"""JournalEntry, Deposit, Transfer, TimeActivity."""

from __future__ import annotations

from sandbox.quickbooks_online.entities.common import (
    BASE,
    CUSTOM_FIELD,
    DOC_NUMBER,
    TAXED,
    TOTALS,
    TXN,
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
    number,
    obj,
    ref,
    stamp_field,
    text,
)

JOURNAL_ENTRY = Entity(
    "JournalEntry",
    Kind.TXN,
    ids="txn",
    label="JournalEntries",
    name_field="DocNumber",
    required=("Line",),
    numbers="journal",
    unique=(),
    lines=frozenset({"JournalEntryLineDetail", "DescriptionOnly"}),
    operations=WRITES,
    txn_types=("JournalEntry",),
    fields=index(
        [
            *TXN,
            *TAXED,
            *TOTALS,
            DOC_NUMBER,
            flag("Adjustment", default=False),
            lines("JournalEntryLineDetail", "DescriptionOnly"),
        ]
    ),
)

DEPOSIT = Entity(
    "Deposit",
    Kind.TXN,
    ids="txn",
    label="Deposits",
    name_field="DocNumber",
    required=("DepositToAccountRef", "Line"),
    unique=None,
    lines=frozenset({"DepositLineDetail"}),
    operations=WRITES,
    txn_types=("Deposit",),
    fields=index(
        [
            *TXN,
            *TAXED,
            *TOTALS,
            DOC_NUMBER,
            ref("DepositToAccountRef", "Account", flags="f"),
            obj("CashBack", [ref("AccountRef", "Account"), number("Amount"), text("Memo", 4000)]),
            anything("TxnStatus"),
            CUSTOM_FIELD,
            lines("DepositLineDetail"),
        ]
    ),
)

TRANSFER = Entity(
    "Transfer",
    Kind.TXN,
    ids="txn",
    label="Transfers",
    required=("Amount", "FromAccountRef", "ToAccountRef"),
    operations=WRITES,
    txn_types=("Transfer",),
    fields=index(
        [
            *TXN,
            number("Amount", "f"),
            ref("FromAccountRef", "Account"),
            ref("ToAccountRef", "Account"),
        ]
    ),
)

TIME_ACTIVITY = Entity(
    "TimeActivity",
    Kind.TXN,
    ids="timeactivity",
    label="TimeActivities",
    required=("NameOf",),
    operations=WRITES,
    cdc=False,
    txn_types=("TimeActivity",),
    fields=index(
        [
            *BASE,
            date("TxnDate", "fsi"),
            enum("NameOf", "Employee", "Vendor"),
            ref("EmployeeRef", "Employee", flags="f"),
            ref("VendorRef", "Vendor", flags="f"),
            ref("CustomerRef", "Customer", flags="f"),
            ref("ProjectRef", "Customer"),
            ref("ItemRef", "Item"),
            ref("ClassRef", "Class"),
            ref("DepartmentRef", "Department"),
            ref("PayrollItemRef"),
            enum("BillableStatus", "Billable", "NotBillable", "HasBeenBilled", flags="f", default="NotBillable"),
            flag("Taxable", default=False),
            number("HourlyRate"),
            number("CostRate"),
            number("Hours"),
            number("Minutes"),
            number("Seconds"),
            number("BreakHours"),
            number("BreakMinutes"),
            number("BreakSeconds"),
            stamp_field("StartTime"),
            stamp_field("EndTime"),
            text("Description", 4000),
            text("TransactionLocationType"),
            anything("TimeChargeId"),
        ]
    ),
)

ENTITIES = (JOURNAL_ENTRY, DEPOSIT, TRANSFER, TIME_ACTIVITY)
