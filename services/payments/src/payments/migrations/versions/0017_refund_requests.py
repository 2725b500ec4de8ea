"""Refunds that staff asked for.

Revision ID: 0017
Revises: 0016
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# Statements are separated by blank lines.
SCRIPT = """
CREATE TABLE payments.refund_requests (
    id uuid NOT NULL PRIMARY KEY,
    payment_id uuid NOT NULL REFERENCES payments.payments,
    amount_minor bigint NOT NULL CONSTRAINT refund_requests_amount CHECK (amount_minor > 0),
    currency text NOT NULL,
    reason text NOT NULL,
    asked_by text NOT NULL,
    asked_by_name text NOT NULL,
    asked_at timestamptz NOT NULL,
    state text NOT NULL
        CONSTRAINT refund_requests_state CHECK (state IN ('asked', 'made', 'refused', 'unknown')),
    called_at timestamptz,
    refund text,
    told text,
    due_at timestamptz,
    version bigint NOT NULL,
    lease_token text,
    leased_until timestamptz,
    claims integer NOT NULL DEFAULT 0
);

CREATE INDEX refund_requests_payment ON payments.refund_requests (payment_id, id);

CREATE INDEX refund_requests_due ON payments.refund_requests (due_at) WHERE due_at IS NOT NULL;

GRANT SELECT, INSERT, UPDATE ON payments.refund_requests TO payments;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("what was asked of a provider is not taken down by a migration")
