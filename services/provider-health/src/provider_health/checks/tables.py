"""What is known of each check, and what each look has shown, for a while."""

from __future__ import annotations

from chassis.schedule import lease_columns
from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from provider_health.schema import metadata

provider_health_checks = Table(
    "provider_health_checks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("status_since", DateTime(timezone=True), nullable=False),
    Column("score", Integer, nullable=False),
    Column("failures_in_row", Integer, nullable=False),
    Column("detector", JSONB, nullable=False),
    Column("latency_ms", Integer),
    Column("last_observed_at", DateTime(timezone=True)),
    Column("last_success_at", DateTime(timezone=True)),
    Column("last_failure_at", DateTime(timezone=True)),
    Column("evidence", Text),
    Column("cadence_seconds", Integer),
    Column("dwell_seconds", Integer, nullable=False),
    Column("due_at", DateTime(timezone=True)),
    *lease_columns(),
    Column("version", Integer, nullable=False),
    Index("provider_health_checks_due", "due_at"),
)

check_observations = Table(
    "check_observations",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("check_id", Text, nullable=False),
    Column("observed_at", DateTime(timezone=True), nullable=False),
    Column("outcome", Text, nullable=False),
    Column("latency_ms", Integer),
    Column("evidence", Text, nullable=False),
    Column("status", Text, nullable=False),
    Index("check_observations_check", "check_id", "id"),
)

maintenance_windows = Table(
    "maintenance_windows",
    metadata,
    Column("id", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("starts_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("actor_name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Index("maintenance_windows_provider", "provider", "ends_at"),
)
