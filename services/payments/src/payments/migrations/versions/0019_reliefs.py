"""The journals of an invoice, found by index: what is due of it still.

Revision ID: 0019
Revises: 0018
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

# Statements are separated by blank lines.
SCRIPT = """
CREATE INDEX journals_invoice ON payments.journals (invoice_id) WHERE invoice_id IS NOT NULL;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("an index is dropped by a later migration")
