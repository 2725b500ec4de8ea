"""Which payouts were looked for in the ledger, line by line.

Revision ID: 0020
Revises: 0019
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

# Statements are separated by blank lines.
SCRIPT = """
CREATE TABLE payments.payout_checks (
    payout_id uuid NOT NULL PRIMARY KEY REFERENCES payments.payouts,
    since timestamptz NOT NULL,
    missing_minor numeric(20, 1)
);

CREATE INDEX payout_checks_open ON payments.payout_checks (since) WHERE missing_minor IS DISTINCT FROM 0;

GRANT SELECT, INSERT, UPDATE ON payments.payout_checks TO payments;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("it is seen again by the next look")
