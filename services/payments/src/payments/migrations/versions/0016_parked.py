"""What is parked, since when, and whether somebody was asked about it.

Revision ID: 0016
Revises: 0015
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# Statements are separated by blank lines.
SCRIPT = """
CREATE TABLE payments.parked (
    id uuid NOT NULL PRIMARY KEY,
    key text COLLATE "C" NOT NULL UNIQUE,
    kind text NOT NULL,
    entity_id uuid NOT NULL,
    waits_for text NOT NULL,
    since timestamptz NOT NULL,
    asked_at timestamptz
);

CREATE INDEX parked_unasked ON payments.parked (since) WHERE asked_at IS NULL;

CREATE INDEX refunds_parked ON payments.refunds (id) WHERE payment_id IS NULL OR state = 'failed';

CREATE INDEX disputes_parked ON payments.disputes (id) WHERE payment_id IS NULL;

CREATE INDEX payouts_parked ON payments.payouts (id) WHERE amount_minor IS NULL OR difference_minor <> 0;

GRANT SELECT, INSERT, UPDATE, DELETE ON payments.parked TO payments;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("it is seen again by the next look")
