"""Every table of the tasks schema."""

from __future__ import annotations

from typing import Final

from chassis.dead_letters import dead_letters_table
from chassis.idempotency import idempotency_table
from chassis.inbox import inbox_table
from chassis.outbox import outbox_table
from chassis.positions import positions_table
from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA: Final = "tasks"

metadata = MetaData(schema=SCHEMA)
outbox = outbox_table(metadata)
inbox = inbox_table(metadata)
positions = positions_table(metadata)
dead_letters = dead_letters_table(metadata)
idempotency_keys = idempotency_table(metadata)

_LIVE: Final = "state IN ('open', 'claimed', 'in_progress')"
_Instant: Final = DateTime(timezone=True)

operational_tasks = Table(
    "operational_tasks",
    metadata,
    Column("id", Uuid(as_uuid=False), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("note", Text),
    Column("queue", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("owner_id", Text),
    Column("owner_name", Text),
    Column("state_since", _Instant, nullable=False),
    Column("due_on", Date),
    Column("due_at", _Instant),
    Column("start_by", _Instant),
    Column("paused_seconds", BigInteger, nullable=False, server_default="0"),
    # What due, block and zone make of each other, so that lists can filter by how the due date stands now.
    Column("deadline_at", _Instant),
    Column("pause_ends_at", _Instant),
    Column("blocked_code", Text),
    Column("blocked_text", Text),
    Column("blocked_since", _Instant),
    Column("blocked_paused_from", _Instant),
    Column("blocked_until", _Instant),
    Column("unblocked_by", Text),
    Column("outcome_code", Text),
    Column("outcome_note", Text),
    Column("outcome_evidence", JSONB),
    Column("ended_by_id", Text),
    Column("ended_by_name", Text),
    Column("ended_reason", Text),
    Column("source_workflow_name", Text, nullable=False),
    Column("source_workflow_id", Text, nullable=False),
    Column("source_entity_type", Text, nullable=False),
    Column("source_entity_id", Text, nullable=False),
    Column("source_event_id", Text),
    Column("source_pointer", Text),
    Column("member_id", Text),
    Column("dedupe_key", Text),
    Column("gates", ARRAY(Text), nullable=False, server_default="{}"),
    Column("occurrences", Integer, nullable=False, server_default="1"),
    Column("metadata", JSONB, nullable=False, server_default="{}"),
    Column("created_at", _Instant, nullable=False),
    Column("updated_at", _Instant, nullable=False),
    Column("version", BigInteger, nullable=False),
    CheckConstraint("due_on IS NULL OR due_at IS NULL", name="operational_tasks_due"),
    Index("operational_tasks_dedupe", "dedupe_key", unique=True, postgresql_where=text(_LIVE)),
    Index("operational_tasks_key", "dedupe_key", "id"),
    Index("operational_tasks_queue", "queue", "id"),
    Index("operational_tasks_owner_id", "owner_id", "id"),
    Index("operational_tasks_member", "member_id", "id"),
    Index("operational_tasks_entity", "source_entity_id", "id"),
    Index("operational_tasks_workflow", "source_workflow_id", "id"),
    Index("operational_tasks_live", "id", postgresql_where=text(_LIVE)),
    Index("operational_tasks_condition", "unblocked_by", postgresql_where=text("unblocked_by IS NOT NULL")),
    Index("operational_tasks_until", "blocked_until", postgresql_where=text("blocked_until IS NOT NULL")),
)

task_history = Table(
    "task_history",
    metadata,
    Column("task_id", Uuid(as_uuid=False), ForeignKey("tasks.operational_tasks.id"), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("change", Text, nullable=False),
    Column("at", _Instant, nullable=False),
    Column("recorded_at", _Instant, nullable=False, server_default=func.now()),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("actor_name", Text, nullable=False),
    Column("reason", Text),
    Column("comment", Text),
    Column("after", JSONB, nullable=False),
)

task_occurrences = Table(
    "task_occurrences",
    metadata,
    Column("task_id", Uuid(as_uuid=False), ForeignKey("tasks.operational_tasks.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", _Instant, nullable=False),
    Column("event_id", Text),
    Column("pointer", Text),
    Column("fields", JSONB, nullable=False),
    Column("note", Text),
)

ended_conditions = Table(
    "ended_conditions",
    metadata,
    Column("condition", Text, primary_key=True),
    Column("ended_at", _Instant, nullable=False),
    Column("event_id", Text, nullable=False),
)
