"""Proposals of whose a payment is: at most one of a payment waits for an answer."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, ForeignKey, Index, Table, Text, Uuid, text

from payments.schema import metadata

payment_matches = Table(
    "payment_matches",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("payment_id", Uuid, ForeignKey("payments.payments.id"), nullable=False),
    Column("member_id", Text, ForeignKey("payments.members.id"), nullable=False),
    Column("invoice_id", Uuid, ForeignKey("payments.invoices.id")),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("proposed_by_name", Text, nullable=False),
    Column("proposed_at", DateTime(timezone=True), nullable=False),
    Column("decided_by", Text),
    Column("decided_by_name", Text),
    Column("decided_at", DateTime(timezone=True)),
    Column("version", BigInteger, nullable=False),
    CheckConstraint("state IN ('proposed', 'agreed', 'denied', 'withdrawn')", name="payment_matches_state"),
    CheckConstraint("state <> 'agreed' OR decided_by <> proposed_by", name="payment_matches_two_people"),
    Index("payment_matches_waiting", "payment_id", unique=True, postgresql_where=text("state = 'proposed'")),
)
