"""Alembic's entry: migrates on the connection that `iw_operators.ledger.migrate` puts into the configuration."""

from __future__ import annotations

from alembic import context

from iw_operators.ledger.flow_tables import metadata
from iw_operators.ledger.store import VERSION_TABLE


def _ours(name: str | None, kind: str, _parents: object) -> bool:
    """Leave alone what else is in the database (Airflow's own tables, for example)."""
    return kind != "table" or (name is not None and name.startswith("iw_") and name != VERSION_TABLE)


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_name=_ours,
    transactional_ddl=True,
)
context.run_migrations()
