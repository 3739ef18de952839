"""Tax, totals, currency, dates and numbers of a transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from sandbox.quickbooks_online import errors, lines
from sandbox.quickbooks_online.books import Books, cents, currency_ref
from sandbox.quickbooks_online.lines import ZERO, Summed
from sandbox.quickbooks_online.refs import value_of
from sandbox.quickbooks_online.schema import Entity, Kind
from sandbox.quickbooks_online.store import Row


def settle_currency(books: Books, entity: Entity, row: Row) -> None:
    """Give `row` its currency and rate. Raises `Fault` 2020 or 6000.

    A transaction is in the currency of who it is with. Left out, the currency is the home currency; with a party in
    another currency it has to be there. A foreign currency without a rate is booked at 1.
    """
    if "CurrencyRef" not in entity.fields:
        return
    if not books.options.multicurrency:
        row["CurrencyRef"] = currency_ref(books.home)
        row.pop("ExchangeRate", None)
        return
    theirs = _party_currency(books, entity, row)
    given = value_of(row, "CurrencyRef")
    if not given and theirs not in ("", books.home):
        raise errors.Fault(errors.required("CurrencyRef"))
    code = given or books.home
    if theirs and code != theirs:
        raise errors.business(
            f"The currency of the transaction ({code}) is not the currency of the customer or vendor ({theirs})."
        )
    row["CurrencyRef"] = currency_ref(code)
    rate = Decimal(row.get("ExchangeRate") or 1)
    if rate < 0:
        raise errors.business("The exchange rate must be greater than 0.")
    row["ExchangeRate"] = Decimal(1) if code == books.home else rate


def _party_currency(books: Books, entity: Entity, row: Row) -> str:
    ref = row.get(entity.party) if entity.party else None
    if not ref:
        return ""
    targets = entity.fields[entity.party].targets
    target = ref.get("type") if len(targets) > 1 else targets[0]
    party = books.get(str(target), ref["value"])
    return value_of(party, "CurrencyRef") or books.home


def home_amount(row: Row, amount: Decimal | int) -> Decimal:
    """Return an amount of a transaction in the home currency."""
    return cents(Decimal(amount) * Decimal(row.get("ExchangeRate") or 1))


def settle_total(books: Books, entity: Entity, row: Row, *, new_lines: bool, tax_given: bool, first_id: int) -> None:
    """Fill in lines, tax and totals. Balances follow later, from what is applied. Raises as `lines` does."""
    given = row.get("Line", [])
    if entity.name == "JournalEntry":
        kept, total = lines.balance_journal(books, given)
    elif entity.name == "Deposit":
        kept, total = lines.sum_deposit(given)
        total -= cents(row.get("CashBack", {}).get("Amount", 0))
    else:
        summed = lines.sum_up(books, entity, given)
        kept = summed.lines
        total = summed.net + _tax(books, row, summed, tax_given=tax_given)
    if total < 0:
        raise errors.business("Transaction amount must be 0 or greater.")
    row["Line"] = lines.number(kept, first_id) if new_lines else kept
    row["TotalAmt"] = total
    if books.options.multicurrency:
        row["HomeTotalAmt"] = home_amount(row, total)


def _tax(books: Books, row: Row, summed: Summed, *, tax_given: bool) -> Decimal:
    """Settle TxnTaxDetail; return the tax that is added to the lines.

    In the US the transaction has one tax code, for its taxable lines. Elsewhere each line has a code of its own, and
    GlobalTaxCalculation says whether the amounts are without it, include it, or know none.
    """
    mode = row.get("GlobalTaxCalculation")
    american = books.options.country == "US"
    if american:
        row.pop("GlobalTaxCalculation", None)
    elif mode is None:
        raise errors.Fault(errors.required("GlobalTaxCalculation"))
    detail: Row = dict(row.get("TxnTaxDetail") or {})
    code = value_of(detail, "TxnTaxCodeRef")
    bases: dict[str, Decimal] = {}
    if american and code:
        share = summed.net / summed.subtotal if row.get("ApplyTaxAfterDiscount") and summed.subtotal else 1
        bases = {code: cents(summed.taxable * share)}
    elif not american and mode != "NotApplicable":
        bases = _by_code(summed)
    if tax_given or (american and not code):
        total = cents(detail.get("TotalTax", 0))
    else:
        inclusive = not american and mode == "TaxInclusive"
        detail["TaxLine"] = [
            _tax_line(rate, base, inclusive=inclusive)
            for tax_code, base in bases.items()
            for rate in _rates(books, tax_code)
        ]
        total = sum((line["Amount"] for line in detail["TaxLine"]), ZERO)
    if total < 0:
        raise errors.business("The tax must be 0 or greater.")
    row["TxnTaxDetail"] = {**detail, "TotalTax": total}
    return ZERO if mode == "TaxInclusive" and not american else total


def _by_code(summed: Summed) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for line in summed.lines:
        for name in ("SalesItemLineDetail", "AccountBasedExpenseLineDetail", "ItemBasedExpenseLineDetail"):
            code = value_of(line.get(name, {}), "TaxCodeRef")
            if code and code != "NON":
                found[code] = found.get(code, ZERO) + cents(line["Amount"])
    return found


def _rates(books: Books, code: str) -> Iterable[Row]:
    found = books.store.get("TaxCode", code) or {}
    for part in found.get("SalesTaxRateList", {}).get("TaxRateDetail", []):
        yield books.get("TaxRate", part["TaxRateRef"]["value"])


def _tax_line(rate: Row, base: Decimal, *, inclusive: bool) -> Row:
    percent = Decimal(rate.get("RateValue", 0))
    amount = cents(base * percent / (100 + percent)) if inclusive else cents(base * percent / 100)
    detail: dict[str, Any] = {
        "TaxRateRef": {"value": rate["Id"]},
        "PercentBased": True,
        "TaxPercent": percent,
        "NetAmountTaxable": base - amount if inclusive else base,
    }
    return {"Amount": amount, "DetailType": "TaxLineDetail", "TaxLineDetail": detail}


def settle_dates(books: Books, entity: Entity, row: Row, current: Row | None, given: Row) -> None:
    """Give `row` its TxnDate and DueDate. Raises `Fault` 6210 when it lies, or lay, in closed books."""
    if "TxnDate" not in entity.fields:
        return
    if "TxnDate" not in row:
        row["TxnDate"] = current["TxnDate"] if current else books.clock.today().isoformat()
    refuse_closed(books, entity, row, current)
    if entity.name not in ("Invoice", "Bill"):
        return
    moved = current is None or (row["TxnDate"], value_of(row, "SalesTermRef")) != (
        current["TxnDate"],
        value_of(current, "SalesTermRef"),
    )
    if "DueDate" not in row or (moved and "DueDate" not in given):
        row["DueDate"] = _due(books, entity, row).isoformat()


def refuse_closed(books: Books, entity: Entity, *versions: Row | None) -> None:
    """Raise `Fault` 6210 when one of these versions lies in closed books."""
    closed = books.closed_until() if entity.name != "TimeActivity" else None
    for version in versions:
        if closed and version and dt.date.fromisoformat(version["TxnDate"]) <= closed:
            raise errors.closed_books()


def _due(books: Books, entity: Entity, row: Row) -> dt.date:
    """Terms of the transaction, else of the party, else of the company's preferences."""
    start = dt.date.fromisoformat(row["TxnDate"])
    party = books.get(entity.fields[entity.party].targets[0], row[entity.party]["value"])
    term_id = value_of(row, "SalesTermRef") or value_of(party, "SalesTermRef") or value_of(party, "TermRef")
    if not term_id and entity.name == "Invoice":
        default = books.preference("SalesFormsPrefs", "DefaultTerms")
        term_id = str(default["value"]) if default else ""
    term = books.store.get("Term", term_id) if term_id else None
    return due_date(start, term) if term else start


