"""Bills of company `globex` that are corrected, and a worker that dies meanwhile."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from iw_operators.ledger.store import Ledger
from iw_operators.systems.creatio.batch import Part
from sandbox.seed.world import Account, Bill, BillLine
from tests.drivers import need_odbc
from tests.flows.conftest import OLD, guid, world
from tests.flows.test_flow_globex import Globex
from tests.killing import killed_at
from tests.stage import stage, without_overlap

pytestmark = [pytest.mark.sandbox, pytest.mark.ledger, pytest.mark.feature("S3", "O11")]

BILLS = "CRBill2QBVendBill"
DAY = dt.date(2026, 1, 5)


@pytest.fixture
def billed(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Globex]:
    """A supplier with a bill of one expense, in step on both sides."""
    need_odbc()
    supplier = Account(guid(1, 50), "Seller", "S-1", kind="Supplier", modified=OLD)
    lines = (BillLine("Paper", Decimal("48.20"), account="Office Supplies"),)
    bill = Bill(guid(5, 1), "B-1", supplier.id, DAY, DAY, lines, OLD)
    build = world(1)
    build = replace(build, accounts=(*build.accounts, supplier), bills=(bill,))
    with stage(build, ledger, monkeypatch.setenv, company="globex") as made:
        made.spec = without_overlap(made.spec)
        company = Globex(made)
        company.run(BILLS, BILLS)
        yield company


def correct(company: Globex, amount: float) -> None:
    """Give the bill's expense another amount in the CRM."""
    company.wait()
    (line,) = company.rows("UsrBillLineQB")
    client = company.stage.open("crm")._client  # type: ignore[attr-defined]  # its client is what users do
    (answer,) = client.write([Part("PATCH", f"UsrBillLineQB({line['Id']})", {"UsrAmount": amount})])
    assert answer.status == 204, answer


def test_another_amount_of_an_expense_arrives(billed: Globex) -> None:
    """A line that is changed in the CRM is changed in QuickBooks, in the bill that is there."""
    correct(billed, 50.0)
    (counts,) = billed.run(BILLS)
    assert counts["bills"] == {"updated": 1}
    assert billed.ask("SELECT ExpenseLineAmount, AmountDue FROM BillExpenseLine") == [(Decimal("50.00"),) * 2]


@pytest.mark.feature("B2")
@pytest.mark.parametrize("point", ["after_begin_mapping", "before_intents", "after_intents", "within_lines"])
def test_a_corrected_line_is_not_forgotten_when_a_worker_dies(billed: Globex, point: str) -> None:
    """What was in doubt is planned again from what both sides hold, though only a line had changed and not its bill."""
    correct(billed, 50.0)
    with killed_at(point):
        billed.run(BILLS)
    billed.run(BILLS, BILLS)
    assert billed.ask("SELECT ExpenseLineAmount, AmountDue FROM BillExpenseLine") == [(Decimal("50.00"),) * 2]
    (counts,) = billed.run(BILLS)
    assert set(counts["bills"]) <= {"unchanged"}
