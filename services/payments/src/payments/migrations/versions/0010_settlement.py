"""Refunds, disputes, payouts and their lines, to a tenth of a cent.

Revision ID: 0010
Revises: 0009
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Statements are separated by blank lines.
SCRIPT = """
CREATE TABLE payments.refunds (
    id uuid NOT NULL PRIMARY KEY,
    key text COLLATE "C" NOT NULL UNIQUE,
    provider text NOT NULL,
    reference text NOT NULL,
    state text NOT NULL,
    amount_minor bigint,
    currency text,
    payment_id uuid REFERENCES payments.payments,
    created_at timestamptz,
    paid_at timestamptz,
    failed_at timestamptz,
    failure text,
    version bigint NOT NULL
);

CREATE INDEX refunds_payment ON payments.refunds (payment_id);

CREATE TABLE payments.disputes (
    id uuid NOT NULL PRIMARY KEY,
    key text COLLATE "C" NOT NULL UNIQUE,
    provider text NOT NULL,
    reference text NOT NULL,
    status text NOT NULL,
    amount_minor bigint NOT NULL,
    held_minor bigint NOT NULL,
    currency text NOT NULL,
    payment_id uuid REFERENCES payments.payments,
    reason text,
    refundable boolean NOT NULL,
    created_at timestamptz NOT NULL,
    evidence_due_at timestamptz,
    lost_at timestamptz,
    version bigint NOT NULL
);

CREATE INDEX disputes_payment ON payments.disputes (payment_id);

CREATE TABLE payments.payouts (
    id uuid NOT NULL PRIMARY KEY,
    key text COLLATE "C" NOT NULL UNIQUE,
    provider text NOT NULL,
    reference text NOT NULL,
    state text NOT NULL,
    automatic boolean NOT NULL,
    amount_minor bigint,
    currency text,
    created_at timestamptz,
    ended_at timestamptz,
    arrives_on date,
    listed_minor numeric(20, 1),
    difference_minor bigint,
    fee_minor bigint NOT NULL,
    gst_minor bigint NOT NULL,
    version bigint NOT NULL
);

CREATE INDEX payouts_unexplained ON payments.payouts (id) WHERE difference_minor <> 0;

CREATE TABLE payments.payout_items (
    payout_id uuid NOT NULL REFERENCES payments.payouts,
    line integer NOT NULL,
    type text NOT NULL,
    amount_minor numeric(20, 1) NOT NULL,
    gst_minor numeric(20, 1) NOT NULL,
    source text,
    PRIMARY KEY (payout_id, line)
);

GRANT SELECT, INSERT, UPDATE ON payments.refunds, payments.disputes, payments.payouts TO payments;

GRANT SELECT, INSERT, DELETE ON payments.payout_items TO payments;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("what is derived from kept facts is not taken down by a migration")
