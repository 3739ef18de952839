"""What the page reads of Airflow's own tables beside the states of flows: which DAGs there are, and their next runs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def due(session: Session, companies: Collection[str], allowed: Collection[str]) -> Mapping[str, dt.datetime | None]:
    """Return the DAGs of companies that are among those allowed, with the time of their next run. One statement.

    None for a DAG that is switched off or has no schedule.
    """
    from airflow.models.dag import DagModel

    if not companies:
        return {}
    prefixes = (DagModel.dag_id.startswith(f"{company}.", autoescape=True) for company in companies)
    query = sa.select(DagModel.dag_id, DagModel.is_paused, DagModel.next_dagrun_create_after).where(
        sa.or_(*prefixes), DagModel.is_stale.is_(False)
    )
    return {
        dag_id: None if paused else next_run for dag_id, paused, next_run in session.execute(query) if dag_id in allowed
    }
