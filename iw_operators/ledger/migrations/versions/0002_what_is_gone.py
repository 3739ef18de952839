"""What is left of bindings, until when deletions are known, and references that a record goes without."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

stamp = postgresql.TIMESTAMP(timezone=True)


def text(name: str) -> sa.Column[str]:
    """Return a text column that is always filled."""
    return sa.Column(name, sa.Text(), nullable=False)


def upgrade() -> None:
    """Make the tables and columns."""
    op.create_table(
        "iw_tombstone",
        text("company"),
        text("mapping"),
        text("crm_id"),
        text("books_id"),
        sa.Column("generation", sa.Integer(), nullable=False),
        text("side"),
        text("kind"),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("at", stamp, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("company", "mapping", "crm_id", "books_id", name="iw_tombstone_pkey"),
    )
    op.create_index("iw_tombstone_books_ix", "iw_tombstone", ["company", "mapping", "books_id"])
    op.create_table(
        "iw_sweep",
        text("company"),
        text("mapping"),
        text("side"),
        sa.Column("until", stamp, nullable=False),
        sa.Column("swept_at", stamp, nullable=True),
        sa.PrimaryKeyConstraint("company", "mapping", "side", name="iw_sweep_pkey"),
    )
    op.add_column("iw_binding", sa.Column("removed", sa.Text(), server_default="", nullable=False))
    op.add_column("iw_waiting", sa.Column("goes_without", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    """Take them away."""
    op.drop_column("iw_waiting", "goes_without")
    op.drop_column("iw_binding", "removed")
    op.drop_table("iw_sweep")
    op.drop_table("iw_tombstone")
