"""What happens when a run is not done in the minutes that its flow allows."""

from __future__ import annotations

from typing import Any

import structlog

log = structlog.get_logger(__name__)


async def note_missed(context: dict[str, Any]) -> None:
    """Log a missed deadline; Airflow itself lists it. Runs in the triggerer.

    A run that ended in failure before its deadline counts as missed for Airflow; it has its own report, so nothing is
    said about it here.
    """
    run = context.get("dag_run") or {}
    if run.get("state") != "failed":
        log.warning("deadline missed", dag_id=run.get("dag_id"), run_id=run.get("dag_run_id"), state=run.get("state"))
