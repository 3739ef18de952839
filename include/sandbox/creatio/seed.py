"""The world as rows of Creatio's objects, with the reference lists that a fresh site has."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_UP, Decimal

from sandbox.creatio.store import Row
from sandbox.creatio.values import ticks
from sandbox.seed.world import Account, Address, Bill, Contact, Opportunity, Product, World

SUPERVISOR = "410006e1-ca4e-4502-a9ec-e54d922d2c00"

IN_PROGRESS, COMPLETED = "3. In progress", "4. Completed"
_FOUNDED = dt.datetime(2025, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
_AGE = dt.timedelta(days=30)
_PROBABILITY = {"Qualification": 10, "Presentation": 25, "Proposal": 50, "Contracting": 90, "Closed won": 100}
_LISTS = {
    "AccountType": ("Customer", "Partner", "Supplier", "Competitor", "Our company"),
    "AddressType": ("Legal", "Delivery", "Actual", "Home"),
    "CommunicationType": ("Primary phone", "Fax", "Web", "Email", "Mobile phone", "Business phone"),
    "ContactType": ("Customer", "Contact person", "Employee", "Supplier"),
    "InvoicePaymentStatus": ("Unpaid", "Partially paid", "Paid", "Canceled"),
    "OrderPaymentStatus": ("Not paid", "Partially paid", "Paid"),
    "OrderStatus": ("1. Draft", "2. Confirmation", "3. In progress", "4. Completed", "5. Canceled"),
    "ProductType": ("Product", "Service"),
    "Tax": ("No tax", "VAT 20%"),
    "Unit": ("pieces", "hours"),
    "Pricelist": ("Base",),
}
_CURRENCY = {"USD": ("US Dollar", "840", "$"), "EUR": ("Euro", "978", "€")}


def list_id(entity: str, name: str) -> str:
    """Return the id of an entry of a reference list, or of a row that another row brings with it."""
    digest = hashlib.sha256(f"{entity}/{name}".encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[12:15]}-8{digest[15:18]}-{digest[18:30]}"


def _units(value: Decimal, scale: int) -> int:
    return int(value.scaleb(scale).to_integral_value(ROUND_HALF_UP))


def _base(row_id: str, modified: dt.datetime) -> Row:
    return {
        "Id": row_id,
        "CreatedOn": ticks(modified - _AGE),
        "CreatedById": SUPERVISOR,
        "ModifiedOn": ticks(modified),
        "ModifiedById": SUPERVISOR,
    }


def _entry(entity: str, name: str, **columns: str | int | None) -> Row:
    return {**_base(list_id(entity, name), _FOUNDED), "Name": name, **columns}


def _optional(entity: str, name: str) -> str | None:
    return list_id(entity, name) if name else None


def _day(day: dt.date) -> int:
    return ticks(dt.datetime.combine(day, dt.time(), dt.UTC))


def rows(world: World) -> dict[str, Iterable[Row]]:
    """Return the rows of every object. Order and Invoice hold what an earlier integration has invoiced."""
    sold = [deal for deal in world.opportunities if deal.books_id and deal.stage == "Closed won"]
    ordered = [deal for deal in world.opportunities if deal.id in world.ordered]
    return {
        **{entity: [_entry(entity, name) for name in names] for entity, names in _LISTS.items()},
        "OpportunityStage": _stages(world),
        "Currency": [_currency(code, rate) for code, rate in world.currencies.items()],
        "CurrencyRate": [_currency_rate(code, rate) for code, rate in world.currencies.items()],
        **_places(world),
        "Account": (_account(account, world) for account in world.accounts),
        "Contact": _contacts(world),
        "AccountAddress": (_account_address(a) for a in world.accounts if a.address != Address()),
        "AccountCommunication": _account_communications(world),
        "ContactCommunication": _contact_communications(world),
        "Product": (_product(product) for product in world.products),
        "ProductPrice": (_product_price(product) for product in world.products),
        "Opportunity": (_opportunity(deal) for deal in world.opportunities),
        "OpportunityProductInterest": _opportunity_lines(world),
        "Order": [*(_order(deal) for deal in sold), *(_order(deal, IN_PROGRESS) for deal in ordered)],
        "OrderProduct": [line for deal in (*sold, *ordered) for line in _sold_lines("Order", deal, world)],
        "Invoice": [_invoice(deal) for deal in sold],
        "InvoiceProduct": [line for deal in sold for line in _sold_lines("Invoice", deal, world)],
        "UsrBillQB": [_bill(bill) for bill in world.bills],
        "UsrBillLineQB": [row for bill in world.bills for row in _bill_lines(bill)],
    }


def _stages(world: World) -> list[Row]:
    return [
        _entry(
            "OpportunityStage",
            name,
            Number=number,
            End=int(name.startswith("Closed")),
            Successful=int(name == "Closed won"),
            MaxProbability=_PROBABILITY.get(name, 0),
        )
        for number, name in enumerate(world.stages, start=1)
    ]


def _rate(rate: Decimal) -> Decimal:
    """Return a rate as Creatio has it: units of the currency for one of the base."""
    return (1 / rate).quantize(Decimal("0.0001"), ROUND_HALF_UP)


def _currency(code: str, rate: Decimal) -> Row:
    name, number, symbol = _CURRENCY.get(code, (code, "", code))
    row = _entry("Currency", code, Code=number, ShortName=code, Symbol=symbol, Rate=_units(_rate(rate), 4), Division=1)
    return {**row, "Name": name}


def _currency_rate(code: str, rate: Decimal) -> Row:
    row = _base(list_id("CurrencyRate", code), _FOUNDED)
    both = dict.fromkeys(("Rate", "RateMantissa"), _units(_rate(rate), 4))
    return {**row, "CurrencyId": list_id("Currency", code), "StartDate": ticks(_FOUNDED), **both}


def _region_key(address: Address) -> str:
    return f"{address.country}/{address.region}"


def _city_key(address: Address) -> str:
    return f"{_region_key(address)}/{address.city}"


def _places(world: World) -> dict[str, list[Row]]:
    """Return the countries, regions and cities that the accounts' addresses name; a city belongs to a region."""
    countries: dict[str, Row] = {}
    regions: dict[str, Row] = {}
    cities: dict[str, Row] = {}
    for account in world.accounts:
        address = account.address
        country = _optional("Country", address.country)
        if address.country and address.country not in countries:
            countries[address.country] = _entry("Country", address.country)
        key = _region_key(address)
        region = list_id("Region", key) if address.region else None
        if region and key not in regions:
            regions[key] = {**_entry("Region", key, CountryId=country), "Name": address.region}
        key = _city_key(address)
        if address.city and key not in cities:
            cities[key] = {**_entry("City", key, CountryId=country, RegionId=region), "Name": address.city}
    return {"Country": [*countries.values()], "Region": [*regions.values()], "City": [*cities.values()]}


