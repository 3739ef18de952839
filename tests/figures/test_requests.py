"""How many requests the flows cost, counted by the sandboxes through the real loop."""

from __future__ import annotations

import pytest

from iw_operators.ledger.store import Ledger
from iw_operators.spec.models import FlowKind
from sandbox.creatio.sql import Condition
from sandbox.seed import acme
from tests.figures.noting import Figures
from tests.stage import Stage, stage

pytestmark = [pytest.mark.figures, pytest.mark.ledger, pytest.mark.sandbox]

TO_BOOKS = "CRAcctOpp2QBCustInv"
CUSTOMERS = 1_000


def both(stage: Stage) -> tuple[int, int]:
    """Return the requests that CRM and books have counted."""
    return stage.requests("crm"), stage.requests("books")


@pytest.mark.feature("S1", "S2")
def test_a_first_sync_of_a_thousand_customers(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, figures: Figures
) -> None:
    """1,000 new customers, bound, and their ids written back: 60 requests to the books and 40 to the CRM.

    Signing in and the `ready` check count. Throttling is on, and nothing is throttled.
    """
    with stage(acme.plain(CUSTOMERS, won=True), ledger, monkeypatch.setenv) as made:
        flow = made.spec.flows[TO_BOOKS]
        made.spec = made.spec.model_copy(
            update={"flows": {TO_BOOKS: flow.model_copy(update={"mappings": flow.mappings[:1]})}}
        )
        before = both(made)
        done = made.run(TO_BOOKS)
        crm, books = (now - then for now, then in zip(both(made), before, strict=True))
        known = made.crm_sandbox.store.count('FROM "Account" AS t', Condition("t.\"UsrQBId\" <> ''"))
        there = made.books_sandbox.store.count_all()["Customer"]
    assert {name: dict(each.counts) for name, each in done.items()} == {"customers": {"created": CUSTOMERS}}
    assert known == there == CUSTOMERS
    what = f"requests for {CUSTOMERS:,} new customers, first sync"
    figures.note("first_sync.books", books, "requests", f"{what}, to QuickBooks Online, binding included", at_most=60)
    figures.note("first_sync.crm", crm, "requests", f"{what}, to Creatio, ids written back", at_most=40)


@pytest.mark.feature("M17", "R1")
def test_runs_in_which_nothing_changed(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, figures: Figures) -> None:
    """A run of any scheduled flow that finds nothing changed costs at most 6 requests, both sides together.

    Measured on `acme` with all its trouble (records that are held, rejected, inactive), after the overlap. Right
    after a run, the records of the overlap are read again; at the same version they cost nothing but that reading.
    """
    with stage(acme.build(), ledger, monkeypatch.setenv) as made:
        flows = [name for name, flow in made.spec.flows.items() if flow.kind is FlowKind.SCHEDULED]
        overlap = 2 * made.spec.company.overlap_seconds
        for _ in range(3):  # the third finds what the second brought back
            for name in flows:
                made.run(name)
        again = {name: _measured(made, name) for name in flows}
        made.pass_time(overlap)
        for name in flows:
            made.run(name)
        made.pass_time(overlap)
        quiet = {name: _measured(made, name) for name in flows}
    for name in flows:
        read, requests = again[name]
        what = f"requests of {name} right after a run ({read:,} records of the overlap, none changed)"
        figures.note(f"overlap.{name}", requests, "requests", what)
        read, requests = quiet[name]
        assert read == 0
        what = f"requests of {name} when nothing changed, both sides, all mappings"
        figures.note(f"unchanged.{name}", requests, "requests", what, at_most=6)


def _measured(stage: Stage, name: str) -> tuple[int, int]:
    """Run a flow that has nothing to do; return how many records it read and how many requests that cost."""
    before = sum(both(stage))
    done = stage.run(name)
    requests = sum(both(stage)) - before
    written = {action for each in done.values() for action in each.counts} & {"created", "updated"}
    assert not written, done
    return sum(each.read for each in done.values()), requests
