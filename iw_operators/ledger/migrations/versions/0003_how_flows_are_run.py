"""Turns, maintenance, counters, failures and corrections, mails, reviews, calls, deeds, versions of mappings."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

stamp = postgresql.TIMESTAMP(timezone=True)
json = postgresql.JSON()
TABLES = (
    "iw_turn",
    "iw_turn_history",
    "iw_maintenance",
    "iw_flow_count",
    "iw_failure",
    "iw_correction",
    "iw_alarm",
    "iw_mail",
    "iw_review",
    "iw_inbox",
    "iw_deed",
    "iw_spec_version",
)
PROGRESS = (
    ("done", sa.BigInteger()),
    ("total", sa.BigInteger()),
    ("progress_at", stamp),
    ("reached", stamp),
    ("until", stamp),
)


def text(name: str) -> sa.Column[str]:
    """Return a text column that is always filled."""
    return sa.Column(name, sa.Text(), nullable=False)


def blank(name: str) -> sa.Column[str]:
    """Return a text column that is empty where nothing is said."""
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def now(name: str) -> sa.Column[dt.datetime]:
    """Return a time that is the present one where nothing is said."""
    return sa.Column(name, stamp, server_default=sa.text("now()"), nullable=False)


def identity() -> sa.Column[int]:
    """Return a running number."""
    return sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False)


def upgrade() -> None:
    """Make the tables and columns."""
    for name, kind in PROGRESS:
        op.add_column("iw_run_mapping", sa.Column(name, kind))
    op.add_column("iw_run", sa.Column("reprocess", sa.Boolean(), server_default=sa.false(), nullable=False))
    _index_the_log()
    op.create_index("iw_run_flow_ix", "iw_run", ["company", "flow", "id"])
    op.create_table(
        "iw_turn",
        text("company"),
        text("flow"),
        text("dag_run_id"),
        text("role"),
        text("state"),
        now("asked_at"),
        sa.Column("taken_at", stamp),
        now("seen_at"),
        sa.PrimaryKeyConstraint("company", "flow", "dag_run_id", name="iw_turn_pkey"),
    )
    op.create_table(
        "iw_turn_history",
        identity(),
        text("company"),
        text("flow"),
        text("dag_run_id"),
        text("role"),
        sa.Column("taken_at", stamp, nullable=False),
        sa.Column("ended_at", stamp, nullable=False),
        text("how"),
        sa.PrimaryKeyConstraint("id", name="iw_turn_history_pkey"),
    )
    op.create_index("iw_turn_history_company_taken_at_ix", "iw_turn_history", ["company", "taken_at"])
    op.create_table(
        "iw_maintenance",
        identity(),
        text("company"),
        text("by"),
        blank("why"),
        sa.Column("flows", json, nullable=False),
        now("began_at"),
        sa.Column("ended_at", stamp),
        blank("ended_by"),
        sa.PrimaryKeyConstraint("id", name="iw_maintenance_pkey"),
    )
    op.create_index(
        "iw_maintenance_company_ix",
        "iw_maintenance",
        ["company"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "iw_flow_count",
        text("company"),
        text("flow"),
        sa.Column("completed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_run_id", sa.BigInteger()),
        now("since"),
        sa.PrimaryKeyConstraint("company", "flow", name="iw_flow_count_pkey"),
    )
    op.create_table(
        "iw_failure",
        text("company"),
        text("mapping"),
        text("side"),
        text("source_id"),
        identity(),
        text("state"),
        text("action"),
        text("flow"),
        blank("label"),
        blank("code"),
        blank("why"),
        blank("advice"),
        blank("field"),
        sa.Column("awaits", json, nullable=False),
        text("fingerprint"),
        blank("version"),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="1", nullable=False),
        now("first_at"),
        now("last_at"),
        sa.Column("settled_at", stamp),
        blank("settled_by"),
        blank("settled_why"),
        sa.PrimaryKeyConstraint("company", "mapping", "side", "source_id", name="iw_failure_pkey"),
    )
    op.create_index("iw_failure_state_ix", "iw_failure", ["company", "state", "last_at", "id"])
    op.create_index("iw_failure_last_at_ix", "iw_failure", ["company", "last_at", "id"])
    op.create_table(
        "iw_correction",
        text("company"),
        text("mapping"),
        text("side"),
        text("source_id"),
        sa.Column("values", json, nullable=False),
        text("by"),
        now("at"),
        sa.PrimaryKeyConstraint("company", "mapping", "side", "source_id", name="iw_correction_pkey"),
    )
    op.create_table(
        "iw_alarm",
        text("company"),
        text("key"),
        now("began_at"),
        blank("detail"),
        sa.Column("ended_at", stamp),
        sa.PrimaryKeyConstraint("company", "key", name="iw_alarm_pkey"),
    )
    op.create_table(
        "iw_mail",
        identity(),
        text("company"),
        text("key"),
        text("kind"),
        sa.Column("recipients", json, nullable=False),
        text("subject"),
        text("text"),
        text("html"),
        now("queued_at"),
        sa.Column("sent_at", stamp),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("tried_at", stamp),
        blank("error"),
        sa.PrimaryKeyConstraint("id", name="iw_mail_pkey"),
        sa.UniqueConstraint("company", "key", name="iw_mail_company_key_key"),
    )
    op.create_index("iw_mail_queued_ix", "iw_mail", ["company", "id"], postgresql_where=sa.text("sent_at IS NULL"))
    op.create_table(
        "iw_review",
        identity(),
        text("company"),
        text("mapping"),
        text("flow"),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        text("side"),
        text("source_id"),
        blank("label"),
        text("finding"),
        blank("found_by"),
        blank("target_id"),
        blank("target_label"),
        sa.Column("candidates", json, nullable=False),
        text("decision"),
        blank("by"),
        blank("why"),
        now("at"),
        sa.PrimaryKeyConstraint("id", name="iw_review_pkey"),
        sa.UniqueConstraint(
            "run_id", "mapping", "side", "source_id", name="iw_review_run_id_mapping_side_source_id_key"
        ),
        sa.ForeignKeyConstraint(["company", "run_id"], ["iw_run.company", "iw_run.id"], name="iw_review_run_fkey"),
    )
    op.create_index("iw_review_run_id_ix", "iw_review", ["run_id", "id"])
    op.create_index("iw_review_flow_ix", "iw_review", ["company", "flow", "run_id"])
    op.create_table(
        "iw_inbox",
        identity(),
        text("company"),
        text("side"),
        text("object"),
        text("record_id"),
        text("event"),
        text("mapping"),
        text("flow"),
        now("received_at"),
        sa.Column("taken_at", stamp),
        sa.Column("run_id", sa.BigInteger()),
        sa.Column("done_at", stamp),
        sa.PrimaryKeyConstraint("id", name="iw_inbox_pkey"),
        sa.UniqueConstraint(
            "company", "event", "mapping", "record_id", name="iw_inbox_company_event_mapping_record_id_key"
        ),
    )
    op.create_index(
        "iw_inbox_open_ix", "iw_inbox", ["company", "flow", "id"], postgresql_where=sa.text("done_at IS NULL")
    )
    op.create_table(
        "iw_deed",
        identity(),
        text("company"),
        text("by"),
        text("what"),
        text("subject"),
        sa.Column("detail", json, nullable=False),
        now("at"),
        sa.PrimaryKeyConstraint("id", name="iw_deed_pkey"),
    )
    op.create_index("iw_deed_company_at_ix", "iw_deed", ["company", "at"])
    op.create_table(
        "iw_spec_version",
        text("company"),
        text("mapping"),
        text("fingerprint"),
        sa.Column("report", json, nullable=False),
        now("first_at"),
        sa.PrimaryKeyConstraint("company", "mapping", "fingerprint", name="iw_spec_version_pkey"),
    )


def _index_the_log() -> None:
    """Make the record log searchable by flow, state and code, newest rows first."""
    op.drop_index("iw_log_id_ix", "iw_log")
    op.drop_index("iw_log_at_ix", "iw_log")
    op.create_index("iw_log_at_ix", "iw_log", ["company", "at", "id"])
    op.create_index("iw_log_flow_ix", "iw_log", ["company", "flow", "at", "id"])
    op.create_index("iw_log_run_ix", "iw_log", ["run_id", "at", "id"])
    for column, where in (("action", "action <> 'unchanged'"), ("code", "code <> ''")):
        keys = ["company", column, "at", "id"]
        op.create_index(f"iw_log_{column}_ix", "iw_log", keys, postgresql_where=sa.text(where))


def downgrade() -> None:
    """Take them away."""
    for name in ("iw_log_code_ix", "iw_log_action_ix", "iw_log_run_ix", "iw_log_flow_ix", "iw_log_at_ix"):
        op.drop_index(name, "iw_log")
    op.create_index("iw_log_at_ix", "iw_log", ["company", "at"])
    op.create_index("iw_log_id_ix", "iw_log", ["company", "id"])
    op.drop_column("iw_run", "reprocess")
    op.drop_index("iw_run_flow_ix", "iw_run")
    for name in TABLES:
        op.drop_table(name)
    for name, _ in PROGRESS:
        op.drop_column("iw_run_mapping", name)