def _address(address: Address) -> Row:
    return {
        "Address": address.street,
        "CityId": list_id("City", _city_key(address)) if address.city else None,
        "RegionId": list_id("Region", _region_key(address)) if address.region else None,
        "CountryId": _optional("Country", address.country),
        "Zip": address.postal_code,
    }


def _account(account: Account, world: World) -> Row:
    return {
        **_base(account.id, account.modified),
        "Name": account.name,
        "Code": account.code,
        "TypeId": list_id("AccountType", account.kind),
        "PrimaryContactId": account.primary_contact_id,
        "OwnerId": SUPERVISOR,
        "Phone": account.phone,
        "Fax": account.fax,
        "Web": account.web,
        **_address(account.address),
        "AddressTypeId": list_id("AddressType", "Actual") if account.address != Address() else None,
        "PriceListId": list_id("Pricelist", "Base"),
        "Notes": account.notes,
        "UsrQBId": account.books_id or "",
        "UsrRegion": account.region,
        "UsrPaymentTerms": account.terms,
        "UsrCurrencyId": list_id("Currency", account.currency) if account.currency in world.currencies else None,
        "UsrActive": 1,
    }


def _contacts(world: World) -> Iterator[Row]:
    employee = list_id("ContactType", "Employee")
    yield {**_base(SUPERVISOR, _FOUNDED), "Name": "Supervisor", "Surname": "Supervisor", "TypeId": employee}
    for contact in world.contacts:
        yield {
            **_base(contact.id, contact.modified),
            "Name": _full_name(contact),
            "GivenName": contact.given_name,
            "MiddleName": contact.middle_name,
            "Surname": contact.surname,
            "AccountId": contact.account_id,
            "TypeId": list_id("ContactType", "Contact person"),
            "OwnerId": SUPERVISOR,
            "Email": contact.email,
            "Phone": contact.phone,
            "MobilePhone": contact.mobile,
            "JobTitle": contact.job_title,
        }


