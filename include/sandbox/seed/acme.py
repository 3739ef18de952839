"""The acme world: a company whose data make the trouble that real data make. Also empty and plain worlds."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal

from sandbox.seed import acme_names as names
from sandbox.seed.acme_books import add_books
from sandbox.seed.acme_parts import (
    ACCOUNTS,
    ALIKE,
    AMBIGUOUS,
    ARCHIVED_PRODUCTS,
    BOUND,
    BOUND_PRODUCTS,
    CONTACTS,
    DELETED_INVOICE_ID,
    FIRST,
    FIRST_INVOICE_ID,
    INVOICED,
    LOST,
    OPPORTUNITIES,
    PRODUCTS,
    SHARED_STAMP,
    WON,
    cents,
    guid,
    phone,
    roll,
    stamp,
)
from sandbox.seed.world import (
    CURRENCIES,
    TERMS,
    Account,
    Address,
    Contact,
    Opportunity,
    OpportunityLine,
    Product,
    World,
)

_OPEN_STAGES = ("Qualification", "Presentation", "Proposal", "Contracting")


def _account_name(number: int) -> str:
    first = names.FIRST_WORDS[number % len(names.FIRST_WORDS)]
    second = names.SECOND_WORDS[number // len(names.FIRST_WORDS)]
    return f"{first} {second} {names.LEGAL_FORMS[roll(f'{first} {second}', len(names.LEGAL_FORMS))]}".rstrip()


def _address(number: int, currency: str) -> Address:
    places = names.EU_PLACES if currency == "EUR" else names.US_PLACES
    street = names.STREETS[roll(f"street {number}", len(names.STREETS))]
    place = places[roll(f"place {number}", len(places))]
    return dataclasses.replace(place, street=f"{1 + roll(f'house {number}', 900)} {street}" if street else "")


def _accounts() -> list[Account]:
    plain = ACCOUNTS - len(names.TROUBLED) - len(names.LOOK_ALIKES)
    listed = [_account_name(number) for number in range(BOUND + ALIKE + AMBIGUOUS)]
    listed += [*names.LOOK_ALIKES, *names.TROUBLED]
    listed += [_account_name(number) for number in range(BOUND + ALIKE + AMBIGUOUS, plain)]
    result = []
    for number, name in enumerate(listed):
        currency = "EUR" if number % 8 == 3 else "USD"
        if name in names.LOOK_ALIKES or name == "Twin Rivers Marina":
            currency = "USD"
        account = Account(
            id=guid("account", number),
            name=name,
            code=f"C-{number + 1:04d}",
            # The look-alikes share one telephone, each in its own notation.
            phone=phone(77 if name in names.LOOK_ALIKES else number, _notation(number)),
            fax=phone(number + 350, number) if number % 4 == 0 else "",
            web=f"https://www.example.com/{number}" if number % 3 else "",
            address=_address(number, currency) if number % 11 != 7 else Address(),
            primary_contact_id=guid("contact", number) if number % 13 != 5 else None,
            region=names.SALES_REGIONS[roll(f"region {number}", len(names.SALES_REGIONS))],
            terms=list(TERMS)[roll(f"terms {number}", len(TERMS))] if number % 5 else "",
            currency=currency,
            notes=f"Line one\nLine two, {names.PUNCTUATION}" if number % 17 == 0 else "",
            books_id=str(number + 1) if number < BOUND else None,
            modified=stamp(f"account {number}"),
        )
        result.append(account)
    return result


def _notation(number: int) -> int:
    """Whoever is found by name and phone has a phone; of the others, some have none."""
    matched = BOUND + ALIKE + AMBIGUOUS + len(names.LOOK_ALIKES)
    return number % 5 if number < matched else roll(f"notation {number}", 6)


def _contacts(accounts: list[Account]) -> list[Contact]:
    result = []
    for number in range(CONTACTS):
        account = accounts[number % ACCOUNTS]
        given = names.GIVEN_NAMES[roll(f"given {number}", len(names.GIVEN_NAMES))]
        surname = names.SURNAMES[roll(f"surname {number}", len(names.SURNAMES))]
        contact = Contact(
            id=guid("contact", number),
            given_name=given,
            surname=surname,
            middle_name="J." if number % 9 == 0 else "",
            account_id=account.id,
            email=f"contact{number}@example.com" if number % 7 else "",
            phone=phone(number + 200, number),
            mobile=phone(number + 400, number + 2),
            job_title=names.JOB_TITLES[number % len(names.JOB_TITLES)],
            modified=stamp(f"contact {number}"),
        )
        result.append(contact)
    return result


def _products() -> list[Product]:
    result = []
    for number in range(PRODUCTS):
        if number < len(names.PRODUCTS):
            name, kind = names.PRODUCTS[number]
        else:
            name, kind = f"Spare part {number:03d}", "NonInventory"
        product = Product(
            id=guid("product", number),
            name=name,
            code=f"P-{number + 1:03d}",
            price=cents(Decimal(500 + roll(f"price {number}", 90_000)) / 100),
            description=f"{name}: as agreed.\nSecond line." if number % 3 == 0 else "",
            kind=kind,
            currency="EUR" if number % 20 == 19 else "USD",
            archived=number in ARCHIVED_PRODUCTS,
            books_id=str(number + 1) if number < BOUND_PRODUCTS else None,
            modified=stamp(f"product {number}"),
        )
        result.append(product)
    return result


def _stage(number: int) -> str:
    if number < WON:
        return "Closed won"
    if number < WON + LOST:
        return "Closed lost"
    return _OPEN_STAGES[number % len(_OPEN_STAGES)]


def _account_of(number: int, accounts: list[Account]) -> Account:
    """Won: the bound accounts (the first ten twice), some of them again, then each account with its own trouble."""
    if number < INVOICED:
        return accounts[number % BOUND]
    if number < WON:
        others = BOUND + (number - INVOICED)
        last = BOUND + ALIKE + AMBIGUOUS + len(names.LOOK_ALIKES) + len(names.TROUBLED)
        return accounts[others] if others < last else accounts[others - last]
    if number == WON:  # the deal fell through and the bookkeeper deleted its invoice
        return accounts[0]
    return accounts[roll(f"opportunity {number}", ACCOUNTS)]


_NO_LINES = frozenset({61, 75, 130, 171})
_IDENTICAL_LINES = frozenset({3, 62, 140})
_ZERO_QUANTITY = frozenset({63, 150})
_OTHER_CURRENCY = frozenset({66, 79})
_SHARED_STAMPS = frozenset({45, 50, 64, 70})
_WITH_TROUBLED_PRODUCTS = frozenset({45, 64, 71, 78})  # of the won ones without an invoice
_QUANTITIES = tuple(map(Decimal, ("1", "2", "3", "10", "2.5", "0.333", "12", "1.125")))


def _troubled(products: list[Product]) -> frozenset[int]:
    """Return which products the books would not take, or take twice."""
    seen: dict[str, int] = {}
    for place, product in enumerate(products):
        seen.setdefault(product.name.casefold(), place)
    return frozenset(
        place
        for place, product in enumerate(products)
        if product.archived or len(product.name) > 100 or "\t" in product.name or seen[product.name.casefold()] != place
    )


def _lines(number: int, products: list[Product], modified: dt.datetime) -> tuple[OpportunityLine, ...]:
    if number in _NO_LINES:
        return ()
    known = number <= WON and (number < INVOICED or number == WON)
    count = 1 + roll(f"lines {number}", 5)
    troubled = _troubled(products)
    lines = []
    for position in range(count):
        key = f"{number}/{position}"
        choice = roll(f"product {key}", BOUND_PRODUCTS if known else PRODUCTS)
        if number < WON and number not in _WITH_TROUBLED_PRODUCTS and choice in troubled:
            choice = roll(f"sound product {key}", BOUND_PRODUCTS)
        quantity = _QUANTITIES[roll(f"quantity {key}", len(_QUANTITIES))]
        if number in _ZERO_QUANTITY and position == 0:
            quantity = Decimal(0)
        product = products[choice]
        line = OpportunityLine(
            id=guid("line", number * 10 + position),
            product_id=product.id,
            quantity=quantity,
            price=product.price,
            amount=cents(quantity * product.price),
            modified=modified,
        )
        lines.append(line)
    if number in _IDENTICAL_LINES:
        lines = [lines[0], dataclasses.replace(lines[0], id=guid("line", number * 10 + 9)), *lines[1:4]]
    return tuple(lines)


def _title(number: int, account: Account) -> str:
    if number % 23 == 0:
        return f"Deal {number}: {names.PUNCTUATION}"
    if number % 31 == 0:
        return f"צעד ראשון {number} 🚀"
    return f"{account.name} – order {number}"


def _opportunities(accounts: list[Account], products: list[Product]) -> list[Opportunity]:
    result = []
    for number in range(OPPORTUNITIES):
        account = _account_of(number, accounts)
        currency = account.currency
        if number in _OTHER_CURRENCY:
            currency = "USD" if currency == "EUR" else "EUR"
        modified = SHARED_STAMP if number in _SHARED_STAMPS else stamp(f"opportunity {number}")
        lines = _lines(number, products, modified)
        amount = sum((line.amount for line in lines), Decimal(0)) if lines else Decimal("1000.00")
        invoice_id = str(FIRST_INVOICE_ID + number) if number < INVOICED else None
        opportunity = Opportunity(
            id=guid("opportunity", number),
            title=_title(number, account),
            account_id=account.id,
            stage=_stage(number),
            contact_id=account.primary_contact_id,
            amount=amount,
            due_date=modified.date() + dt.timedelta(days=30),
            currency=currency,
            exchange_rate=CURRENCIES[currency],
            lines=lines,
            number=f"INV-{invoice_id}" if invoice_id else "",
            books_id=DELETED_INVOICE_ID if number == WON else invoice_id,
            modified=modified,
        )
        result.append(opportunity)
    return result


def build() -> World:
    """Return the acme world; the same each time."""
    accounts = _accounts()
    products = _products()
    crm = World(
        accounts=tuple(accounts),
        contacts=tuple(_contacts(accounts)),
        products=tuple(products),
        opportunities=tuple(_opportunities(accounts, products)),
    )
    return add_books(crm)


def empty() -> World:
    """Return a world of reference lists only."""
    return World()


def plain(size: int, *, won: bool = False, contacts: bool = True, lines: int = 1) -> World:
    """Return `size` accounts without any trouble and nothing in the books, for benchmarks.

    :param won: each account has an opportunity at Closed won, with `lines` lines over ten products.
    :param contacts: each account has a primary contact with an e-mail address.
    """
    products = tuple(
        Product(guid("plain product", n), f"Plain product {n}", f"PP-{n}", Decimal(10 + n)) for n in range(10)
    )
    accounts, people, deals = [], [], []
    for number in range(size):
        modified = FIRST + dt.timedelta(seconds=number * 20)
        person = guid("plain contact", number) if contacts else None
        account = Account(
            id=guid("plain account", number),
            name=f"Plain Customer {number:06d}",
            code=f"B-{number:06d}",
            phone=f"+1 {201 + number % 700} 555 {number % 10_000:04d}",
            address=dataclasses.replace(names.US_PLACES[number % len(names.US_PLACES)], street=f"{number} Main St"),
            primary_contact_id=person,
            terms="Net 30",
            modified=modified,
        )
        accounts.append(account)
        if person:
            people.append(
                Contact(person, "Pat", f"Plain{number}", account.id, f"pat{number}@example.com", modified=modified)
            )
        if won:
            deals.append(_plain_deal(number, account, products, lines, modified))
    return World(
        accounts=tuple(accounts), contacts=tuple(people), products=products if won else (), opportunities=tuple(deals)
    )


def _plain_deal(
    number: int, account: Account, products: tuple[Product, ...], lines: int, modified: dt.datetime
) -> Opportunity:
    chosen = [products[(number + position) % len(products)] for position in range(lines)]
    rows = tuple(
        OpportunityLine(guid("plain line", number * 100 + at), p.id, Decimal(1), p.price, p.price, modified)
        for at, p in enumerate(chosen)
    )
    return Opportunity(
        id=guid("plain opportunity", number),
        title=f"Plain deal {number:06d}",
        account_id=account.id,
        stage="Closed won",
        contact_id=account.primary_contact_id,
        amount=sum((row.amount for row in rows), Decimal(0)),
        due_date=modified.date() + dt.timedelta(days=30),
        currency="USD",
        exchange_rate=Decimal(1),
        lines=rows,
        modified=modified,
    )


def named(name: str, *, size: int = 0, won: bool = False) -> World:
    """Return the world of a reset's `seed`: "acme", "empty" or "plain" (`size`, `won`); else raises ValueError."""
    match name:
        case "acme":
            return build()
        case "empty":
            return empty()
        case "plain":
            return plain(size, won=won)
    msg = f"unknown seed {name!r}; known: acme, empty, plain"
    raise ValueError(msg)
