"""The ledger: the one store of what has been done, and the only code that touches its tables."""

from __future__ import annotations

import pathlib
from typing import Self

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from iw_operators.errors import FixConfiguration
from iw_operators.ledger.activity import Activity
from iw_operators.ledger.alarms import Alarms
from iw_operators.ledger.corrections import Corrections
from iw_operators.ledger.counts import Counts
from iw_operators.ledger.database import PATIENCE, SET_UP, make_engine
from iw_operators.ledger.deeds import Deeds
from iw_operators.ledger.doubts import Doubts
from iw_operators.ledger.failures import Failures
from iw_operators.ledger.inbox import Inbox
from iw_operators.ledger.index import MatchIndex
from iw_operators.ledger.locks import Locks
from iw_operators.ledger.mails import Mails
from iw_operators.ledger.maintenance import Maintenances
from iw_operators.ledger.model import (
    LogRow,
    MappingSummary,
    OpenBatch,
    OpenWrite,
    PendingWriteBack,
    QueryStartMove,
    RunRef,
)
from iw_operators.ledger.progress import LoadProgress
from iw_operators.ledger.reviews import Reviews
from iw_operators.ledger.runs import Runs
from iw_operators.ledger.starts import QueryStarts
from iw_operators.ledger.sweeps import Sweeps
from iw_operators.ledger.tombstones import Tombstones
from iw_operators.ledger.turns import Turns
from iw_operators.ledger.versions import Versions

MIGRATIONS = pathlib.Path(__file__).parent / "migrations"
VERSION_TABLE = "iw_alembic_version"
HEAD = "0004"  # the newest migration; a test holds it to the folder


class Ledger(
    Runs,
    LoadProgress,
    Counts,
    QueryStarts,
    Doubts,
    Tombstones,
    Sweeps,
    MatchIndex,
    Locks,
    Deeds,
    Turns,
    Maintenances,
    Failures,
    Corrections,
    Versions,
    Reviews,
    Inbox,
    Alarms,
    Mails,
    Activity,
):
    """Runs, Query Starts, bindings and what is left of them, intents and outcomes, the record log, sweeps, the match
    index, and locks.

    Everything is keyed by company and each query asks for one company, or for one run, which has one. All methods
    may be called from several processes and threads at once. Ids are a few hundred to a few thousand a call; what
    a method returns is as large as what was asked for.

    All methods raise `ConnectionFailure` when the ledger does not answer (after `patience` seconds where an outcome
    would be lost, a few seconds elsewhere), and `FixConfiguration` when it does not let us in or is not set up.
    """

    @classmethod
    def connect(cls, url: str | URL, *, patience: float = PATIENCE) -> Self:
        """Return the ledger in a PostgreSQL database. Nothing is sent yet.

        :param url: as SQLAlchemy writes it; the driver is always psycopg2.
        :param patience: how long, in seconds, an outcome waits for a ledger that is away.
        :raises FixConfiguration: it is not the URL of a PostgreSQL database.
        """
        return cls(make_engine(url), patience)

    def upgrade(self) -> None:
        """Bring the tables to this package's version; does nothing when they are. Several processes may do it at once.

        :raises FixConfiguration: the tables are of a newer version, or may not be changed by this login.
        """
        if self.version() == HEAD:
            return
        # Alembic takes a while to import, and every task but the first one ever leaves above.
        from iw_operators.ledger.migrate import run_migrations

        self._write(lambda connection: run_migrations(connection, self.place), patience=self.patience)

    def version(self) -> str | None:
        """Return the version of the tables; None when there are none."""

        def work(connection: Connection) -> str | None:
            if not sa.inspect(connection).has_table(VERSION_TABLE):
                return None
            found = connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608  a constant
            return str(found) if found is not None else None

        return self._read(work)

    def check(self) -> str:
        """Ask whether the ledger answers and has the right tables; return one line about it.

        :raises FixConfiguration: its tables are missing or of another version.
        """
        version = self.version()
        if version != HEAD:
            msg = f"The ledger at {self.place} has tables of version {version or 'none'}, this package needs {HEAD}."
            raise FixConfiguration(msg, code="iw.ledger_setup", advice=SET_UP)
        return f"Ledger at {self.place}, version {version}."


__all__ = [
    "Ledger",
    "LogRow",
    "MappingSummary",
    "OpenBatch",
    "OpenWrite",
    "PendingWriteBack",
    "QueryStartMove",
    "RunRef",
]
