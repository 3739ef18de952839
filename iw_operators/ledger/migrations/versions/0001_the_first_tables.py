"""The first tables."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

stamp = postgresql.TIMESTAMP(timezone=True)


def text(name: str) -> sa.Column[str]:
    """Return a text column that is always filled."""
    return sa.Column(name, sa.Text(), nullable=False)


def blank(name: str) -> sa.Column[str]:
    """Return a text column that is empty where there is nothing to say."""
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def now(name: str) -> sa.Column[dt.datetime]:
    """Return a column for the time of the transaction."""
    return sa.Column(name, stamp, server_default=sa.text("now()"), nullable=False)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "iw_binding",
        text("company"),
        text("mapping"),
        text("crm_id"),
        text("books_id"),
        sa.Column("crm_base", postgresql.JSON(), nullable=False),
        sa.Column("books_base", postgresql.JSON(), nullable=False),
        blank("crm_version"),
        blank("books_version"),
        sa.Column("generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("answer", postgresql.JSON(), nullable=False),
        text("write_back"),
        now("created_at"),
        now("updated_at"),
        sa.PrimaryKeyConstraint("company", "mapping", "crm_id", name="iw_binding_pkey"),
        sa.UniqueConstraint("company", "mapping", "books_id", name="iw_binding_company_mapping_books_id_key"),
    )
    op.create_index(
        "iw_binding_write_back_ix",
        "iw_binding",
        ["company", "mapping", "write_back", "created_at", "crm_id"],
        postgresql_where=sa.text("write_back <> 'done'"),
    )
    op.create_table(
        "iw_index_key",
        text("company"),
        text("mapping"),
        text("side"),
        text("record_id"),
        text("key"),
        blank("label"),
        sa.PrimaryKeyConstraint("company", "mapping", "side", "record_id", "key", name="iw_index_key_pkey"),
    )
    op.create_index("iw_index_key_key_ix", "iw_index_key", ["company", "mapping", "side", "key"])
    op.create_table(
        "iw_index_state",
        text("company"),
        text("mapping"),
        text("side"),
        sa.Column("until", stamp, nullable=False),
        text("signature"),
        sa.PrimaryKeyConstraint("company", "mapping", "side", name="iw_index_state_pkey"),
    )
    op.create_table(
        "iw_query_start",
        text("company"),
        text("flow"),
        sa.Column("value", stamp, nullable=True),
        sa.PrimaryKeyConstraint("company", "flow", name="iw_query_start_pkey"),
    )
    op.create_table(
        "iw_query_start_history",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        text("company"),
        text("flow"),
        sa.Column("old", stamp, nullable=True),
        sa.Column("new", stamp, nullable=False),
        text("by"),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        now("at"),
        sa.PrimaryKeyConstraint("id", name="iw_query_start_history_pkey"),
    )
    op.create_index("iw_query_start_history_company_flow_ix", "iw_query_start_history", ["company", "flow", "id"])
    op.create_table(
        "iw_run",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        text("company"),
        text("flow"),
        text("dag_run_id"),
        text("kind"),
        text("direction"),
        sa.Column("attempt", sa.Integer(), nullable=False),
        text("state"),
        blank("error"),
        sa.Column("window_set", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("since", stamp, nullable=True),
        sa.Column("until", stamp, nullable=True),
        now("started_at"),
        sa.Column("ended_at", stamp, nullable=True),
        sa.PrimaryKeyConstraint("id", name="iw_run_pkey"),
        sa.UniqueConstraint("company", "flow", "dag_run_id", name="iw_run_company_flow_dag_run_id_key"),
        sa.UniqueConstraint("company", "id", name="iw_run_company_id_key"),
    )
    op.create_index("iw_run_company_started_at_ix", "iw_run", ["company", "started_at"])
    op.create_table(
        "iw_waiting",
        text("company"),
        text("mapping"),
        text("side"),
        text("source_id"),
        text("await_mapping"),
        text("await_id"),
        now("noted_at"),
        sa.PrimaryKeyConstraint(
            "company", "mapping", "side", "source_id", "await_mapping", "await_id", name="iw_waiting_pkey"
        ),
    )
    op.create_table(
        "iw_batch",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        text("company"),
        text("mapping"),
        text("key"),
        text("kind"),
        text("side"),
        text("flow"),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        text("fingerprint"),
        sa.Column("attempt", sa.Integer(), nullable=False),
        text("source"),
        sa.Column("open", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        now("sent_at"),
        sa.Column("ended_at", stamp, nullable=True),
        sa.ForeignKeyConstraint(["company", "run_id"], ["iw_run.company", "iw_run.id"], name="iw_batch_run_fkey"),
        sa.PrimaryKeyConstraint("id", name="iw_batch_pkey"),
        sa.UniqueConstraint("company", "id", name="iw_batch_company_id_key"),
    )
    op.create_index("iw_batch_key_ix", "iw_batch", ["company", "mapping", "key"])
    op.create_index(
        "iw_batch_open_ix", "iw_batch", ["company", "mapping", "key"], unique=True, postgresql_where=sa.text("open")
    )
    op.create_table(
        "iw_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        text("company"),
        text("flow"),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        text("mapping"),
        text("fingerprint"),
        sa.Column("attempt", sa.Integer(), nullable=False),
        text("side"),
        text("source_id"),
        blank("target_id"),
        blank("label"),
        text("operation"),
        text("action"),
        blank("result"),
        text("why"),
        sa.Column("changes", postgresql.JSONB(), nullable=False),
        blank("code"),
        blank("advice"),
        blank("field"),
        sa.Column("candidates", postgresql.JSON(), nullable=False),
        sa.Column("awaits", postgresql.JSON(), nullable=False),
        text("standing"),
        blank("batch_key"),
        sa.Column("sent_at", stamp, nullable=True),
        now("at"),
        sa.ForeignKeyConstraint(["company", "run_id"], ["iw_run.company", "iw_run.id"], name="iw_log_run_fkey"),
        sa.PrimaryKeyConstraint("id", name="iw_log_pkey"),
    )
    op.create_index("iw_log_at_ix", "iw_log", ["company", "at"])
    op.create_index("iw_log_id_ix", "iw_log", ["company", "id"])
    op.create_index("iw_log_attempt_ix", "iw_log", ["run_id", "mapping", "attempt", "source_id"])
    op.create_index("iw_log_record_ix", "iw_log", ["company", "mapping", "source_id", "id"])
    op.create_table(
        "iw_run_mapping",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        text("mapping"),
        sa.Column("attempt", sa.Integer(), nullable=False),
        text("company"),
        text("fingerprint"),
        sa.Column("read", sa.BigInteger(), nullable=True),
        sa.Column("counts", postgresql.JSON(), nullable=True),
        sa.Column("balanced", sa.Boolean(), nullable=True),
        now("started_at"),
        sa.Column("ended_at", stamp, nullable=True),
        sa.ForeignKeyConstraint(["company", "run_id"], ["iw_run.company", "iw_run.id"], name="iw_run_mapping_run_fkey"),
        sa.PrimaryKeyConstraint("run_id", "mapping", "attempt", name="iw_run_mapping_pkey"),
    )
    op.create_table(
        "iw_intent",
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        text("company"),
        text("key"),
        text("op"),
        blank("target_id"),
        blank("version"),
        sa.Column("values", postgresql.JSON(), nullable=False),
        sa.Column("decision", postgresql.JSON(), nullable=False),
        text("state"),
        blank("result_id"),
        blank("result_version"),
        blank("code"),
        blank("message"),
        sa.Column("ended_at", stamp, nullable=True),
        sa.ForeignKeyConstraint(
            ["company", "batch_id"],
            ["iw_batch.company", "iw_batch.id"],
            name="iw_intent_batch_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("batch_id", "position", name="iw_intent_pkey"),
        sa.UniqueConstraint("batch_id", "key", name="iw_intent_batch_id_key_key"),
    )
    op.create_foreign_key(
        "iw_query_start_history_run_fkey", "iw_query_start_history", "iw_run", ["company", "run_id"], ["company", "id"]
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in (
        "iw_intent",
        "iw_run_mapping",
        "iw_log",
        "iw_batch",
        "iw_waiting",
        "iw_query_start_history",
        "iw_run",
        "iw_query_start",
        "iw_index_state",
        "iw_index_key",
        "iw_binding",
    ):
        op.drop_table(table)