def _full_name(contact: Contact) -> str:
    return " ".join(part for part in (contact.given_name, contact.middle_name, contact.surname) if part)


def _account_address(account: Account) -> Row:
    base = _base(list_id("AccountAddress", account.id), account.modified)
    kind = list_id("AddressType", "Actual")
    return {**base, "AccountId": account.id, "AddressTypeId": kind, "Primary": 1, **_address(account.address)}


def _account_communications(world: World) -> Iterator[Row]:
    for account in world.accounts:
        for kind, number in (("Primary phone", account.phone), ("Fax", account.fax), ("Web", account.web)):
            if number:
                row = _communication("AccountCommunication", account.id, kind, number, account.modified)
                yield {**row, "AccountId": account.id}


def _contact_communications(world: World) -> Iterator[Row]:
    for contact in world.contacts:
        numbers = (("Email", contact.email), ("Business phone", contact.phone), ("Mobile phone", contact.mobile))
        for kind, number in numbers:
            if number:
                row = _communication("ContactCommunication", contact.id, kind, number, contact.modified)
                yield {**row, "ContactId": contact.id}


def _communication(entity: str, owner: str, kind: str, number: str, modified: dt.datetime) -> Row:
    base = _base(list_id(entity, f"{owner}/{kind}"), modified)
    return {**base, "CommunicationTypeId": list_id("CommunicationType", kind), "Number": number, "Primary": 1}


def _unit(product: Product) -> str:
    return list_id("Unit", "hours" if product.kind == "Service" else "pieces")


def _product(product: Product) -> Row:
    return {
        **_base(product.id, product.modified),
        "Name": product.name,
        "Code": product.code,
        "Description": product.description,
        "UnitId": _unit(product),
        "CurrencyId": list_id("Currency", product.currency),
        "TaxId": list_id("Tax", "No tax"),
        "Price": _units(product.price, 2),
        "TypeId": list_id("ProductType", "Service" if product.kind == "Service" else "Product"),
        "OwnerId": SUPERVISOR,
        "IsArchive": int(product.archived),
        "UsrQBId": product.books_id or "",
        "UsrItemKind": product.kind,
    }


def _product_price(product: Product) -> Row:
    return {
        **_base(list_id("ProductPrice", product.id), product.modified),
        "ProductId": product.id,
        "PriceListId": list_id("Pricelist", "Base"),
        "CurrencyId": list_id("Currency", product.currency),
        "TaxId": list_id("Tax", "No tax"),
        "Price": _units(product.price, 2),
    }


def _opportunity(deal: Opportunity) -> Row:
    return {
        **_base(deal.id, deal.modified),
        "Title": deal.title,
        "StageId": list_id("OpportunityStage", deal.stage),
        "AccountId": deal.account_id,
        "ContactId": deal.contact_id,
        "OwnerId": SUPERVISOR,
        "Amount": _units(deal.amount, 2),
        "Budget": _units(deal.amount, 2),
        "Probability": _PROBABILITY.get(deal.stage, 0),
        "DueDate": _day(deal.due_date),
        "UsrQBId": deal.books_id or "",
        "UsrInvoiceNumber": deal.number,
        "UsrCurrencyId": list_id("Currency", deal.currency),
        "UsrExchangeRate": _units(deal.exchange_rate, 4),
    }


