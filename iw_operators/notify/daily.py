"""What a day has to tell: runs and records of each flow, what failed and is still open, what was settled."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iw_operators import settings
from iw_operators.notify import links
from iw_operators.notify.composing import compose
from iw_operators.notify.events import DailyReport, Kind, Outage
from iw_operators.notify.routing import report_kind
from iw_operators.spec.models import Company

if TYPE_CHECKING:
    from iw_operators.ledger.store import Ledger

RECORDS: Final = 100  # of each kind that a report names
CONNECTION: Final = "connection:"  # alarms whose key begins so are outages


def queue_report(
    ledger: Ledger,
    company: Company,
    labels: Mapping[str, str],
    window: tuple[dt.datetime, dt.datetime],
    dag_run_id: str,
    templates: Path,
) -> bool:
    """Queue a company's daily report as its mode wants it; return whether it is news.

    A report of errors alone is not sent when there are none, and none at all before the company's first run. What is
    open is open now, not at the end of the window.

    :param labels: what people call the company's systems, by side.
    """
    kind = report_kind(company.notify)
    if kind is None or not ledger.has_run(company.company, window[1]):
        return False
    event = gather(ledger, company.company, labels, window, dag_run_id, errors_only=kind is Kind.ERROR_REPORT)
    if event.errors_only and event.quiet:
        return False
    return bool(ledger.queue_mails(company.company, compose(event, company, templates)))


def gather(
    ledger: Ledger,
    company: str,
    labels: Mapping[str, str],
    window: tuple[dt.datetime, dt.datetime],
    dag_run_id: str,
    *,
    errors_only: bool,
) -> DailyReport:
    """Return what the ledger knows of a company's day."""
    since, until = window
    flows = ledger.activity(company, since, until)
    still_open, open_number = ledger.still_open(company, limit=RECORDS)
    settled, settled_number = ledger.settled(company, since, until, limit=RECORDS)
    outages = tuple(
        Outage(labels.get(side, side), alarm.began_at, alarm.ended_at, alarm.detail)
        for alarm in ledger.alarms(company, since=since)
        if (side := alarm.key.removeprefix(CONNECTION)) != alarm.key and alarm.began_at < until
    )
    base = settings.base_url()
    return DailyReport(
        since=since,
        until=until,
        dag_run_id=dag_run_id,
        flows=tuple(flows),
        open=tuple(still_open),
        open_number=open_number,
        settled=tuple(settled),
        settled_number=settled_number,
        outages=outages,
        errors_only=errors_only,
        log=links.failures(base, company),
        links={each.flow: links.flow_page(base, f"{company}.{each.flow}") for each in flows},
    )
