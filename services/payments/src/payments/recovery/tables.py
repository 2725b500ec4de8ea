"""Who tries again to collect a failed payment, when, and what became of each attempt of ours."""

from __future__ import annotations

from chassis.schedule import lease_columns
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    text,
)

from payments.schema import metadata

payment_retries = Table(
    "payment_retries",
    metadata,
    Column("payment_id", Uuid, ForeignKey("payments.payments.id"), primary_key=True),
    Column("state", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("decline_class", Text),
    Column("decline_table", Text, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("manual", Boolean, nullable=False),
    Column("planned_for", DateTime(timezone=True)),
    Column("due_at", DateTime(timezone=True)),
    Column("held_by", Text),
    Column("version", BigInteger, nullable=False),
    *lease_columns(),
    CheckConstraint(
        "state IN ('scheduled', 'held', 'calling', 'provider', 'recovery', 'closed')", name="payment_retries_state"
    ),
    CheckConstraint("owner IN ('provider', 'us', 'member', 'nobody')", name="payment_retries_owner"),
    Index("payment_retries_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    Index("payment_retries_held", "planned_for", "payment_id", postgresql_where=text("state = 'held'")),
)

retry_attempts = Table(
    "retry_attempts",
    metadata,
    Column("payment_id", Uuid, ForeignKey("payments.payments.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("manual", Boolean, nullable=False),
    Column("idempotency_key", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("failures_known", Integer, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("called_at", DateTime(timezone=True), nullable=False),
    Column("told", Text),
    CheckConstraint("state IN ('calling', 'accepted', 'declined', 'unknown', 'not_made')", name="retry_attempts_state"),
)
