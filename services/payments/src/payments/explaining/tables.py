"""Which payouts were looked for in the ledger, line by line, and what of them does not stand there."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, ForeignKey, Index, Numeric, Table, Uuid, text

from payments.schema import metadata

payout_checks = Table(
    "payout_checks",
    metadata,
    Column("payout_id", Uuid, ForeignKey("payments.payouts.id"), primary_key=True),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("missing_minor", Numeric(20, 1)),
    Index("payout_checks_open", "since", postgresql_where=text("missing_minor IS DISTINCT FROM 0")),
)
