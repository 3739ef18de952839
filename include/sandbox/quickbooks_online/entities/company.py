"""CompanyInfo, Preferences, ExchangeRate."""

from __future__ import annotations

from sandbox.quickbooks_online.entities.common import BASE, address, email, phone, web
from sandbox.quickbooks_online.schema import (
    Entity,
    Kind,
    anything,
    date,
    index,
    number,
    readonly,
    text,
)

COMPANY_INFO = Entity(
    "CompanyInfo",
    Kind.SINGLE,
    ids="companyinfo",
    label="CompanyInfo",
    name_field="CompanyName",
    required=("CompanyName",),
    operations=frozenset({"update"}),
    fields=index(
        [
            *BASE,
            text("CompanyName", 1024),
            text("LegalName", 1024),
            address("CompanyAddr"),
            address("CustomerCommunicationAddr"),
            address("LegalAddr"),
            phone("PrimaryPhone"),
            email("Email"),
            email("CustomerCommunicationEmailAddr"),
            web("WebAddr"),
            text("EmployerId"),
            text("Country"),
            text("CompanyStartDate"),
            text("FiscalYearStartMonth"),
            text("SupportedLanguages"),
            anything("NameValue"),
            readonly(text("DefaultTimeZone")),
        ]
    ),
)

PREFERENCES = Entity(
    "Preferences",
    Kind.SINGLE,
    ids="preferences",
    label="Preferences",
    operations=frozenset({"update"}),
    fields=index(
        [
            *BASE,
            *(
                anything(name)
                for name in (
                    "AccountingInfoPrefs",
                    "CurrencyPrefs",
                    "EmailMessagesPrefs",
                    "OtherPrefs",
                    "ProductAndServicesPrefs",
                    "ReportPrefs",
                    "SalesFormsPrefs",
                    "TaxPrefs",
                    "TimeTrackingPrefs",
                    "VendorAndPurchasesPrefs",
                )
            ),
        ]
    ),
)

EXCHANGE_RATE = Entity(
    "ExchangeRate",
    Kind.LIST,
    ids="exchangerate",
    label="ExchangeRates",
    required=("SourceCurrencyCode", "Rate"),
    operations=frozenset({"create"}),
    fields=index(
        [
            *BASE,
            text("SourceCurrencyCode", 3, "fsi"),
            text("TargetCurrencyCode", 3, "f"),
            date("AsOfDate", "fsi"),
            number("Rate", "f"),
            anything("CustomField"),
        ]
    ),
)

ENTITIES = (COMPANY_INFO, PREFERENCES, EXCHANGE_RATE)
