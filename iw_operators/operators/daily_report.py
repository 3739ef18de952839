"""The one task of a company's daily report."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from airflow.sdk import BaseOperator, Context

from iw_operators import settings
from iw_operators.retry import told
from iw_operators.spec.models import Company

log = structlog.get_logger(__name__)

DAY = dt.timedelta(days=1)


class DailyReportOperator(BaseOperator):
    """Mail what a company's flows did in the run's data interval, and send whatever else is queued.

    A run that is started by hand tells of the last 24 hours. Returns (as XCom) whether a report was
    made, and how many mails went. A mail server that is away fails nothing: mails go later.

    :param labels: what people call the company's systems, by side.
    """

    ui_color = "#eef0f8"
    shallow_copy_attrs: Sequence[str] = ("company", "labels")

    def __init__(self, *, company: Company, labels: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.company = company
        self.labels = labels

    def execute(self, context: Context) -> dict[str, Any]:
        """Do it. Raises ConnectionFailure when the ledger does not answer."""
        from iw_operators.notify.daily import queue_report
        from iw_operators.notify.outbox import flush
        from iw_operators.operators.runtime import ledger_of_run

        company = self.company
        templates = settings.templates_folder(Path(context["dag"].fileloc))
        with told(context), ledger_of_run(company.company) as ledger:
            made = queue_report(ledger, company, self.labels, _window(context), context["run_id"], templates)
            sent = flush(ledger, company.company)
        log.info("daily report", made=made, sent=sent)
        return {"made": made, "sent": sent}


def _window(context: Context) -> tuple[dt.datetime, dt.datetime]:
    since, until = context.get("data_interval_start"), context.get("data_interval_end")
    by_hand = context["dag_run"].run_type == "manual"  # Airflow gives it the last whole day, which has been reported
    if not by_hand and since is not None and until is not None and since < until:
        return since, until
    now = dt.datetime.now(dt.UTC)
    return now - DAY, now
