"""Memory does not grow with the number of records."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from iw_operators.ledger.store import Ledger
from tests.figures.noting import Figures
from tests.figures.outside import Outside
from tests.figures.worker import Order, Report, work

pytestmark = [pytest.mark.figures, pytest.mark.ledger, pytest.mark.sandbox, pytest.mark.slow]

TO_BOOKS, TO_CRM = "CRAcctOpp2QBCustInv", "QBCustInvoices2CRAcctOpp"
FEW, MANY, FULL = 1_000, 10_000, 100_000
SECONDS = 3_600.0


@pytest.mark.timeout(3 * SECONDS)
@pytest.mark.parametrize("mappings", [("customers",), ("customers", "items", "invoices")], ids=["customers", "all"])
def test_memory_of_many_records(
    mappings: tuple[str, ...], outside: Outside, new_database: Callable[[str], str], figures: Figures
) -> None:
    """Syncing 100 times as many records takes at most half as much memory again.

    The peak of a process of its own that makes all of them in the books, brings back what the books filled in, and
    reads all of them once more on both sides. Sandboxes and PostgreSQL are other processes; quotas are off, as they
    would take hours. `make test` shows it with 10 times as many customers; `make bench` with 100 times, and with 10
    times as many together with their invoices.
    """
    if len(mappings) > 1 and not figures.full:
        pytest.skip("measured by `make bench`")
    many = FULL if figures.full and len(mappings) == 1 else MANY
    reports = {size: _synced(outside, new_database, size, mappings) for size in (FEW, many)}
    what = " and ".join((mappings[0], *mappings[2:]))
    name = ".".join(("memory", *mappings[2:]))
    for size, report in reports.items():
        assert report.parts[0].counts["customers"] == {"created": size}
        assert all(part.counts["customers"] == {"unchanged": size} for part in report.parts[2:])
        libraries = f"(with the libraries, which are {report.idle / 2**20:.0f})"
        held = f"most memory that a sync of {size:,} {what} held {libraries}"
        figures.note(f"{name}.{size}", report.peak / 2**20, "MiB", held)
    ratio = reports[many].peak / reports[FEW].peak
    figures.note(f"{name}.ratio", ratio, "times", f"memory for {many:,} {what} over that for {FEW:,}", at_most=1.5)


def _synced(outside: Outside, new_database: Callable[[str], str], size: int, mappings: tuple[str, ...]) -> Report:
    url = new_database(f"memory_{uuid.uuid4().hex[:6]}")
    ledger = Ledger.connect(url)
    ledger.upgrade()
    ledger.close()
    outside.fill(size)
    flows = (TO_BOOKS, TO_CRM)
    return work(Order(url, outside.crm, outside.books, flows, mappings, reread=flows), timeout=SECONDS)
