"""Customer, Vendor, Employee: one sequence of Ids, one name space."""

from __future__ import annotations

from sandbox.quickbooks_online.entities.common import CUSTOM_FIELD, address, person
from sandbox.quickbooks_online.schema import (
    Entity,
    Kind,
    anything,
    date,
    enum,
    flag,
    index,
    number,
    readonly,
    ref,
    text,
)

CUSTOMER = Entity(
    "Customer",
    Kind.NAME,
    ids="names",
    label="Names",
    name_field="DisplayName",
    fields=index(
        [
            *person(),
            text("CompanyName", 100, "fs"),
            readonly(text("FullyQualifiedName", flags="fsi")),
            readonly(number("Level")),
            flag("Job", "f", default=False),
            flag("BillWithParent", "f", default=False),
            ref("ParentRef", "Customer", flags="f"),
            flag("Taxable", "f", default=True),
            flag("IsProject", "f", default=False),
            readonly(number("Balance", "fs")),
            readonly(number("BalanceWithJobs", "fs")),
            readonly(date("OpenBalanceDate")),
            address("BillAddr"),
            address("ShipAddr"),
            text("Notes", 2000),
            ref("CurrencyRef", "CompanyCurrency"),
            ref("SalesTermRef", "Term"),
            ref("PaymentMethodRef", "PaymentMethod"),
            ref("DefaultTaxCodeRef", "TaxCode"),
            ref("ARAccountRef", "Account"),
            ref("CustomerTypeRef"),
            enum("PreferredDeliveryMethod", "Print", "Email", "None", default="Print"),
            text("ResaleNum", 16),
            text("PrimaryTaxIdentifier", 20),
            text("SecondaryTaxIdentifier", 20),
            text("BusinessNumber", 15),
            text("GSTIN", 15),
            text("GSTRegistrationType", 15),
            text("Source"),
            number("TaxExemptionReasonId"),
            CUSTOM_FIELD,
        ]
    ),
)

VENDOR = Entity(
    "Vendor",
    Kind.NAME,
    ids="names",
    label="Names",
    name_field="DisplayName",
    fields=index(
        [
            *person(),
            text("CompanyName", 100, "fs"),
            address("BillAddr"),
            address("ShipAddr"),
            readonly(number("Balance", "fs")),
            readonly(date("OpenBalanceDate")),
            text("AcctNum", 100),
            flag("Vendor1099", "f", default=False),
            number("BillRate"),
            number("CostRate"),
            ref("CurrencyRef", "CompanyCurrency"),
            ref("TermRef", "Term"),
            ref("APAccountRef", "Account"),
            text("TaxIdentifier", 20),
            text("TaxReportingBasis"),
            text("BusinessNumber", 15),
            text("GSTIN", 15),
            text("GSTRegistrationType", 15),
            text("Notes", 2000),
            flag("T4AEligible"),
            flag("T5018Eligible"),
            flag("HasTPAR"),
            text("Source"),
            anything("VendorPaymentBankDetail"),
            CUSTOM_FIELD,
        ]
    ),
)

EMPLOYEE = Entity(
    "Employee",
    Kind.NAME,
    ids="names",
    label="Names",
    name_field="DisplayName",
    fields=index(
        [
            *person(),
            address("PrimaryAddr"),
            anything("EmailAddress"),
            text("SSN", 100),
            text("EmployeeNumber", 100),
            number("BillRate"),
            number("CostRate"),
            flag("BillableTime", default=False),
            flag("Organization"),
            date("BirthDate"),
            date("HiredDate"),
            date("ReleasedDate"),
            enum("Gender", "Male", "Female"),
        ]
    ),
)

ENTITIES = (CUSTOMER, VENDOR, EMPLOYEE)
