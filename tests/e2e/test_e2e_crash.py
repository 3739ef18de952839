"""SIGKILL in the middle of a write, on a real Airflow: it retries, nothing is doubled, nothing is lost."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from tests.e2e.running import BOOKS, CRM, Run, Site, until

pytestmark = [pytest.mark.e2e, pytest.mark.feature("B2", "R15")]

OUT = "CRAcctOpp2QBCustInv"
PAYMENTS = "QBPmt2CRPmt"
WRITE = "requestid="  # what tells a batch that writes from one that reads
ANSWER_SECONDS = 20.0  # how long an answer is held back: the process is dead by then
LATE_SECONDS = 6.0  # how long a request is on its way: it arrives when the retry has begun


def _kill(*processes: psutil.Process) -> None:
    for process in processes:
        process.kill()


def _sales(site: Site, word: str) -> dict[str, tuple[str, str]]:
    """Make three accounts with a won opportunity each; return name -> ids of both."""
    names = [f"{word} {uuid.uuid4().hex[:8]} {number}" for number in range(3)]
    return {name: site.crm.sale(name, [100, 200]) for name in names}


def _arm(site: Site, sandbox: str, kind: str, match: str, seconds: float, times: int = -1) -> None:
    fault = {"kind": kind, "match": match, "seconds": seconds, "times": times}
    site.stack.control(sandbox, "faults", fault)


def _crash(site: Site, flow: str, seen: Callable[[], Any], *, supervisor: bool = False) -> Run:
    """Run a flow, kill its task's process once `seen` is true, take the faults away; return the run's end."""
    run = site.start(flow)
    until(seen, "the write to arrive")
    task = site.task_process()
    _kill(*([task.parent(), task] if supervisor else [task]))
    for sandbox in (BOOKS, CRM):
        site.stack.control(sandbox, "faults", {"clear": True})
    return site.finish(run)


def _assert_settled(site: Site, run: Run) -> None:
    assert run.state == "success"
    assert site.row(run).state == "success"
    for mapping in site.spec.mappings:
        assert site.stack.ledger.open_batches("acme", mapping) == []
    for counts in site.counts(run).values():
        assert counts["read"] == sum(number for name, number in counts.items() if name != "read")
        assert "unknown" not in counts


def _assert_in_step(site: Site, sales: dict[str, tuple[str, str]]) -> None:
    """Each sale is one customer and one invoice over 300, and both sides know each other."""
    ledger = site.stack.ledger
    for name, (account, opportunity) in sales.items():
        (customer,) = site.books.rows("Customer", f"WHERE DisplayName LIKE '{name}%'")
        assert customer["DisplayName"] == name
        (invoice,) = site.books.rows("Invoice", f"WHERE CustomerRef = '{customer['Id']}'")
        assert invoice["TotalAmt"] == 300
        assert site.crm.one("Account", filter=f"Id eq {account}")["UsrQBId"] == customer["Id"]
        sold = site.crm.one("Opportunity", filter=f"Id eq {opportunity}")
        assert (sold["UsrQBId"], sold["UsrInvoiceNumber"]) == (invoice["Id"], invoice["DocNumber"])
        assert ledger.bindings("acme", "customers", "crm", [account])[account].target_id == customer["Id"]
        assert ledger.bindings("acme", "invoices", "crm", [opportunity])[opportunity].target_id == invoice["Id"]


def _created(site: Site, run: Run, mapping: str, ids: set[str]) -> None:
    """The record log has one creation for each of these, with its partner."""
    row = site.row(run)
    log = site.stack.ledger.log(company="acme", run_id=row.id, mapping=mapping, limit=1000)
    made = [entry.source_id for entry in log if entry.action.value == "created" and entry.operation != "write_back"]
    assert sorted(each for each in made if each in ids) == sorted(ids)


def test_killed_when_the_books_had_the_batch_but_not_yet_answered(site: Site) -> None:
    """The customers are there, nobody has told us: the retry finds them instead of making them again."""
    sales = _sales(site, "Answered late")
    _arm(site, BOOKS, "slow_after", WRITE, ANSWER_SECONDS)
    run = _crash(site, OUT, lambda: site.books.rows("Customer", "WHERE DisplayName LIKE 'Answered late%'"))
    assert site.tasks(run)["customers"]["try_number"] == 2
    _assert_settled(site, run)
    _assert_in_step(site, sales)
    _created(site, run, "customers", {account for account, _ in sales.values()})
    _created(site, run, "invoices", {opportunity for _, opportunity in sales.values()})


def test_killed_while_the_batch_was_on_its_way(site: Site) -> None:
    """The batch arrives only when the retry has begun: sent again under the same keys, it is done once."""
    sales = _sales(site, "On the way")
    before = len(site.books.rows("Customer"))
    _arm(site, BOOKS, "slow", WRITE, LATE_SECONDS, times=1)
    run = _crash(site, OUT, lambda: "slow" not in site.stack.control(BOOKS, "stats")["faults"])
    _assert_settled(site, run)
    _assert_in_step(site, sales)
    assert len(site.books.rows("Customer")) == before + len(sales)


def test_killed_with_its_supervisor_while_the_crm_held_the_answer(site: Site) -> None:
    """Nobody is left to report the death; Airflow misses the heartbeat, retries, and each payment is there once."""
    sales = _sales(site, "Paid")
    assert site.run(OUT).state == "success"
    paid = set()
    for name in sales:
        (customer,) = site.books.rows("Customer", f"WHERE DisplayName = '{name}'")
        (invoice,) = site.books.rows("Invoice", f"WHERE CustomerRef = '{customer['Id']}'")
        line = {"Amount": 300, "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]}
        paid.add(site.books.create("Payment", CustomerRef={"value": customer["Id"]}, TotalAmt=300, Line=[line]))
    _arm(site, CRM, "slow_after", "$batch", ANSWER_SECONDS)
    wanted = " or ".join(f"UsrPaymentNumber eq '{number}'" for number in paid)
    run = _crash(site, PAYMENTS, lambda: site.crm.rows("UsrPaymentQB", filter=wanted), supervisor=True)
    assert site.tasks(run)["payments"]["try_number"] == 2
    _assert_settled(site, run)
    records = site.crm.rows("UsrPaymentQB", filter=wanted)
    assert sorted(record["UsrPaymentNumber"] for record in records) == sorted(paid)
    _created(site, run, "payments", paid)
