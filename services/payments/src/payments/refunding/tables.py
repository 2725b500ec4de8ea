"""Refunds that staff asked for, with the lease of whoever asks the provider."""

from __future__ import annotations

from chassis.schedule import lease_columns
from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, ForeignKey, Index, Table, Text, Uuid, text

from payments.schema import metadata

refund_requests = Table(
    "refund_requests",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("payment_id", Uuid, ForeignKey("payments.payments.id"), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("asked_by_name", Text, nullable=False),
    Column("asked_at", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False),
    Column("called_at", DateTime(timezone=True)),
    Column("refund", Text),
    Column("told", Text),
    Column("due_at", DateTime(timezone=True)),
    Column("version", BigInteger, nullable=False),
    *lease_columns(),
    CheckConstraint("state IN ('asked', 'made', 'refused', 'unknown')", name="refund_requests_state"),
    CheckConstraint("amount_minor > 0", name="refund_requests_amount"),
    Index("refund_requests_payment", "payment_id", "id"),
    Index("refund_requests_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
)
