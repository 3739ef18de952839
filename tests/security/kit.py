"""Small companies between sandboxes of their own, with secrets that can be searched for."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from iw_operators.ledger.own import OwnLedger
from iw_operators.ledger.store import Ledger
from iw_operators.state import MemorySecretState
from iw_operators.systems.http import json_dumps
from sandbox.seed.world import Account, BooksCustomer, Contact, Opportunity, OpportunityLine, Product, World
from tests import stage as stages

ROOT = Path(__file__).resolve().parents[2]
SPACE = uuid.UUID("0a1b2c3d-0000-4000-8000-00000000abcd")
SENT, BACK, NF = "CRAcctOpp2QBCustInv", "QBCustInvoices2CRAcctOpp", "QBCust2CRAcctNF"

SetEnv = Callable[[str, str], None]


def number(kind: str, position: int) -> str:
    """Return an id that is the same in each world."""
    return str(uuid.uuid5(SPACE, f"{kind} {position}"))


def world(mark: str, size: int = 3, **account: Any) -> World:
    """Return accounts, a product, and a won opportunity each; ids and names do not depend on `mark`, notes do."""
    when = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
    product = Product(id=number("product", 0), name="Widget", code="W-1", price=Decimal(10), modified=when)
    contacts, accounts, opportunities = [], [], []
    for position in range(size):
        account_id, contact_id = number("account", position), number("contact", position)
        contacts.append(Contact(contact_id, "Ann", f"Twin{position}", account_id, email=f"ann{position}@example.com"))
        fields: dict[str, Any] = {"notes": f"belongs to {mark}", "phone": f"617-555-01{position:02}"} | account
        accounts.append(
            Account(
                account_id, f"Twin {position}", f"T{position}", primary_contact_id=contact_id, modified=when, **fields
            )
        )
        line = OpportunityLine(
            number("line", position), product.id, Decimal(2), Decimal(10), Decimal(20), modified=when
        )
        opportunities.append(
            Opportunity(
                id=number("opportunity", position),
                title=f"Sale {position}",
                account_id=account_id,
                stage="Closed won",
                contact_id=contact_id,
                amount=Decimal(20),
                due_date=dt.date(2026, 3, 1),
                currency="USD",
                exchange_rate=Decimal(1),
                lines=(line,),
                modified=when,
            )
        )
    own = BooksCustomer("900", f"Only in the books of {mark}", modified=when)
    return World(
        accounts=tuple(accounts),
        contacts=tuple(contacts),
        products=(product,),
        opportunities=tuple(opportunities),
        books_customers=(own,),
    )


@dataclass
class Recording(MemorySecretState):
    """A state that remembers every value that was ever put into it."""

    seen: set[str] = field(default_factory=set)

    def __init__(self) -> None:
        super().__init__()
        self.seen = set()

    def write(self, value: Mapping[str, str]) -> None:
        """Keep it and remember it."""
        super().write(value)
        for name, text in value.items():
            if name in ("access_token", "refresh_token", "token"):
                self.seen.add(text)
            elif name == "cookies":
                self.seen |= {each for each in json.loads(text).values() if len(each) > 15}
        self.seen.discard("")


@dataclass(frozen=True)
class Secrets:
    """What one company signs in with."""

    user: str
    password: str
    realm: str
    client_id: str
    client_secret: str
    refresh_token: str

    @classmethod
    def of(cls, company: str, realm: str) -> Secrets:
        """Return secrets that name the company they belong to."""
        return cls(
            f"{company}-user",
            f"PASSWORD-{company}-s3cr3t!",
            realm,
            f"{company}-client",
            f"CLIENTSECRET-{company}-s3cr3t",
            f"REFRESH-{company}-s3cr3t",
        )

    @property
    def hidden(self) -> set[str]:
        """What nobody may read."""
        return {self.password, self.client_secret, self.refresh_token}


def copy_of_acme(root: Path, company: str, changes: Mapping[str, str] | None = None) -> Path:
    """Write a company like `acme` with connections of its own; `changes` replaces text in all files."""
    folder = root / company
    folder.mkdir(parents=True)
    for file in (ROOT / "mappings" / "acme").glob("*.yaml"):
        text = file.read_text().replace("company: acme\n", f"company: {company}\n").replace("acme_", f"{company}_")
        for old, new in (changes or {}).items():
            text = text.replace(old, new)
        (folder / file.name).write_text(text)
    shutil.copy(ROOT / "mappings" / "README.md", root)
    return folder


@dataclass
class Shop:
    """One company at work."""

    name: str
    secrets: Secrets
    stage: stages.Stage

    @property
    def crm(self) -> str:
        """Everything that its CRM holds, as text."""
        return "\n".join(self.stage.crm_sandbox.store._db.iterdump())

    @property
    def books(self) -> str:
        """Everything that its books hold, as text."""
        return "\n".join(self.stage.books_sandbox.store._db.iterdump())

    @property
    def seen(self) -> set[str]:
        """Every token and cookie that it has had."""
        return {text for state in self.stage.states.values() if isinstance(state, Recording) for text in state.seen}

    def connect(self, side: str = "both", **changes: Any) -> None:
        """Make its Airflow connections; `changes` go over those of one side, with those of `extra` over its extra."""
        secrets, company = self.secrets, self.stage.spec.company
        bodies: dict[str, dict[str, Any]] = {
            "crm": {
                "conn_type": "creatio",
                "host": self.stage.crm_url,
                "login": secrets.user,
                "password": secrets.password,
                "extra": {"auth": "forms", "platform": "core"},
            },
            "books": {
                "conn_type": "quickbooks_online",
                "login": secrets.client_id,
                "password": secrets.client_secret,
                "extra": {
                    "realm_id": secrets.realm,
                    "refresh_token": secrets.refresh_token,
                    "environment": "custom",
                    "base_url": self.stage.books_url,
                    "oauth_url": f"{self.stage.books_url}/oauth2/v1/tokens/bearer",
                    **dict.fromkeys(("requests_per_minute", "requests_per_second", "batches_per_minute"), 1_000_000),
                },
            },
        }
        for name, body in bodies.items():
            if name == side:
                body |= {**changes, "extra": {**body["extra"], **changes.get("extra", {})}}
            conn_id = getattr(company, name).connection
            self.stage.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(body))


@contextmanager
def shop(
    name: str, holds: World, ledger: Ledger, setenv: SetEnv, mappings: Path, *, realm: str = "9130350000000001"
) -> Iterator[Shop]:
    """Serve one company's sandboxes with secrets of its own; its specs are below `mappings`."""
    secrets = Secrets.of(name, realm)
    books = {
        "realm": realm,
        "client_id": secrets.client_id,
        "client_secret": secrets.client_secret,
        "refresh_token": secrets.refresh_token,
        "throttle": False,
    }
    crm = {"user": secrets.user, "password": secrets.password, "client_secret": secrets.client_secret}
    before, stages.MAPPINGS = stages.MAPPINGS, mappings
    try:
        with stages.stage(holds, OwnLedger.of(ledger, name), setenv, crm=crm, books=books, company=name) as stage:
            stage.states = {
                stage.spec.company.crm.connection: Recording(),
                stage.spec.company.books.connection: Recording(),
            }
            made = Shop(name, secrets, stage)
            made.connect()
            yield made
    finally:
        stages.MAPPINGS = before


def as_json(row: Mapping[str, Any]) -> bytes:
    """Return a row as a system sends it."""
    return json_dumps(row)


def dump(ledger: Ledger) -> str:
    """Return every row of every table of the ledger as text."""
    import sqlalchemy as sa

    from iw_operators.ledger.flow_tables import metadata

    with ledger.engine.connect() as connection:
        return "\n".join(
            str(row)
            for table in metadata.sorted_tables
            for row in connection.scalars(sa.text(f"SELECT t::text FROM {table.name} t"))  # noqa: S608  our own tables
        )


__all__ = [
    "BACK",
    "NF",
    "ROOT",
    "SENT",
    "Recording",
    "Secrets",
    "Shop",
    "as_json",
    "copy_of_acme",
    "dump",
    "number",
    "replace",
    "shop",
    "world",
]
