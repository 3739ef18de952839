"""How fast records go through, for comparison between versions. Nothing is promised; the vendors' quotas are slower."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from iw_operators.ledger.store import Ledger
from tests.figures.noting import Figures
from tests.figures.outside import Outside
from tests.figures.worker import Order, work

pytestmark = [pytest.mark.figures, pytest.mark.ledger, pytest.mark.sandbox, pytest.mark.slow]

TO_BOOKS, TO_CRM = "CRAcctOpp2QBCustInv", "QBCustInvoices2CRAcctOpp"
FIRST, AGAIN = 1_000, 20_000


@pytest.mark.timeout(3_600)
def test_records_a_second(outside: Outside, new_database: Callable[[str], str], figures: Figures) -> None:
    """A first sync of customers, items and invoices, what comes back, and reading 20,000 again that did not change."""
    if not figures.full:
        pytest.skip("measured by `make bench`")
    url = _ledger(new_database, "first")
    outside.fill(FIRST)
    first = work(Order(url, outside.crm, outside.books, (TO_BOOKS, TO_CRM)), timeout=1_800)
    for name, part in zip(("first_sync", "back"), first.parts, strict=True):
        what = f"{part.records:,} records, {part.flow}, on the clock (sandboxes and PostgreSQL on the same machine)"
        figures.note(f"throughput.{name}", part.records / part.wall, "records/s", what)
        what = f"{part.records:,} records, {part.flow}, by processor time of the task"
        figures.note(f"throughput.{name}.cpu", part.records / part.cpu, "records/s", what)
    url = _ledger(new_database, "again")
    outside.fill(AGAIN)
    order = Order(url, outside.crm, outside.books, (TO_BOOKS,), ("customers",), reread=(TO_BOOKS, TO_BOOKS))
    _, echo, same = work(order, timeout=1_800).parts
    for name, part, why in (("echo", echo, "our own ids came back"), ("same", same, "at the same version")):
        assert part.counts["customers"] == {"unchanged": AGAIN}
        what = f"{AGAIN:,} unchanged customers read again: {why}"
        figures.note(f"throughput.unchanged.{name}", part.records / part.wall, "records/s", what)
        figures.note(f"throughput.unchanged.{name}.cpu", part.records / part.cpu, "records/s", f"{what}, processor")


def _ledger(new_database: Callable[[str], str], purpose: str) -> str:
    url = new_database(f"throughput_{purpose}")
    ledger = Ledger.connect(url)
    ledger.upgrade()
    ledger.close()
    return url
