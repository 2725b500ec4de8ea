"""Proposals of whose a payment is: two people have to say so, by the database's own word too.

Revision ID: 0015
Revises: 0014
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# Statements are separated by blank lines.
SCRIPT = """
CREATE TABLE payments.payment_matches (
    id uuid NOT NULL PRIMARY KEY,
    payment_id uuid NOT NULL REFERENCES payments.payments,
    member_id text NOT NULL REFERENCES payments.members,
    invoice_id uuid REFERENCES payments.invoices,
    state text NOT NULL CONSTRAINT payment_matches_state
        CHECK (state IN ('proposed', 'agreed', 'denied', 'withdrawn')),
    reason text NOT NULL,
    proposed_by text NOT NULL,
    proposed_by_name text NOT NULL,
    proposed_at timestamptz NOT NULL,
    decided_by text,
    decided_by_name text,
    decided_at timestamptz,
    version bigint NOT NULL,
    CONSTRAINT payment_matches_two_people CHECK (state <> 'agreed' OR decided_by <> proposed_by)
);

CREATE UNIQUE INDEX payment_matches_waiting ON payments.payment_matches (payment_id) WHERE state = 'proposed';

GRANT SELECT, INSERT, UPDATE ON payments.payment_matches TO payments;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("what people have decided is not taken down by a migration")
