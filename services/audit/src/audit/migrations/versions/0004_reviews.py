"""Which records are sensitive, and how they were reviewed: both follow from the log, which alone proves them.

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
CREATE TABLE audit.sensitive (
    seq bigint NOT NULL PRIMARY KEY,
    why text NOT NULL,
    recorded_at timestamptz NOT NULL
);

CREATE TABLE audit.reviews (
    seq bigint NOT NULL PRIMARY KEY,
    of_seq bigint NOT NULL,
    verdict text NOT NULL CONSTRAINT reviews_verdict CHECK (verdict IN ('approved', 'flagged')),
    reason text,
    reviewer_id text NOT NULL,
    reviewer_name text NOT NULL,
    reviewed_at timestamptz NOT NULL
);

CREATE INDEX reviews_of ON audit.reviews (of_seq, seq);

GRANT SELECT, INSERT ON audit.sensitive, audit.reviews TO audit;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("reviews are kept: going back is restoring a backup")
