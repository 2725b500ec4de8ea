"""Pauses of automation, each change of one, the head that numbers them, and who has stopped."""

from __future__ import annotations

from chassis.schedule import lease_columns
from sqlalchemy import BigInteger, Boolean, Column, DateTime, Identity, Index, Integer, Table, Text, func
from sqlalchemy.dialects.postgresql import UUID

from provider_health.schema import metadata

automation_pauses = Table(
    "automation_pauses",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("scope", Text, nullable=False),
    Column("provider", Text),
    Column("account", Text),
    Column("action", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("incident_id", UUID(as_uuid=False)),
    Column("binds_staff", Boolean, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("actor_name", Text, nullable=False),
    Column("by_policy", Boolean, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("set_at", DateTime(timezone=True), nullable=False),
    Column("anchored_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("due_at", DateTime(timezone=True)),
    *lease_columns(),
    Column("version", Integer, nullable=False),
    Index("automation_pauses_active", "scope", unique=True, postgresql_where="state = 'active'"),
    Index("automation_pauses_due", "due_at"),
)

automation_pause_changes = Table(
    "automation_pause_changes",
    metadata,
    Column("epoch", BigInteger, primary_key=True),
    Column("pause_id", UUID(as_uuid=False), nullable=False),
    Column("change", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("actor_name", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Index("automation_pause_changes_pause", "pause_id", "epoch"),
)

pause_head = Table(
    "pause_head",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("beaten_at", DateTime(timezone=True), nullable=False),
)

pause_instances = Table(
    "pause_instances",
    metadata,
    Column("service", Text, primary_key=True),
    Column("instance", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("applied_at", DateTime(timezone=True), nullable=False),
    Column("leased_until", DateTime(timezone=True), nullable=False),
)

pause_stops = Table(
    "pause_stops",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("service", Text, nullable=False),
    Column("instance", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("applied_at", DateTime(timezone=True), nullable=False),
    Index("pause_stops_epoch", "service", "instance", "epoch", unique=True),
    Index("pause_stops_applied", "applied_at"),
)
