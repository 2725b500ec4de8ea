"""What staff look for among many: payments that wait for something.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX payments_awaiting ON payments.payments (id) WHERE awaiting <> '{}' AND NOT superseded")


def downgrade() -> None:
    op.execute("DROP INDEX payments.payments_awaiting")
