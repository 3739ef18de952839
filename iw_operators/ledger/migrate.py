"""Runs the migrations of the ledger's tables on a given connection."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.engine import Connection

from iw_operators.errors import FixConfiguration
from iw_operators.ledger.store import MIGRATIONS


def alembic_config(connection: Connection) -> Config:
    """Return Alembic's configuration for this connection, without a file."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def run_migrations(connection: Connection, place: str) -> None:
    """Bring the tables to the newest version, in the connection's transaction; others that want to, wait for its end.

    :raises FixConfiguration: the tables are of a version that this package does not know.
    """
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended('iw:migrate', 0))"))
    try:
        command.upgrade(alembic_config(connection), "head")
    except CommandError as error:
        msg = f"The tables of the ledger at {place} are of a version that this package does not know: {error}"
        raise FixConfiguration(
            msg, code="iw.ledger_setup", advice="Install the newer version of the package."
        ) from error
