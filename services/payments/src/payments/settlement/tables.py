"""What took money back and what went to the bank: refunds, disputes, payouts with their lines."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    Uuid,
    text,
)

from payments.collection.tables import OBJECT_KEY
from payments.schema import metadata

refunds = Table(
    "refunds",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("key", OBJECT_KEY, nullable=False, unique=True),
    Column("provider", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("amount_minor", BigInteger),
    Column("currency", Text),
    Column("payment_id", Uuid, ForeignKey("payments.payments.id")),
    Column("created_at", DateTime(timezone=True)),
    Column("paid_at", DateTime(timezone=True)),
    Column("failed_at", DateTime(timezone=True)),
    Column("failure", Text),
    Column("version", BigInteger, nullable=False),
    Index("refunds_payment", "payment_id"),
    Index("refunds_parked", "id", postgresql_where=text("payment_id IS NULL OR state = 'failed'")),
)

disputes = Table(
    "disputes",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("key", OBJECT_KEY, nullable=False, unique=True),
    Column("provider", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("held_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("payment_id", Uuid, ForeignKey("payments.payments.id")),
    Column("reason", Text),
    Column("refundable", Boolean, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("evidence_due_at", DateTime(timezone=True)),
    Column("lost_at", DateTime(timezone=True)),
    Column("version", BigInteger, nullable=False),
    Index("disputes_payment", "payment_id"),
    Index("disputes_parked", "id", postgresql_where=text("payment_id IS NULL")),
)

payouts = Table(
    "payouts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("key", OBJECT_KEY, nullable=False, unique=True),
    Column("provider", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("automatic", Boolean, nullable=False),
    Column("amount_minor", BigInteger),
    Column("currency", Text),
    Column("created_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Column("arrives_on", Date),
    Column("banked_at", DateTime(timezone=True)),
    Column("listed_minor", Numeric(20, 1)),
    Column("difference_minor", BigInteger),
    Column("fee_minor", BigInteger, nullable=False),
    Column("gst_minor", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Index("payouts_parked", "id", postgresql_where=text("amount_minor IS NULL OR difference_minor <> 0")),
    Index("payouts_unexplained", "id", postgresql_where=text("difference_minor <> 0")),
)

payout_items = Table(
    "payout_items",
    metadata,
    Column("payout_id", Uuid, ForeignKey("payments.payouts.id"), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("type", Text, nullable=False),
    Column("amount_minor", Numeric(20, 1), nullable=False),
    Column("gst_minor", Numeric(20, 1), nullable=False),
    Column("source", Text),
)
