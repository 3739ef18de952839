"""The ledger's tables. Every one is keyed by company; sides are columns where both matter, a value where one does.

Changing a table means a new migration in `migrations/versions`; a test compares the two.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSON, JSONB, TIMESTAMP
from sqlalchemy.engine import Dialect


class Stamp(sa.types.TypeDecorator[dt.datetime]):
    """A point in time: aware on the way in, in UTC on the way out."""

    impl = TIMESTAMP(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002  SQLAlchemy's signature
        """Refuse a datetime without a zone."""
        if value is not None and value.tzinfo is None:
            msg = "The ledger takes datetimes with a zone only."
            raise ValueError(msg)
        return value

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002  SQLAlchemy's signature
        """Return the same point in UTC, whatever zone the session has."""
        return value.astimezone(dt.UTC) if value is not None else None


metadata = sa.MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_ix",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, **options)


def _blank(name: str) -> sa.Column[str]:
    return _text(name, server_default="")


def _int(name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, **options)


def _now(name: str) -> sa.Column[dt.datetime]:
    return sa.Column(name, Stamp, nullable=False, server_default=sa.func.now())


def _stamp(name: str) -> sa.Column[dt.datetime]:
    return sa.Column(name, Stamp)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True)


def _of_run(table: str) -> sa.ForeignKeyConstraint:
    """Rows of a run are rows of the run's company; the database itself refuses anything else (law 8)."""
    return sa.ForeignKeyConstraint(["company", "run_id"], ["iw_run.company", "iw_run.id"], name=f"{table}_run_fkey")


run = sa.Table(
    "iw_run",
    metadata,
    _id(),
    _text("company"),
    _text("flow"),
    _text("dag_run_id"),
    _text("kind"),
    _text("direction"),
    _int("attempt"),
    _text("state"),  # running, success, failed
    _blank("error"),
    sa.Column("window_set", sa.Boolean, nullable=False, server_default=sa.false()),
    _stamp("since"),
    _stamp("until"),
    _now("started_at"),
    _stamp("ended_at"),
    sa.UniqueConstraint("company", "flow", "dag_run_id"),
    sa.UniqueConstraint("company", "id"),
    sa.Index("iw_run_company_started_at_ix", "company", "started_at"),
)

run_mapping = sa.Table(
    "iw_run_mapping",
    metadata,
    sa.Column("run_id", sa.BigInteger, primary_key=True),
    _text("mapping", primary_key=True),
    _int("attempt", primary_key=True),
    _text("company"),
    _text("fingerprint"),
    sa.Column("read", sa.BigInteger),
    sa.Column("counts", JSON),
    sa.Column("balanced", sa.Boolean),
    _now("started_at"),
    _stamp("ended_at"),
    _of_run("iw_run_mapping"),
)

query_start = sa.Table(
    "iw_query_start",
    metadata,
    _text("company", primary_key=True),
    _text("flow", primary_key=True),
    _stamp("value"),
)

query_start_history = sa.Table(
    "iw_query_start_history",
    metadata,
    _id(),
    _text("company"),
    _text("flow"),
    _stamp("old"),
    sa.Column("new", Stamp, nullable=False),
    _text("by"),
    sa.Column("run_id", sa.BigInteger),
    _now("at"),
    _of_run("iw_query_start_history"),
    sa.Index("iw_query_start_history_company_flow_ix", "company", "flow", "id"),
)

binding = sa.Table(
    "iw_binding",
    metadata,
    _text("company", primary_key=True),
    _text("mapping", primary_key=True),
    _text("crm_id", primary_key=True),
    _text("books_id"),
    sa.Column("crm_base", JSON, nullable=False),
    sa.Column("books_base", JSON, nullable=False),
    _blank("crm_version"),
    _blank("books_version"),
    _int("generation", server_default="0"),
    sa.Column("answer", JSON, nullable=False),  # what the books said of the record when it was bound
    _text("write_back"),  # pending, sent, done, failed
    _blank("removed"),  # what we did to the partner of a record that was gone: deactivate, void
    _now("created_at"),
    _now("updated_at"),
    sa.UniqueConstraint("company", "mapping", "books_id"),
    sa.Index(
        "iw_binding_write_back_ix",
        "company",
        "mapping",
        "write_back",
        "created_at",
        "crm_id",
        postgresql_where=sa.text("write_back <> 'done'"),
    ),
)

tombstone = sa.Table(
    "iw_tombstone",
    metadata,
    _text("company", primary_key=True),
    _text("mapping", primary_key=True),
    _text("crm_id", primary_key=True),
    _text("books_id", primary_key=True),
    _int("generation"),  # of the binding when it was taken away
    _text("side"),  # whose record was gone
    _text("kind"),  # deleted, voided, inactive, by hand
    sa.Column("held", sa.Boolean, nullable=False),  # what is left waits for a person
    _now("at"),
    sa.Index("iw_tombstone_books_ix", "company", "mapping", "books_id"),
)

