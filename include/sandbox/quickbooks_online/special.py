"""Entities with a way of their own: exchange rates (no Ids, one a currency and day), and the tax service."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sandbox.quickbooks_online import errors
from sandbox.quickbooks_online.books import Books, entity_of
from sandbox.quickbooks_online.clock import parse_date
from sandbox.quickbooks_online.store import Row
from sandbox.quickbooks_online.validation import clean, identity


def save_rate(books: Books, payload: Any) -> Row:
    """Set the rate of a currency for a day (today, when none is given). Raises `Fault` 2020 or 2500."""
    if not isinstance(payload, Mapping):
        raise errors.unreadable()
    given = {name: value for name, value in clean(entity_of("ExchangeRate"), payload).items() if value}
    errors.raise_all([errors.required(name) for name in ("SourceCurrencyCode", "Rate") if name not in given])
    if Decimal(given["Rate"]) <= 0:
        raise errors.business("The exchange rate must be greater than 0.")
    code = given["SourceCurrencyCode"]
    if code != books.home and not books.store.find("CompanyCurrency", "Code", code):
        raise errors.Fault(errors.invalid_reference("Currency", code, "SourceCurrencyCode"))
    day = given.get("AsOfDate") or books.clock.today().isoformat()
    row = _rate_on(books, code, day, exactly=True)
    if row is None:
        now = books.stamp()
        row = {
            "domain": "QBO",
            "sparse": False,
            "Id": str(books.store.next_value("exchangerate")),
            "SyncToken": "-1",
            "MetaData": {"CreateTime": now, "LastUpdatedTime": now},
        }
    row |= {"SourceCurrencyCode": code, "TargetCurrencyCode": books.home, "AsOfDate": day, "Rate": given["Rate"]}
    books.touch(entity_of("ExchangeRate"), row, bump=True)
    return row


def read_rate(books: Books, code: str, as_of: str) -> Row:
    """Return the rate of a currency that is in force on a day. Raises `Fault` 2020, 2060 or 610."""
    if not code:
        raise errors.Fault(errors.required("sourcecurrencycode"))
    try:
        day = parse_date(as_of).isoformat() if as_of else books.clock.today().isoformat()
    except ValueError:
        raise errors.Fault(errors.invalid_value("date", "asofdate", as_of)) from None
    row = _rate_on(books, code, day)
    if row is None:
        raise errors.not_found()
    return row


def _rate_on(books: Books, code: str, day: str, *, exactly: bool = False) -> Row | None:
    compare = "=" if exactly else "<="
    found = books.store.rows(
        f'SELECT id FROM "ExchangeRate" WHERE "p_SourceCurrencyCode" = ? AND "p_AsOfDate" {compare} ?'
        ' ORDER BY "p_AsOfDate" DESC LIMIT 1',
        (code.casefold(), day),
    )
    return books.get("ExchangeRate", str(found[0][0])) if found else None


def make_tax_code(books: Books, payload: Any) -> Row:
    """Make a tax code with its rates: `POST taxservice/taxcode`. Raises `Fault` 2020, 2500 or 6240."""
    if not isinstance(payload, Mapping):
        raise errors.unreadable()
    missing = [errors.required(name) for name in ("TaxCode", "TaxRateDetails") if not payload.get(name)]
    errors.raise_all(missing)
    name = str(payload["TaxCode"])
    if books.store.find("TaxCode", "Name", name):
        raise errors.duplicate_name()
    details = [dict(part) for part in payload["TaxRateDetails"]]
    lists: dict[str, list[Row]] = {"Sales": [], "Purchase": []}
    for order, detail in enumerate(details):
        detail["TaxRateId"] = _rate_of(books, detail)
        applies = str(detail.setdefault("TaxApplicableOn", "Sales"))
        if applies not in lists:
            raise errors.Fault(errors.invalid_enumeration("TaxApplicableOn", applies))
        ref = {"value": detail["TaxRateId"], "name": books.get("TaxRate", detail["TaxRateId"])["Name"]}
        lists[applies].append({"TaxRateRef": ref, "TaxTypeApplicable": "TaxOnAmount", "TaxOrder": order})
    row = add_row(
        books,
        "TaxCode",
        {
            "Name": name,
            "Description": name,
            "Active": True,
            "Taxable": True,
            "TaxGroup": True,
            "SalesTaxRateList": {"TaxRateDetail": lists["Sales"]},
            "PurchaseTaxRateList": {"TaxRateDetail": lists["Purchase"]},
        },
    )
    return {"TaxCode": name, "TaxCodeId": row["Id"], "TaxRateDetails": details}


def _rate_of(books: Books, detail: Row) -> str:
    if detail.get("TaxRateId"):
        rate_id = identity({"Id": detail["TaxRateId"]}) or ""
        if books.store.peek("TaxRate", rate_id) is None:
            raise errors.Fault(errors.invalid_reference("TaxRates", rate_id, "TaxRateId"))
        return rate_id
    needed = ("TaxRateName", "RateValue", "TaxAgencyId")
    errors.raise_all([errors.required(name) for name in needed if detail.get(name) in (None, "")])
    agency = str(detail["TaxAgencyId"])
    if books.store.peek("TaxAgency", agency) is None:
        raise errors.Fault(errors.invalid_reference("TaxAgencies", agency, "TaxAgencyId"))
    if books.store.find("TaxRate", "Name", str(detail["TaxRateName"])):
        raise errors.duplicate_name()
    rate = {"Name": str(detail["TaxRateName"]), "Active": True, "RateValue": Decimal(str(detail["RateValue"]))}
    return str(add_row(books, "TaxRate", {**rate, "AgencyRef": {"value": agency}})["Id"])


def add_row(books: Books, entity: str, values: Mapping[str, Any]) -> Row:
    """Store a new row as it is given, with an Id and stamps."""
    now = books.stamp()
    row = {
        "domain": "QBO",
        "sparse": False,
        "Id": str(books.store.next_value(entity_of(entity).ids)),
        "SyncToken": "0",
        "MetaData": {"CreateTime": now, "LastUpdatedTime": now},
        **values,
    }
    books.store.save(entity_of(entity), row)
    return row
