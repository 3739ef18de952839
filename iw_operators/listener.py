"""What the scheduler does for us when a run starts; loaded by the plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from airflow.listeners import hookimpl

from iw_operators.pools import PREFIX, make_missing

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

log = structlog.get_logger(__name__)

TAG = "interweave"


@hookimpl
def on_dag_run_running(dag_run: DagRun) -> None:
    """Make the company's pool before the first task of its first run is queued.

    Runs in the scheduler's transaction and commits nothing itself.
    """
    from sqlalchemy.orm import object_session

    dag, session = dag_run.dag, object_session(dag_run)
    if dag is None or session is None or TAG not in dag.tags:
        return
    if made := make_missing({task.pool for task in dag.tasks if task.pool.startswith(PREFIX)}, session):
        log.info("pool made", pools=made, dag_id=dag_run.dag_id)