sweep = sa.Table(
    "iw_sweep",
    metadata,
    _text("company", primary_key=True),
    _text("mapping", primary_key=True),
    _text("side", primary_key=True),
    sa.Column("until", Stamp, nullable=False),  # by the side's own clock: deletions before it are known
    _stamp("swept_at"),
)

batch = sa.Table(
    "iw_batch",
    metadata,
    _id(),
    _text("company"),
    _text("mapping"),
    _text("key"),
    _text("kind"),  # record, write_back
    _text("side"),  # the side that is written to
    _text("flow"),
    sa.Column("run_id", sa.BigInteger, nullable=False),
    _text("fingerprint"),
    _int("attempt"),
    _text("source"),
    sa.Column("open", sa.Boolean, nullable=False, server_default=sa.true()),
    _now("sent_at"),
    _stamp("ended_at"),
    _of_run("iw_batch"),
    sa.UniqueConstraint("company", "id"),
    sa.Index("iw_batch_key_ix", "company", "mapping", "key"),
    sa.Index("iw_batch_open_ix", "company", "mapping", "key", unique=True, postgresql_where=sa.text("open")),
)

intent = sa.Table(
    "iw_intent",
    metadata,
    sa.Column("batch_id", sa.BigInteger, primary_key=True),
    _int("position", primary_key=True),
    _text("company"),
    _text("key"),
    _text("op"),
    _blank("target_id"),
    _blank("version"),
    sa.Column("values", JSON, nullable=False),
    sa.Column("decision", JSON, nullable=False),
    _text("state"),  # sent, applied, rejected, stale, unknown
    _blank("result_id"),
    _blank("result_version"),
    _blank("code"),
    _blank("message"),
    _stamp("ended_at"),
    sa.ForeignKeyConstraint(
        ["company", "batch_id"], ["iw_batch.company", "iw_batch.id"], name="iw_intent_batch_fkey", ondelete="CASCADE"
    ),
    sa.UniqueConstraint("batch_id", "key"),
)

log = sa.Table(
    "iw_log",
    metadata,
    _id(),
    _text("company"),
    _text("flow"),
    sa.Column("run_id", sa.BigInteger, nullable=False),
    _text("mapping"),
    _text("fingerprint"),
    _int("attempt"),
    _text("side"),  # the side that source_id belongs to
    _text("source_id"),
    _blank("target_id"),
    _blank("label"),
    _text("operation"),  # create, update, write_back, bind, none
    _text("action"),
    _blank("result"),  # of a write: applied, rejected, stale, unknown
    _text("why"),
    sa.Column("changes", JSONB, nullable=False),
    _blank("code"),
    _blank("advice"),
    _blank("field"),
    sa.Column("candidates", JSON, nullable=False),
    sa.Column("awaits", JSON, nullable=False),
    _text("standing"),  # counted, superseded (a later row of the attempt replaces it), earlier (as counted), aside
    _blank("batch_key"),
    _stamp("sent_at"),
    _now("at"),
    _of_run("iw_log"),
    sa.Index("iw_log_record_ix", "company", "mapping", "source_id", "id"),
    sa.Index("iw_log_attempt_ix", "run_id", "mapping", "attempt", "source_id"),
    sa.Index("iw_log_at_ix", "company", "at"),
    sa.Index("iw_log_id_ix", "company", "id"),
)

waiting = sa.Table(
    "iw_waiting",
    metadata,
    _text("company", primary_key=True),
    _text("mapping", primary_key=True),
    _text("side", primary_key=True),
    _text("source_id", primary_key=True),
    _text("await_mapping", primary_key=True),  # empty: waits for nothing but the next run
    _text("await_id", primary_key=True),
    _now("noted_at"),
    # The record went without this reference; it is planned again as soon as one such is there, not only when all are.
    sa.Column("goes_without", sa.Boolean, nullable=False, server_default=sa.false()),
)

index_state = sa.Table(
    "iw_index_state",
    metadata,
    _text("company", primary_key=True),
    _text("mapping", primary_key=True),
    _text("side", primary_key=True),
    sa.Column("until", Stamp, nullable=False),
    _text("signature"),
)

index_key = sa.Table(
    "iw_index_key",
    metadata,
    _text("company", primary_key=True),
    _text("mapping", primary_key=True),
    _text("side", primary_key=True),
    _text("record_id", primary_key=True),
    _text("key", primary_key=True),
    _blank("label"),
    sa.Index("iw_index_key_key_ix", "company", "mapping", "side", "key"),
)
