"""How long the ledger keeps what it keeps for people to read: `log_days` of the company."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import structlog

from iw_operators.errors import InterWeaveError

if TYPE_CHECKING:
    from iw_operators.ledger.store import Ledger
    from iw_operators.spec.models import Company

log = structlog.get_logger(__name__)

DAY: Final = dt.timedelta(days=1)


def prune(ledger: Ledger, company: Company, now: dt.datetime | None = None) -> int:
    """Delete what is older than `log_days`: rows of the log, finished batches, failures that a run has settled, sent
    mails, calls that are done, past turns. Return how many rows of the log went.

    Bindings, Query Starts, runs, what is in doubt, what waits, and records that are open or given up stay.
    """
    before = (now or dt.datetime.now(dt.UTC)) - company.log_days * DAY
    name = company.company
    gone = ledger.prune(name, before)
    failures = ledger.prune_failures(name, before)
    ledger.prune_mails(name, before)
    ledger.prune_calls(name)
    ledger.prune_turns(name, before)
    log.info("pruned", company=name, before=before.isoformat(), log_rows=gone, failures=failures)
    return gone


def prune_due(ledger: Ledger, company: Company, now: dt.datetime | None = None) -> int:
    """Prune a company, at most about once a day; return how many rows of the log went.

    Due is it when the oldest row is a day older than it may be, which one look into an index tells. Made for the end
    of a run: a ledger that does not answer is logged and not raised, the next run prunes.
    """
    now = now or dt.datetime.now(dt.UTC)
    try:
        oldest = ledger.oldest_row(company.company)
        if oldest is None or oldest > now - (company.log_days + 1) * DAY:
            return 0
        return prune(ledger, company, now)
    except InterWeaveError as error:
        log.warning("could not prune", company=company.company, code=error.code, error=type(error).__name__)
        return 0
