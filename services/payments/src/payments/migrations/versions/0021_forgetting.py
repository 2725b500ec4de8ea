"""How many deliveries were rejected is forgotten after a time.

Revision ID: 0021
Revises: 0020
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

# Statements are separated by blank lines.
SCRIPT = """
CREATE INDEX rejections_told ON payments.rejections (minute) WHERE told;

GRANT DELETE ON payments.rejections TO payments;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("what was forgotten does not come back")
