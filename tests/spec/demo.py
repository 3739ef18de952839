"""Company `demo` on two plain systems: its files as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from iw_operators.spec.resolved import CompanySpec

SYSTEMS = Path(__file__).parent / "systems"
DEMO: Mapping[str, str] = {
    "company.yaml": """\
company: demo
crm: {system: plain_crm, connection: demo_crm}
books: {system: plain_books, connection: demo_books}
time_zone: Europe/Berlin
""",
    "customers.yaml": """\
mapping: customers
crm: Account
books: Customer
direction: both
bind: {by: id, id_field: X_BooksId, else: [name, phone]}
to_books: {create_when: {opportunity_stage: [Won]}}
write_back: {id: X_BooksId, synced_at: X_Synced}
fields:
  balance: {crm: X_Balance}
  region: {crm: X_Region, books: Own.Region, owner: crm, length: 31}
""",
    "items.yaml": """\
mapping: items
crm: Thing
books: Item
fields:
  income_account: {default_books: Sales}
""",
    "invoices.yaml": """\
mapping: invoices
crm: Deal
books: Invoice
direction: both
to_crm: {operations: update_only}
fields:
  number: {owner: books}
""",
    "flows.yaml": """\
flows:
  PCAcctOpp2PBCustInv:
    mappings: [customers, items, invoices]
    direction: to_books
  PBCust2PCAcctNF:
    mappings: [customers]
    direction: to_crm
  PCProd2PBItemDR:
    mappings: [items]
    window: 12h
""",
}

Write: TypeAlias = Callable[..., Path]
Load: TypeAlias = Callable[..., tuple[CompanySpec | None, list[str]]]
Changes: TypeAlias = Mapping[str, str | tuple[str, str] | None]