def due_date(start: dt.date, term: Row) -> dt.date:
    """Return the date on which something of `start` is due: after a number of days, or on a day of the month."""
    if term.get("DueDays") is not None:
        return start + dt.timedelta(days=int(term["DueDays"]))
    day = int(term.get("DayOfMonthDue") or start.day)
    month = start.replace(day=1)
    if start.day > day - int(term.get("DueNextMonthDays") or 0):
        month = (month + dt.timedelta(days=32)).replace(day=1)
    last = ((month + dt.timedelta(days=32)).replace(day=1) - dt.timedelta(days=1)).day
    return month.replace(day=min(day, last))


def settle_number(books: Books, entity: Entity, row: Row, current: Row | None, *, allow_duplicate: bool) -> None:
    """Give a new transaction its DocNumber, refuse one that is taken. Raises `Fault` 6140."""
    if "DocNumber" not in entity.fields:
        return
    number = row.get("DocNumber")
    sequence = f"doc:{entity.numbers}"
    if not number:
        own = books.preference("SalesFormsPrefs", "CustomTxnNumbers")
        if current is None and entity.numbers and not own:
            row["DocNumber"] = _next_number(books, entity, sequence)
        return
    if entity.numbers and number.isascii() and number.isdigit() and len(number) < 16:
        books.store.raise_sequence(sequence, int(number))
    same = current is not None and current.get("DocNumber") == number
    if same or allow_duplicate or entity.unique is None:
        return
    for other_id in books.store.find(entity.name, "DocNumber", number):
        other = books.get(entity.name, other_id)
        if other_id != row.get("Id") and all(value_of(other, f) == value_of(row, f) for f in entity.unique):
            raise errors.duplicate_number(number, entity.name, other_id)


def _next_number(books: Books, entity: Entity, sequence: str) -> str:
    books.store.raise_sequence(sequence, 1000)
    while True:
        number = str(books.store.next_value(sequence))
        if not books.store.find(entity.name, "DocNumber", number):
            return number


def settle_custom_fields(books: Books, entity: Entity, row: Row, current: Row | None) -> None:
    """Put a transaction's custom fields in order: each definition once, with its value if it has one."""
    if "CustomField" not in entity.fields:
        return
    names = books.options.custom_fields
    known: dict[str, Row] = {str(n): {} for n in range(1, len(names) + 1)}
    sources = [current.get("CustomField", []) if current and "CustomField" in row else [], row.get("CustomField", [])]
    for item in (part for source in sources for part in source):
        number = item.get("DefinitionId") or next(
            (str(n) for n, name in enumerate(names, 1) if name == item.get("Name")), ""
        )
        if number not in known:
            raise errors.Fault(errors.invalid_custom_field(number or item.get("Name")))
        known[number] = {name: value for name, value in item.items() if name.endswith("Value")}
    row["CustomField"] = [
        {"DefinitionId": number, "Name": names[int(number) - 1], "Type": "StringType", **values}
        for number, values in known.items()
        if values or entity.kind is Kind.TXN
    ]
    if not row["CustomField"]:
        row.pop("CustomField")
