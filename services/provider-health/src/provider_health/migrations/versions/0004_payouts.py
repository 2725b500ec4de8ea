"""When something was last told of a payout, so that what arrives late changes nothing.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Statements are separated by blank lines.
SCRIPT = """
CREATE TABLE provider_health.payouts_told (
    provider text NOT NULL,
    reference text NOT NULL,
    told_at timestamptz NOT NULL,
    PRIMARY KEY (provider, reference)
);

GRANT SELECT, INSERT, UPDATE ON provider_health.payouts_told TO provider_health;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("what happened is kept: going back is restoring a backup")
