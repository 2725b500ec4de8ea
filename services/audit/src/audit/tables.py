"""What the audit service stores.

`audit_log` is partitioned by seq; rows come in by seq alone, so that only the newest partition is ever written. Exact
dedupe and coverage have tables of their own, since a partitioned table cannot carry a unique constraint without its
partition key. `quarantine` notes what was not understood; a record made of it later is one more row of the log, and
one of `reinterpreted`. The guards (insert-only role, triggers) live in the migrations.
"""

from __future__ import annotations

from typing import Final

from chassis.dead_letters import dead_letters_table
from chassis.outbox import outbox_table
from chassis.positions import positions_table
from chassis.verifications import verifications_table
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
)

SCHEMA: Final = "audit"
PARTITION_RECORDS: Final = 5_000_000
"""Records in one partition of `audit_log`; `audit.ensure_partition` in the migrations knows it too."""
GUARDED: Final = ("audit_log", "event_ids", "conflicts", "quarantine", "reinterpreted", "gaps")
"""What is append-only, beside the partitions of the log."""

metadata = MetaData(schema=SCHEMA)

audit_log = Table(
    "audit_log",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("schema_status", Text, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("actor_name", Text, nullable=False),
    Column("entity_type", Text, nullable=False),
    Column("entity_id", Text, nullable=False),
    Column("workflow_name", Text, nullable=False),
    Column("workflow_id", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("incarnation", Integer, nullable=False),
    Column("record_offset", BigInteger, nullable=False),
    Column("reason", Text),
    Column("sentence", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Index("audit_log_entity", "entity_type", "entity_id", "seq"),
    Index("audit_log_workflow", "workflow_name", "workflow_id", "seq"),
    CheckConstraint(
        "schema_status IN ('known', 'unknown_type', 'unknown_version', 'unreadable_body')", "audit_log_status"
    ),
    postgresql_partition_by="RANGE (seq)",
)

log_head = Table(
    "log_head",
    metadata,
    Column("id", SmallInteger, CheckConstraint("id = 1", "log_head_single"), primary_key=True, autoincrement=False),
    Column("last_seq", BigInteger, nullable=False),
)

search_head = Table(
    "search_head",
    metadata,
    Column("id", SmallInteger, CheckConstraint("id = 1", "search_head_single"), primary_key=True, autoincrement=False),
    Column("searchable_seq", BigInteger, nullable=False),
)

event_ids = Table(
    "event_ids",
    metadata,
    Column("source", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("sha256", LargeBinary, nullable=False),
    Column("seal", LargeBinary, nullable=False),
    Column("seq", BigInteger, nullable=False),
)

conflicts = Table(
    "conflicts",
    metadata,
    Column("id", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("incarnation", Integer, primary_key=True, autoincrement=False),
    Column("record_offset", BigInteger, primary_key=True),
    Column("source", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("found_at", DateTime(timezone=True), nullable=False),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("incarnation", Integer, primary_key=True, autoincrement=False),
    Column("record_offset", BigInteger, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("seq", BigInteger),
    Column("dead_letter_id", Uuid, unique=True),
    Column("key", LargeBinary),
    Column("value", LargeBinary),
    Column("found_at", DateTime(timezone=True), nullable=False),
)

reinterpreted = Table(
    "reinterpreted",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("incarnation", Integer, primary_key=True, autoincrement=False),
    Column("record_offset", BigInteger, primary_key=True),
    Column("seq", BigInteger, nullable=False),
)

coverage = Table(
    "coverage",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("incarnation", Integer, primary_key=True, autoincrement=False),
    Column("first_offset", BigInteger, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("recorded", BigInteger, nullable=False),
    Column("duplicate", BigInteger, nullable=False),
    Column("quarantined", BigInteger, nullable=False),
    Column("technical", BigInteger, nullable=False),
    Column("explained_gap", BigInteger, nullable=False),
    Column("unexplained_gap", BigInteger, nullable=False),
)

gaps = Table(
    "gaps",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("incarnation", Integer, primary_key=True, autoincrement=False),
    Column("first_offset", BigInteger, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("explanation", Text),
    Column("found_at", DateTime(timezone=True), nullable=False),
)

search = Table(
    "search",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("actor_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Index("search_actor", "actor_id", "seq"),
    Index("search_action", "action", "seq"),
    Index("search_time", "occurred_at", "seq"),
)

sensitive = Table(
    "sensitive",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("why", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

reviews = Table(
    "reviews",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("of_seq", BigInteger, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("reason", Text),
    Column("reviewer_id", Text, nullable=False),
    Column("reviewer_name", Text, nullable=False),
    Column("reviewed_at", DateTime(timezone=True), nullable=False),
    Index("reviews_of", "of_seq", "seq"),
    CheckConstraint("verdict IN ('approved', 'flagged')", "reviews_verdict"),
)

outbox = outbox_table(metadata)
positions = positions_table(metadata)
dead_letters = dead_letters_table(metadata)
verifications = verifications_table(metadata)
