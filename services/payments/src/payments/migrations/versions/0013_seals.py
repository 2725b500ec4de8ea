"""The hash chain over journals.

Revision ID: 0013
Revises: 0012
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# Statements are separated by blank lines.
SCRIPT = """
CREATE TABLE payments.seals (
    number bigint NOT NULL PRIMARY KEY,
    journal_id uuid NOT NULL CONSTRAINT seals_journal UNIQUE,
    fingerprints bytea NOT NULL,
    hash bytea NOT NULL
);

CREATE TABLE payments.seal_head (
    id smallint NOT NULL PRIMARY KEY CONSTRAINT seal_head_one CHECK (id = 1),
    last_number bigint NOT NULL,
    last_hash bytea NOT NULL,
    settled bigint NOT NULL,
    reached bigint NOT NULL,
    reached_by xid8
);

INSERT INTO payments.seal_head (id, last_number, last_hash, settled, reached)
    VALUES (1, 0, decode(repeat('00', 32), 'hex'), 0, 0);

CREATE TABLE payments.seal_anchors (
    number bigint NOT NULL PRIMARY KEY,
    hash bytea NOT NULL,
    noted_at timestamptz NOT NULL
);

CREATE INDEX seal_anchors_noted ON payments.seal_anchors (noted_at);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON payments.seals
    FOR EACH ROW EXECUTE FUNCTION payments.refuse_change();

CREATE TRIGGER no_truncate BEFORE TRUNCATE ON payments.seals
    FOR EACH STATEMENT EXECUTE FUNCTION payments.refuse_change();

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON payments.seal_anchors
    FOR EACH ROW EXECUTE FUNCTION payments.refuse_change();

CREATE TRIGGER no_truncate BEFORE TRUNCATE ON payments.seal_anchors
    FOR EACH STATEMENT EXECUTE FUNCTION payments.refuse_change();

GRANT SELECT, INSERT ON payments.seals, payments.seal_anchors TO payments;

GRANT SELECT, UPDATE ON payments.seal_head TO payments;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken down by a migration")