def _opportunity_lines(world: World) -> Iterator[Row]:
    for deal in world.opportunities:
        for line in deal.lines:
            yield {
                **_base(line.id, line.modified),
                "OpportunityId": deal.id,
                "ProductId": line.product_id,
                "Quantity": _units(line.quantity, 3),
                "Price": _units(line.price, 2),
                "Amount": _units(line.amount, 2),
            }


def _in_base_currency(deal: Opportunity, value: Decimal) -> int:
    return _units(value / _rate(deal.exchange_rate), 2)


def _sale(entity: str, deal: Opportunity) -> Row:
    return {
        **_base(list_id(entity, deal.id), deal.modified),
        "AccountId": deal.account_id,
        "ContactId": deal.contact_id,
        "OwnerId": SUPERVISOR,
        "CurrencyId": list_id("Currency", deal.currency),
        "CurrencyRate": _units(_rate(deal.exchange_rate), 4),
        "Amount": _units(deal.amount, 2),
        "PrimaryAmount": _in_base_currency(deal, deal.amount),
        "OpportunityId": deal.id,
    }


def _order(deal: Opportunity, status: str = COMPLETED) -> Row:
    return {
        **_sale("Order", deal),
        "Number": f"ORD-{deal.books_id or deal.id[:8]}",
        "Date": ticks(deal.modified),
        "StatusId": list_id("OrderStatus", status),
        "PaymentStatusId": list_id("OrderPaymentStatus", "Not paid"),
    }


def _invoice(deal: Opportunity) -> Row:
    return {
        **_sale("Invoice", deal),
        "Number": deal.number,
        "StartDate": ticks(deal.modified),
        "DueDate": _day(deal.due_date),
        "PaymentStatusId": list_id("InvoicePaymentStatus", "Unpaid"),
        "OrderId": list_id("Order", deal.id),
    }


def _bill(bill: Bill) -> Row:
    return {
        **_base(bill.id, bill.modified),
        "Name": f"Bill {bill.number}",
        "UsrNumber": bill.number,
        "UsrVendorId": bill.vendor_id,
        "UsrDate": _day(bill.date),
        "UsrDueDate": _day(bill.due_date),
    }


def _bill_lines(bill: Bill) -> Iterator[Row]:
    for number, line in enumerate(bill.lines):
        yield {
            **_base(list_id("UsrBillLineQB", f"{bill.id}/{number}"), bill.modified),
            "UsrBillId": bill.id,
            "UsrProductId": line.product_id,
            "UsrGLAccount": line.account,
            "UsrDescription": line.description,
            "UsrQuantity": _units(line.quantity or Decimal(0), 3),
            "UsrPrice": _units(line.price or Decimal(0), 2),
            "UsrAmount": _units(line.amount, 2),
        }


def _sold_lines(entity: str, deal: Opportunity, world: World) -> Iterator[Row]:
    products = {product.id: product for product in world.products}
    for line in deal.lines:
        product = products[line.product_id]
        row = {
            **_base(list_id(f"{entity}Product", line.id), deal.modified),
            "Name": product.name,
            f"{entity}Id": list_id(entity, deal.id),
            "ProductId": product.id,
            "UnitId": _unit(product),
            "TaxId": list_id("Tax", "No tax"),
            "Quantity": _units(line.quantity, 3),
            "Price": _units(line.price, 2),
            "Amount": _units(line.amount, 2),
            "TotalAmount": _units(line.amount, 2),
            "PrimaryPrice": _in_base_currency(deal, line.price),
            "PrimaryAmount": _in_base_currency(deal, line.amount),
            "PrimaryTotalAmount": _in_base_currency(deal, line.amount),
        }
        yield {**row, "CurrencyId": list_id("Currency", deal.currency)} if entity == "Order" else row
