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


def text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, **options)


def blank(name: str) -> sa.Column[str]:
    return text(name, server_default="")


def integer(name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, **options)


def now(name: str) -> sa.Column[dt.datetime]:
    return sa.Column(name, Stamp, nullable=False, server_default=sa.func.now())


def stamp(name: str) -> sa.Column[dt.datetime]:
    return sa.Column(name, Stamp)


def key_id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True)


def of_run(table: str) -> sa.ForeignKeyConstraint:
    """Rows of a run are rows of the run's company; the database itself refuses anything else (law 8)."""
    return sa.ForeignKeyConstraint(["company", "run_id"], ["iw_run.company", "iw_run.id"], name=f"{table}_run_fkey")


run = sa.Table(
    "iw_run",
    metadata,
    key_id(),
    text("company"),
    text("flow"),
    text("dag_run_id"),
    text("kind"),
    text("direction"),
    integer("attempt"),
    text("state"),  # running, success, failed, skipped (it was not its turn), stopped (it ended its page and left)
    blank("error"),
    sa.Column("reprocess", sa.Boolean, nullable=False, server_default=sa.false()),  # of records that had failed
    sa.Column("window_set", sa.Boolean, nullable=False, server_default=sa.false()),
    stamp("since"),
    stamp("until"),
    now("started_at"),
    stamp("ended_at"),
    sa.Column("moves_seen", sa.BigInteger),  # the last move of Query Starts when the window was set; 0: none
    sa.UniqueConstraint("company", "flow", "dag_run_id"),
    sa.UniqueConstraint("company", "id"),
    sa.Index("iw_run_company_started_at_ix", "company", "started_at"),
    sa.Index("iw_run_flow_ix", "company", "flow", "id"),
)

run_mapping = sa.Table(
    "iw_run_mapping",
    metadata,
    sa.Column("run_id", sa.BigInteger, primary_key=True),
    text("mapping", primary_key=True),
    integer("attempt", primary_key=True),
    text("company"),
    text("fingerprint"),
    sa.Column("read", sa.BigInteger),
    sa.Column("counts", JSON),
    sa.Column("balanced", sa.Boolean),
    now("started_at"),
    stamp("ended_at"),
    sa.Column("done", sa.BigInteger),  # records so far
    sa.Column("total", sa.BigInteger),  # as counted at the beginning, where the source can count
    stamp("progress_at"),
    stamp("reached"),  # everything that changed before is recorded; by the source's clock
    stamp("until"),  # the end of what is read, for a load whose run has none
    of_run("iw_run_mapping"),
)


def of_attempt(run_id: int, mapping: str, attempt: int) -> sa.ColumnElement[bool]:
    """Return the condition for one attempt's row of `run_mapping`."""
    row = run_mapping.c
    return sa.and_(row.run_id == run_id, row.mapping == mapping, row.attempt == attempt)


query_start = sa.Table(
    "iw_query_start",
    metadata,
    text("company", primary_key=True),
    text("flow", primary_key=True),
    stamp("value"),
)

query_start_history = sa.Table(
    "iw_query_start_history",
    metadata,
    key_id(),
    text("company"),
    text("flow"),
    stamp("old"),
    sa.Column("new", Stamp, nullable=False),
    text("by"),
    sa.Column("run_id", sa.BigInteger),
    now("at"),
    of_run("iw_query_start_history"),
    sa.Index("iw_query_start_history_company_flow_ix", "company", "flow", "id"),
)

binding = sa.Table(
    "iw_binding",
    metadata,
    text("company", primary_key=True),
    text("mapping", primary_key=True),
    text("crm_id", primary_key=True),
    text("books_id"),
    sa.Column("crm_base", JSON, nullable=False),
    sa.Column("books_base", JSON, nullable=False),
    blank("crm_version"),
    blank("books_version"),
    integer("generation", server_default="0"),
    sa.Column("answer", JSON, nullable=False),  # what the books said of the record when it was bound
    text("write_back"),  # pending, sent, done, failed
    blank("removed"),  # what we did to the partner of a record that was gone: deactivate, void
    now("created_at"),
    now("updated_at"),
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
    text("company", primary_key=True),
    text("mapping", primary_key=True),
    text("crm_id", primary_key=True),
    text("books_id", primary_key=True),
    integer("generation"),  # of the binding when it was taken away
    text("side"),  # whose record was gone
    text("kind"),  # deleted, voided, inactive, by hand
    sa.Column("held", sa.Boolean, nullable=False),  # what is left waits for a person
    now("at"),
    sa.Index("iw_tombstone_books_ix", "company", "mapping", "books_id"),
)

