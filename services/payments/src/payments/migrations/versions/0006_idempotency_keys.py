"""Idempotency keys: what was answered under which key.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Statements are separated by blank lines.
SCRIPT = """
CREATE TABLE payments.idempotency_keys (
    caller text NOT NULL,
    operation text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint NOT NULL,
    headers jsonb NOT NULL,
    answer bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (caller, operation, key),
    CONSTRAINT idempotency_keys_answer_size CHECK (octet_length(answer) <= 262144)
);

CREATE INDEX idempotency_keys_created_at ON payments.idempotency_keys USING brin (created_at);

GRANT SELECT, INSERT, DELETE ON payments.idempotency_keys TO payments;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE payments.idempotency_keys")
