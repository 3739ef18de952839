"""What the source held when a record was corrected, and where Query Starts stood when a run's window was set."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the columns."""
    op.add_column("iw_correction", sa.Column("seen", postgresql.JSON(), nullable=True))
    op.add_column("iw_run", sa.Column("moves_seen", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Take them away."""
    op.drop_column("iw_run", "moves_seen")
    op.drop_column("iw_correction", "seen")
