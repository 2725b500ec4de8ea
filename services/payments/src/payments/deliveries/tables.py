"""What arrives from the providers, byte exact, and the worker's queue."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from payments.schema import metadata

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("last_received_at", DateTime(timezone=True), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("status_answered", SmallInteger, nullable=False),
    Column("verified_by", Text),
    Column("traceparent", Text),
    Column("refusal", Text),
    Column("headers", LargeBinary, nullable=False),
    Column("body", LargeBinary),
    Column("body_bytes", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("events", Integer, nullable=False),
    CheckConstraint("state IN ('accepted', 'rejected', 'processed', 'dead_lettered')", name="webhook_deliveries_state"),
    Index("webhook_deliveries_received", "received_at", "id"),
    Index(
        "webhook_deliveries_rejected",
        "provider",
        "sha256",
        "status_answered",
        unique=True,
        postgresql_where=text("refusal IS NOT NULL"),
    ),
)

rejected_bytes = Table(
    "rejected_bytes",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("kept_bytes", BigInteger, nullable=False),
)

rejections = Table(
    "rejections",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("minute", DateTime(timezone=True), primary_key=True),
    Column("refusal", Text, primary_key=True),
    Column("deliveries", Integer, nullable=False),
    Column("told", Boolean, nullable=False),
    Index("rejections_untold", "minute", postgresql_where=text("NOT told")),
    Index("rejections_told", "minute", postgresql_where=text("told")),
)

provider_events = Table(
    "provider_events",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("api_version", Text),
    Column("content_hash", LargeBinary, nullable=False),
    Column("essence_hash", LargeBinary, nullable=False),
    Column("delivery_id", Uuid, nullable=False),
    Column("position", Integer, nullable=False),
    Column("deliveries", Integer, nullable=False),
    Column("outcome", Text),
    Column("outcome_words", Text),
    Column("payment_id", Uuid),
    Column("ingested_at", DateTime(timezone=True)),
    UniqueConstraint("provider", "account", "livemode", "event_id", name="provider_events_identity"),
    Index("provider_events_delivery", "delivery_id"),
)

fetched_objects = Table(
    "fetched_objects",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("key", Text, nullable=False),
    Column("read_at", DateTime(timezone=True), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("fetched_objects_key", "key", "read_at"),
)

fetches = Table(
    "fetches",
    metadata,
    Column("key", Text, primary_key=True),
    Column("why", Text, nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Text),
    Index("fetches_due", "due_at"),
)

pending_events = Table(
    "pending_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("delivery_id", Uuid, ForeignKey("payments.webhook_deliveries.id")),
    Column("position", Integer),
    Column("provider_event_id", Uuid),
    Column("fetched_id", Uuid, ForeignKey("payments.fetched_objects.id")),
    Column("subject", Text),
    Column("received_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(
        "kind IN ('event', 'alternative', 'conflict', 'unreadable', 'fetched', 'refold')", name="pending_events_kind"
    ),
    CheckConstraint(
        "CASE kind WHEN 'fetched' THEN fetched_id IS NOT NULL WHEN 'refold' THEN subject IS NOT NULL"
        " ELSE delivery_id IS NOT NULL AND position IS NOT NULL END",
        name="pending_events_input",
    ),
    Index("pending_events_delivery", "delivery_id"),
)
