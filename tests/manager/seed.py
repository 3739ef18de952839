"""Runs, records and failures of company acme as flows leave them, for tests and pictures of the page."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import sqlalchemy as sa

from iw_operators.engine.model import Action, Candidate, Change, Decision
from iw_operators.ledger.store import Ledger
from iw_operators.ledger.tables import run as run_table
from iw_operators.ledger.tables import run_mapping
from tests.ledger.kit import applied, begin, ended, sent, update
from tests.ledger.kit import create as new

FLOW = "CRAcct2QBCust"
STARTS = dt.datetime(2026, 3, 8, 11, 50, tzinfo=dt.UTC)


def seed(ledger: Ledger, company: str = "acme") -> int:
    """Let a scheduled flow have run once: three created, one updated, one rejected, one held. Returns the run's id."""
    run = begin(ledger, company=company, flow=FLOW, dag_run_id="scheduled__1")
    changes = (Change("name", None, "Alpha <b>Ltd</b>"), Change("balance", None, Decimal("12.50")))
    created = [
        new("A1", label="Alpha <b>Ltd</b>", changes=changes),
        new("A2", label="Beta & Sons"),
        new("A3", label="Gamma"),
    ]
    batch = sent(ledger, run, created, key=f"{company}-1")
    ended(ledger, run, created, batch, [applied(write) for write in batch.writes])
    changed = [update("A4", "TA4", label="Delta", changes=(Change("phone", "555-0100", "555-0199"),))]
    batch = sent(ledger, run, changed, key=f"{company}-2")
    ended(ledger, run, changed, batch, [applied(write) for write in batch.writes])
    rejected = Decision(
        Action.REJECT,
        "A5",
        "The name has a colon, which separates levels in the books.",
        label="Epsilon: North",
        code="iw.illegal",
        field="name",
    )
    held = Decision(
        Action.HOLD,
        "A6",
        "Two customers could be the partner.",
        label="Zeta",
        code="iw.ambiguous",
        candidates=(Candidate("C7", "Zeta Inc"), Candidate("C8", "Zeta LLC")),
    )
    ledger.record(run, [rejected, held])
    ledger.end_mapping(run.run_id, "customers", 1, 6)
    ledger.end_run(run.run_id, "success")
    ledger.move_query_starts(company, FLOW, STARTS, by="run scheduled__1", run_id=run.run_id)
    ledger.count_run(company, FLOW, run.run_id)
    return run.run_id


def long_load(ledger: Ledger, company: str = "acme", flow: str = "QBCust2CRAcctDRS") -> int:
    """Let a date range be at work: 41,200 of 120,000 records in seven minutes. Returns the run's id."""
    run = begin(ledger, company=company, flow=flow, dag_run_id="manual__7", source="books")
    now = dt.datetime.now(dt.UTC)
    with ledger.engine.begin() as connection:
        connection.execute(
            sa.update(run_mapping)
            .where(run_mapping.c.run_id == run.run_id)
            .values(done=41_200, total=120_000, started_at=now - dt.timedelta(minutes=7), progress_at=now)
        )
        connection.execute(sa.update(run_table).where(run_table.c.id == run.run_id).values(kind="DRS"))
    return run.run_id