sweep = sa.Table(
    "iw_sweep",
    metadata,
    text("company", primary_key=True),
    text("mapping", primary_key=True),
    text("side", primary_key=True),
    sa.Column("until", Stamp, nullable=False),  # by the side's own clock: deletions before it are known
    stamp("swept_at"),
)

batch = sa.Table(
    "iw_batch",
    metadata,
    key_id(),
    text("company"),
    text("mapping"),
    text("key"),
    text("kind"),  # record, write_back
    text("side"),  # the side that is written to
    text("flow"),
    sa.Column("run_id", sa.BigInteger, nullable=False),
    text("fingerprint"),
    integer("attempt"),
    text("source"),
    sa.Column("open", sa.Boolean, nullable=False, server_default=sa.true()),
    now("sent_at"),
    stamp("ended_at"),
    of_run("iw_batch"),
    sa.UniqueConstraint("company", "id"),
    sa.Index("iw_batch_key_ix", "company", "mapping", "key"),
    sa.Index("iw_batch_open_ix", "company", "mapping", "key", unique=True, postgresql_where=sa.text("open")),
)

intent = sa.Table(
    "iw_intent",
    metadata,
    sa.Column("batch_id", sa.BigInteger, primary_key=True),
    integer("position", primary_key=True),
    text("company"),
    text("key"),
    text("op"),
    blank("target_id"),
    blank("version"),
    sa.Column("values", JSON, nullable=False),
    sa.Column("decision", JSON, nullable=False),
    text("state"),  # sent, applied, rejected, stale, unknown
    blank("result_id"),
    blank("result_version"),
    blank("code"),
    blank("message"),
    stamp("ended_at"),
    sa.ForeignKeyConstraint(
        ["company", "batch_id"], ["iw_batch.company", "iw_batch.id"], name="iw_intent_batch_fkey", ondelete="CASCADE"
    ),
    sa.UniqueConstraint("batch_id", "key"),
)

log = sa.Table(
    "iw_log",
    metadata,
    key_id(),
    text("company"),
    text("flow"),
    sa.Column("run_id", sa.BigInteger, nullable=False),
    text("mapping"),
    text("fingerprint"),
    integer("attempt"),
    text("side"),  # the side that source_id belongs to
    text("source_id"),
    blank("target_id"),
    blank("label"),
    text("operation"),  # create, update, write_back, bind, none
    text("action"),
    blank("result"),  # of a write: applied, rejected, stale, unknown
    text("why"),
    sa.Column("changes", JSONB, nullable=False),
    blank("code"),
    blank("advice"),
    blank("field"),
    sa.Column("candidates", JSON, nullable=False),
    sa.Column("awaits", JSON, nullable=False),
    text("standing"),  # counted, superseded (a later row of the attempt replaces it), earlier (as counted), aside
    blank("batch_key"),
    stamp("sent_at"),
    now("at"),
    of_run("iw_log"),
    sa.Index("iw_log_record_ix", "company", "mapping", "source_id", "id"),
    sa.Index("iw_log_attempt_ix", "run_id", "mapping", "attempt", "source_id"),
    sa.Index("iw_log_at_ix", "company", "at", "id"),
    sa.Index("iw_log_flow_ix", "company", "flow", "at", "id"),
    sa.Index("iw_log_run_ix", "run_id", "at", "id"),
    # Most rows of a log say that nothing was to do; what is looked for by its state is among the others.
    sa.Index("iw_log_action_ix", "company", "action", "at", "id", postgresql_where=sa.text("action <> 'unchanged'")),
    sa.Index("iw_log_code_ix", "company", "code", "at", "id", postgresql_where=sa.text("code <> ''")),
)

waiting = sa.Table(
    "iw_waiting",
    metadata,
    text("company", primary_key=True),
    text("mapping", primary_key=True),
    text("side", primary_key=True),
    text("source_id", primary_key=True),
    text("await_mapping", primary_key=True),  # empty: waits for nothing but the next run
    text("await_id", primary_key=True),
    now("noted_at"),
    # The record went without this reference; it is planned again as soon as one such is there, not only when all are.
    sa.Column("goes_without", sa.Boolean, nullable=False, server_default=sa.false()),
)

index_state = sa.Table(
    "iw_index_state",
    metadata,
    text("company", primary_key=True),
    text("mapping", primary_key=True),
    text("side", primary_key=True),
    sa.Column("until", Stamp, nullable=False),
    text("signature"),
)

index_key = sa.Table(
    "iw_index_key",
    metadata,
    text("company", primary_key=True),
    text("mapping", primary_key=True),
    text("side", primary_key=True),
    text("record_id", primary_key=True),
    text("key", primary_key=True),
    blank("label"),
    sa.Index("iw_index_key_key_ix", "company", "mapping", "side", "key"),
)
