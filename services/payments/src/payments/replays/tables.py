"""Replays of provider events, and what became of each of their items."""

from __future__ import annotations

from chassis.schedule import lease_columns
from sqlalchemy import (
    ARRAY,
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
from sqlalchemy.dialects.postgresql import JSONB

from payments.schema import metadata

replays = Table(
    "replays",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("state", Text, nullable=False),
    Column("provider", Text),
    Column("received_from", DateTime(timezone=True)),
    Column("received_until", DateTime(timezone=True)),
    Column("types", ARRAY(Text), nullable=False),
    Column("delivery_state", Text),
    Column("purpose", Text, nullable=False),
    Column("incident_id", Text),
    Column("dry_run", Boolean, nullable=False),
    Column("rate_per_second", Integer, nullable=False),
    Column("matched", Integer, nullable=False),
    Column("replayed", Integer, nullable=False),
    Column("unchanged", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("requested_by", JSONB, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("version", BigInteger, nullable=False),
    Column("due_at", DateTime(timezone=True)),
    *lease_columns(),
    CheckConstraint("state IN ('requested', 'running', 'completed', 'cancelled', 'refused')", name="replays_state"),
    Index("replays_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
)

replay_items = Table(
    "replay_items",
    metadata,
    Column("replay_id", Uuid, ForeignKey("payments.replays.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("provider_event_id", Uuid, nullable=False),
    Column("outcome", Text),
    Column("why", Text),
    CheckConstraint("outcome IN ('replayed', 'unchanged', 'refused', 'failed')", name="replay_items_outcome"),
    Index("replay_items_open", "replay_id", "number", postgresql_where=text("outcome IS NULL")),
)
