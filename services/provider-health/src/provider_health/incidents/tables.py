"""Incidents, what happened during each, what prevents another, and the money that waits meanwhile."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Identity, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from provider_health.schema import metadata

provider_incidents = Table(
    "provider_incidents",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("title", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("dedupe_key", Text, nullable=False),
    Column("gathers", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("severity", Integer, nullable=False),
    Column("impact", Text),
    Column("at_risk_minor", BigInteger),
    Column("at_risk_currency", Text),
    Column("owner_id", Text),
    Column("owner_name", Text),
    Column("prevention_task_id", Text),
    Column("replay_ids", ARRAY(Text), nullable=False),
    Column("pause_ids", ARRAY(Text), nullable=False),
    Column("recovery_action", Text),
    Column("decision", Text),
    Column("detected_at", DateTime(timezone=True), nullable=False),
    Column("recovered_at", DateTime(timezone=True)),
    Column("resolved_at", DateTime(timezone=True)),
    Column("reviewed_at", DateTime(timezone=True)),
    Column("relapses", Integer, nullable=False),
    Column("noticed_at", ARRAY(DateTime(timezone=True)), nullable=False),
    Column("version", Integer, nullable=False),
    Index("provider_incidents_gathering", "dedupe_key", unique=True, postgresql_where="gathers"),
    Index("provider_incidents_state", "state", "id"),
)

incident_timeline = Table(
    "incident_timeline",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("incident_id", UUID(as_uuid=False), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("kind", Text, nullable=False),
    Column("words", Text, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("actor_name", Text, nullable=False),
    Column("reference", Text),
    Column("notice", Boolean, nullable=False),
    Index("incident_timeline_incident", "incident_id", "id"),
)

prevention_tasks = Table(
    "prevention_tasks",
    metadata,
    Column("task_id", Text, primary_key=True),
    Column("incident_id", UUID(as_uuid=False), nullable=False),
    Column("owner_name", Text),
    Column("due", Text),
    Column("version", Integer, nullable=False),
)

payouts_told = Table(
    "payouts_told",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("reference", Text, primary_key=True),
    Column("told_at", DateTime(timezone=True), nullable=False),
)

waiting_payments = Table(
    "waiting_payments",
    metadata,
    Column("payment_id", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("waits", Boolean, nullable=False),
    Column("told_at", DateTime(timezone=True), nullable=False),
    Index("waiting_payments_provider", "provider", postgresql_where="waits"),
)
