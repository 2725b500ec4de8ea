"""What decisions of staff leave: adjustments of GST in the tax codes, and payouts on the bank's statement.

Revision ID: 0011
Revises: 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Statements are separated by blank lines.
SCRIPT = """
ALTER TABLE payments.ledger_entries DROP CONSTRAINT ledger_entries_tax_code;

ALTER TABLE payments.ledger_entries ADD CONSTRAINT ledger_entries_tax_code
    CHECK (tax_code IN ('GST', 'GST-DEC', 'GST-INC', 'FRE', 'N-T'));

ALTER TABLE payments.payouts ADD COLUMN banked_at timestamptz;
"""


def upgrade() -> None:
    for statement in SCRIPT.strip().split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken down by a migration")
